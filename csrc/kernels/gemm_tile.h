// Register tiles: the two loops that all products of matrices, and so all convolutions, end in.
#pragma once
#include "../simd/reduce.h"
#include "../simd/vec.h"
#include "../tune.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
constexpr int64_t kTileCols = kTileVectors * lanes<T>;
// Depth of a packed block of B, so that a panel has kPanelBytes.
template <class T>
constexpr int64_t kDepth = kPanelBytes / int64_t(kTileCols<T> * sizeof(T));

// Where V vectors of columns of B, and those of C, lie in memory: vector v of row k of B at b[v] + offset[k], vector v
// of row i of C at c[v] + i * ldc. The first size[v] lanes of the latter exist.
template <class T, int V = kTileVectors>
struct Columns {
  const int32_t* offset;
  int64_t ldc;
  const T* b[V];
  T* c[V];
  int size[V];
  int64_t lda = 0;           // distance from one depth of A to the next; 0: A is packed
  const T* start = nullptr;  // V vectors that the sums of every row start from; null: see outer_tile

  explicit Columns(const int32_t* offset, int64_t ldc = kTileCols<T>) : offset(offset), ldc(ldc) {
    for (int& n : size) n = lanes<T>;
  }
  // Say that all vectors are to be read from, or written to, places that lie side by side.
  void read(const T* from) {
    for (int v = 0; v < V; ++v) b[v] = from + v * lanes<T>;
  }
  void write(T* to) {
    for (int v = 0; v < V; ++v) c[v] = to + v * lanes<T>;
  }
};

// C (ROWS x columns) = start + A B. start is C itself if `accumulate`, else columns.start, or where that is null the
// bias of each row (0 if bias is null). a: A packed as (depth, ROWS), unless columns.lda says otherwise.
template <class T, int ROWS, int V>
void outer_tile(int64_t depth, const T* a, const Columns<T, V>& columns, int64_t row, bool accumulate, const T* bias) {
  Vec<T> acc[ROWS][V];
  T* c[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) c[v] = columns.c[v] + row * columns.ldc;
  const int64_t ldc = columns.ldc;
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      acc[i][v] = accumulate      ? load_n(c[v] + i * ldc, columns.size[v])
                  : columns.start ? load(columns.start + v * lanes<T>)
                                  : set1(bias ? bias[i] : T(0));
  // The next rows of C are prefetched: as a rule they are the next tile's, which then finds them in the cache.
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) __builtin_prefetch(c[v] + (ROWS + i) * ldc, 1);
  const int32_t* offset = columns.offset;
  const T* const b0 = columns.b[0];
  const T* const b1 = columns.b[V - 1];
  const int64_t lda = columns.lda ? columns.lda : ROWS;
  for (int64_t k = 0; k < depth; ++k, a += lda) {
    Vec<T> b_k[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) b_k[v] = load((v ? b1 : b0) + offset[k]);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const Vec<T> a_ik = set1(a[i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[i][v] = fma(a_ik, b_k[v], acc[i][v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    if (columns.size[v] == lanes<T>) {
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) store(c[v] + i * ldc, acc[i][v]);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) store_n(c[v] + i * ldc, acc[i][v], columns.size[v]);
    }
  }
}

template <class T, int V>
using OuterTile = void (*)(int64_t, const T*, const Columns<T, V>&, int64_t, bool, const T*);

template <class T, int V = kTileVectors, int ROWS = kTileRows>
FASTNN_INLINE OuterTile<T, V> outer_tile_for(int rows) {
  if constexpr (ROWS == 1)
    return outer_tile<T, 1, V>;
  else
    return rows == ROWS ? outer_tile<T, ROWS, V> : outer_tile_for<T, V, ROWS - 1>(rows);
}

// Rows of a matrix in balanced blocks: as few as kTileRows allows, sizes differing by at most one (64 rows are
// 13+13+13+13+12, not 14+14+14+14+8), so that no multiply-add is spent on rows that don't exist.
struct RowBlocks {
  int64_t rows, count;
  explicit RowBlocks(int64_t m) : rows(m), count(ceil_div(m, kTileRows)) {}
  int64_t begin(int64_t block) const { return rows * block / count; }
  int size(int64_t block) const { return int(begin(block + 1) - begin(block)); }
};

// The elements that dot products are taken over: `count` runs of `size` elements. Run s begins a[s] elements after the
// beginning of the row of A, and b[s] elements after that of the row of B.
struct DotRuns {
  int64_t count, size;
  const int64_t *a, *b;
};

// c[i][j] (+)= sum over runs of a[i * lda + k] * b[offset[j] + k]. Both operands are contiguous along k. Each element
// of c has a vector of partial sums, whose lanes are added at the end.
template <class T, int ROWS, int COLS>
void dot_tile(const DotRuns& runs, const T* a, int64_t lda, const T* b, const int64_t* offset, T* c, int64_t ldc,
              bool accumulate) {
  constexpr int64_t L = lanes<T>;
  Vec<T> acc[ROWS][COLS] = {};
  for (int64_t s = 0; s < runs.count; ++s) {
    const T* a_s = a + runs.a[s];
    const T* b_s[COLS];
#pragma GCC unroll 8
    for (int j = 0; j < COLS; ++j) b_s[j] = b + offset[j] + runs.b[s];
    const auto step = [&](auto&& get, int64_t k) __attribute__((always_inline)) {
      Vec<T> b_k[COLS];
#pragma GCC unroll 8
      for (int j = 0; j < COLS; ++j) b_k[j] = get(b_s[j] + k);
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; ++i) {
        const Vec<T> a_k = get(a_s + i * lda + k);
#pragma GCC unroll 8
        for (int j = 0; j < COLS; ++j) acc[i][j] = fma(a_k, b_k[j], acc[i][j]);
      }
    };
    int64_t k = 0;
    for (; k + L <= runs.size; k += L) step([](const T* p) { return load(p); }, k);
    const int rest = int(runs.size - k);
    if (rest) step([rest](const T* p) { return load_n(p, rest); }, k);
  }
  T sums[ROWS * COLS];
  reduce_add_many<T, ROWS * COLS>(&acc[0][0], sums);
  for (int i = 0; i < ROWS; ++i)
    for (int j = 0; j < COLS; ++j) {
      T& out = c[i * ldc + j];
      out = accumulate ? out + sums[i * COLS + j] : sums[i * COLS + j];
    }
}

template <class T>
using DotTile = void (*)(const DotRuns&, const T*, int64_t, const T*, const int64_t*, T*, int64_t, bool);

template <class T, int ROWS = kDotRows, int COLS = kDotCols>
FASTNN_INLINE DotTile<T> dot_tile_for(int rows, int cols) {
  if (rows == ROWS && cols == COLS) return dot_tile<T, ROWS, COLS>;
  if constexpr (ROWS > 1)
    if (rows < ROWS) return dot_tile_for<T, ROWS - 1, COLS>(rows, cols);
  if constexpr (COLS > 1) return dot_tile_for<T, ROWS, COLS - 1>(rows, cols);
  return dot_tile<T, 1, 1>;
}

// c (m x n) (+)= a (m rows) b^T (n rows) in dot tiles; row j of b is b + offset[j]. The operand with more rows is
// walked once, tile by tile; the other is read again for each of its tiles, from the cache.
template <class T>
void dot_gemm(int64_t m, int64_t n, const DotRuns& runs, const T* a, int64_t lda, const T* b, const int64_t* offset,
              T* c, int64_t ldc, bool accumulate) {
  const auto tile = [&](int64_t i, int64_t j) {
    const int rows = int(m - i < kDotRows ? m - i : kDotRows), cols = int(n - j < kDotCols ? n - j : kDotCols);
    dot_tile_for<T>(rows, cols)(runs, a + i * lda, lda, b, offset + j, c + i * ldc + j, ldc, accumulate);
  };
  if (m >= n) {
    for (int64_t i = 0; i < m; i += kDotRows)
      for (int64_t j = 0; j < n; j += kDotCols) tile(i, j);
  } else {
    for (int64_t j = 0; j < n; j += kDotCols)
      for (int64_t i = 0; i < m; i += kDotRows) tile(i, j);
  }
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
