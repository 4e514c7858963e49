// Declarations of the family's kernels in this instruction set's namespace. FASTNN_FAMILY names its list.
#pragma once
#include "../parallel.h"
#include "../types.h"
#include "../unary.h"

namespace fastnn::FASTNN_ISA {

#define FASTNN_KERNEL(name, params) \
  template <class T>                \
  void name params;
#include FASTNN_FAMILY
#undef FASTNN_KERNEL

}  // namespace fastnn::FASTNN_ISA
