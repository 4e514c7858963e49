// Backward-weight as an outer product over pixels, lanes across input channels.
//   dweight[k, c, t] = sum over pixels r of dy[k, r] * x[c, r shifted by t]
// With channels innermost, a pixel's row of B for tap t is a vector or two of the copy
//   copy: (images, phases of D, H, W, positions of D, H, W, channels of the block)
// at a distance that t alone decides, and the tiles are those of the forward pass: no sum across lanes, as dot products
// need for each element.
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

  // Enough items for a few threads, of at least so many pixels, beside which adding the partial sums is nothing.
  static constexpr int64_t kItems = 16, kSumPixels = 1024;

  int64_t plane = product.plane(), taps = product.taps(), group_in = product.group_in(),
          group_out = product.group_out();
  int vectors =
      group_in > lanes<T> ? kTileVectors : 1;  // in a block of channels: with one, a tile takes two taps side by side
  int64_t width = vectors * lanes<T>, blocks = ceil_div(group_in, width), columns = blocks * taps * width;
  int64_t joint_images = clamp(kDepth<T> / plane, 1, g.n);  // in a copy
  // An item's copies are worth 9 taps of a block. Of two blocks it has both, and so dy to itself: 64x56x56 -> 64 and
  // 64x14x14 -> 64 take 0.9 of the time.
  int64_t item_blocks = blocks == 2 ? 2 : clamp((8 + taps) / taps, 1, blocks),
          group_items = ceil_div(blocks, item_blocks);
  int64_t sums = clamp(least(g.n * plane / kSumPixels, ceil_div(ceil_div(kItems, g.groups), group_items)), 1, g.n);

  const char* name() const { return "channels"; }

  // Channels that fill their lanes; half of them where rows are so narrow that the other ways would pack patches. A
  // single tap gains, too: 1.08 to 1.7 from 64 channels in on (12 shapes, one core of a virtual Sapphire Rapids), but
  // 0.9 for 32x28x28 -> 32 and 0.7 for 16x32x32 -> 32.
  bool suits() const {
    const bool narrow = 2 * layout.p.axis[2].grid < lanes<T>;
    return (narrow ? 2 * group_in >= blocks * width : 4 * group_in >= 3 * blocks * width) && group_out >= 8 &&
           g.n * plane >= 64 && copy_size() * int64_t(sizeof(T)) <= kChannelCopyBytes;
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
  // Whether items share dy as it is packed: to pack it once more for each was a quarter of the time of 256x14x14 ->
  // 256, which has 8.
  bool shared() const { return group_items > 1; }
  int64_t image_copy() const { return layout.channel_size() * width; }
  int64_t copy_size() const { return joint_images * item_blocks * image_copy() + kTileCols<T>; }

  // Memory of all threads.
  struct Memory {
    T *partial,
        *runs;  // (sums, K, blocks of channels, taps, channels of a block); where sums are long, the same of a run
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

  // dy for all items.
  void pack(T* dy) const {
    parallel_for(sums * g.groups, double(g.n * g.k) * double(plane) * kTurnCost, [=, this](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t sum = item / g.groups, group = item % g.groups, last = g.n * (sum + 1) / sums;
        for (int64_t image = g.n * sum / sums; image < last; image += joint_images)
          for_pixels(least(last - image, joint_images) * plane, [&](int64_t r0, int64_t r1) {
            pack_pixels(image, group, r0, r1, packed_at(dy, group, image) + r0 * group_out);
          });
      }
    });
  }

  // partial[sum][k of the group][some blocks] = sum over some images
  void item(int64_t sum, int64_t group, int64_t which, const Memory& memory, const Scratch& scratch) const {
    scratch.places.fill(layout);
    zero_run(scratch.copy, copy_size());
    const int64_t b0 = which * item_blocks, b1 = least(blocks, b0 + item_blocks);
    const int64_t first = g.n * sum / sums, last = g.n * (sum + 1) / sums;
    const int64_t at = (sum * g.k + group * group_out) * columns;
    T *out = memory.partial + at, *run = memory.runs + at;
    const int64_t longest = run == out ? INT64_MAX : kSumRun;
    int64_t summed = 0, runs = 0;  // pixels in the run, runs before it
    for (int64_t image = first; image < last; image += joint_images) {
      const int64_t count = least(last - image, joint_images);
      fill(image, count, group, b0, b1, scratch);
      for_pixels(count * plane, [&](int64_t r0, int64_t r1) {
        T* const packed = shared() ? packed_at(memory.dy, group, image) + r0 * group_out : scratch.packed;
        if (!shared()) pack_pixels(image, group, r0, r1, packed);
        place_pixels(r0, r1, scratch);
        multiply(b0, b1, r1 - r0, packed, scratch, run, summed > 0);
        summed += r1 - r0;
        if (summed < longest) return;
        add_run(b0, b1, run, runs++ > 0, out);
        summed = 0;
      });
    }
    if (run != out && summed > 0) add_run(b0, b1, run, runs > 0, out);
    if (first == last)
      for (int64_t k = 0; k < group_out; ++k) zero_run(out + k * columns + b0 * taps * width, (b1 - b0) * taps * width);
  }

  // out (+)= run, of blocks b0 … b1 of channels
  void add_run(int64_t b0, int64_t b1, const T* run, bool accumulate, T* out) const {
    const int64_t begin = b0 * taps * width, size = (b1 - b0) * taps * width;
    for (int64_t k = 0; k < group_out; ++k) {
      T* to = out + k * columns + begin;
      const T* from = run + k * columns + begin;
      if (accumulate)
        for (int64_t i = 0; i < size; i += lanes<T>) store(to + i, load(to + i) + load(from + i));
      else
        copy_run(to, from, size);
    }
  }
  T* packed_at(T* dy, int64_t group, int64_t image) const { return dy + (group * g.n + image) * group_out * plane; }
  // The pixels of joint images in blocks of at most kDepth.
  template <class F>
  static void for_pixels(int64_t pixels, const F& f) {
    const int64_t count = ceil_div(pixels, kDepth<T>);
    for (int64_t i = 0; i < count; ++i) f(pixels * i / count, pixels * (i + 1) / count);
  }
  // Where pixels r0..r1 of joint images lie in the copy.
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

  // Panels of dy for pixels r0..r1 of the images, a row block after the other, as outer_tile wants its A.
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
    parallel_for(g.k, double(sums * stride) * kTurnCost, [=, this](int64_t begin, int64_t end) {
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
