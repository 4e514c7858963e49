// Rows of elementwise functions y = f(x) in the lists of kernels.
//
// FASTNN_UNARY(name, saved, (parameters), cost, y, cost, dx) is a function by its formula, of the element v of x, and
// the formula of its gradient, of d and v: elements of dy, and of x or y as `saved` says. The costs are rough
// nanoseconds per element. Elements are vectors of T: a comparison gives a mask, and mask ? a : b selects; simd/math.h
// has exp and its family. FASTNN_UNARY_KERNELS(name, saved, (parameters)) is one whose kernels stand in the family's
// .cpp, for they are more than a formula. There are always two parameters of type T, without a name where the function
// has fewer.
#pragma once

#define FASTNN_LIST(...) __VA_ARGS__
#define FASTNN_UNARY_KERNELS(name, saved, parameters)                                  \
  FASTNN_KERNEL(name##_forward, (int64_t n, FASTNN_LIST parameters, const T* x, T* y)) \
  FASTNN_KERNEL(name##_backward, (int64_t n, FASTNN_LIST parameters, const T* dy, const T* saved, T* dx))
#define FASTNN_UNARY(name, saved, parameters, ...) FASTNN_UNARY_KERNELS(name, saved, parameters)
