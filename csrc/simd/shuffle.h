// Puts the lanes of vectors into another order. Both GCC and Clang must know when they compile from where each lane
// comes: callers therefore give the order as a function without state, which is called once for every lane.
#pragma once
#include <utility>

#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class V, class From, int... i>
FASTNN_INLINE V shuffle_lanes(V a, V b, From, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, From{}(i)...);
}
// Lane i of the result is lane from(i) of `a` and `b` together: the lanes of `b` are numbered on from those of `a`.
template <class V, class From>
FASTNN_INLINE V shuffle(V a, V b, From from) {
  return shuffle_lanes(a, b, from, std::make_integer_sequence<int, sizeof(V) / sizeof(a[0])>{});
}
// Lane i of the result is lane from(i) of `a`.
template <class V, class From>
FASTNN_INLINE V shuffle(V a, From from) {
  return shuffle(a, a, from);
}

// Lane i of the result is lane i ^ D of `a`.
template <int D, class V>
FASTNN_INLINE V exchange(V a) {
  return shuffle(a, [](int i) { return i ^ D; });
}
// Calls f(step) for step = n / 2, n / 4, …, 1, each a constant: the steps in which n lanes are added up to one.
template <int n, class F>
FASTNN_INLINE void each_half(const F& f) {
  if constexpr (n > 1) {
    f(std::integral_constant<int, n / 2>{});
    each_half<n / 2>(f);
  }
}

// (a0 a1 a2 … | b0 b1 …) seen as one sequence: its elements at even and at odd places.
template <class V>
FASTNN_INLINE V even_lanes(V a, V b) {
  return shuffle(a, b, [](int i) { return 2 * i; });
}
template <class V>
FASTNN_INLINE V odd_lanes(V a, V b) {
  return shuffle(a, b, [](int i) { return 2 * i + 1; });
}
// a0 b0 a1 b1 … from the lower (upper) halves of a and b.
template <class V>
FASTNN_INLINE V zip_lower(V a, V b) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  return shuffle(a, b, [](int i) { return i / 2 + i % 2 * n; });
}
template <class V>
FASTNN_INLINE V zip_upper(V a, V b) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  return shuffle(a, b, [](int i) { return n / 2 + i / 2 + i % 2 * n; });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
