# Normalisation.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Norm:
        int64_t outer, channels, inner
    cdef struct GroupNorm:
        int64_t n, groups, channels, inner

cdef extern from "call.h" namespace "fastnn::call":
    int batch_norm_train_forward_c "fastnn::call::batch_norm_train_forward"(Call, ...) except -1
    int batch_norm_eval_forward_c "fastnn::call::batch_norm_eval_forward"(Call, ...) except -1
    int batch_norm_backward_c "fastnn::call::batch_norm_backward"(Call, ...) except -1
    int layer_norm_forward_c "fastnn::call::layer_norm_forward"(Call, ...) except -1
    int layer_norm_workspace_c "fastnn::call::layer_norm_backward_workspace"(Call, ...) except -1
    int layer_norm_backward_c "fastnn::call::layer_norm_backward"(Call, ...) except -1
    int group_norm_forward_c "fastnn::call::group_norm_forward"(Call, ...) except -1
    int group_norm_backward_c "fastnn::call::group_norm_backward"(Call, ...) except -1
    int rms_norm_forward_c "fastnn::call::rms_norm_forward"(Call, ...) except -1
    int rms_norm_workspace_c "fastnn::call::rms_norm_backward_workspace"(Call, ...) except -1
    int rms_norm_backward_c "fastnn::call::rms_norm_backward"(Call, ...) except -1
    int local_response_norm_forward_c "fastnn::call::local_response_norm_forward"(Call, ...) except -1
    int local_response_norm_backward_c "fastnn::call::local_response_norm_backward"(Call, ...) except -1

cdef Norm norm_geometry(object g) except *:
    cdef Norm n
    read_extents(g, &n.outer, 3)  # the members, in order
    return n

cdef GroupNorm group_geometry(object g) except *:
    cdef GroupNorm n
    read_extents(g, &n.n, 4)  # the members, in order
    return n

cdef int refuse_none(int64_t values, object g) except -1:
    """Where moments are taken."""
    if values < 1:
        raise ValueError(f"no values to take the moments of in {g}")
    return 0

cdef object statistic(object a, int t):
    """What kernels take in double, from an array of the type of the others too."""
    if t == F64 or not cnp.PyArray_Check(a) or cnp.PyArray_TYPE(<cnp.ndarray>a) != t:
        return a
    return cnp.PyArray_Cast(<cnp.ndarray>a, F64)

cdef enum:
    FEW_CHANNELS = 64  # their moments, if nobody wants them, need no arrays: two take 90 ns of a call's 700

def batch_norm_train_forward(g, x, weight, bias, running_mean, running_var, double momentum, double eps, residual=None,
                             cbool relu=False, cbool unbiased=True, cbool moments=True):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.outer * n.inner, g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pb = optional(bias, t, n.channels)
    cdef void* prm = optional_writable(running_mean, t, n.channels)
    cdef void* prv = optional_writable(running_var, t, n.channels)
    cdef void* ps = optional(residual, t, size)
    cdef cnp.npy_intp channels = n.channels
    cdef object y = empty_like(x, t)
    cdef double few[2 * FEW_CHANNELS]
    cdef void* pm = few
    cdef void* pr = few + FEW_CHANNELS
    cdef object mean = None, rstd = None
    if moments or channels > FEW_CHANNELS:
        mean, rstd = new_array(1, &channels, F64), new_array(1, &channels, F64)
        pm, pr = cnp.PyArray_DATA(<cnp.ndarray>mean), cnp.PyArray_DATA(<cnp.ndarray>rstd)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    batch_norm_train_forward_c(sized(t, size), n, relu, px, pw, pb, ps, prm, prv, momentum, unbiased, eps, py, pm, pr)
    return (y, mean, rstd) if moments else y

def batch_norm_eval_forward(g, x, mean, var, weight, bias, double eps, residual=None, cbool relu=False):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pm = data(mean, t, n.channels)
    cdef void* pv = data(var, t, n.channels)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pb = optional(bias, t, n.channels)
    cdef void* ps = optional(residual, t, size)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    batch_norm_eval_forward_c(sized(t, size), n, relu, px, pm, pv, pw, pb, ps, eps, py)
    return y

def batch_norm_backward(g, cbool training, cbool relu, dy, x, y, weight, bias, mean, rstd, dx, dresidual, dweight, dbias):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* py = optional(y, t, size)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pb = optional(bias, t, n.channels)
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    cdef void* pm = data(mean, F64, n.channels)
    cdef void* pr = data(rstd, F64, n.channels)
    cdef void* pdx = optional_writable(dx, t, size)
    cdef void* pdz = optional_writable(dresidual, t, size)
    cdef void* pdw = writable(dweight, t, n.channels)
    cdef void* pdb = writable(dbias, t, n.channels)
    if (py == NULL) != (pdz == NULL):
        raise ValueError("y and dresidual come together")
    batch_norm_backward_c(sized(t, size), n, training, relu, pdy, px, py, pw, pb, pm, pr, pdx, pdz, pdw, pdb)

def layer_norm_forward(g, x, weight, bias, double eps):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.inner, g)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    cdef void* pb = optional(bias, t, n.inner)
    cdef cnp.npy_intp rows = n.outer
    cdef object y = empty_like(x, t)
    cdef object mean = new_array(1, &rows, F64)
    cdef object rstd = new_array(1, &rows, F64)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pm = cnp.PyArray_DATA(<cnp.ndarray>mean)
    cdef void* pr = cnp.PyArray_DATA(<cnp.ndarray>rstd)
    layer_norm_forward_c(sized(t, n.outer * n.inner), n, px, pw, pb, eps, py, pm, pr)
    return y, mean, rstd

def layer_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef void* pdy = data(dy, t, n.outer * n.inner)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    cdef void* pm = data(mean, F64, n.outer)
    cdef void* pr = data(rstd, F64, n.outer)
    cdef void* pdx = optional_writable(dx, t, n.outer * n.inner)
    cdef void* pdw = optional_writable(dweight, t, n.inner)
    cdef void* pdb = optional_writable(dbias, t, n.inner)
    if (pdw == NULL) != (pdb == NULL):
        raise ValueError("dweight and dbias come together")
    cdef int64_t size = 0
    layer_norm_workspace_c(short_call(t), n, &size)
    cdef object work = workspace(t, size)
    cdef void* pwork = cnp.PyArray_DATA(<cnp.ndarray>work)
    layer_norm_backward_c(sized(t, n.outer * n.inner), n, pdy, px, pw, pm, pr, pdx, pdw, pdb, pwork)

def group_norm_forward(g, x, weight, bias, double eps):
    cdef int t = floating(x)
    cdef GroupNorm n = group_geometry(g)
    refuse_none(n.channels * n.inner, g)
    cdef int64_t size = n.n * n.groups * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.groups * n.channels)
    cdef void* pb = optional(bias, t, n.groups * n.channels)
    cdef cnp.npy_intp rows[2]
    rows[0], rows[1] = n.n, n.groups
    cdef object y = empty_like(x, t)
    cdef object mean = new_array(2, rows, F64)
    cdef object rstd = new_array(2, rows, F64)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pm = cnp.PyArray_DATA(<cnp.ndarray>mean)
    cdef void* pr = cnp.PyArray_DATA(<cnp.ndarray>rstd)
    group_norm_forward_c(sized(t, size), n, px, pw, pb, eps, py, pm, pr)
    return y, mean, rstd

def group_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias):
    cdef int t = floating(dy)
    cdef GroupNorm n = group_geometry(g)
    cdef int64_t size = n.n * n.groups * n.channels * n.inner
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.groups * n.channels)
    mean, rstd = statistic(mean, t), statistic(rstd, t)
    cdef void* pm = data(mean, F64, n.n * n.groups)
    cdef void* pr = data(rstd, F64, n.n * n.groups)
    cdef void* pdx = optional_writable(dx, t, size)
    cdef void* pdw = optional_writable(dweight, t, n.groups * n.channels)
    cdef void* pdb = optional_writable(dbias, t, n.groups * n.channels)
    cdef object sums = workspace(cnp.NPY_FLOAT64, 2 * n.n * n.groups * n.channels)
    cdef void* ps = cnp.PyArray_DATA(<cnp.ndarray>sums)
    group_norm_backward_c(sized(t, size), n, pdy, px, pw, pm, pr, pdx, pdw, pdb, ps)

def rms_norm_forward(g, x, weight, double eps):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    refuse_none(n.inner, g)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    cdef cnp.npy_intp rows = n.outer
    cdef object y = empty_like(x, t)
    cdef object rstd = new_array(1, &rows, F64)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pr = cnp.PyArray_DATA(<cnp.ndarray>rstd)
    rms_norm_forward_c(sized(t, n.outer * n.inner), n, px, pw, eps, py, pr)
    return y, rstd

def rms_norm_backward(g, dy, x, weight, rstd, dx, dweight):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef void* pdy = data(dy, t, n.outer * n.inner)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    rstd = statistic(rstd, t)
    cdef void* pr = data(rstd, F64, n.outer)
    cdef void* pdx = optional_writable(dx, t, n.outer * n.inner)
    cdef void* pdw = optional_writable(dweight, t, n.inner)
    cdef int64_t size = 0
    rms_norm_workspace_c(short_call(t), n, &size)
    cdef object work = workspace(t, size)
    cdef void* pwork = cnp.PyArray_DATA(<cnp.ndarray>work)
    rms_norm_backward_c(sized(t, n.outer * n.inner), n, pdy, px, pw, pr, pdx, pdw, pwork)

def local_response_norm_forward(g, x, int64_t size, double alpha, double beta, double k):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    if not within(size, 1):
        raise ValueError(f"impossible window {size}")
    local_response_norm_forward_c(sized(t, n.outer * n.channels * n.inner), n, size, alpha, beta, k, px, py)
    return y

def local_response_norm_backward(g, dy, x, int64_t size, double alpha, double beta, double k):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef void* pdy = data(dy, t, n.outer * n.channels * n.inner)
    cdef void* px = data(x, t, n.outer * n.channels * n.inner)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    if not within(size, 1):
        raise ValueError(f"impossible window {size}")
    local_response_norm_backward_c(sized(t, n.outer * n.channels * n.inner), n, size, alpha, beta, k, pdy, px, pdx)
    return dx
