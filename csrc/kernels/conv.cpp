// Convolution forward and backward-data as a product of matrices whose right operand is never stored.
//   x (N, C, size)  weight (K, C/groups, kernel)  bias (K) or null  y (N, K, out);  K and C split evenly over groups
#include "conv_apart.h"
#include "conv_channels.h"
#include "conv_depthwise.h"
#include "conv_direct.h"
#include "conv_existing.h"
#include "conv_lanes.h"
#include "conv_patches.h"
#include "conv_winograd.h"
#include "gemm_driver.h"
#include "unflushed.h"
#define FASTNN_FAMILY "conv.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct PlaneOutput;

// packed_gemm's problem: B is the patch matrix of x for each group, C the planes of y.
template <class T>
struct PatchProblem {
  const Patches& p;
  const T* x;
  T* y;
  int64_t images, channels_in, channels_out, groups;

  int64_t columns() const { return images * p.grid(); }
  int64_t runs(int64_t j, GridRun* to) const {
    const int64_t begin = j * kTileCols<T>, end = begin + kTileCols<T>;
    return grid_runs(p, begin, end < columns() ? end : columns(), to);
  }
  void pack(int64_t group, int64_t j, int64_t k0, int64_t k1, T* sliver) const {
    GridRun grid[kTileCols<T>];
    Piece pieces[3 * kTileCols<T>];
    const int64_t count = runs(j, grid);
    const T* x_group = x + group * (channels_in / groups) * p.in_plane();
    pack_patches(p, x_group, channels_in * p.in_plane(), grid, count, pieces, k0, k1, sliver, kTileCols<T>);
  }
  PlaneOutput<T> output(int64_t group, int64_t j) const;
};

// Where a sliver of output columns lies in y: rows are channels, `plane` apart.
template <class T>
struct PlaneOutput {
  const Patches& p;
  T* y;  // channel 0 of the group in image 0
  int64_t image_stride, count;
  GridRun runs[kTileCols<T>];

  PlaneOutput(const PatchProblem<T>& problem, int64_t group, int64_t j)
      : p(problem.p),
        y(problem.y + group * (problem.channels_out / problem.groups) * p.out_plane()),
        image_stride(problem.channels_out * p.out_plane()),
        count(problem.runs(j, runs)) {}

  T* address(const GridRun& r) const {
    const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
    const int64_t d = D.out_begin + r.d * D.out_step, h = H.out_begin + r.h * H.out_step;
    return y + r.image * image_stride + (d * H.out_size + h) * W.out_size + W.out_begin + r.w * W.out_step;
  }
  const T* start(T*) const { return nullptr; }  // a bias is per channel, so per row
  T* direct(int64_t* ldc) const {
    const GridRun& last = runs[count - 1];
    const bool whole = last.column + last.size == kTileCols<T> && last.image == runs[0].image && p.dense_output();
    *ldc = p.out_plane();
    return whole ? address(runs[0]) : nullptr;
  }
  void read(int64_t channel, T* row) const {
    for (int64_t i = 0; i < count; ++i)
      gather_run(row + runs[i].column, address(runs[i]) + channel * p.out_plane(), runs[i].size, p.axis[2].out_step);
  }
  void write(int64_t channel, const T* row) const {
    for (int64_t i = 0; i < count; ++i) {
      T* to = address(runs[i]) + channel * p.out_plane();
      if (p.axis[2].out_step == 1)
        copy_run(to, row + runs[i].column, runs[i].size);
      else
        scatter_run(to, row + runs[i].column, runs[i].size, p.axis[2].out_step);
    }
  }
};

template <class T>
PlaneOutput<T> PatchProblem<T>::output(int64_t group, int64_t j) const {
  return {*this, group, j};
}

inline int64_t volume(const int64_t* extent) { return extent[0] * extent[1] * extent[2]; }

// How the patch matrix is read.
enum class Reading { packed, direct, lanes, slabs, channels, winograd, winograd_by_rows };
constexpr int64_t kDepthwisePath = 7, kApartPath = 8;  // after these, for tests

// A single dense tap is a plain product: slivers of x are its rows, and with channels enough copying them costs less than turning
// results (256x14x14 -> 256 3.6 ms instead of 4.1 on Zen 5, 64x56x56 -> 64 4.6 instead of 6.2).
template <class T>
bool prefer_slivers(const Patches& p, int64_t images, int64_t m) {
  return p.taps() == 1 && PaddedLayout(p).in_place() && p.dense_output() && m >= 64 &&
         images * p.grid() >= 8 * kTileCols<T>;
}

// By Winograd unless all_taps; else read in place from copies, or packed. A volume whose padded copy would be too large for the
// cache is gone through in slabs that fit (`size` positions each): 4x32x8x28x28 -> 32 with 3x3x3 taps, which goes by Winograd now,
// took 15.4 ms on one core, packed 22.
template <class T>
Reading choose(const Patches& p, int64_t images, int64_t channels_in, int64_t channels_out, int64_t groups,
               bool all_taps, int64_t* size) {
  const T* x = nullptr;
  T* y = nullptr;
  const int64_t depth = channels_in / groups * p.taps();
  if (depth > kLongSum) return Reading::packed;
  const bool lanes = prefer_lanes(LaneProblem<T>{PaddedLayout(p), x, y, images, channels_in, channels_out, groups});
  const WinogradProblem<T> winograd{p, x, y, images, channels_in, channels_out, groups};
  if (!all_taps && winograd.gain() > (lanes ? 2.0 : kWinogradGain))
    return winograd.by_rows() ? Reading::winograd_by_rows : Reading::winograd;
  if (lanes) return Reading::lanes;
  if (prefer_slivers<T>(p, images, channels_out / groups)) return Reading::packed;
  if (prefer_channels(ChannelProblem<T>(p, x, y, images, channels_in, channels_out, groups))) return Reading::channels;
  const auto fits = [&](const Patches& part) {
    return prefer_direct(DirectProblem<T>(part, x, y, images, channels_in, channels_out, groups), depth);
  };
  if (fits(p)) return Reading::direct;
  for (*size = p.axis[0].grid; *size > 1;) {
    *size = (*size + 1) / 2;
    if (fits(p.slab(0, 0, *size))) return Reading::slabs;
  }
  return Reading::packed;
}

// Values that multiply_patches wants for its weights.
template <class T>
int64_t patch_workspace(const Patches& p, int64_t images, int64_t channels_in, int64_t channels_out, int64_t groups,
                        bool all_taps) {
  int64_t size = 0;
  const int64_t all = channels_out * (channels_in / groups) * p.taps() + kPackedSlack;
  if (choose<T>(p, images, channels_in, channels_out, groups, all_taps, &size) < Reading::winograd) return all;
  const WinogradProblem<T> problem{p, nullptr, nullptr, images, channels_in, channels_out, groups};
  const int64_t transformed = WinogradPlan<T>(problem).workspace();
  return transformed > all ? transformed : all;
}

// y = bias + A * (patch matrix of x). weights.rows(packed) packs A as pack_a does, weights.channels(packed) as
// pack_channels does.
template <class T, class Weights>
void multiply_patches(const Patches& p, const T* x, T* y, int64_t images, int64_t channels_in, int64_t channels_out,
                      int64_t groups, bool all_taps, const Weights& weights, T* packed, const T* bias) {
  const int64_t depth = channels_in / groups * p.taps();
  if (!images || !channels_out || !p.grid()) return;
  int64_t size = 0;
  Reading reading = choose<T>(p, images, channels_in, channels_out, groups, all_taps, &size);
  if (reading >= Reading::winograd) {
    const WinogradProblem<T> problem{p, x, y, images, channels_in, channels_out, groups};
    const bool vanishes = all_tiny<T>({images * channels_in * p.in_plane(), x}) || all_tiny(weights.values());
    if (!vanishes && winograd_gemm(WinogradPlan<T>(problem), weights, packed, bias)) return;
    reading = choose<T>(p, images, channels_in, channels_out, groups, true, &size);
  }
  if (reading == Reading::channels) {
    weights.channels(packed);
    return channel_gemm(ChannelProblem<T>(p, x, y, images, channels_in, channels_out, groups), packed, bias);
  }
  weights.rows(packed);
  const auto direct = [&](const Patches& part) {
    direct_gemm(DirectProblem<T>(part, x, y, images, channels_in, channels_out, groups), depth, packed, bias);
  };
  if (reading == Reading::lanes) {
    lane_gemm(LaneProblem<T>{PaddedLayout(p), x, y, images, channels_in, channels_out, groups}, packed, bias);
  } else if (reading == Reading::direct) {
    direct(p);
  } else if (reading == Reading::slabs) {
    for (int64_t d = 0; d < p.axis[0].grid; d += size) direct(p.slab(0, d, clamp(p.axis[0].grid - d, 1, size)));
  } else {
    const PatchProblem<T> problem{p, x, y, images, channels_in, channels_out, groups};
    packed_gemm<T>(groups, channels_out / groups, problem.columns(), depth, packed, bias, problem);
  }
}

// A of the forward pass: weight[k][(c, t)].
template <class T>
struct ForwardWeights {
  const T* w;
  int64_t groups, m, depth;

  Values<T> values() const { return {groups * m * depth, w}; }
  // to[r * n + j] = weight[k + j][r]
  void sliver(int64_t group, int64_t k, int64_t n, T* to) const {
    turn(w + (group * m + k) * depth, depth, n, depth, to, n);
  }
  void rows(T* packed) const { pack_a_rows(groups, m, depth, w, packed); }
  void channels(T* packed) const {
    pack_channels(groups, m, depth, packed, [this](int64_t e, int64_t k, int64_t n, T* to) { sliver(e, k, n, to); });
  }
};

inline int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// Taps of dx positions phase, phase + stride, …: those r with (phase + pad - r * dilation) divisible by the stride,
//   dx[i] gets weight[r] * dy[(i + pad - r * dilation) / stride].
inline Axis phase_axis(const Conv& g, int d, int64_t phase) {
  const int64_t s = g.stride[d], dilation = g.dilation[d], period = s / gcd(s, dilation);
  int64_t first = 0;
  while (first < period && first < g.kernel[d] && (phase + g.pad[d] - first * dilation) % s) ++first;
  const bool any = first < period && first < g.kernel[d];
  Axis axis = {};
  axis.grid = (g.size[d] - phase + s - 1) / s, axis.in = g.out[d], axis.step = 1;
  axis.taps = any ? (g.kernel[d] - 1 - first) / period + 1 : 0;
  axis.offset = any ? (phase + g.pad[d] - first * dilation) / s : 0, axis.offset_step = -period * dilation / s;
  axis.weight = first, axis.weight_step = period;
  axis.out_begin = phase, axis.out_step = s, axis.out_size = g.size[d];
  return axis;
}

// f(patches) for every stride phase of dx.
template <class F>
void for_each_phase(const Conv& g, const F& f) {
  const auto phases = [&](int d) { return g.stride[d] < g.size[d] ? g.stride[d] : g.size[d]; };
  for (int64_t d = 0; d < phases(0); ++d)
    for (int64_t h = 0; h < phases(1); ++h)
      for (int64_t w = 0; w < phases(2); ++w)
        f(Patches{{phase_axis(g, 0, d), phase_axis(g, 1, h), phase_axis(g, 2, w)}});
}

// A of the data gradient in one phase of the stride: A[c][(k, t)] = weight[k, c, t], t counting the phase's taps.
template <class T>
struct BackwardWeights {
  const Conv& g;
  const Patches& p;
  const T* w;
  int64_t k_group = g.k / g.groups, c_group = g.c / g.groups, taps = p.taps(), depth = k_group * taps;
  int64_t volume = g.kernel[0] * g.kernel[1] * g.kernel[2];

  Values<T> values() const { return {g.k * c_group * volume, w}; }
  // weight[k, c, …]
  const T* at(int64_t group, int64_t k, int64_t c) const { return w + ((group * k_group + k) * c_group + c) * volume; }
  int64_t position(int64_t t) const { return p.weight_position(t, g.kernel); }
  // A sliver's channels of one k are close together in memory, so k is the outer loop.
  void fill(int64_t group, int64_t c0, int64_t n, int64_t r0, int64_t r1, T* sliver) const {
    for (int64_t k = r0 / taps; k * taps < r1; ++k)
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t r = k * taps + t;
        if (r < r0 || r >= r1) continue;
        const T* from = at(group, k, c0) + position(t);
        for (int64_t i = 0; i < n; ++i) sliver[(r - r0) * n + i] = from[i * volume];
      }
  }
  void rows(T* packed) const {
    pack_a(g.groups, c_group, depth, packed,
           [this](int64_t e, int64_t c0, int64_t n, int64_t r0, int64_t r1, T* sliver) {
             fill(e, c0, n, r0, r1, sliver);
           });
  }
  void sliver(int64_t group, int64_t c0, int64_t n, T* to) const {
    if (taps != volume) return fill(group, c0, n, 0, depth, to);
    for (int64_t k = 0; k < k_group; ++k) turn(at(group, k, c0), volume, n, volume, to + k * volume * n, n);
  }
  void channels(T* packed) const {
    pack_channels(g.groups, c_group, depth, packed,
                  [this](int64_t e, int64_t c0, int64_t n, T* to) { sliver(e, c0, n, to); });
  }
};

// dx[n, c, i] = bias[c], or 0
template <class T>
void fill_planes(const Conv& g, const T* bias, T* dx) {
  const int64_t planes = g.n * g.c, size = g.size[0] * g.size[1] * g.size[2];
  parallel_for(planes, double(planes) * double(size) * 0.1, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) fill_run(dx + i * size, bias ? bias[i % g.c] : T(0), size);
  });
}

template <class T>
Values<T> weight_values(const Conv& g, const T* w) {
  return {g.k * (g.c / g.groups) * volume(g.kernel), w};
}

// dx and bias as below.
template <class T>
void backward_data(const Conv& g, bool apart, const T* dy, const T* w, const T* bias, T* dx, T* packed) {
  if (apart) return apart_product(g, dy, w, bias, dx, packed);
  for_each_phase(g, [&](Patches p) {
    p.flatten();
    if (p.taps() == 0) return;
    if (is_depthwise(g)) return depthwise(p, g.kernel, g.n, g.c, dy, w, bias, dx);
    multiply_patches(p, dy, dx, g.n, g.k, g.c, g.groups, g.all_taps, BackwardWeights<T>{g, p, w}, packed, bias);
  });
}

// Whether a weight times the zeros around dy may have made dx anything but what the taps that exist make it. Either has to be
// looked through, the smaller one first: what comes of such a weight is infinite or not a number, if anything comes of it.
template <class T>
bool spoiled(Values<T> weight, Values<T> dx) {
  const Values<T> first = dx.count < weight.count ? dx : weight, second = dx.count < weight.count ? weight : dx;
  return !all_finite(first.count, first.at) && !all_finite(second.count, second.at);
}

}  // namespace

// y[n, k, o] = bias[k] + sum_{c, t} weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
// packed: as many values as conv_forward_workspace says
template <class T>
void conv_forward(const Conv& g, const T* x, const T* w, const T* bias, T* y, T* packed) {
  const Patches p = output_patches(g);
  compute_unflushed<T>({g.n * g.k * volume(g.out), y}, {g.n * g.c * volume(g.size), x}, weight_values(g, w), [&] {
    if (is_depthwise(g)) return depthwise(p, g.kernel, g.n, g.c, x, w, bias, y);
    const ForwardWeights<T> weights{w, g.groups, g.k / g.groups, g.c / g.groups * p.taps()};
    multiply_patches(p, x, y, g.n, g.c, g.k, g.groups, g.all_taps, weights, packed, bias);
  });
}

// Values of `packed` that the forward pass needs.
template <class T>
void conv_forward_workspace(const Conv& g, int64_t* size) {
  *size = patch_workspace<T>(output_patches(g), g.n, g.c, g.k, g.groups, g.all_taps);
}

// Which way the forward pass goes, for tests: a value of Reading, or kDepthwisePath.
template <class T>
void conv_forward_path(const Conv& g, int64_t* path) {
  int64_t size = 0;
  *path = is_depthwise(g) ? kDepthwisePath
                          : int64_t(choose<T>(output_patches(g), g.n, g.c, g.k, g.groups, g.all_taps, &size));
}

// Values of `packed` that the data gradient needs.
template <class T>
void conv_backward_data_workspace(const Conv& g, int64_t* size) {
  *size = lies_apart<T>(g) ? apart_weights(g) + kPackedSlack : 0;
  if (*size) return;
  for_each_phase(g, [&](Patches p) {
    p.flatten();
    const int64_t needed = patch_workspace<T>(p, g.n, g.k, g.c, g.groups, g.all_taps);
    if (needed > *size) *size = needed;
  });
}

// y[n, k, o] = sum weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
//   =>  dx[n, c, i] = sum_{k, t: o = (i + pad - t * dilation) / stride whole} weight[k, c, t] * dy[n, k, o]
// One dense product for each phase of the stride. packed: as conv_backward_data_workspace says. The bias (C), added to dx, is null but in a
// transposed convolution, whose forward this is.
template <class T>
void conv_backward_data(const Conv& g, const T* dy, const T* w, const T* bias, T* dx, T* packed) {
  const Values<T> result{g.n * g.c * volume(g.size), dx}, weights = weight_values(g, w);
  const bool apart = lies_apart<T>(g);
  bool gaps = false;
  if (!apart) for_each_phase(g, [&](const Patches& p) { gaps |= p.taps() == 0; });
  if (gaps) fill_planes(g, bias, dx);
  compute_unflushed<T>(result, {g.n * g.k * volume(g.out), dy}, weights,
                       [&] { backward_data(g, apart, dy, w, bias, dx, packed); });
  if (apart || !spoiled(weights, result)) return;  // apart, no zeros are read
  for_each_phase(g, [&](const Patches& p) {
    multiply_existing(p, dy, dx, g.n, g.k, g.c, g.groups, BackwardWeights<T>{g, p, w}, bias);
  });
}

// Which ways the phases of the data gradient go, for tests: bit r for the Reading of value r, kDepthwisePath, and kApartPath
// where all phases are one product (conv_apart.h).
template <class T>
void conv_backward_data_path(const Conv& g, int64_t* paths) {
  *paths = lies_apart<T>(g) ? int64_t(1) << kApartPath : 0;
  if (*paths) return;
  for_each_phase(g, [&](Patches p) {
    p.flatten();
    int64_t size = 0;
    if (p.taps() == 0) return;
    *paths |= int64_t(1) << (is_depthwise(g) ? kDepthwisePath
                                             : int64_t(choose<T>(p, g.n, g.k, g.c, g.groups, g.all_taps, &size)));
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
