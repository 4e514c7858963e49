# Losses of pairs of elements, and of rows of scores.

ctypedef int (*PairLoss)(Call, int64_t, double, void*, void*, void*, double*) except -1
ctypedef int (*PairLossBackward)(Call, int64_t, double, void*, cbool, void*, void*, void*) except -1

cdef extern from "call.h" namespace "fastnn::call":
    PairLoss mse_loss_forward_c "fastnn::call::mse_loss_forward"
    PairLossBackward mse_loss_backward_c "fastnn::call::mse_loss_backward"
    PairLoss l1_loss_forward_c "fastnn::call::l1_loss_forward"
    PairLossBackward l1_loss_backward_c "fastnn::call::l1_loss_backward"
    PairLoss huber_loss_forward_c "fastnn::call::huber_loss_forward"
    PairLossBackward huber_loss_backward_c "fastnn::call::huber_loss_backward"
    PairLoss hinge_loss_forward_c "fastnn::call::hinge_loss_forward"
    PairLossBackward hinge_loss_backward_c "fastnn::call::hinge_loss_backward"
    PairLoss kl_div_forward_c "fastnn::call::kl_div_forward"
    PairLossBackward kl_div_backward_c "fastnn::call::kl_div_backward"
    PairLoss kl_div_log_forward_c "fastnn::call::kl_div_log_forward"
    PairLossBackward kl_div_log_backward_c "fastnn::call::kl_div_log_backward"
    int bce_forward_c "fastnn::call::bce_with_logits_forward"(
        Call, int64_t n, void* x, void* t, void* w, void* p, void* loss, double* partial) except -1
    int bce_backward_c "fastnn::call::bce_with_logits_backward"(
        Call, int64_t n, void* dy, cbool each, void* x, void* t, void* w, void* p, void* dx) except -1
    int soft_cross_entropy_forward_c "fastnn::call::soft_cross_entropy_forward"(
        Call, Softmax, void* x, void* p, void* weight, double smoothing, void* loss, void* lse) except -1
    int soft_cross_entropy_backward_c "fastnn::call::soft_cross_entropy_backward"(
        Call, Softmax, void* dloss, void* x, void* p, void* weight, double smoothing, void* lse, void* dx) except -1
    int nll_loss_forward_c "fastnn::call::nll_loss_forward"(
        Call, Softmax, void* x, void* target, void* weight, int64_t ignore, void* loss) except -1
    int nll_loss_backward_c "fastnn::call::nll_loss_backward"(
        Call, Softmax, void* dloss, void* target, void* weight, int64_t ignore, void* dx) except -1
    int multi_margin_loss_forward_c "fastnn::call::multi_margin_loss_forward"(
        Call, int64_t rows, int64_t n, void* x, void* target, void* weight, double margin, cbool squared, void* loss) except -1
    int multi_margin_loss_backward_c "fastnn::call::multi_margin_loss_backward"(
        Call, int64_t rows, int64_t n, void* dloss, void* x, void* target, void* weight, double margin, cbool squared,
        void* dx) except -1

cdef enum:
    PAIR_BLOCK = 8192  # elements that pair_loss.cpp adds to one partial sum

# Where the losses of pairs go: an array, or partial sums.
cdef class _PairSums:
    cdef object values, work
    cdef void* loss
    cdef double* partial
    cdef double only
    cdef int64_t blocks
    cdef int typenum

    def __cinit__(self, object x, int t, int64_t n, bint each):
        self.blocks = (n + PAIR_BLOCK - 1) // PAIR_BLOCK
        self.typenum = t
        self.loss, self.partial = NULL, &self.only
        if each:
            self.values = empty_like(x, t)
            self.loss = cnp.PyArray_DATA(<cnp.ndarray>self.values)
        elif self.blocks > 1:
            self.work = workspace(F64, self.blocks)
            self.partial = <double*>cnp.PyArray_DATA(<cnp.ndarray>self.work)

    @cython.cdivision(True)
    cdef object result(self, object divisor):
        """The losses, or their sum by the divisor; None if the sum is not finite."""
        cdef double sum = 0
        if self.values is not None:
            return self.values
        if self.blocks == 1:
            sum = self.only
        else:
            sum_values_c(sized(F64, self.blocks), self.blocks, <void*>self.partial, 1, &sum)
        return number(sum / <double>divisor, self.typenum) if isfinite(sum) else None

cdef object pair_loss(PairLoss kernel, object x, object target, double a, object divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef _PairSums sums = _PairSums(x, t, n, divisor is None)
    kernel(sized(t, n), n, a, px, pt, sums.loss, sums.partial)
    result = sums.result(divisor)
    # Where a sum overflows, the mean may yet be a number.
    return mean_loss(pair_loss(kernel, x, target, a, None), t, divisor) if result is None else result

cdef object pair_loss_backward(
        PairLossBackward kernel, object dloss, object x, object target, double a, double divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef object share = shares(dloss, t, n if each else 1, divisor)
    cdef void* pdy = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    kernel(sized(t, n), n, a, pdy, each, px, pt, pdx)
    return dx

def mse_loss_forward(x, target, divisor):
    return pair_loss(mse_loss_forward_c, x, target, 0, divisor)

def mse_loss_backward(dloss, x, target, double divisor=1):
    return pair_loss_backward(mse_loss_backward_c, dloss, x, target, 0, divisor)

def l1_loss_forward(x, target, divisor):
    return pair_loss(l1_loss_forward_c, x, target, 0, divisor)

def l1_loss_backward(dloss, x, target, double divisor=1):
    return pair_loss_backward(l1_loss_backward_c, dloss, x, target, 0, divisor)

def huber_loss_forward(x, target, double delta, divisor):
    return pair_loss(huber_loss_forward_c, x, target, delta, divisor)

def huber_loss_backward(dloss, x, target, double delta, double divisor=1):
    return pair_loss_backward(huber_loss_backward_c, dloss, x, target, delta, divisor)

def hinge_loss_forward(x, target, double margin, divisor):
    return pair_loss(hinge_loss_forward_c, x, target, margin, divisor)

def hinge_loss_backward(dloss, x, target, double margin, double divisor=1):
    return pair_loss_backward(hinge_loss_backward_c, dloss, x, target, margin, divisor)

def kl_div_forward(x, target, divisor):
    return pair_loss(kl_div_forward_c, x, target, 0, divisor)

def kl_div_backward(dloss, x, target, double divisor=1):
    return pair_loss_backward(kl_div_backward_c, dloss, x, target, 0, divisor)

def kl_div_log_forward(x, target, divisor):
    return pair_loss(kl_div_log_forward_c, x, target, 0, divisor)

def kl_div_log_backward(dloss, x, target, double divisor=1):
    return pair_loss_backward(kl_div_log_backward_c, dloss, x, target, 0, divisor)

def bce_with_logits_forward(x, target, weight, pos_weight, divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef void* pw = optional(weight, t, n)
    cdef void* pp = optional(pos_weight, t, n)
    cdef _PairSums sums = _PairSums(x, t, n, divisor is None)
    bce_forward_c(sized(t, n), n, px, pt, pw, pp, sums.loss, sums.partial)
    result = sums.result(divisor)
    if result is None:
        return mean_loss(bce_with_logits_forward(x, target, weight, pos_weight, None), t, divisor)
    return result

def bce_with_logits_backward(dloss, x, target, weight, pos_weight, double divisor=1):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef void* pw = optional(weight, t, n)
    cdef void* pp = optional(pos_weight, t, n)
    cdef object share = shares(dloss, t, n if each else 1, divisor)
    cdef void* pdy = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    bce_backward_c(sized(t, n), n, pdy, each, px, pt, pw, pp, pdx)
    return dx

def soft_cross_entropy_forward(g, logits, target, weight, double label_smoothing, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, t, positions * s.n)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef object lse = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef void* plse = cnp.PyArray_DATA(<cnp.ndarray>lse)
    soft_cross_entropy_forward_c(sized(t, positions * s.n), s, px, pt, pw, label_smoothing, ploss, plse)
    return loss if divisor is None else mean_loss(loss, t, divisor), lse

def soft_cross_entropy_backward(g, dloss, logits, target, weight, double label_smoothing, lse, double divisor=1):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, t, positions * s.n)
    cdef void* pw = optional(weight, t, s.n)
    cdef void* plse = data(lse, t, positions)
    cdef object share = shares(dloss, t, positions, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(logits, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    soft_cross_entropy_backward_c(sized(t, positions * s.n), s, pdloss, px, pt, pw, label_smoothing, plse, pdx)
    return dx

def nll_loss_forward(g, x, target, weight, int64_t ignore_index, divisor=None):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(x, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    nll_loss_forward_c(sized(t, positions), s, px, pt, pw, ignore_index, ploss)
    return loss if divisor is None else mean_loss(loss, t, divisor)

def nll_loss_backward(g, dloss, x, target, weight, int64_t ignore_index, double divisor=1):
    cdef Softmax s = scores_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    data(x, t, positions * s.n)
    cdef object share = shares(dloss, t, positions, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    nll_loss_backward_c(sized(t, positions * s.n), s, pdloss, pt, pw, ignore_index, pdx)
    return dx

cdef void* classes(object target, int64_t rows, int64_t n) except NULL:
    """Numbers below n: a kernel that finds no score for one has no loss to give."""
    cdef void* p = data(target, I64, rows)
    cdef cbool legal = False
    numbers_below_c(sized(I64, rows), rows, n, p, &legal)
    if not legal:
        raise ValueError(f"expected classes below {n}")
    return p

def multi_margin_loss_forward(x, target, weight, double margin, bint squared, divisor=None):
    cdef int t = floating(x)
    cdef cnp.npy_intp rows = extents_of(x, 2)[0]
    cdef int64_t n = extents_of(x, 2)[1]
    cdef void* px = data(x, t, rows * n)
    cdef void* pt = classes(target, rows, n)
    cdef void* pw = optional(weight, t, n)
    cdef object loss = new_array(1, &rows, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    multi_margin_loss_forward_c(sized(t, rows * n), rows, n, px, pt, pw, margin, squared, ploss)
    return loss if divisor is None else mean_loss(loss, t, divisor)

def multi_margin_loss_backward(dloss, x, target, weight, double margin, bint squared, double divisor=1):
    cdef int t = floating(x)
    cdef int64_t rows = extents_of(x, 2)[0], n = extents_of(x, 2)[1]
    cdef void* px = data(x, t, rows * n)
    cdef void* pt = classes(target, rows, n)
    cdef void* pw = optional(weight, t, n)
    cdef object share = shares(dloss, t, rows, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    multi_margin_loss_backward_c(sized(t, rows * n), rows, n, pdloss, px, pt, pw, margin, squared, pdx)
    return dx
