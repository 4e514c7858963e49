// How a recurrence is cut: weights packed into panels, rows of the batch dealt to blocks, and what came before a step.
#pragma once
#include "../simd/copy.h"
#include "../simd/transpose.h"
#include "../types.h"
#include "integer.h"
#include "rnn_tile.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// The shortest step that a team shares, as a fraction of thread_cost(). By default that is 0.8 us, about 50 000
// multiply-adds, since the two meetings in a step take about 0.3 us together.
constexpr double kSharedStep = 0.1;

// Sizes that the packed weights and the scratch have in common. Each gate's units are filled up to whole vectors, and
// the vectors of all gates to whole panels.
template <class T>
struct RnnPlan {
  static constexpr int64_t L = lanes<T>;
  Rnn g;
  StateBlocks blocks;
  int vectors;
  int64_t gates, padded, panel, forward_panels, backward_panels;

  RnnPlan(const Rnn& geometry, int64_t gate_count)
      : g(geometry), blocks(g.batch), vectors(panel_vectors(blocks.largest())), gates(gate_count) {
    padded = ceil_div(g.units, L) * L;
    panel = vectors * L;
    forward_panels = ceil_div(gates * padded, panel);
    backward_panels = ceil_div(padded, panel);
  }
  // The panels that hold columns of the gates before `gate`, and the first one with columns of `gate`: that may be the
  // last of the former, too.
  int64_t panels_before(int64_t gate) const { return ceil_div(gate * padded, panel); }
  int64_t panel_of(int64_t gate) const { return gate * padded / panel; }
  int64_t forward_pitch() const { return forward_panels * panel; }
  int64_t backward_pitch() const { return backward_panels * panel; }
  int64_t rows(int64_t b0, int64_t b1) const { return blocks.begin(b1) - blocks.begin(b0); }
  // Whether a step is long enough for a team, which meets twice in it.
  bool shares_steps() const { return cost(0) >= kSharedStep * thread_cost() * double(g.steps); }
  int64_t time(int64_t step) const { return g.reverse ? g.steps - 1 - step : step; }
  double cost(double per_unit) const {
    const double rows = double(g.steps) * double(g.batch) * double(g.units);
    return rows * (double(gates * g.units) * kMultiplyAddCost<T> + per_unit);
  }
};

// The units whose cells one part of a step computes: whole vectors of them.
struct Units {
  int64_t begin, end;

  template <class T>
  Units(const RnnPlan<T>& plan, Team::Part part)
      : begin(least(part.begin(plan.padded / lanes<T>) * lanes<T>, plan.g.units)),
        end(least(part.end(plan.padded / lanes<T>) * lanes<T>, plan.g.units)) {}
  int64_t size() const { return end - begin; }
};

// The weights in panels, and the biases, which all threads read.
template <class T>
struct ForwardWeights {
  T *packed, *bias, *bias_apart;
};

// Rough nanoseconds of packing per weight. The forward transposes weights into panels, the backward copies them.
constexpr double kTurnCost = 0.2, kPackCost = 0.1;

// Packs R^T into panels: packed is (panel, unit of the state, columns of the panel).
template <class T>
void pack_forward(const RnnPlan<T>& plan, const T* weight, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units, per_gate = plan.padded / L, panel = plan.panel, vectors = plan.vectors;
  const double cost = double(units) * double(plan.forward_pitch()) * kTurnCost;
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

// Packs R into panels: packed is (panel, row of R, columns of the panel).
template <class T>
void pack_backward(const RnnPlan<T>& plan, const T* weight, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t units = plan.g.units, depth = plan.gates * units, panel = plan.panel;
  const double cost = double(depth) * double(plan.backward_pitch()) * kPackCost;
  parallel_for(plan.backward_panels, cost, [=](int64_t begin, int64_t end) {
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

// Packs the sums of both biases. With `apart`, the last gate's bias of the input is kept apart from that of the state.
template <bool apart, class T>
void pack_biases(const RnnPlan<T>& plan, const T* input, const T* state, const ForwardWeights<T>& to) {
  const int64_t summed = apart ? plan.gates - 1 : plan.gates, last = summed * plan.g.units;
  const T* none = nullptr;
  pack_bias(plan, summed, input, state, plan.forward_pitch(), to.bias);
  if (!apart) return;
  pack_bias(plan, 1, none, state ? state + last : none, plan.padded, to.bias + summed * plan.padded);
  pack_bias(plan, 1, input ? input + last : none, none, plan.padded, to.bias_apart);
}

// Copies rows of a (batch, units) array, or zeros where it is null, into rows that are `padded` long; store_rows copies
// them back.
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

// The state of sample n before the step at time t, which is not behind the `last` step of the sample: null stands for
// zeros. `states` (steps, batch, units) are those after each step, `initial` (batch, units) may be null.
template <class T>
const T* before_step(const Rnn& g, const T* states, const T* initial, int64_t n, int64_t t, int64_t last) {
  if (t == (g.reverse ? last : 0)) return initial ? initial + n * g.units : nullptr;
  return states + ((g.reverse ? t + 1 : t - 1) * g.batch + n) * g.units;
}

// Calls f(rows of the block, its first row, how many rows behind the first one of b0 that is) for the blocks b0..b1.
template <class T, class F>
FASTNN_INLINE void for_each_block(const RnnPlan<T>& plan, int64_t b0, int64_t b1, const F& f) {
  for (int64_t b = b0; b < b1; ++b) {
    const int64_t first = plan.blocks.begin(b);
    f(plan.blocks.size(b), first, first - plan.blocks.begin(b0));
  }
}

// Scratch for the rows that go through the steps together: the input of a step's product with the weights, the cells'
// extra array, and the result of the product.
template <class T>
struct RowScratch {
  T *of_product, *extra, *product;
};

// Calls run(b0, b1, team, scratch) for the blocks b0..b1, until all are done. `depth` is the number of values in a
// row of the product's input, `extra` that of the cells' extra array, and `pitch` that of the product's result. If
// there is a single block, and a step is long enough, a team shares it.
template <class T, class F>
void run_blocks(const RnnPlan<T>& plan, double cost, int64_t depth, int64_t extra, int64_t pitch, const F& run) {
  const int64_t count = plan.blocks.count, joint = least(count, kJointBlocks), rows = joint * kStateRows;
  const auto layout = [=](Room& room) {
    return RowScratch<T>{room.take<T>(rows * depth), room.take<T>(rows * extra), room.take<T>(rows * pitch)};
  };
  if (count == 1 && plan.shares_steps())
    return parallel_team(plan.padded / lanes<T>, cost, room_for(layout), [&](Team& team, void* memory) {
      Room room(memory);
      run(0, 1, team, layout(room));
    });
  parallel_room(count, cost, layout, [&](int64_t begin, int64_t end, const RowScratch<T>& scratch) {
    Team alone(0, 1, nullptr);
    for (int64_t b = begin; b < end; b += joint) run(b, least(b + joint, end), alone, scratch);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
