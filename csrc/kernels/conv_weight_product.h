// A weight gradient as a product of matrices: what each way of carrying it out (conv_product.h) is given.
//   dy (N, K, out)  x (N, C, size)  ->  dweight (K, C/groups, kernel)
//
// The reduction over images and pixels is cut into blocks by the shape alone; each block has a partial sum of its own,
// and these are added in order.
#pragma once
#include "conv_layout.h"
#include "conv_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Most pixels in a row of a dot tile: all rows of a tile fit the first-level cache together.
constexpr int64_t kPixels = 512;
constexpr int64_t kPatchRows = 32;  // rows of the patch matrix per item
constexpr int64_t kMostSums = 16;
constexpr int64_t kPartialValues = 4 << 20;  // the partial sums together have at most so many values
// Rough nanoseconds to add a value to a sum, and to copy or transpose a value of dy or dweight; they only decide how
// many threads are asked to help.
constexpr double kAddCost = 0.2, kMoveCost = 0.3;

// A partial sum. Where it has many terms, runs of these are summed by themselves, in `run`, and then added to `sum`.
// Where it has fewer, `run` is `sum`.
template <class T>
struct SumOfRuns {
  T *sum, *run;
  int64_t longest;              // a run ends when it has this many terms
  int64_t terms = 0, runs = 0;  // terms of the current run so far; runs that have ended

  // Whether the run ends after n more terms; `last` says whether these are the last of the sum.
  bool ends(int64_t n, bool last) const { return run != sum && (last || terms + n >= longest); }
  // Adds `size` values, from `at` on, of a run that ends to the sum.
  void add(int64_t at, int64_t size) const {
    T* const to = sum + at;
    if (runs == 0) return copy_run(to, run + at, size);
    for (int64_t i = 0; i < size; i += lanes<T>) store(to + i, load(to + i) + load(run + at + i));
  }
  void advance(int64_t n, bool ended) { terms = ended ? 0 : terms + n, runs += ended; }
};

template <class T>
struct WeightProduct {
  const Conv& g;
  const T *dy, *x;
  T* dweight;
  PaddedLayout layout{output_patches(g)};

  int64_t group_in() const { return g.c / g.groups; }
  int64_t group_out() const { return g.k / g.groups; }
  int64_t taps() const { return layout.p.taps(); }
  int64_t plane() const { return layout.p.grid(); }
  int64_t depth() const { return group_in() * taps(); }
  int64_t size() const { return g.k * depth(); }
  bool empty() const { return g.n == 0 || size() == 0; }
  double cost() const { return double(size()) * double(g.n) * double(plane()) * kMultiplyAddCost<T>; }
  const T* plane_in(int64_t image, int64_t group) const {
    return x + (image * g.c + group * group_in()) * layout.p.in_plane();
  }
  const T* plane_out(int64_t image, int64_t group) const { return dy + (image * g.k + group * group_out()) * plane(); }

  // As many partial sums as are wanted, but so few that together they stay below kPartialValues.
  int64_t bounded_sums(int64_t wanted) const {
    return wanted * size() > kPartialValues ? clamp(kPartialValues / size(), 1, wanted) : wanted;
  }
  // Calls make(out), which computes the partial sums out (sums, K, depth), and then adds these. A single one is the
  // result itself.
  template <class Make>
  void add_partial_sums(int64_t sums, const Make& make) const {
    if (sums == 1) return make(dweight);
    shared_values<T>(sums * size(), [&](T* partial) {
      make(partial);
      add(sums, partial);
    });
  }
  // Calls way.item(sum, group, block, memory, scratch) for each partial sum, each group, and each of `blocks` blocks.
  template <class Way, class Memory>
  void for_each_sum(const Way& way, int64_t blocks, double cost, const Memory& memory) const {
    const int64_t groups = g.groups;
    parallel_with(way.sums * groups * blocks, cost, way, [&, groups](int64_t begin, int64_t end, const auto& scratch) {
      for (int64_t i = begin; i < end; ++i)
        way.item(i / blocks / groups, i / blocks % groups, i % blocks, memory, scratch);
    });
  }

 private:
  void add(int64_t sums, const T* partial) const {
    constexpr int64_t L = lanes<T>;
    const int64_t n = size();
    T* const out = dweight;
    parallel_for(ceil_div(n, L), double(n * sums) * kAddCost, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin * L; i < end * L && i < n; i += L) {
        const int size = int(least(n - i, L));
        Vec<T> sum = load_n(partial + i, size);
        for (int64_t s = 1; s < sums; ++s) sum += load_n(partial + s * n + i, size);
        store_n(out + i, sum, size);
      }
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
