// The product A B over packed slivers, for matrices and for convolutions alike: what B is and where C goes are given
// as functors, A is packed beforehand.
#pragma once
#include "../parallel.h"
#include "../simd/copy.h"
#include "../simd/transpose.h"
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

// pack_a of a (m, depth).
template <class T>
void pack_a_rows(int64_t batch, int64_t m, int64_t depth, const T* a, T* packed) {
  pack_a(batch, m, depth, packed, [=](int64_t entry, int64_t i0, int64_t rows, int64_t k0, int64_t k1, T* sliver) {
    turn(a + (entry * m + i0) * depth + k0, depth, rows, k1 - k0, sliver, rows);
  });
}

// pack_a of a matrix that lies the other way, a few of its lines at a time: a sliver filled as a whole would visit every
// line, and the next sliver the same lines again. line(entry, k, room) gives A[0 … m)[k], where it lies or put into room.
template <class T, class Line>
void pack_a_columns(int64_t batch, int64_t m, int64_t depth, T* packed, const Line& line) {
  constexpr int64_t chunk = 8;
  static_assert(kDepth<T> % chunk == 0);
  const int64_t chunks = (depth + chunk - 1) / chunk;
  const RowBlocks blocks(m);
  const double cost = double(batch * m) * double(depth) * 0.2;
  parallel_scratch(batch * chunks, cost, size_t(chunk * m) * sizeof(T), [&](int64_t begin, int64_t end, void* memory) {
    T* room = static_cast<T*>(memory);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t entry = item / chunks, k = item % chunks * chunk, k0 = k / kDepth<T> * kDepth<T>;
      const int64_t rest = depth - k < chunk ? depth - k : chunk, size = depth_end<T>(k0, depth) - k0;
      const T* from[chunk];
      for (int64_t i = 0; i < rest; ++i) from[i] = line(entry, k + i, room + i * m);
      T* to = packed + entry * m * depth + k0 * m;
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t i0 = blocks.begin(block), rows = blocks.size(block);
        for (int64_t i = 0; i < rest; ++i) copy_run(to + i0 * size + (k - k0 + i) * rows, from[i] + i0, rows);
      }
    }
  });
}

// Rows of blocks first..last, depth k0..k1, times the columns given.
template <class T, int V>
FASTNN_INLINE void block_product(const RowBlocks& blocks, int64_t first, int64_t last, int64_t k0, int64_t k1,
                                 const T* packed_a, const T* bias, const Columns<T, V>& columns) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t i0 = blocks.begin(block);
    const int rows = blocks.size(block);
    outer_tile_for<T, V>(rows)(k1 - k0, packed_a + k0 * blocks.rows + i0 * (k1 - k0), columns, i0, k0 > 0,
                               bias ? bias + i0 : nullptr);
  }
}

// As above for columns that don't lie in C as whole vectors: tiles work on a buffer that output.read(row, values) and
// output.write(row, values) exchange with C.
template <class T, int V, class Output>
void buffered_product(const RowBlocks& blocks, int64_t first, int64_t last, int64_t k0, int64_t k1, const T* packed_a,
                      const T* bias, Columns<T, V> columns, const Output& output) {
  constexpr int64_t width = V * lanes<T>;
  alignas(64) T buffer[kTileRows * width];
  columns.ldc = width;
  for (int v = 0; v < V; ++v) columns.c[v] = buffer + v * lanes<T>, columns.size[v] = lanes<T>;
  for (int64_t block = first; block < last; ++block) {
    const int64_t i0 = blocks.begin(block);
    const int rows = blocks.size(block);
    if (k0 > 0)
      for (int i = 0; i < rows; ++i) output.read(i0 + i, buffer + i * width);
    outer_tile_for<T, V>(rows)(k1 - k0, packed_a + k0 * blocks.rows + i0 * (k1 - k0), columns, 0, k0 > 0,
                               bias ? bias + i0 : nullptr);
    for (int i = 0; i < rows; ++i) output.write(i0 + i, buffer + i * width);
  }
}

// One sliver of packed B: into C where it lies there whole (output.direct gives its first element), else by a buffer:
// `held` (m rows of the sliver, kept from one depth block to the next and written out after the last), or a tile's.
template <class T, class Output>
void sliver_product(const RowBlocks& blocks, int64_t first, int64_t last, int64_t k0, int64_t k1, int64_t depth,
                    const T* packed_a, const T* bias, const T* sliver, const int32_t* offset, T* held,
                    const Output& output) {
  Columns<T> columns;
  columns.offset = offset;
  T* direct = output.direct(&columns.ldc);
  T* start = direct ? direct : held;
  if (!direct) columns.ldc = kTileCols<T>;
  alignas(64) T first_values[kTileCols<T>];
  columns.start = output.start(first_values);
  for (int v = 0; v < kTileVectors; ++v) {
    columns.b[v] = sliver + v * lanes<T>;
    columns.size[v] = lanes<T>;
  }
  if (!start) return buffered_product(blocks, first, last, k0, k1, packed_a, bias, columns, output);
  for (int v = 0; v < kTileVectors; ++v) columns.c[v] = start + v * lanes<T>;
  block_product(blocks, first, last, k0, k1, packed_a, bias, columns);
  if (!direct && k1 == depth)
    for (int64_t i = blocks.begin(first); i < blocks.begin(last); ++i) output.write(i, held + i * kTileCols<T>);
}

// Into how many parts the rows are cut, so that every thread has work. Each part packs the sliver again.
inline int64_t row_parts(int64_t slivers, int64_t blocks) {
  const int64_t threads = num_threads();
  if (slivers >= 4 * threads || slivers % threads == 0) return 1;
  return blocks < 4 ? blocks : 4;
}

// Sums of some rows of a sliver in double: what buffered_product writes is added.
template <class T>
struct DoubleSums {
  double* total;
  void read(int64_t, T* row) const { zero_run(row, kTileCols<T>); }
  void write(int64_t i, const T* row) const {
    for (int64_t j = 0; j < kTileCols<T>; ++j) total[i * kTileCols<T> + j] += double(row[j]);
  }
};

// packed_gemm of a depth beyond kLongSum: each depth block is summed by itself, and their sums are added in double.
template <class T, class Problem>
void long_packed_gemm(int64_t batch, int64_t m, int64_t columns, int64_t depth, const T* packed_a, const T* bias,
                      const Problem& problem) {
  const RowBlocks blocks(m);
  const int64_t slivers = (columns + kTileCols<T> - 1) / kTileCols<T>, parts = row_parts(batch * slivers, blocks.count);
  const double cost = double(batch * m) * double(columns) * double(depth) * kMultiplyAddCost<T>;
  const size_t sums = size_t(m * kTileCols<T>) * sizeof(double), values = size_t(kDepth<T> * kTileCols<T>) * sizeof(T);
  const size_t scratch = sums + values + kDepth<T> * sizeof(int32_t);
  parallel_scratch(batch * slivers * parts, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    const DoubleSums<T> totals{static_cast<double*>(memory)};
    T* sliver = reinterpret_cast<T*>(static_cast<char*>(memory) + sums);
    int32_t* offset = reinterpret_cast<int32_t*>(static_cast<char*>(memory) + sums + values);
    for (int64_t k = 0; k < kDepth<T>; ++k) offset[k] = int32_t(k * kTileCols<T>);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t part = item % parts, j = item / parts % slivers, entry = item / parts / slivers;
      const int64_t first = blocks.count * part / parts, last = blocks.count * (part + 1) / parts;
      const int64_t row0 = blocks.begin(first), row1 = blocks.begin(last);
      const auto output = problem.output(entry, j);
      alignas(64) T row[kTileCols<T>];
      Columns<T> tile;
      tile.offset = offset, tile.start = output.start(row);
      for (int v = 0; v < kTileVectors; ++v) tile.b[v] = sliver + v * lanes<T>;
      for (int64_t i = row0 * kTileCols<T>; i < row1 * kTileCols<T>; ++i) totals.total[i] = 0;
      for (int64_t k0 = 0; k0 < depth; k0 += kDepth<T>) {
        const int64_t k1 = depth_end<T>(k0, depth);
        problem.pack(entry, j, k0, k1, sliver);
        buffered_product(blocks, first, last, k0, k1, packed_a + entry * m * depth, bias ? bias + entry * m : nullptr,
                         tile, totals);
      }
      for (int64_t i = row0; i < row1; ++i) {
        for (int64_t k = 0; k < kTileCols<T>; ++k) row[k] = T(totals.total[i * kTileCols<T> + k]);
        output.write(i, row);
      }
    }
  });
}

// For each batch entry C (m x columns) = bias + A B. problem.pack(entry, j, k0, k1, sliver) writes rows k0..k1 of B
// for the columns of sliver j (anything finite beyond the last) and problem.output(entry, j) says where they go, and by
// start(buffer) what their sums start from: kTileCols values, or null for bias (per row, may be null).
// Threads take slivers; when there are few of them, also parts of the rows. Neither changes an element's sum, which
// runs over the depth in order.
template <class T, class Problem>
void packed_gemm(int64_t batch, int64_t m, int64_t columns, int64_t depth, const T* packed_a, const T* bias,
                 const Problem& problem) {
  if (!batch || !m || !columns) return;
  if (depth > kLongSum) return long_packed_gemm(batch, m, columns, depth, packed_a, bias, problem);
  const RowBlocks blocks(m);
  const int64_t slivers = (columns + kTileCols<T> - 1) / kTileCols<T>;
  const int64_t parts = row_parts(batch * slivers, blocks.count);
  const double cost = double(batch * m) * double(columns) * double(depth) * kMultiplyAddCost<T>;
  // Rows of a sliver that isn't whole in C are many short pieces: with several depth blocks they are kept together.
  const int64_t held_size = depth > kDepth<T> && m <= kHeldRows ? m * kTileCols<T> : 0;
  const size_t values = size_t(kDepth<T> * kTileCols<T> + kSliversPerPass * held_size);
  const size_t scratch = values * sizeof(T) + kDepth<T> * sizeof(int32_t);
  parallel_scratch(batch * slivers * parts, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    T* sliver = static_cast<T*>(memory);
    T* held = sliver + kDepth<T> * kTileCols<T>;
    int32_t* offset = reinterpret_cast<int32_t*>(sliver + values);
    for (int64_t k = 0; k < kDepth<T>; ++k) offset[k] = int32_t(k * kTileCols<T>);
    for (int64_t pass = begin; pass < end; pass += kSliversPerPass) {
      const int64_t pass_end = pass + kSliversPerPass < end ? pass + kSliversPerPass : end;
      int64_t k0 = 0;
      do {  // at least once, so that an empty sum still writes its bias
        const int64_t k1 = depth_end<T>(k0, depth);
        for (int64_t item = pass; item < pass_end; ++item) {
          const int64_t part = item % parts, j = item / parts % slivers, entry = item / parts / slivers;
          problem.pack(entry, j, k0, k1, sliver);
          sliver_product(blocks, blocks.count * part / parts, blocks.count * (part + 1) / parts, k0, k1, depth,
                         packed_a + entry * m * depth, bias ? bias + entry * m : nullptr, sliver, offset,
                         held_size ? held + (item - pass) * held_size : nullptr, problem.output(entry, j));
        }
        k0 = k1;
      } while (k0 < depth);
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
