// The product A B over packed panels, for matrices and for convolutions alike: what B is and where C goes are given
// as functors, A is packed beforehand.
#pragma once
#include "../parallel.h"
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "gemm_tile.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough nanoseconds to pack a value of A panel by panel (pack_a), or line by line (pack_a_columns); they only decide
// how many threads are asked to help.
constexpr double kPanelCost = 0.5, kLineCost = 0.2;

// End of the depth block that begins at k0.
template <class T>
FASTNN_INLINE int64_t depth_end(int64_t k0, int64_t depth) {
  return least(k0 + kDepth<T>, depth);
}

// offset[k] = where row k of a panel begins, seen from the panel's first value.
template <class T>
void panel_offsets(int64_t count, int32_t* offset) {
  for (int64_t k = 0; k < count; ++k) offset[k] = int32_t(k * kTileCols<T>);
}

// Calls f(V, q) for V vectors of columns from vector q on, until vectors q0 … q1 are done: as many at a time as a tile
// has, and the last one by one.
template <class F>
FASTNN_INLINE void for_vectors(int64_t q0, int64_t q1, const F& f) {
  for (; q0 + kTileVectors <= q1; q0 += kTileVectors) f(std::integral_constant<int, kTileVectors>{}, q0);
  for (; q0 < q1; ++q0) f(std::integral_constant<int, 1>{}, q0);
}

// Multiplies row blocks first … last of A by the columns given. Neighbouring rows of A lie `apart` values from each
// other, and rows of A and C are counted from the first row of block `first`.
template <class T, int V>
void multiply_rows(const RowBlocks& blocks, int64_t first, int64_t last, int64_t depth, const T* a, int64_t apart,
                   const Columns<T, V>& columns, bool accumulate) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t row = blocks.begin(block) - blocks.begin(first);
    outer_tile_for<T, V>(blocks.size(block))(depth, a + row * apart, columns, row, accumulate, nullptr);
  }
}

// Packs A (m x depth) of each batch entry: for each depth block, for each row block, a panel (block depth, rows).
// fill(entry, i0, rows, k0, k1, panel) writes panel[(k - k0) * rows + i] = A[i0 + i][k]; one item of the parallel
// loop is a row block of one entry.
template <class T, class Fill>
void pack_a(int64_t batch, int64_t m, int64_t depth, T* packed, const Fill& fill) {
  const RowBlocks blocks(m);
  parallel_for(batch * blocks.count, double(batch * m) * double(depth) * kPanelCost, [&](int64_t begin, int64_t end) {
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

// pack_a of a matrix that is stored transposed, so that its lines, A[0 … m)[k], are contiguous. A few lines at a time
// are packed into all panels: to fill one panel after the other would visit all lines for every panel. line(entry, k,
// room) returns where a line lies, or writes it to `room` and returns that.
template <class T, class Line>
void pack_a_columns(int64_t batch, int64_t m, int64_t depth, T* packed, const Line& line) {
  constexpr int64_t few = 8;
  static_assert(kDepth<T> % few == 0);
  const int64_t groups = ceil_div(depth, few);
  const RowBlocks blocks(m);
  const double cost = double(batch * m) * double(depth) * kLineCost;
  parallel_values<T>(batch * groups, cost, few * m, [&](int64_t begin, int64_t end, T* room) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t entry = item / groups, k = item % groups * few, k0 = k / kDepth<T> * kDepth<T>;
      const int64_t lines = least(depth - k, few), size = depth_end<T>(k0, depth) - k0;
      const T* from[few];
      for (int64_t i = 0; i < lines; ++i) from[i] = line(entry, k + i, room + i * m);
      T* to = packed + entry * m * depth + k0 * m;
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t i0 = blocks.begin(block), rows = blocks.size(block);
        for (int64_t i = 0; i < lines; ++i) copy_run(to + i0 * size + (k - k0 + i) * rows, from[i] + i0, rows);
      }
    }
  });
}

// Row blocks first … last of a packed A, at depths k0 … k1.
template <class T>
struct PackedRows {
  RowBlocks blocks;
  int64_t first, last;
  const T *packed, *bias;  // bias per row, may be null
  int64_t k0 = 0, k1 = 0;

  int64_t begin() const { return blocks.begin(first); }
  int64_t end() const { return blocks.begin(last); }

  // Multiplies the rows of one block by the columns given. Results go to rows of C from `row` on.
  template <int V>
  FASTNN_INLINE void multiply_block(int64_t block, const Columns<T, V>& columns, int64_t row) const {
    const int64_t i0 = blocks.begin(block);
    outer_tile_for<T, V>(blocks.size(block))(k1 - k0, packed + k0 * blocks.rows + i0 * (k1 - k0), columns, row, k0 > 0,
                                             bias ? bias + i0 : nullptr);
  }
  template <int V>
  FASTNN_INLINE void multiply(const Columns<T, V>& columns) const {
    for (int64_t block = first; block < last; ++block) multiply_block(block, columns, blocks.begin(block));
  }
  // Multiplies rows by columns that don't lie in C as whole vectors. Tiles work on a buffer, which
  // output.read(row, values) fills from C, and output.write(row, values) writes to C.
  template <int V, class Output>
  void multiply_buffered(Columns<T, V> columns, const Output& output) const {
    constexpr int64_t width = V * lanes<T>;
    alignas(64) T buffer[kTileRows * width];
    columns.ldc = width;
    columns.write(buffer);
    for (int64_t block = first; block < last; ++block) {
      const int64_t i0 = blocks.begin(block);
      const int rows = blocks.size(block);
      if (k0 > 0)
        for (int i = 0; i < rows; ++i) output.read(i0 + i, buffer + i * width);
      multiply_block(block, columns, 0);
      for (int i = 0; i < rows; ++i) output.write(i0 + i, buffer + i * width);
    }
  }
  // Multiplies rows by a panel of packed B. Results go directly into C where the panel's columns lie there side by side
  // (output.direct then gives their first element). Else they go by way of `held`, which keeps all rows of the panel
  // from one depth block to the next, and is written out after the last; or, where held is null, by way of a tile's
  // buffer.
  template <class Output>
  void multiply_panel(int64_t depth, const T* panel, const int32_t* offset, T* held, const Output& output) const {
    Columns<T> columns(offset);
    T* direct = output.direct(&columns.ldc);
    T* start = direct ? direct : held;
    if (!direct) columns.ldc = kTileCols<T>;
    alignas(64) T first_values[kTileCols<T>];
    columns.start = output.start(first_values);
    columns.read(panel);
    if (!start) return multiply_buffered(columns, output);
    columns.write(start);
    multiply(columns);
    if (!direct && k1 == depth)
      for (int64_t i = begin(); i < end(); ++i) output.write(i, held + i * kTileCols<T>);
  }
};

// Into how many parts the rows are cut, so that every thread has work: few, since each part packs the panel again.
inline int64_t row_parts(int64_t panels, int64_t blocks) {
  const int64_t threads = num_threads();
  if (panels >= 4 * threads || panels % threads == 0) return 1;
  return least(blocks, 4);
}

// How a product is cut into items for the threads: an item is one panel of columns of one batch entry, times one part
// of the rows.
template <class T>
struct PanelItems {
  RowBlocks blocks;
  int64_t depth, panels, parts, all;
  const T *packed, *bias;
  double cost;

  PanelItems(int64_t batch, int64_t m, int64_t columns, int64_t depth, const T* packed, const T* bias)
      : blocks(m),
        depth(depth),
        panels(ceil_div(columns, kTileCols<T>)),
        parts(row_parts(batch * panels, blocks.count)),
        all(batch * panels * parts),
        packed(packed),
        bias(bias),
        cost(double(batch * m) * double(columns) * double(depth) * kMultiplyAddCost<T>) {}
  int64_t panel(int64_t item) const { return item / parts % panels; }
  int64_t entry(int64_t item) const { return item / parts / panels; }
  PackedRows<T> rows(int64_t item) const {
    const int64_t part = item % parts, m = blocks.rows;
    return {blocks, blocks.count * part / parts, blocks.count * (part + 1) / parts, packed + entry(item) * m * depth,
            bias ? bias + entry(item) * m : nullptr};
  }
};

// The output of multiply_buffered where sums are kept in double: rows that are written to it are added to `total`.
template <class T>
struct DoubleSums {
  double* total;
  void read(int64_t, T* row) const { zero_run(row, kTileCols<T>); }
  void write(int64_t i, const T* row) const {
    for (int64_t j = 0; j < kTileCols<T>; ++j) total[i * kTileCols<T> + j] += double(row[j]);
  }
};

// A thread's memory for a product: a panel of B, and where its rows begin. held: the thread's rows of C under some
// panels, from one depth block to the next. sums: sums in double of the rows of C under one panel.
template <class T>
struct PanelScratch {
  T* panel;
  int32_t* offset;
  T* held;
  double* sums;

  PanelScratch(int64_t held_size, int64_t sums_size, Room& room)
      : panel(room.take<T>(kDepth<T> * kTileCols<T>)),
        offset(room.take<int32_t>(kDepth<T>)),
        held(room.take<T>(held_size)),
        sums(room.take<double>(sums_size)) {}
};

// packed_gemm of a depth beyond kLongSum: each depth block is summed by itself, and their sums are added in double.
template <class T, class Problem>
void long_packed_gemm(const PanelItems<T>& items, const Problem& problem) {
  const int64_t size = items.blocks.rows * kTileCols<T>, depth = items.depth;
  const auto layout = [=](Room& room) { return PanelScratch<T>(0, size, room); };
  parallel_room(items.all, items.cost, layout, [&](int64_t begin, int64_t end, const PanelScratch<T>& scratch) {
    panel_offsets<T>(kDepth<T>, scratch.offset);
    for (int64_t item = begin; item < end; ++item) {
      PackedRows<T> rows = items.rows(item);
      const auto output = problem.output(items.entry(item), items.panel(item));
      alignas(64) T row[kTileCols<T>];
      Columns<T> tile(scratch.offset);
      tile.start = output.start(row), tile.read(scratch.panel);
      double* const total = scratch.sums;
      for (int64_t i = rows.begin() * kTileCols<T>; i < rows.end() * kTileCols<T>; ++i) total[i] = 0;
      for (; rows.k0 < depth; rows.k0 = rows.k1) {
        rows.k1 = depth_end<T>(rows.k0, depth);
        problem.pack(items.entry(item), items.panel(item), rows.k0, rows.k1, scratch.panel);
        rows.multiply_buffered(tile, DoubleSums<T>{total});
      }
      for (int64_t i = rows.begin(); i < rows.end(); ++i) {
        for (int64_t k = 0; k < kTileCols<T>; ++k) row[k] = T(total[i * kTileCols<T> + k]);
        output.write(i, row);
      }
    }
  });
}

// For each batch entry C (m x columns) = bias + A B. problem.pack(entry, j, k0, k1, panel) writes rows k0..k1 of B
// for the columns of panel j (beyond the last column of B, anything finite). problem.output(entry, j) says where the
// results go. Its start(buffer) returns what sums start from: kTileCols values, or null if that is the bias (a number
// for each row, or null).
// Threads take panels; when there are few of them, also parts of the rows. This changes no element's sum, which runs
// over the depth in order.
template <class T, class Problem>
void packed_gemm(int64_t batch, int64_t m, int64_t columns, int64_t depth, const T* packed_a, const T* bias,
                 const Problem& problem) {
  if (!batch || !m || !columns) return;
  const PanelItems<T> items(batch, m, columns, depth, packed_a, bias);
  if (depth > kLongSum) return long_packed_gemm(items, problem);
  // A tile that does not lie in one piece in C would be read and written as many short runs in every depth block.
  // Partial sums are therefore held in a buffer until the last block.
  const int64_t held_size = depth > kDepth<T> && m <= kHeldRows ? m * kTileCols<T> : 0;
  const auto layout = [=](Room& room) { return PanelScratch<T>(kJointPanels * held_size, 0, room); };
  parallel_room(items.all, items.cost, layout, [&](int64_t begin, int64_t end, const PanelScratch<T>& scratch) {
    panel_offsets<T>(kDepth<T>, scratch.offset);
    for (int64_t first = begin; first < end; first += kJointPanels) {
      const int64_t last = least(first + kJointPanels, end);
      int64_t k0 = 0;
      do {  // at least once, so that an empty sum still writes its bias
        const int64_t k1 = depth_end<T>(k0, depth);
        for (int64_t item = first; item < last; ++item) {
          const int64_t entry = items.entry(item), j = items.panel(item);
          PackedRows<T> rows = items.rows(item);
          rows.k0 = k0, rows.k1 = k1;
          problem.pack(entry, j, k0, k1, scratch.panel);
          rows.multiply_panel(depth, scratch.panel, scratch.offset,
                              held_size ? scratch.held + (item - first) * held_size : nullptr,
                              problem.output(entry, j));
        }
        k0 = k1;
      } while (k0 < depth);
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
