// Implicit im2col: rows of the patch matrix, built a block at a time from an image in N C D H W order.
//
// The patch matrix of a convolution has a row for each (channel, tap) and a column for each (image, grid position):
//   P[(c, t), (n, g)] = x[n, c, g * step + offset(t)], zero outside the image.
// Forward and backward-weight read x on the output grid. Backward-data reads dy on the grid of one stride phase of dx,
// with the taps that fall on that phase; so it never multiplies by the zeros between strides.
#pragma once
#include "../simd/copy.h"
#include "../types.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

inline int64_t volume(const int64_t* extent) { return extent[0] * extent[1] * extent[2]; }

struct Axis {
  int64_t grid, in, step;                 // grid positions, input size, input step from one to the next
  int64_t taps, offset, offset_step;      // tap i reads at g * step + offset + i * offset_step
  int64_t weight, weight_step;            // tap i is kernel position weight + i * weight_step
  int64_t out_begin, out_step, out_size;  // grid position g is output position out_begin + g * out_step of out_size
};

struct Patches {
  Axis axis[3];
  int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
  int64_t grid() const { return axis[0].grid * axis[1].grid * axis[2].grid; }
  int64_t grid_rows() const { return axis[0].grid * axis[1].grid; }
  int64_t in_plane() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t out_plane() const { return axis[0].out_size * axis[1].out_size * axis[2].out_size; }

  // If the convolution is pointwise and dense, makes the plane one row, whose columns are then contiguous from end to
  // end.
  void flatten() {
    for (const Axis& a : axis)
      if (a.taps != 1 || a.offset || a.step != 1 || a.grid != a.in || a.out_step != 1 || a.grid != a.out_size) return;
    const int64_t size = in_plane();
    for (int d = 0; d < 3; ++d) axis[d].grid = axis[d].in = axis[d].out_size = d == 2 ? size : 1;
  }
  // These patches at the grid positions begin … begin + size of axis d alone.
  Patches block(int d, int64_t begin, int64_t size) const {
    Patches part = *this;
    Axis& a = part.axis[d];
    a.offset += begin * a.step, a.out_begin += begin * a.out_step, a.grid = size;
    return part;
  }
  bool dense_output() const {
    for (const Axis& a : axis)
      if (a.grid != a.out_size) return false;
    return true;
  }
  // Where a grid position lies in a plane of the output.
  FASTNN_INLINE int64_t out_place(int64_t d, int64_t h, int64_t w) const {
    const Axis &D = axis[0], &H = axis[1], &W = axis[2];
    const int64_t row = (D.out_begin + d * D.out_step) * H.out_size + H.out_begin + h * H.out_step;
    return row * W.out_size + W.out_begin + w * W.out_step;
  }
  // Where the first position of grid row r lies in a plane of the output.
  FASTNN_INLINE int64_t row_place(int64_t r) const {
    const int64_t d = divide(r, axis[1].grid);
    return out_place(d, r - d * axis[1].grid, 0);
  }
  // Kernel position of tap t in the weight's D*H*W order.
  int64_t weight_position(int64_t t, const int64_t* kernel) const {
    const int64_t w = t % axis[2].taps, h = t / axis[2].taps % axis[1].taps, d = t / axis[2].taps / axis[1].taps;
    const auto at = [&](int i, int64_t tap) { return axis[i].weight + tap * axis[i].weight_step; };
    return (at(0, d) * kernel[1] + at(1, h)) * kernel[2] + at(2, w);
  }
};

// A grid cut into blocks of positions along the axes first … last. A block's size along these is halved, along the
// slowest axis first, until fits(first block) is true or one position is left.
struct GridBlocks {
  Patches p;
  int64_t size[3], count[3] = {1, 1, 1};

  template <class Fits>
  GridBlocks(const Patches& patches, int first, int last, const Fits& fits) : p(patches) {
    for (int d = 0; d < 3; ++d) size[d] = p.axis[d].grid;
    for (int d = first; d <= last; ++d)
      while (size[d] > 1 && !fits(block(0))) size[d] = (size[d] + 1) / 2;
    for (int d = first; d <= last; ++d) count[d] = size[d] ? ceil_div(p.axis[d].grid, size[d]) : 0;
  }
  int64_t all() const { return count[0] * count[1] * count[2]; }
  Patches block(int64_t i) const {
    const int64_t line = i / count[2], at[3] = {line / count[1], line % count[1], i % count[2]};
    Patches part = p;
    for (int d = 0; d < 3; ++d)
      part = part.block(d, at[d] * size[d], clamp(p.axis[d].grid - at[d] * size[d], 0, size[d]));
    return part;
  }
};

// Columns of one image that lie in one row of the grid.
struct GridRun {
  int64_t column, size;    // first column in the block, number of columns
  int64_t image, d, h, w;  // where the first one lies
};

// Splits columns j0..j1 of the patch matrix into runs within one grid row; returns how many runs (at most j1 - j0).
inline int64_t grid_runs(const Patches& p, int64_t j0, int64_t j1, GridRun* runs) {
  const int64_t width = p.axis[2].grid, height = p.axis[1].grid, plane = p.grid();
  int64_t image = divide(j0, plane), rest = j0 - image * plane;
  int64_t d = divide(rest, width * height), h = divide(rest -= d * width * height, width), w = rest - h * width;
  int64_t count = 0;
  for (int64_t j = j0; j < j1;) {
    const int64_t size = least(width - w, j1 - j);
    runs[count++] = {j - j0, size, image, d, h, w};
    j += size;
    w = 0;
    if (++h == height) h = 0, ++d;
    if (d == p.axis[0].grid) d = 0, ++image;
  }
  return count;
}

// Part of a patch row: `size` elements from x + source with the innermost axis' step, or zeros if source < 0.
struct PatchRun {
  int64_t column, size, source;
};

// Cuts one tap's row into patch runs: of each grid run, the part inside the image, and the zeros around it. Returns how
// many patch runs there are.
inline int64_t patch_runs(const Patches& p, const int64_t* offset, int64_t image_stride, const GridRun* grid,
                          int64_t grid_count, PatchRun* runs) {
  const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
  int64_t count = 0;
  for (int64_t r = 0; r < grid_count; ++r) {
    const GridRun& run = grid[r];
    const int64_t d = run.d * D.step + offset[0], h = run.h * H.step + offset[1], w = run.w * W.step + offset[2];
    const bool exists = d >= 0 && d < D.in && h >= 0 && h < H.in;
    const auto [begin, end] = exists ? inside(w, W.step, run.size, W.in) : Range{run.size, run.size};
    if (begin > 0) runs[count++] = {run.column, begin, -1};
    if (end > begin)
      runs[count++] = {run.column + begin, end - begin,
                       run.image * image_stride + (d * H.in + h) * W.in + w + begin * W.step};
    if (run.size > end) runs[count++] = {run.column + end, run.size - end, -1};
  }
  return count;
}

// Copies one run in each of `channels` channels: channel c begins at x + c * plane, its copy at to + c * to_stride. One
// vector of the run is copied in all channels before the next vector, because the runs are short (a grid row) and the
// channels many, and from channel to channel only the two addresses change.
template <class T>
FASTNN_INLINE void copy_patch_run(const PatchRun& run, const T* x, int64_t plane, int64_t step, int64_t channels, T* to,
                                  int64_t to_stride) {
  const T* from = x + run.source;
  to += run.column;
  if (run.source >= 0 && step != 1) {
    for (int64_t c = 0; c < channels; ++c) gather_run(to + c * to_stride, from + c * plane, run.size, step);
    return;
  }
  // With the panel after the next prefetched, 64x56x56 -> 64 takes 0.8 of the time.
  constexpr int64_t ahead = 4 * lanes<T>;
  for (int64_t i = 0; i < run.size; i += lanes<T>) {
    const int n = int(least(run.size - i, lanes<T>));
    if (run.source < 0)
      for (int64_t c = 0; c < channels; ++c) store_n(to + c * to_stride + i, Vec<T>{}, n);
    else if (n == lanes<T>)
      for (int64_t c = 0; c < channels; ++c) {
        __builtin_prefetch(from + c * plane + i + ahead);
        store(to + c * to_stride + i, load(from + c * plane + i));
      }
    else
      for (int64_t c = 0; c < channels; ++c) store_n(to + c * to_stride + i, load_n(from + c * plane + i, n), n);
  }
}

// Writes rows k0 to k1 - 1 of the patch matrix (row = channel * taps + tap) to `out`, whose rows are ld apart. The
// columns are the positions of the grid runs. `runs` has room for three patch runs for each grid run. x points at
// channel 0 of image 0. The work goes tap by tap, because a tap's row comes from the same places in every channel.
template <class T>
void pack_patches(const Patches& p, const T* x, int64_t image_stride, const GridRun* grid, int64_t grid_count,
                  PatchRun* runs, int64_t k0, int64_t k1, T* out, int64_t ld) {
  const int64_t taps = p.taps(), plane = p.in_plane();
  const auto channel_of = [=](int64_t k, int64_t t) { return k <= t ? 0 : ceil_div(k - t, taps); };
  int64_t t = 0, offset[3];
  for (int64_t d = 0; d < p.axis[0].taps; ++d)
    for (int64_t h = 0; h < p.axis[1].taps; ++h)
      for (int64_t w = 0; w < p.axis[2].taps; ++w, ++t) {
        const int64_t first = channel_of(k0, t), channels = channel_of(k1, t) - first;
        if (channels <= 0) continue;
        offset[0] = p.axis[0].offset + d * p.axis[0].offset_step;
        offset[1] = p.axis[1].offset + h * p.axis[1].offset_step;
        offset[2] = p.axis[2].offset + w * p.axis[2].offset_step;
        const int64_t count = patch_runs(p, offset, image_stride, grid, grid_count, runs);
        for (int64_t i = 0; i < count; ++i)
          copy_patch_run(runs[i], x + first * plane, plane, p.axis[2].step, channels,
                         out + (first * taps + t - k0) * ld, taps * ld);
      }
}

// The patches of the input on the grid of the outputs, which forward and backward-weight take.
inline Patches output_patches(const Conv& g) {
  Patches p;
  for (int d = 0; d < 3; ++d)
    p.axis[d] = {g.out[d], g.size[d], g.stride[d], g.kernel[d], -g.pad[d], g.dilation[d], 0, 1, 0, 1, g.out[d]};
  p.flatten();
  return p;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
