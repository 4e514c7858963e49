"""Recurrent layers in forward mode: tangents go through time as the states do.

Each function gets one tangent or None per input of the layer and what its forward saved, and returns the tangents of
the output and of the final states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .. import backend
from .._types import Array
from ..checks import Recurrent, existing_steps, states_before

__all__ = ["gru_tangents", "lstm_tangents", "rnn_tangents"]

Tangents = Sequence[Array | None]


def _product(a: Array, weight: Array, bias: Array | None = None) -> Array:
    y = backend.current().linear_forward(a.reshape(-1, a.shape[-1]), weight, bias)
    return np.asarray(y.reshape(*a.shape[:-1], len(weight)))


def _shares(call: Recurrent, tangents: Tangents, before: Array, reset: Array | None = None) -> tuple[Array, Array]:
    """Tangents of what the inputs and the states add to all preactivations, as long as the states have no tangents.

    The states are those ``before`` each step; the last gate is of ``reset`` where that is given.
    """
    first = 1 + len(call.states)
    dx, (dweight_ih, dweight_hh, dbias_ih, dbias_hh) = tangents[0], tangents[first : first + 4]
    shape = (*call.x.shape[:2], len(call.weight_ih))
    inputs, state = np.zeros(shape, call.x.dtype), np.zeros(shape, call.x.dtype)
    if dx is not None:
        inputs += _product(dx, call.weight_ih)
    if dweight_ih is not None:
        inputs += _product(call.x, dweight_ih)
    if dbias_ih is not None:
        inputs += dbias_ih
    if dweight_hh is not None:
        state += _product(before, dweight_hh)
        if reset is not None:
            state[..., -reset.shape[2] :] = _product(reset, dweight_hh[-reset.shape[2] :])
    if dbias_hh is not None:
        state += dbias_hh
    return inputs, state


def _initial(call: Recurrent, i: int, given: Tangents | None = None) -> Array:
    state = call.states[i] if given is None else given[i + 1]
    return np.zeros(call.output_shape[1:], call.x.dtype) if state is None else state


def _through(call: Recurrent) -> Iterator[tuple[int, Array]]:
    return existing_steps(call.x, call.lengths, call.reverse)


def _before(call: Recurrent, states: Array, i: int) -> Array:
    return states_before(states, _initial(call, i), call.lengths, call.reverse)


def rnn_tangents(call: Recurrent, relu: bool, tangents: Tangents, y: Array) -> tuple[Array, Array]:
    """h' = f(a)  =>  dh' = f'(a) da"""
    inputs, state = _shares(call, tangents, _before(call, y, 0))
    dy, dh = np.zeros_like(y), _initial(call, 0, tangents)
    for t, exists in _through(call):
        da = inputs[t] + state[t] + _product(dh, call.weight_hh)
        new = np.where(y[t] <= 0, dh.dtype.type(0), da) if relu else da * (1 - y[t] * y[t])
        dy[t] = np.where(exists, new, 0)
        dh = np.where(exists, new, dh)
    return dy, dh


def _peephole_shares(dpeepholes: Array, cells_before: Array, cells: Array) -> Array:
    """What tangents of the peepholes add to those of all preactivations."""
    dp_i, dp_f, dp_o = np.split(dpeepholes, 3)
    terms = [dp_i * cells_before, dp_f * cells_before, np.zeros_like(cells), dp_o * cells]
    return np.concatenate(terms, axis=2)


def _plus(da: Array, peephole: Array | None, dc: Array) -> Array:
    """da + P dc, or da where there are no peepholes."""
    return da if peephole is None else da + peephole * dc


def lstm_tangents(
    call: Recurrent, tangents: Tangents, y: Array, gates: Array, cells: Array
) -> tuple[Array, Array, Array]:
    """c' = f c + i g, h' = o tanh(c')  =>  dc' = df c + f dc + di g + i dg, dh' = do tanh(c') + o (1 - tanh(c')^2) dc'

    A preactivation with a peephole, a = … + P c, has the tangent da = … + dP c + P dc.
    """
    inputs, state = _shares(call, tangents, _before(call, y, 0))
    cells_before = _before(call, cells, 1)
    (peepholes,), dpeepholes = call.peepholes, tangents[-1]
    if dpeepholes is not None:
        state += _peephole_shares(dpeepholes, cells_before, cells)
    p_i, p_f, p_o = (None, None, None) if peepholes is None else np.split(peepholes, 3)
    dy, dh, dc = np.zeros_like(y), _initial(call, 0, tangents), _initial(call, 1, tangents)
    for t, exists in _through(call):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        da = inputs[t] + state[t] + _product(dh, call.weight_hh)
        da_i, da_f, da_g, da_o = np.split(da, 4, axis=1)
        di, df = _plus(da_i, p_i, dc) * i * (1 - i), _plus(da_f, p_f, dc) * f * (1 - f)
        dg = da_g * (1 - g * g)
        squashed = np.tanh(cells[t])
        new_c = df * cells_before[t] + f * dc + di * g + i * dg
        do = _plus(da_o, p_o, new_c) * o * (1 - o)
        new_h = do * squashed + o * (1 - squashed * squashed) * new_c
        dy[t] = np.where(exists, new_h, 0)
        dh, dc = np.where(exists, new_h, dh), np.where(exists, new_c, dc)
    return dy, dh, dc


def gru_tangents(
    call: Recurrent, reset_after: bool, tangents: Tangents, y: Array, gates: Array, candidate: Array
) -> tuple[Array, Array]:
    """h' = (1 - z) n + z h, n = tanh(a + r m)  =>  dh' = (1 - z) dn + z dh + dz (h - n), dn = (1 - n^2) (da + dr m + r dm)

    Without ``reset_after`` n = tanh(a + R_n m), m = r h  =>  dn = (1 - n^2) (da + R_n dm), dm = dr h + r dh
    """
    before = _before(call, y, 0)
    inputs, state = _shares(call, tangents, before, None if reset_after else candidate)
    weight_gates, weight_n = np.split(call.weight_hh, [2 * y.shape[2]])
    dy, dh = np.zeros_like(y), _initial(call, 0, tangents)
    for t, exists in _through(call):
        r, z, n = np.split(gates[t], 3, axis=1)
        x_r, x_z, x_n = np.split(inputs[t], 3, axis=1)
        s_r, s_z, s_n = np.split(state[t], 3, axis=1)
        h_r, h_z = np.split(_product(dh, weight_gates), 2, axis=1)
        dr, dz = (x_r + s_r + h_r) * r * (1 - r), (x_z + s_z + h_z) * z * (1 - z)
        if reset_after:
            da_n = dr * candidate[t] + r * (s_n + _product(dh, weight_n))
        else:
            da_n = s_n + _product(dr * before[t] + r * dh, weight_n)
        dn = (1 - n * n) * (x_n + da_n)
        new = (1 - z) * dn + z * dh + dz * (before[t] - n)
        dy[t] = np.where(exists, new, 0)
        dh = np.where(exists, new, dh)
    return dy, dh
