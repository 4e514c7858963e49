// Several sums over the same data, in blocks: partial sums in T, merged in double every few thousand elements. The
// number of partial sums does not depend on the length of registers, so the order of additions depends on the lengths
// given to add() alone, and all instruction sets with a fused multiply-add give the same bits.
#pragma once
#include "past.h"
#include "reduce.h"

namespace fastnn::FASTNN_ISA {
namespace {

// A row is as many lanes as fill the widest register of any instruction set, 64 bytes: kRowLanes lanes of T, which are
// kRowVectors vectors of this instruction set.
template <class T>
constexpr int kRowLanes = 64 / sizeof(T);
constexpr int kRowVectors = 64 / FASTNN_VEC_BYTES;
constexpr int kRowsInFlight = 4;  // rows of partial sums: several hide the latency of an addition

// Calls f(v, at, rest) for each vector v = 0, 1, … of a row that begins at element `begin`. `at` is the vector's first
// element, and `rest` is how many of the `size` elements are left from there: it may be negative, or larger than a
// vector.
template <class T, class F>
FASTNN_INLINE void for_row(int64_t begin, int64_t size, const F& f) {
#pragma GCC unroll 4
  for (int v = 0; v < kRowVectors; ++v) f(v, begin + v * lanes<T>, size - v * lanes<T>);
}

// Sum of the lanes of a row, in halves, then quarters, …; v is overwritten.
template <class T>
FASTNN_INLINE T reduce_row(Vec<T>* v) {
#pragma GCC unroll 2
  for (int half = kRowVectors / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  return reduce_add<T>(v[0]);
}

// K sums. fetch: while values are added, those kFetchAhead bytes further on are fetched.
template <class T, int K, bool fetch = false>
class BlockSums {
 public:
  // Calls f(acc, vectors…), which adds K terms, made of the vectors loaded from p…, to acc[0..K). In the last, short
  // vectors the missing lanes are loaded as zero; f must make them add nothing.
  template <class F, class... P>
  FASTNN_INLINE void add(int64_t n, const F& f, const P*... p) {
    add_by(n, [&](Vec<T>* acc, int64_t at, int64_t size) FASTNN_FLAT {
      if constexpr (fetch) (fetch_ahead(p + at), ...);
      f(acc, load_part(p + at, size)...);
    });
  }
  // add() for one array, except that the missing lanes are loaded as `fill`.
  template <class F>
  FASTNN_INLINE void add_filled(int64_t n, T fill, const F& f, const T* p) {
    add_by(n, [&](Vec<T>* acc, int64_t at, int64_t size) FASTNN_FLAT {
      if constexpr (fetch) fetch_ahead(p + at);
      f(acc, load_part(p + at, size, fill));
    });
  }
  double total(int k) {
    if (used_) flush();
    return total_[k];
  }

 private:
  static constexpr int64_t kBlock = 4096;

  template <class F>
  FASTNN_INLINE void add_by(int64_t n, const F& f) {
    constexpr int64_t R = kRowLanes<T>;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = n - begin < kBlock ? n : begin + kBlock;
      int64_t i = begin;
      for (; i + kRowsInFlight * R <= end; i += kRowsInFlight * R)
#pragma GCC unroll 4
        for (int r = 0; r < kRowsInFlight; ++r)
          for_row<T>(i + r * R, R, [&](int v, int64_t at, int64_t) FASTNN_FLAT { f(acc_[r][v], at, R); });
      for (; i + R <= end; i += R)
        for_row<T>(i, R, [&](int v, int64_t at, int64_t) FASTNN_FLAT { f(acc_[0][v], at, R); });
      if (i < end)
        for_row<T>(i, end - i, [&](int v, int64_t at, int64_t size) FASTNN_FLAT {
          if (size > 0) f(acc_[1][v], at, size);
        });
      used_ += end - begin;
      if (used_ >= kBlock) flush();
    }
  }

  void flush() {
    Vec<T> sums[K];
    T sum[K];
    for (int k = 0; k < K; ++k) {
      Vec<T> row[kRowVectors];
      for (int v = 0; v < kRowVectors; ++v) {
        row[v] = (acc_[0][v][k] + acc_[1][v][k]) + (acc_[2][v][k] + acc_[3][v][k]);
        for (int r = 0; r < kRowsInFlight; ++r) acc_[r][v][k] = Vec<T>{};
      }
      for (int half = kRowVectors / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) row[i] += row[i + half];
      sums[k] = row[0];
    }
    reduce_add_many<T, K>(sums, sum);
    for (int k = 0; k < K; ++k) total_[k] += double(sum[k]);
    used_ = 0;
  }

  Vec<T> acc_[kRowsInFlight][kRowVectors][K] = {};
  double total_[K] = {};
  int64_t used_ = 0;
};

// y[i] = f(x0[i], …) over contiguous runs; the last vector may be short. With `past`, y begins with a short store, so
// that the vectors after it are aligned, and y must be none of the x. fetch(i) is called before the vector at i is
// loaded.
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

// The sum of scale x[i] in double: eight sums of every eighth element, which are added in order in the end.
template <class T>
double block_sum(int64_t n, const T* x, double scale) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += double(x[i + j]) * scale;
  for (int j = 0; i < n; ++i, ++j) sums[j] += double(x[i]) * scale;
  for (int j = 1; j < 8; ++j) sums[0] += sums[j];
  return sums[0];
}

// The sum of scale x[i] in double. The sums of blocks are added in pairs, the sums of pairs again in pairs, and so on,
// so that the error grows like the logarithm of n.
template <class T>
double pairwise_sum(int64_t n, const T* x, double scale) {
  constexpr int64_t kBlock = 1024;
  double waiting[64];  // sums of 2^k blocks, k falling
  int count = 0;
  for (int64_t begin = 0, block = 0; begin < n; begin += kBlock, ++block) {
    double total = block_sum(n - begin < kBlock ? n - begin : kBlock, x + begin, scale);
    for (int64_t k = block; k & 1; k >>= 1) total = waiting[--count] + total;
    waiting[count++] = total;
  }
  double total = 0;
  while (count > 0) total = waiting[--count] + total;
  return total;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
