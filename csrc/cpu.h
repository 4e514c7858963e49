// Which of the compiled instruction sets this CPU and operating system can run.
#pragma once

namespace fastnn {

// True if every feature that the kernels of `isa` were compiled for can be used here.
bool cpu_runs(const char* isa);

}  // namespace fastnn
