// Declarations of every kernel in this instruction set's namespace.
#pragma once
#include "../parallel.h"
#include "../types.h"

namespace fastnn::FASTNN_ISA {

#define FASTNN_KERNEL(name, params) \
  template <class T>                \
  void name params;
#include "../kernels.inc"
#undef FASTNN_KERNEL

}  // namespace fastnn::FASTNN_ISA
