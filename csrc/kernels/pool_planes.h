// Pooling of narrow maps: lanes run across planes, since a row of the output would leave most of a vector empty.
//
// A vector's worth of planes is turned so that their values at one position lie side by side, tile[position * lanes +
// plane]; then every tap of every window is one vector, whatever kernel, stride and padding are.
#pragma once
#include "../parallel.h"
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

inline int64_t plane_inputs(const Pool& g) { return g.size[0] * g.size[1] * g.size[2]; }
inline int64_t plane_outputs(const Pool& g) { return g.out[0] * g.out[1] * g.out[2]; }

// Taps of all windows of a plane, those that lie inside the image, in order: count[o] entries for output o.
struct PlaneTaps {
  struct Entry {
    int32_t tap, input;
  };
  int32_t* count;
  Entry* entry;

  static int64_t entries(const Pool& g) { return plane_outputs(g) * g.kernel[0] * g.kernel[1] * g.kernel[2]; }
  static size_t bytes(const Pool& g) {
    return size_t(plane_outputs(g)) * sizeof(int32_t) + size_t(entries(g)) * sizeof(Entry);
  }
  PlaneTaps(const Pool& g, void* memory)
      : count(reinterpret_cast<int32_t*>(static_cast<Entry*>(memory) + entries(g))), entry(static_cast<Entry*>(memory)) {
    Entry* next = entry;
    int64_t o = 0;
    for (int64_t od = 0; od < g.out[0]; ++od)
      for (int64_t oh = 0; oh < g.out[1]; ++oh)
        for (int64_t ow = 0; ow < g.out[2]; ++ow, ++o) {
          Entry* const first = next;
          add_window(g, od, oh, ow, next);
          count[o] = int32_t(next - first);
        }
  }

 private:
  static void add_window(const Pool& g, int64_t od, int64_t oh, int64_t ow, Entry*& next) {
    const int64_t at[3] = {od * g.stride[0] - g.pad[0], oh * g.stride[1] - g.pad[1], ow * g.stride[2] - g.pad[2]};
    Range r[3];
    for (int i = 0; i < 3; ++i) r[i] = taps_inside(at[i], g.kernel[i], g.dilation[i], g.size[i]);
    for (int64_t kd = r[0].begin; kd < r[0].end; ++kd)
      for (int64_t kh = r[1].begin; kh < r[1].end; ++kh)
        for (int64_t kw = r[2].begin; kw < r[2].end; ++kw) {
          const int64_t d = at[0] + kd * g.dilation[0], h = at[1] + kh * g.dilation[1], w = at[2] + kw * g.dilation[2];
          *next++ = {int32_t((kd * g.kernel[1] + kh) * g.kernel[2] + kw), int32_t((d * g.size[1] + h) * g.size[2] + w)};
        }
  }
};

// What is turned, and the list of taps, stay in the caches.
constexpr int64_t kPlaneInputs = 1024, kPlaneEntries = 8192;

// Without dilation every window has a tap inside the image.
template <class T>
bool prefer_planes(const Pool& g) {
  const bool dense = g.dilation[0] == 1 && g.dilation[1] == 1 && g.dilation[2] == 1;
  return dense && 2 * g.out[2] <= lanes<T> && g.n * g.c >= lanes<T> && plane_inputs(g) <= kPlaneInputs &&
         PlaneTaps::entries(g) <= kPlaneEntries;
}

// body(first plane, planes, tiles, taps) for each vector's worth of planes; tiles has room for `positions` vectors.
template <class T, class Body>
void each_plane_tile(const Pool& g, int64_t positions, double cost, const Body& body) {
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

}  // namespace
}  // namespace fastnn::FASTNN_ISA
