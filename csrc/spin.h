// Waiting without sleep, and the clock that says how long.
#pragma once
#include <sched.h>

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fastnn {

// Nanoseconds since some moment.
inline int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A loop that waits keeps the processor for this many turns; then it lets other threads have it. These turns take 2 to
// 10 microseconds. To cut a job into parts takes less, so that a wait for the cut mostly ends within these turns.
constexpr unsigned kSpins = 200;

// One turn of a loop that waits; `spins` counts its turns. After kSpins turns, every 16th turn offers the processor to
// other threads, since the thread that the loop waits for may be among them.
inline void relax(unsigned& spins) {
  pause();
  if (++spins > kSpins && spins % 16 == 0) sched_yield();
}

}  // namespace fastnn
