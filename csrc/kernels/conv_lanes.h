// Convolution of narrow maps: lanes run across images, so that no lane is spent on columns beyond a short row.
//
// The images of a block (one or two vectors of them) are copied so that their values at one position lie side by side,
//   copy: (channels, phases of D, H, W, positions of D, H, W, images of the block)
// zero-padded and phase-sorted as in conv_layout.h. An output position of all these images is then one tile: patch row
// (channel, tap) is a vector or two of the copy at a fixed distance, with nothing to pack and no bounds to test.
#pragma once
#include "conv_product.h"
#include "lane_copy.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Lanes {
  const Product<T>& product;
  PaddedLayout layout{product.p};

  // How many values of the output a thread computes before it transposes them: a quarter of a second-level cache.
  static constexpr int64_t kResultValues = 64 * 1024;

  const char* name() const { return "lanes"; }

  // Whether the rows of the maps are short, and images and output channels enough to fill tiles. On one core, in the
  // forward pass, the packed or direct way takes the following multiple of the time of this one: 2.6 for 16x4x4 -> 32,
  // 1.9 for 1x8x8 -> 16, 1.5 for 64x8x8 -> 64, 1.8 for 32x8x8 -> 32; but 0.7 for 32x14x14 -> 64, and where the copy
  // outgrows the second-level cache, 0.9 for 256x7x7 -> 256. A single tap would use the copy once: 256x14x14 -> 512
  // with 1x1 taps and stride 2 takes 1.4 times less with lanes across channels. A phase of a strided gradient would be
  // written an element at a time: 32x16x16 -> 64 with stride 2 took 4 times as long. Maps of 5 to 8 columns with 16
  // outputs or more get faster, on one core of a virtual Sapphire Rapids, by factors of 1.7 to 2.0 in four shapes
  // (32x1x8x8, 64x3x8x8, 32x32x6x6 among them) and of 0.9 to 1.3 in the others.
  bool suits() const {
    const int64_t width = product.p.axis[2].grid, over = product.images % lanes<T>;
    const bool narrow = 2 * width <= lanes<T> && width > 0, full = over == 0 || over * 4 >= lanes<T> * 3;
    return narrow && full && product.p.taps() > 1 && product.p.dense_output() && product.group_out() >= kTileChannels &&
           product.depth() > 0 && copy_size(kTileVectors) * int64_t(sizeof(T)) <= kLaneCopyBytes;
  }

  bool run() const {
    product.with_packed_rows([this](const T* a) { multiply(a); });
    return true;
  }

  int64_t copy_size(int vectors) const { return product.group_in() * layout.channel_size() * vectors * lanes<T>; }
  // For how many positions `rows` rows of output are computed before they are transposed.
  int64_t joint_positions(int64_t rows, int vectors) const {
    return clamp(kResultValues / (rows * vectors * lanes<T>) / lanes<T> * lanes<T>, lanes<T>, product.p.grid());
  }

  // A thread's memory.
  struct Scratch {
    T *copy, *results;
    int32_t* offset;  // of a depth block
    LanePlaces places;
  };
  Scratch scratch(Room& room) const {
    const int64_t results = most(kResultValues, lanes<T> * product.group_out() * kTileCols<T>);
    return {room.take<T>(copy_size(kTileVectors)), room.take<T>(results), room.take<int32_t>(kDepth<T>),
            LanePlaces(layout, room)};
  }
  // The channels of one group in `count` images, from image `first` on.
  struct Images {
    int64_t first, count, group;
  };

  // An item is a block of images of one group. Where threads would idle, it has only a part of the rows.
  void multiply(const T* packed_a) const {
    const int64_t m = product.group_out(), groups = product.groups;
    const RowBlocks blocks(m);
    const int64_t image_blocks = ceil_div(product.images, kTileCols<T>);
    const int64_t parts = row_parts(image_blocks * groups, blocks.count);
    parallel_with(
        image_blocks * groups * parts, product.cost(), *this, [&](int64_t begin, int64_t end, const Scratch& scratch) {
          scratch.places.fill(layout);
          int64_t have = -1, clean = 0;  // which block is in the copy; how many vectors it was zeroed for
          for (int64_t item = begin; item < end; ++item) {
            const int64_t part = item % parts, which = item / parts, group = which % groups;
            const int64_t image = which / groups * kTileCols<T>;
            const Images images = {image, least(product.images - image, kTileCols<T>), group};
            const int vectors = images.count > lanes<T> ? kTileVectors : 1;
            if (clean != vectors) zero_run(scratch.copy, copy_size(vectors));  // once: the padding stays zero
            clean = vectors;
            const PackedRows<T> rows = {blocks, blocks.count * part / parts, blocks.count * (part + 1) / parts,
                                        packed_a + group * m * product.depth(), product.group_bias(group)};
            const auto multiply = vectors == 1 ? &Lanes::image_block<1> : &Lanes::image_block<kTileVectors>;
            (this->*multiply)(images, rows, which != have, scratch);
            have = which;
          }
        });
  }

  // Convolves a block of up to V * lanes images, which are copied first if they are `fresh`.
  template <int V>
  void image_block(const Images& images, PackedRows<T> rows, bool fresh, const Scratch& scratch) const {
    constexpr int64_t width = V * lanes<T>;
    const int64_t in_plane = product.p.in_plane(), grid = product.p.grid(), depth = product.depth();
    if (fresh)
      copy_lanes<T, V>(product.plane_in(images.first, images.group), images.count, product.channels_in * in_plane,
                       product.group_in(), in_plane, scratch.places.in, layout.channel_size(), scratch.copy);
    const int64_t row0 = rows.begin(), size = rows.end() - row0, step = joint_positions(size, V);
    for (int64_t g0 = 0; g0 < grid; g0 += step) {
      const int64_t positions = clamp(grid - g0, 0, step);
      Columns<T, V> columns(scratch.offset, positions * width);
      for (rows.k0 = 0; rows.k0 < depth; rows.k0 = rows.k1) {
        rows.k1 = depth_end<T>(rows.k0, depth);
        layout.row_offsets(rows.k0, rows.k1, scratch.offset);
        for (int64_t k = 0; k < rows.k1 - rows.k0; ++k) scratch.offset[k] *= int32_t(width);
        for (int64_t g = 0; g < positions; ++g) {
          columns.read(scratch.copy + scratch.places.from[g0 + g] * width);
          columns.write(scratch.results + (g - row0 * positions) * width);
          rows.multiply(columns);
        }
      }
      const int64_t plane = product.p.out_plane();
      T* y = product.plane_out(images.first, images.group) + g0;
      for (int64_t k = 0; k < size; ++k)
        turn(scratch.results + k * positions * width, width, positions, images.count, y + (row0 + k) * plane,
             product.channels_out * plane);
    }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
