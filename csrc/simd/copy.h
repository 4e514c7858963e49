// Moving runs of elements: contiguous, strided, constant.
#pragma once
#include "shuffle.h"
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

// fill_run for a run that is part of an array of `values` elements. Where the array is more than a second-level cache
// holds, runs of two pages and more are left to `rep stos`, which doesn't read the lines first: on Zen 5 it fills 26 MB
// at 110 to 125 instead of 57 GB/s in runs of 64 KB, and at 80 in runs of 12 KB. It takes 50 ns to begin.
constexpr double kNearBytes = 2 << 20;
constexpr int64_t kLongFill = 8192;
template <class T>
FASTNN_INLINE void fill_whole(T* to, T value, int64_t n, [[maybe_unused]] double values) {
#if defined(__x86_64__)
  if (values * sizeof(T) > kNearBytes && n * int64_t(sizeof(T)) >= kLongFill) {
    if constexpr (sizeof(T) == 4) {
      uint32_t bits;
      __builtin_memcpy(&bits, &value, 4);
      asm volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(bits) : "memory");
    } else {
      uint64_t bits;
      __builtin_memcpy(&bits, &value, 8);
      asm volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(bits) : "memory");
    }
    return;
  }
#endif
  fill_run(to, value, n);
}

template <class T>
FASTNN_INLINE void zero_run(T* to, int64_t n) {
  fill_run(to, T(0), n);
}

// A vector of N elements, which in memory need not be aligned to the size of the vector.
template <class T, int N>
struct FewOf {
  typedef T type __attribute__((vector_size(N * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <class T, int N>
using Few = typename FewOf<T, N>::type;

// The elements number first, first + 2, … of the 2 N that `from` points to.
template <class T, int N, int first>
FASTNN_INLINE Few<T, N> every_second(const T* from) {
  return shuffle(*reinterpret_cast<const Few<T, N>*>(from), *reinterpret_cast<const Few<T, N>*>(from + N),
                 [](int i) { return 2 * i + first; });
}

// even[i] = from[2 i] and, unless odd is null, odd[i] = from[2 i + 1]. What is left at the end is done by a vector that
// overlaps the one before, or by vectors of half as many lanes, not by masked loads: on some processors these wait for
// the stores before them (20 ns on Zen 5), which is more than the row of a small map takes.
template <class T, int N = lanes<T>>
FASTNN_INLINE void split_run(T* even, T* odd, const T* from, int64_t n) {
  if constexpr (N == 1) {
    if (n < 1) return;
    even[0] = from[0];
    if (odd) odd[0] = from[1];
  } else {
    if (n < N) return split_run<T, N / 2>(even, odd, from, n);
    for (int64_t i = 0;;) {
      *reinterpret_cast<Few<T, N>*>(even + i) = every_second<T, N, 0>(from + 2 * i);
      if (odd) *reinterpret_cast<Few<T, N>*>(odd + i) = every_second<T, N, 1>(from + 2 * i);
      if (i + N == n) return;
      i = i + 2 * N <= n ? i + N : n - N;
    }
  }
}

// to[i] = from[i * step]
template <class T>
FASTNN_INLINE void gather_run(T* to, const T* from, int64_t n, int64_t step) {
  int64_t i = 0;
  if (step == 2 && n > 1) {  // split_run reads pairs, and the second half of the last pair need not exist
    i = n - 1;
    T* none = nullptr;
    split_run(to, none, from, i);
  }
  for (; i < n; ++i) to[i] = from[i * step];
}

// Lanes 0, 2, 4, … of the 2 * lanes elements at p become v.
template <class T>
FASTNN_INLINE void store_even(T* p, Vec<T> v) {
  constexpr int L = lanes<T>;
  store(p, shuffle(v, load(p), [](int i) { return i % 2 ? L + i : i / 2; }));
  store(p + L, shuffle(v, load(p + L), [](int i) { return i % 2 ? L + i : L / 2 + i / 2; }));
}

// to[i * step] = from[i]. With step 2 the elements between are read and written back, so no other thread may write them
// at the same time.
template <class T>
FASTNN_INLINE void scatter_run(T* to, const T* from, int64_t n, int64_t step) {
  int64_t i = 0;
  if (step == 2)
    for (; i + lanes<T> < n; i += lanes<T>) store_even(to + 2 * i, load(from + i));
  for (; i < n; ++i) to[i * step] = from[i];
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
