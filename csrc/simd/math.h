// exp, expm1, log, log1p, tanh, sigmoid and the normal distribution on vectors of float or double.
//
// The accuracy stated at each function bounds the largest error found, in units of the last place. With fused
// multiply-add (AVX-512) these arguments were tried: every float between 2^-25 and 120 in size (log: 2^-11 and 2^13),
// every 61st beyond, and 2^24 doubles, half of them spread over all bit patterns and half along the range where the
// function changes. With the other instruction sets: every 512th float and 2^20 doubles. Kernels run with denormals
// flushed, so an operand or a result below the smallest normal number counts as zero. A NaN stays a NaN.
//
// Polynomial coefficients are minimax fits (Remez exchange in 60 digits, then rounded to T).
#pragma once
#include <type_traits>

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
  static constexpr float near_first =
      -86.9f;  // from here to exp_last e^x is a normal number, to one side and the other
  static constexpr float falling_min = -175.0f;  // -252.5 ln(2)
  static constexpr float expm1_min = -20.0f, expm1_max = 88.0f;
  static constexpr float tanh_max = 10.0f;
  static constexpr uint32_t sqrt_half = 0x3f3504f3;
  // (e^r - 1 - r) / r^2 on |r| <= ln(2)/2; the relative error of e^r - 1 is at most 2^-25.9
  static constexpr float exp_poly[] = {0.5f, 0.16666543f, 0.04166628f, 0.008366611f, 0.0013946497f};
  // (2 atanh(s) - 2 s) / s^3 as a polynomial in s^2 on s^2 <= 0.0295; the relative error of 2 atanh(s) is at most 2^-30
  static constexpr float log_poly[] = {0.66666776f, 0.39977497f, 0.29873073f};
  // (a + k) Phi(-a) e^(a^2/2), where k is tail_centre, as a polynomial in t = (a - k) / (a + k) on 0 <= a <= 13.2; its
  // relative error is at most 2^-27.0
  static constexpr float tail_centre = 4.0f, tail_max = 19.0f;  // beyond tail_max e^(-a^2/2) is below 2^-252
  static constexpr int32_t upper_half = ~0xfff;                 // leaves 12 bits, whose square is exact
  static constexpr float tail_poly[] = {0.75528514f,    -0.6078966f,   0.38713688f,   -0.18652278f,   0.060404547f,
                                        -0.0075295065f, -0.003518978f, 0.0015760771f, 0.00019449982f, -0.00012509771f};
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
  static constexpr double near_first = -708.0;
  static constexpr double falling_min = -1417.0;  // -2044.3 ln(2)
  static constexpr double expm1_min = -40.0, expm1_max = 709.0;
  static constexpr double tanh_max = 20.0;
  static constexpr uint64_t sqrt_half = 0x3fe6a09e667f3bcd;
  // as for float; the relative error is at most 2^-54.9
  static constexpr double exp_poly[] = {0.5000000000000006,     0.16666666666666685,   0.04166666666657588,
                                        0.00833333333331479,    0.0013888888931858356, 0.00019841269902672412,
                                        2.4801504921505714e-05, 2.755722822182951e-06, 2.762617666023941e-07,
                                        2.5114401955961647e-08};
  // as for float; the relative error is at most 2^-59
  static constexpr double log_poly[] = {0.6666666666666687,  0.399999999996586,   0.28571428696492146,
                                        0.22222202714323924, 0.18183370413677408, 0.15318595926099923,
                                        0.1475377401483469};
  // as for float, on 0 <= a <= 37.7; the relative error is at most 2^-56.2
  static constexpr double tail_centre = 5.0, tail_max = 54.0;
  static constexpr int64_t upper_half = ~0x7ffffff;
  static constexpr double tail_poly[] = {
      0.769193049750063,      -0.6653825028900566,    0.49530561596997674,    -0.31353315667131243,
      0.16502036617037544,    -0.06911863870605049,   0.02079506679995874,    -0.0029933767743854285,
      -0.0007978693984240866, 0.0005448990966383912,  -5.937573077836891e-05, -4.976297322434804e-05,
      1.6681222246413406e-05, 3.9814065129016865e-06, -2.769248150144852e-06, -3.376435240695437e-07,
      4.3297937714777524e-07, 4.358320348548029e-08,  -6.55669840914794e-08,  -1.026098649748285e-08,
      7.270668405740101e-09,  2.0515142265383766e-09};
};

// c[0] + c[1] x + … + c[n-1] x^(n-1)
template <class T, int n>
FASTNN_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[n]) {
  Vec<T> y = set1<T>(c[n - 1]);
#pragma GCC unroll 32
  for (int i = n - 2; i >= 0; --i) y = fma(y, x, set1<T>(c[i]));
  return y;
}

// x = n ln(2) + r with an integer n, |r| <= ln(2)/2. Returns offset + n; offset is `round` plus a small integer, so
// that n (plus that integer) stands in the low bits.
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

// `a` e^x, for which n is added to the exponent field. It is right where `a` and the result are normal numbers;
// elsewhere, and for NaN, the result is any number.
template <class T>
FASTNN_INLINE Vec<T> exp_normal(Vec<T> x, T a = 1) {
  using C = MathConstants<T>;
  Vec<T> r;
  const Bits<T> shifted = (Bits<T>)reduce_ln2<T>(x, C::round, r);
  return (Vec<T>)((Bits<T>)fma(expm1_reduced<T>(r), set1(a), set1(a)) + (shifted << C::mantissa));
}

// e^x. At most 1.1 ulp. Infinity where the result overflows, 0 where it is below the smallest normal number.
template <class T>
FASTNN_INLINE Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
#if FASTNN_VEC_BYTES == 64
  Vec<T> r;
  const Vec<T> shifted = reduce_ln2<T>(min(set1<T>(C::exp_max), max(set1<T>(C::exp_min), x)), C::round, r);
  return ldexp(expm1_reduced<T>(r) + T(1), shifted - C::round);
#else
  const Vec<T> y = exp_normal<T>(x);
  return x <= C::exp_last ? (x < C::exp_first ? Vec<T>{} : y) : x + T(__builtin_inf());
#endif
}

// 2^n for integers n from -bias to bias; for n = -bias the result is 0.
template <class T>
FASTNN_INLINE Vec<T> power_of_two(Vec<T> n) {
  using C = MathConstants<T>;
  return (Vec<T>)((Bits<T>)(n + (C::round + T(C::bias))) << C::mantissa);
}

// e^x for x <= 0 as `e * rest`, where e is a normal number: a product `a` e^x may be a normal number where e^x is not,
// and (a * e) * rest is then right. The result is 0 where e^x is below 2^-252 (double: 2^-2044). Without `far` the
// result is right only for x >= near_first, where rest is 1 and costs nothing; for a smaller x, e is any number.
template <class T, bool far>
struct FallingExp {
  Vec<T> e, rest;

  explicit FASTNN_INLINE FallingExp(Vec<T> x) {
    using C = MathConstants<T>;
    if constexpr (!far) {
      e = exp_normal<T>(x);
    } else {
      Vec<T> r;
      const Vec<T> n = reduce_ln2<T>(max(set1<T>(C::falling_min), x), C::round, r) - C::round;
      const Vec<T> near = max(set1(T(2 - C::bias)), n);
#if FASTNN_VEC_BYTES == 64
      e = ldexp(expm1_reduced<T>(r) + T(1), near);
      rest = ldexp(set1(T(1)), n - near);
#else
      e = (expm1_reduced<T>(r) + T(1)) * power_of_two<T>(near);
      rest = power_of_two<T>(n - near);
#endif
    }
  }
  FASTNN_INLINE Vec<T> times_rest(Vec<T> a) const { return far ? a * rest : a; }
};

// Gives y(far) in each lane. `far` is a constant, and true for the lanes in which x, an exponent, is below `first` or
// NaN. Such lanes are rare.
template <class T, class F>
FASTNN_INLINE Vec<T> falling(Vec<T> x, T first, const F& y) {
  const Vec<T> near = y(std::false_type{});
  if (__builtin_expect(all_from(x, first), 1)) return near;
  return x >= first ? near : y(std::true_type{});
}
template <class T, class F>
FASTNN_INLINE Vec<T> falling(Vec<T> x, const F& y) {
  return falling<T>(x, MathConstants<T>::near_first, y);
}

// -|x|, but a NaN keeps its sign: the bits of a product of two NaN with different signs would depend on which of them
// comes first.
template <class V>
FASTNN_INLINE V below_zero(V x) {
  return min(-x, x);
}

// `a` / (1 + e^-x), which is computed as a normal number wherever the exact value is one. far: see FallingExp.
template <class T, bool far>
FASTNN_INLINE Vec<T> times_sigmoid(Vec<T> a, Vec<T> x) {
  const FallingExp<T, far> f(below_zero(x));
  return (x < Vec<T>{} ? f.times_rest(a * f.e) : a) / (f.e + T(1));
}

// e^x - 1 for x from expm1_min to expm1_max. The error is at most 2.3 ulp, also where x is close to 0.
template <class T>
FASTNN_INLINE Vec<T> expm1_within(Vec<T> x) {
  using C = MathConstants<T>;
  Vec<T> r;
  const Bits<T> shifted = (Bits<T>)reduce_ln2<T>(x, C::round + T(C::bias), r);
  const Vec<T> power = (Vec<T>)(shifted << C::mantissa);  // 2^n
  return fma(power, expm1_reduced<T>(r), power - T(1));
}
// e^x - 1 for any x: -1 below expm1_min, and an x above 88 (double: 709) counts as 88 (709).
template <class T>
FASTNN_INLINE Vec<T> expm1(Vec<T> x) {
  using C = MathConstants<T>;
  return expm1_within<T>(min(set1<T>(C::expm1_max), max(set1<T>(C::expm1_min), x)));
}

// The natural logarithm. At most 0.9 ulp. -infinity at 0, NaN below, infinity at infinity.
template <class T>
FASTNN_INLINE Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  const Bits<T> bits = (Bits<T>)x;
  const Mask<T> exponent = (Mask<T>)(bits - C::sqrt_half) >> C::mantissa;  // x = 2^exponent m, sqrt(1/2) <= m < sqrt(2)
  const Vec<T> k = __builtin_convertvector(exponent, Vec<T>);
  const Vec<T> f = (Vec<T>)(bits - ((Bits<T>)exponent << C::mantissa)) - T(1);
  // log(1 + f) = 2 atanh(s), written so that its leading term is f, which is exact
  const Vec<T> s = f / (f + T(2)), z = s * s, h = T(0.5) * f * f;
  const Vec<T> tail = fma(k, set1<T>(C::ln2_lo), s * fma(z, polynomial(z, C::log_poly), h));
  const Vec<T> y = fma(k, set1<T>(C::ln2_hi), f - (h - tail));
  const Vec<T> infinity = set1<T>(__builtin_inf());
  const Vec<T> below = x < Vec<T>{} ? set1<T>(__builtin_nan("")) : -infinity;
  return x < C::smallest ? below : x < infinity ? y : x;
}

// log(1 + x) for 0 <= x <= 1, right near 0 too. At most 1.8 ulp.
template <class T>
FASTNN_INLINE Vec<T> log1p_unit(Vec<T> x) {
  using C = MathConstants<T>;
  const auto upper = x > T(0.41421356);  // there 1 + x = 2 (1 + f), otherwise f = x
  const Vec<T> f = upper ? (x - T(1)) * T(0.5) : x;
  const Vec<T> s = f / (f + T(2)), z = s * s, h = T(0.5) * f * f;
  const Vec<T> tail = s * fma(z, polynomial(z, C::log_poly), h);
  const Vec<T> ln2_lo = upper ? set1(C::ln2_lo) : Vec<T>{}, ln2_hi = upper ? set1(C::ln2_hi) : Vec<T>{};
  return ln2_hi + (f - (h - (tail + ln2_lo)));
}

// The hyperbolic tangent. At most 2.6 ulp; ±1 from |x| = 9.02 (double: 19.06) on, tanh(-0) = -0.
template <class T>
FASTNN_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = min(set1<T>(MathConstants<T>::tanh_max), abs(x));
  const Vec<T> e = expm1_within<T>(a + a), y = e / (e + T(2));
  return (Vec<T>)((Mask<T>)y | ((Mask<T>)x & (Mask<T>)sign_bit<Vec<T>>()));
}

// 1 / (1 + e^-x), with a small relative error on both sides of 0: at most 2.5 ulp. The result is 0 where exp gives 0.
template <class T>
FASTNN_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(-abs(x));
  return (x < Vec<T>{} ? e : set1<T>(1)) / (e + T(1));
}

// a^2 - s, where s is the rounded a^2.
template <class T>
FASTNN_INLINE Vec<T> square_error(Vec<T> a, Vec<T> s) {
#if FASTNN_VEC_BYTES >= 32 || defined(__aarch64__)
  return fma(a, a, -s);
#else
  const Vec<T> high = (Vec<T>)((Mask<T>)a & MathConstants<T>::upper_half), low = a - high;
  return ((high * high - s) + T(2) * high * low) + low * low;
#endif
}

// The tail of the normal distribution beyond a = |x|: e^(-a^2/2) is bell * rest, where `rest` is that of FallingExp,
// and Phi(-a) is ratio * bell * rest. The relative errors are small: x Phi(x) is off by at most 5.5 ulp (without fused
// multiply-add 6.5).
template <class T, bool far>
struct NormalTail {
  Vec<T> a, ratio, bell;
  FallingExp<T, far> f;

  explicit FASTNN_INLINE NormalTail(Vec<T> x) : a(abs(x)), f(x * x * T(-0.5)) {
    using C = MathConstants<T>;
    bell = f.e * (T(1) - square_error<T>(a, x * x) * T(0.5));
    // `lost` is what rounding takes from `a` when the centre is added to it. Without `lost` the result near 0 would be
    // off by twice as much.
    const Vec<T> sum = a + C::tail_centre, lost = a - (sum - C::tail_centre), rough = T(1) / sum;
    const Vec<T> inverse = fma(lost * -rough, rough, rough), t = (a - C::tail_centre) * inverse;
    ratio = polynomial(t, C::tail_poly) * inverse;
  }
};

// falling() with the exponent -x^2/2: gives y(far, b). If `far` is true, b is x clamped to ±tail_max, where Phi(-|x|)
// is 0; else b is x, and ratio * bell is a normal number.
template <class T, class F>
FASTNN_INLINE Vec<T> falling_tail(Vec<T> x, const F& y) {
  using C = MathConstants<T>;
  return falling<T>(x * x * T(-0.5), C::near_first + 6, [=](auto far) FASTNN_FLAT {
    return y(far, far ? min(set1(C::tail_max), max(set1(-C::tail_max), x)) : x);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
