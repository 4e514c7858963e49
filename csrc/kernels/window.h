// Windows of a pooling: where they lie, how an image is cut into blocks, and what all walks through windows share.
//
// A walk is made of a geometry g, and has
//   suits()                        whether it can be taken, and is likely to be faster than the walks behind it
//   forward(filler, cost, x, y, f) calls f(windows, results) for each vector of windows; y.put stores the results
//   backward(term, cost, dx)       dx[i] = sum of a term of (o, k, x[i]) over the windows o whose tap k is input i
// What lies around an image counts as `filler`; cost is in nanoseconds. Each op has a list of the walks that it takes,
// of which the first that suits runs (choice.h).
//
// `windows` has
//   taps(f)         calls f(number of the tap, values) for all taps of a vector of windows, in order
//   padded          whether these may lie beside the image; then
//   first_tap()     gives for each lane the first tap inside the image
// A term has
//   arrays, of_inputs   vectors that it needs of the outputs, and whether it depends on x
//   load(o, size, v)    v[0 … arrays): those vectors, of `size` outputs from place o on; lanes beyond are 0
//   value(v, tap, x)    the terms of the tap; 0 where v is 0
#pragma once
#include <type_traits>

#include "../simd/copy.h"
#include "../simd/strided.h"
#include "../types.h"
#include "choice.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

FASTNN_INLINE bool same(Range a, Range b) { return a.begin == b.begin && a.end == b.end; }

// a / b rounded down, where a may be negative. The usual b are strides of 1 and 2; a division takes 40 cycles.
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
constexpr int64_t kManyTaps = 64;  // windows of more taps get a LongSum
template <class T>
constexpr T kLowest = -T(__builtin_inf());  // what lies around an image whose maxima are taken
// How many inputs the last tap of a window is behind its first.
inline int64_t reach(const Pool& g, int axis) { return (g.kernel[axis] - 1) * g.dilation[axis]; }

inline bool dilated(const Pool& g) { return g.dilation[0] > 1 || g.dilation[1] > 1 || g.dilation[2] > 1; }

// The taps of window o that lie in the image.
FASTNN_INLINE Range taps_inside(const Pool& g, int axis, int64_t o) {
  return inside(o * g.stride[axis] - g.pad[axis], g.dilation[axis], g.kernel[axis], g.size[axis]);
}
// The inputs from the first to the last under the windows [o.begin, o.end); and, below, how many inputs there can be at
// most under n windows.
FASTNN_INLINE Range inputs_under(const Pool& g, int axis, Range o) {
  const int64_t first = o.begin * g.stride[axis] - g.pad[axis];
  const int64_t end = (o.end - 1) * g.stride[axis] - g.pad[axis] + reach(g, axis) + 1;
  const int64_t begin = least(most(first, 0), g.size[axis]);
  return {begin, most(least(end, g.size[axis]), begin)};
}
inline int64_t most_inputs(const Pool& g, int axis, int64_t n) {
  return least((n - 1) * g.stride[axis] + reach(g, axis) + 1, g.size[axis]);
}

// A block of an image: some rows of one slice, or some slices with all their rows; of these rows, some columns.
struct ImageBlock {
  Range d, h, w;
};
FASTNN_INLINE bool same(const ImageBlock& a, const ImageBlock& b) {
  return same(a.d, b.d) && same(a.h, b.h) && same(a.w, b.w);
}

// Most inputs of a block, and of one of its rows: what is staged for them stays in the first-level cache.
constexpr int64_t kBlockElements = 8192, kBlockColumns = 2048;
// How many slices, rows of a slice, and columns a block has at most. The shape of the image decides, not the threads.
struct BlockLimits {
  static constexpr int64_t kMostRows = 256;
  int64_t size[3], columns, rows, slices;

  BlockLimits(const int64_t* image, int64_t elements, int64_t most_columns) {
    for (int i = 0; i < 3; ++i) size[i] = image[i];
    columns = least(size[2], most_columns);
    rows = least(most(elements / columns, 1), kMostRows);
    slices = least(most(rows / size[1], 1), size[0]);
    rows = least(rows, size[1]);
  }
};

// Calls f(plane, block) for the blocks that together cover the rows [begin, end) of all planes.
template <class F>
FASTNN_INLINE void each_block(const BlockLimits& limits, int64_t begin, int64_t end, const F& f) {
  const int64_t *size = limits.size, height = size[1];
  while (begin < end) {
    const int64_t slice = begin / height, plane = slice / size[0], d = slice % size[0], h = begin % height;
    const bool whole = h == 0 && limits.rows == height && end - begin >= height;
    const int64_t slices = whole ? least(least(limits.slices, size[0] - d), (end - begin) / height) : 1;
    const int64_t rows = whole ? height : least(least(limits.rows, height - h), end - begin);
    for (int64_t w = 0; w < size[2]; w += limits.columns)
      f(plane, ImageBlock{{d, d + slices}, {h, h + rows}, {w, least(w + limits.columns, size[2])}});
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

// A staged row that meets a given row of a block: where element 0 of the staged row would be, and the number of the
// first of the taps that join the two rows.
template <class T>
struct StagedRow {
  const T* values;
  int64_t tap;
};

// The staged rows that each row of a block meets, in order.
template <class T>
struct RowLists {
  int64_t most;  // rows in a list
  StagedRow<T>* rows;
  int64_t* counts;

  RowLists(const BlockLimits& limits, int64_t most, Room& room)
      : most(most),
        rows(room.take<StagedRow<T>>(limits.slices * limits.rows * most)),
        counts(room.take<int64_t>(limits.slices * limits.rows)) {}
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

// Where the results of windows go: values to y, and if there are two results, the second, an integer as wide as T, to
// index.
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

}  // namespace
}  // namespace fastnn::FASTNN_ISA
