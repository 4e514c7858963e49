# Smooth activations; the signatures of activation.pxi.

cdef extern from "call.h" namespace "fastnn::call":
    Unary selu_forward_c "fastnn::call::selu_forward"
    UnaryBackward selu_backward_c "fastnn::call::selu_backward"
    Unary gelu_forward_c "fastnn::call::gelu_forward"
    UnaryBackward gelu_backward_c "fastnn::call::gelu_backward"
    Unary gelu_tanh_forward_c "fastnn::call::gelu_tanh_forward"
    UnaryBackward gelu_tanh_backward_c "fastnn::call::gelu_tanh_backward"
    Unary silu_forward_c "fastnn::call::silu_forward"
    UnaryBackward silu_backward_c "fastnn::call::silu_backward"
    Unary hardsigmoid_forward_c "fastnn::call::hardsigmoid_forward"
    UnaryBackward hardsigmoid_backward_c "fastnn::call::hardsigmoid_backward"
    int softplus_forward_c "fastnn::call::softplus_forward"(
        Call, int64_t n, double beta, double threshold, void* x, void* y) except -1
    int softplus_backward_c "fastnn::call::softplus_backward"(
        Call, int64_t n, double beta, double threshold, void* dy, void* x, void* dx) except -1

def selu_forward(x):
    return unary(selu_forward_c, x, 0)

def selu_backward(dy, x):
    return unary_backward(selu_backward_c, dy, x, 0)

def gelu_forward(x):
    return unary(gelu_forward_c, x, 0)

def gelu_backward(dy, x):
    return unary_backward(gelu_backward_c, dy, x, 0)

def gelu_tanh_forward(x):
    return unary(gelu_tanh_forward_c, x, 0)

def gelu_tanh_backward(dy, x):
    return unary_backward(gelu_tanh_backward_c, dy, x, 0)

def silu_forward(x):
    return unary(silu_forward_c, x, 0)

def silu_backward(dy, x):
    return unary_backward(silu_backward_c, dy, x, 0)

def hardsigmoid_forward(x):
    return unary(hardsigmoid_forward_c, x, 0)

def hardsigmoid_backward(dy, x):
    return unary_backward(hardsigmoid_backward_c, dy, x, 0)

def softplus_forward(x, double beta, double threshold):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = dense(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    softplus_forward_c(sized(t, n), n, beta, threshold, px, py)
    return y

def softplus_backward(dy, x, double beta, double threshold):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = dense(dy, t, n)
    cdef void* px = beside(x, dy, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    softplus_backward_c(sized(t, n), n, beta, threshold, pdy, px, pdx)
    return dx
