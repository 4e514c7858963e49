// The rows that declare elementwise functions y = f(x) in the lists of kernels.
//
// FASTNN_UNARY(name, saved, (parameters), cost, y, cost, dx) defines a function by two formulas. The formula `y` gives
// the result for v, an element of x. The formula `dx` gives the gradient for d, an element of dy, and v, an element of
// x or of y as `saved` says. The costs are rough nanoseconds per element. Elements are vectors of T: a comparison gives
// a mask, and mask ? a : b selects; simd/math.h has exp and its family. FASTNN_UNARY_KERNELS(name, saved, (parameters))
// declares a function whose kernels stand in the family's .cpp, because they are more than a formula. There are always
// two parameters of type T; those that the function does not need have no name.
#pragma once

#define FASTNN_LIST(...) __VA_ARGS__
#define FASTNN_UNARY_KERNELS(name, saved, parameters)                                  \
  FASTNN_KERNEL(name##_forward, (int64_t n, FASTNN_LIST parameters, const T* x, T* y)) \
  FASTNN_KERNEL(name##_backward, (int64_t n, FASTNN_LIST parameters, const T* dy, const T* saved, T* dx))
#define FASTNN_UNARY(name, saved, parameters, ...) FASTNN_UNARY_KERNELS(name, saved, parameters)
