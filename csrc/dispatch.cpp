#include "dispatch.h"

#include <atomic>
#include <cstring>

#include "cpu.h"

namespace fastnn {

#define FASTNN_FOR_ISA(isa)                 \
  namespace isa {                           \
  extern const Kernels<float> kernels_f32;  \
  extern const Kernels<double> kernels_f64; \
  }
FASTNN_ISAS
#undef FASTNN_FOR_ISA

namespace {

struct Isa {
  const char* name;
  const Kernels<float>* f32;
  const Kernels<double>* f64;
};

const Isa isas[] = {
#define FASTNN_FOR_ISA(isa) {#isa, &isa::kernels_f32, &isa::kernels_f64},
    FASTNN_ISAS
#undef FASTNN_FOR_ISA
};
constexpr int isa_count = sizeof(isas) / sizeof(isas[0]);

std::atomic<const Isa*> active_table{&isas[0]};

const Isa* find(const char* name) {
  for (const Isa& isa : isas)
    if (!std::strcmp(isa.name, name)) return &isa;
  return nullptr;
}

}  // namespace

const char* isa_name(int i) { return i >= 0 && i < isa_count ? isas[i].name : nullptr; }
bool isa_usable(const char* name) { return find(name) && cpu_runs(name); }

bool set_isa(const char* name) {
  if (!isa_usable(name)) return false;
  active_table.store(find(name));
  return true;
}

const char* active_isa() { return active_table.load(std::memory_order_relaxed)->name; }

template <>
const Kernels<float>& active<float>() {
  return *active_table.load(std::memory_order_relaxed)->f32;
}
template <>
const Kernels<double>& active<double>() {
  return *active_table.load(std::memory_order_relaxed)->f64;
}

}  // namespace fastnn
