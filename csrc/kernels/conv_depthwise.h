// Depthwise convolution: every channel has a filter of its own, c = k = groups.
//   forward, backward-data   y[n, c, o] = bias[c] + sum_t weight[c, t] * (x[n, c] at tap t of o)
//   backward-weight          dweight[c, t] = sum_{n, o} dy[n, c, o] * (x[n, c] at tap t of o)
//
// Memory limits the speed. A product of matrices would have one row, and its time would go into packing. Here lanes run
// along the rows of a zero-padded copy of a plane (conv_layout.h), which stays in the first-level cache: a tap is a
// load at a fixed distance. Large planes are cut into blocks. 32x64x56x56 with 3x3 taps takes 2.7 times less than the
// product on one Zen 5 core.
#pragma once
#include "conv_layout.h"
#include "conv_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kPlaneCopyBytes = 32 * 1024;  // most bytes of a block's copy: the first-level cache
constexpr double kPlaneCost = 0.2;              // rough nanoseconds of an output beside its multiply-adds

// Kernels with so many taps that their products have to be added apart (tune.h) are left to the product of matrices.
inline bool is_depthwise(int64_t channels_in, int64_t channels_out, int64_t groups, const int64_t* kernel) {
  return groups > 1 && channels_in == groups && channels_out == groups && volume(kernel) <= kLongSum;
}

// Whether the copy for a block of one position has at most kMostPlaneCopy values. It has all inputs between the first
// tap and the last. Filters that reach farther are left to the product of matrices, which reads the taps alone. 2^24
// values are 64 MB of float32, and distances in the copy fit int32_t.
constexpr int64_t kMostPlaneCopy = 1 << 24;
inline bool has_short_reach(Patches p) {
  for (Axis& axis : p.axis) axis.grid = least(axis.grid, 1);
  return PaddedLayout(p).channel_size() <= kMostPlaneCopy;
}

// Cuts the grid into blocks of positions, so that the copy of the input under a block has at most kPlaneCopyBytes.
template <class T>
GridBlocks plane_blocks(const Patches& p) {
  return GridBlocks(p, 0, 2, [](const Patches& block) {
    return PaddedLayout(block).channel_size() * int64_t(sizeof(T)) <= kPlaneCopyBytes;
  });
}

// The copy of a block of a plane and where its taps lie.
template <class T>
class PlaneCopy {
 public:
  static constexpr int64_t slack = 5 * lanes<T>;  // values behind the copy that a row's last vectors may read
  struct Tap {
    int32_t distance, weight;
  };
  // A thread's memory, for any of the blocks.
  struct Scratch {
    T* copy;
    Tap* taps;
  };
  static Scratch scratch(const GridBlocks& blocks, Room& room) {
    return {room.take<T>(PaddedLayout(blocks.block(0)).channel_size() + slack), room.take<Tap>(blocks.p.taps())};
  }

  PlaneCopy(const Patches& p, const int64_t* kernel, const Scratch& scratch)
      : layout(p), copy(scratch.copy), taps(scratch.taps) {
    zero_run(copy, layout.channel_size() + slack);
    for (int64_t t = 0; t < p.taps(); ++t)
      taps[t] = {int32_t(layout.tap_distance(t)), int32_t(p.weight_position(t, kernel))};
  }

  // Copies the block of a plane, as far as it lies in the image; the copy of what lies around the image stays zero. The
  // next plane in memory, which is mostly copied next, is prefetched meanwhile.
  void fill(const T* plane) {
    T* to = copy;
    for (int64_t pd = 0; pd < layout.phases[0]; ++pd)
      for (int64_t ph = 0; ph < layout.phases[1]; ++ph)
        for (int64_t pw = 0; pw < layout.phases[2]; ++pw, to += layout.phase_size()) fill_phase(plane, pd, ph, pw, to);
  }
  int64_t pitch() const { return layout.extent[2]; }
  const T* row(int64_t d, int64_t h) const { return copy + (d * layout.extent[1] + h) * layout.extent[2]; }

  PaddedLayout layout;
  T* copy;
  Tap* taps;

 private:
  void fill_phase(const T* plane, int64_t pd, int64_t ph, int64_t pw, T* to) const {
    const Axis &D = layout.p.axis[0], &H = layout.p.axis[1], &W = layout.p.axis[2];
    const Range d = layout.existing(0, pd), h = layout.existing(1, ph), w = layout.existing(2, pw);
    const int64_t size = w.end - w.begin, step = W.step, rows = H.step * W.in, extent = layout.extent[2];
    const int64_t next = layout.p.in_plane();
    if (size <= 0) return;
    for (int64_t i = d.begin; i < d.end; ++i) {
      const int64_t first = ((layout.low[0] + pd + i * D.step) * H.in + layout.low[1] + ph + h.begin * H.step) * W.in;
      const T* from = plane + first + layout.low[2] + pw + w.begin * step;
      T* row = to + (i * layout.extent[1] + h.begin) * extent + w.begin;
      for (int64_t j = h.begin; j < h.end; ++j, from += rows, row += extent) {
        for (int64_t k = 0; k < size * step; k += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + next + k);
        if (step == 1)
          copy_run(row, from, size);
        else
          gather_run(row, from, size, step);
      }
    }
  }
};

// A channel's filter of any taps. sums() adds the taps' products to the sums of R rows of V vectors of outputs. A tap
// at distance 0 would read at `from` for the first row, and `pitch` values farther for each of the next.
template <class T>
struct AnyTaps {
  const PlaneCopy<T>& plane;
  const T* weight;
  T bias;

  template <int R, int V>
  FASTNN_INLINE void sums(const T* from, Vec<T> (&sum)[R][V]) const {
    const int64_t taps = plane.layout.p.taps(), pitch = plane.pitch();
    for (int64_t t = 0; t < taps; ++t) {
      const auto tap = plane.taps[t];
      const Vec<T> w = set1(weight[tap.weight]);
      const T* x = whole_address(from + tap.distance);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r, x = whole_address(x + pitch))
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = fma(w, load(x + v * lanes<T>), sum[r][v]);
    }
  }
};

// A channel's filter of 3x3 taps side by side; sums() is as in AnyTaps. A vector of inputs is loaded once (`whole`
// keeps the compiler from loading it for each use) and multiplied by the taps of all the rows of outputs that see it.
template <class T>
struct ThreeByThree {
  int64_t pitch;
  T bias;
  Vec<T> w[3][3];

  static bool applies(const PaddedLayout& layout) {
    const Axis *a = layout.p.axis, &h = a[1], &w = a[2];
    const bool dense = h.offset_step * h.offset_step == 1 && w.offset_step * w.offset_step == 1;
    return a[0].taps == 1 && h.taps == 3 && w.taps == 3 && h.step == 1 && w.step == 1 && dense;
  }
  ThreeByThree(const PlaneCopy<T>& plane, const T* weight, T bias) : pitch(plane.pitch()), bias(bias) {
    for (int t = 0; t < 9; ++t) {
      const auto tap = plane.taps[t];
      w[tap.distance / pitch][tap.distance % pitch] = set1(weight[tap.weight]);
    }
  }
  template <int R, int V>
  FASTNN_INLINE void sums(const T* x, Vec<T> (&sum)[R][V]) const {
#pragma GCC unroll 8
    for (int i = 0; i < R + 2; ++i, x = whole_address(x + pitch))
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          const Vec<T> in = whole(load(x + v * lanes<T> + j));
#pragma GCC unroll 4
          for (int r = i < 2 ? 0 : i - 2; r <= i && r < R; ++r) sum[r][v] = fma(w[i - r][j], in, sum[r][v]);
        }
  }
};

// Rows and vectors of a tile. Its sums, nine weights and a loaded vector fit the registers.
constexpr int kDepthwiseRows = FASTNN_VEC_BYTES == 64 ? 4 : 2, kDepthwiseVectors = FASTNN_VEC_BYTES == 64 ? 4 : 2;

template <class T>
__attribute__((noinline)) void scatter_vector(T* to, Vec<T> v, int64_t size, int64_t step) {
  T values[lanes<T>];
  store(values, v);
  scatter_run(to, values, clamp(size, 0, lanes<T>), step);
}

// Computes R rows of outputs from (d, h) on: V vectors of columns from w on.
template <class T, int R, int V, class Filter>
FASTNN_INLINE void depthwise_tile(const PlaneCopy<T>& plane, const Filter& filter, int64_t d, int64_t h, int64_t w,
                                  T* y) {
  constexpr int64_t L = lanes<T>;
  const Axis &H = plane.layout.p.axis[1], &W = plane.layout.p.axis[2];
  Vec<T> sum[R][V];
  for (auto& row : sum)
    for (Vec<T>& s : row) s = set1(filter.bias);
  filter.sums(plane.row(d, h) + w, sum);
  const int64_t left = W.grid - w, step = W.out_step, pitch = H.out_step * W.out_size;
  T* to = y + plane.layout.p.out_place(d, h, w);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r, to += pitch)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      if (__builtin_expect(step == 1, 1))
        store_part(to + v * L, sum[r][v], left - v * L);
      else
        scatter_vector(to + v * L * step, sum[r][v], left - v * L, step);
    }
}

// Computes V vectors of columns, from w on, of all rows.
template <class T, int V, class Filter>
FASTNN_INLINE void depthwise_columns(const PlaneCopy<T>& plane, const Filter& filter, int64_t w, T* y) {
  constexpr int R = kDepthwiseRows;
  const Axis &D = plane.layout.p.axis[0], &H = plane.layout.p.axis[1];
  for (int64_t d = 0; d < D.grid; ++d) {
    int64_t h = 0;
    for (; h + R <= H.grid; h += R) depthwise_tile<T, R, V>(plane, filter, d, h, w, y);
    for (; h < H.grid; ++h) depthwise_tile<T, 1, V>(plane, filter, d, h, w, y);
  }
}

// Computes all columns from w on, V vectors at a time, and at the end fewer.
template <class T, int V = kDepthwiseVectors, class Filter>
FASTNN_INLINE void depthwise_plane(const PlaneCopy<T>& plane, const Filter& filter, T* y, int64_t w = 0) {
  const int64_t width = plane.layout.p.axis[2].grid;
  for (; w + (V - 1) * lanes<T> < width; w += V * lanes<T>) depthwise_columns<T, V>(plane, filter, w, y);
  if constexpr (V > 1)
    if (w < width) depthwise_plane<T, V - 1>(plane, filter, y, w);
}

template <class T>
struct Depthwise {
  const Product<T>& product;

  const char* name() const { return "depthwise"; }
  bool suits() const {
    return is_depthwise(product.channels_in, product.channels_out, product.groups, product.kernel) &&
           has_short_reach(product.p);
  }
  // An item is one block of positions of one plane. Items of the same block, one plane after the other, follow each
  // other, because the block decides the layout of the copy, which is then made once for them.
  bool run() const {
    const Patches& p = product.p;
    const GridBlocks blocks = plane_blocks<T>(p);
    const int64_t planes = product.images * product.groups;
    const double cost = double(planes) * double(p.grid()) * (double(p.taps()) * kMultiplyAddCost<T> + kPlaneCost);
    const auto layout = [&blocks](Room& room) { return PlaneCopy<T>::scratch(blocks, room); };
    parallel_room(blocks.all() * planes, cost, layout, [&](int64_t begin, int64_t end, const auto& scratch) {
      while (begin < end) {
        const int64_t which = begin / planes, stop = least((which + 1) * planes, end);
        PlaneCopy<T> copy(blocks.block(which), product.kernel, scratch);
        for (; begin < stop; ++begin) plane(copy, begin % planes);
      }
    });
    return true;
  }

 private:
  FASTNN_INLINE void plane(PlaneCopy<T>& copy, int64_t which) const {
    const int64_t channel = which % product.groups;
    const T* weight = product.weights + channel * product.kernel_volume();
    const T bias = product.bias ? product.bias[channel] : T(0);
    T* y = product.y + which * product.p.out_plane();
    copy.fill(product.x + which * product.p.in_plane());
    if (ThreeByThree<T>::applies(copy.layout))
      depthwise_plane(copy, ThreeByThree<T>(copy, weight, bias), y);
    else
      depthwise_plane(copy, AnyTaps<T>{copy, weight, bias}, y);
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
