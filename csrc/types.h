// Plain geometry of each op family: what a kernel needs to know beside its pointers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastnn {

// Spatial arrays are ordered depth, height, width; 1-d and 2-d ops have leading ones.
struct Conv {
  int64_t n, c, k, groups;  // x (n, c, size), weight (k, c / groups, kernel), y (n, k, out)
  int64_t size[3], out[3], kernel[3], stride[3];
  int64_t pad[3];  // on the low side; the high side is implied by out
  int64_t dilation[3];
  bool all_taps;  // Winograd's algorithm is not wanted
};

struct Pool {
  int64_t n, c;  // x (n, c, size), y (n, c, out)
  int64_t size[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
  int64_t pad_end[3];  // padding asked for on the high side: bounds what count_include_pad counts
};

struct AdaptivePool {
  int64_t n, c;  // window i of an axis: floor(i*size/out) .. ceil((i+1)*size/out)
  int64_t size[3], out[3];
};

// Output o of an axis is the sum of weight[k][o] * input index[k][o] over k < taps.
struct ResampleAxis {
  int64_t taps, span;    // the inputs of an output lie in a run of at most `span`
  const int32_t* index;  // (taps, out)
  const void* weight;    // (taps, out), of the type of the images
  const int32_t* empty;  // outputs without inputs, in order
  int64_t empties;
  bool copies, same;  // outputs are inputs; output o is input o
};

struct Resample {
  int64_t n, c;  // x (n, c, size), y (n, c, out)
  int64_t size[3], out[3];
  ResampleAxis axes[3];
};

// x seen as (outer, channels, inner); batch norm reduces over outer and inner, layer norm has one channel.
struct Norm {
  int64_t outer, channels, inner;
};

// x seen as (n, groups, channels, inner), channels counted per group.
struct GroupNorm {
  int64_t n, groups, channels, inner;
};

// What padding holds: a value, or elements mirrored, the outermost one, or those of the other end.
enum PadMode : int { kConstant, kReflect, kReplicate, kCircular };

// One direction of one recurrent layer; the state is (batch, units).
enum RnnKind : int { kTanhCell, kReluCell, kLstmCell, kGruCell, kResetFirstGruCell };
struct Rnn {
  int64_t steps, batch, units;
  bool reverse;
  RnnKind cell;
};

// x seen as (outer, n, inner), normalised over the middle axis.
struct Softmax {
  int64_t outer, n, inner;
};

}  // namespace fastnn
