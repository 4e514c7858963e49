// Max pooling over windows.
//   forward:  x (n, c, size) -> y (n, c, out), index (n, c, out) or null: the tap (kd * KH + kh) * KW + kw that won, in
//             bytes where the window has at most 256 taps, else in 32-bit integers
//   backward: dy, index -> dx (n, c, size)
#define FASTNN_FAMILY "pool_max.inc"
#include "kernels.h"
#include "pool_planes.h"
#include "pool_rows.h"
#include "side_by_side.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per tap (forward) and per input (backward), with arrays that are too large for the caches. They only
// decide when a second thread is woken.
constexpr double kForwardCost = 0.3, kBackwardCost = 0.4;

// The largest values of windows, without the taps.
template <class T>
constexpr auto largest = [](const auto& windows, Vec<T>* results) FASTNN_FLAT {
  Vec<T> best = set1(kLowest<T>);
  windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { best = best == best ? max(best, v) : best; });
  results[0] = best;
};

// The largest values of windows, and the taps where they are. If no element of a window is above -inf, the window's
// first element inside the image wins.
template <class T>
struct LargestAndTap {
  FASTNN_INLINE void operator()(const PlaneWindows<T>& windows, Vec<T>* results) const {
    largest_and_tap<T>(windows, results);
  }
  template <class Windows>
  FASTNN_INLINE void operator()(const Windows& windows, Vec<T>* results) const {
    Vec<T> best = set1(kLowest<T>);
    Mask<T> tap = {};
    windows.taps([&](Mask<T> number, Vec<T> v) FASTNN_FLAT { take_larger<T>(best, tap, v, number); });
    if constexpr (Windows::padded) {
      const Mask<T> none_won = best == set1(kLowest<T>);
      if (__builtin_expect(any<T>(none_won), 0)) tap = none_won ? windows.first_tap() : tap;
    }
    results[0] = best, results[1] = (Vec<T>)tap;
  }
};

template <class T, class... Walks, class Out, class F>
void max_forward(const Pool& g, const T* x, const Out& y, const F& results) {
  const double taps = double(output_rows(g)) * double(g.out[2]) * double(window_taps(g));
  first_that_suits<Walks...>(g,
                             [&](const auto& walk) { walk.forward(kLowest<T>, taps * kForwardCost, x, y, results); });
}

template <class T, class Index>
void max_forward_with_index(const Pool& g, const T* x, T* y, void* index) {
  const Outputs<T, Index> to = {y, static_cast<Index*>(index)};
  max_forward<T, PlaneWalk<T, Pool>, PairWalk<T>, RowWalk<T>>(g, x, to, LargestAndTap<T>{});
}

// Adds dy[o] to dx at the tap that won in window o, for the outputs o of one plane.
template <class T, class Index>
void scatter_plane(const Pool& g, int64_t plane, const T* dy, const Index* index, T* dx) {
  const uint32_t kw = uint32_t(g.kernel[2]), kh = uint32_t(g.kernel[1]);
  const int64_t rows = g.out[0] * g.out[1];
  each_output_row(g, plane * rows, (plane + 1) * rows, [=, &g](int64_t, int64_t od, int64_t oh, int64_t at) {
    for (int64_t ow = 0; ow < g.out[2]; ++ow) {
      const uint32_t tap = uint32_t(index[at + ow]), row = tap / kw;
      const int64_t d = od * g.stride[0] - g.pad[0] + row / kh * g.dilation[0];
      const int64_t h = oh * g.stride[1] - g.pad[1] + row % kh * g.dilation[1];
      const int64_t w = ow * g.stride[2] - g.pad[2] + tap % kw * g.dilation[2];
      if (inside(d, g.size[0]) && inside(h, g.size[1]) && inside(w, g.size[2]))
        dx[(d * g.size[1] + h) * g.size[2] + w] += dy[at + ow];
    }
  });
}

// y[o] = x at tap index[o]  =>  dx there += dy[o]. load() gives dy of outputs, and their indices as integers as wide as
// T.
template <class T>
struct MaxTerm {
  static constexpr int arrays = 2;
  static constexpr bool of_inputs = false;
  const Pool& g;
  const T* dy;
  const uint8_t* index;
  FASTNN_INLINE Mask<T> taps(int64_t o, int64_t size) const {
    return size >= lanes<T> ? load_index<T>(index + o) : load_index_part<T>(index + o, Part<T>(0, size));
  }
  FASTNN_INLINE void load(const OutputPlace& o, int64_t size, Vec<T>* v) const {
    v[0] = load_part(dy + o.offset, size), v[1] = (Vec<T>)taps(o.offset, size);
  }
  FASTNN_INLINE void settle(Vec<T>*, int32_t) const {}
  FASTNN_INLINE Vec<T> value(const Vec<T>* v, Mask<T> tap, Vec<T>) const {
    return (Mask<T>)v[1] == tap ? v[0] : Vec<T>{};
  }
  void scatter(int64_t plane, T* dx) const { scatter_plane(g, plane, dy, index, dx); }
};

bool byte_index(const Pool& g) { return window_taps(g) <= 256; }

}  // namespace

// y[o] = max over taps k of x[o * stride - pad + k * dilation]
// Of equal values the first counts, and before all numbers the first NaN.
template <class T>
void max_pool_forward(Pool g, const T* x, T* y, void* index) {
  // If nobody wants the taps, only the walk across planes finds them: there they cost nothing to speak of.
  if (!index && !PlaneWalk<T, Pool>{g}.suits())
    return max_forward<T, PairWalk<T>, RowWalk<T>>(g, x, Outputs<T>{y}, largest<T>);
  if (byte_index(g)) return max_forward_with_index<T, uint8_t>(g, x, y, index);
  max_forward_with_index<T, int32_t>(g, x, y, index);
}

// y[o] = x at tap index[o]  =>  dx there += dy[o]
template <class T>
void max_pool_backward(Pool g, const T* dy, const void* index, T* dx) {
  const double cost = double(g.n * g.c) * double(g.size[0] * g.size[1] * g.size[2]) * kBackwardCost;
  if (byte_index(g))
    first_that_suits<PlaneWalk<T, Pool>, SpreadWalk<T>, GatherWalk<T>, ScatterWalk<T>>(
        g, [&](const auto& walk) { walk.backward(MaxTerm<T>{g, dy, static_cast<const uint8_t*>(index)}, cost, dx); });
  else
    scatter(g, cost, dx,
            [=, &g](int64_t plane, T* to) { scatter_plane(g, plane, dy, static_cast<const int32_t*>(index), to); });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
