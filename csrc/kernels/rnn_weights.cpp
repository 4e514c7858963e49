// Gradients of a recurrent layer's weights, bias and peepholes: products over all steps and rows.
//   d (steps, batch, columns): gradients of the preactivations;  x (steps, batch, inputs);  y (steps, batch, units)
//   a = W x + R h + b  =>  dW = d^T x,  dR = d^T h,  db = d^T 1,  h the state before each step
// All three are computed transposed, as one product [x | h | 1]^T d: so the operand that has to be packed is the narrow
// one, and d is read once. Where a GRU resets its state before the product, the columns of the last gate are a product
// of their own, [x | m | 1]^T d_n, m = r h.
//   a_i = … + P_i c, a_f = … + P_f c, a_o = … + P_o c'  =>  dP_i = sum d_i c, dP_f = sum d_f c, dP_o = sum d_o c'
#include "gemm_matrix.h"
#define FASTNN_FAMILY "rnn_weights.inc"
#include "kernels.h"
#include "rnn_plan.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Sources {
  Rnn g;
  int64_t inputs;
  const T *x, *y, *reset, *h0;  // reset: what stands in the place of h, or null
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
      const T* before = reset ? reset + k * g.units : state_before(k / g.batch, k % g.batch);
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
    return t > last ? nullptr : before_step(g, y, h0, n, t, last);
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

// The gradients for the columns begin..end of d, which has `columns`.
template <class T>
void weights_of_columns(const Sources<T>& sources, int64_t columns, int64_t begin, int64_t end, const T* d,
                        T* dweight_ih, T* dweight_hh, T* dbias) {
  const int64_t units = sources.g.units, inputs = sources.inputs, size = end - begin;
  const int64_t depth = sources.g.steps * sources.g.batch, m = sources.width();
  struct Scratch {
    T *packed, *product;  // [x | h | 1], and its product with d
  };
  const auto layout = [=](Room& room) { return Scratch{room.take<T>(m * depth), room.take<T>(m * size)}; };
  shared_room(layout, [&](const Scratch& scratch) {
    T *packed = scratch.packed, *c = scratch.product;
    pack_a_columns(1, m, depth, packed, [&](int64_t, int64_t k, T* row) {
      sources.fill(k, row);
      return row;
    });
    packed_gemm<T>(1, m, size, depth, packed, nullptr,
                   MatrixProblem<T>{d + begin, false, m, size, depth, columns, nullptr, c});
    if (sources.x) {
      turn_back(c, inputs, size, dweight_ih + begin * inputs);
      c += inputs * size;
    }
    if (sources.y) {
      turn_back(c, units, size, dweight_hh + begin * units);
      c += units * size;
    }
    if (dbias) copy_run(dbias + begin, c, size);
  });
}

constexpr double kPeepholeCost = 0.5;  // rough nanoseconds per cell of a step

// Adds the terms of one sample and step for units begin..end; c_before may be null, which stands for zeros.
template <class T>
void add_peephole_terms(int64_t units, int64_t begin, int64_t end, const T* d, const T* c_before, const T* c, T* to) {
  constexpr int kGates[] = {0, 1, 3};  // i, f and o among i, f, g, o
  for (int k = 0; k < 3; ++k) {
    const T *gate = d + kGates[k] * units, *cell = k < 2 ? c_before : c;
    for (int64_t u = begin; u < end; u += lanes<T>) {
      const Vec<T> sum = load_part(to + k * units + u, end - u), at = cell ? load_part(cell + u, end - u) : Vec<T>{};
      store_part(to + k * units + u, fma(load_part(gate + u, end - u), at, sum), end - u);
    }
  }
}

}  // namespace

template <class T>
void rnn_backward_weights(Rnn g, int64_t columns, int64_t inputs, const T* d, const T* x, const T* y, const T* reset,
                          const T* h0, const int64_t* lengths, T* dweight_ih, T* dweight_hh, T* dbias) {
  const T* none = nullptr;
  const int64_t cut = reset ? columns - g.units : columns;
  weights_of_columns<T>({g, inputs, x, y, none, h0, lengths, dbias != nullptr}, columns, 0, cut, d, dweight_ih,
                        dweight_hh, dbias);
  if (reset)
    weights_of_columns<T>({g, inputs, x, y, reset, h0, lengths, dbias != nullptr}, columns, cut, columns, d, dweight_ih,
                          dweight_hh, dbias);
}

template <class T>
void rnn_backward_peepholes(Rnn g, const T* d, const T* cells, const T* c0, const int64_t* lengths, T* dpeepholes) {
  constexpr int64_t L = lanes<T>;
  const T* none = nullptr;
  const Sources<T> states{g, 0, none, cells, none, c0, lengths, false};
  const double cost = double(g.steps) * double(g.batch) * double(g.units) * kPeepholeCost;
  parallel_for(ceil_div(g.units, L), cost, [=](int64_t first, int64_t last) {
    const int64_t begin = first * L, end = least(last * L, g.units);
    for (int k = 0; k < 3; ++k) zero_run(dpeepholes + k * g.units + begin, end - begin);
    for (int64_t row = 0; row < g.steps * g.batch; ++row)
      add_peephole_terms(g.units, begin, end, d + row * 4 * g.units, states.state_before(row / g.batch, row % g.batch),
                         cells + row * g.units, dpeepholes);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
