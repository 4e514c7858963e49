// Products of two arrays, sums of terms: what to do where the terms are denormal though their sums need not be.
#pragma once
#include "../parallel.h"
#include "../simd/magnitude.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Values {
  int64_t count;
  const T* at;
};

// Whether the largest of the values v isn't zero, but so small that transforms of v would meet denormals.
template <class T>
inline bool all_tiny(Values<T> v) {
  return v.count > 0 && signless(*v.at) < kTinyBits<T> && magnitude(v.count, v.at) == Magnitude::tiny;
}

// Calls f(), which computes `result`, sums of products of `a` and b. Terms below the smallest normal number are flushed
// to zero. If all results are so small that this may have cost them digits, and neither `a` nor b is all zeros, f() is
// called once more, with denormals kept.
template <class T, class F>
FASTNN_INLINE void compute_unflushed(Values<T> result, Values<T> a, Values<T> b, const F& f) {
  const auto compute = [&f]() __attribute__((noinline)) { f(); };  // one copy of f's code
  compute();
  if (result.count == 0 || __builtin_expect(signless(*result.at) >= kTinyBits<T>, 1)) return;
  const auto all = [](Values<T> v) { return magnitude(v.count, v.at); };
  if (all(result) == Magnitude::normal || all(a) == Magnitude::zero || all(b) == Magnitude::zero) return;
  const KeepDenormals keep;
  compute();
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
