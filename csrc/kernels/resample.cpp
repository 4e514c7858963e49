// Resampling: along each axis, outputs are weighted sums of a few inputs, which tables name.
//   x (n, c, size) -> y (n, c, out)
//
// An item is a row of outputs. Where images become higher, rows of inputs are resampled along themselves, and then
// combined: a thread keeps those that the next row of outputs is made of, too. Else rows are combined before, so that
// fewer are resampled.
#define FASTNN_FAMILY "resample.inc"
#include "kernels.h"
#include "resample_along.h"
#include "resample_planes.h"
#include "resample_rows.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per tap of an output; they only decide when a second thread is woken.
constexpr double kCost = 0.1;

// Whether output o of an axis has no taps; `axis.empty` lists such outputs in order.
inline bool is_empty(const ResampleAxis& axis, int64_t o) {
  int64_t low = 0, high = axis.empties;  // the first listed output that is not below o lies in [low, high]
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (axis.empty[middle] < o)
      low = middle + 1;
    else
      high = middle;
  }
  return low < axis.empties && axis.empty[low] == o;
}

template <class T>
struct Resampled {
  const Resample& g;
  T fill;
  const T* x;
  T* y;

  struct Scratch {
    T *combined, *kept;  // a row of inputs; rows that were resampled, each in the slot of its number modulo the slots
    int64_t* number;     // which rows these are, or -1
    Source<T>* sources;
    Windows<T> windows;
  };
  Scratch scratch(Room& room) const {
    const int64_t taps[2] = {g.axes[0].taps, g.axes[1].taps};
    const int64_t resampled = g.axes[2].same ? 0 : g.n * g.c * g.out[0] * least(g.size[1], g.out[1]);
    return {room.take<T>(g.size[2]), room.take<T>(slots() * g.out[2]), room.take<int64_t>(slots()),
            room.take<Source<T>>(taps[0] * taps[1] + taps[0] + taps[1]), along().windows(resampled, room)};
  }

  void make(int64_t begin, int64_t end, Scratch s) const {
    along().find(s.windows);
    for (int64_t i = 0; i < slots(); ++i) s.number[i] = -1;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t slice = row / g.out[1], oh = row % g.out[1], od = slice % g.out[0];
      T* const to = y + row * g.out[2];
      if (slots())
        combine_kept(slice, oh, s, to);
      else
        resample_combined(slice, oh, s, to);
      fill_empty(od, oh, to);
    }
  }

  int64_t rows() const { return g.n * g.c * g.out[0] * g.out[1]; }
  double cost() const {
    return double(rows() * g.out[2]) * double(g.axes[0].taps + g.axes[1].taps + g.axes[2].taps) * kCost;
  }

 private:
  // How many resampled rows are kept; none where rows are combined first.
  int64_t slots() const { return g.axes[2].same || g.axes[1].same || g.size[1] > g.out[1] ? 0 : g.axes[1].span; }
  T weight(int axis, int64_t k, int64_t o) const {
    return static_cast<const T*>(g.axes[axis].weight)[k * g.out[axis] + o];
  }
  int64_t input(int axis, int64_t k, int64_t o) const { return g.axes[axis].index[k * g.out[axis] + o]; }
  Along<T> along() const { return {g.axes[2], g.size[2], g.out[2]}; }
  const T* input_row(int64_t slice, int64_t k, int64_t h) const {
    const int64_t plane = slice / g.out[0], d = input(0, k, slice % g.out[0]);
    return x + ((plane * g.size[0] + d) * g.size[1] + h) * g.size[2];
  }

  void combine_kept(int64_t slice, int64_t oh, const Scratch& s, T* to) const {
    const int64_t taps = g.axes[1].taps;
    for (int64_t k = 0; k < taps; ++k) s.sources[k] = {kept_row(slice, input(1, k, oh), s), weight(1, k, oh)};
    combine(s.sources, taps, g.out[2], to);
  }
  // Row h of a slice of outputs, resampled along itself.
  const T* kept_row(int64_t slice, int64_t h, const Scratch& s) const {
    const int64_t number = slice * g.size[1] + h, slot = h % slots();
    T* const row = s.kept + slot * g.out[2];
    if (s.number[slot] != number) {
      s.number[slot] = number;
      along().row(s.windows, slice_row(slice, h, s), row);
    }
    return row;
  }
  // Row h of a slice of outputs, made of the rows h of slices of inputs.
  const T* slice_row(int64_t slice, int64_t h, const Scratch& s) const {
    if (g.axes[0].copies) return input_row(slice, 0, h);
    Source<T>* const sources = s.sources + g.axes[1].taps;
    for (int64_t k = 0; k < g.axes[0].taps; ++k) sources[k] = {input_row(slice, k, h), weight(0, k, slice % g.out[0])};
    combine(sources, g.axes[0].taps, g.size[2], s.combined);
    return s.combined;
  }

  void resample_combined(int64_t slice, int64_t oh, const Scratch& s, T* to) const {
    const bool one = g.axes[0].copies && g.axes[1].copies;
    int64_t count = 0;
    for (int64_t i = 0; i < g.axes[0].taps; ++i)
      for (int64_t k = 0; k < g.axes[1].taps; ++k)
        s.sources[count++] = {input_row(slice, i, input(1, k, oh)), weight(0, i, slice % g.out[0]) * weight(1, k, oh)};
    if (g.axes[2].same) return combine(s.sources, count, g.out[2], to);
    if (!one) combine(s.sources, count, g.size[2], s.combined);
    along().row(s.windows, one ? s.sources[0].row : s.combined, to);
  }

  void fill_empty(int64_t od, int64_t oh, T* to) const {
    const ResampleAxis& axis = g.axes[2];
    if (is_empty(g.axes[0], od) || is_empty(g.axes[1], oh)) return fill_run(to, fill, g.out[2]);
    for (int64_t i = 0; i < axis.empties; ++i) to[axis.empty[i]] = fill;
  }
};

}  // namespace

// y[o] = sum of weight * x over the taps of o along each axis; `fill` where an axis has no taps
template <class T>
void resample(Resample g, double fill, const T* x, T* y) {
  const ResampledPlanes<T> planes = {g, T(fill), x, y};
  const Resampled<T> images = {g, T(fill), x, y};
  if (planes.suits())
    return parallel_with(planes.blocks(), images.cost(), planes,
                         [&](int64_t begin, int64_t end, const auto& scratch) { planes.make(begin, end, scratch); });
  parallel_with(images.rows(), images.cost(), images,
                [&](int64_t begin, int64_t end, const auto& scratch) { images.make(begin, end, scratch); });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
