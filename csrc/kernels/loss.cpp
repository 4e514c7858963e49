// Cross-entropy of logits x (outer, n, inner) with class numbers t (outer, inner), fused with the log-softmax.
//   forward:  x, t -> loss (outer, inner), lse = log(sum(e^x)) (outer, inner)
//   backward: dloss (outer, inner), x, t, lse -> dx (outer, n, inner)
// With class weights w (n, or 1 where null) and smoothing s, as PyTorch defines them:
//   loss = (1 - s) w[t] (lse - x[t]) + s/n sum_c w[c] (lse - x[c]),  0 where t is ignore_index.
// A class of weight 0 adds nothing, even where its logit is -infinity.
// A class number out of range can't come from a checked call; it gives NaN instead of reading out of bounds.
#include "../simd/math.h"
#include "columns.h"
#include "weighted.h"
#define FASTNN_FAMILY "loss.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kForwardCost = 0.7, kBackwardCost = 0.8;  // rough nanoseconds per value

template <class T>
struct Classes {
  int64_t n, ignore;
  const T* weight;  // or null
  T smoothing;
  T total;  // sum of the weights

  Classes(int64_t classes, const T* w, int64_t ignore_index, double s)
      : n(classes), ignore(ignore_index), weight(w), smoothing(T(s)) {
    double sum = w ? 0 : double(classes);
    for (int64_t c = 0; w && c < classes; ++c) sum += double(w[c]);
    total = T(sum);
  }
  bool valid(int64_t t) const { return uint64_t(t) < uint64_t(n); }
  T weight_of(int64_t t) const { return weight ? weight[t] : T(1); }

  // shifted: x[t] - m; log_sum: log(sum(e^(x - m))); dot: sum(w (x - m)), used if there is smoothing
  FASTNN_INLINE T loss(int64_t t, T shifted, T log_sum, T dot) const {
    if (t == ignore) return 0;
    if (!valid(t)) return T(__builtin_nan(""));
    const T hard = weighted<T>((1 - smoothing) * weight_of(t), log_sum - shifted);
    return smoothing == 0 ? hard : hard + smoothing / T(n) * (total * log_sum - dot);
  }
};

// dx[c] = whole * p[c] - spread * w[c] - (c == t ? hit : 0), p = softmax(x)
template <class T>
struct Pull {
  T whole = 0, spread = 0, hit = 0;

  Pull() = default;
  FASTNN_INLINE Pull(const Classes<T>& k, int64_t t, T dloss) {
    if (t == k.ignore) return;
    hit = k.valid(t) ? dloss * (1 - k.smoothing) * k.weight_of(t) : T(__builtin_nan(""));
    whole = hit;
    if (k.smoothing == 0) return;  // 0 times an infinite loss or weight would be NaN
    spread = dloss * k.smoothing / T(k.n);
    whole += spread * k.total;
  }
};

template <class T>
FASTNN_INLINE Vec<T> weights_at(const Classes<T>& k, int64_t i, int64_t size) {
  return k.weight ? load_part(k.weight + i, size) : set1(T(1));
}

template <class T>
void forward_row(const Classes<T>& k, const T* x, int64_t t, T* loss, T* lse) {
  const T m = row_max(k.n, x), lowest = -T(__builtin_inf());
  const T sum = row_sum<T>(k.n, [=](int64_t i, int64_t size) { return exp<T>(load_part(x + i, size, lowest) - m); });
  T dot = 0;
  if (k.smoothing != 0)
    dot = weighted_sum<T>([=, &k](const auto& product) {
      return row_sum<T>(k.n, [=, &k](int64_t i, int64_t size) {
        return product(weights_at(k, i, size), load_part(x + i, size, m) - m);
      });
    });
  const T log_sum = log<T>(set1(sum))[0];
  *loss = k.loss(t, k.valid(t) ? x[t] - m : T(0), log_sum, dot);
  *lse = m + log_sum;
}

template <class T, int V>
void forward_tile(const Classes<T>& k, const T* rows, int64_t pitch, int64_t count, const int64_t* target, T* loss,
                  T* lse) {
  constexpr int L = lanes<T>, width = V * L;
  Vec<T> m[V], sum[V], dot[V] = {};
  tile_max(k.n, rows, pitch, m);
  tile_sum<T, V>(k.n, pitch, sum, [&](int64_t at, int v) { return exp<T>(load(rows + at) - m[v]); });
  if (k.smoothing != 0)
    weighted_sums<T, V>(dot, [&](const auto& product) {
      tile_sum<T, V>(k.n, pitch, dot,
                     [&](int64_t at, int v) { return product(set1(k.weight_of(at / pitch)), load(rows + at) - m[v]); });
    });
  T peak[width], log_sum[width], mean[width];
  for (int v = 0; v < V; ++v) {
    store(peak + v * L, m[v]);
    store(log_sum + v * L, log<T>(sum[v]));
    store(mean + v * L, dot[v]);
  }
  for (int64_t i = 0; i < count && i < width; ++i) {
    const int64_t t = target[i];
    loss[i] = k.loss(t, k.valid(t) ? rows[t * pitch + i] - peak[i] : T(0), log_sum[i], mean[i]);
    lse[i] = peak[i] + log_sum[i];
  }
}

// p = e^(x - lse) is divided by its own sum: for large logits the rounding error of lse is a factor common to all
// classes, which this takes out again.
template <class T>
void backward_row(const Classes<T>& k, const T* x, int64_t t, T dloss, T lse, T* dx) {
  constexpr int L = lanes<T>;
  if (t == k.ignore) {
    for (int64_t i = 0; i < k.n; i += L) store_part(dx + i, Vec<T>{}, k.n - i);
    return;
  }
  const T lowest = -T(__builtin_inf());
  const T sum = row_sum<T>(k.n, [=](int64_t i, int64_t size) {
    const Vec<T> e = exp<T>(load_part(x + i, size, lowest) - lse);
    store_part(dx + i, e, size);
    return e;
  });
  const Pull<T> pull(k, t, dloss);
  const T scale = pull.whole / sum;
  for (int64_t i = 0; i < k.n; i += L) {
    Vec<T> y = load_part(dx + i, k.n - i) * scale;
    if (k.smoothing != 0) y -= weights_at(k, i, k.n - i) * pull.spread;
    store_part(dx + i, y, k.n - i);
  }
  if (k.valid(t)) dx[t] -= pull.hit;
}

template <class T, int V>
void backward_tile(const Classes<T>& k, T* rows, int64_t pitch, int64_t count, const int64_t* target, const T* dloss,
                   const T* lse) {
  constexpr int L = lanes<T>, width = V * L;
  if (count > width) count = width;
  T whole[width] = {}, spread[width] = {}, hit[width] = {};
  for (int64_t i = 0; i < count; ++i) {
    const Pull<T> pull(k, target[i], dloss[i]);
    whole[i] = pull.whole, spread[i] = pull.spread, hit[i] = pull.hit;
  }
  Vec<T> sum[V], shift[V];
  for (int v = 0; v < V; ++v) shift[v] = load_part(lse + v * L, count - v * L);
  tile_sum<T, V>(k.n, pitch, sum, [&](int64_t at, int v) {
    const Vec<T> e = exp<T>(load(rows + at) - shift[v]);
    store(rows + at, e);
    return e;
  });
  for (int v = 0; v < V; ++v) sum[v] = load(whole + v * L) / sum[v];
  tile_map<T, V>(k.n, pitch, rows, [&](int64_t at, int v) { return load(rows + at) * sum[v]; });
  if (k.smoothing != 0)
    tile_map<T, V>(k.n, pitch, rows, [&](int64_t at, int v) {
      return load(rows + at) - set1(k.weight_of(at / pitch)) * load(spread + v * L);
    });
  for (int64_t i = 0; i < count; ++i) {
    if (target[i] == k.ignore)  // dx is 0 whatever the logits are
      for (int64_t c = 0; c < k.n; ++c) rows[c * pitch + i] = 0;
    else if (k.valid(target[i]))
      rows[target[i] * pitch + i] -= hit[i];
  }
}

}  // namespace

// loss = (1 - s) w[t] (lse - x[t]) + s/n sum_c w[c] (lse - x[c]),  lse = log(sum_c e^x[c])
template <class T>
void cross_entropy_forward(Softmax g, const T* x, const int64_t* target, const T* weight, int64_t ignore_index,
                           double smoothing, T* loss, T* lse) {
  const Classes<T> k(g.n, weight, ignore_index, smoothing);
  for_positions<T>(
      g, 1, kForwardCost, [=](int64_t r) { forward_row(k, x + r * g.n, target[r], loss + r, lse + r); },
      [=](const Block<T>& block) {
        const T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) {
          const int64_t p = block.position + at;
          forward_tile<T, V>(k, rows + at, block.plan.pitch, block.count - at, target + p, loss + p, lse + p);
        });
      });
}

// loss = (1 - s) w[t] (lse - x[t]) + s/n sum_c w[c] (lse - x[c])
//   =>  dx[c] = dloss (((1 - s) w[t] + s/n sum(w)) softmax(x)[c] - s/n w[c] - (c == t ? (1 - s) w[t] : 0))
template <class T>
void cross_entropy_backward(Softmax g, const T* dloss, const T* x, const int64_t* target, const T* weight,
                            int64_t ignore_index, double smoothing, const T* lse, T* dx) {
  const Classes<T> k(g.n, weight, ignore_index, smoothing);
  for_positions<T>(
      g, 1, kBackwardCost, [=](int64_t r) { backward_row(k, x + r * g.n, target[r], dloss[r], lse[r], dx + r * g.n); },
      [=](const Block<T>& block) {
        T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) {
          const int64_t p = block.position + at;
          backward_tile<T, V>(k, rows + at, block.plan.pitch, block.count - at, target + p, dloss + p, lse + p);
        });
        block.store(rows, dx);
      });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
