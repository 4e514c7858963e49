// Convolution backward-weight and backward-bias: products over pixels, in which both operands are contiguous.
//   dy (N, K, out)  x (N, C, size)  ->  dweight (K, C/groups, kernel), dbias (K)
//
// The reduction over images and pixels is cut into chunks by the shape alone; each chunk sums into a partial result of
// its own and the partial results are added in order.
#include "../simd/reduce.h"
#include "conv_depthwise_weight.h"
#include "conv_weight_channels.h"
#include "conv_winograd_weight.h"
#include "unflushed.h"
#define FASTNN_FAMILY "conv_weight.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kPixels = 512;    // longest block: the rows of a dot tile together fit the first-level cache
constexpr int64_t kPatchRows = 32;  // rows of the patch matrix per item
constexpr int64_t kMaxChunks = 16;
constexpr int64_t kPartialValues = 4 << 20;  // partial results together stay below this

inline int64_t weight_size(const Conv& g) { return g.k * (g.c / g.groups) * g.kernel[0] * g.kernel[1] * g.kernel[2]; }

// No more chunks than keep the partial results together below kPartialValues.
inline int64_t bounded_chunks(const Conv& g, int64_t chunks) {
  const int64_t values = weight_size(g);
  return chunks * values > kPartialValues ? clamp(kPartialValues / values, 1, chunks) : chunks;
}

// How the sum over (image, pixel) is cut where the patch matrix is packed. Large planes are read where they lie, a block within an image; of small
// ones dy is first copied to (K, N * plane), so that a block can run over many images.
struct Reduction {
  bool copied;
  int64_t plane, images, block_columns, blocks, chunks;

  Reduction(const Conv& g) : plane(g.out[0] * g.out[1] * g.out[2]), images(g.n) {
    copied = plane < kPixels / 2 && images > 1;
    const int64_t line = copied ? plane * images : plane, per_line = (line + kPixels - 1) / kPixels;
    block_columns = per_line ? (line + per_line - 1) / per_line : 0;
    blocks = per_line * (copied ? 1 : images);
    chunks = bounded_chunks(g, clamp(blocks / 2, 1, kMaxChunks));
  }
  int64_t line() const { return copied ? plane * images : plane; }
  int64_t per_line() const { return blocks ? blocks / (copied ? 1 : images) : 1; }
  // Columns of the patch matrix that block b covers.
  int64_t begin(int64_t b) const { return b / per_line() * line() + b % per_line() * block_columns; }
  int64_t end(int64_t b) const {
    const int64_t stop = begin(b) + block_columns, line_end = (b / per_line() + 1) * line();
    return stop < line_end ? stop : line_end;
  }
};

// Patch rows packed a block of pixels at a time; for narrow maps, whose rows would leave most of a vector empty.
template <class T>
struct PackedWeight {
  const Conv& g;
  const Patches& p;
  const Reduction& r;
  const T* dy;  // (K, N * plane) if r.copied, else (N, K, plane)
  const T* x;
  T* out;  // chunks x K x depth

  int64_t depth() const { return g.c / g.groups * p.taps(); }
  int64_t row_blocks() const { return (depth() + kPatchRows - 1) / kPatchRows; }
  // A thread's memory.
  struct Scratch {
    GridRun* runs;
    Piece* pieces;
    T* patches;

    Scratch(const PackedWeight&, Room& room)
        : runs(room.take<GridRun>(kPixels)),
          pieces(room.take<Piece>(3 * kPixels)),
          patches(room.take<T>(kPixels * kPatchRows)) {}
  };

  // out[chunk][k of the group][rows of the row block] = sum over the chunk's blocks
  void item(int64_t chunk, int64_t group, int64_t row_block, const Scratch& scratch) const {
    const auto [runs, pieces, patches] = scratch;
    const int64_t zero = 0, k0 = row_block * kPatchRows, k1 = clamp(depth(), k0, k0 + kPatchRows);
    int64_t offset[kPatchRows];
    for (int64_t i = 0; i < kPatchRows; ++i) offset[i] = i * kPixels;
    const int64_t k_group = g.k / g.groups;
    const T* x_group = x + group * (g.c / g.groups) * p.in_plane();
    T* to = out + (chunk * g.k + group * k_group) * depth() + k0;
    const int64_t first = r.blocks * chunk / r.chunks, last = r.blocks * (chunk + 1) / r.chunks;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = r.begin(b), size = r.end(b) - begin, count = grid_runs(p, begin, begin + size, runs);
      pack_patches(p, x_group, g.c * p.in_plane(), runs, count, pieces, k0, k1, patches, kPixels);
      const T* rows = r.copied ? dy + group * k_group * r.line() + begin
                               : dy + (begin / r.plane * g.k + group * k_group) * r.plane + begin % r.plane;
      dot_gemm(k_group, k1 - k0, {1, size, &zero, &zero}, rows, r.line(), patches, offset, to, depth(), b > first);
    }
    if (first == last)
      for (int64_t k = 0; k < k_group; ++k) zero_run(to + k * depth(), k1 - k0);
  }
};

// Patch rows read in place from a padded copy of a few channels; the reduction goes row by row of the output.
template <class T>
struct DirectWeight {
  const Conv& g;
  const PaddedLayout& layout;
  const T* dy;
  const T* x;
  T* out;
  int64_t chunks, channels, group_images;  // channels and images of a copy

  DirectWeight(const Conv& g, const PaddedLayout& layout, const T* dy, const T* x, T* out)
      : g(g), layout(layout), dy(dy), x(x), out(out) {
    const int64_t taps = layout.p.taps(), plane = layout.p.grid(), all = g.c / g.groups;
    channels = clamp(kPatchRows / taps, 1, all);
    group_images = clamp(kCopyValues / (channels * layout.channel_size()), 1, kMaxRows / rows() + 1);
    chunks = bounded_chunks(g, clamp(g.n * plane / (16 * kPixels), 1, g.n < kMaxChunks ? g.n : kMaxChunks));
  }
  static constexpr int64_t kCopyValues = 32 * 1024;  // of the copies of a group of images, if several fit
  static constexpr int64_t kMaxRows = 64;            // output rows that several images of a group may have together
  static constexpr int64_t slack = 2 * lanes<T>;

  int64_t rows() const { return layout.p.axis[0].grid * layout.p.axis[1].grid; }
  int64_t depth() const { return g.c / g.groups * layout.p.taps(); }
  int64_t row_blocks() const { return (g.c / g.groups + channels - 1) / channels; }
  int64_t copy_size() const { return channels * layout.channel_size() + slack; }
  // A thread's memory.
  struct Scratch {
    int64_t *from_dy, *from_copy, *offset;
    T* copy;

    Scratch(const DirectWeight& problem, Room& room)
        : from_dy(room.take<int64_t>(problem.group_images * problem.rows())),
          from_copy(room.take<int64_t>(problem.group_images * problem.rows())),
          offset(room.take<int64_t>(problem.channels * problem.layout.p.taps())),
          copy(room.take<T>(problem.group_images * problem.copy_size())) {}
  };

  // Starting a stretch costs a tile about as much as two of its steps, so rows of few vectors are better packed, unless
  // there is little to share the packing among. Measured on one core, direct / packed: 3x32x32 -> 64 0.85, 7x7 stride 2
  // 3x224x224 -> 64 0.8, 16x32x32 -> 16 0.92; but 64x56x56 -> 64 1.3, 128x28x28 -> 128 1.8.
  bool preferred() const {
    const int64_t width = layout.p.axis[2].grid, k_group = g.k / g.groups;
    const bool worthwhile = depth() <= 64 || k_group <= 16 || width >= 6 * lanes<T>;
    return worthwhile && 2 * width >= lanes<T> &&
           channels * layout.channel_size() * int64_t(sizeof(T)) <= kDirectCopyBytes;
  }

  // out[chunk][k of the group][taps of the channels of the row block] = sum over the chunk's images
  void item(int64_t chunk, int64_t group, int64_t row_block, const Scratch& scratch) const {
    const auto [from_dy, from_copy, offset, copy] = scratch;
    const int64_t all = g.c / g.groups, c0 = row_block * channels, c1 = clamp(all, c0, c0 + channels);
    const int64_t taps = layout.p.taps(), k_group = g.k / g.groups, plane = layout.p.grid();
    layout.row_offsets(0, (c1 - c0) * taps, offset);
    T* to = out + (chunk * g.k + group * k_group) * depth() + c0 * taps;
    const int64_t first = g.n * chunk / chunks, last = g.n * (chunk + 1) / chunks;
    for (int64_t image = first; image < last; image += group_images) {
      const int64_t images = clamp(last - image, 1, group_images);
      for (int64_t i = 0; i < images; ++i) {
        const T* from = x + ((image + i) * g.c + group * all + c0) * layout.p.in_plane();
        layout.fill(from, c1 - c0, copy + i * copy_size(), slack);
      }
      places(images, from_dy, from_copy);
      const T* dy_group = dy + (image * g.k + group * k_group) * plane;
      const int64_t width = layout.p.axis[2].grid, step = clamp(kPixels / width, 1, images * rows());
      for (int64_t s = 0; s < images * rows(); s += step) {
        const Stretches some{clamp(images * rows() - s, 1, step), width, from_dy + s, from_copy + s};
        dot_gemm(k_group, (c1 - c0) * taps, some, dy_group, plane, copy, offset, to, depth(), image > first || s > 0);
      }
    }
  }

 private:
  // Where the output rows of some images begin, in dy and in the copies.
  void places(int64_t images, int64_t* from_dy, int64_t* from_copy) const {
    const Axis* a = layout.p.axis;
    for (int64_t i = 0; i < images; ++i)
      for (int64_t d = 0; d < a[0].grid; ++d)
        for (int64_t h = 0; h < a[1].grid; ++h) {
          *from_dy++ = i * g.k * layout.p.grid() + (d * a[1].grid + h) * a[2].grid;
          *from_copy++ = i * copy_size() + (d * layout.extent[1] + h) * layout.extent[2];
        }
  }
};

// dy (N, K, plane) -> (K, N * plane)
template <class T>
void gather_channels(const Conv& g, int64_t plane, const T* dy, T* out) {
  parallel_for(g.k, double(g.n * g.k) * double(plane) * 0.3, [=](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for (int64_t n = 0; n < g.n; ++n) copy_run(out + (k * g.n + n) * plane, dy + (n * g.k + k) * plane, plane);
  });
}

// out[i] = sum_s parts[s * n + i], in the order of s
template <class T>
void add_chunks(int64_t n, int64_t chunks, const T* parts, T* out) {
  constexpr int64_t L = lanes<T>;
  parallel_for((n + L - 1) / L, double(n * chunks) * 0.2, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * L; i < end * L && i < n; i += L) {
      const int size = int(n - i < L ? n - i : L);
      Vec<T> sum = load_n(parts + i, size);
      for (int64_t s = 1; s < chunks; ++s) sum += load_n(parts + s * n + i, size);
      store_n(out + i, sum, size);
    }
  });
}

template <class T, class Problem>
void sum_items(const Conv& g, const Problem& problem, int64_t chunks, int64_t row_blocks) {
  const int64_t items = chunks * g.groups * row_blocks;
  const double cost =
      double(weight_size(g)) * double(g.n * g.out[0]) * double(g.out[1] * g.out[2]) * kMultiplyAddCost<T>;
  using Scratch = typename Problem::Scratch;
  const auto layout = [&problem](Room& room) { return Scratch(problem, room); };
  parallel_room(items, cost, layout, [&](int64_t begin, int64_t end, const Scratch& scratch) {
    for (int64_t i = begin; i < end; ++i)
      problem.item(i / row_blocks / g.groups, i / row_blocks % g.groups, i % row_blocks, scratch);
  });
}

inline bool empty(const Conv& g) { return g.n == 0 || weight_size(g) == 0 || g.out[0] * g.out[1] * g.out[2] == 0; }

// Values of workspace where every tap is multiplied.
template <class T>
int64_t all_taps_workspace(const Conv& g) {
  if (empty(g)) return 0;
  if (is_depthwise(g)) return depthwise_chunks(g) > 1 ? depthwise_chunks(g) * weight_size(g) : 0;
  const PaddedLayout layout(output_patches(g));
  const ChannelWeight<T> by_channels(g, layout, nullptr, nullptr, nullptr);
  if (by_channels.preferred()) {
    return by_channels.size();
  }
  const DirectWeight<T> direct(g, layout, nullptr, nullptr, nullptr);
  const Reduction r(g);
  int64_t size = 0;
  const int64_t chunks = direct.preferred() ? direct.chunks : r.chunks;
  if (!direct.preferred() && r.copied) size += g.n * g.k * r.plane;
  if (chunks > 1) size += chunks * weight_size(g);
  return size;
}

inline int64_t volume(const int64_t* extent) { return extent[0] * extent[1] * extent[2]; }

// dweight as conv_backward_weight makes it.
template <class T>
void weight_gradient(const Conv& g, const T* dy, const T* x, T* dweight, T* work) {
  if (is_depthwise(g)) {
    const int64_t chunks = depthwise_chunks(g);
    depthwise_weight(g, dy, x, chunks > 1 ? work : dweight);
    if (chunks > 1) add_chunks(weight_size(g), chunks, work, dweight);
    return;
  }
  const WinogradWeight<T> winograd(g, dy, x, work);
  const bool vanishes = all_tiny<T>({g.n * g.k * volume(g.out), dy}) || all_tiny<T>({g.n * g.c * volume(g.size), x});
  if (winograd.preferred() && !vanishes && winograd_weight_gradient(winograd, dweight)) return;
  const PaddedLayout layout(output_patches(g));
  const ChannelWeight<T> by_channels(g, layout, dy, x, work);
  if (by_channels.preferred()) {
    by_channels.pack();
    sum_items<T>(g, by_channels, by_channels.chunks, by_channels.items_per_group());
    return add_channel_parts(by_channels, dweight);
  }
  DirectWeight<T> direct(g, layout, dy, x, dweight);
  if (direct.preferred()) {
    if (direct.chunks > 1) direct.out = work;
    sum_items<T>(g, direct, direct.chunks, direct.row_blocks());
    if (direct.chunks > 1) add_chunks(weight_size(g), direct.chunks, work, dweight);
    return;
  }
  const Reduction r(g);
  if (r.copied) {
    gather_channels(g, r.plane, dy, work);
    dy = work;
    work += g.n * g.k * r.plane;
  }
  const PackedWeight<T> packed{g, layout.p, r, dy, x, r.chunks > 1 ? work : dweight};
  sum_items<T>(g, packed, r.chunks, packed.row_blocks());
  if (r.chunks > 1) add_chunks(weight_size(g), r.chunks, work, dweight);
}

}  // namespace

// Values of workspace that conv_backward_weight needs.
template <class T>
void conv_backward_weight_workspace(const Conv& g, int64_t* size) {
  *size = all_taps_workspace<T>(g);
  if (empty(g)) return;
  const WinogradWeight<T> winograd(g, nullptr, nullptr, nullptr);
  if (winograd.preferred() && winograd.size() > *size) *size = winograd.size();
}

// Which way conv_backward_weight goes, for tests: packed 0, direct 1, by channels 2, depthwise 3, Winograd 4, Winograd
// with threads together 5.
template <class T>
void conv_weight_path(const Conv& g, int64_t* path) {
  *path = is_depthwise(g) ? 3 : 0;
  if (is_depthwise(g) || empty(g)) return;
  const WinogradWeight<T> winograd(g, nullptr, nullptr, nullptr);
  *path = winograd.shared ? 5 : 4;
  if (winograd.preferred()) return;
  const PaddedLayout layout(output_patches(g));
  const bool channels = ChannelWeight<T>(g, layout, nullptr, nullptr, nullptr).preferred();
  *path = channels ? 2 : DirectWeight<T>(g, layout, nullptr, nullptr, nullptr).preferred();
}

// y[n, k, o] = bias[k] + sum weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
//   =>  dweight[k, c, t] = sum_{n, o} dy[n, k, o] * x[n, c, o * stride + t * dilation - pad]
template <class T>
void conv_backward_weight(const Conv& g, const T* dy, const T* x, T* dweight, T* work) {
  if (empty(g)) return zero_run(dweight, weight_size(g));
  compute_unflushed<T>({weight_size(g), dweight}, {g.n * g.k * volume(g.out), dy}, {g.n * g.c * volume(g.size), x},
                       [&] { weight_gradient(g, dy, x, dweight, work); });
}

// y[n, k, o] = bias[k] + …  =>  dbias[k] = sum_{n, o} dy[n, k, o], planes summed in T, then over images in double
template <class T>
void conv_backward_bias(const Conv& g, const T* dy, T* dbias) {
  const int64_t plane = g.out[0] * g.out[1] * g.out[2];
  parallel_for(g.k, double(g.n * g.k) * double(plane) * 0.15, [=](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      double sum = 0;
      for (int64_t n = 0; n < g.n; ++n) {
        const T* row = dy + (n * g.k + k) * plane;
        for (int64_t i = 0; i < plane; i += kPixels) sum += double(block_sum(row + i, clamp(plane - i, 0, kPixels)));
      }
      dbias[k] = T(sum);
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
