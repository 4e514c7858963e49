#include "pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>

#include "spin.h"

namespace fastnn {
namespace {

// A worker goes to sleep when it has had nothing to do for this long, so that it is still awake for the next call of a
// network.
constexpr int64_t kAwake = 400'000;         // nanoseconds
constexpr size_t kStack = size_t(4) << 20;  // bytes; some systems give a thread 128 kB
constexpr int kJobs = 8;                    // callers at the same time; further callers work alone
constexpr int kMostWorkers = kMostParts - 1;
constexpr int kWakes = 2;  // workers that a thread wakes, 5 microseconds each; those that are woken wake the next
constexpr int64_t kRetry = 1'000'000'000;  // nanoseconds, after the system had no thread to give

// The state of a job in one word, so that a part is taken, or found to be nobody's any more, in one step:
//   generation (37 bits) | seats (8): workers that may still join | next (9): the first part that nobody has begun |
//   parts (10)
// A worker that was kept away for long finds another generation, or no part left: it can't touch what the caller has
// dropped.
struct State {
  static constexpr uint64_t kPart = uint64_t(1) << 10, kSeat = uint64_t(1) << 19, kGeneration = uint64_t(1) << 27;
  uint64_t word;

  // The first part is the caller's.
  static State begin(uint64_t generation, int seats, int parts) {
    return {generation * kGeneration + uint64_t(seats) * kSeat + kPart + uint64_t(parts)};
  }
  int parts() const { return int(word % kPart); }
  int next() const { return int(word / kPart % 512); }
  int seats() const { return int(word / kSeat % 256); }
  uint64_t generation() const { return word / kGeneration; }
  bool open() const { return next() < parts(); }
};
static_assert(kMostParts < 512 && kMostWorkers < 256);

// The work that a caller offers. Jobs live as long as the process, so that a worker that comes late may look at one.
// The members that a worker needs to begin are on one cache line.
struct alignas(64) Job {
  std::atomic<uint64_t> state{0};
  PartBody body = nullptr;
  void* context = nullptr;
  std::atomic<bool> owned{false};        // by a caller
  alignas(64) std::atomic<int> done{0};  // parts
};

struct Pool {
  Job jobs[kJobs];
  alignas(64) std::atomic<uint32_t> bell{0};  // rung for each job
  alignas(64) std::atomic<int> asleep{0};
  std::atomic<int> workers{0};
  std::atomic<int64_t> retry{0};  // no worker can be had before this time
  // By these, workers sleep and are woken. Whoever wakes workers subtracts them from `asleep` at once, so that the next
  // caller doesn't count on waking the same ones.
  std::mutex mutex;
  std::condition_variable called;
  int calls = 0;  // notifications for which no worker has woken up yet
  int more = 0;   // how many further workers the next one that wakes up should wake
};

// The pool is never destroyed: workers look at it until the process has ended. A forked child, which has no workers,
// makes a new pool.
std::atomic<Pool*> current{nullptr};
std::mutex starting;
thread_local bool sharing = false;

// The pool, which the first call makes; null if there is no memory for it.
Pool* pool() {
  if (Pool* p = current.load(std::memory_order_acquire)) return p;
  std::lock_guard lock(starting);
  if (!current.load(std::memory_order_relaxed)) current.store(new (std::nothrow) Pool, std::memory_order_release);
  return current.load(std::memory_order_relaxed);
}

// Takes the next part of the job, or gives -1 if no part is left or the job is of another generation by now.
int take(Job& job, uint64_t generation) {
  State s{job.state.load(std::memory_order_acquire)};
  while (s.generation() == generation && s.open())
    if (job.state.compare_exchange_weak(s.word, s.word + State::kPart, std::memory_order_acq_rel)) return s.next();
  return -1;
}

// Joins a job and works until no part is left. False if the job had no part or no seat left.
bool help(Job& job) {
  State s{job.state.load(std::memory_order_acquire)};
  do
    if (!s.open() || s.seats() == 0) return false;
  while (!job.state.compare_exchange_weak(s.word, s.word + State::kPart - State::kSeat, std::memory_order_acq_rel));
  const PartBody body = job.body;
  void* const context = job.context;
  for (int part = s.next(); part >= 0; part = take(job, s.generation())) {
    body(context, part);
    job.done.fetch_add(1, std::memory_order_release);
  }
  return true;
}

bool open(const Pool& p) {
  return std::any_of(p.jobs, p.jobs + kJobs, [](const Job& job) { return State{job.state.load()}.open(); });
}

// Wakes the given number of workers, or all that sleep if there are fewer. The caller holds the lock.
void wake(Pool& p, int workers) {
  const int all = std::min(workers, p.asleep.load());
  if (all <= 0) return;
  const int some = std::min(all, kWakes);
  p.asleep.fetch_sub(some);
  p.calls += some, p.more = all - some;
  for (int i = 0; i < some; ++i) p.called.notify_one();
}

// Sleeps until somebody calls; not at all if the bell was rung since this worker heard it last.
void sleep(Pool& p, uint32_t heard) {
  std::unique_lock lock(p.mutex);
  p.asleep.fetch_add(1);  // before it looks at the bell: a caller rings before it looks who sleeps
  if (p.bell.load() != heard) {
    p.asleep.fetch_sub(1);
    return;
  }
  while (p.calls == 0) p.called.wait(lock);
  --p.calls;
  const int more = p.more;
  p.more = 0;
  if (more > 0 && open(p)) wake(p, more);
}

bool help_anyone(Pool& p) {
  bool helped = false;
  for (Job& job : p.jobs) helped |= help(job);
  return helped;
}

// Looks for work until there has been none for a while. Returns what the bell said before it looked for the last time.
uint32_t work_awake(Pool& p) {
  for (;;) {
    const int64_t sleepy = now() + kAwake;
    for (unsigned spins = 0;;) {
      const uint32_t heard = p.bell.load(std::memory_order_acquire);
      if (help_anyone(p)) break;
      do {
        relax(spins);
        if (spins % 16 == 0 && now() > sleepy) return heard;
      } while (p.bell.load(std::memory_order_acquire) == heard);
    }
  }
}

void* work(void* pool) {
  Pool& p = *static_cast<Pool*>(pool);
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "fastnn");
#endif
  sharing = true;
  for (;;) sleep(p, work_awake(p));
}

bool start_worker(Pool& p) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, work, &p) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

// Starts workers until there are as many as wanted, or until the system gives no more threads.
void start_workers(Pool& p, int wanted) {
  std::lock_guard lock(starting);
  // Workers block signals, which are for the threads of the program, except those that tell of a thread's own faults.
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  while (p.workers.load() < wanted) {
    ++p.workers;
    if (start_worker(p)) continue;
    --p.workers;
    p.retry.store(now() + kRetry);
    break;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ring(Pool& p, int helpers, bool wanted) {
  p.bell.fetch_add(1);
  if (!wanted || p.asleep.load() == 0) return;
  std::lock_guard lock(p.mutex);
  wake(p, helpers - (p.workers.load() - p.asleep.load()));
}

Job* own_job(Pool& p) {
  for (Job& job : p.jobs)
    if (!job.owned.load(std::memory_order_relaxed) && !job.owned.exchange(true, std::memory_order_acquire)) return &job;
  return nullptr;
}

// Lets nobody begin a part any more. Returns how many parts were left.
int close(Job& job) {
  State s{job.state.load()};
  while (!job.state.compare_exchange_weak(s.word, s.word + uint64_t(s.parts() - s.next()) * State::kPart)) {
  }
  return s.parts() - s.next();
}

// Waits until other threads have done `parts` parts. Returns the nanoseconds that it took after the first kSpins turns.
int64_t wait_for(const Job& job, int parts) {
  const auto done = [&] { return job.done.load(std::memory_order_acquire) == parts; };
  unsigned spins = 0;
  for (; spins < kSpins; relax(spins))
    if (done()) return 0;
  const int64_t start = now();
  while (!done()) relax(spins);
  return now() - start;
}

struct Sharing {
  Sharing() { sharing = true; }
  ~Sharing() { sharing = false; }
};

// Nobody may hold this lock when a child is made: no thread of the child would ever release it.
[[maybe_unused]] const int fork_handler = pthread_atfork([] { starting.lock(); }, [] { starting.unlock(); },
                                                         [] {
                                                           starting.unlock();
                                                           current.store(nullptr);
                                                           sharing = false;
                                                         });

}  // namespace

int64_t share_parts(int parts, int helpers, bool rest, bool wake, void* context, PartBody body) {
  Pool* const p = pool();
  if (!p) return -1;
  helpers = std::min(helpers, kMostWorkers);
  if (p->workers.load(std::memory_order_relaxed) < helpers && now() >= p->retry.load(std::memory_order_relaxed))
    start_workers(*p, helpers);
  Job* const job = p->workers.load(std::memory_order_relaxed) > 0 ? own_job(*p) : nullptr;
  if (!job) return -1;
  Sharing guard;
  job->body = body, job->context = context;
  job->done.store(0, std::memory_order_relaxed);
  const State begun = State::begin(State{job->state.load(std::memory_order_relaxed)}.generation() + 1, helpers, parts);
  job->state.store(begun.word, std::memory_order_release);
  ring(*p, helpers, wake);
  int own = 0;
  for (int part = 0; part >= 0; part = rest ? take(*job, begun.generation()) : -1, ++own) body(context, part);
  const int64_t waited = wait_for(*job, parts - own - (rest ? 0 : close(*job)));
  job->owned.store(false, std::memory_order_release);
  return waited;
}

int workers_awake() {
  const Pool* p = current.load(std::memory_order_acquire);
  return p ? p->workers.load(std::memory_order_relaxed) - p->asleep.load(std::memory_order_relaxed) : 0;
}

bool shares_parts() { return sharing; }

}  // namespace fastnn
