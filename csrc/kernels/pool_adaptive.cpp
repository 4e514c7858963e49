// Adaptive pooling: window i of an axis covers inputs floor(i * size / out) to ceil((i + 1) * size / out).
//   average: x (n, c, size) -> y (n, c, out); dy -> dx
//   max:     x -> y, index (n, c, out): the flat position in the image that won; dy, index -> dx
#include <cmath>

#include "../simd/strided.h"
#include "boxes.h"
#define FASTNN_FAMILY "pool_adaptive.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element of x, out of cache; they only decide when a second thread is woken.
constexpr double kCost = 0.15, kMaxCost = 0.4;

// The best so far of a window: the first of equals, the first NaN before all.
template <class T>
struct Best {
  T value;
  int64_t position;
  // An element beyond all before.
  FASTNN_INLINE void next(T v, int64_t at) {
    if (v <= value) return;  // nearly always: one comparison
    if (v > value || (v != v && value == value)) value = v, position = at;
  }
  // An element anywhere.
  FASTNN_INLINE void offer(T v, int64_t at) {
    if (v > value || (v != v && value == value) || (at < position && (v == value || (v != v && value != value))))
      value = v, position = at;
  }
};

// A run at position `at` of the image: lanes keep their own best, each the first of its equals.
template <class T>
FASTNN_INLINE void offer_run(Best<T>& best, const T* x, int64_t at, int64_t n) {
  constexpr int64_t L = lanes<T>;
  int64_t i = 0;
  if (n >= 2 * L) {
    Vec<T> value = load(x);
    Mask<T> block = {};
    for (i = L; i + L <= n; i += L) take_larger<T>(value, block, load(x + i), splat<T>(i / L));
    for (int lane = 0; lane < L; ++lane) best.offer(value[lane], at + block[lane] * L + lane);
  }
  for (; i < n; ++i) best.next(x[i], at + i);
}

}  // namespace

// y[o] = mean of box o
template <class T>
void adaptive_avg_pool_forward(AdaptivePool g, const T* x, T* y) {
  box_means(g, false, kCost, x, y);
}

// y[o] = mean of box o  =>  dx += dy[o] / size of box o for its elements
template <class T>
void adaptive_avg_pool_backward(AdaptivePool g, const T* dy, T* dx) {
  spread_boxes(g, false, kCost, dy, dx);
}

// y[o] = max of box o
template <class T>
void adaptive_max_pool_forward(AdaptivePool g, const T* x, T* y, int32_t* index) {
  const int64_t image = g.size[0] * g.size[1] * g.size[2], rows = g.n * g.c * g.out[0] * g.out[1];
  parallel_for(rows, double(g.n * g.c) * double(image) * kMaxCost, [&](int64_t begin, int64_t end) {
    each_output_row(g, begin, end, [&](int64_t plane, int64_t od, int64_t oh, int64_t at) {
      const T* from = x + plane * image;
      const Range d = box(g, 0, od), h = box(g, 1, oh);
      for (int64_t ow = 0; ow < g.out[2]; ++ow) {
        const Range w = box(g, 2, ow);
        const int64_t first = (d.begin * g.size[1] + h.begin) * g.size[2] + w.begin;
        Best<T> best{from[first], first};
        box_runs(g, from, d, h, w, [&](const T* run, int64_t n) { offer_run(best, run, run - from, n); });
        y[at + ow] = best.value;
        index[at + ow] = int32_t(best.position);
      }
    });
  });
}

// y[o] = x[index[o]]  =>  dx[index[o]] += dy[o]; windows overlap, so a plane is done in one piece
template <class T>
void adaptive_max_pool_backward(AdaptivePool g, const T* dy, const int32_t* index, T* dx) {
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2], outputs = g.out[0] * g.out[1] * g.out[2];
  parallel_for(g.n * g.c, double(g.n * g.c) * double(inputs + outputs) * kCost, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      T* image = dx + plane * inputs;
      zero_run(image, inputs);
      for (int64_t o = plane * outputs; o < (plane + 1) * outputs; ++o)
        if (uint64_t(index[o]) < uint64_t(inputs)) image[index[o]] += dy[o];
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
