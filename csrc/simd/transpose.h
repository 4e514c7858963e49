// A square of lanes x lanes values turned in registers.
#pragma once
#include <utility>

#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// a0 b0 a1 b1 … from the low (high) halves of a and b
template <class T, int... i>
FASTNN_INLINE Vec<T> interleave_low(Vec<T> a, Vec<T> b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i / 2 + i % 2 * lanes<T>)...);
}
template <class T, int... i>
FASTNN_INLINE Vec<T> interleave_high(Vec<T> a, Vec<T> b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (lanes<T> / 2 + i / 2 + i % 2 * lanes<T>)...);
}

// Lane c of v[r] becomes lane r of v[c]. Each step rotates the bits of the joint index (r, c) by one.
template <class T>
FASTNN_INLINE void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int L = lanes<T>;
  constexpr auto all = std::make_integer_sequence<int, L>{};
#pragma GCC unroll 4
  for (int step = 1; step < L; step *= 2) {
    Vec<T> w[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      w[2 * i] = interleave_low<T>(v[i], v[i + L / 2], all);
      w[2 * i + 1] = interleave_high<T>(v[i], v[i + L / 2], all);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) v[i] = w[i];
  }
}

// One square of it: n <= lanes rows, size <= lanes deep. Rows that don't exist are the last one again, so that nothing but
// the two tails branches.
template <class T, bool WHOLE>
FASTNN_INLINE void turn_square(const T* from, int64_t stride, int n, int size, T* to, int64_t ldto) {
  constexpr int L = lanes<T>;
  Vec<T> v[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    v[i] = WHOLE ? load(from) : load_n(from, size);
    from += i + 1 < n ? stride : 0;
  }
  transpose<T>(v);
#pragma GCC unroll 16
  for (int k = 0; k < L; ++k)
    if (k < size) {
      if (WHOLE)
        store(to + k * ldto, v[k]);
      else
        store_n(to + k * ldto, v[k], n);
    }
}

// to[k * ldto + i] = from[i * stride + k] for i < rows, k < depth: squares turned in registers, 10 times as fast as
// element by element.
template <class T>
void turn(const T* from, int64_t stride, int64_t rows, int64_t depth, T* to, int64_t ldto) {
  constexpr int64_t L = lanes<T>;
  for (int64_t i0 = 0; i0 < rows; i0 += L) {
    const int n = int(rows - i0 < L ? rows - i0 : L);
    for (int64_t k0 = 0; k0 < depth; k0 += L) {
      const int size = int(depth - k0 < L ? depth - k0 : L);
      const T* square = from + i0 * stride + k0;
      if (n == L && size == L)
        turn_square<T, true>(square, stride, L, L, to + k0 * ldto + i0, ldto);
      else
        turn_square<T, false>(square, stride, n, size, to + k0 * ldto + i0, ldto);
    }
  }
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
