# Losses of pairs of elements, and of rows of scores.

ctypedef void (*PairLoss)(cbool, int64_t, double, void*, void*, void*, double*) noexcept nogil
ctypedef void (*PairLossBackward)(cbool, int64_t, double, void*, cbool, void*, void*, void*) noexcept nogil

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
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
    void bce_forward_c "fastnn::call::bce_with_logits_forward"(
        cbool, int64_t n, void* x, void* t, void* w, void* p, void* loss, double* partial)
    void bce_backward_c "fastnn::call::bce_with_logits_backward"(
        cbool, int64_t n, void* dy, cbool each, void* x, void* t, void* w, void* p, void* dx)
    void soft_cross_entropy_forward_c "fastnn::call::soft_cross_entropy_forward"(
        cbool, Softmax, void* x, void* p, void* weight, double smoothing, void* loss, void* lse)
    void soft_cross_entropy_backward_c "fastnn::call::soft_cross_entropy_backward"(
        cbool, Softmax, void* dloss, void* x, void* p, void* weight, double smoothing, void* lse, void* dx)
    void nll_loss_forward_c "fastnn::call::nll_loss_forward"(
        cbool, Softmax, void* x, void* target, void* weight, int64_t ignore, void* loss)
    void nll_loss_backward_c "fastnn::call::nll_loss_backward"(
        cbool, Softmax, void* dloss, void* target, void* weight, int64_t ignore, void* dx)
    void multi_margin_loss_forward_c "fastnn::call::multi_margin_loss_forward"(
        cbool, int64_t rows, int64_t n, void* x, void* target, void* weight, double margin, cbool squared, void* loss)
    void multi_margin_loss_backward_c "fastnn::call::multi_margin_loss_backward"(
        cbool, int64_t rows, int64_t n, void* dloss, void* x, void* target, void* weight, double margin, cbool squared,
        void* dx)

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
            sum_values_c(True, self.blocks, <void*>self.partial, 1, &sum)
        return number(sum / <double>divisor, self.typenum) if isfinite(sum) else None

cdef object pair_loss(PairLoss kernel, object x, object target, double a, object divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef _PairSums sums = _PairSums(x, t, n, divisor is None)
    cdef PyThreadState* state = let_go(n)
    kernel(t == F64, n, a, px, pt, sums.loss, sums.partial)
    take_back(state)
    result = sums.result(divisor)
    # Where a sum overflows, the mean may yet be a number.
    return mean_loss(pair_loss(kernel, x, target, a, None), t, divisor) if result is None else result

cdef object pair_loss_backward(
        PairLossBackward kernel, object dloss, object x, object target, double a, double divisor):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef object share = shares(dloss, t, n if each else 1, divisor)
    cdef void* pdy = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    cdef PyThreadState* state = let_go(n)
    kernel(t == F64, n, a, pdy, each, px, pt, pdx)
    take_back(state)
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
    with nogil:
        bce_forward_c(t == F64, n, px, pt, pw, pp, sums.loss, sums.partial)
    result = sums.result(divisor)
    if result is None:
        return mean_loss(bce_with_logits_forward(x, target, weight, pos_weight, None), t, divisor)
    return result

def bce_with_logits_backward(dloss, x, target, weight, pos_weight, double divisor=1):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef bint each = cnp.PyArray_SIZE(<cnp.ndarray?>dloss) != 1
    cdef object share = shares(dloss, t, n if each else 1, divisor)
    cdef void* pdy = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef void* px = data(x, t, n)
    cdef void* pt = data(target, t, n)
    cdef void* pw = optional(weight, t, n)
    cdef void* pp = optional(pos_weight, t, n)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        bce_backward_c(t == F64, n, pdy, each, px, pt, pw, pp, pdx)
    return dx

def soft_cross_entropy_forward(g, logits, target, weight, double label_smoothing, divisor=None):
    cdef Softmax s = pieces_geometry(g)
    cdef int t = floating(logits)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, t, positions * s.n)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef object lse = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef void* plse = cnp.PyArray_DATA(<cnp.ndarray>lse)
    with nogil:
        soft_cross_entropy_forward_c(t == F64, s, px, pt, pw, label_smoothing, ploss, plse)
    finish()
    return loss if divisor is None else mean_loss(loss, t, divisor), lse

def soft_cross_entropy_backward(g, dloss, logits, target, weight, double label_smoothing, lse, double divisor=1):
    cdef Softmax s = pieces_geometry(g)
    cdef int t = floating(logits)
    cdef int64_t positions = s.outer * s.inner
    cdef object share = shares(dloss, t, positions, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef void* px = data(logits, t, positions * s.n)
    cdef void* pt = data(target, t, positions * s.n)
    cdef void* pw = optional(weight, t, s.n)
    cdef void* plse = data(lse, t, positions)
    cdef object dx = empty_like(logits, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        soft_cross_entropy_backward_c(t == F64, s, pdloss, px, pt, pw, label_smoothing, plse, pdx)
    finish()
    return dx

def nll_loss_forward(g, x, target, weight, int64_t ignore_index, divisor=None):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(x)
    cdef cnp.npy_intp positions = s.outer * s.inner
    cdef void* px = data(x, t, positions * s.n)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    cdef object loss = new_array(1, &positions, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef PyThreadState* state = let_go(positions)
    nll_loss_forward_c(t == F64, s, px, pt, pw, ignore_index, ploss)
    take_back(state)
    return loss if divisor is None else mean_loss(loss, t, divisor)

def nll_loss_backward(g, dloss, x, target, weight, int64_t ignore_index, double divisor=1):
    cdef Softmax s = softmax_geometry(g)
    cdef int t = floating(x)
    cdef int64_t positions = s.outer * s.inner
    cdef object share = shares(dloss, t, positions, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef void* pt = data(target, I64, positions)
    cdef void* pw = optional(weight, t, s.n)
    data(x, t, positions * s.n)
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        nll_loss_backward_c(t == F64, s, pdloss, pt, pw, ignore_index, pdx)
    return dx

def multi_margin_loss_forward(x, target, weight, double margin, bint squared, divisor=None):
    cdef int t = floating(x)
    cdef int64_t size = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef cnp.npy_intp rows = cnp.PyArray_SIZE(<cnp.ndarray>target)
    cdef int64_t n = size // rows if rows else 0
    cdef void* px = data(x, t, rows * n)
    cdef void* pt = data(target, I64, rows)
    cdef void* pw = optional(weight, t, n) if rows else NULL
    cdef object loss = new_array(1, &rows, t)
    cdef void* ploss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    with nogil:
        multi_margin_loss_forward_c(t == F64, rows, n, px, pt, pw, margin, squared, ploss)
    return loss if divisor is None else mean_loss(loss, t, divisor)

def multi_margin_loss_backward(dloss, x, target, weight, double margin, bint squared, double divisor=1):
    cdef int t = floating(x)
    cdef int64_t size = cnp.PyArray_SIZE(<cnp.ndarray>x), rows = cnp.PyArray_SIZE(<cnp.ndarray>target)
    cdef int64_t n = size // rows if rows else 0
    cdef object share = shares(dloss, t, rows, divisor)
    cdef void* pdloss = cnp.PyArray_DATA(<cnp.ndarray>share)
    cdef void* px = data(x, t, rows * n)
    cdef void* pt = data(target, I64, rows)
    cdef void* pw = optional(weight, t, n) if rows else NULL
    cdef object dx = empty_like(x, t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    with nogil:
        multi_margin_loss_backward_c(t == F64, rows, n, pdloss, px, pt, pw, margin, squared, pdx)
    return dx
