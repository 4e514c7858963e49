// Sums over short contiguous runs, in an order that depends on the length alone.
#pragma once
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

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
