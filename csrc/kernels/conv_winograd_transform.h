// The transforms of Winograd's F(4 x 4, 3 x 3), and of F(3 x 3, 4 x 4) at the same points. The polynomial's points are
// 0, +-5/8, +-3/2 and infinity: errors are 1.7 to 2.5 times those of sums in order (with the usual 0, +-1, +-2 it is 4
// to 5 times), and every constant of A and B is exact in binary.
#pragma once
#include "../simd/shuffle.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int kWinogradOut = 4, kWinogradIn = 6, kWinogradPoints = kWinogradIn * kWinogradIn;
// Whether an image is smaller than 3 x 3 taps. Nearly all of a tile's inputs are then padding: hardly a product is
// saved, and errors were ten times those of plain sums.
inline bool smaller_than_taps(int64_t rows, int64_t columns) { return rows < 3 || columns < 3; }
constexpr double kPointA = 0.625, kPointB = 1.5, kA2 = kPointA * kPointA, kB2 = kPointB * kPointB;

// d becomes B^T d: for each point, the polynomial in x whose zeros are the other finite points, with d[k] in the place
// of x^k.
template <class T>
FASTNN_INLINE void winograd_input(Vec<T> (&d)[6]) {
  const Vec<T> first = fma(set1(T(kA2 * kB2)), d[0], fma(set1(T(-kA2 - kB2)), d[2], d[4]));
  const Vec<T> last = fma(set1(T(kA2 * kB2)), d[1], fma(set1(T(-kA2 - kB2)), d[3], d[5]));
  const Vec<T> even_a = fma(set1(T(-kB2)), d[2], d[4]), odd_a = fma(set1(T(-kB2)), d[1], d[3]);
  const Vec<T> even_b = fma(set1(T(-kA2)), d[2], d[4]), odd_b = fma(set1(T(-kA2)), d[1], d[3]);
  d[0] = first;
  d[1] = fma(set1(T(kPointA)), odd_a, even_a), d[2] = fma(set1(T(-kPointA)), odd_a, even_a);
  d[3] = fma(set1(T(kPointB)), odd_b, even_b), d[4] = fma(set1(T(-kPointB)), odd_b, even_b);
  d[5] = last;
}

// u = G g: the values, at the points, of the polynomial with the N (3 or 4) coefficients g. The value at a finite point
// is divided by the product of the point's distances from the other finite points.
template <class T, int N>
FASTNN_INLINE void winograd_values(const Vec<T> (&g)[N], Vec<T> (&u)[6]) {
  constexpr double over_a = 1 / (2 * kA2 * (kA2 - kB2)), over_b = 1 / (2 * kB2 * (kB2 - kA2));
  const auto odd = [&](double square) FASTNN_FLAT { return N == 4 ? fma(set1(T(square)), g[N - 1], g[1]) : g[1]; };
  const Vec<T> even_a = set1(T(over_a)) * fma(set1(T(kA2)), g[2], g[0]), odd_a = set1(T(over_a * kPointA)) * odd(kA2);
  const Vec<T> even_b = set1(T(over_b)) * fma(set1(T(kB2)), g[2], g[0]), odd_b = set1(T(over_b * kPointB)) * odd(kB2);
  u[0] = set1(T(1 / (kA2 * kB2))) * g[0];
  u[1] = even_a + odd_a, u[2] = even_a - odd_a;
  u[3] = even_b + odd_b, u[4] = even_b - odd_b;
  u[5] = g[N - 1];
}

// y = A^T m, with N (3 or 4) results: y[k] = sum over the finite points p of p^k m[p]. The m of the point at infinity
// is added to the last result alone.
template <class T, int N>
FASTNN_INLINE void winograd_sums(const Vec<T> (&m)[6], Vec<T> (&y)[N]) {
  const Vec<T> even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + (even_a + even_b);
  y[1] = fma(set1(T(kPointA)), odd_a, set1(T(kPointB)) * odd_b);
  y[2] = fma(set1(T(kA2)), even_a, N == 3 ? fma(set1(T(kB2)), even_b, m[5]) : set1(T(kB2)) * even_b);
  if constexpr (N == 4) y[3] = fma(set1(T(kA2 * kPointA)), odd_a, fma(set1(T(kB2 * kPointB)), odd_b, m[5]));
}

// Transposes a square of 4 x 4 values in each four lanes of the four vectors. This takes L tiles, whose columns lie
// side by side in memory, apart into a vector for each column, with tile r * L/4 + q in lane 4 q + r; or it puts them
// together again.
template <class T>
FASTNN_INLINE void turn_fours(Vec<T> (&v)[4]) {
  if constexpr (lanes<T> >= 4) {
    constexpr int L = lanes<T>;
    // Lane 4 q + r of the result's vector s is lane 4 q + s of vector r.
    const auto low = [](int i) { return i / 4 * 4 + i % 4 / 2 + i % 2 * L; };
    const auto high = [](int i) { return i / 4 * 4 + 2 + i % 4 / 2 + i % 2 * L; };
    const Vec<T> low01 = shuffle(v[0], v[1], low), high01 = shuffle(v[0], v[1], high);
    const Vec<T> low23 = shuffle(v[2], v[3], low), high23 = shuffle(v[2], v[3], high);
    const auto first = [](int i) { return i / 4 * 4 + i % 2 + i % 4 / 2 * L; };
    const auto second = [](int i) { return i / 4 * 4 + 2 + i % 2 + i % 4 / 2 * L; };
    v[0] = shuffle(low01, low23, first);
    v[1] = shuffle(low01, low23, second);
    v[2] = shuffle(high01, high23, first);
    v[3] = shuffle(high01, high23, second);
  }
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
