# Elementwise kernels.

# Elementwise kernels share two signatures: parameter a; then x, y or dy, saved, dx.
ctypedef int (*Unary)(Call, int64_t, double, void*, void*) except -1
ctypedef int (*UnaryBackward)(Call, int64_t, double, void*, void*, void*) except -1

# Every kernel takes how it is called first; pointers are passed as void*.
cdef extern from "call.h" namespace "fastnn::call":
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

cdef object unary(Unary kernel, object x, double a):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = dense(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    kernel(sized(t, n), n, a, px, py)
    return y

cdef object unary_backward(UnaryBackward kernel, object dy, object saved, double a):
    cdef int t = floating(dy)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>dy)
    cdef void* pdy = dense(dy, t, n)
    cdef void* ps = beside(saved, dy, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    kernel(sized(t, n), n, a, pdy, ps, pdx)
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

cdef extern from "call.h" namespace "fastnn::call":
    int dropout_forward_c "fastnn::call::dropout_forward"(Call, int64_t n, double p, uint64_t key, void* x, void* y) except -1
    int spatial_dropout_forward_c "fastnn::call::spatial_dropout_forward"(
        Call, int64_t n, int64_t inner, double p, uint64_t key, void* x, void* y) except -1

def dropout_forward(x, double p, uint64_t key):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    dropout_forward_c(sized(t, n), n, p, key, px, py)
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
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    spatial_dropout_forward_c(sized(t, size), planes, inner, p, key, px, py)
    return y
