// Results that are too long to be found in a cache later are stored past the caches: their lines are not read first,
// and what is in the caches stays. Zen 5, arrays of 26 MB: a copy reaches 70 instead of 59 GB/s, a product of two
// arrays 67 instead of 45; within the cache a copy would lose a third.
#pragma once
#include <type_traits>

#include "../cpu.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Beside such stores, inputs are fetched this many bytes ahead of a load: two arrays at 67 instead of 55 GB/s. 2 KB are
// too few.
constexpr int64_t kFetchAhead = 4096;

// Whether the result of a call that reads and writes `values` elements in all is stored past the caches.
template <class T>
inline bool goes_past(double values) {
  return values * sizeof(T) > double(last_level_cache());
}

// How many elements lie between y and the next address that is aligned to a vector.
template <class T>
FASTNN_INLINE int64_t to_aligned(const T* y) {
  return int64_t(-reinterpret_cast<uintptr_t>(y) % FASTNN_VEC_BYTES / sizeof(T));
}

// Fetches into the caches what lies kFetchAhead bytes after p; the address need not be valid.
template <class T>
FASTNN_INLINE void fetch_ahead(const T* p) {
  __builtin_prefetch(reinterpret_cast<const char*>(p) + kFetchAhead);
}

// Calls f with `past` as a constant, std::true_type or std::false_type, so that loops are compiled for each.
template <class F>
FASTNN_INLINE void with_past(bool past, const F& f) {
  if (past) {
    f(std::true_type{});
    return;
  }
  f(std::false_type{});
}

// store_part, but past the caches if `past`: then whole vectors must be aligned, and each thread must call
// stream_fence() at the end.
template <bool past, class T>
FASTNN_INLINE void put(T* p, Vec<T> v, int64_t size) {
  if (past && size >= lanes<T>)
    stream(p, v);
  else
    store_part(p, v, size);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
