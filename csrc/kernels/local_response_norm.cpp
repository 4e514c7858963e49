// Local response norm: x, y (outer, channels, inner).
//   s[c] = k + alpha / size * sum of x[j]^2 over j from c - size / 2 to c + (size - 1) / 2,  y[c] = x[c] * s[c]^-beta
// Work goes by blocks of neighbouring positions, in which the window slides over the channels.
#include "../simd/math.h"
#define FASTNN_FAMILY "local_response_norm.inc"
#include "integer.h"
#include "kernels.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kTapCost = 0.03, kPowerCost = 0.7;  // rough nanoseconds per element, measured on Zen 5
// A block has up to kBlockVectors vectors of positions, a kilobyte in each channel: the neighbouring channels of a
// window stay in the first-level cache.
constexpr int64_t kBlockVectors = 16;
constexpr int64_t kBlockBytes = 64 * 1024;  // bytes of the terms that the backward keeps of a block, for all channels

struct Response {
  int64_t channels, below, above;  // the window of channel c: c - below .. c + above
  double share, beta, k;           // share = alpha / size

  Response(const Norm& g, int64_t size, double alpha, double beta, double k)
      : channels(g.channels), below(size / 2), above((size - 1) / 2), share(alpha / double(size)), beta(beta), k(k) {}

  // Returns s^-beta. Three quarters, the usual beta, takes two square roots instead of an exponential.
  template <class T>
  FASTNN_INLINE Vec<T> power(Vec<T> s) const {
    const Vec<T> one = set1(T(1));
    if (beta == 1) return one / s;
    const Vec<T> root = one / sqrt(s);
    if (beta == 0.5) return root;
    if (beta == 0.75) return root * sqrt(root);
    return exp<T>(log<T>(s) * T(-beta));
  }
};

// The first and the last of the channels in reach of c.
FASTNN_INLINE int64_t first_channel(int64_t c, int64_t below) { return c > below ? c - below : 0; }
FASTNN_INLINE int64_t last_channel(int64_t c, int64_t above, int64_t channels) {
  return above < channels - c ? c + above : channels - 1;
}

// Returns s[c] at n <= lanes positions. x points to channel 0 of the first of these positions.
template <class T>
FASTNN_INLINE Vec<T> response(const Response& r, const T* x, int64_t inner, int64_t c, int64_t n) {
  Vec<T> sum = {};
  for (int64_t j = first_channel(c, r.below); j <= last_channel(c, r.above, r.channels); ++j) {
    const Vec<T> v = load_part(x + j * inner, n);
    sum = fma(v, v, sum);
  }
  return fma(sum, set1(T(r.share)), set1(T(r.k)));
}

// Which positions of a block have sums of squares in T that overflowed, or lost digits to zero: those are computed
// again, one value at a time.
template <class T>
class OutOfRange {
 public:
  FASTNN_INLINE void note(int64_t i, Vec<T> s, int64_t size) {
    constexpr T far = sizeof(T) == 4 ? T(0x1p100) : T(0x1p900);
    const Mask<T> inside = (s >= T(1) / far) & (s <= far);
    found_[i / lanes<T>] |=
        size >= lanes<T> ? ~inside : ~inside & (iota<T>() < Mask<T>{} + typename VecTraits<T>::Int(size));
  }
  // Calls f(i) for those of the n positions i that are out of range.
  template <class F>
  void each(int64_t n, const F& f) const {
    Mask<T> any = {};
    for (int64_t i = 0; i < n; i += lanes<T>) any |= found_[i / lanes<T>];
    typename VecTraits<T>::Int some = 0;
    for (int l = 0; l < lanes<T>; ++l) some |= any[l];
    for (int64_t i = 0; some && i < n; ++i)
      if (found_[i / lanes<T>][i % lanes<T>]) f(i);
  }

 private:
  Mask<T> found_[kBlockVectors] = {};
};

// A window whose squares are in range: x = unit * v, where `unit` is a power of two chosen for each window. Then
// s[c] = unit^2 * t, t = k / unit^2 + share * sum of v[j]^2.
struct Window {
  double unit, t;
};
template <class T>
Window window_at(const Response& r, const T* x, int64_t inner, int64_t c) {
  const int64_t first = first_channel(c, r.below), last = last_channel(c, r.above, r.channels);
  double largest = std::sqrt(r.k), sum = 0;
  for (int64_t j = first; j <= last; ++j) {
    const double v = std::fabs(double(x[j * inner]));
    largest = v > largest ? v : largest;
  }
  const double unit = largest > 0 && largest - largest == 0 ? std::ldexp(1.0, std::ilogb(largest)) : 1;
  for (int64_t j = first; j <= last; ++j) {
    const double v = double(x[j * inner]) / unit;
    sum += v * v;
  }
  return {unit, r.k / unit / unit + r.share * sum};
}

// y = x * s^-beta = v * t^-beta * unit^(1 - 2 * beta) at one position; x points to channel 0 of it.
template <class T>
__attribute__((noinline)) void forward_at(const Response& r, int64_t inner, const T* x, T* y) {
  for (int64_t c = 0; c < r.channels; ++c) {
    const Window w = window_at(r, x, inner, c);
    y[c * inner] = T(double(x[c * inner]) / w.unit * std::pow(w.t, -r.beta) * std::pow(w.unit, 1 - 2 * r.beta));
  }
}

// Scratch of the backward. `in_range` holds t[j] of all channels at the positions of a block. The other arrays are for
// one position that is out of range, and hold for each channel: t[j], the unit that it is in, and dy[c] * s[c]^-beta.
template <class T>
struct Terms {
  T* in_range;
  double *exact, *units, *through;
};

// Computes dx at one position in double, by the formula that stands above local_response_norm_backward.
template <class T>
__attribute__((noinline)) void backward_at(const Response& r, int64_t inner, const T* dy, const T* x, T* dx,
                                           const Terms<T>& kept) {
  double *terms = kept.exact, *units = kept.units, *through = kept.through;
  for (int64_t c = 0; c < r.channels; ++c) {
    const Window w = window_at(r, x, inner, c);
    through[c] = double(dy[c * inner]) * std::pow(w.t, -r.beta) * std::pow(w.unit, -2 * r.beta);
    units[c] = w.unit;
    terms[c] = through[c] * (double(x[c * inner]) / w.unit) / w.t;
  }
  for (int64_t c = 0; c < r.channels; ++c) {
    double sum = 0;
    for (int64_t j = first_channel(c, r.above); j <= last_channel(c, r.below, r.channels); ++j)
      sum += terms[j] * (double(x[c * inner]) / units[j]);
    dx[c * inner] = T(through[c] - 2 * r.beta * r.share * sum);
  }
}

// Calls body(first element of channel 0, number of positions, layout(room)) for blocks of up to `width` positions of a
// sample.
template <class Layout, class Body>
void for_blocks(const Norm& g, int64_t width, double cost, const Layout& layout, const Body& body) {
  const int64_t blocks = ceil_div(g.inner, width);
  const double values = double(g.outer * g.channels) * double(g.inner);
  parallel_room(g.outer * blocks, cost * values, layout, [=](int64_t begin, int64_t end, const auto& room) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i % blocks * width;
      body(i / blocks * g.channels * g.inner + at, least(g.inner - at, width), room);
    }
  });
}

FASTNN_INLINE double cost_per_element(const Norm& g, int64_t size) {
  return kPowerCost + kTapCost * double(size < g.channels ? size : g.channels);
}

}  // namespace

template <class T>
void local_response_norm_forward(const Norm& g, int64_t size, double alpha, double beta, double k, const T* x, T* y) {
  const Response r(g, size, alpha, beta, k);
  const auto nothing = [](Room&) { return 0; };
  for_blocks(g, kBlockVectors * lanes<T>, cost_per_element(g, size), nothing, [&](int64_t at, int64_t n, int) {
    OutOfRange<T> beyond;
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t i = 0; i < n; i += lanes<T>) {
        const int64_t here = at + c * g.inner + i;
        const Vec<T> s = response(r, x + at + i, g.inner, c, n - i);
        beyond.note(i, s, n - i);
        store_part(y + here, load_part(x + here, n - i) * r.power<T>(s), n - i);
      }
    beyond.each(n, [&](int64_t i) { forward_at(r, g.inner, x + at + i, y + at + i); });
  });
}

// y[c] = x[c] * s[c]^-beta
//   =>  dx[c] = dy[c] * s[c]^-beta - 2 * beta * alpha / size * x[c] * sum of t[j] over the windows j that c is in,
//       t[j] = dy[j] * x[j] * s[j]^(-beta - 1)
template <class T>
void local_response_norm_backward(const Norm& g, int64_t size, double alpha, double beta, double k, const T* dy,
                                  const T* x, T* dx) {
  const Response r(g, size, alpha, beta, k);
  const int64_t L = lanes<T>, fit = kBlockBytes / (g.channels * L * int64_t(sizeof(T)) + 1);
  const int64_t width = L * clamp(fit, 1, kBlockVectors);
  const Vec<T> slope = set1(T(2 * beta * r.share));
  const auto layout = [&](Room& room) {
    const auto each_channel = [&] { return room.take<double>(g.channels); };
    return Terms<T>{room.take<T>(g.channels * width), each_channel(), each_channel(), each_channel()};
  };
  for_blocks(g, width, 2 * cost_per_element(g, size), layout, [&](int64_t at, int64_t n, const Terms<T>& kept) {
    T* const terms = kept.in_range;
    OutOfRange<T> beyond;
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t i = 0; i < n; i += L) {
        const int64_t here = at + c * g.inner + i;
        const Vec<T> s = response(r, x + at + i, g.inner, c, n - i), d = load_part(dy + here, n - i) * r.power<T>(s);
        beyond.note(i, s, n - i);
        store(terms + c * width + i, d * load_part(x + here, n - i) / s);
        store_part(dx + here, d, n - i);
      }
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t i = 0; i < n; i += L) {
        const int64_t here = at + c * g.inner + i;
        Vec<T> sum = {};
        for (int64_t j = first_channel(c, r.above); j <= last_channel(c, r.below, g.channels); ++j)
          sum += load(terms + j * width + i);
        store_part(dx + here, load_part(dx + here, n - i) - slope * load_part(x + here, n - i) * sum, n - i);
      }
    beyond.each(n, [&](int64_t i) { backward_at(r, g.inner, dy + at + i, x + at + i, dx + at + i, kept); });
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
