// Padding: what is added to an axis and cut off from it, and where an output comes from.
#pragma once
#include "../simd/copy.h"
#include "../types.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Costs are in nanoseconds: of an element, out of cache, and of a row.
constexpr double kCost = 0.2, kRowCost = 10;
constexpr int kMostAxes = 64;  // of a NumPy array

// Of `size` elements, `kept` ones from `begin` on are left; before and after these others are added.
struct PadAxis {
  int64_t size, begin, kept, before, after;

  PadAxis(int64_t n, int64_t low, int64_t high)
      : size(n), begin(most(-low, 0)), kept(n - begin - most(-high, 0)), before(most(low, 0)), after(most(high, 0)) {}
  PadAxis() = default;
  int64_t out() const { return before + kept + after; }
  bool whole() const { return kept == size && out() == size; }
  void times(int64_t n) { size *= n, begin *= n, kept *= n, before *= n, after *= n; }
};

// The axes; those that neither gain nor lose elements are merged with the axis before, if that is of the same kind or
// the mode is kConstant.
struct PadAxes {
  PadMode mode;
  int count = 0;
  PadAxis axis[kMostAxes];
  int64_t in_step[kMostAxes], out_step[kMostAxes];  // from an index to the next, in x and in y

  template <class Of>
  PadAxes(PadMode m, int64_t axes, const Of& of) : mode(m) {
    for (int64_t i = 0; i < axes; ++i) {
      const PadAxis a = of(i);
      if (count && a.whole() && (mode == kConstant || axis[count - 1].whole()))
        axis[count - 1].times(a.size);
      else
        axis[count++] = a;
    }
    if (!count) axis[count++] = PadAxis(1, 0, 0);
    int64_t in = 1, out = 1;
    for (int i = count - 1; i >= 0; in *= axis[i].size, out *= axis[i].out(), --i) in_step[i] = in, out_step[i] = out;
  }
  const PadAxis& last() const { return axis[count - 1]; }
  bool gaps() const {  // whether elements are cut off
    for (int i = 0; i < count; ++i)
      if (axis[i].kept < axis[i].size) return true;
    return false;
  }
  int64_t in_size() const { return in_step[0] * axis[0].size; }
  int64_t out_size() const { return out_step[0] * axis[0].out(); }
};

// i mod n; most i are at most one n outside of [0, n).
FASTNN_INLINE int64_t wrapped(int64_t i, int64_t n) {
  if (i < 0) i += n;
  if (i >= n) i -= n;
  if (uint64_t(i) < uint64_t(n)) return i;
  i %= n;
  return i < 0 ? i + n : i;
}

// Which element of x is at output o of an axis; -1 if none.
FASTNN_INLINE int64_t source(PadMode mode, const PadAxis& a, int64_t o) {
  const int64_t i = o - a.before;
  if (uint64_t(i) < uint64_t(a.kept)) return a.begin + i;
  if (mode == kConstant) return -1;
  if (mode == kReplicate) return a.begin + (i < 0 ? 0 : a.kept - 1);
  if (mode == kCircular) return a.begin + wrapped(i, a.kept);
  const int64_t period = most(2 * (a.kept - 1), 1), at = wrapped(i, period);
  return a.begin + least(at, period - at);
}

// Runs are written in order, so each may end with a whole vector that reaches into what is written after it, and read
// beyond its own end. These are the ends of what may be read and written so.
template <class T>
struct Ends {
  const T* from;
  T* to;
};

template <class T>
FASTNN_INLINE void fill_through(T* to, T value, int64_t n, const Ends<T>& ends) {
  const Vec<T> v = set1(value);
  int64_t i = 0;
  for (; i < n && ends.to - (to + i) >= lanes<T>; i += lanes<T>) store(to + i, v);
  if (i < n) store_n(to + i, v, int(n - i));
}

template <class T>
FASTNN_INLINE void copy_through(T* to, const T* from, int64_t n, const Ends<T>& ends) {
  int64_t i = 0;
  for (; i < n && ends.to - (to + i) >= lanes<T> && ends.from - (from + i) >= lanes<T>; i += lanes<T>)
    store(to + i, load(from + i));
  for (; i < n; i += lanes<T>) store_part(to + i, load_part(from + i, n - i), n - i);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
