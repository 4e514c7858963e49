// Work split over threads. This header and parallel.cpp are the only places that know how; pool.* has the threads.
//
// Promise: a body is called on ranges [begin, end) that together cover [0, n) once. Where the ranges are cut depends
// on the thread count, so an item's result must not depend on the range it is in: then the bits are the same for
// every thread count. Reductions write one partial per item and combine them in index order afterwards.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastnn {

using RangeBody = void (*)(void* context, int64_t begin, int64_t end, void* scratch);

// The calling thread itself does the ranges that no other thread has begun, so it never waits for a thread that sleeps
// or has lost its processor to another program.
// cost: rough serial time of the whole loop in nanoseconds; it decides how many threads are asked, and which are woken.
// scratch: bytes of private, 64-byte aligned memory for each thread. Denormals are flushed inside (see KeepDenormals).
void run_parallel(int64_t n, double cost, size_t scratch, void* context, RangeBody body);

// A few threads that go through a loop together, step by step. A step is cut into as many parts as there are threads;
// each thread does its own part, and then the parts that their threads have not begun, because other programs keep
// those threads from a processor. So a thread waits only for parts that another thread is working on. All threads must
// go through the same steps in the same order, and may change shared data only inside of parts.
class Team {
 public:
  struct Board;
  struct Part {
    int rank, size;
    // This part's share of n items.
    int64_t begin(int64_t n) const { return n * rank / size; }
    int64_t end(int64_t n) const { return n * (rank + 1) / size; }
  };
  Team(int rank, int size, Board* board) : size(size), rank_(rank), board_(board) {}
  const int size;
  int64_t taken_over() const { return taken_over_; }

  // Calls f(part) for all parts of a step, each on one thread. Returns when all parts are done; every thread then sees
  // what they wrote.
  template <class F>
  void step(const F& f) {
    if (size == 1) return f(Part{0, 1});
    for (int part; (part = next_part()) >= 0; finish_part()) f(Part{part, size});
  }
  // A step in which one thread calls f().
  template <class F>
  void once(const F& f) {
    step([&](Part part) {
      if (part.rank == 0) f();
    });
  }

 private:
  // Takes a part of this step, which this thread must then do. Gives -1 when all parts are done; then the next step
  // begins.
  int next_part();
  void finish_part();
  bool take(int part);

  int rank_;
  Board* board_;
  int64_t step_ = 0, taken_over_ = 0;
  bool began_ = false;  // in this step, this thread has tried to take its own part
  bool alone_ = false;  // another thread was missing in the step before
};
using TeamBody = void (*)(void* context, Team& team, void* scratch);

// Runs body once on every thread of a team. The size of the team depends on cost, as in run_parallel, and is at most n.
// All threads get the same scratch.
void run_team(int64_t n, double cost, size_t scratch, void* context, TeamBody body);
// How many parts of steps the teams of several threads have done so far in this process, for tests.
int64_t team_parts();

// While an object of this class lives, the bodies of loops that its thread starts keep denormals.
class KeepDenormals {
 public:
  KeepDenormals();
  ~KeepDenormals();

 private:
  bool outer_;
};

int num_threads();
void set_num_threads(int n);
// A further thread is asked only if it takes over at least this many nanoseconds of work. Tests set 0, so that small
// arrays are split too.
double thread_cost();
void set_thread_cost(double ns);
// Notes that the call that this thread is in had no memory for its scratch, and so did nothing.
void note_out_of_memory();
// Whether there is such a note of this thread; the note is then cleared.
bool take_out_of_memory();

namespace {

// Marks the upper halves of vector registers as unused, for the code behind run_parallel and run_team, which is made
// for any processor. Compilers do so before calls, but GCC 12 forgets it where a local function was called before: the
// first SSE instruction then costs 140 ns (one core of a virtual Sapphire Rapids).
inline void leave_wide_registers() {
#ifdef __AVX__
  __builtin_ia32_vzeroupper();
#endif
}

// Calls body(begin, end, scratch) for ranges of [0, n). Here and in parallel_for the body is copied to each thread's
// stack: the compiler then knows that a store to an array does not change the body, and keeps its members in registers.
template <class Body>
inline void parallel_scratch(int64_t n, double cost, size_t scratch, const Body& body) {
  leave_wide_registers();
  run_parallel(n, cost, scratch, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void* memory) {
    const Body own = *static_cast<const Body*>(context);
    own(begin, end, memory);
  });
}

// Calls body(begin, end) for ranges of [0, n).
template <class Body>
inline void parallel_for(int64_t n, double cost, const Body& body) {
  leave_wide_registers();
  run_parallel(n, cost, 0, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void*) {
    const Body own = *static_cast<const Body*>(context);
    own(begin, end);
  });
}

// Calls body(team, scratch) on every thread of a team (see run_team).
template <class Body>
inline void parallel_team(int64_t n, double cost, size_t scratch, const Body& body) {
  leave_wide_registers();
  run_team(n, cost, scratch, const_cast<Body*>(&body),
           [](void* context, Team& team, void* memory) { (*static_cast<const Body*>(context))(team, memory); });
}

}  // namespace
}  // namespace fastnn
