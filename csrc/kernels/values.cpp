// What the values of an array x (n) are, for checks that depend on them, and the sum of losses. All in one pass that the
// compiler makes vectors of, without a branch per value.
#include "../simd/vec.h"
#define FASTNN_FAMILY "values.inc"
#include "kernels.h"

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

}  // namespace

// sum of scale x[i], in double. Blocks are added in pairs, and those in pairs, and so on, so that the error grows like the
// logarithm of n.
template <class T>
void sum_values(int64_t n, const T* x, double scale, double* sum) {
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
  *sum = total;
}

// all low <= x[i] <= high; NaN is not
template <class T>
void values_within(int64_t n, T low, T high, const T* x, bool* yes) {
  int outside = 0;
  for (int64_t i = 0; i < n; ++i) outside |= !(x[i] >= low) | !(x[i] <= high);
  *yes = !outside;
}

// all x[i] = 1 or -1
template <class T>
void values_are_signs(int64_t n, const T* x, bool* yes) {
  int others = 0;
  for (int64_t i = 0; i < n; ++i) others |= (x[i] != T(1)) & (x[i] != T(-1));
  *yes = !others;
}

// all 0 <= x[i] < end
template <class T>
void numbers_below(int64_t n, int64_t end, const int64_t* x, bool* yes) {
  int others = 0;
  for (int64_t i = 0; i < n; ++i) others |= uint64_t(x[i]) >= uint64_t(end);
  *yes = !others;
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
