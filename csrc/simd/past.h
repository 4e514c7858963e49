// Results that are too long to be found in a cache later are stored past the caches: their lines are not read first,
// and what is in the caches stays. Zen 5, arrays of 26 MB: a copy reaches 70 instead of 59 GB/s, a product of two
// arrays 67 instead of 45; within the cache a copy would lose a third.
#pragma once
#include <type_traits>

#include "../cpu.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Bytes ahead of a load that are fetched beside such stores: two arrays at 67 instead of 55 GB/s. 2 KB are too few.
constexpr int64_t kFetchAhead = 4096;

// Whether the result of a call that reads and writes `values` values goes past the caches.
template <class T>
inline bool goes_past(double values) {
  return values * sizeof(T) > double(last_level_cache());
}

// How many values lie between y and its next whole vector.
template <class T>
FASTNN_INLINE int64_t to_aligned(const T* y) {
  return int64_t(-reinterpret_cast<uintptr_t>(y) % FASTNN_VEC_BYTES / sizeof(T));
}

// Fetches what is read kFetchAhead further on; nothing need be there.
template <class T>
FASTNN_INLINE void fetch_ahead(const T* p) {
  __builtin_prefetch(reinterpret_cast<const char*>(p) + kFetchAhead);
}

// f(std::true_type) or f(std::false_type), so that loops are compiled for each.
template <class F>
FASTNN_INLINE void with_past(bool past, const F& f) {
  if (past) {
    f(std::true_type{});
    return;
  }
  f(std::false_type{});
}

// store_part, past the caches if `past`: then whole vectors are aligned, and a thread ends with stream_fence().
template <bool past, class T>
FASTNN_INLINE void put(T* p, Vec<T> v, int64_t size) {
  if (past && size >= lanes<T>)
    stream(p, v);
  else
    store_part(p, v, size);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
