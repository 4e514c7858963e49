// Inverted dropout of x (n) with a counter-based generator. Word i of the Philox stream of `key` decides whether
// element i is kept, so the mask is the same for every thread count, instruction set and backend, and no mask need be
// stored for the backward pass.
// Spatial dropout keeps or drops whole planes of x (n, inner) likewise.
#include "../simd/copy.h"
#include "../simd/philox.h"
#include "../simd/sums.h"
#define FASTNN_FAMILY "dropout.inc"
#include "integer.h"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Rough costs in nanoseconds: kCost of an element; where whole planes are dropped, kPlaneCost of a plane and kCopyCost
// of an element.
constexpr double kCost = 0.6, kPlaneCost = 10, kCopyCost = 0.15;

// Computes y of the elements [begin, begin + size), for which one call to the generator is enough. `size` is below
// Philox::words only at the end of the array.
template <bool past, class T>
FASTNN_INLINE void drop(const Philox& random, int64_t begin, int64_t size, uint32_t threshold, T scale, const T* x,
                        T* y) {
  constexpr int L = lanes<T>;
  U32 words[2 * Philox::chains];
  random.generate(uint64_t(begin) / 4, words);
  const uint32_t* w = reinterpret_cast<const uint32_t*>(words);
#pragma GCC unroll 4
  for (int i = 0; i < Philox::words; i += L) {
    const Mask<T> keep = at_least<T>(w + i, threshold);
    if (past) fetch_ahead(x + begin + i);
    put<past>(y + begin + i, keep ? whole(load_part(x + begin + i, size - i)) * scale : Vec<T>{}, size - i);
  }
}

}  // namespace

// y = word >= p * 2^32 ? x / (1 - p) : 0
template <class T>
void dropout_forward(int64_t n, double p, uint64_t key, const T* x, T* y) {
  constexpr int64_t group = Philox::words;
  const bool all = p >= 1;
  const uint32_t threshold = all ? 0 : uint32_t(p * 4294967296.0);
  const T scale = all ? T(0) : T(1 / (1 - p));
  with_past(goes_past<T>(2 * double(n)) && to_aligned(y) == 0, [=](auto past) {
    parallel_for(ceil_div(n, group), double(n) * kCost, [=](int64_t begin, int64_t end) {
      if (all) {
        for (int64_t i = begin * group; i < end * group && i < n; ++i) y[i] = 0;
        return;
      }
      const Philox random(key);
      const int64_t full = end * group <= n ? end : n / group;
      for (int64_t i = begin; i < full; ++i) drop<past>(random, i * group, group, threshold, scale, x, y);
      if (full < end) drop<past>(random, full * group, n - full * group, threshold, scale, x, y);
      if (past) stream_fence();
    });
  });
}

// y[i, :] = word i >= p * 2^32 ? x[i, :] / (1 - p) : 0, for n planes of `inner` values
template <class T>
void spatial_dropout_forward(int64_t n, int64_t inner, double p, uint64_t key, const T* x, T* y) {
  const bool all = p >= 1;
  const uint32_t threshold = all ? 0 : uint32_t(p * 4294967296.0);
  const T scale = all ? T(0) : T(1 / (1 - p));
  const double values = double(n) * double(inner);
  with_past(goes_past<T>(2 * values), [=](auto past) {
    parallel_for(n, double(n) * kPlaneCost + values * kCopyCost, [=](int64_t begin, int64_t end) {
      constexpr int64_t group = Philox::words;
      const Philox random(key);
      U32 words[2 * Philox::chains];
      for (int64_t i = begin; i < end; ++i) {
        if (i == begin || i % group == 0) random.generate(uint64_t(i / group * group) / 4, words);
        if (!all && reinterpret_cast<const uint32_t*>(words)[i % group] >= threshold)
          map_run<past>(inner, [=](Vec<T> v) { return v * scale; }, y + i * inner, x + i * inner);
        else
          fill_whole(y + i * inner, T(0), inner, values);
      }
      if (past) stream_fence();
    });
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
