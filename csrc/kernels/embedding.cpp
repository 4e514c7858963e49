// Rows of a table by number: index (n), weight (rows, width) -> y (n, width).
// A number out of range can't come from a checked call; it gives NaN instead of reading out of bounds.
#include "../simd/copy.h"
#define FASTNN_FAMILY "embedding.inc"
#include "kernels.h"
#include "room.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr double kValueCost = 0.15;  // rough nanoseconds per value moved
// If there are more than kManyNumbers numbers, the gradient of a row that occurs more than kRun times is summed in runs
// of kRun terms, whose sums are then added: rounding errors grow with the length of a run and with the number of runs,
// not with their product.
constexpr int64_t kManyNumbers = 16 * 1024, kRun = 1024;

template <class T>
FASTNN_INLINE void add_row(int64_t n, const T* from, T* to) {
  int64_t j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>) store(to + j, load(to + j) + load(from + j));
  if (j < n) store_n(to + j, load_n(to + j, int(n - j)) + load_n(from + j, int(n - j)), int(n - j));
}

// Adds dy[i] to dweight[r] for index[i] = r, begin <= r < end, r != skip. Rows of a large table come from a farther
// cache, so the first kFetched bytes of the row that comes kAhead numbers later are fetched already: 8192 numbers of
// 5000 rows of 16 values take 22 instead of 27 us.
template <class T>
inline void add_rows(int64_t n, int64_t width, int64_t begin, int64_t end, int64_t skip, const int64_t* index,
                     const T* dy, T* dweight) {
  constexpr int64_t kAhead = 8, kFetched = 256, kNear = 32 * 1024;
  const int64_t bytes = width * int64_t(sizeof(T)), near = (end - begin) * bytes <= kNear;
  const int64_t fetched = near ? 0 : bytes < kFetched ? bytes : kFetched;
  for (int64_t i = 0; i < n; ++i, dy += width) {
    if (fetched && i + kAhead < n) {
      const char* next = reinterpret_cast<const char*>(dweight + index[i + kAhead] * width);
      for (int64_t b = 0; b < fetched; b += 64) __builtin_prefetch(next + b, 1);
    }
    const int64_t r = index[i];
    if (r >= begin && r < end && r != skip) add_row(width, dy, dweight + r * width);
  }
}

// Rows that occur more than kRun times.
template <class T>
struct LongRows {
  int64_t *place, *row, *added;  // place[r] is -1 - i for row[i] = r, and 0 or more for other rows that occur
  T* sums;                       // for each of these rows the sum of its last run; added[i] says how many terms it has

  LongRows(int64_t n, int64_t rows, int64_t width, Room& room)
      : place(room.take<int64_t>(rows)),
        row(room.take<int64_t>(n / kRun)),
        added(room.take<int64_t>(n / kRun)),
        sums(room.take<T>(n / kRun * width)) {}

  // Finds the rows, and returns how many there are.
  int64_t find(int64_t n, int64_t rows, const int64_t* index) const {
    const auto each = [=](const auto& f) {
      for (int64_t i = 0; i < n; ++i)
        if (uint64_t(index[i]) < uint64_t(rows)) f(index[i]);
    };
    int64_t found = 0, most = 0;
    each([&](int64_t r) { place[r] = 0; });
    each([&](int64_t r) { most = ++place[r] > most ? place[r] : most; });
    if (most <= kRun) return 0;
    each([&](int64_t r) {
      if (place[r] <= kRun) return;
      row[found] = r, added[found] = 0;
      place[r] = -1 - found++;
    });
    return found;
  }
};

// Adds dy to dweight as add_rows does, but sums long rows in runs; the whole table has `found` of them.
template <class T>
void add_runs(int64_t n, int64_t width, int64_t begin, int64_t end, int64_t skip, const int64_t* index, const T* dy,
              const LongRows<T>& rows, int64_t found, T* dweight) {
  const auto each_long_row = [=](const auto& f) {
    for (int64_t i = 0; i < found; ++i)
      if (rows.row[i] >= begin && rows.row[i] < end) f(rows.row[i], rows.sums + i * width);
  };
  each_long_row([=](int64_t, T* run) { zero_run(run, width); });
  for (int64_t i = 0; i < n; ++i) {
    const int64_t r = index[i];
    if (r < begin || r >= end || r == skip) continue;
    T* to = dweight + r * width;
    if (rows.place[r] >= 0) {
      add_row(width, dy + i * width, to);
      continue;
    }
    const int64_t which = -1 - rows.place[r];
    T* run = rows.sums + which * width;
    add_row(width, dy + i * width, run);
    if (++rows.added[which] % kRun) continue;
    add_row(width, run, to);
    zero_run(run, width);
  }
  each_long_row([=](int64_t r, T* run) { add_row(width, run, dweight + r * width); });
}

}  // namespace

// y[i] = weight[index[i]]
template <class T>
void embedding_forward(int64_t n, int64_t rows, int64_t width, const int64_t* index, const T* weight, T* y) {
  parallel_for(n, double(n) * double(width) * kValueCost, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (uint64_t(index[i]) < uint64_t(rows))
        copy_run(y + i * width, weight + index[i] * width, width);
      else
        for (int64_t j = 0; j < width; ++j) y[i * width + j] = T(__builtin_nan(""));
    }
  });
}

// y[i] = weight[index[i]]  =>  dweight[r] = sum of dy[i] over index[i] = r, in the order of i. A thread looks through
// all numbers for those of its range of rows, so that no two threads add to one row.
template <class T>
void embedding_backward(int64_t n, int64_t rows, int64_t width, int64_t skip, const int64_t* index, const T* dy,
                        T* dweight) {
  const double cost = (double(n) + double(rows)) * double(width) * kValueCost;
  const bool many = n > kManyNumbers;
  const auto layout = [&](Room& room) { return LongRows<T>(many ? n : 0, many ? rows : 0, width, room); };
  shared_room(layout, [&](const LongRows<T>& long_rows) {
    const int64_t found = many ? long_rows.find(n, rows, index) : 0;
    parallel_for(rows, cost, [=](int64_t begin, int64_t end) {
      zero_run(dweight + begin * width, (end - begin) * width);
      if (found)
        add_runs(n, width, begin, end, skip, index, dy, long_rows, found, dweight);
      else
        add_rows(n, width, begin, end, skip, index, dy, dweight);
    });
  });
}

}  // namespace fastnn::FASTNN_ISA

#include "instantiate.inc"
