// Arithmetic of counts and places.
#pragma once
#include <cstdint>

#include "../simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

FASTNN_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
FASTNN_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
FASTNN_INLINE int64_t clamp(int64_t a, int64_t low, int64_t high) { return a < low ? low : a > high ? high : a; }

// `a / b` of numbers that are not negative. Small ones are divided in 32 bits: a 64-bit division takes three times as
// long, and kernels divide for every tap of every panel.
FASTNN_INLINE int64_t divide(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? int64_t(uint32_t(a) / uint32_t(b)) : a / b;
}
// `a / b` rounded up, where a >= 0. Where a < 0, some number that is not positive.
FASTNN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return b == 1 ? a : divide(a + b - 1, b); }

struct Range {
  int64_t begin, end;
};
// Those i of [0, count) for which 0 <= first + i * step < size.
FASTNN_INLINE Range inside(int64_t first, int64_t step, int64_t count, int64_t size) {
  Range range = {0, count};
  if (first < 0) range.begin = least(ceil_div(-first, step), count);
  if (first + (count - 1) * step >= size)
    range.end = size > first ? clamp(ceil_div(size - first, step), range.begin, count) : range.begin;
  return range;
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
