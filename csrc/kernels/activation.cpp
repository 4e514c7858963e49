// Activations and their derivatives, elementwise over n values.
//   forward:  x (n) -> y (n)
//   backward: dy (n), saved s (n; x, or y where the derivative is a function of y) -> dx (n)
// A comparison with NaN is false, so each select keeps the arm that carries the NaN on.
#include "../simd/map.h"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {

// Rough nanoseconds per element out of cache on one core; they only decide when a second thread is woken.
namespace {
constexpr double kCopyCost = 0.15;
}  // namespace

// y = max(x, 0)
template <class T>
void relu_forward(int64_t n, T, const T* x, T* y) {
  map(n, kCopyCost, [](Vec<T> v) { return v < Vec<T>{} ? Vec<T>{} : v; }, y, x);
}

// y = max(x, 0)  =>  dx = x > 0 ? dy : 0
template <class T>
void relu_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(n, kCopyCost, [](Vec<T> d, Vec<T> v) { return v > Vec<T>{} ? d : Vec<T>{}; }, dx, dy, x);
}

// y = x >= 0 ? x : a * x
template <class T>
void leaky_relu_forward(int64_t n, T a, const T* x, T* y) {
  map(n, kCopyCost, [=](Vec<T> v) { return v < Vec<T>{} ? v * a : v; }, y, x);
}

// y = x >= 0 ? x : a * x  =>  dx = x > 0 ? dy : a * dy
template <class T>
void leaky_relu_backward(int64_t n, T a, const T* dy, const T* x, T* dx) {
  map(n, kCopyCost, [=](Vec<T> d, Vec<T> v) { return v > Vec<T>{} ? d : d * a; }, dx, dy, x);
}

}  // namespace fastnn::FASTNN_ISA

#define FASTNN_FAMILY_ACTIVATION 1
#define FASTNN_IN(family) FASTNN_FAMILY_##family
#include "instantiate.inc"
