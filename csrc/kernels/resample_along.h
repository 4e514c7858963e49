// Resampling of rows along themselves: outputs take inputs of the same row.
//
// Where the instruction set has them, a shuffle gives the inputs of a block of outputs: for each tap these lie in a
// window of two vectors. A block is a vector of outputs, or half or a quarter of one where the row shrinks; the other
// lanes are stored, too, and then overwritten by the next block. Windows are found once for many rows.
#pragma once
#include "../simd/copy.h"
#include "../simd/pick.h"
#include "../types.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// For tap k of block b of outputs, at [k * blocks + b]: where its window starts, and its inputs, counted from there.
template <class T>
struct Windows {
  int32_t* start;
  Mask<T>* place;
  int64_t block;  // how many outputs a block has; 0: there are no windows
};

template <class T>
struct Along {
  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kLeastBlock = L > 4 ? L / 4 : 1;
  static constexpr int64_t kManyRows = 8;  // as many make up for what it takes to find the windows
  const ResampleAxis& axis;
  int64_t size, out;

  Windows<T> windows(int64_t rows, Room& room) const {
    const int64_t n = kPicks<T> && rows >= kManyRows ? axis.taps * ceil_div(out, kLeastBlock) : 0;
    return {room.take<int32_t>(n), room.take<Mask<T>>(n), n > 0 ? L : 0};
  }
  // Finds windows for the largest blocks for which there are any.
  void find(Windows<T>& windows) const {
    while (windows.block && !found(windows)) windows.block = windows.block > kLeastBlock ? windows.block / 2 : 0;
  }

  void row(const Windows<T>& windows, const T* x, T* y) const {
    if (windows.block) return picked(windows, x, y);
    const int32_t* const index = axis.index;
    const T* const weight = static_cast<const T*>(axis.weight);
    if (axis.copies) {
      for (int64_t o = 0; o < out; ++o) y[o] = x[index[o]];
    } else if (axis.taps == 2) {
      for (int64_t o = 0; o < out; ++o) y[o] = weight[o] * x[index[o]] + weight[out + o] * x[index[out + o]];
    } else {
      for (int64_t o = 0; o < out; ++o) {
        T sum = weight[o] * x[index[o]];
        for (int64_t k = 1; k < axis.taps; ++k) sum += weight[k * out + o] * x[index[k * out + o]];
        y[o] = sum;
      }
    }
  }

 private:
  bool found(const Windows<T>& windows) const {
    const int64_t blocks = ceil_div(out, windows.block);
    for (int64_t i = 0; i < axis.taps * blocks; ++i) {
      const int64_t first = i % blocks * windows.block, n = least(windows.block, out - first);
      const int32_t* const index = axis.index + i / blocks * out + first;
      int64_t start = size, end = 0;
      for (int64_t o = 0; o < n; ++o) start = least(start, index[o]), end = most(end, index[o] + 1);
      start = most(least(start, size - 2 * L), 0);
      if (end - start > 2 * L) return false;
      windows.start[i] = int32_t(start);
      windows.place[i] = Mask<T>{};
      for (int64_t o = 0; o < n; ++o) windows.place[i][o] = index[o] - int32_t(start);
    }
    return true;
  }

  void picked(const Windows<T>& windows, const T* x, T* y) const {
    if (size >= 2 * L)
      each_block(windows, y, [=](int64_t start, Mask<T> place) FASTNN_FLAT {
        return pick<T>(load(x + start), load(x + start + L), place);
      });
    else
      each_block(windows, y, [=, n = size](int64_t start, Mask<T> place) FASTNN_FLAT {
        return pick<T>(load_part(x + start, n - start), load_part(x + start + L, n - start - L), place);
      });
  }
  template <class Read>
  FASTNN_INLINE void each_block(const Windows<T>& windows, T* y, const Read& read) const {
    const T* const weight = static_cast<const T*>(axis.weight);
    const int64_t n = ceil_div(out, windows.block);
    for (int64_t b = 0; b < n; ++b) {
      const int64_t o = b * windows.block, left = out - o;
      Vec<T> sum = read(windows.start[b], windows.place[b]);
      if (!axis.copies) {
        sum *= load_part(weight + o, left);
        for (int64_t k = 1, i = n + b; k < axis.taps; ++k, i += n)
          sum = fma(load_part(weight + k * out + o, left), read(windows.start[i], windows.place[i]), sum);
      }
      store_part(y + o, sum, left);
    }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
