"""How public functions of several arrays reach the compiled backend without checking what was checked before.

A function of plain arrays depends on little beside their values: types, shapes, whether they may be written to, which of
them share memory, and the other arguments. A call that the checks let through leaves a `Plan`, which later calls with all that
the same follow at once (``bindings/plan.pxi``). The checks stay the one place that refuses and explains.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["Plan", "planned", "register", "switch"]


class Plan(NamedTuple):
    """What a call with plain arrays comes to: a binding and its arguments.

    It must follow from what is said above alone, so arrays among ``arguments`` must be the caller's own, in any shape:
    with others a plan is not kept. Where the checks depend on the values of an array, ``guard`` is a binding and its
    arguments which says True if they let it through.
    """

    binding: str
    arguments: tuple[Any, ...]
    guard: tuple[Any, ...] | None = None
    first: bool = False  # of several results only the first is wanted


# What public functions call, by their names, with all their arguments in order.
planned: dict[str, Callable[..., Any]] = {}
_functions: dict[str, tuple[Callable[..., Any], Callable[..., Plan | None]]] = {}
_with_plans: dict[str, Callable[..., Any]] = {}


def register(name: str, function: Callable[..., Any], plan: Callable[..., Plan | None]) -> None:
    """Have ``planned[name]`` do what ``function`` does, with the compiled backend by a plan where there is one.

    ``function`` takes any arguments, tensors too: it checks, computes and records. ``plan`` gets the same arguments
    where all arrays are plain, makes the same checks and gives the `Plan`, or None if there is none.
    """
    planned[name] = function
    _functions[name] = function, plan


def switch(core: ModuleType | None) -> None:
    """Follow plans with the bindings of the compiled backend, or none."""
    if core is None:
        planned.update({name: function for name, (function, _) in _functions.items()})
        return
    for name in _functions.keys() - _with_plans.keys():
        function, plan = _functions[name]
        _with_plans[name] = core.planned(plan, function)
    planned.update(_with_plans)
