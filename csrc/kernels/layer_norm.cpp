// Layer norm and group norm: statistics over a contiguous run of each sample.
//   layer norm: x (outer, inner), statistics per row, weight and bias (inner)
//   group norm: x (n, groups, channels, inner), statistics per (n, group), weight and bias (groups, channels)
//   y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(var + eps), var biased
#define FASTNN_FAMILY "layer_norm.inc"
#include "../simd/map.h"
#include "kernels.h"
#include "row_sums.h"
#include "standard.h"

namespace fastnn::FASTNN_ISA {
namespace {

// While results of a run of n values are written, the next run, next_run() = n values ahead, is fetched. Each run is
// gone through more than once, and the first time would wait for memory while nothing is written. Fetched like this,
// instance norm of 32x64x56x56 takes 0.83 of the time on Zen 5. Nothing is fetched ahead where a run has more than
// kFetchedBytes: two runs have to fit the second-level cache, 1 MB on Zen 5, beside the results that are written.
constexpr int64_t kFetchedBytes = 256 * 1024;

template <class T>
int64_t next_run(int64_t n) {
  return n * int64_t(sizeof(T)) <= kFetchedBytes ? n : 0;
}

// The moments of n values; `share` is 1 / n. Both sums are taken about a pivot, the mean of two of the values, which is
// exact where all values are the same. If the pivot was not near the mean of all, the sums are taken once more, about
// the mean that was found.
template <class T>
Moments run_moments(int64_t n, double share, const T* x, const Epsilon& eps) {
  T pivot = (x[0] + x[n / 2]) / 2;
  Moments found;
  for (bool again = false;; again = true) {
    BlockSums<T, 2, true> about;
    const Vec<T> centre = set1(pivot);
    about.add_filled(
        n, pivot,
        [centre](Vec<T>* acc, Vec<T> v) {
          const Vec<T> d = v - centre;
          acc[0] += d;
          acc[1] = fma(d, d, acc[1]);
        },
        x);
    found = moments_about(double(pivot), about.total(0), about.total(1), share, eps);
    if (again || __builtin_expect(near_mean(double(pivot), found), 1)) break;
    pivot = T(found.mean);
  }
  if (in_range<T>(found.var, eps)) return found;
  return scaled_moments(double(n), eps, [=](const auto& f) {
    for (int64_t i = 0; i < n; ++i) f(double(x[i]));
  });
}

// How the gradients of a layer norm's parameters are summed. Where rows have up to kWholeRow values, and there are
// enough blocks of rows for a few threads, whole rows are visited once, for a row's sums, its dx and what it adds to
// the parameters' gradients: 4096x768 takes half the time of two visits on Zen 5. Otherwise the items of the loop are
// blocks of columns.
constexpr int64_t kWholeRow = 4096, kEnoughBlocks = 4;

bool by_whole_rows(const Norm& g) {
  return g.inner <= kWholeRow && SumBlocks(g.outer, g.inner).blocks >= kEnoughBlocks;
}

// With blocks of columns, rows are taken in groups, first for their sums and then for gradients: dy and x of a group,
// up to kGroupBytes, are still in the third-level cache the second time (32 MB on Zen 5).
constexpr int64_t kGroupBytes = 12 << 20;
constexpr int64_t kRowsTogether = 8;  // rows for which a tile of the parameters' gradients stays in registers

// An item has a sixteenth of the columns, so that there are items for some threads, but no fewer than kLeastColumns and
// no more than kMostColumns. The number is a multiple of what a tile takes at once, so a column is in the same tile
// whatever item a thread begins with. No measurement set these constants.
constexpr int64_t kColumnBlocks = 16, kLeastColumns = 64, kMostColumns = 8192;
int64_t columns_of_item(int64_t inner) {
  return clamp(ceil_div(inner / kColumnBlocks, kLeastColumns) * kLeastColumns, kLeastColumns, kMostColumns);
}

// dx = (d - (v * slope + level)) * rstd, as in standard.h
template <class T>
struct RowGradient {
  Standard<T> standard;
  T factor, slope, level;
};

template <class T>
RowGradient<T> row_gradient(int64_t n, const T* dy, const T* x, const T* weight, double mean, double rstd) {
  const Standard<T> standard(mean, rstd);
  const Normal<T> normal(standard);
  BlockSums<T, 2, true> sums;
  const auto add = [normal](Vec<T>* acc, Vec<T> d, Vec<T> v) {
    acc[0] += d;
    acc[1] = fma(d, normal.difference(v), acc[1]);
  };
  if (weight)
    sums.add(n, [add](Vec<T>* acc, Vec<T> d, Vec<T> v, Vec<T> w) { add(acc, d * w, v); }, dy, x, weight);
  else
    sums.add(n, add, dy, x);
  const Through through(standard, sums.total(0), sums.total(1), 1 / double(n));
  return {standard, factor_of<T>(rstd), T(through.slope), T(through.level)};
}

// Computes dx of a run of a row, and adds what the run contributes to dweight and dbias. dx may be null, weight may be,
// and dweight and dbias may both be.
template <class T>
void gradient_run(int64_t n, const RowGradient<T>& row, const T* dy, const T* x, const T* weight, T* dx, T* dweight,
                  T* dbias) {
  const Normal<T> normal(row.standard);
  const Vec<T> factor = set1(row.factor), slope = set1(row.slope), level = set1(row.level);
  const auto body = [=](int64_t i, int64_t size) FASTNN_FLAT {
    const Vec<T> d = load_part(dy + i, size), v = normal.difference(load_part(x + i, size));
    const Vec<T> share = weight ? d * load_part(weight + i, size) : d;
    if (dx) store_part(dx + i, (share - fma(v, slope, level)) * factor, size);
    if (!dweight) return;
    store_part(dweight + i, fma(d, normal.of_difference(v), load_part(dweight + i, size)), size);
    store_part(dbias + i, load_part(dbias + i, size) + d, size);
  };
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) body(i, lanes<T>);
  if (i < n) body(i, n - i);
}

// How often a backward pass that also makes the parameters' gradients visits each element. With blocks of columns
// another loop, which makes the sums of the rows, comes first, with kSumVisits visits.
constexpr double kParameterVisits = 4, kSumVisits = 2;

// The arrays of a backward; dx and weight may be null.
template <class T>
struct RowArrays {
  int64_t inner;
  const T *dy, *x, *weight;
  T *dx, *dweight, *dbias;
};

// Computes dx of the rows [first, end) in V vectors of columns from j on, of which `size` columns exist, and adds what
// these rows contribute to dweight and dbias. Those sums stay in registers; going row by row would load and store them
// for each row. That, and fetching ahead what follows in each row, gives 3.4 instead of 5.0 ms for 32 rows of 200 704
// on Zen 5.
template <bool past, int V, class T>
FASTNN_INLINE void gradient_tile(const RowArrays<T>& a, const RowGradient<T>* rows, int64_t first, int64_t end,
                                 int64_t j, int64_t size) {
  constexpr int64_t L = lanes<T>;
  Vec<T> w[V], dw[V], db[V];
  for (int v = 0; v < V; ++v) {
    w[v] = a.weight ? load_part(a.weight + j + v * L, size - v * L) : set1(T(1));
    dw[v] = load_part(a.dweight + j + v * L, size - v * L);
    db[v] = load_part(a.dbias + j + v * L, size - v * L);
  }
  for (int64_t i = first; i < end; ++i) {
    const Normal<T> normal(rows[i].standard);
    const Vec<T> factor = set1(rows[i].factor), slope = set1(rows[i].slope), level = set1(rows[i].level);
    for (int v = 0; v < V; ++v) {
      const int64_t at = i * a.inner + j + v * L;
      __builtin_prefetch(a.dy + at + 2 * V * L), __builtin_prefetch(a.x + at + 2 * V * L);
      const Vec<T> d = load_part(a.dy + at, size - v * L), off = normal.difference(load_part(a.x + at, size - v * L));
      if (a.dx) put<past>(a.dx + at, (d * w[v] - fma(off, slope, level)) * factor, size - v * L);
      dw[v] = fma(d, normal.of_difference(off), dw[v]);
      db[v] += d;
    }
  }
  for (int v = 0; v < V; ++v) {
    store_part(a.dweight + j + v * L, dw[v], size - v * L);
    store_part(a.dbias + j + v * L, db[v], size - v * L);
  }
}

// Does what gradient_tile does for the columns [j0, j1) of the rows [r0, r1), kRowsTogether rows at a time.
template <bool past, class T>
void gradient_columns(const RowArrays<T>& a, const RowGradient<T>* rows, int64_t r0, int64_t r1, int64_t j0,
                      int64_t j1) {
  constexpr int V = FASTNN_VEC_BYTES == 64 ? 4 : 2;
  constexpr int64_t L = lanes<T>;
  for (int64_t i = r0; i < r1; i += kRowsTogether) {
    const int64_t end = least(i + kRowsTogether, r1);
    int64_t j = j0;
    for (; j + V * L <= j1; j += V * L) gradient_tile<past, V>(a, rows, i, end, j, V * L);
    for (; j + L <= j1; j += L) gradient_tile<past, 1>(a, rows, i, end, j, L);
    if (j < j1) gradient_tile<false, 1>(a, rows, i, end, j, j1 - j);
  }
}

// Computes dx, dweight and dbias with blocks of columns as items. row(i) makes the sums of row i, as a RowGradient.
template <class T, class Row>
void sum_by_columns(const Norm& g, double cost, const Row& row, const RowArrays<T>& a, RowGradient<T>* rows) {
  const int64_t step = most(kGroupBytes / (2 * g.inner * int64_t(sizeof(T)) + 1), kRowsTogether);
  const int64_t columns = columns_of_item(g.inner);
  const bool aligned = a.dx && to_aligned(a.dx) == 0 && g.inner % lanes<T> == 0;
  zero_run(a.dweight, g.inner), zero_run(a.dbias, g.inner);
  for (int64_t r0 = 0; r0 < g.outer; r0 += step) {
    const int64_t r1 = least(r0 + step, g.outer);
    const double part = cost * double(r1 - r0) / double(g.outer + 1);
    parallel_for(r1 - r0, part * kSumVisits, [=](int64_t begin, int64_t end) {
      for (int64_t i = r0 + begin; i < r0 + end; ++i) rows[i] = row(i);
    });
    with_past(aligned && goes_past<T>(3 * double(g.outer) * double(g.inner)), [=, &a](auto past) {
      parallel_for(ceil_div(g.inner, columns), part * kParameterVisits, [=, &a](int64_t begin, int64_t end) {
        gradient_columns<past>(a, rows, r0, r1, begin * columns, least(end * columns, g.inner));
        if (past) stream_fence();
      });
    });
  }
}

constexpr double kPlaneSumCost = 1;  // rough nanoseconds of adding a plane's sums to those of its channel

// Computes dx of the groups. `sums` (n, groups, channels, 2) gets sum(dy) and sum(dy * xhat) of each plane, of which
// dbias and dweight are made.
template <class T>
void group_gradient(const GroupNorm& g, const T* dy, const T* x, const T* weight, const double* mean,
                    const double* rstd, T* dx, T* dweight, T* dbias, double* sums) {
  const int64_t size = g.channels * g.inner, items = g.n * g.groups, channels = g.groups * g.channels;
  const int64_t ahead = next_run<T>(size);
  const double values = double(items) * double(size);
  each_item<T>(items, 3 * values, values * kNormCost * kBackwardVisits, [=](auto past, int64_t item) {
    const Standard<T> standard(mean[item], rstd[item]);
    const Normal<T> normal(standard);
    const int64_t group = item % g.groups * g.channels;
    double total = 0, product = 0;
    for (int64_t c = 0; c < g.channels; ++c) {
      BlockSums<T, 2> plane;
      const auto terms = [normal](Vec<T>* acc, Vec<T> d, Vec<T> v) {
        acc[0] += d;
        acc[1] = fma(d, normal.difference(v), acc[1]);
      };
      const int64_t at = item * size + c * g.inner;
      plane.add(g.inner, terms, dy + at, x + at);
      double* to = sums + 2 * (item * g.channels + c);
      const double w = weight ? double(weight[group + c]) : 1;
      total += w * plane.total(0), product += w * plane.total(1);
      to[0] = plane.total(0), to[1] = Through(standard, plane.total(0), plane.total(1), 0).dot;
    }
    if (!dx) return;
    const Through through(standard, total, product, 1 / double(size));
    const Vec<T> factor = set1(factor_of<T>(rstd[item])), slope = set1(T(through.slope)),
                 level = set1(T(through.level));
    for (int64_t c = 0; c < g.channels; ++c) {
      const Vec<T> w = set1(weight ? weight[group + c] : T(1));
      const int64_t at = item * size + c * g.inner;
      const auto gradient = [=](Vec<T> d, Vec<T> v) {
        return (d * w - fma(normal.difference(v), slope, level)) * factor;
      };
      const auto fetch = [=](int64_t i) {
        __builtin_prefetch(dy + at + i + ahead), __builtin_prefetch(x + at + i + ahead);
      };
      map_run_fetching<past>(g.inner, fetch, gradient, dx + at, dy + at, x + at);
    }
  });
  const double cost = double(g.n * channels) * kPlaneSumCost;
  parallel_for(dweight || dbias ? channels : 0, cost, [=](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      double dw = 0, db = 0;
      for (int64_t n = 0; n < g.n; ++n) {
        const double* from = sums + 2 * (n * channels + channel);
        db += from[0];
        dw += from[1];
      }
      if (dweight) dweight[channel] = T(dw);
      if (dbias) dbias[channel] = T(db);
    }
  });
}

}  // namespace

// weight and bias may be null; mean, rstd (outer)
template <class T>
void layer_norm_forward(const Norm& g, const T* x, const T* weight, const T* bias, double eps, T* y, double* mean,
                        double* rstd) {
  const int64_t ahead = next_run<T>(g.inner);
  const double values = double(g.outer) * double(g.inner), share = 1 / double(g.inner);
  const Epsilon epsilon(eps);
  each_item<T>(g.outer, 2 * values, values * kNormCost * kForwardVisits, [=](auto past, int64_t i) {
    const T* x_i = x + i * g.inner;
    T* y_i = y + i * g.inner;
    const Moments found = run_moments(g.inner, share, x_i, epsilon);
    mean[i] = found.mean, rstd[i] = found.rstd;
    const Normal<T> normal(Standard<T>(found.mean, found.rstd));
    if (ahead > 0)
      for (int64_t j = 0; j < g.inner; j += 64 / int64_t(sizeof(T))) __builtin_prefetch(x_i + ahead + j);
    if (weight && bias)
      map_run<past>(
          g.inner, [=](Vec<T> v, Vec<T> w, Vec<T> b) { return fma(normal(v), w, b); }, y_i, x_i, weight, bias);
    else if (weight)
      map_run<past>(g.inner, [=](Vec<T> v, Vec<T> w) { return normal(v) * w; }, y_i, x_i, weight);
    else if (bias)
      map_run<past>(g.inner, [=](Vec<T> v, Vec<T> b) { return normal(v) + b; }, y_i, x_i, bias);
    else
      map_run<past>(g.inner, normal, y_i, x_i);
  });
}

// y = xhat * weight + bias, xhat = (x - mean) * rstd
//   =>  dx = rstd * (d - sum(d) / n - xhat * sum(d * xhat) / n), d = dy * weight, sums over the row
//       dweight = sum over rows of dy * xhat, dbias = sum over rows of dy
// dx may be null; dweight and dbias may both be null.
template <class T>
void layer_norm_backward(const Norm& g, const T* dy, const T* x, const T* weight, const double* mean,
                         const double* rstd, T* dx, T* dweight, T* dbias) {
  const double cost = double(g.outer) * double(g.inner) * kNormCost;
  const auto row = [=](int64_t i) {
    if (!dx) return RowGradient<T>{Standard<T>(mean[i], rstd[i]), 0, 0, 0};
    return row_gradient(g.inner, dy + i * g.inner, x + i * g.inner, weight, mean[i], rstd[i]);
  };
  const auto run = [=](const RowGradient<T>& r, int64_t i, int64_t j0, int64_t n, T* dw, T* db) {
    const int64_t at = i * g.inner + j0;
    gradient_run(n, r, dy + at, x + at, weight ? weight + j0 : nullptr, dx ? dx + at : nullptr, dw, db);
  };
  if (!dweight)
    return parallel_for(g.outer, cost * kBackwardVisits, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) run(row(i), i, 0, g.inner, nullptr, nullptr);
    });
  if (!by_whole_rows(g))
    return shared_values<RowGradient<T>>(g.outer, [&](RowGradient<T>* rows) {
      sum_by_columns(g, cost, row, RowArrays<T>{g.inner, dy, x, weight, dx, dweight, dbias}, rows);
    });
  sum_rows<T, 2>({g.outer, g.inner, g.inner}, cost * kParameterVisits, {dweight, dbias},
                 [=](int64_t i, int64_t j0, int64_t n, T** to) { run(row(i), i, j0, n, to[0], to[1]); });
}

// weight and bias may be null; mean, rstd (n, groups)
template <class T>
void group_norm_forward(const GroupNorm& g, const T* x, const T* weight, const T* bias, double eps, T* y, double* mean,
                        double* rstd) {
  const int64_t size = g.channels * g.inner, items = g.n * g.groups, ahead = next_run<T>(size);
  const double values = double(items) * double(size), share = 1 / double(size);
  const Epsilon epsilon(eps);
  each_item<T>(items, 2 * values, values * kNormCost * kForwardVisits, [=](auto past, int64_t item) {
    const Moments found = run_moments(size, share, x + item * size, epsilon);
    mean[item] = found.mean, rstd[item] = found.rstd;
    const Standard<T> standard(found.mean, found.rstd);
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t channel = item % g.groups * g.channels + c, at = item * size + c * g.inner;
      const Normal<T> line(
          with_affine(standard, weight ? double(weight[channel]) : 1, bias ? double(bias[channel]) : 0));
      const auto fetch = [=](int64_t i) { __builtin_prefetch(x + at + i + ahead); };
      map_run_fetching<past>(g.inner, fetch, line, y + at, x + at);
    }
  });
}

// y = xhat * weight + bias, xhat = (x - mean) * rstd  =>  dx as for layer norm, with d = dy * weight of the channel;
// dweight and dbias are summed per channel. dx, dweight, dbias may be null.
template <class T>
void group_norm_backward(const GroupNorm& g, const T* dy, const T* x, const T* weight, const double* mean,
                         const double* rstd, T* dx, T* dweight, T* dbias) {
  shared_values<double>(2 * g.n * g.groups * g.channels,
                        [&](double* sums) { group_gradient(g, dy, x, weight, mean, rstd, dx, dweight, dbias, sums); });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
