// The backward of a pooling as a gather: each input sums the terms of the windows that hold it, in the order of the
// outputs. So windows may overlap, and how rows are dealt to threads changes no bit. Where a gather would waste lanes,
// there is a scatter.
//
// The outputs that a block of the input meets are first copied to scratch ("staged"), in rows with zeros beside them:
// then each tap of a vector of inputs is one whole load, and what is done to an output (a quotient, an index widened)
// is done once for all its taps.
#pragma once
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

inline BlockLimits input_limits(const Pool& g) { return {g.size, kBlockElements, kBlockColumns}; }

FASTNN_INLINE bool inside(int64_t i, int64_t size) { return uint64_t(i) < uint64_t(size); }

// The outputs from the first to the last that may have a tap on input i: for an output o and its tap k,
// o * stride - pad + k * dilation == i.
FASTNN_INLINE Range outputs_over(const Pool& g, int axis, int64_t i) {
  const int64_t from = i + g.pad[axis], last = reach(g, axis);
  Range o = {from > last ? ceil_div(from - last, g.stride[axis]) : 0, floor_div(from, g.stride[axis]) + 1};
  o.end = least(o.end, g.out[axis]);
  return o;
}
// How many inputs there are up to and including the last that a window reaches. Inputs behind it are in no window.
inline int64_t reached(const Pool& g, int axis) {
  return most(least((g.out[axis] - 1) * g.stride[axis] - g.pad[axis] + reach(g, axis) + 1, g.size[axis]), 0);
}
// The outputs over the inputs [i.begin, i.end); and, below, how many outputs there can be at most over n inputs.
FASTNN_INLINE Range outputs_over(const Pool& g, int axis, Range i) {
  const Range o = {outputs_over(g, axis, i.begin).begin, outputs_over(g, axis, i.end - 1).end};
  return {o.begin, most(o.begin, o.end)};
}
inline int64_t most_outputs(const Pool& g, int axis, int64_t n) {
  return least((n - 1 + reach(g, axis)) / g.stride[axis] + 1, g.out[axis]);
}

// The tap of output o on input i, or -1 where dilation steps over i.
FASTNN_INLINE int64_t tap_on(const Pool& g, int axis, int64_t i, int64_t o) {
  const int64_t from = i + g.pad[axis] - o * g.stride[axis], d = g.dilation[axis];
  return d == 1 ? from : from % d ? -1 : from / d;
}

// The staged outputs over a block of the input: each of a term's arrays has a row for every (od, oh), with a vector of
// zeros before it and one behind. If the next block is at the same place in another plane, only the values change.
template <class T, class Term>
class Stage {
 public:
  static constexpr int64_t L = lanes<T>;

  Stage(const Pool& g, const Term& term, Room& room)
      : g_(g), term_(term), over_(input_limits(g), most_outputs(g, 0, 1) * most_outputs(g, 1, 1), room) {
    const BlockLimits limits = input_limits(g);
    const int64_t rows = most_outputs(g, 0, limits.slices) * most_outputs(g, 1, limits.rows);
    first_ = room.take<T>(Term::arrays * (rows * (most_outputs(g, 2, limits.columns) + 2 * L) + L));
  }

  void fill(int64_t plane, const ImageBlock& block) {
    if (!same(block, block_)) place(block);
    T* to = first_ + L;
    for (int64_t d = d_.begin; d < d_.end; ++d)
      for (int64_t h = h_.begin; h < h_.end; ++h, to += pitch_) fill_row(plane, d, h, to);
  }
  // The rows of outputs over each row of the block.
  const RowLists<T>& over() const { return over_; }

  int64_t array = 0;  // distance of one array from the next

 private:
  void place(const ImageBlock& block) {
    block_ = block;
    d_ = outputs_over(g_, 0, block.d), h_ = outputs_over(g_, 1, block.h), w_ = outputs_over(g_, 2, block.w);
    pitch_ = w_.end - w_.begin + 2 * L;
    array = (d_.end - d_.begin) * (h_.end - h_.begin) * pitch_ + L;
    zero_run(first_, Term::arrays * array);
    over_.make(block, [this](int64_t id, int64_t ih, StagedRow<T>* found) { return find_rows(id, ih, found); });
  }
  int64_t find_rows(int64_t id, int64_t ih, StagedRow<T>* found) const {
    const Range od = outputs_over(g_, 0, id), oh = outputs_over(g_, 1, ih);
    int64_t count = 0;
    for (int64_t d = od.begin; d < od.end; ++d)
      for (int64_t h = oh.begin; h < oh.end; ++h) {
        const int64_t kd = tap_on(g_, 0, id, d), kh = tap_on(g_, 1, ih, h);
        const int64_t row = (d - d_.begin) * (h_.end - h_.begin) + h - h_.begin;
        if (kd >= 0 && kh >= 0)
          found[count++] = {first_ + L + row * pitch_ - w_.begin, (kd * g_.kernel[1] + kh) * g_.kernel[2]};
      }
    return count;
  }
  // Vectors are stored whole: lanes beyond the row are 0 and lie in the zeros behind it.
  FASTNN_INLINE void fill_row(int64_t plane, int64_t d, int64_t h, T* to) const {
    const int64_t row = (plane * g_.out[0] + d) * g_.out[1] + h, end = w_.end, distance = array;
    OutputPlace o = {d, h, w_.begin, row * g_.out[2] + w_.begin};
    for (; o.w < end; o.w += L, o.offset += L, to += L) {
      Vec<T> v[Term::arrays];
      term_.load(o, end - o.w, v);
      for (int i = 0; i < Term::arrays; ++i) store(to + i * distance, v[i]);
    }
  }

  const Pool& g_;
  const Term& term_;
  ImageBlock block_ = {};
  Range d_ = {}, h_ = {}, w_ = {};
  int64_t pitch_ = 0;
  RowLists<T> over_;
  T* first_;
};

// Which outputs a vector of inputs meets. Along the row, tap k of output o meets input i = o * stride - pad + k *
// dilation: with stride 2, the inputs i, i + 2, … and i + 1, i + 3, … (i even) belong to taps of one parity each.
// Stride is 1 or 2. Kernel is the kernel's size along the row, where the dilation is then 1; or Kernel is 0, and both
// may be any.
template <class T, int Stride, int Kernel>
struct GatherTaps {
  static constexpr int64_t width = Stride * lanes<T>;
  int64_t pad, kernel, dilation, out;
  bool odd;
  explicit FASTNN_INLINE GatherTaps(const Pool& g)
      : pad(g.pad[2]), kernel(g.kernel[2]), dilation(g.dilation[2]), out(g.out[2]), odd(g.pad[2] & 1) {}

  // Calls f(k, parity, first output) for the taps k that meet one of the `width` inputs from ix on; ix is a multiple of
  // the stride.
  template <class F>
  FASTNN_INLINE void each(int64_t ix, const F& f) const {
    const int64_t half = ix / Stride;
    if constexpr (Kernel > 0) {
#pragma GCC unroll 8
      for (int k = Kernel - 1; k >= 0; --k) f(k, Stride == 1 ? 0 : k & 1, half + output(pad - k));
    } else {
      const int64_t from = ix + pad, last = from + width - 1, beyond = from - (out - 1) * Stride;
      const int64_t begin = beyond > 0 ? ceil_div(beyond, dilation) : 0;
      int64_t k = kernel - 1;
      if (k * dilation > last) k = floor_div(last, dilation);
      for (; k >= begin; --k) f(k, Stride == 1 ? 0 : int(k * dilation & 1), half + output(pad - k * dilation));
    }
  }
  static FASTNN_INLINE int64_t output(int64_t i) { return (i + Stride - 1) >> (Stride - 1); }
  // load takes the inputs of each parity out of the row, store puts them back; the row has `left` inputs from x on.
  FASTNN_INLINE void load(const T* x, int64_t left, Vec<T>* in) const {
    in[0] = load_part(x, left);
    if constexpr (Stride == 1) return;
    Vec<T> even, other;
    deinterleave<T>(in[0], load_part(x + lanes<T>, left - lanes<T>), even, other);
    in[0] = odd ? other : even, in[1] = odd ? even : other;
  }
  FASTNN_INLINE void store(const Vec<T>* sum, T* dx, int64_t left) const {
    if constexpr (Stride == 1) return store_part(dx, sum[0], left);
    Vec<T> low, high;
    interleave<T>(odd ? sum[1] : sum[0], odd ? sum[0] : sum[1], low, high);
    store_part(dx, low, left);
    store_part(dx + lanes<T>, high, left - lanes<T>);
  }
};

// Computes dx of the columns [begin, end) of the row of inputs that starts at `offset`, from the `rows` rows of outputs
// whose windows reach it. Some window must reach the last of these columns or one beside it: then vectors of outputs
// are loaded no further than the zeros behind their rows.
template <class T, class Taps, class Term>
FASTNN_INLINE void gather_row(const Taps& taps, const Term& term, const StagedRow<T>* over, int64_t rows, int64_t array,
                              int64_t offset, int64_t begin, int64_t end, T* dx) {
  for (int64_t ix = begin; ix < end; ix += Taps::width) {
    Vec<T> in[2] = {}, sum[2] = {};
    if constexpr (Term::of_inputs) taps.load(term.x + offset + ix, end - ix, in);
    for (int64_t r = 0; r < rows; ++r) {
      const StagedRow<T> row = over[r];
      taps.each(ix, [&](int64_t k, int parity, int64_t o) FASTNN_FLAT {
        Vec<T> v[Term::arrays];
        for (int i = 0; i < Term::arrays; ++i) v[i] = load(row.values + o + i * array);
        sum[parity] += term.value(v, splat<T>(row.tap + k), in[parity]);
      });
    }
    taps.store(sum, dx + offset + ix, end - ix);
  }
}

// Computes dx for any windows whose stride along the row is 1 or 2.
template <class T>
struct GatherWalk {
  const Pool& g;

  bool suits() const { return g.stride[2] <= 2; }

  template <class Term>
  void backward(const Term& term, double cost, T* dx) const {
    const int64_t n = g.n * g.c * g.size[0] * g.size[1], kernel = g.dilation[2] == 1 ? g.kernel[2] : 0;
    const auto layout = [&, &g = g](Room& room) { return Stage<T, Term>(g, term, room); };
    parallel_room(n, cost, layout, [&, &g = g](int64_t begin, int64_t end, Stage<T, Term> stage) {
      if (g.stride[2] == 2 && kernel == 2)
        blocks<2, 2>(g, term, begin, end, stage, dx);
      else if (g.stride[2] == 2 && kernel == 3)
        blocks<2, 3>(g, term, begin, end, stage, dx);
      else if (g.stride[2] == 2)
        blocks<2, 0>(g, term, begin, end, stage, dx);
      else if (kernel == 3)
        blocks<1, 3>(g, term, begin, end, stage, dx);
      else
        blocks<1, 0>(g, term, begin, end, stage, dx);
    });
  }

 private:
  template <int Stride, int Kernel, class Term>
  static void blocks(const Pool& g, const Term& term, int64_t begin, int64_t end, Stage<T, Term>& stage, T* dx) {
    const GatherTaps<T, Stride, Kernel> taps(g);
    const Term own = term;  // a copy, because a store to dx might change what is behind a reference
    const int64_t last = reached(g, 2);
    each_block(input_limits(g), begin, end, [&](int64_t plane, const ImageBlock& block) {
      const int64_t first = (plane * g.size[0] + block.d.begin) * g.size[1] + block.h.begin;
      const int64_t rows = (block.d.end - block.d.begin) * (block.h.end - block.h.begin);
      const int64_t w = block.w.begin, end = most(least(block.w.end, last), w);
      if (w < end) stage.fill(plane, block);
      const RowLists<T>& over = stage.over();
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t row = (first + i) * g.size[2];
        if (w < end) gather_row(taps, own, over.rows + i * over.most, over.counts[i], stage.array, row, w, end, dx);
        zero_run(dx + row + end, block.w.end - end);
      }
    });
  }
};

// In a scatter each output adds to the inputs of its window. Windows may overlap, so a whole plane is one item: no two
// threads add to the same input. Planes with fewer than kZeroedBytes are zeroed several at a time.
constexpr int64_t kZeroedBytes = 64 * 1024;

// Sets each plane of dx to zero, and then calls add(plane, the plane's values in dx).
template <class T, class G, class F>
void scatter(const G& g, double cost, T* dx, const F& add) {
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2];
  const int64_t together = 1 + kZeroedBytes / (inputs * int64_t(sizeof(T)) + 1);
  const double values = double(g.n * g.c) * double(inputs);
  parallel_for(g.n * g.c, cost, [=](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = least(first + together, end);
      fill_whole(dx + first * inputs, T(0), (last - first) * inputs, values);
      for (int64_t plane = first; plane < last; ++plane) add(plane, dx + plane * inputs);
    }
  });
}

// Takes any windows. term.scatter(plane, inputs) adds the terms of all outputs of the plane to its inputs.
template <class T>
struct ScatterWalk {
  const Pool& g;

  bool suits() const { return true; }

  template <class Term>
  void backward(const Term& term, double cost, T* dx) const {
    scatter(g, cost, dx, [=](int64_t plane, T* inputs) { term.scatter(plane, inputs); });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
