# Losses of pairs of elements, and of rows of scores.

ctypedef int (*PairLoss)(Call, int64_t, double, void*, void*, void*, void*) except -1
ctypedef int (*PairLossBackward)(Call, int64_t, double, void*, cbool, void*, void*, void*) except -1

@cython.cdivision(True)
cdef object mean_of_sum(double sum, double divisor, int t):
    """None if the sum is not finite: the mean may yet be a number."""
    return number(sum / divisor, t) if isfinite(sum) else None

cdef object pair_loss(PairLoss kernel, object x, object target, double a, object divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef double sum = 0
    cdef void* px = data(x, t, n)
    losses = empty_like(x, t) if divisor is None else None
    kernel(sized(t, n), n, a, px, data(target, t, n), address(losses), &sum)
    result = losses if divisor is None else mean_of_sum(sum, divisor, t)
    return mean_loss(pair_loss(kernel, x, target, a, None), t, divisor) if result is None else result

cdef object pair_loss_backward(
        PairLossBackward kernel, object dloss, object x, object target, double a, object divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef void* px = data(x, t, n)
    share, dx = shares(dloss, t, n if each else 1, divisor), empty_like(x, t)
    kernel(sized(t, n), n, a, address(share), each, px, data(target, t, n), address(dx))
    return dx

def mse_loss_forward(x, target, divisor):
    return pair_loss(mse_loss_forward_c, x, target, 0, divisor)

def mse_loss_backward(dloss, x, target, divisor=None):
    return pair_loss_backward(mse_loss_backward_c, dloss, x, target, 0, divisor)

def l1_loss_forward(x, target, divisor):
    return pair_loss(l1_loss_forward_c, x, target, 0, divisor)

def l1_loss_backward(dloss, x, target, divisor=None):
    return pair_loss_backward(l1_loss_backward_c, dloss, x, target, 0, divisor)

def huber_loss_forward(x, target, double delta, divisor):
    return pair_loss(huber_loss_forward_c, x, target, delta, divisor)

def huber_loss_backward(dloss, x, target, double delta, divisor=None):
    return pair_loss_backward(huber_loss_backward_c, dloss, x, target, delta, divisor)

def hinge_loss_forward(x, target, double margin, divisor):
    return pair_loss(hinge_loss_forward_c, x, target, margin, divisor)

def hinge_loss_backward(dloss, x, target, double margin, divisor=None):
    return pair_loss_backward(hinge_loss_backward_c, dloss, x, target, margin, divisor)

def kl_div_forward(x, target, divisor):
    return pair_loss(kl_div_forward_c, x, target, 0, divisor)

def kl_div_backward(dloss, x, target, divisor=None):
    return pair_loss_backward(kl_div_backward_c, dloss, x, target, 0, divisor)

def kl_div_log_forward(x, target, divisor):
    return pair_loss(kl_div_log_forward_c, x, target, 0, divisor)

def kl_div_log_backward(dloss, x, target, divisor=None):
    return pair_loss_backward(kl_div_log_backward_c, dloss, x, target, 0, divisor)

def bce_with_logits_forward(x, target, weight, pos_weight, divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef double sum = 0
    losses = empty_like(x, t) if divisor is None else None
    bce_with_logits_forward_c(sized(t, n), n, px, data(target, t, n), optional(weight, t, n), optional(pos_weight, t, n),
        address(losses), &sum)
    result = losses if divisor is None else mean_of_sum(sum, divisor, t)
    if result is None:
        return mean_loss(bce_with_logits_forward(x, target, weight, pos_weight, None), t, divisor)
    return result

def bce_with_logits_backward(dloss, x, target, weight, pos_weight, divisor=None):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef void* px = data(x, t, n)
    share, dx = shares(dloss, t, n if each else 1, divisor), empty_like(x, t)
    bce_with_logits_backward_c(sized(t, n), n, address(share), each, px, data(target, t, n), optional(weight, t, n),
        optional(pos_weight, t, n), address(dx))
    return dx

def soft_cross_entropy_forward(g, logits, target, weight, double label_smoothing, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    loss, lse = losses_of(logits, t, positions, divisor), workspace(t, positions)
    soft_cross_entropy_forward_c(sized(t, positions * s.n), s, px, data(target, t, positions * s.n),
        optional(weight, t, s.n), label_smoothing, address(loss), address(lse))
    return loss if divisor is None else mean_loss(loss, t, divisor), lse

def soft_cross_entropy_backward(g, dloss, logits, target, weight, double label_smoothing, lse, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    share, dx = shares(dloss, t, positions, divisor), empty_like(logits, t)
    soft_cross_entropy_backward_c(sized(t, positions * s.n), s, address(share), px, data(target, t, positions * s.n),
        optional(weight, t, s.n), label_smoothing, data(lse, t, positions), address(dx))
    return dx

def nll_loss_forward(g, x, target, weight, int64_t ignore_index, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(x, t, positions * s.n)
    loss = losses_of(x, t, positions, divisor)
    nll_loss_forward_c(sized(t, positions), s, px, data(target, I64, positions), optional(weight, t, s.n), ignore_index,
        address(loss))
    return loss if divisor is None else mean_loss(loss, t, divisor)

def nll_loss_backward(g, dloss, x, target, weight, int64_t ignore_index, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* pt = data(target, I64, positions)
    data(x, t, positions * s.n)
    share, dx = shares(dloss, t, positions, divisor), empty_like(x, t)
    nll_loss_backward_c(sized(t, positions * s.n), s, address(share), pt, optional(weight, t, s.n), ignore_index,
        address(dx))
    return dx

cdef void* classes(object target, int64_t rows, int64_t n) except NULL:
    """Numbers below n: a kernel that finds no score for one has no loss to give."""
    cdef void* p = data(target, I64, rows)
    if not numbers_below(target, n):
        raise ValueError(f"expected classes below {n}")
    return p

def multi_margin_loss_forward(x, target, weight, double margin, bint squared, divisor=None):
    cdef int t = floating(x)
    cdef int64_t rows = extents_of(x, 2)[0], n = extents_of(x, 2)[1]
    cdef void* px = data(x, t, rows * n)
    loss = workspace(t, rows)
    multi_margin_loss_forward_c(sized(t, rows * n), rows, n, px, classes(target, rows, n), optional(weight, t, n),
        margin, squared, address(loss))
    return loss if divisor is None else mean_loss(loss, t, divisor)

def multi_margin_loss_backward(dloss, x, target, weight, double margin, bint squared, divisor=None):
    cdef int t = floating(x)
    cdef int64_t rows = extents_of(x, 2)[0], n = extents_of(x, 2)[1]
    cdef void* px = data(x, t, rows * n)
    share, dx = shares(dloss, t, rows, divisor), empty_like(x, t)
    multi_margin_loss_backward_c(sized(t, rows * n), rows, n, address(share), px, classes(target, rows, n),
        optional(weight, t, n), margin, squared, address(dx))
    return dx
