// Where the maxima of windows were: from taps, as max_pool_forward numbers them, to flat positions in the image.
#include "../parallel.h"
#define FASTNN_FAMILY "pool_positions.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kCost = 1.0;       // rough nanoseconds per output
constexpr int64_t kTable = 256;     // taps that have a byte for an index

// How far tap t = (a KH + b) KW + c is from tap 0.
inline int64_t distance(const Pool& g, int64_t t) {
  const int64_t c = t % g.kernel[2], b = t / g.kernel[2] % g.kernel[1], a = t / g.kernel[2] / g.kernel[1];
  return (a * g.dilation[0] * g.size[1] + b * g.dilation[1]) * g.size[2] + c * g.dilation[2];
}

// f(i, where tap 0 of output i lies) for the outputs of one plane, i counted from 0
template <class F>
inline void for_outputs(const Pool& g, const F& f) {
  int64_t i = 0;
  for (int64_t od = 0; od < g.out[0]; ++od)
    for (int64_t oh = 0; oh < g.out[1]; ++oh) {
      const int64_t d = od * g.stride[0] - g.pad[0], h = oh * g.stride[1] - g.pad[1];
      const int64_t row = (d * g.size[1] + h) * g.size[2] - g.pad[2];
      for (int64_t ow = 0; ow < g.out[2]; ++ow, ++i) f(i, row + ow * g.stride[2]);
    }
}

}  // namespace

// index (n, c, out) of taps -> positions (n, c, out)
template <class T>
void max_pool_positions(Pool g, const void* index, int64_t* positions) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], outputs = g.out[0] * g.out[1] * g.out[2];
  int64_t table[kTable] = {};  // bytes may be taps that windows don't have
  for (int64_t t = 0; t < taps && taps <= kTable; ++t) table[t] = distance(g, t);
  parallel_for(g.n * g.c, double(g.n * g.c) * double(outputs) * kCost, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      int64_t* to = positions + plane * outputs;
      const uint8_t* bytes = static_cast<const uint8_t*>(index) + plane * outputs;
      const int32_t* words = static_cast<const int32_t*>(index) + plane * outputs;
      if (taps <= kTable)
        for_outputs(g, [&](int64_t i, int64_t first) { to[i] = first + table[bytes[i]]; });
      else
        for_outputs(g, [&](int64_t i, int64_t first) { to[i] = first + distance(g, words[i]); });
    }
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
