// Access to x (outer, n, inner) for ops over the middle axis: outer * inner positions of n values each.
//
// Rows: inner is 1 and n is long. A position is a contiguous row, and lanes run along it.
// Tiles: lanes run across positions. A tile is copied to scratch as n contiguous rows of `width` positions: gathered
// from where they lie `inner` apart, or for inner = 1 transposed, so that ten classes fill whole vectors and need no
// sums across lanes.
#pragma once
#include "../parallel.h"
#include "../simd/transpose.h"
#include "../tune.h"
#include "../types.h"

namespace fastnn::FASTNN_ISA {
namespace {

// V vectors of neighbouring inner positions.
template <class T, int V>
struct GatheredTile {
  static constexpr int L = lanes<T>, vectors = V, width = V * L;
  Softmax g;
  int64_t position, offset;  // the first position's number and the place of its first value
  int64_t count;             // positions in this tile
  T* memory;

  static int64_t tiles(const Softmax& g) { return g.outer * ((g.inner + width - 1) / width); }
  static int64_t buffer_size(const Softmax& g) { return g.n * width; }

  FASTNN_INLINE GatheredTile(const Softmax& geometry, int64_t index, T* scratch) : g(geometry), memory(scratch) {
    const int64_t blocks = (g.inner + width - 1) / width, first = index % blocks * width;
    position = index / blocks * g.inner + first;
    offset = index / blocks * g.n * g.inner + first;
    count = g.inner - first < width ? g.inner - first : width;
  }
  FASTNN_INLINE T* buffer(int i) const { return memory + i * buffer_size(g); }

  FASTNN_INLINE T* load(const T* x, int i = 0) const {
    T* rows = buffer(i);
    for (int64_t c = 0; c < g.n; ++c)
      for (int v = 0; v < V; ++v)
        fastnn::FASTNN_ISA::store(rows + c * width + v * L, load_part(x + offset + c * g.inner + v * L, count - v * L));
    return rows;
  }
  FASTNN_INLINE void store(const T* rows, T* y) const {
    for (int64_t c = 0; c < g.n; ++c)
      for (int v = 0; v < V; ++v)
        store_part(y + offset + c * g.inner + v * L, fastnn::FASTNN_ISA::load(rows + c * width + v * L), count - v * L);
  }
};

// One vector of rows, for inner = 1.
template <class T>
struct TransposedTile {
  static constexpr int L = lanes<T>, vectors = 1, width = L;
  Softmax g;
  int64_t position, offset, count;
  T* memory;

  static int64_t tiles(const Softmax& g) { return (g.outer + L - 1) / L; }
  static int64_t buffer_size(const Softmax& g) { return (g.n + L - 1) / L * L * L; }  // whole squares

  FASTNN_INLINE TransposedTile(const Softmax& geometry, int64_t index, T* scratch) : g(geometry), memory(scratch) {
    position = index * L;
    offset = position * g.n;
    count = g.outer - position < L ? g.outer - position : L;
  }
  FASTNN_INLINE T* buffer(int i) const { return memory + i * buffer_size(g); }

  FASTNN_INLINE T* load(const T* x, int i = 0) const {
    T* rows = buffer(i);
    for (int64_t c = 0; c < g.n; c += L) {
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) v[r] = r < count ? load_part(x + offset + r * g.n + c, g.n - c) : Vec<T>{};
      transpose<T>(v);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) fastnn::FASTNN_ISA::store(rows + (c + r) * L, v[r]);
    }
    return rows;
  }
  FASTNN_INLINE void store(const T* rows, T* y) const {
    for (int64_t c = 0; c < g.n; c += L) {
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) v[r] = fastnn::FASTNN_ISA::load(rows + (c + r) * L);
      transpose<T>(v);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r)
        if (r < count) store_part(y + offset + r * g.n + c, v[r], g.n - c);
    }
  }
};

template <class Tile, class T, class Body>
void run_tiles(const Softmax& g, int buffers, double ns, const Body& body) {
  const size_t bytes = size_t(buffers) * size_t(Tile::buffer_size(g)) * sizeof(T);
  const double cost = double(g.outer) * double(g.n) * double(g.inner) * ns;
  parallel_scratch(Tile::tiles(g), cost, bytes, [=](int64_t begin, int64_t end, void* memory) {
    for (int64_t i = begin; i < end; ++i) body(Tile(g, i, static_cast<T*>(memory)));
  });
}

// on_row(r) for each row, or on_tile(tile) for each tile with room for `buffers` copies. ns: cost of one value.
template <class T, class OnRow, class OnTile>
void for_positions(const Softmax& g, int buffers, double ns, const OnRow& on_row, const OnTile& on_tile) {
  constexpr int V = 4;
  if (g.inner >= V * lanes<T>)
    run_tiles<GatheredTile<T, V>, T>(g, buffers, ns, on_tile);
  else if (g.inner > 1)
    run_tiles<GatheredTile<T, 1>, T>(g, buffers, ns, on_tile);
  else if (g.n <= kTransposedRow * lanes<T>)
    run_tiles<TransposedTile<T>, T>(g, buffers, ns, on_tile);
  else
    parallel_for(g.outer, double(g.outer) * double(g.n) * ns, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) on_row(r);
    });
}

// Largest of n values. (A NaN may be passed over; its difference from any maximum is a NaN again.)
template <class T>
FASTNN_INLINE T row_max(int64_t n, const T* x) {
  constexpr int L = lanes<T>;
  const T lowest = -T(__builtin_inf());
  Vec<T> m[4] = {set1(lowest), set1(lowest), set1(lowest), set1(lowest)};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) m[k] = max(m[k], load(x + i + k * L));
  for (; i < n; i += L) m[0] = max(m[0], load_part(x + i, n - i, lowest));
  return reduce_max<T>(max(max(m[0], m[1]), max(m[2], m[3])));
}

// Sum of the vectors term(i, size) for i = 0, L, …; lanes beyond size must be zero. Two chains, and a partial sum every
// 64 vectors, so that the rounding error grows slowly with n.
template <class T, class Term>
FASTNN_INLINE T row_sum(int64_t n, const Term& term) {
  constexpr int L = lanes<T>, block = 64 * L;
  Vec<T> sum = {};
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = begin + block < n ? begin + block : n;
    Vec<T> a = {}, b = {};
    int64_t i = begin;
    for (; i + 2 * L <= end; i += 2 * L) {
      a += term(i, int64_t(L));
      b += term(i + L, int64_t(L));
    }
    for (; i < end; i += L) a += term(i, end - i);
    sum += a + b;
  }
  return reduce_add<T>(sum);
}

// The same for the positions of a tile of n rows and V vectors: term(at, v), at the index of vector v in its row.
template <class T, int V>
FASTNN_INLINE void tile_max(int64_t n, const T* rows, Vec<T> (&m)[V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) m[v] = set1(-T(__builtin_inf()));
  for (int64_t c = 0; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) m[v] = max(m[v], load(rows + (c * V + v) * lanes<T>));
}
template <class T, int V, class Term>
FASTNN_INLINE void tile_sum(int64_t n, Vec<T> (&sum)[V], const Term& term) {
  constexpr int64_t block = 64;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sum[v] = Vec<T>{};
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = begin + block < n ? begin + block : n;
    Vec<T> a[V] = {};
    for (int64_t c = begin; c < end; ++c)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) a[v] += term((c * V + v) * lanes<T>, v);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[v] += a[v];
  }
}
// rows = f(at, v) for each vector of a tile
template <class T, int V, class F>
FASTNN_INLINE void tile_map(int64_t n, T* rows, const F& f) {
  for (int64_t c = 0; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(rows + (c * V + v) * lanes<T>, f((c * V + v) * lanes<T>, v));
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
