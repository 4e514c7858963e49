// Weights of losses: what has no weight costs nothing, even where the loss is infinite (0 log 0 = 0).
#pragma once
#include "../simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// w v, but 0 where w is 0 and v infinite. NaN stays NaN.
template <class T>
FASTNN_INLINE Vec<T> weighted(Vec<T> w, Vec<T> v) {
  return (w == Vec<T>{}) & (abs(v) == T(__builtin_inf())) ? Vec<T>{} : w * v;
}
template <class T>
FASTNN_INLINE T weighted(T w, T v) {
  return w == 0 && std::abs(v) == T(__builtin_inf()) ? T(0) : w * v;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
