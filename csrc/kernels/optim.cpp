// Optimiser steps, in place over n parameters p with gradients g: each array is read and written once. First of all
// g = g + wd p + l1 sign(p), the gradient of the penalties.
// Division and square root are the exact ones. Scalars are worked out in double and rounded once.
#include "../simd/map.h"
#define FASTNN_FAMILY "optim.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// rough nanoseconds per parameter out of cache on one core
constexpr double kSgdCost = 0.5, kAdamCost = 1.0, kRmspropCost = 0.7, kAdadeltaCost = 1.0;

// g + wd p + l1 sign(p)
template <class T>
FASTNN_INLINE Vec<T> penalised(Vec<T> grad, Vec<T> p, T decay, T l1) {
  if (decay != 0) grad = fma(p, set1(decay), grad);
  if (l1 != 0) grad += p > Vec<T>{} ? set1(l1) : p < Vec<T>{} ? set1(-l1) : Vec<T>{};
  return grad;
}

}  // namespace

// d = momentum d - lr g;  p = p + d, or with Nesterov p = p + momentum d - lr g.
// Without momentum d (then null): p = p - lr g
template <class T>
void sgd_step(int64_t n, T* p, const T* g, T* d, double lr, double momentum, bool nesterov, double weight_decay,
              double l1) {
  const T rate = T(lr), m = T(momentum), decay = T(weight_decay), lasso = T(l1);
  for_vectors<T>(n, kSgdCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    Vec<T> step = grad * -rate;
    if (d) {
      const Vec<T> velocity = fma(load_part(d + i, size), set1(m), step);
      store_part(d + i, velocity, size);
      step = nesterov ? fma(velocity, set1(m), step) : velocity;
    }
    store_part(p + i, old + step, size);
  });
}

// m = m + (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;
// p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
// AMSGrad: v in the step is the largest so far (else null). Decoupled decay: p = (1 - lr wd) p before the step and not
// in g.
template <class T>
void adam_step(int64_t n, T* p, const T* g, T* exp_avg, T* exp_avg_sq, T* largest, int64_t t, double lr, double beta1,
               double beta2, double eps, double weight_decay, double l1, bool decoupled) {
  const T step = T(lr / (1 - std::pow(beta1, double(t))));
  const T correction = T(1 / std::sqrt(1 - std::pow(beta2, double(t))));
  const T keep = T(decoupled ? 1 - lr * weight_decay : 1), l2 = T(decoupled ? 0 : weight_decay);
  const T a1 = T(1 - beta1), b2 = T(beta2), a2 = T(1 - beta2), e = T(eps), lasso = T(l1);
  for_vectors<T>(n, kAdamCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size), m = load_part(exp_avg + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, l2, lasso);
    const Vec<T> mean = fma(grad - m, set1(a1), m);
    Vec<T> square = fma(grad * grad, set1(a2), load_part(exp_avg_sq + i, size) * b2);
    store_part(exp_avg + i, mean, size);
    store_part(exp_avg_sq + i, square, size);
    if (largest) {
      square = max(load_part(largest + i, size), square);
      store_part(largest + i, square, size);
    }
    const Vec<T> root = fma(sqrt(square), set1(correction), set1(e));
    store_part(p + i, fma(mean / root, set1(-step), old * keep), size);
  });
}

// s = alpha s + (1 - alpha) g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void rmsprop_step(int64_t n, T* p, const T* g, T* square_avg, double lr, double alpha, double eps,
                  double weight_decay, double l1, bool eps_inside) {
  const T rate = T(lr), a = T(alpha), b = T(1 - alpha), e = T(eps), decay = T(weight_decay), lasso = T(l1);
  for_vectors<T>(n, kRmspropCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    const Vec<T> s = fma(grad * grad, set1(b), load_part(square_avg + i, size) * a);
    store_part(square_avg + i, s, size);
    const Vec<T> root = eps_inside ? sqrt(s + e) : sqrt(s) + e;
    store_part(p + i, fma(grad / root, set1(-rate), old), size);
  });
}

// s = s + g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void adagrad_step(int64_t n, T* p, const T* g, T* sum, double lr, double eps, double weight_decay, double l1,
                  bool eps_inside) {
  const T rate = T(lr), e = T(eps), decay = T(weight_decay), lasso = T(l1);
  for_vectors<T>(n, kRmspropCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    const Vec<T> s = fma(grad, grad, load_part(sum + i, size));
    store_part(sum + i, s, size);
    const Vec<T> root = eps_inside ? sqrt(s + e) : sqrt(s) + e;
    store_part(p + i, fma(grad / root, set1(-rate), old), size);
  });
}

// s = rho s + (1 - rho) g^2;  d = sqrt((D + eps) / (s + eps)) g;  D = rho D + (1 - rho) d^2;  p = p - lr d
template <class T>
void adadelta_step(int64_t n, T* p, const T* g, T* square_avg, T* acc_delta, double lr, double rho, double eps,
                   double weight_decay, double l1) {
  const T rate = T(lr), a = T(rho), b = T(1 - rho), e = T(eps), decay = T(weight_decay), lasso = T(l1);
  for_vectors<T>(n, kAdadeltaCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size), before = load_part(acc_delta + i, size);
    const Vec<T> grad = penalised<T>(load_part(g + i, size), old, decay, lasso);
    const Vec<T> s = fma(grad * grad, set1(b), load_part(square_avg + i, size) * a);
    const Vec<T> delta = sqrt((before + e) / (s + e)) * grad;
    store_part(square_avg + i, s, size);
    store_part(acc_delta + i, fma(delta * delta, set1(b), before * a), size);
    store_part(p + i, fma(delta, set1(-rate), old), size);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
