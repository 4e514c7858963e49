// Windows without dilation, of Pool and AdaptivePool alike, are boxes: a range [begin, end) along each axis. Here they
// are gone through one output at a time. That suits windows longer than a vector, rows of outputs shorter than one, and
// adaptive windows, which differ in size. Of windows with dilation there is here only how many elements they count, and
// where these lie.
#pragma once
#include <cmath>
#include <limits>

#include "../simd/copy.h"
#include "../simd/long_sum.h"
#include "../simd/sums.h"
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

// The inputs of window o along an axis.
FASTNN_INLINE Range box(const Pool& g, int axis, int64_t o) {
  const int64_t first = o * g.stride[axis] - g.pad[axis], last = first + g.kernel[axis];
  return {first > 0 ? first : 0, last < g.size[axis] ? last : g.size[axis]};
}
FASTNN_INLINE Range box(const AdaptivePool& g, int axis, int64_t o) {
  if (g.out[axis] == 1) return {0, g.size[axis]};
  return {o * g.size[axis] / g.out[axis], ceil_div((o + 1) * g.size[axis], g.out[axis])};
}

// The windows that hold input i.
FASTNN_INLINE Range boxes_over(const Pool& g, int axis, int64_t i) {
  const int64_t from = i + g.pad[axis], s = g.stride[axis];
  Range o = {from >= g.kernel[axis] ? floor_div(from - g.kernel[axis], s) + 1 : 0, floor_div(from, s) + 1};
  if (o.end > g.out[axis]) o.end = g.out[axis];
  return o;
}
FASTNN_INLINE Range boxes_over(const AdaptivePool& g, int axis, int64_t i) {
  if (g.out[axis] == 1) return {0, 1};
  // floor(o * size / out) <= i and i < ceil((o + 1) * size / out)
  return {i * g.out[axis] / g.size[axis], ceil_div((i + 1) * g.out[axis], g.size[axis])};
}

// What an average divides by: the given number or, if that is 0, the elements that the window counts. These include
// those in the padding if include_pad is true.
struct Divisor {
  bool include_pad = false;
  int64_t given = 0;
};

// The divisor of a window, with or without dilation, is the product of its box_count() for all three axes.
FASTNN_INLINE int64_t box_count(const Pool& g, int axis, int64_t o, Divisor by) {
  if (by.given) return axis == 2 ? by.given : 1;
  if (by.include_pad) {
    const int64_t first = o * g.stride[axis] - g.pad[axis], end = g.size[axis] + g.pad_end[axis];
    return first + reach(g, axis) < end ? g.kernel[axis] : ceil_div(end - first, g.dilation[axis]);
  }
  const Range taps = taps_inside(g, axis, o);
  return taps.end - taps.begin;
}
FASTNN_INLINE int64_t box_count(const AdaptivePool& g, int axis, int64_t o, Divisor) {
  const Range b = box(g, axis, o);
  return b.end - b.begin;
}

// Calls f(run, its length) for the contiguous runs of a box of the image at x.
template <class G, class T, class F>
FASTNN_INLINE void box_runs(const G& g, const T* x, Range d, Range h, Range w, const F& f) {
  int64_t rows = h.end - h.begin, length = w.end - w.begin, step = g.size[2];
  if (length == step) length *= rows, rows = 1;
  for (int64_t i = d.begin; i < d.end; ++i)
    for (int64_t r = 0; r < rows; ++r) f(x + (i * g.size[1] + h.begin + r) * step + w.begin, length);
}

// Calls f(run, its length) for the contiguous runs of elements under a window of the image at x.
template <class T, class F>
FASTNN_INLINE void window_runs(const AdaptivePool& g, const T* x, int64_t od, int64_t oh, int64_t ow, const F& f) {
  box_runs(g, x, box(g, 0, od), box(g, 1, oh), box(g, 2, ow), f);
}
template <class T, class F>
FASTNN_INLINE void window_runs(const Pool& g, const T* x, int64_t od, int64_t oh, int64_t ow, const F& f) {
  if (!dilated(g)) return box_runs(g, x, box(g, 0, od), box(g, 1, oh), box(g, 2, ow), f);
  const auto input = [&g](int axis, int64_t o, int64_t k) {
    return o * g.stride[axis] - g.pad[axis] + k * g.dilation[axis];
  };
  const Range d = taps_inside(g, 0, od), h = taps_inside(g, 1, oh), w = taps_inside(g, 2, ow);
  const int64_t together = g.dilation[2] == 1 ? w.end - w.begin : 1;
  for (int64_t i = d.begin; i < d.end; ++i)
    for (int64_t j = h.begin; j < h.end; ++j)
      for (int64_t k = w.begin; k < w.end; k += together)
        f(x + (input(0, od, i) * g.size[1] + input(1, oh, j)) * g.size[2] + input(2, ow, k), together);
}

// Whether the planes have one window each, which holds all inputs and no padding.
template <class G>
FASTNN_INLINE bool whole_planes(const G& g) {
  for (int axis = 0; axis < 3; ++axis) {
    if (g.out[axis] != 1) return false;
    const Range b = box(g, axis, 0);
    if (b.end - b.begin != g.size[axis]) return false;
  }
  return true;
}

template <class G>
FASTNN_INLINE int64_t plane_count(const G& g, Divisor by) {
  return box_count(g, 0, 0, by) * box_count(g, 1, 0, by) * box_count(g, 2, 0, by);
}

constexpr double kMendCost = 1;  // nanoseconds to look at a mean; few are computed again

// Computes those means of the outputs [at, at + n) again that are not finite: a sum may be too large for T where its
// mean is not.
template <class T, class G>
__attribute__((noinline, cold)) void mend_means(const G& g, Divisor by, const T* x, int64_t at, int64_t n, T* y) {
  const int64_t image = g.size[0] * g.size[1] * g.size[2];
  const double scale = sizeof(T) == 4 ? 1 : 0x1p-64;  // a double holds any sum of floats, but not of doubles
  for (int64_t o = at; o < at + n; ++o) {
    if (std::abs(y[o]) < T(INFINITY)) continue;
    const int64_t row = o / g.out[2], ow = o % g.out[2], oh = row % g.out[1], od = row / g.out[1] % g.out[0];
    double sum = 0;
    window_runs(g, x + row / g.out[1] / g.out[0] * image, od, oh, ow, [&](const T* run, int64_t length) {
      for (int64_t i = 0; i < length; ++i) sum += double(run[i]) * scale;
    });
    const int64_t count = box_count(g, 0, od, by) * box_count(g, 1, oh, by) * box_count(g, 2, ow, by);
    y[o] = T(sum / double(count) / scale);
  }
}

template <class T>
FASTNN_INLINE Mask<T> not_finite(Vec<T> v) {
  return ~(abs(v) < set1(T(INFINITY)));
}
template <class T>
FASTNN_INLINE bool all_finite(Vec<T> v) {
#if FASTNN_VEC_BYTES == 64
  constexpr int others = 0x99;  // NaN, both infinities
  return sizeof(T) == 4 ? !_mm512_fpclass_ps_mask((__m512)v, others) : !_mm512_fpclass_pd_mask((__m512d)v, others);
#else
  return all_from<T>(-abs(v), std::numeric_limits<T>::lowest());
#endif
}

// Computes y = mean(windows) for all windows, by the first of the walks that suits. Means that are not finite are then
// computed again by mend_means().
template <class T, class... Walks, class G, class Mean>
void walk_means(const G& g, Divisor by, double cost, const T* x, T* y, const Mean& mean) {
  bool mend = false, *const found = &mend;
  const auto results = [=](const auto& windows, Vec<T>* results) FASTNN_FLAT {
    results[0] = mean(windows);
    if (__builtin_expect(!all_finite<T>(results[0]), 0)) __atomic_store_n(found, true, __ATOMIC_RELAXED);
  };
  first_that_suits<Walks...>(g, [&](const auto& walk) { walk.forward(T(0), cost, x, Outputs<T>{y}, results); });
  if (!mend) return;
  const int64_t outputs = output_rows(g) * g.out[2];
  parallel_for(outputs, double(outputs) * kMendCost,
               [&](int64_t begin, int64_t end) { mend_means(g, by, x, begin, end - begin, y); });
}

template <class Sum, class T, class W>
FASTNN_INLINE Vec<T> sum_of_taps(const W& windows) {
  Sum sum;
  windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { sum.add(v); });
  return sum.total();
}

// y[o] = mean of plane o
template <class T, class G>
void plane_means(const G& g, Divisor by, double ns, const T* x, T* y) {
  const int64_t planes = g.n * g.c, inputs = g.size[0] * g.size[1] * g.size[2];
  const double count = double(plane_count(g, by));
  parallel_for(planes, double(planes) * double(inputs) * ns, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      RunSum<T> sum;
      sum.add(x + p * inputs, inputs);
      y[p] = T(sum.total() / count);
      if (!(std::abs(y[p]) < T(INFINITY))) mend_means(g, by, x, p, 1, y);
    }
  });
}

// y[o] = sum of box o / its divisor
template <class T, class G>
void box_means(const G& g, Divisor by, double ns, const T* x, T* y) {
  if (whole_planes(g)) return plane_means(g, by, ns, x, y);
  const int64_t image = g.size[0] * g.size[1] * g.size[2], rows = g.n * g.c * g.out[0] * g.out[1];
  parallel_for(rows, double(g.n * g.c) * double(image) * ns, [&](int64_t begin, int64_t end) {
    each_output_row(g, begin, end, [&](int64_t plane, int64_t od, int64_t oh, int64_t at) {
      const Range d = box(g, 0, od), h = box(g, 1, oh);
      const int64_t count = box_count(g, 0, od, by) * box_count(g, 1, oh, by);
      for (int64_t ow = 0; ow < g.out[2]; ++ow) {
        RunSum<T> sum;
        box_runs(g, x + plane * image, d, h, box(g, 2, ow), [&](const T* run, int64_t n) { sum.add(run, n); });
        y[at + ow] = T(sum.total() / double(count * box_count(g, 2, ow, by)));
        if (!(std::abs(y[at + ow]) < T(INFINITY))) mend_means(g, by, x, at + ow, 1, y);
      }
    });
  });
}

template <class T>
FASTNN_INLINE void add_to_run(T* x, int64_t n, T value) {
  if (n < 8) {  // a scalar that was just stored is faster to load than a part of a vector
    for (int64_t i = 0; i < n; ++i) x[i] += value;
    return;
  }
  map_run(n, [=](Vec<T> v) { return v + value; }, x, x);
}

// What each row of a gradient needs to know of boxes. It is found once, because each number takes a division or two.
template <class T>
struct BoxTables {
  Range *over[2], *along;  // the boxes over each slice and each row of the image; the inputs of boxes along a row
  int64_t* count[3];       // the box_count() of the boxes along each axis
  T* share;                // for each of the boxes over one row, what every input under it gets

  template <class G>
  BoxTables(const G& g, Room& room) {
    for (int axis = 0; axis < 2; ++axis) over[axis] = room.take<Range>(g.size[axis]);
    along = room.take<Range>(g.out[2]);
    for (int axis = 0; axis < 3; ++axis) count[axis] = room.take<int64_t>(g.out[axis]);
    share = room.take<T>(g.out[2]);
  }
  template <class G>
  void fill(const G& g, Divisor by) const {
    for (int axis = 0; axis < 2; ++axis)
      for (int64_t i = 0; i < g.size[axis]; ++i) over[axis][i] = boxes_over(g, axis, i);
    for (int64_t o = 0; o < g.out[2]; ++o) along[o] = box(g, 2, o);
    for (int axis = 0; axis < 3; ++axis)
      for (int64_t o = 0; o < g.out[axis]; ++o) count[axis][o] = box_count(g, axis, o, by);
  }
};

// y[o] = sum of box o / count  =>  dx = sum of dy[o] / count over the boxes o that hold the input. The rows of dy over
// a row of dx are first summed to one row of shares; each share is then added to the inputs of its box.
template <class T, class G>
FASTNN_INLINE void spread_row(const G& g, const BoxTables<T>& boxes, Range od, Range oh, const T* dy, T* dx) {
  T* const share = boxes.share;
  zero_run(share, g.out[2]);
  for (int64_t d = od.begin; d < od.end; ++d)
    for (int64_t h = oh.begin; h < oh.end; ++h) {
      const int64_t count = boxes.count[0][d] * boxes.count[1][h];
      const T* row = dy + (d * g.out[1] + h) * g.out[2];
      for (int64_t w = 0; w < g.out[2]; ++w) share[w] += row[w] / T(count * boxes.count[2][w]);
    }
  zero_run(dx, g.size[2]);
  for (int64_t w = 0; w < g.out[2]; ++w)
    add_to_run(dx + boxes.along[w].begin, boxes.along[w].end - boxes.along[w].begin, share[w]);
}

// Computes dx where each box is a whole plane: all inputs of plane p get dy[p] / count.
template <class T, class G>
void spread_planes(const G& g, Divisor by, double ns, const T* dy, T* dx) {
  const int64_t planes = g.n * g.c, inputs = g.size[0] * g.size[1] * g.size[2];
  const double values = double(planes) * double(inputs);
  const int64_t count = plane_count(g, by);
  parallel_for(planes, values * ns, [=](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) fill_whole(dx + p * inputs, dy[p] / T(count), inputs, values);
  });
}

template <class T, class G>
void spread_boxes(const G& g, Divisor by, double ns, const T* dy, T* dx) {
  if (whole_planes(g)) return spread_planes(g, by, ns, dy, dx);
  const int64_t rows = g.n * g.c * g.size[0] * g.size[1], outputs = g.out[0] * g.out[1] * g.out[2];
  const double cost = double(rows) * double(g.size[2]) * ns;
  const auto layout = [&](Room& room) { return BoxTables<T>(g, room); };
  parallel_room(rows, cost, layout, [&](int64_t begin, int64_t end, const BoxTables<T>& boxes) {
    boxes.fill(g, by);
    Range last_d = {}, last_h = {};
    int64_t last_plane = -1;
    each_row(g.size, begin, end, [&](int64_t plane, int64_t id, int64_t ih, int64_t r) {
      const Range od = boxes.over[0][id], oh = boxes.over[1][ih];
      T* row = dx + r * g.size[2];
      // Rows under the same windows are equal.
      if (plane == last_plane && same(od, last_d) && same(oh, last_h))
        copy_run(row, row - g.size[2], g.size[2]);
      else
        spread_row(g, boxes, od, oh, dy + plane * outputs, row);
      last_plane = plane, last_d = od, last_h = oh;
    });
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
