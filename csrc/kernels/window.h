// Windows of a pooling: where they lie, how an image is cut into blocks, and what all walks through windows share.
//
// A walk has
//   suits(g)                          whether it can be taken for a geometry, and pays
//   forward(g, filler, cost, x, y, f) calls f(windows, results) for each vector of windows; y.put stores the results
//   backward(g, term, cost, dx)       dx[i] = sum of a term of (o, k, x[i]) over the windows o whose tap k is input i
// What lies around an image counts as `filler`; cost is in nanoseconds. The list of first_that_suits says which walks
// an op takes, and in which order.
//
// `windows` has
//   taps(f)         f(number of the tap, values) for all taps of a vector of windows, in order
//   first_tap(g)    for each lane the first tap inside the image
// A term has
//   arrays, of_inputs   vectors that it needs of the outputs, and whether it depends on x
//   load(o, size, v)    v[0 … arrays): those vectors, of `size` outputs from place o on; lanes beyond are 0
//   value(v, tap, x)    the terms of the tap; 0 where v is 0
#pragma once
#include <type_traits>

#include "../simd/copy.h"
#include "../simd/strided.h"
#include "../types.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

FASTNN_INLINE bool same(Range a, Range b) { return a.begin == b.begin && a.end == b.end; }

// Division of what may be negative, rounded down; by shifts for the usual strides because a divide costs 40 cycles.
FASTNN_INLINE int64_t floor_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  if (b == 2) return a >> 1;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

template <class G>
int64_t output_rows(const G& g) {
  return g.n * g.c * g.out[0] * g.out[1];
}
inline int64_t window_taps(const Pool& g) { return g.kernel[0] * g.kernel[1] * g.kernel[2]; }
constexpr int64_t kManyTaps = 64;  // more get a LongSum
// From the first tap of a window to its last.
inline int64_t reach(const Pool& g, int axis) { return (g.kernel[axis] - 1) * g.dilation[axis]; }

// Taps of window o that meet the image.
FASTNN_INLINE Range taps_inside(const Pool& g, int axis, int64_t o) {
  return inside(o * g.stride[axis] - g.pad[axis], g.dilation[axis], g.kernel[axis], g.size[axis]);
}
// Inputs from the first to the last that the windows [o.begin, o.end) may meet, and the most there are for n windows.
FASTNN_INLINE Range inputs_under(const Pool& g, int axis, Range o) {
  const int64_t first = o.begin * g.stride[axis] - g.pad[axis];
  const int64_t end = (o.end - 1) * g.stride[axis] - g.pad[axis] + reach(g, axis) + 1;
  const int64_t begin = least(most(first, 0), g.size[axis]);
  return {begin, most(least(end, g.size[axis]), begin)};
}
inline int64_t most_inputs(const Pool& g, int axis, int64_t n) {
  return least((n - 1) * g.stride[axis] + reach(g, axis) + 1, g.size[axis]);
}

// Block of an image: rows of a slice or whole slices, and columns of them.
struct ImageBlock {
  Range d, h, w;
};
FASTNN_INLINE bool same(const ImageBlock& a, const ImageBlock& b) {
  return same(a.d, b.d) && same(a.h, b.h) && same(a.w, b.w);
}

// How large a block is at most, by the shape of the image: in elements, rows of a slice and columns.
struct BlockPlan {
  static constexpr int64_t kMostRows = 256;
  int64_t size[3], columns, rows, slices;

  BlockPlan(const int64_t* image, int64_t elements, int64_t most_columns) {
    for (int i = 0; i < 3; ++i) size[i] = image[i];
    columns = least(size[2], most_columns);
    rows = least(most(elements / columns, 1), kMostRows);
    slices = least(most(rows / size[1], 1), size[0]);
    rows = least(rows, size[1]);
  }
};

// Calls f(plane, block) for the blocks that together cover the rows [begin, end) of all planes.
template <class F>
FASTNN_INLINE void each_block(const BlockPlan& plan, int64_t begin, int64_t end, const F& f) {
  const int64_t *size = plan.size, height = size[1];
  while (begin < end) {
    const int64_t slice = begin / height, plane = slice / size[0], d = slice % size[0], h = begin % height;
    const bool whole = h == 0 && plan.rows == height && end - begin >= height;
    const int64_t slices = whole ? least(least(plan.slices, size[0] - d), (end - begin) / height) : 1;
    const int64_t rows = whole ? height : least(least(plan.rows, height - h), end - begin);
    for (int64_t w = 0; w < size[2]; w += plan.columns)
      f(plane, ImageBlock{{d, d + slices}, {h, h + rows}, {w, least(w + plan.columns, size[2])}});
    begin += slices * rows;
  }
}

// Calls f(plane, d, h, row) for the rows [begin, end) of all planes of an image.
template <class F>
FASTNN_INLINE void each_row(const int64_t* image, int64_t begin, int64_t end, const F& f) {
  int64_t h = begin % image[1], d = begin / image[1] % image[0], plane = begin / image[1] / image[0];
  for (int64_t r = begin; r < end; ++r) {
    f(plane, d, h, r);
    if (++h == image[1]) {
      h = 0;
      if (++d == image[0]) d = 0, ++plane;
    }
  }
}
// Calls f(plane, od, oh, offset of the row in y) for the rows of outputs [begin, end).
template <class G, class F>
FASTNN_INLINE void each_output_row(const G& g, int64_t begin, int64_t end, const F& f) {
  each_row(g.out, begin, end,
           [&](int64_t plane, int64_t d, int64_t h, int64_t r) FASTNN_FLAT { f(plane, d, h, r * g.out[2]); });
}

// A row that is staged, as seen from a row on the other side: where its element 0 would be, and the number of the first
// tap between the two.
template <class T>
struct StagedRow {
  const T* values;
  int64_t tap;
};

// The staged rows that each row of a block meets, in order.
template <class T>
struct RowLists {
  int64_t most;  // in a list
  StagedRow<T>* rows;
  int64_t* counts;

  RowLists(const BlockPlan& plan, int64_t most, Room& room)
      : most(most),
        rows(room.take<StagedRow<T>>(plan.slices * plan.rows * most)),
        counts(room.take<int64_t>(plan.slices * plan.rows)) {}
  // find(d, h, list) makes the list of a row and returns its length.
  template <class F>
  void make(const ImageBlock& block, const F& find) {
    int64_t i = 0;
    for (int64_t d = block.d.begin; d < block.d.end; ++d)
      for (int64_t h = block.h.begin; h < block.h.end; ++h, ++i) counts[i] = find(d, h, rows + i * most);
  }
};

// Output (d, h, w) of a plane and its offset in dy.
struct OutputPlace {
  int64_t d, h, w, offset;
};

// Where the results of windows go: y, and beside it the index, an integer as wide as T before it is stored, or null.
template <class T, class Index = void>
struct Outputs {
  static constexpr int arrays = std::is_void_v<Index> ? 1 : 2;
  T* y;
  Index* index = nullptr;

  FASTNN_INLINE void put(int64_t at, const Vec<T>* results, int n) const {
    store_n(y + at, results[0], n);
    if constexpr (arrays == 2) store_index_n<T>(index + at, (Mask<T>)results[1], n);
  }
};

// run(walk) for the first of the walks that suits; the last one is not asked.
template <class Walk, class... Others, class G, class Run>
FASTNN_INLINE void first_that_suits(const G& g, const Run& run) {
  if constexpr (sizeof...(Others) > 0)
    if (!Walk::suits(g)) return first_that_suits<Others...>(g, run);
  run(Walk{});
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
