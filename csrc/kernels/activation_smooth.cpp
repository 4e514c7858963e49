// Smooth activations and their derivatives, elementwise over n values.
//   forward:  x (n) -> y (n)
//   backward: dy (n), x (n) -> dx (n)
// Phi is the normal distribution, s the logistic function. A NaN in x makes y and dx NaN: a comparison with it is
// false, and each select ends in the arm that carries it on. Where e^x or Phi(x) is below the smallest normal number
// its product with x or dy need not be: see FallingExp.
#include "../simd/map.h"
#include "../simd/math.h"
#define FASTNN_FAMILY "activation_smooth.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kExpCost = 0.6;  // rough nanoseconds per element

constexpr double kSeluScale = 1.0507009873554804934193349852946, kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kInverseRoot2Pi = 0.39894228040143267794;              // 1/sqrt(2 pi)
constexpr double kGeluRate = 1.5957691216057307117, kCubic = 0.044715;  // 2 sqrt(2/pi)

// The gradient of x s(u): dy s(u) (1 + x s(-u) slope), where slope is the derivative of u. x is finite and has u's
// sign. far: see FallingExp.
template <class T, bool far>
FASTNN_INLINE Vec<T> gated_backward(Vec<T> dy, Vec<T> x, Vec<T> u, Vec<T> slope) {
  const FallingExp<T, far> f(below_zero(u));
  const auto negative = u < Vec<T>{};
  const Vec<T> large = T(1) / (f.e + T(1)), little = f.e * large;
  const Vec<T> up = negative ? little : large, down = negative ? large : little;  // s(u), s(-u) without factor f.rest
  const Vec<T> dx = dy * (up * fma(x, down * slope, set1(T(1))));
  return negative ? f.times_rest(dx) : dx;
}

// x, cut off at ±limit, beyond which the sigmoid of -|x| is 0: 0 times an infinite x would be NaN. GELU also takes the
// cube of x, which kGeluLimit keeps finite.
template <class T>
FASTNN_INLINE Vec<T> bounded(Vec<T> x, T limit) {
  return min(set1(limit), max(set1(-limit), x));
}
constexpr double kSiluLimit = 2000, kGeluLimit = 30;
// From kMishLast on, tanh(log(1 + e^x)) is 1, and the square of e^x is still far from overflow.
constexpr double kMishFirst = -2000, kMishLast = 22;

// u = 2 sqrt(2/pi) (x + 0.044715 x^3), of the tanh form of GELU
template <class T>
FASTNN_INLINE Vec<T> bent(Vec<T> x) {
  return x * fma(x * x, set1(T(kGeluRate * kCubic)), set1(T(kGeluRate)));
}

}  // namespace

// y = scale * (x > 0 ? x : alpha * (e^x - 1))
template <class T>
void selu_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kExpCost, [](Vec<T> v) { return v > Vec<T>{} ? v * T(kSeluScale) : expm1<T>(v) * T(kSeluScale * kSeluAlpha); },
      y, x);
}

// y = scale * (x > 0 ? x : alpha * (e^x - 1))  =>  dx = dy * scale * (x > 0 ? 1 : alpha * e^x)
template <class T>
void selu_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling<T>(v, [=](auto far) {
          constexpr T scale = T(kSeluScale), slope = T(kSeluScale * kSeluAlpha);
          if constexpr (!far) return d * (v > Vec<T>{} ? set1(scale) : exp_normal<T>(v, slope));
          const FallingExp<T, far> f(v);
          return f.times_rest(d * (f.e * slope));
        });
      },
      dx, dy, x);
}

// y = z > threshold ? x : log(1 + e^z) / beta, z = beta x
// The second case is computed as (max(z, 0) + log(1 + e^-|z|)) / beta, and far below zero, where the logarithm is e^z,
// as e^z / beta.
template <class T>
void softplus_forward(int64_t n, T beta, T threshold, const T* x, T* y) {
  const T inverse = 1 / beta;
  map(
      n, kExpCost,
      [=](Vec<T> v) {
        const Vec<T> z = v * beta;
        return falling<T>(below_zero(z), [=](auto far) {
          const FallingExp<T, far> f(below_zero(z));
          if constexpr (far) return z > threshold ? v : z < Vec<T>{} ? f.times_rest(f.e * inverse) : z * inverse;
          return z > threshold ? v : (max(Vec<T>{}, z) + log1p_unit<T>(f.e)) * inverse;
        });
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
        return falling<T>(below_zero(z), [=](auto far) { return z > threshold ? d : times_sigmoid<T, far>(d, z); });
      },
      dx, dy, x);
}

// y = x Phi(x)
template <class T>
void gelu_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) {
        return falling_tail<T>(v, [=](auto far, Vec<T> b) {
          const NormalTail<T, far> t(b);
          if constexpr (far) return v < Vec<T>{} ? t.f.times_rest(b * t.ratio * t.bell) : v;
          const Vec<T> tail = t.ratio * t.bell;
          return v * (v < Vec<T>{} ? tail : T(1) - tail);
        });
      },
      y, x);
}

// y = x Phi(x)  =>  dx = dy * (Phi(x) + x e^(-x^2/2) / sqrt(2 pi))
// The values of dx at x and at -x sum to dy: the one at -|x| is computed, and where x > 0 dx is dy minus it.
template <class T>
void gelu_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling_tail<T>(v, [=](auto far, Vec<T> b) {
          const NormalTail<T, far> t(b);
          const Vec<T> slope = t.bell * fma(t.a, set1(T(-kInverseRoot2Pi)), t.ratio);
          return v < Vec<T>{} ? t.f.times_rest(d * slope) : d * (T(1) - slope);
        });
      },
      dx, dy, x);
}

// y = x s(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3): the same as x (1 + tanh(u/2)) / 2
template <class T>
void gelu_tanh_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) {
        return falling<T>(below_zero(bent<T>(v)), [=](auto far) {
          const Vec<T> b = far ? bounded<T>(v, kGeluLimit) : v;
          return times_sigmoid<T, far>(far ? max(set1(T(-kGeluLimit)), v) : v, bent<T>(b));
        });
      },
      y, x);
}

// y = x s(u)  =>  dx = dy * (s(u) + x s(u) s(-u) u'), u' = 2 sqrt(2/pi) (1 + 3 * 0.044715 x^2)
template <class T>
void gelu_tanh_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling<T>(below_zero(bent<T>(v)), [=](auto far) {
          const Vec<T> b = far ? bounded<T>(v, kGeluLimit) : v;
          const Vec<T> slope = fma(b * b, set1(T(3 * kGeluRate * kCubic)), set1(T(kGeluRate)));
          return gated_backward<T, far>(d, b, bent<T>(b), slope);
        });
      },
      dx, dy, x);
}

// y = x s(x)
template <class T>
void silu_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) {
        return falling<T>(below_zero(v),
                          [=](auto far) { return times_sigmoid<T, far>(far ? max(set1(T(-kSiluLimit)), v) : v, v); });
      },
      y, x);
}

// y = x s(x)  =>  dx = dy * s(x) * (1 + x s(-x))
template <class T>
void silu_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling<T>(below_zero(v), [=](auto far) {
          return gated_backward<T, far>(d, far ? bounded<T>(v, kSiluLimit) : v, v, set1(T(1)));
        });
      },
      dx, dy, x);
}

// y = x tanh(log(1 + e^x)) = x p / (p + 2), p = e^x (e^x + 2): a sum of positive terms, so that nothing cancels
template <class T>
void mish_forward(int64_t n, T, T, const T* x, T* y) {
  map(
      n, kExpCost,
      [](Vec<T> v) {
        return falling<T>(v, [=](auto far) {
          const FallingExp<T, far> f(min(set1(T(kMishLast)), v));
          const Vec<T> p = f.e * (f.e + T(2));
          return f.times_rest((far ? max(set1(T(kMishFirst)), v) : v) * (p / (p + T(2))));
        });
      },
      y, x);
}

// y = x p / q, p = e^x (e^x + 2), q = p + 2  =>  dx = dy * (p + 4 x e^x (e^x + 1) / q) / q
template <class T>
void mish_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling<T>(v, [=](auto far) {
          const Vec<T> b = min(set1(T(kMishLast)), far ? max(set1(T(kMishFirst)), v) : v);
          const FallingExp<T, far> f(b);
          const Vec<T> q = f.e * (f.e + T(2)) + T(2);
          const Vec<T> slope = f.e * (((f.e + T(2)) + b * T(4) * ((f.e + T(1)) / q)) / q);
          return v >= T(kMishLast) ? d : f.times_rest(d * slope);
        });
      },
      dx, dy, x);
}

// y = log(s(x)) = min(x, 0) - log(1 + e^-|x|)
template <class T>
void logsigmoid_forward(int64_t n, T, T, const T* x, T* y) {
  map(n, kExpCost, [](Vec<T> v) { return min(Vec<T>{}, v) - log1p_unit<T>(exp<T>(below_zero(v))); }, y, x);
}

// y = log(s(x))  =>  dx = dy * s(-x)
template <class T>
void logsigmoid_backward(int64_t n, T, T, const T* dy, const T* x, T* dx) {
  map(
      n, kExpCost,
      [](Vec<T> d, Vec<T> v) {
        return falling<T>(below_zero(v), [=](auto far) {
          const FallingExp<T, far> f(below_zero(v));
          return (v > Vec<T>{} ? f.times_rest(d * f.e) : d) / (f.e + T(1));
        });
      },
      dx, dy, x);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
