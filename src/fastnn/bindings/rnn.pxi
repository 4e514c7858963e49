# Recurrent layers: the kernels go through time; what needs no order is one product for all steps.

cdef Rnn rnn_geometry(object x, object weight_hh, RnnKind cell, cbool reverse) except *:
    """From x (steps, batch, inputs) and weight_hh (gates * units, units)."""
    cdef Rnn r
    r.steps, r.batch, r.units = extents_of(x, 3)[0], extents_of(x, 3)[1], extents_of(weight_hh, 2)[1]
    r.reverse = reverse
    r.cell = cell
    if r.units < 1:
        raise ValueError("expected at least one unit")
    elements(r.steps, r.batch, 4, r.units)  # refuses too large arrays of gates (4 at most), and of weights
    elements(4, r.units, r.units)
    return r

cdef object of_steps(int t, Rnn r, int64_t gates):
    """Uninitialised array of the gates of all steps; with one gate, of as many states."""
    cdef cnp.npy_intp[3] extents = [r.steps, r.batch, gates * r.units]
    return new_array(3, extents, t)

cdef tuple recurrent(RnnKind cell, int64_t n, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, peepholes, lengths,
        cbool reverse):
    """y, h_n, c_n, gates and the cells or candidates of a cell of n gates; None is what it does not have."""
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, cell, reverse)
    cdef int64_t state = r.batch * r.units
    y, h_n = of_steps(t, r, 1), matrix(t, r.batch, r.units)
    extra = of_steps(t, r, 1) if n > 1 else None
    c_n = matrix(t, r.batch, r.units) if cell == kLstmCell else None
    gates = linear_forward(x, weight_ih, None)
    rnn_forward_c(long_call(t), r, writable(gates, t, n * r.steps * state), optional(h0, t, state), optional(c0, t, state),
        data(weight_hh, t, n * r.units * r.units), optional(bias_ih, t, n * r.units), optional(bias_hh, t, n * r.units),
        optional(peepholes, t, 3 * r.units), optional(lengths, I64, r.batch), address(y), address(extra), address(h_n),
        address(c_n))
    return y, h_n, c_n, gates, extra

# The last result of a forward is what its backward takes.

def rnn_forward(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, cbool relu, lengths, cbool reverse):
    cdef RnnKind cell = kReluCell if relu else kTanhCell
    y, h_n, _, _, _ = recurrent(cell, 1, x, h0, None, weight_ih, weight_hh, bias_ih, bias_hh, None, lengths, reverse)
    return y, h_n, (y,)

def lstm_forward(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, peepholes, lengths, cbool reverse):
    y, h_n, c_n, gates, cells = recurrent(
        kLstmCell, 4, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, peepholes, lengths, reverse)
    return y, h_n, c_n, (y, gates, cells)

def gru_forward(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, cbool reset_after, lengths, cbool reverse):
    cdef RnnKind cell = kGruCell if reset_after else kResetFirstGruCell
    y, h_n, _, gates, candidate = recurrent(
        cell, 3, x, h0, None, weight_ih, weight_hh, bias_ih, bias_hh, None, lengths, reverse)
    return y, h_n, (y, gates, candidate)

cdef tuple recurrent_backward(RnnKind cell, int64_t n, dy, dh_n, dc_n, x, h0, c0, weight_ih, weight_hh, peepholes,
        lengths, cbool reverse, y, gates, extra, needs):
    """dx, dh0, dc0 (None but of an LSTM), and what layer_gradients gives of the weights and biases; of an LSTM the
    gradient of the peepholes, too."""
    cdef int t = floating(x)
    cdef Rnn r = rnn_geometry(x, weight_hh, cell, reverse)
    cdef int64_t state = r.batch * r.units, all = r.steps * state
    dgates, dh0 = of_steps(t, r, n), matrix(t, r.batch, r.units)
    drec = of_steps(t, r, n) if cell == kGruCell else dgates
    dc0 = matrix(t, r.batch, r.units) if cell == kLstmCell else None
    rnn_backward_c(long_call(t), r, optional(dy, t, all), optional(dh_n, t, state), optional(dc_n, t, state),
        data(gates, t, n * all) if n > 1 else NULL, data(y, t, all), data(extra, t, all) if n > 1 else NULL,
        optional(h0, t, state), optional(c0, t, state), data(weight_hh, t, n * r.units * r.units),
        optional(peepholes, t, 3 * r.units), optional(lengths, I64, r.batch), address(dgates), address(drec),
        address(dh0), address(dc0))
    reset = extra if cell == kResetFirstGruCell else None
    dx, *rest = layer_gradients(dgates, drec, x, y, reset, h0, weight_ih, lengths, reverse, needs[:5])
    if cell != kLstmCell:
        return dx, dh0, dc0, *rest
    dpeepholes = workspace(t, 3 * r.units) if needs[5] else None
    if needs[5]:
        rnn_backward_peepholes_c(long_call(t), r, address(dgates), data(extra, t, all), optional(c0, t, state),
            optional(lengths, I64, r.batch), address(dpeepholes))
    return dx, dh0, dc0, *rest, dpeepholes

def rnn_backward(dy, dh_n, x, h0, weight_ih, weight_hh, cbool relu, lengths, cbool reverse, y, needs):
    dx, dh0, _, *rest = recurrent_backward(kReluCell if relu else kTanhCell, 1, dy, dh_n, None, x, h0, None, weight_ih,
        weight_hh, None, lengths, reverse, y, None, None, needs)
    return dx, dh0, *rest

def lstm_backward(
        dy, dh_n, dc_n, x, h0, c0, weight_ih, weight_hh, peepholes, lengths, cbool reverse, y, gates, cells, needs):
    return recurrent_backward(
        kLstmCell, 4, dy, dh_n, dc_n, x, h0, c0, weight_ih, weight_hh, peepholes, lengths, reverse, y, gates, cells, needs)

def gru_backward(
        dy, dh_n, x, h0, weight_ih, weight_hh, cbool reset_after, lengths, cbool reverse, y, gates, candidate, needs):
    cdef RnnKind cell = kGruCell if reset_after else kResetFirstGruCell
    dx, dh0, _, *rest = recurrent_backward(
        cell, 3, dy, dh_n, None, x, h0, None, weight_ih, weight_hh, None, lengths, reverse, y, gates, candidate, needs)
    return dx, dh0, *rest

cdef tuple layer_gradients(dgates, drec, x, y, reset, h0, weight_ih, lengths, cbool reverse, needs):
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
        dweight_ih, dweight_hh, dbias_ih = rnn_backward_weights(dgates, x, y, reset, h0, lengths, reverse, one)
        dbias_hh = dbias_ih.copy() if need_bias_ih and need_bias_hh else dbias_ih
    else:
        dweight_ih, _, dbias_ih = rnn_backward_weights(dgates, x, None, None, None, lengths, reverse, need_bias_ih)
        _, dweight_hh, dbias_hh = rnn_backward_weights(drec, None, y, None, h0, lengths, reverse, need_bias_hh)
    return dx, dweight_ih, dweight_hh, dbias_ih if need_bias_ih else None, dbias_hh if need_bias_hh else None

cdef int clear_missing(object dx, object lengths) except -1:
    """Zero the rows of steps that a sequence does not have: there dx is 0 times the weights, NaN if one is infinite."""
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

def rnn_backward_weights(d, x, y, reset, h0, lengths, cbool reverse, bias):
    """d^T times x, times the states before each step (or, for the last gate, `reset`), and times 1; None without x, y
    and bias."""
    cdef int t = floating(d)
    cdef Rnn r
    cdef const cnp.npy_intp* extents = extents_of(d, 3)
    cdef int64_t columns = extents[2], inputs = 0 if x is None else extents_of(x, 3)[2]
    r.steps, r.batch, r.units = extents[0], extents[1], 1 if y is None else extents_of(y, 3)[2]
    r.reverse = reverse
    if x is None and y is None and not bias:
        return None, None, None
    if r.units < 1:
        raise ValueError("expected at least one unit")
    cdef int64_t rows = r.steps * r.batch
    elements(rows, inputs)
    elements(rows, r.units)
    elements(columns, inputs)
    elements(columns, r.units)
    if reset is not None and columns < r.units:
        raise ValueError("expected the columns of a gate, at least")
    cdef void* pd = data(d, t, rows * columns)
    dweight_ih = None if x is None else matrix(t, columns, inputs)
    dweight_hh = None if y is None else matrix(t, columns, r.units)
    dbias = workspace(t, columns) if bias else None
    rnn_backward_weights_c(long_call(t), r, columns, inputs, pd, optional(x, t, rows * inputs),
        optional(y, t, rows * r.units), NULL if y is None else optional(reset, t, rows * r.units),
        NULL if y is None else optional(h0, t, r.batch * r.units),
        optional(lengths, I64, r.batch), address(dweight_ih), address(dweight_hh), address(dbias))
    return dweight_ih, dweight_hh, dbias
