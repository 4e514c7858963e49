// Optimiser steps, in place over n parameters p with gradients g: each array is read and written once. First of all
// g = g + wd p + l1 sign(p), the gradient of the penalties.
// Division and square root are the exact ones. Scalars are worked out in double and rounded once.
//
// A second moment, a sum of squares, may be too large or too small for T although its root is not. Then the array holds
// minus the root (no second moment is negative), and that lane is computed from the roots. Moments so small that eps
// hides them are no concern; they may become 0.
#include <cmath>
#include <limits>

#include "../simd/map.h"
#include "../simd/past.h"
#include "../simd/strided.h"
#define FASTNN_FAMILY "optim.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// rough nanoseconds per parameter out of cache on one core
constexpr double kSgdCost = 0.5, kAdamCost = 1.0, kRmspropCost = 0.7, kAdadeltaCost = 1.0;

template <class T>
struct Limits {
  static constexpr double smallest = std::numeric_limits<T>::min(), largest = std::numeric_limits<T>::max(),
                          epsilon = std::numeric_limits<T>::epsilon(), power = sizeof(T) == 4 ? 0x1p126 : 0x1p1022;
};

// A factor that T may be unable to hold, kept as a product of two numbers that T can hold: the product of x and both
// may be representable.
template <class T>
struct Factor {
  T first, second;
  bool plain;

  explicit Factor(double a) : first(T(a)), second(1), plain(true) {
    const double size = std::fabs(a), power = Limits<T>::power;
    if (size == 0 || (size >= Limits<T>::smallest && size <= Limits<T>::largest)) return;
    const double part = size < 1 ? size * power : size / power;
    first = T(std::copysign(part < Limits<T>::largest ? part : Limits<T>::largest, a));
    second = T(size < 1 ? 1 / power : power);
    plain = false;
  }
  FASTNN_INLINE Vec<T> times(Vec<T> x) const { return plain ? x * first : x * first * second; }
  // x * factor + y
  FASTNN_INLINE Vec<T> times_plus(Vec<T> x, Vec<T> y) const { return plain ? fma(x, set1(first), y) : times(x) + y; }
};

// The share of a state that a step keeps. From kNearOne on it is held in two parts, as T would round 0.99999999 to 1.
// Below kNearOne, what T rounds off is less than 2^-25 / 0.002 of the share that is not kept, 1.5e-5 for floats.
constexpr double kNearOne = 0.998;
template <class T>
struct Share {
  T high, low;

  explicit Share(double share) : high(T(share)), low(0) {
    if (share > kNearOne && share < 1) low = T(share - double(high));
  }
  FASTNN_INLINE Vec<T> times_plus(Vec<T> state, Vec<T> y) const {
    if (low != 0) y = fma(state, set1(low), y);
    return fma(state, set1(high), y);
  }
};

// g + wd p + l1 sign(p)
template <class T>
FASTNN_INLINE Vec<T> penalised(Vec<T> grad, Vec<T> p, const Factor<T>& decay, T l1) {
  if (decay.first != 0) grad = decay.times_plus(p, grad);
  if (l1 != 0) grad += p > Vec<T>{} ? set1(l1) : p < Vec<T>{} ? set1(-l1) : p;  // else p is 0 or NaN
  return grad;
}

// sqrt(a^2 + b^2) for a, b >= 0
template <class T>
FASTNN_INLINE Vec<T> hypotenuse(Vec<T> a, Vec<T> b) {
  const Vec<T> high = max(a, b), ratio = min(a, b) / high;
  const Vec<T> root = high * sqrt(fma(ratio, ratio, set1(T(1))));
  return ((high > Vec<T>{}) & (high < T(__builtin_inf())) & (a == a)) ? root : a + b;  // a + b: 0, infinity, NaN
}

// eps added to a second moment s: sqrt(s + eps) if `inside`, else sqrt(s) + eps. The result is never 0 if eps
// isn't, even where T cannot hold eps.
template <class T>
struct Epsilon {
  bool inside;
  double eps;
  T added, least = 0;

  Epsilon(double eps, bool inside) : inside(inside), eps(eps), added(T(eps)) {
    if (eps > 0) least = T(std::fmax(inside ? std::sqrt(eps) : eps, Limits<T>::smallest));
  }
  FASTNN_INLINE Vec<T> with(Vec<T> s) const { return max(set1(least), inside ? sqrt(s + added) : sqrt(s) + added); }
  FASTNN_INLINE Vec<T> with_root(Vec<T> root) const {
    return inside ? hypotenuse<T>(root, set1(least)) : max(set1(least), root + added);
  }
  // with_root() to divide by: the root is that of a moment above 0, so the divisor isn't 0 even if eps is.
  FASTNN_INLINE Vec<T> divisor(Vec<T> root) const { return max(set1(T(Limits<T>::smallest)), with_root(root)); }
  // Whether terms `share` * g^2 that are flushed to zero make no difference beside eps, even when they add up over the
  // steps: then less than smallest / share is lost.
  bool hides(double share) const {
    const double lost = Limits<T>::smallest / share;
    return (inside ? lost : std::sqrt(lost)) <= eps * Limits<T>::epsilon;
  }
};

// s = keep s + share g^2
template <class T>
struct Moment {
  Share<T> keep;
  T share, root_keep, root_share, smallest;

  Moment(double keep_, double share_, bool hidden)
      : keep(keep_), share(T(share_)), root_keep(T(std::sqrt(keep_))), root_share(T(std::sqrt(share_))) {
    smallest = T(hidden ? 0 : Limits<T>::smallest / Limits<T>::epsilon);
  }
  FASTNN_INLINE Vec<T> next(Vec<T> s, Vec<T> g) const { return keep.times_plus(s, g * share * g); }
  // The lanes in which next() is not to be used: the array holds a root, or T cannot hold the moment to full accuracy.
  FASTNN_INLINE Mask<T> odd(Vec<T> s, Vec<T> g, Vec<T> after) const {
    const auto zero = (s == Vec<T>{}) & (g == Vec<T>{});
    return ~(zero | ((s >= Vec<T>{}) & (after >= smallest) & (after <= T(Limits<T>::largest))));
  }
  FASTNN_INLINE Vec<T> next_root(Vec<T> s, Vec<T> g) const {
    return hypotenuse<T>(root(s) * root_keep, abs(g) * root_share);
  }
  static FASTNN_INLINE Vec<T> root(Vec<T> s) { return s < Vec<T>{} ? -s : sqrt(s); }
  // What the array holds for the moment that has this root.
  static FASTNN_INLINE Vec<T> stored(Vec<T> root) {
    const Vec<T> square = root * root;
    const auto beyond = (square < T(Limits<T>::smallest)) | (square > T(Limits<T>::largest));
    return (beyond & (root > Vec<T>{}) & (root <= T(Limits<T>::largest))) ? -root : square;
  }
};

// 1 - beta^t, to relative accuracy for a beta near 1 too
inline double correction(double beta, int64_t t) { return -std::expm1(double(t) * std::log(beta)); }

}  // namespace

// d = momentum d - lr g;  p = p + d, or with Nesterov p = p + momentum d - lr g.
// If there is no momentum, d is null and p = p - lr g.
template <class T>
void sgd_step(int64_t n, T* p, const T* g, T* d, double lr, double momentum, bool nesterov, double weight_decay,
              double l1) {
  const Factor<T> rate(-lr), decay(weight_decay);
  const Share<T> m(momentum);
  const T lasso = T(l1);
  for_vectors<T>(n, kSgdCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    Vec<T> step = rate.times(grad);
    if (d) {
      const Vec<T> velocity = m.times_plus(load_part(d + i, size), step);
      store_part(d + i, velocity, size);
      step = nesterov ? m.times_plus(velocity, step) : velocity;
    }
    store_part(p + i, old + step, size);
  });
}

// m = m + (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;
// p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
// With AMSGrad the step takes the largest v so far, which `largest` holds (null without AMSGrad). With decoupled decay
// p = (1 - lr wd) p comes before the step, and g has no term wd p.
template <class T>
void adam_step(int64_t n, T* p, const T* g, T* exp_avg, T* exp_avg_sq, T* largest, int64_t t, double lr, double beta1,
               double beta2, double eps, double weight_decay, double l1, bool decoupled) {
  // Numerator and denominator of the step are multiplied by sqrt(1 - beta2^t): to divide v by its correction would make
  // the root larger.
  const double root_correction = std::sqrt(correction(beta2, t));
  const Factor<T> step(-lr / correction(beta1, t) * root_correction);
  const Factor<T> keep(decoupled ? 1 - lr * weight_decay : 1), l2(decoupled ? 0 : weight_decay);
  const Epsilon<T> e(eps * root_correction, false);
  const Moment<T> moment(beta2, 1 - beta2, e.hides(1 - beta2));
  const Share<T> b1(beta1);
  const T a1 = T(1 - beta1), lasso = T(l1);
  for_vectors<T>(n, kAdamCost, [=](int64_t i, int64_t size) {
    fetch_ahead(p + i), fetch_ahead(g + i), fetch_ahead(exp_avg + i), fetch_ahead(exp_avg_sq + i);
    const Vec<T> old = load_part(p + i, size), m = load_part(exp_avg + i, size), v = load_part(exp_avg_sq + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, l2, lasso);
    Vec<T> mean = fma(grad - m, set1(a1), m), square = moment.next(v, grad), most = square;
    Mask<T> odd = moment.odd(v, grad, square) | (mean != mean);
    if (largest) {
      const Vec<T> before = load_part(largest + i, size);
      most = max(before, square);
      odd |= ~(before >= Vec<T>{});
    }
    Vec<T> root = e.with(most);
    if (__builtin_expect(any<T>(odd), 0)) {
      const Vec<T> next = moment.next_root(v, grad);
      const Vec<T> before = largest ? load_part(largest + i, size) : Vec<T>{}, top = moment.root(before);
      mean = odd ? b1.times_plus(m, grad * a1) : mean;  // grad - m may overflow, or be infinite
      square = odd ? moment.stored(next) : square;
      const Mask<T> lower = ~(top > next) & (top == top);
      most = odd ? (lower ? square : before) : most;
      root = odd ? e.divisor(lower ? next : top) : root;
    }
    store_part(exp_avg + i, mean, size);
    store_part(exp_avg_sq + i, square, size);
    if (largest) store_part(largest + i, most, size);
    store_part(p + i, step.times_plus(mean / root, keep.times(old)), size);
  });
}

namespace {

// s = keep s + share g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void root_step(int64_t n, T* p, const T* g, T* state, double lr, const Moment<T>& moment, const Epsilon<T>& e,
               double weight_decay, double l1) {
  const Factor<T> rate(-lr), decay(weight_decay);
  const T lasso = T(l1);
  for_vectors<T>(n, kRmspropCost, [=](int64_t i, int64_t size) {
    fetch_ahead(p + i), fetch_ahead(g + i), fetch_ahead(state + i);  // 0.9 of the time for 9.4 million values
    const Vec<T> old = load_part(p + i, size), before = load_part(state + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    Vec<T> s = moment.next(before, grad), root = e.with(s);
    const Mask<T> odd = moment.odd(before, grad, s);
    if (__builtin_expect(any<T>(odd), 0)) {
      const Vec<T> next = moment.next_root(before, grad);
      s = odd ? moment.stored(next) : s;
      root = odd ? e.divisor(next) : root;
    }
    store_part(state + i, s, size);
    store_part(p + i, rate.times_plus(grad / root, old), size);
  });
}

}  // namespace

// s = alpha s + (1 - alpha) g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void rmsprop_step(int64_t n, T* p, const T* g, T* square_avg, double lr, double alpha, double eps, double weight_decay,
                  double l1, bool eps_inside) {
  const Epsilon<T> e(eps, eps_inside);
  root_step<T>(n, p, g, square_avg, lr, Moment<T>(alpha, 1 - alpha, e.hides(1 - alpha)), e, weight_decay, l1);
}

// s = s + g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void adagrad_step(int64_t n, T* p, const T* g, T* sum, double lr, double eps, double weight_decay, double l1,
                  bool eps_inside) {
  constexpr double steps = 1 << 20;  // a million, over which squares that are flushed to zero may add up
  const Epsilon<T> e(eps, eps_inside);
  root_step<T>(n, p, g, sum, lr, Moment<T>(1, 1, e.hides(1 / steps)), e, weight_decay, l1);
}

// s = rho s + (1 - rho) g^2;  d = sqrt((D + eps) / (s + eps)) g;  D = rho D + (1 - rho) d^2;  p = p - lr d
template <class T>
void adadelta_step(int64_t n, T* p, const T* g, T* square_avg, T* acc_delta, double lr, double rho, double eps,
                   double weight_decay, double l1) {
  const Factor<T> rate(-lr), decay(weight_decay);
  const T lasso = T(l1);
  const Epsilon<T> e(eps, true);
  const Moment<T> moment(rho, 1 - rho, e.hides(1 - rho));
  for_vectors<T>(n, kAdadeltaCost, [=](int64_t i, int64_t size) {
    fetch_ahead(p + i), fetch_ahead(g + i), fetch_ahead(square_avg + i), fetch_ahead(acc_delta + i);
    const Vec<T> old = load_part(p + i, size);
    const Vec<T> before = load_part(square_avg + i, size), delta_before = load_part(acc_delta + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    Vec<T> s = moment.next(before, grad);
    const Vec<T> ratio = (delta_before + e.added) / (s + e.added);  // one root serves if T can hold the ratio
    Vec<T> delta = sqrt(ratio) * grad, deltas = moment.next(delta_before, delta);
    const auto held = (ratio >= T(Limits<T>::smallest)) & (ratio <= T(Limits<T>::largest));
    const Mask<T> odd = moment.odd(before, grad, s) | moment.odd(delta_before, delta, deltas) | ~held;
    if (__builtin_expect(any<T>(odd), 0)) {
      const Vec<T> next = moment.next_root(before, grad);
      const Vec<T> exact = e.with_root(moment.root(delta_before)) * (grad / e.divisor(next));
      s = odd ? moment.stored(next) : s;
      deltas = odd ? moment.stored(moment.next_root(delta_before, exact)) : deltas;
      delta = odd ? exact : delta;
    }
    store_part(square_avg + i, s, size);
    store_part(acc_delta + i, deltas, size);
    store_part(p + i, rate.times_plus(delta, old), size);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
