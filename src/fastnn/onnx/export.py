"""`save`: a model as an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from .._atomic import PathLike, replaceable, write_atomically
from .._version import __version__
from ..checks import scalars
from ..checks.arrays import counted
from . import (  # noqa: F401 - their rows
    write_activations,
    write_arithmetic,
    write_layers,
    write_losses,
    write_norms,
    write_pad,
    write_pools,
    write_products,
    write_recurrent,
    write_resize,
    write_shapes,
)
from ._package import OnnxError, package
from .compare import Batch
from .graph_writer import Graph, Unsayable
from .runs import State, batch_axes, example_arrays, parameter_names, trace_of
from .trace import Constant, Refused, Step, Trace, Value
from .write_table import REFUSED, ROWS

OLDEST = 17
_LARGEST = 2**31 - 1  # bytes of a message of Protocol Buffers
# Operations that may get multiples of the batch size, as operands, indices and extents.
_OF_BATCH = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "where",
    "clip",
    "getitem",
    "reshape",
}


def save(
    model: Callable[..., Any],
    path: PathLike,
    example: Any,
    *,
    opset: int = OLDEST,
    batch_axis: int | Sequence[int | None] | None = 0,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> None:
    """Write a model as an ONNX file, which onnxruntime and others run without fastnn.

    The model runs on the example, and the operations that it calls become the nodes of the graph: layers, functions of
    `fastnn.functional`, arithmetic and methods of tensors, in whatever way ``forward`` puts them together. It runs in evaluation
    mode, and again with other values and another batch size, so that nothing is written that holds for the example alone.

    Parameters
    ----------
    model : Module or callable
        A model, or a function of tensors. Modes, statistics, parameters and generators of the model, and of modules that the
        function reaches by its variables, arguments and attributes, stay as they are.
    path : path
        The file; one that is there is replaced when the new one is complete.
    example : array_like, or tuple of array_like
        What the model takes: float32, float64, integers or booleans. Its values are of no importance, shapes and dtypes are.
    opset : int
        The version of ONNX's operators, 17 or newer. Newer ones have operators for what is composed of several nodes otherwise.
    batch_axis : int, None, or sequence of them
        The axis of the samples in the inputs, whose extent is left open: for all inputs, or for each one. None for an input that
        has no such axis; with None alone the graph takes batches of the example's size only.
    input_names, output_names : sequence of str, optional
        By default the names of the parameters of ``forward``; and ``"output"``, or ``"output_0"`` and so on where there are
        several, or the keys of a dictionary.

    Raises
    ------
    OnnxError
        If something cannot be said in ONNX, with the name of each operation and the reason, all at once; or the model computes
        with the input outside of tensors, or decides by its values. Nothing is written then.
    TypeError, ValueError
        For arguments that are not as above.
    MissingExtraError
        Without the package onnx: ``pip install 'fastnn[onnx]'``.
    OSError
        If the file cannot be written.

    Notes
    -----
    Parameters, and running statistics of batch norm, are initialisers under the names of the state dict, in a function behind
    the name of the module; all other arrays are ``Constant`` nodes, so that `fastnn.onnx.load` does not train them. `fastnn.jvp` and gradients inside a model are
    not followed. See ``docs/onnx.md`` for what becomes what.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> model = fnn.nn.Sequential(fnn.nn.Linear(3, 8, rng=0), fnn.nn.ReLU(), fnn.nn.Linear(8, 2, rng=1))
    >>> with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    ...     fnn.onnx.save(model, file.name, np.ones((4, 3), np.float32))
    """
    onnx = package("onnx.save")
    if not callable(model):
        raise TypeError(f"onnx.save: model must be a Module or a function, got {type(model).__name__}")
    newest = onnx.defs.onnx_opset_version()
    version = scalars.integer("onnx.save", "opset", opset, OLDEST)
    if version > newest:
        raise ValueError(f"onnx.save: opset must be in {OLDEST}…{newest}, the newest of the package onnx, got {opset}")
    target = replaceable("onnx.save", path)
    arrays = example_arrays(example)
    axes = batch_axes(arrays, batch_axis)
    try:
        trace, state = trace_of(model, arrays, axes)
        made = _Export(
            onnx, version, trace, state, axes, input_names or parameter_names(model, len(arrays)), output_names
        )
        content = made.model().SerializeToString()
    except Refused as error:
        raise OnnxError(f"onnx.save: {error}") from error.__cause__

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_atomically(target, write)


class _Export:
    """One file: the graph of a trace, with its inputs and outputs."""

    def __init__(
        self,
        onnx: Any,
        opset: int,
        trace: Trace,
        state: State,
        axes: list[int | None],
        input_names: Sequence[str],
        output_names: Sequence[str] | None,
    ) -> None:
        self.onnx, self.trace, self.parameters = onnx, trace, state.parameters
        found = dict(_leaves(trace.outputs, ""))
        if not found:
            raise Refused("the model returns no tensor")
        self.outputs = list(found.values())
        default = list(found) if len(found) > 1 and all(found) else ["output"]
        if len(default) != len(found):
            default = [f"output_{i}" for i in range(len(found))]
        self.input_names = _names("input_names", input_names, len(trace.inputs))
        self.output_names = _names("output_names", output_names or default, len(self.outputs))
        taken = [*self.input_names, *self.output_names, *state.names.values()]
        self.graph = Graph(onnx, opset, taken)
        self._apart(set(state.names.values()))
        for name, value, axis in zip(self.input_names, trace.inputs, axes, strict=True):
            self.graph.names[value] = name
            if axis is not None:
                self.graph.take_batch_from(value, axis)

    def _apart(self, state: set[str]) -> None:
        """Names of inputs and outputs that nothing else has."""
        before: set[str] = set(state)
        for names in (self.input_names, self.output_names):
            for i, name in enumerate(names):
                if name in before:
                    names[i] = self.graph.fresh(name)
                before.add(names[i])

    def model(self) -> Any:
        """The model as a message."""
        self._write(_needed(self.trace, self.outputs))
        self._name_outputs()
        helper, graph = self.onnx.helper, self.graph
        nodes = self._live_nodes()
        initializers, constants = self._arrays(nodes)
        size = sum(array.nbytes for array in (*initializers.values(), *constants.values()))
        if size > _LARGEST:
            raise Refused(f"the arrays of the model take {size} bytes; a file holds at most {_LARGEST}")
        array_of = self.onnx.numpy_helper.from_array
        fixed = [
            helper.make_node("Constant", [], [name], name=graph.fresh("node_Constant"), value=array_of(array))
            for name, array in constants.items()
        ]
        made = helper.make_graph(
            [*fixed, *nodes],
            "fastnn",
            [self._info(name, value) for name, value in zip(self.input_names, self.trace.inputs, strict=True)],
            [self._info(name, value) for name, value in zip(self.output_names, self.outputs, strict=True)],
            [array_of(array, name) for name, array in initializers.items()],
        )
        imports = [helper.make_opsetid("", graph.opset)]
        version = helper.find_min_ir_version_for(imports)
        model = helper.make_model(
            made, opset_imports=imports, ir_version=version, producer_name="fastnn", producer_version=__version__
        )
        try:
            self.onnx.checker.check_model(model, full_check=True)
        except (self.onnx.checker.ValidationError, self.onnx.shape_inference.InferenceError) as error:
            raise Refused(f"ONNX's checker refuses the graph: {error}") from error
        return model

    def _arrays(self, nodes: Sequence[Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The arrays that nodes take: parameters and statistics of batch norm, and others, which nothing should train."""
        trained = set(self.parameters)
        for node in nodes:
            if node.op_type == "BatchNormalization":
                trained.update(node.input[3:])
        used = {name for node in nodes for name in node.input}
        arrays = {name: array for name, array in self.graph.arrays.items() if name in used}
        return (
            {name: array for name, array in arrays.items() if name in trained},
            {name: array for name, array in arrays.items() if name not in trained},
        )

    def _write(self, steps: Sequence[Step]) -> None:
        """Add the nodes of all steps, or say what has none."""
        refused: dict[str, None] = {}
        for step in steps:
            try:
                self._add(step)
            except Unsayable as error:
                refused[f"{step.name} {error}"] = None
                for value in step.outputs:
                    self.graph.names[value] = self.graph.fresh("refused")
        if refused:
            raise Refused("ONNX has no form for this model: " + "; ".join(refused))

    def _add(self, step: Step) -> None:
        if not step.known:
            raise Unsayable("is an operation of your own, which ONNX does not have")
        if step.name not in ROWS:
            gradient = step.name.endswith("_backward")
            raise Unsayable(REFUSED.get(step.name, "is a gradient" if gradient else "has no operator in ONNX"))
        if step.name not in _OF_BATCH and any(isinstance(x, Batch) for x in step.arguments):
            raise Unsayable("gets a number that is a multiple of the batch size")
        names = ROWS[step.name](self.graph, step, *step.arguments)
        names = names if isinstance(names, tuple) else (names,)
        for value, name in zip(step.outputs, names, strict=True):
            self.graph.names[value] = name

    def _name_outputs(self) -> None:
        """Give what the model returns its names; what is no node's own output goes through a node of its own."""
        produced = {name: node for node in self.graph.nodes for name in node.output}
        renamed: dict[str, str] = {}
        for name, value in zip(self.output_names, self.outputs, strict=True):
            before = self.graph.name(value)
            if before in produced and before not in renamed:
                renamed[before] = name
            else:
                self.graph.nodes.append(self.onnx.helper.make_node("Identity", [before], [name]))
        for node in self.graph.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = renamed.get(name, name)

    def _live_nodes(self) -> list[Any]:
        """The nodes that an output needs."""
        needed, live = set(self.output_names), []
        for node in reversed(self.graph.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                live.append(node)
        return live[::-1]

    def _info(self, name: str, value: Value | Constant) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        factors = value.batches if isinstance(value, Value) else (0,) * len(value.shape)
        dims = [n if not f else "batch" if f == 1 else None for n, f in zip(value.shape, factors, strict=True)]
        return self.onnx.helper.make_tensor_value_info(name, kind, dims)


def _names(argument: str, given: Sequence[str], count: int) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != count or len(set(names)) != count or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"onnx.save: {argument} must be {counted(count, 'different name')}, got {given!r}")
    return names


def _leaves(x: Any, path: str) -> Iterator[tuple[str, Value | Constant]]:
    """The values among what the model returned, with names by the keys and places that lead to them."""
    if isinstance(x, (Value, Constant)):
        yield path, x
    elif isinstance(x, Mapping):
        for key, item in x.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(x, (tuple, list)):
        for i, item in enumerate(x):
            yield from _leaves(item, f"{path or 'output'}_{i}")
    elif x is not None:
        raise Refused(
            f"the model returns {type(x).__name__}, and not only tensors, arrays, and tuples and dictionaries of them"
        )


def _needed(trace: Trace, outputs: Sequence[Any]) -> list[Step]:
    """The steps that the outputs depend on."""
    needed = set(outputs)
    steps = []
    for step in reversed(trace.steps):
        if needed.intersection(step.outputs):
            steps.append(step)
            needed.update(_values_in(step.arguments))
    return steps[::-1]


def _values_in(x: Any) -> Iterator[Value]:
    if isinstance(x, Value):
        yield x
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from _values_in(item)
