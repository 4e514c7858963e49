# Normalisation.

cdef int refuse_none(int64_t values, object g) except -1:
    """An error where there are no values whose moments could be taken."""
    if values < 1:
        raise ValueError(f"no values to take the moments of in {g}")
    return 0

cdef object statistic(object a, int t):
    """Moments in double, as kernels take them. A caller may give them in the type of the other arrays."""
    if t == F64 or not cnp.PyArray_Check(a) or cnp.PyArray_TYPE(<cnp.ndarray>a) != t:
        return a
    return cnp.PyArray_Cast(<cnp.ndarray>a, F64)

cdef enum:
    # Up to so many channels, moments that nobody wants are on the stack: two arrays take 90 ns of a call's 700.
    FEW_CHANNELS = 64

def batch_norm_train_forward(g, x, weight, bias, running_mean, running_var, double momentum, double eps, residual=None,
                             cbool relu=False, cbool unbiased=True, cbool moments=True):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.outer * n.inner, g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    y = empty_like(x, t)
    cdef double few[2 * FEW_CHANNELS]
    cdef void* pm = few
    cdef void* pr = few + FEW_CHANNELS
    cdef object mean = None, rstd = None
    if moments or n.channels > FEW_CHANNELS:
        mean, rstd = workspace(F64, n.channels), workspace(F64, n.channels)
        pm, pr = address(mean), address(rstd)
    batch_norm_train_forward_c(sized(t, size), n, relu, px, optional(weight, t, n.channels),
        optional(bias, t, n.channels), optional(residual, t, size), optional_writable(running_mean, t, n.channels),
        optional_writable(running_var, t, n.channels), momentum, unbiased, eps, address(y), pm, pr)
    return (y, mean, rstd) if moments else y

def batch_norm_eval_forward(g, x, mean, var, weight, bias, double eps, residual=None, cbool relu=False):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef object y = empty_like(x, t)
    batch_norm_eval_forward_c(sized(t, size), n, relu, px, data(mean, t, n.channels), data(var, t, n.channels),
        optional(weight, t, n.channels), optional(bias, t, n.channels), optional(residual, t, size), eps, address(y))
    return y

def batch_norm_backward(g, dy, x, weight, mean, rstd, needs):
    return channel_gradients(g, True, False, dy, x, None, weight, None, mean, rstd, needs)[:3]

@cython.cdivision(True)
def batch_norm_eval_backward(g, dy, x, weight, mean, var, double eps, needs):
    cdef int64_t channels = norm_geometry(g).channels, i
    rstd = statistic(var, floating(dy)).copy()
    cdef double* to = <double*>data(rstd, F64, channels)
    for i in range(channels):
        to[i] = 1 / sqrt(to[i] + eps)
    return channel_gradients(g, False, False, dy, x, None, weight, None, mean, rstd, needs)[:3]

def batch_norm_relu_backward(g, dy, x, y, weight, bias, mean, rstd, needs):
    return channel_gradients(g, True, True, dy, x, y, weight, bias, mean, rstd, needs[:3])

cdef tuple channel_gradients(g, cbool training, cbool relu, dy, x, y, weight, bias, mean, rstd, needs):
    """dx, dweight, dbias, and behind a residual its gradient."""
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef cnp.npy_intp channels = n.channels
    cdef void* px = data(x, t, size)
    need_x, need_weight, need_bias = needs
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    dx, dresidual = empty_like(x, t) if need_x else None, None if y is None else empty_like(x, t)
    dweight, dbias = gradient_array(need_weight, t, 1, &channels), gradient_array(need_bias, t, 1, &channels)
    batch_norm_backward_c(sized(t, size), n, training, relu, data(dy, t, size), px, optional(y, t, size),
        optional(weight, t, channels), optional(bias, t, channels), data(mean, F64, channels), data(rstd, F64, channels),
        address(dx), address(dresidual), writable(dweight, t, channels), writable(dbias, t, channels))
    return dx, dweight if need_weight else None, dbias if need_bias else None, dresidual

def layer_norm_forward(g, x, weight, bias, double eps):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.inner, g)
    cdef void* px = data(x, t, n.outer * n.inner)
    y, mean, rstd = empty_like(x, t), workspace(F64, n.outer), workspace(F64, n.outer)
    layer_norm_forward_c(sized(t, n.outer * n.inner), n, px, optional(weight, t, n.inner), optional(bias, t, n.inner),
        eps, address(y), address(mean), address(rstd))
    return y, mean, rstd

def layer_norm_backward(g, dy, x, weight, mean, rstd, needs):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef int64_t values = n.outer * n.inner
    cdef void* px = data(x, t, values)
    need_x, need_weight, need_bias = needs
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    dx = empty_like(x, t) if need_x else None
    dweight = dbias = None
    if need_weight or need_bias:
        dweight, dbias = workspace(t, n.inner), workspace(t, n.inner)
    layer_norm_backward_c(sized(t, values), n, data(dy, t, values), px, optional(weight, t, n.inner),
        data(mean, F64, n.outer), data(rstd, F64, n.outer), address(dx), address(dweight), address(dbias))
    return dx, dweight if need_weight else None, dbias if need_bias else None

def group_norm_forward(g, x, weight, bias, double eps):
    cdef int t = floating(x)
    cdef GroupNorm n = group_geometry(g)
    refuse_none(n.channels * n.inner, g)
    cdef int64_t size = n.n * n.groups * n.channels * n.inner
    cdef void* px = data(x, t, size)
    y, mean, rstd = empty_like(x, t), matrix(F64, n.n, n.groups), matrix(F64, n.n, n.groups)
    group_norm_forward_c(sized(t, size), n, px, optional(weight, t, n.groups * n.channels),
        optional(bias, t, n.groups * n.channels), eps, address(y), address(mean), address(rstd))
    return y, mean, rstd

def group_norm_backward(g, dy, x, weight, mean, rstd, needs):
    cdef int t = floating(dy)
    cdef GroupNorm n = group_geometry(g)
    cdef int64_t channels = n.groups * n.channels, size = n.n * channels * n.inner
    cdef void* px = data(x, t, size)
    need_x, need_weight, need_bias = needs
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    dx = empty_like(x, t) if need_x else None
    dweight = workspace(t, channels) if need_weight else None
    dbias = workspace(t, channels) if need_bias else None
    group_norm_backward_c(sized(t, size), n, data(dy, t, size), px, optional(weight, t, channels),
        data(mean, F64, n.n * n.groups), data(rstd, F64, n.n * n.groups), address(dx), address(dweight), address(dbias))
    return dx, dweight, dbias

def rms_norm_forward(g, x, weight, double eps):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.inner, g)
    cdef void* px = data(x, t, n.outer * n.inner)
    y, rstd = empty_like(x, t), workspace(F64, n.outer)
    rms_norm_forward_c(sized(t, n.outer * n.inner), n, px, optional(weight, t, n.inner), eps, address(y), address(rstd))
    return y, rstd

def rms_norm_backward(g, dy, x, weight, rstd, needs):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef int64_t values = n.outer * n.inner
    cdef void* px = data(x, t, values)
    need_x, need_weight = needs
    rstd = statistic(rstd, t)
    dx, dweight = empty_like(x, t) if need_x else None, workspace(t, n.inner) if need_weight else None
    rms_norm_backward_c(sized(t, values), n, data(dy, t, values), px, optional(weight, t, n.inner),
        data(rstd, F64, n.outer), address(dx), address(dweight))
    return dx, dweight

def local_response_norm_forward(g, x, int64_t size, double alpha, double beta, double k):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef object y = empty_like(x, t)
    if not within(size, 1):
        raise ValueError(f"impossible window {size}")
    local_response_norm_forward_c(sized(t, n.outer * n.channels * n.inner), n, size, alpha, beta, k, px, address(y))
    return y

def local_response_norm_backward(g, dy, x, int64_t size, double alpha, double beta, double k):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef void* pdy = data(dy, t, n.outer * n.channels * n.inner)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef object dx = empty_like(x, t)
    if not within(size, 1):
        raise ValueError(f"impossible window {size}")
    local_response_norm_backward_c(sized(t, n.outer * n.channels * n.inner), n, size, alpha, beta, k, pdy, px,
        address(dx))
    return dx
