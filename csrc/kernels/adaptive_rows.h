// Adaptive pooling of narrow windows, with lanes across rows of outputs. The rows of inputs under a row of outputs are
// reduced to one row, with lanes along the image. The reduced rows of a vector's worth of rows of outputs are then
// transposed, so that nothing is added or compared across the lanes of a vector. 32x64x56x56 to 7x7 on Zen 5: maxima
// take 1.1 ms instead of 3.5, means 0.75 instead of 9.
#pragma once
#include "../simd/past.h"
#include "pool_planes.h"

namespace fastnn::FASTNN_ISA {
namespace {

// reduce() combines the rows in the ranges d (of slices) and h (of each slice's rows) into one row, which has `arrays`
// values for each column. It reads whole vectors, also past the last column, but not past `end`. LargestOfRows gives
// two values for each column: the largest value and its position.
struct LargestOfRows {
  static constexpr int arrays = 2;
  template <class T>
  static constexpr int64_t least_rows = lanes<T> / 4;  // fewer rows of outputs are left to best_of_boxes

  template <class T>
  static FASTNN_INLINE void reduce(const AdaptivePool& g, const T* image, const T* end, Range d, Range h, T* value,
                                   T* position) {
    const int64_t width = g.size[2];
    for (int64_t w = 0; w < width; w += lanes<T>) {
      int64_t row = (d.begin * g.size[1] + h.begin) * width + w;
      Vec<T> best = load_part(image + row, end - image - row);
      Mask<T> at = ramp<T>(row, 1);
      for (int64_t i = d.begin; i < d.end; ++i) {
        row = (i * g.size[1] + h.begin) * width + w;
        for (int64_t j = h.begin; j < h.end; ++j, row += width) {
          fetch_ahead(image + row);  // with it 32x64x56x56 takes 0.8 of the time
          take_larger<T>(best, at, load_part(image + row, end - image - row), ramp<T>(row, 1));
        }
      }
      store(value + w, best);
      store(position + w, (Vec<T>)at);
    }
  }
};

// SumOfRows gives one value for each column, its sum.
struct SumOfRows {
  static constexpr int arrays = 1;
  template <class T>
  static constexpr int64_t least_rows = lanes<T>;

  template <class T>
  static FASTNN_INLINE void reduce(const AdaptivePool& g, const T* image, const T* end, Range d, Range h, T* sums, T*) {
    if ((d.end - d.begin) * (h.end - h.begin) > kManyTaps)
      add<LongSum<T>>(g, image, end, d, h, sums);
    else
      add<ShortSum<T>>(g, image, end, d, h, sums);
  }

 private:
  template <class Sum, class T>
  static FASTNN_INLINE void add(const AdaptivePool& g, const T* image, const T* end, Range d, Range h, T* sums) {
    const int64_t width = g.size[2];
    for (int64_t w = 0; w < width; w += lanes<T>) {
      Sum sum;
      for (int64_t i = d.begin; i < d.end; ++i)
        for (int64_t j = h.begin; j < h.end; ++j) {
          const T* row = image + (i * g.size[1] + j) * width + w;
          fetch_ahead(row);
          sum.add(load_part(row, end - row));
        }
      store(sums + w, sum.total());
    }
  }
};

// The windows of one column of outputs, in a vector's worth of rows of outputs. A tap is a column of a row that
// reduce() made.
template <class T>
struct ColumnWindows {
  const T *value, *position;  // (column, row of outputs)
  int64_t count;
  Vec<T> rows;  // how many rows of inputs each window has

  FASTNN_INLINE Vec<T> inputs() const { return rows * T(count); }
  template <class F>
  FASTNN_INLINE void taps(const F& f) const {
    for (int64_t c = 0; c < count; ++c) f((Mask<T>)load(position + c * lanes<T>), load(value + c * lanes<T>));
  }
};

template <class T, class Rows>
struct ColumnWalk {
  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kColumns = 1024;  // so few that transposed columns stay in the second-level cache
  const AdaptivePool& g;

  bool suits() const {
    return output_rows(g) >= Rows::template least_rows<T> && g.size[2] <= kColumns && g.out[2] <= kColumns &&
           g.size[2] <= 2 * L * g.out[2];
  }

  template <class Out, class F>
  void forward(T, double cost, const T* x, const Out& y, const F& f) const {
    const int64_t image = plane_inputs(g);
    const auto layout = [&g = g](Room& room) { return Tile(g, room); };
    parallel_room(output_rows(g), cost, layout, [=, &g = g](int64_t begin, int64_t end, const Tile& tile) {
      zero_run(tile.columns, tile.array * Rows::arrays);  // lanes without a row are computed, too
      for (int64_t r = begin; r < end; r += L) {
        const int64_t n = least(L, end - r);
        Vec<T> rows = set1(T(1));
        each_row(g.out, r, r + n, [&](int64_t plane, int64_t od, int64_t oh, int64_t row) {
          const Range d = box(g, 0, od), h = box(g, 1, oh);
          T* const to = tile.columns + (row - r) * tile.pitch;
          rows[row - r] = T((d.end - d.begin) * (h.end - h.begin));
          Rows::reduce(g, x + plane * image, x + g.n * g.c * image, d, h, to, to + tile.array);
        });
        for (int a = 0; a < Rows::arrays; ++a)
          turn(tile.columns + a * tile.array, tile.pitch, L, tile.pitch, tile.turned + a * tile.array, L);
        for (int64_t ow = 0; ow < g.out[2]; ++ow) {
          const Range w = box(g, 2, ow);
          const T* const first = tile.turned + w.begin * L;
          Vec<T> results[Out::arrays];
          f(ColumnWindows<T>{first, first + tile.array, w.end - w.begin, rows}, results);
          tile.results.set(ow, results);
        }
        tile.results.put(r * g.out[2], n, y);
      }
    });
  }

 private:
  struct Tile {
    int64_t pitch, array;  // columns of a row, in whole vectors; distance of one array from the next
    T *columns, *turned;   // (value, row of outputs, column), (value, column, row of outputs)
    TurnedResults<T, Rows::arrays> results;

    Tile(const AdaptivePool& g, Room& room)
        : pitch(ceil_div(g.size[2], L) * L),
          array(pitch * L),
          columns(room.take<T>(Rows::arrays * array)),
          turned(room.take<T>(Rows::arrays * array)),
          results(g.out[2], room) {}
  };
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
