"""What public backward functions have in common: checks and the backend, no tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _docs, backend, checks
from ..backend.plans import Plan, register

Array = np.ndarray[Any, Any]
Check = Callable[..., tuple[Any, ...]]

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


def register_gradient(name: str, check: Check, compute: str | Callable[..., Any], guard: Any = None) -> None:
    """Have ``planned[name]`` give ``compute(*check(*arguments))``.

    ``check`` refuses tensors that want a gradient: these are not differentiated again. ``compute`` is a function of what
    it gives, or the name of a backend's. ``guard`` makes a plan's guard of what ``check`` gives, where values count.
    """

    def function(*arguments: Any) -> Any:
        called = getattr(backend.current(), compute) if isinstance(compute, str) else compute
        return called(*check(*arguments))

    def plan(*arguments: Any) -> Plan:
        from ..backend import native  # which plans are for, so it is there

        called = getattr(native, compute) if isinstance(compute, str) else compute
        checked = tuple(check(*arguments))
        return Plan(called, checked, None if guard is None else guard(*checked))

    register(name, function, plan)


def register_maxima_gradient(name: str, check: Check, backward: str, find: Callable[..., Any]) -> None:
    """Have ``planned[name]`` give the gradient of a max pooling, where ``check`` gives the geometry, dy, x and indices.

    One of the last two is None. Without indices ``find(ops, g, x)`` says what the backend's ``backward`` takes for them, else
    ``backward + "_at"`` takes the indices, and gives NotImplemented if one of them lies outside its window.
    """

    def found_again(g: Any, dy: Any, x: Any) -> Any:
        ops = backend.current()
        return getattr(ops, backward)(g, dy, find(ops, g, x))

    def function(*arguments: Any) -> Any:
        g, dy, x, indices = check(*arguments)
        if indices is None:
            return found_again(g, dy, x)
        dx = getattr(backend.current(), backward + "_at")(g, dy, indices)
        if dx is NotImplemented:
            raise checks.outside_window(name, g, indices)
        return dx

    def plan(*arguments: Any) -> Plan:
        g, dy, x, indices = check(*arguments)
        return Plan(found_again, (g, dy, x)) if indices is None else Plan(backward + "_at", (g, dy, indices))

    register(name, function, plan)
