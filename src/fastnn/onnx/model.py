"""`OnnxModel`: a module that computes the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._generators import generator
from ..autograd import Tensor, raw
from ..checks.arrays import unmasked
from ..nn import Module, Parameter
from ._package import OnnxError
from .graph import Graph, Slot
from .read_call import Run
from .read_table import OPS
from .reader import type_name

__all__ = ["OnnxModel"]

_FAULTS = (ValueError, TypeError, IndexError, ArithmeticError)


class OnnxModel(Module):
    """What `fastnn.onnx.load` makes of a file: its nodes, computed in order, with its initialisers as parameters.

    Attributes
    ----------
    input_names, output_names : tuple of str
        In the order in which a call takes and gives them.
    uses_batch_statistics : bool
        Whether a node is a batch norm, so that outputs in training mode depend on the whole batch.

    Notes
    -----
    A call takes arrays or tensors in the order of ``input_names``. It gives a tensor, or an array where the graph gives
    integers or booleans; a tuple where there are several outputs. Values are freed when no later node needs them. `train` has
    batch norm use the statistics of the batch and update the running ones, and dropout drop, whatever the file says.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from onnx import TensorProto, helper
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", [x], [y])
    >>> model = fnn.onnx.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    >>> model
    OnnxModel(x -> y; 1 node)
    >>> model(np.array([-1, 2], np.float32))
    tensor([0., 2.], dtype=float32)
    """

    def __init__(self, graph: Graph, trained: set[str], statistics: set[str], rng: Any = None) -> None:
        self.input_names = tuple(slot.name for slot in graph.inputs)
        self.output_names = tuple(slot.name for slot in graph.outputs)
        self.uses_batch_statistics = any(step.op_type == "BatchNormalization" for step in graph.steps)
        self.rng = generator(rng)
        self._inputs, self._outputs, self._steps = graph.inputs, graph.outputs, graph.steps
        self._weights: dict[str, Parameter] = {}
        self._statistics: dict[str, np.ndarray] = {}
        self._numbers: dict[str, np.ndarray] = {}
        for name in list(graph.arrays):
            array = graph.arrays.pop(name)  # so that no two copies of all of them are there
            if name in trained:
                self._weights[name] = Parameter(array, decay=array.ndim > 1)
            elif name in statistics:
                self._statistics[name] = array.copy()
            else:
                self._numbers[name] = array
        self._floats: np.dtype[Any] | None = None
        self.train(graph.training)

    def _own(self, kind: type[Parameter] | None) -> Iterator[tuple[str, Any]]:
        yield from super()._own(kind)
        yield from (self._statistics if kind is None else self._weights).items()

    def _convert(self, dtype: np.dtype[Any], converted: Callable[[np.ndarray], np.ndarray]) -> None:
        for name in self._buffers:
            setattr(self, name, converted(vars(self)[name]))
        self._statistics = {name: converted(array) for name, array in self._statistics.items()}
        self._numbers = {name: converted(array) for name, array in self._numbers.items()}
        self._floats = dtype

    def forward(self, *inputs: Any) -> Any:
        """The outputs of the graph; see the class."""
        if len(inputs) != len(self._inputs):
            raise TypeError(
                f"OnnxModel: expected the inputs {', '.join(self.input_names) or 'none'}, got {len(inputs)} arrays"
            )
        values: dict[str, Any] = {**self._numbers, **self._statistics, **self._weights}
        run = Run(self.training, self.rng, self._floats)
        run.give(sum(raw(value).nbytes for value in values.values()))
        for slot, value in zip(self._inputs, inputs, strict=True):
            values[slot.name] = taken = _taken(slot, value, run)
            run.give(raw(taken).nbytes)
        try:
            with np.errstate(all="ignore"):
                self._compute(values, run)
        except OnnxError as error:
            other = [*_other_batches(self._inputs, inputs)]
            if not other:
                raise
            raise OnnxError(f"{error}; {', '.join(other)}: perhaps the file holds for this batch only") from error
        results = tuple(_result(values[name]) for name in self.output_names)
        return results[0] if len(results) == 1 else results

    def _compute(self, values: dict[str, Any], run: Run) -> None:
        for step in self._steps:
            row = OPS[step.op_type]
            options = step.attributes
            if row.given:
                own = {"run": run, "count": len(step.outputs)}
                options = options | {name: own[name] for name in row.given}
            try:
                result = row.compute(*[values[name] if name else None for name in step.inputs], **options)
                for name, value in zip(step.outputs, result if isinstance(result, tuple) else (result,), strict=True):
                    if not name:
                        continue
                    values[name] = value = value if isinstance(value, (np.ndarray, Tensor)) else np.asarray(value)
                    run.hold(name, raw(value).nbytes)
            except OnnxError:
                raise
            except _FAULTS as error:
                raise OnnxError(f"OnnxModel: {step.label}: {error}") from error
            for name in step.done:
                del values[name]
                run.free(name)

    def extra_repr(self) -> str:
        inputs, outputs = ", ".join(self.input_names), ", ".join(self.output_names)
        return f"{inputs} -> {outputs}; {len(self._steps)} node{'s' * (len(self._steps) != 1)}"


def _other_batches(slots: tuple[Slot, ...], inputs: tuple[Any, ...]) -> Iterator[str]:
    """The inputs whose first extent is another one than the file says."""
    for slot, value in zip(slots, inputs, strict=True):
        if slot.shape and slot.shape[0] not in (None, len(value)):
            yield f"{slot.name!r} has {slot.shape[0]} as its first extent in the file, here {len(value)}"


def _taken(slot: Slot, value: Any, run: Run) -> Any:
    """A value for an input of the graph, refused where it has another dtype or shape than the file says."""
    wanted = run.dtype(slot.code)
    array = raw(value) if isinstance(value, Tensor) else np.asarray(unmasked("OnnxModel", slot.name, value))
    if wanted.kind == "f" and array.dtype.name in ("float16", "bfloat16"):
        value = array = array.astype(wanted)
    fits = array.dtype == wanted if wanted.kind in "fb" else np.can_cast(array.dtype, wanted, "same_kind")
    if not fits:
        what = f"{type_name(slot.code)}, here {wanted}" if wanted.name.upper() != type_name(slot.code) else str(wanted)
        raise TypeError(
            f"OnnxModel: the input {slot.name!r} is {what}, got {array.dtype}; pass {slot.name}.astype(np.{wanted})"
        )
    if slot.shape is not None:
        fits = len(slot.shape) == array.ndim
        if not fits or any(n not in (None, m) for n, m in zip(slot.shape[1:], array.shape[1:], strict=True)):
            raise ValueError(
                f"OnnxModel: the input {slot.name!r} has shape {slot.shape} in the file, got {array.shape}"
            )
    if wanted.kind != "f":
        return array.astype(wanted, copy=False)
    return value if isinstance(value, Tensor) else Tensor(array)


def _result(value: Any) -> Any:
    return Tensor(value) if not isinstance(value, Tensor) and value.dtype.kind == "f" else value
