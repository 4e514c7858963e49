"""Long short-term memory: one layer in one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._types import Array, Constant, Value
from ._op import Plan, operation
from ._recurrent import Cell
from .rnn_tangents import lstm_tangents

__all__ = ["lstm", "lstm_backward"]


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
    peepholes: Value | None = None,
    return_saved: bool = False,
) -> tuple[Value, Value, Value] | tuple[Value, Value, Value, tuple[Array, ...]]:
    """Long short-term memory.

    ``i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)`` and ``g = tanh(a_g)`` with ``a = W x + b + R h + b'``, then
    ``c' = f c + i g`` and ``h' = o tanh(c')``. The rows of weights and biases belong to i, f, g, o, in this order. With
    peepholes the gates see the cell: ``P_i c`` and ``P_f c`` are added to ``a_i`` and ``a_f``, and ``P_o c'`` to ``a_o``.

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
    peepholes : array_like or Tensor, shape (3 * units,), optional
        P_i, P_f and P_o, in this order, one number per unit each. (ONNX has them in the order i, o, f.)

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
    Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997), with the forget gate of Gers et al. (2000). Peepholes:
    Gers, Schraudolph and Schmidhuber, "Learning Precise Timing with LSTM Recurrent Networks" (2002).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> rng = np.random.default_rng(0)
    >>> x, w, r = (rng.standard_normal(shape) for shape in ((5, 2, 3), (16, 3), (16, 4)))
    >>> output, h_n, c_n = F.lstm(x, None, None, w, r, lengths=[5, 2])
    >>> output.shape, bool((output[1, 1] == h_n[1]).all()), bool((output[2:, 1] == 0).all())
    ((5, 2, 4), True, True)
    >>> output, h_n, c_n = F.lstm(x, None, None, w, r, peepholes=rng.standard_normal(12))
    """
    return _LSTM(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, peepholes, return_saved)


_CELL = Cell("lstm", 4, ("h0", "c0"), (1, 4, 1), lstm_tangents)


def _plan(
    x: Any, h0: Any, c0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: Any, peepholes: Any, keep: Any
) -> Plan:
    return _CELL.plan(x, (h0, c0), (wi, wh, bi, bh, peepholes), lengths, reverse, keep)


_LSTM = operation("lstm", _plan, ("x", "h0", "c0", "wi", "wh", "bi", "bh", "peepholes"))


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
    peepholes: Constant | None = None,
    dh_n: Constant | None = None,
    dc_n: Constant | None = None,
    saved: Sequence[Array] | None = None,
) -> tuple[Array, ...]:
    """Gradients of `lstm`.

    Parameters
    ----------
    dy : array_like, shape (steps, batch, units), or None
        The gradient of ``output``; None is zero.
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, peepholes
        What `lstm` got.
    dh_n, dc_n : array_like, shape (batch, units), optional
        The gradients of the final states.
    saved : tuple of ndarray, optional
        What `lstm` returned as such; without it the forward is computed again.

    Returns
    -------
    dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh : ndarray
        Also of what was None in the forward.
    dpeepholes : ndarray
        Only with ``peepholes``.

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
    weights, finals = (weight_ih, weight_hh, bias_ih, bias_hh, peepholes), {"dh_n": dh_n, "dc_n": dc_n}
    return _CELL.gradients(dy, x, (h0, c0), weights, lengths, reverse, finals, saved)
