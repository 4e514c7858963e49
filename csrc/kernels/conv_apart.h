// Data gradient of a convolution whose kernel is its stride, or the forward pass of such a transposed convolution.
// Windows share no input, so all phases of the stride are one product, with a column for each channel and tap of dx:
//   dx[n, c, o * stride + t] = bias[c] + sum_k dy[n, k, o] * weight[k, (c, t)]
// Lanes run along (c, t), in which order the weights lie in memory. The rows of a tile are positions of dy, which are
// read where they lie. Nothing is packed, and a tile's results go to dx as runs of taps that lie side by side.
#pragma once
#include "conv_depthwise.h"

namespace fastnn::FASTNN_ISA {
namespace {

// The arrays of a convolution's data gradient; or of a transposed convolution's forward pass, which is the same
// computation, with a bias.
template <class T>
struct DataGradient {
  const Conv& g;
  const T *dy, *weights, *bias;  // bias (C) may be null
  T* dx;
};

// This way is taken for at most so many values of dx for each tap. On Zen 5 a transposed convolution as one product
// takes the following share of its time phase by phase: 0.37 for 1x4x5x5x5 with 2x2x2 taps; with 2x2 taps 0.56 for
// 8x32x14x14, 0.8 for 1x128x14x14, but 1.1 for 1x64x56x56 and 16x256x7x7, whose weights are then read a page apart.
constexpr int64_t kApartValues = 96 * 1024;

template <class T>
struct Apart {
  const DataGradient<T>& gradient;
  const Conv& g = gradient.g;
  int64_t plane = volume(g.out), k_group = g.k / g.groups, c_group = g.c / g.groups;
  int64_t columns = c_group * volume(g.kernel), runs = columns / g.kernel[2];  // of a group

  const char* name() const { return "apart"; }

  // Whether the kernel is the stride, runs of taps divide a tile's columns, and the work is small.
  bool suits() const {
    for (int d = 0; d < 3; ++d)
      if (g.kernel[d] != g.stride[d] || g.pad[d] || g.dilation[d] != 1 || g.size[d] != g.out[d] * g.stride[d])
        return false;
    const int64_t values = g.n * g.c * volume(g.size);
    return !is_depthwise(g.c, g.k, g.groups, g.kernel) && k_group <= kLongSum && g.kernel[2] > 1 &&
           kTileCols<T> % g.kernel[2] == 0 && values > 0 && values <= kApartValues * volume(g.kernel) &&
           g.k * columns <= INT32_MAX;
  }
  // A tile reads kTileCols columns at a time. Where `columns` is not a multiple of that, the weights are copied, so
  // that there is memory behind them to be read.
  bool run() const {
    if (columns % kTileCols<T> == 0) return multiply(gradient.weights), true;
    shared_values<T>(g.k * columns + kTileCols<T>, [this](T* copy) {
      copy_run(copy, gradient.weights, g.k * columns);
      multiply(copy);
    });
    return true;
  }

  // A thread's memory.
  struct Scratch {
    int64_t* place;   // where in dx each run of a group's columns begins, seen from the place of its position
    T* start;         // the bias of each column
    int32_t* offset;  // where each row of a group's weights begins
  };
  Scratch scratch(Room& room) const {
    return {room.take<int64_t>(runs), room.take<T>(g.groups * columns + kTileCols<T>), room.take<int32_t>(k_group)};
  }
  void fill(const Scratch& scratch) const {
    int64_t* next = scratch.place;
    for (int64_t c = 0; c < c_group; ++c)
      for (int64_t d = 0; d < g.kernel[0]; ++d)
        for (int64_t h = 0; h < g.kernel[1]; ++h) *next++ = ((c * g.size[0] + d) * g.size[1] + h) * g.size[2];
    const int64_t taps = volume(g.kernel);
    zero_run(scratch.start, g.groups * columns + kTileCols<T>);
    for (int64_t c = 0; gradient.bias && c < g.c; ++c) fill_run(scratch.start + c * taps, gradient.bias[c], taps);
    for (int64_t k = 0; k < k_group; ++k) scratch.offset[k] = int32_t(k * columns);
  }

  // An item is one block of positions of one group of one image.
  void multiply(const T* weights) const {
    const RowBlocks blocks(plane);
    const double cost = double(g.n * g.k * plane) * double(columns) * kMultiplyAddCost<T>;
    parallel_with(g.n * g.groups * blocks.count, cost, *this, [&](int64_t begin, int64_t end, const Scratch& scratch) {
      fill(scratch);
      for (int64_t item = begin; item < end; ++item) {
        const int64_t group = item / blocks.count % g.groups, image = item / blocks.count / g.groups;
        multiply_rows(blocks, item % blocks.count, image, group, weights, scratch);
      }
    });
  }
  void multiply_rows(const RowBlocks& blocks, int64_t block, int64_t image, int64_t group, const T* weights,
                     const Scratch& scratch) const {
    alignas(64) T tile[kTileRows * kTileCols<T>];
    const int rows = blocks.size(block);
    int64_t position[kTileRows];
    positions(blocks.begin(block), rows, position);
    const T* from = gradient.dy + (image * g.k + group * k_group) * plane + blocks.begin(block);
    T* dx = gradient.dx + (image * g.c + group * c_group) * volume(g.size);
    for (int64_t j = 0; j < columns; j += kTileCols<T>) {
      Columns<T> to(scratch.offset);
      to.lda = plane, to.start = scratch.start + group * columns + j;
      to.read(weights + group * k_group * columns + j), to.write(tile);
      outer_tile_for<T, kTileVectors>(rows)(k_group, from, to, 0, false, nullptr);
      const int64_t wide = least(columns - j, kTileCols<T>);
      write(tile, rows, position, wide / g.kernel[2], scratch.place + j / g.kernel[2], dx);
    }
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
  // Writes n runs of each row of a tile to dx.
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

}  // namespace
}  // namespace fastnn::FASTNN_ISA
