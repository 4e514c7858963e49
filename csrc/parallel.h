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

// A range that no other thread has begun is the caller's: a thread that sleeps or is displaced is never waited for.
// cost: rough serial time of the whole loop in nanoseconds; it decides how many threads are asked, and which are woken.
// scratch: bytes of private, 64-byte aligned memory for each thread. Denormals are flushed inside (see KeepDenormals).
void run_parallel(int64_t n, double cost, size_t scratch, void* context, RangeBody body);

// A few threads that go through a loop together, step by step. A step is cut into as many parts as there are threads;
// each thread does its own, and then those that their threads have not begun, because other programs keep them from a
// processor. So nobody waits but for parts that somebody is at. All threads must come to the same steps in the same
// order, and change what they share in parts only.
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

  // f(part) for all parts, each on one thread. Returns when they are done; what they wrote is then seen by all.
  template <class F>
  void step(const F& f) {
    if (size == 1) return f(Part{0, 1});
    for (int part; (part = next_part()) >= 0; finish_part()) f(Part{part, size});
  }
  // f() on one thread
  template <class F>
  void once(const F& f) {
    step([&](Part part) {
      if (part.rank == 0) f();
    });
  }

 private:
  // A part of this step that is now this thread's to do; -1 when all are done, and the next step begins.
  int next_part();
  void finish_part();
  bool take(int part);

  int rank_;
  Board* board_;
  int64_t step_ = 0, taken_over_ = 0;
  bool began_ = false;  // this step: this thread has looked at its own part
  bool alone_ = false;  // another thread was missing in the step before
};
using TeamBody = void (*)(void* context, Team& team, void* scratch);

// Runs body once on every thread of a team, whose size depends on cost as above and is at most n. The threads share the
// scratch.
void run_team(int64_t n, double cost, size_t scratch, void* context, TeamBody body);
// Parts of steps that teams of several threads have done so far in this process, for tests.
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
// Nanoseconds of work that a further thread must take over to be asked. Tests set 0, so that small arrays are split
// too.
double thread_cost();
void set_thread_cost(double ns);
// Says that this thread's call had no memory for its scratch, and so did nothing.
void note_out_of_memory();
// Whether this thread's call said so; asking takes it back.
bool take_out_of_memory();

namespace {

// body(begin, end, scratch). Here and below the body is copied to each thread's stack: the compiler then knows that a
// store to an array does not change the body, and keeps its members in registers.
template <class Body>
inline void parallel_scratch(int64_t n, double cost, size_t scratch, const Body& body) {
  run_parallel(n, cost, scratch, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void* memory) {
    const Body own = *static_cast<const Body*>(context);
    own(begin, end, memory);
  });
}

// body(begin, end)
template <class Body>
inline void parallel_for(int64_t n, double cost, const Body& body) {
  run_parallel(n, cost, 0, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void*) {
    const Body own = *static_cast<const Body*>(context);
    own(begin, end);
  });
}

// body(team, scratch)
template <class Body>
inline void parallel_team(int64_t n, double cost, size_t scratch, const Body& body) {
  run_team(n, cost, scratch, const_cast<Body*>(&body),
           [](void* context, Team& team, void* memory) { (*static_cast<const Body*>(context))(team, memory); });
}

}  // namespace
}  // namespace fastnn
