// Block sizes and cut-offs, each with the measurement or the limit that set it.
#pragma once
#include <cstdint>

namespace fastnn::FASTNN_ISA {
namespace {

// Register tile of the outer-product GEMM: kTileRows x (2 vectors). Accumulators, two vectors of B and one broadcast
// of A have to fit the register file: 14*2 + 3 = 31 of 32, 6*2 + 3 = 15 of 16. The portable x86 baseline has no fused
// multiply-add and needs a temporary for the product as well.
#if FASTNN_VEC_BYTES == 64
constexpr int kTileRows = 14;
#elif FASTNN_VEC_BYTES == 32
constexpr int kTileRows = 6;
#elif defined(__aarch64__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVectors = 2;

// Tile of the dot-product GEMM (both operands contiguous along the reduction): kDotRows x kDotCols accumulators.
#if FASTNN_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kDotRows = 6, kDotCols = 4;
#else
constexpr int kDotRows = 3, kDotCols = 3;
#endif

// Bytes of a packed panel of B (depth x tile columns): it comes from the second-level cache, which keeps up with a tile
// (9 bytes a cycle), and so tiles are deep and read and write C seldom. Zen 5, rows of C 4 KB apart: 257 GFLOP/s at
// this depth, 512, and 243 at 192; 1024x1024x1024 takes 0.93 of the time that panels of 24 KB took, conv2d 1x1 of 64
// channels 0.92.
constexpr int64_t kPanelBytes = 64 * 1024;

// Panels whose outputs a thread keeps in its second-level cache while it goes through the depth blocks.
constexpr int64_t kJointPanels = 8;

// Up to this many rows, 8 panels of C are kept in a thread's buffer between depth blocks (512 KB).
constexpr int64_t kHeldRows = 512;

// Rows of up to this many vectors, all that are copied counted, are turned so that lanes run across rows (columns.h).
// Zen 5: log-softmax of 64 rows of 80 takes 1.9 us instead of 3.1, of 128 3.0 instead of 3.7, of 160 3.7 instead
// of 3.9; softmax's backward, with two copies, of 80 would take 1.7 instead of 1.2.
constexpr int kTransposedRow = 8;

// Bytes of the scratch for a block of neighbouring positions (columns.h), which stays in the second-level cache; and
// the most bytes that one row of the block may take.
constexpr int64_t kColumnBlockBytes = 128 * 1024, kColumnRowBytes = 2048;

// Limits of direct convolution (conv_direct.h), else packing: rows of A times the share of columns computed in vain
// stay below this, about what packing a vector of B costs in multiply-adds; and the padded copy of an image is at most
// this large, three quarters of a 1 MB second-level cache.
constexpr double kDirectWaste = 40;
constexpr int64_t kDirectCopyBytes = 768 * 1024;

// Least depth of a convolution with lanes across output channels (conv_channels.h): turning the results costs a tile
// about as much as 16 of its steps.
constexpr int64_t kChannelDepth = 64;

// Least output channels of a group for ways that suit few channels ill: about half the rows of AVX-512's tile. No
// measurement of it is kept.
constexpr int64_t kTileChannels = 8;

// Largest copy of a block of images (conv_lanes.h): twice the second-level cache.
constexpr int64_t kLaneCopyBytes = 2 << 20;

// Largest copy of a block of channels (conv_weight_channels.h), which is read in order.
constexpr int64_t kChannelCopyBytes = 8 << 20;

// Limits of Winograd's way (conv_winograd.h). V and M of a block of tiles have kWinogradValues values together, about,
// and a block has at most kWinogradTiles tiles. Where U has kWinogradWeights values or more, weights are transformed
// some rows at a time, and the V that threads then share has kWinogradShared values, about.
constexpr int64_t kWinogradValues = 192 * 1024, kWinogradTiles = 128;
constexpr int64_t kWinogradWeights = 1 << 20, kWinogradShared = 4 << 20;

// Least estimated gain over all taps for which Winograd's way is taken, and for which it comes before lanes across
// images. Of 400 sizes on Zen 5 that gain so much, one lost 10 %, and no other more than 4 %.
constexpr double kWinogradGain = 1.35, kWinogradFarGain = 2;

// Terms from which on a sum is cut into runs of at most kSumRun that are added apart: a chain of additions of one float
// errs by 2e-5 for 2048 terms, by 1e-4 for 16384, by 1e-3 for 10^7, and of ones stops at 2^24. Few ordinary products
// are as deep.
constexpr int64_t kLongSum = 16 * 1024, kSumRun = 2048;

// Rough nanoseconds of a multiply-add on one core; only decides when a second thread is woken.
template <class T>
constexpr double kMultiplyAddCost = sizeof(T) * 0.004 * (64.0 / FASTNN_VEC_BYTES);

}  // namespace
}  // namespace fastnn::FASTNN_ISA
