// Convolution with lanes across output channels: a tile is a few neighbouring output positions by one or two vectors of
// channels,
//   y[o, k] = bias[k] + sum over patch rows r = (c, tap) of copy[o + distance(r)] * weight[r, k]
// A value of x is broadcast from where it lies: in a padded copy (conv_layout.h) or, where nothing is padded, in x
// itself. So nothing is packed per image but that copy, no lane is spent on columns beyond the end of a row, and the
// weights are packed once. Results are transposed into the planes of y, some rows at a time.
//   weights: for each group, for each block of kTileCols channels, (depth, channels of the block)
#pragma once
#include "conv_layout.h"
#include "conv_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// to (ROWS positions x V vectors) = start + sum over r of x[position + offset[r]] * weights[r]. The first half of the
// positions lie side by side from a0 on. The others lie side by side from a1 on, which may be in the next row.
template <class T, int ROWS, int V>
void position_tile(int64_t depth, const T* a0, const T* a1, const int32_t* offset, const T* weights, int64_t ldw,
                   const T* start, T* to) {
  constexpr int half = (ROWS + 1) / 2;
  Vec<T> acc[ROWS][V];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[i][v] = load(start + v * lanes<T>);
  for (int64_t r = 0; r < depth; ++r, weights += ldw) {
    const T *x0 = a0 + offset[r], *x1 = a1 + offset[r];
    Vec<T> w[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) w[v] = load(weights + v * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const Vec<T> x = set1(i < half ? x0[i] : x1[i - half]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[i][v] = fma(x, w[v], acc[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(to + (i * V + v) * lanes<T>, acc[i][v]);
}

template <class T, int V>
using PositionTile = void (*)(int64_t, const T*, const T*, const int32_t*, const T*, int64_t, const T*, T*);

template <class T, int V, int ROWS = kTileRows>
FASTNN_INLINE PositionTile<T, V> position_tile_for(int rows) {
  if constexpr (ROWS == 1)
    return position_tile<T, 1, V>;
  else
    return rows == ROWS ? position_tile<T, ROWS, V> : position_tile_for<T, V, ROWS - 1>(rows);
}

template <class T>
struct Channels {
  const Product<T>& product;
  // The first axis with several positions: blocks lie along it.
  int axis = product.p.axis[0].grid > 1 ? 0 : product.p.axis[1].grid > 1 ? 1 : 2;
  bool in_place = PaddedLayout(product.p).in_place();  // x itself is read
  GridBlocks blocks{product.p, axis, axis, [this](const Patches& block) {
                      const bool short_rows = axis != 2 || block.axis[2].grid <= kMaxRow;
                      return short_rows && (in_place || copy_size(PaddedLayout(block)) <= kCopyValues);
                    }};
  PaddedLayout layout{in_place ? product.p : blocks.block(0)};  // of the first block's copy, or of x

  static constexpr int64_t kCopyValues = 144 * 1024;  // most values of the copy of a block of several positions
  static constexpr int64_t kResultPositions = 256;    // most positions transposed together, if these are several rows
  static constexpr int64_t kMaxRow = 1024;            // longest block where the grid is a single row

  const char* name() const { return "channels"; }

  // Whether a group has at least a block of output channels, which fill three quarters of the lanes of their vectors,
  // and a depth that repays transposing the results. For a phase of a strided gradient, which other ways write an
  // element at a time, one vector of channels is enough. This way does not suit where even the copy for a block of one
  // position, or the results of one row, would be far too large for the cache; nor where offsets into x, read in place,
  // would not fit into 32 bits.
  bool suits() const {
    const int64_t m = product.group_out(), filled = ceil_div(m, lanes<T>) * lanes<T>;
    return m >= (product.p.dense_output() ? kTileCols<T> : lanes<T>) && 4 * m >= 3 * filled &&
           product.depth() >= kChannelDepth && copy_size(layout) <= (in_place ? INT32_MAX : 8 * kCopyValues) &&
           result_size() <= 16 * kResultPositions * kTileCols<T>;
  }

  // An item is one block of positions of one group of one image. Where threads would idle, it has only a part of the
  // blocks of channels.
  bool run() const {
    const int64_t grid_blocks = blocks.all(), channel_blocks = ceil_div(product.group_out(), kTileCols<T>);
    const int64_t outer = product.images * product.groups * grid_blocks, parts = row_parts(outer, channel_blocks);
    product.with_packed_columns([&](const T* packed) {
      parallel_with(outer * parts, product.cost(), *this, [&](int64_t first, int64_t last, const Scratch& scratch) {
        layout.row_offsets(0, product.depth(), scratch.offset);
        int64_t have = -1;
        for (int64_t item = first; item < last; ++item) {
          const int64_t part = item % parts, which = item / parts, group = which / grid_blocks % product.groups;
          const Block block(*this, which / grid_blocks / product.groups, group, which % grid_blocks, scratch,
                            which != have);
          have = which;
          for (int64_t b = channel_blocks * part / parts; b < channel_blocks * (part + 1) / parts; ++b)
            block.multiply(packed, b * kTileCols<T>);
        }
      });
    });
    return true;
  }

  int64_t copy_size(const PaddedLayout& of) const { return product.group_in() * of.channel_size(); }
  // How many rows have their results transposed together, at most `rows`. Where it is possible, these rows have whole
  // vectors of positions, which are then stored whole and aligned.
  int64_t joint_rows(int64_t rows, int64_t width) const {
    int64_t few = lanes<T>;
    while (few > 1 && few / 2 * width % lanes<T> == 0) few /= 2;
    const int64_t fit = kResultPositions / width;
    return clamp(fit > few ? fit / few * few : fit, 1, rows);
  }
  int64_t result_size() const { return most(blocks.size[2], kResultPositions) * kTileCols<T>; }

  // A thread's memory.
  struct Scratch {
    T *copy, *results, *turned;
    int32_t* offset;
  };
  Scratch scratch(Room& room) const {
    return {room.take<T>(in_place ? 0 : copy_size(layout)), room.take<T>(result_size()), room.take<T>(result_size()),
            room.take<int32_t>(product.depth())};
  }

  // One block of positions of one group of one image: where its rows lie in the copy and go in the planes of y.
  struct Block {
    const Channels& way;
    const Scratch& scratch;
    Patches p;
    int64_t group;
    const T* from;  // what tap 0 of position 0 reads
    T* to;          // where channel 0 of the group goes

    Block(const Channels& way, int64_t image, int64_t group, int64_t which, const Scratch& scratch, bool fresh)
        : way(way),
          scratch(scratch),
          p(way.blocks.block(which)),
          group(group),
          from(scratch.copy),
          to(way.product.plane_out(image, group)) {
      const T* x = way.product.plane_in(image, group);
      const int64_t begin = which * way.blocks.size[way.axis], *extent = way.layout.extent;
      if (way.in_place) {
        from = x + begin * (way.axis == 2 ? 1 : way.axis == 1 ? extent[2] : extent[1] * extent[2]);
      } else if (fresh) {
        PaddedLayout here = way.layout;
        here.low[way.axis] += begin * p.axis[way.axis].step;
        here.fill(x, way.product.group_in(), scratch.copy, 0);
      }
    }

    // Computes the block of channels from channel k of the group on.
    void multiply(const T* packed, int64_t k) const {
      const int64_t m = way.product.group_out(), n = least(m - k, kTileCols<T>);
      alignas(64) T start[kTileCols<T>] = {};
      if (way.product.bias) copy_run(start, way.product.bias + group * m + k, n);
      const T* weights = packed + (group * m + k) * way.product.depth();
      n > lanes<T> ? multiply_vectors<kTileVectors>(weights, start, k, n) : multiply_vectors<1>(weights, start, k, n);
    }

   private:
    int64_t width() const { return p.axis[2].grid; }
    const T* row(int64_t r) const { return from + way.layout.row_place(r); }

    // `start` has the number that the sums of each of the n output channels from k on start from.
    template <int V>
    void multiply_vectors(const T* weights, const T* start, int64_t k, int64_t n) const {
      const int64_t depth = way.product.depth(), rows = p.grid_rows(), w = width(), runs = ceil_div(w, kTileRows);
      const int64_t step = way.joint_rows(rows, w);
      const int32_t* const offset = scratch.offset;
      const bool pairs = 2 * w <= kTileRows;
      for (int64_t r0 = 0; r0 < rows; r0 += step) {
        const int64_t r1 = least(rows, r0 + step);
        T* out = scratch.results;
        const auto tile = [&](const T* a0, const T* a1, int64_t size) FASTNN_FLAT {
          position_tile_for<T, V>(int(size))(depth, a0, a1, offset, weights, n, start, out);
          out += size * V * lanes<T>;
        };
        for (int64_t r = r0; r < r1; ++r) {
          if (pairs && r + 1 < r1) {
            tile(row(r), row(r + 1), 2 * w);
            ++r;
            continue;
          }
          for (int64_t i = 0; i < runs; ++i) {
            const int64_t begin = w * i / runs, size = w * (i + 1) / runs - begin;
            tile(row(r) + begin, row(r) + begin + (size + 1) / 2, size);
          }
        }
        write(r0, r1, V * lanes<T>, k, n);
      }
    }

    // Writes the results of rows r0..r1 (positions, ld) to n channels of y from channel k on.
    void write(int64_t r0, int64_t r1, int64_t ld, int64_t k, int64_t n) const {
      const int64_t plane = p.out_plane(), step = p.axis[2].out_step, positions = (r1 - r0) * width();
      T* y = to + k * plane;
      if (way.product.p.dense_output()) return turn(scratch.results, ld, positions, n, y + p.row_place(r0), plane);
      if (step != 1) turn(scratch.results, ld, positions, n, scratch.turned, positions);
      for (int64_t r = r0; r < r1; ++r) {
        T* out = y + p.row_place(r);
        const int64_t at = (r - r0) * width();
        if (step == 1)
          turn(scratch.results + at * ld, ld, width(), n, out, plane);
        else
          for (int64_t j = 0; j < n; ++j)
            scatter_run(out + j * plane, scratch.turned + j * positions + at, width(), step);
      }
    }
  };
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
