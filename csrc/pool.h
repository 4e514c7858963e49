// Threads that take over parts of a caller's work. A caller works itself, and waits only for parts that a thread has
// begun: one that sleeps, or that another program keeps from a processor, costs nothing.
#pragma once
#include <cstdint>

#include "runtime.h"

namespace fastnn {

constexpr int kMostParts = 256;

// body once for each of the parts (at most kMostParts), on this thread and on at most helpers workers that come in
// time. Returns when all parts that were begun are done: how many nanoseconds beyond a moment it waited for others, or
// -1 if nobody can help; then nothing was done. rest: parts that nobody has begun when this thread is through with its
// first one are this thread's, too; else they are left out. wake: helpers that sleep are woken.
int64_t share_parts(int parts, int helpers, bool rest, bool wake, void* context, PartBody body);

// How many workers look for work, are at it, or have been woken for it.
int workers_awake();

// Whether this thread is a worker, or in share_parts.
bool shares_parts();

}  // namespace fastnn
