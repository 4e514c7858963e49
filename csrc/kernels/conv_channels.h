// Convolution with lanes across output channels: a tile is a few neighbouring output positions by one or two vectors of
// channels,
//   y[o, k] = bias[k] + sum over patch rows r = (c, tap) of copy[o + distance(r)] * weight[r, k]
// A value of x is broadcast from where it lies, in a padded copy (conv_layout.h) or, where nothing is padded, in x itself.
// So nothing is packed per image but that copy, no lane is spent on columns beyond the end of a row, and the weights are
// packed once. Results are turned into planes a strip of positions at a time.
//   weights: for each group, for each block of kTileCols channels, (depth, channels of the block)
#pragma once
#include "../simd/transpose.h"
#include "conv_layout.h"
#include "gemm_driver.h"

namespace fastnn::FASTNN_ISA {
namespace {

// strip (ROWS positions x V vectors) = start + sum_r a[offset[r]] weights[r]. The first half of the positions lie side by
// side from a0 on, the others from a1 on, which is the next row of a map at most half a tile wide.
template <class T, int ROWS, int V>
void position_tile(int64_t depth, const T* a0, const T* a1, const int32_t* offset, const T* weights, int64_t ldw,
                   const T* start, T* strip) {
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
    for (int v = 0; v < V; ++v) store(strip + (i * V + v) * lanes<T>, acc[i][v]);
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

// Convolution of a slab of positions along one axis, the first that has several, so that the copy of a slab fits the cache.
template <class T>
struct ChannelProblem {
  Patches p;
  const T* x;
  T* y;
  int64_t images, channels_in, channels_out, groups;
  int axis;
  bool in_place;        // x itself is read
  int64_t slab;         // positions of a slab
  PaddedLayout layout;  // of the first slab's copy

  static constexpr int64_t kCopyValues = 144 * 1024;
  static constexpr int64_t kStripPositions = 256;  // turned at a time, in whole rows
  static constexpr int64_t kMaxRow = 1024;         // longest row where rows can be cut

  ChannelProblem(const Patches& patches, const T* x, T* y, int64_t images, int64_t channels_in, int64_t channels_out,
                 int64_t groups)
      : p(patches),
        x(x),
        y(y),
        images(images),
        channels_in(channels_in),
        channels_out(channels_out),
        groups(groups),
        axis(p.axis[0].grid > 1   ? 0
             : p.axis[1].grid > 1 ? 1
                                  : 2),
        in_place(PaddedLayout(p).in_place()),
        slab(p.axis[axis].grid),
        layout(p) {
    const auto too_large = [&] { return (!in_place && copy_size() > kCopyValues) || (axis == 2 && slab > kMaxRow); };
    while (slab > 1 && too_large()) {
      slab = (slab + 1) / 2;
      if (!in_place) layout = PaddedLayout(p.slab(axis, 0, slab));
    }
  }
  int64_t group_in() const { return channels_in / groups; }
  int64_t group_out() const { return channels_out / groups; }
  int64_t depth() const { return group_in() * p.taps(); }
  int64_t blocks() const { return (group_out() + kTileCols<T> - 1) / kTileCols<T>; }
  int64_t slabs() const { return (p.axis[axis].grid + slab - 1) / slab; }
  int64_t copy_size() const { return group_in() * layout.channel_size(); }
  // Rows of a strip, at most `rows`; whole vectors of positions where they can be, which are then stored whole and aligned.
  int64_t strip_rows(int64_t rows, int64_t width) const {
    int64_t few = lanes<T>;
    while (few > 1 && few / 2 * width % lanes<T> == 0) few /= 2;
    const int64_t most = kStripPositions / width;
    return clamp(most > few ? most / few * few : most, 1, rows);
  }
  int64_t strip_size() const {
    const int64_t width = axis == 2 ? slab : p.axis[2].grid;
    return (width > kStripPositions ? width : kStripPositions) * kTileCols<T>;
  }
  // Slabs of one position, or strips of one row, may still be far too large for the cache; offsets are 32 bits wide.
  bool fits() const {
    const bool copy = copy_size() <= (in_place ? INT32_MAX : 8 * kCopyValues);
    return copy && strip_size() <= 16 * kStripPositions * kTileCols<T>;
  }
  size_t scratch() const {
    return size_t((in_place ? 0 : copy_size()) + 2 * strip_size()) * sizeof(T) + size_t(depth()) * sizeof(int32_t);
  }
};

// One slab of one group of one image: where its rows of positions lie in the copy and go in the planes of y.
template <class T>
struct ChannelSlab {
  const ChannelProblem<T>& problem;
  Patches p;
  const T* from;  // tap 0 of position 0
  T* to;          // channel 0

  ChannelSlab(const ChannelProblem<T>& problem, int64_t image, int64_t group, int64_t begin, T* copy, bool filled)
      : problem(problem),
        p(problem.p.slab(problem.axis, begin, clamp(problem.p.axis[problem.axis].grid - begin, 1, problem.slab))),
        from(copy),
        to(problem.y + (image * problem.channels_out + group * problem.group_out()) * p.out_plane()) {
    const T* x = problem.x + (image * problem.channels_in + group * problem.group_in()) * p.in_plane();
    if (problem.in_place) {
      const int64_t* extent = problem.layout.extent;
      from = x + begin * (problem.axis == 2 ? 1 : problem.axis == 1 ? extent[2] : extent[1] * extent[2]);
    } else if (!filled) {
      PaddedLayout here = problem.layout;
      here.low[problem.axis] += begin * p.axis[problem.axis].step;
      here.fill(x, problem.group_in(), copy, 0);
    }
  }
  int64_t rows() const { return p.axis[0].grid * p.axis[1].grid; }
  int64_t width() const { return p.axis[2].grid; }
  const T* row(int64_t r) const {
    const int64_t d = divide(r, p.axis[1].grid), h = r - d * p.axis[1].grid;
    return from + (d * problem.layout.extent[1] + h) * problem.layout.extent[2];
  }
  // Where row r of positions begins in a plane of y.
  int64_t place(int64_t r) const {
    const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
    const int64_t d = divide(r, H.grid), h = r - d * H.grid;
    return ((D.out_begin + d * D.out_step) * H.out_size + H.out_begin + h * H.out_step) * W.out_size + W.out_begin;
  }

  // Rows r0..r1 of a strip (positions, ld) to n channels of y from channel k on; room for as many values.
  void write(int64_t r0, int64_t r1, const T* strip, int64_t ld, int64_t k, int64_t n, T* room) const {
    const int64_t plane = p.out_plane(), step = p.axis[2].out_step;
    T* y = to + k * plane;
    if (problem.p.dense_output()) return turn(strip, ld, (r1 - r0) * width(), n, y + place(r0), plane);
    const int64_t positions = (r1 - r0) * width();
    if (step != 1) turn(strip, ld, positions, n, room, positions);
    for (int64_t r = r0; r < r1; ++r) {
      T* out = y + place(r);
      if (step == 1)
        turn(strip + (r - r0) * width() * ld, ld, width(), n, out, plane);
      else
        for (int64_t j = 0; j < n; ++j)
          scatter_run(out + j * plane, room + j * positions + (r - r0) * width(), width(), step);
    }
  }

  // One block of n channels from channel k on; start: what their sums start from.
  template <int V>
  void block(const int32_t* offset, const T* weights, const T* start, int64_t k, int64_t n, T* strip) const {
    const int64_t depth = problem.depth(), w = width(), pieces = ceil_div(w, kTileRows), ld = V * lanes<T>;
    const int64_t step = problem.strip_rows(rows(), w);
    const bool pairs = 2 * w <= kTileRows;
    for (int64_t r0 = 0; r0 < rows(); r0 += step) {
      const int64_t r1 = clamp(rows(), r0, r0 + step);
      T* out = strip;
      const auto tile = [&](const T* a0, const T* a1, int64_t size) FASTNN_FLAT {
        position_tile_for<T, V>(int(size))(depth, a0, a1, offset, weights, n, start, out);
        out += size * ld;
      };
      for (int64_t r = r0; r < r1; ++r) {
        if (pairs && r + 1 < r1) {
          tile(row(r), row(r + 1), 2 * w);
          ++r;
          continue;
        }
        for (int64_t i = 0; i < pieces; ++i) {
          const int64_t begin = w * i / pieces, size = w * (i + 1) / pieces - begin;
          tile(row(r) + begin, row(r) + begin + (size + 1) / 2, size);
        }
      }
      write(r0, r1, strip, ld, k, n, strip + problem.strip_size());
    }
  }
};

// Items are slabs of groups of images, and where threads would idle, parts of the blocks of channels.
template <class T>
void channel_gemm(const ChannelProblem<T>& problem, const T* packed, const T* bias) {
  const int64_t m = problem.group_out(), depth = problem.depth(), slabs = problem.slabs(), blocks = problem.blocks();
  const int64_t outer = problem.images * problem.groups * slabs, parts = row_parts(outer, blocks);
  const double cost =
      double(problem.images * problem.p.grid()) * double(problem.channels_out) * double(depth) * kMultiplyAddCost<T>;
  parallel_scratch(outer * parts, cost, problem.scratch(), [&](int64_t first, int64_t last, void* memory) {
    T* copy = static_cast<T*>(memory);
    T* strip = copy + (problem.in_place ? 0 : problem.copy_size());
    int32_t* offset = reinterpret_cast<int32_t*>(strip + 2 * problem.strip_size());
    problem.layout.row_offsets(0, depth, offset);
    int64_t have = -1;
    for (int64_t item = first; item < last; ++item) {
      const int64_t part = item % parts, which = item / parts, group = which / slabs % problem.groups;
      const ChannelSlab<T> slab(problem, which / slabs / problem.groups, group, which % slabs * problem.slab, copy,
                                which == have);
      have = which;
      for (int64_t b = blocks * part / parts; b < blocks * (part + 1) / parts; ++b) {
        const int64_t k = b * kTileCols<T>, n = clamp(m - k, 1, kTileCols<T>);
        alignas(64) T start[kTileCols<T>] = {};
        if (bias) copy_run(start, bias + group * m + k, n);
        const T* weights = packed + (group * m + k) * depth;
        if (n > lanes<T>)
          slab.template block<kTileVectors>(offset, weights, start, k, n, strip);
        else
          slab.template block<1>(offset, weights, start, k, n, strip);
      }
    }
  });
}

// Weights of every group: fill(group, k, n, sliver) writes sliver[r * n + j] = weight[r, k + j] for n channels.
template <class T, class Fill>
void pack_channels(int64_t groups, int64_t m, int64_t depth, T* packed, const Fill& fill) {
  const int64_t blocks = (m + kTileCols<T> - 1) / kTileCols<T>;
  parallel_for(groups * blocks, double(groups * m) * double(depth) * 0.5, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t group = item / blocks, k = item % blocks * kTileCols<T>;
      fill(group, k, clamp(m - k, 1, kTileCols<T>), packed + (group * m + k) * depth);
    }
  });
}

// Whether there is a block of channels and a depth that repays turning results; phases of a strided gradient, which other ways
// write an element at a time, from one vector of channels on.
template <class T>
bool prefer_channels(const ChannelProblem<T>& problem) {
  const int64_t m = problem.group_out(), filled = ceil_div(m, lanes<T>) * lanes<T>;
  return m >= (problem.p.dense_output() ? kTileCols<T> : lanes<T>) && 4 * m >= 3 * filled &&
         problem.depth() >= kChannelDepth && problem.fits();
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
