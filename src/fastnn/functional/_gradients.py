"""What public backward functions have in common: checks and the backend, no tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backend, checks
from ..backend.plans import Plan, register

Check = Callable[..., tuple[Any, ...]]


def register_gradient(name: str, check: Check, compute: str | Callable[..., Any], guard: Any = None) -> None:
    """Have ``planned[name]`` give ``compute(*check(*arguments))``.

    ``check`` refuses tensors that want a gradient: these are not differentiated again. ``compute`` is a function of what it gives, or the name of one that is both a
    backend's and a binding. ``guard`` makes a plan's guard of what ``check`` gives, where values count.
    """

    def function(*arguments: Any) -> Any:
        called = getattr(backend.current(), compute) if isinstance(compute, str) else compute
        return called(*check(*arguments))

    def plan(*arguments: Any) -> Plan:
        checked = tuple(check(*arguments))
        return Plan(compute, checked, None if guard is None else guard(*checked))

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
