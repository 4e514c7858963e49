// This instruction set's tables, for the dispatcher.
#include "../dispatch.h"
#define FASTNN_FAMILY "../kernels.inc"
#include "kernels.h"

namespace fastnn::FASTNN_ISA {

extern const Kernels<float> kernels_f32;
extern const Kernels<double> kernels_f64;

#define FASTNN_KERNEL(name, params) &name<float>,
const Kernels<float> kernels_f32 = {
#include "../kernels.inc"
};
#undef FASTNN_KERNEL
#define FASTNN_KERNEL(name, params) &name<double>,
const Kernels<double> kernels_f64 = {
#include "../kernels.inc"
};
#undef FASTNN_KERNEL

}  // namespace fastnn::FASTNN_ISA
