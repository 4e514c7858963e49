// Activations of linear pieces: PReLU with learned slopes, RReLU with random ones, Maxout.
//   prelu:  x (outer, channels, inner), w (channels) -> y;  dy, x, w -> dx, dw
//   rrelu:  x (n) -> y (n), the slope of element i from word i of the Philox stream of `key`;  dy, x -> dx
//   maxout: x (outer, n, inner) -> y (outer, inner), the largest over n;  dy (outer, inner), x -> dx
#include <limits>

#include "../simd/map.h"
#include "../simd/philox.h"
#include "../simd/sums.h"
#include "columns.h"
#define FASTNN_FAMILY "activation_pieces.inc"
#include "integer.h"
#include "kernels.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough nanoseconds per element, and (kPartialCost) per partial sum that is added up.
constexpr double kCopyCost = 0.15, kRandomCost = 0.6, kMaxoutCost = 0.3, kPartialCost = 1;

// How many elements of a plane, or rows of a matrix, add to one partial sum of the slopes' gradients.
constexpr int64_t kPlaneBlock = 16384, kRowBlock = 64;

// x is cut into contiguous pieces. A piece is a block of a plane, which belongs to one channel; or, where inner is 1
// and planes are single values, a block of rows, which have all channels.
struct Pieces {
  Norm g;
  bool rows;
  int64_t per_plane, count;

  explicit Pieces(const Norm& geometry) : g(geometry), rows(g.inner == 1 && g.channels > 1) {
    per_plane = ceil_div(g.inner, kPlaneBlock);
    count = rows ? ceil_div(g.outer, kRowBlock) : g.outer * g.channels * per_plane;
  }
  double values() const { return double(g.outer) * double(g.channels) * double(g.inner); }
};

// A block of a plane: its first element, its length and its channel.
struct PlaneBlock {
  int64_t first, size, channel;

  PlaneBlock(const Pieces& p, int64_t index) {
    const int64_t plane = index / p.per_plane, begin = index % p.per_plane * kPlaneBlock;
    first = plane * p.g.inner + begin;
    size = least(p.g.inner - begin, kPlaneBlock);
    channel = plane % p.g.channels;
  }
};

// The rows of a block as [begin, end).
struct RowBlock {
  int64_t begin, end;

  RowBlock(const Pieces& p, int64_t index) : begin(index * kRowBlock), end(least(begin + kRowBlock, p.g.outer)) {}
};

// Computes y[i] = f(slopes, x0[i], …) for the elements i of piece `index`.
template <bool past, class T, class F, class... P>
FASTNN_INLINE void map_piece(const Pieces& p, int64_t index, const T* w, const F& f, T* y, const P*... x) {
  if (!p.rows) {
    const PlaneBlock b(p, index);
    const Vec<T> slope = set1(w[b.channel]);
    const auto fetch = [=](int64_t i) {
      if (past) (fetch_ahead(x + b.first + i), ...);
    };
    const auto piece = [&](Vec<T> first, auto... rest) { return f(slope, first, rest...); };
    return map_run_fetching<past>(b.size, fetch, piece, y + b.first, (x + b.first)...);
  }
  const RowBlock b(p, index);
  const int64_t c = p.g.channels;
  for (int64_t r = b.begin; r < b.end; ++r)
    for (int64_t i = 0; i < c; i += lanes<T>)
      store_part(y + r * c + i, f(load_part(w + i, c - i), load_part(x + r * c + i, c - i)...), c - i);
}

// y = x > 0 ? x : slope x, and the dx that belongs to it. Both are NaN where x is NaN.
template <class T>
constexpr auto sloped = [](Vec<T> slope, Vec<T> v) { return v > Vec<T>{} ? v : v * slope; };
template <class T>
constexpr auto sloped_backward =
    [](Vec<T> slope, Vec<T> d, Vec<T> v) { return unless_nan<T>(v > Vec<T>{} ? d : d * slope, v); };

template <class T>
FASTNN_INLINE Vec<T> slope_term(Vec<T> d, Vec<T> v) {
  return v > Vec<T>{} ? Vec<T>{} : d * v;
}

// The partial sums of the slopes' gradients for one piece. A piece that is a block of a plane has one sum; a piece that
// is a block of rows has one sum per channel.
template <class T>
void sum_piece(const Pieces& p, int64_t index, const T* dy, const T* x, double* partial) {
  if (!p.rows) {
    const PlaneBlock b(p, index);
    BlockSums<T, 1> sums;
    sums.add(b.size, [](Vec<T>* acc, Vec<T> d, Vec<T> v) { acc[0] += slope_term<T>(d, v); }, dy + b.first, x + b.first);
    partial[index] = sums.total(0);
    return;
  }
  const RowBlock b(p, index);
  const int64_t c = p.g.channels;
  for (int64_t i = 0; i < c; i += lanes<T>) {
    Vec<T> sum = {};
    for (int64_t r = b.begin; r < b.end; ++r)
      sum += slope_term<T>(load_part(dy + r * c + i, c - i), load_part(x + r * c + i, c - i));
    for (int k = 0; k < lanes<T> && i + k < c; ++k) partial[index * c + i + k] = double(sum[k]);
  }
}

// Adds up the partial sums of a channel, in order.
template <class T>
void sum_partials(const Pieces& p, int64_t channel, const double* partial, T* dw) {
  const int64_t c = p.g.channels;
  double sum = 0;
  if (p.rows)
    for (int64_t b = 0; b < p.count; ++b) sum += partial[b * c + channel];
  else
    for (int64_t o = 0; o < p.g.outer; ++o)
      for (int64_t b = 0; b < p.per_plane; ++b) sum += partial[(o * c + channel) * p.per_plane + b];
  dw[channel] = T(sum);
}

// The slopes lower + span * u, for whole numbers u below 2^24. The product span * u may be too large for T where the
// slope is not. A fused multiply-add does not mind; the portable kernels compute half of such a slope and double it.
template <class T>
struct Slopes {
  static constexpr bool fused = FASTNN_VEC_BYTES > 16;
  T scale, lower, span;

  Slopes(double lower_, double upper)
      : scale(!fused && upper / 2 - lower_ / 2 > double(std::numeric_limits<T>::max()) / 2 ? T(2) : T(1)),
        lower(T(lower_) / scale),
        span(T((upper / 16777216 - lower_ / 16777216) / scale)) {}
  FASTNN_INLINE Vec<T> at(Vec<T> u) const {
    const Vec<T> slope = fma(u, set1(span), set1(lower));
    return fused ? slope : slope * scale;
  }
};

// Computes y[i] = f(slope, x0[i], …) for the `size` elements from number `at` on. The random slopes of all of them come
// from one call to the generator.
template <bool past, class T, class F, class... P>
FASTNN_INLINE void map_group(const Philox& random, int64_t at, int64_t size, Slopes<T> slopes, const F& f, T* y,
                             const P*... x) {
  U32 words[2 * Philox::chains];
  random.generate(uint64_t(at) / 4, words);
  const uint32_t* w = reinterpret_cast<const uint32_t*>(words);
#pragma GCC unroll 4
  for (int64_t i = 0; i < Philox::words; i += lanes<T>) {
    if (past) (fetch_ahead(x + at + i), ...);
    put<past>(y + at + i, f(slopes.at(unit24<T>(w + i)), whole(load_part(x + at + i, size - i))...), size - i);
  }
}

// Computes y[i] = f(slope, x0[i], …) with slope = lower + (upper - lower) u, where u is element i's random number,
// uniform between 0 and 1.
template <class T, class F, class... P>
FASTNN_INLINE void map_random(int64_t n, double lower, double upper, uint64_t key, const F& f, T* y, const P*... x) {
  constexpr int64_t group = Philox::words;
  const Slopes<T> slopes(lower, upper);
  with_past(goes_past<T>(double(n) * (1 + sizeof...(x))) && to_aligned(y) == 0, [=](auto past) {
    parallel_for(ceil_div(n, group), double(n) * kRandomCost, [=](int64_t begin, int64_t end) {
      const Philox random(key);
      const int64_t full = end * group <= n ? end : n / group;
      for (int64_t g = begin; g < full; ++g) map_group<past>(random, g * group, group, slopes, f, y, x...);
      if (full < end) map_group<false>(random, full * group, n - full * group, slopes, f, y, x...);
      if (past) stream_fence();
    });
  });
}

// Whether v takes the place of m, the largest value so far. A NaN counts as larger than all numbers; of equal values,
// and of several NaN, the first stays.
template <class V>
FASTNN_INLINE auto beats(V v, V m) {
  return (v > m) | ((v != v) & (m == m));
}
inline bool beats_one(double v, double m) { return v > m || (v != v && m == m); }

template <class T>
int64_t first_largest(int64_t n, const T* x) {
  int64_t best = 0;
  for (int64_t c = 1; c < n; ++c)
    if (beats_one(double(x[c]), double(x[best]))) best = c;
  return best;
}

// Finds the largest value of each column, and the number of the row that it is in, for V vectors of columns.
template <class T, int V>
FASTNN_INLINE void tile_first_largest(int64_t n, const T* rows, int64_t pitch, Vec<T> (&m)[V], Mask<T> (&row)[V]) {
  using Int = typename VecTraits<T>::Int;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) m[v] = load(rows + v * lanes<T>), row[v] = Mask<T>{};
  for (int64_t c = 1; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vec<T> x = load(rows + c * pitch + v * lanes<T>);
      const Mask<T> better = beats(x, m[v]);
      m[v] = better ? x : m[v];
      row[v] = better ? Mask<T>{} + Int(c) : row[v];
    }
}

}  // namespace

// y = x > 0 ? x : w[channel] x
template <class T>
void prelu_forward(Norm g, const T* x, const T* w, T* y) {
  const Pieces pieces(g);
  each_item<T>(pieces.count, 2 * pieces.values(), pieces.values() * kCopyCost,
               [=](auto past, int64_t i) { map_piece<past>(pieces, i, w, sloped<T>, y, x); });
}

// y = x > 0 ? x : w[channel] x  =>  dx = x > 0 ? dy : w[channel] dy,  dw[channel] = sum of (x > 0 ? 0 : x dy)
template <class T>
void prelu_backward(Norm g, const T* dy, const T* x, const T* w, T* dx, T* dw) {
  const Pieces pieces(g);
  const double values = pieces.values();
  const int64_t partials = pieces.count * (pieces.rows ? g.channels : 1);
  shared_values<double>(partials, [=](double* partial) {
    each_item<T>(pieces.count, 3 * values, values * 2 * kCopyCost, [=](auto past, int64_t i) {
      map_piece<past>(pieces, i, w, sloped_backward<T>, dx, dy, x);
      sum_piece(pieces, i, dy, x, partial);
    });
    parallel_for(g.channels, double(partials) * kPartialCost, [=](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) sum_partials(pieces, c, partial, dw);
    });
  });
}

// y = x > 0 ? x : slope x
template <class T>
void rrelu_forward(int64_t n, double lower, double upper, uint64_t key, const T* x, T* y) {
  map_random(n, lower, upper, key, sloped<T>, y, x);
}

// y = x > 0 ? x : slope x  =>  dx = x > 0 ? dy : slope dy
template <class T>
void rrelu_backward(int64_t n, double lower, double upper, uint64_t key, const T* dy, const T* x, T* dx) {
  map_random(n, lower, upper, key, sloped_backward<T>, dx, dy, x);
}

// y = max_c x[c], NaN if any x[c] is
template <class T>
void maxout_forward(Softmax g, const T* x, T* y) {
  for_positions<T>(
      g, 1, kMaxoutCost, [=](int64_t r) { y[r] = x[r * g.n + first_largest(g.n, x + r * g.n)]; },
      [=](const Block<T>& block) {
        const T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) {
          Vec<T> m[V];
          Mask<T> row[V];
          tile_first_largest<T, V>(g.n, rows + at, block.plan.pitch, m, row);
          for (int v = 0; v < V; ++v) {
            const int64_t i = at + v * lanes<T>;
            store_part(y + block.position + i, m[v], block.count - i);
          }
        });
      });
}

// y = max_c x[c]  =>  dx[c] = c is the first with x[c] = y ? dy : 0
template <class T>
void maxout_backward(Softmax g, const T* dy, const T* x, T* dx) {
  using Int = typename VecTraits<T>::Int;
  for_positions<T>(
      g, 1, kMaxoutCost,
      [=](int64_t r) {
        for (int64_t c = 0; c < g.n; ++c) dx[r * g.n + c] = 0;
        dx[r * g.n + first_largest(g.n, x + r * g.n)] = dy[r];
      },
      [=](const Block<T>& block) {
        T* rows = block.load(x);
        block.for_tiles([&](auto V, int64_t at) {
          Vec<T> m[V], d[V];
          Mask<T> row[V];
          tile_first_largest<T, V>(g.n, rows + at, block.plan.pitch, m, row);
          for (int v = 0; v < V; ++v) {
            const int64_t i = at + v * lanes<T>;
            d[v] = load_part(dy + block.position + i, block.count - i);
          }
          for (int64_t c = 0; c < g.n; ++c)
            for (int v = 0; v < V; ++v)
              store(rows + at + c * block.plan.pitch + v * lanes<T>, row[v] == Int(c) ? d[v] : Vec<T>{});
        });
        block.store(rows, dx);
      });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
