// Sums whose rounding error doesn't grow with the number of their terms; they cost hardly more than plain sums.
#pragma once
#include "reduce.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Adds up vectors, which makes a sum in each lane. Every kPart vectors make a part; what rounding loses when a part is
// added to the sum is kept, and added in the end.
template <class T>
class LongSum {
 public:
  FASTNN_INLINE void add(Vec<T> v) {
    part_ += v;
    if (++count_ == kPart) fold();
  }
  FASTNN_INLINE Vec<T> total() {
    fold();
    return lost_ == lost_ ? sum_ + lost_ : sum_;  // if the sum is infinite, lost_ is NaN
  }

 private:
  static constexpr int kPart = 64;

  FASTNN_INLINE void fold() {
    const Vec<T> sum = sum_ + part_, grown = sum - sum_;
    lost_ += (sum_ - (sum - grown)) + (part_ - grown);
    sum_ = sum, part_ = Vec<T>{};
    count_ = 0;
  }

  Vec<T> part_ = {}, sum_ = {}, lost_ = {};
  int count_ = 0;
};

// A plain sum with the interface of LongSum, for few vectors.
template <class T>
class ShortSum {
 public:
  FASTNN_INLINE void add(Vec<T> v) { sum_ += v; }
  FASTNN_INLINE Vec<T> total() const { return sum_; }

 private:
  Vec<T> sum_ = {};
};

// The sum of contiguous runs. They are added in rows of 64 bytes, whatever the length of a vector is, so that the order
// of additions depends on the lengths of the runs alone. Every few thousand elements make a part, and parts are added
// in double.
template <class T>
class RunSum {
 public:
  FASTNN_INLINE void add(const T* x, int64_t n) {
    while (__builtin_expect(n > room_, 0)) {
      add_short(x, room_);
      x += room_, n -= room_;
      fold();
    }
    add_short(x, n);
    room_ -= (n + 4 * kWide - 1) & -(4 * kWide);  // counted as if all lanes had added as much as the first
  }
  FASTNN_INLINE double total() const { return total_ + double(part()); }

 private:
  static constexpr int64_t L = lanes<T>, N = 64 / FASTNN_VEC_BYTES, kWide = N * L, kPart = 4096;

  FASTNN_INLINE void add_short(const T* x, int64_t n) {
    int64_t i = 0;
    for (; i + 4 * kWide <= n; i += 4 * kWide)
#pragma GCC unroll 16
      for (int u = 0; u < 4 * N; ++u) sum_[u] += load(x + i + u * L);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k)
      if (i + kWide <= n) {
#pragma GCC unroll 4
        for (int u = 0; u < N; ++u) sum_[k * N + u] += load(x + i + u * L);
        i += kWide;
      }
#pragma GCC unroll 4
    for (int u = 0; u < N; ++u)
      if (i + u * L < n) sum_[3 * N + u] += load_part(x + i + u * L, n - i - u * L);
  }
  FASTNN_INLINE T part() const {
    Vec<T> v[N];
#pragma GCC unroll 4
    for (int u = 0; u < N; ++u) v[u] = (sum_[u] + sum_[N + u]) + (sum_[2 * N + u] + sum_[3 * N + u]);
#pragma GCC unroll 2
    for (int half = N / 2; half > 0; half /= 2)
#pragma GCC unroll 2
      for (int u = 0; u < half; ++u) v[u] += v[u + half];
    return reduce_add<T>(v[0]);
  }
  FASTNN_INLINE void fold() {
    total_ += double(part());
#pragma GCC unroll 16
    for (int u = 0; u < 4 * N; ++u) sum_[u] = Vec<T>{};
    room_ = kPart;
  }

  Vec<T> sum_[4 * N] = {};
  int64_t room_ = kPart;
  double total_ = 0;
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
