// Backward-weight with 3 x 3 taps of stride 1 by Winograd's F(3 x 3, 4 x 4): a tile of 4 x 4 of dy and the 6 x 6 of x under it
// take 36 products for each pair of channels instead of 144 (conv_winograd.h).
//   dweight[k, c] = A^T [ sum over tiles t of (G dy[k, t] G^T) * (B^T x[c, t] B) ] A    dy 4 x 4, x 6 x 6, dweight 3 x 3
// The points and B are the forward pass's. The sums over tiles are products of matrices, one for each of the 36 points, in which
// lanes are input channels; chunks of tiles, cut by the shape alone, are summed apart and added in order. Of many channels there
// is one chunk, of which threads share the transforms and then the points.
//   D (36, tiles, K) = G dy G^T,  V (36, columns, tiles, kTileCols) = B^T x B,  S (chunks, 36, K, C) = D^T V
#pragma once
#include "conv_winograd.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct WinogradWeight {
  const Conv& g;
  const T *dy, *x;
  T* parts;  // (chunks, 36, K, columns), and where sums are long, as many values more for a run
  int64_t group_in, group_out, wide, lines, columns, rows;
  bool shared;  // whether threads share V and D
  int64_t per_block, chunks;

  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kSkew = WinogradProblem<T>::kSkew;
  static constexpr int64_t kTiles = 128;       // of a block, about
  static constexpr int64_t kChunkTiles = 256;  // beside which adding the partial results is little
  static constexpr int64_t kLongTiles = kLongSum / 4, kRunTiles = kSumRun / 4;  // a tile is worth four additions
  static constexpr int64_t kMaxChunks = 16, kPartValues = 4 << 20, kSharedValues = 5 << 20;

  WinogradWeight(const Conv& g, const T* dy, const T* x, T* parts)
      : g(g),
        dy(dy),
        x(x),
        parts(parts),
        group_in(g.c / g.groups),
        group_out(g.k / g.groups),
        wide((g.out[2] + 3) / 4),
        lines(g.n * g.out[0] * ((g.out[1] + 3) / 4)),
        columns(g.kernel[0] * in_lanes()),
        rows((group_out + L - 1) / L * L),
        shared(part_size() > kPartValues / 4) {
    const int64_t room = shared ? kSharedValues / (kWinogradPoints * (columns + rows)) : kTiles;
    per_block = clamp(wide ? room / wide : 1, 1, lines ? lines : 1);
    const int64_t fit = kPartValues / part_size(), most = fit < kMaxChunks ? fit : kMaxChunks;
    chunks = shared ? 1 : clamp(lines * wide / kChunkTiles, 1, lines < most ? lines : most);  // none is empty
  }
  int64_t in_lanes() const { return (group_in + L - 1) / L * L; }
  int64_t slab() const { return group_out * columns + kSkew; }
  int64_t part_size() const { return g.groups * kWinogradPoints * slab(); }
  // Whether a chunk has so many tiles that runs of them are summed apart.
  bool long_sums() const { return lines * wide > chunks * kLongTiles; }
  int64_t all_parts() const { return (long_sums() ? 2 : 1) * chunks * part_size(); }
  int64_t size() const { return all_parts() + (shared ? kWinogradPoints * (v_slab() + d_slab()) : 0); }

  // Values of a thread's scratch.
  int64_t tiles() const { return per_block * wide; }
  int64_t d_line() const { return rows + L; }  // from one tile to the next: not a power of two, for the cache's sets
  int64_t v_slab() const { return (columns + L) * tiles() + kSkew; }
  int64_t d_slab() const { return d_line() * tiles() + kSkew; }
  int64_t copy_size() const { return 6 * (g.size[2] > g.out[2] ? g.size[2] : g.out[2]) * L; }
  int64_t edge_size() const { return 6 * (4 * wide + 2) * L; }
  size_t transform_scratch() const { return size_t(copy_size() + edge_size()) * sizeof(T); }
  size_t scratch() const {
    return transform_scratch() + size_t(kWinogradPoints * (v_slab() + d_slab())) * sizeof(T) +
           size_t(tiles()) * sizeof(int32_t);
  }

  bool possible() const {
    if (g.all_taps) return false;
    for (int d = 1; d < 3; ++d)
      if (g.kernel[d] != 3 || g.stride[d] != 1 || g.dilation[d] != 1) return false;
    return g.stride[0] == 1 && lines * wide > 0;
  }
  // From 128 outputs on, half of those that the tiles have room for: 200 sizes of 16 to 128 channels gain 1 to 3.6 times on
  // Zen 5. S, four times the size of the weight, stays below 40 MB; beyond 16 MB, where it outgrows the caches, writing and
  // reading it costs as much as 48 tiles. A line of tiles stays in the cache.
  bool preferred() const {
    const int64_t outputs = g.n * g.out[0] * g.out[1] * g.out[2], tiles = lines * wide;
    const bool enough = outputs >= (part_size() > kPartValues ? 4 * tiles + 176 : 128) && outputs >= 8 * tiles;
    if (smaller_than_taps(g.size[1], g.size[2])) return false;
    return possible() && group_in >= L && group_out >= 8 && enough && wide <= 4 * kTiles &&
           part_size() <= 2 * kSharedValues;
  }

  // One channel vector of one line of tiles: values(row, column) of `high` rows, transformed along the height by f, to edge.
  template <int IN, class F>
  FASTNN_INLINE void lift(const T* copy, int64_t width, int64_t low, int64_t count, T* edge, const F& f) const {
    for (int64_t q = 0; q < count; ++q) {
      const int64_t w = q + low;
      Vec<T> in[IN], out[6] = {};
      if (w >= 0 && w < width) {
#pragma GCC unroll 6
        for (int i = 0; i < IN; ++i) in[i] = load(copy + (i * width + w) * L);
        f(in, out);
      }
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) store(edge + (i * count + q) * L, out[i]);
    }
  }
  // Along the width: tile t of the line to to[point * slab + t * step].
  template <int IN, class F>
  FASTNN_INLINE void spread(const T* edge, int64_t count, T* to, int64_t slab, int64_t step, const F& f) const {
    for (int64_t t = 0; t < wide; ++t, to += step)
#pragma GCC unroll 1
      for (int i = 0; i < 6; ++i) {
        Vec<T> in[IN], out[6];
#pragma GCC unroll 6
        for (int j = 0; j < IN; ++j) in[j] = load(edge + (i * count + 4 * t + j) * L);
        f(in, out);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store(to + (i * 6 + j) * slab, out[j]);
      }
  }
  // Rows top..top + high of n channels of `from`, a plane apart, to copy, channels innermost; zeros beyond the plane.
  void turn_rows(const T* from, int64_t height, int64_t width, int64_t plane, int64_t top, int64_t high, int64_t n,
                 T* copy) const {
    const int64_t r0 = clamp(-top, 0, high), r1 = clamp(height - top, r0, high);
    if (n < L) zero_run(copy, high * width * L);
    zero_run(copy, r0 * width * L);
    if (r1 > r0) turn(from + (top + r0) * width, plane, n, (r1 - r0) * width, copy + r0 * width * L, L);
    zero_run(copy + r1 * width * L, (high - r1) * width * L);
    // The next line's rows: so many short pieces of different planes are not foreseen by the hardware.
    const T* next = from + (top + high) * width;
    for (int64_t i = 0; i < n; ++i, next += plane)
      for (int64_t w = 0; w < 4 * width; w += 64 / int64_t(sizeof(T))) __builtin_prefetch(next + w, 0, 2);
  }

  // Vectors of channels that a block's transforms consist of: those of dy, then those of x.
  int64_t vectors() const { return (rows + columns) / L; }
  // V or D of one of them, of `count` lines of tiles; copy: transform_scratch.
  void transform(int64_t group, int64_t line, int64_t count, int64_t vector, T* v, T* d, T* copy) const {
    const int64_t high = (g.out[1] + 3) / 4;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t plane = divide(line + i, high), h = line + i - plane * high, image = divide(plane, g.out[0]);
      const int64_t depth = plane - image * g.out[0], tile = i * wide;
      if (vector * L < rows)
        transform_dy(group, image, depth, h, vector * L, d + tile * d_line() + vector * L, copy);
      else
        transform_x(group, image, depth, h, vector * L - rows, tile, v, copy);
    }
  }
  void transform_dy(int64_t group, int64_t image, int64_t depth, int64_t h, int64_t k, T* to, T* copy) const {
    const auto f = [](const Vec<T>(&in)[4], Vec<T>(&out)[6]) FASTNN_FLAT { winograd_values<T>(in, out); };
    const int64_t plane = g.out[1] * g.out[2], channel = g.out[0] * plane;
    const T* from = dy + (image * g.k + group * group_out + k) * channel + depth * plane;
    T* edge = copy + copy_size();
    turn_rows(from, g.out[1], g.out[2], channel, 4 * h, 4, clamp(group_out - k, 1, L), copy);
    lift<4>(copy, g.out[2], 0, 4 * wide, edge, f);
    spread<4>(edge, 4 * wide, to, d_slab(), d_line(), f);
  }
  void transform_x(int64_t group, int64_t image, int64_t depth, int64_t h, int64_t column, int64_t tile, T* v,
                   T* copy) const {
    const auto f = [](const Vec<T>(&in)[6], Vec<T>(&out)[6]) FASTNN_FLAT {
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) out[i] = in[i];
      winograd_input<T>(out);
    };
    const int64_t plane = g.size[1] * g.size[2], channel = g.size[0] * plane;
    const int64_t tap = divide(column, in_lanes()), c = column - tap * in_lanes(),
                  at = depth - g.pad[0] + tap * g.dilation[0];
    const T* from = x + (image * g.c + group * group_in + c) * channel + at * plane;
    const bool inside = at >= 0 && at < g.size[0];
    T* edge = copy + copy_size();
    turn_rows(from, inside ? g.size[1] : 0, g.size[2], channel, 4 * h - g.pad[1], 6, clamp(group_in - c, 1, L), copy);
    lift<6>(copy, g.size[2], -g.pad[2], 4 * wide + 2, edge, f);
    spread<6>(edge, 4 * wide + 2, v + column_place(column, tile), v_slab(), kTileCols<T>, f);
  }
  // Tile `tile` of the vector from `column` on in a point of V.
  int64_t column_place(int64_t column, int64_t tile) const {
    return (column / kTileCols<T> * tiles() + tile) * kTileCols<T> + column % kTileCols<T>;
  }

  template <int V>
  void tiles_of(int64_t q, int64_t count, const T* v, const T* d, const int32_t* offset, T* s, bool accumulate) const {
    const RowBlocks blocks(group_out);
    Columns<T, V> tile;
    tile.offset = offset, tile.ldc = columns, tile.lda = d_line();
    for (int i = 0; i < V; ++i) {
      const int64_t column = (q + i) * L;
      tile.b[i] = v + column_place(column, 0);
      tile.c[i] = s + column;
      tile.size[i] = L;
    }
    for (int64_t block = 0; block < blocks.count; ++block)
      outer_tile_for<T, V>(blocks.size(block))(count, d + blocks.begin(block), tile, blocks.begin(block), accumulate,
                                               nullptr);
  }

  // S of one point, of `count` tiles; v, d: V and D.
  void multiply(int64_t point, int64_t count, const T* v, const T* d, const int32_t* offset, T* s,
                bool accumulate) const {
    const int64_t end = columns / L;
    v += point * v_slab(), d += point * d_slab(), s += point * slab();
    int64_t q = 0;
    for (; q + kTileVectors <= end; q += kTileVectors) tiles_of<kTileVectors>(q, count, v, d, offset, s, accumulate);
    for (; q < end; ++q) tiles_of<1>(q, count, v, d, offset, s, accumulate);
  }

  // parts[chunk][group] = sum over the chunk's tiles
  void item(int64_t chunk, int64_t group, void* memory) const {
    T* v = static_cast<T*>(memory);
    T *d = v + kWinogradPoints * v_slab(), *copy = d + kWinogradPoints * d_slab();
    int32_t* offset = reinterpret_cast<int32_t*>(copy + copy_size() + edge_size());
    column_offsets<T>(tiles(), offset);
    const int64_t first = lines * chunk / chunks, last = lines * (chunk + 1) / chunks;
    T* s = parts + (chunk * g.groups + group) * kWinogradPoints * slab();
    T* run = long_sums() ? s + chunks * part_size() : s;
    int64_t summed = 0, runs = 0;  // tiles in the run, runs before it
    for (int64_t line = first; line < last; line += per_block) {
      const int64_t count = clamp(last - line, 1, per_block);
      for (int64_t i = 0; i < vectors(); ++i) transform(group, line, count, i, v, d, copy);
      for (int64_t point = 0; point < kWinogradPoints; ++point)
        multiply(point, count * wide, v, d, offset, run, summed > 0);
      summed += count * wide;
      if (run == s || (summed < kRunTiles && line + count < last)) continue;
      for (int64_t point = 0; point < kWinogradPoints; ++point) add_run(point, run, runs > 0, s);
      summed = 0, ++runs;
    }
  }

  // s (+)= run, at one point
  void add_run(int64_t point, const T* run, bool accumulate, T* s) const {
    const int64_t size = group_out * columns;
    s += point * slab(), run += point * slab();
    if (accumulate)
      for (int64_t i = 0; i < size; i += L) store(s + i, load(s + i) + load(run + i));
    else
      copy_run(s, run, size);
  }

  // parts[0][group], all threads together
  void together(int64_t group) const {
    T *v = parts + all_parts(), *d = v + kWinogradPoints * v_slab();
    T* s = parts + group * kWinogradPoints * slab();
    T* run = long_sums() ? s + part_size() : s;
    int64_t summed = 0, runs = 0;  // tiles in the run, runs before it
    const int64_t blocks = ceil_div(lines, per_block);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t line = lines * block / blocks, count = lines * (block + 1) / blocks - line, tiles = count * wide;
      parallel_scratch(vectors(), double(vectors() * tiles) * 40, transform_scratch(),
                       [&](int64_t first, int64_t last, void* memory) {
                         for (int64_t i = first; i < last; ++i)
                           transform(group, line, count, i, v, d, static_cast<T*>(memory));
                       });
      const bool ends = run != s && (summed + tiles >= kRunTiles || block == blocks - 1);
      const double cost = double(tiles) * double(slab()) * kWinogradPoints * kMultiplyAddCost<T>;
      parallel_scratch(kWinogradPoints, cost, size_t(this->tiles()) * sizeof(int32_t),
                       [&](int64_t first, int64_t last, void* memory) {
                         column_offsets<T>(this->tiles(), static_cast<int32_t*>(memory));
                         for (int64_t point = first; point < last; ++point) {
                           multiply(point, tiles, v, d, static_cast<int32_t*>(memory), run, summed > 0);
                           if (ends) add_run(point, run, runs > 0, s);
                         }
                       });
      summed = ends ? 0 : summed + tiles;
      runs += ends;
    }
  }

  // dweight[k] = A^T (sum over chunks, in order) A for one row of one group. Whether all of it is finite.
  bool finish(int64_t group, int64_t k, T* dweight) const {
    Vec<T> check = {};
    T* to = dweight + (group * group_out + k) * group_in * g.kernel[0] * 9;
    for (int64_t q = 0; q < columns; q += L) {
      Vec<T> half[3][6];
      for (int j = 0; j < 6; ++j) {
        Vec<T> s[6], w[3];
        for (int i = 0; i < 6; ++i) {
          const T* from = parts + (group * kWinogradPoints + i * 6 + j) * slab() + k * columns + q;
          s[i] = load(from);
          __builtin_prefetch(from + 4 * L);
          for (int64_t chunk = 1; chunk < chunks; ++chunk) s[i] += load(from + chunk * part_size());
        }
        winograd_sums<T>(s, w);
        for (int i = 0; i < 3; ++i) half[i][j] = w[i];
      }
      alignas(64) T taps[9 * L];
      for (int i = 0; i < 3; ++i) {
        Vec<T> w[3];
        winograd_sums<T>(half[i], w);
        for (int j = 0; j < 3; ++j) {
          check = fma(w[j], Vec<T>{}, check);
          store(taps + (i * 3 + j) * L, w[j]);
        }
      }
      const int64_t tap = q / in_lanes(), c = q - tap * in_lanes();
      turn(taps, L, 9, clamp(group_in - c, 1, L), to + (c * g.kernel[0] + tap) * 9, g.kernel[0] * 9);
    }
    return reduce_add<T>(check) == 0;
  }
};

// False, with dweight in part written, if any of it isn't finite.
template <class T>
bool winograd_weight_gradient(const WinogradWeight<T>& problem, T* dweight) {
  const Conv& g = problem.g;
  const double cost =
      double(problem.lines * problem.wide * g.k) * double(problem.columns * kWinogradPoints) * kMultiplyAddCost<T>;
  if (problem.shared)
    for (int64_t group = 0; group < g.groups; ++group) problem.together(group);
  else
    parallel_scratch(problem.chunks * g.groups, cost, problem.scratch(),
                     [&](int64_t first, int64_t last, void* memory) {
                       for (int64_t item = first; item < last; ++item)
                         problem.item(item / g.groups, item % g.groups, memory);
                     });
  int finite = 1;
  parallel_for(g.k, double(problem.size()) * 0.1, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k)
      if (!problem.finish(k / problem.group_out, k % problem.group_out, dweight))
        __atomic_store_n(&finite, 0, __ATOMIC_RELAXED);
  });
  return finite;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
