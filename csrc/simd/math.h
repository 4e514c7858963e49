// exp, expm1, log, tanh and sigmoid on vectors of float or double.
//
// The accuracy stated at each function bounds the largest error found, in units of the last place. With fused
// multiply-add (AVX-512): every float between 2^-25 and 120 in size (log: 2^-11 and 2^13), every 61st beyond, and 2^24
// doubles, half of them spread over all bit patterns and half along the range where the function changes. The other sets:
// every 512th float and 2^20 doubles. Kernels run with denormals flushed, so an operand or a result below the smallest
// normal number counts as zero. A NaN stays a NaN.
//
// Polynomial coefficients are minimax fits (Remez exchange in 60 digits, then rounded to T).
#pragma once
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct MathConstants;
template <>
struct MathConstants<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  static constexpr float log2e = 1.44269504f;
  static constexpr float ln2_hi = 0.693359375f, ln2_lo = -2.12194440e-4f;  // hi * n is exact for |n| < 2^14
  static constexpr float smallest = 1.17549435e-38f;
  static constexpr float exp_first = -87.3365448f, exp_last = 88.7228317f;  // where the result is normal and finite
  static constexpr float exp_min = -90.0f, exp_max = 89.0f;                 // beyond these it is 0 and infinity
  static constexpr float expm1_min = -20.0f, expm1_max = 88.0f;
  static constexpr float tanh_max = 10.0f;
  static constexpr int32_t sqrt_half = 0x3f3504f3;
  // (e^r - 1 - r) / r^2 on |r| <= ln(2)/2: e^r - 1 to 2^-25.9 of itself
  static constexpr float exp_poly[] = {0.5f, 0.16666543f, 0.04166628f, 0.008366611f, 0.0013946497f};
  // (2 atanh(s) - 2 s) / s^3 in s^2 on s^2 <= 0.0295: 2 atanh(s) to 2^-30 of itself
  static constexpr float log_poly[] = {0.66666776f, 0.39977497f, 0.29873073f};
};
template <>
struct MathConstants<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double log2e = 1.4426950408889634;
  static constexpr double ln2_hi = 6.93147180369123816490e-01, ln2_lo = 1.90821492927058770002e-10;
  static constexpr double smallest = 2.2250738585072014e-308;
  static constexpr double exp_first = -708.39641853226411, exp_last = 709.78271289338397;
  static constexpr double exp_min = -710.0, exp_max = 710.0;
  static constexpr double expm1_min = -40.0, expm1_max = 709.0;
  static constexpr double tanh_max = 20.0;
  static constexpr int64_t sqrt_half = 0x3fe6a09e667f3bcd;
  // to 2^-54.9
  static constexpr double exp_poly[] = {0.5000000000000006,     0.16666666666666685,   0.04166666666657588,
                                        0.00833333333331479,    0.0013888888931858356, 0.00019841269902672412,
                                        2.4801504921505714e-05, 2.755722822182951e-06, 2.762617666023941e-07,
                                        2.5114401955961647e-08};
  // to 2^-59
  static constexpr double log_poly[] = {0.6666666666666687,  0.399999999996586,   0.28571428696492146,
                                        0.22222202714323924, 0.18183370413677408, 0.15318595926099923,
                                        0.1475377401483469};
};

// c[0] + c[1] x + … + c[n-1] x^(n-1)
template <class T, int n>
FASTNN_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[n]) {
  Vec<T> y = set1<T>(c[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) y = fma(y, x, set1<T>(c[i]));
  return y;
}

// x = n ln(2) + r with an integer n, |r| <= ln(2)/2. Returns offset + n; offset is `round` plus a small integer, so that
// n (plus that integer) stands in the low bits.
template <class T>
FASTNN_INLINE Vec<T> reduce_ln2(Vec<T> x, T offset, Vec<T>& r) {
  using C = MathConstants<T>;
  const Vec<T> shifted = fma(x, set1<T>(C::log2e), set1<T>(offset)), n = shifted - offset;
  r = fma(n, set1<T>(-C::ln2_lo), fma(n, set1<T>(-C::ln2_hi), x));
  return shifted;
}

// e^r - 1 for |r| <= ln(2)/2
template <class T>
FASTNN_INLINE Vec<T> expm1_reduced(Vec<T> r) {
  return fma(r * r, polynomial(r, MathConstants<T>::exp_poly), r);
}

// e^x. At most 1.1 ulp. Infinity where the result overflows, 0 where it is below the smallest normal number.
template <class T>
FASTNN_INLINE Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  Vec<T> r;
#if FASTNN_VEC_BYTES == 64
  const Vec<T> shifted = reduce_ln2<T>(min(set1<T>(C::exp_max), max(set1<T>(C::exp_min), x)), C::round, r);
  return ldexp(expm1_reduced<T>(r) + T(1), shifted - C::round);
#else
  // n is added to the exponent field: right for every normal result, the others are selected by x.
  const Mask<T> shifted = (Mask<T>)reduce_ln2<T>(x, C::round, r);
  const Vec<T> y = (Vec<T>)((Mask<T>)(expm1_reduced<T>(r) + T(1)) + (shifted << C::mantissa));
  return x <= C::exp_last ? (x < C::exp_first ? Vec<T>{} : y) : x + T(__builtin_inf());
#endif
}

// e^x - 1 for x from expm1_min to expm1_max, right near 0 too. At most 2.3 ulp.
template <class T>
FASTNN_INLINE Vec<T> expm1_within(Vec<T> x) {
  using C = MathConstants<T>;
  Vec<T> r;
  const Mask<T> shifted = (Mask<T>)reduce_ln2<T>(x, C::round + T(C::bias), r);
  const Vec<T> power = (Vec<T>)(shifted << C::mantissa);  // 2^n
  return fma(power, expm1_reduced<T>(r), power - T(1));
}
// The same; -1 below, and anything from 88 (double: 709) on counts as 88 (709).
template <class T>
FASTNN_INLINE Vec<T> expm1(Vec<T> x) {
  using C = MathConstants<T>;
  return expm1_within<T>(min(set1<T>(C::expm1_max), max(set1<T>(C::expm1_min), x)));
}

// The natural logarithm. At most 0.9 ulp. -infinity at 0, NaN below, infinity at infinity.
template <class T>
FASTNN_INLINE Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  const Mask<T> bits = (Mask<T>)x;
  const Mask<T> exponent = (bits - C::sqrt_half) >> C::mantissa;  // x = 2^exponent m, sqrt(1/2) <= m < sqrt(2)
  const Vec<T> k = __builtin_convertvector(exponent, Vec<T>);
  const Vec<T> f = (Vec<T>)(bits - (exponent << C::mantissa)) - T(1);
  // log(1 + f) = 2 atanh(s), written so that its leading term is f, which is exact
  const Vec<T> s = f / (f + T(2)), z = s * s, h = T(0.5) * f * f;
  const Vec<T> tail = fma(k, set1<T>(C::ln2_lo), s * fma(z, polynomial(z, C::log_poly), h));
  const Vec<T> y = fma(k, set1<T>(C::ln2_hi), f - (h - tail));
  const Vec<T> infinity = set1<T>(__builtin_inf());
  const Vec<T> below = x < Vec<T>{} ? set1<T>(__builtin_nan("")) : -infinity;
  return x < C::smallest ? below : x < infinity ? y : x;
}

// At most 2.6 ulp; ±1 from |x| = 9.02 (double: 19.06) on, tanh(-0) = -0.
template <class T>
FASTNN_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = min(set1<T>(MathConstants<T>::tanh_max), abs(x));
  const Vec<T> e = expm1_within<T>(a + a), y = e / (e + T(2));
  return (Vec<T>)((Mask<T>)y | ((Mask<T>)x & (Mask<T>)sign_bit<Vec<T>>()));
}

// 1 / (1 + e^-x), to relative accuracy on both sides. At most 2.5 ulp; 0 where e^x is.
template <class T>
FASTNN_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(-abs(x));
  return (x < Vec<T>{} ? e : set1<T>(1)) / (e + T(1));
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
