// Weight gradient of a depthwise convolution: dweight[c, t] = sum_{n, o} dy[n, c, o] * (x[n, c] at tap t of o).
//
// Lanes run along rows of dy. A few taps at a time are summed over a block of a plane, each in a vector of partial
// sums. The sums of blocks and images are added in order, in double.
#pragma once
#include "../simd/reduce.h"
#include "conv_depthwise.h"
#include "conv_weight_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Adds the sums of N taps over the block's rows: to[tap.weight] += …. dy points to a plane.
template <class T, int N>
void depthwise_taps(const PlaneCopy<T>& plane, const typename PlaneCopy<T>::Tap* taps, const T* dy, double* to) {
  constexpr int64_t L = lanes<T>;
  const Axis &D = plane.layout.p.axis[0], &H = plane.layout.p.axis[1], &W = plane.layout.p.axis[2];
  Vec<T> sum[N] = {};
  const T* x[N];
  for (int64_t d = 0; d < D.grid; ++d) {
    const T *row = dy + plane.layout.p.out_place(d, 0, 0), *from = plane.row(d, 0);
    for (int64_t h = 0; h < H.grid; ++h, row += W.out_size, from += plane.pitch()) {
      for (int i = 0; i < N; ++i) x[i] = from + taps[i].distance;
      int64_t w = 0;
      for (; w + L <= W.grid; w += L)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) sum[i] = fma(load(row + w), load(x[i] + w), sum[i]);
      // Behind a row, the copy may have infinite values, which must not be multiplied by zeros.
      const int left = int(W.grid - w);
      if (left > 0)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) sum[i] = fma(load_n(row + w, left), load_n(x[i] + w, left), sum[i]);
    }
  }
  for (int i = 0; i < N; ++i) to[taps[i].weight] += double(reduce_add<T>(sum[i]));
}

template <class T>
void depthwise_block_weight(const PlaneCopy<T>& plane, const T* dy, double* to) {
  int64_t t = 0, taps = plane.layout.p.taps();
  for (; t + 9 <= taps; t += 9) depthwise_taps<T, 9>(plane, plane.taps + t, dy, to);
  for (; t + 3 <= taps; t += 3) depthwise_taps<T, 3>(plane, plane.taps + t, dy, to);
  for (; t < taps; ++t) depthwise_taps<T, 1>(plane, plane.taps + t, dy, to);
}

template <class T>
struct DepthwiseWeight {
  const WeightProduct<T>& product;
  const Conv& g = product.g;
  static constexpr int64_t kChannels = 4;  // channels of a block: their planes follow each other in memory
  static constexpr int64_t kItems = 16;    // wanted items: where channels are few, images are cut into several sums
  int64_t channel_blocks = ceil_div(g.c, kChannels), sums = clamp(kItems / channel_blocks, 1, g.n);

  const char* name() const { return "depthwise"; }
  bool suits() const { return is_depthwise(g.c, g.k, g.groups, g.kernel) && has_short_reach(product.layout.p); }

  bool run() const {
    const GridBlocks blocks = plane_blocks<T>(product.layout.p);
    const int64_t taps = product.taps();
    const double cost = double(g.n * g.c) * double(product.plane()) * (double(taps) * kMultiplyAddCost<T> + kPlaneCost);
    const auto scratch = [&](Room& room) {
      return Scratch{room.take<double>(kChannels * taps), PlaneCopy<T>::scratch(blocks, room)};
    };
    product.add_partial_sums(sums, [&](T* out) {
      parallel_room(sums * channel_blocks, cost, scratch, [&](int64_t begin, int64_t end, const Scratch& scratch) {
        for (int64_t item = begin; item < end; ++item) {
          const int64_t sum = item / channel_blocks, c0 = item % channel_blocks * kChannels;
          const int64_t c1 = least(g.c, c0 + kChannels);
          add_planes(blocks, c0, c1, g.n * sum / sums, g.n * (sum + 1) / sums, scratch);
          T* to = out + (sum * g.c + c0) * taps;
          for (int64_t i = 0; i < (c1 - c0) * taps; ++i) to[i] = T(scratch.total[i]);
        }
      });
    });
    return true;
  }

 private:
  // A thread's memory.
  struct Scratch {
    double* total;  // of a block of channels
    typename PlaneCopy<T>::Scratch copy;
  };

  // total[c - c0][t] = the sums of channels c0 … c1 and images first … last
  void add_planes(const GridBlocks& blocks, int64_t c0, int64_t c1, int64_t first, int64_t last,
                  const Scratch& scratch) const {
    const int64_t taps = product.taps();
    for (int64_t i = 0; i < (c1 - c0) * taps; ++i) scratch.total[i] = 0;
    for (int64_t b = 0; b < blocks.all(); ++b) {
      PlaneCopy<T> copy(blocks.block(b), g.kernel, scratch.copy);
      for (int64_t n = first; n < last; ++n)
        for (int64_t c = c0; c < c1; ++c) {
          copy.fill(product.plane_in(n, c));
          depthwise_block_weight(copy, product.plane_out(n, c), scratch.total + (c - c0) * taps);
        }
    }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
