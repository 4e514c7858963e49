// Adaptive pooling of narrow windows, with lanes across rows of outputs: of a vector's worth of them, the rows of inputs under
// each are reduced to one with lanes along the image; these are turned, and then nothing is added or compared across the
// lanes of a vector. 32x64x56x56 to 7x7 on Zen 5: maxima 1.1 ms instead of 3.5, means 0.75 instead of 9.
#pragma once
#include <cmath>

#include "../simd/past.h"
#include "../simd/transpose.h"
#include "boxes.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Most columns of rows that are turned together, which then stay in the second-level cache.
constexpr int64_t kTurnedColumns = 1024;

// Whether lanes run across rows of outputs.
template <class T>
bool group_rows(const AdaptivePool& g) {
  return g.n * g.c * g.out[0] * g.out[1] >= lanes<T> && g.size[2] <= kTurnedColumns && g.out[2] <= kTurnedColumns &&
         g.size[2] <= 2 * lanes<T> * g.out[2];
}

// Columns in whole vectors.
template <class T>
int64_t row_pitch(const AdaptivePool& g) {
  return (g.size[2] + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// The rows [d, h) of an image reduced to one: for each column its largest value and where it is, in whole vectors. What the
// image has beyond its columns may be read up to `end`.
template <class T>
FASTNN_INLINE void best_of_rows(const AdaptivePool& g, const T* image, const T* end, Range d, Range h, T* value,
                                T* position) {
  const int64_t width = g.size[2];
  for (int64_t w = 0; w < width; w += lanes<T>) {
    int64_t row = (d.begin * g.size[1] + h.begin) * width + w;
    Vec<T> best = load_part(image + row, end - image - row);
    Mask<T> at = ramp<T>(row, 1);
    for (int64_t i = d.begin; i < d.end; ++i) {
      row = (i * g.size[1] + h.begin) * width + w;
      for (int64_t j = h.begin; j < h.end; ++j, row += width) {
        fetch_ahead(image + row);  // 0.8 of the time for 32x64x56x56
        take_larger<T>(best, at, load_part(image + row, end - image - row), ramp<T>(row, 1));
      }
    }
    store(value + w, best);
    store(position + w, (Vec<T>)at);
  }
}

// The rows [d, h) of an image added up, in whole vectors; read as far as best_of_rows does.
template <class Sum, class T>
FASTNN_INLINE void sum_rows(const AdaptivePool& g, const T* image, const T* end, Range d, Range h, T* sums) {
  const int64_t width = g.size[2];
  for (int64_t w = 0; w < width; w += lanes<T>) {
    Sum sum;
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j) {
        const T* row = image + (i * g.size[1] + j) * width + w;
        fetch_ahead(row);
        sum.add(load_part(row, end - row));
      }
    store(sums + w, sum.total());
  }
}

// Maxima.
template <class T>
struct RowGroup {
  static constexpr int64_t L = lanes<T>;
  const AdaptivePool& g;
  int64_t pitch, outputs;
  T *value, *position, *turned_value, *turned_position, *best, *best_at, *wide;

  static size_t bytes(const AdaptivePool& g) { return size_t(4 * row_pitch<T>(g) + 3 * g.out[2]) * sizeof(Vec<T>); }
  RowGroup(const AdaptivePool& geometry, void* memory) : g(geometry), pitch(row_pitch<T>(g)), outputs(g.out[2]) {
    zero_run(static_cast<T*>(memory),
             int64_t(bytes(g) / sizeof(T)));  // lanes of rows that aren't there are compared, too
    value = static_cast<T*>(memory), position = value + L * pitch;
    turned_value = position + L * pitch, turned_position = turned_value + L * pitch;
    best = turned_position + L * pitch, best_at = best + L * outputs, wide = best_at + L * outputs;
  }
  // Rows of outputs [begin, begin + n).
  void find(const T* x, int64_t begin, int64_t n, T* y, int32_t* index) const {
    const int64_t image = g.size[0] * g.size[1] * g.size[2];
    int64_t to = 0;
    each_output_row(g, begin, begin + n, [&](int64_t plane, int64_t od, int64_t oh, int64_t) {
      best_of_rows(g, x + plane * image, x + g.n * g.c * image, box(g, 0, od), box(g, 1, oh), value + to,
                   position + to);
      to += pitch;
    });
    turn(value, pitch, L, pitch, turned_value, L);
    turn(position, pitch, L, pitch, turned_position, L);
    for (int64_t ow = 0; ow < outputs; ++ow) {
      const Range w = box(g, 2, ow);
      Vec<T> largest = load(turned_value + w.begin * L);
      Mask<T> nan = {}, first = splat<T>(INT32_MAX);
      for (int64_t c = w.begin; c < w.end; ++c) {
        const Vec<T> v = load(turned_value + c * L);
        largest = max(largest, v), nan |= v != v;
      }
      largest = nan ? set1(T(NAN)) : largest;
      Vec<T> value_of_first = largest;
      for (int64_t c = w.begin; c < w.end; ++c) {  // columns that hold it: the first in the image may be in a later one
        const Vec<T> v = load(turned_value + c * L);
        const Mask<T> at =
            (v == largest) | (nan & (v != v)) ? (Mask<T>)load(turned_position + c * L) : splat<T>(INT32_MAX);
        value_of_first = at < first ? v : value_of_first;
        first = at < first ? at : first;
      }
      store(best + ow * L, value_of_first);
      store(best_at + ow * L, (Vec<T>)first);
    }
    turn(best, L, outputs, n, y + begin * outputs, outputs);
    turn(best_at, L, outputs, n, wide, outputs);
    for (int64_t i = 0; i < n * outputs; i += L)
      store_index_n<T>(index + begin * outputs + i, (Mask<T>)load(wide + i), clamp_lane<T>(n * outputs - i));
  }
};

// Means.
template <class T>
void grouped_means(const AdaptivePool& g, double ns, const T* x, T* y) {
  constexpr int64_t L = lanes<T>;
  const int64_t image = g.size[0] * g.size[1] * g.size[2], rows = g.n * g.c * g.out[0] * g.out[1], outputs = g.out[2];
  const int64_t pitch = row_pitch<T>(g), values = (2 * pitch + outputs + 1) * L;
  const T* end_of_x = x + g.n * g.c * image;
  const double cost = double(g.n * g.c) * double(image) * ns;
  parallel_scratch(rows, cost, size_t(values) * sizeof(T), [&](int64_t begin, int64_t end, void* memory) {
    T *sums = static_cast<T*>(memory), *turned = sums + L * pitch, *means = turned + L * pitch,
      *counts = means + L * outputs;
    zero_run(sums, values);  // lanes of rows that aren't there are computed with, too
    for (int64_t r = begin; r < end; r += L) {
      const int64_t n = least(L, end - r);
      each_row(g.out, r, r + n, [&](int64_t plane, int64_t od, int64_t oh, int64_t row) {
        const Range d = box(g, 0, od), h = box(g, 1, oh);
        const int64_t count = (d.end - d.begin) * (h.end - h.begin);
        if (count > kManyTaps)
          sum_rows<LongSum<T>>(g, x + plane * image, end_of_x, d, h, sums + (row - r) * pitch);
        else
          sum_rows<ShortSum<T>>(g, x + plane * image, end_of_x, d, h, sums + (row - r) * pitch);
        counts[row - r] = T(count);
      });
      turn(sums, pitch, L, pitch, turned, L);
      Mask<T> mend = {};
      for (int64_t ow = 0; ow < outputs; ++ow) {
        const Range w = box(g, 2, ow);
        Vec<T> sum = {};
        for (int64_t c = w.begin; c < w.end; ++c) sum += load(turned + c * L);
        const Vec<T> mean = sum / (load(counts) * T(w.end - w.begin));
        mend |= iota<T>() < splat<T>(n) ? not_finite<T>(mean) : Mask<T>{};
        store(means + ow * L, mean);
      }
      turn(means, L, outputs, n, y + r * outputs, outputs);
      if (__builtin_expect(any<T>(mend), 0)) mend_means(g, Divisor{}, x, r * outputs, n * outputs, y);
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
