// Resampling of small images, with lanes across planes: a vector's worth of planes is turned, so that values at one
// place lie side by side, and turned back in the end. No index is looked up for fewer values than a vector has.
#pragma once
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "../types.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Resamples one axis of x (outer, size, inner, lanes) -> y (outer, out, inner, lanes). K: how many taps there are, or 0
// for any number.
template <int K, class T>
void resample_axis(const ResampleAxis& axis, int64_t outer, int64_t size, int64_t out, int64_t inner, const T* x,
                   T* y) {
  constexpr int64_t L = lanes<T>;
  const T* const weights = static_cast<const T*>(axis.weight);
  for (int64_t a = 0; a < outer; ++a, x += size * inner * L)
    for (int64_t o = 0; o < out; ++o, y += inner * L) {
      const auto from = [&](int64_t k) { return x + axis.index[k * out + o] * inner * L; };
      if constexpr (K > 0) {
        Vec<T> w[K];
        const T* source[K];
        for (int k = 0; k < K; ++k) w[k] = set1(weights[k * out + o]), source[k] = from(k);
        for (int64_t j = 0; j < inner * L; j += L) {
          Vec<T> sum = w[0] * load(source[0] + j);
          for (int k = 1; k < K; ++k) sum = fma(w[k], load(source[k] + j), sum);
          store(y + j, sum);
        }
      } else {
        for (int64_t j = 0; j < inner * L; j += L) {
          Vec<T> sum = set1(weights[o]) * load(from(0) + j);
          for (int64_t k = 1; k < axis.taps; ++k) sum = fma(set1(weights[k * out + o]), load(from(k) + j), sum);
          store(y + j, sum);
        }
      }
    }
}

template <class T>
struct ResampledPlanes {
  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kBytes = 448 << 10;  // what the second-level cache holds beside the arrays
  const Resample& g;
  T fill;
  const T* x;
  T* y;

  bool suits() const {
    return g.n * g.c >= L && !(g.axes[0].same && g.axes[1].same && g.axes[2].same) &&
           double(2 * largest() * L) * sizeof(T) <= kBytes;
  }

  struct Scratch {
    T *values, *next;
  };
  Scratch scratch(Room& room) const { return {room.take<T>(largest() * L), room.take<T>(largest() * L)}; }

  // Blocks of L planes.
  int64_t blocks() const { return ceil_div(g.n * g.c, L); }

  void make(int64_t begin, int64_t end, Scratch s) const {
    const int64_t inputs = g.size[0] * g.size[1] * g.size[2], outputs = g.out[0] * g.out[1] * g.out[2];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t planes = least(L, g.n * g.c - block * L);
      if (planes < L) zero_run(s.values, inputs * L);  // lanes without a plane are computed, too
      turn(x + block * L * inputs, inputs, planes, inputs, s.values, L);
      int64_t extent[3] = {g.size[0], g.size[1], g.size[2]};
      for (const int axis : order().axes) {
        if (g.axes[axis].same) continue;
        resample_one(axis, extent, s.values, s.next);
        extent[axis] = g.out[axis];
        T* const before = s.values;
        s.values = s.next, s.next = before;
      }
      fill_empty(s.values);
      turn(s.values, L, outputs, planes, y + block * L * outputs, outputs);
    }
  }

 private:
  struct Order {
    int axes[3];
  };
  // Axes that shrink come first, and of equals the last.
  Order order() const {
    Order found = {{2, 1, 0}};
    const auto grows_more = [this](int a, int b) { return g.out[a] * g.size[b] > g.out[b] * g.size[a]; };
    for (int pass = 0; pass < 2; ++pass)
      for (int i = 0; i < 2; ++i)
        if (grows_more(found.axes[i], found.axes[i + 1])) {
          const int a = found.axes[i];
          found.axes[i] = found.axes[i + 1], found.axes[i + 1] = a;
        }
    return found;
  }
  // Values of the largest image on the way.
  int64_t largest() const {
    int64_t extent[3] = {g.size[0], g.size[1], g.size[2]}, found = extent[0] * extent[1] * extent[2];
    for (const int axis : order().axes) {
      extent[axis] = g.out[axis];
      found = most(found, extent[0] * extent[1] * extent[2]);
    }
    return found;
  }

  void resample_one(int axis, const int64_t* extent, const T* from, T* to) const {
    const ResampleAxis& table = g.axes[axis];
    const int64_t outer = axis == 0 ? 1 : axis == 1 ? extent[0] : extent[0] * extent[1];
    const int64_t inner = axis == 2 ? 1 : axis == 1 ? extent[2] : extent[1] * extent[2];
    const auto run = table.taps == 1   ? resample_axis<1, T>
                     : table.taps == 2 ? resample_axis<2, T>
                     : table.taps == 4 ? resample_axis<4, T>
                                       : resample_axis<0, T>;
    run(table, outer, extent[axis], g.out[axis], inner, from, to);
  }

  void fill_empty(T* values) const {
    const int64_t strides[3] = {g.out[1] * g.out[2], g.out[2], 1};
    for (int axis = 0; axis < 3; ++axis)
      for (int64_t i = 0; i < g.axes[axis].empties; ++i) {
        const int64_t outer = g.out[0] * g.out[1] * g.out[2] / (g.out[axis] * strides[axis]);
        for (int64_t a = 0; a < outer; ++a)
          fill_run(values + (a * g.out[axis] + g.axes[axis].empty[i]) * strides[axis] * L, fill, strides[axis] * L);
      }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
