"""Gated recurrent units: one layer in one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._op import Plan, operation
from ._recurrent import Cell
from .rnn_tangents import gru_tangents

__all__ = ["gru", "gru_backward"]


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
    reset_after: bool = True,
    return_saved: bool = False,
) -> tuple[Value, Value] | tuple[Value, Value, tuple[Array, ...]]:
    """Gated recurrent unit.

    ``r, z = sigmoid(a_r), sigmoid(a_z)`` with ``a = W x + b + R h + b'``, then
    ``n = tanh(W_n x + b_n + r (R_n h + b'_n))`` and ``h' = (1 - z) n + z h``. The rows of weights and biases belong to
    r, z, n, in this order. With ``reset_after=False`` r acts before the product with R:
    ``n = tanh(W_n x + b_n + R_n (r h) + b'_n)``.

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
    reset_after : bool
        Whether r acts on the product with R, as in cuDNN and PyTorch, or on the state before it, as in the first
        publication. ONNX calls it ``linear_before_reset``, which is 0 by default; Keras calls it ``reset_after``.

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
    Cho et al., "Learning Phrase Representations using RNN Encoder–Decoder" (2014), where r acts before the product with
    R; cuDNN and PyTorch have it after.

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
    return _GRU(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, reset_after, return_saved)


_CELL = Cell("gru", 3, ("h0",), (1, 3, 1), gru_tangents)


def _plan(
    x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: Any, reset_after: Any, keep: Any
) -> Plan:
    after = checks.flag("gru", "reset_after", reset_after)
    return _CELL.plan(x, (h0,), (wi, wh, bi, bh), lengths, reverse, keep, after)


_GRU = operation("gru", _plan, ("x", "h0", "wi", "wh", "bi", "bh"))


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
    reset_after: bool = True,
    dh_n: Constant | None = None,
    saved: Sequence[Array] | None = None,
) -> tuple[Array, ...]:
    """Gradients of `gru`.

    Parameters
    ----------
    dy : array_like, shape (steps, batch, units), or None
        The gradient of ``output``; None is zero.
    x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse, reset_after
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
    weights, finals = (weight_ih, weight_hh, bias_ih, bias_hh), {"dh_n": dh_n}
    after = checks.flag("gru_backward", "reset_after", reset_after)
    return _CELL.gradients(dy, x, (h0,), weights, lengths, reverse, finals, saved, after)
