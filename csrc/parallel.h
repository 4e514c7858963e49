// Work split over threads. This header and parallel.cpp are the only places that know how.
//
// Promise: a body is called on ranges [begin, end) that together cover [0, n) once. Where the ranges are cut depends
// on the thread count, so an item's result must not depend on the range it is in: then the bits are the same for
// every thread count. Reductions write one partial per item and combine them in index order afterwards.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastnn {

using RangeBody = void (*)(void* context, int64_t begin, int64_t end, void* scratch);

// cost: rough serial time of the whole loop in nanoseconds; it decides how many threads are worth waking.
// scratch: bytes of private, 64-byte aligned memory for each thread. Denormals are flushed inside.
void run_parallel(int64_t n, double cost, size_t scratch, void* context, RangeBody body);

// A few threads that go through a loop together, step by step, and wait for each other in between.
class Team {
 public:
  struct Meeting;
  Team(int rank, int size, Meeting* meeting) : rank(rank), size(size), meeting_(meeting) {}
  const int rank, size;
  // Returns when all have come here; what they wrote before is seen by all after.
  void wait() const;
  // This thread's share of n items.
  int64_t begin(int64_t n) const { return n * rank / size; }
  int64_t end(int64_t n) const { return n * (rank + 1) / size; }

 private:
  Meeting* meeting_;
};
using TeamBody = void (*)(void* context, const Team& team, void* scratch);

// body once on every thread of a team, whose size depends on cost as above and is at most n. They share the scratch.
void run_team(int64_t n, double cost, size_t scratch, void* context, TeamBody body);

int num_threads();
void set_num_threads(int n);
// Nanoseconds of work that a further thread must take over to be woken. Tests set 0, so that small arrays are split too.
double thread_cost();
void set_thread_cost(double ns);
bool has_openmp();
// True once, after a scratch allocation failed on this thread's last call (the body was then not run).
bool take_out_of_memory();

namespace {

// body(begin, end, scratch)
template <class Body>
inline void parallel_scratch(int64_t n, double cost, size_t scratch, const Body& body) {
  run_parallel(n, cost, scratch, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void* memory) {
    (*static_cast<const Body*>(context))(begin, end, memory);
  });
}

// body(begin, end)
template <class Body>
inline void parallel_for(int64_t n, double cost, const Body& body) {
  run_parallel(n, cost, 0, const_cast<Body*>(&body), [](void* context, int64_t begin, int64_t end, void*) {
    (*static_cast<const Body*>(context))(begin, end);
  });
}

// body(team, scratch)
template <class Body>
inline void parallel_team(int64_t n, double cost, size_t scratch, const Body& body) {
  run_team(n, cost, scratch, const_cast<Body*>(&body), [](void* context, const Team& team, void* memory) {
    (*static_cast<const Body*>(context))(team, memory);
  });
}

}  // namespace
}  // namespace fastnn
