// Losses of pairs of elements x (n) and t (n), each a formula l(x, t) and its derivative by x.
//   forward:  x, t -> loss (n), or, where `loss` is null, the sum of the losses
//   backward: dy (n, or 1 for all), x, t -> dx (n), dx = dy dl/dx
// Sums are cut into blocks by n alone, so that they have the same bits on any number of threads.
#include "../simd/map.h"
#include "../simd/math.h"
#include "../simd/sums.h"
#include "weighted.h"
#define FASTNN_FAMILY "pair_loss.inc"
#include "integer.h"
#include "kernels.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kCopyCost = 0.2, kExpCost = 0.8;  // rough nanoseconds per element
constexpr int64_t kBlock = 8192;                   // values in a block of a sum: two blocks of BlockSums

template <class T, class F, class... P>
FASTNN_INLINE void forward(int64_t n, double ns, T* loss, double* sum, const F& f, const P*... p) {
  if (loss) return map(n, ns, f, loss, p...);
  const int64_t blocks = ceil_div(n, kBlock);
  shared_values<double>(blocks, [=](double* partial) {
    parallel_for(blocks, double(n) * ns, [=](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * kBlock, size = least(n - first, kBlock);
        // Whole vectors and the rest are summed apart, because a formula need not give 0 for missing lanes.
        const int64_t whole = size / lanes<T> * lanes<T>;
        BlockSums<T, 1> sums;
        sums.add(whole, [&](Vec<T>* acc, auto... v) { acc[0] += f(v...); }, (p + first)...);
        partial[b] = sums.total(0);
        if (whole == size) continue;
        const Vec<T> rest = f(load_part(p + first + whole, size - whole)...);
        partial[b] += double(reduce_add<T>(within<T>(rest, size - whole)));
      }
    });
    *sum = pairwise_sum(blocks, partial, 1);
  });
}

template <class T, class F, class... P>
FASTNN_INLINE void backward(int64_t n, double ns, const T* dy, bool each, T* dx, const F& f, const P*... p) {
  if (each) return map(n, ns, [=](Vec<T> d, auto... v) { return d * f(v...); }, dx, dy, p...);
  const T scale = n > 0 ? dy[0] : T(0);
  map(n, ns, [=](auto... v) { return f(v...) * scale; }, dx, p...);
}

// log(1 + e^-|x|)
template <class T>
FASTNN_INLINE Vec<T> soft_part(Vec<T> x) {
  return log1p_unit<T>(exp<T>(-abs(x)));
}

template <class T>
FASTNN_INLINE Vec<T> cross_entropy_of_logit(Vec<T> x, Vec<T> t, Vec<T> positive) {
  const Vec<T> off = T(1) - t, on = positive * t;
  return weighted<T>(x > Vec<T>{} ? off : on, abs(x)) + (off + on) * soft_part<T>(x);
}

template <class T>
FASTNN_INLINE Vec<T> slope_of_logit(Vec<T> x, Vec<T> t, Vec<T> positive) {
  return (T(1) - t) * sigmoid<T>(x) - positive * t * sigmoid<T>(-x);
}

}  // namespace

// l = (x - t)^2
template <class T>
void mse_loss_forward(int64_t n, T, const T* x, const T* t, T* loss, double* sum) {
  forward(n, kCopyCost, loss, sum, [](Vec<T> a, Vec<T> b) { return (a - b) * (a - b); }, x, t);
}

// l = (x - t)^2  =>  dl/dx = 2 (x - t)
template <class T>
void mse_loss_backward(int64_t n, T, const T* dy, bool each, const T* x, const T* t, T* dx) {
  backward(n, kCopyCost, dy, each, dx, [](Vec<T> a, Vec<T> b) { return T(2) * (a - b); }, x, t);
}

// l = |x - t|
template <class T>
void l1_loss_forward(int64_t n, T, const T* x, const T* t, T* loss, double* sum) {
  forward(n, kCopyCost, loss, sum, [](Vec<T> a, Vec<T> b) { return abs(a - b); }, x, t);
}

// l = |x - t|  =>  dl/dx = sign(x - t), 0 where they are equal
template <class T>
void l1_loss_backward(int64_t n, T, const T* dy, bool each, const T* x, const T* t, T* dx) {
  const auto sign = [](Vec<T> a, Vec<T> b) {
    const Vec<T> d = a - b;
    return d > Vec<T>{} ? set1(T(1)) : d < Vec<T>{} ? set1(T(-1)) : d;
  };
  backward(n, kCopyCost, dy, each, dx, sign, x, t);
}

// l = |d| <= delta ? d^2 / 2 : delta (|d| - delta / 2), d = x - t
template <class T>
void huber_loss_forward(int64_t n, T delta, const T* x, const T* t, T* loss, double* sum) {
  const auto f = [=](Vec<T> a, Vec<T> b) {
    const Vec<T> d = abs(a - b);
    return d > delta ? (d - T(0.5) * delta) * delta : d * d * T(0.5);
  };
  forward(n, kCopyCost, loss, sum, f, x, t);
}

// l = |d| <= delta ? d^2 / 2 : delta (|d| - delta / 2)  =>  dl/dx = min(max(d, -delta), delta)
template <class T>
void huber_loss_backward(int64_t n, T delta, const T* dy, bool each, const T* x, const T* t, T* dx) {
  const auto f = [=](Vec<T> a, Vec<T> b) { return min(set1(delta), max(set1(-delta), a - b)); };
  backward(n, kCopyCost, dy, each, dx, f, x, t);
}

// l = max(0, margin - t x)
template <class T>
void hinge_loss_forward(int64_t n, T margin, const T* x, const T* t, T* loss, double* sum) {
  forward(n, kCopyCost, loss, sum, [=](Vec<T> a, Vec<T> b) { return max(Vec<T>{}, margin - b * a); }, x, t);
}

// l = max(0, margin - t x)  =>  dl/dx = margin - t x > 0 ? -t : 0, and NaN where margin - t x is NaN
template <class T>
void hinge_loss_backward(int64_t n, T margin, const T* dy, bool each, const T* x, const T* t, T* dx) {
  const auto f = [=](Vec<T> a, Vec<T> b) {
    const Vec<T> h = max(Vec<T>{}, margin - b * a);
    return h > Vec<T>{} ? -b : h;
  };
  backward(n, kCopyCost, dy, each, dx, f, x, t);
}

// l = t (log t - x), 0 where t is 0; x holds logarithms of probabilities
template <class T>
void kl_div_forward(int64_t n, T, const T* x, const T* t, T* loss, double* sum) {
  const auto f = [](Vec<T> a, Vec<T> b) { return ((b == Vec<T>{}) & (a == a)) ? Vec<T>{} : b * log<T>(b) - b * a; };
  forward(n, kExpCost, loss, sum, f, x, t);
}

// l = t (log t - x)  =>  dl/dx = -t
template <class T>
void kl_div_backward(int64_t n, T, const T* dy, bool each, const T* x, const T* t, T* dx) {
  backward(n, kCopyCost, dy, each, dx, [](Vec<T>, Vec<T> b) { return -b; }, x, t);
}

// l = e^t (t - x), where x and t are logarithms of probabilities; l is 0 where e^t is 0, unless x is NaN. For a t far
// below zero the factor is e^(t/2), twice, since e^t may be denormal where the product is not.
template <class T>
void kl_div_log_forward(int64_t n, T, const T* x, const T* t, T* loss, double* sum) {
  const auto f = [](Vec<T> a, Vec<T> b) {
    return falling<T>(-abs(b), [=](auto far) {
      if constexpr (!far) return exp_normal<T>(b) * (b - a);
      const Vec<T> root = exp<T>(b * T(0.5));
      return ((root == Vec<T>{}) & (a == a)) ? Vec<T>{} : root * (root * (b - a));
    });
  };
  forward(n, kExpCost, loss, sum, f, x, t);
}

// l = e^t (t - x)  =>  dl/dx = -e^t
template <class T>
void kl_div_log_backward(int64_t n, T, const T* dy, bool each, const T* x, const T* t, T* dx) {
  backward(n, kExpCost, dy, each, dx, [](Vec<T>, Vec<T> b) { return -exp<T>(b); }, x, t);
}

// l = w ((1 - t) softplus(x) + p t softplus(-x)), softplus(x) = max(x, 0) + log(1 + e^-|x|)
template <class T>
void bce_with_logits_forward(int64_t n, const T* x, const T* t, const T* w, const T* p, T* loss, double* sum) {
  const auto one = set1(T(1));
  if (w && p)
    forward(
        n, kExpCost, loss, sum,
        [](Vec<T> a, Vec<T> b, Vec<T> v, Vec<T> q) { return weighted<T>(v, cross_entropy_of_logit<T>(a, b, q)); }, x, t,
        w, p);
  else if (w)
    forward(
        n, kExpCost, loss, sum,
        [=](Vec<T> a, Vec<T> b, Vec<T> v) { return weighted<T>(v, cross_entropy_of_logit<T>(a, b, one)); }, x, t, w);
  else if (p)
    forward(
        n, kExpCost, loss, sum, [](Vec<T> a, Vec<T> b, Vec<T> q) { return cross_entropy_of_logit<T>(a, b, q); }, x, t,
        p);
  else
    forward(n, kExpCost, loss, sum, [=](Vec<T> a, Vec<T> b) { return cross_entropy_of_logit<T>(a, b, one); }, x, t);
}

// l = w ((1 - t) softplus(x) + p t softplus(-x))  =>  dl/dx = w ((1 - t) s(x) - p t s(-x)), s the logistic function
template <class T>
void bce_with_logits_backward(int64_t n, const T* dy, bool each, const T* x, const T* t, const T* w, const T* p,
                              T* dx) {
  const auto one = set1(T(1));
  if (w && p)
    backward(
        n, kExpCost, dy, each, dx,
        [](Vec<T> a, Vec<T> b, Vec<T> v, Vec<T> q) { return v * slope_of_logit<T>(a, b, q); }, x, t, w, p);
  else if (w)
    backward(
        n, kExpCost, dy, each, dx, [=](Vec<T> a, Vec<T> b, Vec<T> v) { return v * slope_of_logit<T>(a, b, one); }, x, t,
        w);
  else if (p)
    backward(
        n, kExpCost, dy, each, dx, [](Vec<T> a, Vec<T> b, Vec<T> q) { return slope_of_logit<T>(a, b, q); }, x, t, p);
  else
    backward(n, kExpCost, dy, each, dx, [=](Vec<T> a, Vec<T> b) { return slope_of_logit<T>(a, b, one); }, x, t);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
