// Backward-weight as an outer product over pixels, lanes across input channels.
//   dweight[k, c, t] = sum over pixels r of dy[k, r] * x[c, r shifted by t]
// With channels innermost, a pixel's row of B for tap t is a vector or two of the copy
//   copy: (images, phases of D, H, W, positions of D, H, W, channels of the block)
// at a distance that t alone decides. The tiles are those of the forward pass, which need no sum across lanes; dot
// products would need one for each element.
#pragma once
#include "conv_weight_product.h"
#include "lane_copy.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct ChannelWeight {
  const WeightProduct<T>& product;
  const Conv& g = product.g;
  const PaddedLayout& layout = product.layout;

  // The work is cut into about kItems items, enough for a few threads. An item has at least kSumPixels pixels: beside
  // the work on these, to add its partial sums costs next to nothing.
  static constexpr int64_t kItems = 16, kSumPixels = 1024;
  // The least number of taps with which a block of channels repays the copies that an item makes: that of a 3 x 3
  // kernel.
  static constexpr int64_t kItemTaps = 9;
  // The least share of the lanes that channels must fill, which is smaller where rows are so narrow that the other ways
  // would pack patches; and the least number of pixels. No measurement of these is kept.
  static constexpr double kLeastFill = 0.75, kLeastNarrowFill = 0.5;
  static constexpr int64_t kLeastPixels = 64;

  int64_t plane = product.plane(), taps = product.taps(), group_in = product.group_in(),
          group_out = product.group_out();
  int vectors =
      group_in > lanes<T> ? kTileVectors : 1;  // in a block of channels; with 1, a tile takes two taps side by side
  int64_t width = vectors * lanes<T>, blocks = ceil_div(group_in, width), columns = blocks * taps * width;
  int64_t joint_images = clamp(kDepth<T> / plane, 1, g.n);  // images in one copy
  // Where there are two blocks, one item has both, so that no two items need the same dy: 64x56x56 -> 64 and
  // 64x14x14 -> 64 take 0.9 of the time.
  int64_t item_blocks = blocks == 2 ? 2 : clamp(ceil_div(kItemTaps, taps), 1, blocks),
          group_items = ceil_div(blocks, item_blocks);
  int64_t sums = clamp(least(g.n * plane / kSumPixels, ceil_div(ceil_div(kItems, g.groups), group_items)), 1, g.n);

  const char* name() const { return "channels"; }

  // Whether channels fill their lanes, and there are enough pixels. A single tap gets faster this way, too: by factors
  // of 1.08 to 1.7 from 64 input channels on (12 shapes, one core of a virtual Sapphire Rapids), but of 0.9 for
  // 32x28x28 -> 32 and 0.7 for 16x32x32 -> 32.
  bool suits() const {
    const bool narrow = 2 * layout.p.axis[2].grid < lanes<T>;
    return double(group_in) >= (narrow ? kLeastNarrowFill : kLeastFill) * double(blocks * width) &&
           group_out >= kTileChannels && g.n * plane >= kLeastPixels &&
           copy_size() * int64_t(sizeof(T)) <= kChannelCopyBytes;
  }

  bool run() const {
    shared_room([this](Room& room) { return memory(room); },
                [this](const Memory& memory) {
                  if (shared()) pack(memory.dy);
                  product.for_each_sum(*this, group_items, product.cost(), memory);
                  add(memory.partial);
                });
    return true;
  }

  // Whether a partial sum has so many pixels that runs of them are summed apart.
  bool long_sums() const { return ceil_div(g.n, sums) * plane > kLongSum; }
  // Whether items share a packed dy. When each of the 8 items of 256x14x14 -> 256 packed its own, packing was a
  // quarter of the time.
  bool shared() const { return group_items > 1; }
  int64_t image_copy() const { return layout.channel_size() * width; }
  int64_t copy_size() const { return joint_images * item_blocks * image_copy() + kTileCols<T>; }

  // Memory of all threads.
  struct Memory {
    T *partial,
        *runs;  // (sums, K, blocks of channels, taps, channels of a block); runs: where sums are long, current runs
    T* dy;      // (groups, N, K/groups x plane) as pack_pixels lays it out, where items share it
  };
  Memory memory(Room& room) const {
    T* const partial = room.take<T>(sums * g.k * columns);
    return {partial, long_sums() ? room.take<T>(sums * g.k * columns) : partial,
            room.take<T>(shared() ? g.n * g.k * plane : 0)};
  }
  // A thread's memory.
  struct Scratch {
    T *copy, *packed;
    int32_t* offset;
    LanePlaces places;
  };
  Scratch scratch(Room& room) const {
    return {room.take<T>(copy_size()), room.take<T>(shared() ? 0 : group_out * kDepth<T>),
            room.take<int32_t>(kDepth<T>), LanePlaces(layout, room)};
  }

  // Packs dy for all items.
  void pack(T* dy) const {
    parallel_for(sums * g.groups, double(g.n * g.k) * double(plane) * kMoveCost, [=, this](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t sum = item / g.groups, group = item % g.groups, last = g.n * (sum + 1) / sums;
        for (int64_t image = g.n * sum / sums; image < last; image += joint_images)
          for_pixels(least(last - image, joint_images) * plane, [&](int64_t r0, int64_t r1) {
            pack_pixels(image, group, r0, r1, packed_at(dy, group, image) + r0 * group_out);
          });
      }
    });
  }

  // Computes partial[sum][k of the group][some blocks], which is a sum over some images.
  void item(int64_t sum, int64_t group, int64_t which, const Memory& memory, const Scratch& scratch) const {
    scratch.places.fill(layout);
    zero_run(scratch.copy, copy_size());
    const int64_t b0 = which * item_blocks, b1 = least(blocks, b0 + item_blocks);
    const int64_t begin = b0 * taps * width, size = (b1 - b0) * taps * width;  // these blocks' part of a row
    const int64_t first = g.n * sum / sums, last = g.n * (sum + 1) / sums;
    const int64_t at = (sum * g.k + group * group_out) * columns;
    SumOfRuns<T> s = {memory.partial + at, memory.runs + at, kSumRun};
    for (int64_t image = first; image < last; image += joint_images) {
      const int64_t count = least(last - image, joint_images);
      fill(image, count, group, b0, b1, scratch);
      for_pixels(count * plane, [&](int64_t r0, int64_t r1) {
        T* const packed = shared() ? packed_at(memory.dy, group, image) + r0 * group_out : scratch.packed;
        if (!shared()) pack_pixels(image, group, r0, r1, packed);
        place_pixels(r0, r1, scratch);
        multiply(b0, b1, r1 - r0, packed, scratch, s.run, s.terms > 0);
        const bool ends = s.ends(r1 - r0, image + count == last && r1 == count * plane);
        for (int64_t k = 0; ends && k < group_out; ++k) s.add(k * columns + begin, size);
        s.advance(r1 - r0, ends);
      });
    }
    if (first == last)
      for (int64_t k = 0; k < group_out; ++k) zero_run(s.sum + k * columns + begin, size);
  }
  T* packed_at(T* dy, int64_t group, int64_t image) const { return dy + (group * g.n + image) * group_out * plane; }
  // Calls f(r0, r1) for blocks of the pixels of joint images, of at most kDepth each.
  template <class F>
  static void for_pixels(int64_t pixels, const F& f) {
    const int64_t count = ceil_div(pixels, kDepth<T>);
    for (int64_t i = 0; i < count; ++i) f(pixels * i / count, pixels * (i + 1) / count);
  }
  // Finds where pixels r0..r1 of joint images lie in the copy.
  void place_pixels(int64_t r0, int64_t r1, const Scratch& scratch) const {
    int64_t base = r0 / plane * item_blocks * image_copy(), at = r0 % plane;
    for (int64_t r = r0; r < r1; ++r) {
      scratch.offset[r - r0] = int32_t(base + scratch.places.from[at] * width);
      if (++at == plane) at = 0, base += item_blocks * image_copy();
    }
  }

  void fill(int64_t image, int64_t count, int64_t group, int64_t b0, int64_t b1, const Scratch& scratch) const {
    const int64_t in_plane = layout.p.in_plane();
    for (int64_t i = 0; i < count; ++i)
      for (int64_t b = b0; b < b1; ++b) {
        const T* from = product.plane_in(image + i, group) + b * width * in_plane;
        T* to = scratch.copy + (i * item_blocks + b - b0) * image_copy();
        const int64_t channels = clamp(group_in - b * width, 0, width);
        if (vectors == 1)
          copy_lanes<T, 1>(from, channels, in_plane, 1, in_plane, scratch.places.in, 0, to);
        else
          copy_lanes<T, kTileVectors>(from, channels, in_plane, 1, in_plane, scratch.places.in, 0, to);
      }
  }

  // Packs dy at pixels r0..r1 of the images: panels, one for each row block, as outer_tile wants its A.
  void pack_pixels(int64_t image, int64_t group, int64_t r0, int64_t r1, T* packed) const {
    const RowBlocks rows(group_out);
    for (int64_t block = 0; block < rows.count; ++block) {
      const int64_t k0 = rows.begin(block), size = rows.size(block);
      T* panel = packed + k0 * (r1 - r0);
      for (int64_t r = r0; r < r1;) {
        const int64_t i = divide(r, plane), at = r - i * plane, run = least(plane - at, r1 - r);
        turn(product.plane_out(image + i, group) + k0 * plane + at, plane, size, run, panel, size);
        panel += run * size;
        r += run;
      }
    }
  }

  // out (+)= dy times the copy. A column vector is (block, tap, vector of the block); those of a tile need not lie side
  // by side.
  void multiply(int64_t b0, int64_t b1, int64_t pixels, const T* packed, const Scratch& scratch, T* out,
                bool accumulate) const {
    for_vectors(b0 * taps * vectors, b1 * taps * vectors, [&](auto V, int64_t q) FASTNN_FLAT {
      Columns<T, V> tile(scratch.offset, columns);
      for (int v = 0; v < V; ++v) {
        const int64_t vector = (q + v) % vectors, tap = (q + v) / vectors, block = tap / taps;
        tile.b[v] =
            scratch.copy + (block - b0) * image_copy() + layout.tap_distance(tap % taps) * width + vector * lanes<T>;
        tile.c[v] = out + (q + v) * lanes<T>;
      }
      const RowBlocks rows(group_out);
      multiply_rows(rows, 0, rows.count, pixels, packed, pixels, tile, accumulate);
    });
  }

  // dweight[k][c][t] = sum, in order, of partial[…][k][c / width][t][c % width]
  void add(const T* partial) const {
    const int64_t stride = g.k * columns;
    parallel_for(g.k, double(sums * stride) * kMoveCost, [=, this](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        for (int64_t b = 0; b < blocks; ++b)
          for (int64_t t = 0; t < taps; ++t) {
            const T* from = partial + k * columns + (b * taps + t) * width;
            const int64_t count = clamp(group_in - b * width, 0, width);
            T* to = product.dweight + (k * group_in + b * width) * taps + t;
            for (int64_t c = 0; c < count; ++c) {
              T sum = from[c];
              for (int64_t s = 1; s < sums; ++s) sum += from[s * stride + c];
              to[c * taps] = sum;
            }
          }
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
