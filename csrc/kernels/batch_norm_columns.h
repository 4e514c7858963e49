// Batch norm where a channel's plane is a few vectors or one value: x is a matrix of outer rows, and a channel has
// `inner` of its columns. Channels are taken in blocks of up to 64 vectors of columns, so that rows are read in long
// runs: planes by themselves are far apart, often by a power of two, and would compete for few sets of the cache. Four
// rows are read at a time.
#pragma once
#include <type_traits>

#include "../simd/copy.h"
#include "../simd/sums.h"
#include "batch_norm_channel.h"
#include "integer.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
constexpr int64_t kBlockColumns = 64 * lanes<T>;
constexpr int64_t kBlockRows = 64;    // rows that are summed in T; the sums of such blocks are added in double
constexpr int64_t kSampleValues = 8;  // values of each channel, whose mean is the pivot, near the mean of all
constexpr double kColumnsVisits = 3;  // visits to an element in a forward of training, with the sample, or a backward

struct ColumnBlock {
  int64_t rows, step, inner, first, channels;  // step from row to row; the block's first channel, how many it has
  int64_t columns() const { return channels * inner; }
  int64_t start() const { return first * inner; }
};

// Calls body(block) for all blocks of an (outer, channels, inner) array; body visits each element `visits` times.
template <class T, class Body>
void for_column_blocks(const Norm& g, double visits, const Body& body) {
  const int64_t wide = kBlockColumns<T> / (g.inner ? g.inner : 1);
  const double cost = double(g.outer * g.channels * g.inner) * kNormCost * visits;
  parallel_for(ceil_div(g.channels, wide), cost, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t first = s * wide, left = g.channels - first;
      body(ColumnBlock{g.outer, g.channels * g.inner, g.inner, first, left < wide ? left : wide});
    }
  });
}

template <int R>
struct Rows {
  static constexpr int count = R;
};

// Calls body(Rows<R>, row, column, size) for the vectors of rows [i0, i1), R = 4 rows at a time, then R = 1.
template <class T, class Body>
FASTNN_INLINE void for_tiles(const ColumnBlock& block, int64_t i0, int64_t i1, const Body& body) {
  constexpr int64_t L = lanes<T>;
  const int64_t columns = block.columns(), whole = columns / L * L;
  const auto across = [&](auto R, int64_t i) FASTNN_FLAT {
    for (int64_t j = 0; j < whole; j += L) body(R, i, j, L);
    if (whole < columns) body(R, i, whole, columns - whole);
  };
  int64_t i = i0;
  for (; i + 4 <= i1; i += 4) across(Rows<4>{}, i);
  for (; i < i1; ++i) across(Rows<1>{}, i);
}

// Computes K sums per column. term(acc, at, column, size) adds to acc what one row has in a vector of columns, whose
// values begin at x + at. The rows of a block are summed in T, and the blocks' sums in double.
template <class T, int K, class Term>
FASTNN_INLINE void column_sums(const ColumnBlock& block, double (*sums)[kBlockColumns<T>], const Term& term) {
  T partial[K][kBlockColumns<T>];
  const int64_t columns = block.columns();
  for (int k = 0; k < K; ++k)
    for (int64_t j = 0; j < columns; ++j) sums[k][j] = 0;
  for (int64_t i0 = 0; i0 < block.rows; i0 += kBlockRows) {
    for (int k = 0; k < K; ++k)
      for (int64_t j = 0; j < columns; ++j) partial[k][j] = 0;
    for_tiles<T>(block, i0, i0 + kBlockRows < block.rows ? i0 + kBlockRows : block.rows,
                 [&](auto R, int64_t i, int64_t j, int64_t size) FASTNN_FLAT {
                   Vec<T> acc[K];
                   for (int k = 0; k < K; ++k) acc[k] = load_part(partial[k] + j, size);
                   for (int r = 0; r < R.count; ++r) term(acc, block.start() + (i + r) * block.step + j, j, size);
                   for (int k = 0; k < K; ++k) store_part(partial[k] + j, acc[k], size);
                 });
    for (int k = 0; k < K; ++k)
      for (int64_t j = 0; j < columns; ++j) sums[k][j] += double(partial[k][j]);
  }
}

// The sum of n values in the order of sums.h.
inline double total_of(const double* x, int64_t n) {
  double total = 0;
  int64_t i = 0;
  if (n >= kRowLanes<double>) {
    Vec<double> row[kRowVectors] = {};
    for (; i + kRowLanes<double> <= n; i += kRowLanes<double>)
      for_row<double>(i, n - i, [&](int v, int64_t at, int64_t) FASTNN_FLAT { row[v] += load(x + at); });
    total = reduce_row<double>(row);
  }
  for (; i < n; ++i) total += x[i];
  return total;
}

// sums[k] = the sum of the columns of the block's channel k
inline void add_channels(const ColumnBlock& block, double* sums) {
  if (block.inner == 1) return;
  for (int64_t k = 0; k < block.channels; ++k) sums[k] = total_of(sums + k * block.inner, block.inner);
}

// Sets columns[j] to value(channel) for all columns j of each channel.
template <class T, class F>
FASTNN_INLINE void spread(const ColumnBlock& block, T* columns, const F& value) {
  for (int64_t k = 0; k < block.channels; ++k) {
    const T v = value(block.first + k);
    for (int64_t j = k * block.inner; j < (k + 1) * block.inner; ++j) columns[j] = v;
  }
}

template <class T>
struct Lines {
  T unit[kBlockColumns<T>], away[kBlockColumns<T>], scale[kBlockColumns<T>], offset[kBlockColumns<T>];

  // Sets the columns of each channel to line(channel), a Standard.
  template <class F>
  FASTNN_INLINE void set(const ColumnBlock& block, const F& line) {
    for (int64_t k = 0; k < block.channels; ++k) {
      const Standard<T> s = line(block.first + k);
      for (int64_t j = k * block.inner; j < (k + 1) * block.inner; ++j)
        unit[j] = s.unit, away[j] = s.away, scale[j] = s.scale, offset[j] = s.offset;
    }
  }
  FASTNN_INLINE Standard<T> of(int64_t j) const { return {unit[j], away[j], scale[j], offset[j]}; }
  FASTNN_INLINE Normal<T> at(int64_t j, int64_t size) const {
    Normal<T> line;
    line.unit = load_part(unit + j, size), line.away = load_part(away + j, size);
    line.scale = load_part(scale + j, size), line.offset = load_part(offset + j, size);
    return line;
  }
};

// Computes y = then(line(x)): the norm, and what follows it.
template <class T, Then then>
void block_forward(const ColumnBlock& block, const Lines<T>& lines, const T* x, const T* residual, T* y) {
  for_tiles<T>(block, 0, block.rows, [&](auto R, int64_t i, int64_t j, int64_t size) FASTNN_FLAT {
    const Normal<T> line = lines.at(j, size);
    for (int r = 0; r < R.count; ++r) {
      const int64_t at = block.start() + (i + r) * block.step + j;
      Vec<T> u = line(load_part(x + at, size));
      if constexpr (then == kResidual) u += load_part(residual + at, size);
      store_part(y + at, then == kNothing ? u : rectified<T>(u), size);
    }
  });
}

// The moments of channel c in double.
template <class T>
Moments block_moments(const ColumnBlock& block, const T* x, int64_t c, double m, const Epsilon& eps) {
  return scaled_moments(m, eps, [&](const auto& f) {
    for (int64_t i = 0; i < block.rows; ++i)
      for (int64_t j = 0; j < block.inner; ++j) f(double(x[i * block.step + c * block.inner + j]));
  });
}

// Some of the rows of a block, far apart: about kSampleValues values of each channel.
inline ColumnBlock sample_of(ColumnBlock block) {
  const int64_t rows = ceil_div(kSampleValues, block.inner), all = block.rows;
  block.rows = rows < all ? rows : all;
  block.step *= all / block.rows;
  return block;
}

// A channel's moments come from sums about a pivot near its mean. The pivot is nearly the mean of a sample of the
// channel. That mean comes from sums about the channel's first value, and so is exact where all values are the same.
// Where a pivot was not near the mean of its channel, the sums are made once more, with the mean that was found as the
// pivot of that channel.
template <class T, Then then>
void columns_train(const Norm& g, const Training<T>& a) {
  const double m = double(g.outer) * double(g.inner), share = 1 / m;
  for_column_blocks<T>(g, kColumnsVisits, [&](const ColumnBlock& block) {
    double sums[2][kBlockColumns<T>];
    T pivot[kBlockColumns<T>];
    Lines<T> lines;
    const auto found = [&](int64_t k) {
      return moments_about(double(pivot[k * block.inner]), sums[0][k], sums[1][k], share, a.eps);
    };
    const auto add = [&](const ColumnBlock& rows, auto squares) FASTNN_FLAT {
      constexpr int K = squares ? 2 : 1;
      column_sums<T, K>(rows, sums, [&](Vec<T>* acc, int64_t at, int64_t j, int64_t size) FASTNN_FLAT {
        const Vec<T> d = load_part(a.x + at, size) - load_part(pivot + j, size);
        acc[0] += d;
        if constexpr (K == 2) acc[1] = fma(d, d, acc[1]);
      });
      for (int k = 0; k < K; ++k) add_channels(rows, sums[k]);
    };
    const ColumnBlock sample = sample_of(block);
    spread(block, pivot, [&](int64_t c) { return a.x[c * block.inner]; });
    add(sample, std::false_type{});
    const double part = 1 / double(sample.rows * sample.inner);
    spread(block, pivot, [&](int64_t c) { return T(double(a.x[c * block.inner]) + sums[0][c - block.first] * part); });
    add(block, std::true_type{});
    bool near = true;
    for (int64_t k = 0; k < block.channels; ++k) {
      T* columns = pivot + k * block.inner;
      const Moments moments = found(k);
      if (__builtin_expect(near_mean(double(columns[0]), moments), 1)) continue;
      near = false;
      fill_run(columns, T(moments.mean), block.inner);
    }
    if (__builtin_expect(!near, 0)) add(block, std::true_type{});
    for (int64_t k = 0; k < block.channels; ++k) {
      const int64_t c = block.first + k;
      const Moments moments = found(k);
      a.settle(c, in_range<T>(moments.var, a.eps) ? moments : block_moments(block, a.x, c, m, a.eps));
    }
    lines.set(block, [&](int64_t c) { return line_of(a.standard(c), a.weight, a.bias, c); });
    block_forward<T, then>(block, lines, a.x, a.residual, a.y);
  });
}

// dx = (dz - (v * slope + level)) * k, v as in standard.h, or dz * k where statistics were given. by: slope, level and
// k of each column.
template <class T, Then then>
void block_backward(const ColumnBlock& block, const Gradients<T>& a, const Lines<T>& lines,
                    const T (*by)[kBlockColumns<T>]) {
  for_tiles<T>(block, 0, block.rows, [&](auto R, int64_t i, int64_t j, int64_t size) FASTNN_FLAT {
    const Normal<T> line = lines.at(j, size);
    const Vec<T> slope = load_part(by[0] + j, size), level = load_part(by[1] + j, size), k = load_part(by[2] + j, size);
    for (int r = 0; r < R.count; ++r) {
      const int64_t at = block.start() + (i + r) * block.step + j;
      const Vec<T> x = load_part(a.x + at, size);
      Vec<T> dz = load_part((then == kResidual ? a.dz : a.dy) + at, size);
      if constexpr (then == kRelu) dz = passed<T, then>(dz, x, a.y, at, size, line);
      // With given statistics dx has no term in x. It is left out, because zero times a NaN in x would be NaN.
      const Vec<T> through = a.training ? fma(line.difference(x), slope, level) : Vec<T>{};
      store_part(a.dx + at, (dz - through) * k, size);
    }
  });
}

template <class T, Then then>
void columns_backward(const Norm& g, const Gradients<T>& a) {
  const double m = double(g.outer) * double(g.inner), share = a.training ? 1 / m : 0;
  for_column_blocks<T>(g, kColumnsVisits, [&](const ColumnBlock& block) {
    double sums[2][kBlockColumns<T>];
    T by[3][kBlockColumns<T>];
    Lines<T> lines;
    // Only where a ReLU is computed again are weight and bias needed.
    lines.set(block,
              [&](int64_t c) { return then == kRelu ? line_of(a.standard(c), a.weight, a.bias, c) : a.standard(c); });
    column_sums<T, 2>(block, sums, [&](Vec<T>* acc, int64_t at, int64_t j, int64_t size) FASTNN_FLAT {
      const Normal<T> line = lines.at(j, size);
      const Vec<T> x = load_part(a.x + at, size);
      const Vec<T> dz = passed<T, then>(load_part(a.dy + at, size), x, a.y, at, size, line);
      if constexpr (then == kResidual) store_part(a.dz + at, dz, size);
      acc[0] += dz;
      acc[1] = fma(dz, line.difference(x), acc[1]);
    });
    add_channels(block, sums[0]), add_channels(block, sums[1]);
    for (int64_t k = 0; k < block.channels; ++k) {
      const int64_t c = block.first + k;
      const Standard<T> standard = then == kRelu || block.inner == 0 ? a.standard(c) : lines.of(k * block.inner);
      const Slope<T> to = a.settle(c, standard, sums[0][k], sums[1][k], share);
      for (int64_t j = k * block.inner; j < (k + 1) * block.inner; ++j)
        by[0][j] = to.slope, by[1][j] = to.level, by[2][j] = to.k;
    }
    if (a.dx) block_backward<T, then>(block, a, lines, by);
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
