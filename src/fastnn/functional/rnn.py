"""Recurrent layers: one layer in one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .. import checks
from .._types import Array, Constant, Value
from ._op import Plan, operation
from ._recurrent import Cell
from .rnn_tangents import rnn_tangents

__all__ = ["rnn", "rnn_backward"]


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


_CELL = Cell("rnn", 1, ("h0",), (1,), rnn_tangents)


def _plan(
    x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, nonlinearity: Any, lengths: Any, reverse: Any, keep: Any
) -> Plan:
    return _CELL.plan(x, (h0,), (wi, wh, bi, bh), lengths, reverse, keep, _relu("rnn", nonlinearity))


_RNN = operation("rnn", _plan, ("x", "h0", "wi", "wh", "bi", "bh"))


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
    saved: Sequence[Array] | None = None,
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
    weights, finals = (weight_ih, weight_hh, bias_ih, bias_hh), {"dh_n": dh_n}
    return _CELL.gradients(dy, x, (h0,), weights, lengths, reverse, finals, saved, _relu("rnn_backward", nonlinearity))
