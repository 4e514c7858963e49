# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Bindings to the compiled kernels: pointers in, the GIL released, pointers out.

No logic and no checks but memory safety: an array that is not what the kernel will read is refused.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool

cnp.import_array()

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Conv:
        int64_t n, c, k, groups
        int64_t size[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
    cdef struct Pool:
        int64_t n, c
        int64_t size[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
        int64_t pad_end[3]
    cdef struct AdaptivePool:
        int64_t n, c
        int64_t size[3]
        int64_t out[3]
    cdef struct Norm:
        int64_t outer, channels, inner
    cdef struct GroupNorm:
        int64_t n, groups, channels, inner
    cdef struct Softmax:
        int64_t outer, n, inner

cdef extern from "dispatch.h" namespace "fastnn" nogil:
    const char* isa_name(int i)
    bint isa_usable_c "fastnn::isa_usable"(const char* name)
    bint set_isa_c "fastnn::set_isa"(const char* name)
    const char* active_isa_c "fastnn::active_isa"()

cdef extern from "parallel.h" namespace "fastnn" nogil:
    int num_threads_c "fastnn::num_threads"()
    void set_num_threads_c "fastnn::set_num_threads"(int n)
    double thread_cost_c "fastnn::thread_cost"()
    void set_thread_cost_c "fastnn::set_thread_cost"(double ns)
    bint has_openmp_c "fastnn::has_openmp"()
    bint take_out_of_memory()

# Elementwise kernels share two signatures: parameter a; then x, y or dy, saved, dx.
ctypedef void (*Unary)(cbool, int64_t, double, void*, void*) noexcept nogil
ctypedef void (*UnaryBackward)(cbool, int64_t, double, void*, void*, void*) noexcept nogil

# Every kernel takes is_double first; pointers are passed as void*.
cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    Unary relu_forward_c "fastnn::call::relu_forward"
    UnaryBackward relu_backward_c "fastnn::call::relu_backward"
    Unary leaky_relu_forward_c "fastnn::call::leaky_relu_forward"
    UnaryBackward leaky_relu_backward_c "fastnn::call::leaky_relu_backward"
    Unary elu_forward_c "fastnn::call::elu_forward"
    UnaryBackward elu_backward_c "fastnn::call::elu_backward"
    Unary sigmoid_forward_c "fastnn::call::sigmoid_forward"
    UnaryBackward sigmoid_backward_c "fastnn::call::sigmoid_backward"
    Unary tanh_forward_c "fastnn::call::tanh_forward"
    UnaryBackward tanh_backward_c "fastnn::call::tanh_backward"


# ---- memory safety ------------------------------------------------------------------------------------------------

cdef enum:
    F32 = cnp.NPY_FLOAT32
    F64 = cnp.NPY_FLOAT64
    I64 = cnp.NPY_INT64

cdef int floating(object a) except -1:
    """Type number of a float32 or float64 array."""
    cdef int t
    if not cnp.PyArray_Check(a):
        raise TypeError(f"expected an ndarray, got {type(a).__name__}")
    t = cnp.PyArray_TYPE(<cnp.ndarray>a)
    if t != F32 and t != F64:
        raise TypeError(f"expected float32 or float64, got {(<cnp.ndarray>a).dtype}")
    return t

cdef void* data(object a, int typenum, int64_t size) except NULL:
    """Address of a plain (C-contiguous, aligned, native) array of exactly that type and size."""
    if not cnp.PyArray_Check(a):
        raise TypeError(f"expected an ndarray, got {type(a).__name__}")
    cdef cnp.ndarray array = <cnp.ndarray>a
    if cnp.PyArray_TYPE(array) != typenum:
        raise TypeError(f"expected type number {typenum}, got {array.dtype}")
    if not cnp.PyArray_ISCARRAY_RO(array):
        raise ValueError("expected a C-contiguous, aligned array in native byte order")
    if cnp.PyArray_SIZE(array) != size:
        raise ValueError(f"expected {size} elements, got an array of shape {(<object>array).shape}")
    return cnp.PyArray_DATA(array)

cdef void* optional(object a, int typenum, int64_t size) except? NULL:
    return NULL if a is None else data(a, typenum, size)

cdef void* writable(object a, int typenum, int64_t size) except NULL:
    cdef void* p = data(a, typenum, size)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>a):
        raise ValueError("output array is read-only")
    return p

cdef void* optional_writable(object a, int typenum, int64_t size) except? NULL:
    return NULL if a is None else writable(a, typenum, size)

cdef enum:
    LINE = 64        # bytes of a cache line and of the longest vector
    SMALL = 8192     # below this many bytes an aligned start isn't worth a second object

cdef object new_array(int ndim, cnp.npy_intp* dims, int typenum):
    """Uninitialised array. A large one starts on a cache line: full-vector stores that straddle two lines made a
    first-layer convolution 1.6 times slower, and NumPy aligns to 16 bytes."""
    cdef cnp.dtype descr = cnp.PyArray_DescrFromType(typenum)
    cdef cnp.npy_intp bytes = cnp.PyDataType_ELSIZE(descr)
    cdef int i
    for i in range(ndim):
        if dims[i] > 0 and bytes > (<int64_t>1 << 60) // dims[i]:
            return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)  # which says that the array is too big
        bytes *= dims[i]
    if bytes < SMALL:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    bytes += LINE
    cdef cnp.ndarray memory = cnp.PyArray_EMPTY(1, &bytes, cnp.NPY_UINT8, 0)
    cdef char* start = <char*>cnp.PyArray_DATA(memory)
    start += (LINE - <size_t>start % LINE) % LINE
    cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(ndim, dims, typenum, start)
    cnp.set_array_base(array, memory)
    return array

def empty(tuple shape, cnp.dtype dtype):
    """Uninitialised array for a kernel to fill."""
    cdef cnp.npy_intp dims[32]
    cdef int i, ndim = len(shape)
    if ndim > 32:
        raise ValueError(f"{ndim} axes are too many")
    for i in range(ndim):
        dims[i] = shape[i]
    return new_array(ndim, dims, dtype.type_num)

cdef object workspace(int typenum, int64_t size):
    """Uninitialised memory that lives as long as the object returned."""
    cdef cnp.npy_intp n = size
    return new_array(1, &n, typenum)

cdef int finish() except -1:
    """Call after a kernel that uses scratch memory."""
    if take_out_of_memory():
        raise MemoryError("no memory for the workspace of a kernel")
    return 0


# ---- process-wide settings ----------------------------------------------------------------------------------------

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

def num_threads():
    return num_threads_c()

def set_num_threads(int n):
    set_num_threads_c(n)

def thread_cost():
    return thread_cost_c()

def set_thread_cost(double ns):
    """Nanoseconds of work that a further thread must take over to be woken."""
    set_thread_cost_c(ns)

def has_openmp():
    return bool(has_openmp_c())


# ---- elementwise --------------------------------------------------------------------------------------------------

cdef object empty_like(object x, int typenum):
    cdef cnp.ndarray a = <cnp.ndarray>x
    return new_array(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), typenum)

cdef object unary(Unary kernel, object x, double a):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        kernel(t == F64, n, a, px, py)
    return y

cdef object unary_backward(UnaryBackward kernel, object dy, object saved, double a):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = data(dy, t, n)
    cdef void* ps = data(saved, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        kernel(t == F64, n, a, pdy, ps, pdx)
    return dx

def relu_forward(x):
    return unary(relu_forward_c, x, 0)

def relu_backward(dy, x):
    return unary_backward(relu_backward_c, dy, x, 0)

def leaky_relu_forward(x, negative_slope):
    return unary(leaky_relu_forward_c, x, negative_slope)

def leaky_relu_backward(dy, x, negative_slope):
    return unary_backward(leaky_relu_backward_c, dy, x, negative_slope)

def elu_forward(x, alpha):
    return unary(elu_forward_c, x, alpha)

def elu_backward(dy, x, alpha):
    return unary_backward(elu_backward_c, dy, x, alpha)

def sigmoid_forward(x):
    return unary(sigmoid_forward_c, x, 0)

def sigmoid_backward(dy, y):
    return unary_backward(sigmoid_backward_c, dy, y, 0)

def tanh_forward(x):
    return unary(tanh_forward_c, x, 0)

def tanh_backward(dy, y):
    return unary_backward(tanh_backward_c, dy, y, 0)

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void dropout_forward_c "fastnn::call::dropout_forward"(cbool, int64_t n, double p, uint64_t key, void* x, void* y)

def dropout_forward(x, double p, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        dropout_forward_c(t == F64, n, p, key, px, py)
    return y


# ---- softmax and cross-entropy ------------------------------------------------------------------------------------

ctypedef void (*SoftmaxForward)(cbool, Softmax, void*, void*) noexcept nogil
ctypedef void (*SoftmaxBackward)(cbool, Softmax, void*, void*, void*) noexcept nogil

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    SoftmaxForward softmax_forward_c "fastnn::call::softmax_forward"
    SoftmaxBackward softmax_backward_c "fastnn::call::softmax_backward"
    SoftmaxForward log_softmax_forward_c "fastnn::call::log_softmax_forward"
    SoftmaxBackward log_softmax_backward_c "fastnn::call::log_softmax_backward"

    void cross_entropy_forward_c "fastnn::call::cross_entropy_forward"(
        cbool, Softmax, void* x, void* target, void* weight, int64_t ignore_index, double smoothing, void* loss,
        void* lse)
    void cross_entropy_backward_c "fastnn::call::cross_entropy_backward"(
        cbool, Softmax, void* dloss, void* x, void* target, void* weight, int64_t ignore_index, double smoothing,
        void* lse, void* dx)

cdef Softmax softmax_geometry(object g) except *:
    cdef Softmax s
    s.outer, s.n, s.inner = g[0], g[1], g[2]
    return s

cdef object softmax_like(SoftmaxForward kernel, object g, object x):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, s.outer * s.n * s.inner)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        kernel(t == F64, s, px, py)
    finish()
    return y

cdef object softmax_like_backward(SoftmaxBackward kernel, object g, object dy, object y):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t n = s.outer * s.n * s.inner
    cdef void* pdy = data(dy, t, n)
    cdef void* py = data(y, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        kernel(t == F64, s, pdy, py, pdx)
    finish()
    return dx

def softmax_forward(g, x):
    return softmax_like(softmax_forward_c, g, x)

def softmax_backward(g, dy, y):
    return softmax_like_backward(softmax_backward_c, g, dy, y)

def log_softmax_forward(g, x):
    return softmax_like(log_softmax_forward_c, g, x)

def log_softmax_backward(g, dy, y):
    return softmax_like_backward(log_softmax_backward_c, g, dy, y)

def cross_entropy_forward(g, logits, target, weight, int64_t ignore_index, double label_smoothing):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(logits)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef object lse = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef void* plse = cnp.PyArray_DATA(<cnp.ndarray>lse)
    with nogil:
        cross_entropy_forward_c(t == F64, s, px, pt, pw, ignore_index, label_smoothing, ploss, plse)
    finish()
    return loss, lse

def cross_entropy_backward(g, dloss, logits, target, weight, int64_t ignore_index, double label_smoothing, lse):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* pdloss = data(dloss, t, positions)
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef void* plse = data(lse, t, positions)
    cdef object dx = empty_like(logits, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        cross_entropy_backward_c(t == F64, s, pdloss, px, pt, pw, ignore_index, label_smoothing, plse, pdx)
    finish()
    return dx


# ---- optimiser steps, in place ------------------------------------------------------------------------------------

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void sgd_step_c "fastnn::call::sgd_step"(
        cbool, int64_t n, void* p, void* g, void* d, double lr, double momentum, cbool nesterov, double weight_decay)
    void adam_step_c "fastnn::call::adam_step"(
        cbool, int64_t n, void* p, void* g, void* exp_avg, void* exp_avg_sq, int64_t t, double lr, double beta1,
        double beta2, double eps, double weight_decay, cbool decoupled)
    void rmsprop_step_c "fastnn::call::rmsprop_step"(
        cbool, int64_t n, void* p, void* g, void* square_avg, double lr, double alpha, double eps,
        double weight_decay, cbool eps_inside)

def sgd_step(param, grad, momentum_buffer, double lr, double momentum, bint nesterov, double weight_decay):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* d = optional_writable(momentum_buffer, t, n)
    with nogil:
        sgd_step_c(t == F64, n, p, g, d, lr, momentum, nesterov, weight_decay)

def adam_step(param, grad, exp_avg, exp_avg_sq, int64_t step, double lr, double beta1, double beta2, double eps,
              double weight_decay, bint decoupled):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* m = writable(exp_avg, t, n)
    cdef void* v = writable(exp_avg_sq, t, n)
    with nogil:
        adam_step_c(t == F64, n, p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, decoupled)

def rmsprop_step(param, grad, square_avg, double lr, double alpha, double eps, double weight_decay, bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* s = writable(square_avg, t, n)
    with nogil:
        rmsprop_step_c(t == F64, n, p, g, s, lr, alpha, eps, weight_decay, eps_inside)


# ---- products of matrices, convolution ----------------------------------------------------------------------------

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void matmul_c "fastnn::call::matmul"(cbool is_double, ...)
    void linear_forward_c "fastnn::call::linear_forward"(cbool is_double, ...)
    void linear_backward_bias_c "fastnn::call::linear_backward_bias"(cbool is_double, ...)
    void conv_forward_c "fastnn::call::conv_forward"(cbool is_double, ...)
    void conv_backward_data_c "fastnn::call::conv_backward_data"(cbool is_double, ...)
    void conv_workspace_c "fastnn::call::conv_backward_weight_workspace"(cbool is_double, ...)
    void conv_backward_weight_c "fastnn::call::conv_backward_weight"(cbool is_double, ...)
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

def conv_forward(g, x, weight, bias, y):
    cdef int t = floating(x)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* px = data(x, t, c.n * c.c * volume(c.size))
    cdef void* pw = data(weight, t, weights)
    cdef void* pb = optional(bias, t, c.k)
    cdef void* py = writable(y, t, c.n * c.k * volume(c.out))
    cdef object packed = workspace(t, weights)
    cdef void* pp = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        conv_forward_c(t == F64, c, px, pw, pb, py, pp)
    finish()

def conv_backward_data(g, dy, weight, dx):
    cdef int t = floating(dy)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* pdy = data(dy, t, c.n * c.k * volume(c.out))
    cdef void* pw = data(weight, t, weights)
    cdef void* pdx = writable(dx, t, c.n * c.c * volume(c.size))
    cdef object packed = workspace(t, weights)
    cdef void* pp = cnp.PyArray_DATA(<cnp.ndarray>packed)
    with nogil:
        conv_backward_data_c(t == F64, c, pdy, pw, pdx, pp)
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


# ---- normalisation ------------------------------------------------------------------------------------------------

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void batch_norm_train_forward_c "fastnn::call::batch_norm_train_forward"(cbool is_double, ...)
    void batch_norm_eval_forward_c "fastnn::call::batch_norm_eval_forward"(cbool is_double, ...)
    void batch_norm_backward_c "fastnn::call::batch_norm_backward"(cbool is_double, ...)
    void layer_norm_forward_c "fastnn::call::layer_norm_forward"(cbool is_double, ...)
    void layer_norm_workspace_c "fastnn::call::layer_norm_backward_workspace"(cbool is_double, ...)
    void layer_norm_backward_c "fastnn::call::layer_norm_backward"(cbool is_double, ...)
    void group_norm_forward_c "fastnn::call::group_norm_forward"(cbool is_double, ...)
    void group_norm_backward_c "fastnn::call::group_norm_backward"(cbool is_double, ...)

cdef Norm norm_geometry(object g) except *:
    cdef Norm n
    n.outer, n.channels, n.inner = g
    if n.outer < 0 or n.channels < 0 or n.inner < 0:
        raise ValueError(f"impossible geometry {g}")
    return n

cdef GroupNorm group_geometry(object g) except *:
    cdef GroupNorm n
    n.n, n.groups, n.channels, n.inner = g
    if n.n < 0 or n.groups < 0 or n.channels < 0 or n.inner < 0:
        raise ValueError(f"impossible geometry {g}")
    return n

def batch_norm_train_forward(g, x, weight, bias, running_mean, running_var, double momentum, double eps, y, mean, rstd):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pb = optional(bias, t, n.channels)
    cdef void* prm = optional_writable(running_mean, t, n.channels)
    cdef void* prv = optional_writable(running_var, t, n.channels)
    cdef void* py = writable(y, t, size)
    cdef void* pm = writable(mean, t, n.channels)
    cdef void* pr = writable(rstd, t, n.channels)
    with nogil:
        batch_norm_train_forward_c(t == F64, n, px, pw, pb, prm, prv, momentum, eps, py, pm, pr)

def batch_norm_eval_forward(g, x, mean, var, weight, bias, double eps, y):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pm = data(mean, t, n.channels)
    cdef void* pv = data(var, t, n.channels)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pb = optional(bias, t, n.channels)
    cdef void* py = writable(y, t, size)
    with nogil:
        batch_norm_eval_forward_c(t == F64, n, px, pm, pv, pw, pb, eps, py)

def batch_norm_backward(g, cbool training, dy, x, weight, mean, rstd, dx, dweight, dbias):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef int64_t size = n.outer * n.channels * n.inner
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.channels)
    cdef void* pm = data(mean, t, n.channels)
    cdef void* pr = data(rstd, t, n.channels)
    cdef void* pdx = optional_writable(dx, t, size)
    cdef void* pdw = writable(dweight, t, n.channels)
    cdef void* pdb = writable(dbias, t, n.channels)
    with nogil:
        batch_norm_backward_c(t == F64, n, training, pdy, px, pw, pm, pr, pdx, pdw, pdb)

def layer_norm_forward(g, x, weight, bias, double eps, y, mean, rstd):
    cdef int t = floating(x)
    cdef Norm n = norm_geometry(g)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    cdef void* pb = optional(bias, t, n.inner)
    cdef void* py = writable(y, t, n.outer * n.inner)
    cdef void* pm = writable(mean, t, n.outer)
    cdef void* pr = writable(rstd, t, n.outer)
    with nogil:
        layer_norm_forward_c(t == F64, n, px, pw, pb, eps, py, pm, pr)

def layer_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias):
    cdef int t = floating(dy)
    cdef Norm n = norm_geometry(g)
    cdef void* pdy = data(dy, t, n.outer * n.inner)
    cdef void* px = data(x, t, n.outer * n.inner)
    cdef void* pw = optional(weight, t, n.inner)
    cdef void* pm = data(mean, t, n.outer)
    cdef void* pr = data(rstd, t, n.outer)
    cdef void* pdx = optional_writable(dx, t, n.outer * n.inner)
    cdef void* pdw = optional_writable(dweight, t, n.inner)
    cdef void* pdb = optional_writable(dbias, t, n.inner)
    if (pdw == NULL) != (pdb == NULL):
        raise ValueError("dweight and dbias come together")
    cdef int64_t size = 0
    layer_norm_workspace_c(t == F64, n, &size)
    cdef object work = workspace(t, size)
    cdef void* pwork = cnp.PyArray_DATA(<cnp.ndarray>work)
    with nogil:
        layer_norm_backward_c(t == F64, n, pdy, px, pw, pm, pr, pdx, pdw, pdb, pwork)

def group_norm_forward(g, x, weight, bias, double eps, y, mean, rstd):
    cdef int t = floating(x)
    cdef GroupNorm n = group_geometry(g)
    cdef int64_t size = n.n * n.groups * n.channels * n.inner
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.groups * n.channels)
    cdef void* pb = optional(bias, t, n.groups * n.channels)
    cdef void* py = writable(y, t, size)
    cdef void* pm = writable(mean, t, n.n * n.groups)
    cdef void* pr = writable(rstd, t, n.n * n.groups)
    with nogil:
        group_norm_forward_c(t == F64, n, px, pw, pb, eps, py, pm, pr)

def group_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias):
    cdef int t = floating(dy)
    cdef GroupNorm n = group_geometry(g)
    cdef int64_t size = n.n * n.groups * n.channels * n.inner
    cdef void* pdy = data(dy, t, size)
    cdef void* px = data(x, t, size)
    cdef void* pw = optional(weight, t, n.groups * n.channels)
    cdef void* pm = data(mean, t, n.n * n.groups)
    cdef void* pr = data(rstd, t, n.n * n.groups)
    cdef void* pdx = optional_writable(dx, t, size)
    cdef void* pdw = optional_writable(dweight, t, n.groups * n.channels)
    cdef void* pdb = optional_writable(dbias, t, n.groups * n.channels)
    cdef object sums = workspace(cnp.NPY_FLOAT64, 2 * n.n * n.groups * n.channels)
    cdef void* ps = cnp.PyArray_DATA(<cnp.ndarray>sums)
    with nogil:
        group_norm_backward_c(t == F64, n, pdy, px, pw, pm, pr, pdx, pdw, pdb, ps)


# ---- probes: what the machine can do, and how work is split -------------------------------------------------------

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void probe_fma_c "fastnn::call::probe_fma"(cbool, int64_t tasks, int64_t steps, void* out, int64_t* flops)
    void probe_copy_c "fastnn::call::probe_copy"(cbool, int64_t n, cbool stream, void* x, void* y)
    void probe_ranges_c "fastnn::call::probe_ranges"(cbool, int64_t n, double cost, void* out)

def probe_fma(out, int64_t steps):
    """Run a register-resident loop of multiply-adds once per element of ``out``; the number of operations."""
    cdef int t = floating(out)
    cdef int64_t tasks = cnp.PyArray_SIZE(<cnp.ndarray>out), flops = 0
    cdef void* p = writable(out, t, tasks)
    with nogil:
        probe_fma_c(t == F64, tasks, steps, p, &flops)
    return flops

def probe_copy(x, y, bint stream):
    """Copy x to y, past the caches if ``stream`` (y must then be aligned to 64 bytes)."""
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef void* py = writable(y, t, n)
    if stream and <size_t>py % 64:
        raise ValueError("probe_copy: y is not aligned to 64 bytes")
    with nogil:
        probe_copy_c(t == F64, n, stream, px, py)

def probe_ranges(out, double cost):
    """Fill ``out`` with the first index of the range that each index was computed in."""
    cdef int t = floating(out)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>out)
    cdef void* p = writable(out, t, n)
    with nogil:
        probe_ranges_c(t == F64, n, cost, p)


# ---- pooling ------------------------------------------------------------------------------------------------------

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void max_pool_forward_c "fastnn::call::max_pool_forward"(cbool, Pool, void* x, void* y, void* index)
    void max_pool_backward_c "fastnn::call::max_pool_backward"(cbool, Pool, void* dy, void* index, void* dx)
    void avg_pool_forward_c "fastnn::call::avg_pool_forward"(cbool, Pool, cbool include_pad, void* x, void* y)
    void avg_pool_backward_c "fastnn::call::avg_pool_backward"(cbool, Pool, cbool include_pad, void* dy, void* dx)
    void lp_pool_forward_c "fastnn::call::lp_pool_forward"(cbool, Pool, double p, void* x, void* y)
    void lp_pool_backward_c "fastnn::call::lp_pool_backward"(
        cbool, Pool, double p, void* dy, void* x, void* y, void* dx)
    void adaptive_avg_pool_forward_c "fastnn::call::adaptive_avg_pool_forward"(cbool, AdaptivePool, void* x, void* y)
    void adaptive_avg_pool_backward_c "fastnn::call::adaptive_avg_pool_backward"(cbool, AdaptivePool, void* dy, void* dx)
    void adaptive_max_pool_forward_c "fastnn::call::adaptive_max_pool_forward"(
        cbool, AdaptivePool, void* x, void* y, void* index)
    void adaptive_max_pool_backward_c "fastnn::call::adaptive_max_pool_backward"(
        cbool, AdaptivePool, void* dy, void* index, void* dx)

cdef Pool pool_geometry(object g) except *:
    """From checks.Pool, with what a kernel divides by looked at again."""
    cdef Pool p
    n, c, size, out, kernel, stride, pad, dilation, pad_end = g
    p.n, p.c = n, c
    axes3(size, p.size)
    axes3(out, p.out)
    axes3(kernel, p.kernel)
    axes3(stride, p.stride)
    axes3(pad, p.pad)
    axes3(dilation, p.dilation)
    axes3(pad_end, p.pad_end)
    cdef int d
    cdef bint sane = p.n >= 0 and p.c >= 0
    for d in range(3):
        sane = sane and p.size[d] > 0 and p.out[d] > 0 and p.kernel[d] > 0 and p.stride[d] > 0 and p.dilation[d] > 0
        sane = sane and p.pad[d] >= 0 and p.pad_end[d] >= 0
    if not sane:
        raise ValueError(f"impossible geometry {g}")
    return p

cdef object image(int64_t n, int64_t c, const int64_t* space, int rank, int typenum):
    """(n, c, *space) with the last `rank` of the three extents."""
    cdef cnp.npy_intp shape[5]
    cdef int i
    shape[0], shape[1] = n, c
    if rank < 0 or rank > 3:
        raise ValueError(f"expected 1 to 3 spatial axes, got {rank}")
    for i in range(rank):
        shape[2 + i] = space[3 - rank + i]
    return new_array(2 + rank, shape, typenum)

cdef int spatial_rank(object a) except -1:
    return cnp.PyArray_NDIM(<cnp.ndarray?>a) - 2

cdef int index_type(const Pool* p) noexcept:
    return cnp.NPY_UINT8 if volume(p.kernel) <= 256 else cnp.NPY_INT32

def max_pool_forward(g, x, with_index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, index_type(&p)) if with_index else None
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pi = NULL if index is None else cnp.PyArray_DATA(<cnp.ndarray>index)
    with nogil:
        max_pool_forward_c(t == F64, p, px, py, pi)
    return y, index

def max_pool_backward(g, dy, index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef void* pdy = data(dy, t, outputs)
    cdef void* pi = data(index, index_type(&p), outputs)
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        max_pool_backward_c(t == F64, p, pdy, pi, pdx)
    return dx

def avg_pool_forward(g, x, bint count_include_pad):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        avg_pool_forward_c(t == F64, p, count_include_pad, px, py)
    finish()
    return y

def avg_pool_backward(g, dy, bint count_include_pad):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        avg_pool_backward_c(t == F64, p, count_include_pad, pdy, pdx)
    finish()
    return dx

def lp_pool_forward(g, x, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, q.n * q.c * volume(q.size))
    y = image(q.n, q.c, q.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        lp_pool_forward_c(t == F64, q, p, px, py)
    return y

def lp_pool_backward(g, dy, x, y, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, q.n * q.c * volume(q.out))
    cdef void* px = data(x, t, q.n * q.c * volume(q.size))
    cdef void* py = data(y, t, q.n * q.c * volume(q.out))
    dx = image(q.n, q.c, q.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        lp_pool_backward_c(t == F64, q, p, pdy, px, py, pdx)
    return dx

cdef AdaptivePool adaptive_geometry(object g) except *:
    """From checks.AdaptivePool, with what a kernel divides by looked at again."""
    cdef AdaptivePool p
    n, c, size, out = g
    p.n, p.c = n, c
    axes3(size, p.size)
    axes3(out, p.out)
    cdef int d
    cdef bint sane = p.n >= 0 and p.c >= 0
    for d in range(3):
        sane = sane and p.size[d] > 0 and p.out[d] > 0
    if not sane:
        raise ValueError(f"impossible geometry {g}")
    return p

def adaptive_avg_pool_forward(g, x):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    with nogil:
        adaptive_avg_pool_forward_c(t == F64, p, px, py)
    return y

def adaptive_avg_pool_backward(g, dy):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        adaptive_avg_pool_backward_c(t == F64, p, pdy, pdx)
    finish()
    return dx

def adaptive_max_pool_forward(g, x):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, cnp.NPY_INT32)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pi = cnp.PyArray_DATA(<cnp.ndarray>index)
    with nogil:
        adaptive_max_pool_forward_c(t == F64, p, px, py, pi)
    return y, index

def adaptive_max_pool_backward(g, dy, index):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    cdef void* pi = data(index, cnp.NPY_INT32, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        adaptive_max_pool_backward_c(t == F64, p, pdy, pi, pdx)
    return dx
