# Elementwise functions. For functions of one array the bindings are in kernels.pxi, which csrc/declare.py writes.

# Kernels take two parameters, though most functions need fewer. After them a forward kernel takes x and y; a backward
# kernel takes dy, then x or y (the row of the function says which), then dx.
ctypedef int (*Unary)(Call, int64_t, double, double, void*, void*) except -1
ctypedef int (*UnaryBackward)(Call, int64_t, double, double, void*, void*, void*) except -1

cdef object unary(Unary kernel, object x, double a, double b):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = dense(x, t, n)
    y = empty_like(x, t)
    kernel(sized(t, n), n, a, b, px, address(y))
    return y

cdef object unary_backward(UnaryBackward kernel, object dy, object saved, double a, double b):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = dense(dy, t, n)
    cdef void* ps = beside(saved, dy, t, n)
    dx = empty_like(dy, t)
    kernel(sized(t, n), n, a, b, pdy, ps, address(dx))
    return dx

def add(a, b, out):
    cdef int t = floating(a)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>a)
    cdef void* pa = dense(a, t, n)
    cdef void* pb = beside(b, a, t, n)
    cdef object y = empty_like(a, t) if out is None else out
    cdef void* py = beside(y, a, t, n)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>y):
        raise ValueError("output array is read-only")
    add_c(sized(t, n), n, pa, pb, py)
    return y
