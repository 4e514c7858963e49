#include "cpu.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fastnn {
namespace {

#if defined(__x86_64__)
// Bytes of the largest cache that a leaf of CPUID lists: leaf 4 on Intel's processors, 0x8000001D on AMD's.
int64_t largest_cache(unsigned leaf) {
  int64_t largest = 0;
  unsigned a, b, c, d;
  for (unsigned i = 0; i < 16 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) && a & 31; ++i) {
    const int64_t ways = (b >> 22) + 1, parts = (b >> 12 & 1023) + 1, line = (b & 4095) + 1, sets = int64_t(c) + 1;
    const int64_t bytes = ways * parts * line * sets;
    if (bytes > largest) largest = bytes;
  }
  return largest;
}
#endif

int64_t find_last_level_cache() {
  int64_t bytes = 0;
#if defined(__x86_64__)
  bytes = largest_cache(4);
  if (!bytes) bytes = largest_cache(0x8000001D);
#endif
  return bytes ? bytes : INT64_MAX;
}

std::atomic<int64_t> cache_bytes{find_last_level_cache()};

}  // namespace

bool cpu_runs(const char* isa) {
  if (!std::strcmp(isa, "generic")) return true;
#if defined(__x86_64__)
  // The builtins read CPUID and XCR0: a register file that the system doesn't save counts as absent.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!std::strcmp(isa, "avx2")) return avx2;
  if (!std::strcmp(isa, "avx512"))
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return false;
}

int64_t last_level_cache() { return cache_bytes.load(std::memory_order_relaxed); }
void set_last_level_cache(int64_t bytes) { cache_bytes.store(bytes, std::memory_order_relaxed); }

}  // namespace fastnn
