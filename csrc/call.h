// The bindings call kernels through this header alone.
//
// call::name(how, arguments…) runs the kernel of the active table without the GIL, and gives 0, or -1 with a
// MemoryError set if a thread had no memory for its scratch. Arguments of type void* become pointers to whatever the
// kernel declares, so the binding needs no copy of its own per type.
#pragma once
#include <Python.h>

#include <type_traits>

#include "dispatch.h"
#include "parallel.h"

namespace fastnn {

// Calls that go through at least this many elements release the GIL. With fewer, a call is less work than it costs to
// let other Python threads in (37 ns on Zen 5, more if there are threads that want to run).
constexpr int64_t kReleaseGil = 512;

struct Call {
  bool is_double;
  int64_t size;  // elements that the kernel goes through
};

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

// A kernel notes that it had no memory; this function asks for the note and clears it within the same call, so that a
// failure is neither lost nor reported by a later call.
template <class F>
inline int run(int64_t size, const F& kernel) {
  PyThreadState* const state = size >= kReleaseGil ? PyEval_SaveThread() : nullptr;
  kernel();
  if (state) PyEval_RestoreThread(state);
  if (!take_out_of_memory()) return 0;
  PyErr_SetString(PyExc_MemoryError, "no memory for the workspace of a kernel");
  return -1;
}

#define FASTNN_KERNEL(name, params)               \
  template <class... Args>                        \
  inline int name(Call how, Args... args) {       \
    return run(how.size, [=] {                    \
      if (how.is_double)                          \
        active<double>().name(argument(args)...); \
      else                                        \
        active<float>().name(argument(args)...);  \
    });                                           \
  }
#include "kernels.inc"
#undef FASTNN_KERNEL

}  // namespace call
}  // namespace fastnn
