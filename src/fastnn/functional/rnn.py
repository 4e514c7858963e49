"""Recurrent layers: one layer in one direction."""

from __future__ import annotations

from typing import Any, Literal

from .. import backend, checks
from .._types import Array, Constant, Value
from ..checks import Recurrent
from ._op import Plan, Tape, operation
from .rnn_tangents import gru_tangents, lstm_tangents, rnn_tangents

__all__ = ["gru", "gru_backward", "lstm", "lstm_backward", "rnn", "rnn_backward"]

_ALL = (True,) * 5


def _relu(op: str, nonlinearity: Any) -> bool:
    if not isinstance(nonlinearity, str) or nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{op}: nonlinearity must be 'tanh' or 'relu', got {checks.shown(nonlinearity)}")
    return nonlinearity == "relu"


def rnn(
    x: Value,
    h0: Value | None,
    weight_ih: Value,
    weight_hh: Value,
    bias_ih: Value | None = None,
    bias_hh: Value | None = None,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    return_saved: bool = False,
) -> tuple[Value, Value] | tuple[Value, Value, tuple[Array, ...]]:
    """Plain recurrent layer: ``h' = tanh(W x + b + R h + b')``, or with ``max(0, …)``.

    Parameters
    ----------
    x : array_like or Tensor, shape (steps, batch, in)
        The sequences, float32 or float64.
    h0 : array_like or Tensor, shape (batch, units), or None
        The initial state; None is zero.
    weight_ih, weight_hh : array_like or Tensor, shapes (units, in), (units, units)
        W and R.
    bias_ih, bias_hh : array_like or Tensor, shape (units,), optional
        b and b'.
    nonlinearity : {"tanh", "relu"}
        The function of the preactivations.
    lengths : array_like of int, shape (batch,), optional
        Where sequences end, from 0 to ``steps``. Behind its end a sequence is not read (not even a NaN), the output is
        0, and the final state is that of the last step before; as with PyTorch's packed sequences. A sequence of no
        steps, which these refuse, keeps its initial state.
    reverse : bool
        Go through time backwards, each sequence from its own end; ``output[t]`` still belongs to ``x[t]``.
    return_saved : bool
        Return what `rnn_backward` would otherwise compute again, too.

    Returns
    -------
    output : ndarray or Tensor, shape (steps, batch, units)
        The states of all steps.
    h_n : ndarray or Tensor, shape (batch, units)
        The final state.
    saved : tuple of ndarray
        Only with ``return_saved``.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit, an unknown nonlinearity, or lengths out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> output, h_n = F.rnn(np.ones((3, 1, 1)), None, np.ones((1, 1)), np.eye(1), nonlinearity="relu")
    >>> output.ravel(), h_n
    (array([1., 2., 3.]), array([[3.]]))
    """
    return _RNN(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, lengths, reverse, return_saved)


def _rnn_plan(
    x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, nonlinearity: Any, lengths: Any, reverse: Any, keep: Any
) -> Plan:
    relu = _relu("rnn", nonlinearity)
    call = checks.recurrent("rnn", 1, x, {"h0": h0}, (wi, wh, bi, bh), lengths, reverse)
    arguments = (call.x, *call.states, *call[2:6], relu, call.lengths, call.reverse)
    return _layer_plan("rnn", call, keep, arguments, ("y", "h_n"), ("y",), Tape(_rnn_vjp, _rnn_jvp))


def _layer_plan(
    op: str,
    call: Recurrent,
    keep: Any,
    arguments: tuple[Any, ...],
    outputs: tuple[str, ...],
    saved: tuple[str, ...],
    tape: Tape,
) -> Plan:
    """Of a layer that gives the ``outputs``, and with ``keep`` a tuple of what the backward takes."""
    return Plan(
        op + "_forward",
        arguments,
        (*outputs, *saved[1:]),  # y is among the outputs
        gives=(*outputs, saved) if checks.flag(op, "return_saved", keep) else outputs,
        outputs=len(outputs),
        tape=tape,
        constants={"call": call},
    )


def _rnn_vjp(ops: Any, dys: Any, needs: tuple[bool, ...], call: Recurrent, relu: bool, y: Array) -> Any:
    wanted = (needs[0], *needs[2:])
    return ops.rnn_backward(*dys, call.x, *call.states, *call[2:4], relu, call.lengths, call.reverse, y, wanted)


def _rnn_jvp(ops: Any, tangents: Any, call: Recurrent, relu: bool, y: Array) -> Any:
    return rnn_tangents(call, relu, tangents, y)


_RNN = operation("rnn", _rnn_plan, ("x", "h0", "wi", "wh", "bi", "bh"))


def rnn_backward(
    dy: Constant,
    x: Constant,
    h0: Constant | None,
    weight_ih: Constant,
    weight_hh: Constant,
    bias_ih: Constant | None = None,
    bias_hh: Constant | None = None,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    dh_n: Constant | None = None,
    saved: Any = None,
) -> tuple[Array, ...]:
    """Gradients of `rnn`.

    Parameters
    ----------
    dy : array_like, shape (steps, batch, units), or None
        The gradient of ``output``; None is zero.
    x, h0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, lengths, reverse
        What `rnn` got.
    dh_n : array_like, shape (batch, units), optional
        The gradient of ``h_n``.
    saved : tuple of ndarray, optional
        What `rnn` returned as such; without it the forward is computed again.

    Returns
    -------
    dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh : ndarray
        Also of what was None in the forward.

    Raises
    ------
    TypeError, ValueError
        As `rnn`, and for gradients or saved arrays that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.ones((3, 1, 1)), np.ones((1, 1))
    >>> dx, *_ = F.rnn_backward(np.ones((3, 1, 1)), x, None, weight, weight, nonlinearity="relu")
    >>> dx.ravel()
    array([3., 2., 1.])
    """
    op = "rnn_backward"
    relu = _relu(op, nonlinearity)
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    call = checks.recurrent(op, 1, x, {"h0": h0}, weights, lengths, reverse)
    dys = checks.recurrent_gradients(op, call, dy, dh_n=dh_n)
    ops = backend.current()
    if saved is None:
        y, _ = ops.rnn_forward(call.x, *call.states, *call[2:6], relu, call.lengths, call.reverse)
    else:
        (y,) = checks.recurrent_saved(op, call, saved, 1)
    gradients: tuple[Array, ...] = ops.rnn_backward(
        *dys, call.x, *call.states, *call[2:4], relu, call.lengths, call.reverse, y, _ALL
    )
    return gradients


def lstm(
    x: Value,
    h0: Value | None,
    c0: Value | None,
    weight_ih: Value,
    weight_hh: Value,
    bias_ih: Value | None = None,
    bias_hh: Value | None = None,
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    return_saved: bool = False,
) -> tuple[Value, Value, Value] | tuple[Value, Value, Value, tuple[Array, ...]]:
    """Long short-term memory.

    ``i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)`` and ``g = tanh(a_g)`` with ``a = W x + b + R h + b'``, then
    ``c' = f c + i g`` and ``h' = o tanh(c')``. The rows of weights and biases belong to i, f, g, o, in this order.

    Parameters
    ----------
    x : array_like or Tensor, shape (steps, batch, in)
        The sequences, float32 or float64.
    h0, c0 : array_like or Tensor, shape (batch, units), or None
        The initial state and cell state; None is zero.
    weight_ih, weight_hh : array_like or Tensor, shapes (4 * units, in), (4 * units, units)
        W and R.
    bias_ih, bias_hh : array_like or Tensor, shape (4 * units,), optional
        b and b'.
    lengths, reverse, return_saved
        As in `rnn`.

    Returns
    -------
    output : ndarray or Tensor, shape (steps, batch, units)
        The states h of all steps.
    h_n, c_n : ndarray or Tensor, shape (batch, units)
        The final state and cell state.
    saved : tuple of ndarray
        Only with ``return_saved``.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit, or lengths out of range.

    Notes
    -----
    Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997), with the forget gate of Gers et al. (2000).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> rng = np.random.default_rng(0)
    >>> x, w, r = (rng.standard_normal(shape) for shape in ((5, 2, 3), (16, 3), (16, 4)))
    >>> output, h_n, c_n = F.lstm(x, None, None, w, r, lengths=[5, 2])
    >>> output.shape, bool((output[1, 1] == h_n[1]).all()), bool((output[2:, 1] == 0).all())
    ((5, 2, 4), True, True)
    """
    return _LSTM(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, return_saved)


def _lstm_plan(
    x: Any, h0: Any, c0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: Any, keep: Any
) -> Plan:
    call = checks.recurrent("lstm", 4, x, {"h0": h0, "c0": c0}, (wi, wh, bi, bh), lengths, reverse)
    arguments, outputs, saved = (call.x, *call.states, *call[2:]), ("y", "h_n", "c_n"), ("y", "gates", "cells")
    return _layer_plan("lstm", call, keep, arguments, outputs, saved, Tape(_lstm_vjp, _lstm_jvp))


def _lstm_vjp(
    ops: Any, dys: Any, needs: tuple[bool, ...], call: Recurrent, y: Array, gates: Array, cells: Array
) -> Any:
    kept = (call.x, *call.states, *call[2:4], call.lengths, call.reverse, y, gates, cells)
    return ops.lstm_backward(*dys, *kept, (needs[0], *needs[3:]))


def _lstm_jvp(ops: Any, tangents: Any, call: Recurrent, y: Array, gates: Array, cells: Array) -> Any:
    return lstm_tangents(call, tangents, y, gates, cells)


_LSTM = operation("lstm", _lstm_plan, ("x", "h0", "c0", "wi", "wh", "bi", "bh"))


def lstm_backward(
    dy: Constant,
    x: Constant,
    h0: Constant | None,
    c0: Constant | None,
    weight_ih: Constant,
    weight_hh: Constant,
    bias_ih: Constant | None = None,
    bias_hh: Constant | None = None,
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    dh_n: Constant | None = None,
    dc_n: Constant | None = None,
    saved: Any = None,
) -> tuple[Array, ...]:
    """Gradients of `lstm`.

    Parameters
    ----------
    dy : array_like, shape (steps, batch, units), or None
        The gradient of ``output``; None is zero.
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse
        What `lstm` got.
    dh_n, dc_n : array_like, shape (batch, units), optional
        The gradients of the final states.
    saved : tuple of ndarray, optional
        What `lstm` returned as such; without it the forward is computed again.

    Returns
    -------
    dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh : ndarray
        Also of what was None in the forward.

    Raises
    ------
    TypeError, ValueError
        As `lstm`, and for gradients or saved arrays that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weights = np.ones((3, 1, 2)), (np.ones((4, 2)), np.ones((4, 1)))
    >>> output, h_n, c_n, saved = F.lstm(x, None, None, *weights, return_saved=True)
    >>> dx, *_ = F.lstm_backward(np.ones((3, 1, 1)), x, None, None, *weights, saved=saved)
    >>> dx.shape
    (3, 1, 2)
    """
    op = "lstm_backward"
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    call = checks.recurrent(op, 4, x, {"h0": h0, "c0": c0}, weights, lengths, reverse)
    dys = checks.recurrent_gradients(op, call, dy, dh_n=dh_n, dc_n=dc_n)
    ops = backend.current()
    if saved is None:
        y, _, _, gates, cells = ops.lstm_forward(call.x, *call.states, *call[2:])
    else:
        y, gates, cells = checks.recurrent_saved(op, call, saved, 1, 4, 1)
    gradients: tuple[Array, ...] = ops.lstm_backward(
        *dys, call.x, *call.states, *call[2:4], call.lengths, call.reverse, y, gates, cells, _ALL
    )
    return gradients


def gru(
    x: Value,
    h0: Value | None,
    weight_ih: Value,
    weight_hh: Value,
    bias_ih: Value | None = None,
    bias_hh: Value | None = None,
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    return_saved: bool = False,
) -> tuple[Value, Value] | tuple[Value, Value, tuple[Array, ...]]:
    """Gated recurrent unit.

    ``r, z = sigmoid(a_r), sigmoid(a_z)`` with ``a = W x + b + R h + b'``, then
    ``n = tanh(W_n x + b_n + r (R_n h + b'_n))`` and ``h' = (1 - z) n + z h``. The rows of weights and biases belong to
    r, z, n, in this order.

    Parameters
    ----------
    x : array_like or Tensor, shape (steps, batch, in)
        The sequences, float32 or float64.
    h0 : array_like or Tensor, shape (batch, units), or None
        The initial state; None is zero.
    weight_ih, weight_hh : array_like or Tensor, shapes (3 * units, in), (3 * units, units)
        W and R.
    bias_ih, bias_hh : array_like or Tensor, shape (3 * units,), optional
        b and b'.
    lengths, reverse, return_saved
        As in `rnn`.

    Returns
    -------
    output : ndarray or Tensor, shape (steps, batch, units)
        The states of all steps.
    h_n : ndarray or Tensor, shape (batch, units)
        The final state.
    saved : tuple of ndarray
        Only with ``return_saved``.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit, or lengths out of range.

    Notes
    -----
    Cho et al., "Learning Phrase Representations using RNN Encoder–Decoder" (2014), in the form of cuDNN and PyTorch,
    where r acts on the product with R.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> rng = np.random.default_rng(0)
    >>> x, w, r = (rng.standard_normal(shape) for shape in ((5, 2, 3), (12, 3), (12, 4)))
    >>> output, h_n = F.gru(x, None, w, r, reverse=True)
    >>> output.shape, bool((output[0] == h_n).all())
    ((5, 2, 4), True)
    """
    return _GRU(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, return_saved)


def _gru_plan(x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: Any, keep: Any) -> Plan:
    call = checks.recurrent("gru", 3, x, {"h0": h0}, (wi, wh, bi, bh), lengths, reverse)
    arguments, saved = (call.x, *call.states, *call[2:]), ("y", "gates", "candidate")
    return _layer_plan("gru", call, keep, arguments, ("y", "h_n"), saved, Tape(_gru_vjp, _gru_jvp))


def _gru_vjp(
    ops: Any, dys: Any, needs: tuple[bool, ...], call: Recurrent, y: Array, gates: Array, candidate: Array
) -> Any:
    kept = (call.x, *call.states, *call[2:4], call.lengths, call.reverse, y, gates, candidate)
    return ops.gru_backward(*dys, *kept, (needs[0], *needs[2:]))


def _gru_jvp(ops: Any, tangents: Any, call: Recurrent, y: Array, gates: Array, candidate: Array) -> Any:
    return gru_tangents(call, tangents, y, gates, candidate)


_GRU = operation("gru", _gru_plan, ("x", "h0", "wi", "wh", "bi", "bh"))


def gru_backward(
    dy: Constant,
    x: Constant,
    h0: Constant | None,
    weight_ih: Constant,
    weight_hh: Constant,
    bias_ih: Constant | None = None,
    bias_hh: Constant | None = None,
    lengths: Constant | None = None,
    reverse: bool = False,
    *,
    dh_n: Constant | None = None,
    saved: Any = None,
) -> tuple[Array, ...]:
    """Gradients of `gru`.

    Parameters
    ----------
    dy : array_like, shape (steps, batch, units), or None
        The gradient of ``output``; None is zero.
    x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse
        What `gru` got.
    dh_n : array_like, shape (batch, units), optional
        The gradient of ``h_n``.
    saved : tuple of ndarray, optional
        What `gru` returned as such; without it the forward is computed again.

    Returns
    -------
    dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh : ndarray
        Also of what was None in the forward.

    Raises
    ------
    TypeError, ValueError
        As `gru`, and for gradients or saved arrays that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weights = np.ones((3, 1, 2)), (np.ones((3, 2)), np.ones((3, 1)))
    >>> output, h_n, saved = F.gru(x, None, *weights, return_saved=True)
    >>> dx, *_ = F.gru_backward(None, x, None, *weights, dh_n=np.ones((1, 1)), saved=saved)
    >>> dx.shape
    (3, 1, 2)
    """
    op = "gru_backward"
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    call = checks.recurrent(op, 3, x, {"h0": h0}, weights, lengths, reverse)
    dys = checks.recurrent_gradients(op, call, dy, dh_n=dh_n)
    ops = backend.current()
    if saved is None:
        y, _, gates, candidate = ops.gru_forward(call.x, *call.states, *call[2:])
    else:
        y, gates, candidate = checks.recurrent_saved(op, call, saved, 1, 3, 1)
    gradients: tuple[Array, ...] = ops.gru_backward(
        *dys, call.x, *call.states, *call[2:4], call.lengths, call.reverse, y, gates, candidate, _ALL
    )
    return gradients
