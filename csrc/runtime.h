// Who runs the parts of a job: the pool (pool.h), unless another runtime is chosen when fastnn is imported.
#pragma once

namespace fastnn {

// body(context, part)
using PartBody = void (*)(void* context, int part);

struct Runtime {
  const char* name;
  // Threads that may be used now: 1 where there are no others, as in a child that was forked.
  int (*most_threads)();
  // Calls body once for each part 0 … threads - 1. Returns when all are done.
  void (*run)(int threads, void* context, PartBody body);
};

// Chooses the runtime, which must live as long as the process.
void set_runtime(const Runtime* runtime);
const char* runtime_name();

}  // namespace fastnn
