"""Dropout (SPEC D4)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import Tensor, raw, record, self_adjoint

__all__ = ["dropout"]

Array = np.ndarray[Any, Any]


def dropout(x: Any, p: float = 0.5, training: bool = True, *, rng: Any = None) -> Any:
    """Set elements to zero with probability ``p`` and scale the others by ``1 / (1 - p)`` (SPEC D4).

    The mask follows from 64 bits drawn from ``rng`` and the position of the element: it is the same on both
    backends and for every number of threads.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.
    p : float
        The probability, in [0, 1].
    training : bool
        If False, or if ``p`` is 0, ``x`` comes back as it is (copied only where its layout must change).
    rng : None, int, sequence of int, SeedSequence or Generator
        What `numpy.random.default_rng` takes. A generator gives a new mask at each call, an int the same one
        again, None one that cannot be foreseen.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``p`` is not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout(np.ones(1000), 0.25, rng=0)
    >>> np.unique(y).round(3), bool(abs(y.mean() - 1) < 0.1)
    (array([0.   , 1.333]), True)
    """
    x_ = checks.array("dropout", "x", raw(x))
    p_ = checks.real("dropout", "p", p, 0.0, 1.0)
    if not checks.flag("dropout", "training", training) or p_ == 0:
        return x if isinstance(x, Tensor) else x_
    key = _key(rng)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.dropout_forward(dy, p_, key),)

    return record("dropout", ops.dropout_forward(x_, p_, key), (x,), vjp, self_adjoint)


def _key(rng: Any) -> int:
    """64 bits from ``rng``."""
    if rng is None:
        return int.from_bytes(os.urandom(8), "little")
    return int(checks.generator("dropout", rng).integers(0, 2**64, dtype=np.uint64))
