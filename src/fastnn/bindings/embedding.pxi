# Rows of a table by number.

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void embedding_forward_c "fastnn::call::embedding_forward"(cbool is_double, ...)
    void embedding_backward_c "fastnn::call::embedding_backward"(cbool is_double, ...)

def embedding_forward(int64_t n, int64_t rows, int64_t width, index, weight, y):
    cdef int t = floating(weight)
    cdef void* pi = data(index, I64, n)
    cdef void* pw = data(weight, t, rows * width)
    cdef void* py = writable(y, t, n * width)
    with nogil:
        embedding_forward_c(t == F64, n, rows, width, pi, pw, py)

def embedding_backward(int64_t n, int64_t rows, int64_t width, int64_t skip, index, dy, dweight):
    cdef int t = floating(dy)
    cdef void* pi = data(index, I64, n)
    cdef void* pdy = data(dy, t, n * width)
    cdef void* pdw = writable(dweight, t, rows * width)
    with nogil:
        embedding_backward_c(t == F64, n, rows, width, skip, pi, pdy, pdw)
