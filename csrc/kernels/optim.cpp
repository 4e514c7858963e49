// Optimiser steps, in place over n parameters p with gradients g: each array is read and written once.
// Division and square root are the exact ones. Scalars are worked out in double and rounded once.
#include "../simd/map.h"
#define FASTNN_FAMILY "optim.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// rough nanoseconds per parameter out of cache on one core
constexpr double kSgdCost = 0.5, kAdamCost = 1.0, kRmspropCost = 0.7;

}  // namespace

// g = g + wd p;  d = momentum d - lr g;  p = p + d, or with Nesterov p = p + momentum d - lr g.
// Without momentum d (then null): p = p - lr g
template <class T>
void sgd_step(int64_t n, T* p, const T* g, T* d, double lr, double momentum, bool nesterov, double weight_decay) {
  const T rate = T(lr), m = T(momentum), decay = T(weight_decay);
  for_vectors<T>(n, kSgdCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    Vec<T> grad = load_part(g + i, size);
    if (decay != 0) grad = fma(old, set1(decay), grad);
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
// Weight decay: decoupled p = (1 - lr wd) p before the step, otherwise g = g + wd p.
template <class T>
void adam_step(int64_t n, T* p, const T* g, T* exp_avg, T* exp_avg_sq, int64_t t, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool decoupled) {
  const T step = T(lr / (1 - std::pow(beta1, double(t))));
  const T correction = T(1 / std::sqrt(1 - std::pow(beta2, double(t))));
  const T keep = T(decoupled ? 1 - lr * weight_decay : 1), l2 = T(decoupled ? 0 : weight_decay);
  const T a1 = T(1 - beta1), b2 = T(beta2), a2 = T(1 - beta2), e = T(eps);
  for_vectors<T>(n, kAdamCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size), m = load_part(exp_avg + i, size);
    Vec<T> grad = load_part(g + i, size);
    if (l2 != 0) grad = fma(old, set1(l2), grad);
    const Vec<T> mean = fma(grad - m, set1(a1), m);
    const Vec<T> square = fma(grad * grad, set1(a2), load_part(exp_avg_sq + i, size) * b2);
    store_part(exp_avg + i, mean, size);
    store_part(exp_avg_sq + i, square, size);
    const Vec<T> root = fma(sqrt(square), set1(correction), set1(e));
    store_part(p + i, fma(mean / root, set1(-step), old * keep), size);
  });
}

// g = g + wd p;  s = alpha s + (1 - alpha) g^2;  p = p - lr g / sqrt(s + eps), or with eps outside g / (sqrt(s) + eps)
template <class T>
void rmsprop_step(int64_t n, T* p, const T* g, T* square_avg, double lr, double alpha, double eps,
                  double weight_decay, bool eps_inside) {
  const T rate = T(lr), a = T(alpha), b = T(1 - alpha), e = T(eps), decay = T(weight_decay);
  for_vectors<T>(n, kRmspropCost, [=](int64_t i, int64_t size) {
    const Vec<T> old = load_part(p + i, size);
    Vec<T> grad = load_part(g + i, size);
    if (decay != 0) grad = fma(old, set1(decay), grad);
    const Vec<T> s = fma(grad * grad, set1(b), load_part(square_avg + i, size) * a);
    store_part(square_avg + i, s, size);
    const Vec<T> root = eps_inside ? sqrt(s + e) : sqrt(s) + e;
    store_part(p + i, fma(grad / root, set1(-rate), old), size);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
