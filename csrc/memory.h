// Memory for arrays, which is kept when they die and given out again.
//
// A training step makes and drops the same arrays again and again. malloc gives large ones back to the system, and
// the next step faults every page in again, zeroed: that took half the time of a ResNet-20 step, measured on one core.
#pragma once
#include <cstddef>

namespace fastnn {

// Memory of at least `bytes` bytes that starts on a cache line; null if there is none. Sets `capacity`, which
// give_block needs.
void* take_block(size_t bytes, size_t* capacity);
void give_block(void* block, size_t capacity);
// take_block for a kernel's scratch: the block is made larger than asked for where that gets it huge pages.
void* take_scratch(size_t bytes, size_t* capacity);

// How many bytes are kept at most (the limit), and how many are kept now. Beyond the limit nothing is kept.
size_t cache_limit();
void set_cache_limit(size_t bytes);
size_t cached_bytes();
void empty_cache();

}  // namespace fastnn
