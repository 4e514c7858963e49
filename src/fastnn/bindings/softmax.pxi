# Softmax and cross-entropy.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Softmax:
        int64_t outer, n, inner

ctypedef int (*SoftmaxForward)(Call, Softmax, void*, void*) except -1
ctypedef int (*SoftmaxBackward)(Call, Softmax, void*, void*, void*) except -1

cdef extern from "call.h" namespace "fastnn::call":
    SoftmaxForward softmax_forward_c "fastnn::call::softmax_forward"
    SoftmaxBackward softmax_backward_c "fastnn::call::softmax_backward"
    SoftmaxForward log_softmax_forward_c "fastnn::call::log_softmax_forward"
    SoftmaxBackward log_softmax_backward_c "fastnn::call::log_softmax_backward"

    int cross_entropy_forward_c "fastnn::call::cross_entropy_forward"(
        Call, Softmax, void* x, void* target, void* weight, int64_t ignore_index, double smoothing, void* loss,
        void* lse) except -1
    int cross_entropy_backward_c "fastnn::call::cross_entropy_backward"(
        Call, Softmax, void* dloss, void* x, void* target, void* weight, int64_t ignore_index, double smoothing,
        void* lse, void* dx) except -1

cdef Softmax softmax_geometry(object g) except *:
    cdef Softmax s
    read_extents(g, &s.outer, 3)  # the members, in order
    return s

cdef Softmax scores_geometry(object g) except *:
    """Of positions that have something each."""
    cdef Softmax s = softmax_geometry(g)
    if s.n < 1:
        raise ValueError(f"nothing at the positions of {g}")
    return s

cdef object softmax_like(SoftmaxForward kernel, object g, object x):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, s.outer * s.n * s.inner)
    cdef object y = empty_like(x, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    kernel(sized(t, s.outer * s.n * s.inner), s, px, py)
    return y

cdef object softmax_like_backward(SoftmaxBackward kernel, object g, object dy, object y):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t n = s.outer * s.n * s.inner
    cdef void* pdy = data(dy, t, n)
    cdef void* py = data(y, t, n)
    cdef object dx = empty_like(dy, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    kernel(sized(t, n), s, pdy, py, pdx)
    return dx

def softmax_forward(g, x):
    return softmax_like(softmax_forward_c, g, x)

def softmax_backward(g, dy, y):
    return softmax_like_backward(softmax_backward_c, g, dy, y)

def log_softmax_forward(g, x):
    return softmax_like(log_softmax_forward_c, g, x)

def log_softmax_backward(g, dy, y):
    return softmax_like_backward(log_softmax_backward_c, g, dy, y)

def cross_entropy_forward(g, logits, target, weight, int64_t ignore_index, double label_smoothing, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef object lse = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef void* plse = cnp.PyArray_DATA(<cnp.ndarray>lse)
    cross_entropy_forward_c(sized(t, positions * s.n), s, px, pt, pw, ignore_index, label_smoothing, ploss, plse)
    return loss if divisor is None else mean_loss(loss, t, divisor), lse

def cross_entropy_backward(
        g, dloss, logits, target, weight, int64_t ignore_index, double label_smoothing, lse, double divisor=1):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef void* plse = data(lse, t, positions)
    cdef object share = shares(dloss, t, positions, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(logits, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    cross_entropy_backward_c(sized(t, positions * s.n), s, pdloss, px, pt, pw, ignore_index, label_smoothing, plse, pdx)
    return dx
