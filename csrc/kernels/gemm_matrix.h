// Row-major matrices as the B and C of packed_gemm.
#pragma once
#include "../simd/copy.h"
#include "gemm_driver.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Where a tile is written: its columns are columns of the row-major matrix c, with a bias for each.
template <class T>
struct MatrixOutput {
  T* c;
  const T* bias;  // per column, or null
  int64_t ldc, size;
  const T* start(T* buffer) const {
    if (!bias || size == kTileCols<T>) return bias;
    copy_run(buffer, bias, size);
    zero_run(buffer + size, kTileCols<T> - size);
    return buffer;
  }
  T* direct(int64_t* stride) const {
    *stride = ldc;
    return size == kTileCols<T> ? c : nullptr;
  }
  void read(int64_t i, T* row) const { copy_run(row, c + i * ldc, size); }
  void write(int64_t i, const T* row) const { copy_run(c + i * ldc, row, size); }
};

// The problem that packed_gemm takes. For each batch entry, b has B (depth x columns) or, if `transposed`, its
// transpose (columns x depth), and c has C (m x columns). bias (columns) may be null. Rows of b lie `pitch` values
// apart, unless it is transposed.
template <class T>
struct MatrixProblem {
  const T* b;
  bool transposed;
  int64_t m, columns, depth, pitch;
  const T* bias;
  T* c;

  int64_t size(int64_t j) const { return least(columns - j * kTileCols<T>, kTileCols<T>); }
  void pack(int64_t entry, int64_t j, int64_t k0, int64_t k1, T* panel) const {
    const T* from = b + entry * depth * (transposed ? columns : pitch);
    const int64_t j0 = j * kTileCols<T>, n = size(j);
    if (!transposed && n == kTileCols<T>) {
      for (int64_t k = k0; k < k1; ++k, panel += kTileCols<T>)
        for (int v = 0; v < kTileVectors; ++v) store(panel + v * lanes<T>, load(from + k * pitch + j0 + v * lanes<T>));
    } else if (!transposed) {
      for (int64_t k = k0; k < k1; ++k) copy_run(panel + (k - k0) * kTileCols<T>, from + k * pitch + j0, n);
    } else {
      turn(from + j0 * depth + k0, depth, n, k1 - k0, panel, kTileCols<T>);
    }
  }
  MatrixOutput<T> output(int64_t entry, int64_t j) const {
    const int64_t j0 = j * kTileCols<T>;
    return {c + entry * m * columns + j0, bias ? bias + j0 : nullptr, columns, size(j)};
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
