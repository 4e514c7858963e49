# Sums of two arrays.

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void add_c "fastnn::call::add"(cbool is_double, int64_t n, void* a, void* b, void* y)

def add(a, b, out):
    cdef int t = floating(a)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>a)
    cdef void* pa = data(a, t, n)
    cdef void* pb = data(b, t, n)
    cdef object y = empty_like(a, t) if out is None else out
    cdef void* py = writable(y, t, n)
    cdef PyThreadState* state = let_go(n)
    add_c(t == F64, n, pa, pb, py)
    take_back(state)
    return y
