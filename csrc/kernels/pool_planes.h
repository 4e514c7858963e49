// Pooling of narrow maps: lanes run across planes, because a row of outputs would leave most of a vector empty.
//
// A vector's worth of planes is transposed: the values that the planes have at one position lie side by side, at
// tile[position * lanes + plane]. Then every tap of every window is one vector, for any kernel, stride and padding.
#pragma once
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "boxes.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class G>
int64_t plane_inputs(const G& g) {
  return g.size[0] * g.size[1] * g.size[2];
}
template <class G>
int64_t plane_outputs(const G& g) {
  return g.out[0] * g.out[1] * g.out[2];
}

// The number of the tap of window o that lies on input i of the plane. In adaptive windows it is the number of the
// input in the plane.
inline int32_t tap_number(const Pool& g, const int64_t* o, const int64_t* i, int64_t) {
  int64_t tap = 0;
  for (int axis = 0; axis < 3; ++axis) tap = tap * g.kernel[axis] + i[axis] + g.pad[axis] - o[axis] * g.stride[axis];
  return int32_t(tap);
}
inline int32_t tap_number(const AdaptivePool&, const int64_t*, const int64_t*, int64_t input) { return int32_t(input); }

// The most taps that all windows of a plane together have. Along an axis, an adaptive window shares at most one input
// with the next.
inline int64_t most_taps(const Pool& g) { return plane_outputs(g) * g.kernel[0] * g.kernel[1] * g.kernel[2]; }
inline int64_t most_taps(const AdaptivePool& g) {
  return (g.size[0] + g.out[0] - 1) * (g.size[1] + g.out[1] - 1) * (g.size[2] + g.out[2] - 1);
}

// The results for a vector's worth of planes (or of rows of outputs). Each output has `arrays` results. `turned` holds
// them all, transposed: the lanes of a vector are the planes. If an output has two results, the second is the index of
// a tap, and `flat` holds these indices once more, in the order of y.
template <class T, int arrays>
struct TurnedResults {
  static constexpr int64_t L = lanes<T>;
  int64_t outputs, array;
  T *turned, *flat;  // (array, output, plane), (plane, output)

  TurnedResults(int64_t outputs, Room& room)
      : outputs(outputs),
        array(outputs * L),
        turned(room.take<T>(arrays * array)),
        flat(room.take<T>(arrays == 2 ? array : 0)) {}
  FASTNN_INLINE void set(int64_t output, const Vec<T>* results) const {
    for (int a = 0; a < arrays; ++a) store(turned + a * array + output * L, results[a]);
  }
  FASTNN_INLINE void get(int64_t output, Vec<T>* results) const {
    for (int a = 0; a < arrays; ++a) results[a] = load(turned + a * array + output * L);
  }
  // Stores the results of `count` planes in y; `first` is the first output of the first plane.
  template <class Index>
  void put(int64_t first, int64_t count, const Outputs<T, Index>& y) const {
    turn(turned, L, outputs, count, y.y + first, outputs);
    if constexpr (arrays == 2) {
      if (!y.index) return;
      turn(turned + array, L, outputs, count, flat, outputs);
      for (int64_t i = 0; i < count * outputs; i += L)
        store_index_n<T>(y.index + first + i, (Mask<T>)load(flat + i), clamp_lane<T>(count * outputs - i));
    }
  }
  // The reverse of storing, for a gradient: reads the dy of `term` and transposes it to `turned`, and does the same
  // with the taps of `term` if `arrays` is 2.
  template <class Term>
  void take(int64_t first, int64_t count, const Term& term) const {
    turn(term.dy + first, outputs, count, outputs, turned, L);
    if constexpr (arrays == 2) {
      for (int64_t i = 0; i < count * outputs; i += L)
        store(flat + i, (Vec<T>)term.taps(first + i, count * outputs - i));
      turn(flat, outputs, count, outputs, turned + array, L);
    }
  }
};

// Scratch for a vector's worth of planes: their inputs, or the gradients of their inputs; the results of their outputs,
// or what the gradient takes from outputs; and all taps inside the image of all windows of a plane, in order. Output o
// has counts[o] of these taps.
struct PlaneTap {
  int32_t number, input;
};
template <class T, int arrays>
struct PlaneTile {
  T* inputs;
  TurnedResults<T, arrays> results;
  int32_t* counts;
  PlaneTap* taps;

  template <class G>
  PlaneTile(const G& g, Room& room)
      : inputs(room.take<T>(plane_inputs(g) * lanes<T>)),
        results(plane_outputs(g), room),
        counts(room.take<int32_t>(plane_outputs(g))),
        taps(room.take<PlaneTap>(most_taps(g))) {}

  template <class G>
  void find_taps(const G& g) const {
    PlaneTap* next = taps;
    each_output_row(g, 0, g.out[0] * g.out[1], [&](int64_t, int64_t od, int64_t oh, int64_t at) {
      const Range d = box(g, 0, od), h = box(g, 1, oh);
      for (int64_t ow = 0; ow < g.out[2]; ++ow) {
        const Range w = box(g, 2, ow);
        const int64_t o[3] = {od, oh, ow};
        PlaneTap* const first = next;
        int64_t i[3];
        for (i[0] = d.begin; i[0] < d.end; ++i[0])
          for (i[1] = h.begin; i[1] < h.end; ++i[1])
            for (i[2] = w.begin; i[2] < w.end; ++i[2]) {
              const int64_t input = (i[0] * g.size[1] + i[1]) * g.size[2] + i[2];
              *next++ = {tap_number(g, o, i, input), int32_t(input)};
            }
        counts[at + ow] = int32_t(next - first);
      }
    });
  }
};

// The same window in each of a vector's worth of planes.
template <class T>
struct PlaneWindows {
  const T* tile;
  const PlaneTap* tap;
  int32_t count;

  FASTNN_INLINE Vec<T> inputs() const { return set1(T(count)); }
  FASTNN_INLINE Mask<T> number(int32_t i) const { return Mask<T>{} + tap[i].number; }
  FASTNN_INLINE Vec<T> values(int32_t i) const { return load(tile + int64_t(tap[i].input) * lanes<T>); }
  template <class F>
  FASTNN_INLINE void taps(const F& f) const {
    for (int32_t i = 0; i < count; ++i) f(number(i), values(i));
  }
};

// Windows with dilation are no boxes, and may have no tap inside the image.
template <class T>
bool can_turn(const Pool& g) {
  return !dilated(g);
}
// Adaptive windows may be half a vector wide. Wider ones fill vectors along the image: 256 planes of 32x32 to 2x2 take
// 1.3 to 1.8 times as long if they are transposed (Zen 5).
template <class T>
bool can_turn(const AdaptivePool& g) {
  return 2 * g.size[2] <= lanes<T> * g.out[2];
}

// The results are the largest values of windows and the taps that have them. Of equal values the first counts, and
// before all numbers the first NaN.
template <class T>
constexpr auto largest_and_tap = [](const PlaneWindows<T>& windows, Vec<T>* results) FASTNN_FLAT {
  Vec<T> best = windows.values(0);
  Mask<T> tap = windows.number(0);
  for (int32_t i = 1; i < windows.count; ++i) take_larger<T>(best, tap, windows.values(i), windows.number(i));
  results[0] = best, results[1] = (Vec<T>)tap;
};

template <class T, class G>
struct PlaneWalk {
  static constexpr int64_t L = lanes<T>;
  // Most inputs of a plane, and most taps of all windows: transposed planes and the list of taps stay in the caches.
  static constexpr int64_t kInputs = 1024, kEntries = 8192;
  const G& g;

  bool suits() const {
    return 2 * g.out[2] <= L && g.n * g.c >= L && plane_inputs(g) <= kInputs && most_taps(g) <= kEntries &&
           can_turn<T>(g);
  }

  template <class Out, class F>
  void forward(T, double cost, const T* x, const Out& y, const F& f) const {
    const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
    each_tile<Out::arrays>(cost, [=](int64_t plane, int64_t count, const auto& tile) {
      turn(x + plane * inputs, inputs, count, inputs, tile.inputs, L);
      PlaneWindows<T> windows = {tile.inputs, tile.taps, 0};
      for (int64_t o = 0; o < outputs; ++o, windows.tap += windows.count) {
        Vec<T> results[Out::arrays];
        windows.count = tile.counts[o];
        f(windows, results);
        tile.results.set(o, results);
      }
      tile.results.put(plane * outputs, count, y);
    });
  }

  // Instead of load(), a term needs here what TurnedResults::take reads, and settle(v, count). settle() may change the
  // vectors v of an output, whose window has `count` inputs, before terms are computed from them.
  template <class Term>
  void backward(const Term& term, double cost, T* dx) const {
    const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
    each_tile<Term::arrays>(cost, [=](int64_t plane, int64_t count, const auto& tile) {
      T* const sum = tile.inputs;
      zero_run(sum, inputs * L);
      tile.results.take(plane * outputs, count, term);
      const PlaneTap* tap = tile.taps;
      for (int64_t o = 0; o < outputs; ++o) {
        Vec<T> v[Term::arrays];
        tile.results.get(o, v);
        term.settle(v, tile.counts[o]);
        for (int32_t i = 0; i < tile.counts[o]; ++i, ++tap) {
          T* to = sum + tap->input * L;
          store(to, load(to) + term.value(v, Mask<T>{} + tap->number, Vec<T>{}));
        }
      }
      turn(sum, L, inputs, count, dx + plane * inputs, inputs);
    });
  }

 private:
  // Calls body(first plane, number of planes, tile) for each vector's worth of planes.
  template <int arrays, class Body>
  void each_tile(double cost, const Body& body) const {
    const int64_t planes = g.n * g.c;
    const auto layout = [&g = g](Room& room) { return PlaneTile<T, arrays>(g, room); };
    parallel_room(ceil_div(planes, L), cost, layout, [&, &g = g](int64_t begin, int64_t end, const auto& tile) {
      zero_run(tile.inputs, plane_inputs(g) * L);  // lanes without a plane are computed, too
      zero_run(tile.results.turned, arrays * tile.results.array);
      tile.find_taps(g);
      for (int64_t i = begin; i < end; ++i) body(i * L, least(planes - i * L, L), tile);
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
