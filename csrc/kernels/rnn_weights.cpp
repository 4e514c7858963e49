// Gradients of a recurrent layer's weights and bias: one product over all steps and rows.
//   d (steps, batch, columns): gradients of the preactivations;  x (steps, batch, inputs);  y (steps, batch, units)
//   a = W x + R h + b  =>  dW = d^T x,  dR = d^T h,  db = d^T 1,  h the state before each step
// All three are computed transposed, as one product [x | h | 1]^T d: so the operand that has to be packed is the narrow
// one, and d is read once.
#include "gemm_matrix.h"
#define FASTNN_FAMILY "rnn_weights.inc"
#include "kernels.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Sources {
  Rnn g;
  int64_t inputs;
  const T *x, *y, *h0;
  const int64_t* lengths;
  bool bias;

  int64_t width() const { return (x ? inputs : 0) + (y ? g.units : 0) + bias; }

  // Row k of [x | h | 1].
  void fill(int64_t k, T* row) const {
    if (x) {
      copy_run(row, x + k * inputs, inputs);
      row += inputs;
    }
    if (y) {
      const T* before = state_before(k / g.batch, k % g.batch);
      if (before)
        copy_run(row, before, g.units);
      else
        zero_run(row, g.units);
      row += g.units;
    }
    if (bias) *row = 1;
  }

  // The state of sample n before the step at time t; null stands for zeros. Behind the end of a sequence zeros will do,
  // since d is zero there.
  const T* state_before(int64_t t, int64_t n) const {
    const int64_t last = (lengths ? lengths[n] : g.steps) - 1;
    if (t > last) return nullptr;
    if (t == (g.reverse ? last : 0)) return h0 ? h0 + n * g.units : nullptr;
    return y + ((g.reverse ? t + 1 : t - 1) * g.batch + n) * g.units;
  }
};

constexpr double kTurnBackCost = 0.3;  // rough nanoseconds per value, out of cache

// to (columns, rows) = the transpose of from (rows, columns)
template <class T>
void turn_back(const T* from, int64_t rows, int64_t columns, T* to) {
  constexpr int64_t L = lanes<T>;
  parallel_for(ceil_div(columns, L), double(rows) * double(columns) * kTurnBackCost, [=](int64_t begin, int64_t end) {
    const int64_t first = begin * L, last = end * L < columns ? end * L : columns;
    turn(from + first, columns, rows, last - first, to + first * rows, rows);
  });
}

}  // namespace

template <class T>
void rnn_backward_weights(Rnn g, int64_t columns, int64_t inputs, const T* d, const T* x, const T* y, const T* h0,
                          const int64_t* lengths, T* dweight_ih, T* dweight_hh, T* dbias) {
  const Sources<T> sources{g, inputs, x, y, h0, lengths, dbias != nullptr};
  const int64_t depth = g.steps * g.batch, m = sources.width();
  struct Scratch {
    T *packed, *product;  // [x | h | 1], and its product with d
  };
  const auto layout = [=](Room& room) { return Scratch{room.take<T>(m * depth), room.take<T>(m * columns)}; };
  shared_room(layout, [&](const Scratch& scratch) {
    T *packed = scratch.packed, *c = scratch.product;
    pack_a_columns(1, m, depth, packed, [&](int64_t, int64_t k, T* row) {
      sources.fill(k, row);
      return row;
    });
    packed_gemm<T>(1, m, columns, depth, packed, nullptr, MatrixProblem<T>{d, false, m, columns, depth, nullptr, c});
    if (x) {
      turn_back(c, inputs, columns, dweight_ih);
      c += inputs * columns;
    }
    if (y) {
      turn_back(c, g.units, columns, dweight_hh);
      c += g.units * columns;
    }
    if (dbias) copy_run(dbias, c, columns);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
