#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "pool.h"
#include "spin.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fastnn {
namespace {

// Nanoseconds of work that each further thread must take over. To hand work to a thread that spins costs about 2
// microseconds.
std::atomic<double> cost_per_thread{8000};

std::atomic<int> thread_limit{1};
std::atomic<const Runtime*> other_runtime{nullptr};  // used instead of the pool
thread_local bool out_of_memory = false;
thread_local bool keeps_denormals = false;  // whether a KeepDenormals lives on this thread
// These say whether out_of_memory, or keeps_denormals, may be true on any thread. They are looked at first, because to
// find a thread's own variable takes a function call: 5 ns of a call of 140.
std::atomic<bool> ran_out_of_memory{false};
std::atomic<int> keepers{0};

bool keep_denormals() { return keepers.load(std::memory_order_relaxed) != 0 && keeps_denormals; }

// Denormal operands cost ~150 cycles each on x86; kernels treat them as zero, unless told to keep them. All other
// settings are those with which a process begins (round to nearest, no traps), whatever the caller, or the thread that
// started a worker, has set: results must not depend on the thread. The destructor puts the former state back. The
// flags of past exceptions are not cleared, since the first inexact result after that would take 40 ns longer (Sapphire
// Rapids), a twentieth of a small convolution.
class FloatingPoint {
 public:
#if defined(__x86_64__)
  explicit FloatingPoint(bool denormals) : saved_(_mm_getcsr()) {
    _mm_setcsr((saved_ & 0x3f) | (denormals ? 0x1f80 : 0x9fc0));
  }
  ~FloatingPoint() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  explicit FloatingPoint(bool denormals) {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(denormals ? uint64_t(0) : uint64_t(1) << 24));
  }
  ~FloatingPoint() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  uint64_t saved_;
#else
  explicit FloatingPoint(bool) {}
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

const Runtime* runtime() { return other_runtime.load(std::memory_order_relaxed); }

int threads_for(int64_t n, double cost) {
  const int limit = thread_limit.load(std::memory_order_relaxed);
  const double per_thread = cost_per_thread.load(std::memory_order_relaxed);
  if (limit <= 1 || n <= 1 || cost < 2 * per_thread || shares_parts()) return 1;
  int64_t most = std::min<int64_t>({n, limit, kMostParts});
  most = std::min(most, int64_t(std::min(cost / std::max(per_thread, 1e-9), 1e9)));
  if (const Runtime* r = runtime()) most = std::min<int64_t>(most, r->most_threads());
  return int(std::max<int64_t>(1, most));
}

// Sets `memory` to scratch of this thread. If there is none to be had, notes that and gives false.
bool get_scratch(size_t bytes, void** memory) {
  *memory = thread_scratch(bytes);
  if (bytes && !*memory) note_out_of_memory();
  return !bytes || *memory;
}

void run_serial(int64_t n, size_t scratch, void* context, RangeBody body) {
  void* memory;
  if (!get_scratch(scratch, &memory)) return;
  FloatingPoint guard(keep_denormals());
  body(context, 0, n, memory);
}

constexpr int kLargestTeam = 32;
constexpr unsigned kPatience = 100;  // turns of 10 to 50 ns
std::atomic<int64_t> parts_of_teams{0};

}  // namespace

// The counts of steps and of parts that are done are never reset, so that a thread that comes late finds that the steps
// it missed are done.
struct Team::Board {
  struct alignas(64) Count {
    std::atomic<int64_t> value{0};
  };
  Count done;                 // how many parts, in all steps together
  Count steps[kLargestTeam];  // for each part, in how many steps it was taken
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
  // The other threads are about as fast, so this one is patient before it looks at their parts: a look takes away from
  // them the cache lines that they write. A missing thread costs a microsecond or two in the first step that it misses,
  // and nothing in the next ones. While another thread is doing a part, relax() soon lets other threads have the
  // processor.
  const auto done = [this] { return board_->done.value.load(std::memory_order_acquire) >= (step_ + 1) * size; };
  for (unsigned spins = alone_ ? kPatience : 0; !done(); relax(spins)) {
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
  }
  ++step_;
  began_ = false;
  return -1;
}

namespace {

// To wake a thread takes the caller about 5 microseconds, and the thread is there after 50 to 100. That is worth it for
// a long job, and for a job that begins less than kSoon after another. A job is long from kLong times cost_per_thread
// on, 96 microseconds by default; tests set cost_per_thread to 0, so that every job is long and all threads are woken.
constexpr double kLong = 12, kVeryLong = 250;
constexpr int64_t kSoon = 200'000;  // nanoseconds
std::atomic<int64_t> last_job{0};

// A job ends late if another program takes the processor from a thread that has begun a part. After a late job some
// jobs are done on one thread: 1 job, and if the next shared job is late, too, 3, then 7 … up to kMostAlone; very long
// jobs are excepted. A job was late if the caller waited for other threads longer than kLate, and for a larger share of
// the job's time than kLateShare: for a thread that had to wake up first it waits half the time at most.
constexpr double kLate = 50'000, kLateShare = 0.6;  // kLate: nanoseconds
constexpr int kMostAlone = 63;
std::atomic<int> jobs_alone{0}, last_alone{0};

void judge_job(int64_t waited, int64_t took) {
  const bool late = double(waited) > std::max(kLate, double(took) * kLateShare);
  if (!late && last_alone.load(std::memory_order_relaxed) == 0) return;
  const int alone = late ? std::min(2 * last_alone.load(std::memory_order_relaxed) + 1, kMostAlone) : 0;
  last_alone.store(alone, std::memory_order_relaxed);
  jobs_alone.store(alone, std::memory_order_relaxed);
}

// How long jobs of a kind really take, as a factor of their estimate. Estimates know nothing of memory that is touched
// for the first time, which makes some jobs five times as long. The factor is the smaller of the last two that were
// seen on one thread, since another program may have had the processor during one of them. A run on several threads can
// only lower it.
class Experience {
 public:
  double factor(const void* kind) const {
    const Entry& entry = entry_of(kind);
    return entry.kind.load(std::memory_order_relaxed) == kind ? entry.factor.load(std::memory_order_relaxed) : 1;
  }

  void took_alone(const void* kind, double factor) {
    if (!(factor < kLargest)) factor = kLargest;
    Entry& entry = entry_of(kind);
    const bool known = entry.kind.exchange(kind, std::memory_order_relaxed) == kind;
    const double last = known ? entry.last.load(std::memory_order_relaxed) : 1;
    entry.last.store(factor, std::memory_order_relaxed);
    entry.factor.store(std::max(1.0, std::min(factor, last)), std::memory_order_relaxed);
  }

  void took_at_most(const void* kind, double factor) {
    Entry& entry = entry_of(kind);
    if (entry.kind.load(std::memory_order_relaxed) != kind) return;
    if (factor < entry.factor.load(std::memory_order_relaxed))
      entry.factor.store(std::max(1.0, factor), std::memory_order_relaxed);
  }

 private:
  struct Entry {
    std::atomic<const void*> kind{nullptr};
    std::atomic<double> factor{1}, last{1};
  };
  static constexpr size_t kEntries = 128;
  static constexpr double kLargest = 16;
  mutable Entry entries_[kEntries];  // kinds with the same entry replace each other

  Entry& entry_of(const void* kind) const { return entries_[reinterpret_cast<uintptr_t>(kind) / 16 % kEntries]; }
};

Experience experience;

// Who is to have a part in a job.
enum class Ask { nobody, awake, all };

Ask whom_to_ask(double cost, int64_t start) {
  const double price = cost_per_thread.load(std::memory_order_relaxed);
  const bool soon = start - last_job.exchange(start, std::memory_order_relaxed) < kSoon;
  if (cost < kVeryLong * price && jobs_alone.load(std::memory_order_relaxed) > 0) {
    jobs_alone.fetch_sub(1, std::memory_order_relaxed);
    return Ask::nobody;
  }
  if (soon || cost >= kLong * price) return Ask::all;
  return workers_awake() > 0 ? Ask::awake : Ask::nobody;
}

// Runs body(context, part) for the parts of a job, of which there are as many as threads. Gives false if nothing was
// done, since the job should rather be done on one thread. kind: a pointer that all jobs of a kind have in common; see
// Experience. rest: see share_parts.
bool run_job(int threads, bool rest, double cost, const void* kind, void* context, PartBody body) {
  if (const Runtime* r = runtime()) {
    r->run(threads, context, body);
    return true;
  }
  const int64_t start = now();
  const Ask ask = whom_to_ask(cost * experience.factor(kind), start);
  if (ask == Ask::nobody) return false;
  const int64_t waited = share_parts(threads, threads - 1, rest, ask == Ask::all, context, body);
  if (waited < 0) return false;
  const int64_t took = now() - start;
  experience.took_at_most(kind, double(took) * threads / cost);
  judge_job(waited, took);
  return true;
}

// Runs f, a job that could have had several threads, on this one.
template <class F>
void run_alone(const void* kind, double cost, const F& f) {
  const int64_t start = now();
  f();
  experience.took_alone(kind, double(now() - start) / cost);
}

struct Loop {
  int64_t n, count;
  size_t scratch;
  void* context;
  RangeBody body;
  bool keep;
  std::atomic<bool> failed{false};

  void run(int64_t part) {
    void* memory = thread_scratch(scratch);
    if (scratch && !memory) return failed.store(true, std::memory_order_relaxed);
    FloatingPoint guard(keep);
    const int64_t begin = n / count * part + std::min(part, n % count);
    const int64_t end = begin + n / count + (part < n % count);
    if (begin < end) body(context, begin, end, memory);
  }
};

}  // namespace

void run_parallel(int64_t n, double cost, size_t scratch, void* context, RangeBody body) {
  if (n <= 0) return;
  const int threads = threads_for(n, cost);
  if (threads == 1) return run_serial(n, scratch, context, body);
  Loop loop{n, threads, scratch, context, body, keep_denormals()};
  const void* kind = reinterpret_cast<const void*>(body);
  if (!run_job(threads, true, cost, kind, &loop, [](void* it, int part) { static_cast<Loop*>(it)->run(part); }))
    return run_alone(kind, cost, [&] { run_serial(n, scratch, context, body); });
  if (loop.failed.load(std::memory_order_relaxed)) note_out_of_memory();
}

namespace {

struct TeamLoop {
  Team::Board board;
  int size;
  void *context, *memory;
  TeamBody body;
  bool keep;

  void run(int rank) {
    FloatingPoint guard(keep);
    Team team(rank, size, &board);
    body(context, team, memory);
  }
};

}  // namespace

void run_team(int64_t n, double cost, size_t scratch, void* context, TeamBody body) {
  void* memory;
  if (!get_scratch(scratch, &memory)) return;
  const auto alone = [&] {
    FloatingPoint guard(keep_denormals());
    Team team(0, 1, nullptr);
    body(context, team, memory);
  };
  const int threads = std::min(threads_for(n, cost), kLargestTeam);
  if (threads == 1) return alone();
  TeamLoop loop{{}, threads, context, memory, body, keep_denormals()};
  const void* kind = reinterpret_cast<const void*>(body);
  if (!run_job(threads, false, cost, kind, &loop, [](void* it, int rank) { static_cast<TeamLoop*>(it)->run(rank); }))
    return run_alone(kind, cost, alone);
  parts_of_teams.fetch_add(loop.board.done.value.load(std::memory_order_relaxed), std::memory_order_relaxed);
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

int num_threads() {
  const Runtime* r = runtime();
  return r ? std::min(thread_limit.load(), r->most_threads()) : thread_limit.load();
}
void set_num_threads(int n) { thread_limit.store(std::max(1, n)); }
double thread_cost() { return cost_per_thread.load(); }
void set_thread_cost(double ns) { cost_per_thread.store(std::max(0.0, ns)); }

void set_runtime(const Runtime* r) { other_runtime.store(r); }

const char* runtime_name() {
  const Runtime* r = runtime();
  return r ? r->name : "pool";
}

void note_out_of_memory() {
  out_of_memory = true;
  ran_out_of_memory.store(true, std::memory_order_relaxed);
}

bool take_out_of_memory() {
  if (!ran_out_of_memory.load(std::memory_order_relaxed)) return false;
  const bool was = out_of_memory;
  out_of_memory = false;
  return was;
}

}  // namespace fastnn

// By this symbol threadpoolctl tells fastnn's library from others of the same name.
extern "C" __attribute__((visibility("default"))) int fastnn_num_threads() { return fastnn::num_threads(); }
