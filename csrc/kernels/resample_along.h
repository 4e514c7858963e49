// Resampling of rows along themselves: outputs take inputs of the same row.
#pragma once
#include "../types.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Along {
  const ResampleAxis& axis;
  int64_t out;

  void row(const T* x, T* y) const {
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
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
