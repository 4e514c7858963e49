// A convolution as a product of matrices: what each way of carrying it out is given, and how a way is found. A way is
//   struct Way {
//     const Problem& problem;           and what suits and run need to know, made from it without a look at the arrays
//     const char* name() const;         for tests
//     bool suits() const;               whether it can, and is likely to be faster than the ways behind it in the list
//     bool run() const;                 false: the values did not allow this way, and the next that suits must run
//   };
// in a file of its own, and takes the memory that it wants (room.h). conv.cpp and conv_weight.cpp have the lists.
#pragma once
#include "choice.h"
#include "conv_patches.h"
#include "gemm_driver.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// At each position of the grid of p: y = bias + weights times the patch matrix of x.
//   x (images, channels_in, …)  y (images, channels_out, …)  weights (channels_out, channels_in / groups, kernel)
// In a data gradient, x is dy, y is dx, and the weights lie as the forward pass has them: (channels_in, channels_out /
// groups, kernel).
template <class T>
struct Product {
  Patches p;
  const T *x, *weights, *bias;  // bias (channels_out) may be null
  T* y;
  int64_t images, channels_in, channels_out, groups;
  const int64_t* kernel;
  bool gradient, all_taps;

  int64_t group_in() const { return channels_in / groups; }
  int64_t group_out() const { return channels_out / groups; }
  int64_t depth() const { return group_in() * p.taps(); }
  bool empty() const { return images == 0 || channels_out == 0 || p.grid() == 0; }
  double cost() const {
    return double(images * p.grid()) * double(channels_out) * double(depth()) * kMultiplyAddCost<T>;
  }
  const T* plane_in(int64_t image, int64_t group) const {
    return x + (image * channels_in + group * group_in()) * p.in_plane();
  }
  T* plane_out(int64_t image, int64_t group) const {
    return y + (image * channels_out + group * group_out()) * p.out_plane();
  }
  const T* group_bias(int64_t group) const { return bias ? bias + group * group_out() : nullptr; }
  int64_t kernel_volume() const { return volume(kernel); }
  int64_t weight_count() const { return channels_out * group_in() * kernel_volume(); }

  // The weights of all kernel positions from channel `in` of the group's inputs to channel `out` of its outputs.
  const T* taps_of(int64_t group, int64_t in, int64_t out) const {
    const int64_t pair = gradient ? in * group_out() + out : out * group_in() + in;
    return weights + (group * group_in() * group_out() + pair) * kernel_volume();
  }
  // to[(r - r0) * n + i] = A[k + i][r], the weights of n channels of the group for patch rows r0..r1.
  void pack_panel(int64_t group, int64_t k, int64_t n, int64_t r0, int64_t r1, T* to) const {
    const int64_t taps = p.taps(), all = kernel_volume();
    if (!gradient) return turn(taps_of(group, 0, k) + r0, depth(), n, r1 - r0, to, n);
    if (all == 1) {
      for (int64_t r = r0; r < r1; ++r, to += n) copy_run(to, taps_of(group, r, k), n);
      return;
    }
    if (taps == all && r0 == 0 && r1 == depth()) {
      for (int64_t c = 0; c < group_in(); ++c) turn(taps_of(group, c, k), all, n, all, to + c * all * n, n);
      return;
    }
    // The weights from one input channel to all output channels lie close together in memory, so the outer loop goes
    // over the input channels.
    for (int64_t c = r0 / taps; c * taps < r1; ++c)
      for (int64_t t = most(r0 - c * taps, 0); t < taps && c * taps + t < r1; ++t, to += n) {
        const T* from = taps_of(group, c, k) + p.weight_position(t, kernel);
        for (int64_t i = 0; i < n; ++i) to[i] = from[i * all];
      }
  }

  // Calls f(packed) with the weights, packed as packed_gemm wants its A.
  template <class F>
  void with_packed_rows(const F& f) const {
    with_packed_weights(f, [this](T* packed) {
      pack_a(groups, group_out(), depth(), packed,
             [this](int64_t group, int64_t k, int64_t n, int64_t r0, int64_t r1, T* to) {
               pack_panel(group, k, n, r0, r1, to);
             });
    });
  }
  // Calls f(packed) with the weights, packed for each group, for each block of kTileCols channels, as (depth, channels
  // of the block).
  template <class F>
  void with_packed_columns(const F& f) const {
    with_packed_weights(f, [this](T* packed) {
      const int64_t m = group_out(), blocks = ceil_div(m, kTileCols<T>), all = depth();
      parallel_for(groups * blocks, double(channels_out) * double(all) * kPanelCost,
                   [=, this](int64_t begin, int64_t end) {
                     for (int64_t item = begin; item < end; ++item) {
                       const int64_t group = item / blocks, k = item % blocks * kTileCols<T>;
                       pack_panel(group, k, clamp(m - k, 1, kTileCols<T>), 0, all, packed + (group * m + k) * all);
                     }
                   });
    });
  }

 private:
  // How many values behind the last weights tiles of two vectors may read.
  static constexpr int64_t kSlack = kTileCols<T>;

  template <class F, class Pack>
  void with_packed_weights(const F& f, const Pack& pack) const {
    shared_values<T>(channels_out * depth() + kSlack, [&](T* packed) {
      pack(packed);
      f(packed);
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
