// Average pooling over windows.
//   forward:  x (n, c, size) -> y (n, c, out)
//   backward: dy -> dx
// The sum of a window is divided by the number of elements that the window counts: those inside the image, and with
// include_pad also those in the padding asked for. A divisor above 0 takes the place of that number for all windows.
#include "boxes.h"
#define FASTNN_FAMILY "pool_avg.inc"
#include "kernels.h"
#include "pool_rows.h"
#include "side_by_side.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element read or written, out of cache; they only decide when a second thread is woken.
constexpr double kCost = 0.25;

// Whether all windows count the same number of elements.
bool all_whole(const Pool& g, Divisor by) {
  const bool include_pad = by.include_pad;
  if (by.given) return true;
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t last = (g.out[axis] - 1) * g.stride[axis] - g.pad[axis] + reach(g, axis) + 1;
    if (!include_pad && g.pad[axis] > 0) return false;
    if (last > g.size[axis] + (include_pad ? g.pad_end[axis] : 0)) return false;
  }
  return true;
}

// How many elements a window counts if no part of it is left out; or the given divisor.
template <class T>
T whole_count(const Pool& g, Divisor by) {
  return T(by.given ? by.given : window_taps(g));
}

// Whether windows are so long, and rows of outputs so short, that lanes run better along the windows.
template <class T>
bool along_windows(const Pool& g) {
  const int64_t L = lanes<T>, blocks = ceil_div(g.out[2], L);
  return !dilated(g) && blocks * g.kernel[1] * g.kernel[2] > g.out[2] * (g.kernel[1] * ceil_div(g.kernel[2], L) + 8);
}

// How many elements along the row each window counts, for lanes<T> outputs from ow on; those beyond the last may count
// anything but 0.
template <class T>
Vec<T> dilated_widths(const Pool& g, Divisor by, int64_t ow) {
  Vec<T> width = set1(T(1));
  for (int64_t i = 0; i < least(lanes<T>, g.out[2] - ow); ++i) width[i] = T(box_count(g, 2, ow + i, by));
  return width;
}
template <class T>
FASTNN_INLINE Vec<T> widths(const Pool& g, Divisor by, int64_t ow) {
  if (g.dilation[2] > 1) return dilated_widths<T>(g, by, ow);
  const bool include_pad = by.include_pad;
  const Mask<T> first = ramp<T>(ow * g.stride[2] - g.pad[2], g.stride[2]), last = first + splat<T>(g.kernel[2]);
  const Mask<T> low = splat<T>(include_pad ? -g.pad[2] : 0),
                high = splat<T>(g.size[2] + (include_pad ? g.pad_end[2] : 0));
  const Mask<T> width = (last < high ? last : high) - (first > low ? first : low);
  return max(set1(T(1)), __builtin_convertvector(width, Vec<T>));  // windows beyond the last may count nothing
}

// y[o] = sum / count  =>  dx = sum of dy[o] / count over the windows o that hold the input. load() gives the quotients.
template <class T>
struct AverageTerm {
  static constexpr int arrays = 1;
  static constexpr bool of_inputs = false;
  const Pool& g;
  Divisor by;
  bool whole;
  T taps;
  const T* dy;
  FASTNN_INLINE void load(const OutputPlace& o, int64_t size, Vec<T>* v) const {
    Vec<T> count = set1(taps);
    if (!whole) {
      const T rows = T(box_count(g, 0, o.d, by) * box_count(g, 1, o.h, by));
      count = widths<T>(g, by, o.w) * rows;
    }
    v[0] = load_part(dy + o.offset, size) / count;
  }
  FASTNN_INLINE Vec<T> value(const Vec<T>* v, Mask<T>, Vec<T>) const { return v[0]; }
  void scatter(int64_t plane, T* dx) const {
    const int64_t outputs = g.out[0] * g.out[1];
    each_output_row(g, plane * outputs, (plane + 1) * outputs, [=, this](int64_t, int64_t d, int64_t h, int64_t at) {
      const int64_t rows = box_count(g, 0, d, by) * box_count(g, 1, h, by);
      for (int64_t w = 0; w < g.out[2]; ++w) {
        const T share = dy[at + w] / T(rows * box_count(g, 2, w, by));
        window_runs(g, dx, d, h, w, [=](const T* run, int64_t n) { add_to_run(dx + (run - dx), n, share); });
      }
    });
  }
};

// Computes the means of windows, with lanes across windows.
template <class T, class Sum>
void lane_means(const Pool& g, Divisor by, const T* x, T* y) {
  const bool whole = all_whole(g, by);
  const T taps = whole_count<T>(g, by);
  const double cost = double(output_rows(g)) * double(g.out[2]) * double(window_taps(g)) * kCost;
  walk_means<T, PairWalk<T>, RowWalk<T>>(g, by, cost, x, y, [=, &g](const auto& windows) FASTNN_FLAT {
    Vec<T> count = set1(taps);
    if (!whole)
      count = widths<T>(g, by, windows.w) * T(box_count(g, 0, windows.d, by) * box_count(g, 1, windows.h, by));
    return sum_of_taps<Sum, T>(windows) / count;
  });
}

}  // namespace

// y[o] = sum over taps k of x[o * stride - pad + k * dilation] / count
template <class T>
void avg_pool_forward(Pool g, bool include_pad, int64_t divisor, const T* x, T* y) {
  const Divisor by = {include_pad, divisor};
  if (along_windows<T>(g)) return box_means(g, by, kCost, x, y);
  if (window_taps(g) > kManyTaps) return lane_means<T, LongSum<T>>(g, by, x, y);
  lane_means<T, ShortSum<T>>(g, by, x, y);
}

template <class T>
void avg_pool_backward(Pool g, bool include_pad, int64_t divisor, const T* dy, T* dx) {
  const Divisor by = {include_pad, divisor};
  const bool boxes = g.stride[2] > 2 || (g.out[2] == 1 && g.kernel[2] >= lanes<T>);
  if (boxes && !dilated(g)) return spread_boxes(g, by, kCost, dy, dx);
  const AverageTerm<T> term = {g, by, all_whole(g, by), whole_count<T>(g, by), dy};
  const double cost = double(g.n * g.c) * double(g.size[0] * g.size[1] * g.size[2]) * kCost;
  first_that_suits<SpreadWalk<T>, GatherWalk<T>, ScatterWalk<T>>(
      g, [&](const auto& walk) { walk.backward(term, cost, dx); });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
