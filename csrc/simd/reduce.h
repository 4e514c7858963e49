// Sums over short contiguous runs, in an order that depends on the length alone.
#pragma once
#include "shuffle.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Sum of the lanes in a fixed order (halves, then quarters, …), the same for every caller.
template <class T>
FASTNN_INLINE T reduce_add(Vec<T> v) {
  each_half<lanes<T>>([&](auto step) FASTNN_FLAT { v += exchange<step()>(v); });
  return v[0];
}

// Lane i of the result is the sum of lanes i and i ^ D: those of `a` where bit D of i is clear, those of `b` where it
// is set.
template <class T, int D>
FASTNN_INLINE Vec<T> fold(Vec<T> a, Vec<T> b) {
  constexpr int L = lanes<T>;
  return shuffle(a, b, [](int i) { return i & D ? L + i : i; }) +
         shuffle(a, b, [](int i) { return i & D ? L + (i ^ D) : i ^ D; });
}

// Halving steps for G vectors at once. The lanes of each vector are added in the same order whatever G is; the sum of
// vector number i ends up in lane i * lanes / G of v[0].
template <class T, int G, int D>
FASTNN_INLINE void fold_all(Vec<T>* v) {
  if constexpr (D > 0) {
    if constexpr (G == 1) {
      v[0] = fold<T, D>(v[0], v[0]);
      fold_all<T, 1, D / 2>(v);
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < G / 2; ++i) v[i] = fold<T, D>(v[i], v[i + G / 2]);
      fold_all<T, G / 2, D / 2>(v);
    }
  }
}

// out[i] = sum of the lanes of v[i], i < N; v is overwritten. This is a third of the work of N single sums.
template <class T, int N>
FASTNN_INLINE void reduce_add_many(Vec<T>* v, T* out) {
  constexpr int L = lanes<T>, G = N >= 8 && L >= 8 ? 8 : N >= 4 && L >= 4 ? 4 : N >= 2 ? 2 : 1;
  fold_all<T, G, L / 2>(v);
#pragma GCC unroll 8
  for (int i = 0; i < G; ++i) out[i] = v[0][i * (L / G)];
  if constexpr (N > G) reduce_add_many<T, N - G>(v + G, out + G);
}

// Sum of n values with four vectors of partial sums; meant for blocks of a few thousand, merged in double by callers.
template <class T>
inline T block_sum(const T* x, int64_t n) {
  constexpr int64_t L = lanes<T>;
  Vec<T> acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) acc[u] += load(x + i + u * L);
  for (; i + L <= n; i += L) acc[0] += load(x + i);
  if (i < n) acc[1] += load_n(x + i, int(n - i));
  return reduce_add<T>((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
