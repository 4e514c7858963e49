# Softmax and cross-entropy.

ctypedef int (*SoftmaxForward)(Call, Softmax, void*, void*) except -1
ctypedef int (*SoftmaxBackward)(Call, Softmax, void*, void*, void*) except -1

cdef object softmax_like(SoftmaxForward kernel, object g, object x):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, s.outer * s.n * s.inner)
    cdef object y = empty_like(x, t)
    kernel(sized(t, s.outer * s.n * s.inner), s, px, address(y))
    return y

cdef object softmax_like_backward(SoftmaxBackward kernel, object g, object dy, object y):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t n = s.outer * s.n * s.inner
    cdef void* pdy = data(dy, t, n)
    cdef object dx = empty_like(dy, t)
    kernel(sized(t, n), s, pdy, data(y, t, n), address(dx))
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
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    loss, lse = losses_of(logits, t, positions, divisor), workspace(t, positions)
    cross_entropy_forward_c(sized(t, positions * s.n), s, px, data(target, I64, positions), optional(weight, t, s.n),
        ignore_index, label_smoothing, address(loss), address(lse))
    return loss if divisor is None else mean_loss(loss, t, divisor), lse

def cross_entropy_backward(
        g, dloss, logits, target, weight, int64_t ignore_index, double label_smoothing, lse, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    share, dx = shares(dloss, t, positions, divisor), empty_like(logits, t)
    cross_entropy_backward_c(sized(t, positions * s.n), s, address(share), px, data(target, I64, positions),
        optional(weight, t, s.n), ignore_index, label_smoothing, data(lse, t, positions), address(dx))
    return dx
