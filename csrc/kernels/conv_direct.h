// Direct convolution: columns of B are read where they lie in a padded copy of the image (conv_layout.h).
#pragma once
#include "conv_layout.h"
#include "gemm_driver.h"

namespace fastnn::FASTNN_ISA {
namespace {

// How the output columns of an image are cut into vectors.
//   by rows: each vector lies in one row of the grid, the last of a row is short, all are stored where they belong;
//   flat: vectors follow each other through the rows of the copy, across their ends, where they compute columns that
//   nobody wants; for maps much narrower than a vector. Tiles go through a buffer.
template <class T>
struct ColumnCut {
  bool by_rows;
  int64_t per_row, vectors;  // vectors in a row (by rows), in an image

  ColumnCut(const PaddedLayout& layout) {
    constexpr int64_t L = lanes<T>;
    const Axis* a = layout.p.axis;
    per_row = (a[2].grid + L - 1) / L;
    const int64_t rows = a[0].grid * a[1].grid;
    const int64_t last = ((a[0].grid - 1) * layout.extent[1] + a[1].grid - 1) * layout.extent[2] + a[2].grid;
    const int64_t flat = (last + L - 1) / L;
    // 0.8: what going through the buffer costs a tile of usual depth
    by_rows = a[2].out_step == 1 && double(rows * per_row) * 0.8 <= double(flat);
    vectors = by_rows ? rows * per_row : flat;
  }
};

template <class T>
struct DirectProblem {
  PaddedLayout layout;
  ColumnCut<T> cut;
  const T* x;
  T* y;
  int64_t images, channels_in, channels_out, groups;

  DirectProblem(const Patches& p, const T* x, T* y, int64_t images, int64_t channels_in, int64_t channels_out,
                int64_t groups)
      : layout(p),
        cut(layout),
        x(x),
        y(y),
        images(images),
        channels_in(channels_in),
        channels_out(channels_out),
        groups(groups) {}

  int64_t group_in() const { return channels_in / groups; }
  int64_t group_out() const { return channels_out / groups; }
  // A vector starts inside the plane and a tap inside the reach of the axis, so reads end within a plane and a vector.
  static constexpr int64_t slack = kTileCols<T> + lanes<T>;
  int64_t copy_size() const { return group_in() * layout.channel_size() + slack; }
  int64_t passes() const { return (cut.vectors + kVectorsPerPass - 1) / kVectorsPerPass; }
  static constexpr int64_t kVectorsPerPass = kSliversPerPass * kTileVectors;

  void fill(int64_t image, int64_t group, T* copy) const {
    const int64_t plane = layout.p.in_plane();
    layout.fill(x + (image * channels_in + group * group_in()) * plane, group_in(), copy, slack);
  }
  T* output(int64_t image, int64_t group) const {
    return y + (image * channels_out + group * group_out()) * layout.p.out_plane();
  }

  // Vector q by rows: where it starts in the copy and in the output plane.
  void place(int64_t q, const T* copy, T* out, const T** b, T** c, int* size) const {
    const Axis *D = &layout.p.axis[0], *H = &layout.p.axis[1], *W = &layout.p.axis[2];
    const int64_t row = divide(q, cut.per_row), w = (q - row * cut.per_row) * lanes<T>;
    const int64_t d = divide(row, H->grid), h = row - d * H->grid;
    *b = copy + (d * layout.extent[1] + h) * layout.extent[2] + w;
    const int64_t out_d = D->out_begin + d * D->out_step, out_h = H->out_begin + h * H->out_step;
    *c = out + (out_d * H->out_size + out_h) * W->out_size + W->out_begin + w;
    *size = int(W->grid - w < lanes<T> ? W->grid - w : lanes<T>);
  }
};

// Columns of flat vectors that belong to the output, as runs of rows.
template <class T, int V>
struct FlatOutput {
  const PaddedLayout& layout;
  T* out;
  struct Run {
    int64_t column, size, to;
  } runs[V * lanes<T> + 1];
  int count = 0;

  FlatOutput(const PaddedLayout& l, T* out, int64_t begin) : layout(l), out(out) {
    const Axis *D = &l.p.axis[0], *H = &l.p.axis[1], *W = &l.p.axis[2];
    int64_t row = divide(begin, l.extent[2]), w = begin - row * l.extent[2];
    for (int64_t column = 0; column < V * lanes<T>; ++row, w = 0) {
      const int64_t left = V * lanes<T> - column, d = divide(row, l.extent[1]), h = row - d * l.extent[1];
      if (d < D->grid && h < H->grid && w < W->grid) {
        const int64_t to =
            ((D->out_begin + d * D->out_step) * H->out_size + H->out_begin + h * H->out_step) * W->out_size +
            W->out_begin + w * W->out_step;
        runs[count++] = {column, W->grid - w < left ? W->grid - w : left, to};
      }
      column += l.extent[2] - w;
    }
  }
  void read(int64_t channel, T* row) const {
    const T* from = out + channel * layout.p.out_plane();
    for (int i = 0; i < count; ++i)
      gather_run(row + runs[i].column, from + runs[i].to, runs[i].size, layout.p.axis[2].out_step);
  }
  void write(int64_t channel, const T* row) const {
    T* to = out + channel * layout.p.out_plane();
    for (int i = 0; i < count; ++i) {
      if (layout.p.axis[2].out_step == 1)
        copy_run(to + runs[i].to, row + runs[i].column, runs[i].size);
      else
        scatter_run(to + runs[i].to, row + runs[i].column, runs[i].size, layout.p.axis[2].out_step);
    }
  }
};

template <class T, int V>
void direct_vectors(const DirectProblem<T>& problem, const RowBlocks& blocks, int64_t q, int64_t k0, int64_t k1,
                    const T* packed_a, const T* bias, const T* copy, const int32_t* offset, T* out) {
  Columns<T, V> columns;
  columns.offset = offset;
  columns.ldc = problem.layout.p.out_plane();
  if (problem.cut.by_rows) {
    for (int v = 0; v < V; ++v) problem.place(q + v, copy, out, &columns.b[v], &columns.c[v], &columns.size[v]);
    block_product(blocks, 0, blocks.count, k0, k1, packed_a, bias, columns);
  } else {
    for (int v = 0; v < V; ++v) columns.b[v] = copy + (q + v) * lanes<T>;
    const FlatOutput<T, V> output(problem.layout, out, q * lanes<T>);
    buffered_product(blocks, 0, blocks.count, k0, k1, packed_a, bias, columns, output);
  }
}

// Items are passes: some vectors of one group of one image. A thread makes the copy when it comes to a new image.
template <class T>
void direct_gemm(const DirectProblem<T>& problem, int64_t depth, const T* packed_a, const T* bias) {
  const int64_t m = problem.group_out(), passes = problem.passes(), items = problem.images * problem.groups * passes;
  const RowBlocks blocks(m);
  const double cost =
      double(items * DirectProblem<T>::kVectorsPerPass * lanes<T>) * double(m) * double(depth) * kMultiplyAddCost<T>;
  const size_t scratch = size_t(problem.copy_size()) * sizeof(T) + kDepth<T> * sizeof(int32_t);
  parallel_scratch(items, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    T* copy = static_cast<T*>(memory);
    int32_t* offset = reinterpret_cast<int32_t*>(copy + problem.copy_size());
    int64_t have = -1;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t which = item / passes, image = which / problem.groups, group = which % problem.groups;
      if (which != have) problem.fill(image, group, copy);
      have = which;
      const int64_t q0 = item % passes * DirectProblem<T>::kVectorsPerPass;
      const int64_t q1 = clamp(problem.cut.vectors, q0, q0 + DirectProblem<T>::kVectorsPerPass);
      const T* a = packed_a + group * m * depth;
      const T* group_bias = bias ? bias + group * m : nullptr;
      for (int64_t k0 = 0; k0 < depth; k0 += kDepth<T>) {
        const int64_t k1 = depth_end<T>(k0, depth);
        problem.layout.row_offsets(k0, k1, offset);
        T* out = problem.output(image, group);
        int64_t q = q0;
        for (; q + kTileVectors <= q1; q += kTileVectors)
          direct_vectors<T, kTileVectors>(problem, blocks, q, k0, k1, a, group_bias, copy, offset, out);
        for (; q < q1; ++q) direct_vectors<T, 1>(problem, blocks, q, k0, k1, a, group_bias, copy, offset, out);
      }
    }
  });
}

// Whether reading columns in place beats packing them: the multiply-adds spent on columns that nobody wants have to
// be fewer than packing costs, the copy has to stay in the second-level cache and offsets within 32 bits.
template <class T>
bool prefer_direct(const DirectProblem<T>& problem, int64_t depth) {
  const double wanted = double(problem.layout.p.grid());
  const double waste = (double(problem.cut.vectors) * lanes<T> - wanted) / wanted * double(problem.group_out());
  return depth > 0 && waste <= kDirectWaste && problem.copy_size() * int64_t(sizeof(T)) <= kDirectCopyBytes;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
