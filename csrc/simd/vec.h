// A vector of the instruction set being compiled: compiler vector extensions, with intrinsics only where those have no
// operator (fused multiply-add, partial loads, square root). Vec<T> supports + - * / and comparisons directly; a
// comparison gives a Mask<T> of all-ones or zero lanes.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#if defined(__clang__)
#include <immintrin.h>
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 warns of its own _mm512_undefined
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct VecTraits;
template <>
struct VecTraits<float> {
  using Int = int32_t;
  typedef float Type __attribute__((vector_size(FASTNN_VEC_BYTES)));
  typedef float Unaligned __attribute__((vector_size(FASTNN_VEC_BYTES), aligned(4), may_alias));
  typedef int32_t MaskType __attribute__((vector_size(FASTNN_VEC_BYTES)));
  typedef uint32_t BitsType __attribute__((vector_size(FASTNN_VEC_BYTES)));
};
template <>
struct VecTraits<double> {
  using Int = int64_t;
  typedef double Type __attribute__((vector_size(FASTNN_VEC_BYTES)));
  typedef double Unaligned __attribute__((vector_size(FASTNN_VEC_BYTES), aligned(8), may_alias));
  typedef int64_t MaskType __attribute__((vector_size(FASTNN_VEC_BYTES)));
  typedef uint64_t BitsType __attribute__((vector_size(FASTNN_VEC_BYTES)));
};

template <class T>
using Vec = typename VecTraits<T>::Type;
template <class T>
using Mask = typename VecTraits<T>::MaskType;
template <class T>
using Bits = typename VecTraits<T>::BitsType;  // for arithmetic on bits, where a sum may overflow
template <class T>
constexpr int lanes = FASTNN_VEC_BYTES / sizeof(T);

#define FASTNN_INLINE inline __attribute__((always_inline))
#define FASTNN_FLAT __attribute__((always_inline))  // the same for a lambda, after its parameters

template <class T>
FASTNN_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecTraits<T>::Unaligned*>(p);
}
template <class T>
FASTNN_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecTraits<T>::Unaligned*>(p) = v;
}
// Stores v past the caches, without reading the line first, where the hardware has such a store; p must be aligned to
// the vector. stream_fence() orders these stores before what the thread does next.
template <class T>
FASTNN_INLINE void stream(T* p, Vec<T> v) {
#if FASTNN_VEC_BYTES == 64
  _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif FASTNN_VEC_BYTES == 32
  _mm256_stream_si256((__m256i*)p, (__m256i)v);
#elif defined(__x86_64__)
  _mm_stream_si128((__m128i*)p, (__m128i)v);
#else
  store(p, v);
#endif
}
FASTNN_INLINE void stream_fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}
// Gives v unchanged, and makes GCC load it whole. Otherwise GCC turns a selection among loaded elements into a masked
// load, and masked loads are slow on Zen 5 where the data is not in the first-level cache: dropout of 26 MB takes twice
// as long.
template <class V>
FASTNN_INLINE V whole(V v) {
#if FASTNN_VEC_BYTES == 64
  asm("" : "+v"(v));
#endif
  return v;
}
// Gives p unchanged, and makes the compiler keep it in one register: GCC would otherwise take sums of addresses apart,
// and put them together again before every load.
template <class T>
FASTNN_INLINE T* whole_address(T* p) {
  asm("" : "+r"(p));
  return p;
}
template <class T>
FASTNN_INLINE Vec<T> set1(T a) {
  return a - Vec<T>{};  // minus, not plus: -0 + 0 would lose the sign
}
// Lane i is the integer i.
template <class T>
FASTNN_INLINE Mask<T> iota() {
  Mask<T> m;
  for (int i = 0; i < lanes<T>; ++i) m[i] = i;
  return m;
}

// The first n lanes (0 <= n <= lanes) from memory, the rest zero; nothing beyond p[n-1] is touched.
template <class T>
FASTNN_INLINE Vec<T> load_n(const T* p, int n) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
#elif FASTNN_VEC_BYTES == 32
  const Mask<T> m = iota<T>() < Mask<T>{} + typename VecTraits<T>::Int(n);
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(p, (__m256i)m);
  else
    return (Vec<T>)_mm256_maskload_pd(p, (__m256i)m);
#else
  Vec<T> v = {};
  for (int i = 0; i < lanes<T>; ++i)
    if (i < n) v[i] = p[i];
  return v;
#endif
}
template <class T>
FASTNN_INLINE void store_n(T* p, Vec<T> v, int n) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), (__m512d)v);
#elif FASTNN_VEC_BYTES == 32
  const Mask<T> m = iota<T>() < Mask<T>{} + typename VecTraits<T>::Int(n);
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, (__m256i)m, (__m256)v);
  else
    _mm256_maskstore_pd(p, (__m256i)m, (__m256d)v);
#else
  for (int i = 0; i < lanes<T>; ++i)
    if (i < n) p[i] = v[i];
#endif
}

// A whole vector, or its first `size` lanes where fewer are left (size may be negative): the other lanes are `fill`
// (0 by default), and no memory beyond p[size-1] is touched.
template <class T>
FASTNN_INLINE Vec<T> load_part(const T* p, int64_t size) {
  return size >= lanes<T> ? load(p) : load_n(p, size > 0 ? int(size) : 0);
}
template <class T>
FASTNN_INLINE Vec<T> load_part(const T* p, int64_t size, T fill) {
  if (size >= lanes<T>) return load(p);
  using Int = typename VecTraits<T>::Int;
  return iota<T>() < Mask<T>{} + Int(size) ? load_n(p, size > 0 ? int(size) : 0) : set1<T>(fill);
}
template <class T>
FASTNN_INLINE void store_part(T* p, Vec<T> v, int64_t size) {
  if (size >= lanes<T>)
    store(p, v);
  else if (size > 0)
    store_n(p, v, int(size));
}

// v with zero in the lanes from `size` on.
template <class T>
FASTNN_INLINE Vec<T> within(Vec<T> v, int64_t size) {
  using Int = typename VecTraits<T>::Int;
  return size >= lanes<T> ? v : iota<T>() < Mask<T>{} + Int(size) ? v : Vec<T>{};
}

// a * b + c; rounded once where the hardware can (not on the portable x86 baseline).
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if FASTNN_VEC_BYTES == 64
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif FASTNN_VEC_BYTES == 32
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if FASTNN_VEC_BYTES == 64
  return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif FASTNN_VEC_BYTES == 32
  return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) {
#if FASTNN_VEC_BYTES == 64
  return (Vec<float>)_mm512_sqrt_ps((__m512)a);
#elif FASTNN_VEC_BYTES == 32
  return (Vec<float>)_mm256_sqrt_ps((__m256)a);
#elif defined(__x86_64__)
  return (Vec<float>)_mm_sqrt_ps((__m128)a);
#else
  for (int i = 0; i < lanes<float>; ++i) a[i] = std::sqrt(a[i]);
  return a;
#endif
}
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) {
#if FASTNN_VEC_BYTES == 64
  return (Vec<double>)_mm512_sqrt_pd((__m512d)a);
#elif FASTNN_VEC_BYTES == 32
  return (Vec<double>)_mm256_sqrt_pd((__m256d)a);
#elif defined(__x86_64__)
  return (Vec<double>)_mm_sqrt_pd((__m128d)a);
#else
  for (int i = 0; i < lanes<double>; ++i) a[i] = std::sqrt(a[i]);
  return a;
#endif
}

// The sign bit of each lane.
template <class V>
FASTNN_INLINE auto sign_bit() {
  return (decltype(V{} < V{}))(-V{});
}

#if FASTNN_VEC_BYTES == 64
// a * 2^n for integers n of any size
FASTNN_INLINE Vec<float> ldexp(Vec<float> a, Vec<float> n) {
  return (Vec<float>)_mm512_scalef_ps((__m512)a, (__m512)n);
}
FASTNN_INLINE Vec<double> ldexp(Vec<double> a, Vec<double> n) {
  return (Vec<double>)_mm512_scalef_pd((__m512d)a, (__m512d)n);
}
#endif

// a > b ? a : b: when either is NaN the result is b, so `max(bound, x)` keeps a NaN in x. x86 has just that in one
// instruction, which compilers don't find by themselves.
template <class V>
FASTNN_INLINE V max(V a, V b) {
  constexpr bool single = sizeof(a[0]) == 4;
#if FASTNN_VEC_BYTES == 64
  return single ? (V)_mm512_max_ps((__m512)a, (__m512)b) : (V)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif FASTNN_VEC_BYTES == 32
  return single ? (V)_mm256_max_ps((__m256)a, (__m256)b) : (V)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
  return single ? (V)_mm_max_ps((__m128)a, (__m128)b) : (V)_mm_max_pd((__m128d)a, (__m128d)b);
#else
  (void)single;
  return a > b ? a : b;
#endif
}
template <class V>
FASTNN_INLINE V min(V a, V b) {
  constexpr bool single = sizeof(a[0]) == 4;
#if FASTNN_VEC_BYTES == 64
  return single ? (V)_mm512_min_ps((__m512)a, (__m512)b) : (V)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif FASTNN_VEC_BYTES == 32
  return single ? (V)_mm256_min_ps((__m256)a, (__m256)b) : (V)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
  return single ? (V)_mm_min_ps((__m128)a, (__m128)b) : (V)_mm_min_pd((__m128d)a, (__m128d)b);
#else
  (void)single;
  return a < b ? a : b;
#endif
}
template <class V>
FASTNN_INLINE V abs(V a) {
  return (V)((decltype(a < a))a & ~sign_bit<V>());
}

// y, but x where x is NaN
template <class T>
FASTNN_INLINE Vec<T> unless_nan(Vec<T> y, Vec<T> x) {
#if FASTNN_VEC_BYTES == 64
  // `quiet` has four bits for each class of numbers: they are 1 for both classes of NaN, which takes the second
  // operand, and 0 for all others, which takes the first.
  constexpr long long quiet = 0x11;
  const __m512i choice = sizeof(T) == 4 ? _mm512_set1_epi32(quiet) : _mm512_set1_epi64(quiet);
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_fixupimm_ps((__m512)y, (__m512)x, choice, 0);
  else
    return (Vec<T>)_mm512_fixupimm_pd((__m512d)y, (__m512d)x, choice, 0);
#else
  return x == x ? y : x;
#endif
}

template <class T>
FASTNN_INLINE bool any(Mask<T> m) {
#if FASTNN_VEC_BYTES == 64
  return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0;
#elif FASTNN_VEC_BYTES == 32
  return !_mm256_testz_si256((__m256i)m, (__m256i)m);
#else
  uint64_t half[2];
  __builtin_memcpy(half, &m, sizeof half);
  return (half[0] | half[1]) != 0;
#endif
}

// Whether every lane is at least `least`; a NaN is not.
template <class T>
FASTNN_INLINE bool all_from(Vec<T> v, T least) {
  constexpr bool single = sizeof(T) == 4;
#if FASTNN_VEC_BYTES == 64
  return single ? !_mm512_cmp_ps_mask((__m512)v, (__m512)set1(least), _CMP_NGE_UQ)
                : !_mm512_cmp_pd_mask((__m512d)v, (__m512d)set1(least), _CMP_NGE_UQ);
#elif FASTNN_VEC_BYTES == 32
  return single ? !_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)set1(least), _CMP_NGE_UQ))
                : !_mm256_movemask_pd(_mm256_cmp_pd((__m256d)v, (__m256d)set1(least), _CMP_NGE_UQ));
#else
  (void)single;
  return !any<T>(~(v >= least));
#endif
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
