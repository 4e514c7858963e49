"""What public backward functions have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array
from . import _docs
from ._op import Plan

# dx, dweight, dbias. One that the call leaves out is None, which only the caller knows: Any spares the others a question.
_Gradient = Array | Any
Gradients = tuple[_Gradient, _Gradient, _Gradient]

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
    """The gradient of a loss of ``x``: where none is given, one number for all elements."""
    return _ONES[x.dtype] if dloss is None else dloss


def maxima_gradient(
    op: str, backward: str, g: Any, dy: Array, x: Array, indices: Array | None, find: Callable[..., Any]
) -> Plan:
    """The plan of the gradient of a max pooling, ``backward`` of the backend, from the checked arguments.

    Without ``indices`` ``find(ops, g, x)`` says what the backend's ``backward`` takes for them, else ``backward + "_at"``
    takes the indices, and gives NotImplemented if one of them lies outside its window.
    """
    if indices is None:
        return Plan(_found_again, (backward, find, g, dy, x))
    return Plan(backward + "_at", (g, dy, indices), refused=lambda: checks.outside_window(op, g, indices))


def _found_again(backward: str, find: Callable[..., Any], g: Any, dy: Array, x: Array) -> Array:
    ops = backend.current()
    return getattr(ops, backward)(g, dy, find(ops, g, x))
