// Weights of losses: what has no weight costs nothing, even where the loss is infinite (0 log 0 = 0).
#pragma once
#include "../simd/strided.h"

namespace fastnn::FASTNN_ISA {
namespace {

// w v, but 0 where w is 0 and v infinite. NaN stays NaN.
template <class T>
FASTNN_INLINE Vec<T> weighted(Vec<T> w, Vec<T> v) {
  return ((w == Vec<T>{}) & (abs(v) == T(__builtin_inf()))) ? Vec<T>{} : w * v;
}
template <class T>
FASTNN_INLINE T weighted(T w, T v) {
  return w == 0 && std::abs(v) == T(__builtin_inf()) ? T(0) : w * v;
}

// Returns sum(product), a sum of terms product(w, v). Plain products are tried first; if the sum is NaN, it is computed
// once more with weighted().
template <class T, class Sum>
FASTNN_INLINE T weighted_sum(const Sum& sum) {
  const T quick = sum([](Vec<T> w, Vec<T> v) FASTNN_FLAT { return w * v; });
  return quick == quick ? quick : sum([](Vec<T> w, Vec<T> v) FASTNN_FLAT { return weighted<T>(w, v); });
}
// The same for several sums, which are left in `total`.
template <class T, int V, class Sum>
FASTNN_INLINE void weighted_sums(const Vec<T> (&total)[V], const Sum& sum) {
  sum([](Vec<T> w, Vec<T> v) FASTNN_FLAT { return w * v; });
  Mask<T> nan = {};
  for (int v = 0; v < V; ++v) nan |= total[v] != total[v];
  if (any<T>(nan)) sum([](Vec<T> w, Vec<T> v) FASTNN_FLAT { return weighted<T>(w, v); });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
