// RMS norm: x (outer, inner), weight (inner), rstd (outer).
//   y = x * rstd * weight, rstd = 1 / sqrt(sum(x^2) / inner + eps) of each row
#include <cmath>

#define FASTNN_FAMILY "rms_norm.inc"
#include "kernels.h"
#include "row_sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kNormCost = 0.25;  // rough nanoseconds per element and pass

}  // namespace

// weight may be null
template <class T>
void rms_norm_forward(const Norm& g, const T* x, const T* weight, double eps, T* y, T* rstd) {
  const double values = double(g.outer) * double(g.inner);
  with_past(goes_past<T>(2 * values), [=](auto past) {
    parallel_for(g.outer, values * kNormCost * 2, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* x_i = x + i * g.inner;
        T* y_i = y + i * g.inner;
        BlockSums<T, 1> squares;
        squares.add(g.inner, [](Vec<T>* acc, Vec<T> v) { acc[0] = fma(v, v, acc[0]); }, x_i);
        rstd[i] = T(1 / std::sqrt(squares.total(0) / double(g.inner) + eps));
        const Vec<T> scale = set1(rstd[i]);
        if (weight)
          map_run<past>(g.inner, [scale](Vec<T> v, Vec<T> w) { return v * scale * w; }, y_i, x_i, weight);
        else
          map_run<past>(g.inner, [scale](Vec<T> v) { return v * scale; }, y_i, x_i);
      }
      if (past) stream_fence();
    });
  });
}

// Values of workspace that rms_norm_backward needs for the gradient of the weight.
template <class T>
void rms_norm_backward_workspace(const Norm& g, int64_t* size) {
  *size = RowChunks(g.outer, g.inner).workspace(1);
}

// y = xhat * weight, xhat = x * rstd
//   =>  dx = rstd * (d - xhat * sum(d * xhat) / n), d = dy * weight, sum over the row
//       dweight = sum over rows of dy * xhat
// dx and dweight may be null; work may be null if its size is 0.
template <class T>
void rms_norm_backward(const Norm& g, const T* dy, const T* x, const T* weight, const T* rstd, T* dx, T* dweight,
                       T* work) {
  const double elements = double(g.outer) * double(g.inner);
  if (dx)
    parallel_for(g.outer, elements * kNormCost * 3, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T *dy_i = dy + i * g.inner, *x_i = x + i * g.inner;
        BlockSums<T, 1> dot;
        if (weight)
          dot.add(g.inner, [](Vec<T>* acc, Vec<T> d, Vec<T> v, Vec<T> w) { acc[0] = fma(d * w, v, acc[0]); }, dy_i, x_i, weight);
        else
          dot.add(g.inner, [](Vec<T>* acc, Vec<T> d, Vec<T> v) { acc[0] = fma(d, v, acc[0]); }, dy_i, x_i);
        const double r = double(rstd[i]);
        const Vec<T> scale = set1(rstd[i]), slope = set1(T(r * r * r * dot.total(0) / double(g.inner)));
        const auto gradient = [=](Vec<T> d, Vec<T> v) { return d * scale - v * slope; };
        if (weight)
          map_run(g.inner, [=](Vec<T> d, Vec<T> v, Vec<T> w) { return gradient(d * w, v); }, dx + i * g.inner, dy_i, x_i, weight);
        else
          map_run(g.inner, gradient, dx + i * g.inner, dy_i, x_i);
      }
    });
  if (!dweight) return;
  sum_rows<T, 1>(RowChunks(g.outer, g.inner), elements * kNormCost, {dweight}, work, [=](int64_t i, int64_t j0, int64_t n, T** to) {
    const Vec<T> scale = set1(rstd[i]);
    const int64_t at = i * g.inner + j0;
    map_run(n, [=](Vec<T> w, Vec<T> d, Vec<T> v) { return fma(d, v * scale, w); }, to[0], to[0], dy + at, x + at);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
