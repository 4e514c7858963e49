// L_p pooling over windows: y = (sum of |x|^p)^(1/p); padding adds nothing.
//   forward:  x (n, c, size) -> y (n, c, out)
//   backward: dy, x, y -> dx
#include <cmath>

#include "../simd/copy.h"
#include "../simd/math.h"
#include "boxes.h"
#define FASTNN_FAMILY "pool_lp.inc"
#include "kernels.h"
#include "pool_rows.h"
#include "side_by_side.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per tap where powers are multiplications, and where each takes a logarithm and an exponential.
constexpr double kCost = 0.4, kPowerCost = 2;

// v^p for v >= 0. Its error, |p log v| roundings, grows only where the power itself vanishes beside 1 (v <= 1) or where
// the result is large; values here are ratios to the largest of a window and sums of those.
template <class T>
FASTNN_INLINE Vec<T> power(Vec<T> v, double p) {
  return p == 1 ? v : p == 2 ? v * v : p == 0.5 ? sqrt(v) : exp<T>(log<T>(v) * T(p));
}

// y = (sum of |x|^p)^(1/p)  =>  dx += dy * sign(x) * (|x| / y)^(p - 1), 0 where y or x is 0. load() gives dy and y of
// outputs. P is p if that is 1 or 2, else 0.
template <class T, int P>
struct NormTerm {
  static constexpr int arrays = 2;
  static constexpr bool of_inputs = true;
  const Pool& g;
  const T *dy, *x, *y;
  double p;
  FASTNN_INLINE void load(const OutputPlace& o, int64_t size, Vec<T>* v) const {
    v[0] = load_part(dy + o.offset, size), v[1] = load_part(y + o.offset, size);
  }
  FASTNN_INLINE Vec<T> value(const Vec<T>* outputs, Mask<T>, Vec<T> v) const {
    const Vec<T> d = outputs[0], norm = outputs[1], none = {};
    Vec<T> share;
    if constexpr (P == 1)
      share = v == v ? d : v;
    else
      share = (P == 2 ? abs(v) / norm : power<T>(abs(v) / norm, p - 1)) * d;
    share = v < none ? -share : share;
    return ((norm == none) | (v == none)) ? none : share;
  }
  void scatter(int64_t plane, T* dx) const {
    const int64_t rows = g.out[0] * g.out[1];
    const T* image = x + plane * g.size[0] * g.size[1] * g.size[2];
    each_output_row(g, plane * rows, (plane + 1) * rows, [=, this](int64_t, int64_t od, int64_t oh, int64_t at) {
      for (int64_t ow = 0; ow < g.out[2]; ++ow) {
        const Vec<T> outputs[2] = {set1(dy[at + ow]), set1(y[at + ow])};
        window_runs(g, image, od, oh, ow, [=, this](const T* run, int64_t n) {
          T* to = dx + (run - image);
          for (int64_t i = 0; i < n; i += lanes<T>)
            store_part(to + i, load_part(to + i, n - i) + value(outputs, Mask<T>{}, load_part(run + i, n - i)), n - i);
        });
      }
    });
  }
};

// scale * v^(1/p), where v is 0 or at least about 1. With p < 1 the root v^(1/p) may overflow where the product does
// not; therefore `scale` is multiplied by the square root of that root, twice.
template <class T>
FASTNN_INLINE Vec<T> scaled_root(Vec<T> scale, Vec<T> v, double p) {
  if (p >= 1) return scale * power<T>(v, 1 / p);
  const Vec<T> half = power<T>(v, 0.5 / p);
  return scale * half * half;
}

template <class T, class Sum>
void lp_forward(const Pool& g, double p, double cost, const T* x, T* y) {
  const auto norms = [=](const auto& windows, Vec<T>* results) FASTNN_FLAT {
    const Vec<T> none = {}, one = set1(T(1));
    Vec<T> scale = {};
    Sum sum;
    windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { scale = max(abs(v), scale); });
    scale = scale > none && scale < set1(T(INFINITY)) ? scale : one;
    windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { sum.add(power<T>(abs(v) / scale, p)); });
    results[0] = scaled_root<T>(scale, sum.total(), p);
  };
  first_that_suits<PairWalk<T>, RowWalk<T>>(
      g, [&](const auto& walk) { walk.forward(T(0), cost, x, Outputs<T>{y}, norms); });
}

template <class T, int P>
void lp_backward(const Pool& g, double p, double cost, const T* dy, const T* x, const T* y, T* dx) {
  first_that_suits<SpreadWalk<T>, GatherWalk<T>, ScatterWalk<T>>(
      g, [&](const auto& walk) { walk.backward(NormTerm<T, P>{g, dy, x, y, p}, cost, dx); });
}

// Nanoseconds that all taps of all windows take.
double cost_of(const Pool& g, double p) {
  const double per_tap = p == 1 || p == 2 ? kCost : kPowerCost;
  return double(output_rows(g)) * double(g.out[2]) * double(window_taps(g)) * per_tap;
}

}  // namespace

// y = s * (sum of |x / s|^p)^(1/p) with s = max |x|, so that powers neither overflow nor vanish; s = 1 where the
// maximum is 0 or infinite
template <class T>
void lp_pool_forward(Pool g, double p, const T* x, T* y) {
  if (window_taps(g) > kManyTaps) return lp_forward<T, LongSum<T>>(g, p, cost_of(g, p), x, y);
  lp_forward<T, ShortSum<T>>(g, p, cost_of(g, p), x, y);
}

// y = (sum of |x|^p)^(1/p)  =>  dx += dy * sign(x) * (|x| / y)^(p - 1), 0 where y or x is 0
template <class T>
void lp_pool_backward(Pool g, double p, const T* dy, const T* x, const T* y, T* dx) {
  if (p == 1) return lp_backward<T, 1>(g, p, cost_of(g, p), dy, x, y, dx);
  if (p == 2) return lp_backward<T, 2>(g, p, cost_of(g, p), dy, x, y, dx);
  lp_backward<T, 0>(g, p, cost_of(g, p), dy, x, y, dx);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
