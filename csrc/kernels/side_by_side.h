// Pooling over windows that lie side by side, which share no input. With AVX-512 other walks take 1.2 to 2.1 times as
// long for 2x2, in the forward and in the backward.
//   forward:  rows of inputs are read where they lie; two vectors of inputs are taken apart for one vector of windows
//   backward: each output is loaded once, and its terms, those of gather.h, are written to all its inputs
#pragma once
#include "../simd/past.h"
#include "gather.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Whether windows lie side by side along all axes, and have two taps along the row.
inline bool side_by_side(const Pool& g) {
  bool is = g.kernel[2] == 2;
  for (int i = 0; i < 3; ++i) is = is && g.kernel[i] == g.stride[i] && g.pad[i] == 0 && g.dilation[i] == 1;
  return is;
}

// A vector of windows, the first of which is that of output (d, h, w); input (0, 0, 0) of its plane is at `plane`.
template <class T>
struct PairWindows {
  static constexpr bool padded = false;
  const Pool& g;
  int64_t d, h, w;
  const T *plane, *end;  // end: that of all inputs; loads may go beyond the row, but not beyond this

  template <class F>
  FASTNN_INLINE void taps(const F& f) const {
    const int64_t slices = least(g.kernel[0], g.size[0] - d * g.stride[0]);
    const int64_t rows = least(g.kernel[1], g.size[1] - h * g.stride[1]), width = g.size[2];
    const int64_t first = (d * g.stride[0] * g.size[1] + h * g.stride[1]) * width + 2 * w;
    for (int64_t kd = 0; kd < slices; ++kd)
      for (int64_t kh = 0; kh < rows; ++kh) {
        const T* x = plane + first + (kd * g.size[1] + kh) * width;
        Vec<T> even, odd;
        fetch_ahead(x), fetch_ahead(x + lanes<T>);  // with it 32×64×56×56 takes 0.9 of the time on Zen 5
        deinterleave<T>(load_part(x, end - x), load_part(x + lanes<T>, end - x - lanes<T>), even, odd);
        const Mask<T> number = splat<T>((kd * g.kernel[1] + kh) * 2);
        f(number, even);
        f(number + 1, odd);
      }
  }
};

// Computes dx of the inputs under the row of outputs that starts at `row`: of `slices` slices with `rows` rows each,
// the first of which starts at `first`. Where a row of dx is long enough and windows cover it, its tail is done by
// vectors that overlap those before.
template <class T, class Term>
FASTNN_INLINE void spread_row(const Pool& g, const Term& term, const OutputPlace& row, int64_t first, int64_t slices,
                              int64_t rows, T* dx) {
  constexpr int64_t L = lanes<T>;
  constexpr int A = Term::arrays;
  const int64_t width = g.size[2], slice = g.size[1] * width, outputs = g.out[2];
  const int64_t row_taps = g.kernel[2], slice_taps = g.kernel[1] * row_taps;
  const auto pair = [=](int64_t ix) FASTNN_FLAT {
    const OutputPlace o = {row.d, row.h, row.w + ix / 2, row.offset + ix / 2};
    Vec<T> v[A], low[A], high[A];
    term.load(o, outputs - o.w, v);
    for (int i = 0; i < A; ++i) interleave<T>(v[i], v[i], low[i], high[i]);
    const int64_t left = width - ix;
    for (int64_t d = 0; d < slices; ++d) {
      Mask<T> tap = splat<T>(d * slice_taps) + (iota<T>() & 1);
      for (int64_t h = 0, at = first + d * slice + ix; h < rows; ++h, at += width, tap += splat<T>(row_taps)) {
        Vec<T> in[2] = {};
        if constexpr (Term::of_inputs)
          in[0] = load_part(term.x + at, left), in[1] = load_part(term.x + at + L, left - L);
        store_part(dx + at, term.value(low, tap, in[0]), left);
        store_part(dx + at + L, term.value(high, tap, in[1]), left - L);
      }
    }
  };
  int64_t ix = 0;
  for (; ix + 2 * L <= width; ix += 2 * L) pair(ix);
  if (ix < width) pair(ix > 0 && width == 2 * outputs ? width - 2 * L : ix);
}

template <class T>
struct PairWalk {
  const Pool& g;

  // A row must not end within its last window, which would be read beyond the row's end.
  bool suits() const { return side_by_side(g) && 2 * g.out[2] <= g.size[2]; }

  template <class Out, class F>
  void forward(T, double cost, const T* x, const Out& y, const F& f) const {
    const int64_t image = g.size[0] * g.size[1] * g.size[2];
    parallel_for(output_rows(g), cost, [=, &g = g](int64_t begin, int64_t end) {
      each_output_row(g, begin, end, [=, &g](int64_t plane, int64_t d, int64_t h, int64_t row) FASTNN_FLAT {
        PairWindows<T> windows = {g, d, h, 0, x + plane * image, x + g.n * g.c * image};
        for (; windows.w < g.out[2]; windows.w += lanes<T>) {
          Vec<T> results[Out::arrays];
          f(windows, results);
          y.put(row + windows.w, results, clamp_lane<T>(g.out[2] - windows.w));
        }
      });
    });
  }
};

// The gradient of windows that lie side by side. Inputs beyond the last window get 0.
template <class T>
struct SpreadWalk {
  const Pool& g;

  bool suits() const { return side_by_side(g); }

  template <class Term>
  void backward(const Term& term, double cost, T* dx) const {
    parallel_for(output_rows(g), cost, [&, &shared = g](int64_t begin, int64_t end) {
      // Copies, because a store to dx might change what is behind a reference: it would be loaded again each time.
      const Pool g = shared;
      const Term own = term;
      each_output_row(g, begin, end, [&](int64_t plane, int64_t od, int64_t oh, int64_t offset) FASTNN_FLAT {
        const int64_t d = od * g.stride[0], h = oh * g.stride[1], width = g.size[2];
        const int64_t slices = least(g.kernel[0], g.size[0] - d), rows = least(g.kernel[1], g.size[1] - h);
        const int64_t first = ((plane * g.size[0] + d) * g.size[1] + h) * width;
        spread_row(g, own, {od, oh, 0, offset}, first, slices, rows, dx);
        const int64_t to_d = od + 1 < g.out[0] ? slices : g.size[0] - d,
                      to_h = oh + 1 < g.out[1] ? rows : g.size[1] - h;
        T* const rest = dx + first + rows * width;
        if (to_h > rows)
          for (int64_t i = 0; i < slices; ++i) zero_run(rest + i * g.size[1] * width, (to_h - rows) * width);
        for (int64_t i = slices; i < to_d; ++i) zero_run(dx + first + i * g.size[1] * width, to_h * width);
      });
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
