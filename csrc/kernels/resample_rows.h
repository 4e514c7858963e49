// Weighted sums of rows, with lanes along them.
#pragma once
#include "../simd/copy.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Source {
  const T* row;
  T weight;
};

// y[j] = sum of weight * row[j] over N sources. The last vector of a row overlaps the one before, if there is one.
template <int N, class T>
FASTNN_INLINE void combine_few(const Source<T>* from, int64_t n, T* y) {
  constexpr int64_t L = lanes<T>;
  Vec<T> w[N];
  const T* row[N];
  for (int k = 0; k < N; ++k) w[k] = set1(from[k].weight), row[k] = from[k].row;
  const auto sum = [&](const auto& read) FASTNN_FLAT {
    Vec<T> y = w[0] * read(row[0]);
    for (int k = 1; k < N; ++k) y = fma(w[k], read(row[k]), y);
    return y;
  };
  if (n < L) {
    store_n(y, sum([n](const T* p) FASTNN_FLAT { return load_n(p, int(n)); }), int(n));
    return;
  }
  for (int64_t j = 0;; j = j + 2 * L <= n ? j + L : n - L) {
    store(y + j, sum([j](const T* p) FASTNN_FLAT { return load(p + j); }));
    if (j + L == n) return;
  }
}

// The same for any number of sources, of which each is read for four vectors at a time.
template <class T>
void combine_many(const Source<T>* from, int64_t count, int64_t n, T* y) {
  constexpr int64_t L = lanes<T>, V = 4;
  int64_t j = 0;
  for (; j + V * L <= n; j += V * L) {
    Vec<T> sum[V];
    for (int v = 0; v < V; ++v) sum[v] = set1(from[0].weight) * load(from[0].row + j + v * L);
    for (int64_t k = 1; k < count; ++k) {
      const Vec<T> w = set1(from[k].weight);
      for (int v = 0; v < V; ++v) sum[v] = fma(w, load(from[k].row + j + v * L), sum[v]);
    }
    for (int v = 0; v < V; ++v) store(y + j + v * L, sum[v]);
  }
  for (; j < n; j += L) {
    Vec<T> sum = set1(from[0].weight) * load_part(from[0].row + j, n - j);
    for (int64_t k = 1; k < count; ++k) sum = fma(set1(from[k].weight), load_part(from[k].row + j, n - j), sum);
    store_part(y + j, sum, n - j);
  }
}

// A row that counts once stays as it is, to the last bit.
template <class T>
FASTNN_INLINE void combine(const Source<T>* from, int64_t count, int64_t n, T* y) {
  if (count == 1 && from[0].weight == T(1)) return copy_run(y, from[0].row, n);
  if (count == 1) return combine_few<1>(from, n, y);
  if (count == 2) return combine_few<2>(from, n, y);
  if (count == 3) return combine_few<3>(from, n, y);
  if (count == 4) return combine_few<4>(from, n, y);
  combine_many(from, count, n, y);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
