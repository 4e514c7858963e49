// Weight gradient by dot products over patch rows that are read where they lie in padded copies of a few channels; the
// reduction goes row by row of the output.
#pragma once
#include "conv_weight_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct DirectWeight {
  const WeightProduct<T>& product;
  const PaddedLayout& layout = product.layout;

  static constexpr int64_t kCopyValues = 32 * 1024;    // most values of the copies of several joint images
  static constexpr int64_t kJointRows = 64;            // output rows that several joint images may have together
  static constexpr int64_t kSumPixels = 16 * kPixels;  // least pixels of one of several partial sums
  static constexpr int64_t slack = 2 * lanes<T>;

  // Output rows of an image; channels of a copy, images copied together.
  int64_t rows = layout.p.grid_rows(), channels = clamp(kPatchRows / product.taps(), 1, product.group_in());
  int64_t joint_images = clamp(kCopyValues / (channels * layout.channel_size()), 1, kJointRows / rows + 1);
  int64_t sums =
      product.bounded_sums(clamp(product.g.n * product.plane() / kSumPixels, 1, least(product.g.n, kMostSums)));

  const char* name() const { return "direct"; }

  // To begin a run costs a tile about as much as two of its steps. So rows of few vectors are better packed, unless few
  // output channels share the packing. On one core this way takes the following share of the packed way's time: 0.85
  // for 3x32x32 -> 64, 0.8 for 3x224x224 -> 64 with 7x7 taps of stride 2, 0.92 for 16x32x32 -> 16; but 1.3 for
  // 64x56x56 -> 64, 1.8 for 128x28x28 -> 128.
  bool suits() const {
    const int64_t width = layout.p.axis[2].grid;
    const bool worthwhile = product.depth() <= 64 || product.group_out() <= 16 || width >= 6 * lanes<T>;
    return worthwhile && 2 * width >= lanes<T> &&
           channels * layout.channel_size() * int64_t(sizeof(T)) <= kDirectCopyBytes;
  }

  bool run() const {
    product.add_partial_sums(sums, [this](T* out) {
      product.for_each_sum(*this, ceil_div(product.group_in(), channels), product.cost(), out);
    });
    return true;
  }

  int64_t copy_size() const { return channels * layout.channel_size() + slack; }

  // A thread's memory.
  struct Scratch {
    int64_t *from_dy, *from_copy,
        *offset;  // where output rows of joint images begin in dy, and in the copies; where patch rows begin
    T* copy;
  };
  Scratch scratch(Room& room) const {
    return {room.take<int64_t>(joint_images * rows), room.take<int64_t>(joint_images * rows),
            room.take<int64_t>(channels * product.taps()), room.take<T>(joint_images * copy_size())};
  }

  // Computes out[sum][k of the group][taps of a block of channels], which is a sum over some images.
  void item(int64_t sum, int64_t group, int64_t block, T* out, const Scratch& scratch) const {
    const Conv& g = product.g;
    const int64_t c0 = block * channels, count = least(product.group_in() - c0, channels);
    const int64_t columns = count * product.taps(), m = product.group_out();
    layout.row_offsets(0, columns, scratch.offset);
    T* to = out + (sum * g.k + group * m) * product.depth() + c0 * product.taps();
    const int64_t first = g.n * sum / sums, last = g.n * (sum + 1) / sums;
    for (int64_t r = 0; r < least(last - first, joint_images) * rows; ++r) {
      const int64_t i = r / rows, row = r - i * rows;
      scratch.from_dy[r] = i * g.k * product.plane() + row * layout.p.axis[2].grid;
      scratch.from_copy[r] = i * copy_size() + layout.row_place(row);
    }
    for (int64_t image = first; image < last; image += joint_images) {
      const int64_t all = least(last - image, joint_images) * rows;
      for (int64_t i = 0; i * rows < all; ++i)
        layout.fill(product.plane_in(image + i, group) + c0 * layout.p.in_plane(), count,
                    scratch.copy + i * copy_size(), slack);
      const int64_t width = layout.p.axis[2].grid, step = clamp(kPixels / width, 1, all);
      for (int64_t r = 0; r < all; r += step) {
        const DotRuns runs{least(all - r, step), width, scratch.from_dy + r, scratch.from_copy + r};
        dot_gemm(m, columns, runs, product.plane_out(image, group), product.plane(), scratch.copy, scratch.offset, to,
                 product.depth(), image > first || r > 0);
      }
    }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
