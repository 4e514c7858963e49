// Losses of rows of scores, other than cross-entropy of class numbers (loss.cpp). x is (outer, n, inner); each
// position (outer, inner) has one row of n scores.
//   cross-entropy of probabilities p (outer, n, inner): loss, lse (outer, inner);  dloss, x, p, lse -> dx
//   negative log-likelihood of class numbers t (outer, inner): x holds logarithms
//   multi-class hinge of class numbers t (outer), inner = 1
// Class weights w (n) may be null: then all are 1. A class whose weight or probability is 0 adds nothing, even where
// its loss is infinite. A checked call never has a class number out of range; if one comes anyway, the kernels read
// and write nothing at that number.
#include "../simd/math.h"
#include "columns.h"
#include "weighted.h"
#define FASTNN_FAMILY "class_loss.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough nanoseconds: of a value of a cross-entropy, of a position that is gathered, of a value that is set to zero, and
// of a value of a hinge loss, forward and backward.
constexpr double kCost = 1.0, kGatherCost = 2.0, kZeroCost = 0.1, kHingeCost = 0.3, kHingeBackwardCost = 0.4;
// Values of dx that are zeroed at once, several short rows together. They stay in the first-level cache until the few
// among them that are not zero are set.
constexpr int64_t kClearedAtOnce = 4096;

// q[c] = w[c] ((1 - s) p[c] + s/n), where s is the smoothing
template <class T>
struct Mixed {
  const T* weight;
  T keep, spread;

  Mixed(int64_t n, const T* w, double smoothing)
      : weight(w), keep(T(1 - smoothing)), spread(T(smoothing / double(n))) {}
  FASTNN_INLINE Vec<T> row(Vec<T> p, int64_t c, int64_t size) const {
    const Vec<T> q = fma(p, set1(keep), set1(spread));
    return weight ? q * load_part(weight + c, size) : q;
  }
  FASTNN_INLINE Vec<T> column(Vec<T> p, int64_t c) const {
    const Vec<T> q = fma(p, set1(keep), set1(spread));
    return weight ? q * weight[c] : q;
  }
};

template <class T>
void forward_row(int64_t n, const Mixed<T>& mixed, const T* x, const T* p, T* loss, T* lse) {
  const T m = row_max(n, x), lowest = -T(__builtin_inf());
  const T sum = row_sum<T>(n, [=](int64_t i, int64_t size) { return exp<T>(load_part(x + i, size, lowest) - m); });
  const T log_sum = log<T>(set1(sum))[0];
  *loss = weighted_sum<T>([=, &mixed](const auto& product) {
    return row_sum<T>(n, [=, &mixed](int64_t i, int64_t size) {
      return within<T>(product(mixed.row(load_part(p + i, size), i, size), log_sum - (load_part(x + i, size) - m)),
                       size);
    });
  });
  *lse = m + log_sum;
}

template <class T, int V>
void forward_tile(int64_t n, const Mixed<T>& mixed, const T* x, const T* p, int64_t pitch, int64_t count, T* loss,
                  T* lse) {
  Vec<T> m[V], sum[V], total[V];
  tile_max(n, x, pitch, m);
  tile_sum<T, V>(n, pitch, sum, [&](int64_t at, int v) { return exp<T>(load(x + at) - m[v]); });
  for (int v = 0; v < V; ++v) sum[v] = log<T>(sum[v]);
  weighted_sums<T, V>(total, [&](const auto& product) {
    tile_sum<T, V>(n, pitch, total, [&](int64_t at, int v) {
      return product(mixed.column(load(p + at), at / pitch), sum[v] - (load(x + at) - m[v]));
    });
  });
  for (int v = 0; v < V; ++v) {
    store_part(loss + v * lanes<T>, total[v], count - v * lanes<T>);
    store_part(lse + v * lanes<T>, m[v] + sum[v], count - v * lanes<T>);
  }
}

// e^(x - lse) is divided by its own sum: for large logits the rounding error of lse is a factor common to all.
template <class T>
void backward_row(int64_t n, const Mixed<T>& mixed, const T* x, const T* p, T dloss, T lse, T* dx) {
  const T lowest = -T(__builtin_inf());
  const T sum = row_sum<T>(n, [=](int64_t i, int64_t size) { return exp<T>(load_part(x + i, size, lowest) - lse); });
  const T mass = row_sum<T>(
      n, [=, &mixed](int64_t i, int64_t size) { return within<T>(mixed.row(load_part(p + i, size), i, size), size); });
  const T scale = mass / sum;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> q = mixed.row(load_part(p + i, n - i), i, n - i);
    store_part(dx + i, dloss * (exp<T>(load_part(x + i, n - i) - lse) * scale - q), n - i);
  }
}

template <class T, int V>
void backward_tile(int64_t n, const Mixed<T>& mixed, T* x, const T* p, int64_t pitch, int64_t count, const T* dloss,
                   const T* lse) {
  Vec<T> shift[V], d[V], sum[V], mass[V];
  for (int v = 0; v < V; ++v) {
    shift[v] = load_part(lse + v * lanes<T>, count - v * lanes<T>);
    d[v] = load_part(dloss + v * lanes<T>, count - v * lanes<T>);
  }
  tile_sum<T, V>(n, pitch, sum, [&](int64_t at, int v) {
    const Vec<T> e = exp<T>(load(x + at) - shift[v]);
    store(x + at, e);
    return e;
  });
  tile_sum<T, V>(n, pitch, mass, [&](int64_t at, int) { return mixed.column(load(p + at), at / pitch); });
  for (int v = 0; v < V; ++v) mass[v] = mass[v] / sum[v];
  tile_map<T, V>(n, pitch, x, [&](int64_t at, int v) {
    return d[v] * (load(x + at) * mass[v] - mixed.column(load(p + at), at / pitch));
  });
}

// The hinge of class c against class t: max(0, margin - (x[t] - x[c])). The difference of the scores comes first:
// margin plus a large score would round the margin away.
template <class T>
FASTNN_INLINE Vec<T> hinge(Vec<T> x, T own, T margin) {
  return max(Vec<T>{}, margin - (own - x));
}

// The sum of the terms of all classes but t. The vector that holds x[t] comes from a copy in which class t costs
// nothing. The copy is chosen without a branch, which would be mispredicted in every row.
template <class T, class Term>
FASTNN_INLINE T hinge_sum(int64_t n, const T* x, int64_t t, T margin, const Term& term) {
  if (n == 1) return T(0);
  using Int = typename VecTraits<T>::Int;
  constexpr T infinity = T(__builtin_inf());
  const T own = x[t], free = own > -infinity ? -infinity : T(0);  // else all terms are infinite or NaN
  const int64_t at = t / lanes<T> * lanes<T>;
  alignas(64) T copy[lanes<T>];
  store(copy, iota<T>() == Mask<T>{} + Int(t - at) ? set1(free) : load_part(x + at, n - at));
  const T* others = copy;
  return row_sum<T>(n, [=](int64_t i, int64_t size) {
    const T* from = i == at ? others : x + i;
    return within<T>(term(hinge<T>(load_part(whole_address(from), size), own, margin)), size);
  });
}

// The sum of the terms, divided by n. If it overflows, it is made again of `share`, terms that are divided by n first.
template <class T, class Term, class Share>
FASTNN_INLINE T hinge_mean(int64_t n, const T* x, int64_t t, T margin, const Term& term, const Share& share) {
  const T mean = hinge_sum(n, x, t, margin, term) / T(n);
  return mean != T(__builtin_inf()) ? mean : hinge_sum(n, x, t, margin, share);
}

template <class T>
T hinge_row(int64_t n, const T* x, int64_t t, T margin, bool squared) {
  if (squared)
    return hinge_mean(
        n, x, t, margin, [](Vec<T> h) FASTNN_FLAT { return h * h; }, [=](Vec<T> h) { return h / T(n) * h; });
  return hinge_mean(n, x, t, margin, [](Vec<T> h) FASTNN_FLAT { return h; }, [=](Vec<T> h) { return h / T(n); });
}

template <class T>
void hinge_row_backward(int64_t n, const T* x, int64_t t, T margin, bool squared, T d, T* dx) {
  const T own = x[t], share = d / T(n);
  const auto slope = [=](Vec<T> v) {
    const Vec<T> h = hinge<T>(v, own, margin);
    return squared ? weighted<T>(set1(T(2) * share), h) : h > Vec<T>{} ? set1(share) : h;  // h: 0 or NaN
  };
  for (int64_t i = 0; i < n; i += lanes<T>) store_part(dx + i, slope(load_part(x + i, n - i)), n - i);
  dx[t] = 0;
  const T others = row_sum<T>(n, [=](int64_t i, int64_t size) { return load_part(dx + i, size); });
  dx[t] = -others;
}

}  // namespace

// loss = sum_c q[c] (lse - x[c]),  q[c] = w[c] ((1 - s) p[c] + s/n),  lse = log(sum_c e^x[c])
template <class T>
void soft_cross_entropy_forward(Softmax g, const T* x, const T* p, const T* weight, double smoothing, T* loss, T* lse) {
  const Mixed<T> mixed(g.n, weight, smoothing);
  for_positions<T>(
      g, 2, kCost, [=](int64_t r) { forward_row(g.n, mixed, x + r * g.n, p + r * g.n, loss + r, lse + r); },
      [=](const Block<T>& block) {
        const T *rows = block.load(x), *wanted = block.load(p, 1);
        block.for_tiles([&](auto V, int64_t at) {
          const int64_t i = block.position + at;
          forward_tile<T, V>(g.n, mixed, rows + at, wanted + at, block.plan.pitch, block.count - at, loss + i, lse + i);
        });
      });
}

// loss = sum_c q[c] (lse - x[c])  =>  dx[c] = dloss (softmax(x)[c] sum(q) - q[c])
template <class T>
void soft_cross_entropy_backward(Softmax g, const T* dloss, const T* x, const T* p, const T* weight, double smoothing,
                                 const T* lse, T* dx) {
  const Mixed<T> mixed(g.n, weight, smoothing);
  for_positions<T>(
      g, 2, kCost,
      [=](int64_t r) { backward_row(g.n, mixed, x + r * g.n, p + r * g.n, dloss[r], lse[r], dx + r * g.n); },
      [=](const Block<T>& block) {
        T *rows = block.load(x), *wanted = block.load(p, 1);
        block.for_tiles([&](auto V, int64_t at) {
          const int64_t i = block.position + at;
          backward_tile<T, V>(g.n, mixed, rows + at, wanted + at, block.plan.pitch, block.count - at, dloss + i,
                              lse + i);
        });
        block.store(rows, dx);
      });
}

// loss = -w[t] x[t],  0 where t is ignored
template <class T>
void nll_loss_forward(Softmax g, const T* x, const int64_t* target, const T* weight, int64_t ignore, T* loss) {
  parallel_for(g.outer * g.inner, double(g.outer) * double(g.inner) * kGatherCost, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = target[i];
      const bool counts = t != ignore && uint64_t(t) < uint64_t(g.n);
      const T value = counts ? -x[(i / g.inner * g.n + t) * g.inner + i % g.inner] : T(0);
      loss[i] = counts && weight ? weighted<T>(weight[t], value) : value;
    }
  });
}

// loss = -w[t] x[t]  =>  dx[c] = c == t ? -w[t] dloss : 0
template <class T>
void nll_loss_backward(Softmax g, const T* dloss, const int64_t* target, const T* weight, int64_t ignore, T* dx) {
  const double cost = double(g.outer) * double(g.inner) * (kGatherCost + kZeroCost * double(g.n));
  parallel_for(g.outer, cost, [=](int64_t begin, int64_t end) {
    const int64_t size = g.n * g.inner, several = size && size < kClearedAtOnce ? kClearedAtOnce / size : 1;
    for (int64_t first = begin, last; first < end; first = last) {
      last = first + several < end ? first + several : end;
      T* cleared = dx + first * size;
      const int64_t count = (last - first) * size;
      for (int64_t i = 0; i < count; i += lanes<T>) store_part(cleared + i, Vec<T>{}, count - i);
      for (int64_t o = first; o < last; ++o) {
        for (int64_t i = 0; i < g.inner; ++i) {
          const int64_t t = target[o * g.inner + i];
          if (t == ignore || uint64_t(t) >= uint64_t(g.n)) continue;
          const T d = -dloss[o * g.inner + i];
          dx[o * size + t * g.inner + i] = weight ? weight[t] * d : d;
        }
      }
    }
  });
}

// loss = w[t]/n sum_(c != t) max(0, margin - (x[t] - x[c]))^p for rows x (rows, n), p = 1 or 2
template <class T>
void multi_margin_loss_forward(int64_t rows, int64_t n, const T* x, const int64_t* target, const T* weight, T margin,
                               bool squared, T* loss) {
  parallel_for(rows, double(rows) * double(n) * kHingeCost, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t t = target[r];
      const T value = uint64_t(t) < uint64_t(n) ? hinge_row(n, x + r * n, t, margin, squared) : T(0);
      loss[r] = weight && uint64_t(t) < uint64_t(n) ? weighted<T>(weight[t], value) : value;
    }
  });
}

// loss = w[t]/n sum_(c != t) h[c]^p, h[c] = max(0, margin - (x[t] - x[c]))
//   =>  dx[c] = dloss w[t]/n p h[c]^(p - 1) where h[c] > 0,  dx[t] = -sum of those
template <class T>
void multi_margin_loss_backward(int64_t rows, int64_t n, const T* dloss, const T* x, const int64_t* target,
                                const T* weight, T margin, bool squared, T* dx) {
  parallel_for(rows, double(rows) * double(n) * kHingeBackwardCost, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t t = target[r];
      if (uint64_t(t) >= uint64_t(n)) continue;
      const T d = weight ? dloss[r] * weight[t] : dloss[r];
      hinge_row_backward(n, x + r * n, t, margin, squared, d, dx + r * n);
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
