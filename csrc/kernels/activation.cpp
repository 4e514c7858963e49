// Activations and their derivatives, elementwise over n values.
//   forward:  x (n) -> y (n)
//   backward: dy (n), saved s (n; x, or y where the derivative is a function of y) -> dx (n)
// A NaN in x makes y and dx NaN: a comparison with it is false, and each select ends in the arm that carries it on. Only
// ReLU's dx is dy there, as in the kernels that it is fused with.
#include "../simd/map.h"
#include "../simd/math.h"
#define FASTNN_FAMILY "activation.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {

// Rough nanoseconds per element out of cache on one core; they only decide when a second thread is woken.
namespace {
constexpr double kCopyCost = 0.15;
constexpr double kExpCost = 0.5;
}  // namespace

// y = max(x, 0)
template <class T>
void relu_forward(int64_t n, T, const T* x, T* y) {
  map(n, kCopyCost, [](Vec<T> v) { return v < Vec<T>{} ? Vec<T>{} : v; }, y, x);
}

// y = max(x, 0)  =>  dx = x <= 0 ? 0 : dy
template <class T>
void relu_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(n, kCopyCost, [](Vec<T> d, Vec<T> v) { return v <= Vec<T>{} ? Vec<T>{} : d; }, dx, dy, x);
}

// y = x > 0 ? x : a * x
template <class T>
void leaky_relu_forward(int64_t n, T a, const T* x, T* y) {
  map(n, kCopyCost, [=](Vec<T> v) { return v > Vec<T>{} ? v : v * a; }, y, x);
}

// y = x > 0 ? x : a * x  =>  dx = x > 0 ? dy : a * dy
template <class T>
void leaky_relu_backward(int64_t n, T a, const T* dy, const T* x, T* dx) {
  const auto f = [=](Vec<T> d, Vec<T> v) { return unless_nan<T>(v > Vec<T>{} ? d : d * a, v); };
  map(n, kCopyCost, f, dx, dy, x);
}

// y = x > 0 ? x : a * (e^x - 1)
template <class T>
void elu_forward(int64_t n, T a, const T* x, T* y) {
  map(n, kExpCost, [=](Vec<T> v) { return v > Vec<T>{} ? v : expm1<T>(v) * a; }, y, x);
}

// y = x > 0 ? x : a * (e^x - 1)  =>  dx = x > 0 ? dy : dy * a * e^x
template <class T>
void elu_backward(int64_t n, T a, const T* dy, const T* x, T* dx) {
  // Far down, a small a comes first and a large one last: then a product of some factors is no smaller than the result.
  const bool small = a < 1 && a > -1;
  const T first = small ? a : T(1), last = small ? T(1) : a;
  // From here on a e^x is a normal number. An odd a has all lanes computed with care.
  const double size = std::fabs(double(a));
  const double shift = size == 1 ? 0 : std::log(size);  // the usual a spares small arrays the logarithm
  const T near = size > 1e-20 && size < 1e20 ? T(MathConstants<T>::near_first - shift) : T(__builtin_inf());
  map(
      n, kExpCost,
      [=](Vec<T> d, Vec<T> v) {
        return falling<T>(v, near, [=](auto far) {
          if constexpr (!far) return v > Vec<T>{} ? d : d * exp_normal<T>(v, a);
          const FallingExp<T, far> f(v);
          return v > Vec<T>{} ? d : f.times_rest(d * first * (f.e * last));
        });
      },
      dx, dy, x);
}

// y = 1 / (1 + e^-x)
template <class T>
void sigmoid_forward(int64_t n, T, const T* x, T* y) {
  map(n, kExpCost, [](Vec<T> v) { return sigmoid<T>(v); }, y, x);
}

// y = 1 / (1 + e^-x)  =>  dx = dy * y * (1 - y)
template <class T>
void sigmoid_backward(int64_t n, T, const T* dy, const T* y, T* dx) {
  map(n, kCopyCost, [](Vec<T> d, Vec<T> v) { return d * (v * (T(1) - v)); }, dx, dy, y);
}

// y = tanh(x)
template <class T>
void tanh_forward(int64_t n, T, const T* x, T* y) {
  map(n, kExpCost, [](Vec<T> v) { return tanh<T>(v); }, y, x);
}

// y = tanh(x)  =>  dx = dy * (1 - y^2)
template <class T>
void tanh_backward(int64_t n, T, const T* dy, const T* y, T* dx) {
  map(n, kCopyCost, [](Vec<T> d, Vec<T> v) { return d * (T(1) - v * v); }, dx, dy, y);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
