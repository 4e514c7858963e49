// Elementwise loops: an op is a functor on vectors, written once for body and tail.
#pragma once
#include "../parallel.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// y[i] = f(x0[i], x1[i], …) for i in [0, n). ns: rough serial cost of one element in nanoseconds.
// y may be one of the inputs: a vector is loaded whole before it is stored.
template <class T, class F, class... Inputs>
FASTNN_INLINE void map(int64_t n, double ns, const F& f, T* y, const Inputs*... x) {
  constexpr int64_t L = lanes<T>;
  const int64_t blocks = (n + L - 1) / L;  // threads take whole vectors, so an element's place in its vector is fixed
  parallel_for(blocks, double(n) * ns, [=](int64_t begin, int64_t end) {
    const int64_t full = end * L <= n ? end : n / L;
    int64_t i = begin * L;
#pragma GCC unroll 4
    for (; i < full * L; i += L) store(y + i, f(load(x + i)...));
    if (i < n && i < end * L) store_n(y + i, f(load_n(x + i, int(n - i))...), int(n - i));
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
