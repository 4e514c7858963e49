// Weight gradient of a depthwise convolution: dweight[c, t] = sum_{n, o} dy[n, c, o] * (x[n, c] at tap t of o).
//
// Lanes run along rows of dy; some taps at a time keep a vector of partial sums each, over a slab of a plane. Slabs and
// images are added in order, in double.
#pragma once
#include "../simd/reduce.h"
#include "conv_depthwise.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Sums of N taps over the slab's rows: to[tap.weight] += …; dy is a plane.
template <class T, int N>
void depthwise_taps(const PlaneCopy<T>& plane, const typename PlaneCopy<T>::Tap* taps, const T* dy, double* to) {
  constexpr int64_t L = lanes<T>;
  const Axis &D = plane.layout.p.axis[0], &H = plane.layout.p.axis[1], &W = plane.layout.p.axis[2];
  Vec<T> sum[N] = {};
  const T* x[N];
  for (int64_t d = 0; d < D.grid; ++d)
    for (int64_t h = 0; h < H.grid; ++h) {
      const T* row = dy + ((D.out_begin + d) * H.out_size + H.out_begin + h) * W.out_size + W.out_begin;
      for (int i = 0; i < N; ++i) x[i] = plane.row(d, h) + taps[i].distance;
      int64_t w = 0;
      for (; w + L <= W.grid; w += L)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) sum[i] = fma(load(row + w), load(x[i] + w), sum[i]);
      // What lies beyond a row in the copy may be infinite.
      const int left = int(W.grid - w);
      if (left > 0)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) sum[i] = fma(load_n(row + w, left), load_n(x[i] + w, left), sum[i]);
    }
  for (int i = 0; i < N; ++i) to[taps[i].weight] += double(reduce_add<T>(sum[i]));
}

template <class T>
void depthwise_slab_weight(const PlaneCopy<T>& plane, const T* dy, double* to) {
  int64_t t = 0, taps = plane.layout.p.taps();
  for (; t + 9 <= taps; t += 9) depthwise_taps<T, 9>(plane, plane.taps + t, dy, to);
  for (; t + 3 <= taps; t += 3) depthwise_taps<T, 3>(plane, plane.taps + t, dy, to);
  for (; t < taps; ++t) depthwise_taps<T, 1>(plane, plane.taps + t, dy, to);
}

// Items are blocks of neighbouring channels, whose planes are read in one piece, and chunks of the images where there
// are few channels.
constexpr int64_t kDepthwiseBlock = 4;
inline int64_t depthwise_chunks(const Conv& g) { return clamp(16 / ceil_div(g.c, kDepthwiseBlock), 1, g.n); }

// total[c - c0][t] = the sums of channels c0 … c1 and images first … last
template <class T>
void depthwise_block(const Conv& g, const Slabs<T>& slabs, int64_t c0, int64_t c1, int64_t first, int64_t last,
                     const T* dy, const T* x, double* total, void* memory) {
  const int64_t taps = slabs.p.taps(), in = slabs.p.in_plane(), out = slabs.p.grid();
  for (int64_t i = 0; i < (c1 - c0) * taps; ++i) total[i] = 0;
  for (int64_t s = 0; s < slabs.all(); ++s) {
    PlaneCopy<T> copy(slabs.slab(s), g.kernel, slabs.copy_values(), memory);
    for (int64_t n = first; n < last; ++n)
      for (int64_t c = c0; c < c1; ++c) {
        copy.fill(x + (n * g.c + c) * in);
        depthwise_slab_weight(copy, dy + (n * g.c + c) * out, total + (c - c0) * taps);
      }
  }
}

// out (chunks, c, taps)
template <class T>
void depthwise_weight(const Conv& g, const T* dy, const T* x, T* out) {
  const Slabs<T> slabs(output_patches(g));
  const int64_t chunks = depthwise_chunks(g), blocks = ceil_div(g.c, kDepthwiseBlock), taps = slabs.p.taps();
  const double cost = double(g.n * g.c) * double(slabs.p.grid()) * (double(taps) * kMultiplyAddCost<T> + 0.2);
  const size_t sums = (size_t(kDepthwiseBlock * taps) * sizeof(double) + 63) / 64 * 64;
  parallel_scratch(chunks * blocks, cost, sums + PlaneCopy<T>::bytes(slabs),
                   [&](int64_t begin, int64_t end, void* memory) {
                     double* total = static_cast<double*>(memory);
                     for (int64_t item = begin; item < end; ++item) {
                       const int64_t chunk = item / blocks, c0 = item % blocks * kDepthwiseBlock,
                                     c1 = clamp(g.c, c0, c0 + kDepthwiseBlock);
                       depthwise_block(g, slabs, c0, c1, g.n * chunk / chunks, g.n * (chunk + 1) / chunks, dy, x, total,
                                       static_cast<char*>(memory) + sums);
                       T* to = out + (chunk * g.c + c0) * taps;
                       for (int64_t i = 0; i < (c1 - c0) * taps; ++i) to[i] = T(total[i]);
                     }
                   });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
