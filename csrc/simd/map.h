// Elementwise loops: an op is written once for body and tail.
#pragma once
#include "../parallel.h"
#include "past.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Calls body(i, size) for each vector of [0, n), where i is the first element of the vector. `size` is lanes<T>, a
// constant, except for the last vector, which may be shorter. ns: rough serial cost of one element in nanoseconds.
// past: the body stores past the caches.
template <class T, bool past = false, class Body>
FASTNN_INLINE void for_vectors(int64_t n, double ns, const Body& body) {
  constexpr int64_t L = lanes<T>;
  parallel_for((n + L - 1) / L, double(n) * ns, [=](int64_t begin, int64_t end) {
    const int64_t full = end * L <= n ? end : n / L;
    int64_t i = begin * L;
#pragma GCC unroll 4
    for (; i < full * L; i += L) body(i, L);
    if (i < n && i < end * L) body(i, n - i);
    if (past) stream_fence();
  });
}

// Calls f(past, i) for each item i of the n items of a call that reads and writes `values` elements in all. `past`, a
// std::bool_constant, says whether results are stored past the caches. cost: nanoseconds of all items together.
template <class T, class F>
FASTNN_INLINE void each_item(int64_t n, double values, double cost, const F& f) {
  with_past(goes_past<T>(values), [=](auto past) {
    parallel_for(n, cost, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(past, i);
      if (past) stream_fence();
    });
  });
}

// y[i] = f(x0[i], x1[i], …) for i in [0, n). y may be one of the inputs: a vector is loaded whole before it is stored.
template <class T, class F, class... Inputs>
FASTNN_INLINE void map(int64_t n, double ns, const F& f, T* y, const Inputs*... x) {
  if (!goes_past<T>(double(n) * (1 + sizeof...(x))) || to_aligned(y) != 0)
    return for_vectors<T>(
        n, ns, [=](int64_t i, int64_t size) { store_part(y + i, f(whole(load_part(x + i, size))...), size); });
  for_vectors<T, true>(n, ns, [=](int64_t i, int64_t size) {
    (fetch_ahead(x + i), ...);
    put<true>(y + i, f(whole(load_part(x + i, size))...), size);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
