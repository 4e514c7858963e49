// Converts the places of the maxima of windows from taps, as max_pool_forward numbers them, to flat positions in the
// image, and back. The positions come from callers then, and each must lie in the window that it is said to be from.
#define FASTNN_FAMILY "pool_positions.inc"
#include "kernels.h"
#include "boxes.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kCost = 1.0;    // rough nanoseconds per output, in either direction
constexpr int64_t kTable = 256;  // if windows have at most so many taps, an index is a byte

// How many elements behind tap 0 the tap t = (a KH + b) KW + c lies in the image.
inline int64_t distance(const Pool& g, int64_t t) {
  const int64_t c = t % g.kernel[2], b = t / g.kernel[2] % g.kernel[1], a = t / g.kernel[2] / g.kernel[1];
  return (a * g.dilation[0] * g.size[1] + b * g.dilation[1]) * g.size[2] + c * g.dilation[2];
}

// Calls f(i, position of tap 0 of output i) for the outputs i = 0, 1, … of one plane.
template <class F>
inline void for_outputs(const Pool& g, const F& f) {
  int64_t i = 0;
  for (int64_t od = 0; od < g.out[0]; ++od)
    for (int64_t oh = 0; oh < g.out[1]; ++oh) {
      const int64_t d = od * g.stride[0] - g.pad[0], h = oh * g.stride[1] - g.pad[1];
      const int64_t row = (d * g.size[1] + h) * g.size[2] - g.pad[2];
      for (int64_t ow = 0; ow < g.out[2]; ++ow, ++i) f(i, row + ow * g.stride[2]);
    }
}

// Positions are integers below 2^48; they are divided as doubles, because processors have no division for vectors of
// integers.
using Reals = Vec<double>;
using Whole = Mask<double>;
constexpr int kBits = 48;

// i as doubles if 0 <= i < 2^52; others become any number or NaN.
FASTNN_INLINE Reals reals(Whole i) {
  const Reals one = set1(0x1p52);
  return (Reals)(i | (Whole)one) - one;
}
FASTNN_INLINE Whole whole(Reals r) { return (Whole)(r + set1(0x1p52)) & splat<double>((int64_t(1) << 52) - 1); }

// n / by rounded down, for 0 <= n < 2^48, as a product. (n + 1/2) / by - 1/2 is nearer to the quotient than to any
// other integer, by more than the product's error. Adding 3 * 2^51 rounds to an integer, because the doubles near that
// number are the integers.
struct Divisor48 {
  double by, inverse, shift;
  explicit Divisor48(int64_t d) : by(double(d)), inverse(1 / by), shift(0.5 * inverse - 0.5) {}
  FASTNN_INLINE Reals quotient(Reals n) const {
    const Reals far = set1(0x3p51);
    return (fma(n, set1(inverse), set1(shift)) + far) - far;
  }
};

// A window along an axis: its first coordinate, which may lie before the image, and how far behind the first its last
// coordinate inside the image lies.
struct Reach {
  double first, span;
};
inline Reach reach_of(const Pool& g, int axis, int64_t o) {
  const int64_t first = o * g.stride[axis] - g.pad[axis];
  return {double(first), double(least(reach(g, axis), g.size[axis] - 1 - first))};
}
inline Reach reach_of(const AdaptivePool& g, int axis, int64_t o) {
  const Range b = box(g, axis, o);
  return {double(b.begin), double(b.end - 1 - b.begin)};
}
inline int64_t tap_step(const Pool& g, int axis) { return g.dilation[axis]; }
inline int64_t tap_step(const AdaptivePool&, int) { return 1; }
// Whether the image has one slice, and each window too.
inline bool one_slice(const Pool& g) { return g.size[0] == 1 && g.kernel[0] == 1; }
inline bool one_slice(const AdaptivePool& g) { return g.size[0] == 1; }

// How far coordinates were outside their windows, or beside a tap: all is well while `least` is not negative and `most`
// not positive.
struct Excess {
  Reals least = {}, most = {};

  // Returns the number of the tap on the coordinate `at`, and notes how far `at` is outside the window or beside a tap.
  FASTNN_INLINE Reals tap(Reals at, Reals first, Reals span, const Divisor48& step) {
    const Reals from = at - first;
    least = min(least, from), most = max(most, from - span);
    if (__builtin_expect(step.by == 1, 1)) return from;
    const Reals tap = step.quotient(from), beside = from - tap * step.by;
    least = min(least, beside), most = max(most, beside);
    return tap;
  }
  bool none() const { return !any<double>((least < Reals{}) | (most > Reals{})); }
};

// The windows of a pooling along each axis, and the divisors that split a position into coordinates and find its taps.
template <class G>
struct PositionTables {
  static constexpr int64_t L = lanes<double>;
  Divisor48 width, height, step[3];
  Reach *along_d, *along_h;
  double *first, *span;  // for the outputs along a row, filled up to whole vectors with those of output 0

  static int64_t pitch(const G& g) { return ceil_div(g.out[2], L) * L; }
  PositionTables(const G& g, Room& room)
      : width(g.size[2]),
        height(g.size[1]),
        step{Divisor48(tap_step(g, 0)), Divisor48(tap_step(g, 1)), Divisor48(tap_step(g, 2))},
        along_d(room.take<Reach>(g.out[0])),
        along_h(room.take<Reach>(g.out[1])),
        first(room.take<double>(pitch(g))),
        span(room.take<double>(pitch(g))) {}
  void fill(const G& g) const {
    for (int64_t o = 0; o < g.out[0]; ++o) along_d[o] = reach_of(g, 0, o);
    for (int64_t o = 0; o < g.out[1]; ++o) along_h[o] = reach_of(g, 1, o);
    for (int64_t o = 0; o < pitch(g); ++o) {
      const Reach r = reach_of(g, 2, o < g.out[2] ? o : 0);
      first[o] = r.first, span[o] = r.span;
    }
  }
};

// Calls f(ow, n, positions, taps of each axis) for the vectors of n outputs in the row of outputs (od, oh). Rows of the
// image are numbered through all its slices. If Slices is false, there is one slice, and the tap along the axis is 0.
template <bool Slices, class G, class F>
FASTNN_INLINE void row_taps(const G& g, const PositionTables<G>& t, int64_t od, int64_t oh, const int64_t* positions,
                            Excess& excess, Whole& bits, const F& f) {
  constexpr int64_t L = lanes<double>;
  const Reach d = t.along_d[od], h = t.along_h[oh];
  double first;
  __builtin_memcpy(&first, positions, sizeof first);
  for (int64_t ow = 0; ow < g.out[2]; ow += L) {
    const int64_t left = g.out[2] - ow;
    const Whole at = (Whole)load_part(reinterpret_cast<const double*>(positions) + ow, left, first);
    bits |= at;
    const Reals flat = reals(at), row = t.width.quotient(flat), slice = Slices ? t.height.quotient(row) : Reals{};
    const Reals w = excess.tap(flat - row * t.width.by, load(t.first + ow), load(t.span + ow), t.step[2]);
    const Reals h_tap = excess.tap(row - slice * t.height.by, set1(h.first), set1(h.span), t.step[1]);
    const Reals d_tap = Slices ? excess.tap(slice, set1(d.first), set1(d.span), t.step[0]) : Reals{};
    f(ow, clamp_lane<double>(left), at, d_tap, h_tap, w);
  }
}

// Goes through the positions (n, c, out), a vector at a time, and calls f(offset, count, positions, taps of each axis),
// which stores what the caller wants of them. Returns false if a position lies outside its window.
template <class G, class F>
bool each_position(const G& g, const int64_t* positions, const F& f) {
  const int64_t rows = output_rows(g);
  bool legal = true, *const all = &legal;
  const double cost = double(rows) * double(g.out[2]) * kCost;
  const auto layout = [&](Room& room) { return PositionTables<G>(g, room); };
  parallel_room(rows, cost, layout, [=, &g](int64_t begin, int64_t end, const PositionTables<G>& tables) {
    tables.fill(g);
    Excess excess;
    Whole bits = {};
    each_output_row(g, begin, end, [&](int64_t, int64_t od, int64_t oh, int64_t at) FASTNN_FLAT {
      const auto row = [&](int64_t ow, auto... values) FASTNN_FLAT { f(at + ow, values...); };
      if (one_slice(g))
        row_taps<false>(g, tables, od, oh, positions + at, excess, bits, row);
      else
        row_taps<true>(g, tables, od, oh, positions + at, excess, bits, row);
    });
    const bool numbers =
        !any<double>(bits >> kBits);  // of a position that is negative or beyond 2^48, the taps are wrong
    if (!numbers || !excess.none()) __atomic_store_n(all, false, __ATOMIC_RELAXED);
  });
  return legal;
}

}  // namespace

// index (n, c, out) of taps -> positions (n, c, out)
template <class T>
void max_pool_positions(Pool g, const void* index, int64_t* positions) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], outputs = g.out[0] * g.out[1] * g.out[2];
  int64_t table[kTable] = {};  // callers may give bytes that are no taps
  for (int64_t t = 0; t < taps && taps <= kTable; ++t) table[t] = distance(g, t);
  parallel_for(g.n * g.c, double(g.n * g.c) * double(outputs) * kCost, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      int64_t* to = positions + plane * outputs;
      const uint8_t* bytes = static_cast<const uint8_t*>(index) + plane * outputs;
      const int32_t* words = static_cast<const int32_t*>(index) + plane * outputs;
      if (taps <= kTable)
        for_outputs(g, [&](int64_t i, int64_t first) { to[i] = first + table[bytes[i]]; });
      else
        for_outputs(g, [&](int64_t i, int64_t first) { to[i] = first + distance(g, words[i]); });
    }
  });
}

// positions (n, c, out) -> index (n, c, out) of taps. If a position lies outside its window, `legal` is set to false,
// and index holds anything.
template <class T>
void max_pool_taps(Pool g, const int64_t* positions, void* index, bool* legal) {
  const double kh = double(g.kernel[1]), kw = double(g.kernel[2]);
  const auto taps = [=](auto* to) {
    return [=](int64_t i, int n, Whole, Reals d, Reals h, Reals w)
               FASTNN_FLAT { store_index_n<double>(to + i, whole((d * kh + h) * kw + w), n); };
  };
  *legal = g.kernel[0] * g.kernel[1] * g.kernel[2] <= kTable
               ? each_position(g, positions, taps(static_cast<uint8_t*>(index)))
               : each_position(g, positions, taps(static_cast<int32_t*>(index)));
}

// Does what max_pool_taps does for adaptive windows, whose index is the position itself.
template <class T>
void adaptive_max_pool_index(AdaptivePool g, const int64_t* positions, int32_t* index, bool* legal) {
  *legal = each_position(g, positions, [=](int64_t i, int n, Whole at, Reals, Reals, Reals) FASTNN_FLAT {
    store_index_n<double>(index + i, at, n);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
