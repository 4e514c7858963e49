// Walking the windows of a pooling: lanes are consecutive outputs of a row, so tap k of all of them is one (strided)
// load. Blocks of lanes whose windows lie inside the image load without bounds; elsewhere lanes outside are filled.
#pragma once
#include "../parallel.h"
#include "../simd/strided.h"
#include "../types.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Elements of a group of rows that stay in the first-level cache while the blocks of a row are gone through.
constexpr int64_t kGroupElements = 4096;

struct Range {
  int64_t begin, end;
};
FASTNN_INLINE bool same(Range a, Range b) { return a.begin == b.begin && a.end == b.end; }

// Division of what may be negative, rounded down; by shifts for the usual strides because a divide costs 40 cycles.
FASTNN_INLINE int64_t floor_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  if (b == 2) return a >> 1;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}
FASTNN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// Taps k of [0, kernel) that meet [0, size) for a window, or some window of several, starting at first … last.
FASTNN_INLINE Range taps_inside(int64_t first, int64_t last, int64_t kernel, int64_t dilation, int64_t size) {
  Range taps = {0, kernel};
  if (last < 0) taps.begin = ceil_div(-last, dilation);
  if (first + (kernel - 1) * dilation >= size) taps.end = ceil_div(size - first, dilation);
  if (taps.begin > kernel) taps.begin = kernel;
  if (taps.end < taps.begin) taps.end = taps.begin;
  return taps;
}

// A row of outputs (plane, od, oh): the taps along depth and height that meet the image, and where they start.
class OutputRow {
 public:
  FASTNN_INLINE OutputRow(const Pool& g, int64_t plane, int64_t row) : g_(g), plane_(plane) {
    od = g.out[0] == 1 ? 0 : row / g.out[1];
    oh = row - od * g.out[1];
    place_depth();
    place_height();
  }
  FASTNN_INLINE void next() {
    if (++oh == g_.out[1]) {
      oh = 0, ++od;
      place_depth();
    }
    place_height();
  }
  // Calls f(offset in x of the image row, number of its tap 0) for the rows that the windows meet, in order.
  template <class F>
  FASTNN_INLINE void image_rows(const F& f) const {
    const int64_t step = g_.dilation[1] * g_.size[2];
    for (int64_t d = kd.begin; d < kd.end; ++d) {
      const int64_t depth = plane_ * g_.size[0] + start_d_ + d * g_.dilation[0];
      int64_t at = (depth * g_.size[1] + start_h_ + kh.begin * g_.dilation[1]) * g_.size[2];
      for (int64_t h = kh.begin; h < kh.end; ++h, at += step) f(at, (d * g_.kernel[1] + h) * g_.kernel[2]);
    }
  }
  int64_t first_tap() const { return (kd.begin * g_.kernel[1] + kh.begin) * g_.kernel[2]; }

  int64_t od, oh;
  Range kd, kh;

 private:
  FASTNN_INLINE void place_depth() {
    start_d_ = od * g_.stride[0] - g_.pad[0];
    kd = taps_inside(start_d_, start_d_, g_.kernel[0], g_.dilation[0], g_.size[0]);
  }
  FASTNN_INLINE void place_height() {
    start_h_ = oh * g_.stride[1] - g_.pad[1];
    kh = taps_inside(start_h_, start_h_, g_.kernel[1], g_.dilation[1], g_.size[1]);
  }
  const Pool& g_;
  int64_t plane_, start_d_, start_h_;
};

// lanes<T> consecutive outputs of any row. Stride and Kernel are those along the row, with dilation 1, or Kernel is 0:
// any kernel and dilation. Stride 0 is any stride. Clip: windows may leave the image to the left or right.
template <class T, int Stride, int Kernel, bool Clip>
class Block {
 public:
  FASTNN_INLINE Block(const Pool& g, int64_t first) : ox(first), g_(g), start_(first * g.stride[2] - g.pad[2]) {
    n = clamp_lane<T>(g.out[2] - first);
    if constexpr (Kernel == 0)
      kw_ = Clip ? taps_inside(start_, start_ + (n - 1) * g.stride[2], g.kernel[2], g.dilation[2], g.size[2])
                 : Range{0, g.kernel[2]};
    else if constexpr (Clip)
      for (int i = 0; i < loads; ++i) parts_[i] = part(start_ + place(i));
  }

  // Calls f(number of the tap, values) for the taps of an image row; lanes outside the image hold fill.
  template <class F>
  FASTNN_INLINE void taps(const T* row, int64_t tap, Vec<T> fill, const F& f) const {
    if constexpr (Kernel == 0) {
      Mask<T> number = splat<T>(tap + kw_.begin);
      if (Stride == 2 && g_.dilation[2] == 1)
        for (int64_t k = kw_.begin; k < kw_.end; k += 2, number += 2) {
          const int64_t i = start_ + k;
          pair(at(row, i, fill), at(row, i + lanes<T>, fill), k + 1 < kw_.end, number, f);
        }
      else
        for (int64_t k = kw_.begin; k < kw_.end; ++k, number += 1) f(number, values(row, k, fill));
    } else {
      const T* p = row + start_;
      const Mask<T> number = splat<T>(tap);
      if constexpr (Stride == 1)
#pragma GCC unroll 8
        for (int k = 0; k < Kernel; ++k) f(number + k, fixed(p, k, fill));
      else
#pragma GCC unroll 8
        for (int k = 0; k < Kernel; k += 2)
          pair(fixed(p, k, fill), fixed(p, k + 1, fill), k + 1 < Kernel, number + k, f);
    }
  }

  // For each lane its first tap inside the image, in a row of outputs.
  Mask<T> first_tap(const OutputRow& row) const {
    Mask<T> first = splat<T>(row.first_tap());
    for (int64_t k = 0, i = start_; Clip && k < g_.kernel[2] && i < 0; ++k, i += g_.dilation[2])
      first -= ramp<T>(i, g_.stride[2]) < Mask<T>{};
    return first;
  }

  int64_t ox;  // the first output
  int n;       // and how many there are

 private:
  static constexpr int loads = Stride == 2 ? (Kernel + 1) / 2 * 2 : Kernel;

  FASTNN_INLINE Part<T> part(int64_t i) const { return Part<T>(-i, g_.size[2] - i); }
  // Where load i of a fixed kernel lies: taps 2j and 2j + 1 of windows two apart are the even and odd elements of loads
  // 2j and 2j + 1.
  static FASTNN_INLINE int place(int i) { return Stride == 2 ? i / 2 * 2 + i % 2 * lanes<T> : i; }
  FASTNN_INLINE Vec<T> fixed(const T* p, int i, Vec<T> fill) const {
    return Clip ? load_lanes(p + place(i), parts_[i], fill) : load(p + place(i));
  }
  template <class F>
  static FASTNN_INLINE void pair(Vec<T> a, Vec<T> b, bool both, Mask<T> number, const F& f) {
    Vec<T> even, odd;
    deinterleave<T>(a, b, even, odd);
    f(number, even);
    if (both) f(number + 1, odd);
  }
  FASTNN_INLINE Vec<T> at(const T* row, int64_t i, Vec<T> fill) const {
    return Clip ? load_lanes(row + i, part(i), fill) : load(row + i);
  }
  FASTNN_INLINE Vec<T> values(const T* row, int64_t k, Vec<T> fill) const {
    const int64_t i = start_ + k * g_.dilation[2], s = g_.stride[2];
    if constexpr (Stride == 1) return at(row, i, fill);
    if constexpr (Stride == 2) {
      Vec<T> even, odd;
      deinterleave<T>(at(row, i, fill), at(row, i + lanes<T>, fill), even, odd);
      return even;
    }
    return load_strided(row + i, s, Clip ? ceil_div(-i, s) : 0, Clip ? ceil_div(g_.size[2] - i, s) : n, fill);
  }

  const Pool& g_;
  int64_t start_;
  Range kw_;
  Part<T> parts_[loads ? loads : 1];
};

// Calls f(block, row, offset in y) for each block of the rows [begin, end) of a plane, those of the same lanes together.
template <class T, int Stride, int Kernel, class F>
FASTNN_INLINE void each_block_of(const Pool& g, int64_t plane, int64_t begin, int64_t end, const F& f) {
  constexpr int64_t L = lanes<T>;
  const int64_t stride = g.stride[2], width = g.out[2], reach = (g.kernel[2] - 1) * g.dilation[2];
  // What an unclipped block may read from its first element on; pairs of taps read to the end of their pair.
  const int64_t extent =
      Stride == 2 ? (g.dilation[2] == 1 ? reach / 2 * 2 : reach) + 2 * L : reach + (L - 1) * stride + 1;
  const auto rows = [&](const auto& block) FASTNN_FLAT {
    OutputRow row(g, plane, begin);
    int64_t at = (plane * g.out[0] * g.out[1] + begin) * width + block.ox;
    for (int64_t r = begin; r < end; ++r, at += width, row.next()) f(block, row, at);
  };
  for (int64_t ox = 0; ox < width; ox += L) {
    const int64_t start = ox * stride - g.pad[2];
    if (start >= 0 && start + extent <= g.size[2])
      rows(Block<T, Stride, Kernel, false>(g, ox));
    else
      rows(Block<T, Stride, Kernel, true>(g, ox));
  }
}

// Calls f(plane, first, last) for groups of rows of one plane that together cover the rows [begin, end) of all planes.
// elements: those of the image that go with one row.
template <class F>
FASTNN_INLINE void each_group(int64_t begin, int64_t end, int64_t per_plane, int64_t elements, const F& f) {
  const int64_t group = elements < kGroupElements ? kGroupElements / elements : 1;
  int64_t plane = begin / per_plane, row = begin % per_plane;
  while (begin < end) {
    int64_t n = per_plane - row;
    if (n > group) n = group;
    if (n > end - begin) n = end - begin;
    f(plane, row, row + n);
    begin += n, row += n;
    if (row == per_plane) row = 0, ++plane;
  }
}

// The blocks of the output rows [begin, end) of all planes, of the type that fits.
template <class T, class F>
FASTNN_INLINE void each_block(const Pool& g, int64_t begin, int64_t end, const F& f) {
  const int64_t per_plane = g.out[0] * g.out[1], kernel = g.dilation[2] == 1 ? g.kernel[2] : 0;
  each_group(begin, end, per_plane, g.size[2] * g.stride[1], [&](int64_t plane, int64_t first, int64_t last) {
    if (g.stride[2] == 2 && kernel == 2)
      each_block_of<T, 2, 2>(g, plane, first, last, f);
    else if (g.stride[2] == 2 && kernel == 3)
      each_block_of<T, 2, 3>(g, plane, first, last, f);
    else if (g.stride[2] == 2)
      each_block_of<T, 2, 0>(g, plane, first, last, f);
    else if (g.stride[2] == 1 && kernel == 3)
      each_block_of<T, 1, 3>(g, plane, first, last, f);
    else if (g.stride[2] == 1)
      each_block_of<T, 1, 0>(g, plane, first, last, f);
    else
      each_block_of<T, 0, 0>(g, plane, first, last, f);
  });
}

// Calls f(plane, od, oh, offset of the row in y) for the rows of outputs [begin, end).
template <class G, class F>
FASTNN_INLINE void each_output_row(const G& g, int64_t begin, int64_t end, const F& f) {
  int64_t oh = begin % g.out[1], od = begin / g.out[1] % g.out[0], plane = begin / g.out[1] / g.out[0];
  for (int64_t r = begin; r < end; ++r) {
    f(plane, od, oh, r * g.out[2]);
    if (++oh == g.out[1]) {
      oh = 0;
      if (++od == g.out[0]) od = 0, ++plane;
    }
  }
}

inline int64_t output_rows(const Pool& g) { return g.n * g.c * g.out[0] * g.out[1]; }
inline int64_t input_rows(const Pool& g) { return g.n * g.c * g.size[0] * g.size[1]; }

}  // namespace
}  // namespace fastnn::FASTNN_ISA
