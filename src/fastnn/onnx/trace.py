"""What a model computes, written down: each operation with all its arguments, while the model runs on an example.

Values are known by the arrays that hold them, so ``x.detach()``, ``x.data`` and the tensor itself are one value. Whatever
else an operation gets, arrays and numbers, is a constant of the run; `fastnn.onnx.compare` looks at whether it depends on
the example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..autograd.core import TensorBase
from ..autograd.modes import mode

OTHERWISE = -1  # of an extent that depends on the batch size, but is no multiple of it


@dataclass(eq=False)
class Value:
    """What the example or an operation gave."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    # For each axis the factor by which its extent is a multiple of the batch size; 0 where it does not depend on that.
    batches: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.batches = (0,) * len(self.shape)


@dataclass(eq=False)
class Constant:
    """An array that no operation gave; ``name`` is that of the state dict, or empty."""

    array: np.ndarray
    name: str = ""
    # An axis along which all is equal, and by which multiple of the batch size it is long.
    axis: int | None = None
    factor: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array."""
        return self.array.dtype


@dataclass(eq=False)
class Step:
    """An operation: its arguments in order, with `Value` and `Constant` in the place of tensors and arrays."""

    name: str
    arguments: tuple[Any, ...]
    outputs: tuple[Value, ...]
    # The sizes that the checks made of the arguments of a convolution or pooling, and the function of the plan.
    geometry: Any = None
    function: str = ""
    known: bool = True  # whether it is fastnn's own


class Refused(Exception):
    """The model did something that cannot be followed; the text says what."""


@dataclass(eq=False)
class Trace:
    """The steps of one run, and the values that came in and out."""

    steps: list[Step] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: Any = None  # as the model gave them, with `Value` and `Constant` in the place of tensors and arrays


class Tracer:
    """Writes down the operations of this thread, into ``trace``."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.trace = Trace()
        self._names = names  # of the arrays of the state, by id
        self._known: dict[int, Value | Constant] = {}
        self._alive: list[Any] = []  # what is known by its id must not be freed
        self._values: list[np.ndarray] = []
        self._stale: dict[int, str] = {}

    def input(self, array: np.ndarray) -> Tensor:
        """A tensor for an array of the example."""
        x = Tensor(array)
        self.trace.inputs.append(self._follow(x))
        return x

    def operation(self, op: Any, given: tuple[Any, ...]) -> Any:
        """What an operation of `fastnn.functional` gives for these arguments, as plain arrays would."""
        plain = tuple(_plain(x) for x in given)
        plan = op.plan(*plain)
        function = plan.function if isinstance(plan.function, str) else plan.function.__name__
        if function in _CHANGING:
            plan = plan._replace(arguments=tuple(a.copy() if isinstance(a, np.ndarray) else a for a in plan.arguments))
        results = op.follow(plan, plain, False)
        if not any(_is_followed(x) for x in given):
            return results
        resolved = self._resolved(op.name, given)
        several = isinstance(results, tuple)
        outputs = [_wrapped(y) for y in (results if several else (results,))]
        values = tuple(self._follow(y) for y in outputs if not isinstance(y, tuple))
        geometry = next((a for a in plan.arguments if hasattr(a, "_fields")), None)
        self.trace.steps.append(Step(op.name, resolved, values, geometry, function))
        return tuple(outputs) if several else outputs[0]

    def recorded(self, name: str, output: TensorBase, inputs: Sequence[Any], given: tuple[Any, ...] | None) -> None:
        """Write down an operation that was put on the tape."""
        resolved = self._resolved(name, (*inputs, *(given or ())))
        self.trace.steps.append(Step(name, resolved, (self._follow(output),), known=given is not None))

    def of_arrays(self, name: str, output: Any, arguments: tuple[Any, ...]) -> Any:
        """Write down an operation of arrays where one is the result of a comparison, or places."""
        return self.computed(name, output, arguments) if any(map(_is_followed, arguments)) else output

    def recorded_many(self, name: str, outputs: Sequence[np.ndarray], inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Write down an operation of several results, which are none of fastnn's own; give the results as tensors."""
        resolved, tensors = self._resolved(name, inputs), tuple(map(Tensor, outputs))
        self.trace.steps.append(Step(name, resolved, tuple(map(self._follow, tensors)), known=False))
        return tensors

    def computed(self, name: str, result: Any, arguments: tuple[Any, ...]) -> Any:
        """Write down a comparison and the like, which gives a plain array; that is the result, as one that is followed."""
        resolved = self._resolved(name, arguments)
        y = np.asarray(result).view(TracedArray)
        self.trace.steps.append(Step(name, resolved, (self._follow(y),)))
        return y

    def replaced(self, x: Any) -> None:
        """Values that would have been changed in place: what has their memory, under whatever name, may not be used again."""
        for array in self._values:
            if np.may_share_memory(array, x.data):
                self._stale[id(array)] = "was changed in place"

    def output(self, results: Any) -> None:
        """What the model returned."""
        self.trace.outputs = self._resolve("the output", results)

    def _follow(self, y: Any) -> Value:
        array = y.data if isinstance(y, TensorBase) else y
        value = Value(array.shape, array.dtype)
        self._known[id(array)] = value
        self._alive.append(array)
        self._values.append(array)
        if isinstance(y, Tensor):
            y.__class__ = TracedTensor
            # In the place of a tangent, so that all that would lose a derivative is refused here, too.
            y._tangent = y.data
        return value

    def _resolved(self, name: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(self._resolve(name, x) for x in arguments)

    def _resolve(self, name: str, x: Any) -> Any:
        if isinstance(x, TensorBase):
            x = x.data
        if isinstance(x, np.ndarray):
            if id(x) in self._stale:
                raise Refused(f"{name}: takes a tensor that {self._stale[id(x)]} after it was computed")
            found = self._known.get(id(x))
            return found if found is not None else self._constant(name, x)
        if isinstance(x, (tuple, list)) and not hasattr(x, "_fields"):
            return type(x)(self._resolve(name, item) for item in x)
        if isinstance(x, dict):
            return {key: self._resolve(name, item) for key, item in x.items()}
        return x

    def _constant(self, name: str, x: np.ndarray) -> Constant:
        state = self._names.get(id(x), "")
        if isinstance(x, TracedArray) and not any(np.may_share_memory(x, array) for array in self._values):
            raise Refused(
                f"{name}: takes an array that NumPy computed of a comparison or of places, by another function than arithmetic, "
                "astype, reshape, sum, mean and indexing"
            )
        if not state and any(np.may_share_memory(x, array) for array in self._values):
            raise Refused(
                f"{name}: takes a view of values that were computed from the input, made outside of tensors; index and "
                "reshape the tensor itself, not x.numpy(), x.data or np.asarray(x)"
            )
        made = Constant(np.asarray(x), state)
        self._known[id(x)] = made
        self._alive.append(x)
        return made


# Norms in training, which change running statistics; they are refused when the graph is written.
_CHANGING = ("batch_norm_train_forward", "_tracked")


def _plain(x: Any) -> Any:
    if isinstance(x, TensorBase):
        return x.data
    return x.view(np.ndarray) if isinstance(x, TracedArray) else x


def _is_followed(x: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return any(map(_is_followed, x))
    return isinstance(x, (TensorBase, TracedArray))


def _wrapped(y: Any) -> Any:
    """A result as the caller gets it: a tensor, or a plain array of numbers of elements."""
    if isinstance(y, tuple):
        return y
    array = np.asarray(y)
    return Tensor(array) if array.dtype.kind == "f" else array.view(TracedArray)


def _compared(name: str) -> Callable[[Any, Any], Any]:
    plain = getattr(Tensor, f"__{name}__")

    def compare(self: Any, other: Any) -> Any:
        result = plain(self, other)
        return result if mode.tracer is None else _tracer().computed(name, result, (self, other))

    return compare


def _tracer() -> Tracer:
    assert isinstance(mode.tracer, Tracer)
    return mode.tracer


def _number(what: str) -> Callable[[Any], Any]:
    plain = getattr(Tensor, what)

    def convert(self: Any) -> Any:
        if mode.tracer is not None:
            raise Refused(
                f"Tensor.{what}: makes a Python number of a value that depends on the input, which a graph cannot follow; "
                "use fastnn.where in the place of if, and tensors in the place of numbers"
            )
        return plain(self)

    return convert


def _place(name: str) -> Callable[..., Any]:
    plain = getattr(Tensor, name)

    def find(self: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        result = plain(self, axis, keepdims)
        return result if mode.tracer is None else _tracer().computed(name, result, (self, axis, keepdims))

    return find


class TracedTensor(Tensor):
    """A tensor whose comparisons are written down, too, and which gives no Python numbers away."""

    __slots__ = ()

    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = map(_compared, ("lt", "le", "gt", "ge", "eq", "ne"))
    __hash__ = object.__hash__
    __bool__, __float__, __int__ = map(_number, ("__bool__", "__float__", "__int__"))
    item, tolist = map(_number, ("item", "tolist"))
    argmax, argmin = map(_place, ("argmax", "argmin"))


_LOGIC = {
    np.bitwise_and: "and", np.logical_and: "and", np.bitwise_or: "or", np.logical_or: "or",
    np.bitwise_xor: "xor", np.logical_xor: "xor", np.invert: "not", np.logical_not: "not",
    np.multiply: "and", np.minimum: "and", np.add: "or", np.maximum: "or", np.not_equal: "xor", np.equal: "eq",
}  # fmt: skip


_ARITHMETIC = {
    np.equal: "eq", np.not_equal: "ne", np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge",
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.true_divide: "divide", np.maximum: "maximum",
    np.minimum: "minimum",
}  # fmt: skip


def _total(name: str) -> Callable[..., Any]:
    plain = getattr(np.ndarray, name)

    def total(self: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        result = plain(self.view(np.ndarray), axis, dtype, _plain(out), keepdims)
        if mode.tracer is None or dtype is not None or out is not None:
            return result.view(TracedArray) if type(result) is np.ndarray else result
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        return _tracer().computed(name, result, (self, tuple(i % self.ndim for i in axes), keepdims))

    return total


class TracedArray(np.ndarray):
    """The result of a comparison, or places: a plain array whose use in common operations of NumPy is written down.

    What NumPy makes of it otherwise is of this class, too, and known to no tracer, so that no operation takes it.
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [_plain(x) for x in inputs]
        if "out" in options:
            options["out"] = tuple(map(_plain, options["out"]))
        result = getattr(ufunc, method)(*plain, **options)
        if mode.tracer is None:
            return result
        names = _LOGIC if all(np.asarray(x).dtype == bool for x in plain) else _ARITHMETIC
        name = names.get(ufunc)
        if name is None or method != "__call__" or options:
            return result.view(TracedArray) if type(result) is np.ndarray else result
        return _tracer().computed(name, result, inputs)

    def __getitem__(self, index: Any) -> Any:
        result = self.view(np.ndarray)[_plain(index)]
        return result if mode.tracer is None else _tracer().computed("getitem", result, (self, index))

    sum, mean = map(_total, ("sum", "mean"))

    def reshape(self, *shape: Any, **named: Any) -> Any:
        """In another shape."""
        result = self.view(np.ndarray).reshape(*shape, **named)
        return result if mode.tracer is None else _tracer().computed("reshape", result, (self, *shape))

    def astype(self, dtype: Any, *options: Any, **named: Any) -> Any:
        """In another dtype."""
        result = self.view(np.ndarray).astype(dtype, *options, **named)
        return result if mode.tracer is None else _tracer().computed("astype", result, (self, dtype))

    def __bool__(self) -> bool:
        if mode.tracer is not None:
            raise Refused(
                "bool: decides by a value that depends on the input, which a graph cannot follow; use fastnn.where in the "
                "place of if"
            )
        return bool(self.view(np.ndarray))


@contextmanager
def _tracing(tracer: Tracer) -> Iterator[None]:
    """Inside, the operations of this thread go through the tracer, each by itself."""
    if mode.forward:
        raise RuntimeError("onnx.save: cannot be used inside jvp, or in a model that is exported")
    observers = mode.observers
    mode.forward, mode.tracer = True, tracer
    mode.observers = (*observers, lambda name, output, inputs, vjp, result: vjp)  # nothing is computed together
    try:
        with no_grad():
            yield
    finally:
        mode.forward, mode.tracer, mode.observers = False, None, observers


def traced(model: Callable[..., Any], arrays: Sequence[np.ndarray], names: Mapping[int, str]) -> Trace:
    """What ``model`` computes from these arrays; ``names`` are those of the arrays of its state, by id."""
    tracer = Tracer(names)
    with _tracing(tracer):
        tracer.output(model(*(tracer.input(array) for array in arrays)))
    return tracer.trace
