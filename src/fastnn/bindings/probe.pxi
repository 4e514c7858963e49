# What the machine can do, and how work is split.

def probe_fma(out, int64_t steps):
    """Run a register-resident loop of multiply-adds once per element of ``out``; the number of operations."""
    cdef int t = floating(out)
    cdef int64_t tasks = cnp.PyArray_SIZE(<cnp.ndarray>out), flops = 0
    cdef void* p = writable(out, t, tasks)
    probe_fma_c(long_call(t), tasks, steps, p, &flops)
    return flops

def probe_copy(x, y, bint stream):
    """Copy x to y, past the caches if ``stream`` (y must then be aligned to 64 bytes)."""
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef void* py = writable(y, t, n)
    if stream and <size_t>py % 64:
        raise ValueError("probe_copy: y is not aligned to 64 bytes")
    probe_copy_c(long_call(t), n, stream, px, py)

def probe_ranges(out, double cost):
    """Fill ``out`` with the first index of the range that each index was computed in."""
    cdef int t = floating(out)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>out)
    cdef void* p = writable(out, t, n)
    probe_ranges_c(long_call(t), n, cost, p)
