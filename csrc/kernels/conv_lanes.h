// Convolution of narrow maps: lanes run across images, so that no lane is spent on columns beyond a short row.
//
// The images of a block (one or two vectors of them) are copied so that their values at one position lie side by side,
//   copy: (channels, phases of D, H, W, positions of D, H, W, images of the block)
// zero-padded and phase-sorted as in conv_layout.h. An output position of all these images is then one tile: patch row
// (channel, tap) is a vector or two of the copy at a fixed distance, with nothing to pack and no bounds to test.
#pragma once
#include "gemm_driver.h"
#include "lane_copy.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct LaneProblem {
  PaddedLayout layout;
  const T* x;
  T* y;
  int64_t images, channels_in, channels_out, groups;

  int64_t group_in() const { return channels_in / groups; }
  int64_t group_out() const { return channels_out / groups; }
  int64_t copy_size(int vectors) const { return group_in() * layout.channel_size() * vectors * lanes<T>; }
  int64_t depth() const { return group_in() * layout.p.taps(); }
  static constexpr int64_t kStripValues =
      64 * 1024;  // of the output, for some positions: a quarter of a second-level cache
  // Positions of a strip, for `rows` rows of output.
  int64_t strip(int64_t rows, int vectors) const {
    return clamp(kStripValues / (rows * vectors * lanes<T>) / lanes<T> * lanes<T>, lanes<T>, layout.p.grid());
  }
  // What is stored per channel: the strip's positions g0.. of the block's images, strip[(position) * width + image].
  void write(int64_t image, int64_t count, int64_t channel, int64_t g0, int64_t positions, const T* strip,
             int64_t width) const {
    const int64_t plane = layout.p.out_plane();
    turn(strip, width, positions, count, y + (image * channels_out + channel) * plane + g0, channels_out * plane);
  }
};

// A thread's memory.
template <class T>
struct LaneScratch {
  T *copy, *strip;
  int32_t* offset;  // of a depth block
  LanePlaces places;

  LaneScratch(const LaneProblem<T>& problem, Room& room)
      : copy(room.take<T>(problem.copy_size(kTileVectors))),
        strip(room.take<T>(most(problem.kStripValues, lanes<T> * problem.group_out() * kTileCols<T>))),
        offset(room.take<int32_t>(kDepth<T>)),
        places(problem.layout, room) {}
};

// A block of up to V * lanes images, the rows of blocks first..last of one group.
template <class T, int V>
void lane_block(const LaneProblem<T>& problem, const RowBlocks& blocks, int64_t first, int64_t last,
                const LaneScratch<T>& scratch, int64_t image, int64_t count, int64_t group, const T* packed_a,
                const T* bias) {
  T* const strip = scratch.strip;
  int32_t* const offset = scratch.offset;
  constexpr int64_t width = V * lanes<T>;
  const int64_t row0 = blocks.begin(first), rows = blocks.begin(last) - row0, grid = problem.layout.p.grid();
  const int64_t step = problem.strip(rows, V), depth = problem.depth();
  for (int64_t g0 = 0; g0 < grid; g0 += step) {
    const int64_t positions = clamp(grid - g0, 0, step);
    Columns<T, V> columns;
    columns.offset = offset;
    columns.ldc = positions * width;
    for (int v = 0; v < V; ++v) columns.size[v] = lanes<T>;
    for (int64_t k0 = 0; k0 < depth; k0 += kDepth<T>) {
      const int64_t k1 = depth_end<T>(k0, depth);
      problem.layout.row_offsets(k0, k1, offset);
      for (int64_t k = 0; k < k1 - k0; ++k) offset[k] *= int32_t(width);
      for (int64_t g = 0; g < positions; ++g) {
        for (int v = 0; v < V; ++v) {
          columns.b[v] = scratch.copy + scratch.places.from[g0 + g] * width + v * lanes<T>;
          columns.c[v] = strip + (g - row0 * positions) * width + v * lanes<T>;
        }
        block_product(blocks, first, last, k0, k1, packed_a, bias, columns);
      }
    }
    for (int64_t k = 0; k < rows; ++k)
      problem.write(image, count, group * problem.group_out() + row0 + k, g0, positions, strip + k * positions * width,
                    width);
  }
}

// Items are blocks of images of a group, and where threads would idle, parts of the rows.
template <class T>
void lane_gemm(const LaneProblem<T>& problem, const T* packed_a, const T* bias) {
  const int64_t m = problem.group_out(), depth = problem.depth();
  const RowBlocks blocks(m);
  const int64_t image_blocks = (problem.images + kTileCols<T> - 1) / kTileCols<T>;
  const int64_t parts = row_parts(image_blocks * problem.groups, blocks.count);
  const double cost = double(problem.images * problem.layout.p.grid()) * double(problem.channels_out) * double(depth) *
                      kMultiplyAddCost<T>;
  const auto layout = [&problem](Room& room) { return LaneScratch<T>(problem, room); };
  parallel_room(image_blocks * problem.groups * parts, cost, layout,
                [&](int64_t begin, int64_t end, const LaneScratch<T>& scratch) {
                  T* const copy = scratch.copy;
                  const LanePlaces& places = scratch.places;
                  places.fill(problem.layout);
                  int64_t have = -1, clean = 0;  // the block in the copy, and its vectors
                  for (int64_t item = begin; item < end; ++item) {
                    const int64_t part = item % parts, which = item / parts, group = which % problem.groups;
                    const int64_t image = which / problem.groups * kTileCols<T>,
                                  count = clamp(problem.images - image, 0, kTileCols<T>);
                    const int vectors = count > lanes<T> ? kTileVectors : 1;
                    if (clean != vectors)
                      zero_run(copy, problem.copy_size(vectors));  // the padding stays zero from block to block
                    clean = vectors;
                    const int64_t plane = problem.layout.p.in_plane(), stride = problem.channels_in * plane;
                    const T* from = problem.x + (image * problem.channels_in + group * problem.group_in()) * plane;
                    const int64_t first = blocks.count * part / parts, last = blocks.count * (part + 1) / parts;
                    const auto run = [&](auto v) {
                      constexpr int V = v.value;
                      if (which != have)
                        copy_lanes<T, V>(from, count, stride, problem.group_in(), plane, places.in,
                                         problem.layout.channel_size(), copy);
                      lane_block<T, V>(problem, blocks, first, last, scratch, image, count, group,
                                       packed_a + group * m * depth, bias ? bias + group * m : nullptr);
                    };
                    if (vectors == 1)
                      run(std::integral_constant<int, 1>{});
                    else
                      run(std::integral_constant<int, kTileVectors>{});
                    have = which;
                  }
                });
}

// Whether the rows of the maps are short, and images and output channels enough to fill tiles. Measured on one core, packed
// or direct / lanes, forward: 16x4x4 -> 32 2.6, 1x8x8 -> 16 1.9, 64x8x8 -> 64 1.5, 32x8x8 -> 32 1.8; but 32x14x14 -> 64 0.7,
// and where the copy outgrows the second-level cache, 256x7x7 -> 256 0.9. A single tap uses its copy once: 256x14x14 -> 512
// with 1x1 taps and stride 2 takes 1.4 times less with lanes across channels. A phase of a strided gradient would be written
// an element at a time: 32x16x16 -> 64 with stride 2 took 4 times as long.
template <class T>
bool prefer_lanes(const LaneProblem<T>& problem) {
  const Axis& W = problem.layout.p.axis[2];
  const int64_t over = problem.images % lanes<T>;
  const int64_t filled = problem.images / lanes<T> * lanes<T> + (over * 4 >= lanes<T> * 3 ? over : 0);
  const bool narrow = 2 * W.grid <= lanes<T> && W.grid > 0, taps = problem.layout.p.taps() > 1;
  return narrow && taps && problem.layout.p.dense_output() && filled == problem.images && problem.group_out() >= 8 &&
         problem.depth() > 0 && problem.copy_size(kTileVectors) * int64_t(sizeof(T)) <= kLaneCopyBytes;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
