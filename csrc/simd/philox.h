// Philox4x32-10 (Salmon et al. 2011), a vector of counters at a time. Block i of a key has the counter (i low, i high,
// 0, 0) and gives four 32-bit words; every word depends on its own number and the key alone.
#pragma once
#include "shuffle.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

typedef uint32_t U32 __attribute__((vector_size(FASTNN_VEC_BYTES)));
typedef uint64_t U64 __attribute__((vector_size(FASTNN_VEC_BYTES)));

// Product of the low 32 bits of each lane.
FASTNN_INLINE U64 multiply_low_halves(U64 a, U64 b) {
#if FASTNN_VEC_BYTES == 64
  return (U64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif FASTNN_VEC_BYTES == 32
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (U64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

FASTNN_INLINE U64 xor3(U64 a, U64 b, U64 c) {
#if FASTNN_VEC_BYTES == 64
  return (U64)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
#else
  return a ^ b ^ c;
#endif
}

// The generator of a key. The body of a loop makes a generator of its own: to copy one with its keys into the body
// would cost a call on few elements a twentieth of its time.
struct Philox {
  // How many vectors of blocks go through the rounds side by side. Each takes four registers, and all four vectors take
  // half the registers of AVX-512. With AVX2 some registers are spilled, and yet four chains take 0.87 of the time of
  // two.
  static constexpr int chains = 4;
  static constexpr int L = lanes<double>, words = chains * 4 * L;  // that one call of generate() gives
  static constexpr int rounds = 10;
  uint64_t key0[rounds], key1[rounds];

  explicit Philox(uint64_t key) {
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    for (int i = 0; i < rounds; ++i, k0 += 0x9E3779B9, k1 += 0xBB67AE85) key0[i] = k0, key1[i] = k1;
  }

  // Words 4 * first … 4 * first + words - 1 of the stream. A round waits for the one before, so several vectors of
  // blocks go through the rounds side by side: 1.6 times as fast with four on Zen 5.
  FASTNN_INLINE void generate(uint64_t first, U32 (&out)[2 * chains]) const {
    constexpr auto all = std::make_integer_sequence<int, L>{};
    // The compiler must not see where these pointers come from, or it keeps vectors of all keys around a loop: 40 ns of
    // 450 for 500 numbers.
    const uint64_t *k0 = key0, *k1 = key1;
    asm("" : "+r"(k0), "+r"(k1));
    const U64 m0 = U64{} + 0xD2511F53u, m1 = U64{} + 0xCD9E8D57u;
    // One word per 64-bit lane; what the upper halves hold never reaches a result.
    U64 c[chains][4] = {};
    for (int k = 0; k < chains; ++k) c[k][0] = block_numbers(all) + (first + uint64_t(k * L)), c[k][1] = c[k][0] >> 32;
#pragma GCC unroll 10
    for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 4
      for (U64(&n)[4] : c) {
        const U64 p0 = multiply_low_halves(n[0], m0), p1 = multiply_low_halves(n[2], m1);
        n[0] = xor3(p1 >> 32, n[1], U64{} + k0[i]);
        n[2] = xor3(p0 >> 32, n[3], U64{} + k1[i]);
        n[1] = p1, n[3] = p0;
      }
    for (int k = 0; k < chains; ++k) {
      const U64 low = (c[k][0] & 0xffffffff) | (c[k][1] << 32), high = (c[k][2] & 0xffffffff) | (c[k][3] << 32);
      out[2 * k] = (U32)shuffle(low, high, [](int i) { return i / 2 * 2 + i % 2 * L; });
      out[2 * k + 1] = (U32)shuffle(low, high, [](int i) { return i / 2 * 2 + 1 + i % 2 * L; });
    }
  }

 private:
  // Even lanes hold the first half of the blocks and odd lanes the second: to join the halves of words within 128 bits
  // then leaves the blocks in order, and no shuffle across the vector is needed.
  template <int... i>
  static FASTNN_INLINE U64 block_numbers(std::integer_sequence<int, i...>) {
    return U64{uint64_t(i / 2 + i % 2 * (L / 2))...};
  }
};

// word >= threshold for the lanes<T> words from p on, as a mask for Vec<T>.
template <class T>
FASTNN_INLINE Mask<T> at_least(const uint32_t* p, uint32_t threshold);
template <>
FASTNN_INLINE Mask<float> at_least<float>(const uint32_t* p, uint32_t threshold) {
  U32 w;
  __builtin_memcpy(&w, p, sizeof w);
  return (Mask<float>)(w >= threshold);
}
template <>
FASTNN_INLINE Mask<double> at_least<double>(const uint32_t* p, uint32_t threshold) {
  typedef uint32_t Half __attribute__((vector_size(FASTNN_VEC_BYTES / 2)));
  Half w;
  __builtin_memcpy(&w, p, sizeof w);
  return __builtin_convertvector(w, Mask<double>) >= int64_t(threshold);
}

// 2^24 times uniform numbers in [0, 1) of 24 bits, from the lanes<T> words from p on: the same ones for float and
// double.
template <class T>
FASTNN_INLINE Vec<T> unit24(const uint32_t* p) {
  typedef int32_t Words __attribute__((vector_size(lanes<T> * 4)));
  typedef uint32_t Unsigned __attribute__((vector_size(lanes<T> * 4)));
  Unsigned w;
  __builtin_memcpy(&w, p, sizeof w);
  return __builtin_convertvector((Words)(w >> 8), Vec<T>);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
