"""Recurrent layers: x (steps, batch, inputs), states (batch, units), weights (gates * units, …) with gates below each other.

Row n ends after lengths[n] steps, which may be none (all of them where lengths is None): later outputs are 0 and the state
stays. In reverse a row begins at its last step. A state, bias or incoming gradient of None is zero. The last result of a
forward, ``saved``, is what its backward takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...checks import existing, existing_steps, states_before
from ._common import Array, product, quiet

Saved = tuple[Array, ...]
LayerNeeds = tuple[bool, ...]
LayerGradients = tuple[Array | None, ...]


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow on either side."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e))


def _share(a: Array, weight: Array, bias: Array | None) -> Array:
    """What a contributes to the preactivations."""
    share = product(a, weight.T)
    return np.asarray(share if bias is None else share + bias)


def _initial(h0: Array | None, x: Array, units: int) -> Array:
    return np.zeros((x.shape[1], units), x.dtype) if h0 is None else h0


def _flat(a: Array) -> Array:
    """The rows of all steps below each other."""
    return a.reshape(-1, a.shape[2])


def _layer_gradients(
    dgates: Array,
    drec: Array,
    x: Array,
    before: Array,
    weight_ih: Array,
    lengths: Array | None,
    needs: LayerNeeds,
    reset: Array | None = None,
) -> LayerGradients:
    """dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh from the gradients of both shares of the preactivations.

    R multiplies the states ``before``; of a GRU that resets them first, the rows of the last gate multiply ``reset``.
    """
    flat, flat_rec = _flat(dgates), _flat(drec)
    dx = product(dgates, weight_ih) if needs[0] else None
    if dx is not None and lengths is not None:
        dx = np.where(existing(len(x), lengths), dx, dx.dtype.type(0))  # 0 times an infinite weight is NaN
    dweight_hh = None
    if needs[2]:
        dweight_hh = np.ascontiguousarray(product(flat_rec.T, _flat(before)))
        if reset is not None:
            dweight_hh[-reset.shape[2] :] = product(flat_rec[:, -reset.shape[2] :].T, _flat(reset))
    return (
        dx,
        np.ascontiguousarray(product(flat.T, _flat(x))) if needs[1] else None,
        dweight_hh,
        flat.sum(axis=0, dtype=np.float64).astype(x.dtype) if needs[3] else None,
        flat_rec.sum(axis=0, dtype=np.float64).astype(x.dtype) if needs[4] else None,
    )


def _total(dy: Array | None, t: int, dh: Array) -> Array:
    """The gradient of the state at time t: from the output there and from the steps after."""
    return dh if dy is None else dh + dy[t]


# ---- plain cell ---------------------------------------------------------------------------------------------------


@quiet
def rnn_forward(
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    relu: bool,
    lengths: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Saved]:
    """h' = tanh(W x + b + R h + b'), or max(0, …) -> y (steps, batch, units), h_n (batch, units), saved (y,)."""
    units = weight_hh.shape[1]
    y = np.zeros((*x.shape[:2], units), x.dtype)
    h, inputs = _initial(h0, x, units), _share(x, weight_ih, bias_ih)
    for t, exists in existing_steps(x, lengths, reverse):
        a = inputs[t] + _share(h, weight_hh, bias_hh)
        new = np.maximum(a, 0) if relu else np.tanh(a)
        y[t] = np.where(exists, new, 0)
        h = np.where(exists, new, h)
    return y, h.copy(), (y,)


@quiet
def rnn_backward(
    dy: Array | None,
    dh_n: Array | None,
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    relu: bool,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    needs: LayerNeeds,
) -> LayerGradients:
    """h' = f(a), a = W x + b + R h + b', hence da = dh' f'(a), dh = da R; tanh' = 1 - h'^2, relu' = h' > 0."""
    units = weight_hh.shape[1]
    initial = _initial(h0, x, units)
    dgates, dh = np.zeros_like(y), _initial(dh_n, x, units)
    for t, exists in reversed(list(existing_steps(x, lengths, reverse))):
        d = _total(dy, t, dh)
        da = np.where(y[t] <= 0, d.dtype.type(0), d) if relu else d * (1 - y[t] * y[t])
        dgates[t] = np.where(exists, da, 0)
        dh = np.where(exists, dgates[t] @ weight_hh, dh)
    before = states_before(y, initial, lengths, reverse)
    dx, *rest = _layer_gradients(dgates, dgates, x, before, weight_ih, lengths, needs)
    return dx, dh.copy(), *rest


# ---- LSTM ---------------------------------------------------------------------------------------------------------


def _split_peepholes(peepholes: Array | None) -> Sequence[Array | None]:
    """P_i, P_f and P_o."""
    return (None, None, None) if peepholes is None else np.split(peepholes, 3)


def _plus(a: Array, peephole: Array | None, c: Array) -> Array:
    """a + P c, or a where there are no peepholes."""
    return a if peephole is None else a + peephole * c


@quiet
def lstm_forward(
    x: Array,
    h0: Array | None,
    c0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    peepholes: Array | None,
    lengths: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Array, Saved]:
    """c' = f c + i g, h' = o tanh(c'), with i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W x + b + R h + b'; with
    peepholes P_i, P_f, P_o (3 * units) the preactivations of i, f and o get P_i c, P_f c and P_o c' besides.

    -> y (steps, batch, units), h_n and c_n (batch, units), saved (y, gates, cell states), of all steps
    """
    units = weight_hh.shape[1]
    p_i, p_f, p_o = _split_peepholes(peepholes)
    y, cells = (np.zeros((*x.shape[:2], units), x.dtype) for _ in range(2))
    gates = np.zeros((*x.shape[:2], 4 * units), x.dtype)
    h, c, inputs = _initial(h0, x, units), _initial(c0, x, units), _share(x, weight_ih, bias_ih)
    for t, exists in existing_steps(x, lengths, reverse):
        a_i, a_f, a_g, a_o = np.split(inputs[t] + _share(h, weight_hh, bias_hh), 4, axis=1)
        i, f, g = _sigmoid(_plus(a_i, p_i, c)), _sigmoid(_plus(a_f, p_f, c)), np.tanh(a_g)
        new_c = f * c + i * g
        o = _sigmoid(_plus(a_o, p_o, new_c))
        new_h = o * np.tanh(new_c)
        gates[t] = np.where(exists, np.concatenate([i, f, g, o], axis=1), 0)
        y[t], cells[t] = np.where(exists, new_h, 0), np.where(exists, new_c, 0)
        h, c = np.where(exists, new_h, h), np.where(exists, new_c, c)
    return y, h.copy(), c.copy(), (y, gates, cells)


@quiet
def lstm_backward(
    dy: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    x: Array,
    h0: Array | None,
    c0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    peepholes: Array | None,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    gates: Array,
    cells: Array,
    needs: LayerNeeds,
) -> LayerGradients:
    """c' = f c + i g, h' = o tanh(c'), hence do = dh' tanh(c'), dc' += dh' o (1 - tanh(c')^2) + da_o P_o, di = dc' g,
    df = dc' c, dg = dc' i, dc = dc' f + da_i P_i + da_f P_f; da through sigmoid' = s (1 - s) and tanh' = 1 - g^2;
    dh = da R; and, summed over steps and rows, dP_i = da_i c, dP_f = da_f c, dP_o = da_o c'.
    """
    units = weight_hh.shape[1]
    p_i, p_f, p_o = _split_peepholes(peepholes)
    dgates = np.zeros_like(gates)
    dh, dc = _initial(dh_n, x, units), _initial(dc_n, x, units)
    cells_before = states_before(cells, _initial(c0, x, units), lengths, reverse)
    for t, exists in reversed(list(existing_steps(x, lengths, reverse))):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        d, squashed = _total(dy, t, dh), np.tanh(cells[t])
        da_o = d * squashed * o * (1 - o)
        new_dc = _plus(dc + d * o * (1 - squashed * squashed), p_o, da_o)
        da_i, da_f = new_dc * g * i * (1 - i), new_dc * cells_before[t] * f * (1 - f)
        da = np.concatenate([da_i, da_f, new_dc * i * (1 - g * g), da_o], axis=1)
        dgates[t] = np.where(exists, da, 0)
        dh = np.where(exists, dgates[t] @ weight_hh, dh)
        dc = np.where(exists, _plus(_plus(new_dc * f, p_i, da_i), p_f, da_f), dc)
    before = states_before(y, _initial(h0, x, units), lengths, reverse)
    dx, *rest = _layer_gradients(dgates, dgates, x, before, weight_ih, lengths, needs)
    dpeepholes = _peephole_gradients(dgates, cells_before, cells) if needs[5] else None
    return dx, dh.copy(), dc.copy(), *rest, dpeepholes


def _peephole_gradients(dgates: Array, cells_before: Array, cells: Array) -> Array:
    da_i, da_f, _, da_o = np.split(dgates, 4, axis=2)
    terms = [da_i * cells_before, da_f * cells_before, da_o * cells]
    return np.concatenate([t.sum(axis=(0, 1), dtype=np.float64) for t in terms]).astype(dgates.dtype)


# ---- GRU ----------------------------------------------------------------------------------------------------------


@quiet
def gru_forward(
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    reset_after: bool,
    lengths: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Saved]:
    """h' = (1 - z) n + z h, with r, z = sigmoid(W x + b + R h + b') and n = tanh(W_n x + b_n + r m), m = R_n h + b'_n;
    without ``reset_after`` n = tanh(W_n x + b_n + R_n m + b'_n), m = r h.

    -> y (steps, batch, units), h_n (batch, units), saved (y, gates r, z, n, and m), of all steps
    """
    units = weight_hh.shape[1]
    gates_bias, n_bias = (None, None) if bias_hh is None else np.split(bias_hh, [2 * units])
    weight_gates, weight_n = np.split(weight_hh, [2 * units])
    y, candidate = (np.zeros((*x.shape[:2], units), x.dtype) for _ in range(2))
    gates = np.zeros((*x.shape[:2], 3 * units), x.dtype)
    h, inputs = _initial(h0, x, units), _share(x, weight_ih, bias_ih)
    for t, exists in existing_steps(x, lengths, reverse):
        x_r, x_z, x_n = np.split(inputs[t], 3, axis=1)
        h_r, h_z = np.split(_share(h, weight_gates, gates_bias), 2, axis=1)
        r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
        m = _share(h, weight_n, n_bias) if reset_after else r * h
        n = np.tanh(x_n + (r * m if reset_after else _share(m, weight_n, n_bias)))
        new = n + z * (h - n)
        gates[t] = np.where(exists, np.concatenate([r, z, n], axis=1), 0)
        y[t], candidate[t] = np.where(exists, new, 0), np.where(exists, m, 0)
        h = np.where(exists, new, h)
    return y, h.copy(), (y, gates, candidate)


@quiet
def gru_backward(
    dy: Array | None,
    dh_n: Array | None,
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    reset_after: bool,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    gates: Array,
    candidate: Array,
    needs: LayerNeeds,
) -> LayerGradients:
    """h' = (1 - z) n + z h, hence dn = dh' (1 - z), dz = dh' (h - n), and z dh' goes to dh directly; with
    n = tanh(a_n), a_n = … + r m: da_n = dn (1 - n^2), dr = da_n m, dm = da_n r; and dh = (da_r, da_z, dm) R + z dh'.
    Without ``reset_after`` a_n = … + R_n m, m = r h: dm = da_n R_n, dr = dm h; and dh = (da_r, da_z) R + z dh' + r dm.
    """
    units = weight_hh.shape[1]
    weight_gates, weight_n = np.split(weight_hh, [2 * units])
    dgates, drec = np.zeros_like(gates), np.zeros_like(gates)
    dh = _initial(dh_n, x, units)
    before = states_before(y, _initial(h0, x, units), lengths, reverse)
    for t, exists in reversed(list(existing_steps(x, lengths, reverse))):
        r, z, n = np.split(gates[t], 3, axis=1)
        d = _total(dy, t, dh)
        da_n = d * (1 - z) * (1 - n * n)
        da_z = d * (before[t] - n) * z * (1 - z)
        if reset_after:
            da_r, rec_n = da_n * candidate[t] * r * (1 - r), da_n * r
            through_n = rec_n @ weight_n
        else:
            dm = da_n @ weight_n
            da_r, rec_n = dm * before[t] * r * (1 - r), da_n
            through_n = r * dm
        dgates[t] = np.where(exists, np.concatenate([da_r, da_z, da_n], axis=1), 0)
        drec[t] = np.where(exists, np.concatenate([da_r, da_z, rec_n], axis=1), 0)
        dh = np.where(exists, drec[t][:, : 2 * units] @ weight_gates + through_n + d * z, dh)
    reset = None if reset_after else candidate
    dx, *rest = _layer_gradients(dgates, drec, x, before, weight_ih, lengths, needs, reset)
    return dx, dh.copy(), *rest
