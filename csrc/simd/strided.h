// Vectors whose lanes are not simply consecutive in memory: parts of a vector, every second element, narrow integers.
#pragma once
#include "shuffle.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
FASTNN_INLINE int clamp_lane(int64_t i) {
  return i < 0 ? 0 : i > lanes<T> ? lanes<T> : int(i);
}

template <class T>
FASTNN_INLINE Mask<T> splat(int64_t i) {
  return Mask<T>{} + typename VecTraits<T>::Int(i);
}
// Lane i is start + i * step.
template <class T>
FASTNN_INLINE Mask<T> ramp(int64_t start, int64_t step) {
  return splat<T>(start) + splat<T>(step) * iota<T>();
}

// The lanes first <= i < last of a vector, in the form that loads want. first and last may be any numbers: those
// outside of the vector are clamped.
template <class T>
struct Part {
  Part() = default;
  FASTNN_INLINE Part(int64_t first, int64_t last) {
    const int lo = clamp_lane<T>(first), hi = clamp_lane<T>(last);
#if FASTNN_VEC_BYTES == 64
    bits = uint16_t(((1u << hi) - 1) & ~((1u << lo) - 1));
#else
    begin = lo, end = hi;
#endif
  }
#if FASTNN_VEC_BYTES == 64
  uint16_t bits;
#else
  int begin, end;
#endif
};

// (a0 a1 a2 … | b0 b1 …) seen as one sequence: its elements at even and at odd places.
template <class T>
FASTNN_INLINE void deinterleave(Vec<T> a, Vec<T> b, Vec<T>& even, Vec<T>& odd) {
  even = even_lanes(a, b);
  odd = odd_lanes(a, b);
}
// The inverse: a0 b0 a1 b1 … over two vectors.
template <class T>
FASTNN_INLINE void interleave(Vec<T> a, Vec<T> b, Vec<T>& low, Vec<T>& high) {
  low = zip_lower(a, b);
  high = zip_upper(a, b);
}

// n <= 8 bytes from p as a little-endian number, and the inverse; no other memory is touched.
FASTNN_INLINE uint64_t load_bytes(const uint8_t* p, int n) {
  uint64_t v = 0;
  if (n == 8) {
    __builtin_memcpy(&v, p, 8);
    return v;
  }
  for (int size = 4, at = 0; size > 0; size /= 2)
    if (n & size) {
      uint32_t part = 0;
      __builtin_memcpy(&part, p + at, size_t(size));
      v |= uint64_t(part) << 8 * at;
      at += size;
    }
  return v;
}
FASTNN_INLINE void store_bytes(uint8_t* p, uint64_t v, int n) {
  if (n == 8) {
    __builtin_memcpy(p, &v, 8);
    return;
  }
  for (int size = 4; size > 0; size /= 2)
    if (n & size) {
      __builtin_memcpy(p, &v, size_t(size));
      p += size;
      v >>= 8 * size;
    }
}

// One byte per lane: byte i of `bits` is lane i. There are intrinsics here because compilers make scalar code of the
// conversion of such short vectors.
template <class T>
FASTNN_INLINE Mask<T> widen_bytes(uint64_t bits) {
#if FASTNN_VEC_BYTES == 32
  if constexpr (sizeof(T) == 4)
    return (Mask<T>)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(int64_t(bits)));
  else
    return (Mask<T>)_mm256_cvtepu8_epi64(_mm_cvtsi64_si128(int64_t(bits)));
#else
  Mask<T> m = {};
  for (int i = 0; i < lanes<T> && i < 8; ++i) m[i] = uint8_t(bits >> 8 * i);
  return m;
#endif
}
template <class T>
FASTNN_INLINE uint64_t narrow_to_bytes(Mask<T> m) {
#if FASTNN_VEC_BYTES == 32
  const __m256i low_halves = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  const __m256i v = sizeof(T) == 4 ? (__m256i)m : _mm256_permutevar8x32_epi32((__m256i)m, low_halves);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  return uint64_t(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
#else
  uint64_t bits = 0;
  for (int i = 0; i < lanes<T> && i < 8; ++i) bits |= uint64_t(m[i] & 255) << 8 * i;
  return bits;
#endif
}

// Bytes from memory, one per lane of Vec<T>.
template <class T>
FASTNN_INLINE Mask<T> load_index(const uint8_t* p) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    return (Mask<T>)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)p));
  else
    return (Mask<T>)_mm512_maskz_cvtepu8_epi64(0xff, _mm_loadl_epi64((const __m128i*)p));
#else
  return widen_bytes<T>(load_bytes(p, lanes<T>));
#endif
}
// Lanes outside the part are zero and not read.
template <class T>
FASTNN_INLINE Mask<T> load_index_part(const uint8_t* p, const Part<T>& part) {
#if FASTNN_VEC_BYTES == 64
  const __m128i bytes = _mm_maskz_loadu_epi8(part.bits, p);
  if constexpr (sizeof(T) == 4)
    return (Mask<T>)_mm512_maskz_cvtepu8_epi32(part.bits, bytes);
  else
    return (Mask<T>)_mm512_maskz_cvtepu8_epi64(__mmask8(part.bits), bytes);
#else
  const int n = part.end - part.begin;
  return n > 0 ? widen_bytes<T>(load_bytes(p + part.begin, n) << 8 * part.begin) : Mask<T>{};
#endif
}
// Stores the first n lanes as bytes, or as 32-bit integers.
template <class T>
FASTNN_INLINE void store_index_n(uint8_t* p, Mask<T> m, int n) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    _mm512_mask_cvtepi32_storeu_epi8(p, __mmask16((1u << n) - 1), (__m512i)m);
  else
    _mm512_mask_cvtepi64_storeu_epi8(p, __mmask8((1u << n) - 1), (__m512i)m);
#else
  store_bytes(p, narrow_to_bytes<T>(m), n);
#endif
}
template <class T>
FASTNN_INLINE void store_index_n(int32_t* p, Mask<T> m, int n) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)m);
  else
    _mm512_mask_cvtepi64_storeu_epi32(p, __mmask8((1u << n) - 1), (__m512i)m);
#else
  for (int i = 0; i < lanes<T>; ++i)
    if (i < n) p[i] = int32_t(m[i]);
#endif
}

// Updates a running maximum and the tap that gave it. Of equal values the first wins, and the first NaN wins over all.
template <class T>
FASTNN_INLINE void take_larger(Vec<T>& best, Mask<T>& index, Vec<T> v, Mask<T> tap) {
#if FASTNN_VEC_BYTES == 64
  // not (v <= best) is true when either is NaN; the second comparison makes a best that is NaN stay.
  if constexpr (sizeof(T) == 4) {
    __mmask16 wins = _mm512_cmp_ps_mask((__m512)v, (__m512)best, _CMP_NLE_UQ);
    wins = _mm512_mask_cmp_ps_mask(wins, (__m512)best, (__m512)best, _CMP_ORD_Q);
    best = (Vec<T>)_mm512_mask_mov_ps((__m512)best, wins, (__m512)v);
    index = (Mask<T>)_mm512_mask_mov_epi32((__m512i)index, wins, (__m512i)tap);
  } else {
    __mmask8 wins = _mm512_cmp_pd_mask((__m512d)v, (__m512d)best, _CMP_NLE_UQ);
    wins = _mm512_mask_cmp_pd_mask(wins, (__m512d)best, (__m512d)best, _CMP_ORD_Q);
    best = (Vec<T>)_mm512_mask_mov_pd((__m512d)best, wins, (__m512d)v);
    index = (Mask<T>)_mm512_mask_mov_epi64((__m512i)index, wins, (__m512i)tap);
  }
#else
  const Mask<T> wins = ~(v <= best) & (best == best);
  best = wins ? v : best;
  index = wins ? tap : index;
#endif
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
