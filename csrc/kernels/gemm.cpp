// Products of dense matrices: matmul (batched, either operand transposed) and the linear layer's three.
#include "gemm_matrix.h"
#include "unflushed.h"
#define FASTNN_FAMILY "gemm.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int kDotGroup = 4 * kDotCols;  // columns of C, so rows of B, to an item
constexpr double kSumCost = 0.2;         // rough nanoseconds to add a value to a sum

// C (m x n) = A B^T + bias. Both operands are contiguous along the depth, so that nothing is packed, and each element's
// sum runs over the whole depth at once.
template <class T>
void dot_product(int64_t m, int64_t n, int64_t depth, const T* a, const T* b, const T* bias, T* c) {
  const int64_t items = ceil_div(n, kDotGroup);
  parallel_for(items, double(m) * double(n) * double(depth) * kMultiplyAddCost<T>, [=](int64_t begin, int64_t end) {
    const int64_t zero = 0;
    const DotRuns whole{1, depth, &zero, &zero};
    int64_t offset[kDotGroup];
    for (int j = 0; j < kDotGroup; ++j) offset[j] = j * depth;
    for (int64_t j0 = begin * kDotGroup; j0 < end * kDotGroup && j0 < n; j0 += kDotGroup) {
      const int64_t size = least(n - j0, kDotGroup);
      dot_gemm(m, size, whole, a, depth, b + j0 * depth, offset, c + j0, n, false);
      if (!bias) continue;
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = j0; j < j0 + size; ++j) c[i * n + j] += bias[j];
    }
  });
}

// dot_product of a depth beyond kLongSum: runs of the depth are summed by themselves, and their sums are added in
// double.
template <class T>
void long_dot_product(int64_t m, int64_t n, int64_t depth, const T* a, const T* b, const T* bias, T* c) {
  constexpr int64_t step = kSumRun, high = 8 * kDotRows;
  const int64_t items = ceil_div(n, kDotGroup);
  parallel_for(items, double(m) * double(n) * double(depth) * kMultiplyAddCost<T>, [=](int64_t begin, int64_t end) {
    int64_t offset[kDotGroup];
    for (int j = 0; j < kDotGroup; ++j) offset[j] = j * depth;
    for (int64_t j0 = begin * kDotGroup; j0 < end * kDotGroup && j0 < n; j0 += kDotGroup)
      for (int64_t i0 = 0; i0 < m; i0 += high) {
        const int64_t columns = least(n - j0, kDotGroup), rows = least(m - i0, high);
        T sums[high * kDotGroup];
        double total[high * kDotGroup] = {};
        for (int64_t k = 0; k < depth; k += step) {
          const DotRuns run{1, least(depth - k, step), &k, &k};
          dot_gemm(rows, columns, run, a + i0 * depth, depth, b + j0 * depth, offset, sums, columns, false);
          for (int64_t i = 0; i < rows * columns; ++i) total[i] += double(sums[i]);
        }
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j)
            c[(i0 + i) * n + j0 + j] = T(total[i * columns + j] + (bias ? double(bias[j0 + j]) : 0.0));
      }
  });
}

// Whether packing B into panels costs more than what dot tiles have instead: sums across lanes, and heavier memory
// traffic. On Zen 5, n = 32 to 512, both take equally long at about 32 rows for a depth of 256 or more and 128 columns,
// at half as many rows for half the depth, and at twice as many for half the columns; with vectors of 16 bytes at twice
// as many. Where most of a panel would be padding, dot tiles always win (10 columns: 2.5 times).
template <class T>
bool prefer_dot(int64_t m, int64_t n, int64_t depth) {
  constexpr int64_t rows = FASTNN_VEC_BYTES == 16 ? 32 : 14;
  return 2 * n <= kTileCols<T> || m * (n < 128 ? n : 128) < rows * (depth < 256 ? depth : 256);
}

template <class T>
void multiply_flushed(int64_t batch, int64_t m, int64_t n, int64_t depth, bool trans_a, bool trans_b, const T* a,
                      const T* b, const T* bias, T* c) {
  if (batch == 1 && !trans_a && trans_b && prefer_dot<T>(m, n, depth))
    return (depth > kLongSum ? long_dot_product<T> : dot_product<T>)(m, n, depth, a, b, bias, c);
  shared_room([=](Room& room) { return room.take<T>(batch * m * depth); },
              [&](T* packed) {
                if (trans_a)
                  pack_a_columns(batch, m, depth, packed,
                                 [=](int64_t entry, int64_t k, T*) { return a + (entry * depth + k) * m; });
                else
                  pack_a(batch, m, depth, packed,
                         [=](int64_t entry, int64_t i0, int64_t rows, int64_t k0, int64_t k1, T* panel) {
                           turn(a + (entry * m + i0) * depth + k0, depth, rows, k1 - k0, panel, rows);
                         });
                packed_gemm<T>(batch, m, n, depth, packed, nullptr,
                               MatrixProblem<T>{b, trans_b, m, n, depth, n, bias, c});
              });
}

template <class T>
void multiply(int64_t batch, int64_t m, int64_t n, int64_t depth, bool trans_a, bool trans_b, const T* a, const T* b,
              const T* bias, T* c) {
  compute_unflushed<T>({batch * m * n, c}, {batch * m * depth, a}, {batch * depth * n, b},
                       [&] { multiply_flushed(batch, m, n, depth, trans_a, trans_b, a, b, bias, c); });
}

}  // namespace

// c (batch, m, n) = op(a) op(b); a is (m, depth) or, transposed, (depth, m); b is (depth, n) or (n, depth).
template <class T>
void matmul(int64_t batch, int64_t m, int64_t n, int64_t depth, bool trans_a, bool trans_b, const T* a, const T* b,
            T* c) {
  multiply<T>(batch, m, n, depth, trans_a, trans_b, a, b, nullptr, c);
}

// y (m, n) = x (m, k) weight (n, k)^T + bias (n, may be null)
template <class T>
void linear_forward(int64_t m, int64_t n, int64_t k, const T* x, const T* weight, const T* bias, T* y) {
  multiply<T>(1, m, n, k, false, true, x, weight, bias, y);
}

// y = x weight^T + bias  =>  dbias[j] = sum_i dy[i][j]
// 64 rows are added, then 64 of their sums, and then the sums of those in double, so that errors don't grow with m.
template <class T>
void linear_backward_bias(int64_t m, int64_t n, const T* dy, T* dbias) {
  constexpr int64_t L = lanes<T>, few = 64, many = few * few;
  parallel_for(ceil_div(n, L), double(m * n) * kSumCost, [=](int64_t begin, int64_t end) {
    for (int64_t j = begin * L; j < end * L && j < n; j += L) {
      const int size = int(least(n - j, L));
      double total[L] = {};
      for (int64_t i1 = 0; i1 < m || i1 == 0; i1 += many) {
        Vec<T> sum = {};
        for (int64_t i0 = i1; i0 < m && i0 < i1 + many; i0 += few) {
          Vec<T> part = {};
          for (int64_t i = i0; i < m && i < i0 + few; ++i) part += load_n(dy + i * n + j, size);
          sum += part;
        }
        if (m <= many) store_n(dbias + j, sum, size);
        for (int64_t l = 0; m > many && l < L; ++l) total[l] += double(sum[l]);
      }
      for (int64_t l = 0; m > many && l < size; ++l) dbias[j + l] = T(total[l]);
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
