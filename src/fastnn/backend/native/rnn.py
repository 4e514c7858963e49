"""Recurrent layers: the kernels go through time; what needs no order is one product for all steps."""

from __future__ import annotations

from ... import _core
from ...checks import existing
from ._common import Array
from .linear import linear_forward, matmul

__all__ = ["gru_backward", "gru_forward", "lstm_backward", "lstm_forward", "rnn_backward", "rnn_forward"]

LayerNeeds = tuple[bool, ...]
LayerGradients = tuple[Array | None, ...]


def _input_share(x: Array, weight: Array) -> Array:
    """The preactivations without biases and state, (steps, batch, gates * units)."""
    steps, batch, inputs = x.shape
    return linear_forward(x.reshape(steps * batch, inputs), weight, None).reshape(steps, batch, weight.shape[0])


def _weight_gradients(
    d: Array, x: Array | None, y: Array | None, h0: Array | None, lengths: Array | None, reverse: bool, bias: bool
) -> LayerGradients:
    """d^T times x, times the states before each step, and times 1; None without x, y and bias."""
    columns, units = d.shape[2], 1 if y is None else y.shape[2]
    dweight_ih = None if x is None else _core.empty((columns, x.shape[2]), d.dtype)
    dweight_hh = None if y is None else _core.empty((columns, units), d.dtype)
    dbias = _core.empty((columns,), d.dtype) if bias else None
    if x is not None or y is not None or bias:
        before = None if y is None else h0  # which without states would have no number of units to fit
        _core.rnn_backward_weights(d, x, y, before, lengths, reverse, units, dweight_ih, dweight_hh, dbias)
    return dweight_ih, dweight_hh, dbias


def _layer_gradients(
    dgates: Array,
    drec: Array,
    x: Array,
    y: Array,
    h0: Array | None,
    weight_ih: Array,
    lengths: Array | None,
    reverse: bool,
    needs: LayerNeeds,
) -> LayerGradients:
    """dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh from the gradients of both shares of the preactivations."""
    steps, batch, columns = dgates.shape
    dx = matmul(dgates.reshape(steps * batch, columns), weight_ih).reshape(x.shape) if needs[0] else None
    if dx is not None and lengths is not None:
        dx[~existing(steps, lengths)[:, :, 0]] = 0  # a weight may be infinite
    x_, y_ = x if needs[1] else None, y if needs[2] else None
    if drec is dgates:
        dweight_ih, dweight_hh, dbias = _weight_gradients(dgates, x_, y_, h0, lengths, reverse, needs[3] or needs[4])
        both = needs[3] and needs[4]
        return (
            dx,
            dweight_ih,
            dweight_hh,
            dbias if needs[3] else None,
            dbias.copy() if both and dbias is not None else dbias,
        )
    dweight_ih, _, dbias_ih = _weight_gradients(dgates, x_, None, None, lengths, reverse, needs[3])
    _, dweight_hh, dbias_hh = _weight_gradients(drec, None, y_, h0, lengths, reverse, needs[4])
    return dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh


def _outputs(x: Array, units: int) -> tuple[Array, Array]:
    """Room for the states of all steps, and for one."""
    steps, batch, _ = x.shape
    return _core.empty((steps, batch, units), x.dtype), _core.empty((batch, units), x.dtype)


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
) -> tuple[Array, Array]:
    y, h_n = _outputs(x, weight_hh.shape[1])
    gates = _input_share(x, weight_ih)
    _core.rnn_forward(gates, h0, weight_hh, bias_ih, bias_hh, lengths, reverse, relu, y, h_n)
    return y, h_n


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
    dgates, dh0 = _outputs(x, weight_hh.shape[1])
    _core.rnn_backward(dy, dh_n, y, weight_hh, lengths, reverse, relu, dgates, dh0)
    dx, *rest = _layer_gradients(dgates, dgates, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, *rest


def lstm_forward(
    x: Array,
    h0: Array | None,
    c0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Array, Array, Array]:
    units = weight_hh.shape[1]
    y, h_n = _outputs(x, units)
    cells, c_n = _outputs(x, units)
    gates = _input_share(x, weight_ih)
    _core.lstm_forward(gates, h0, c0, weight_hh, bias_ih, bias_hh, lengths, reverse, y, cells, h_n, c_n)
    return y, h_n, c_n, gates, cells


def lstm_backward(
    dy: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    x: Array,
    h0: Array | None,
    c0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    gates: Array,
    cells: Array,
    needs: LayerNeeds,
) -> LayerGradients:
    dgates = _core.empty(gates.shape, gates.dtype)
    dh0, dc0 = (_core.empty(y.shape[1:], y.dtype) for _ in range(2))
    _core.lstm_backward(dy, dh_n, dc_n, gates, cells, c0, weight_hh, lengths, reverse, dgates, dh0, dc0)
    dx, *rest = _layer_gradients(dgates, dgates, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, dc0, *rest


def gru_forward(
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Array, Array]:
    y, h_n = _outputs(x, weight_hh.shape[1])
    candidate = _core.empty(y.shape, y.dtype)
    gates = _input_share(x, weight_ih)
    _core.gru_forward(gates, h0, weight_hh, bias_ih, bias_hh, lengths, reverse, y, candidate, h_n)
    return y, h_n, gates, candidate


def gru_backward(
    dy: Array | None,
    dh_n: Array | None,
    x: Array,
    h0: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    gates: Array,
    candidate: Array,
    needs: LayerNeeds,
) -> LayerGradients:
    dgates, drec = (_core.empty(gates.shape, gates.dtype) for _ in range(2))
    dh0 = _core.empty(y.shape[1:], y.dtype)
    _core.gru_backward(dy, dh_n, gates, candidate, y, h0, weight_hh, lengths, reverse, dgates, drec, dh0)
    dx, *rest = _layer_gradients(dgates, drec, x, y, h0, weight_ih, lengths, reverse, needs)
    return dx, dh0, *rest
