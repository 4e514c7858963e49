// Several sums over the same data, in blocks: vectors of partial sums in T, merged in double every few thousand
// elements. The order depends on the lengths given to add() alone.
#pragma once
#include "past.h"

namespace fastnn::FASTNN_ISA {
namespace {

// fetch: what is 4 KB further on is fetched.
template <class T, int K, bool fetch = false>
class BlockSums {
 public:
  // f(acc, vectors…) adds K terms of the vectors loaded from p… to acc[0..K). In the last, short vector the missing
  // lanes are loaded as zero; f must make them add nothing.
  template <class F, class... P>
  FASTNN_INLINE void add(int64_t n, const F& f, const P*... p) {
    constexpr int64_t L = lanes<T>;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = n - begin < kBlock ? n : begin + kBlock;
      int64_t i = begin;
      for (; i + 4 * L <= end; i += 4 * L)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
          if constexpr (fetch) (fetch_ahead(p + i + u * L), ...);
          f(acc_[u], load(p + i + u * L)...);
        }
      for (; i + L <= end; i += L) f(acc_[0], load(p + i)...);
      if (i < end) f(acc_[1], load_n(p + i, int(end - i))...);
      used_ += end - begin;
      if (used_ >= kBlock) flush();
    }
  }
  double total(int k) {
    if (used_) flush();
    return total_[k];
  }

 private:
  static constexpr int64_t kBlock = 4096;

  void flush() {
    for (int k = 0; k < K; ++k) {
      total_[k] += double(reduce_add<T>((acc_[0][k] + acc_[1][k]) + (acc_[2][k] + acc_[3][k])));
      for (int u = 0; u < 4; ++u) acc_[u][k] = Vec<T>{};
    }
    used_ = 0;
  }

  Vec<T> acc_[4][K] = {};
  double total_[K] = {};
  int64_t used_ = 0;
};

// f over contiguous runs, the last vector short: y[i] = f(x0[i], …). Past the caches y begins with a short store, up to a
// whole vector, and is none of the x. fetch(i) comes before the vector at i.
template <bool past, class T, class Fetch, class F, class... P>
FASTNN_INLINE void map_run_fetching(int64_t n, const Fetch& fetch, const F& f, T* y, const P*... x) {
  int64_t i = 0;
  if constexpr (past)
    if (n >= lanes<T> && to_aligned(y) > 0) {
      i = to_aligned(y);
      store_n(y, f(load(x)...), int(i));
    }
#pragma GCC unroll 4
  for (; i + lanes<T> <= n; i += lanes<T>) {
    fetch(i);
    put<past>(y + i, f(whole(load(x + i))...), lanes<T>);
  }
  if (i < n) store_n(y + i, f(load_n(x + i, int(n - i))...), int(n - i));
}
template <bool past = false, class T, class F, class... P>
FASTNN_INLINE void map_run(int64_t n, const F& f, T* y, const P*... x) {
  map_run_fetching<past>(n, [](int64_t) {}, f, y, x...);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
