// Direct convolution: columns of B are read where they lie in a padded copy of the image (conv_layout.h). A volume
// whose padded copy would be too large for the cache is gone through in blocks of its first axis that fit: 4x32x8x28x28
// -> 32 with 3x3x3 taps took 15.4 ms this way on one core, and 22 packed (it goes by Winograd's way now).
#pragma once
#include "conv_layout.h"
#include "conv_packed.h"

namespace fastnn::FASTNN_ISA {
namespace {

// How the output columns of an image are cut into vectors.
//   by rows: each vector lies in one row of the grid. The last of a row is short, and all are stored where they belong.
//   flat: vectors follow each other through the rows of the copy and across the rows' ends, where they compute columns
//   that nobody wants. So tiles go through a buffer. This is for maps much narrower than a vector.
template <class T>
struct ColumnCut {
  // The time of a tile of usual depth that is stored directly, as a share of that of one that goes through the buffer.
  static constexpr double kBuffered = 0.8;

  const PaddedLayout& layout;
  int64_t rows = layout.p.grid_rows(), width = layout.p.axis[2].grid, per_row = ceil_div(width, lanes<T>);
  int64_t flat = ceil_div(layout.row_place(rows - 1) + width, lanes<T>);
  bool by_rows = layout.p.axis[2].out_step == 1 && double(rows * per_row) * kBuffered <= double(flat);
  int64_t vectors = by_rows ? rows * per_row : flat;
};

// One block of the grid.
template <class T>
struct DirectBlock {
  const Product<T>& product;
  PaddedLayout layout;
  ColumnCut<T> cut{layout};

  // How many values behind the copy the last vectors of columns may read.
  static constexpr int64_t slack = kTileCols<T> + lanes<T>;
  static constexpr int64_t kItemVectors = kJointPanels * kTileVectors;

  // Whether reading columns in place beats packing them: the multiply-adds spent on columns that nobody wants have to
  // be fewer than packing costs, the copy has to stay in the second-level cache and offsets within 32 bits.
  bool fits() const {
    const double wanted = double(layout.p.grid());
    const double waste = (double(cut.vectors) * lanes<T> - wanted) / wanted * double(product.group_out());
    return product.depth() > 0 && waste <= kDirectWaste && copy_size() * int64_t(sizeof(T)) <= kDirectCopyBytes;
  }

  // An item is some vectors of columns of one group of one image. A thread makes the copy when it comes to a new group
  // or image.
  void multiply(const T* packed_a) const {
    const int64_t m = product.group_out(), depth = product.depth(), per_image = ceil_div(cut.vectors, kItemVectors);
    const int64_t items = product.images * product.groups * per_image;
    const RowBlocks blocks(m);
    const double cost = double(items * kItemVectors * lanes<T>) * double(m) * double(depth) * kMultiplyAddCost<T>;
    parallel_with(items, cost, *this, [&](int64_t begin, int64_t end, const Scratch& scratch) {
      int64_t have = -1;
      for (int64_t item = begin; item < end; ++item) {
        const int64_t which = item / per_image, image = which / product.groups, group = which % product.groups;
        if (which != have) layout.fill(product.plane_in(image, group), product.group_in(), scratch.copy, slack);
        have = which;
        const int64_t q0 = item % per_image * kItemVectors, q1 = least(cut.vectors, q0 + kItemVectors);
        T* const out = product.plane_out(image, group);
        PackedRows<T> rows = {blocks, 0, blocks.count, packed_a + group * m * depth, product.group_bias(group)};
        for (; rows.k0 < depth; rows.k0 = rows.k1) {
          rows.k1 = depth_end<T>(rows.k0, depth);
          layout.row_offsets(rows.k0, rows.k1, scratch.offset);
          for_vectors(q0, q1, [&](auto V, int64_t q) FASTNN_FLAT { vectors<V>(rows, q, scratch, out); });
        }
      }
    });
  }

  int64_t copy_size() const { return product.group_in() * layout.channel_size() + slack; }

  // A thread's memory.
  struct Scratch {
    T* copy;
    int32_t* offset;  // of a depth block
  };
  Scratch scratch(Room& room) const { return {room.take<T>(copy_size()), room.take<int32_t>(kDepth<T>)}; }

  // Multiplies `rows` by V vectors of columns from vector q on.
  template <int V>
  void vectors(const PackedRows<T>& rows, int64_t q, const Scratch& scratch, T* out) const {
    Columns<T, V> columns(scratch.offset, layout.p.out_plane());
    if (cut.by_rows) {
      for (int v = 0; v < V; ++v) {
        const int64_t row = divide(q + v, cut.per_row), w = (q + v - row * cut.per_row) * lanes<T>;
        columns.b[v] = scratch.copy + layout.row_place(row) + w;
        columns.c[v] = out + layout.p.row_place(row) + w;
        columns.size[v] = int(least(layout.p.axis[2].grid - w, lanes<T>));
      }
      rows.multiply(columns);
    } else {
      columns.read(scratch.copy + q * lanes<T>);
      rows.multiply_buffered(columns, flat_output<V>(q * lanes<T>, out));
    }
  }

  // Finds where the columns of V flat vectors go, as far as they belong to the output.
  template <int V>
  RunOutput<T, V * lanes<T> + 1> flat_output(int64_t begin, T* out) const {
    const Axis *D = &layout.p.axis[0], *H = &layout.p.axis[1], *W = &layout.p.axis[2];
    RunOutput<T, V * lanes<T> + 1> output(layout.p, out);
    int64_t row = divide(begin, layout.extent[2]), w = begin - row * layout.extent[2];
    for (int64_t column = 0; column < V * lanes<T>; ++row, w = 0) {
      const int64_t d = divide(row, layout.extent[1]), h = row - d * layout.extent[1];
      if (d < D->grid && h < H->grid && w < W->grid)
        output.add(column, least(W->grid - w, V * lanes<T> - column), layout.p.out_place(d, h, w));
      column += layout.extent[2] - w;
    }
    return output;
  }
};

template <class T>
struct Direct {
  const Product<T>& product;
  GridBlocks blocks{product.p, 0, 0, [this](const Patches& block) { return of(block).fits(); }};

  const char* name() const { return blocks.all() > 1 ? "direct by blocks" : "direct"; }
  bool suits() const { return of(blocks.block(0)).fits(); }
  bool run() const {
    product.with_packed_rows([this](const T* a) {
      for (int64_t i = 0; i < blocks.all(); ++i) of(blocks.block(i)).multiply(a);
    });
    return true;
  }
  DirectBlock<T> of(const Patches& block) const { return {product, PaddedLayout(block)}; }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
