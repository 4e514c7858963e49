// Convolution backward-weight and backward-bias: products over pixels, in which both operands are contiguous.
//   dy (N, K, out)  x (N, C, size)  ->  dweight (K, C/groups, kernel), dbias (K)
//
// The reduction over images and pixels is cut into blocks, and the blocks into chunks, by the shape alone; each chunk
// sums into a partial result of its own and the partial results are added in order.
#include "../simd/reduce.h"
#include "conv_patches.h"
#include "gemm_tile.h"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kPixels = 512;   // longest block: the rows of a dot tile together fit the first-level cache
constexpr int64_t kPatchRows = 32;   // rows of the patch matrix per item
constexpr int64_t kMaxChunks = 16;
constexpr int64_t kPartialValues = 4 << 20;  // partial results together stay below this

// How the sum over (image, pixel) is cut. Large planes are read where they lie, a block within an image; of small
// ones dy is first copied to (K, N * plane), so that a block can run over many images.
struct Reduction {
  bool copied;
  int64_t plane, images, block_columns, blocks, chunks;

  Reduction(const Conv& g) : plane(g.out[0] * g.out[1] * g.out[2]), images(g.n) {
    copied = plane < kPixels / 2 && images > 1;
    const int64_t line = copied ? plane * images : plane, per_line = (line + kPixels - 1) / kPixels;
    block_columns = per_line ? (line + per_line - 1) / per_line : 0;
    blocks = per_line * (copied ? 1 : images);
    const int64_t values = g.k * (g.c / g.groups) * g.kernel[0] * g.kernel[1] * g.kernel[2];
    chunks = clamp(blocks / 2, 1, kMaxChunks);
    if (chunks * values > kPartialValues) chunks = clamp(kPartialValues / (values ? values : 1), 1, chunks);
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

template <class T>
struct WeightProblem {
  const Conv& g;
  const Patches& p;
  const Reduction& r;
  const T* dy;  // (K, N * plane) if r.copied, else (N, K, plane)
  const T* x;
  T* out;  // chunks x K x depth

  int64_t depth() const { return g.c / g.groups * p.taps(); }
  int64_t row_blocks() const { return (depth() + kPatchRows - 1) / kPatchRows; }

  // out[chunk][k of the group][rows of the row block] = sum over the chunk's blocks
  void item(int64_t chunk, int64_t group, int64_t row_block, char* scratch) const {
    GridRun* runs = reinterpret_cast<GridRun*>(scratch);
    Piece* pieces = reinterpret_cast<Piece*>(runs + kPixels);
    T* patches = reinterpret_cast<T*>(pieces + 3 * kPixels);
    int64_t offset[kPatchRows];
    for (int64_t i = 0; i < kPatchRows; ++i) offset[i] = i * kPixels;
    const int64_t k0 = row_block * kPatchRows, k1 = k0 + kPatchRows < depth() ? k0 + kPatchRows : depth();
    const int64_t k_group = g.k / g.groups, image_stride = g.c * p.in_plane();
    const T* x_group = x + group * (g.c / g.groups) * p.in_plane();
    T* to = out + (chunk * g.k + group * k_group) * depth() + k0;
    const int64_t first = r.blocks * chunk / r.chunks, last = r.blocks * (chunk + 1) / r.chunks;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = r.begin(b), size = r.end(b) - begin;
      const int64_t count = grid_runs(p, begin, begin + size, runs);
      pack_patches(p, x_group, image_stride, runs, count, pieces, k0, k1, patches, kPixels);
      const T* rows = r.copied ? dy + group * k_group * r.line() + begin
                               : dy + (begin / r.plane * g.k + group * k_group) * r.plane + begin % r.plane;
      dot_gemm(k_group, k1 - k0, size, rows, r.line(), patches, offset, to, depth(), b > first);
    }
    if (first == last)
      for (int64_t k = 0; k < k_group; ++k) zero_run(to + k * depth(), k1 - k0);
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

}  // namespace

// Values of workspace that conv_backward_weight needs.
template <class T>
void conv_backward_weight_workspace(const Conv& g, int64_t* size) {
  const Reduction r(g);
  const int64_t values = g.k * (g.c / g.groups) * g.kernel[0] * g.kernel[1] * g.kernel[2];
  *size = (r.copied ? g.n * g.k * r.plane : 0) + (r.chunks > 1 ? r.chunks * values : 0);
}

// y[n, k, o] = bias[k] + sum weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
//   =>  dweight[k, c, t] = sum_{n, o} dy[n, k, o] * x[n, c, o * stride + t * dilation - pad]
template <class T>
void conv_backward_weight(const Conv& g, const T* dy, const T* x, T* dweight, T* work) {
  const Patches p = output_patches(g);
  const Reduction r(g);
  const int64_t values = g.k * (g.c / g.groups) * p.taps();
  if (r.copied) {
    gather_channels(g, r.plane, dy, work);
    dy = work;
    work += g.n * g.k * r.plane;
  }
  const WeightProblem<T> problem{g, p, r, dy, x, r.chunks > 1 ? work : dweight};
  const int64_t row_blocks = problem.row_blocks(), items = r.chunks * g.groups * row_blocks;
  const double cost = double(values) * double(g.n * r.plane) * kMultiplyAddCost<T>;
  const size_t scratch = kPixels * (sizeof(GridRun) + 3 * sizeof(Piece) + kPatchRows * sizeof(T));
  parallel_scratch(items, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    for (int64_t i = begin; i < end; ++i)
      problem.item(i / row_blocks / g.groups, i / row_blocks % g.groups, i % row_blocks, static_cast<char*>(memory));
  });
  if (r.chunks > 1) add_chunks(values, r.chunks, work, dweight);
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

#define FASTNN_FAMILY_CONV_WEIGHT 1
#define FASTNN_IN(family) FASTNN_FAMILY_##family
#include "instantiate.inc"
