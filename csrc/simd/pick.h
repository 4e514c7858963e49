// Lanes from places that are only known at run time. Not every instruction set can.
#pragma once
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
constexpr bool kPicks = FASTNN_VEC_BYTES == 64 || (FASTNN_VEC_BYTES == 32 && sizeof(T) == 4);

// Lane i of the result is lane at[i] of `a` and `b` together: the lanes of `b` are numbered on from those of `a`.
template <class T>
FASTNN_INLINE Vec<T> pick(Vec<T> a, Vec<T> b, Mask<T> at) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_permutex2var_ps((__m512)a, (__m512i)at, (__m512)b);
  else
    return (Vec<T>)_mm512_permutex2var_pd((__m512d)a, (__m512i)at, (__m512d)b);
#elif FASTNN_VEC_BYTES == 32
  if constexpr (sizeof(T) == 4) {
    const Vec<T> lower = (Vec<T>)_mm256_permutevar8x32_ps((__m256)a, (__m256i)at);
    const Vec<T> upper = (Vec<T>)_mm256_permutevar8x32_ps((__m256)b, (__m256i)at);
    return at < Mask<T>{} + 8 ? lower : upper;
  }
#endif
  (void)b, (void)at;
  return a;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
