"""The graph that is written: nodes, arrays, names, and what the version of the operators allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .compare import Batch
from .trace import OTHERWISE, Constant, Step, Value

Name = str


class Unsayable(Exception):
    """ONNX has no operators for what a step computes; the text says what."""


class Graph:
    """A graph in the making.

    Parameters
    ----------
    onnx : module
        The package ``onnx``.
    opset : int
        The version of the operators.
    taken : iterable of str
        Names that nothing but inputs, outputs and arrays of the state may have.
    """

    def __init__(self, onnx: Any, opset: int, taken: Iterable[str]) -> None:
        self.onnx, self.opset = onnx, opset
        self.nodes: list[Any] = []
        self.arrays: dict[Name, np.ndarray] = {}
        self.names: dict[Value | Constant, Name] = {}
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}
        self._literals: dict[Any, Name] = {}
        self._batch: tuple[Value, int] | None = None

    def take_batch_from(self, value: Value, axis: int) -> None:
        """Say which extent is the batch size."""
        self._batch = value, axis

    def fresh(self, stem: str) -> Name:
        """A name that nothing has."""
        while True:
            number = self._numbers.get(stem, 0)
            self._numbers[stem] = number + 1
            name = f"{stem}_{number}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def node(self, kind: str, *inputs: Any, **attributes: Any) -> Name:
        """Add a node with one output, whose name is given. Inputs are names, values, constants or None."""
        return self.node_of_several(kind, 1, *inputs, **attributes)[0]

    def node_of_several(self, kind: str, count: int, *inputs: Any, **attributes: Any) -> tuple[Name, ...]:
        """Add a node with so many outputs, whose names are given."""
        names = [self.name(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        results = tuple(self.fresh(kind.lower()) for _ in range(count))
        given = {key: value for key, value in attributes.items() if value is not None}
        name = self.fresh(f"node_{kind}")
        self.nodes.append(self.onnx.helper.make_node(kind, names, list(results), name=name, **given))
        return results

    def name(self, x: Any) -> Name:
        """The name of what an argument stands for, which the file holds if it is an array."""
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, Batch):
            return self.batch(x.factor)
        found = self.names.get(x)
        if found is None:
            assert isinstance(x, Constant), x
            found = self.names[x] = self._of_constant(x)
        return found

    def _of_constant(self, x: Constant) -> Name:
        if x.axis is not None:
            shape: list[Any] = list(x.shape)
            shape[x.axis] = Batch(x.factor, 0)
            return self.node("Expand", self.array(x.array), self.shape(shape))
        array = np.ascontiguousarray(x.array, x.array.dtype.newbyteorder("=")).reshape(x.array.shape)
        if not x.name:
            return self.array(array)
        self.arrays[x.name] = array
        return x.name

    def array(self, values: Any, dtype: Any = None) -> Name:
        """A constant with these values, once for equal ones."""
        array = np.asarray(values, dtype)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._literals:
            name = self._literals[key] = self.fresh("constant")
            self.arrays[name] = array
        return self._literals[key]

    def ints(self, *values: int) -> Name:
        """A list of integers, as shapes and axes are given."""
        return self.array(np.array(values, np.int64).reshape(-1))

    def batch(self, factor: int = 1) -> Name:
        """The batch size, times a factor, as a list of one."""
        if factor == OTHERWISE:
            raise Unsayable("needs an extent that depends on the batch size, but is no multiple of it")
        assert self._batch is not None
        key = ("batch", factor)
        if key not in self._literals:
            if factor == 1:
                value, axis = self._batch
                self._literals[key] = self.node("Gather", self.node("Shape", value), self.ints(axis), axis=0)
            else:
                self._literals[key] = self.node("Mul", self.batch(), self.ints(factor))
        return self._literals[key]

    def shape(self, extents: Sequence[Any]) -> Name:
        """A shape, of which some extents may be multiples of the batch size."""
        if not any(isinstance(n, Batch) for n in extents):
            return self.ints(*extents)
        return self.node("Concat", *(n if isinstance(n, Batch) else self.ints(n) for n in extents), axis=0)

    def operand(self, x: Any, dtype: np.dtype[Any]) -> Name:
        """An argument of arithmetic, as an array of this dtype: numbers and what has another one are converted."""
        if isinstance(x, (Value, Constant)):
            return self.cast(x, dtype) if x.dtype != dtype else self.name(x)
        if isinstance(x, Batch):
            return self.cast(self.node("Squeeze", self.batch(x.factor), self.ints(0)), dtype)
        if isinstance(x, str):
            return x
        return self.array(x, dtype)

    def cast(self, x: Any, dtype: Any) -> Name:
        """x converted to a dtype of NumPy."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", x, to=kind)

    def reshape(self, x: Any, extents: Sequence[Any]) -> Name:
        """x in another shape; ``extents`` may have -1 or multiples of the batch size."""
        dynamic = [i for i, n in enumerate(extents) if isinstance(n, Batch)]
        if len(dynamic) == 1 and 0 not in extents and -1 not in extents:
            extents = [-1 if i == dynamic[0] else n for i, n in enumerate(extents)]
        return self.node("Reshape", x, self.shape(extents), allowzero=1 if 0 in extents else None)


def extents(value: Value | Constant) -> list[Any]:
    """The shape of a value, with multiples of the batch size where it depends on that."""
    if isinstance(value, Constant):
        return list(value.shape)
    return [Batch(f, n) if f else n for n, f in zip(value.shape, value.batches, strict=True)]


def result(step: Step) -> Value:
    """The first output of a step."""
    return step.outputs[0]


def exact(number: float, dtype: Any) -> bool:
    """Whether an attribute, which holds float32, is as good as a number of this dtype."""
    return np.dtype(dtype) == np.float32 or float(np.float32(number)) == number
