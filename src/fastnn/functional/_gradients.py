"""What public backward functions have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array
from . import _docs
from ._op import Plan

# The gradients of x, weight and bias. One that the caller did not want is None; because of Any, type checkers don't ask a
# caller who wanted it whether it is None.
_Gradient = Array | Any
Gradients = tuple[_Gradient, _Gradient, _Gradient]
# The gradients of functions that always give all three.
AllGradients = tuple[Array, Array, Array]

_LOSS = """
Parameters
----------
{arguments}
    What `{op}` got.
dloss : array_like, optional
    The gradient of the loss, of its shape; ones by default.

Returns
-------
ndarray
    {returns}

Raises
------
TypeError, ValueError
    As `{op}`, and if ``dloss`` has not the shape of the loss.
"""


def document_loss(
    arguments: str, returns: str = "Of the shape of ``x``."
) -> Callable[[_docs.Documented], _docs.Documented]:
    """The sections of a docstring that gradients of losses have in common."""
    return _docs.sections(_LOSS, arguments=arguments, returns=returns)


_ONES = {np.dtype(kind): np.ones((), kind) for kind in (np.float32, np.float64)}
for _one in _ONES.values():
    _one.flags.writeable = False


def given(dloss: Array | None, x: Array) -> Array:
    """``dloss``, or where the caller gave none a 1 in the dtype of ``x``, which holds for all elements."""
    return _ONES[x.dtype] if dloss is None else dloss


def loss_gradient(function: str, dloss: Array | None, others: tuple[Any, ...], guard: tuple[Any, ...] | None) -> Plan:
    """The plan of a loss's gradient: the backend's ``function`` takes ``dloss``, then ``others``, of which x is the first."""
    if dloss is None:
        return Plan(_of_ones, (function, *others), guard=guard)
    return Plan(function, (dloss, *others), guard=guard)


def _of_ones(function: str, x: Array, *others: Any) -> Array:
    return getattr(backend.current(), function)(given(None, x), x, *others)


def maxima_gradient(
    op: str, backward: str, check: Callable[..., Any], find: Callable[..., Any], dy: Any, x: Any, indices: Any
) -> Plan:
    """The plan of the gradient of a max pooling, ``backward`` of the backend.

    ``check(dy, x)`` gives the geometry and dy. Without ``indices`` ``find(ops, g, x)`` says what the backend's ``backward``
    takes for them, else ``backward + "_at"`` takes the indices, and gives NotImplemented if one lies outside its window.
    """
    if indices is None:
        x = checks.array(op, "x", x)
    g, dy = check(dy, x)
    if indices is None:
        checks.same_dtype(op, "x", x, dy.dtype, "dy")
        return Plan(_found_again, (backward, find, g, dy, x))
    indices = checks.pool_indices(op, dy.shape, indices)
    return Plan(backward + "_at", (g, dy, indices), refused=lambda: checks.outside_window(op, g, indices))


def _found_again(backward: str, find: Callable[..., Any], g: Any, dy: Array, x: Array) -> Array:
    ops = backend.current()
    return getattr(ops, backward)(g, dy, find(ops, g, x))
