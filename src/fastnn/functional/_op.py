"""The one path of a call: the checks make a plan, the plan runs, and a call with tensors records what its tape says.

A public function calls its `operation` with all its arguments in order. Its planner checks them and says in a `Plan`
which function of the backend computes the result from which arguments; `Op.follow` does so. What a plan may depend on is
little beside the values of arrays: types, shapes, whether arrays may be written to, which of them share memory, and the
other arguments. With the compiled backend a plan is therefore kept, and later calls of the same signature go from it to
the binding at once (``bindings/plan.pxi``). The checks stay the one place that refuses and explains.

Dropout and random ReLU in training, which take a new key in every call, the gradients of recurrent layers, and the steps of
optimisers, which compute no value, have no plans: they check, call the backend and record by themselves.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..autograd import Tensor, record, self_adjoint
from ..autograd.core import is_followed, record_many
from ..autograd.modes import mode

__all__ = ["OPS", "Call", "Op", "Plan", "Tape", "operation", "row_of"]


class Tape(NamedTuple):
    """How a plan is differentiated, by functions that take what they need by name.

    ``vjp(ops, dy, needs, ...)`` gives one gradient or None per input of the op, ``jvp(ops, tangents, ...)`` the tangent of
    the output from one per input, None for zero. ``ops`` is the backend that computed the output. The names of further
    parameters are those of arguments of the plan's function, of its results, or of the plan's constants; ``*`` stands for
    all arguments of the function in order. What the vjp names is kept until the backward, so an array that it does not need
    must not be named. Both are made once, not for each plan: their signatures are remembered.
    """

    vjp: Callable[..., Any]
    jvp: Callable[..., Any]


class Plan(NamedTuple):
    """What a call comes to: a function of the backend, by its name, or another function of plain arrays; and arguments.

    Arrays among ``arguments`` should be the caller's own, in any shape: with others a plan is not kept. Nor is one with
    arrays among the constants that its vjp takes.
    """

    function: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    # Names of what the function gives, as its tape calls them; a tuple where there are several.
    results: tuple[str, ...] = ("y",)
    # What the caller gets of those, if not the first alone; a tuple of names stands for a tuple of them.
    gives: tuple[Any, ...] | None = None
    outputs: int = 1  # how many of the results, counted from the first, are differentiated
    tape: Tape | None = None
    # What the tape's functions want to know beside arguments and results.
    constants: Mapping[str, Any] = MappingProxyType({})
    # Where the checks read values of an array: a binding and its arguments. It gives True if the values are allowed.
    guard: tuple[Any, ...] | None = None
    # Makes the error where the function reads values itself, and gives NotImplemented for those that are refused.
    refused: Callable[[], Exception] | None = None
    shape: tuple[int, ...] | None = None  # what the caller gets, where the backend gives the first result as one axis
    lasting: bool = True  # False where arguments were computed from values inside arrays: the plan is used once


_Planner = Callable[..., Plan]


class Op:
    """An operation of arrays and tensors.

    Parameters
    ----------
    name : str
        That of the public function.
    plan : callable
        Takes what the public function got, in order, with arrays in the place of tensors among ``inputs``, checks it, and
        gives the `Plan`. If it has a parameter ``taped``, that says whether the call is differentiated.
    inputs : tuple of str
        The names of the parameters of ``plan`` that the operation differentiates by.
    """

    __slots__ = ("inputs", "name", "plan", "taped")

    def __init__(self, name: str, plan: _Planner, inputs: tuple[str, ...] = ()) -> None:
        positional, keywords = _parameters(plan)
        self.name, self.plan = name, plan
        self.taped = functools.partial(plan, taped=True) if "taped" in keywords else plan
        self.inputs = tuple(positional.index(i) for i in inputs)
        OPS[name] = self

    def checked(self, *given: Any) -> Any:
        """What a call with these arguments gives, by a plan of its own."""
        plain = list(given)
        followed = False
        for i in self.inputs:
            x = given[i]
            if isinstance(x, Tensor):
                plain[i] = x.data
                followed = followed or is_followed(x)
        return self.follow((self.taped if followed else self.plan)(*plain), given, followed)

    def follow(self, plan: Plan, given: tuple[Any, ...], followed: bool) -> Any:
        """What a plan gives for the arguments it was made of; ``followed`` says whether derivatives are wanted."""
        ops = backend.current()
        result = _function(ops, plan)(*plan.arguments)
        if result is NotImplemented:
            assert plan.refused is not None
            raise plan.refused()
        values = result if len(plan.results) > 1 else (result,)
        if plan.shape is not None:
            values = (values[0].reshape(plan.shape), *values[1:])
        named = dict(zip(plan.results, values, strict=True))
        inputs = [given[i] for i in self.inputs]
        recorded = named
        if any(isinstance(x, Tensor) for x in inputs):
            recorded = named | self._recorded(ops, plan, named, inputs, followed)
        if plan.gives is None:
            return recorded[plan.results[0]]
        return tuple(recorded[n] if isinstance(n, str) else tuple(named[each] for each in n) for n in plan.gives)

    def _recorded(
        self, ops: ModuleType, plan: Plan, named: dict[str, Any], inputs: list[Any], followed: bool
    ) -> dict[str, Any]:
        """The differentiated results as tensors, with a history where one is due."""
        names = plan.results[: plan.outputs]
        outputs = [named[n] for n in names]
        vjp: Any = None
        jvp: Any = None
        if followed:
            assert plan.tape is not None
            arguments = zip(_names(_function(ops, plan)), plan.arguments, strict=False)
            known = {**dict(arguments), **named, **plan.constants}
            vjp = _bound(plan.tape.vjp, ops, 3, known, plan.arguments)
            jvp = self_adjoint
            if plan.tape.jvp is not self_adjoint:
                jvp = _bound(plan.tape.jvp, ops, 2, known, plan.arguments)
        if plan.outputs == 1:
            return {names[0]: record(self.name, outputs[0], inputs, vjp, jvp)}
        return dict(zip(names, record_many(self.name, outputs, inputs, vjp, jvp), strict=True))


def _function(ops: ModuleType, plan: Plan) -> Callable[..., Any]:
    return getattr(ops, plan.function) if isinstance(plan.function, str) else plan.function


def _parameters(function: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a planner's parameters, positional ones, of which a partial one has some already, and keywords."""
    bound = 0
    if isinstance(function, functools.partial):
        function, bound = function.func, len(function.args)
    code = function.__code__
    last = code.co_argcount
    return code.co_varnames[bound:last], code.co_varnames[last : last + code.co_kwonlyargcount]


@functools.lru_cache(None)
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters; ``*`` for those that it takes as they come."""
    parameters = inspect.signature(function).parameters.values()
    return tuple("*" if p.kind is p.VAR_POSITIONAL else p.name for p in parameters)


def _bound(
    function: Callable[..., Any], ops: ModuleType, leading: int, known: dict[str, Any], arguments: tuple[Any, ...]
) -> Callable[..., Any]:
    """A function of a tape as autograd calls it, with what it names, which comes behind ``leading`` parameters."""
    kept: list[Any] = []
    for name in _names(function)[leading:]:
        kept.extend(arguments if name == "*" else [known[name]])
    return lambda *moving: function(ops, *moving, *kept)


class Row(NamedTuple):
    """A plan as ``bindings/plan.pxi`` keeps it."""

    function: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    guard: tuple[Any, ...] | None
    several: bool  # results
    gives: tuple[Any, ...] | None  # positions among the results, if not the first alone
    vjp: Callable[..., Any] | None
    keep: tuple[int, ...]  # what the vjp takes, as positions in (*arguments, *results, *constants)
    constants: tuple[Any, ...]


def row_of(plan: Plan) -> Row | None:
    """What is kept of a plan, or None: this one holds for its call alone, or is too rare to be worth it."""
    if not plan.lasting or plan.shape is not None:
        return None
    results = {name: i for i, name in enumerate(plan.results)}
    gives = None
    if plan.gives is not None:
        gives = tuple(results[n] if isinstance(n, str) else tuple(results[each] for each in n) for n in plan.gives)
    vjp = None
    keep: list[int] = []
    if plan.tape is not None and plan.outputs == 1 and gives is None:
        vjp = plan.tape.vjp
        arguments = range(len(plan.arguments))
        positions = dict(zip(_names(_function(backend.current(), plan)), arguments, strict=False))
        positions |= {name: len(arguments) + i for i, name in enumerate((*plan.results, *plan.constants))}
        for name in _names(vjp)[3:]:
            keep.extend(arguments if name == "*" else [positions[name]])
    constants = () if vjp is None else tuple(plan.constants.values())
    if any(isinstance(c, np.ndarray) for c in constants):
        return None
    return Row(plan.function, plan.arguments, plan.guard, len(results) > 1, gives, vjp, tuple(keep), constants)


OPS: dict[str, Op] = {}
_core = backend.extension()
Call = Callable[..., Any]


def operation(name: str, plan: _Planner, inputs: tuple[str, ...] = ()) -> Call:
    """What a public function calls: `Op.checked`, or where there is the extension what knows the plans of earlier calls."""
    op = Op(name, plan, inputs)
    return op.checked if _core is None else _core.planned(op, row_of)


if _core is not None:
    _core.use_tape(Tensor, mode, record)
    backend._when_switched(_core.follow_plans)
