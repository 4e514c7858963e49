// Copies in which lanes run across images or channels: values at one position lie side by side.
#pragma once
#include "../simd/transpose.h"
#include "conv_layout.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Places for the positions of one plane: in[i] is where input position i lies in a channel of the copy (-1 where no tap
// reads it), and from[g] is where output position g of the grid reads from.
struct LanePlaces {
  int32_t *in, *from;

  LanePlaces(const PaddedLayout& l, Room& room)
      : in(room.take<int32_t>(l.p.in_plane())), from(room.take<int32_t>(l.p.grid())) {}
  void fill(const PaddedLayout& l) const {
    const Axis &D = l.p.axis[0], &H = l.p.axis[1], &W = l.p.axis[2];
    // A place is the sum of the shares of its slice, row and column. The columns' shares are kept in the first row of
    // `in`, which is therefore filled last. They are computed once, because each takes a division: to divide for every
    // place took a fifth of the time of conv_transpose3d's weight gradient.
    for (int64_t w = 0; w < W.in; ++w) in[w] = int32_t(l.axis_place(2, w));
    for (int64_t d = D.in - 1; d >= 0; --d)
      for (int64_t h = H.in - 1; h >= 0; --h) {
        const int64_t plane = l.axis_place(0, d), line = l.axis_place(1, h);
        const int32_t share = int32_t(plane + line), unread = plane < 0 || line < 0 ? -1 : 0;
        int32_t* row = in + (d * H.in + h) * W.in;
        for (int64_t w = 0; w < W.in; ++w) row[w] = in[w] < 0 ? -1 : (in[w] + share) | unread;
      }
    int32_t* next = from;
    for (int64_t d = 0; d < D.grid; ++d)
      for (int64_t h = 0; h < H.grid; ++h)
        for (int64_t w = 0; w < W.grid; ++w) *next++ = int32_t((d * l.extent[1] + h) * l.extent[2] + w);
  }
};

// Loads `size` elements of row n into t[n], for the rows n below `count`; other t[n] stay as they are.
template <class T>
FASTNN_INLINE void load_rows(const T* from, int64_t stride, int64_t count, int size, Vec<T> (&t)[lanes<T>]) {
  if (count == lanes<T> && size == lanes<T>) {
#pragma GCC unroll 16
    for (int n = 0; n < lanes<T>; ++n) t[n] = load(from + n * stride);
  } else {
#pragma GCC unroll 16
    for (int n = 0; n < lanes<T>; ++n)
      if (n < count) t[n] = load_n(from + n * stride, size);
  }
}

// copy[(c * channel_size + place[i]) * V * lanes + n] = x[n * image_stride + c * plane + i]; the lanes n of images that
// don't exist become 0.
template <class T, int V>
void copy_lanes(const T* x, int64_t images, int64_t image_stride, int64_t channels, int64_t plane, const int32_t* place,
                int64_t channel_size, T* copy) {
  constexpr int64_t L = lanes<T>;
  for (int64_t c = 0; c < channels; ++c, x += plane, copy += channel_size * V * L)
    for (int64_t i0 = 0; i0 < plane; i0 += L) {
      const int size = int(plane - i0 < L ? plane - i0 : L);
      for (int v = 0; v < V; ++v) {
        Vec<T> t[L] = {};
        load_rows(x + v * L * image_stride + i0, image_stride, clamp(images - v * L, 0, L), size, t);
        transpose<T>(t);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < size && place[i0 + i] >= 0) store(copy + (place[i0 + i] * V + v) * L, t[i]);
      }
    }
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
