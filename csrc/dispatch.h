// One table of kernels per instruction set and element type; the active one is chosen at import.
#pragma once
#include <type_traits>

#include "types.h"

namespace fastnn {

template <class T>
struct Kernels {
#define FASTNN_KERNEL(name, params) void(*name) params;
#include "kernels.inc"
#undef FASTNN_KERNEL
};

// Names of the compiled instruction sets, best last; null beyond the end.
const char* isa_name(int i);
bool isa_usable(const char* name);
// Makes `name` the active set; false if it isn't compiled in or can't run here.
bool set_isa(const char* name);
const char* active_isa();

template <class T>
const Kernels<T>& active();
template <>
const Kernels<float>& active<float>();
template <>
const Kernels<double>& active<double>();

// call::name(is_double, arguments…): the kernel of the active table for that element type. Arguments of type void*
// become pointers to whatever the kernel declares, so the binding needs no copy of its own per type.
namespace call {

struct Pointer {
  void* p;
  template <class U>
  operator U*() const {
    return static_cast<U*>(p);
  }
};

template <class A>
inline auto argument(A a) {
  if constexpr (std::is_same_v<A, void*>)
    return Pointer{a};
  else
    return a;
}

#define FASTNN_KERNEL(name, params)                         \
  template <class... Args>                                  \
  inline void name(bool is_double, Args... args) {          \
    if (is_double)                                          \
      active<double>().name(argument(args)...);             \
    else                                                    \
      active<float>().name(argument(args)...);              \
  }
#include "kernels.inc"
#undef FASTNN_KERNEL

}  // namespace call
}  // namespace fastnn
