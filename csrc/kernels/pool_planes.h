// Pooling of narrow maps: lanes run across planes, since a row of the output would leave most of a vector empty.
//
// A vector's worth of planes is turned so that their values at one position lie side by side, tile[position * lanes +
// plane]; then every tap of every window is one vector, whatever kernel, stride and padding are.
#pragma once
#include "../parallel.h"
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

// The number of the tap of window o that meets input i of its plane; adaptive windows number them by the inputs.
inline int32_t tap_number(const Pool& g, const int64_t* o, const int64_t* i, int64_t) {
  int64_t tap = 0;
  for (int axis = 0; axis < 3; ++axis) tap = tap * g.kernel[axis] + i[axis] + g.pad[axis] - o[axis] * g.stride[axis];
  return int32_t(tap);
}
inline int32_t tap_number(const AdaptivePool&, const int64_t*, const int64_t*, int64_t input) { return int32_t(input); }

// The most inputs that all windows of a plane together have: adaptive ones share at most one with the next.
inline int64_t most_taps(const Pool& g) { return plane_outputs(g) * g.kernel[0] * g.kernel[1] * g.kernel[2]; }
inline int64_t most_taps(const AdaptivePool& g) {
  return (g.size[0] + g.out[0] - 1) * (g.size[1] + g.out[1] - 1) * (g.size[2] + g.out[2] - 1);
}

// Taps of all windows of a plane without dilation, those that lie inside the image, in order: count[o] entries for output o.
struct PlaneTaps {
  struct Entry {
    int32_t tap, input;
  };
  int32_t* count;
  Entry* entry;

  template <class G>
  static size_t bytes(const G& g) {
    return size_t(plane_outputs(g)) * sizeof(int32_t) + size_t(most_taps(g)) * sizeof(Entry);
  }
  template <class G>
  PlaneTaps(const G& g, void* memory)
      : count(reinterpret_cast<int32_t*>(static_cast<Entry*>(memory) + most_taps(g))),
        entry(static_cast<Entry*>(memory)) {
    Entry* next = entry;
    int64_t number = 0, o[3];
    for (o[0] = 0; o[0] < g.out[0]; ++o[0])
      for (o[1] = 0; o[1] < g.out[1]; ++o[1])
        for (o[2] = 0; o[2] < g.out[2]; ++o[2], ++number) {
          Entry* const first = next;
          add_window(g, o, next);
          count[number] = int32_t(next - first);
        }
  }

 private:
  template <class G>
  static void add_window(const G& g, const int64_t* o, Entry*& next) {
    const Range d = box(g, 0, o[0]), h = box(g, 1, o[1]), w = box(g, 2, o[2]);
    int64_t i[3];
    for (i[0] = d.begin; i[0] < d.end; ++i[0])
      for (i[1] = h.begin; i[1] < h.end; ++i[1])
        for (i[2] = w.begin; i[2] < w.end; ++i[2]) {
          const int64_t input = (i[0] * g.size[1] + i[1]) * g.size[2] + i[2];
          *next++ = {tap_number(g, o, i, input), int32_t(input)};
        }
  }
};

// What is turned, and the list of taps, stay in the caches.
constexpr int64_t kPlaneInputs = 1024, kPlaneEntries = 8192;

template <class T, class G>
bool planes_fit(const G& g) {
  return 2 * g.out[2] <= lanes<T> && g.n * g.c >= lanes<T> && plane_inputs(g) <= kPlaneInputs &&
         most_taps(g) <= kPlaneEntries;
}
// Without dilation every window has a tap inside the image.
template <class T>
bool prefer_planes(const Pool& g) {
  return g.dilation[0] == 1 && g.dilation[1] == 1 && g.dilation[2] == 1 && planes_fit<T>(g);
}

// body(first plane, planes, tiles, taps) for each vector's worth of planes; tiles has room for `positions` vectors.
template <class T, class G, class Body>
void each_plane_tile(const G& g, int64_t positions, double cost, const Body& body) {
  constexpr int64_t L = lanes<T>;
  const int64_t planes = g.n * g.c, tile_values = positions * L;
  const size_t scratch = size_t(tile_values) * sizeof(T) + PlaneTaps::bytes(g);
  parallel_scratch((planes + L - 1) / L, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    T* tiles = static_cast<T*>(memory);
    zero_run(tiles, tile_values);  // lanes of planes that aren't there are computed with, too
    const PlaneTaps taps(g, tiles + tile_values);
    for (int64_t i = begin; i < end; ++i) body(i * L, planes - i * L < L ? planes - i * L : L, tiles, taps);
  });
}

// y[o] = max over the taps of o, index[o] the one that won (index may be null): the first of equals, the first NaN before
// all. ns: cost of an input. The tap that won is an integer as wide as T; turning moves only bits.
template <class T, class G, class Index>
void max_planes(const G& g, double ns, const T* x, T* y, Index* index) {
  constexpr int64_t L = lanes<T>;
  const int64_t inputs = plane_inputs(g), outputs = plane_outputs(g);
  const double cost = double(g.n * g.c) * double(inputs) * ns;
  each_plane_tile<T>(g, inputs + 3 * outputs, cost, [=](int64_t plane, int64_t count, T* in, const PlaneTaps& taps) {
    T *best_of = in + inputs * L, *tap_of = best_of + outputs * L, *turned = tap_of + outputs * L;
    turn(x + plane * inputs, inputs, count, inputs, in, L);
    const PlaneTaps::Entry* e = taps.entry;
    for (int64_t o = 0; o < outputs; ++o) {
      Vec<T> best = load(in + e->input * L);  // a window of nothing above -inf: its first element wins
      Mask<T> tap = Mask<T>{} + e->tap;
      for (int32_t i = 1; i < taps.count[o]; ++i)
        take_larger<T>(best, tap, load(in + e[i].input * L), Mask<T>{} + e[i].tap);
      e += taps.count[o];
      store(best_of + o * L, best);
      store(tap_of + o * L, (Vec<T>)tap);
    }
    turn(best_of, L, outputs, count, y + plane * outputs, outputs);
    if (!index) return;
    turn(tap_of, L, outputs, count, turned, outputs);
    for (int64_t i = 0; i < count * outputs; i += L)
      store_index_n<T>(index + plane * outputs + i, (Mask<T>)load(turned + i), clamp_lane<T>(count * outputs - i));
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
