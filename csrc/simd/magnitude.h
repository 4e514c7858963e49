// Looks through arrays for numbers that aren't finite, and for numbers so small that the flushing of denormals may have
// changed them.
#pragma once
#include "strided.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
using Word = typename VecTraits<T>::Int;

// Absolute values are compared by their bits, which as integers have the same order; NaN lies above infinity.
template <class T>
constexpr Word<T> kSignless = Word<T>(~(Word<T>(1) << (8 * sizeof(T) - 1)));
template <class T>
constexpr Word<T> kInfinityBits = sizeof(T) == 4 ? Word<T>(0x7f800000) : Word<T>(0x7ff0000000000000);
// 2^-95 for float, 2^-959 for double. Terms that are flushed to zero, up to 2^-126 (double: 2^-1022) each, are below
// the rounding error of a sum as large as this.
template <class T>
constexpr Word<T> kTinyBits = sizeof(T) == 4 ? Word<T>(1) << 28 : Word<T>(Word<T>(1) << (8 * sizeof(T) - 6));

template <class T>
FASTNN_INLINE Word<T> signless(T value) {
  Word<T> bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits & kSignless<T>;
}

enum class Magnitude { zero, tiny, normal };

// Whether all of n values are zero, or all below kTinyBits. Reading ends with the first vectors that have a larger
// value, so ordinary arrays cost a few nanoseconds.
template <class T>
inline Magnitude magnitude(int64_t n, const T* values) {
  constexpr int64_t L = lanes<T>, step = 4 * L;
  Mask<T> seen = {};
  const Mask<T> tiny = splat<T>(kTinyBits<T>), bits = splat<T>(kSignless<T>);
  for (int64_t i = 0; i < n; i += step) {
#pragma GCC unroll 4
    for (int64_t v = 0; v < 4; ++v) seen |= (Mask<T>)load_part(values + i + v * L, n - i - v * L) & bits;
    if (any<T>(seen >= tiny)) return Magnitude::normal;  // a power of 2: the "or" reaches it only if a value does
  }
  return any<T>(seen != Mask<T>{}) ? Magnitude::tiny : Magnitude::zero;
}

template <class T>
inline bool all_finite(int64_t n, const T* values) {
  constexpr int64_t L = lanes<T>;
  Mask<T> beyond[4] = {};
  const Mask<T> infinity = splat<T>(kInfinityBits<T>);
  for (int64_t i = 0; i < n; i += 4 * L)
#pragma GCC unroll 4
    for (int64_t v = 0; v < 4; ++v)
      beyond[v] |= ((Mask<T>)load_part(values + i + v * L, n - i - v * L) & infinity) == infinity;
  return !any<T>((beyond[0] | beyond[1]) | (beyond[2] | beyond[3]));
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
