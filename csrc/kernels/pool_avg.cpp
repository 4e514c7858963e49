// Average pooling over windows.
//   forward:  x (n, c, size) -> y (n, c, out)
//   backward: dy -> dx
// A window counts its elements inside the image, or with include_pad also those in the padding asked for.
#include "boxes.h"
#include "gather.h"
#define FASTNN_FAMILY "pool_avg.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element read or written, out of cache; they only decide when a second thread is woken.
constexpr double kCost = 0.25;

// Whether every window counts all its taps.
bool all_whole(const Pool& g, bool include_pad) {
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t last = (g.out[axis] - 1) * g.stride[axis] - g.pad[axis] + g.kernel[axis];
    if (!include_pad && g.pad[axis] > 0) return false;
    if (last > g.size[axis] + (include_pad ? g.pad_end[axis] : 0)) return false;
  }
  return true;
}

// Whether windows are so long, and rows of outputs so short, that lanes run better along the windows.
template <class T>
bool along_windows(const Pool& g) {
  const int64_t L = lanes<T>, blocks = (g.out[2] + L - 1) / L;
  return blocks * g.kernel[1] * g.kernel[2] > g.out[2] * (g.kernel[1] * ((g.kernel[2] + L - 1) / L) + 8);
}

// widths: how much each window of a row counts along the row, or null where all are whole.
template <class T>
void average_rows(const Pool& g, bool include_pad, const T* widths, const T* x, T* y, int64_t begin, int64_t end) {
  const T whole = T(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  each_block<T>(g, begin, end, [&](const auto& block, const OutputRow& row, int64_t at) FASTNN_FLAT {
    Vec<T> sum = {};
    row.image_rows([&](int64_t from, int64_t tap) FASTNN_FLAT {
      block.taps(x + from, tap, Vec<T>{}, [&](Mask<T>, Vec<T> v) FASTNN_FLAT { sum += v; });
    });
    Vec<T> count = set1(whole);
    if (widths)
      count = load_n(widths + block.ox, block.n) *
              T(box_count(g, 0, row.od, include_pad) * box_count(g, 1, row.oh, include_pad));
    store_n(y + at, sum / count, block.n);
  });
}

// y[o] = sum / count  =>  dx = sum of dy[o] / count over the windows o that hold it. Sums are divided once where all
// windows are whole, and counts is null; else each term by its entry of counts, of one plane.
template <class T>
struct AverageTerm {
  const T *dy, *counts;
  T count;
  int64_t outputs;  // of a plane
  AverageTerm plane(int64_t p) const { return {dy + p * outputs, counts, count, outputs}; }
  FASTNN_INLINE Vec<T> whole(Mask<T>, int64_t at) const {
    return counts ? load(dy + at) / load(counts + at) : load(dy + at);
  }
  FASTNN_INLINE Vec<T> part(Mask<T>, int64_t at, const Part<T>& in) const {
    const Vec<T> v = load_lanes(dy + at, in, Vec<T>{});
    return counts ? v / load_lanes(counts + at, in, set1(T(1))) : v;
  }
  FASTNN_INLINE Vec<T> total(Vec<T> sum) const { return counts ? sum : sum / count; }
};

template <class T>
void plane_counts(const Pool& g, bool include_pad, T* counts) {
  for (int64_t od = 0; od < g.out[0]; ++od)
    for (int64_t oh = 0; oh < g.out[1]; ++oh)
      for (int64_t ow = 0; ow < g.out[2]; ++ow)
        *counts++ = T(box_count(g, 0, od, include_pad) * box_count(g, 1, oh, include_pad) *
                      box_count(g, 2, ow, include_pad));
}

template <class T>
void gather_averages(const Pool& g, bool include_pad, const T* dy, T* dx) {
  const bool whole = all_whole(g, include_pad);
  const int64_t outputs = g.out[0] * g.out[1] * g.out[2];
  const double cost = double(input_rows(g)) * double(g.size[2]) * kCost;
  const size_t bytes = whole ? 0 : size_t(outputs) * sizeof(T);
  parallel_scratch(input_rows(g), cost, bytes, [&](int64_t begin, int64_t end, void* scratch) {
    T* counts = static_cast<T*>(scratch);
    if (counts) plane_counts(g, include_pad, counts);
    const T count = T(g.kernel[0] * g.kernel[1] * g.kernel[2]);
    gather_windows(g, AverageTerm<T>{dy, counts, count, outputs}, begin, end, dx);
  });
}

}  // namespace

// y[o] = sum over taps k of x[o * stride - pad + k] / count
template <class T>
void avg_pool_forward(Pool g, bool include_pad, const T* x, T* y) {
  if (along_windows<T>(g)) return box_means(g, include_pad, kCost, x, y);
  const bool whole = all_whole(g, include_pad);
  const double taps = double(output_rows(g)) * double(g.out[2]) * double(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  const size_t bytes = whole ? 0 : size_t(g.out[2]) * sizeof(T);
  parallel_scratch(output_rows(g), taps * kCost, bytes, [&](int64_t begin, int64_t end, void* scratch) {
    T* widths = static_cast<T*>(scratch);
    for (int64_t ow = 0; widths && ow < g.out[2]; ++ow) widths[ow] = T(box_count(g, 2, ow, include_pad));
    average_rows(g, include_pad, widths, x, y, begin, end);
  });
}

template <class T>
void avg_pool_backward(Pool g, bool include_pad, const T* dy, T* dx) {
  if (g.stride[2] > 2 || (g.out[2] == 1 && g.kernel[2] >= lanes<T>))
    spread_boxes(g, include_pad, kCost, dy, dx);
  else
    gather_averages(g, include_pad, dy, dx);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
