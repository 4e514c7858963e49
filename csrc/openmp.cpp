// OpenMP's threads, for those who want one team for all libraries of a process. This is a module of its own, so that
// nothing else needs an OpenMP library.
#include "openmp.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>

namespace fastnn {
namespace {

std::atomic<bool> team_lost{false};  // this process is a forked child, where OpenMP's threads are missing

// omp_get_max_threads() is below this start-up value only if somebody (threadpoolctl, omp_set_num_threads) lowered it:
// then it is obeyed. It is asked here before the handler below is registered, because LLVM's runtime then registers its
// own handler first, which must run first in a child.
const int initial_threads = omp_get_max_threads();

// libgomp's threads don't survive a fork, and its next region in the child would wait for them for ever. Whether they
// were started is not known: another library that shares libgomp may have started them. Hence every child, from the
// moment this file is loaded, does without a team. LLVM's runtime (16) begins anew in a child when it is first asked
// for something; a child that never asks it could not end, so the handler asks.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] {
  team_lost.store(true);
  omp_get_max_threads();
});

int most_threads() {
  if (team_lost.load(std::memory_order_relaxed) || omp_in_parallel()) return 1;
  const int now = omp_get_max_threads();
  return now < initial_threads ? now : 1 << 20;
}

void run(int threads, void* context, PartBody body) {
#pragma omp parallel num_threads(threads)
  for (int part = omp_get_thread_num(); part < threads; part += omp_get_num_threads()) body(context, part);
}

}  // namespace

const Runtime openmp{"openmp", most_threads, run};

}  // namespace fastnn
