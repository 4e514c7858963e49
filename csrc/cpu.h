// What this CPU is: which of the compiled instruction sets it and the operating system can run, and its caches.
#pragma once
#include <cstdint>

namespace fastnn {

// True if every feature that the kernels of `isa` were compiled for can be used here.
bool cpu_runs(const char* isa);

// The size of the largest cache in bytes; where it is not known, a number larger than any array. Tests set a small
// size, so that small arrays, too, are stored past the caches.
int64_t last_level_cache();
void set_last_level_cache(int64_t bytes);

}  // namespace fastnn
