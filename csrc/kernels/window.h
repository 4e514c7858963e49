// Windows of a pooling: where they lie, how an image is cut into parts, and the walk through the windows of a forward
// pass.
//
// Lanes are consecutive outputs of a row. The inputs under a part of the output are first copied to scratch ("staged"),
// with what lies around the image filled and, for a stride s along the row, sorted by their remainder modulo s: then tap k
// of a vector of windows is one whole load, however windows overlap and wherever they lie.
#pragma once
#include "../parallel.h"
#include "../simd/copy.h"
#include "../simd/strided.h"
#include "../types.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

FASTNN_INLINE bool same(Range a, Range b) { return a.begin == b.begin && a.end == b.end; }

// Division of what may be negative, rounded down; by shifts for the usual strides because a divide costs 40 cycles.
FASTNN_INLINE int64_t floor_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  if (b == 2) return a >> 1;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

inline int64_t output_rows(const Pool& g) { return g.n * g.c * g.out[0] * g.out[1]; }
inline int64_t window_taps(const Pool& g) { return g.kernel[0] * g.kernel[1] * g.kernel[2]; }
constexpr int64_t kManyTaps = 64;  // more get a LongSum
// From the first tap of a window to its last.
inline int64_t reach(const Pool& g, int axis) { return (g.kernel[axis] - 1) * g.dilation[axis]; }

// Taps of window o that meet the image.
FASTNN_INLINE Range taps_inside(const Pool& g, int axis, int64_t o) {
  return inside(o * g.stride[axis] - g.pad[axis], g.dilation[axis], g.kernel[axis], g.size[axis]);
}
// Inputs from the first to the last that the windows [o.begin, o.end) may meet, and the most there are for n windows.
FASTNN_INLINE Range inputs_under(const Pool& g, int axis, Range o) {
  const int64_t first = o.begin * g.stride[axis] - g.pad[axis];
  const int64_t end = (o.end - 1) * g.stride[axis] - g.pad[axis] + reach(g, axis) + 1;
  const int64_t begin = least(most(first, 0), g.size[axis]);
  return {begin, most(least(end, g.size[axis]), begin)};
}
inline int64_t most_inputs(const Pool& g, int axis, int64_t n) {
  return least((n - 1) * g.stride[axis] + reach(g, axis) + 1, g.size[axis]);
}

// Part of an image: rows of a slice or whole slices, and columns of them.
struct ImagePart {
  Range d, h, w;
};
FASTNN_INLINE bool same(const ImagePart& a, const ImagePart& b) {
  return same(a.d, b.d) && same(a.h, b.h) && same(a.w, b.w);
}

// How large a part is at most, by the shape of the image: in elements, rows of a slice and columns.
struct PartPlan {
  static constexpr int64_t kMostRows = 256;
  int64_t size[3], columns, rows, slices;

  PartPlan(const int64_t* image, int64_t elements, int64_t most_columns) {
    for (int i = 0; i < 3; ++i) size[i] = image[i];
    columns = least(size[2], most_columns);
    rows = least(most(elements / columns, 1), kMostRows);
    slices = least(most(rows / size[1], 1), size[0]);
    rows = least(rows, size[1]);
  }
};

// Calls f(plane, part) for the parts that together cover the rows [begin, end) of all planes.
template <class F>
FASTNN_INLINE void each_part(const PartPlan& plan, int64_t begin, int64_t end, const F& f) {
  const int64_t *size = plan.size, height = size[1];
  while (begin < end) {
    const int64_t slice = begin / height, plane = slice / size[0], d = slice % size[0], h = begin % height;
    const bool whole = h == 0 && plan.rows == height && end - begin >= height;
    const int64_t slices = whole ? least(least(plan.slices, size[0] - d), (end - begin) / height) : 1;
    const int64_t rows = whole ? height : least(least(plan.rows, height - h), end - begin);
    for (int64_t w = 0; w < size[2]; w += plan.columns)
      f(plane, ImagePart{{d, d + slices}, {h, h + rows}, {w, least(w + plan.columns, size[2])}});
    begin += slices * rows;
  }
}

// Calls f(plane, d, h, row) for the rows [begin, end) of all planes of an image.
template <class F>
FASTNN_INLINE void each_row(const int64_t* image, int64_t begin, int64_t end, const F& f) {
  int64_t h = begin % image[1], d = begin / image[1] % image[0], plane = begin / image[1] / image[0];
  for (int64_t r = begin; r < end; ++r) {
    f(plane, d, h, r);
    if (++h == image[1]) {
      h = 0;
      if (++d == image[0]) d = 0, ++plane;
    }
  }
}
// Calls f(plane, od, oh, offset of the row in y) for the rows of outputs [begin, end).
template <class G, class F>
FASTNN_INLINE void each_output_row(const G& g, int64_t begin, int64_t end, const F& f) {
  each_row(g.out, begin, end,
           [&](int64_t plane, int64_t d, int64_t h, int64_t r) FASTNN_FLAT { f(plane, d, h, r * g.out[2]); });
}

// A row of inputs under a row of outputs: where tap 0 of output 0 would be staged, and the number of its first tap.
template <class T>
struct RowUnder {
  const T* inputs;
  int64_t tap;
};

// The inputs under a part of the output. Parts of the same place in their planes differ in the staged values alone.
template <class T>
class InputStage {
 public:
  static constexpr int64_t L = lanes<T>;

  static PartPlan plan(const Pool& g) {
    return {g.out, most(8192 / (g.stride[1] * g.stride[2]), 1), most(2048 / g.stride[2] / L, 1) * L};
  }
  static size_t bytes(const Pool& g) {
    const PartPlan p = plan(g);
    const int64_t rows = most_inputs(g, 0, p.slices) * most_inputs(g, 1, p.rows);
    return tables_bytes(g, p) + size_t(rows * g.stride[2] * phase_size(g, p.columns)) * sizeof(T);
  }
  InputStage(const Pool& g, T filler, void* memory) : g_(g), filler_(filler), most_(g.kernel[0] * g.kernel[1]) {
    const PartPlan p = plan(g);
    under_ = static_cast<RowUnder<T>*>(memory);
    counts_ = reinterpret_cast<int64_t*>(under_ + p.slices * p.rows * most_);
    distance = counts_ + p.slices * p.rows;
    first_ = reinterpret_cast<T*>(static_cast<char*>(memory) + tables_bytes(g, p));
  }

  void fill(const T* x, int64_t plane, const ImagePart& part) {
    if (!same(part, part_)) place(part);
    T* to = first_;
    for (int64_t d = d_.begin; d < d_.end; ++d)
      for (int64_t h = h_.begin; h < h_.end; ++h, to += g_.stride[2] * phase)
        fill_row(x + ((plane * g_.size[0] + d) * g_.size[1] + h) * g_.size[2], to);
  }
  // The rows of inputs under row i of the part, in order, and how many they are.
  const RowUnder<T>* under(int64_t i) const { return under_ + i * most_; }
  int64_t count(int64_t i) const { return counts_[i]; }

  int64_t phase = 0;  // from one remainder to the next
  int64_t* distance;  // of tap k along a row from tap 0

 private:
  static int64_t phase_size(const Pool& g, int64_t outputs) { return outputs + reach(g, 2) / g.stride[2] + L; }
  static size_t tables_bytes(const Pool& g, const PartPlan& p) {
    const size_t row = size_t(g.kernel[0] * g.kernel[1]) * sizeof(RowUnder<T>) + sizeof(int64_t);
    return (size_t(p.slices * p.rows) * row + size_t(g.kernel[2]) * sizeof(int64_t) + 63) / 64 * 64;
  }

  void place(const ImagePart& part) {
    part_ = part;
    d_ = inputs_under(g_, 0, part.d), h_ = inputs_under(g_, 1, part.h), w_ = inputs_under(g_, 2, part.w);
    start_ = part.w.begin * g_.stride[2] - g_.pad[2];
    phase = phase_size(g_, part.w.end - part.w.begin);
    fill_run(first_, filler_, (d_.end - d_.begin) * (h_.end - h_.begin) * g_.stride[2] * phase);
    for (int64_t k = 0; k < g_.kernel[2]; ++k) {
      const int64_t at = k * g_.dilation[2];
      distance[k] = at % g_.stride[2] * phase + at / g_.stride[2];
    }
    int64_t i = 0;
    for (int64_t d = part.d.begin; d < part.d.end; ++d)
      for (int64_t h = part.h.begin; h < part.h.end; ++h, ++i) counts_[i] = find_rows(d, h, under_ + i * most_);
  }
  int64_t find_rows(int64_t od, int64_t oh, RowUnder<T>* found) const {
    const Range kd = taps_inside(g_, 0, od), kh = taps_inside(g_, 1, oh);
    int64_t count = 0;
    for (int64_t d = kd.begin; d < kd.end; ++d)
      for (int64_t h = kh.begin; h < kh.end; ++h) {
        const int64_t id = od * g_.stride[0] - g_.pad[0] + d * g_.dilation[0] - d_.begin;
        const int64_t ih = oh * g_.stride[1] - g_.pad[1] + h * g_.dilation[1] - h_.begin;
        const T* row = first_ + (id * (h_.end - h_.begin) + ih) * g_.stride[2] * phase;
        found[count++] = {row - part_.w.begin, (d * g_.kernel[1] + h) * g_.kernel[2]};
      }
    return count;
  }
  FASTNN_INLINE void fill_row(const T* x, T* to) const {
    const int64_t stride = g_.stride[2], first = w_.begin - start_, n = w_.end - w_.begin, size = phase;
    x += w_.begin;
    if (stride == 1) return copy_run(to + first, x, n);
    const auto at = [=](int64_t i) { return to + i % stride * size + i / stride; };
    if (stride == 2) return take_apart(x, n, at(first), at(first + 1));
    for (int64_t i = 0; i < least(stride, n); ++i)
      gather_run(at(first + i), x + i, (n - i + stride - 1) / stride, stride);
  }
  // even[i] = x[2 i], odd[i] = x[2 i + 1]
  static FASTNN_INLINE void take_apart(const T* x, int64_t n, T* even, T* odd) {
    Vec<T> a, b;
    int64_t i = 0;
    for (; i + 2 * L <= n; i += 2 * L, even += L, odd += L) {
      deinterleave<T>(load(x + i), load(x + i + L), a, b);
      store(even, a), store(odd, b);
    }
    deinterleave<T>(load_part(x + i, n - i), load_part(x + i + L, n - i - L), a, b);
    store_part(even, a, (n - i + 1) / 2), store_part(odd, b, (n - i) / 2);
  }

  const Pool& g_;
  T filler_;
  ImagePart part_ = {};
  Range d_ = {}, h_ = {}, w_ = {};
  int64_t most_, start_ = 0;
  RowUnder<T>* under_;
  int64_t* counts_;
  T* first_;
};

// A vector of windows: output (d, h, w) is the first of `n`, `at` its offset in y. Stride and Kernel are those along the
// row, with dilation 1, or 0: any.
template <class T, int Stride, int Kernel>
struct Windows {
  int64_t d, h, w, at;
  int n;
  const RowUnder<T>* rows;
  int64_t count, phase, kernel;
  const int64_t* distance;

  // Calls f(number of the tap, values) for all taps in order, but for those in rows beyond the image; where they lie
  // beside it the values are the filler.
  template <class F>
  FASTNN_INLINE void taps(const F& f) const {
    for (int64_t r = 0; r < count; ++r) {
      const T* x = whole_address(rows[r].inputs + w);
      const Mask<T> number = splat<T>(rows[r].tap);
      if constexpr (Kernel > 0)
#pragma GCC unroll 8
        for (int k = 0; k < Kernel; ++k) f(number + k, load(x + k % Stride * phase + k / Stride));
      else
        for (int64_t k = 0; k < kernel; ++k) f(number + splat<T>(k), load(x + distance[k]));
    }
  }
  // For each lane its first tap inside the image.
  Mask<T> first_tap(const Pool& g) const {
    const int64_t tap = taps_inside(g, 0, d).begin * g.kernel[1] + taps_inside(g, 1, h).begin;
    Mask<T> first = splat<T>(tap * g.kernel[2]);
    for (int64_t k = 0, i = w * g.stride[2] - g.pad[2]; k < g.kernel[2] && i < 0; ++k, i += g.dilation[2])
      first -= ramp<T>(i, g.stride[2]) < Mask<T>{};
    return first;
  }
};

template <class T, int Stride, int Kernel, class F>
void windows_of_rows(const Pool& g, T filler, const T* x, int64_t begin, int64_t end, void* scratch, const F& f) {
  InputStage<T> stage(g, filler, scratch);
  each_part(InputStage<T>::plan(g), begin, end, [&](int64_t plane, const ImagePart& part) {
    stage.fill(x, plane, part);
    Windows<T, Stride, Kernel> windows = {};
    windows.phase = stage.phase, windows.kernel = g.kernel[2], windows.distance = stage.distance;
    int64_t i = 0;
    for (int64_t d = part.d.begin; d < part.d.end; ++d)
      for (int64_t h = part.h.begin; h < part.h.end; ++h, ++i) {
        const int64_t row = ((plane * g.out[0] + d) * g.out[1] + h) * g.out[2];
        windows.d = d, windows.h = h, windows.rows = stage.under(i), windows.count = stage.count(i);
        for (int64_t w = part.w.begin; w < part.w.end; w += lanes<T>) {
          windows.w = w, windows.at = row + w, windows.n = clamp_lane<T>(part.w.end - w);
          f(windows);
        }
      }
  });
}

// f(windows) for all windows, a vector of them at a time; cost: nanoseconds of all. What lies around the image counts as
// `filler`.
template <class T, class F>
void each_windows(const Pool& g, T filler, double cost, const T* x, const F& f) {
  const int64_t kernel = g.dilation[2] == 1 ? g.kernel[2] : 0;
  parallel_scratch(output_rows(g), cost, InputStage<T>::bytes(g), [&](int64_t begin, int64_t end, void* scratch) {
    if (g.stride[2] == 2 && kernel == 2)
      windows_of_rows<T, 2, 2>(g, filler, x, begin, end, scratch, f);
    else if (g.stride[2] == 2 && kernel == 3)
      windows_of_rows<T, 2, 3>(g, filler, x, begin, end, scratch, f);
    else if (g.stride[2] == 1 && kernel == 3)
      windows_of_rows<T, 1, 3>(g, filler, x, begin, end, scratch, f);
    else
      windows_of_rows<T, 0, 0>(g, filler, x, begin, end, scratch, f);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
