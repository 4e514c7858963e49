# Recurrent layers: the loops over time.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Rnn:
        int64_t steps, batch, units
        cbool reverse, relu

cdef extern from "call.h" namespace "fastnn::call":
    int rnn_workspace_c "fastnn::call::rnn_workspace"(Call, ...) except -1
    int rnn_forward_c "fastnn::call::rnn_forward"(Call, ...) except -1
    int lstm_forward_c "fastnn::call::lstm_forward"(Call, ...) except -1
    int gru_forward_c "fastnn::call::gru_forward"(Call, ...) except -1
    int rnn_backward_c "fastnn::call::rnn_backward"(Call, ...) except -1
    int lstm_backward_c "fastnn::call::lstm_backward"(Call, ...) except -1
    int rnn_weights_workspace_c "fastnn::call::rnn_weights_workspace"(Call, ...) except -1
    int rnn_backward_weights_c "fastnn::call::rnn_backward_weights"(Call, ...) except -1
    int gru_backward_c "fastnn::call::gru_backward"(Call, ...) except -1

cdef Rnn rnn_geometry(object y, cbool reverse, cbool relu) except *:
    """From an array (steps, batch, units)."""
    cdef Rnn r
    cdef const cnp.npy_intp* extents = extents_of(y, 3)
    r.steps, r.batch, r.units = extents[0], extents[1], extents[2]
    r.reverse = reverse
    r.relu = relu
    if r.units < 1:
        raise ValueError("expected at least one unit")
    elements(r.steps, r.batch, 4, r.units)  # the most gates, and their weights
    elements(4, r.units, r.units)
    return r

cdef object rnn_work(int t, Rnn r, int64_t gates):
    cdef int64_t size = 0
    rnn_workspace_c(short_call(t), r, gates, &size)
    return workspace(t, size)

def rnn_forward(gates, h0, weight, bias_ih, bias_hh, lengths, cbool reverse, cbool relu, y, h_n):
    cdef int t = floating(gates)
    cdef Rnn r = rnn_geometry(y, reverse, relu)
    cdef int64_t state = r.batch * r.units
    cdef void* pg = writable(gates, t, r.steps * state)
    cdef void* ph0 = optional(h0, t, state)
    cdef void* pw = data(weight, t, r.units * r.units)
    cdef void* pbi = optional(bias_ih, t, r.units)
    cdef void* pbh = optional(bias_hh, t, r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* py = writable(y, t, r.steps * state)
    cdef void* phn = writable(h_n, t, state)
    cdef object work = rnn_work(t, r, 1)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    rnn_forward_c(long_call(t), r, pg, ph0, pw, pbi, pbh, pl, py, phn, pk)

def lstm_forward(gates, h0, c0, weight, bias_ih, bias_hh, lengths, cbool reverse, y, cells, h_n, c_n):
    cdef int t = floating(gates)
    cdef Rnn r = rnn_geometry(y, reverse, False)
    cdef int64_t state = r.batch * r.units
    cdef void* pg = writable(gates, t, 4 * r.steps * state)
    cdef void* ph0 = optional(h0, t, state)
    cdef void* pc0 = optional(c0, t, state)
    cdef void* pw = data(weight, t, 4 * r.units * r.units)
    cdef void* pbi = optional(bias_ih, t, 4 * r.units)
    cdef void* pbh = optional(bias_hh, t, 4 * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* py = writable(y, t, r.steps * state)
    cdef void* pc = writable(cells, t, r.steps * state)
    cdef void* phn = writable(h_n, t, state)
    cdef void* pcn = writable(c_n, t, state)
    cdef object work = rnn_work(t, r, 4)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    lstm_forward_c(long_call(t), r, pg, ph0, pc0, pw, pbi, pbh, pl, py, pc, phn, pcn, pk)

def gru_forward(gates, h0, weight, bias_ih, bias_hh, lengths, cbool reverse, y, candidate, h_n):
    cdef int t = floating(gates)
    cdef Rnn r = rnn_geometry(y, reverse, False)
    cdef int64_t state = r.batch * r.units
    cdef void* pg = writable(gates, t, 3 * r.steps * state)
    cdef void* ph0 = optional(h0, t, state)
    cdef void* pw = data(weight, t, 3 * r.units * r.units)
    cdef void* pbi = optional(bias_ih, t, 3 * r.units)
    cdef void* pbh = optional(bias_hh, t, 3 * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* py = writable(y, t, r.steps * state)
    cdef void* pm = writable(candidate, t, r.steps * state)
    cdef void* phn = writable(h_n, t, state)
    cdef object work = rnn_work(t, r, 3)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    gru_forward_c(long_call(t), r, pg, ph0, pw, pbi, pbh, pl, py, pm, phn, pk)

def rnn_backward(dy, dh_n, y, weight, lengths, cbool reverse, cbool relu, dgates, dh0):
    cdef int t = floating(y)
    cdef Rnn r = rnn_geometry(y, reverse, relu)
    cdef int64_t state = r.batch * r.units
    cdef void* pdy = optional(dy, t, r.steps * state)
    cdef void* pdh = optional(dh_n, t, state)
    cdef void* py = data(y, t, r.steps * state)
    cdef void* pw = data(weight, t, r.units * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* pdg = writable(dgates, t, r.steps * state)
    cdef void* pdh0 = writable(dh0, t, state)
    cdef object work = rnn_work(t, r, 1)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    rnn_backward_c(long_call(t), r, pdy, pdh, py, pw, pl, pdg, pdh0, pk)

def lstm_backward(dy, dh_n, dc_n, gates, cells, c0, weight, lengths, cbool reverse, dgates, dh0, dc0):
    cdef int t = floating(cells)
    cdef Rnn r = rnn_geometry(cells, reverse, False)
    cdef int64_t state = r.batch * r.units
    cdef void* pdy = optional(dy, t, r.steps * state)
    cdef void* pdh = optional(dh_n, t, state)
    cdef void* pdc = optional(dc_n, t, state)
    cdef void* pg = data(gates, t, 4 * r.steps * state)
    cdef void* pc = data(cells, t, r.steps * state)
    cdef void* pc0 = optional(c0, t, state)
    cdef void* pw = data(weight, t, 4 * r.units * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* pdg = writable(dgates, t, 4 * r.steps * state)
    cdef void* pdh0 = writable(dh0, t, state)
    cdef void* pdc0 = writable(dc0, t, state)
    cdef object work = rnn_work(t, r, 4)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    lstm_backward_c(long_call(t), r, pdy, pdh, pdc, pg, pc, pc0, pw, pl, pdg, pdh0, pdc0, pk)

def gru_backward(dy, dh_n, gates, candidate, y, h0, weight, lengths, cbool reverse, dgates, drec, dh0):
    cdef int t = floating(y)
    cdef Rnn r = rnn_geometry(y, reverse, False)
    cdef int64_t state = r.batch * r.units
    cdef void* pdy = optional(dy, t, r.steps * state)
    cdef void* pdh = optional(dh_n, t, state)
    cdef void* pg = data(gates, t, 3 * r.steps * state)
    cdef void* pm = data(candidate, t, r.steps * state)
    cdef void* py = data(y, t, r.steps * state)
    cdef void* ph0 = optional(h0, t, state)
    cdef void* pw = data(weight, t, 3 * r.units * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* pdg = writable(dgates, t, 3 * r.steps * state)
    cdef void* pdr = writable(drec, t, 3 * r.steps * state)
    cdef void* pdh0 = writable(dh0, t, state)
    cdef object work = rnn_work(t, r, 3)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    gru_backward_c(long_call(t), r, pdy, pdh, pg, pm, py, ph0, pw, pl, pdg, pdr, pdh0, pk)

def rnn_backward_weights(d, x, y, h0, lengths, cbool reverse, int64_t units, dweight_ih, dweight_hh, dbias):
    """x and dweight_ih, y and dweight_hh, and dbias may be None."""
    cdef int t = floating(d)
    cdef Rnn r
    cdef const cnp.npy_intp* extents = extents_of(d, 3)
    cdef int64_t columns = extents[2], inputs = 0 if x is None else extents_of(x, 3)[2]
    r.steps, r.batch = extents[0], extents[1]
    r.units = units
    r.reverse = reverse
    r.relu = False
    if r.units < 1 or (x is None) != (dweight_ih is None) or (y is None) != (dweight_hh is None):
        raise ValueError("expected each source with its gradient")
    cdef int64_t rows = r.steps * r.batch
    elements(rows, inputs)
    elements(rows, r.units)
    elements(columns, inputs)
    elements(columns, r.units)
    cdef void* pd = data(d, t, rows * columns)
    cdef void* px = optional(x, t, rows * inputs)
    cdef void* py = optional(y, t, rows * r.units)
    cdef void* ph0 = optional(h0, t, r.batch * r.units)
    cdef void* pl = optional(lengths, I64, r.batch)
    cdef void* pwi = optional_writable(dweight_ih, t, columns * inputs)
    cdef void* pwh = optional_writable(dweight_hh, t, columns * r.units)
    cdef void* pb = optional_writable(dbias, t, columns)
    cdef int64_t size = 0
    rnn_weights_workspace_c(short_call(t), r, columns, inputs, &size)
    cdef object work = workspace(t, size)
    cdef void* pk = cnp.PyArray_DATA(<cnp.ndarray>work)
    rnn_backward_weights_c(long_call(t), r, columns, inputs, pd, px, py, ph0, pl, pwi, pwh, pb, pk)
