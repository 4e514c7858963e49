#include "memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>

namespace fastnn {
namespace {

constexpr size_t kLine = 64;
constexpr int kSteps = 8;  // sizes per power of two: at most an eighth is wasted
constexpr int kClasses = 64 * kSteps;
// Blocks of this many bytes and more ask for huge pages: the first use of 26 MB takes 2.4 instead of 11.3 ms on Zen 5.
// Scratch of kLargeScratch and more is made kHuge bytes large: with V of 2.4 MB (conv_winograd.h), a convolution of
// 4x512x7x7 with 512 filters takes 0.88 of the time (one core of a virtual Sapphire Rapids).
constexpr size_t kHuge = 4 << 20, kLargeScratch = 2 << 20;

struct Free {
  Free* next;
};

std::mutex mutex;
Free* free_blocks[kClasses];
size_t cached = 0, limit = 0;

// A child of fork must not inherit a lock that a thread it doesn't have is holding.
const int at_fork = pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });

// The smallest capacity of at least `bytes`, and its class. Capacities are (8 + step) * 2^k units of 8 bytes, step < 8.
size_t round_up(size_t bytes, int* which) {
  const size_t units = bytes <= kLine * kSteps ? kLine : (bytes + 7) / 8;
  const int top = 63 - __builtin_clzll(units);  // units >= 64
  const size_t unit = size_t(1) << (top - 3);
  const size_t steps = (units + unit - 1) / unit;  // 8 … 16
  *which = steps == 16 ? (top + 1) * kSteps : top * kSteps + int(steps) - kSteps;
  return steps * unit * 8;
}

// Large blocks get huge pages where the system gives them on request, as NumPy's arrays do.
void* new_block(size_t size) {
  void* block = std::aligned_alloc(kLine, size);
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = 4096;
  if (block && size >= kHuge) {
    const uintptr_t first = (uintptr_t(block) + kPage - 1) / kPage * kPage,
                    end = (uintptr_t(block) + size) / kPage * kPage;
    madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
  }
#endif
  return block;
}

void drop_all() {
  for (Free*& head : free_blocks)
    while (Free* block = head) {
      head = block->next;
      std::free(block);
    }
  cached = 0;
}

}  // namespace

void* take_block(size_t bytes, size_t* capacity) {
  int which;
  const size_t size = round_up(bytes, &which);
  *capacity = size;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (Free* block = free_blocks[which]) {
      free_blocks[which] = block->next;
      cached -= size;
      return block;
    }
  }
  if (void* block = new_block(size)) return block;
  empty_cache();  // the blocks that are kept may be what the system lacks
  return new_block(size);
}

void* take_scratch(size_t bytes, size_t* capacity) {
  return take_block(bytes >= kLargeScratch && bytes < kHuge ? kHuge : bytes, capacity);
}

void give_block(void* block, size_t capacity) {
  int which;
  round_up(capacity, &which);
  const std::lock_guard<std::mutex> lock(mutex);
  if (capacity > limit) return std::free(block);
  if (cached + capacity > limit) drop_all();  // some may be of sizes that nobody asks for any more
  Free* const head = static_cast<Free*>(block);
  head->next = free_blocks[which];
  free_blocks[which] = head;
  cached += capacity;
}

size_t cache_limit() {
  const std::lock_guard<std::mutex> lock(mutex);
  return limit;
}

void set_cache_limit(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex);
  limit = bytes;
  if (cached > limit) drop_all();
}

size_t cached_bytes() {
  const std::lock_guard<std::mutex> lock(mutex);
  return cached;
}

void empty_cache() {
  const std::lock_guard<std::mutex> lock(mutex);
  drop_all();
}

}  // namespace fastnn
