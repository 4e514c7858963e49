// Max pooling over windows.
//   forward:  x (n, c, size) -> y (n, c, out), index (n, c, out) or null: the tap (kd * KH + kh) * KW + kw that won, in
//             bytes where the window has at most 256 taps, else in 32-bit integers
//   backward: dy, index -> dx (n, c, size)
#include <cmath>

#include "../simd/copy.h"
#define FASTNN_FAMILY "pool_max.inc"
#include "kernels.h"
#include "pool_planes.h"
#include "side_by_side.h"
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per element read or written, out of cache; they only decide when a second thread is woken.
constexpr double kForwardCost = 0.3, kBackwardCost = 0.4;

// The larger of two, a NaN if either is one.
template <class T>
FASTNN_INLINE Vec<T> larger(Vec<T> best, Vec<T> v) {
  return best == best ? max(best, v) : best;
}

// One of bytes and words is given, or neither.
template <class T>
void max_rows(const Pool& g, const T* x, T* y, uint8_t* bytes, int32_t* words) {
  const T lowest = -T(INFINITY);
  const double taps = double(output_rows(g)) * double(g.out[2]) * double(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  if (!bytes && !words)
    return pool_windows(g, lowest, taps * kForwardCost, x, [=](const auto& windows) FASTNN_FLAT {
      Vec<T> best = set1(lowest);
      windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { best = larger<T>(best, v); });
      store_n(y + windows.at, best, windows.n);
    });
  pool_windows(g, lowest, taps * kForwardCost, x, [=, &g](const auto& windows) FASTNN_FLAT {
    Vec<T> best = set1(lowest);
    Mask<T> tap = {};
    windows.taps([&](Mask<T> number, Vec<T> v) FASTNN_FLAT { take_larger<T>(best, tap, v, number); });
    store_n(y + windows.at, best, windows.n);
    const Mask<T> none_won = best == set1(lowest);  // a window of nothing above -inf: its first element wins
    if (__builtin_expect(any<T>(none_won), 0)) tap = none_won ? windows.first_tap(g) : tap;
    if (bytes)
      store_index_n<T>(bytes + windows.at, tap, windows.n);
    else
      store_index_n<T>(words + windows.at, tap, windows.n);
  });
}

// y[o] = x at tap index[o]  =>  dx there += dy[o]. Of an output: dy, and the index as an integer as wide as T.
template <class T>
struct MaxTerm {
  static constexpr int arrays = 2;
  static constexpr bool of_inputs = false;
  const T* dy;
  const uint8_t* index;
  FASTNN_INLINE void load(const OutputPlace& o, int64_t size, Vec<T>* v) const {
    v[0] = load_part(dy + o.offset, size);
    v[1] = (Vec<T>)(size >= lanes<T> ? load_index<T>(index + o.offset)
                                     : load_index_part<T>(index + o.offset, Part<T>(0, size)));
  }
  FASTNN_INLINE Vec<T> value(const Vec<T>* v, Mask<T> tap, Vec<T>) const {
    return (Mask<T>)v[1] == tap ? v[0] : Vec<T>{};
  }
};

// As above by scatter, plane after plane and each in one piece, where a gather would waste most lanes.
template <class T, class Index>
void max_scatter(const Pool& g, const T* dy, const Index* index, T* dx) {
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2], outputs = g.out[0] * g.out[1] * g.out[2];
  const uint32_t kw = uint32_t(g.kernel[2]), kh = uint32_t(g.kernel[1]);
  parallel_for(g.n * g.c, double(g.n * g.c) * double(inputs) * kBackwardCost, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      T* image = dx + plane * inputs;
      zero_run(image, inputs);
      int64_t o = plane * outputs;
      for (int64_t od = 0; od < g.out[0]; ++od)
        for (int64_t oh = 0; oh < g.out[1]; ++oh)
          for (int64_t ow = 0; ow < g.out[2]; ++ow, ++o) {
            const uint32_t tap = uint32_t(index[o]), row = tap / kw;
            const int64_t d = od * g.stride[0] - g.pad[0] + row / kh * g.dilation[0];
            const int64_t h = oh * g.stride[1] - g.pad[1] + row % kh * g.dilation[1];
            const int64_t w = ow * g.stride[2] - g.pad[2] + tap % kw * g.dilation[2];
            if (inside(d, g.size[0]) && inside(h, g.size[1]) && inside(w, g.size[2]))
              image[(d * g.size[1] + h) * g.size[2] + w] += dy[o];
          }
    }
  });
}

// y[o] = x at tap index[o]  =>  dx there += dy[o], with lanes across planes
template <class T>
void max_planes_backward(const Pool& g, const T* dy, const uint8_t* index, T* dx) {
  constexpr int64_t L = lanes<T>;
  const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
  const double cost = double(g.n * g.c) * double(inputs) * kBackwardCost;
  each_plane_tile<T>(g, inputs + 3 * outputs, cost, [=](int64_t plane, int64_t count, T* sum, const PlaneTaps& taps) {
    T *dy_of = sum + inputs * L, *tap_of = dy_of + outputs * L, *wide = tap_of + outputs * L;
    zero_run(sum, inputs * L);
    turn(dy + plane * outputs, outputs, count, outputs, dy_of, L);
    for (int64_t i = 0; i < count * outputs; i += L) {
      const Part<T> there(0, count * outputs - i);
      store(wide + i, (Vec<T>)load_index_part<T>(index + plane * outputs + i, there));
    }
    turn(wide, outputs, count, outputs, tap_of, L);
    const PlaneTaps::Entry* e = taps.entry;
    for (int64_t o = 0; o < outputs; ++o) {
      const Vec<T> d = load(dy_of + o * L);
      const Mask<T> tap = (Mask<T>)load(tap_of + o * L);
      for (int32_t i = 0; i < taps.count[o]; ++i, ++e) {
        T* to = sum + e->input * L;
        store(to, load(to) + (tap == Mask<T>{} + e->tap ? d : Vec<T>{}));
      }
    }
    turn(sum, L, inputs, count, dx + plane * inputs, inputs);
  });
}

bool byte_index(const Pool& g) { return g.kernel[0] * g.kernel[1] * g.kernel[2] <= 256; }

}  // namespace

// y[o] = max over taps k of x[o * stride - pad + k * dilation]; the first of equals, the first NaN before all
template <class T>
void max_pool_forward(Pool g, const T* x, T* y, void* index) {
  if (byte_index(g) && prefer_planes<T>(g))
    max_planes(g, kForwardCost, x, y, static_cast<uint8_t*>(index));
  else if (byte_index(g))
    max_rows(g, x, y, static_cast<uint8_t*>(index), static_cast<int32_t*>(nullptr));
  else
    max_rows(g, x, y, static_cast<uint8_t*>(nullptr), static_cast<int32_t*>(index));
}

template <class T>
void max_pool_backward(Pool g, const T* dy, const void* index, T* dx) {
  if (!byte_index(g))
    max_scatter(g, dy, static_cast<const int32_t*>(index), dx);
  else if (prefer_planes<T>(g))
    max_planes_backward(g, dy, static_cast<const uint8_t*>(index), dx);
  else if (g.stride[2] > 2)
    max_scatter(g, dy, static_cast<const uint8_t*>(index), dx);
  else
    pool_gradient(g, MaxTerm<T>{dy, static_cast<const uint8_t*>(index)}, kBackwardCost, dx);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
