// Weight gradient by packed patch rows, a block of pixels at a time; for narrow maps, whose rows would leave most of a
// vector empty.
#pragma once
#include "conv_weight_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct PackedWeight {
  const WeightProduct<T>& product;
  int64_t images = product.g.n, plane = product.plane(), depth = product.depth();
  // Large planes are read where they lie, and a block of pixels is within an image. If planes are small, dy is first
  // copied to (K, N * plane), so that a block can have pixels of many images.
  bool copied = plane < kPixels / 2 && images > 1;
  // A line is a run of pixels that blocks are cut from: the pixels of all images if they are copied, else those of one
  // image. Each of the `lines` lines has `line` pixels and `per_line` blocks, of at most `block_columns` pixels. The
  // blocks are added up to `sums` partial sums.
  int64_t lines = copied ? 1 : images, line = copied ? plane * images : plane, per_line = ceil_div(line, kPixels);
  int64_t block_columns = ceil_div(line, per_line),
          sums = product.bounded_sums(clamp(lines * per_line / 2, 1, kMostSums));

  const char* name() const { return "packed"; }
  bool suits() const { return true; }

  bool run() const {
    if (!copied) return sum(product.dy), true;
    const int64_t channels = product.g.k;
    shared_values<T>(channels * line, [&](T* copy) {
      parallel_for(channels, double(channels * line) * kMoveCost, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k)
          for (int64_t n = 0; n < images; ++n)
            copy_run(copy + (k * images + n) * plane, product.dy + (n * channels + k) * plane, plane);
      });
      sum(copy);
    });
    return true;
  }
  // Computes the result from dy, which is (K, N * plane) if it is a copy, else (N, K, plane).
  void sum(const T* dy) const {
    product.add_partial_sums(sums, [&](T* out) {
      product.for_each_sum(*this, ceil_div(depth, kPatchRows), product.cost(), Memory{dy, out});
    });
  }

  struct Memory {
    const T* dy;
    T* out;
  };
  // A thread's memory.
  struct Scratch {
    GridRun* grid;
    PatchRun* runs;
    T* patches;
  };
  Scratch scratch(Room& room) const {
    return {room.take<GridRun>(kPixels), room.take<PatchRun>(3 * kPixels), room.take<T>(kPixels * kPatchRows)};
  }

  // Computes out[sum][k of the group][rows of the row block], which is a sum over some blocks of pixels.
  void item(int64_t sum, int64_t group, int64_t row_block, const Memory& memory, const Scratch& scratch) const {
    const Conv& g = product.g;
    const Patches& p = product.layout.p;
    const int64_t m = product.group_out(), zero = 0, k0 = row_block * kPatchRows, k1 = least(depth, k0 + kPatchRows);
    int64_t offset[kPatchRows];
    for (int64_t i = 0; i < kPatchRows; ++i) offset[i] = i * kPixels;
    T* to = memory.out + (sum * g.k + group * m) * depth + k0;
    const int64_t blocks = lines * per_line, first = blocks * sum / sums, last = blocks * (sum + 1) / sums;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b / per_line * line + b % per_line * block_columns;
      const int64_t size = least(block_columns, (b / per_line + 1) * line - begin);
      const int64_t count = grid_runs(p, begin, begin + size, scratch.grid);
      pack_patches(p, product.plane_in(0, group), g.c * p.in_plane(), scratch.grid, count, scratch.runs, k0, k1,
                   scratch.patches, kPixels);
      const T* rows =
          memory.dy + (copied ? group * m * line + begin : (begin / plane * g.k + group * m) * plane + begin % plane);
      dot_gemm(m, k1 - k0, {1, size, &zero, &zero}, rows, line, scratch.patches, offset, to, depth, b > first);
    }
    if (first == last)
      for (int64_t k = 0; k < m; ++k) zero_run(to + k * depth, k1 - k0);
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
