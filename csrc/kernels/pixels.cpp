// Channels as pixels of a larger image, and back:
//   fine[plane][h * factor + i][w * factor + j] = coarse[plane][i][j][h][w],  i, j < factor
// A row of the fine image is woven of `factor` rows, which lie a channel apart.
#include <type_traits>

#include "../parallel.h"
#include "../simd/vec.h"
#define FASTNN_FAMILY "pixels.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kCost = 0.3;  // rough nanoseconds per element out of cache

// fine[k * factor + j] = coarse[j * channel + k] for k < n and j < factor, or the other way round. Factor is int64_t or
// a constant, which the compiler makes vectors of.
template <bool to_fine, class Factor, class Coarse, class Fine>
FASTNN_INLINE void weave(int64_t n, Factor factor, int64_t channel, Coarse* __restrict coarse, Fine* __restrict fine) {
  if constexpr (std::is_same_v<Factor, int64_t>) {
    for (int64_t j = 0; j < factor; ++j)
      for (int64_t k = 0; k < n; ++k)
        if constexpr (to_fine)
          fine[k * factor + j] = coarse[j * channel + k];
        else
          coarse[j * channel + k] = fine[k * factor + j];
  } else {
    for (int64_t k = 0; k < n; ++k)
#pragma GCC unroll 4
      for (int64_t j = 0; j < factor; ++j)
        if constexpr (to_fine)
          fine[k * factor + j] = coarse[j * channel + k];
        else
          coarse[j * channel + k] = fine[k * factor + j];
  }
}

template <bool to_fine, class Factor, class Coarse, class Fine>
void move(int64_t planes, Factor factor, int64_t height, int64_t width, Coarse* coarse, Fine* fine) {
  const int64_t rows = planes * height, channel = height * width, row = width * factor;
  parallel_for(rows, kCost * double(rows) * double(row) * double(factor), [=](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t plane = at / height, h = at - plane * height;
      for (int64_t i = 0; i < factor; ++i)
        weave<to_fine>(width, factor, channel, coarse + ((plane * factor + i) * factor * height + h) * width,
                       fine + (at * factor + i) * row);
    }
  });
}

template <int64_t n>
using Constant = std::integral_constant<int64_t, n>;

template <bool to_fine, class Coarse, class Fine>
void move_any(int64_t planes, int64_t factor, int64_t height, int64_t width, Coarse* coarse, Fine* fine) {
  switch (factor) {
    case 2:
      return move<to_fine>(planes, Constant<2>{}, height, width, coarse, fine);
    case 3:
      return move<to_fine>(planes, Constant<3>{}, height, width, coarse, fine);
    case 4:
      return move<to_fine>(planes, Constant<4>{}, height, width, coarse, fine);
    default:
      return move<to_fine>(planes, factor, height, width, coarse, fine);
  }
}

}  // namespace

template <class T>
void pixel_shuffle(int64_t planes, int64_t factor, int64_t height, int64_t width, const T* coarse, T* fine) {
  move_any<true>(planes, factor, height, width, coarse, fine);
}

template <class T>
void pixel_unshuffle(int64_t planes, int64_t factor, int64_t height, int64_t width, const T* fine, T* coarse) {
  move_any<false>(planes, factor, height, width, coarse, fine);
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
