// Adaptive pooling: window i of an axis covers inputs floor(i * size / out) to ceil((i + 1) * size / out).
//   average: x (n, c, size) -> y (n, c, out); dy -> dx
//   max:     x -> y, index (n, c, out): the flat position in the image that won; dy, index -> dx
#define FASTNN_FAMILY "pool_adaptive.inc"
#include "../simd/shuffle.h"
#include "adaptive_rows.h"
#include "gather.h"
#include "kernels.h"
#include "pool_planes.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element of x, out of cache; they only decide when a second thread is woken.
constexpr double kCost = 0.15, kMaxCost = 0.4;

double values_of(const AdaptivePool& g) { return double(g.n * g.c) * double(plane_inputs(g)); }

// Keeps in each lane the larger value and its position. NaN counts as larger than all numbers; of equal values the one
// that comes first in the image is kept.
template <class T>
FASTNN_INLINE void take_first_larger(Vec<T>& value, Mask<T>& position, Vec<T> v, Mask<T> at) {
  const Mask<T> is_nan = v != v, was_nan = value != value;
  const Mask<T> same = (v == value) | (is_nan & was_nan);
  const Mask<T> wins = (v > value) | (is_nan & ~was_nan) | (same & (at < position));
  value = wins ? v : value;
  position = wins ? at : position;
}

// Finds the largest value of a window and its position, with lanes along the runs of the window.
template <class T>
FASTNN_INLINE void best_of_box(const AdaptivePool& g, const T* image, Range d, Range h, Range w, T* best,
                               int32_t* index) {
  Vec<T> value = set1(kLowest<T>);
  Mask<T> position = splat<T>(INT32_MAX);
  bool first = true;
  box_runs(g, image, d, h, w, [&](const T* run, int64_t n) FASTNN_FLAT {
    for (int64_t i = 0; i < n; i += lanes<T>) {
      const Vec<T> v = load_part(run + i, n - i, kLowest<T>);
      const Mask<T> at = ramp<T>(run + i - image, 1);
      if (first)
        value = v, position = iota<T>() < splat<T>(n) ? at : position;
      else
        take_larger<T>(value, position, v, at);
      first = false;
    }
  });
  each_half<lanes<T>>([&](auto step) FASTNN_FLAT {
    take_first_larger<T>(value, position, exchange<step()>(value), exchange<step()>(position));
  });
  *best = value[0], *index = int32_t(position[0]);
}

template <class T>
void best_of_boxes(const AdaptivePool& g, const T* x, T* y, int32_t* index) {
  parallel_for(output_rows(g), values_of(g) * kMaxCost, [=, &g](int64_t begin, int64_t end) {
    each_output_row(g, begin, end, [=, &g](int64_t plane, int64_t od, int64_t oh, int64_t at) {
      const T* image = x + plane * plane_inputs(g);
      const Range d = box(g, 0, od), h = box(g, 1, oh);
      for (int64_t ow = 0; ow < g.out[2]; ++ow)
        best_of_box(g, image, d, h, box(g, 2, ow), y + at + ow, index + at + ow);
    });
  });
}

// The results are the largest values and their positions. Of equal values the one that comes first in the image counts.
// It may be in a later column than the others, so columns are gone through twice.
template <class T>
constexpr auto first_largest = [](const ColumnWindows<T>& windows, Vec<T>* results) FASTNN_FLAT {
  Vec<T> largest = set1(kLowest<T>);
  Mask<T> nan = {}, first = splat<T>(INT32_MAX);
  windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { largest = max(largest, v), nan |= v != v; });
  largest = nan ? set1(T(NAN)) : largest;
  Vec<T> value = largest;
  windows.taps([&](Mask<T> position, Vec<T> v) FASTNN_FLAT {
    const Mask<T> at = (v == largest) | (nan & (v != v)) ? position : splat<T>(INT32_MAX);
    value = at < first ? v : value;
    first = at < first ? at : first;
  });
  results[0] = value, results[1] = (Vec<T>)first;
};

// y[o] = mean of box o  =>  each input of box o gets dy[o] / number of inputs of box o.
template <class T>
struct MeanTerm {
  static constexpr int arrays = 1;
  const T* dy;
  FASTNN_INLINE void settle(Vec<T>* v, int32_t inputs) const { v[0] = v[0] / T(inputs); }
  FASTNN_INLINE Vec<T> value(const Vec<T>* v, Mask<T>, Vec<T>) const { return v[0]; }
};

}  // namespace

// y[o] = mean of box o
template <class T>
void adaptive_avg_pool_forward(AdaptivePool g, const T* x, T* y) {
  using Planes = PlaneWalk<T, AdaptivePool>;
  using Columns = ColumnWalk<T, SumOfRows>;
  if (whole_planes(g) || !(Planes{g}.suits() || Columns{g}.suits())) return box_means(g, Divisor{}, kCost, x, y);
  walk_means<T, Planes, Columns>(g, Divisor{}, values_of(g) * kCost, x, y, [](const auto& windows) FASTNN_FLAT {
    const bool many = windows.count > kManyTaps;
    return (many ? sum_of_taps<LongSum<T>, T>(windows) : sum_of_taps<ShortSum<T>, T>(windows)) / windows.inputs();
  });
}

// y[o] = mean of box o  =>  dx += dy[o] / size of box o for its elements
template <class T>
void adaptive_avg_pool_backward(AdaptivePool g, const T* dy, T* dx) {
  const PlaneWalk<T, AdaptivePool> planes = {g};
  if (!whole_planes(g) && planes.suits())
    planes.backward(MeanTerm<T>{dy}, values_of(g) * kCost, dx);
  else
    spread_boxes(g, Divisor{}, kCost, dy, dx);
}

// y[o] = max of box o: of equal values the first counts, and before all numbers the first NaN
template <class T>
void adaptive_max_pool_forward(AdaptivePool g, const T* x, T* y, int32_t* index) {
  const PlaneWalk<T, AdaptivePool> planes = {g};
  const ColumnWalk<T, LargestOfRows> columns = {g};
  const Outputs<T, int32_t> to = {y, index};
  const double cost = values_of(g) * kMaxCost;
  if (planes.suits()) return planes.forward(kLowest<T>, cost, x, to, largest_and_tap<T>);
  if (columns.suits()) return columns.forward(kLowest<T>, cost, x, to, first_largest<T>);
  best_of_boxes(g, x, y, index);
}

// y[o] = x[index[o]]  =>  dx[index[o]] += dy[o]
template <class T>
void adaptive_max_pool_backward(AdaptivePool g, const T* dy, const int32_t* index, T* dx) {
  const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
  const double cost = double(g.n * g.c) * double(inputs + outputs) * kCost;
  scatter(g, cost, dx, [=](int64_t plane, T* image) {
    for (int64_t o = plane * outputs; o < (plane + 1) * outputs; ++o)
      if (uint64_t(index[o]) < uint64_t(inputs)) image[index[o]] += dy[o];
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
