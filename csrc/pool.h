// Threads that take over parts of a caller's work. A caller works, too, and waits only for parts that another thread
// has begun: a thread that sleeps, or that another program keeps from a processor, costs nothing.
#pragma once
#include <cstdint>

#include "runtime.h"

namespace fastnn {

constexpr int kMostParts = 256;

// Runs body once for each of the parts (at most kMostParts), on this thread and on at most `helpers` workers that come
// in time. Returns when all parts that were begun are done, and gives the nanoseconds that it waited for other threads
// (after the first kSpins turns); or -1 if nobody can help, and then nothing was done. rest: after its first part this
// thread also does the parts that nobody has begun; without `rest` those are left out. wake: helpers that sleep are
// woken.
int64_t share_parts(int parts, int helpers, bool rest, bool wake, void* context, PartBody body);

// How many workers look for work, are at it, or have been woken for it.
int workers_awake();

// Whether this thread is a worker, or in share_parts.
bool shares_parts();

}  // namespace fastnn
