// The product inside a recurrence: a few rows of state times weights that are the same at every step.
//
// Rows are dealt to blocks of at most kStateRows. A thread takes some blocks through all steps by itself, a few of them
// together, so that a panel of weights is read once for them; only where there is a single block do threads share a
// step and wait for each other. A block's state lies in vectors of units, row after row ([unit / lanes][row][lanes]):
// cells write it whole vectors at a time, and the product finds each of its broadcasts at a fixed distance.
#pragma once
#include "gemm_tile.h"

namespace fastnn::FASTNN_ISA {
namespace {

// How many blocks go through the steps together, so that a panel is read once for 32 rows. At batch 32 that gained 10 %
// of an LSTM's time, at 16 nothing (Zen 5).
constexpr int64_t kJointBlocks = 4;

// 8 rows of 2 vectors are 16 sums, twice what hides the latency of fma; more rows would leave fewer blocks for threads.
constexpr int kStateRows = kTileRows < 8 ? kTileRows : 8;

// How many vectors of sums a tile keeps in registers where panels are wider than 2 vectors, because blocks have too few
// rows for that many sums with 2: half of the registers.
constexpr int kPanelSums = kTileRows >= 12 ? 16 : 8;
constexpr int kWidestPanel = 8;  // vectors

// Vectors in a panel of weights, for blocks of up to `rows` rows: the fewer rows, the more vectors at a time.
constexpr int panel_vectors(int rows) {
  return rows * kWidestPanel <= kPanelSums ? kWidestPanel : rows * 4 <= kPanelSums ? 4 : 2;
}

struct StateBlocks {
  int64_t rows, count;
  explicit StateBlocks(int64_t batch) : rows(batch), count(ceil_div(batch, kStateRows)) {}
  int64_t begin(int64_t block) const { return rows * block / count; }
  int size(int64_t block) const { return int(begin(block + 1) - begin(block)); }
  int largest() const { return count ? int(ceil_div(rows, count)) : 1; }
};

// c (ROWS x V vectors) = start + `a` times `b`. The depth is `segments` times `units`. In `a` each segment begins at a
// whole vector; in `b` (depth, V vectors) segments follow each other without gaps. `start` is c itself, or one row that
// all rows of c start from (start_pitch 0).
template <class T, int ROWS, int V>
void panel_product(int64_t segments, int64_t units, const T* a, const T* b, const T* start, int64_t start_pitch, T* c,
                   int64_t pitch) {
  constexpr int64_t L = lanes<T>;
  Vec<T> acc[ROWS][V];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[i][v] = load(start + i * start_pitch + v * L);
  for (int64_t segment = 0; segment < segments; ++segment)
    for (int64_t k = 0; k < units; k += L, a += ROWS * L) {
      const T* const end = a + (units - k < L ? units - k : L);
      for (const T* p = a; p < end; ++p, b += V * L) {
        Vec<T> b_k[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) b_k[v] = load(b + v * L);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
          const Vec<T> a_ik = set1(p[i * L]);
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) acc[i][v] = fma(a_ik, b_k[v], acc[i][v]);
        }
      }
    }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + i * pitch + v * L, acc[i][v]);
}

template <class T>
using PanelProduct = void (*)(int64_t, int64_t, const T*, const T*, const T*, int64_t, T*, int64_t);

template <class T, int V, int ROWS>
FASTNN_INLINE PanelProduct<T> panel_product_rows(int rows) {
  if constexpr (ROWS == 1)
    return panel_product<T, 1, V>;
  else
    return rows == ROWS ? panel_product<T, ROWS, V> : panel_product_rows<T, V, ROWS - 1>(rows);
}

// Returns the panel_product for blocks of `rows` rows and panels of `vectors` vectors.
template <class T>
FASTNN_INLINE PanelProduct<T> panel_product_for(int rows, int vectors) {
  if (vectors == kWidestPanel) return panel_product_rows<T, kWidestPanel, kPanelSums / kWidestPanel>(rows);
  if (vectors == 4) return panel_product_rows<T, 4, kPanelSums / 4>(rows);
  return panel_product_rows<T, 2, kStateRows>(rows);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
