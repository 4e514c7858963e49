// Backward of a pooling as a gather: each input sums over the windows that hold it, in the order of the outputs, so
// that overlapping windows need no scatter and the result doesn't depend on how rows are shared out to threads.
#pragma once
#include "window.h"

namespace fastnn::FASTNN_ISA {
namespace {

FASTNN_INLINE bool inside(int64_t i, int64_t size) { return uint64_t(i) < uint64_t(size); }

// Outputs o of an axis with a tap k on input i: o * stride - pad + k * dilation == i.
FASTNN_INLINE Range outputs_over(const Pool& g, int axis, int64_t i) {
  const int64_t reach = (g.kernel[axis] - 1) * g.dilation[axis], from = i + g.pad[axis];
  Range o = {from > reach ? ceil_div(from - reach, g.stride[axis]) : 0, floor_div(from, g.stride[axis]) + 1};
  if (o.end > g.out[axis]) o.end = g.out[axis];
  return o;
}

// That tap, or -1 where dilation steps over i.
FASTNN_INLINE int64_t tap_on(const Pool& g, int axis, int64_t i, int64_t o) {
  const int64_t from = i + g.pad[axis] - o * g.stride[axis], d = g.dilation[axis];
  return d == 1 ? from : from % d ? -1 : from / d;
}

// A row of inputs (plane, id, ih) and the output rows whose windows hold some of it.
class InputRow {
 public:
  FASTNN_INLINE InputRow(const Pool& g, int64_t row) : g_(g) {
    id_ = g.size[0] == 1 ? 0 : row / g.size[1];
    ih_ = row - id_ * g.size[1];
    od_ = outputs_over(g, 0, id_);
    oh_ = outputs_over(g, 1, ih_);
  }
  FASTNN_INLINE void next() {
    if (++ih_ == g_.size[1]) {
      ih_ = 0, ++id_;
      od_ = outputs_over(g_, 0, id_);
    }
    oh_ = outputs_over(g_, 1, ih_);
  }
  // Calls f(offset of the output row in its plane, number of the first of the taps on this row) in order.
  template <class F>
  FASTNN_INLINE void output_rows(const F& f) const {
    for (int64_t od = od_.begin; od < od_.end; ++od) {
      const int64_t kd = tap_on(g_, 0, id_, od);
      if (kd < 0) continue;
      int64_t at = (od * g_.out[1] + oh_.begin) * g_.out[2];
      for (int64_t oh = oh_.begin; oh < oh_.end; ++oh, at += g_.out[2]) {
        const int64_t kh = tap_on(g_, 1, ih_, oh);
        if (kh >= 0) f(at, (kd * g_.kernel[1] + kh) * g_.kernel[2]);
      }
    }
  }

 private:
  const Pool& g_;
  int64_t id_, ih_;
  Range od_, oh_;
};

// Stride * lanes<T> consecutive inputs of any row. Along the row, tap k of output o meets input i = o * stride - pad +
// k * dilation: with stride 2, the inputs i, i + 2, … and i + 1, i + 3, … (i even) belong to taps of one parity each.
// Stride is 1 or 2; Kernel is fixed with dilation 1, or 0: any. Clip: some of these outputs may not exist.
template <class T, int Stride, int Kernel, bool Clip>
class Gather {
 public:
  static constexpr int64_t width = Stride * lanes<T>;

  FASTNN_INLINE Gather(const Pool& g, int64_t first) : ix(first), g_(g), from_(first + g.pad[2]), k_(taps(g)) {
    if constexpr (Clip && Kernel > 0)
      for (int k = 0; k < Kernel; ++k) parts_[k] = part(output(k));
  }

  // Whether all those outputs exist.
  static FASTNN_INLINE bool is_inner(const Pool& g, int64_t first) {
    const int64_t from = first + g.pad[2];
    return from >= (g.kernel[2] - 1) * g.dilation[2] && (from + Stride - 1) / Stride + lanes<T> <= g.out[2];
  }

  // Adds the terms of an output row. tap: number of its first tap on this row of inputs.
  template <class Term>
  FASTNN_INLINE void add(const Term& term, int64_t at, int64_t tap, Vec<T>* sum) const {
    if constexpr (Kernel == 0) {
      for (int64_t k = k_.end - 1; k >= k_.begin; --k)
        sum[parity(k * g_.dilation[2])] += value(term, splat<T>(tap + k), at + output(k), part(output(k)));
    } else {
      const Mask<T> number = splat<T>(tap);
#pragma GCC unroll 8
      for (int k = Kernel - 1; k >= 0; --k) sum[parity(k)] += value(term, number + k, at + output(k), parts_[k]);
    }
  }
  FASTNN_INLINE void store(const Vec<T>* sum, T* dx) const {
    const int64_t left = g_.size[2] - ix;
    if constexpr (Stride == 1) {
      store_n(dx, sum[0], clamp_lane<T>(left));
    } else {
      const bool odd = from_ & 1;
      Vec<T> low, high;
      interleave<T>(odd ? sum[1] : sum[0], odd ? sum[0] : sum[1], low, high);
      store_n(dx, low, clamp_lane<T>(left));
      if (left > lanes<T>) store_n(dx + lanes<T>, high, clamp_lane<T>(left - lanes<T>));
    }
  }

  int64_t ix;

 private:
  // The output that meets the first input, or with stride 2 the first or second, with tap k.
  FASTNN_INLINE int64_t output(int64_t k) const {
    return (from_ - k * g_.dilation[2] + Stride - 1) >> (Stride - 1);
  }
  static FASTNN_INLINE int parity(int64_t k) { return Stride == 1 ? 0 : k & 1; }
  FASTNN_INLINE Part<T> part(int64_t o) const { return Clip ? Part<T>(-o, g_.out[2] - o) : Part<T>(); }
  template <class Term>
  static FASTNN_INLINE Vec<T> value(const Term& term, Mask<T> tap, int64_t at, const Part<T>& lanes_in) {
    return Clip ? term.part(tap, at, lanes_in) : term.whole(tap, at);
  }
  // Taps that meet one of the inputs, without those that would do so only from outputs that don't exist.
  FASTNN_INLINE Range taps(const Pool& g) const {
    const int64_t d = g.dilation[2], last = from_ + width - 1, beyond = from_ - (g.out[2] - 1) * g.stride[2];
    Range k = {0, g.kernel[2]};
    if (Kernel || !Clip) return k;
    if (beyond > 0) k.begin = ceil_div(beyond, d);
    if ((k.end - 1) * d > last) k.end = floor_div(last, d) + 1;
    return k;
  }

  const Pool& g_;
  int64_t from_;
  Range k_;
  Part<T> parts_[Kernel ? Kernel : 1];
};

template <class T, class G, class Term>
FASTNN_INLINE void gather_block(const Pool& g, const G& block, const Term& term, int64_t begin, int64_t end,
                                T* dx) {
  InputRow row(g, begin);
  T* out = dx + begin * g.size[2] + block.ix;
  for (int64_t r = begin; r < end; ++r, out += g.size[2], row.next()) {
    Vec<T> sum[2] = {};
    row.output_rows([&](int64_t at, int64_t tap) FASTNN_FLAT { block.add(term, at, tap, sum); });
    for (Vec<T>& s : sum) s = term.total(s);
    block.store(sum, out);
  }
}
template <class T, int Stride, int Kernel, class Term>
FASTNN_INLINE void gather_rows(const Pool& g, const Term& term, int64_t begin, int64_t end, T* dx) {
  using Inner = Gather<T, Stride, Kernel, false>;
  for (int64_t ix = 0; ix < g.size[2]; ix += Inner::width) {
    if (Inner::is_inner(g, ix))
      gather_block(g, Inner(g, ix), term, begin, end, dx);
    else
      gather_block(g, Gather<T, Stride, Kernel, true>(g, ix), term, begin, end, dx);
  }
}

// Rows [begin, end) of dx (n, c, size): dx[i] = sum over windows o and taps k that meet i of term(k, o). Stride 1 or 2
// along the row. term.plane(p) gives the terms of a plane of outputs; theirs are whole(tap, at), the terms of lanes<T>
// outputs from offset at, and part(tap, at, lanes), which reads only those lanes and makes the others 0; total(sum) is
// what becomes of the sum.
template <class T, class Term>
FASTNN_INLINE void gather_windows(const Pool& g, const Term& term, int64_t begin, int64_t end, T* dx) {
  const int64_t per_plane = g.size[0] * g.size[1], kernel = g.dilation[2] == 1 ? g.kernel[2] : 0;
  each_group(begin, end, per_plane, g.size[2], [&](int64_t plane, int64_t first, int64_t last) {
    const Term terms = term.plane(plane);
    T* out = dx + plane * per_plane * g.size[2];
    if (g.stride[2] == 2 && kernel == 2)
      gather_rows<T, 2, 2>(g, terms, first, last, out);
    else if (g.stride[2] == 2 && kernel == 3)
      gather_rows<T, 2, 3>(g, terms, first, last, out);
    else if (g.stride[2] == 2)
      gather_rows<T, 2, 0>(g, terms, first, last, out);
    else if (kernel == 3)
      gather_rows<T, 1, 3>(g, terms, first, last, out);
    else
      gather_rows<T, 1, 0>(g, terms, first, last, out);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
