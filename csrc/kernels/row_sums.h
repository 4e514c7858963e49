// Sums over the rows of a matrix, column by column: gradients of parameters that all rows share.
#pragma once
#include "../simd/copy.h"
#include "../simd/sums.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// How the sums over `rows` rows of `inner` values are cut. Blocks of rows, whose number the shape alone decides, are
// summed apart, and their sums are added in order. In a long block groups of rows are summed first; the groups' sums
// are added to the block's, and what each of these additions rounds off is kept aside.
struct SumBlocks {
  int64_t rows, inner, columns, blocks;  // columns: of an item

  SumBlocks(int64_t rows, int64_t inner, int64_t columns = kColumns)
      : rows(rows), inner(inner), columns(columns), blocks(clamp(rows / kLeastRows, 1, kMostBlocks)) {}
  bool long_blocks() const { return rows > blocks * kLongBlock; }

  // No measurement set these constants. There are enough blocks for the threads of most machines, and adding up the
  // blocks takes little time beside summing their rows. An item's sums of floats, 2 KB, stay in the first-level cache.
  static constexpr int64_t kLeastRows = 128, kMostBlocks = 16, kColumns = 512;
  static constexpr int64_t kLongBlock = 512, kGroup = 64;  // rows
};

// The sums of the blocks; for long blocks also the sums of the group of rows at hand, and what additions rounded off.
// Each array has K sums for each block, and each sum is a row of `inner` values.
template <class T, int K>
struct SumScratch {
  T *partial, *group, *rest;
  int64_t inner;

  SumScratch(const SumBlocks& cut, Room& room) : inner(cut.inner) {
    const int64_t values = cut.blocks * K * inner, of_long = cut.long_blocks() ? values : 0;
    partial = room.take<T>(cut.blocks > 1 ? values : 0), group = room.take<T>(of_long), rest = room.take<T>(of_long);
  }
  T* of(T* array, int64_t block, int k) const { return array + (block * K + k) * inner; }
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

// Adding up the blocks takes this share of the time of the whole: a block has kLeastRows rows at least, and to add one
// of these rows takes about twice as long as to add the sums of a block.
constexpr double kAddingShare = 1.0 / (2 * SumBlocks::kLeastRows);

// Computes the sums out[0], …, out[K - 1], of `inner` values each. add(i, j0, n, to) adds the terms of row i in the
// columns j0..j0+n to the arrays to[0], …, to[K - 1], of n values each. `cost` is in nanoseconds.
template <class T, int K, class Add>
void sum_rows(const SumBlocks& cut, double cost, T* const (&out)[K], const SumScratch<T, K>& scratch, const Add& add) {
  const int64_t column_blocks = ceil_div(cut.inner, cut.columns);
  const auto partial = [&](int64_t b, int k) { return cut.blocks > 1 ? scratch.of(scratch.partial, b, k) : out[k]; };
  parallel_for(cut.blocks * column_blocks, cost, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t block = item / column_blocks, j0 = item % column_blocks * cut.columns;
      const int64_t n = least(cut.inner - j0, cut.columns);
      const int64_t first = cut.rows * block / cut.blocks, last = cut.rows * (block + 1) / cut.blocks;
      T *to[K], *rest[K];
      for (int k = 0; k < K; ++k) zero_run(partial(block, k) + j0, n);
      if (!cut.long_blocks()) {
        for (int k = 0; k < K; ++k) to[k] = partial(block, k) + j0;
        for (int64_t i = first; i < last; ++i) add(i, j0, n, to);
        continue;
      }
      for (int k = 0; k < K; ++k) {
        to[k] = scratch.of(scratch.group, block, k) + j0, rest[k] = scratch.of(scratch.rest, block, k) + j0;
        zero_run(to[k], n), zero_run(rest[k], n);
      }
      for (int64_t i0 = first; i0 < last; i0 += cut.kGroup) {
        for (int64_t i = i0; i < least(i0 + cut.kGroup, last); ++i) add(i, j0, n, to);
        for (int k = 0; k < K; ++k) add_group(n, partial(block, k) + j0, rest[k], to[k]);
      }
      for (int k = 0; k < K; ++k) settle_total(n, partial(block, k) + j0, rest[k]);
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
  shared_room([&](Room& room) { return SumScratch<T, K>(cut, room); },
              [&](const SumScratch<T, K>& scratch) { sum_rows(cut, cost, out, scratch, add); });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
