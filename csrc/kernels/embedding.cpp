// Rows of a table by number: index (n), weight (rows, width) -> y (n, width).
// A number out of range can't come from a checked call; it gives NaN instead of reading out of bounds.
#include "../simd/copy.h"
#define FASTNN_FAMILY "embedding.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kValueCost = 0.15;  // rough nanoseconds per value moved

}  // namespace

// y[i] = weight[index[i]]
template <class T>
void embedding_forward(int64_t n, int64_t rows, int64_t width, const int64_t* index, const T* weight, T* y) {
  parallel_for(n, double(n) * double(width) * kValueCost, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (uint64_t(index[i]) < uint64_t(rows))
        copy_run(y + i * width, weight + index[i] * width, width);
      else
        for (int64_t j = 0; j < width; ++j) y[i * width + j] = T(__builtin_nan(""));
    }
  });
}

// y[i] = weight[index[i]]  =>  dweight[r] = sum of dy[i] over index[i] = r, in the order of i. Each range of rows looks
// through all numbers, so that no two threads add to one row.
template <class T>
void embedding_backward(int64_t n, int64_t rows, int64_t width, int64_t skip, const int64_t* index, const T* dy, T* dweight) {
  const double cost = (double(n) + double(rows)) * double(width) * kValueCost;
  parallel_for(rows, cost, [=](int64_t begin, int64_t end) {
    zero_run(dweight + begin * width, (end - begin) * width);
    for (int64_t i = 0; i < n; ++i) {
      if (index[i] < begin || index[i] >= end || index[i] == skip) continue;
      T* to = dweight + index[i] * width;
      const T* from = dy + i * width;
      int64_t j = 0;
      for (; j + lanes<T> <= width; j += lanes<T>) store(to + j, load(to + j) + load(from + j));
      if (j < width) store_n(to + j, load_n(to + j, int(width - j)) + load_n(from + j, int(width - j)), int(width - j));
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
