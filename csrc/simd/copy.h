// Moving runs of elements: contiguous, strided, constant.
#pragma once
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
FASTNN_INLINE void copy_run(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, load(from + i));
  if (i < n) store_n(to + i, load_n(from + i, int(n - i)), int(n - i));
}

template <class T>
FASTNN_INLINE void fill_run(T* to, T value, int64_t n) {
  const Vec<T> v = set1(value);
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, v);
  if (i < n) store_n(to + i, v, int(n - i));
}

template <class T>
FASTNN_INLINE void zero_run(T* to, int64_t n) {
  fill_run(to, T(0), n);
}

// Lanes 0, 2, 4, … of the 2 * lanes elements at p.
template <class T>
FASTNN_INLINE Vec<T> load_even(const T* p) {
  return __builtin_shuffle(load(p), load(p + lanes<T>), iota<T>() * 2);
}

// to[i] = from[i * step]
template <class T>
FASTNN_INLINE void gather_run(T* to, const T* from, int64_t n, int64_t step) {
  int64_t i = 0;
  if (step == 2)  // one element short of the end: load_even reads one beyond the last that it uses
    for (; i + lanes<T> < n; i += lanes<T>) store(to + i, load_even(from + 2 * i));
  for (; i < n; ++i) to[i] = from[i * step];
}

// to[i * step] = from[i]
template <class T>
FASTNN_INLINE void scatter_run(T* to, const T* from, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; ++i) to[i * step] = from[i];
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
