// Batch norm. x, y (outer, channels, inner); weight, bias, mean, rstd, running statistics (channels).
//   mean = sum(x) / m, var = sum((x - mean)^2) / m over outer and inner, m = outer * inner, rstd = 1 / sqrt(var + eps)
//   y = (x - mean) * rstd * weight + bias
//   with ReLU: y = max(0, (x - mean) * rstd * weight + bias + residual), residual (outer, channels, inner) or none
// A channel's planes are gone through twice, the second time while they are in the cache; planes of a few vectors
// are treated as columns of a matrix (batch_norm_columns.h).
#include "batch_norm_columns.h"
#define FASTNN_FAMILY "batch_norm.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kBlock = 4096;  // values that are summed in T before they are merged in double

// Planes of up to kNarrowVectors vectors are treated as columns of a matrix. On Zen 5, with 16 floats in a vector, that
// takes 0.6 of the time for 128×64×8×8 and 32×512×7×7, but would take 1.3 for 128×32×16×16.
constexpr int64_t kNarrowVectors = 8;
template <class T>
FASTNN_INLINE bool narrow(const Norm& g) {
  return g.inner <= kNarrowVectors * lanes<T>;
}

// Planes of more than kCopiedPlane bytes are copied to y while their statistics are taken, and y is then finished in
// place: to fetch y's lines takes no time beside reading x. (It is not done if y is stored past the caches.) On Zen 5
// 32×64×56×56 takes 1.6 instead of 2.0 ms; planes of 4 KB gain nothing.
constexpr int64_t kCopiedPlane = 8192;

double values_of(const Norm& g) { return double(g.outer) * double(g.channels) * double(g.inner); }

constexpr int kParts = kRowsInFlight * kRowVectors;  // partial sums, as in sums.h

// Calls f(u, at, size) for the vectors of [begin, end): `u` says which of the kParts partial sums the vector adds to,
// and `at` is its first element. `size`, the number of elements left, is below lanes only for the last vectors.
template <class T, class F>
FASTNN_INLINE void for_run(int64_t begin, int64_t end, const F& f) {
  constexpr int64_t R = kRowLanes<T>;
  int64_t i = begin;
  for (; i + kRowsInFlight * R <= end; i += kRowsInFlight * R)
#pragma GCC unroll 4
    for (int r = 0; r < kRowsInFlight; ++r)
      for_row<T>(i + r * R, R, [&](int v, int64_t at, int64_t) FASTNN_FLAT { f(r * kRowVectors + v, at, R); });
  for (; i < end; i += R)
    for_row<T>(i, end - i, [&](int v, int64_t at, int64_t size) FASTNN_FLAT {
      if (size > 0) f(v, at, size);
    });
}

// Calls block(count, sweep) for each block of a channel's planes, of about kBlock values. `count` is their number,
// and sweep(f) calls f for them as for_run does.
template <class T, class Block>
FASTNN_INLINE void for_blocks(const Norm& g, const Block& block) {
  const int64_t step = g.channels * g.inner, planes = g.inner < kBlock ? kBlock / g.inner : 1;
  for (int64_t n = 0; n < g.outer; n += planes) {
    const int64_t last = n + planes < g.outer ? n + planes : g.outer;
    for (int64_t i = 0; i < g.inner; i += kBlock) {
      const int64_t end = i + kBlock < g.inner ? i + kBlock : g.inner;
      block((last - n) * (end - i), [=](const auto& f) FASTNN_FLAT {
        for (int64_t p = n; p < last; ++p) for_run<T>(p * step + i, p * step + end, f);
      });
    }
  }
}

template <class T>
FASTNN_INLINE double merged(Vec<T>* acc) {
  constexpr int W = kRowVectors;
  for (int v = 0; v < W; ++v) acc[v] = (acc[v] + acc[W + v]) + (acc[2 * W + v] + acc[3 * W + v]);
  return double(reduce_row<T>(acc));
}

// Returns nearly the mean of the n values x, a channel's first block; where all are the same, exactly that value.
template <class T>
T first_pivot(int64_t n, const T* x) {
  Vec<T> acc[kParts] = {};
  const Vec<T> first = set1(x[0]);
  for_run<T>(0, n, [&](int u, int64_t at, int64_t size) FASTNN_FLAT {
    acc[u] += within<T>(load_part(x + at, size) - first, size);
  });
  return T(double(x[0]) + merged<T>(acc) / double(n));
}

template <class T>
Moments channel_moments_scaled(const Norm& g, const T* x, double m, const Epsilon& eps) {
  return scaled_moments(m, eps, [&](const auto& f) {
    for (int64_t n = 0; n < g.outer; ++n)
      for (int64_t i = 0; i < g.inner; ++i) f(double(x[n * g.channels * g.inner + i]));
  });
}

// The moments of a channel, in one visit to its values. The deviations of a block are taken from a pivot q near the
// mean, which is the mean of the values so far. When the block is merged, its sums are moved to the first pivot p:
//   sum((x - p)^2) = sum((x - q)^2) + (q - p) (2 sum(x - q) + count (q - p))
// If `copy` is not null, x is copied to it. With `fetch`, each plane is fetched while the one before is read.
template <bool fetch, class T>
Moments channel_moments(const Norm& g, const T* x, T* copy, double m, const Epsilon& eps) {
  const int64_t step = g.channels * g.inner;
  const T first = first_pivot(g.inner < kBlock ? g.inner : kBlock, x);
  double sum = 0, squares = 0, seen = 0;
  for_blocks<T>(g, [&](int64_t count, const auto& sweep) FASTNN_FLAT {
    const double moved = seen > 0 ? double(T(sum / seen)) : 0;
    const Vec<T> pivot = set1(T(double(first) + moved));
    Vec<T> s[kParts] = {}, q[kParts] = {};
    sweep([&](int u, int64_t at, int64_t size) FASTNN_FLAT {
      if (fetch) __builtin_prefetch(x + at + step);
      const Vec<T> v = load_part(x + at, size);
      if (copy) store_part(copy + at, v, size);
      const Vec<T> d = within<T>(v - pivot, size);
      s[u] += d;
      q[u] = fma(d, d, q[u]);
    });
    const double off = double(pivot[0]) - double(first), part = merged<T>(s);
    squares += merged<T>(q) + off * (2 * part + double(count) * off);
    sum += part + double(count) * off;
    seen += double(count);
  });
  const Moments found = moments_about(double(first), sum, squares, 1 / m, eps);
  return in_range<T>(found.var, eps) ? found : channel_moments_scaled(g, x, m, eps);
}

// Computes y of one plane, which begins at `at`; calls fetch(i) before it reads the vector at element i of the plane.
template <class T, Then then, bool past, class Fetch>
FASTNN_INLINE void plane_forward(int64_t at, int64_t inner, const Fetch& fetch, const Normal<T>& line, const T* x,
                                 const T* residual, T* y) {
  if constexpr (then == kResidual)
    map_run_fetching<past>(
        inner, fetch, [=](Vec<T> v, Vec<T> r) { return rectified<T>(line(v) + r); }, y + at, x + at, residual + at);
  else
    map_run_fetching<past>(
        inner, fetch, [=](Vec<T> v) { return then == kNothing ? line(v) : rectified<T>(line(v)); }, y + at, x + at);
}

// The second visit begins with the last plane, which was read last and is still in a cache. Where y is stored past the
// caches, that visit fetches the next channel's planes, or the next plane of the residual.
template <class T, Then then, bool past>
FASTNN_INLINE void channel_train(const Norm& g, const Training<T>& a, int64_t c) {
  const double m = double(g.outer) * double(g.inner);
  const bool copied = !past && then != kResidual && g.inner * int64_t(sizeof(T)) > kCopiedPlane;
  const T* from = copied ? a.y : a.x;
  const T* ahead = then == kResidual ? a.residual - g.channels * g.inner : a.x + g.inner;
  T* copy = copied ? a.y + c * g.inner : nullptr;
  a.settle(c, channel_moments<(past && then == kResidual)>(g, a.x + c * g.inner, copy, m, a.eps));
  const Normal<T> line(line_of(a.standard(c), a.weight, a.bias, c));
  for (int64_t n = g.outer - 1; n >= 0; --n) {
    const int64_t at = (n * g.channels + c) * g.inner;
    const auto fetch = [=](int64_t i) {
      if (past) __builtin_prefetch(ahead + at + i);
    };
    plane_forward<T, then, past>(at, g.inner, fetch, line, from, a.residual, a.y);
  }
}

// Adds dz and dz * v, summed over a channel, to `sum` and `product`; v is as in standard.h. Where a residual was added
// after the norm, dz is its gradient and is stored, too. If the arrays are larger than the caches (`past`), a plane is
// fetched while the one before is read: 1.2 instead of 1.6 ms for 32×64×56×56 on Zen 5.
template <class T, Then then, bool past>
void channel_sums(const Norm& g, const Gradients<T>& a, int64_t first, const Normal<T>& line, double* sum,
                  double* product) {
  const int64_t step = g.channels * g.inner;
  for_blocks<T>(g, [&](int64_t, const auto& sweep) FASTNN_FLAT {
    Vec<T> s[kParts] = {}, p[kParts] = {};
    sweep([&](int u, int64_t i, int64_t size) FASTNN_FLAT {
      const int64_t at = first + i;
      if (past) __builtin_prefetch(a.x + at + step), __builtin_prefetch(a.dy + at + step);
      const Vec<T> x = load_part(a.x + at, size);
      const Vec<T> dz = passed<T, then>(load_part(a.dy + at, size), x, a.y, at, size, line);
      if constexpr (then == kResidual) store_part(a.dz + at, dz, size);
      s[u] += dz;
      p[u] = fma(dz, line.difference(x), p[u]);
    });
    *sum += merged<T>(s);
    *product += merged<T>(p);
  });
}

template <class T, Then then, bool past>
FASTNN_INLINE void plane_backward(int64_t begin, int64_t inner, const Gradients<T>& a, const Normal<T>& line,
                                  const Slope<T>& by) {
  const Vec<T> k = set1(by.k), slope = set1(by.slope), level = set1(by.level);
  const T* dy = then == kResidual ? a.dz : a.dy;
  const auto gradient = [=, training = a.training](Vec<T> dz, Vec<T> x) {
    if constexpr (then == kRelu) dz = line(x) <= Vec<T>{} ? Vec<T>{} : dz;
    // With given statistics dx has no term in x. It is left out, because zero times a NaN in x would be NaN.
    const Vec<T> through = training ? fma(line.difference(x), slope, level) : Vec<T>{};
    return (dz - through) * k;
  };
  map_run<past>(inner, gradient, a.dx + begin, dy + begin, a.x + begin);
}

template <class T, Then then, bool past>
FASTNN_INLINE void channel_backward(const Norm& g, const Gradients<T>& a, int64_t c) {
  const double share = a.training ? 1 / (double(g.outer) * double(g.inner)) : 0;
  const Normal<T> line(line_of(a.standard(c), a.weight, a.bias, c));
  double sum = 0, product = 0;
  channel_sums<T, then, past>(g, a, c * g.inner, line, &sum, &product);
  const Slope<T> by = a.settle(c, a.standard(c), sum, product, share);
  if (!a.dx) return;
  for (int64_t n = g.outer - 1; n >= 0; --n)
    plane_backward<T, then, past>((n * g.channels + c) * g.inner, g.inner, a, line, by);
}

}  // namespace

// running_mean and running_var, if given, are updated in place: r = momentum * r + (1 - momentum) * batch statistic,
// the variance with Bessel's correction if unbiased
template <class T>
void batch_norm_train_forward(const Norm& g, bool relu, const T* x, const T* weight, const T* bias, const T* residual,
                              T* running_mean, T* running_var, double momentum, bool unbiased, double eps, T* y,
                              double* mean, double* rstd) {
  const double m = double(g.outer) * double(g.inner), bessel = unbiased ? m / (m - 1) : 1;
  const Training<T> a{x,        weight, bias,         residual, running_mean, running_var,
                      momentum, bessel, Epsilon(eps), y,        mean,         rstd};
  with_then(relu, residual, [&](auto then) {
    if (narrow<T>(g)) return columns_train<T, then.value>(g, a);
    each_item<T>(g.channels, values_of(g) * (residual ? 3 : 2), values_of(g) * kNormCost * kForwardVisits,
                 [=](auto past, int64_t c) { channel_train<T, then.value, past>(g, a, c); });
  });
}

// y = (x - mean) / sqrt(var + eps) * weight + bias with given statistics
template <class T>
void batch_norm_eval_forward(const Norm& g, bool relu, const T* x, const T* mean, const T* var, const T* weight,
                             const T* bias, const T* residual, double eps, T* y) {
  const auto line_at = [=](int64_t c) {
    return line_of(Standard<T>(double(mean[c]), 1 / std::sqrt(double(var[c]) + eps)), weight, bias, c);
  };
  with_then(relu, residual, [&](auto then) {
    if (narrow<T>(g)) {
      return for_column_blocks<T>(g, 1, [&](const ColumnBlock& block) {
        Lines<T> lines;
        lines.set(block, line_at);
        block_forward<T, then.value>(block, lines, x, residual, y);
      });
    }
    const double moved = values_of(g) * (residual ? 3 : 2);
    each_item<T>(g.outer * g.channels, moved, values_of(g) * kNormCost, [=](auto past, int64_t plane) {
      const Normal<T> line(line_at(plane % g.channels));
      const auto fetch = [=](int64_t i) {
        if (past) fetch_ahead(x + plane * g.inner + i);
      };
      plane_forward<T, then.value, past>(plane * g.inner, g.inner, fetch, line, x, residual, y);
    });
  });
}

// y = (x - mean) * rstd * weight + bias, mean and rstd functions of x (training) or given
//   =>  dbias = sum(dy), dweight = sum(dy * (x - mean)) * rstd
//       given:    dx = dy * rstd * weight
//       training: dx = rstd * weight * (dy - dbias / m - (x - mean) * rstd * dweight / m)
// With ReLU, dz = y <= 0 ? 0 : dy takes the place of dy. If there was a residual, dz is its gradient and is stored.
// Otherwise dz is computed twice, with the sign of y computed from x, and y is not read.
template <class T>
void batch_norm_backward(const Norm& g, bool training, bool relu, const T* dy, const T* x, const T* y, const T* weight,
                         const T* bias, const double* mean, const double* rstd, T* dx, T* dz, T* dweight, T* dbias) {
  const Gradients<T> a{training, dy, x, y, weight, bias, mean, rstd, dx, dz, dweight, dbias};
  with_then(relu, y, [&](auto then) {
    if (narrow<T>(g)) return columns_backward<T, then.value>(g, a);
    each_item<T>(g.channels, values_of(g) * (relu && y ? 5 : 3), values_of(g) * kNormCost * kBackwardVisits,
                 [=](auto past, int64_t c) { channel_backward<T, then.value, past>(g, a, c); });
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
