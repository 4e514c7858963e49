# The instruction set, caches, threads.

cdef extern from "dispatch.h" namespace "fastnn" nogil:
    const char* isa_name(int i)
    bint isa_usable_c "fastnn::isa_usable"(const char* name)
    bint set_isa_c "fastnn::set_isa"(const char* name)
    const char* active_isa_c "fastnn::active_isa"()

cdef extern from "cpu.h" namespace "fastnn" nogil:
    int64_t last_level_cache_c "fastnn::last_level_cache"()
    void set_last_level_cache_c "fastnn::set_last_level_cache"(int64_t bytes)

cdef extern from "parallel.h" namespace "fastnn" nogil:
    int num_threads_c "fastnn::num_threads"()
    void set_num_threads_c "fastnn::set_num_threads"(int n)
    double thread_cost_c "fastnn::thread_cost"()
    int64_t team_parts_c "fastnn::team_parts"()
    void set_thread_cost_c "fastnn::set_thread_cost"(double ns)

cdef extern from "runtime.h" namespace "fastnn" nogil:
    cppclass Runtime:
        pass
    void set_runtime_c "fastnn::set_runtime"(const Runtime* runtime)
    const char* runtime_name_c "fastnn::runtime_name"()

def compiled_isas():
    """Names of the instruction sets in this build, best last."""
    names = []
    cdef int i = 0
    while isa_name(i) != NULL:
        names.append(isa_name(i).decode())
        i += 1
    return names

def usable_isas():
    """Those that this CPU can run."""
    return [name for name in compiled_isas() if isa_usable_c(name.encode())]

def active_isa():
    return active_isa_c().decode()

def set_isa(str name):
    """Make an instruction set the active one; ValueError if it is unknown or can't run here."""
    if name not in compiled_isas():
        raise ValueError(f"FASTNN_ISA: unknown instruction set {name!r}, this build has {compiled_isas()}")
    if not set_isa_c(name.encode()):
        raise ValueError(f"FASTNN_ISA: this CPU cannot run {name!r}, it can run {usable_isas()}")

def _choose_isa():
    """At import: the one that FASTNN_ISA names, else the best that this CPU can run."""
    import os
    set_isa(os.environ.get("FASTNN_ISA") or usable_isas().pop())

_choose_isa()

def last_level_cache():
    """Bytes; calls that read and write more store their results past the caches."""
    return last_level_cache_c()

def set_last_level_cache(int64_t bytes):
    set_last_level_cache_c(bytes)

def num_threads():
    return num_threads_c()

def set_num_threads(int n):
    set_num_threads_c(n)

def thread_cost():
    return thread_cost_c()

def team_parts():
    """Parts of steps that several threads have shared so far, for tests."""
    return team_parts_c()

def set_thread_cost(double ns):
    """Nanoseconds of work that a further thread must take over to be asked."""
    set_thread_cost_c(ns)

def set_runtime(capsule):
    """Have the threads of another runtime than the pool do the work, for good."""
    set_runtime_c(<const Runtime*>PyCapsule_GetPointer(capsule, "fastnn.Runtime"))

def runtime():
    """Whose threads do the work: "pool", or the name of another runtime."""
    return runtime_name_c().decode()
