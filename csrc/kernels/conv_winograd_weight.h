// Backward-weight with 3 x 3 taps of stride 1 by Winograd's F(3 x 3, 4 x 4): a tile of 4 x 4 of dy and the 6 x 6 of x
// under it take 36 products for each pair of channels instead of 144 (conv_winograd.h).
//   dweight[k, c] = A^T [ sum over tiles t of (G dy[k, t] G^T) * (B^T x[c, t] B) ] A
//   dy 4 x 4, x 6 x 6, dweight 3 x 3
// The points and B are the forward pass's. The sums over tiles are products of matrices, one for each of the 36 points,
// in which lanes are input channels; blocks of tiles, cut by the shape alone, have partial sums that are added in
// order. Where there are many channels, there is one sum; threads divide its transforms, and then its points, among
// them.
//   D (36, tiles, K) = G dy G^T,  V (36, columns, tiles, kTileCols) = B^T x B,  S (sums, 36, K, C) = D^T V
#pragma once
#include "conv_weight_product.h"
#include "conv_winograd_transform.h"
#include "unflushed.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct WinogradWeight {
  const WeightProduct<T>& product;
  const Conv& g = product.g;

  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kSkew =
      5 * 64 / sizeof(T);                    // a power of two apart, all points would meet in one set of the cache
  static constexpr int64_t kTiles = 128;     // about so many are transformed together
  static constexpr int64_t kSumTiles = 256;  // tiles of a partial sum: adding it is little work beside them
  static constexpr int64_t kLongTiles = kLongSum / 4, kRunTiles = kSumRun / 4;  // a tile is worth four additions
  static constexpr int64_t kSharedValues = 5 << 20;                             // of V and D together
  // The least number of outputs in all, and for each tile, which has room for 16. 200 sizes of 16 to 128 channels with
  // as many outputs get faster by factors of 1 to 3.6 on Zen 5. Where S has more than 16 MB, it outgrows the caches,
  // and writing and reading it costs as much as 48 tiles: outputs must pay for that as well, beside the four for each
  // tile that pay for its 36 products.
  static constexpr int64_t kOutputs = 128, kOutputsOfTile = 8, kOutputsOfLargeSums = 176;
  // Rough nanoseconds to transform a vector, and to add a value of a partial sum and transform it back; they only
  // decide how many threads are asked to help.
  static constexpr double kTransformCost = 40, kFinishCost = 0.1;

  int64_t group_in = product.group_in(), group_out = product.group_out();
  int64_t wide = ceil_div(g.out[2], 4), high = ceil_div(g.out[1], 4), lines = g.n * g.out[0] * high;  // of tiles
  int64_t in_lanes = ceil_div(group_in, L) * L, columns = g.kernel[0] * in_lanes, rows = ceil_div(group_out, L) * L;
  int64_t point_size = group_out * columns + kSkew, sum_size = g.groups * kWinogradPoints * point_size;
  bool shared = sum_size > kPartialValues / 4;  // whether threads share V and D
  int64_t joint_lines =
      clamp((shared ? kSharedValues / (kWinogradPoints * (columns + rows)) : kTiles) / wide, 1, lines);
  // There are at most as many sums as lines of tiles, so that none of several sums is empty.
  int64_t most_sums = least(least(kPartialValues / sum_size, kMostSums), lines);
  int64_t sums = shared ? 1 : clamp(lines * wide / kSumTiles, 1, most_sums);

  const char* name() const { return shared ? "winograd together" : "winograd"; }

  // Whether the taps are 3 x 3 of stride 1, and outputs enough. S, four times the size of the weight, stays below 40
  // MB; a line of tiles stays in the cache.
  bool suits() const {
    for (int d = 1; d < 3; ++d)
      if (g.kernel[d] != 3 || g.stride[d] != 1 || g.dilation[d] != 1) return false;
    const int64_t outputs = g.n * volume(g.out), tiles = lines * wide;
    const int64_t enough = sum_size > kPartialValues ? 4 * tiles + kOutputsOfLargeSums : kOutputs;
    return !g.all_taps && g.stride[0] == 1 && !smaller_than_taps(g.size[1], g.size[2]) && group_in >= L &&
           group_out >= kTileChannels && outputs >= enough && outputs >= kOutputsOfTile * tiles && wide <= 4 * kTiles &&
           sum_size <= 2 * kSharedValues;
  }

  bool run() const {
    if (all_tiny<T>({g.n * g.k * volume(g.out), product.dy}) || all_tiny<T>({g.n * g.c * volume(g.size), product.x}))
      return false;
    int finite = 1;
    shared_room([this](Room& room) { return memory(room); },
                [&](const Memory& memory) {
                  if (shared)
                    for (int64_t group = 0; group < g.groups; ++group) sum_together(group, memory);
                  else
                    product.for_each_sum(*this, 1, point_cost(lines * wide) * double(g.groups), memory);
                  parallel_for(g.k, double(sums * sum_size) * kFinishCost, [&](int64_t first, int64_t last) {
                    for (int64_t k = first; k < last; ++k)
                      if (!finish(k / group_out, k % group_out, memory.partial))
                        __atomic_store_n(&finite, 0, __ATOMIC_RELAXED);
                  });
                });
    return finite;
  }

  // Whether a partial sum has so many tiles that runs of them are summed apart.
  bool long_sums() const { return lines * wide > sums * kLongTiles; }

  int64_t tiles() const { return joint_lines * wide; }
  int64_t d_line() const { return rows + L; }  // from one tile to the next: not a power of two, for the cache's sets
  int64_t v_point() const { return (columns + L) * tiles() + kSkew; }
  int64_t d_point() const { return d_line() * tiles() + kSkew; }

  // Rough nanoseconds of a group's products of so many tiles.
  double point_cost(int64_t tiles) const {
    return double(tiles) * double(point_size) * kWinogradPoints * kMultiplyAddCost<T>;
  }

  // V and D of joint lines.
  struct Transformed {
    T *v, *d;
  };
  Transformed transformed(Room& room) const {
    return {room.take<T>(kWinogradPoints * v_point()), room.take<T>(kWinogradPoints * d_point())};
  }
  // Memory of all threads.
  struct Memory {
    T *partial, *runs;  // (sums, groups, 36, K, columns); runs: where sums are long, current runs
    Transformed joint;  // V and D, where threads share them
  };
  Memory memory(Room& room) const {
    T* const partial = room.take<T>(sums * sum_size);
    return {partial, long_sums() ? room.take<T>(sums * sum_size) : partial,
            shared ? transformed(room) : Transformed{nullptr, nullptr}};
  }
  // A thread's memory for a transform: rows as they are, and transformed along the height.
  struct Rows {
    T *copy, *edge;
  };
  Rows row_scratch(Room& room) const {
    return {room.take<T>(6 * most(g.size[2], g.out[2]) * L), room.take<T>(6 * (4 * wide + 2) * L)};
  }
  // A thread's memory for a partial sum by itself.
  struct Scratch {
    Transformed own;
    Rows rows;
    int32_t* offset;
  };
  Scratch scratch(Room& room) const { return {transformed(room), row_scratch(room), room.take<int32_t>(tiles())}; }

  // Transforms, by f and along the height, the values of a vector of channels under one line of tiles: from copy (IN
  // rows, width) to edge (6 rows, count columns). Column 0 of edge is column `low` of the copy, beside which are zeros.
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
  // Transforms edge along the width, by f. Tile t of the line goes to to[point * point_size + t * step].
  template <int IN, class F>
  FASTNN_INLINE void spread(const T* edge, int64_t count, T* to, int64_t point_size, int64_t step, const F& f) const {
    for (int64_t t = 0; t < wide; ++t, to += step)
#pragma GCC unroll 1
      for (int i = 0; i < 6; ++i) {
        Vec<T> in[IN], out[6];
#pragma GCC unroll 6
        for (int j = 0; j < IN; ++j) in[j] = load(edge + (i * count + 4 * t + j) * L);
        f(in, out);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store(to + (i * 6 + j) * point_size, out[j]);
      }
  }
  // Copies rows top..top + high of n channels, whose planes lie `plane` values apart from `from` on, with channels
  // innermost. Rows beyond a plane become zeros.
  void turn_rows(const T* from, int64_t height, int64_t width, int64_t plane, int64_t top, int64_t high, int64_t n,
                 T* copy) const {
    const int64_t r0 = clamp(-top, 0, high), r1 = clamp(height - top, r0, high);
    if (n < L) zero_run(copy, high * width * L);
    zero_run(copy, r0 * width * L);
    if (r1 > r0) turn(from + (top + r0) * width, plane, n, (r1 - r0) * width, copy + r0 * width * L, L);
    zero_run(copy + r1 * width * L, (high - r1) * width * L);
    // The next line's rows are fetched: the hardware does not foresee so many short runs of different planes.
    const T* next = from + (top + high) * width;
    for (int64_t i = 0; i < n; ++i, next += plane)
      for (int64_t w = 0; w < 4 * width; w += 64 / int64_t(sizeof(T))) __builtin_prefetch(next + w, 0, 2);
  }

  // Number of vectors of channels to be transformed: those of dy, then those of x.
  int64_t vectors() const { return (rows + columns) / L; }
  // Transforms one vector of channels for `count` lines of tiles: to D if it is of dy, else to V.
  void transform(int64_t group, int64_t line, int64_t count, int64_t vector, const Transformed& to,
                 const Rows& scratch) const {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t plane = divide(line + i, high), image = divide(plane, g.out[0]);
      const Line at = {group, image, plane - image * g.out[0], line + i - plane * high, i * wide};
      if (vector * L < rows)
        transform_dy(at, vector * L, to, scratch);
      else
        transform_x(at, vector * L - rows, to, scratch);
    }
  }
  // A line of tiles: where it lies in the output, and its first tile's number among those of joint lines.
  struct Line {
    int64_t group, image, d, h, tile;
  };
  void transform_dy(const Line& line, int64_t k, const Transformed& to, const Rows& scratch) const {
    const auto f = [](const Vec<T>(&in)[4], Vec<T>(&out)[6]) FASTNN_FLAT { winograd_values<T>(in, out); };
    const int64_t plane = g.out[1] * g.out[2], channel = g.out[0] * plane;
    const T* from = product.plane_out(line.image, line.group) + k * channel + line.d * plane;
    turn_rows(from, g.out[1], g.out[2], channel, 4 * line.h, 4, clamp(group_out - k, 1, L), scratch.copy);
    lift<4>(scratch.copy, g.out[2], 0, 4 * wide, scratch.edge, f);
    spread<4>(scratch.edge, 4 * wide, to.d + line.tile * d_line() + k, d_point(), d_line(), f);
  }
  void transform_x(const Line& line, int64_t column, const Transformed& to, const Rows& scratch) const {
    const auto f = [](const Vec<T>(&in)[6], Vec<T>(&out)[6]) FASTNN_FLAT {
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) out[i] = in[i];
      winograd_input<T>(out);
    };
    const int64_t plane = g.size[1] * g.size[2], channel = g.size[0] * plane;
    const int64_t tap = divide(column, in_lanes), c = column - tap * in_lanes;
    const int64_t d = line.d - g.pad[0] + tap * g.dilation[0], top = 4 * line.h - g.pad[1];
    const T* from = product.plane_in(line.image, line.group) + c * channel + d * plane;
    const int64_t height = d >= 0 && d < g.size[0] ? g.size[1] : 0;
    turn_rows(from, height, g.size[2], channel, top, 6, clamp(group_in - c, 1, L), scratch.copy);
    lift<6>(scratch.copy, g.size[2], -g.pad[2], 4 * wide + 2, scratch.edge, f);
    spread<6>(scratch.edge, 4 * wide + 2, to.v + column_place(column, line.tile), v_point(), kTileCols<T>, f);
  }
  // Where, in a point of V, tile `tile` of the vector from `column` on lies.
  int64_t column_place(int64_t column, int64_t tile) const {
    return (column / kTileCols<T> * tiles() + tile) * kTileCols<T> + column % kTileCols<T>;
  }

  // Adds the products of `count` tiles to the sum at one point. `ends` says whether a run of the sum ends with them.
  void multiply(int64_t point, int64_t count, const Transformed& from, const int32_t* offset, const SumOfRuns<T>& s,
                bool ends) const {
    const T *v = from.v + point * v_point(), *d = from.d + point * d_point();
    T* const run = s.run + point * point_size;
    const RowBlocks blocks(group_out);
    for_vectors(0, columns / L, [&](auto V, int64_t q) FASTNN_FLAT {
      Columns<T, V> tile(offset, columns);
      tile.lda = d_line();
      for (int i = 0; i < V; ++i) {
        const int64_t column = (q + i) * L;
        tile.b[i] = v + column_place(column, 0);
        tile.c[i] = run + column;
      }
      multiply_rows(blocks, 0, blocks.count, count, d, 1, tile, s.terms > 0);
    });
    if (ends) s.add(point * point_size, group_out * columns);
  }

  // One thread makes a partial sum of a group.
  void item(int64_t sum, int64_t group, int64_t, const Memory& memory, const Scratch& scratch) const {
    panel_offsets<T>(tiles(), scratch.offset);
    const int64_t first = lines * sum / sums, last = lines * (sum + 1) / sums;
    const int64_t at = (sum * g.groups + group) * kWinogradPoints * point_size;
    SumOfRuns<T> s = {memory.partial + at, memory.runs + at, kRunTiles};
    for (int64_t line = first; line < last; line += joint_lines) {
      const int64_t count = least(last - line, joint_lines), tiles = count * wide;
      for (int64_t i = 0; i < vectors(); ++i) transform(group, line, count, i, scratch.own, scratch.rows);
      const bool ends = s.ends(tiles, line + count == last);
      for (int64_t point = 0; point < kWinogradPoints; ++point)
        multiply(point, tiles, scratch.own, scratch.offset, s, ends);
      s.advance(tiles, ends);
    }
  }

  // All threads together make the one sum of a group.
  void sum_together(int64_t group, const Memory& memory) const {
    const int64_t at = group * kWinogradPoints * point_size;
    SumOfRuns<T> s = {memory.partial + at, memory.runs + at, kRunTiles};
    const int64_t blocks = ceil_div(lines, joint_lines);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t line = lines * block / blocks, count = lines * (block + 1) / blocks - line, tiles = count * wide;
      parallel_room(
          vectors(), double(vectors() * tiles) * kTransformCost, [this](Room& room) { return row_scratch(room); },
          [&](int64_t first, int64_t last, const Rows& scratch) {
            for (int64_t i = first; i < last; ++i) transform(group, line, count, i, memory.joint, scratch);
          });
      const bool ends = s.ends(tiles, block == blocks - 1);
      parallel_values<int32_t>(kWinogradPoints, point_cost(tiles), tiles,
                               [&](int64_t first, int64_t last, int32_t* offset) {
                                 panel_offsets<T>(tiles, offset);
                                 for (int64_t point = first; point < last; ++point)
                                   multiply(point, tiles, memory.joint, offset, s, ends);
                               });
      s.advance(tiles, ends);
    }
  }

  // dweight[k] = A^T (sum of partial sums, in order) A for one row of one group. Says whether all of it is finite.
  bool finish(int64_t group, int64_t k, const T* partial) const {
    Vec<T> check = {};
    T* to = product.dweight + (group * group_out + k) * group_in * g.kernel[0] * 9;
    for (int64_t q = 0; q < columns; q += L) {
      Vec<T> half[3][6];
      for (int j = 0; j < 6; ++j) {
        Vec<T> s[6], w[3];
        for (int i = 0; i < 6; ++i) {
          const T* from = partial + (group * kWinogradPoints + i * 6 + j) * point_size + k * columns + q;
          s[i] = load(from);
          __builtin_prefetch(from + 4 * L);
          for (int64_t sum = 1; sum < sums; ++sum) s[i] += load(from + sum * sum_size);
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
      const int64_t tap = q / in_lanes, c = q - tap * in_lanes;
      turn(taps, L, 9, clamp(group_in - c, 1, L), to + (c * g.kernel[0] + tap) * 9, g.kernel[0] * 9);
    }
    return reduce_add<T>(check) == 0;
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
