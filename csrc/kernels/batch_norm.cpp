// Batch norm. x, y (outer, channels, inner); weight, bias, mean, rstd, running statistics (channels).
//   mean = sum(x) / m, var = sum((x - mean)^2) / m over outer and inner, m = outer * inner, rstd = 1 / sqrt(var + eps)
//   y = (x - mean) * rstd * weight + bias
// A channel's planes are gone through three times while they are in the cache. With inner == 1 a channel is a column
// of a matrix: there a vector holds several channels, and the column is summed in blocks of rows.
#include <cmath>

#include "../simd/sums.h"
#define FASTNN_FAMILY "batch_norm.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kNormCost = 0.25;  // rough nanoseconds per element and pass

template <class T>
FASTNN_INLINE T value_or(const T* p, int64_t i, double otherwise) {
  return p ? p[i] : T(otherwise);
}

template <class T>
FASTNN_INLINE Vec<T> vector_or(const T* p, int64_t i, int n, double otherwise) {
  return p ? load_n(p + i, n) : set1(T(otherwise));
}

// Sum over the rows of a matrix of f(row), L columns at a time: blocks of 64 rows in T, then the blocks.
template <class T, class F>
FASTNN_INLINE Vec<T> column_sum(int64_t rows, const F& f) {
  Vec<T> sum = {};
  for (int64_t i0 = 0; i0 < rows; i0 += 64) {
    Vec<T> part = {};
    for (int64_t i = i0; i < rows && i < i0 + 64; ++i) part += f(i);
    sum += part;
  }
  return sum;
}

// Calls body(first column, columns) for vectors of channels of a (outer, channels) matrix.
template <class T, class Body>
void for_columns(const Norm& g, double passes, const Body& body) {
  constexpr int64_t L = lanes<T>;
  parallel_for((g.channels + L - 1) / L, double(g.outer * g.channels) * kNormCost * passes, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin * L; c < end * L && c < g.channels; c += L) body(c, int(g.channels - c < L ? g.channels - c : L));
  });
}

// r = momentum * r + (1 - momentum) * batch, the variance unbiased: m / (m - 1)
template <class T>
void update_running(int64_t c, double m, double momentum, double mean, double var, T* running_mean, T* running_var) {
  if (running_mean) running_mean[c] = T(momentum * double(running_mean[c]) + (1 - momentum) * mean);
  if (running_var) running_var[c] = T(momentum * double(running_var[c]) + (1 - momentum) * var * m / (m - 1));
}

template <class T>
struct Statistics {
  double mean, var;
};

template <class T>
Statistics<T> channel_statistics(const Norm& g, const T* x_c, double m) {
  const int64_t step = g.channels * g.inner;
  BlockSums<T, 1> sum, squares;
  for (int64_t n = 0; n < g.outer; ++n) sum.add(g.inner, [](Vec<T>* acc, Vec<T> v) { acc[0] += v; }, x_c + n * step);
  const double mean = sum.total(0) / m;
  const Vec<T> centre = set1(T(mean));
  const auto square = [centre](Vec<T>* acc, Vec<T> v) {
    const Vec<T> d = v - centre;
    acc[0] = fma(d, d, acc[0]);
  };
  const int64_t whole = g.inner / lanes<T> * lanes<T>;
  double rest = 0;  // lanes beyond the plane would add the mean's square
  for (int64_t n = 0; n < g.outer; ++n) {
    squares.add(whole, square, x_c + n * step);
    if (whole == g.inner) continue;
    const Vec<T> d = load_n(x_c + n * step + whole, int(g.inner - whole)) - centre;
    const Mask<T> inside = iota<T>() < Mask<T>{} + typename VecTraits<T>::Int(g.inner - whole);
    rest += double(reduce_add<T>(inside ? d * d : Vec<T>{}));
  }
  return {mean, (squares.total(0) + rest) / m};
}

template <class T>
void train_columns(const Norm& g, const T* x, const T* weight, const T* bias, T* running_mean, T* running_var,
                   double momentum, double eps, T* y, T* mean, T* rstd) {
  const double m = double(g.outer);
  for_columns<T>(g, 3, [&](int64_t c, int n) {
    const auto row = [=](int64_t i) { return load_n(x + i * g.channels + c, n); };
    const Vec<T> mu = column_sum<T>(g.outer, row) / set1(T(m));
    const Vec<T> var = column_sum<T>(g.outer, [=](int64_t i) { return (row(i) - mu) * (row(i) - mu); }) / set1(T(m));
    const Vec<T> r = set1(T(1)) / sqrt(var + set1(T(eps)));
    const Vec<T> scale = r * vector_or(weight, c, n, 1), shift = vector_or(bias, c, n, 0);
    for (int64_t i = 0; i < g.outer; ++i) store_n(y + i * g.channels + c, fma(row(i) - mu, scale, shift), n);
    store_n(mean + c, mu, n);
    store_n(rstd + c, r, n);
    for (int l = 0; l < n; ++l) update_running(c + l, m, momentum, mu[l], var[l], running_mean, running_var);
  });
}

}  // namespace

// running_mean and running_var, if given, are updated in place: r = momentum * r + (1 - momentum) * batch statistic
template <class T>
void batch_norm_train_forward(const Norm& g, const T* x, const T* weight, const T* bias, T* running_mean, T* running_var,
                              double momentum, double eps, T* y, T* mean, T* rstd) {
  if (g.inner == 1) return train_columns(g, x, weight, bias, running_mean, running_var, momentum, eps, y, mean, rstd);
  const double m = double(g.outer) * double(g.inner);
  parallel_for(g.channels, double(g.channels) * m * kNormCost * 2, [=](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const T* x_c = x + c * g.inner;
      const Statistics<T> s = channel_statistics(g, x_c, m);
      mean[c] = T(s.mean);
      rstd[c] = T(1 / std::sqrt(s.var + eps));
      update_running(c, m, momentum, s.mean, s.var, running_mean, running_var);
      const Vec<T> centre = set1(mean[c]), scale = set1(T(rstd[c] * value_or(weight, c, 1))), shift = set1(value_or(bias, c, 0));
      for (int64_t n = 0; n < g.outer; ++n) {
        const int64_t at = n * g.channels * g.inner;
        map_run(g.inner, [=](Vec<T> v) { return fma(v - centre, scale, shift); }, y + c * g.inner + at, x_c + at);
      }
    }
  });
}

// y = (x - mean) / sqrt(var + eps) * weight + bias with given statistics
template <class T>
void batch_norm_eval_forward(const Norm& g, const T* x, const T* mean, const T* var, const T* weight, const T* bias,
                             double eps, T* y) {
  if (g.inner == 1) {
    return for_columns<T>(g, 1, [=](int64_t c, int n) {
      const Vec<T> scale = vector_or(weight, c, n, 1) / sqrt(load_n(var + c, n) + set1(T(eps)));
      const Vec<T> centre = load_n(mean + c, n), shift = vector_or(bias, c, n, 0);
      for (int64_t i = 0; i < g.outer; ++i) {
        const int64_t at = i * g.channels + c;
        store_n(y + at, fma(load_n(x + at, n) - centre, scale, shift), n);
      }
    });
  }
  const int64_t planes = g.outer * g.channels;
  parallel_for(planes, double(planes) * double(g.inner) * kNormCost, [=](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t c = plane % g.channels;
      const Vec<T> scale = set1(T(value_or(weight, c, 1) / std::sqrt(double(var[c]) + eps)));
      const Vec<T> centre = set1(mean[c]), shift = set1(value_or(bias, c, 0));
      map_run(g.inner, [=](Vec<T> v) { return fma(v - centre, scale, shift); }, y + plane * g.inner, x + plane * g.inner);
    }
  });
}

// y = (x - mean) * rstd * weight + bias, mean and rstd functions of x (training) or given
//   =>  dbias = sum(dy), dweight = sum(dy * (x - mean)) * rstd
//       given:    dx = dy * rstd * weight
//       training: dx = rstd * weight * (dy - dbias / m - (x - mean) * rstd * dweight / m)
// dx may be null.
template <class T>
void batch_norm_backward(const Norm& g, bool training, const T* dy, const T* x, const T* weight, const T* mean,
                         const T* rstd, T* dx, T* dweight, T* dbias) {
  const double m = double(g.outer) * double(g.inner);
  if (g.inner == 1) {
    return for_columns<T>(g, 3, [=](int64_t c, int n) {
      const Vec<T> mu = load_n(mean + c, n), r = load_n(rstd + c, n);
      const auto d = [=](int64_t i) { return load_n(dy + i * g.channels + c, n); };
      const auto centred = [=](int64_t i) { return load_n(x + i * g.channels + c, n) - mu; };
      const Vec<T> sum = column_sum<T>(g.outer, d);
      const Vec<T> dot = column_sum<T>(g.outer, [=](int64_t i) { return d(i) * centred(i); }) * r;
      store_n(dbias + c, sum, n);
      store_n(dweight + c, dot, n);
      if (!dx) return;
      const Vec<T> k = r * vector_or(weight, c, n, 1), share = set1(T(training ? 1 / m : 0));
      const Vec<T> slope = k * r * dot * share, level = k * sum * share;
      for (int64_t i = 0; i < g.outer; ++i) {
        // Given statistics leave no term in x: zero times its NaN would be one.
        const Vec<T> through = training ? fma(centred(i), slope, level) : Vec<T>{};
        store_n(dx + i * g.channels + c, d(i) * k - through, n);
      }
    });
  }
  parallel_for(g.channels, double(g.channels) * m * kNormCost * 3, [=](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const Vec<T> centre = set1(mean[c]);
      const auto terms = [centre](Vec<T>* acc, Vec<T> d, Vec<T> v) {
        acc[0] += d;
        acc[1] = fma(d, v - centre, acc[1]);
      };
      BlockSums<T, 2> sums;
      const int64_t step = g.channels * g.inner, first = c * g.inner;
      for (int64_t n = 0; n < g.outer; ++n) sums.add(g.inner, terms, dy + first + n * step, x + first + n * step);
      const double sum = sums.total(0), dot = sums.total(1) * double(rstd[c]);
      dbias[c] = T(sum);
      dweight[c] = T(dot);
      if (!dx) continue;
      const double scale = double(rstd[c]) * double(value_or(weight, c, 1)), share = training ? 1 / m : 0;
      const Vec<T> k = set1(T(scale)), slope = set1(T(scale * double(rstd[c]) * dot * share)), level = set1(T(scale * sum * share));
      const auto gradient = [=](Vec<T> d, Vec<T> v) { return d * k - fma(v - centre, slope, level); };
      for (int64_t n = 0; n < g.outer; ++n) {
        const int64_t at = first + n * step;
        if (training)
          map_run(g.inner, gradient, dx + at, dy + at, x + at);
        else
          map_run(g.inner, [k](Vec<T> d) { return d * k; }, dx + at, dy + at);
      }
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
