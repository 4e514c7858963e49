// One table of kernels per instruction set and element type; the active one is chosen at import.
#pragma once
#include "types.h"
#include "unary.h"

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

}  // namespace fastnn
