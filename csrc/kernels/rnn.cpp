// Recurrent layers, one direction of one layer per call: the loop over time. The products that need no order, with the
// inputs and for the gradients of the weights, are made for all steps at once outside (backend/native/rnn.py).
//   gates (steps, batch, G units): in, the input's share W x of the preactivations; out, what the backward needs
//   weight R (G units, units), biases (G units); h0, c0, h_n, c_n (batch, units); y, cells, candidate (steps, batch, units)
// Steps from lengths[n] on don't exist for row n: its output is 0 there and its state stays. In reverse a row begins at
// its last step.
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "rnn_cells.h"
#include "rnn_tile.h"
#define FASTNN_FAMILY "rnn.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// All arrays of a call; those that a cell has no use for are null.
template <class T>
struct Arrays {
  const T *h0, *c0, *weight, *bias_ih, *bias_hh;
  const int64_t* lengths;
  T *gates, *y, *extra, *h_n, *c_n, *work;                          // forward
  const T *dy, *dh_n, *dc_n, *saved_gates, *saved_y, *saved_extra;  // backward
  T *dgates, *drec, *dh0, *dc0;
};

// Sizes that the packed weights and the scratch have in common. Each gate's units are filled up to whole vectors, and
// those to whole panels.
template <class T>
struct RnnPlan {
  static constexpr int64_t L = lanes<T>;
  Rnn g;
  StateBlocks blocks;
  int vectors;
  int64_t gates, padded, panel, forward_panels, backward_panels;

  RnnPlan(const Rnn& geometry, int64_t gate_count)
      : g(geometry), blocks(g.batch), vectors(panel_vectors(blocks.largest())), gates(gate_count) {
    padded = (g.units + L - 1) / L * L;
    panel = vectors * L;
    forward_panels = (gates * padded + panel - 1) / panel;
    backward_panels = (padded + panel - 1) / panel;
  }
  int64_t forward_pitch() const { return forward_panels * panel; }
  int64_t backward_pitch() const { return backward_panels * panel; }
  int64_t forward_work() const { return forward_pitch() * (g.units + 1) + padded; }
  int64_t backward_work() const { return backward_pitch() * gates * g.units; }
  int64_t rows(int64_t b0, int64_t b1) const { return blocks.begin(b1) - blocks.begin(b0); }
  // Whether a step is long enough for two meetings of a team, about 0.3 us together: a tenth of what waking a thread needs.
  bool shares_steps() const { return cost(0) >= 0.1 * thread_cost() * double(g.steps); }
  int64_t time(int64_t step) const { return g.reverse ? g.steps - 1 - step : step; }
  double cost(double per_unit) const {
    const double rows = double(g.steps) * double(g.batch) * double(g.units);
    return rows * (double(gates * g.units) * kMultiplyAddCost<T> + per_unit);
  }
};

// The units of a part of a step's cells: whole vectors.
struct Units {
  int64_t begin, end;

  template <class T>
  Units(const RnnPlan<T>& plan, Team::Part part)
      : begin(part.begin(plan.padded / lanes<T>) * lanes<T>), end(part.end(plan.padded / lanes<T>) * lanes<T>) {
    if (end > plan.g.units) end = plan.g.units;
    if (begin > end) begin = end;
  }
  int64_t size() const { return end - begin; }
};

// R^T in panels: (panel, unit of the state, columns of the panel).
template <class T>
void pack_forward(const RnnPlan<T>& plan, const T* weight, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units, per_gate = plan.padded / L, panel = plan.panel, vectors = plan.vectors;
  const double cost = double(units) * double(plan.forward_pitch()) * 0.2;
  parallel_for(plan.forward_panels * vectors, cost, [=, gates = plan.gates](int64_t begin, int64_t end) {
    for (int64_t vector = begin; vector < end; ++vector) {
      const int64_t gate = vector / per_gate, u = vector % per_gate * L;
      const int64_t rows = gate < gates ? (units - u < L ? units - u : L) : 0;
      const T* from = weight + (gate * units + u) * units;
      T* to = packed + vector / vectors * units * panel + vector % vectors * L;
      if (rows < L)
        for (int64_t k = 0; k < units; ++k) store(to + k * panel, Vec<T>{});
      turn(from, units, rows, units, to, panel);
    }
  });
}

// R in panels: (panel, row of R, columns of the panel).
template <class T>
void pack_backward(const RnnPlan<T>& plan, const T* weight, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units, depth = plan.gates * units, panel = plan.panel;
  parallel_for(plan.backward_panels, double(depth) * double(plan.backward_pitch()) * 0.1,
               [=](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p)
                   for (int64_t k = 0; k < depth; ++k)
                     for (int64_t j = 0; j < panel; j += L)
                       store(packed + (p * depth + k) * panel + j,
                             load_part(weight + k * units + p * panel + j, units - p * panel - j));
               });
}

// to[gate * padded + u] = a[gate * units + u] + b[…], zero where a gate has no such unit or there is no bias.
template <class T>
void pack_bias(const RnnPlan<T>& plan, int64_t gates, const T* a, const T* b, int64_t size, T* to) {
  zero_run(to, size);
  for (int64_t gate = 0; gate < gates; ++gate)
    for (int64_t u = 0; u < plan.g.units; ++u) {
      const int64_t from = gate * plan.g.units + u;
      to[gate * plan.padded + u] = (a ? a[from] : T(0)) + (b ? b[from] : T(0));
    }
}

// Rows of a (batch, units) array, or zeros where it is null, into rows that are `padded` long.
template <class T>
void load_rows(const RnnPlan<T>& plan, const T* from, int64_t first, int rows, T* to, int64_t row_pitch,
               int64_t vector_pitch) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units;
  for (int i = 0; i < rows; ++i)
    for (int64_t u = 0; u < plan.padded; u += L)
      store(to + i * row_pitch + u / L * vector_pitch,
            from ? load_part(from + (first + i) * units + u, units - u) : Vec<T>{});
}
template <class T>
void store_rows(const RnnPlan<T>& plan, const T* from, int64_t row_pitch, int64_t vector_pitch, int64_t first, int rows,
                T* to) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units;
  for (int i = 0; to && i < rows; ++i)
    for (int64_t u = 0; u < units; u += L)
      store_part(to + (first + i) * units + u, load(from + i * row_pitch + u / L * vector_pitch), units - u);
}

// Row i of the block at time t; `rec` holds its share of the state in the preactivations.
template <class T, class Cell>
void forward_row(const RnnPlan<T>& plan, const Arrays<T>& a, const T* bias_apart, int64_t n, int64_t t, int i, int rows,
                 const T* rec, T* state, T* extra, Units range) {
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
    Vec<T> gate[G], share[G], h = load(state + u * rows + i * L), e = load(extra + u);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      gate[g] = load_part(gates + g * units + u, size);
      share[g] = load(rec + g * plan.padded + u);
    }
    if constexpr (Cell::apart) gate[G - 1] += load(bias_apart + u);
    Cell::forward(gate, share, h, e);
    store(state + u * rows + i * L, h);
    store_part(y + u, h, size);
    if constexpr (Cell::saves) {
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) store_part(gates + g * units + u, gate[g], size);
      store_part(saved + u, e, size);
      store(extra + u, e);
    }
  }
}

// f(block, rows, first row, rows of the earlier ones) for blocks b0..b1.
template <class T, class F>
FASTNN_INLINE void for_each_block(const RnnPlan<T>& plan, int64_t b0, int64_t b1, const F& f) {
  for (int64_t b = b0; b < b1; ++b) {
    const int64_t first = plan.blocks.begin(b);
    f(plan.blocks.size(b), first, first - plan.blocks.begin(b0));
  }
}

template <class T, class Cell>
void forward_blocks(const RnnPlan<T>& plan, const Arrays<T>& a, int64_t b0, int64_t b1, Team& team, T* memory) {
  constexpr int64_t L = lanes<T>;
  const int64_t pitch = plan.forward_pitch(), padded = plan.padded, units = plan.g.units, all = plan.rows(b0, b1);
  const T *packed = a.work, *bias = a.work + pitch * units, *bias_apart = bias + pitch;
  T *state = memory, *extra = state + all * padded, *rec = extra + all * padded;
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      load_rows(plan, a.h0, first, rows, state + row * padded, L, rows * L);
      load_rows(plan, a.c0, first, rows, extra + row * padded, padded, L);
    });
  });
  for (int64_t step = 0; step < plan.g.steps; ++step) {
    team.step([&](Team::Part part) {
      for (int64_t p = part.begin(plan.forward_panels); p < part.end(plan.forward_panels); ++p)
        for_each_block(plan, b0, b1, [&](int rows, int64_t, int64_t row) {
          panel_product_for<T>(rows, plan.vectors)(1, units, state + row * padded, packed + p * units * plan.panel,
                                                   bias + p * plan.panel, 0, rec + row * pitch + p * plan.panel, pitch);
        });
    });
    team.step([&](Team::Part part) {
      for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
        for (int i = 0; i < rows; ++i)
          forward_row<T, Cell>(plan, a, bias_apart, first + i, plan.time(step), i, rows, rec + (row + i) * pitch,
                               state + row * padded, extra + (row + i) * padded, Units(plan, part));
      });
    });
  }
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      store_rows(plan, state + row * padded, L, rows * L, first, rows, a.h_n);
      store_rows(plan, extra + row * padded, padded, L, first, rows, a.c_n);
    });
  });
}

// run(first block, last block, team, memory) for all blocks. A single block is shared by a team if a step is long enough.
template <class T, class F>
void run_blocks(const RnnPlan<T>& plan, double cost, int64_t values_per_row, const F& run) {
  const int64_t joint = plan.blocks.count < kJointBlocks ? plan.blocks.count : kJointBlocks;
  const size_t scratch = size_t(joint * kStateRows * values_per_row) * sizeof(T);
  if (plan.blocks.count == 1 && plan.shares_steps())
    return parallel_team(plan.padded / lanes<T>, cost, scratch,
                         [&](Team& team, void* memory) { run(0, 1, team, static_cast<T*>(memory)); });
  parallel_scratch(plan.blocks.count, cost, scratch, [&](int64_t begin, int64_t end, void* memory) {
    Team alone(0, 1, nullptr);
    for (int64_t b = begin; b < end; b += joint)
      run(b, b + joint < end ? b + joint : end, alone, static_cast<T*>(memory));
  });
}

template <class T, class Cell>
void forward(const Rnn& g, const Arrays<T>& a) {
  const RnnPlan<T> plan(g, Cell::gates);
  const int64_t pitch = plan.forward_pitch(), summed = Cell::apart ? Cell::gates - 1 : Cell::gates;
  T* bias = a.work + pitch * g.units;
  pack_forward(plan, a.weight, a.work);
  pack_bias(plan, summed, a.bias_ih, a.bias_hh, pitch + plan.padded, bias);
  if constexpr (Cell::apart) {  // of the last gate, the input's bias waits behind the others
    const int64_t last = summed * g.units;
    const T* none = nullptr;
    pack_bias(plan, 1, none, a.bias_hh ? a.bias_hh + last : none, plan.padded, bias + summed * plan.padded);
    pack_bias(plan, 1, a.bias_ih ? a.bias_ih + last : none, none, plan.padded, bias + pitch);
  }
  run_blocks(plan, plan.cost(Cell::cost), 2 * plan.padded + pitch, [&](int64_t b0, int64_t b1, Team& team, T* memory) {
    forward_blocks<T, Cell>(plan, a, b0, b1, team, memory);
  });
}

// The row's gradients at time t: from dh and dextra (carried) and dy to dgates, and to the panel for the product.
template <class T, class Cell>
void backward_row(const RnnPlan<T>& plan, const Arrays<T>& a, int64_t n, int64_t t, int i, int rows, T* panel, T* dh,
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
  const bool begins = t == (plan.g.reverse ? last : 0);
  const int64_t earlier = plan.g.reverse ? at + plan.g.batch * units : at - plan.g.batch * units;
  const auto before = [=](const T* array, const T* initial) {  // null stands for zeros
    return !begins ? array + earlier : initial ? initial + n * units : nullptr;
  };
  const T* h_before = Cell::apart ? before(a.saved_y, a.h0) : nullptr;
  const T* extra_before = Cell::carries ? before(a.saved_extra, a.c0) : nullptr;
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

template <class T, class Cell>
void backward_blocks(const RnnPlan<T>& plan, const Arrays<T>& a, int64_t b0, int64_t b1, Team& team, T* memory) {
  constexpr int64_t L = lanes<T>;
  const int64_t pitch = plan.backward_pitch(), padded = plan.padded, units = plan.g.units, all = plan.rows(b0, b1);
  const int64_t deep = Cell::gates * padded;
  T *panel = memory, *dextra = panel + all * deep, *dh = dextra + all * padded;
  team.once([&] {
    zero_run(dh, all * pitch);
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      load_rows(plan, a.dh_n, first, rows, dh + row * pitch, pitch, L);
      load_rows(plan, a.dc_n, first, rows, dextra + row * padded, padded, L);
    });
  });
  for (int64_t step = plan.g.steps - 1; step >= 0; --step) {
    team.step([&](Team::Part part) {
      for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
        for (int i = 0; i < rows; ++i)
          backward_row<T, Cell>(plan, a, first + i, plan.time(step), i, rows, panel + row * deep,
                                dh + (row + i) * pitch, dextra + (row + i) * padded, Units(plan, part));
      });
    });
    team.step([&](Team::Part part) {
      for (int64_t p = part.begin(plan.backward_panels); p < part.end(plan.backward_panels); ++p)
        for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
          T* c = dh + row * pitch + p * plan.panel;
          // Of a row that has ended the product is zero, or not a number where a weight isn't finite: its gradient stays.
          alignas(64) T ended[kStateRows * 8 * L];
          const auto each_ended = [&](const auto& f) {
            for (int i = 0; a.lengths && i < rows; ++i)
              if (plan.time(step) >= a.lengths[first + i]) f(ended + i * plan.panel, c + i * pitch);
          };
          each_ended([&](T* kept, const T* at) { copy_run(kept, at, plan.panel); });
          panel_product_for<T>(rows, plan.vectors)(Cell::gates, units, panel + row * deep,
                                                   a.work + p * Cell::gates * units * plan.panel, c, pitch, c, pitch);
          each_ended([&](const T* kept, T* at) { copy_run(at, kept, plan.panel); });
        });
    });
  }
  team.once([&] {
    for_each_block(plan, b0, b1, [&](int rows, int64_t first, int64_t row) {
      store_rows(plan, dh + row * pitch, pitch, L, first, rows, a.dh0);
      store_rows(plan, dextra + row * padded, padded, L, first, rows, a.dc0);
    });
  });
}

template <class T, class Cell>
void backward(const Rnn& g, const Arrays<T>& a) {
  const RnnPlan<T> plan(g, Cell::gates);
  pack_backward(plan, a.weight, a.work);
  const int64_t values = (Cell::gates + 1) * plan.padded + plan.backward_pitch();
  run_blocks(plan, plan.cost(Cell::cost), values, [&](int64_t b0, int64_t b1, Team& team, T* memory) {
    backward_blocks<T, Cell>(plan, a, b0, b1, team, memory);
  });
}

}  // namespace

template <class T>
void rnn_workspace(Rnn g, int64_t gates, int64_t* size) {
  const RnnPlan<T> plan(g, gates);
  *size = plan.forward_work() > plan.backward_work() ? plan.forward_work() : plan.backward_work();
}

template <class T>
void rnn_forward(Rnn g, T* gates, const T* h0, const T* weight, const T* bias_ih, const T* bias_hh,
                 const int64_t* lengths, T* y, T* h_n, T* work) {
  Arrays<T> a = {};
  a.h0 = h0, a.weight = weight, a.bias_ih = bias_ih, a.bias_hh = bias_hh, a.lengths = lengths;
  a.gates = gates, a.y = y, a.h_n = h_n, a.work = work;
  g.relu ? forward<T, RnnCell<T, true>>(g, a) : forward<T, RnnCell<T, false>>(g, a);
}

template <class T>
void lstm_forward(Rnn g, T* gates, const T* h0, const T* c0, const T* weight, const T* bias_ih, const T* bias_hh,
                  const int64_t* lengths, T* y, T* cells, T* h_n, T* c_n, T* work) {
  Arrays<T> a = {};
  a.h0 = h0, a.c0 = c0, a.weight = weight, a.bias_ih = bias_ih, a.bias_hh = bias_hh, a.lengths = lengths;
  a.gates = gates, a.y = y, a.extra = cells, a.h_n = h_n, a.c_n = c_n, a.work = work;
  forward<T, LstmCell<T>>(g, a);
}

template <class T>
void gru_forward(Rnn g, T* gates, const T* h0, const T* weight, const T* bias_ih, const T* bias_hh,
                 const int64_t* lengths, T* y, T* candidate, T* h_n, T* work) {
  Arrays<T> a = {};
  a.h0 = h0, a.weight = weight, a.bias_ih = bias_ih, a.bias_hh = bias_hh, a.lengths = lengths;
  a.gates = gates, a.y = y, a.extra = candidate, a.h_n = h_n, a.work = work;
  forward<T, GruCell<T>>(g, a);
}

template <class T>
void rnn_backward(Rnn g, const T* dy, const T* dh_n, const T* y, const T* weight, const int64_t* lengths, T* dgates,
                  T* dh0, T* work) {
  Arrays<T> a = {};
  a.weight = weight, a.lengths = lengths;
  a.dy = dy, a.dh_n = dh_n, a.saved_y = y, a.dgates = dgates, a.dh0 = dh0, a.work = work;
  g.relu ? backward<T, RnnCell<T, true>>(g, a) : backward<T, RnnCell<T, false>>(g, a);
}

template <class T>
void lstm_backward(Rnn g, const T* dy, const T* dh_n, const T* dc_n, const T* gates, const T* cells, const T* c0,
                   const T* weight, const int64_t* lengths, T* dgates, T* dh0, T* dc0, T* work) {
  Arrays<T> a = {};
  a.c0 = c0, a.weight = weight, a.lengths = lengths;
  a.dy = dy, a.dh_n = dh_n, a.dc_n = dc_n, a.saved_gates = gates, a.saved_extra = cells;
  a.dgates = dgates, a.dh0 = dh0, a.dc0 = dc0, a.work = work;
  backward<T, LstmCell<T>>(g, a);
}

template <class T>
void gru_backward(Rnn g, const T* dy, const T* dh_n, const T* gates, const T* candidate, const T* y, const T* h0,
                  const T* weight, const int64_t* lengths, T* dgates, T* drec, T* dh0, T* work) {
  Arrays<T> a = {};
  a.h0 = h0, a.weight = weight, a.lengths = lengths;
  a.dy = dy, a.dh_n = dh_n, a.saved_gates = gates, a.saved_extra = candidate, a.saved_y = y;
  a.dgates = dgates, a.drec = drec, a.dh0 = dh0, a.work = work;
  backward<T, GruCell<T>>(g, a);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
