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
  int64_t in_plane() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t out_plane() const { return axis[0].out_size * axis[1].out_size * axis[2].out_size; }

  // Pointwise and dense: the plane is one row, whose columns are then contiguous from end to end.
  void flatten() {
    for (const Axis& a : axis)
      if (a.taps != 1 || a.offset || a.step != 1 || a.grid != a.in || a.out_step != 1 || a.grid != a.out_size) return;
    const int64_t size = in_plane();
    for (int d = 0; d < 3; ++d) axis[d].grid = axis[d].in = axis[d].out_size = d == 2 ? size : 1;
  }
  // Positions begin … begin + size of axis d.
  Patches slab(int d, int64_t begin, int64_t size) const {
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
  // Kernel position of tap t in the weight's D*H*W order.
  int64_t weight_position(int64_t t, const int64_t* kernel) const {
    const int64_t w = t % axis[2].taps, h = t / axis[2].taps % axis[1].taps, d = t / axis[2].taps / axis[1].taps;
    const auto at = [&](int i, int64_t tap) { return axis[i].weight + tap * axis[i].weight_step; };
    return (at(0, d) * kernel[1] + at(1, h)) * kernel[2] + at(2, w);
  }
};

// Columns of one image that lie in one row of the grid.
struct GridRun {
  int64_t column, size;    // first column in the block, number of columns
  int64_t image, d, h, w;  // where the first one lies
};

// Splits columns j0..j1 of the patch matrix into grid rows; returns how many (at most j1 - j0).
inline int64_t grid_runs(const Patches& p, int64_t j0, int64_t j1, GridRun* runs) {
  const int64_t width = p.axis[2].grid, height = p.axis[1].grid, plane = p.grid();
  int64_t image = divide(j0, plane), rest = j0 - image * plane;
  int64_t d = divide(rest, width * height), h = divide(rest -= d * width * height, width), w = rest - h * width;
  int64_t count = 0;
  for (int64_t j = j0; j < j1;) {
    const int64_t size = width - w < j1 - j ? width - w : j1 - j;
    runs[count++] = {j - j0, size, image, d, h, w};
    j += size;
    w = 0;
    if (++h == height) h = 0, ++d;
    if (d == p.axis[0].grid) d = 0, ++image;
  }
  return count;
}

// Part of a patch row: `size` elements from x + source with the innermost axis' step, or zeros if source < 0.
struct Piece {
  int64_t column, size, source;
};

// Pieces of one tap's row for all runs: the part of each run inside the image, and zeros around it.
inline int64_t tap_pieces(const Patches& p, const int64_t* offset, int64_t image_stride, const GridRun* runs,
                          int64_t run_count, Piece* pieces) {
  const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
  int64_t count = 0;
  for (int64_t r = 0; r < run_count; ++r) {
    const GridRun& run = runs[r];
    const int64_t d = run.d * D.step + offset[0], h = run.h * H.step + offset[1], w = run.w * W.step + offset[2];
    const bool inside = d >= 0 && d < D.in && h >= 0 && h < H.in;
    int64_t begin = inside ? 0 : run.size, end = run.size;
    if (inside && w < 0) begin = clamp(ceil_div(-w, W.step), 0, run.size);
    if (inside && w + (run.size - 1) * W.step >= W.in)
      end = W.in > w ? clamp(ceil_div(W.in - w, W.step), begin, run.size) : begin;
    if (begin > 0) pieces[count++] = {run.column, begin, -1};
    if (end > begin)
      pieces[count++] = {run.column + begin, end - begin,
                         run.image * image_stride + (d * H.in + h) * W.in + w + begin * W.step};
    if (run.size > end) pieces[count++] = {run.column + end, run.size - end, -1};
  }
  return count;
}

// One piece for `channels` channels: to + c * to_stride from x + c * plane. A column of vectors at a time, because the
// pieces are short (a grid row) and the channels many: everything but the two addresses stays as it is.
template <class T>
FASTNN_INLINE void copy_piece(const Piece& piece, const T* x, int64_t plane, int64_t step, int64_t channels, T* to,
                              int64_t to_stride) {
  const T* from = x + piece.source;
  to += piece.column;
  if (piece.source >= 0 && step != 1) {
    for (int64_t c = 0; c < channels; ++c) gather_run(to + c * to_stride, from + c * plane, piece.size, step);
    return;
  }
  for (int64_t i = 0; i < piece.size; i += lanes<T>) {
    const int n = int(piece.size - i < lanes<T> ? piece.size - i : lanes<T>);
    if (piece.source < 0)
      for (int64_t c = 0; c < channels; ++c) store_n(to + c * to_stride + i, Vec<T>{}, n);
    else if (n == lanes<T>)
      for (int64_t c = 0; c < channels; ++c) {
        __builtin_prefetch(from + c * plane + i +
                           4 * lanes<T>);  // the sliver after the next: 64x56x56 -> 64 0.8 of the time
        store(to + c * to_stride + i, load(from + c * plane + i));
      }
    else
      for (int64_t c = 0; c < channels; ++c) store_n(to + c * to_stride + i, load_n(from + c * plane + i, n), n);
  }
}

// Rows k0..k1 of the patch matrix (row = channel * taps + tap) for the columns of `runs`, to out (row stride ld).
// x points at channel 0 of image 0. Tap by tap: where a tap's row comes from is the same for every channel.
template <class T>
void pack_patches(const Patches& p, const T* x, int64_t image_stride, const GridRun* runs, int64_t run_count,
                  Piece* pieces, int64_t k0, int64_t k1, T* out, int64_t ld) {
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
        const int64_t count = tap_pieces(p, offset, image_stride, runs, run_count, pieces);
        for (int64_t i = 0; i < count; ++i)
          copy_piece(pieces[i], x + first * plane, plane, p.axis[2].step, channels, out + (first * taps + t - k0) * ld,
                     taps * ld);
      }
}

// The grid of the outputs over the input: forward and backward-weight.
inline Patches output_patches(const Conv& g) {
  Patches p;
  for (int d = 0; d < 3; ++d)
    p.axis[d] = {g.out[d], g.size[d], g.stride[d], g.kernel[d], -g.pad[d], g.dilation[d], 0, 1, 0, 1, g.out[d]};
  p.flatten();
  return p;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
