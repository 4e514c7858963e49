// Recurrent layers, one direction of one layer per call: the loop over time. The products that need no order in time,
// those with the inputs and those that give the gradients of the weights, are made for all steps at once, outside
// (bindings/rnn.pxi).
//   gates (steps, batch, G units): before the call, the input's share W x of the preactivations; after it, what the
//   backward needs
//   weight R (G units, units), biases (G units), peepholes (3 units); h0, c0, h_n, c_n (batch, units); y, cells,
//   candidate (steps, batch, units)
// Steps from lengths[n] on don't exist for row n: its output is 0 there and its state stays. In reverse a row begins at
// its last step.
// A step is a product with R and the cells of all rows. A GRU that resets its state before the product with R_n has two
// products and two halves of cells, in turn.
#include "rnn_cells.h"
#include "rnn_plan.h"
#define FASTNN_FAMILY "rnn.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// The arrays of a call; those that a cell has no use for are null.
template <class T>
struct Forward {
  const T *h0, *c0, *weight, *bias_ih, *bias_hh, *peepholes;
  const int64_t* lengths;
  T *gates, *y, *extra, *h_n, *c_n;
};
template <class T>
struct Backward {
  const T *dy, *dh_n, *dc_n, *saved_gates, *saved_y, *saved_extra, *h0, *c0, *weight, *peepholes;
  const int64_t* lengths;
  T *dgates, *drec, *dh0, *dc0;
};

// Reads P_i, P_f and P_o of the units from u on.
template <class T>
FASTNN_INLINE void load_peepholes(const T* peepholes, int64_t units, int64_t u, Vec<T>* to) {
#pragma GCC unroll 3
  for (int k = 0; k < 3; ++k) to[k] = load_part(peepholes + k * units + u, units - u);
}

// Computes the first half of the step where the state is reset before the last gate's product: the other gates, and
// `extra`, which that product multiplies.
template <class T, class Cell>
void reset_row(const RnnPlan<T>& plan, const Forward<T>& a, int64_t n, int64_t t, int i, int rows, const T* rec,
               const T* state, T* extra, Units range) {
  constexpr int64_t L = lanes<T>;
  constexpr int G = Cell::gates;
  const int64_t units = plan.g.units;
  T* gates = a.gates + (t * plan.g.batch + n) * units * G;
  if (a.lengths && t >= a.lengths[n]) return;
  for (int64_t u = range.begin; u < range.end; u += L) {
    const int64_t size = units - u;
    Vec<T> gate[G - 1], share[G - 1];
#pragma GCC unroll 4
    for (int g = 0; g < G - 1; ++g) {
      gate[g] = load_part(gates + g * units + u, size);
      share[g] = load(rec + g * plan.padded + u);
    }
    store(extra + u * rows + i * L, Cell::reset(gate, share, load(state + u * rows + i * L)));
#pragma GCC unroll 4
    for (int g = 0; g < G - 1; ++g) store_part(gates + g * units + u, gate[g], size);
  }
}

// Computes the step at time t of sample n, which is row i of the block. `rec` holds the share of the preactivations
// that comes from the row's state.
template <class T, class Cell>
void forward_row(const RnnPlan<T>& plan, const Forward<T>& a, const T* bias_apart, int64_t n, int64_t t, int i,
                 int rows, const T* rec, T* state, T* extra, Units range) {
  constexpr int64_t L = lanes<T>;
  constexpr int G = Cell::gates;
  const int64_t units = plan.g.units, at = (t * plan.g.batch + n) * units;
  T *gates = a.gates + at * G, *y = a.y + at, *saved = Cell::saves ? a.extra + at : nullptr;
  if (a.lengths && t >= a.lengths[n]) {
    zero_run(y + range.begin, range.size());
    for (int g = 0; g < G; ++g) zero_run(gates + g * units + range.begin, range.size());
    if constexpr (Cell::saves) zero_run(saved + range.begin, range.size());
    return;
  }
  for (int64_t u = range.begin; u < range.end; u += L) {
    const int64_t size = units - u;
    Vec<T> gate[G], share[G], peephole[3], h = load(state + u * rows + i * L), e = load(extra + u * rows + i * L);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      gate[g] = load_part(gates + g * units + u, size);
      share[g] = load(rec + g * plan.padded + u);
    }
    if constexpr (Cell::apart) gate[G - 1] += load(bias_apart + u);
    if constexpr (Cell::peeks) load_peepholes(a.peepholes, units, u, peephole);
    Cell::forward(gate, share, peephole, h, e);
    store(state + u * rows + i * L, h);
    store_part(y + u, h, size);
    if constexpr (Cell::saves) {
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) store_part(gates + g * units + u, gate[g], size);
      store_part(saved + u, e, size);
      store(extra + u * rows + i * L, e);
    }
  }
}

template <class T, class Cell>
void forward_blocks(const RnnPlan<T>& plan, const Forward<T>& a, const ForwardWeights<T>& weights, int64_t b0,
                    int64_t b1, Team& team, const RowScratch<T>& scratch) {
  constexpr int64_t L = lanes<T>;
  const int64_t pitch = plan.forward_pitch(), padded = plan.padded, units = plan.g.units;
  const T *packed = weights.packed, *bias = weights.bias, *bias_apart = weights.bias_apart;
  T *state = scratch.of_product, *extra = scratch.extra, *rec = scratch.product;  // rec: the state's share of gates
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      load_rows(plan, a.h0, first, rows, state + row * padded, L, rows * L);
      load_rows(plan, a.c0, first, rows, extra + row * padded, L, rows * L);
    });
  });
  // Multiplies the columns of the panels p0..p1 by `by`, which is cut like the state.
  const auto multiply = [&](const T* by, int64_t p0, int64_t p1) {
    team.step([&](Team::Part part) {
      for (int64_t p = p0 + part.begin(p1 - p0); p < p0 + part.end(p1 - p0); ++p)
        for_each_block(plan, b0, b1, [&](int rows, int64_t, int64_t row) {
          panel_product_for<T>(rows, plan.vectors)(1, units, by + row * padded, packed + p * units * plan.panel,
                                                   bias + p * plan.panel, 0, rec + row * pitch + p * plan.panel, pitch);
        });
    });
  };
  for (int64_t step = 0; step < plan.g.steps; ++step) {
    if constexpr (Cell::resets_first) {
      multiply(state, 0, plan.panels_before(Cell::gates - 1));
      team.step([&](Team::Part part) {
        for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
          for (int i = 0; i < rows; ++i)
            reset_row<T, Cell>(plan, a, first + i, plan.time(step), i, rows, rec + (row + i) * pitch,
                               state + row * padded, extra + row * padded, Units(plan, part));
        });
      });
      multiply(extra, plan.panel_of(Cell::gates - 1), plan.forward_panels);
    } else {
      multiply(state, 0, plan.forward_panels);
    }
    team.step([&](Team::Part part) {
      for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
        for (int i = 0; i < rows; ++i)
          forward_row<T, Cell>(plan, a, bias_apart, first + i, plan.time(step), i, rows, rec + (row + i) * pitch,
                               state + row * padded, extra + row * padded, Units(plan, part));
      });
    });
  }
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      store_rows(plan, state + row * padded, L, rows * L, first, rows, a.h_n);
      store_rows(plan, extra + row * padded, L, rows * L, first, rows, a.c_n);
    });
  });
}

template <class T, class Cell>
void forward(const Rnn& g, const Forward<T>& a) {
  const RnnPlan<T> plan(g, Cell::gates);
  const auto layout = [&](Room& room) {
    const int64_t pitch = plan.forward_pitch();
    return ForwardWeights<T>{room.take<T>(pitch * g.units), room.take<T>(pitch), room.take<T>(plan.padded)};
  };
  shared_room(layout, [&](const ForwardWeights<T>& weights) {
    pack_forward(plan, a.weight, weights.packed);
    pack_biases<Cell::apart>(plan, a.bias_ih, a.bias_hh, weights);
    const auto run = [&](int64_t b0, int64_t b1, Team& team, const RowScratch<T>& scratch) {
      forward_blocks<T, Cell>(plan, a, weights, b0, b1, team, scratch);
    };
    run_blocks(plan, plan.cost(Cell::cost), plan.padded, plan.padded, plan.forward_pitch(), run);
  });
}

// Computes the gradients of the gates of sample n at time t, from dy and from dh and dextra, which come from time t +
// 1. It writes them to dgates, and to row i of the panel for the product that follows.
template <class T, class Cell>
void backward_row(const RnnPlan<T>& plan, const Backward<T>& a, int64_t n, int64_t t, int i, int rows, T* panel, T* dh,
                  T* dextra, Units range) {
  constexpr int64_t L = lanes<T>;
  constexpr int G = Cell::gates;
  const int64_t units = plan.g.units, last = (a.lengths ? a.lengths[n] : plan.g.steps) - 1;
  const int64_t at = (t * plan.g.batch + n) * units;
  if (t > last) {
    for (int g = 0; g < G; ++g) {
      const int64_t from = at * G + g * units + range.begin;
      zero_run(a.dgates + from, range.size());
      if constexpr (Cell::apart) zero_run(a.drec + from, range.size());
      for (int64_t u = range.begin; u < range.end; u += L)
        store(panel + (g * plan.padded + u) * rows + i * L, Vec<T>{});
    }
    return;
  }
  const T* h_before = Cell::blends ? before_step(plan.g, a.saved_y, a.h0, n, t, last) : nullptr;
  const T* extra_before = Cell::carries ? before_step(plan.g, a.saved_extra, a.c0, n, t, last) : nullptr;
  for (int64_t u = range.begin; u < range.end; u += L) {
    const int64_t size = units - u;
    const auto value = [=](const T* array) { return array ? load_part(array + u, size) : Vec<T>{}; };
    Vec<T> gate[G], rec[G], d = load(dh + u), de = load(dextra + u);
    if (a.dy) d += load_part(a.dy + at + u, size);
    if constexpr (Cell::saves)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) gate[g] = load_part(a.saved_gates + at * G + g * units + u, size);
    Past<T> past;
    past.h = Cell::saves ? Vec<T>{} : load_part(a.saved_y + at + u, size);
    past.extra = Cell::saves ? load_part(a.saved_extra + at + u, size) : Vec<T>{};
    past.h_before = value(h_before);
    past.extra_before = value(extra_before);
    if constexpr (Cell::peeks) load_peepholes(a.peepholes, units, u, past.peephole);
    Cell::backward(gate, rec, past, d, de);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      store_part(a.dgates + at * G + g * units + u, gate[g], size);
      if constexpr (Cell::apart) store_part(a.drec + at * G + g * units + u, rec[g], size);
      store(panel + (g * plan.padded + u) * rows + i * L, rec[g]);
    }
    store(dh + u, d);
    if constexpr (Cell::carries) store(dextra + u, de);
  }
}

// Computes the second half of a backward step where the state was reset before the last gate's product: from dextra,
// the gradient of what that product multiplied, those of the reset gate and, in dh, of the state before.
template <class T, class Cell>
void reset_backward_row(const RnnPlan<T>& plan, const Backward<T>& a, int64_t n, int64_t t, int i, int rows, T* panel,
                        T* dh, const T* dextra, Units range) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units, last = (a.lengths ? a.lengths[n] : plan.g.steps) - 1;
  const int64_t at = (t * plan.g.batch + n) * units * Cell::gates;
  if (t > last) return;
  const T* h_before = before_step(plan.g, a.saved_y, a.h0, n, t, last);
  for (int64_t u = range.begin; u < range.end; u += L) {
    const int64_t size = units - u;
    const Vec<T> before = h_before ? load_part(h_before + u, size) : Vec<T>{};
    Vec<T> d = load(dh + u);
    const Vec<T> da = Cell::reset_backward(load_part(a.saved_gates + at + u, size), load(dextra + u), before, d);
    store_part(a.dgates + at + u, da, size);
    store(panel + u * rows + i * L, da);
    store(dh + u, d);
  }
}

// Multiplies by the weights of the last gate, where the state was reset before that product, and computes the second
// half of the step.
template <class T, class Cell>
void reset_backward_step(const RnnPlan<T>& plan, const Backward<T>& a, const T* packed, int64_t b0, int64_t b1,
                         Team& team, const RowScratch<T>& scratch, int64_t step) {
  constexpr int last = Cell::gates - 1;
  const int64_t pitch = plan.backward_pitch(), padded = plan.padded, units = plan.g.units, deep = Cell::gates * padded;
  T *panel = scratch.of_product, *dextra = scratch.extra, *dh = scratch.product;
  const T zeros[kWidestPanel * lanes<T>] = {};
  team.step([&](Team::Part part) {
    for (int64_t p = part.begin(plan.backward_panels); p < part.end(plan.backward_panels); ++p)
      for_each_block(plan, b0, b1, [&](int rows, int64_t, int64_t row) {
        panel_product_for<T>(rows, plan.vectors)(1, units, panel + row * deep + last * padded * rows,
                                                 packed + (p * Cell::gates + last) * units * plan.panel, zeros, 0,
                                                 dextra + row * pitch + p * plan.panel, pitch);
      });
  });
  team.step([&](Team::Part part) {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      for (int i = 0; i < rows; ++i)
        reset_backward_row<T, Cell>(plan, a, first + i, plan.time(step), i, rows, panel + row * deep,
                                    dh + (row + i) * pitch, dextra + (row + i) * pitch, Units(plan, part));
    });
  });
}

template <class T, class Cell>
void backward_blocks(const RnnPlan<T>& plan, const Backward<T>& a, const T* packed, int64_t b0, int64_t b1, Team& team,
                     const RowScratch<T>& scratch) {
  constexpr int64_t L = lanes<T>;
  const int64_t pitch = plan.backward_pitch(), padded = plan.padded, units = plan.g.units, deep = Cell::gates * padded;
  T *panel = scratch.of_product, *dextra = scratch.extra, *dh = scratch.product;  // panel: gradients of gates
  team.once([&] {
    zero_run(dh, plan.rows(b0, b1) * pitch);
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      load_rows(plan, a.dh_n, first, rows, dh + row * pitch, pitch, L);
      load_rows(plan, a.dc_n, first, rows, dextra + row * pitch, pitch, L);
    });
  });
  for (int64_t step = plan.g.steps - 1; step >= 0; --step) {
    team.step([&](Team::Part part) {
      for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
        for (int i = 0; i < rows; ++i)
          backward_row<T, Cell>(plan, a, first + i, plan.time(step), i, rows, panel + row * deep,
                                dh + (row + i) * pitch, dextra + (row + i) * pitch, Units(plan, part));
      });
    });
    if constexpr (Cell::resets_first) reset_backward_step<T, Cell>(plan, a, packed, b0, b1, team, scratch, step);
    team.step([&](Team::Part part) {
      for (int64_t p = part.begin(plan.backward_panels); p < part.end(plan.backward_panels); ++p)
        for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
          T* c = dh + row * pitch + p * plan.panel;
          // The gradient of a sequence that has ended is put back after the product, which adds zero to it, or NaN
          // where a weight isn't finite.
          alignas(64) T ended[kStateRows * kWidestPanel * L];
          const auto each_ended = [&](const auto& f) {
            for (int i = 0; a.lengths && i < rows; ++i)
              if (plan.time(step) >= a.lengths[first + i]) f(ended + i * plan.panel, c + i * pitch);
          };
          each_ended([&](T* kept, const T* at) { copy_run(kept, at, plan.panel); });
          panel_product_for<T>(rows, plan.vectors)(Cell::gates - Cell::resets_first, units, panel + row * deep,
                                                   packed + p * Cell::gates * units * plan.panel, c, pitch, c, pitch);
          each_ended([&](const T* kept, T* at) { copy_run(at, kept, plan.panel); });
        });
    });
  }
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      store_rows(plan, dh + row * pitch, pitch, L, first, rows, a.dh0);
      store_rows(plan, dextra + row * pitch, pitch, L, first, rows, a.dc0);
    });
  });
}

template <class T, class Cell>
void backward(const Rnn& g, const Backward<T>& a) {
  const RnnPlan<T> plan(g, Cell::gates);
  shared_values<T>(plan.backward_pitch() * plan.gates * g.units, [&](T* packed) {
    pack_backward(plan, a.weight, packed);
    const auto run = [&](int64_t b0, int64_t b1, Team& team, const RowScratch<T>& scratch) {
      backward_blocks<T, Cell>(plan, a, packed, b0, b1, team, scratch);
    };
    const int64_t pitch = plan.backward_pitch();
    run_blocks(plan, plan.cost(Cell::cost), plan.gates * plan.padded, pitch, pitch, run);
  });
}

// Calls f with the cell of the layer.
template <class T, class F>
void with_cell(const Rnn& g, bool peepholes, const F& f) {
  if (g.cell == kTanhCell) return f(RnnCell<T, false>{});
  if (g.cell == kReluCell) return f(RnnCell<T, true>{});
  if (g.cell == kLstmCell && peepholes) return f(LstmCell<T, true>{});
  if (g.cell == kLstmCell) return f(LstmCell<T, false>{});
  if (g.cell == kGruCell) return f(GruCell<T>{});
  f(ResetFirstGruCell<T>{});
}

}  // namespace

template <class T>
void rnn_forward(Rnn g, T* gates, const T* h0, const T* c0, const T* weight, const T* bias_ih, const T* bias_hh,
                 const T* peepholes, const int64_t* lengths, T* y, T* extra, T* h_n, T* c_n) {
  const Forward<T> a = {h0, c0, weight, bias_ih, bias_hh, peepholes, lengths, gates, y, extra, h_n, c_n};
  with_cell<T>(g, peepholes, [&](auto cell) { forward<T, decltype(cell)>(g, a); });
}

template <class T>
void rnn_backward(Rnn g, const T* dy, const T* dh_n, const T* dc_n, const T* gates, const T* y, const T* extra,
                  const T* h0, const T* c0, const T* weight, const T* peepholes, const int64_t* lengths, T* dgates,
                  T* drec, T* dh0, T* dc0) {
  const Backward<T> a = {dy, dh_n, dc_n, gates, y, extra, h0, c0, weight, peepholes, lengths, dgates, drec, dh0, dc0};
  with_cell<T>(g, peepholes, [&](auto cell) { backward<T, decltype(cell)>(g, a); });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
