// A block of Winograd's tiles: its inputs' transform V, the products M of V and the weights, and their transform back.
#pragma once
#include "../simd/strided.h"
#include "conv_product.h"
#include "conv_winograd_transform.h"

namespace fastnn::FASTNN_ISA {
namespace {

// max(|a|, |b|)
template <class T>
FASTNN_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
#if FASTNN_VEC_BYTES == 64
  constexpr int sizes = 0b1011;
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_range_ps((__m512)a, (__m512)b, sizes);
  else
    return (Vec<T>)_mm512_range_pd((__m512d)a, (__m512d)b, sizes);
#else
  return max(abs(a), abs(b));
#endif
}

// Stores the lanes of v whose bit is set.
template <class T>
FASTNN_INLINE void store_lanes(T* p, Vec<T> v, uint32_t bits) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16(bits), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, __mmask8(bits), (__m512d)v);
#elif FASTNN_VEC_BYTES == 32
  const Mask<T> set = (splat<T>(bits) >> iota<T>() & 1) == 1;
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, (__m256i)set, (__m256)v);
  else
    _mm256_maskstore_pd(p, (__m256i)set, (__m256d)v);
#else
  for (int i = 0; i < lanes<T>; ++i)
    if (bits >> i & 1) p[i] = v[i];
#endif
}

// Stores the lanes of each v whose bit is set, one vector `next` behind the other.
template <class T, int N>
FASTNN_INLINE void store_bits(T* to, int64_t next, const Vec<T> (&v)[N], uint32_t bits) {
  if (bits == (1u << lanes<T>)-1) {
#pragma GCC unroll 6
    for (int i = 0; i < N; ++i) store(to + i * next, v[i]);
  } else {
#pragma GCC unroll 6
    for (int i = 0; i < N; ++i) store_lanes(to + i * next, v[i], bits);
  }
}

template <class T>
struct WinogradShape {
  const Product<T>& product;
  const Patches& p = product.p;

  // How many values lie between the end of one point's matrix and the next one: at distances of a power of two, the
  // matrices of all points would fall into one set of the cache.
  static constexpr int64_t kSkew = 5 * 64 / sizeof(T);

  int64_t depth() const { return product.group_in() * p.axis[0].taps; }
  int64_t tiles_high() const { return ceil_div(p.axis[1].grid, kWinogradOut); }
  int64_t tiles_wide() const { return ceil_div(p.axis[2].grid, kWinogradOut); }
  int64_t tiles() const { return product.images * p.axis[0].grid * tiles_high() * tiles_wide(); }
  // The lowest input position along axis d that a tap of output 0 reads: that of the last tap if offsets fall.
  int64_t low(int d) const {
    const Axis& a = p.axis[d];
    return a.offset_step < 0 ? a.offset + (a.taps - 1) * a.offset_step : a.offset;
  }
};

// Tiles that lie side by side in a row of tiles: `size` tiles, of which the first is in column `column` of that row,
// and is tile `tile` of the block. They lie over six rows of x, which are loaded in `steps` steps each: row i begins
// row[i] values behind the beginning of x, in the group's first channel at depth d; a negative row[i] stands for zeros.
struct TileRun {
  int64_t tile, size, image, d, h, column, steps, row[6];
};

// A step loads a vector of a row of x, from column `from` on. Its lanes whose bit is set in a_bits go to the block's
// array `a`, from index `a` of a row on; those whose bit is set in b_bits go to `b`, from index `b` on.
struct TileStep {
  int32_t from, a, b;
  uint32_t a_bits, b_bits;
};

// A block of tiles of one group. V and M have a matrix for each point, in which tiles go in columns as wide as a
// product's tile: V (columns, C, kTileCols), M (columns, rows of K, kTileCols).
template <class T>
struct WinogradBlock {
  WinogradShape<T> shape;
  int64_t width, m_rows;  // how many tiles, in whole columns, and rows of M there is room for
  // Distances, in values, from one point to the next in V and in M, and (line) from one row of `a`, `b` or `rows` to
  // the next.
  int64_t depth = shape.depth(), v_point = depth * width + kSkew, m_point = m_rows * width + kSkew;
  int64_t line = width * 4 + 3 * L;
  // Arrays of the input's side, which threads may share.
  T *v = nullptr, *zeros = nullptr;  // zeros: a row beyond the image
  TileRun* runs = nullptr;
  TileStep* steps = nullptr;
  // Arrays of the output's side.
  // m: the products.
  // a, b (6 rows, width tiles, 4 columns): the 6 x 6 values of each tile in one channel, transformed along the height:
  // `a` has their columns 0..3, and `b` their columns 4..5 with two unused ones behind.
  // rows (4 rows, width tiles, 4 columns): the results of one channel.
  // sizes (steps, 2, L): of each step the largest magnitudes that the transform `lift` meets.
  T *m = nullptr, *a = nullptr, *b = nullptr, *rows = nullptr, *sizes = nullptr;
  int64_t group = 0, count = 0, run_count = 0, step_count = 0;

  static constexpr int64_t L = lanes<T>, kSkew = WinogradShape<T>::kSkew;

  // This block with the arrays of the input's side, or of the output's, taken from the room.
  WinogradBlock with_input(Room& room) const {
    WinogradBlock block = *this;
    block.v = room.take<T>(kWinogradPoints * v_point), block.zeros = room.take<T>(zero_size());
    block.runs = room.take<TileRun>(width), block.steps = room.take<TileStep>(most_steps());
    return block;
  }
  WinogradBlock with_output(Room& room) const {
    WinogradBlock block = *this;
    block.m = room.take<T>(kWinogradPoints * m_point);
    block.a = room.take<T>(edge_size()), block.b = block.a + edge_size() / 2;
    block.rows = room.take<T>(4 * line + 2 * L), block.sizes = room.take<T>(2 * L * most_steps());
    return block;
  }
  int64_t zero_size() const { return shape.p.axis[2].in + L; }
  int64_t most_steps() const { return width * 4 / L + 3 * width; }
  int64_t edge_size() const { return 2 * (6 * line + L); }  // of a and b together
  // Where vector g of row `row` lies in the matrix of a point, which has `all` rows.
  static int64_t place(int64_t g, int64_t all, int64_t row) {
    return (g / kTileVectors * all + row) * kTileCols<T> + g % kTileVectors * L;
  }
  int64_t vectors() const { return ceil_div(count, L); }

  void begin(int64_t which_group, int64_t first, int64_t last) {
    group = which_group, count = last - first, run_count = 0;
    const int64_t wide = shape.tiles_wide(), high = shape.tiles_high(), deep = shape.p.axis[0].grid;
    for (int64_t t = first; t < last;) {
      const int64_t line = divide(t, wide), column = t - line * wide, size = clamp(wide - column, 1, last - t);
      const int64_t plane = divide(line, high), image = divide(plane, deep);
      runs[run_count++] = {t - first, size, image, plane - image * deep, line - plane * high, column, 0, {}};
      t += size;
    }
    step_count = 0;
    for (int64_t r = 0; r < run_count; ++r) step_count += plan(runs[r], steps + step_count);
  }

  // Finds the rows of a run and the steps through the columns that it reads; returns how many steps there are.
  int64_t plan(TileRun& run, TileStep* to) const {
    const int64_t deep = shape.p.axis[0].in, high = shape.p.axis[1].in, in = shape.p.axis[2].in;
    const int64_t plane = (run.image * shape.product.channels_in + group * shape.product.group_in()) * deep + run.d;
    for (int i = 0; i < 6; ++i) {
      const int64_t h = run.h * kWinogradOut + shape.low(1) + i;
      run.row[i] = h < 0 || h >= high ? -1 : (plane * high + h) * in;
    }
    const int64_t start = run.column * kWinogradOut + shape.low(2);  // input column of column 0
    const int64_t first = clamp(start, 0, in), last = clamp(start + 4 * run.size + 2, first, in);
    const int64_t begin = first - start, end = last - start;  // columns of the run that exist
    for (int64_t w = first; w < last; w += L) {
      const int64_t from = clamp(w, 0, in > L ? in - L : 0), at = from - start;  // which column of the run is in lane 0
      const auto bits = [&](int64_t lo, int64_t hi) {
        const uint32_t below_hi = (1u << clamp(hi - at, 0, L)) - 1, below_lo = (1u << clamp(lo - at, 0, L)) - 1;
        return below_hi & ~below_lo;
      };
      to[run.steps++] = {int32_t(from), int32_t(4 * run.tile + at), int32_t(4 * run.tile + at - 4),
                         bits(begin, clamp(end, 0, 4 * run.size)), bits(begin > 4 ? begin : 4, end)};
    }
    return run.steps;
  }

  // a, b = B^T x along the height, for one run, and one channel and depth tap: x points to the channel's beginning,
  // moved on by the `shift` planes of the tap, and run.row counts from there. with_sizes: collects in sizes (steps, 2,
  // L) the largest |x| so far of the upper three rows and of the lower three. lift is not inlined, because its
  // addresses don't fit the registers beside those of other loops.
  template <bool with_sizes>
  __attribute__((noinline)) void lift(const TileRun& run, const TileStep* step, const T* x, int64_t shift,
                                      T* sizes) const {
    const Axis &D = shape.p.axis[0], &H = shape.p.axis[1], &W = shape.p.axis[2];
    const int64_t d = run.d + shift, next = line, width = W.in, ahead = 2 * D.in * H.in * width;
    const T* row[6];
    for (int i = 0; i < 6; ++i) row[i] = run.row[i] < 0 || d < 0 || d >= D.in ? zeros : x + run.row[i];
    bool whole = true;  // whether whole vectors can be read; lanes beyond a row are dropped
    if (width < L) {
      const T* const end = shape.product.x + shape.product.images * shape.product.channels_in * D.in * H.in * width;
      for (int i = 0; i < 6; ++i) whole &= row[i] == zeros || row[i] + L <= end;
    }
    T *const to_a = a, *const to_b = b;
    const auto each = [&](const auto& read) FASTNN_FLAT {
      for (const TileStep* const stop = step + run.steps; step != stop; ++step, sizes += 2 * L) {
        const int64_t from = step->from;
        Vec<T> e[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) e[i] = read(row[i] + from, from);
#pragma GCC unroll 4
        for (int i = 1; i < 5; ++i) __builtin_prefetch(row[i] + (ahead + from));
        if constexpr (with_sizes) {
          store(sizes, larger<T>(larger<T>(e[0], e[1]), larger<T>(e[2], load(sizes))));
          store(sizes + L, larger<T>(larger<T>(e[3], e[4]), larger<T>(e[5], load(sizes + L))));
        }
        winograd_input<T>(e);
        store_bits(to_a + step->a, next, e, step->a_bits);
        store_bits(to_b + step->b, next, e, step->b_bits);
      }
    };
    if (whole)
      each([](const T* p, int64_t) FASTNN_FLAT { return load(p); });
    else
      each([width](const T* p, int64_t from) FASTNN_FLAT { return load_n(p, int(width - from)); });
  }
  // Makes V of one channel from a and b, which are multiplied by B^T along the width.
  void spread(int64_t c) const {
    const int64_t point_size = v_point, next = line, count = vectors();
    for (int64_t g = 0; g < count; ++g) {
      const T *from_a = a + 4 * g * L, *from_b = b + 4 * g * L;
      T* to = v + place(g, depth, c);
#pragma GCC unroll 1
      for (int i = 0; i < 6; ++i, from_a += next, from_b += next, to += 6 * point_size) {
        Vec<T> d[6], low[4], high[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) low[r] = load(from_a + r * L), high[r] = load(from_b + r * L);
        turn_fours<T>(low);
        turn_fours<T>(high);
        for (int r = 0; r < 4; ++r) d[r] = low[r];
        d[4] = high[0], d[5] = high[1];
        winograd_input<T>(d);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store(to + j * point_size, d[j]);
      }
    }
  }

  // Makes V of channels c0..c1, and collects the largest sizes among them (see lift).
  template <bool with_sizes>
  void transform_input(int64_t c0, int64_t c1) const {
    zero_run(a, edge_size());
    if (with_sizes) zero_run(sizes, 2 * L * step_count);
    const Axis& D = shape.p.axis[0];
    for (int64_t c = c0; c < c1; ++c) {
      const int64_t channel = divide(c, D.taps), shift = D.offset + (c - channel * D.taps) * D.offset_step;
      const T* x = shape.product.x + (channel * D.in + shift) * shape.p.axis[1].in * shape.p.axis[2].in;
      int64_t step = 0;
      for (int64_t r = 0; r < run_count; step += runs[r++].steps)
        lift<with_sizes>(runs[r], steps + step, x, shift, sizes + 2 * L * step);
      spread(c);
    }
  }

  // M = U V at each point, for the row blocks first..last. u points to the U of block `first`.
  void multiply(const RowBlocks& blocks, int64_t first, int64_t last, const T* u, int64_t u_point,
                const int32_t* offset) const {
    for (int64_t point = 0; point < kWinogradPoints; ++point, u += u_point) {
      for_vectors(0, vectors(), [&](auto V, int64_t g) FASTNN_FLAT {
        Columns<T, V> tile(offset);
        for (int i = 0; i < V; ++i) {
          tile.b[i] = v + point * v_point + place(g + i, depth, 0);
          tile.c[i] = m + point * m_point + place(g + i, m_rows, 0);
        }
        multiply_rows(blocks, first, last, depth, u, depth, tile, false);
      });
    }
  }
  // rows = bias + A^T M A of row `row` of M. Returns a vector that has a NaN if any of these results isn't finite.
  Vec<T> gather(int64_t row, T bias) const {
    const int64_t point_size = m_point, next = line, count = vectors();
    Vec<T> check = {};
    for (int64_t g = 0; g < count; ++g) {
      const T* from = m + place(g, m_rows, row);
      T* to = rows + 4 * g * L;
      Vec<T> half[4][6];
#pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        Vec<T> in[6], out[4];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) in[i] = load(from + (i * 6 + j) * point_size);
        winograd_sums<T>(in, out);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) half[i][j] = out[i];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        Vec<T> out[4];
        winograd_sums<T>(half[i], out);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          out[j] += set1(bias);
          check = fma(out[j], Vec<T>{}, check);
        }
        turn_fours<T>(out);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) store(to + i * next + r * L, out[r]);
      }
    }
    return check;
  }

  // Copies the results in `rows` to channel k of y.
  void write(int64_t k) const {
    const Axis &D = shape.p.axis[0], &H = shape.p.axis[1], &W = shape.p.axis[2];
    for (int64_t r = 0; r < run_count; ++r) {
      const TileRun& run = runs[r];
      const int64_t high = clamp(H.grid - run.h * kWinogradOut, 0, kWinogradOut);
      const int64_t wide = clamp(W.grid - run.column * kWinogradOut, 0, run.size * kWinogradOut);
      T* to = shape.product.y +
              (((run.image * shape.product.channels_out + group * shape.product.group_out() + k) * D.grid + run.d) *
                   H.grid +
               run.h * kWinogradOut) *
                  W.grid +
              run.column * kWinogradOut;
      for (int64_t i = 0; i < high; ++i, to += W.grid) {
        const T* from = rows + i * line + 4 * run.tile;
        for (int64_t w = 0; w < wide; w += 64 / sizeof(T)) __builtin_prefetch(to + D.grid * H.grid * W.grid + w, 1);
        int64_t w = 0;
        for (; w + L <= wide; w += L) store(to + w, load(from + w));
        if (w == wide) continue;
        if (w > 0)
          store(to + wide - L, load(from + wide - L));
        else
          store_n(to, load(from), int(wide));
      }
    }
  }

  // Computes y of channels k0..k1, which are all that M has. Returns whether all of this y is finite.
  bool transform_output(int64_t k0, int64_t k1, const T* bias) const {
    Vec<T> check = {};
    for (int64_t k = k0; k < k1; ++k) {
      check += gather(k - k0, bias ? bias[group * shape.product.group_out() + k] : T(0));
      write(k);
    }
    return reduce_add<T>(check) == 0;
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
