// RMS norm: x (outer, inner), weight (inner), rstd (outer).
//   y = x * rstd * weight, rstd = 1 / sqrt(sum(x^2) / inner + eps) of each row
#define FASTNN_FAMILY "rms_norm.inc"
#include "../simd/map.h"
#include "kernels.h"
#include "row_sums.h"
#include "standard.h"

namespace fastnn::FASTNN_ISA {
namespace {

// 1 / sqrt(mean(x^2) + eps) of n values
template <class T>
double inverse_root(int64_t n, const T* x, const Epsilon& eps) {
  BlockSums<T, 1> squares;
  squares.add(n, [](Vec<T>* acc, Vec<T> v) { acc[0] = fma(v, v, acc[0]); }, x);
  const double mean = squares.total(0) / double(n);
  if (in_range<T>(mean, eps)) return 1 / std::sqrt(mean + eps.value);
  return scaled_root(n, eps, [=](const auto& f) {
    for (int64_t i = 0; i < n; ++i) f(double(x[i]));
  });
}

// Computes dx of a row: rstd * (d - xhat * dot / n), dot = sum(d * xhat). `scaled` says whether standard.unit isn't 1.
template <bool scaled, class T>
FASTNN_INLINE void gradient_row(int64_t n, double share, const Standard<T>& standard, double rstd, const T* dy,
                                const T* x, const T* weight, T* dx) {
  const Vec<T> unit = set1(standard.unit);
  const auto in_unit = [unit](Vec<T> v) { return scaled ? v * unit : v; };
  BlockSums<T, 1> product;
  if (weight)
    product.add(
        n, [=](Vec<T>* acc, Vec<T> d, Vec<T> v, Vec<T> w) { acc[0] = fma(d * w, in_unit(v), acc[0]); }, dy, x, weight);
  else
    product.add(n, [=](Vec<T>* acc, Vec<T> d, Vec<T> v) { acc[0] = fma(d, in_unit(v), acc[0]); }, dy, x);
  const double scale = double(standard.scale);
  const Vec<T> factor = set1(factor_of<T>(rstd)), slope = set1(T(scale * scale * product.total(0) * share));
  const auto gradient = [=](Vec<T> d, Vec<T> v) { return (d - in_unit(v) * slope) * factor; };
  if (weight)
    map_run(n, [=](Vec<T> d, Vec<T> v, Vec<T> w) { return gradient(d * w, v); }, dx, dy, x, weight);
  else
    map_run(n, gradient, dx, dy, x);
}

}  // namespace

// weight may be null
template <class T>
void rms_norm_forward(const Norm& g, const T* x, const T* weight, double eps, T* y, double* rstd) {
  const double values = double(g.outer) * double(g.inner);
  const Epsilon epsilon(eps);
  each_item<T>(g.outer, 2 * values, values * kNormCost * kForwardVisits, [=](auto past, int64_t i) {
    const T* x_i = x + i * g.inner;
    T* y_i = y + i * g.inner;
    rstd[i] = inverse_root(g.inner, x_i, epsilon);
    const Standard<T> standard(0, rstd[i]);
    const Vec<T> unit = set1(standard.unit), scale = set1(standard.scale);
    if (weight)
      map_run<past>(g.inner, [=](Vec<T> v, Vec<T> w) { return v * unit * scale * w; }, y_i, x_i, weight);
    else
      map_run<past>(g.inner, [=](Vec<T> v) { return v * unit * scale; }, y_i, x_i);
  });
}

// y = xhat * weight, xhat = x * rstd
//   =>  dx = rstd * (d - xhat * sum(d * xhat) / n), d = dy * weight, sum over the row
//       dweight = sum over rows of dy * xhat
// dx and dweight may be null.
template <class T>
void rms_norm_backward(const Norm& g, const T* dy, const T* x, const T* weight, const double* rstd, T* dx, T* dweight) {
  const double elements = double(g.outer) * double(g.inner), share = 1 / double(g.inner);
  if (dx)
    parallel_for(g.outer, elements * kNormCost * kBackwardVisits, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Standard<T> standard(0, rstd[i]);
        const int64_t at = i * g.inner;
        if (__builtin_expect(standard.unit == 1, 1))
          gradient_row<false>(g.inner, share, standard, rstd[i], dy + at, x + at, weight, dx + at);
        else
          gradient_row<true>(g.inner, share, standard, rstd[i], dy + at, x + at, weight, dx + at);
      }
    });
  if (!dweight) return;
  sum_rows<T, 1>(
      SumBlocks(g.outer, g.inner), elements * kNormCost, {dweight}, [=](int64_t i, int64_t j0, int64_t n, T** to) {
        const Standard<T> standard(0, rstd[i]);
        const Vec<T> unit = set1(standard.unit), scale = set1(standard.scale);
        const int64_t at = i * g.inner + j0;
        if (__builtin_expect(standard.unit == 1, 1))
          map_run(n, [=](Vec<T> w, Vec<T> d, Vec<T> v) { return fma(d, v * scale, w); }, to[0], to[0], dy + at, x + at);
        else
          map_run(
              n, [=](Vec<T> w, Vec<T> d, Vec<T> v) { return fma(d, v * unit * scale, w); }, to[0], to[0], dy + at,
              x + at);
      });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
