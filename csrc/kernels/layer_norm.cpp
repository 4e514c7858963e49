// Layer norm and group norm: statistics over a contiguous stretch of each sample.
//   layer norm: x (outer, inner), statistics per row, weight and bias (inner)
//   group norm: x (n, groups, channels, inner), statistics per (n, group), weight and bias (groups, channels)
//   y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(var + eps), var biased
#include <cmath>

#define FASTNN_FAMILY "layer_norm.inc"
#include "kernels.h"
#include "row_sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kNormCost = 0.25;  // rough nanoseconds per element and pass

// Mean and 1 / sqrt(var + eps) of n values: the sum, then the squares about the mean, while they are in the cache.
template <class T>
void stretch_statistics(int64_t n, const T* x, double eps, T* mean, T* rstd) {
  BlockSums<T, 1> sum, squares;
  sum.add(n, [](Vec<T>* acc, Vec<T> v) { acc[0] += v; }, x);
  *mean = T(sum.total(0) / double(n));
  const Vec<T> centre = set1(*mean);
  const int64_t whole = n / lanes<T> * lanes<T>;
  squares.add(whole, [centre](Vec<T>* acc, Vec<T> v) { acc[0] = fma(v - centre, v - centre, acc[0]); }, x);
  double total = squares.total(0);
  for (int64_t i = whole; i < n; ++i) total += double(x[i] - *mean) * double(x[i] - *mean);
  *rstd = T(1 / std::sqrt(total / double(n) + eps));
}

// dweight = sum over rows of dy * (x - mean) * rstd, dbias = sum of dy
template <class T>
void layer_norm_parameters(const Norm& g, const T* dy, const T* x, const T* mean, const T* rstd, T* dweight, T* dbias,
                           T* work) {
  const double cost = double(g.outer) * double(g.inner) * kNormCost * 2;
  sum_rows<T, 2>(RowChunks(g.outer, g.inner), cost, {dweight, dbias}, work, [=](int64_t i, int64_t j0, int64_t n, T** to) {
    const Vec<T> centre = set1(mean[i]), scale = set1(rstd[i]);
    const int64_t at = i * g.inner + j0;
    map_run(n, [=](Vec<T> w, Vec<T> d, Vec<T> v) { return fma(d, (v - centre) * scale, w); }, to[0], to[0], dy + at, x + at);
    map_run(n, [](Vec<T> b, Vec<T> d) { return b + d; }, to[1], to[1], dy + at);
  });
}

}  // namespace

// weight and bias may be null; mean, rstd (outer)
template <class T>
void layer_norm_forward(const Norm& g, const T* x, const T* weight, const T* bias, double eps, T* y, T* mean, T* rstd) {
  parallel_for(g.outer, double(g.outer) * double(g.inner) * kNormCost * 2, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x_i = x + i * g.inner;
      T* y_i = y + i * g.inner;
      stretch_statistics(g.inner, x_i, eps, mean + i, rstd + i);
      const Vec<T> centre = set1(mean[i]), scale = set1(rstd[i]);
      const auto normal = [=](Vec<T> v) { return (v - centre) * scale; };
      if (weight && bias)
        map_run(g.inner, [=](Vec<T> v, Vec<T> w, Vec<T> b) { return fma(normal(v), w, b); }, y_i, x_i, weight, bias);
      else if (weight)
        map_run(g.inner, [=](Vec<T> v, Vec<T> w) { return normal(v) * w; }, y_i, x_i, weight);
      else if (bias)
        map_run(g.inner, [=](Vec<T> v, Vec<T> b) { return normal(v) + b; }, y_i, x_i, bias);
      else
        map_run(g.inner, normal, y_i, x_i);
    }
  });
}

// Values of workspace that layer_norm_backward needs for the gradients of the parameters.
template <class T>
void layer_norm_backward_workspace(const Norm& g, int64_t* size) {
  *size = RowChunks(g.outer, g.inner).workspace(2);
}

// y = xhat * weight + bias, xhat = (x - mean) * rstd
//   =>  dx = rstd * (d - sum(d) / n - xhat * sum(d * xhat) / n), d = dy * weight, sums over the row
//       dweight = sum over rows of dy * xhat, dbias = sum over rows of dy
// dx may be null; dweight and dbias may both be null; work may be null if its size is 0.
template <class T>
void layer_norm_backward(const Norm& g, const T* dy, const T* x, const T* weight, const T* mean, const T* rstd, T* dx,
                         T* dweight, T* dbias, T* work) {
  if (dx)
    parallel_for(g.outer, double(g.outer) * double(g.inner) * kNormCost * 3, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T *dy_i = dy + i * g.inner, *x_i = x + i * g.inner;
        const Vec<T> centre = set1(mean[i]);
        BlockSums<T, 2> sums;
        const auto add = [centre](Vec<T>* acc, Vec<T> d, Vec<T> v) {
          acc[0] += d;
          acc[1] = fma(d, v - centre, acc[1]);
        };
        if (weight)
          sums.add(g.inner, [add](Vec<T>* acc, Vec<T> d, Vec<T> v, Vec<T> w) { add(acc, d * w, v); }, dy_i, x_i, weight);
        else
          sums.add(g.inner, add, dy_i, x_i);
        const double r = double(rstd[i]), n = double(g.inner);
        const Vec<T> scale = set1(rstd[i]), level = set1(T(r * sums.total(0) / n)), slope = set1(T(r * r * r * sums.total(1) / n));
        const auto gradient = [=](Vec<T> d, Vec<T> v) { return d * scale - fma(v - centre, slope, level); };
        if (weight)
          map_run(g.inner, [=](Vec<T> d, Vec<T> v, Vec<T> w) { return gradient(d * w, v); }, dx + i * g.inner, dy_i, x_i, weight);
        else
          map_run(g.inner, gradient, dx + i * g.inner, dy_i, x_i);
      }
    });
  if (dweight) layer_norm_parameters(g, dy, x, mean, rstd, dweight, dbias, work);
}

// weight and bias may be null; mean, rstd (n, groups)
template <class T>
void group_norm_forward(const GroupNorm& g, const T* x, const T* weight, const T* bias, double eps, T* y, T* mean, T* rstd) {
  const int64_t size = g.channels * g.inner, items = g.n * g.groups;
  parallel_for(items, double(items) * double(size) * kNormCost * 2, [=](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      stretch_statistics(size, x + item * size, eps, mean + item, rstd + item);
      const Vec<T> centre = set1(mean[item]);
      for (int64_t c = 0; c < g.channels; ++c) {
        const int64_t channel = item % g.groups * g.channels + c, at = item * size + c * g.inner;
        const Vec<T> scale = set1(weight ? rstd[item] * weight[channel] : rstd[item]);
        const Vec<T> shift = set1(bias ? bias[channel] : T(0));
        map_run(g.inner, [=](Vec<T> v) { return fma(v - centre, scale, shift); }, y + at, x + at);
      }
    }
  });
}

// y = xhat * weight + bias, xhat = (x - mean) * rstd  =>  as for layer norm, d = dy * weight of the channel
// sums (n, groups, channels, 2): of each plane sum(dy) and sum(dy * (x - mean)). dx, dweight, dbias may be null.
template <class T>
void group_norm_backward(const GroupNorm& g, const T* dy, const T* x, const T* weight, const T* mean, const T* rstd,
                         T* dx, T* dweight, T* dbias, double* sums) {
  const int64_t size = g.channels * g.inner, items = g.n * g.groups, channels = g.groups * g.channels;
  parallel_for(items, double(items) * double(size) * kNormCost * 3, [=](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const Vec<T> centre = set1(mean[item]);
      const int64_t group = item % g.groups * g.channels;
      double total = 0, dot = 0;
      for (int64_t c = 0; c < g.channels; ++c) {
        BlockSums<T, 2> plane;
        const auto terms = [centre](Vec<T>* acc, Vec<T> d, Vec<T> v) {
          acc[0] += d;
          acc[1] = fma(d, v - centre, acc[1]);
        };
        const int64_t at = item * size + c * g.inner;
        plane.add(g.inner, terms, dy + at, x + at);
        double* to = sums + 2 * (item * g.channels + c);
        to[0] = plane.total(0), to[1] = plane.total(1);
        const double w = weight ? double(weight[group + c]) : 1;
        total += w * to[0], dot += w * to[1];
      }
      if (!dx) continue;
      const double r = double(rstd[item]), m = double(size);
      const Vec<T> level = set1(T(r * total / m)), slope = set1(T(r * r * r * dot / m));
      for (int64_t c = 0; c < g.channels; ++c) {
        const Vec<T> scale = set1(weight ? rstd[item] * weight[group + c] : rstd[item]);
        const int64_t at = item * size + c * g.inner;
        map_run(g.inner, [=](Vec<T> d, Vec<T> v) { return d * scale - fma(v - centre, slope, level); }, dx + at, dy + at, x + at);
      }
    }
  });
  parallel_for(dweight || dbias ? channels : 0, double(g.n * channels), [=](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      double dw = 0, db = 0;
      for (int64_t n = 0; n < g.n; ++n) {
        const double* from = sums + 2 * (n * channels + channel);
        db += from[0];
        dw += from[1] * double(rstd[n * g.groups + channel / g.channels]);
      }
      if (dweight) dweight[channel] = T(dw);
      if (dbias) dbias[channel] = T(db);
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
