// The backward of padding with elements of the array: dx[i] = sum of dy[o] over the outputs o of which i is the source.
// Each element adds them up by itself, in order, so how rows are dealt to threads changes no bit.
#pragma once
#include "pad_axes.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// A row of the gradient is gone through in blocks of so many elements, whose sums are on the stack.
constexpr int64_t kSumBlock = 512;

// The outputs of each element that is left along an axis, in order. Elements [low, high) have one output each.
struct OutputsOf {
  int64_t before, kept, low, high;
  int64_t *first, *outputs;

  OutputsOf() = default;
  OutputsOf(PadMode mode, const PadAxis& a, Room& room) : before(a.before), kept(a.kept), low(0), high(a.kept) {
    const int64_t reach_low = mode == kReflect ? a.before + 1 : mode == kReplicate ? 1 : a.after;
    const int64_t reach_high = mode == kReflect ? a.after + 1 : mode == kReplicate ? 1 : a.before;
    if (mode == kCircular ? a.after : a.before) low = least(reach_low, kept);
    if (mode == kCircular ? a.before : a.after) high = clamp(kept - reach_high, low, kept);
    first = room.take<int64_t>(low + kept - high + 1);
    outputs = room.take<int64_t>(a.out() - (high - low));
  }
  int64_t slot(int64_t i) const { return i < low ? i : i - (high - low); }

  void find(PadMode mode, const PadAxis& a) const {
    const int64_t slots = low + kept - high;
    for (int64_t i = 0; i <= slots; ++i) first[i] = 0;
    each_beside(mode, a, [this](int64_t i, int64_t) { ++first[slot(i) + 1]; });
    for (int64_t i = 0; i < slots; ++i) first[i + 1] += first[i];
    // Each begin moves to its end, which is the begin of the next one.
    each_beside(mode, a, [this](int64_t i, int64_t o) { outputs[first[slot(i)]++] = o; });
    for (int64_t i = slots; i > 0; --i) first[i] = first[i - 1];
    first[0] = 0;
  }

 private:
  // Calls f(i, o) for outputs o of the elements i outside of [low, high).
  template <class F>
  void each_beside(PadMode mode, const PadAxis& a, const F& f) const {
    for (int64_t o = 0; o < before + low; ++o) f(source(mode, a, o) - a.begin, o);
    for (int64_t o = before + high; o < a.out(); ++o) f(source(mode, a, o) - a.begin, o);
  }
};

// Goes through the rows of the gradient: all axes but the last.
struct GradientRows {
  const PadAxes& axes;
  const OutputsOf* of;
  int64_t index[kMostAxes];
  // Of each axis: the outputs of its index, and how many there are.
  const int64_t* outputs[kMostAxes];
  int64_t only[kMostAxes], count[kMostAxes];
  int64_t terms = 1;  // rows of dy that are added to make the row: the product of all counts

  GradientRows(const PadAxes& a, const OutputsOf* o, int64_t number) : axes(a), of(o) {
    for (int i = axes.count - 2; i >= 0; --i) {
      const int64_t n = axes.axis[i].size;
      index[i] = number % n, number /= n;
    }
    for (int i = 0; i < axes.count - 1; ++i) find(i);
    multiply();
  }
  void next() {
    for (int i = axes.count - 2; i >= 0; --i) {
      const bool more = ++index[i] < axes.axis[i].size;
      if (!more) index[i] = 0;
      find(i);
      if (more) break;
    }
    multiply();
  }
  // Calls f(offset) for the rows of dy, in order.
  template <class F>
  FASTNN_INLINE void each_term(const F& f) const {
    int64_t at[kMostAxes] = {}, offset = 0;
    const int axes_here = axes.count - 1;
    for (int i = 0; i < axes_here; ++i) offset += outputs[i][0] * axes.out_step[i];
    for (int64_t term = 1;; ++term) {
      f(offset);
      if (term == terms) return;
      for (int i = axes_here - 1;; --i) {
        offset -= outputs[i][at[i]] * axes.out_step[i];
        const bool more = ++at[i] < count[i];
        if (!more) at[i] = 0;
        offset += outputs[i][at[i]] * axes.out_step[i];
        if (more) break;
      }
    }
  }

 private:
  void find(int i) {
    const OutputsOf& o = of[i];
    const int64_t kept = index[i] - axes.axis[i].begin;
    if (uint64_t(kept) >= uint64_t(o.kept)) {  // cut off
      count[i] = 0;
    } else if (o.low <= kept && kept < o.high) {
      only[i] = o.before + kept, outputs[i] = only + i, count[i] = 1;
    } else {
      const int64_t slot = o.slot(kept);
      outputs[i] = o.outputs + o.first[slot], count[i] = o.first[slot + 1] - o.first[slot];
    }
  }
  void multiply() {
    terms = 1;
    for (int i = 0; i < axes.count - 1; ++i) terms *= count[i];
  }
};

// Calls f(i, sum) for elements [begin, end) of a row of x, all outside of [low, high). The sum is that of dy over the
// outputs of i.
template <class T, class F>
FASTNN_INLINE void each_sum(const PadAxis& a, const OutputsOf& of, const T* dy, int64_t begin, int64_t end,
                            const F& f) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t slot = of.slot(i - a.begin);
    double sum = 0;
    for (int64_t j = of.first[slot]; j < of.first[slot + 1]; ++j) sum += double(dy[of.outputs[j]]);
    f(i, sum);
  }
}

// Elements [begin, end) of a row of the gradient, at most kSumBlock.
template <class T>
void gather_row(const PadAxis& a, const OutputsOf& of, const GradientRows& rows, const T* dy, int64_t begin,
                int64_t end, T* to, const Ends<T>& ends) {
  if (!rows.terms) return fill_through(to + begin, T(0), end - begin, ends);
  const int64_t first = clamp(a.begin, begin, end), last = clamp(a.begin + a.kept, first, end);
  const int64_t low = clamp(a.begin + of.low, first, last), high = clamp(a.begin + of.high, low, last);
  const int64_t shift = a.before - a.begin;
  fill_through(to + begin, T(0), first - begin, ends);
  if (rows.terms == 1) {
    rows.each_term([=, &a, &of, &ends](int64_t offset) {
      const T* row = dy + offset;
      const auto put = [to](int64_t i, double sum) { to[i] = T(sum); };
      each_sum(a, of, row, first, low, put);
      copy_through(to + low, row + low + shift, high - low, ends);
      each_sum(a, of, row, high, last, put);
    });
    return fill_through(to + last, T(0), end - last, ends);
  }
  double sums[kSumBlock];
  double* const sum = sums - begin;
  for (int64_t i = first; i < last; ++i) sum[i] = 0;
  rows.each_term([=, &a, &of](int64_t offset) {
    const T* row = dy + offset;
    const auto add = [sum](int64_t i, double more) { sum[i] += more; };
    each_sum(a, of, row, first, low, add);
    for (int64_t i = low; i < high; ++i) sum[i] += double(row[i + shift]);
    each_sum(a, of, row, high, last, add);
  });
  for (int64_t i = first; i < last; ++i) to[i] = T(sum[i]);
  fill_through(to + last, T(0), end - last, ends);
}

// dx[i] = sum of dy[o] over the outputs o of which i is the source
template <class T>
void gather_padded(const PadAxes& axes, const OutputsOf* of, const T* dy, T* dx) {
  const PadAxis& last = axes.last();
  const int64_t width = last.size, blocks = ceil_div(width, kSumBlock);
  const int64_t rows = axes.in_size() / width, read = axes.out_size();
  const double cost = double(rows) * (kRowCost + double(width) * kCost);
  parallel_for(rows * blocks, cost, [=, &axes, &last](int64_t begin, int64_t end) {
    GradientRows at(axes, of, begin / blocks);
    int64_t block = begin % blocks;
    T* to = dx + begin / blocks * width;
    const Ends<T> ends = {dy + read, dx + end / blocks * width + end % blocks * kSumBlock};
    for (int64_t i = begin; i < end; ++i) {
      gather_row(last, of[axes.count - 1], at, dy, block * kSumBlock, least((block + 1) * kSumBlock, width), to, ends);
      if (++block < blocks) continue;
      block = 0, to += width;
      at.next();
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
