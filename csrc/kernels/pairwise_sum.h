// Sums in double whose error grows like the logarithm of the number of terms.
#pragma once
#include "../simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Eight sums of every eighth value, which are added in order.
template <class T>
double block_sum(int64_t n, const T* x, double scale) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += double(x[i + j]) * scale;
  for (int j = 0; i < n; ++i, ++j) sums[j] += double(x[i]) * scale;
  for (int j = 1; j < 8; ++j) sums[0] += sums[j];
  return sums[0];
}

// The sum of scale x[i]. Blocks are added in pairs, and those in pairs, and so on.
template <class T>
double pairwise_sum(int64_t n, const T* x, double scale) {
  constexpr int64_t kBlock = 1024;
  double waiting[64];  // sums of 2^k blocks, k falling
  int count = 0;
  for (int64_t begin = 0, block = 0; begin < n; begin += kBlock, ++block) {
    double total = block_sum(n - begin < kBlock ? n - begin : kBlock, x + begin, scale);
    for (int64_t k = block; k & 1; k >>= 1) total = waiting[--count] + total;
    waiting[count++] = total;
  }
  double total = 0;
  while (count > 0) total = waiting[--count] + total;
  return total;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
