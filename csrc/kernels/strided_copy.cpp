// A C-contiguous copy of an array of any strides: transposed, sliced, reversed, repeated.
//
// Two axes are gone through in blocks: the last one, along which the copy is contiguous, and a partner. Where another
// axis than the last has the smallest stride, that is the partner, and a block is transposed: it is so small that the
// lines it is read from, and those it is written to, stay in the first caches. Else the partner is the axis before the
// last.
#include "../simd/copy.h"
#include "../simd/transpose.h"
#define FASTNN_FAMILY "strided_copy.inc"
#include "integer.h"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int kMostAxes = 64;  // of a NumPy array
// A block has at most kBlock elements; if it is transposed, its sides are at least kSide where the array is as large.
// kCost is in nanoseconds per element, out of cache.
constexpr int64_t kBlock = 4096, kSide = 64;
constexpr double kCost = 0.3;

struct Axis {
  int64_t extent, stride, to;  // strides of the array and of its copy
};

FASTNN_INLINE int64_t distance(int64_t stride) { return stride < 0 ? -stride : stride; }

// The axes: those of one element are left out, and neighbours that are one axis in memory are merged.
struct Axes {
  Axis axis[kMostAxes];
  int count = 0;

  Axes(int64_t axes, const int64_t* extents, const int64_t* strides) {
    for (int64_t i = 0; i < axes; ++i) {
      if (extents[i] == 1) continue;
      if (count && axis[count - 1].stride == extents[i] * strides[i])
        axis[count - 1] = {axis[count - 1].extent * extents[i], strides[i], 0};
      else
        axis[count++] = {extents[i], strides[i], 0};
    }
    int64_t to = 1;
    for (int i = count - 1; i >= 0; to *= axis[i--].extent) axis[i].to = to;
  }
  // Takes axis i out and returns it. If i is negative, returns an axis of one element.
  Axis take(int i) {
    if (i < 0) return {1, 0, 0};
    const Axis taken = axis[i];
    for (--count; i < count; ++i) axis[i] = axis[i + 1];
    return taken;
  }
  // The axis whose neighbours are nearest in memory, if it isn't the last.
  int nearer_than_last() const {
    int found = -1;
    int64_t nearest = distance(axis[count - 1].stride);
    for (int i = 0; i < count - 1; ++i)
      if (axis[i].stride && distance(axis[i].stride) < nearest) found = i, nearest = distance(axis[i].stride);
    return found;
  }
};

template <class T>
FASTNN_INLINE Vec<T> reversed(Vec<T> v) {
  return shuffle(v, [](int i) { return lanes<T> - 1 - i; });
}

// to[i] = from[i * step]
template <class T>
void copy_row(T* to, const T* from, int64_t n, int64_t step) {
  if (step == 1) return copy_run(to, from, n);
  if (step == 0) return fill_run(to, *from, n);
  if (step == 2) return gather_run(to, from, n, step);
  int64_t i = 0;
  if (step == -1)
    for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, reversed<T>(load(from - i - (lanes<T> - 1))));
  for (; i < n; ++i) to[i] = from[i * step];
}

// to[k * partner.to + i] = from[k * partner.stride + i * last.stride], k < depth, i < rows
template <class T>
void copy_block(const Axis& partner, const Axis& last, bool turned, int64_t depth, int64_t rows, const T* from, T* to) {
  const bool square = 2 * depth >= lanes<T> && 2 * rows >= lanes<T>;  // others waste most of a vector
  if (turned && partner.stride == 1 && square) return turn(from, last.stride, rows, depth, to, partner.to);
  for (int64_t k = 0; k < depth; ++k) copy_row(to + k * partner.to, from + k * partner.stride, rows, last.stride);
}

// Goes through the indices of the other axes, those without blocks, one after the other.
struct Outer {
  const Axes& axes;
  int64_t index[kMostAxes], from = 0, to = 0;

  Outer(const Axes& a, int64_t number) : axes(a) {
    for (int i = axes.count - 1; i >= 0; --i) {
      index[i] = number % axes.axis[i].extent, number /= axes.axis[i].extent;
      from += index[i] * axes.axis[i].stride, to += index[i] * axes.axis[i].to;
    }
  }
  void next() {
    for (int i = axes.count - 1; i >= 0; --i) {
      const Axis& a = axes.axis[i];
      from += a.stride, to += a.to;
      if (++index[i] < a.extent) return;
      from -= a.extent * a.stride, to -= a.extent * a.to, index[i] = 0;
    }
  }
};

}  // namespace

template <class T>
void strided_copy(int64_t count, const int64_t* extents, const int64_t* strides, const T* from, T* to) {
  Axes axes(count, extents, strides);
  if (!axes.count) return void(*to = *from);
  const int nearer = axes.nearer_than_last();
  const bool turned = nearer >= 0 && axes.axis[axes.count - 1].stride;
  const Axis last = axes.take(axes.count - 1), partner = axes.take(turned ? nearer : axes.count - 1);
  // A block is as square as the extents allow if it is transposed, and otherwise as long as they allow.
  int64_t rows = turned ? least(last.extent, kSide) : least(last.extent, kBlock);
  const int64_t depth = least(partner.extent, kBlock / rows);
  if (turned) rows = least(last.extent, depth < kSide ? kBlock / depth / kSide * kSide : rows);
  const int64_t across = ceil_div(last.extent, rows), along = ceil_div(partner.extent, depth);
  int64_t others = 1;
  for (int i = 0; i < axes.count; ++i) others *= axes.axis[i].extent;
  const double cost = double(others) * double(last.extent) * double(partner.extent) * kCost;
  parallel_for(others * along * across, cost, [=, &axes](int64_t begin, int64_t end) {
    Outer at(axes, begin / (along * across));
    int64_t k = begin / across % along * depth, i = begin % across * rows;
    for (int64_t block = begin; block < end; ++block) {
      copy_block(partner, last, turned, least(depth, partner.extent - k), least(rows, last.extent - i),
                 from + at.from + k * partner.stride + i * last.stride, to + at.to + k * partner.to + i);
      if ((i += rows) < last.extent) continue;
      i = 0;
      if ((k += depth) < partner.extent) continue;
      k = 0;
      at.next();
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
