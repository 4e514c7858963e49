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

// Bytes of a packed panel of B (depth x tile columns). A tile reads the panel from the second-level cache, which keeps
// up with the tile (9 bytes a cycle); so panels may be deep, and tiles read and write C seldom. Zen 5, rows of C 4 KB
// apart: 257 GFLOP/s at the depth of these panels, 512, and 243 at a depth of 192. A product of 1024x1024x1024 takes
// 0.93 of the time that it took with panels of 24 KB, conv2d 1x1 of 64 channels 0.92.
constexpr int64_t kPanelBytes = 64 * 1024;

// A thread goes through the depth blocks of this many panels together, and keeps their outputs in its second-level
// cache meanwhile.
constexpr int64_t kJointPanels = 8;

// If C has up to this many rows, 8 panels of it are kept in a thread's buffer (512 KB) between depth blocks.
constexpr int64_t kHeldRows = 512;

// Rows are transposed, so that lanes run across rows (columns.h), if the copies of a row take up to this many vectors
// together. Zen 5: log-softmax of 64 rows of 80 takes 1.9 us instead of 3.1, of 64 rows of 128 3.0 instead of 3.7, of
// 64 rows of 160 3.7 instead of 3.9; softmax's backward of rows of 80, which makes two copies, would take 1.7 instead
// of 1.2.
constexpr int kTransposedRow = 8;

// Bytes of the scratch for a block of neighbouring positions (columns.h), which stays in the second-level cache; and
// the most bytes that one row of the block may take.
constexpr int64_t kColumnBlockBytes = 128 * 1024, kColumnRowBytes = 2048;

// Direct convolution (conv_direct.h) is taken within these limits; beyond them B is packed. The rows of A times the
// share of columns that are computed in vain are at most kDirectWaste, which is about what packing a vector of B costs
// in multiply-adds. The padded copy of an image has at most kDirectCopyBytes, three quarters of a 1 MB second-level
// cache.
constexpr double kDirectWaste = 40;
constexpr int64_t kDirectCopyBytes = 768 * 1024;

// Least depth of a convolution with lanes across output channels (conv_channels.h): to transpose the results
// costs a tile about as much as 16 of its steps.
constexpr int64_t kChannelDepth = 64;

// Ways of convolution that are ill-suited to few channels are taken only for groups of at least this many output
// channels: about half the rows of AVX-512's tile. No measurement of it is kept.
constexpr int64_t kTileChannels = 8;

// Most bytes that the copy of a block of images may take (conv_lanes.h): twice the second-level cache.
constexpr int64_t kLaneCopyBytes = 2 << 20;

// Most bytes that the copy of a block of channels may take (conv_weight_channels.h); the copy is read in order.
constexpr int64_t kChannelCopyBytes = 8 << 20;

// Limits of Winograd's way, whose arrays U, V and M are described in conv_winograd.h. A block has at most
// kWinogradTiles tiles, and its V and M have about kWinogradValues elements together. If U has more than
// kWinogradWeights elements, weights are transformed some rows at a time; threads then share one V, of about
// kWinogradShared elements.
constexpr int64_t kWinogradValues = 192 * 1024, kWinogradTiles = 128;
constexpr int64_t kWinogradWeights = 1 << 20, kWinogradShared = 4 << 20;

// Winograd's way is taken if its estimated gain over a convolution by all taps is more than kWinogradGain; beyond
// kWinogradFarGain it also comes before lanes across images. Of 400 sizes on Zen 5 that gain so much, one lost 10 %,
// and no other more than 4 %.
constexpr double kWinogradGain = 1.35, kWinogradFarGain = 2;

// A sum of more than kLongSum terms is cut into runs of at most kSumRun terms, and each run is summed by itself, since
// the error of one chain of float additions grows with its length: 2e-5 for 2048 terms, 1e-4 for 16384, 1e-3 for 10^7;
// and a chain that adds ones stops at 2^24. Few ordinary products are deeper than kLongSum.
constexpr int64_t kLongSum = 16 * 1024, kSumRun = 2048;

// Rough nanoseconds of a multiply-add on one core; only decides when a second thread is woken.
template <class T>
constexpr double kMultiplyAddCost = sizeof(T) * 0.004 * (64.0 / FASTNN_VEC_BYTES);

}  // namespace
}  // namespace fastnn::FASTNN_ISA
