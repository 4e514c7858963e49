// What the norms have in common: statistics that are exact and in range, and how a value is normalised with them.
//   xhat = (x - mean) * rstd, rstd = 1 / sqrt(var + eps), var = mean((x - mean)^2)
// Mean and rstd are kept in double. In T the mean takes two numbers, of which the second is folded into an offset, and
// x is scaled by a power of two where (x - mean)^2 or rstd would leave T's range.
#pragma once
#include <cmath>
#include <limits>

#include "../simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough nanoseconds of a visit to an element. A forward visits each element twice, for the statistics and the result.
// A backward does so, too, but reads two inputs, dy and x, which counts as a third visit.
constexpr double kNormCost = 0.25;
constexpr double kForwardVisits = 2, kBackwardVisits = 3;

// eps and its square root. The root must be taken before kernels flush denormals, since a denormal eps is zero to them
// from then on.
struct Epsilon {
  double value, root;
  explicit Epsilon(double eps) : value(eps), root(std::sqrt(eps)) {}
};

// x is scaled by 1 / step where its deviation is above `far`, and by step where it is below 1 / far, so that sums of
// dy * (x - mean) stay in T's range, too. Squares that lose digits to zero matter where var + eps is below near_square.
template <class T>
struct Bounds {
  static constexpr bool single = sizeof(T) == 4;
  static constexpr double far = single ? 0x1p60 : 0x1p500, near_square = single ? 0x1p-100 : 0x1p-900,
                          step = single ? 0x1p64 : 0x1p512, largest = std::numeric_limits<T>::max();
};

struct Moments {
  double mean, var, rstd;
};

// The moments of 1 / share values, from sum(x - pivot) and sum((x - pivot)^2) about a pivot near the mean.
FASTNN_INLINE Moments moments_about(double pivot, double sum, double squares, double share, const Epsilon& eps) {
  const double shift = sum * share, var = squares * share - shift * shift;
  return {pivot + shift, var, 1 / std::sqrt(var + eps.value)};
}

// Whether a pivot was at most sqrt(3) deviations from the mean, so that squares about it lost no more than two bits.
FASTNN_INLINE bool near_mean(double pivot, const Moments& found) {
  const double off = found.mean - pivot;
  return off * off <= 3 * found.var;
}

// Whether sums of squares in T lost nothing that matters. False if var is NaN.
template <class T>
FASTNN_INLINE bool in_range(double var, const Epsilon& eps) {
  return var + eps.value >= Bounds<T>::near_square && var <= Bounds<T>::largest;
}

// The power of two that brings `largest` to about 1.
inline double unit_for(double largest) {
  if (!(largest > 0)) return 1;
  const int exponent = std::ilogb(largest);
  return std::ldexp(1.0, -(exponent < -1021 ? -1021 : exponent > 1021 ? 1021 : exponent));
}

// The moments of any m values, computed in double from scaled values: the rare way, where squares in T overflow or
// vanish, and for infinities and NaN. each(f) calls f for every value. A variance that double cannot hold is infinite;
// its rstd is right.
template <class Each>
__attribute__((noinline)) Moments scaled_moments(double m, const Epsilon& eps, const Each& each) {
  double largest = 0, total = 0, first = 0;
  bool finite = true, begun = false;
  each([&](double v) {
    if (!begun) first = v, begun = true;
    finite = finite && v - v == 0;
    largest = std::fabs(v) > largest ? std::fabs(v) : largest;
    total += v;
  });
  if (!finite) return {total / m, total - total, total - total};
  const double unit = unit_for(largest), origin = first * unit;
  double sum = 0;
  each([&](double v) { sum += v * unit - origin; });
  const double near = sum / m;
  double rest = 0, squares = 0;
  each([&](double v) {
    const double d = v * unit - origin - near;
    rest += d;
    squares += d * d;
  });
  rest /= m;
  const double var = squares / m - rest * rest, deviation = std::sqrt(var < 0 ? 0 : var) / unit;
  return {(origin + (near + rest)) / unit, deviation * deviation, 1 / std::hypot(deviation, eps.root)};
}

// 1 / sqrt(mean(x^2) + eps) of n values, scaled and in double like scaled_moments().
template <class Each>
__attribute__((noinline)) double scaled_root(int64_t n, const Epsilon& eps, const Each& each) {
  double largest = 0, squares = 0;
  bool nan = false;
  each([&](double v) {
    nan = nan || v != v;
    largest = std::fabs(v) > largest ? std::fabs(v) : largest;
  });
  if (nan || largest > Bounds<double>::largest) return nan ? std::nan("") : 0;
  const double unit = unit_for(largest);
  each([&](double v) { squares += v * unit * (v * unit); });
  return 1 / std::hypot(std::sqrt(squares / double(n)) / unit, eps.root);
}

// A factor in T. If T cannot hold it, it becomes the largest number of T. All values are the same then, and their
// differences, which the factor multiplies, are zero: times an infinite factor they would be NaN.
template <class T>
FASTNN_INLINE T factor_of(double factor) {
  const bool beyond = std::fabs(factor) > Bounds<T>::largest && std::fabs(factor) <= Bounds<double>::largest;
  return T(beyond ? std::copysign(Bounds<T>::largest, factor) : factor);
}

// xhat = (x * unit + away) * scale + offset; rstd = scale * unit
template <class T>
struct Standard {
  T unit, away, scale, offset;

  Standard() = default;
  Standard(T unit, T away, T scale, T offset) : unit(unit), away(away), scale(scale), offset(offset) {}
  Standard(double mean, double rstd) : unit(1) {
    const double near = double(T(mean));
    if (rstd >= 1 / Bounds<T>::far && rstd <= Bounds<T>::far && std::fabs(near) <= Bounds<T>::far)
      away = T(-near), scale = T(rstd), offset = T((near - mean) * rstd);
    else
      set_scaled(mean, rstd);
  }

 private:
  __attribute__((noinline)) void set_scaled(double mean, double rstd) {
    const bool large = rstd < 1 / Bounds<T>::far || std::fabs(mean) > Bounds<T>::far;
    const bool tiny = rstd > Bounds<T>::far && std::fabs(mean) <= 1;
    const double by = large ? 1 / Bounds<T>::step : tiny ? Bounds<T>::step : 1, near = double(T(mean));
    unit = T(by), away = T(-near * by), scale = factor_of<T>(rstd / by);
    offset = near == mean ? T(0) : T((near - mean) * rstd);
  }
};

// xhat * weight + bias in the same form; then scale * unit is rstd * weight.
template <class T>
FASTNN_INLINE Standard<T> with_affine(Standard<T> s, double weight, double bias) {
  s.offset = T(double(s.offset) * weight + bias);
  s.scale = T(double(s.scale) * weight);
  return s;
}

// A Standard for vectors. Either all lanes share their statistics, or each lane is a column with its own.
template <class T>
struct Normal {
  Vec<T> unit, away, scale, offset;

  Normal() = default;
  FASTNN_INLINE explicit Normal(const Standard<T>& s)
      : unit(set1(s.unit)), away(set1(s.away)), scale(set1(s.scale)), offset(set1(s.offset)) {}
  FASTNN_INLINE Vec<T> difference(Vec<T> x) const { return fma(x, unit, away); }
  FASTNN_INLINE Vec<T> of_difference(Vec<T> v) const { return fma(v, scale, offset); }
  FASTNN_INLINE Vec<T> operator()(Vec<T> x) const { return of_difference(difference(x)); }
};

// What the gradient through mean and rstd takes, v = x * unit + away and d = dy * weight:
//   dx = (d - sum(d) / m - xhat * dot / m) * rstd = (d - (v * slope + level)) * rstd,  dot = sum(d * xhat)
struct Through {
  double dot, slope, level;

  // From sum(d) and sum(d * v) of the gradients d and the values v; share is 1 / number of values.
  template <class T>
  Through(const Standard<T>& s, double sum, double product, double share)
      : dot(double(s.scale) * product + double(s.offset) * sum),
        slope(double(s.scale) * dot * share),
        level((sum + double(s.offset) * dot) * share) {}
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
