# Products of matrices, convolution.

cdef extern from "types.h" namespace "fastnn" nogil:
    const int64_t kPackedSlack
    cdef struct Conv:
        int64_t n, c, k, groups
        int64_t size[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void matmul_c "fastnn::call::matmul"(cbool is_double, ...)
    void linear_forward_c "fastnn::call::linear_forward"(cbool is_double, ...)
    void linear_backward_bias_c "fastnn::call::linear_backward_bias"(cbool is_double, ...)
    void conv_forward_c "fastnn::call::conv_forward"(cbool is_double, ...)
    void conv_backward_data_c "fastnn::call::conv_backward_data"(cbool is_double, ...)
    void conv_workspace_c "fastnn::call::conv_backward_weight_workspace"(cbool is_double, ...)
    void conv_backward_weight_c "fastnn::call::conv_backward_weight"(cbool is_double, ...)
    void conv_forward_path_c "fastnn::call::conv_forward_path"(cbool is_double, ...)
    void conv_weight_path_c "fastnn::call::conv_weight_path"(cbool is_double, ...)
    void conv_backward_bias_c "fastnn::call::conv_backward_bias"(cbool is_double, ...)

def matmul(int64_t batch, int64_t m, int64_t n, int64_t depth, cbool trans_a, cbool trans_b, a, b, c):
    cdef int t = floating(a)
    cdef void* pa = data(a, t, batch * m * depth)
    cdef void* pb = data(b, t, batch * depth * n)
    cdef void* pc = writable(c, t, batch * m * n)
    cdef object packed = workspace(t, batch * m * depth)
    cdef void* pw = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        matmul_c(t == F64, batch, m, n, depth, trans_a, trans_b, pa, pb, pc, pw)
    finish()

def linear_forward(int64_t m, int64_t n, int64_t k, x, weight, bias, y):
    cdef int t = floating(x)
    cdef void* px = data(x, t, m * k)
    cdef void* pw = data(weight, t, n * k)
    cdef void* pb = optional(bias, t, n)
    cdef void* py = writable(y, t, m * n)
    cdef object packed = workspace(t, m * k)
    cdef void* pp = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        linear_forward_c(t == F64, m, n, k, px, pw, pb, py, pp)
    finish()

def linear_backward_bias(int64_t m, int64_t n, dy, dbias):
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, m * n)
    cdef void* pdb = writable(dbias, t, n)
    with nogil:
        linear_backward_bias_c(t == F64, m, n, pdy, pdb)

cdef int64_t volume(const int64_t* axes) noexcept nogil:
    return axes[0] * axes[1] * axes[2]

cdef int axes3(object values, int64_t* to) except -1:
    to[0], to[1], to[2] = values
    return 0

cdef Conv conv_geometry(object g) except *:
    """From checks.Conv; a kernel trusts these numbers, so the signs and the output size are looked at again."""
    cdef Conv c
    size, out, kernel, stride, pad, dilation = g[4:]
    c.n, c.c, c.k, c.groups = g[:4]
    axes3(size, c.size)
    axes3(out, c.out)
    axes3(kernel, c.kernel)
    axes3(stride, c.stride)
    axes3(pad, c.pad)
    axes3(dilation, c.dilation)
    cdef int d
    cdef bint sane = c.n >= 0 and c.c >= 0 and c.k >= 0 and c.groups > 0
    for d in range(3):
        sane = sane and c.size[d] >= 0 and c.out[d] >= 0 and c.kernel[d] > 0 and c.stride[d] > 0 and c.dilation[d] > 0
    if not sane or c.c % c.groups or c.k % c.groups:
        raise ValueError(f"impossible geometry {g}")
    return c

def conv_paths(g, cbool is_double):
    """Which way the forward pass and the weight gradient of a convolution go with the active instruction set."""
    cdef Conv c = conv_geometry(g)
    cdef int64_t forward = 0, weight = 0
    conv_forward_path_c(is_double, c, &forward)
    conv_weight_path_c(is_double, c, &weight)
    return ("packed", "direct", "lanes", "slabs", "channels")[forward], ("packed", "direct", "channels")[weight]

def conv_forward(g, x, weight, bias, y):
    cdef int t = floating(x)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* px = data(x, t, c.n * c.c * volume(c.size))
    cdef void* pw = data(weight, t, weights)
    cdef void* pb = optional(bias, t, c.k)
    cdef void* py = writable(y, t, c.n * c.k * volume(c.out))
    cdef object packed = workspace(t, weights + kPackedSlack)
    cdef void* pp = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        conv_forward_c(t == F64, c, px, pw, pb, py, pp)
    finish()

def conv_backward_data(g, dy, weight, bias, dx):
    cdef int t = floating(dy)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* pdy = data(dy, t, c.n * c.k * volume(c.out))
    cdef void* pw = data(weight, t, weights)
    cdef void* pb = optional(bias, t, c.c)
    cdef void* pdx = writable(dx, t, c.n * c.c * volume(c.size))
    cdef object packed = workspace(t, weights + kPackedSlack)
    cdef void* pp = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        conv_backward_data_c(t == F64, c, pdy, pw, pb, pdx, pp)
    finish()

def conv_backward_weight(g, dy, x, dweight):
    cdef int t = floating(dy)
    cdef Conv c = conv_geometry(g)
    cdef void* pdy = data(dy, t, c.n * c.k * volume(c.out))
    cdef void* px = data(x, t, c.n * c.c * volume(c.size))
    cdef void* pdw = writable(dweight, t, c.k * (c.c // c.groups) * volume(c.kernel))
    cdef int64_t size = 0
    conv_workspace_c(t == F64, c, &size)
    cdef object work = workspace(t, size)
    cdef void* pwork = cnp.PyArray_DATA(<cnp.ndarray>work)
    with nogil:
        conv_backward_weight_c(t == F64, c, pdy, px, pdw, pwork)
    finish()

def conv_backward_bias(g, dy, dbias):
    cdef int t = floating(dy)
    cdef Conv c = conv_geometry(g)
    cdef void* pdy = data(dy, t, c.n * c.k * volume(c.out))
    cdef void* pdb = writable(dbias, t, c.k)
    with nogil:
        conv_backward_bias_c(t == F64, c, pdy, pdb)
