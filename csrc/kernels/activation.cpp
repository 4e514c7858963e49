// Activations and their derivatives, elementwise over n values.
//   forward:  x (n) -> y (n)
//   backward: dy (n), x (n), or y (n) where the derivative is a function of y -> dx (n)
// A NaN in x makes y and dx NaN: a comparison with it is false, and each select ends in the arm that carries it on.
// Only ReLU's dx is dy where x is NaN, as in the kernels that ReLU is fused with.
#include <limits>

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

#include "unary_kernels.inc"

// y = x > 0 ? x : a * (e^x - 1)
template <class T>
void elu_forward(int64_t n, T a, T, const T* x, T* y) {
  map(n, kExpCost, [=](Vec<T> v) { return v > Vec<T>{} ? v : expm1<T>(v) * a; }, y, x);
}

// y = x > 0 ? x : a * (e^x - 1)  =>  dx = x > 0 ? dy : dy * a * e^x
template <class T>
void elu_backward(int64_t n, T a, T, const T* dy, const T* x, T* dx) {
  // Where e^x is below the smallest normal number, the product dy * a * e^x begins with `a` if |a| is small and ends
  // with it if it is large: then no product on the way is smaller than the result.
  const bool small = a < 1 && a > -1;
  const T first = small ? a : T(1), last = small ? T(1) : a;
  // From x = `near` on, the product a * e^x is a normal number. If |a| is not between 1e-20 and 1e20, `near` is
  // infinite: then all lanes are computed by the careful way, `far`.
  const double size = std::fabs(double(a));
  const double shift = size == 1 ? 0 : std::log(size);  // |a| is mostly 1, which spares small arrays a logarithm
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

// y = x > 0 ? x : a * (e^z - 1), z = x / a
// Where |z| is so small that y rounds to x, z itself may be below the smallest normal number.
template <class T>
void celu_forward(int64_t n, T a, T, const T* x, T* y) {
  constexpr T straight = -std::numeric_limits<T>::epsilon() / 4;
  const T inverse = 1 / a;
  map(
      n, kExpCost,
      [=](Vec<T> v) {
        const Vec<T> z = v * inverse;
        return z > straight ? v : expm1<T>(z) * a;
      },
      y, x);
}

// y = x > 0 ? x : a * (e^z - 1), z = x / a  =>  dx = x > 0 ? dy : dy * e^z
template <class T>
void celu_backward(int64_t n, T a, T, const T* dy, const T* x, T* dx) {
  const T inverse = 1 / a;
  map(
      n, kExpCost,
      [=](Vec<T> d, Vec<T> v) {
        const Vec<T> z = v * inverse;
        return falling<T>(z, [=](auto far) {
          if constexpr (!far) return z > Vec<T>{} ? d : d * exp_normal<T>(z);
          const FallingExp<T, far> f(z);
          return f.times_rest(d * f.e);
        });
      },
      dx, dy, x);
}

// y = x / (1 + |x|); the limit at infinity is that of 1e30, where y is 1 already.
template <class T>
void softsign_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kCopyCost,
      [](Vec<T> v) {
        const Vec<T> b = min(set1(T(1e30)), max(set1(T(-1e30)), v));
        return b / (abs(b) + T(1));
      },
      y, x);
}

// y = x / (1 + |x|)  =>  dx = dy / (1 + |x|)^2, whose square alone may overflow
template <class T>
void softsign_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kCopyCost,
      [](Vec<T> d, Vec<T> v) {
        const Vec<T> size = abs(v) + T(1);
        return d / size / size;
      },
      dx, dy, x);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
