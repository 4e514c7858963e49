// The walk of a forward pass that takes any windows: lanes are consecutive outputs of a row.
//
// The inputs under a block of the output are first copied to scratch ("staged"). What lies around the image is filled
// there, and with a stride s along the row, columns are sorted by their remainder modulo s. So tap k of a vector of
// windows is one whole load, however windows overlap and wherever they lie.
#pragma once
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

// The staged inputs under a block of the output. If the next block is at the same place in another plane, only the
// values of the inputs change.
template <class T>
class InputStage {
 public:
  static constexpr int64_t L = lanes<T>;

  static BlockLimits limits(const Pool& g) {
    return {g.out, most(kBlockElements / (g.stride[1] * g.stride[2]), 1), most(kBlockColumns / g.stride[2] / L, 1) * L};
  }
  InputStage(const Pool& g, T filler, Room& room)
      : distance(room.take<int64_t>(g.kernel[2])),
        g_(g),
        filler_(filler),
        under_(limits(g), g.kernel[0] * g.kernel[1], room) {
    const BlockLimits block = limits(g);
    const int64_t rows = most_inputs(g, 0, block.slices) * most_inputs(g, 1, block.rows);
    first_ = room.take<T>(rows * g.stride[2] * phase_size(block.columns));
  }

  void fill(const T* x, int64_t plane, const ImageBlock& block) {
    if (!same(block, block_)) place(block);
    T* to = first_;
    for (int64_t d = d_.begin; d < d_.end; ++d)
      for (int64_t h = h_.begin; h < h_.end; ++h, to += g_.stride[2] * phase)
        fill_row(x + ((plane * g_.size[0] + d) * g_.size[1] + h) * g_.size[2], to);
  }
  // The rows of inputs under each row of the block.
  const RowLists<T>& under() const { return under_; }

  int64_t phase = 0;  // distance of the columns of one remainder from those of the next
  int64_t* distance;  // distance[k] is that of tap k of a row from the row's tap 0

 private:
  int64_t phase_size(int64_t outputs) const { return outputs + reach(g_, 2) / g_.stride[2] + L; }

  void place(const ImageBlock& block) {
    block_ = block;
    d_ = inputs_under(g_, 0, block.d), h_ = inputs_under(g_, 1, block.h), w_ = inputs_under(g_, 2, block.w);
    start_ = block.w.begin * g_.stride[2] - g_.pad[2];
    phase = phase_size(block.w.end - block.w.begin);
    fill_run(first_, filler_, (d_.end - d_.begin) * (h_.end - h_.begin) * g_.stride[2] * phase);
    for (int64_t k = 0; k < g_.kernel[2]; ++k) {
      const int64_t at = k * g_.dilation[2];
      distance[k] = at % g_.stride[2] * phase + at / g_.stride[2];
    }
    under_.make(block, [this](int64_t od, int64_t oh, StagedRow<T>* found) { return find_rows(od, oh, found); });
  }
  int64_t find_rows(int64_t od, int64_t oh, StagedRow<T>* found) const {
    const Range kd = taps_inside(g_, 0, od), kh = taps_inside(g_, 1, oh);
    int64_t count = 0;
    for (int64_t d = kd.begin; d < kd.end; ++d)
      for (int64_t h = kh.begin; h < kh.end; ++h) {
        const int64_t id = od * g_.stride[0] - g_.pad[0] + d * g_.dilation[0] - d_.begin;
        const int64_t ih = oh * g_.stride[1] - g_.pad[1] + h * g_.dilation[1] - h_.begin;
        const T* row = first_ + (id * (h_.end - h_.begin) + ih) * g_.stride[2] * phase;
        found[count++] = {row - block_.w.begin, (d * g_.kernel[1] + h) * g_.kernel[2]};
      }
    return count;
  }
  FASTNN_INLINE void fill_row(const T* x, T* to) const {
    const int64_t stride = g_.stride[2], first = w_.begin - start_, n = w_.end - w_.begin, size = phase;
    x += w_.begin;
    if (stride == 1) return copy_run(to + first, x, n);
    const auto at = [=](int64_t i) { return to + i % stride * size + i / stride; };
    if (stride == 2) return take_apart(x, n, at(first), at(first + 1));
    for (int64_t i = 0; i < least(stride, n); ++i) gather_run(at(first + i), x + i, ceil_div(n - i, stride), stride);
  }
  // even[i] = x[2 i], odd[i] = x[2 i + 1]
  static FASTNN_INLINE void take_apart(const T* x, int64_t n, T* even, T* odd) {
    Vec<T> a, b;
    int64_t i = 0;
    for (; i + 2 * L <= n; i += 2 * L, even += L, odd += L) {
      deinterleave<T>(load(x + i), load(x + i + L), a, b);
      store(even, a), store(odd, b);
    }
    deinterleave<T>(load_part(x + i, n - i), load_part(x + i + L, n - i - L), a, b);
    store_part(even, a, (n - i + 1) / 2), store_part(odd, b, (n - i) / 2);
  }

  const Pool& g_;
  T filler_;
  ImageBlock block_ = {};
  Range d_ = {}, h_ = {}, w_ = {};
  int64_t start_ = 0;
  RowLists<T> under_;
  T* first_;
};

// A vector of windows, the first of which is that of output (d, h, w). Stride and Kernel are the stride and the size of
// the kernel along the row, where the dilation is then 1; or they are 0, and all three may be any.
template <class T, int Stride, int Kernel>
struct Windows {
  static constexpr bool padded = true;
  const Pool& g;
  int64_t d, h, w;
  const StagedRow<T>* rows;
  int64_t count, phase;
  const int64_t* distance;

  // Taps in rows outside the image are left out; taps beside a row give the filler.
  template <class F>
  FASTNN_INLINE void taps(const F& f) const {
    for (int64_t r = 0; r < count; ++r) {
      const T* x = whole_address(rows[r].values + w);
      const Mask<T> number = splat<T>(rows[r].tap);
      if constexpr (Kernel > 0)
#pragma GCC unroll 8
        for (int k = 0; k < Kernel; ++k) f(number + k, load(x + k % Stride * phase + k / Stride));
      else
        for (int64_t k = 0; k < g.kernel[2]; ++k) f(number + splat<T>(k), load(x + distance[k]));
    }
  }
  Mask<T> first_tap() const {
    const int64_t tap = taps_inside(g, 0, d).begin * g.kernel[1] + taps_inside(g, 1, h).begin;
    Mask<T> first = splat<T>(tap * g.kernel[2]);
    for (int64_t k = 0, i = w * g.stride[2] - g.pad[2]; k < g.kernel[2] && i < 0; ++k, i += g.dilation[2])
      first -= ramp<T>(i, g.stride[2]) < Mask<T>{};
    return first;
  }
};

template <class T>
struct RowWalk {
  const Pool& g;

  bool suits() const { return true; }

  template <class Out, class F>
  void forward(T filler, double cost, const T* x, const Out& y, const F& f) const {
    const int64_t kernel = g.dilation[2] == 1 ? g.kernel[2] : 0;
    const auto layout = [=, &g = g](Room& room) { return InputStage<T>(g, filler, room); };
    parallel_room(output_rows(g), cost, layout, [&, &g = g](int64_t begin, int64_t end, InputStage<T> stage) {
      if (g.stride[2] == 2 && kernel == 2)
        blocks<2, 2>(g, x, begin, end, stage, y, f);
      else if (g.stride[2] == 2 && kernel == 3)
        blocks<2, 3>(g, x, begin, end, stage, y, f);
      else if (g.stride[2] == 1 && kernel == 3)
        blocks<1, 3>(g, x, begin, end, stage, y, f);
      else
        blocks<0, 0>(g, x, begin, end, stage, y, f);
    });
  }

 private:
  template <int Stride, int Kernel, class Out, class F>
  static void blocks(const Pool& g, const T* x, int64_t begin, int64_t end, InputStage<T>& stage, Out y, const F& f) {
    each_block(InputStage<T>::limits(g), begin, end, [&](int64_t plane, const ImageBlock& block) {
      stage.fill(x, plane, block);
      const RowLists<T>& under = stage.under();
      int64_t i = 0;
      for (int64_t d = block.d.begin; d < block.d.end; ++d)
        for (int64_t h = block.h.begin; h < block.h.end; ++h, ++i) {
          const int64_t row = ((plane * g.out[0] + d) * g.out[1] + h) * g.out[2];
          Windows<T, Stride, Kernel> windows = {
              g, d, h, block.w.begin, under.rows + i * under.most, under.counts[i], stage.phase, stage.distance};
          for (; windows.w < block.w.end; windows.w += lanes<T>) {
            Vec<T> results[Out::arrays];
            f(windows, results);
            y.put(row + windows.w, results, clamp_lane<T>(block.w.end - windows.w));
          }
        }
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
