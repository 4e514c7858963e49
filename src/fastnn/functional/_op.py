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
from ..autograd.core import is_followed
from ..autograd.modes import mode
from ..autograd.several import record_many

__all__ = ["OPS", "Call", "Op", "Plan", "Tape", "operation", "row_of"]


class Tape(NamedTuple):
    """How a plan is differentiated, by functions that take what they need by name.

    ``vjp`` is a function of the backend, given by its name, or any other. It takes ``dy`` (losses call it ``dloss``, and
    operations with several outputs ``dys``) and gives one gradient or None per input of the op, or the first one alone, as
    an array; ``needs`` says which are wanted. ``jvp`` takes first the backend and the tangents, one per input, None for
    zero, and gives that of the output. The names of other parameters are those of arguments of the plan's function, of its
    results, or of the plan's constants; ``*`` stands for all arguments of the function in order, ``ops`` for the backend
    that computed the output. What the vjp names is kept until the backward, so an array that it does not need must not be
    named. Functions are made once, not for each plan: their signatures are remembered.
    """

    vjp: str | Callable[..., Any]
    jvp: Callable[..., Any]


class Plan(NamedTuple):
    """What a call comes to: a function of the backend, by its name, or another function of plain arrays; and arguments.

    Arrays among ``arguments`` should be the caller's own, in any shape: with others a plan is not kept. Nor is one with
    arrays among the constants that its vjp takes.
    """

    function: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    # Names of what the function gives, as its tape calls them: with several names it gives a tuple.
    results: tuple[str, ...] = ("y",)
    # How many of the results the caller gets, counted from the first. Those that are arrays of floats are differentiated;
    # they come before indices and tuples, which are not.
    gives: int = 1
    tape: Tape | None = None
    # By name, what the tape's functions take that is neither an argument nor a result.
    constants: Mapping[str, Any] = MappingProxyType({})
    # A binding and its arguments, where the checks read values of an array: a later call, with other values, follows the
    # plan if the binding gives True.
    guard: tuple[Any, ...] | None = None
    # Makes the error for a function that reads the values itself, and gives NotImplemented if it refuses them.
    refused: Callable[[], Exception] | None = None
    lasting: bool = True  # False where the checks computed arguments from values of arrays: the plan holds for one call


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
        """What a call with these arguments gives, by a plan that is made for it."""
        if mode.tracer is not None:
            return mode.tracer.operation(self, given)
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
        inputs = [given[i] for i in self.inputs]
        if any(isinstance(x, Tensor) for x in inputs):
            values = self._recorded(ops, plan, values, inputs, followed)
        return values[0] if plan.gives == 1 else values[: plan.gives]

    def _recorded(
        self, ops: ModuleType, plan: Plan, values: tuple[Any, ...], inputs: list[Any], followed: bool
    ) -> tuple[Any, ...]:
        """The results that the caller gets, of which differentiated ones are tensors, with a history where one is due."""
        vjp: Any = None
        jvp: Any = None
        if followed:
            assert plan.tape is not None
            arguments = zip(_names(_function(ops, plan)), plan.arguments, strict=False)
            results = zip(plan.results, values, strict=True)
            known = {**dict(arguments), **dict(results), **plan.constants, "ops": ops, "*": plan.arguments}
            vjp = _gradients(_bound(*_reverse(ops, plan.tape), _MOVING, known), len(inputs))
            jvp = self_adjoint
            if plan.tape.jvp is not self_adjoint:
                names = ("ops", "tangents", *_names(plan.tape.jvp)[2:])
                jvp = _bound(plan.tape.jvp, names, ("tangents",), known)
        outputs = [v for v in values[: plan.gives] if not isinstance(v, tuple) and v.dtype.kind == "f"]
        if vjp is None or len(outputs) == 1:
            return *(record(self.name, y, inputs, vjp, jvp) for y in outputs), *values[len(outputs) : plan.gives]
        return *record_many(self.name, outputs, inputs, vjp, jvp), *values[len(outputs) : plan.gives]


def _function(ops: ModuleType, plan: Plan) -> Callable[..., Any]:
    return getattr(ops, plan.function) if isinstance(plan.function, str) else plan.function


def _parameters(function: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a planner's positional parameters, without those that a partial function fills, and of its keywords."""
    bound = 0
    if isinstance(function, functools.partial):
        function, bound = function.func, len(function.args)
    code = function.__code__
    last = code.co_argcount
    return code.co_varnames[bound:last], code.co_varnames[last : last + code.co_kwonlyargcount]


@functools.lru_cache(None)
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters; ``*`` stands for a parameter ``*arguments``."""
    parameters = inspect.signature(function).parameters.values()
    return tuple("*" if p.kind is p.VAR_POSITIONAL else p.name for p in parameters)


_MOVING = ("dy", "needs")  # what the reverse pass calls gradients with
_DY = dict.fromkeys(("dloss", "dys"), "dy")  # the names that losses, and operations with several outputs, have for dy


def _reverse(ops: ModuleType, tape: Tape) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function that gives the gradients, and the names of what it takes."""
    function = getattr(ops, tape.vjp) if isinstance(tape.vjp, str) else tape.vjp
    return function, tuple(_DY.get(name, name) for name in _names(function))


def _bound(
    function: Callable[..., Any], names: tuple[str, ...], moving: tuple[str, ...], known: dict[str, Any]
) -> Callable[..., Any]:
    """A function of what is ``moving`` alone; what ``function`` takes beside it is ``known``."""
    kept: list[Any] = []
    places: dict[str, int] = {}
    for name in names:
        places[name] = len(kept)
        kept.extend([None] if name in moving else known["*"] if name == "*" else [known[name]])
    taken = [(i, places[name]) for i, name in enumerate(moving) if name in places]

    def bound(*given: Any) -> Any:
        arguments = kept.copy()
        for i, place in taken:
            arguments[place] = given[i]
        return function(*arguments)

    return bound


def _gradients(vjp: Callable[..., Any], inputs: int) -> Callable[..., Any]:
    """A function that always gives one gradient or None per input."""

    def gradients(dy: Any, needs: tuple[bool, ...]) -> Any:
        given = vjp(dy, needs)
        return given if isinstance(given, (tuple, list)) else (given, *[None] * (inputs - 1))

    return gradients


class Row(NamedTuple):
    """A plan as ``bindings/plan.pxi`` keeps it."""

    function: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    guard: tuple[Any, ...] | None
    several: bool  # whether the function gives a tuple of results
    gives: int  # how many results the caller gets
    vjp: Callable[..., Any] | None
    # What the vjp takes, as positions in (*arguments, *results, *constants); dy is -1, and needs is -2.
    keep: tuple[int, ...]
    constants: tuple[Any, ...]


def row_of(plan: Plan) -> Row | None:
    """What is kept of a plan; None if it holds for one call alone."""
    if not plan.lasting:
        return None
    ops, vjp = backend.current(), None
    keep: list[int] = []
    constants: dict[str, Any] = {}
    if plan.tape is not None:
        vjp, wanted = _reverse(ops, plan.tape)
        constants = {name: value for name, value in {**plan.constants, "ops": ops}.items() if name in wanted}
        arguments = range(len(plan.arguments))
        positions = dict(zip(_names(_function(ops, plan)), arguments, strict=False))
        positions |= {name: len(arguments) + i for i, name in enumerate((*plan.results, *constants))}
        positions |= {name: -1 - i for i, name in enumerate(_MOVING)}
        for name in wanted:
            keep.extend(arguments if name == "*" else [positions[name]])
    if any(isinstance(c, np.ndarray) for c in constants.values()):
        return None
    several, kept = len(plan.results) > 1, tuple(constants.values())
    return Row(plan.function, plan.arguments, plan.guard, several, plan.gives, vjp, tuple(keep), kept)


OPS: dict[str, Op] = {}
_core = backend.extension()
Call = Callable[..., Any]


def operation(name: str, plan: _Planner, inputs: tuple[str, ...] = ()) -> Call:
    """What a public function calls: `Op.checked`, or with the extension an object that keeps the plans of earlier calls."""
    op = Op(name, plan, inputs)
    return op.checked if _core is None else _core.planned(op, row_of)


if _core is not None:
    _core.use_tape(Tensor, mode, record, record_many)
    backend._when_switched(_core.follow_plans)
