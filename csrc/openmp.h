#pragma once
#include "runtime.h"

namespace fastnn {

extern const Runtime openmp;

}  // namespace fastnn
