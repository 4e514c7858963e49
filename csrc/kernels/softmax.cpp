// Softmax and log-softmax over the middle axis of (outer, n, inner).
//   forward:  x -> y, both (outer, n, inner)
//   backward: dy, y (outer, n, inner) -> dx (outer, n, inner)
// The largest value m of a position is subtracted first, so that nothing overflows. A position that holds a NaN or
// +infinity, or nothing but -infinity, becomes NaN throughout.
#include "../simd/math.h"
#include "columns.h"
#define FASTNN_FAMILY "softmax.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough nanoseconds per value.
constexpr double kForwardCost = 0.8, kBackwardCost = 0.4;

// Lanes beyond a row are loaded as -infinity: e^-infinity = 0 adds nothing to the sum.
template <class T>
FASTNN_INLINE Vec<T> load_low(const T* p, int64_t size) {
  return load_part(p, size, -T(__builtin_inf()));
}

// The last, short vector stays in a register: a masked load would wait for the store of the same lanes just before it.
template <class T>
void softmax_row(int64_t n, const T* x, T* y) {
  constexpr int64_t L = lanes<T>;
  const T m = row_max(n, x);
  const int64_t whole = n / L * L;
  Vec<T> tail = {};
  const T sum = row_sum<T>(n, [&](int64_t i, int64_t size) FASTNN_FLAT {
    const Vec<T> e = exp<T>(load_low(x + i, size) - m);
    if (size >= L)
      store(y + i, e);
    else
      tail = e;
    return e;
  });
  const T scale = 1 / sum;
#pragma GCC unroll 4
  for (int64_t i = 0; i < whole; i += L) store(y + i, load(y + i) * scale);
  if (whole < n) store_n(y + whole, tail * scale, int(n - whole));
}

template <class T>
void log_softmax_row(int64_t n, const T* x, T* y) {
  const T m = row_max(n, x);
  const T sum = row_sum<T>(n, [=](int64_t i, int64_t size) { return exp<T>(load_low(x + i, size) - m); });
  const T log_sum = log<T>(set1(sum))[0];
  for (int64_t i = 0; i < n; i += lanes<T>) store_part(y + i, (load_part(x + i, n - i) - m) - log_sum, n - i);
}

template <class T, int V>
void softmax_tile(int64_t n, T* rows, int64_t pitch) {
  Vec<T> m[V], sum[V];
  tile_max(n, rows, pitch, m);
  tile_sum<T, V>(n, pitch, sum, [&](int64_t at, int v) {
    const Vec<T> e = exp<T>(load(rows + at) - m[v]);
    store(rows + at, e);
    return e;
  });
  for (int v = 0; v < V; ++v) sum[v] = T(1) / sum[v];
  tile_map<T, V>(n, pitch, rows, [&](int64_t at, int v) { return load(rows + at) * sum[v]; });
}

template <class T, int V>
void log_softmax_tile(int64_t n, T* rows, int64_t pitch) {
  Vec<T> m[V], sum[V];
  tile_max(n, rows, pitch, m);
  tile_sum<T, V>(n, pitch, sum, [&](int64_t at, int v) { return exp<T>(load(rows + at) - m[v]); });
  for (int v = 0; v < V; ++v) sum[v] = log<T>(sum[v]);
  tile_map<T, V>(n, pitch, rows, [&](int64_t at, int v) { return (load(rows + at) - m[v]) - sum[v]; });
}

// dx = result(dy, y, sum(term(dy, y))), the form that both derivatives have
template <class T, class Term, class Result>
FASTNN_INLINE void backward_row(int64_t n, const T* dy, const T* y, T* dx, const Term& term, const Result& result) {
  const Vec<T> sum = set1(
      row_sum<T>(n, [&](int64_t i, int64_t size) { return term(load_part(dy + i, size), load_part(y + i, size)); }));
  for (int64_t i = 0; i < n; i += lanes<T>)
    store_part(dx + i, result(load_part(dy + i, n - i), load_part(y + i, n - i), sum), n - i);
}

template <class T, class Term, class Result>
FASTNN_INLINE void backward(const Softmax& g, const T* dy, const T* y, T* dx, const Term& term, const Result& result) {
  for_positions<T>(
      g, 2, kBackwardCost, [=](int64_t r) { backward_row(g.n, dy + r * g.n, y + r * g.n, dx + r * g.n, term, result); },
      [=](const Block<T>& block) {
        T *rows = block.load(dy, 0), *saved = block.load(y, 1);
        block.for_tiles([&](auto V, int64_t column) {
          T *d = rows + column, *s = saved + column;
          const int64_t pitch = block.plan.pitch;
          Vec<T> sum[V];
          tile_sum<T, V>(g.n, pitch, sum, [&](int64_t at, int) { return term(load(d + at), load(s + at)); });
          tile_map<T, V>(g.n, pitch, d, [&](int64_t at, int v) { return result(load(d + at), load(s + at), sum[v]); });
        });
        block.store(rows, dx);
      });
}

}  // namespace

// y = e^(x - m) / sum(e^(x - m))
template <class T>
void softmax_forward(Softmax g, const T* x, T* y) {
  for_positions<T>(
      g, 1, kForwardCost, [=](int64_t r) { softmax_row(g.n, x + r * g.n, y + r * g.n); },
      [=](const Block<T>& block) {
        T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) { softmax_tile<T, V>(g.n, rows + at, block.plan.pitch); });
        block.store(rows, y);
      });
}

// y = e^(x - m) / sum(e^(x - m))  =>  dx = y * (dy - sum(dy * y))
template <class T>
void softmax_backward(Softmax g, const T* dy, const T* y, T* dx) {
  backward(
      g, dy, y, dx, [](Vec<T> d, Vec<T> s) { return d * s; },
      [](Vec<T> d, Vec<T> s, Vec<T> sum) { return s * (d - sum); });
}

// y = (x - m) - log(sum(e^(x - m)))
template <class T>
void log_softmax_forward(Softmax g, const T* x, T* y) {
  for_positions<T>(
      g, 1, kForwardCost, [=](int64_t r) { log_softmax_row(g.n, x + r * g.n, y + r * g.n); },
      [=](const Block<T>& block) {
        T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) { log_softmax_tile<T, V>(g.n, rows + at, block.plan.pitch); });
        block.store(rows, y);
      });
}

// y = (x - m) - log(sum(e^(x - m)))  =>  dx = dy - e^y * sum(dy)
template <class T>
void log_softmax_backward(Softmax g, const T* dy, const T* y, T* dx) {
  backward(
      g, dy, y, dx, [](Vec<T> d, Vec<T>) { return d; },
      [](Vec<T> d, Vec<T> s, Vec<T> sum) { return d - exp<T>(s) * sum; });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
