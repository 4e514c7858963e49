// Sums of vectors in double, a sum per lane: for long series of terms, whose rounding errors would grow in T.
#pragma once
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
class WideSum {
 public:
  FASTNN_INLINE void add(Vec<T> v) {
    T part[lanes<T>];
    store(part, v);
    for (int i = 0; i < lanes<T>; ++i) lane_[i] += double(part[i]);
  }
  FASTNN_INLINE Vec<T> lanes_rounded() const {
    T part[lanes<T>];
    for (int i = 0; i < lanes<T>; ++i) part[i] = T(lane_[i]);
    return load(part);
  }
  // The sum of all lanes, added in halves, then quarters, …; the sums of the lanes are overwritten.
  FASTNN_INLINE double total() {
    for (int half = lanes<T> / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lane_[i] += lane_[i + half];
    return lane_[0];
  }

 private:
  double lane_[lanes<T>] = {};
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
