// Data gradient of a convolution whose kernel is its stride, or such a transposed convolution. Windows share no input, so
// all phases of the stride are one product, with a column for each channel and tap of dx:
//   dx[n, c, o * stride + t] = bias[c] + sum_k dy[n, k, o] * weight[k, (c, t)]
// Lanes run along (c, t), as the weights lie, and the rows of a tile are positions of dy where they lie. Nothing is packed,
// and a tile's results go to dx as runs of the taps side by side.
#pragma once
#include "../simd/copy.h"
#include "conv_depthwise.h"
#include "gemm_driver.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Most values of dx for each tap. On Zen 5 all phases together take, of the time they take one by one, 0.37 for a transposed
// convolution of 1x4x5x5x5 with 2x2x2 taps, with 2x2 taps 0.56 for 8x32x14x14 and 0.8 for 1x128x14x14, but 1.1 for 1x64x56x56
// and 16x256x7x7, whose weights are then read a page apart.
constexpr int64_t kApartValues = 96 * 1024;

inline int64_t apart_weights(const Conv& g) { return g.k * (g.c / g.groups) * g.kernel[0] * g.kernel[1] * g.kernel[2]; }

// Whether the kernel is the stride, runs of taps divide a tile's columns, and the work is small.
template <class T>
bool lies_apart(const Conv& g) {
  for (int d = 0; d < 3; ++d)
    if (g.kernel[d] != g.stride[d] || g.pad[d] || g.dilation[d] != 1 || g.size[d] != g.out[d] * g.stride[d])
      return false;
  const int64_t volume = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const int64_t values = g.n * g.c * g.size[0] * g.size[1] * g.size[2];
  return !is_depthwise(g) && g.k / g.groups <= kLongSum && g.kernel[2] > 1 && kTileCols<T> % g.kernel[2] == 0 &&
         values > 0 && values <= kApartValues * volume && apart_weights(g) <= INT32_MAX;
}

template <class T>
struct ApartProblem {
  const Conv& g;
  int64_t plane = g.out[0] * g.out[1] * g.out[2], k_group = g.k / g.groups, c_group = g.c / g.groups;
  int64_t volume = g.kernel[0] * g.kernel[1] * g.kernel[2], columns = c_group * volume, runs = columns / g.kernel[2];

  size_t scratch() const {
    const int64_t starts = g.groups * columns + kTileCols<T>;
    return size_t(runs) * sizeof(int64_t) + size_t(starts) * sizeof(T) + size_t(k_group) * sizeof(int32_t);
  }
  // Where each run of a group's columns begins in dx, seen from its position.
  void places(int64_t* place) const {
    for (int64_t c = 0; c < c_group; ++c)
      for (int64_t d = 0; d < g.kernel[0]; ++d)
        for (int64_t h = 0; h < g.kernel[1]; ++h) *place++ = ((c * g.size[0] + d) * g.size[1] + h) * g.size[2];
  }
  // Where positions i0 … i0 + rows of dy lie in a plane of dx.
  void positions(int64_t i0, int rows, int64_t* position) const {
    int64_t w = i0 % g.out[2], h = i0 / g.out[2] % g.out[1], d = i0 / g.out[2] / g.out[1];
    for (int i = 0; i < rows; ++i) {
      position[i] = (d * g.stride[0] * g.size[1] + h * g.stride[1]) * g.size[2] + w * g.stride[2];
      if (++w == g.out[2]) w = 0, ++h;
      if (h == g.out[1]) h = 0, ++d;
    }
  }
  // The runs of a tile.
  void write(const T* tile, int rows, const int64_t* position, int64_t n, const int64_t* place, T* dx) const {
    const int64_t size = g.kernel[2];
    for (int64_t r = 0; r < n; ++r)
      for (int i = 0; i < rows; ++i) {
        const T* from = tile + i * kTileCols<T> + r * size;
        T* to = dx + place[r] + position[i];
        if (size == 2)
          *reinterpret_cast<Few<T, 2>*>(to) = *reinterpret_cast<const Few<T, 2>*>(from);
        else
          for (int64_t t = 0; t < size; ++t) to[t] = from[t];
      }
  }
};

// bias may be null. packed: room for the weights, and kPackedSlack values more that tiles may read.
template <class T>
void apart_product(const Conv& g, const T* dy, const T* w, const T* bias, T* dx, T* packed) {
  const ApartProblem<T> problem{g};
  if (problem.columns % kTileCols<T>) copy_run(packed, w, apart_weights(g)), w = packed;
  const int64_t plane = problem.plane, columns = problem.columns, depth = problem.k_group;
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2];
  const RowBlocks blocks(plane);
  const double cost = double(g.n * g.k * plane) * double(columns) * kMultiplyAddCost<T>;
  parallel_scratch(
      g.n * g.groups * blocks.count, cost, problem.scratch(), [&](int64_t begin, int64_t end, void* memory) {
        int64_t* place = static_cast<int64_t*>(memory);
        T* start = reinterpret_cast<T*>(place + problem.runs);
        int32_t* offset = reinterpret_cast<int32_t*>(start + g.groups * columns + kTileCols<T>);
        problem.places(place);
        zero_run(start, g.groups * columns + kTileCols<T>);
        for (int64_t c = 0; bias && c < g.c; ++c) fill_run(start + c * problem.volume, bias[c], problem.volume);
        for (int64_t k = 0; k < depth; ++k) offset[k] = int32_t(k * columns);
        alignas(64) T tile[kTileRows * kTileCols<T>];
        for (int64_t item = begin; item < end; ++item) {
          const int64_t block = item % blocks.count, group = item / blocks.count % g.groups,
                        image = item / blocks.count / g.groups;
          const int rows = blocks.size(block);
          int64_t position[kTileRows];
          problem.positions(blocks.begin(block), rows, position);
          for (int64_t j = 0; j < columns; j += kTileCols<T>) {
            Columns<T> to;
            to.offset = offset, to.ldc = kTileCols<T>, to.lda = plane, to.start = start + group * columns + j;
            for (int v = 0; v < kTileVectors; ++v) {
              to.b[v] = w + group * depth * columns + j + v * lanes<T>;
              to.c[v] = tile + v * lanes<T>, to.size[v] = lanes<T>;
            }
            const T* from = dy + (image * g.k + group * depth) * plane + blocks.begin(block);
            outer_tile_for<T, kTileVectors>(rows)(depth, from, to, 0, false, nullptr);
            const int64_t wide = columns - j < kTileCols<T> ? columns - j : kTileCols<T>;
            problem.write(tile, rows, position, wide / g.kernel[2], place + j / g.kernel[2],
                          dx + (image * g.c + group * problem.c_group) * inputs);
          }
        }
      });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
