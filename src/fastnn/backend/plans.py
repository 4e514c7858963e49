"""How public functions of several arrays reach the compiled backend without checking what was checked before.

A function of plain arrays depends on little beside their values: types, shapes, whether they may be written to, which of
them share memory, and the other arguments. A call that the checks let through leaves a `Plan`, which later calls with all that
the same follow at once (``bindings/plan.pxi``). The checks stay the one place that refuses and explains.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Plan", "Tape", "planned", "register", "switch", "unboxed", "use_tape"]

_ndarray = np.ndarray


class Tape(NamedTuple):
    """How a call with tensors is differentiated: ``vjp(ops, dy, needs, *kept)`` gives the gradients of the inputs.

    ``ops`` is the compiled backend; kept are those of the binding's arguments and, counted on, results whose positions
    ``keep`` has.
    """

    vjp: Callable[..., Any]
    keep: tuple[int, ...]


class Plan(NamedTuple):
    """What a call with plain arrays comes to: a binding, or another function of plain arrays, and its arguments.

    It must follow from what is said above alone, so arrays among ``arguments`` must be the caller's own, in any shape:
    with others a plan is not kept. Where the checks depend on the values of an array, ``guard`` is a binding and its
    arguments which says True if they let it through; or ``binding`` itself looks at them, and gives NotImplemented where
    they don't.
    """

    binding: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    guard: tuple[Any, ...] | None = None
    first: bool = False  # of several results only the first is wanted
    tape: Tape | None = None  # none: calls with tensors don't follow this plan


# What public functions call, by their names or that of a family, with all their arguments in order.
planned: dict[str, Callable[..., Any]] = {}
_Planner = Callable[..., Plan | None]
_functions: dict[str, tuple[Callable[..., Any], _Planner, _Planner | None, tuple[int, ...]]] = {}
_with_plans: dict[str, Callable[..., Any]] = {}


_tape: tuple[Any, ...] = ()


def unboxed(result: Any) -> Any:
    """A NumPy scalar for an array without axes, as NumPy's own functions give; anything else, a tensor too, as it is.

    ``total += loss`` changes an array wherever else it is held, and nobody expects that of a number.
    """
    return result[()] if type(result) is _ndarray and not result.ndim else result


def register(
    name: str,
    function: Callable[..., Any],
    plan: _Planner,
    recorded: _Planner | None = None,
    inputs: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Have ``planned[name]`` do what ``function`` does, with the compiled backend by a plan where there is one.

    ``function`` takes any arguments, tensors too: it checks, computes and records. ``plan`` gets the same arguments
    where all arrays are plain, makes the same checks and gives the `Plan`, or None if there is none. ``recorded`` does so
    for calls with tensors, given their arrays, and its plans have a `Tape`; ``inputs`` are the positions of the
    arguments that are differentiated.
    """
    planned[name] = function
    _functions[name] = function, plan, recorded, inputs


def use_tape(tensor: type, mode: Any, record: Callable[..., Any]) -> None:
    """What recording takes, from `fastnn.autograd`, which is above this module."""
    global _tape
    _tape = tensor, mode, record


def switch(core: ModuleType | None, native: ModuleType) -> None:
    """Follow plans with the bindings ``core`` of the compiled backend ``native``, or none where there is no ``core``."""
    if core is None:
        planned.update({name: function for name, (function, *_) in _functions.items()})
        return
    for name in _functions.keys() - _with_plans.keys():
        function, plan, recorded, inputs = _functions[name]
        _with_plans[name] = core.planned(plan, function, name, recorded if _tape else None, inputs)
    if _tape:
        core.use_tape(*_tape, native)
    planned.update(_with_plans)
