// L_p pooling over windows: y = (sum of |x|^p)^(1/p); padding adds nothing.
//   forward:  x (n, c, size) -> y (n, c, out)
//   backward: dy, x, y -> dx
#include <cmath>

#include "../simd/copy.h"
#include "../simd/math.h"
#include "boxes.h"
#define FASTNN_FAMILY "pool_lp.inc"
#include "kernels.h"
#include "side_by_side.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Nanoseconds per tap with multiplications, and with a logarithm and an exponential.
constexpr double kCost = 0.4, kPowerCost = 2;

FASTNN_INLINE double cost_per_tap(double p) { return p == 1 || p == 2 ? kCost : kPowerCost; }

// v^p for v >= 0. Its error, |p log v| roundings, grows only where the power itself vanishes beside 1 (v <= 1) or where
// the result is large; values here are ratios to the largest of a window and sums of those.
template <class T>
FASTNN_INLINE Vec<T> power(Vec<T> v, double p) {
  return p == 1 ? v : p == 2 ? v * v : p == 0.5 ? sqrt(v) : exp<T>(log<T>(v) * T(p));
}

// dx += dy * sign(x) * (|x| / y)^(p - 1) for the elements of a run; 0 where x is 0
template <class T>
FASTNN_INLINE void add_shares(const T* x, int64_t n, T dy, T y, double p, T* dx) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> v = load_part(x + i, n - i), none = {};
    Vec<T> share;
    if (p == 1)
      share = v == v ? set1(dy) : v;
    else
      share = power<T>(abs(v) / y, p - 1) * dy;
    share = v < none ? -share : v == none ? none : share;
    store_part(dx + i, load_part(dx + i, n - i) + share, n - i);
  }
}

// y = (sum of |x|^p)^(1/p)  =>  dx += dy * sign(x) * (|x| / y)^(p - 1), 0 where y or x is 0. Of an output: dy and y. P is p
// where it is 1 or 2, else 0.
template <class T, int P>
struct NormTerm {
  static constexpr int arrays = 2;
  static constexpr bool of_inputs = true;
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
};

// The same by scatter. A plane in one piece: overlapping windows add to the same dx.
template <class T>
void lp_plane(const Pool& g, const T* dy, const T* x, const T* y, double p, T* dx) {
  zero_run(dx, g.size[0] * g.size[1] * g.size[2]);
  each_output_row(g, 0, g.out[0] * g.out[1], [&](int64_t, int64_t od, int64_t oh, int64_t at) {
    const Range d = box(g, 0, od), h = box(g, 1, oh);
    for (int64_t ow = 0; ow < g.out[2]; ++ow) {
      const T share = dy[at + ow], norm = y[at + ow];
      if (norm == 0) continue;
      box_runs(g, x, d, h, box(g, 2, ow),
               [&](const T* run, int64_t n) { add_shares(run, n, share, norm, p, dx + (run - x)); });
    }
  });
}

// s * v^(1/p), for v of 0 or at least about 1. Small p make a root very large; its half is not where the product isn't.
template <class T>
FASTNN_INLINE Vec<T> scaled_root(Vec<T> scale, Vec<T> v, double p) {
  if (p >= 1) return scale * power<T>(v, 1 / p);
  const Vec<T> half = power<T>(v, 0.5 / p);
  return scale * half * half;
}

template <class T, class Sum>
void lp_windows(const Pool& g, double p, const T* x, T* y) {
  const double taps = double(output_rows(g)) * double(g.out[2]) * double(window_taps(g));
  pool_windows(g, T(0), taps * cost_per_tap(p), x, [=](const auto& windows) FASTNN_FLAT {
    const Vec<T> none = {}, one = set1(T(1));
    Vec<T> scale = {};
    Sum sum;
    windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { scale = max(abs(v), scale); });
    scale = scale > none && scale < set1(T(INFINITY)) ? scale : one;
    windows.taps([&](Mask<T>, Vec<T> v) FASTNN_FLAT { sum.add(power<T>(abs(v) / scale, p)); });
    store_n(y + windows.at, scaled_root<T>(scale, sum.total(), p), windows.n);
  });
}

}  // namespace

// y = s * (sum of |x / s|^p)^(1/p) with s = max |x|, so that powers neither overflow nor vanish; s = 1 where that is 0
// or infinite
template <class T>
void lp_pool_forward(Pool g, double p, const T* x, T* y) {
  if (window_taps(g) > kManyTaps) return lp_windows<T, LongSum<T>>(g, p, x, y);
  lp_windows<T, ShortSum<T>>(g, p, x, y);
}

// y = (sum of |x|^p)^(1/p)  =>  dx += dy * sign(x) * (|x| / y)^(p - 1), 0 where y or x is 0
template <class T>
void lp_pool_backward(Pool g, double p, const T* dy, const T* x, const T* y, T* dx) {
  const int64_t inputs = g.size[0] * g.size[1] * g.size[2], outputs = g.out[0] * g.out[1] * g.out[2];
  const double taps = double(g.n * g.c) * double(outputs) * double(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  const double ns = taps * cost_per_tap(p) / (double(g.n * g.c) * double(inputs));
  if (g.stride[2] <= 2 && p == 1) return pool_gradient(g, NormTerm<T, 1>{dy, x, y, p}, ns, dx);
  if (g.stride[2] <= 2 && p == 2) return pool_gradient(g, NormTerm<T, 2>{dy, x, y, p}, ns, dx);
  if (g.stride[2] <= 2) return pool_gradient(g, NormTerm<T, 0>{dy, x, y, p}, ns, dx);
  parallel_for(g.n * g.c, taps * 3 * cost_per_tap(p), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      lp_plane(g, dy + i * outputs, x + i * inputs, y + i * outputs, p, dx + i * inputs);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
