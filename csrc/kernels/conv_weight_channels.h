// Backward-weight as an outer product over pixels, lanes across input channels.
//   dweight[k, c, t] = sum over pixels r of dy[k, r] * x[c, r shifted by t]
// With channels innermost, a pixel's row of B for tap t is a vector or two of the copy
//   copy: (images, phases of D, H, W, positions of D, H, W, channels of the block)
// at a distance that t alone decides, and the tiles are those of the forward pass: no sum across lanes, as dot products
// need for each element.
#pragma once
#include "conv_layout.h"
#include "gemm_driver.h"
#include "lane_copy.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct ChannelWeight {
  const Conv& g;
  const PaddedLayout& layout;
  const T* dy;
  const T* x;
  T* parts;  // (chunks, K, blocks of channels, taps, channels of a block), and where sums are long, as many values more for a run
  int vectors;  // in a block of channels: with one, a tile takes two taps side by side
  int64_t images, blocks_per_item, chunks;
  T* packed_dy;  // (groups, N, K/groups x plane) as pack_pixels lays it out; null if every item packs what it needs

  ChannelWeight(const Conv& g, const PaddedLayout& layout, const T* dy, const T* x, T* parts)
      : g(g),
        layout(layout),
        dy(dy),
        x(x),
        parts(parts),
        vectors(group_in() > lanes<T> ? kTileVectors : 1),
        images(clamp(kDepth<T> / (plane() ? plane() : 1), 1, g.n)),
        // An item's copies are worth 9 taps of a block. Of two blocks it has both, and so dy to itself: 64x56x56 -> 64 and
        // 64x14x14 -> 64 take 0.9 of the time.
        blocks_per_item(blocks() == 2 ? 2 : clamp((8 + layout.p.taps()) / layout.p.taps(), 1, blocks())),
        chunks(chunk_count()),
        packed_dy(shared() && parts ? parts + parts_size() : nullptr) {}

  int64_t group_in() const { return g.c / g.groups; }
  int64_t group_out() const { return g.k / g.groups; }
  int64_t plane() const { return layout.p.grid(); }
  int64_t width() const { return vectors * lanes<T>; }
  int64_t blocks() const { return (group_in() + width() - 1) / width(); }
  int64_t columns() const { return blocks() * layout.p.taps() * width(); }
  // Whether a chunk has so many pixels that runs of them are summed apart.
  bool long_sums() const { return (g.n + chunks - 1) / chunks * plane() > kLongSum; }
  int64_t parts_size() const { return (long_sums() ? 2 : 1) * chunks * g.k * columns(); }
  // Packing dy once more for each item was a quarter of the time of 256x14x14 -> 256, which has 8.
  bool shared() const { return items_per_group() > 1; }
  int64_t size() const { return parts_size() + (shared() ? g.n * g.k * plane() : 0); }
  int64_t items_per_group() const { return (blocks() + blocks_per_item - 1) / blocks_per_item; }
  // Enough items for a few threads, of at least 1024 pixels, beside which adding the partial results is nothing.
  int64_t chunk_count() const {
    const int64_t pixels = g.n * plane() / 1024, wanted = ceil_div(kItems, g.groups * items_per_group());
    return clamp(pixels < wanted ? pixels : wanted, 1, g.n > 1 ? g.n : 1);
  }
  static constexpr int64_t kItems = 16;
  int64_t image_copy() const { return layout.channel_size() * width(); }
  int64_t copy_size() const { return images * blocks_per_item * image_copy() + kTileCols<T>; }
  bool preferred() const {
    const int64_t c = group_in(), lanes_wanted = blocks() * width();
    const bool narrow = 2 * layout.p.axis[2].grid < lanes<T>;  // so that the other ways would pack patches
    return (narrow ? 2 * c >= lanes_wanted : 4 * c >= 3 * lanes_wanted) && group_out() >= 8 && g.n * plane() >= 64 &&
           copy_size() * int64_t(sizeof(T)) <= kChannelCopyBytes;
  }

  // dy for all items, where they share it.
  void pack() const {
    if (!shared()) return;
    parallel_for(chunks * g.groups, double(g.n * g.k) * double(plane()) * 0.3, [this](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t chunk = item / g.groups, group = item % g.groups, last = g.n * (chunk + 1) / chunks;
        for (int64_t image = g.n * chunk / chunks; image < last; image += images)
          for_each_piece(clamp(last - image, 1, images) * plane(), [&](int64_t r0, int64_t r1) {
            pack_pixels(image, group, r0, r1, packed_at(group, image) + r0 * group_out());
          });
      }
    });
  }

  // A thread's memory.
  struct Scratch {
    T *copy, *packed;
    int32_t* offset;
    LanePlaces places;

    Scratch(const ChannelWeight& problem, Room& room)
        : copy(room.take<T>(problem.copy_size())),
          packed(room.take<T>(problem.shared() ? 0 : problem.group_out() * kDepth<T>)),
          offset(room.take<int32_t>(kDepth<T>)),
          places(problem.layout, room) {}
  };

  // parts[chunk][k of the group][some blocks] = sum over the chunk's images
  void item(int64_t chunk, int64_t group, int64_t which, const Scratch& scratch) const {
    auto [copy, packed, offset, places] = scratch;
    places.fill(layout);
    zero_run(copy, copy_size());
    const int64_t b0 = which * blocks_per_item, b1 = clamp(blocks(), b0, b0 + blocks_per_item);
    const int64_t first = g.n * chunk / chunks, last = g.n * (chunk + 1) / chunks;
    T* out = parts + (chunk * g.k + group * group_out()) * columns();
    T* run = long_sums() ? out + chunks * g.k * columns() : out;
    const int64_t longest = long_sums() ? kSumRun : INT64_MAX;
    int64_t summed = 0, runs = 0;  // pixels in the run, runs before it
    for (int64_t image = first; image < last; image += images) {
      const int64_t count = clamp(last - image, 1, images), pixels = count * plane();
      fill(image, count, group, b0, b1, places, copy);
      for_each_piece(pixels, [&](int64_t r0, int64_t r1) {
        if (shared())
          packed = packed_at(group, image) + r0 * group_out();
        else
          pack_pixels(image, group, r0, r1, packed);
        int64_t base = r0 / plane() * blocks_per_item * image_copy(), at = r0 % plane();
        for (int64_t r = r0; r < r1; ++r) {
          offset[r - r0] = int32_t(base + places.from[at] * width());
          if (++at == plane()) at = 0, base += blocks_per_item * image_copy();
        }
        product(b0, b1, r1 - r0, packed, copy, offset, run, summed > 0);
        summed += r1 - r0;
        if (summed < longest) return;
        add_run(b0, b1, run, runs++ > 0, out);
        summed = 0;
      });
    }
    if (run != out && summed > 0) add_run(b0, b1, run, runs > 0, out);
    if (first == last)
      for (int64_t k = 0; k < group_out(); ++k)
        zero_run(out + k * columns() + b0 * layout.p.taps() * width(), (b1 - b0) * layout.p.taps() * width());
  }

 private:
  // out (+)= run, of blocks b0 … b1 of channels
  void add_run(int64_t b0, int64_t b1, const T* run, bool accumulate, T* out) const {
    const int64_t taps = layout.p.taps(), begin = b0 * taps * width(), size = (b1 - b0) * taps * width();
    for (int64_t k = 0; k < group_out(); ++k) {
      T* to = out + k * columns() + begin;
      const T* from = run + k * columns() + begin;
      if (accumulate)
        for (int64_t i = 0; i < size; i += lanes<T>) store(to + i, load(to + i) + load(from + i));
      else
        copy_run(to, from, size);
    }
  }
  T* packed_at(int64_t group, int64_t image) const { return packed_dy + (group * g.n + image) * group_out() * plane(); }
  // The pixels of a block of images in pieces of at most kDepth.
  template <class F>
  static void for_each_piece(int64_t pixels, const F& f) {
    const int64_t pieces = (pixels + kDepth<T> - 1) / kDepth<T>;
    for (int64_t piece = 0; piece < pieces; ++piece) f(pixels * piece / pieces, pixels * (piece + 1) / pieces);
  }

  void fill(int64_t image, int64_t count, int64_t group, int64_t b0, int64_t b1, const LanePlaces& places,
            T* copy) const {
    const int64_t in_plane = layout.p.in_plane();
    for (int64_t i = 0; i < count; ++i)
      for (int64_t b = b0; b < b1; ++b) {
        const T* from = x + ((image + i) * g.c + group * group_in() + b * width()) * in_plane;
        T* to = copy + (i * blocks_per_item + b - b0) * image_copy();
        const int64_t channels = clamp(group_in() - b * width(), 0, width());
        if (vectors == 1)
          copy_lanes<T, 1>(from, channels, in_plane, 1, in_plane, places.in, 0, to);
        else
          copy_lanes<T, kTileVectors>(from, channels, in_plane, 1, in_plane, places.in, 0, to);
      }
  }

  // Slivers of dy for pixels r0..r1 of the images, a row block after the other, as outer_tile wants its A.
  void pack_pixels(int64_t image, int64_t group, int64_t r0, int64_t r1, T* packed) const {
    const RowBlocks rows(group_out());
    for (int64_t block = 0; block < rows.count; ++block) {
      const int64_t k0 = rows.begin(block), size = rows.size(block);
      T* sliver = packed + k0 * (r1 - r0);
      for (int64_t r = r0; r < r1;) {
        const int64_t i = divide(r, plane()), at = r - i * plane(), run = clamp(plane() - at, 1, r1 - r);
        turn(dy + ((image + i) * g.k + group * group_out() + k0) * plane() + at, plane(), size, run, sliver, size);
        sliver += run * size;
        r += run;
      }
    }
  }

  void product(int64_t b0, int64_t b1, int64_t pixels, const T* packed, const T* copy, const int32_t* offset, T* out,
               bool accumulate) const {
    const RowBlocks rows(group_out());
    const int64_t taps = layout.p.taps();
    // A column vector is (block, tap, vector of the block); those of a tile need not lie side by side.
    const int64_t q0 = b0 * taps * vectors, q1 = b1 * taps * vectors;
    int64_t q = q0;
    for (; q + kTileVectors <= q1; q += kTileVectors)
      tiles<kTileVectors>(rows, q, b0, pixels, packed, copy, offset, out, accumulate);
    for (; q < q1; ++q) tiles<1>(rows, q, b0, pixels, packed, copy, offset, out, accumulate);
  }

  template <int V>
  void tiles(const RowBlocks& rows, int64_t q, int64_t b0, int64_t pixels, const T* packed, const T* copy,
             const int32_t* offset, T* out, bool accumulate) const {
    Columns<T, V> tile;
    tile.offset = offset;
    tile.ldc = columns();
    for (int v = 0; v < V; ++v) {
      const int64_t vector = (q + v) % vectors, tap = (q + v) / vectors, block = tap / layout.p.taps();
      tile.b[v] =
          copy + (block - b0) * image_copy() + layout.tap_distance(tap % layout.p.taps()) * width() + vector * lanes<T>;
      tile.c[v] = out + (q + v) * lanes<T>;
      tile.size[v] = lanes<T>;
    }
    for (int64_t block = 0; block < rows.count; ++block) {
      const int64_t k0 = rows.begin(block);
      outer_tile_for<T, V>(rows.size(block))(pixels, packed + k0 * pixels, tile, k0, accumulate, nullptr);
    }
  }
};

// dweight[k][c][t] = sum over chunks, in order, of parts[chunk][k][c / width][t][c % width]
template <class T>
void add_channel_parts(const ChannelWeight<T>& problem, T* dweight) {
  const int64_t taps = problem.layout.p.taps(), channels = problem.group_in(), width = problem.width();
  const int64_t columns = problem.columns(), stride = problem.g.k * columns;
  parallel_for(problem.g.k, double(problem.size()) * 0.3, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for (int64_t b = 0; b < problem.blocks(); ++b)
        for (int64_t t = 0; t < taps; ++t) {
          const T* from = problem.parts + k * columns + (b * taps + t) * width;
          const int64_t count = clamp(channels - b * width, 0, width);
          T* to = dweight + (k * channels + b * width) * taps + t;
          for (int64_t c = 0; c < count; ++c) {
            T sum = from[c];
            for (int64_t s = 1; s < problem.chunks; ++s) sum += from[s * stride + c];
            to[c * taps] = sum;
          }
        }
  });
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
