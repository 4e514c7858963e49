// A square of lanes x lanes values, transposed in registers.
#pragma once
#include "shuffle.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Lane c of v[r] becomes lane r of v[c]. Each step rotates the bits of the joint index (r, c) by one.
template <class T>
FASTNN_INLINE void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int L = lanes<T>;
#pragma GCC unroll 4
  for (int step = 1; step < L; step *= 2) {
    Vec<T> w[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      w[2 * i] = zip_lower(v[i], v[i + L / 2]);
      w[2 * i + 1] = zip_upper(v[i], v[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) v[i] = w[i];
  }
}

// Transposes one square: n <= lanes rows of size <= lanes elements. WIDE says that n is the number of lanes, DEEP
// that size is. Where there are fewer rows than lanes, the last row is loaded again in the place of each missing one.
// Only squares that are not whole have branches.
template <class T, bool DEEP, bool WIDE>
FASTNN_INLINE void turn_square(const T* from, int64_t stride, int n, int size, T* to, int64_t ldto) {
  constexpr int L = lanes<T>;
  Vec<T> v[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    v[i] = DEEP ? load(from) : load_n(from, size);
    from += i + 1 < n ? stride : 0;
  }
  transpose<T>(v);
#pragma GCC unroll 16
  for (int k = 0; k < L; ++k)
    if (DEEP || k < size) {
      if (WIDE)
        store(to + k * ldto, v[k]);
      else
        store_n(to + k * ldto, v[k], n);
    }
}

// to[k * ldto + i] = from[i * stride + k] for i < rows, k < depth. Squares are transposed in registers, which is 10
// times as fast as element by element. The tail of the depth is a square that overlaps the one before it, if there is
// one, so that no masked loads are needed: they wait for the stores before them (Zen 5), and packing 13 rows took twice
// as long.
template <class T>
void turn(const T* from, int64_t stride, int64_t rows, int64_t depth, T* to, int64_t ldto) {
  constexpr int64_t L = lanes<T>;
  for (int64_t i0 = 0; i0 < rows; i0 += L, from += L * stride, to += L) {
    const int n = int(rows - i0 < L ? rows - i0 : L);
    if (depth < L) {
      turn_square<T, false, false>(from, stride, n, int(depth), to, ldto);
      continue;
    }
    for (int64_t k = 0;; k = k + 2 * L <= depth ? k + L : depth - L) {
      if (n == L)
        turn_square<T, true, true>(from + k, stride, n, L, to + k * ldto, ldto);
      else
        turn_square<T, true, false>(from + k, stride, n, L, to + k * ldto, ldto);
      if (k + L == depth) break;
    }
  }
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
