# PReLU, RReLU and Maxout.

cdef extern from "call.h" namespace "fastnn::call":
    int prelu_forward_c "fastnn::call::prelu_forward"(Call, Norm, void* x, void* w, void* y) except -1
    int prelu_backward_c "fastnn::call::prelu_backward"(
        Call, Norm, void* dy, void* x, void* w, double* partial, void* dx, void* dw) except -1
    int prelu_workspace_c "fastnn::call::prelu_backward_workspace"(Call, Norm, int64_t* count) except -1
    int rrelu_forward_c "fastnn::call::rrelu_forward"(
        Call, int64_t n, double lower, double upper, uint64_t key, void* x, void* y) except -1
    int rrelu_backward_c "fastnn::call::rrelu_backward"(
        Call, int64_t n, double lower, double upper, uint64_t key, void* dy, void* x, void* dx) except -1
    int maxout_forward_c "fastnn::call::maxout_forward"(Call, Softmax, void* x, void* y) except -1
    int maxout_backward_c "fastnn::call::maxout_backward"(Call, Softmax, void* dy, void* x, void* dx) except -1

def prelu_forward(g, x, weight):
    cdef Norm n = norm_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef void* pw = data(weight, t, n.channels)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    prelu_forward_c(sized(t, n.outer * n.channels * n.inner), n, px, pw, py)
    return y

def prelu_backward(g, dy, x, weight):
    cdef Norm n = norm_geometry(g)
    cdef int t = floating(x)
    cdef int64_t size = n.outer * n.channels * n.inner, partials = 0
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* pw = data(weight, t, n.channels)
    cdef object dx = empty_like(x, t)
    cdef object dweight = empty_like(weight, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    cdef void* pdw = cnp.PyArray_DATA(<cnp.ndarray>dweight)
    prelu_workspace_c(short_call(t), n, &partials)
    cdef object work = workspace(F64, partials)
    cdef double* partial = <double*>cnp.PyArray_DATA(<cnp.ndarray>work)
    prelu_backward_c(sized(t, size), n, pdy, px, pw, partial, pdx, pdw)
    return dx, dweight

def rrelu_forward(x, double lower, double upper, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    rrelu_forward_c(sized(t, n), n, lower, upper, key, px, py)
    return y

def rrelu_backward(dy, x, double lower, double upper, uint64_t key):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = data(dy, t, n)
    cdef void* px = data(x, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    rrelu_backward_c(sized(t, n), n, lower, upper, key, pdy, px, pdx)
    return dx

def maxout_forward(g, x, tuple shape not None):
    """Of this shape, which has as many elements as there are positions."""
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(x, t, positions * s.n)
    cdef object y = new_shaped(shape, t)
    cdef void* py = writable(y, t, positions)
    maxout_forward_c(sized(t, positions * s.n), s, px, py)
    return y

def maxout_backward(g, dy, x):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* pdy = data(dy, t, positions)
    cdef void* px = data(x, t, positions * s.n)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    maxout_backward_c(sized(t, positions * s.n), s, pdy, px, pdx)
    return dx
