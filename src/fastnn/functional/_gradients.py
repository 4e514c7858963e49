"""What public backward functions have in common: checks and the backend, no tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..backend.plans import Plan, register

Check = Callable[..., tuple[Any, ...]]

# dx, dweight, dbias. One that the call leaves out is None, which only the caller knows: Any spares the others a question.
_Gradient = np.ndarray[Any, Any] | Any
Gradients = tuple[_Gradient, _Gradient, _Gradient]


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
