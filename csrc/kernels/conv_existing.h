// Convolution over the taps that exist alone. The other ways read zeros where a tap lies outside of the image, and an infinite
// weight times such a zero is not a number. Here no such product is made, at a fraction of their speed; it is for weights that
// aren't finite.
#pragma once
#include "../parallel.h"
#include "../tune.h"
#include "conv_patches.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Outputs of a row that tap `tap` of its axis meets: begin <= g < end with 0 <= g * step + offset < in.
struct Meeting {
  int64_t begin, end, offset;

  Meeting(const Axis& a, int64_t tap) : offset(a.offset + tap * a.offset_step) {
    begin = offset < 0 ? clamp(ceil_div(-offset, a.step), 0, a.grid) : 0;
    end = a.in > offset ? clamp(ceil_div(a.in - offset, a.step), begin, a.grid) : begin;
  }
};

// y (images, channels_out, …) on the grid of p, of x (images, channels_in, …): bias (channels_out, may be null) + the products
// with weights.at(group, channel in, channel out)[the tap's position].
template <class T, class Weights>
void multiply_existing(const Patches& p, const T* x, T* y, int64_t images, int64_t channels_in, int64_t channels_out,
                       int64_t groups, const Weights& weights, const T* bias) {
  const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
  const int64_t rows = D.grid * H.grid, in = channels_in / groups, out = channels_out / groups, width = W.grid;
  if (p.taps() == 0) return;
  const double cost =
      double(images * channels_out) * double(p.grid()) * double(in * p.taps()) * 10 * kMultiplyAddCost<T>;
  parallel_scratch(
      images * channels_out * rows, cost, size_t(width) * sizeof(T), [&](int64_t first, int64_t last, void* memory) {
        T* sum = static_cast<T*>(memory);
        for (int64_t item = first; item < last; ++item) {
          const int64_t plane = item / rows, image = plane / channels_out, channel = plane % channels_out,
                        group = channel / out;
          const int64_t d = item % rows / H.grid, h = item % H.grid;
          fill_run(sum, bias ? bias[channel] : T(0), width);
          for (int64_t c = 0; c < in; ++c) {
            const T* from = x + (image * channels_in + group * in + c) * p.in_plane();
            const T* w = weights.at(group, c, channel - group * out);
            for (int64_t t = 0; t < p.taps(); ++t) {
              const int64_t td = t / W.taps / H.taps, th = t / W.taps % H.taps;
              const int64_t at_d = d * D.step + D.offset + td * D.offset_step,
                            at_h = h * H.step + H.offset + th * H.offset_step;
              if (at_d < 0 || at_d >= D.in || at_h < 0 || at_h >= H.in) continue;
              const Meeting meeting(W, t % W.taps);
              const T* row = from + (at_d * H.in + at_h) * W.in + meeting.offset;
              const Vec<T> factor = set1(w[weights.position(t)]);
              int64_t i = meeting.begin;
              if (W.step == 1)
                for (; i < meeting.end; i += lanes<T>) {
                  const int64_t left = meeting.end - i;
                  store_part(sum + i, fma(factor, load_part(row + i, left), load_part(sum + i, left)), left);
                }
              for (; i < meeting.end; ++i) sum[i] += factor[0] * row[i * W.step];
            }
          }
          T* to = y + plane * p.out_plane() +
                  ((D.out_begin + d * D.out_step) * H.out_size + H.out_begin + h * H.out_step) * W.out_size;
          for (int64_t i = 0; i < width; ++i) to[W.out_begin + i * W.out_step] = sum[i];
        }
      });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
