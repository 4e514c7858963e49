#include "parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fastnn {
namespace {

// Waking a second thread costs about 2 microseconds when it spins and 5 when it doesn't; a thread must save more.
std::atomic<double> cost_per_thread{8000};

std::atomic<int> thread_limit{1};
std::atomic<bool> pool_lost{false};  // this process is a forked child
thread_local bool out_of_memory = false;
thread_local bool keeps_denormals = false;  // KeepDenormals lives on this thread
// Whether any thread's may be true. To find a thread's own takes a function call each time, 5 ns of a call of 140.
std::atomic<bool> ran_out_of_memory{false};
std::atomic<int> keepers{0};

void note_out_of_memory() {
  out_of_memory = true;
  ran_out_of_memory.store(true, std::memory_order_relaxed);
}

bool keep_denormals() { return keepers.load(std::memory_order_relaxed) != 0 && keeps_denormals; }

// Denormal operands cost ~150 cycles each on x86; kernels treat them as zero, unless told to keep them, and leave the
// caller's state alone.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  explicit FlushDenormals(bool keep) : saved_(_mm_getcsr()) { _mm_setcsr(keep ? saved_ & ~0x8040u : saved_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  explicit FlushDenormals(bool keep) {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(keep ? saved_ & ~(1ull << 24) : saved_ | (1ull << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  uint64_t saved_;
#else
  explicit FlushDenormals(bool) {}
#endif
};

// Memory that a thread keeps between calls, so that packing buffers are warm and cost no page faults.
class Scratch {
 public:
  ~Scratch() { std::free(memory_); }
  void* get(size_t bytes) {
    if (bytes <= size_) return memory_;
    std::free(memory_);
    size_ = (bytes + 4095) / 4096 * 4096;
    memory_ = std::aligned_alloc(4096, size_);
    if (!memory_) size_ = 0;
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

void* thread_scratch(size_t bytes) {
  static thread_local Scratch scratch;
  return bytes ? scratch.get(bytes) : nullptr;
}

#ifdef _OPENMP
// Below its start-up value only if somebody (threadpoolctl, omp_set_num_threads) lowered it: then it is obeyed.
const int initial_omp_threads = omp_get_max_threads();

int openmp_cap() {
  const int now = omp_get_max_threads();
  return now < initial_omp_threads ? now : 1 << 20;
}
#endif

int threads_for(int64_t n, double cost) {
#ifdef _OPENMP
  const int limit = thread_limit.load(std::memory_order_relaxed);
  const double per_thread = cost_per_thread.load(std::memory_order_relaxed);
  if (limit <= 1 || n <= 1 || cost < 2 * per_thread) return 1;
  if (pool_lost.load(std::memory_order_relaxed) || omp_in_parallel()) return 1;
  const double worth = std::min(cost / std::max(per_thread, 1e-9), double(limit));
  return int(std::max<int64_t>(1, std::min<int64_t>({n, int64_t(worth), openmp_cap()})));
#else
  (void)n, (void)cost;
  return 1;
#endif
}

// Memory of this thread, or null and a note that there is none.
bool get_scratch(size_t bytes, void** memory) {
  *memory = thread_scratch(bytes);
  if (bytes && !*memory) note_out_of_memory();
  return !bytes || *memory;
}

void run_serial(int64_t n, size_t scratch, void* context, RangeBody body) {
  void* memory;
  if (!get_scratch(scratch, &memory)) return;
  FlushDenormals guard(keep_denormals());
  body(context, 0, n, memory);
}

#ifdef _OPENMP
// libgomp's threads don't survive a fork, and its next region in the child would wait for them for ever. Whether they were
// started is not known: another library that shares libgomp may have done so. Hence this is for every child, from the
// moment this file is loaded. LLVM's runtime (16) begins anew in a child when it is first asked for something; a child that
// never does so could not end. Nor can it where KMP_INIT_AT_FORK is FALSE. To end the threads before a fork would be a remedy,
// but then the regions of other threads crash.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] {
  pool_lost.store(true);
  omp_get_max_threads();
});
#endif

constexpr int kLargestTeam = 32;
constexpr int kPatience = 100, kSpins = 2000;  // pauses of 10 to 50 ns
std::atomic<int64_t> parts_of_teams{0};

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

// Steps and parts done are counted and never reset, so that a thread that comes late finds all it missed done.
struct Team::Board {
  struct alignas(64) Count {
    std::atomic<int64_t> value{0};
  };
  Count done;               // parts, of all steps
  Count steps[kLargestTeam];  // of each part, taken
};

bool Team::take(int part) {
  int64_t step = step_;
  return board_->steps[part].value.compare_exchange_strong(step, step + 1, std::memory_order_acq_rel);
}

void Team::finish_part() { board_->done.value.fetch_add(1, std::memory_order_acq_rel); }

int Team::next_part() {
  if (!began_) {
    began_ = true;
    if (take(rank_)) return rank_;
  }
  // The others are about as fast: to look at their parts at once would only take the lines they write from them. Then a
  // thread that is missing costs a microsecond or two once. Who waits for a part that somebody is at makes room before long.
  const auto done = [this] { return board_->done.value.load(std::memory_order_acquire) >= (step_ + 1) * size; };
  for (int spins = alone_ ? kPatience : 0; !done(); ++spins) {
    if (spins == kPatience) {
      for (int i = 1; i < size; ++i) {
        const int part = (rank_ + i) % size;
        if (!take(part)) continue;
        alone_ = true;
        ++taken_over_;
        return part;
      }
      alone_ = false;
    }
    if (spins < kSpins)
      pause();
    else
      sched_yield();
  }
  ++step_;
  began_ = false;
  return -1;
}

void run_parallel(int64_t n, double cost, size_t scratch, void* context, RangeBody body) {
  if (n <= 0) return;
  const int threads = threads_for(n, cost);
  if (threads == 1) return run_serial(n, scratch, context, body);
#ifdef _OPENMP
  bool failed = false;
  const bool keep = keep_denormals();
#pragma omp parallel num_threads(threads) reduction(|| : failed)
  {
    const int64_t count = omp_get_num_threads(), me = omp_get_thread_num();
    void* memory = thread_scratch(scratch);
    if (scratch && !memory) {
      failed = true;
    } else {
      FlushDenormals guard(keep);
      const int64_t begin = n / count * me + std::min(me, n % count);
      const int64_t end = begin + n / count + (me < n % count);
      if (begin < end) body(context, begin, end, memory);
    }
  }
  if (failed) note_out_of_memory();
#endif
}

namespace {

// A region ends when all its threads have been there, so even one that did nothing may cost a time slice of another program.
// After a team in which half of a thread's parts were done by others, the next ones have one thread, up to 64 of them.
std::atomic<int> teams_to_skip{0}, last_skipped{0};

bool skip_team() {
  if (teams_to_skip.load(std::memory_order_relaxed) <= 0) return false;
  teams_to_skip.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

[[maybe_unused]] void judge_team(int64_t parts, int size, int64_t taken_over) {
  const bool missing = 2 * taken_over * size > parts;
  const int skip = missing ? std::min(2 * last_skipped.load(std::memory_order_relaxed) + 1, 64) : 0;
  last_skipped.store(skip, std::memory_order_relaxed);
  teams_to_skip.store(skip, std::memory_order_relaxed);
}

}  // namespace

void run_team(int64_t n, double cost, size_t scratch, void* context, TeamBody body) {
  void* memory;
  if (!get_scratch(scratch, &memory)) return;
  const int threads = std::min(threads_for(n, cost), kLargestTeam);
  if (threads == 1 || skip_team()) {
    FlushDenormals guard(keep_denormals());
    Team alone(0, 1, nullptr);
    return body(context, alone, memory);
  }
#ifdef _OPENMP
  Team::Board board;
  int64_t taken_over = 0;
  const bool keep = keep_denormals();
#pragma omp parallel num_threads(threads) reduction(+ : taken_over)
  {
    FlushDenormals guard(keep);
    Team team(omp_get_thread_num(), omp_get_num_threads(), &board);
    body(context, team, memory);
    taken_over += team.taken_over();
  }
  const int64_t parts = board.done.value.load(std::memory_order_relaxed);
  parts_of_teams.fetch_add(parts, std::memory_order_relaxed);
  judge_team(parts, threads, taken_over);
#endif
}

int64_t team_parts() { return parts_of_teams.load(); }

KeepDenormals::KeepDenormals() : outer_(keeps_denormals) {
  keeps_denormals = true;
  ++keepers;
}
KeepDenormals::~KeepDenormals() {
  --keepers;
  keeps_denormals = outer_;
}

int num_threads() { return pool_lost.load() || !has_openmp() ? 1 : thread_limit.load(); }
void set_num_threads(int n) { thread_limit.store(std::max(1, n)); }
double thread_cost() { return cost_per_thread.load(); }
void set_thread_cost(double ns) { cost_per_thread.store(std::max(0.0, ns)); }

bool has_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

bool take_out_of_memory() {
  if (!ran_out_of_memory.load(std::memory_order_relaxed)) return false;
  const bool was = out_of_memory;
  out_of_memory = false;
  return was;
}

}  // namespace fastnn
