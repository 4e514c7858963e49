// What the values of an array x (n) are, for checks that depend on them, and the sum of losses. Loops go through x
// once, without a branch per value, so that the compiler makes vectors of them.
#include "../simd/sums.h"
#define FASTNN_FAMILY "values.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {

// sum of scale x[i], in double
template <class T>
void sum_values(int64_t n, const T* x, double scale, double* sum) {
  *sum = pairwise_sum(n, x, scale);
}

// yes: low <= x[i] <= high for all i; not so for a NaN
template <class T>
void values_within(int64_t n, T low, T high, const T* x, bool* yes) {
  int outside = 0;
  for (int64_t i = 0; i < n; ++i) outside |= !(x[i] >= low) | !(x[i] <= high);
  *yes = !outside;
}

// yes: x[i] is 1 or -1 for all i
template <class T>
void values_are_signs(int64_t n, const T* x, bool* yes) {
  int others = 0;
  for (int64_t i = 0; i < n; ++i) others |= (x[i] != T(1)) & (x[i] != T(-1));
  *yes = !others;
}

// yes: 0 <= x[i] < end for all i
template <class T>
void numbers_below(int64_t n, int64_t end, const int64_t* x, bool* yes) {
  int others = 0;
  for (int64_t i = 0; i < n; ++i) others |= uint64_t(x[i]) >= uint64_t(end);
  *yes = !others;
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
