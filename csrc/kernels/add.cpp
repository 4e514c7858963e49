// The sum of two arrays of n values, into a third or into one of them: residual connections, and gradients that meet.
#include "../simd/map.h"
#define FASTNN_FAMILY "add.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {

// y = a + b
template <class T>
void add(int64_t n, const T* a, const T* b, T* y) {
  constexpr double kCost = 0.2;  // rough nanoseconds per element out of cache
  map(n, kCost, [](Vec<T> u, Vec<T> v) { return u + v; }, y, a, b);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
