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

// The ways of a product: use(way) for the first that suits.
template <class T, class Use>
void first_way(const Product<T>& product, const Use& use) {
  first_that_suits<LongSums<T>, Depthwise<T>, Winograd<T>, Lanes<T>, PackedRowsOfX<T>, Channels<T>, Direct<T>,
                   Packed<T>>(product, use);
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

// Taps of dx positions phase, phase + stride, …: those r with (phase + pad - r * dilation) divisible by the stride,
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

// f(product) for every stride phase of dx.
template <class T, class F>
void for_each_phase(const DataGradient<T>& gradient, const F& f) {
  const Conv& g = gradient.g;
  const int64_t phases[3] = {least(g.stride[0], g.size[0]), least(g.stride[1], g.size[1]),
                             least(g.stride[2], g.size[2])};
  for (int64_t d = 0; d < phases[0]; ++d)
    for (int64_t h = 0; h < phases[1]; ++h)
      for (int64_t w = 0; w < phases[2]; ++w) {
        Patches p = {{phase_axis(g, 0, d), phase_axis(g, 1, h), phase_axis(g, 2, w)}};
        p.flatten();
        f(Product<T>{p, gradient.dy, gradient.weights, gradient.bias, gradient.dx, g.n, g.k, g.c, g.groups, g.kernel,
                     true, g.all_taps});
      }
}

// Rough nanoseconds of a value that is filled.
constexpr double kFillCost = 0.1;

// dx[n, c, i] = bias[c], or 0, if there are phases without taps.
template <class T>
void fill_gaps(const DataGradient<T>& gradient) {
  bool gaps = false;
  for_each_phase(gradient, [&](const Product<T>& product) { gaps |= product.p.taps() == 0; });
  if (!gaps) return;
  const Conv& g = gradient.g;
  const int64_t planes = g.n * g.c, size = volume(g.size);
  parallel_for(planes, double(planes) * double(size) * kFillCost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      fill_run(gradient.dx + i * size, gradient.bias ? gradient.bias[i % g.c] : T(0), size);
  });
}

template <class T>
Values<T> weight_values(const Conv& g, const T* w) {
  return {g.k * (g.c / g.groups) * volume(g.kernel), w};
}

// Whether a weight is not finite, and dx is not either: an infinite weight times the zeros around dy gives NaN where no
// tap exists. The smaller array is looked through first; mostly it is finite, and the other need not be looked at.
template <class T>
bool spoiled(Values<T> weight, Values<T> dx) {
  const Values<T> first = dx.count < weight.count ? dx : weight, second = dx.count < weight.count ? weight : dx;
  return !all_finite(first.count, first.at) && !all_finite(second.count, second.at);
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
// One dense product for each phase of the stride. The bias (C), added to dx, is null but in a transposed convolution,
// whose forward this is.
template <class T>
void conv_backward_data(const Conv& g, const T* dy, const T* w, const T* bias, T* dx) {
  const DataGradient<T> gradient{g, dy, w, bias, dx};
  const Values<T> result{g.n * g.c * volume(g.size), dx}, weights = weight_values(g, w);
  const Apart<T> apart{gradient};
  const bool together = apart.suits();
  if (!together) fill_gaps(gradient);
  compute_unflushed<T>(result, {g.n * g.k * volume(g.out), dy}, weights, [&] {
    if (together) return (void)apart.run();
    for_each_phase(gradient, [](const Product<T>& product) {
      if (product.p.taps() > 0) carry_out(product);
    });
  });
  if (together || !spoiled(weights, result)) return;  // together, no zeros are read
  for_each_phase(gradient, [](const Product<T>& product) { multiply_existing(product); });
}

// The ways that the forward pass, or the phases of the data gradient, go: their names, each once, at most `most`, then
// null.
template <class T>
void conv_ways(const Conv& g, bool data, int64_t most, const char** names) {
  const char** end = names;
  const auto note = [&](const auto& way) {
    const char* const name = way.name();
    const char** at = names;
    while (at != end && *at != name) ++at;
    if (at == end && end - names < most) *end++ = name;
    return true;
  };
  const DataGradient<T> gradient{g, nullptr, nullptr, nullptr, nullptr};
  const Apart<T> apart{gradient};
  if (!data)
    first_way(forward_product<T>(g, nullptr, nullptr, nullptr, nullptr), note);
  else if (apart.suits())
    note(apart);
  else
    for_each_phase(gradient, [&](const Product<T>& product) {
      if (product.p.taps() > 0) first_way(product, note);
    });
  *end = nullptr;
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
