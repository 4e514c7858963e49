// Threads that take over parts of a caller's work. A caller works itself, and waits only for parts that a thread has
// begun: one that sleeps, or that another program keeps from a processor, costs nothing.
#pragma once
#include <cstdint>

#include "runtime.h"

namespace fastnn {

constexpr int kMostParts = 256;

// Runs body once for each of the parts (at most kMostParts), on this thread and on at most `helpers` workers that come
// in time. Returns when all parts that were begun are done, with the nanoseconds that it waited for others, beyond a
// moment; or -1 if nobody can help, and nothing was done. rest: when this thread is through with its first part, it
// does those that nobody has begun, too; else they are left out. wake: helpers that sleep are woken.
int64_t share_parts(int parts, int helpers, bool rest, bool wake, void* context, PartBody body);

// How many workers look for work, are at it, or have been woken for it.
int workers_awake();

// Whether this thread is a worker, or in share_parts.
bool shares_parts();

}  // namespace fastnn
