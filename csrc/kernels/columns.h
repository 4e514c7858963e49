// Access to x (outer, n, inner) for ops over the middle axis: outer * inner positions of n values each.
//
// Rows: inner is 1 and n is long. A position is a contiguous row, and lanes run along it.
// Blocks: lanes run across positions. A block of neighbouring positions is copied to scratch as n rows.
//   inner = 1: the block is transposed, so that ten classes fill whole vectors and need no sums across lanes.
//   inner > 1: each row is copied from one plane of `inner` values. Planes are often a power of two apart, where n of
//   them would fight for the same few lines of a cache. So scratch rows lie an odd number of vectors apart, and each
//   visit to a plane takes up to two kilobytes of it.
#pragma once
#include "../simd/reduce.h"
#include "../simd/strided.h"
#include "../simd/transpose.h"
#include "../simd/wide_sum.h"
#include "../tune.h"
#include "../types.h"
#include "integer.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// How the positions are cut into blocks, which the shape alone decides.
template <class T>
struct BlockPlan {
  static constexpr int64_t L = lanes<T>;
  Softmax g;
  int copies;
  int64_t width, pitch;   // positions in a block; distance of its rows in scratch
  int64_t per_outer = 0;  // blocks side by side in one outer index (inner > 1)

  BlockPlan(const Softmax& geometry, int copies) : g(geometry), copies(copies) {
    if (g.inner == 1) {
      width = pitch = 4 * L;
      return;
    }
    const int64_t column = int64_t(sizeof(T)) * (g.n + 1), longest = kColumnRowBytes / int64_t(sizeof(T));
    const int64_t most = clamp(kColumnBlockBytes / column / L * L, L, longest);
    per_outer = ceil_div(g.inner, most);
    width = per_outer > 0 ? ceil_div(ceil_div(g.inner, per_outer), L) * L : most;
    pitch = width / L % 2 ? width : width + L;
  }
  int64_t blocks() const { return g.inner == 1 ? ceil_div(g.outer, width) : g.outer * per_outer; }
  // A thread's memory: a copy of a block of each of one or two arrays. A copy has a multiple of L rows, because whole
  // squares of L x L values are transposed into it.
  struct Scratch {
    T* rows[2];
  };
  Scratch scratch(Room& room) const {
    const int64_t size = ceil_div(g.n, L) * L * pitch;
    return {{room.take<T>(size), room.take<T>(copies > 1 ? size : 0)}};
  }
};

template <class T>
struct Block {
  static constexpr int64_t L = lanes<T>;
  const BlockPlan<T>& plan;
  int64_t position, offset, count;  // number of the first position; place of its first value; number of positions
  const typename BlockPlan<T>::Scratch& scratch;

  Block(const BlockPlan<T>& p, int64_t index, const typename BlockPlan<T>::Scratch& memory) : plan(p), scratch(memory) {
    const Softmax& g = plan.g;
    const bool turned = g.inner == 1;
    const int64_t o = turned ? 0 : index / plan.per_outer, first = (index - o * plan.per_outer) * plan.width;
    position = o * g.inner + first;
    offset = turned ? first * g.n : o * g.n * g.inner + first;
    count = least((turned ? g.outer : g.inner) - first, plan.width);
  }

  // Copies the block of x to copy i of the scratch, and returns that.
  T* load(const T* x, int i = 0) const {
    T* const rows = scratch.rows[i];
    if (plan.g.inner == 1)
      for (int64_t at = 0; at < count; at += L) turn_in(x + offset + at * plan.g.n, count - at, rows + at);
    else
      for (int64_t c = 0; c < plan.g.n; ++c)
        for (int64_t at = 0; at < count; at += L)
          fastnn::FASTNN_ISA::store(rows + c * plan.pitch + at,
                                    load_part(x + offset + c * plan.g.inner + at, count - at));
    return rows;
  }
  void store(const T* rows, T* y) const {
    if (plan.g.inner == 1)
      for (int64_t at = 0; at < count; at += L) turn_out(rows + at, count - at, y + offset + at * plan.g.n);
    else
      for (int64_t c = 0; c < plan.g.n; ++c)
        for (int64_t at = 0; at < count; at += L)
          store_part(y + offset + c * plan.g.inner + at, fastnn::FASTNN_ISA::load(rows + c * plan.pitch + at),
                     count - at);
  }

  // Calls f(V, at) for V vectors of columns from `at` on, until all are done.
  template <class F>
  FASTNN_INLINE void for_tiles(const F& f) const {
    int64_t at = 0;
    for (; at + 3 * L < count; at += 4 * L) f(std::integral_constant<int, 4>{}, at);
    for (; at < count; at += L) f(std::integral_constant<int, 1>{}, at);
  }

 private:
  // turn_in transposes L rows of x into L columns of scratch, and turn_out transposes them back. `size` of the rows
  // exist; the columns of the others are zero.
  void turn_in(const T* x, int64_t size, T* rows) const {
    const int64_t n = plan.g.n;
    if (n == 2) {
      Vec<T> first, second;
      deinterleave<T>(load_part(x, 2 * size), load_part(x + L, 2 * size - L), first, second);
      fastnn::FASTNN_ISA::store(rows, first);
      fastnn::FASTNN_ISA::store(rows + plan.pitch, second);
      return;
    }
    for (int64_t c = 0; c < n; c += L) {
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) v[r] = r < size ? load_part(x + r * n + c, n - c) : Vec<T>{};
      transpose<T>(v);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) fastnn::FASTNN_ISA::store(rows + (c + r) * plan.pitch, v[r]);
    }
  }
  void turn_out(const T* rows, int64_t size, T* y) const {
    const int64_t n = plan.g.n;
    if (n == 2) {
      Vec<T> low, high;
      interleave<T>(fastnn::FASTNN_ISA::load(rows), fastnn::FASTNN_ISA::load(rows + plan.pitch), low, high);
      store_part(y, low, 2 * size);
      store_part(y + L, high, 2 * size - L);
      return;
    }
    for (int64_t c = 0; c < n; c += L) {
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) v[r] = fastnn::FASTNN_ISA::load(rows + (c + r) * plan.pitch);
      transpose<T>(v);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r)
        if (r < size) store_part(y + r * n + c, v[r], n - c);
    }
  }
};

// Goes through all positions: calls on_row(r) for each where they are rows, else on_block(block) for each block of
// them. A block has scratch for `copies` copies of it, 1 or 2. ns: cost of a value in nanoseconds.
template <class T, class OnRow, class OnBlock>
void for_positions(const Softmax& g, int copies, double ns, const OnRow& on_row, const OnBlock& on_block) {
  if (g.n == 0) return;  // there are no values, however many positions there are
  const double cost = double(g.outer) * double(g.n) * double(g.inner) * ns;
  if (g.inner == 1 && g.n * copies > kTransposedRow * lanes<T>)
    return parallel_for(g.outer, cost, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) on_row(r);
    });
  const BlockPlan<T> plan(g, copies);
  parallel_with(plan.blocks(), cost, plan, [=](int64_t begin, int64_t end, const auto& scratch) {
    for (int64_t i = begin; i < end; ++i) on_block(Block<T>(plan, i, scratch));
  });
}

// Largest of n values. A NaN may be passed over, which does no harm: its difference from any maximum is a NaN again.
template <class T>
FASTNN_INLINE T row_max(int64_t n, const T* x) {
  constexpr int L = lanes<T>;
  const T lowest = -T(__builtin_inf());
  Vec<T> m[4] = {set1(lowest), set1(lowest), set1(lowest), set1(lowest)};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) m[k] = max(m[k], load(x + i + k * L));
  for (; i < n; i += L) m[0] = max(m[0], load_part(x + i, n - i, lowest));
  Vec<T> largest = max(max(m[0], m[1]), max(m[2], m[3]));
  each_half<L>([&](auto step) FASTNN_FLAT { largest = max(largest, exchange<step()>(largest)); });
  return largest[0];
}

// Sum of all lanes of the vectors term(i, size) for i = 0, L, …; lanes beyond size must be zero. Blocks of up to 64
// vectors are added in T, in two chains. The sums of the blocks are added in double, where they lose no digits and,
// where T is float, do not overflow.
template <class T, class Term>
FASTNN_INLINE T row_sum(int64_t n, const Term& term) {
  constexpr int64_t L = lanes<T>, block = 64 * L;
  WideSum<T> sum;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = begin + block < n ? begin + block : n;
    Vec<T> a = {}, b = {};
    int64_t i = begin;
    for (; i + 2 * L <= end; i += 2 * L) {
      a += term(i, L);
      b += term(i + L, L);
    }
    for (; i < end; i += L) a += term(i, end - i);
    if (n <= block) return reduce_add<T>(a + b);
    sum.add(a + b);
  }
  return T(sum.total());
}

// tile_max and tile_sum do for each column what row_max and row_sum do for a row: for V vectors of columns in n rows of
// scratch. Terms are term(at, v), where `at` is the index in scratch of vector v of a row.
template <class T, int V>
FASTNN_INLINE void tile_max(int64_t n, const T* rows, int64_t pitch, Vec<T> (&m)[V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) m[v] = set1(-T(__builtin_inf()));
  for (int64_t c = 0; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) m[v] = max(m[v], load(rows + c * pitch + v * lanes<T>));
}
template <class T, int V, class Term>
FASTNN_INLINE void tile_sum(int64_t n, int64_t pitch, Vec<T> (&sum)[V], const Term& term) {
  constexpr int64_t block = 64;
  WideSum<T> total[V];
  for (int64_t begin = 0; begin < n || begin == 0; begin += block) {
    const int64_t end = begin + block < n ? begin + block : n;
    Vec<T> a[V] = {};
    for (int64_t c = begin; c < end; ++c)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) a[v] += term(c * pitch + v * lanes<T>, v);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[v] = a[v];
      if (n > block) total[v].add(a[v]);
    }
  }
  if (n > block)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[v] = total[v].lanes_rounded();
}
// Stores f(at, v) as vector v of each row; `at` is its index in scratch.
template <class T, int V, class F>
FASTNN_INLINE void tile_map(int64_t n, int64_t pitch, T* rows, const F& f) {
  for (int64_t c = 0; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(rows + c * pitch + v * lanes<T>, f(c * pitch + v * lanes<T>, v));
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
