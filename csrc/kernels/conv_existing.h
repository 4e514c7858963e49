// Convolution over the taps inside the image alone. The other ways read zeros where a tap lies outside of the image,
// and an infinite weight times such a zero is not a number. Here no such product is made, at a fraction of the other
// ways' speed; this is for weights that aren't finite.
#pragma once
#include "conv_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// This takes about so many times as long as a product in tiles. The number only decides how many threads are asked to
// help.
constexpr double kExistingCost = 10;

template <class T>
void multiply_existing(const Product<T>& product) {
  const Patches& p = product.p;
  const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
  const int64_t rows = p.grid_rows(), out = product.group_out(), width = W.grid;
  // Adds to `sum`, an output row, the products of its taps in one input channel.
  const auto add_channel = [&](int64_t d, int64_t h, const T* x, const T* taps, T* sum) {
    for (int64_t t = 0; t < p.taps(); ++t) {
      const int64_t at_d = d * D.step + D.offset + t / W.taps / H.taps * D.offset_step;
      const int64_t at_h = h * H.step + H.offset + t / W.taps % H.taps * H.offset_step;
      if (at_d < 0 || at_d >= D.in || at_h < 0 || at_h >= H.in) continue;
      const int64_t first = W.offset + t % W.taps * W.offset_step;
      const auto [begin, end] = inside(first, W.step, width, W.in);
      const T* row = x + (at_d * H.in + at_h) * W.in + first;
      const Vec<T> factor = set1(taps[p.weight_position(t, product.kernel)]);
      int64_t i = begin;
      if (W.step == 1)
        for (; i < end; i += lanes<T>) {
          const int64_t left = end - i;
          store_part(sum + i, fma(factor, load_part(row + i, left), load_part(sum + i, left)), left);
        }
      for (; i < end; ++i) sum[i] += factor[0] * row[i * W.step];
    }
  };
  parallel_values<T>(product.images * product.channels_out * rows, kExistingCost * product.cost(), width,
                     [&](int64_t first, int64_t last, T* sum) {
                       for (int64_t item = first; item < last; ++item) {
                         const int64_t plane = item / rows, r = item % rows, channel = plane % product.channels_out,
                                       group = channel / out;
                         const T* x = product.plane_in(plane / product.channels_out, group);
                         fill_run(sum, product.bias ? product.bias[channel] : T(0), width);
                         for (int64_t c = 0; c < product.group_in(); ++c, x += p.in_plane())
                           add_channel(r / H.grid, r % H.grid, x, product.taps_of(group, c, channel - group * out),
                                       sum);
                         T* to = product.y + plane * p.out_plane() + p.row_place(r);
                         for (int64_t i = 0; i < width; ++i) to[i * W.out_step] = sum[i];
                       }
                     });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
