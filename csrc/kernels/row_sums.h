// Sums over the rows of a matrix, column by column: gradients of parameters that all rows share.
#pragma once
#include "../parallel.h"
#include "../simd/copy.h"
#include "../simd/sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rows are added in chunks that the shape decides; chunks are added in order.
struct RowChunks {
  int64_t rows, inner, columns, chunks;  // columns to an item

  RowChunks(int64_t rows, int64_t inner, int64_t columns = 512)
      : rows(rows), inner(inner), columns(columns), chunks(rows / 128) {
    chunks = chunks < 1 ? 1 : chunks > 16 ? 16 : chunks;
  }
  // Values of workspace for k sums.
  int64_t workspace(int k) const { return chunks > 1 ? k * chunks * inner : 0; }
};

// out[0..K), inner values each: add(i, j0, n, to) adds what row i has in columns j0..j0+n to to[0..K), n values each.
// cost: nanoseconds; work: see RowChunks.
template <class T, int K, class Add>
void sum_rows(const RowChunks& cut, double cost, T* const (&out)[K], T* work, const Add& add) {
  const int64_t blocks = (cut.inner + cut.columns - 1) / cut.columns;
  const auto partial = [&](int64_t chunk, int k) { return cut.chunks > 1 ? work + (K * chunk + k) * cut.inner : out[k]; };
  parallel_for(cut.chunks * blocks, cost, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t chunk = item / blocks, j0 = item % blocks * cut.columns;
      const int64_t n = cut.inner - j0 < cut.columns ? cut.inner - j0 : cut.columns;
      T* to[K];
      for (int k = 0; k < K; ++k) {
        to[k] = partial(chunk, k) + j0;
        zero_run(to[k], n);
      }
      for (int64_t i = cut.rows * chunk / cut.chunks; i < cut.rows * (chunk + 1) / cut.chunks; ++i) add(i, j0, n, to);
    }
  });
  if (cut.chunks == 1) return;
  parallel_for(K, cost / 256, [&](int64_t begin, int64_t end) {
    for (int k = int(begin); k < end; ++k) {
      copy_run(out[k], partial(0, k), cut.inner);
      for (int64_t chunk = 1; chunk < cut.chunks; ++chunk)
        map_run(cut.inner, [](Vec<T> a, Vec<T> b) { return a + b; }, out[k], out[k], partial(chunk, k));
    }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
