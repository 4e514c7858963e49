// Convolution with 3 x 3 taps by Winograd's F(4 x 4, 3 x 3): a tile of 4 x 4 outputs takes 36 products for each pair of
// channels instead of 144 (Lavin and Gray 2016; Winograd 1980).
//   y = A^T [ sum over c of (G w[k, c] G^T) * (B^T x[c] B) ] A      x[c] 6 x 6, w 3 x 3, y 4 x 4, * element by element
// The sums over c are products of matrices, one for each of the 36 points; lanes are tiles. A block of tiles goes
// through all three steps while it is in the cache:
//   V (36, C, tiles) = B^T x B,  M (36, K, tiles) = U V,  y = A^T M A
//   U (groups, 36, blocks of rows of K, C, rows) = G w G^T, made once
// Taps along the depth of a volume count as channels. A number that isn't finite would spread over a whole tile, and
// values much smaller than others of their tile would lose digits. run() finds both; it then gives false, and the next
// way of the list computes the convolution.
#pragma once
#include "conv_winograd_even.h"
#include "unflushed.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Winograd {
  const Product<T>& product;
  WinogradShape<T> shape{product};
  int64_t tiles = shape.tiles(), depth = shape.depth();

  const char* name() const { return by_rows() ? "winograd by rows" : "winograd"; }

  bool suits() const {
    const double found = gain();
    return found > kWinogradGain && found <= kWinogradFarGain;
  }

  bool run() const {
    const Values<T> x{product.images * product.channels_in * product.p.in_plane(), product.x};
    if (all_tiny(x) || all_tiny<T>({product.weight_count(), product.weights})) return false;
    return by_rows() ? run_by_rows() : run_by_blocks();
  }

 protected:
  // An estimate of the time that all taps take, divided by the time that Winograd's way takes; 0 if this way can't be
  // taken. The unit of costs is two multiply-adds of a vector: beside the products, a vector of tiles costs 190 for
  // each channel in and out, and the weights cost 9 for each pair of channels. The numbers are fitted to 400 sizes on
  // Zen 5.
  double gain() const {
    if (product.all_taps || !possible()) return 0;
    const double c = double(depth), k = double(product.group_out());
    const double vectors = double(ceil_div(tiles, lanes<T>)), outputs = double(product.images * product.p.grid());
    return 10.1 * c * k * outputs / (2 * lanes<T>) / (vectors * (19 * c * k + 190 * (c + k)) + 9 * c * k);
  }

 private:
  static constexpr int64_t kRowBlocks = 2;  // most row blocks of U that an item has
  // Rough nanoseconds of a value of U, of a value of V, and of looking whether the inputs of a tile in one channel are
  // of about one size. They only decide how many threads are asked.
  static constexpr double kWeightCost = 4, kInputCost = 10, kEvenCost = 2;

  bool possible() const {
    const Patches& p = product.p;
    for (int d = 0; d < 3; ++d) {
      const Axis& a = p.axis[d];
      if (a.step != 1 || (d > 0 && (a.taps != 3 || (a.offset_step != 1 && a.offset_step != -1)))) return false;
    }
    return p.dense_output() && lanes<T> >= kWinogradOut && !smaller_than_taps(p.axis[1].in, p.axis[2].in) && tiles > 0;
  }
  // How many values lie from the beginning of one point's U, of `rows` rows, to that of the next point's.
  int64_t u_point(int64_t rows) const { return rows * depth + shape.kSkew; }
  // Whether U is so large that it is made some rows at a time.
  bool by_rows() const { return kWinogradPoints * u_point(product.group_out()) > kWinogradWeights; }
  double cost() const {
    return double(tiles) * double(product.channels_out) * double(depth) * kWinogradPoints * kMultiplyAddCost<T>;
  }

  // How many tiles a block has if its V and M, which have `channels` channels together, are to take about `room`
  // values. The number is a multiple of kTileCols where `widest` is one, and at most `widest` and the number of tiles
  // that there are, rounded up to whole columns.
  int64_t block_width(int64_t room, int64_t channels, int64_t widest) const {
    constexpr int64_t step = kTileCols<T>;
    const int64_t needed = ceil_div(tiles, step) * step;
    return clamp(room / (kWinogradPoints * channels) / step * step, step, least(needed, widest));
  }

  // How many values the untransformed weights of a row block have, and a vector that may be read behind them.
  int64_t taps_size() const { return depth * 9 * kTileRows + lanes<T>; }
  // to[point * point_size + c * rows + i] = U of `rows` rows from k on. taps: room for their untransformed weights.
  void transform_weights(int64_t group, int64_t k, int rows, T* taps, T* to, int64_t point_size) const {
    const bool down = product.p.axis[1].offset_step < 0, left = product.p.axis[2].offset_step < 0;
    product.pack_panel(group, k, rows, 0, product.depth(), taps);
    for (int64_t c = 0; c < depth; ++c)
      for (int i0 = 0; i0 < rows; i0 += lanes<T>) {
        const int n = rows - i0 < lanes<T> ? rows - i0 : lanes<T>;
        Vec<T> half[6][3];
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s) {
          Vec<T> g[3], u[6];
#pragma GCC unroll 3
          for (int r = 0; r < 3; ++r)
            g[r] = load(taps + (c * 9 + (down ? 2 - r : r) * 3 + (left ? 2 - s : s)) * rows + i0);
          winograd_values<T>(g, u);
#pragma GCC unroll 6
          for (int i = 0; i < 6; ++i) half[i][s] = u[i];
        }
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) {
          Vec<T> u[6];
          winograd_values<T>(half[i], u);
#pragma GCC unroll 6
          for (int j = 0; j < 6; ++j) store_n(to + (i * 6 + j) * point_size + c * rows + i0, u[j], n);
        }
      }
  }

  // A thread's memory: a block of its own, or, where V is common to all, the output side of a block and some rows of U.
  struct BlockScratch {
    WinogradBlock<T> block;
    int32_t* offset;
    T *u = nullptr, *taps = nullptr;
  };

  // U is made once and common to all threads, which take blocks of tiles.
  bool run_by_blocks() const {
    int good = 1;
    const int64_t m = product.group_out(), point = u_point(m), all = kWinogradPoints * point;
    const WinogradBlock<T> unfilled{shape, block_width(kWinogradValues, depth + m, kWinogradTiles), m};
    const int64_t blocks = ceil_div(tiles, unfilled.width);
    const RowBlocks rows(m);
    shared_values<T>(product.groups * all, [&](T* u) {
      const double weight_cost = double(point * product.groups) * kWeightCost;
      parallel_values<T>(
          product.groups * rows.count, weight_cost, taps_size(), [&](int64_t first, int64_t last, T* taps) {
            for (int64_t item = first; item < last; ++item) {
              const int64_t group = item / rows.count, k = rows.begin(item % rows.count);
              transform_weights(group, k, rows.size(item % rows.count), taps, u + group * all + k * depth, point);
            }
          });
      const auto each = [&](int64_t first, int64_t last, BlockScratch scratch) {
        WinogradBlock<T>& block = scratch.block;
        zero_run(block.zeros, block.zero_size());
        panel_offsets<T>(depth, scratch.offset);
        for (int64_t item = first; item < last && __atomic_load_n(&good, __ATOMIC_RELAXED); ++item) {
          const int64_t group = divide(item, blocks), at = item - group * blocks;
          block.begin(group, tiles * at / blocks, tiles * (at + 1) / blocks);
          block.template transform_input<true>(0, depth);
          bool fits = Evenness<T>{block}.of_transformed();
          if (fits) {
            block.multiply(rows, 0, rows.count, u + group * all, point, scratch.offset);
            fits = block.transform_output(0, m, product.bias);
          }
          if (!fits) __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
        }
      };
      const auto layout = [&](Room& room) {
        return BlockScratch{unfilled.with_input(room).with_output(room), room.take<int32_t>(depth)};
      };
      parallel_room(product.groups * blocks, cost(), layout, each);
    });
    return good;
  }

  // With many channels U, the transformed weights, is larger than the input. Then V is made once for all threads. A
  // thread transforms the weights of some rows, which stay in its cache, multiplies all tiles by them and transforms
  // the results.
  bool run_by_rows() const {
    int good = 1;
    const WinogradBlock<T> unfilled{shape, block_width(kWinogradShared, depth, INT64_MAX), kTileRows * kRowBlocks};
    const int64_t blocks = ceil_div(tiles, unfilled.width);
    shared_room([&](Room& room) { return unfilled.with_input(room); },
                [&](WinogradBlock<T> block) {
                  zero_run(block.zeros, block.zero_size());
                  for (int64_t item = 0; item < product.groups * blocks && good; ++item) {
                    const int64_t group = item / blocks, at = item % blocks;
                    block.begin(group, tiles * at / blocks, tiles * (at + 1) / blocks);
                    good = share_block(block, cost() / double(product.groups * blocks));
                  }
                });
    return good;
  }
  // Computes y of a block's tiles by all threads together. Returns whether this y may be used: not if the inputs are of
  // uneven sizes, or a result isn't finite.
  int share_block(const WinogradBlock<T>& block, double cost) const {
    int good = 1;
    const double inputs = double(depth * block.count);
    const auto output = [&block](Room& room) { return block.with_output(room); };
    parallel_room(block.run_count, inputs * kEvenCost, output, [&](int64_t first, int64_t last, const auto& own) {
      if (!Evenness<T>{own}.of_runs(first, last)) __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
    });
    if (!good) return false;
    parallel_room(depth, inputs * kInputCost, output, [](int64_t first, int64_t last, const auto& own) {
      own.template transform_input<false>(first, last);
    });
    const RowBlocks rows(product.group_out());
    const int64_t items = rows.count >= 4 * num_threads() ? ceil_div(rows.count, kRowBlocks) : rows.count;
    const int64_t point = u_point(block.m_rows);
    const auto layout = [&](Room& room) {
      return BlockScratch{block.with_output(room), room.take<int32_t>(depth), room.take<T>(kWinogradPoints * point),
                          room.take<T>(taps_size())};
    };
    parallel_room(items, cost, layout, [&](int64_t first, int64_t last, const BlockScratch& scratch) {
      panel_offsets<T>(depth, scratch.offset);
      for (int64_t item = first; item < last && __atomic_load_n(&good, __ATOMIC_RELAXED); ++item) {
        const int64_t b0 = rows.count * item / items, b1 = rows.count * (item + 1) / items, k0 = rows.begin(b0);
        for (int64_t b = b0; b < b1; ++b)
          transform_weights(block.group, rows.begin(b), rows.size(b), scratch.taps,
                            scratch.u + (rows.begin(b) - k0) * depth, point);
        scratch.block.multiply(rows, b0, b1, scratch.u, point, scratch.offset);
        if (!scratch.block.transform_output(k0, rows.begin(b1), product.bias))
          __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
      }
    });
    return good;
  }
};

// Winograd's way where it gains so much that it comes before lanes across images.
template <class T>
struct WinogradByFar : Winograd<T> {
  bool suits() const { return this->gain() > kWinogradFarGain; }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
