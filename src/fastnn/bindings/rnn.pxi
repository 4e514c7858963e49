# Recurrent layers: the kernels go through time; what needs no order is one product for all steps.

cdef Rnn rnn_geometry(object x, object weight_hh, cbool reverse, cbool relu) except *:
    """From x (steps, batch, inputs) and weight_hh (gates * units, units)."""
    cdef Rnn r
    r.steps, r.batch, r.units = extents_of(x, 3)[0], extents_of(x, 3)[1], extents_of(weight_hh, 2)[1]
    r.reverse = reverse
    r.relu = relu
    if r.units < 1:
        raise ValueError("expected at least one unit")
    elements(r.steps, r.batch, 4, r.units)  # the most gates, and their weights
    elements(4, r.units, r.units)
    return r

cdef object of_steps(int t, Rnn r, int64_t gates):
    """Room for numbers of each step: the states are those of one gate."""
    cdef cnp.npy_intp[3] extents = [r.steps, r.batch, gates * r.units]
    return new_array(3, extents, t)

cdef object rnn_work(int t, Rnn r, int64_t gates):
    cdef int64_t size = 0
    rnn_workspace_c(short_call(t), r, gates, &size)
    return workspace(t, size)

def rnn_forward(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, cbool relu, lengths, cbool reverse):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, relu)
    cdef int64_t state = r.batch * r.units
    y, h_n, work = of_steps(t, r, 1), matrix(t, r.batch, r.units), rnn_work(t, r, 1)
    gates = linear_forward(x, weight_ih, None)
    rnn_forward_c(long_call(t), r, writable(gates, t, r.steps * state), optional(h0, t, state),
        data(weight_hh, t, r.units * r.units), optional(bias_ih, t, r.units), optional(bias_hh, t, r.units),
        optional(lengths, I64, r.batch), address(y), address(h_n), address(work))
    return y, h_n

def lstm_forward(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, cbool reverse):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, False)
    cdef int64_t state = r.batch * r.units
    y, cells, work = of_steps(t, r, 1), of_steps(t, r, 1), rnn_work(t, r, 4)
    h_n, c_n = matrix(t, r.batch, r.units), matrix(t, r.batch, r.units)
    gates = linear_forward(x, weight_ih, None)
    lstm_forward_c(long_call(t), r, writable(gates, t, 4 * r.steps * state), optional(h0, t, state),
        optional(c0, t, state), data(weight_hh, t, 4 * r.units * r.units), optional(bias_ih, t, 4 * r.units),
        optional(bias_hh, t, 4 * r.units), optional(lengths, I64, r.batch), address(y), address(cells), address(h_n),
        address(c_n), address(work))
    return y, h_n, c_n, gates, cells

def gru_forward(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, cbool reverse):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, False)
    cdef int64_t state = r.batch * r.units
    y, candidate, work = of_steps(t, r, 1), of_steps(t, r, 1), rnn_work(t, r, 3)
    h_n = matrix(t, r.batch, r.units)
    gates = linear_forward(x, weight_ih, None)
    gru_forward_c(long_call(t), r, writable(gates, t, 3 * r.steps * state), optional(h0, t, state),
        data(weight_hh, t, 3 * r.units * r.units), optional(bias_ih, t, 3 * r.units), optional(bias_hh, t, 3 * r.units),
        optional(lengths, I64, r.batch), address(y), address(candidate), address(h_n), address(work))
    return y, h_n, gates, candidate

def rnn_backward(dy, dh_n, x, h0, weight_ih, weight_hh, cbool relu, lengths, cbool reverse, y, needs):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, relu)
    cdef int64_t state = r.batch * r.units
    dgates, dh0, work = of_steps(t, r, 1), matrix(t, r.batch, r.units), rnn_work(t, r, 1)
    rnn_backward_c(long_call(t), r, optional(dy, t, r.steps * state), optional(dh_n, t, state),
        data(y, t, r.steps * state), data(weight_hh, t, r.units * r.units), optional(lengths, I64, r.batch),
        address(dgates), address(dh0), address(work))
    dx, *rest = layer_gradients(dgates, dgates, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, *rest

def lstm_backward(
        dy, dh_n, dc_n, x, h0, c0, weight_ih, weight_hh, lengths, cbool reverse, y, gates, cells, needs):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, False)
    cdef int64_t state = r.batch * r.units
    dgates, work = of_steps(t, r, 4), rnn_work(t, r, 4)
    dh0, dc0 = matrix(t, r.batch, r.units), matrix(t, r.batch, r.units)
    lstm_backward_c(long_call(t), r, optional(dy, t, r.steps * state), optional(dh_n, t, state),
        optional(dc_n, t, state), data(gates, t, 4 * r.steps * state), data(cells, t, r.steps * state),
        optional(c0, t, state), data(weight_hh, t, 4 * r.units * r.units), optional(lengths, I64, r.batch),
        address(dgates), address(dh0), address(dc0), address(work))
    dx, *rest = layer_gradients(dgates, dgates, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, dc0, *rest

def gru_backward(
        dy, dh_n, x, h0, weight_ih, weight_hh, lengths, cbool reverse, y, gates, candidate, needs):
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, reverse, False)
    cdef int64_t state = r.batch * r.units
    dgates, drec, work = of_steps(t, r, 3), of_steps(t, r, 3), rnn_work(t, r, 3)
    dh0 = matrix(t, r.batch, r.units)
    gru_backward_c(long_call(t), r, optional(dy, t, r.steps * state), optional(dh_n, t, state),
        data(gates, t, 3 * r.steps * state), data(candidate, t, r.steps * state), data(y, t, r.steps * state),
        optional(h0, t, state), data(weight_hh, t, 3 * r.units * r.units), optional(lengths, I64, r.batch),
        address(dgates), address(drec), address(dh0), address(work))
    dx, *rest = layer_gradients(dgates, drec, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, *rest

cdef tuple layer_gradients(dgates, drec, x, y, h0, weight_ih, lengths, cbool reverse, needs):
    """dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh from the gradients of both shares of the preactivations."""
    need_x, need_weight_ih, need_weight_hh, need_bias_ih, need_bias_hh = needs
    dx = None
    if need_x:
        steps, batch, columns = dgates.shape
        dx = matmul(dgates.reshape(steps * batch, columns), weight_ih).reshape(x.shape)
        if lengths is not None:
            clear_missing(dx, lengths)
    x = x if need_weight_ih else None
    y = y if need_weight_hh else None
    if drec is dgates:
        one = need_bias_ih or need_bias_hh
        dweight_ih, dweight_hh, dbias_ih = rnn_backward_weights(dgates, x, y, h0, lengths, reverse, one)
        dbias_hh = dbias_ih.copy() if need_bias_ih and need_bias_hh else dbias_ih
    else:
        dweight_ih, _, dbias_ih = rnn_backward_weights(dgates, x, None, None, lengths, reverse, need_bias_ih)
        _, dweight_hh, dbias_hh = rnn_backward_weights(drec, None, y, h0, lengths, reverse, need_bias_hh)
    return dx, dweight_ih, dweight_hh, dbias_ih if need_bias_ih else None, dbias_hh if need_bias_hh else None

cdef int clear_missing(object dx, object lengths) except -1:
    """The rows of steps that a sequence does not have: a weight may be infinite, and 0 times it no number."""
    cdef const cnp.npy_intp* extents = extents_of(dx, 3)
    cdef const int64_t* ends = <const int64_t*>data(lengths, I64, extents[1])
    cdef size_t bytes = extents[2] * cnp.PyArray_ITEMSIZE(<cnp.ndarray>dx)
    cdef char* row = <char*>address(dx)
    cdef int64_t step, i
    for step in range(extents[0]):
        for i in range(extents[1]):
            if step >= ends[i]:
                memset(row, 0, bytes)
            row += bytes
    return 0

def rnn_backward_weights(d, x, y, h0, lengths, cbool reverse, bias):
    """d^T times x, times the states before each step, and times 1; None without x, y and bias."""
    cdef int t = floating(d)
    cdef Rnn r
    cdef const cnp.npy_intp* extents = extents_of(d, 3)
    cdef int64_t columns = extents[2], inputs = 0 if x is None else extents_of(x, 3)[2], size = 0
    r.steps, r.batch, r.units = extents[0], extents[1], 1 if y is None else extents_of(y, 3)[2]
    r.reverse = reverse
    r.relu = False
    if x is None and y is None and not bias:
        return None, None, None
    if r.units < 1:
        raise ValueError("expected at least one unit")
    cdef int64_t rows = r.steps * r.batch
    elements(rows, inputs)
    elements(rows, r.units)
    elements(columns, inputs)
    elements(columns, r.units)
    cdef void* pd = data(d, t, rows * columns)
    dweight_ih = None if x is None else matrix(t, columns, inputs)
    dweight_hh = None if y is None else matrix(t, columns, r.units)
    dbias = workspace(t, columns) if bias else None
    rnn_weights_workspace_c(short_call(t), r, columns, inputs, &size)
    work = workspace(t, size)
    rnn_backward_weights_c(long_call(t), r, columns, inputs, pd, optional(x, t, rows * inputs),
        optional(y, t, rows * r.units), NULL if y is None else optional(h0, t, r.batch * r.units),
        optional(lengths, I64, r.batch), address(dweight_ih), address(dweight_hh), address(dbias), address(work))
    return dweight_ih, dweight_hh, dbias
