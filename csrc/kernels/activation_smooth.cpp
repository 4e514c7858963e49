// Smooth activations and their derivatives, elementwise over n values.
//   forward:  x (n) -> y (n)
//   backward: dy (n), x (n) -> dx (n)
// Phi is the normal distribution, s the logistic function. A comparison with NaN is false, so each select keeps the arm
// that carries the NaN on.
#include "../simd/map.h"
#include "../simd/math.h"
#define FASTNN_FAMILY "activation_smooth.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// rough nanoseconds per element
constexpr double kCopyCost = 0.15, kExpCost = 0.6;

constexpr double kSeluScale = 1.0507009873554804934193349852946, kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kInverseRoot2Pi = 0.39894228040143267794;            // 1/sqrt(2 pi)
constexpr double kGeluRate = 1.5957691216057307117, kCubic = 0.044715;  // 2 sqrt(2/pi)

// s(x) and s(-x), each to relative accuracy, from one exponential.
template <class T>
struct Logistic {
  Vec<T> up, down;

  explicit FASTNN_INLINE Logistic(Vec<T> x) {
    const Vec<T> e = exp<T>(-abs(x)), near = T(1) / (e + T(1)), far = e * near;
    up = x < Vec<T>{} ? far : near;
    down = x < Vec<T>{} ? near : far;
  }
};

// Where |x| is this large the exponential in the tanh form of GELU is 0; the cube stays finite.
template <class T>
FASTNN_INLINE Vec<T> bounded(Vec<T> x) {
  return min(set1(T(30)), max(set1(T(-30)), x));
}

}  // namespace

// y = scale * (x > 0 ? x : alpha * (e^x - 1))
template <class T>
void selu_forward(int64_t n, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) { return v > Vec<T>{} ? v * T(kSeluScale) : expm1<T>(v) * T(kSeluScale * kSeluAlpha); }, y, x);
}

// y = scale * (x > 0 ? x : alpha * (e^x - 1))  =>  dx = dy * scale * (x > 0 ? 1 : alpha * e^x)
template <class T>
void selu_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return d * (v > Vec<T>{} ? set1(T(kSeluScale)) : exp<T>(v) * T(kSeluScale * kSeluAlpha));
      },
      dx, dy, x);
}

// y = z > threshold ? x : log(1 + e^z) / beta, z = beta x; as (max(z, 0) + log(1 + e^-|z|)) / beta
template <class T>
void softplus_forward(int64_t n, T beta, T threshold, const T* x, T* y) {
  const T inverse = 1 / beta;
  map(
      n, kExpCost,
      [=](Vec<T> v) {
        const Vec<T> z = v * beta, soft = max(Vec<T>{}, z) + log1p_unit<T>(exp<T>(-abs(z)));
        return z > threshold ? v : soft * inverse;
      },
      y, x);
}

// y = z > threshold ? x : log(1 + e^z) / beta, z = beta x  =>  dx = z > threshold ? dy : dy * s(z)
template <class T>
void softplus_backward(int64_t n, T beta, T threshold, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [=](Vec<T> d, Vec<T> v) {
        const Vec<T> z = v * beta;
        return z > threshold ? d : d * sigmoid<T>(z);
      },
      dx, dy, x);
}

// y = x Phi(x)
template <class T>
void gelu_forward(int64_t n, T, const T* x, T* y) {
  map(n, kExpCost, [](Vec<T> v) { return v * Normal<T>(v).cdf(v); }, y, x);
}

// y = x Phi(x)  =>  dx = dy * (Phi(x) + x e^(-x^2/2) / sqrt(2 pi))
template <class T>
void gelu_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        const Normal<T> normal(v);
        return d * fma(v, normal.bell * T(kInverseRoot2Pi), normal.cdf(v));
      },
      dx, dy, x);
}

// y = x s(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3): the same as x (1 + tanh(u/2)) / 2
template <class T>
void gelu_tanh_forward(int64_t n, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) {
        const Vec<T> b = bounded<T>(v), u = b * fma(b * b, set1(T(kGeluRate * kCubic)), set1(T(kGeluRate)));
        return v * sigmoid<T>(u);
      },
      y, x);
}

// y = x s(u)  =>  dx = dy * (s(u) + x s(u) s(-u) u'), u' = 2 sqrt(2/pi) (1 + 3 * 0.044715 x^2)
template <class T>
void gelu_tanh_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        const Vec<T> b = bounded<T>(v), square = b * b;
        const Logistic<T> s(b * fma(square, set1(T(kGeluRate * kCubic)), set1(T(kGeluRate))));
        const Vec<T> slope = fma(square, set1(T(3 * kGeluRate * kCubic)), set1(T(kGeluRate)));
        return d * fma(v, s.up * s.down * slope, s.up);
      },
      dx, dy, x);
}

// y = x s(x)
template <class T>
void silu_forward(int64_t n, T, const T* x, T* y) {
  map(n, kExpCost, [](Vec<T> v) { return v * sigmoid<T>(v); }, y, x);
}

// y = x s(x)  =>  dx = dy * s(x) * (1 + x s(-x))
template <class T>
void silu_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        const Logistic<T> s(v);
        return d * (s.up * fma(v, s.down, set1(T(1))));
      },
      dx, dy, x);
}

// y = min(max(x + 3, 0), 6) / 6
template <class T>
void hardsigmoid_forward(int64_t n, T, const T* x, T* y) {
  map(n, kCopyCost, [](Vec<T> v) { return min(set1(T(6)), max(Vec<T>{}, v + T(3))) / T(6); }, y, x);
}

// y = min(max(x + 3, 0), 6) / 6  =>  dx = -3 < x < 3 ? dy / 6 : 0
template <class T>
void hardsigmoid_backward(int64_t n, T, const T* dy, const T* x, T* dx) {
  map(
      n, kCopyCost, [](Vec<T> d, Vec<T> v) { return ((v <= T(-3)) | (v >= T(3))) ? Vec<T>{} : d / T(6); }, dx, dy, x);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
