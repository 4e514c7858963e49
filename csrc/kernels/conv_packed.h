// Convolution by panels of the patch matrix, which are packed a depth block at a time: the way that suits every shape.
#pragma once
#include "conv_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Where the results of a tile go: its columns are at most N runs in a plane of y, and its rows are channels, whose
// planes lie `plane` values apart.
template <class T, int N>
struct RunOutput {
  struct Run {
    int64_t column, size, to;
  };
  T* y;
  int64_t plane, step;
  int count = 0;
  Run runs[N];

  RunOutput(const Patches& p, T* y) : y(y), plane(p.out_plane()), step(p.axis[2].out_step) {}
  void add(int64_t column, int64_t size, int64_t to) { runs[count++] = {column, size, to}; }
  void read(int64_t channel, T* row) const {
    const T* from = y + channel * plane;
    for (int i = 0; i < count; ++i) gather_run(row + runs[i].column, from + runs[i].to, runs[i].size, step);
  }
  void write(int64_t channel, const T* row) const {
    T* to = y + channel * plane;
    for (int i = 0; i < count; ++i) {
      if (step == 1)
        copy_run(to + runs[i].to, row + runs[i].column, runs[i].size);
      else
        scatter_run(to + runs[i].to, row + runs[i].column, runs[i].size, step);
    }
  }
};

// What packed_gemm writes to.
template <class T>
struct PanelOutput : RunOutput<T, kTileCols<T>> {
  bool whole = false;  // whether the columns are whole vectors that lie side by side in y

  using RunOutput<T, kTileCols<T>>::RunOutput;
  const T* start(T*) const { return nullptr; }  // a bias is per channel, so per row
  T* direct(int64_t* ldc) const {
    *ldc = this->plane;
    return whole ? this->y + this->runs[0].to : nullptr;
  }
};

template <class T>
struct Packed {
  const Product<T>& product;

  const char* name() const { return "packed"; }
  bool suits() const { return true; }
  bool run() const {
    product.with_packed_rows([this](const T* a) {
      packed_gemm<T>(product.groups, product.group_out(), columns(), product.depth(), a, product.bias, *this);
    });
    return true;
  }

  int64_t columns() const { return product.images * product.p.grid(); }
  int64_t grid_runs_of(int64_t j, GridRun* to) const {
    return grid_runs(product.p, j * kTileCols<T>, least((j + 1) * kTileCols<T>, columns()), to);
  }
  void pack(int64_t group, int64_t j, int64_t k0, int64_t k1, T* panel) const {
    GridRun grid[kTileCols<T>];
    PatchRun runs[3 * kTileCols<T>];
    const int64_t count = grid_runs_of(j, grid);
    pack_patches(product.p, product.plane_in(0, group), product.channels_in * product.p.in_plane(), grid, count, runs,
                 k0, k1, panel, kTileCols<T>);
  }
  PanelOutput<T> output(int64_t group, int64_t j) const {
    GridRun grid[kTileCols<T>];
    const Patches& p = product.p;
    const int64_t count = grid_runs_of(j, grid), stride = product.channels_out * p.out_plane();
    PanelOutput<T> output(p, product.plane_out(0, group));
    for (int64_t i = 0; i < count; ++i)
      output.add(grid[i].column, grid[i].size, grid[i].image * stride + p.out_place(grid[i].d, grid[i].h, grid[i].w));
    const GridRun& last = grid[count - 1];
    output.whole = last.column + last.size == kTileCols<T> && last.image == grid[0].image && p.dense_output();
    return output;
  }
};

// Sums of so many terms that packed_gemm cuts them into runs, and adds the runs in double, to keep their digits. No
// other way does so: this one has to come first.
template <class T>
struct LongSums : Packed<T> {
  const char* name() const { return "long sums"; }
  bool suits() const { return this->product.depth() > kLongSum; }
};

// A single dense tap is a plain product, whose panels are runs of x's own rows. With channels enough, copying these
// costs less than transposing the results, as the way with lanes across channels must: 256x14x14 -> 256 takes 3.6 ms
// instead of 4.1 on Zen 5, 64x56x56 -> 64 4.6 instead of 6.2; on one core of a virtual Sapphire Rapids it is 0.98 to
// 1.8 times as fast (15 shapes, 8 or 32 images), on two 1.04 to 1.4.
template <class T>
struct OneTap : Packed<T> {
  // The least number of output channels is that of the narrowest shape above; the least number of columns is that of
  // the panels that a thread takes together.
  static constexpr int64_t kLeastChannels = 64, kLeastColumns = kJointPanels * kTileCols<T>;

  const char* name() const { return "one tap"; }
  bool suits() const {
    const Patches& p = this->product.p;
    return p.taps() == 1 && PaddedLayout(p).in_place() && p.dense_output() && this->columns() >= kLeastColumns &&
           this->product.group_out() >= kLeastChannels;
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
