// Convolution forward and backward-data as a product of matrices whose right operand is never stored.
//   x (N, C, size)  weight (K, C/groups, kernel)  bias (K) or null  y (N, K, out);  K and C split evenly over groups
#include "conv_apart.h"
#include "conv_channels.h"
#include "conv_depthwise.h"
#include "conv_direct.h"
#include "conv_existing.h"
#include "conv_lanes.h"
#include "conv_packed.h"
#include "conv_winograd.h"
#include "unflushed.h"
#define FASTNN_FAMILY "conv.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Calls use(way) for the first way of a product that suits (choice.h).
template <class T, class Use>
void first_way(const Product<T>& product, const Use& use) {
  first_that_suits<LongSums<T>, Depthwise<T>, WinogradByFar<T>, Lanes<T>, Winograd<T>, OneTap<T>, Channels<T>,
                   Direct<T>, Packed<T>>(product, use);
}

template <class T>
__attribute__((noinline)) void carry_out(const Product<T>& product) {
  if (!product.empty()) first_way(product, [](const auto& way) { return way.run(); });
}

template <class T>
Product<T> forward_product(const Conv& g, const T* x, const T* w, const T* bias, T* y) {
  return {output_patches(g), x, w, bias, y, g.n, g.c, g.k, g.groups, g.kernel, false, g.all_taps};
}

inline int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// The axis for the positions phase, phase + stride, … of dx. Their taps are those r for which
// phase + pad - r * dilation is divisible by the stride:
//   dx[i] gets weight[r] * dy[(i + pad - r * dilation) / stride].
inline Axis phase_axis(const Conv& g, int d, int64_t phase) {
  const int64_t s = g.stride[d], dilation = g.dilation[d], period = s / gcd(s, dilation);
  int64_t first = 0;
  while (first < period && first < g.kernel[d] && (phase + g.pad[d] - first * dilation) % s) ++first;
  const bool any = first < period && first < g.kernel[d];
  Axis axis = {};
  axis.grid = ceil_div(g.size[d] - phase, s), axis.in = g.out[d], axis.step = 1;
  axis.taps = any ? (g.kernel[d] - 1 - first) / period + 1 : 0;
  axis.offset = any ? (phase + g.pad[d] - first * dilation) / s : 0, axis.offset_step = -period * dilation / s;
  axis.weight = first, axis.weight_step = period;
  axis.out_begin = phase, axis.out_step = s, axis.out_size = g.size[d];
  return axis;
}

template <class T>
Values<T> weight_values(const Conv& g, const T* w) {
  return {g.k * (g.c / g.groups) * volume(g.kernel), w};
}

// Rough nanoseconds to set a value of dx to the bias or 0.
constexpr double kFillCost = 0.1;

// The data gradient as one product for each phase of the stride.
template <class T>
struct Phases {
  const DataGradient<T>& gradient;
  const Conv& g = gradient.g;

  bool suits() const { return true; }
  bool run() const {
    fill_gaps();
    for_each([](const Product<T>& product) { carry_out(product); });
    if (spoiled()) for_each([](const Product<T>& product) { multiply_existing(product); });
    return true;
  }
  // Calls f(product) for every phase that has taps.
  template <class F>
  void for_each(const F& f) const {
    for (int64_t d = 0; d < count(0); ++d)
      for (int64_t h = 0; h < count(1); ++h)
        for (int64_t w = 0; w < count(2); ++w) {
          Patches p = {{phase_axis(g, 0, d), phase_axis(g, 1, h), phase_axis(g, 2, w)}};
          p.flatten();
          if (p.taps() > 0)
            f(Product<T>{p, gradient.dy, gradient.weights, gradient.bias, gradient.dx, g.n, g.k, g.c, g.groups,
                         g.kernel, true, g.all_taps});
        }
  }

 private:
  int64_t count(int axis) const { return least(g.stride[axis], g.size[axis]); }

  // If there are phases without taps, sets all of dx to the bias, or 0: dx[n, c, i] = bias[c]. The products overwrite
  // the phases that have taps.
  void fill_gaps() const {
    int64_t phases = 0;
    for_each([&](const Product<T>&) { ++phases; });
    if (phases == count(0) * count(1) * count(2)) return;
    const int64_t planes = g.n * g.c, size = volume(g.size);
    parallel_for(planes, double(planes) * double(size) * kFillCost, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        fill_run(gradient.dx + i * size, gradient.bias ? gradient.bias[i % g.c] : T(0), size);
    });
  }

  // Whether both the weights and dx have numbers that are not finite: an infinite weight times the zeros around dy
  // gives NaN where no tap exists. The smaller array is looked through first; mostly it is finite, and the other need
  // not be looked at.
  bool spoiled() const {
    const Values<T> dx = {g.n * g.c * volume(g.size), gradient.dx}, weight = weight_values(g, gradient.weights);
    const Values<T> first = dx.count < weight.count ? dx : weight, second = dx.count < weight.count ? weight : dx;
    return !all_finite(first.count, first.at) && !all_finite(second.count, second.at);
  }
};

// Calls use(way) for the first way of a data gradient that suits (choice.h).
template <class T, class Use>
void first_way(const DataGradient<T>& gradient, const Use& use) {
  first_that_suits<Apart<T>, Phases<T>>(gradient, use);
}

}  // namespace

// y[n, k, o] = bias[k] + sum_{c, t} weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
template <class T>
void conv_forward(const Conv& g, const T* x, const T* w, const T* bias, T* y) {
  compute_unflushed<T>({g.n * g.k * volume(g.out), y}, {g.n * g.c * volume(g.size), x}, weight_values(g, w),
                       [&] { carry_out(forward_product(g, x, w, bias, y)); });
}

// y[n, k, o] = sum weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
//   =>  dx[n, c, i] = sum_{k, t: o = (i + pad - t * dilation) / stride whole} weight[k, c, t] * dy[n, k, o]
// The bias (C) is added to dx. It is null except in a transposed convolution, whose forward pass this computes.
template <class T>
void conv_backward_data(const Conv& g, const T* dy, const T* w, const T* bias, T* dx) {
  const DataGradient<T> gradient{g, dy, w, bias, dx};
  compute_unflushed<T>({g.n * g.c * volume(g.size), dx}, {g.n * g.k * volume(g.out), dy}, weight_values(g, w),
                       [&] { first_way(gradient, [](const auto& way) { return way.run(); }); });
}

// Writes the names of the ways that the forward pass takes, or if `data`, the phases of the data gradient: each name
// once, at most `most` names, and then a null.
template <class T>
void conv_ways(const Conv& g, bool data, int64_t most, const char** names) {
  const char** end = names;
  const auto note = [&](const auto& way) {
    const char** at = names;
    while (at != end && *at != way.name()) ++at;
    if (at == end && end - names < most) *end++ = way.name();
    return true;
  };
  const auto note_all = [&note](const auto& way) {
    if constexpr (requires { way.name(); })
      return note(way);
    else
      return way.for_each([&note](const Product<T>& product) { first_way(product, note); }), true;
  };
  if (data)
    first_way(DataGradient<T>{g, nullptr, nullptr, nullptr, nullptr}, note_all);
  else
    first_way(forward_product<T>(g, nullptr, nullptr, nullptr, nullptr), note);
  *end = nullptr;
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
