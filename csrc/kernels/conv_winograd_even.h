// Whether the inputs of Winograd's tiles are of sizes so even that their transforms keep the digits of all.
#pragma once
#include "conv_winograd_block.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Where values are so many times as large as those beside them, errors cost the smaller about two and a half of their
// seven digits.
constexpr double kEvenSizes = 1 << 9;

template <class T>
struct Evenness {
  const WinogradBlock<T>& block;
  static constexpr int64_t L = lanes<T>;

  // Looks at all tiles, after transform_input has collected the sizes of all channels.
  bool of_transformed() const {
    for (int64_t s = 0; s < block.step_count; ++s) {
      const T* from = block.sizes + 2 * L * s;
      place_sizes(block.steps[s], {load(from), load(from + L)});
    }
    return even_tiles(0, block.count);
  }
  // Looks at the tiles of runs first..last, and reads x to find the sizes.
  bool of_runs(int64_t first, int64_t last) const {
    zero_run(block.a, block.edge_size());
    const TileRun* const runs = block.runs;
    const TileStep* step = block.steps;
    for (int64_t r = 0; r < last; step += runs[r++].steps)
      for (int64_t s = 0; r >= first && s < runs[r].steps; ++s) add_sizes(runs[r], step[s]);
    return even_tiles(runs[first].tile, runs[last - 1].tile + runs[last - 1].size);
  }

 private:
  // Finds the largest |x| among all channels in each of one step's columns, and stores it by place_sizes.
  void add_sizes(const TileRun& run, const TileStep& t) const {
    const Axis &D = block.shape.p.axis[0], &H = block.shape.p.axis[1], &W = block.shape.p.axis[2];
    const int64_t size = H.in * W.in, channels = block.shape.product.group_in();
    const int have = int(clamp(W.in - t.from, 0, L));
    Vec<T> size_of[6] = {};  // one for each row, so that none waits for another
    for (int64_t tap = 0; tap < D.taps; ++tap) {
      const int64_t shift = D.offset + tap * D.offset_step, d = run.d + shift;
      if (d < 0 || d >= D.in) continue;
      const T* row[6];
      int64_t next[6];
      for (int i = 0; i < 6; ++i) {
        row[i] = (run.row[i] < 0 ? block.zeros : block.shape.product.x + shift * size + run.row[i]) + t.from;
        next[i] = run.row[i] < 0 ? 0 : D.in * size;
      }
      for (int64_t c = 0; c < channels; ++c) {
        Vec<T> e[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) e[i] = have == L ? load(row[i]) : load_n(row[i], have), row[i] += next[i];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) size_of[i] = larger<T>(e[i], size_of[i]);
      }
    }
    place_sizes(t, {larger<T>(larger<T>(size_of[0], size_of[1]), size_of[2]),
                    larger<T>(larger<T>(size_of[3], size_of[4]), size_of[5])});
  }
  // Stores the sizes of upper and lower rows in rows 0 and 1 of a and b, in which columns that don't exist are zeros.
  void place_sizes(const TileStep& t, const Vec<T> (&both)[2]) const {
    store_bits(block.a + t.a, block.line, both, t.a_bits);
    store_bits(block.b + t.b, block.line, both, t.b_bits);
  }
  // Whether in each of tiles first..last the four quarters, of 3 x 3 pixels of all channels, have even sizes: the
  // largest |x| of one quarter is at most kEvenSizes times that of another; quarters of zeros don't count. An output
  // may see one quarter alone, but it is made of sums of the whole tile, whose errors are relative to the largest
  // quarter.
  bool even_tiles(int64_t first, int64_t last) const {
    const Mask<T> lane = iota<T>();
    const auto least = [](Vec<T> a, Vec<T> b) FASTNN_FLAT { return (b == T(0)) | ((a != T(0)) & (a < b)) ? a : b; };
    for (int64_t w = 4 * first; w < 4 * last; w += L) {  // lane 4 i is for tile i
      Vec<T> q[4];
      for (int i = 0; i < 2; ++i) {
        const T *left = block.a + i * block.line + w, *right = block.b + i * block.line + w;
        q[2 * i] = max(max(load(left), load(left + 1)), load(left + 2));
        q[2 * i + 1] = max(max(load(left + 3), load(right)), load(right + 1));
      }
      const Vec<T> low = least(least(q[0], q[1]), least(q[2], q[3])), high = max(max(q[0], q[1]), max(q[2], q[3]));
      const Mask<T> tile = ((lane & 3) == 0) & (lane < splat<T>(4 * last - w));
      if (any<T>(tile & (low * set1(T(kEvenSizes)) < high))) return false;
    }
    return true;
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
