// Convolution backward-weight and backward-bias: products over pixels, in which both operands are contiguous.
//   dy (N, K, out)  x (N, C, size)  ->  dweight (K, C/groups, kernel), dbias (K)
#include "../simd/reduce.h"
#include "conv_depthwise_weight.h"
#include "conv_weight_channels.h"
#include "conv_weight_direct.h"
#include "conv_weight_packed.h"
#include "conv_winograd_weight.h"
#include "unflushed.h"
#define FASTNN_FAMILY "conv_weight.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Calls use(way) for the first way of a weight gradient that suits (choice.h).
template <class T, class Use>
void first_way(const WeightProduct<T>& sum, const Use& use) {
  first_that_suits<DepthwiseWeight<T>, WinogradWeight<T>, ChannelWeight<T>, DirectWeight<T>, PackedWeight<T>>(sum, use);
}

}  // namespace

// y[n, k, o] = bias[k] + sum weight[k, c, t] * x[n, c, o * stride + t * dilation - pad]
//   =>  dweight[k, c, t] = sum_{n, o} dy[n, k, o] * x[n, c, o * stride + t * dilation - pad]
template <class T>
void conv_backward_weight(const Conv& g, const T* dy, const T* x, T* dweight) {
  const WeightProduct<T> product{g, dy, x, dweight};
  if (product.empty()) return zero_run(dweight, product.size());
  compute_unflushed<T>({product.size(), dweight}, {g.n * g.k * volume(g.out), dy}, {g.n * g.c * volume(g.size), x},
                       [&] { first_way(product, [](const auto& way) { return way.run(); }); });
}

// y[n, k, o] = bias[k] + …  =>  dbias[k] = sum_{n, o} dy[n, k, o]
// Blocks of a plane are summed in T, and their sums, of all images, are added in double.
template <class T>
void conv_backward_bias(const Conv& g, const T* dy, T* dbias) {
  const int64_t plane = volume(g.out);
  parallel_for(g.k, double(g.n * g.k) * double(plane) * kAddCost, [=](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      double sum = 0;
      for (int64_t n = 0; n < g.n; ++n) {
        const T* row = dy + (n * g.k + k) * plane;
        for (int64_t i = 0; i < plane; i += kPixels) sum += double(block_sum(row + i, clamp(plane - i, 0, kPixels)));
      }
      dbias[k] = T(sum);
    }
  });
}

// Sets *name to the name of the way that conv_backward_weight takes.
template <class T>
void conv_weight_way(const Conv& g, const char** name) {
  const WeightProduct<T> product{g, nullptr, nullptr, nullptr};
  *name = "nothing to sum";
  if (!product.empty()) first_way(product, [=](const auto& way) { return *name = way.name(), true; });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
