# PReLU, RReLU, Maxout and dropout.

def prelu_forward(g, x, weight):
    cdef Norm n = norm_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef object y = empty_like(x, t)
    prelu_forward_c(sized(t, n.outer * n.channels * n.inner), n, px, data(weight, t, n.channels), address(y))
    return y

def prelu_backward(g, dy, x, weight):
    cdef Norm n = norm_geometry(g)
    cdef int t = floating(x)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* pw = data(weight, t, n.channels)
    dx, dweight = empty_like(x, t), empty_like(weight, t)
    prelu_backward_c(sized(t, size), n, pdy, px, pw, address(dx), address(dweight))
    return dx, dweight

def rrelu_forward(x, double lower, double upper, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    rrelu_forward_c(sized(t, n), n, lower, upper, key, px, address(y))
    return y

def rrelu_backward(dy, x, double lower, double upper, uint64_t key):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = data(dy, t, n)
    cdef object dx = empty_like(dy, t)
    rrelu_backward_c(sized(t, n), n, lower, upper, key, pdy, data(x, t, n), address(dx))
    return dx

def maxout_forward(g, x, tuple shape not None):
    """The result has this shape, with as many elements as there are positions."""
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(x, t, positions * s.n)
    cdef object y = new_shaped(shape, t)
    maxout_forward_c(sized(t, positions * s.n), s, px, writable(y, t, positions))
    return y

def maxout_backward(g, dy, x):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* pdy = data(dy, t, positions)
    cdef void* px = data(x, t, positions * s.n)
    cdef object dx = empty_like(x, t)
    maxout_backward_c(sized(t, positions * s.n), s, pdy, px, address(dx))
    return dx

def dropout_forward(x, double p, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    dropout_forward_c(sized(t, n), n, p, key, px, address(y))
    return y

def spatial_dropout_forward(x, int64_t planes, double p, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t size = cnp.PyArray_SIZE(<cnp.ndarray>x)
    if planes < 0:
        raise ValueError(f"impossible number of planes {planes}")
    if size == 0:
        planes = 0
    cdef int64_t inner = size // planes if planes else 0
    cdef void* px = data(x, t, planes * inner)
    cdef object y = empty_like(x, t)
    spatial_dropout_forward_c(sized(t, size), planes, inner, p, key, px, address(y))
    return y
