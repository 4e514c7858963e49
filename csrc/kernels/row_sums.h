// Sums over the rows of a matrix, column by column: gradients of parameters that all rows share.
#pragma once
#include "../simd/copy.h"
#include "../simd/sums.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rows are added in blocks that the shape decides; blocks are added in order. In a long block some rows at a time are
// summed by themselves, and their sums are added with what each addition rounds off kept aside.
struct SumBlocks {
  int64_t rows, inner, columns, blocks;  // columns to an item

  SumBlocks(int64_t rows, int64_t inner, int64_t columns = 512)
      : rows(rows), inner(inner), columns(columns), blocks(rows / 128) {
    blocks = blocks < 1 ? 1 : blocks > 16 ? 16 : blocks;
  }
  bool long_blocks() const { return rows > blocks * kLongBlock; }
  // Arrays of `inner` values that each block needs for a sum.
  int arrays() const { return blocks == 1 ? 0 : long_blocks() ? 3 : 1; }

  static constexpr int64_t kLongBlock = 512, kTogether = 64;  // rows
};

// total + rest += group, exactly but for the rounding of rest (Knuth's TwoSum); group becomes zero.
template <class T>
void add_group(int64_t n, T* total, T* rest, T* group) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> a = load_part(total + i, n - i), b = load_part(group + i, n - i), sum = a + b, taken = sum - a;
    store_part(rest + i, load_part(rest + i, n - i) + ((a - (sum - taken)) + (b - taken)), n - i);
    store_part(total + i, sum, n - i);
    store_part(group + i, Vec<T>{}, n - i);
  }
}

// total += rest where the total is finite; the rest of an infinite one is NaN.
template <class T>
void settle_total(int64_t n, T* total, const T* rest) {
  map_run(n, [](Vec<T> a, Vec<T> b) { return a - a == Vec<T>{} ? a + b : a; }, total, total, rest);
}

// Adding up the blocks takes this share of the whole: a block has at least 128 rows, each of which takes about twice
// that.
constexpr double kAddingShare = 1.0 / 256;

// out[0..K), inner values each: add(i, j0, n, to) adds what row i has in columns j0..j0+n to to[0..K), n values each.
// cost: nanoseconds; work: room for the arrays of all blocks.
template <class T, int K, class Add>
void sum_rows(const SumBlocks& cut, double cost, T* const (&out)[K], T* work, const Add& add) {
  const int64_t column_blocks = ceil_div(cut.inner, cut.columns);
  const auto array = [&](int64_t block, int which, int k) {
    return work + ((which * cut.blocks + block) * K + k) * cut.inner;
  };
  const auto partial = [&](int64_t block, int k) { return cut.blocks > 1 ? array(block, 0, k) : out[k]; };
  parallel_for(cut.blocks * column_blocks, cost, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t block = item / column_blocks, j0 = item % column_blocks * cut.columns;
      const int64_t n = cut.inner - j0 < cut.columns ? cut.inner - j0 : cut.columns;
      const int64_t first = cut.rows * block / cut.blocks, last = cut.rows * (block + 1) / cut.blocks;
      T* to[K];
      for (int k = 0; k < K; ++k) zero_run(partial(block, k) + j0, n);
      if (!cut.long_blocks()) {
        for (int k = 0; k < K; ++k) to[k] = partial(block, k) + j0;
        for (int64_t i = first; i < last; ++i) add(i, j0, n, to);
        continue;
      }
      for (int k = 0; k < K; ++k) {
        to[k] = array(block, 1, k) + j0;
        zero_run(to[k], n), zero_run(array(block, 2, k) + j0, n);
      }
      for (int64_t i0 = first; i0 < last; i0 += cut.kTogether) {
        for (int64_t i = i0; i < last && i < i0 + cut.kTogether; ++i) add(i, j0, n, to);
        for (int k = 0; k < K; ++k) add_group(n, partial(block, k) + j0, array(block, 2, k) + j0, to[k]);
      }
      for (int k = 0; k < K; ++k) settle_total(n, partial(block, k) + j0, array(block, 2, k) + j0);
    }
  });
  if (cut.blocks == 1) return;
  parallel_for(K, cost * kAddingShare, [&](int64_t begin, int64_t end) {
    for (int k = int(begin); k < end; ++k) {
      copy_run(out[k], partial(0, k), cut.inner);
      for (int64_t block = 1; block < cut.blocks; ++block)
        map_run(cut.inner, [](Vec<T> a, Vec<T> b) { return a + b; }, out[k], out[k], partial(block, k));
    }
  });
}

template <class T, int K, class Add>
void sum_rows(const SumBlocks& cut, double cost, T* const (&out)[K], const Add& add) {
  shared_values<T>(K * cut.arrays() * cut.blocks * cut.inner, [&](T* work) { sum_rows(cut, cost, out, work, add); });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
