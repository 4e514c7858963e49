// Probes of the machine and of how work is split. The benchmark report takes its limits from them, and the tests of
// threads use them.
#include "../simd/reduce.h"
#define FASTNN_FAMILY "probe.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Enough independent chains to cover latency (4 cycles) times throughput (2 per cycle), few enough for 16 registers.
constexpr int kChains = 12;
constexpr double kAlways = 1e12;  // nanoseconds: every thread is worth waking

// Does `steps` rounds of acc = acc * a + b on each chain. Nothing is loaded or stored.
template <class T>
T fma_chains(int64_t steps, T start) {
  const Vec<T> a = set1(start), b = set1(T(1) - start);
  Vec<T> acc[kChains];
  for (int j = 0; j < kChains; ++j) acc[j] = set1(T(j));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) acc[j] = fma(acc[j], a, b);
  }
  for (int j = 1; j < kChains; ++j) acc[0] += acc[j];
  return reduce_add<T>(acc[0]);
}

}  // namespace

// out (tasks): each task runs the chains for `steps` rounds, starting from out's value; flops gets the total count
template <class T>
void probe_fma(int64_t tasks, int64_t steps, T* out, int64_t* flops) {
  parallel_for(tasks, kAlways, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = fma_chains(steps, out[i]);
  });
  *flops = 2 * kChains * lanes<T> * steps * tasks;
}

// y (n) = x (n); with stream_stores, y must be aligned to 64 bytes
template <class T>
void probe_copy(int64_t n, bool stream_stores, const T* x, T* y) {
  constexpr int64_t L = lanes<T>;
  const int64_t blocks = n / L;
  parallel_for(blocks, kAlways, [=](int64_t begin, int64_t end) {
    if (stream_stores) {
      for (int64_t i = begin; i < end; ++i) stream(y + i * L, load(x + i * L));
      stream_fence();
    } else {
      for (int64_t i = begin; i < end; ++i) store(y + i * L, load(x + i * L));
    }
  });
  store_n(y + blocks * L, load_n(x + blocks * L, int(n - blocks * L)), int(n - blocks * L));
}

// out (n): out[i] is the beginning of the range in which parallel_for handed out i, in a loop whose cost is said to be
// `cost`.
template <class T>
void probe_ranges(int64_t n, double cost, T* out) {
  parallel_for(n, cost, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = T(begin);
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
