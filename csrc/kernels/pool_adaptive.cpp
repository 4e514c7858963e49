// Adaptive pooling: window i of an axis covers inputs floor(i * size / out) to ceil((i + 1) * size / out).
//   average: x (n, c, size) -> y (n, c, out); dy -> dx
//   max:     x -> y, index (n, c, out): the flat position in the image that won; dy, index -> dx
#include "adaptive_rows.h"
#define FASTNN_FAMILY "pool_adaptive.inc"
#include "kernels.h"
#include "../simd/shuffle.h"
#include "pool_planes.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element of x, out of cache; they only decide when a second thread is woken.
constexpr double kCost = 0.15, kMaxCost = 0.4;

// Planes of fewer bytes are zeroed some at a time.
constexpr int64_t kZeroedBytes = 64 * 1024;

// In each lane the larger value and its position: NaN is larger than all, and of equals the first in the image counts.
template <class T>
FASTNN_INLINE void take_first_larger(Vec<T>& value, Mask<T>& position, Vec<T> v, Mask<T> at) {
  const Mask<T> is_nan = v != v, was_nan = value != value;
  const Mask<T> same = (v == value) | (is_nan & was_nan);
  const Mask<T> wins = (v > value) | (is_nan & ~was_nan) | (same & (at < position));
  value = wins ? v : value;
  position = wins ? at : position;
}

// The same over the lanes of a vector, whose first lane gets the result.
template <class T>
FASTNN_INLINE void reduce_first_larger(Vec<T>& value, Mask<T>& position) {
  each_half<lanes<T>>([&](auto step) FASTNN_FLAT {
    take_first_larger<T>(value, position, exchange<step()>(value), exchange<step()>(position));
  });
}

// The best of n values that lie side by side, the first of them at position `first`.
template <class T>
FASTNN_INLINE void run_best(const T* x, int64_t first, int64_t n, T* best, int32_t* index) {
  constexpr int64_t L = lanes<T>;
  const T lowest = -T(INFINITY);
  Vec<T> largest = load_part(x, n, lowest);
  Mask<T> at = iota<T>() < splat<T>(n) ? ramp<T>(first, 1) : splat<T>(INT32_MAX);
  for (int64_t i = L; i < n; i += L)
    take_larger<T>(largest, at, load_part(x + i, n - i, lowest), ramp<T>(first + i, 1));
  reduce_first_larger<T>(largest, at);
  *best = largest[0], *index = int32_t(at[0]);
}

// The rows of the windows of one row of outputs, reduced to one.
template <class T>
struct ColumnBest {
  T *value, *position;  // of whole vectors

  static size_t bytes(const AdaptivePool& g) { return size_t(row_pitch<T>(g)) * 2 * sizeof(T); }
  ColumnBest(const AdaptivePool& g, void* memory) : value(static_cast<T*>(memory)), position(value + row_pitch<T>(g)) {}

  // The best of columns [begin, end).
  FASTNN_INLINE void window(Range w, T* best, int32_t* index) const {
    Vec<T> largest = set1(-T(INFINITY));
    Mask<T> at = splat<T>(INT32_MAX);
    for (int64_t c = w.begin; c < w.end; c += lanes<T>) {
      const Mask<T> there = iota<T>() < splat<T>(w.end - c);
      const Vec<T> v = load(value + c);
      const Mask<T> p = (Mask<T>)load(position + c);
      take_first_larger<T>(largest, at, there ? v : set1(-T(INFINITY)), there ? p : splat<T>(INT32_MAX));
    }
    reduce_first_larger<T>(largest, at);
    *best = largest[0], *index = int32_t(at[0]);
  }
};

// Whether lanes run across planes: of windows at most half a vector wide. Wider ones keep lanes along the image filled, and
// 256 planes of 32x32 to 2x2 take 1.3 to 1.8 times longer turned (Zen 5).
template <class T>
bool turn_planes(const AdaptivePool& g) {
  return planes_fit<T>(g) && 2 * g.size[2] <= lanes<T> * g.out[2];
}

// The mean of n vectors of a tile.
template <class Sum, class T>
FASTNN_INLINE Vec<T> turned_mean(const T* in, const PlaneTaps::Entry* e, int32_t n) {
  Sum sum;
  for (int32_t i = 0; i < n; ++i) sum.add(load(in + e[i].input * lanes<T>));
  return sum.total() / T(n);
}

// Means with lanes across planes.
template <class T>
void turned_means(const AdaptivePool& g, const T* x, T* y) {
  constexpr int64_t L = lanes<T>;
  const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
  const double cost = double(g.n * g.c) * double(inputs) * kCost;
  each_plane_tile<T>(g, inputs + outputs, cost, [=](int64_t plane, int64_t count, T* in, const PlaneTaps& taps) {
    T* mean_of = in + inputs * L;
    turn(x + plane * inputs, inputs, count, inputs, in, L);
    const PlaneTaps::Entry* e = taps.entry;
    Mask<T> mend = {};
    for (int64_t o = 0; o < outputs; ++o) {
      const int32_t n = taps.count[o];
      const Vec<T> mean = n > kManyTaps ? turned_mean<LongSum<T>>(in, e, n) : turned_mean<ShortSum<T>>(in, e, n);
      e += n;
      mend |= not_finite<T>(mean);
      store(mean_of + o * L, mean);
    }
    turn(mean_of, L, outputs, count, y + plane * outputs, outputs);
    if (__builtin_expect(any<T>(mend), 0)) mend_means(g, Divisor{}, x, plane * outputs, count * outputs, y);
  });
}

// Their gradient.
template <class T>
void turned_spread(const AdaptivePool& g, const T* dy, T* dx) {
  constexpr int64_t L = lanes<T>;
  const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
  const double cost = double(g.n * g.c) * double(inputs) * kCost;
  each_plane_tile<T>(g, inputs + outputs, cost, [=](int64_t plane, int64_t count, T* sum, const PlaneTaps& taps) {
    T* dy_of = sum + inputs * L;
    zero_run(sum, inputs * L);
    turn(dy + plane * outputs, outputs, count, outputs, dy_of, L);
    const PlaneTaps::Entry* e = taps.entry;
    for (int64_t o = 0; o < outputs; ++o) {
      const Vec<T> share = load(dy_of + o * L) / T(taps.count[o]);
      for (int32_t i = 0; i < taps.count[o]; ++i, ++e) store(sum + e->input * L, load(sum + e->input * L) + share);
    }
    turn(sum, L, inputs, count, dx + plane * inputs, inputs);
  });
}

}  // namespace

// y[o] = mean of box o
template <class T>
void adaptive_avg_pool_forward(AdaptivePool g, const T* x, T* y) {
  if (turn_planes<T>(g) && !whole_planes(g)) return turned_means(g, x, y);
  if (group_rows<T>(g) && !whole_planes(g)) return grouped_means(g, kCost, x, y);
  box_means(g, Divisor{}, kCost, x, y);
}

// y[o] = mean of box o  =>  dx += dy[o] / size of box o for its elements
template <class T>
void adaptive_avg_pool_backward(AdaptivePool g, const T* dy, T* dx) {
  if (turn_planes<T>(g) && !whole_planes(g)) return turned_spread(g, dy, dx);
  spread_boxes(g, Divisor{}, kCost, dy, dx);
}

// y[o] = max of box o: the first of equals, the first NaN before all
template <class T>
void adaptive_max_pool_forward(AdaptivePool g, const T* x, T* y, int32_t* index) {
  if (turn_planes<T>(g)) return max_planes(g, kMaxCost, x, y, index);
  const int64_t image = g.size[0] * g.size[1] * g.size[2], rows = g.n * g.c * g.out[0] * g.out[1];
  const double cost = double(g.n * g.c) * double(image) * kMaxCost;
  const size_t bytes = ColumnBest<T>::bytes(g) + sizeof(Vec<T>) * 2;  // windows load whole vectors
  if (group_rows<T>(g))
    return parallel_scratch(rows, cost, RowGroup<T>::bytes(g), [&](int64_t begin, int64_t end, void* memory) {
      const RowGroup<T> group(g, memory);
      for (int64_t r = begin; r < end; r += lanes<T>) group.find(x, r, least(lanes<T>, end - r), y, index);
    });
  parallel_scratch(rows, cost, bytes, [&](int64_t begin, int64_t end, void* memory) {
    const ColumnBest<T> columns(g, memory);
    each_output_row(g, begin, end, [&](int64_t plane, int64_t od, int64_t oh, int64_t at) {
      const Range d = box(g, 0, od), h = box(g, 1, oh);
      const bool one_row = d.end - d.begin == 1 && h.end - h.begin == 1;
      const int64_t row = (d.begin * g.size[1] + h.begin) * g.size[2];
      if (!one_row) best_of_rows(g, x + plane * image, x + g.n * g.c * image, d, h, columns.value, columns.position);
      for (int64_t ow = 0; ow < g.out[2]; ++ow) {
        const Range w = box(g, 2, ow);
        if (one_row)
          run_best(x + plane * image + row + w.begin, row + w.begin, w.end - w.begin, y + at + ow, index + at + ow);
        else
          columns.window(w, y + at + ow, index + at + ow);
      }
    });
  });
}

// y[o] = x[index[o]]  =>  dx[index[o]] += dy[o]; windows overlap, so a plane is done in one piece
template <class T>
void adaptive_max_pool_backward(AdaptivePool g, const T* dy, const int32_t* index, T* dx) {
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2], outputs = g.out[0] * g.out[1] * g.out[2];
  const double values = double(g.n * g.c) * double(inputs);
  const int64_t together = 1 + kZeroedBytes / (inputs * int64_t(sizeof(T)) + 1);
  parallel_for(g.n * g.c, double(g.n * g.c) * double(inputs + outputs) * kCost, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = first + together < end ? first + together : end;
      fill_whole(dx + first * inputs, T(0), (last - first) * inputs, values);
      for (int64_t plane = first; plane < last; ++plane) {
        T* image = dx + plane * inputs;
        for (int64_t o = plane * outputs; o < (plane + 1) * outputs; ++o)
          if (uint64_t(index[o]) < uint64_t(inputs)) image[index[o]] += dy[o];
      }
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
