// What both ways through a batch norm share: what is done with a value of a channel, and the end of its statistics.
#pragma once
#include <cmath>

#include "../parallel.h"
#include "../simd/vec.h"
#include "../types.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kNormCost = 0.25;  // rough nanoseconds per element and pass

// What follows the norm: nothing, ReLU, or ReLU of its sum with a residual.
enum Then { kNothing, kRelu, kResidual };

template <Then then>
struct Follows {
  static constexpr Then value = then;
};

// f(Follows<…>), so that loops are compiled for each.
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

// y = (x - centre) * scale + shift, for one channel or for a vector of columns
template <class T>
struct Line {
  Vec<T> centre, scale, shift;
  FASTNN_INLINE Vec<T> operator()(Vec<T> x) const { return fma(x - centre, scale, shift); }
};

// dz: what is left of dy where y, found in memory behind a residual and from x otherwise, was not cut off.
template <class T, Then then>
FASTNN_INLINE Vec<T> passed(Vec<T> dy, Vec<T> x, const T* y, int64_t at, int64_t size, const Line<T>& line) {
  if constexpr (then == kNothing) return dy;
  const Vec<T> v = then == kResidual ? load_part(y + at, size) : line(x);
  return v <= Vec<T>{} ? Vec<T>{} : dy;
}

// dx = dz * k - ((x - centre) * slope + level)
struct Slope {
  double k, slope, level;

  Slope(double rstd, double weight, double sum, double dot, double share)
      : k(rstd * weight), slope(k * rstd * dot * share), level(k * sum * share) {}
};

template <class T>
FASTNN_INLINE double value_or(const T* p, int64_t i, double otherwise) {
  return p ? double(p[i]) : otherwise;
}

template <class T>
FASTNN_INLINE T scale_of(const T* rstd, const T* weight, int64_t c) {
  return weight ? rstd[c] * weight[c] : rstd[c];
}

// The arrays of a training step's forward.
template <class T>
struct Training {
  const T *x, *weight, *bias, *residual;
  T *running_mean, *running_var;
  double momentum, eps;
  T *y, *mean, *rstd;

  // r = momentum * r + (1 - momentum) * batch, the variance unbiased: m / (m - 1)
  void settle(int64_t c, double m, double batch_mean, double var) const {
    mean[c] = T(batch_mean);
    rstd[c] = T(1 / std::sqrt(var + eps));
    if (running_mean) running_mean[c] = T(momentum * double(running_mean[c]) + (1 - momentum) * batch_mean);
    if (running_var) running_var[c] = T(momentum * double(running_var[c]) + (1 - momentum) * var * m / (m - 1));
  }
};

// The arrays of a backward; y only behind a residual, whose gradient dz is.
template <class T>
struct Gradients {
  bool training;
  const T *dy, *x, *y, *weight, *bias, *mean, *rstd;
  T *dx, *dz, *dweight, *dbias;

  // From the channel's sums of dz and of dz * (x - mean); part: 1 / m in training, else 0.
  Slope settle(int64_t c, double sum, double dot, double part) const {
    dot *= double(rstd[c]);
    dbias[c] = T(sum);
    dweight[c] = T(dot);
    return {double(rstd[c]), value_or(weight, c, 1), sum, dot, part};
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
