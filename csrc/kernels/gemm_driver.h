// The product A B over packed slivers, for matrices and for convolutions alike: what B is and where C goes are given
// as functors, A is packed beforehand.
#pragma once
#include "../parallel.h"
#include "gemm_tile.h"

namespace fastnn::FASTNN_ISA {
namespace {

// End of the depth block that begins at k0.
template <class T>
FASTNN_INLINE int64_t depth_end(int64_t k0, int64_t depth) {
  return k0 + kDepth<T> < depth ? k0 + kDepth<T> : depth;
}

// Packed A of each batch entry (m x depth): for each depth block, for each row block, a sliver (block depth, rows).
// fill(entry, i0, rows, k0, k1, sliver) writes sliver[(k - k0) * rows + i] = A[i0 + i][k]; one item of the parallel
// loop is a row block of one entry.
template <class T, class Fill>
void pack_a(int64_t batch, int64_t m, int64_t depth, T* packed, const Fill& fill) {
  const RowBlocks blocks(m);
  parallel_for(batch * blocks.count, double(batch * m) * double(depth) * 0.5, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t entry = item / blocks.count, block = item % blocks.count;
      const int64_t i0 = blocks.begin(block), rows = blocks.size(block);
      for (int64_t k0 = 0; k0 < depth; k0 += kDepth<T>) {
        const int64_t k1 = depth_end<T>(k0, depth);
        fill(entry, i0, rows, k0, k1, packed + entry * m * depth + k0 * m + i0 * (k1 - k0));
      }
    }
  });
}

// The usual fills: a[i * stride_i + k * stride_k].
template <class T>
FASTNN_INLINE void fill_sliver(const T* a, int64_t stride_i, int64_t stride_k, int64_t rows, int64_t depth, T* sliver) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t i = 0; i < rows; ++i) sliver[k * rows + i] = a[i * stride_i + k * stride_k];
}

// One block of depth of one sliver of columns: C[rows of blocks first..last][columns] (+)= A B.
// output.direct(&ldc) gives where row 0 of the sliver lies if its columns are whole and contiguous in C, else null;
// then the tile works on a buffer, which output.read(i, row) and output.write(i, row) exchange with C.
template <class T, class Output>
void sliver_product(const RowBlocks& blocks, int64_t first, int64_t last, int64_t k0, int64_t k1, const T* packed_a,
                    const T* b, int64_t ldb, const T* bias, const Output& output) {
  const bool accumulate = k0 > 0;
  int64_t ldc = 0;
  T* direct = output.direct(&ldc);
  for (int64_t block = first; block < last; ++block) {
    const int64_t i0 = blocks.begin(block);
    const int rows = blocks.size(block);
    const T* a = packed_a + k0 * blocks.rows + i0 * (k1 - k0);
    const OuterTile<T> tile = outer_tile_for<T>(rows);
    const T* block_bias = bias ? bias + i0 : nullptr;
    if (direct) {
      tile(k1 - k0, a, b, ldb, direct + i0 * ldc, ldc, accumulate, block_bias);
    } else {
      alignas(64) T buffer[kTileRows * kTileCols<T>];
      if (accumulate)
        for (int i = 0; i < rows; ++i) output.read(i0 + i, buffer + i * kTileCols<T>);
      tile(k1 - k0, a, b, ldb, buffer, kTileCols<T>, accumulate, block_bias);
      for (int i = 0; i < rows; ++i) output.write(i0 + i, buffer + i * kTileCols<T>);
    }
  }
}

// For each batch entry C (m x columns) = bias + A B. problem.pack(entry, j, k0, k1, sliver) writes rows k0..k1 of B
// for the columns of sliver j (anything finite beyond the last) and problem.output(entry, j) says where they go.
// Threads take slivers; when there are few of them, also parts of the rows. Neither changes an element's sum, which
// runs over the depth in order.
template <class T, class Problem>
void packed_gemm(int64_t batch, int64_t m, int64_t columns, int64_t depth, const T* packed_a, const T* bias,
                 const Problem& problem) {
  if (!batch || !m || !columns) return;
  const RowBlocks blocks(m);
  const int64_t slivers = (columns + kTileCols<T> - 1) / kTileCols<T>;
  const int64_t parts = batch * slivers >= 16 ? 1 : blocks.count < 4 ? blocks.count : 4;
  const double cost = double(batch * m) * double(columns) * double(depth) * (sizeof(T) == 4 ? 0.015 : 0.03);
  const size_t sliver_bytes = size_t(kDepth<T> * kTileCols<T>) * sizeof(T);
  parallel_scratch(batch * slivers * parts, cost, sliver_bytes, [&](int64_t begin, int64_t end, void* scratch) {
    T* sliver = static_cast<T*>(scratch);
    for (int64_t pass = begin; pass < end; pass += kSliversPerPass) {
      const int64_t pass_end = pass + kSliversPerPass < end ? pass + kSliversPerPass : end;
      int64_t k0 = 0;
      do {  // at least once, so that an empty sum still writes its bias
        const int64_t k1 = depth_end<T>(k0, depth);
        for (int64_t item = pass; item < pass_end; ++item) {
          const int64_t part = item % parts, j = item / parts % slivers, entry = item / parts / slivers;
          problem.pack(entry, j, k0, k1, sliver);
          sliver_product(blocks, blocks.count * part / parts, blocks.count * (part + 1) / parts, k0, k1,
                         packed_a + entry * m * depth, sliver, kTileCols<T>, bias ? bias + entry * m : nullptr,
                         problem.output(entry, j));
        }
        k0 = k1;
      } while (k0 < depth);
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
