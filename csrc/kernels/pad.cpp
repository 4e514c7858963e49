// Padding: x (size) -> y (before + size + after).
//   forward:  every output is a copy of an element of x, its source; or the value, if the mode is kConstant
//   backward: dx[i] = sum of dy[o] over the outputs o of which i is the source
#include "../simd/past.h"
#define FASTNN_FAMILY "pad.inc"
#include "kernels.h"
#include "pad_gather.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kBlock = 4096;  // a row of outputs is gone through in blocks of so many elements

// The outputs [begin, end) of a row that lie beside the elements that are left.
template <class T>
FASTNN_INLINE void fill_beside(PadMode mode, const PadAxis& a, T value, const T* row, int64_t begin, int64_t end, T* to,
                               const Ends<T>& ends) {
  if (begin >= end) return;
  if (mode == kConstant) return fill_through(to + begin, value, end - begin, ends);
  if (mode == kReplicate) return fill_through(to + begin, row[source(mode, a, begin)], end - begin, ends);
  for (int64_t o = begin; o < end; ++o) to[o] = row[source(mode, a, o)];
}

// Outputs [begin, end) of a row that comes from the row of x; null if it is filled.
template <class T>
FASTNN_INLINE void pad_row(PadMode mode, const PadAxis& a, T value, const T* row, int64_t begin, int64_t end, T* to,
                           const Ends<T>& ends) {
  if (!row) return fill_through(to + begin, value, end - begin, ends);
  const int64_t low = clamp(a.before, begin, end), high = clamp(a.before + a.kept, low, end);
  fill_beside(mode, a, value, row, begin, low, to, ends);
  copy_through(to + low, row + a.begin + low - a.before, high - low, ends);
  fill_beside(mode, a, value, row, high, end, to, ends);
}

// What lies on one side of a row: n outputs from output o on. Whole vectors are stored.
template <PadMode mode, class T>
FASTNN_INLINE void whole_side(const PadAxis& a, T value, const T* row, int64_t o, int64_t n, T* to) {
  if constexpr (mode == kConstant || mode == kReplicate) {
    if (!n) return;
    const Vec<T> v = set1(mode == kConstant ? value : row[source(mode, a, o)]);
    for (int64_t i = 0; i < n; i += lanes<T>) store(to + i, v);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = row[source(mode, a, o + i)];
  }
}

// Rows of outputs from rows of x that follow one another, each of `size` elements. Rows of 14 elements take 0.6 of the
// time that pad_row() takes for each (Zen 4). If elements are cut off, there are gaps in what is read, behind which the
// processor does not fetch by itself.
template <PadMode mode, class T>
void pad_rows(const PadAxis& a, bool gaps, T value, const T* row, int64_t rows, T* to, const Ends<T>& ends) {
  constexpr int64_t L = lanes<T>;
  const int64_t width = a.out();
  for (int64_t r = 0; r < rows; ++r, row += a.size, to += width) {
    const T* const from = row + a.begin;
    if (ends.to - to < width + L || ends.from - from < a.kept + L) {
      pad_row(mode, a, value, row, 0, width, to, ends);
      continue;
    }
    T* const middle = to + a.before;
    whole_side<mode>(a, value, row, 0, a.before, to);
    for (int64_t i = 0; i < a.kept; i += L) {
      if (gaps) fetch_ahead(from + i);
      store(middle + i, load(from + i));
    }
    whole_side<mode>(a, value, row, a.before + a.kept, a.after, middle + a.kept);
  }
}

// Goes through the rows of outputs: all axes but the last.
struct OutputRows {
  const PadAxes& axes;
  int64_t index[kMostAxes];
  int64_t from[kMostAxes];  // where the indices of the axes before this one lead to in x; -1 if to nothing

  OutputRows(const PadAxes& a, int64_t number) : axes(a) {
    for (int i = axes.count - 2; i >= 0; --i) {
      const int64_t n = axes.axis[i].out();
      index[i] = number % n, number /= n;
    }
    from[0] = 0;
    follow(0);
  }
  int64_t source_row() const { return from[axes.count - 1]; }
  // How many rows from this one on, at most `most`, have sources that follow one another.
  int64_t together(int64_t most) const {
    const int i = axes.count - 2;
    if (i < 0 || source_row() < 0) return 1;
    const int64_t left = axes.axis[i].before + axes.axis[i].kept - index[i];
    return left > 0 && index[i] >= axes.axis[i].before ? least(left, most) : 1;
  }
  void skip(int64_t rows) {
    if (axes.count > 1) index[axes.count - 2] += rows - 1;
    next();
  }
  void next() {
    for (int i = axes.count - 2; i >= 0; --i) {
      if (++index[i] < axes.axis[i].out()) return follow(i);
      index[i] = 0;
    }
  }

 private:
  void follow(int i) {
    for (; i < axes.count - 1; ++i) {
      const int64_t at = source(axes.mode, axes.axis[i], index[i]);
      from[i + 1] = at < 0 || from[i] < 0 ? -1 : from[i] + at * axes.in_step[i];
    }
  }
};

// y[o] = x[source of o], or the value
template <PadMode mode, class T>
void copy_padded_as(const PadAxes& axes, T value, const T* x, T* y) {
  const PadAxis& last = axes.last();
  const int64_t width = last.out(), blocks = ceil_div(width, kBlock);
  const int64_t rows = axes.out_size() / width, read = axes.in_size();
  const bool gaps = axes.gaps();
  const double cost = double(rows) * (kRowCost + double(width) * kCost);
  parallel_for(rows * blocks, cost, [=, &axes, &last](int64_t begin, int64_t end) {
    OutputRows at(axes, begin / blocks);
    int64_t block = begin % blocks;
    T* to = y + begin / blocks * width;
    const Ends<T> ends = {x + read, y + end / blocks * width + end % blocks * kBlock};
    for (int64_t i = begin; i < end;) {
      const T* row = at.source_row() < 0 ? nullptr : x + at.source_row();
      if (blocks == 1 && row) {
        const int64_t rows = at.together(end - i);
        pad_rows<mode>(last, gaps, value, row, rows, to, ends);
        i += rows, to += rows * width;
        at.skip(rows);
        continue;
      }
      ++i;
      pad_row(mode, last, value, row, block * kBlock, least((block + 1) * kBlock, width), to, ends);
      if (++block < blocks) continue;
      block = 0, to += width;
      at.next();
    }
  });
}

template <class T>
void copy_padded(const PadAxes& axes, T value, const T* x, T* y) {
  if (axes.mode == kConstant) return copy_padded_as<kConstant>(axes, value, x, y);
  if (axes.mode == kReplicate) return copy_padded_as<kReplicate>(axes, value, x, y);
  if (axes.mode == kCircular) return copy_padded_as<kCircular>(axes, value, x, y);
  copy_padded_as<kReflect>(axes, value, x, y);
}

}  // namespace

// y[o] = x[source of o], or the value where there is none
template <class T>
void pad_forward(PadMode mode, int64_t axes, const int64_t* size, const int64_t* before, const int64_t* after, T value,
                 const T* x, T* y) {
  const PadAxes of(mode, axes, [=](int64_t i) { return PadAxis(size[i], before[i], after[i]); });
  copy_padded(of, value, x, y);
}

// dx[i] = sum of dy[o] over the outputs o of which i is the source
template <class T>
void pad_backward(PadMode mode, int64_t axes, const int64_t* size, const int64_t* before, const int64_t* after,
                  const T* dy, T* dx) {
  if (mode == kConstant) {  // what was added is cut off, and in the place of what was cut off there are zeros
    const PadAxes back(mode, axes,
                       [=](int64_t i) { return PadAxis(size[i] + before[i] + after[i], -before[i], -after[i]); });
    return copy_padded(back, T(0), dy, dx);
  }
  const PadAxes forth(mode, axes, [=](int64_t i) { return PadAxis(size[i], before[i], after[i]); });
  OutputsOf of[kMostAxes];
  const auto layout = [&](Room& room) {
    for (int i = 0; i < forth.count; ++i) of[i] = OutputsOf(mode, forth.axis[i], room);
    return of;
  };
  shared_room(layout, [&](const OutputsOf* tables) {
    for (int i = 0; i < forth.count; ++i) tables[i].find(mode, forth.axis[i]);
    gather_padded(forth, tables, dy, dx);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
