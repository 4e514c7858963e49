#include "cpu.h"

#include <cstring>

namespace fastnn {

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

}  // namespace fastnn
