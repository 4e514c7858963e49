// Convolution with 3 x 3 taps by Winograd's F(4 x 4, 3 x 3): a tile of 4 x 4 outputs takes 36 products for each pair of
// channels instead of 144 (Lavin and Gray 2016; Winograd 1980).
//   y = A^T [ sum over c of (G w[k, c] G^T) * (B^T x[c] B) ] A      x[c] 6 x 6, w 3 x 3, y 4 x 4, * element by element
// The sums over c are products of matrices, one for each of the 36 points; lanes are tiles. A block of tiles goes through
// all three steps while it is in the cache:
//   V (36, C, tiles) = B^T x B,  M (36, K, tiles) = U V,  y = A^T M A;   U (groups, 36, blocks of rows of K, C, rows) once
// The polynomial's points are 0, +-5/8, +-3/2 and infinity: errors are 1.7 to 2.5 times those of sums in order (with the usual
// 0, +-1, +-2 it is 4 to 5 times), and every constant of A and B is exact in binary.
// Taps along the depth of a volume count as channels. What isn't finite spreads over a whole tile here, and values much smaller
// than others of their tile lose their digits to these, so the caller is told and goes another way.
#pragma once
#include "../simd/shuffle.h"
#include "../simd/strided.h"
#include "conv_patches.h"
#include "gemm_driver.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int kWinogradOut = 4, kWinogradIn = 6, kWinogradPoints = kWinogradIn * kWinogradIn;
// Where values are so many times those beside them, errors cost these about two digits and a half of seven.
constexpr double kEvenSizes = 1 << 9;
// Of such an image nearly all of a tile's inputs are padding: hardly a product is saved, and errors were ten times those of
// plain sums.
inline bool smaller_than_taps(int64_t rows, int64_t columns) { return rows < 3 || columns < 3; }
// max(|a|, |b|)
template <class T>
FASTNN_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
#if FASTNN_VEC_BYTES == 64
  constexpr int sizes = 0b1011;
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_range_ps((__m512)a, (__m512)b, sizes);
  else
    return (Vec<T>)_mm512_range_pd((__m512d)a, (__m512d)b, sizes);
#else
  return max(abs(a), abs(b));
#endif
}
constexpr double kPointA = 0.625, kPointB = 1.5, kA2 = kPointA * kPointA, kB2 = kPointB * kPointB;

// d becomes B^T d, values of the polynomial times the product of the other points' distances.
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

// u = G g, values at the points of the polynomial with the N (3 or 4) coefficients g, over that product.
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

// y = A^T m, of N (3 or 4) results: y[k] = sum over points p of p^k m[p], infinity's for the last alone.
template <class T, int N>
FASTNN_INLINE void winograd_sums(const Vec<T> (&m)[6], Vec<T> (&y)[N]) {
  const Vec<T> even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + (even_a + even_b);
  y[1] = fma(set1(T(kPointA)), odd_a, set1(T(kPointB)) * odd_b);
  y[2] = fma(set1(T(kA2)), even_a, N == 3 ? fma(set1(T(kB2)), even_b, m[5]) : set1(T(kB2)) * even_b);
  if constexpr (N == 4) y[3] = fma(set1(T(kA2 * kPointA)), odd_a, fma(set1(T(kB2 * kPointB)), odd_b, m[5]));
}

// Squares of four turned within each four lanes: with tile r * L/4 + q in lane 4 q + r, that takes L tiles' columns
// side by side in memory apart, and puts them together again.
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

// The lanes of v whose bit is set.
template <class T>
FASTNN_INLINE void store_lanes(T* p, Vec<T> v, uint32_t bits) {
#if FASTNN_VEC_BYTES == 64
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16(bits), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, __mmask8(bits), (__m512d)v);
#elif FASTNN_VEC_BYTES == 32
  const Mask<T> set = (splat<T>(bits) >> iota<T>() & 1) == 1;
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, (__m256i)set, (__m256)v);
  else
    _mm256_maskstore_pd(p, (__m256i)set, (__m256d)v);
#else
  for (int i = 0; i < lanes<T>; ++i)
    if (bits >> i & 1) p[i] = v[i];
#endif
}

template <class T>
struct WinogradProblem {
  Patches p;
  const T* x;
  T* y;
  int64_t images, channels_in, channels_out, groups;

  static constexpr int64_t kSkew = 5 * 64 / sizeof(T);

  int64_t group_in() const { return channels_in / groups; }
  int64_t group_out() const { return channels_out / groups; }
  int64_t depth() const { return group_in() * p.axis[0].taps; }
  int64_t tiles_high() const { return (p.axis[1].grid + kWinogradOut - 1) / kWinogradOut; }
  int64_t tiles_wide() const { return (p.axis[2].grid + kWinogradOut - 1) / kWinogradOut; }
  int64_t tiles() const { return images * p.axis[0].grid * tiles_high() * tiles_wide(); }
  // Input position of the first tap of output 0.
  int64_t low(int d) const {
    const Axis& a = p.axis[d];
    return a.offset_step < 0 ? a.offset + (a.taps - 1) * a.offset_step : a.offset;
  }
  // Values from one point's U to the next: not a power of two, which would put all points' in one set of the cache.
  int64_t weight_slab() const { return group_out() * depth() + kSkew; }
  int64_t weight_size() const { return groups * kWinogradPoints * weight_slab(); }
  // Bytes that winograd_weights wants for its sliver.
  size_t sliver_size() const { return size_t(depth() * 9 * kTileRows + lanes<T>) * sizeof(T); }
  // Whether U is so large that it is made some rows at a time.
  bool by_rows() const { return kWinogradPoints * weight_slab() > kWinogradWeights; }

  bool possible() const {
    for (int d = 0; d < 3; ++d) {
      const Axis& a = p.axis[d];
      if (a.step != 1 || (d > 0 && (a.taps != 3 || (a.offset_step != 1 && a.offset_step != -1)))) return false;
    }
    return p.dense_output() && lanes<T> >= kWinogradOut;
  }
  // Time of a convolution of all taps over this one's, in units of two multiply-adds of a vector: beside the products, a
  // vector of tiles costs 190 for each channel in and out, and the weights 9 for each pair of channels. Fitted to 400 sizes on
  // Zen 5.
  double gain() const {
    if (!possible() || smaller_than_taps(p.axis[1].in, p.axis[2].in) || tiles() == 0) return 0;
    const double c = double(depth()), k = double(group_out());
    const double vectors = double(ceil_div(tiles(), lanes<T>)), outputs = double(images * p.grid());
    return 10.1 * c * k * outputs / (2 * lanes<T>) / (vectors * (19 * c * k + 190 * (c + k)) + 9 * c * k);
  }
};

// U of `rows` rows from k on: to[point * slab + c * rows + i]. weights.sliver(group, k, n, to) writes
// to[r * n + i] = weight[k + i, r], r = (c, tap), into room of depth * 9 * rows and a vector.
template <class T, class Weights>
void winograd_weights(const WinogradProblem<T>& problem, const Weights& weights, int64_t group, int64_t k, int rows,
                      T* sliver, T* to, int64_t slab) {
  const bool down = problem.p.axis[1].offset_step < 0, left = problem.p.axis[2].offset_step < 0;
  weights.sliver(group, k, rows, sliver);
  for (int64_t c = 0; c < problem.depth(); ++c)
    for (int i0 = 0; i0 < rows; i0 += lanes<T>) {
      const int n = rows - i0 < lanes<T> ? rows - i0 : lanes<T>;
      Vec<T> half[6][3];
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s) {
        Vec<T> g[3], u[6];
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r)
          g[r] = load(sliver + (c * 9 + (down ? 2 - r : r) * 3 + (left ? 2 - s : s)) * rows + i0);
        winograd_values<T>(g, u);
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) half[i][s] = u[i];
      }
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        Vec<T> u[6];
        winograd_values<T>(half[i], u);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store_n(to + (i * 6 + j) * slab + c * rows + i0, u[j], n);
      }
    }
}

// Some tiles that lie side by side in a row of tiles: `size` from column `column` on, the block's from `tile` on. The six rows
// of x under them, in the group's first channel at depth d, begin `row` behind the beginning of x; a negative number stands for
// zeros.
struct TileRun {
  int64_t tile, size, image, d, h, column, steps, row[6];
};

// A vector of a row of x: loaded from column `from` on, the lanes a_bits go to a, b_bits to b.
struct TileStep {
  int32_t from, a, b;
  uint32_t a_bits, b_bits;
};

// A block of tiles of one group. Points lie `slab` apart; within a point, tiles go in columns as wide as a product's
// tile: V (columns, C, kTileCols), M (columns, rows of K, kTileCols).
template <class T>
struct WinogradBlock {
  const WinogradProblem<T>& problem;
  int64_t width, m_rows;                // tiles and rows of M that there is room for; width in whole columns
  int64_t depth, v_slab, m_slab, line;  // from one point, and one row of a, b and rows, to the next
  T *v, *zeros;                         // a row beyond the image
  TileRun* runs;
  TileStep* steps;
  T *m, *a, *b;  // a, b: columns 0..3 and 4..7 of each tile, (6 rows, width tiles, 4 columns)
  T* rows;       // results, (4 rows, width tiles, 4 columns)
  T* sizes;      // (steps, 2, L)
  int64_t group, count = 0, run_count = 0, step_count = 0;

  static constexpr int64_t L = lanes<T>;
  static constexpr int64_t kSkew = WinogradProblem<T>::kSkew;

  WinogradBlock(const WinogradProblem<T>& problem, int64_t width, int64_t m_rows)
      : problem(problem),
        width(width),
        m_rows(m_rows),
        depth(problem.depth()),
        v_slab(depth * width + kSkew),
        m_slab(m_rows * width + kSkew),
        line(width * 4 + 3 * L) {}
  int64_t zero_size() const { return problem.p.axis[2].in + L; }

  // Values and bytes of the input's part and of the output's, which several threads have each for itself.
  int64_t in_values() const { return kWinogradPoints * v_slab + (zero_size() + 15) / 16 * 16; }
  int64_t most_steps() const { return width * 4 / L + 3 * width; }
  int64_t plan_bytes() const { return width * int64_t(sizeof(TileRun)) + most_steps() * int64_t(sizeof(TileStep)); }
  int64_t own_values() const { return kWinogradPoints * m_slab + 16 * line + 4 * L + 16 + 2 * L * most_steps(); }
  void use(T* in, void* plan) {
    v = in, zeros = in + kWinogradPoints * v_slab;
    zero_run(zeros, zero_size());
    runs = static_cast<TileRun*>(plan), steps = reinterpret_cast<TileStep*>(runs + width);
  }
  void use_own(T* own) {
    m = own, a = m + kWinogradPoints * m_slab;
    b = a + 6 * line + L, rows = b + 6 * line + L, sizes = rows + 4 * line + 2 * L;
  }
  // Vector g of row `row` of a point that has `all` rows.
  static int64_t place(int64_t g, int64_t all, int64_t row) {
    return (g / kTileVectors * all + row) * kTileCols<T> + g % kTileVectors * L;
  }
  int64_t vectors() const { return (count + L - 1) / L; }

  void begin(int64_t which_group, int64_t first, int64_t last) {
    group = which_group, count = last - first, run_count = 0;
    const int64_t wide = problem.tiles_wide(), high = problem.tiles_high(), deep = problem.p.axis[0].grid;
    for (int64_t t = first; t < last;) {
      const int64_t line = divide(t, wide), column = t - line * wide, size = clamp(wide - column, 1, last - t);
      const int64_t plane = divide(line, high), image = divide(plane, deep);
      runs[run_count++] = {t - first, size, image, plane - image * deep, line - plane * high, column, 0, {}};
      t += size;
    }
    step_count = 0;
    for (int64_t r = 0; r < run_count; ++r) step_count += plan(runs[r], steps + step_count);
  }

  // The rows of a run and the steps through the columns that it reads; returns their number.
  int64_t plan(TileRun& run, TileStep* to) const {
    const int64_t deep = problem.p.axis[0].in, high = problem.p.axis[1].in, in = problem.p.axis[2].in;
    const int64_t plane = (run.image * problem.channels_in + group * problem.group_in()) * deep + run.d;
    for (int i = 0; i < 6; ++i) {
      const int64_t h = run.h * kWinogradOut + problem.low(1) + i;
      run.row[i] = h < 0 || h >= high ? -1 : (plane * high + h) * in;
    }
    const int64_t start = run.column * kWinogradOut + problem.low(2);  // input column of column 0
    const int64_t first = clamp(start, 0, in), last = clamp(start + 4 * run.size + 2, first, in);
    const int64_t begin = first - start, end = last - start;  // columns of the run that exist
    for (int64_t w = first; w < last; w += L) {
      const int64_t from = clamp(w, 0, in > L ? in - L : 0), at = from - start;  // column in the run of lane 0
      const auto bits = [&](int64_t lo, int64_t hi) {
        const uint32_t below_hi = (1u << clamp(hi - at, 0, L)) - 1, below_lo = (1u << clamp(lo - at, 0, L)) - 1;
        return below_hi & ~below_lo;
      };
      to[run.steps++] = {int32_t(from), int32_t(4 * run.tile + at), int32_t(4 * run.tile + at - 4),
                         bits(begin, clamp(end, 0, 4 * run.size)), bits(begin > 4 ? begin : 4, end)};
    }
    return run.steps;
  }

  // a, b = B^T x along the height, for one channel and depth tap of a run; x, `shift` planes on, is from where the run's rows are
  // counted. With sizes (steps, 2, L): the largest so far of |x|, of its upper and lower three rows. Not inlined: beside
  // other loops' its addresses don't fit the registers.
  template <bool with_sizes>
  __attribute__((noinline)) void lift(const TileRun& run, const TileStep* step, const T* x, int64_t shift,
                                      T* sizes) const {
    const Axis &D = problem.p.axis[0], &H = problem.p.axis[1], &W = problem.p.axis[2];
    const int64_t d = run.d + shift, next = line, width = W.in, ahead = 2 * D.in * H.in * width;
    const T* row[6];
    for (int i = 0; i < 6; ++i) row[i] = run.row[i] < 0 || d < 0 || d >= D.in ? zeros : x + run.row[i];
    bool whole = true;  // whether whole vectors can be read; lanes beyond a row are dropped
    if (width < L) {
      const T* const end = problem.x + problem.images * problem.channels_in * D.in * H.in * width;
      for (int i = 0; i < 6; ++i) whole &= row[i] == zeros || row[i] + L <= end;
    }
    T *const to_a = a, *const to_b = b;
    const auto each = [&](const auto& read) FASTNN_FLAT {
      for (const TileStep* const stop = step + run.steps; step != stop; ++step, sizes += 2 * L) {
        const int64_t from = step->from;
        Vec<T> e[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) e[i] = read(row[i] + from, from);
#pragma GCC unroll 4
        for (int i = 1; i < 5; ++i) __builtin_prefetch(row[i] + (ahead + from));
        if constexpr (with_sizes) {
          store(sizes, larger<T>(larger<T>(e[0], e[1]), larger<T>(e[2], load(sizes))));
          store(sizes + L, larger<T>(larger<T>(e[3], e[4]), larger<T>(e[5], load(sizes + L))));
        }
        winograd_input<T>(e);
        scatter(to_a + step->a, next, e, step->a_bits);
        scatter(to_b + step->b, next, e, step->b_bits);
      }
    };
    if (whole)
      each([](const T* p, int64_t) FASTNN_FLAT { return load(p); });
    else
      each([width](const T* p, int64_t from) FASTNN_FLAT { return load_n(p, int(width - from)); });
  }
  template <int N>
  static FASTNN_INLINE void scatter(T* to, int64_t next, const Vec<T> (&e)[N], uint32_t bits) {
    if (bits == (1u << L) - 1) {
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) store(to + i * next, e[i]);
    } else {
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) store_lanes(to + i * next, e[i], bits);
    }
  }

  // V of one channel from a and b: B^T along the width.
  void spread(int64_t c) const {
    const int64_t slab = v_slab, next = line, count = vectors();
    for (int64_t g = 0; g < count; ++g) {
      const T *from_a = a + 4 * g * L, *from_b = b + 4 * g * L;
      T* to = v + place(g, depth, c);
#pragma GCC unroll 1
      for (int i = 0; i < 6; ++i, from_a += next, from_b += next, to += 6 * slab) {
        Vec<T> d[6], low[4], high[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) low[r] = load(from_a + r * L), high[r] = load(from_b + r * L);
        turn_fours<T>(low);
        turn_fours<T>(high);
        for (int r = 0; r < 4; ++r) d[r] = low[r];
        d[4] = high[0], d[5] = high[1];
        winograd_input<T>(d);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store(to + j * slab, d[j]);
      }
    }
  }

  // V of channels c0..c1, and the largest sizes among them, as `lift` collects them.
  template <bool with_sizes>
  void transform_input(int64_t c0, int64_t c1) const {
    zero_run(a, 12 * line + 2 * L);
    if (with_sizes) zero_run(sizes, 2 * L * step_count);
    const Axis& D = problem.p.axis[0];
    for (int64_t c = c0; c < c1; ++c) {
      const int64_t channel = divide(c, D.taps), shift = D.offset + (c - channel * D.taps) * D.offset_step;
      const T* x = problem.x + (channel * D.in + shift) * problem.p.axis[1].in * problem.p.axis[2].in;
      int64_t step = 0;
      for (int64_t r = 0; r < run_count; step += runs[r++].steps)
        lift<with_sizes>(runs[r], steps + step, x, shift, sizes + 2 * L * step);
      spread(c);
    }
  }

  // After transform_input of all channels with their sizes: whether the tiles are even.
  bool even() const {
    for (int64_t s = 0; s < step_count; ++s) {
      const T* from = sizes + 2 * L * s;
      place_sizes(steps[s], {load(from), load(from + L)});
    }
    return even_tiles(0, count);
  }
  // The same of the tiles of runs first..last, without transform_input.
  bool even_runs(int64_t first, int64_t last) const {
    zero_run(a, 12 * line + 2 * L);
    const TileStep* step = steps;
    for (int64_t r = 0; r < last; step += runs[r++].steps)
      for (int64_t s = 0; r >= first && s < runs[r].steps; ++s) add_sizes(runs[r], step[s]);
    return even_tiles(runs[first].tile, runs[last - 1].tile + runs[last - 1].size);
  }
  // The largest sizes in all channels of one step's columns.
  void add_sizes(const TileRun& run, const TileStep& t) const {
    const Axis &D = problem.p.axis[0], &H = problem.p.axis[1], &W = problem.p.axis[2];
    const int64_t size = H.in * W.in, channels = problem.group_in();
    const int have = int(clamp(W.in - t.from, 0, L));
    Vec<T> size_of[6] = {};  // one for each row, so that none waits for another
    for (int64_t tap = 0; tap < D.taps; ++tap) {
      const int64_t shift = D.offset + tap * D.offset_step, d = run.d + shift;
      if (d < 0 || d >= D.in) continue;
      const T* row[6];
      int64_t next[6];
      for (int i = 0; i < 6; ++i) {
        row[i] = (run.row[i] < 0 ? zeros : problem.x + shift * size + run.row[i]) + t.from;
        next[i] = run.row[i] < 0 ? 0 : D.in * size;
      }
      for (int64_t c = 0; c < channels; ++c) {
        Vec<T> e[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) e[i] = have == L ? load(row[i]) : load_n(row[i], have), row[i] += next[i];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) size_of[i] = larger<T>(e[i], size_of[i]);
      }
    }
    place_sizes(t, {larger<T>(larger<T>(size_of[0], size_of[1]), size_of[2]),
                    larger<T>(larger<T>(size_of[3], size_of[4]), size_of[5])});
  }
  // Sizes of upper and lower rows to rows 0 and 1 of a and b, in which columns that don't exist are zeros.
  void place_sizes(const TileStep& t, const Vec<T> (&both)[2]) const {
    scatter(a + t.a, line, both, t.a_bits);
    scatter(b + t.b, line, both, t.b_bits);
  }
  // Whether in each of tiles first..last the largest |x| of the four quarters, 3 x 3 pixels of all channels, are within kEvenSizes
  // of each other; quarters of zeros don't count. An output that sees one quarter alone is made of sums with the whole tile's.
  bool even_tiles(int64_t first, int64_t last) const {
    const Mask<T> lane = iota<T>();
    const auto least = [](Vec<T> a, Vec<T> b) FASTNN_FLAT { return (b == T(0)) | ((a != T(0)) & (a < b)) ? a : b; };
    for (int64_t w = 4 * first; w < 4 * last; w += L) {  // lane 4 i is for tile i
      Vec<T> q[4];
      for (int i = 0; i < 2; ++i) {
        const T *left = a + i * line + w, *right = b + i * line + w;
        q[2 * i] = max(max(load(left), load(left + 1)), load(left + 2));
        q[2 * i + 1] = max(max(load(left + 3), load(right)), load(right + 1));
      }
      const Vec<T> low = least(least(q[0], q[1]), least(q[2], q[3])), high = max(max(q[0], q[1]), max(q[2], q[3]));
      const Mask<T> tile = ((lane & 3) == 0) & (lane < splat<T>(4 * last - w));
      if (any<T>(tile & (low * set1(T(kEvenSizes)) < high))) return false;
    }
    return true;
  }

  // M = U V at each point, for blocks of rows first..last; u: U of the first.
  void multiply(const RowBlocks& blocks, int64_t first, int64_t last, const T* u, int64_t u_slab,
                const int32_t* offset) const {
    for (int64_t point = 0; point < kWinogradPoints; ++point, u += u_slab) {
      int64_t g = 0;
      for (; g + kTileVectors <= vectors(); g += kTileVectors)
        columns<kTileVectors>(blocks, first, last, u, point, g, offset);
      for (; g < vectors(); ++g) columns<1>(blocks, first, last, u, point, g, offset);
    }
  }
  template <int V>
  void columns(const RowBlocks& blocks, int64_t first, int64_t last, const T* u, int64_t point, int64_t g,
               const int32_t* offset) const {
    Columns<T, V> tile;
    tile.offset = offset, tile.ldc = kTileCols<T>;
    for (int i = 0; i < V; ++i) {
      tile.b[i] = v + point * v_slab + place(g + i, depth, 0);
      tile.c[i] = m + point * m_slab + place(g + i, m_rows, 0);
      tile.size[i] = L;
    }
    for (int64_t block = first; block < last; ++block) {
      const int64_t k = blocks.begin(block) - blocks.begin(first);
      outer_tile_for<T, V>(blocks.size(block))(depth, u + k * depth, tile, k, false, nullptr);
    }
  }

  // rows = bias + A^T M A of row `row` of M; not a number in the result if any of it isn't finite.
  Vec<T> gather(int64_t row, T bias) const {
    const int64_t slab = m_slab, next = line, count = vectors();
    Vec<T> check = {};
    for (int64_t g = 0; g < count; ++g) {
      const T* from = m + place(g, m_rows, row);
      T* to = rows + 4 * g * L;
      Vec<T> half[4][6];
#pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        Vec<T> in[6], out[4];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) in[i] = load(from + (i * 6 + j) * slab);
        winograd_sums<T>(in, out);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) half[i][j] = out[i];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        Vec<T> out[4];
        winograd_sums<T>(half[i], out);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          out[j] += set1(bias);
          check = fma(out[j], Vec<T>{}, check);
        }
        turn_fours<T>(out);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) store(to + i * next + r * L, out[r]);
      }
    }
    return check;
  }

  // rows to channel k of y.
  void write(int64_t k) const {
    const Axis &D = problem.p.axis[0], &H = problem.p.axis[1], &W = problem.p.axis[2];
    for (int64_t r = 0; r < run_count; ++r) {
      const TileRun& run = runs[r];
      const int64_t high = clamp(H.grid - run.h * kWinogradOut, 0, kWinogradOut);
      const int64_t wide = clamp(W.grid - run.column * kWinogradOut, 0, run.size * kWinogradOut);
      T* to = problem.y +
              (((run.image * problem.channels_out + group * problem.group_out() + k) * D.grid + run.d) * H.grid +
               run.h * kWinogradOut) *
                  W.grid +
              run.column * kWinogradOut;
      for (int64_t i = 0; i < high; ++i, to += W.grid) {
        const T* from = rows + i * line + 4 * run.tile;
        for (int64_t w = 0; w < wide; w += 64 / sizeof(T)) __builtin_prefetch(to + D.grid * H.grid * W.grid + w, 1);
        int64_t w = 0;
        for (; w + L <= wide; w += L) store(to + w, load(from + w));
        if (w == wide) continue;
        if (w > 0)
          store(to + wide - L, load(from + wide - L));
        else
          store_n(to, load(from), int(wide));
      }
    }
  }

  // y of channels k0..k1, which are all that M has. Whether all of it is finite.
  bool transform_output(int64_t k0, int64_t k1, const T* bias) const {
    Vec<T> check = {};
    for (int64_t k = k0; k < k1; ++k) {
      check += gather(k - k0, bias ? bias[group * problem.group_out() + k] : T(0));
      write(k);
    }
    return reduce_add<T>(check) == 0;
  }
};

// Where the rows of a column of V begin.
template <class T>
void column_offsets(int64_t count, int32_t* offset) {
  for (int64_t i = 0; i < count; ++i) offset[i] = int32_t(i * kTileCols<T>);
}

// How a convolution is cut: blocks of `width` tiles, and by_rows, whether the weights are transformed some rows at a time for
// all blocks' tiles instead of once for all.
template <class T>
struct WinogradPlan {
  const WinogradProblem<T>& problem;
  bool by_rows;
  int64_t width, blocks;
  static constexpr int64_t kRowBlocks = 2;  // of a group of rows, at most

  explicit WinogradPlan(const WinogradProblem<T>& problem) : problem(problem), by_rows(problem.by_rows()) {
    constexpr int64_t step = kTileCols<T>;
    const int64_t channels = by_rows ? problem.depth() : problem.depth() + problem.group_out();
    const int64_t room = (by_rows ? kWinogradShared : kWinogradValues) / (kWinogradPoints * channels) / step * step;
    const int64_t needed = ceil_div(problem.tiles(), step) * step;
    width = clamp(room, step, by_rows ? needed : kWinogradTiles);
    if (width > needed) width = needed;
    blocks = ceil_div(problem.tiles(), width);
  }
  int64_t workspace() const {
    const WinogradBlock<T> block(problem, width, 0);
    return by_rows ? block.in_values() + (block.plan_bytes() + 63) / int64_t(sizeof(T)) : problem.weight_size();
  }
  double cost() const {
    return double(problem.tiles()) * double(problem.channels_out) * double(problem.depth()) * kWinogradPoints *
           kMultiplyAddCost<T>;
  }
};

// Where weights are transformed once: blocks of tiles are a thread's own, U is common to all.
template <class T, class Weights>
bool winograd_by_blocks(const WinogradPlan<T>& plan, const Weights& weights, T* packed, const T* bias) {
  const WinogradProblem<T>& problem = plan.problem;
  const RowBlocks rows(problem.group_out());
  const int64_t depth = problem.depth(), slab = problem.weight_slab(), tiles = problem.tiles();
  const size_t sliver = problem.sliver_size();
  const double transform_cost = double(slab * problem.groups) * 4;
  parallel_scratch(problem.groups * rows.count, transform_cost, sliver, [&](int64_t first, int64_t last, void* memory) {
    for (int64_t item = first; item < last; ++item) {
      const int64_t group = item / rows.count, k = rows.begin(item % rows.count);
      winograd_weights(problem, weights, group, k, rows.size(item % rows.count), static_cast<T*>(memory),
                       packed + group * kWinogradPoints * slab + k * depth, slab);
    }
  });
  const WinogradBlock<T> shape(problem, plan.width, problem.group_out());
  const size_t values = size_t(shape.in_values() + shape.own_values()) * sizeof(T);
  int good = 1;
  const size_t scratch = values + size_t(shape.plan_bytes()) + size_t(depth) * sizeof(int32_t);
  parallel_scratch(problem.groups * plan.blocks, plan.cost(), scratch, [&](int64_t first, int64_t last, void* memory) {
    WinogradBlock<T> block = shape;
    char* after = static_cast<char*>(memory) + values;
    block.use(static_cast<T*>(memory), after);
    block.use_own(static_cast<T*>(memory) + shape.in_values());
    int32_t* offset = reinterpret_cast<int32_t*>(after + shape.plan_bytes());
    column_offsets<T>(depth, offset);
    for (int64_t item = first; item < last && __atomic_load_n(&good, __ATOMIC_RELAXED); ++item) {
      const int64_t group = divide(item, plan.blocks), at = item - group * plan.blocks;
      block.begin(group, tiles * at / plan.blocks, tiles * (at + 1) / plan.blocks);
      block.template transform_input<true>(0, depth);
      bool fits = block.even();
      if (fits) {
        block.multiply(rows, 0, rows.count, packed + group * kWinogradPoints * slab, slab, offset);
        fits = block.transform_output(0, problem.group_out(), bias);
      }
      if (!fits) __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
    }
  });
  return good;
}

// Of many channels U is larger than the input: V is common to all, and a thread transforms the weights of some rows, which
// stay in its cache, multiplies all tiles by them and transforms the result.
template <class T, class Weights>
bool winograd_by_rows(const WinogradPlan<T>& plan, const Weights& weights, T* work, const T* bias) {
  const WinogradProblem<T>& problem = plan.problem;
  const RowBlocks rows(problem.group_out());
  const int64_t depth = problem.depth(), tiles = problem.tiles(), room = kTileRows * plan.kRowBlocks;
  const int64_t slab = room * depth + problem.kSkew,
                pieces = rows.count >= 4 * num_threads() ? ceil_div(rows.count, plan.kRowBlocks) : rows.count;
  WinogradBlock<T> block(problem, plan.width, room);
  block.use(work, work + block.in_values());
  const size_t own = size_t(block.own_values()) * sizeof(T), u_bytes = size_t(kWinogradPoints * slab) * sizeof(T);
  const size_t sliver = problem.sliver_size();
  int good = 1;
  for (int64_t item = 0; item < problem.groups * plan.blocks && good; ++item) {
    const int64_t group = item / plan.blocks, at = item % plan.blocks;
    block.begin(group, tiles * at / plan.blocks, tiles * (at + 1) / plan.blocks);
    parallel_scratch(block.run_count, double(depth * block.count) * 2, own,
                     [&](int64_t first, int64_t last, void* memory) {
                       WinogradBlock<T> part = block;
                       part.use_own(static_cast<T*>(memory));
                       if (!part.even_runs(first, last)) __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
                     });
    if (!good) break;
    parallel_scratch(depth, double(depth * block.count) * 10, own, [&](int64_t first, int64_t last, void* memory) {
      WinogradBlock<T> part = block;
      part.use_own(static_cast<T*>(memory));
      part.template transform_input<false>(first, last);
    });
    const double cost = plan.cost() / double(problem.groups * plan.blocks);
    parallel_scratch(
        pieces, cost, own + u_bytes + sliver + size_t(depth) * sizeof(int32_t),
        [&](int64_t first, int64_t last, void* memory) {
          WinogradBlock<T> part = block;
          part.use_own(static_cast<T*>(memory));
          T* u = reinterpret_cast<T*>(static_cast<char*>(memory) + own);
          T* turned = reinterpret_cast<T*>(static_cast<char*>(memory) + own + u_bytes);
          int32_t* offset = reinterpret_cast<int32_t*>(static_cast<char*>(memory) + own + u_bytes + sliver);
          column_offsets<T>(depth, offset);
          for (int64_t piece = first; piece < last && __atomic_load_n(&good, __ATOMIC_RELAXED); ++piece) {
            const int64_t b0 = rows.count * piece / pieces, b1 = rows.count * (piece + 1) / pieces, k0 = rows.begin(b0);
            for (int64_t b = b0; b < b1; ++b)
              winograd_weights(problem, weights, group, rows.begin(b), rows.size(b), turned,
                               u + (rows.begin(b) - k0) * depth, slab);
            part.multiply(rows, b0, b1, u, slab, offset);
            if (!part.transform_output(k0, rows.begin(b1), bias)) __atomic_store_n(&good, 0, __ATOMIC_RELAXED);
          }
        });
  }
  return good;
}

// y = bias + convolution of x. False, with y in part written, if any of it isn't finite, or a tile not even.
template <class T, class Weights>
bool winograd_gemm(const WinogradPlan<T>& plan, const Weights& weights, T* work, const T* bias) {
  return plan.by_rows ? winograd_by_rows(plan, weights, work, bias) : winograd_by_blocks(plan, weights, work, bias);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
