// What batch norm by planes (batch_norm.cpp) and by columns (batch_norm_columns.h) share: what is done with a value of
// a channel, and with the statistics once they are found.
#pragma once
#include "../simd/map.h"
#include "../types.h"
#include "standard.h"

namespace fastnn::FASTNN_ISA {
namespace {

// What follows the norm: nothing, ReLU, or ReLU of its sum with a residual.
enum Then { kNothing, kRelu, kResidual };

template <Then then>
struct Follows {
  static constexpr Then value = then;
};

// Calls f(Follows<…>{}) for the case at hand, so that loops are compiled for each case.
template <class F>
void with_then(bool relu, bool residual, const F& f) {
  if (!relu) return f(Follows<kNothing>{});
  if (!residual) return f(Follows<kRelu>{});
  f(Follows<kResidual>{});
}

template <class T>
FASTNN_INLINE Vec<T> rectified(Vec<T> v) {
  return v < Vec<T>{} ? Vec<T>{} : v;
}

// Returns dz: dy where the ReLU let y pass, and 0 where it cut y off. If a residual was added, y is read from memory;
// otherwise it is computed again, as line(x).
template <class T, Then then>
FASTNN_INLINE Vec<T> passed(Vec<T> dy, Vec<T> x, const T* y, int64_t at, int64_t size, const Normal<T>& line) {
  if constexpr (then == kNothing) return dy;
  const Vec<T> v = then == kResidual ? load_part(y + at, size) : line(x);
  return v <= Vec<T>{} ? Vec<T>{} : dy;
}

template <class T>
FASTNN_INLINE double value_or(const T* p, int64_t i, double otherwise) {
  return p ? double(p[i]) : otherwise;
}

// The line that makes y of x in channel c: xhat * weight + bias
template <class T>
FASTNN_INLINE Standard<T> line_of(const Standard<T>& s, const T* weight, const T* bias, int64_t c) {
  return with_affine(s, value_or(weight, c, 1), value_or(bias, c, 0));
}

// The arrays of a training step's forward.
template <class T>
struct Training {
  const T *x, *weight, *bias, *residual;
  T *running_mean, *running_var;
  double momentum, bessel;  // bessel: m / (m - 1) where the running variance is the unbiased one, else 1
  Epsilon eps;
  T* y;
  double *mean, *rstd;

  Standard<T> standard(int64_t c) const { return {mean[c], rstd[c]}; }
  // Stores the statistics of channel c, and updates the running ones: r = momentum * r + (1 - momentum) * batch.
  void settle(int64_t c, const Moments& found) const {
    mean[c] = found.mean;
    rstd[c] = found.rstd;
    if (running_mean) running_mean[c] = T(momentum * double(running_mean[c]) + (1 - momentum) * found.mean);
    if (running_var) running_var[c] = T(momentum * double(running_var[c]) + (1 - momentum) * found.var * bessel);
  }
};

// dx = (dz - (v * slope + level)) * k; the weight is in k, since all values that share a mean share it, too.
template <class T>
struct Slope {
  T k, slope, level;
};

// The arrays of a backward pass. y is set only where the forward pass added a residual, and dz is the gradient of that
// residual.
template <class T>
struct Gradients {
  bool training;
  const T *dy, *x, *y, *weight, *bias;
  const double *mean, *rstd;
  T *dx, *dz, *dweight, *dbias;

  Standard<T> standard(int64_t c) const { return {mean[c], rstd[c]}; }
  // Stores dbias and dweight of channel c, and returns the numbers that its dx needs. `sum` and `product` are the
  // channel's sums of dz and of dz * v, v as in standard.h; `share` is 1 / m in training, else 0.
  Slope<T> settle(int64_t c, const Standard<T>& s, double sum, double product, double share) const {
    const Through through(s, sum, product, share);
    dbias[c] = T(sum);
    dweight[c] = T(through.dot);
    return {factor_of<T>(rstd[c] * value_or(weight, c, 1)), T(through.slope), T(through.level)};
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
