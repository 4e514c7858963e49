"""`save`: a model as an ONNX file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

import numpy as np

from .._atomic import PathLike, replaceable, write_atomically
from .._version import __version__
from ..autograd import Tensor, no_grad, raw
from ..checks import scalars
from ..checks.arrays import counted, unmasked
from ..nn import Module
from ..training.preserved import preserved
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
    write_shapes,
)
from ._package import OnnxError, package
from .compare import Batch, find_batches, require_same_values
from .graph_writer import Graph, Unsayable
from .rows import REFUSED, ROWS
from .trace import Constant, Refused, Step, Trace, Value, traced

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
        function knows by name, stay as they are.
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
    Parameters and buffers are initialisers under the names of the state dict, in a function behind the name of the module. `fastnn.jvp` and gradients inside a model are not
    followed. See ``docs/onnx.md`` for what becomes what.

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
    arrays = _arrays(example)
    axes = _axes(arrays, batch_axis)
    try:
        trace, names = _traced(model, arrays, axes)
        made = _Export(onnx, version, trace, names, axes, input_names or _parameters(model, len(arrays)), output_names)
        content = made.model().SerializeToString()
    except Refused as error:
        raise OnnxError(f"onnx.save: {error}") from error.__cause__

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_atomically(target, write)


def _arrays(example: Any) -> list[np.ndarray]:
    """The example as fresh arrays."""
    given = example if isinstance(example, tuple) else (example,)
    if not given:
        raise ValueError("onnx.save: example must be an array, or a tuple of arrays, got an empty tuple")
    arrays = []
    for i, x in enumerate(given):
        array = np.array(unmasked("onnx.save", f"example {i}", raw(x)), order="C")
        array = array.astype(array.dtype.newbyteorder("="))
        if array.dtype.kind not in "iub" and array.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"onnx.save: example {i} must be float32, float64, integers or booleans, got dtype {array.dtype}"
            )
        arrays.append(array)
    return arrays


def _axes(arrays: list[np.ndarray], batch_axis: Any) -> list[int | None]:
    """The axis of the samples in each input."""
    given = list(batch_axis) if isinstance(batch_axis, (tuple, list)) else [batch_axis] * len(arrays)
    if len(given) != len(arrays):
        raise ValueError(f"onnx.save: batch_axis has {len(given)} entries for {counted(len(arrays), 'input')}")
    axes: list[int | None] = []
    sizes = set()
    for array, axis in zip(arrays, given, strict=True):
        if axis is not None:
            axis = scalars.integer("onnx.save", "batch_axis", axis)
            if not -array.ndim <= axis < array.ndim:
                raise ValueError(f"onnx.save: batch_axis={axis} is not an axis of an example of shape {array.shape}")
            axis %= array.ndim
            sizes.add(array.shape[axis])
        axes.append(axis)
    if len(sizes) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"onnx.save: the inputs have batches of different sizes, {sorted(sizes)}, along batch_axis={batch_axis} of shapes "
            f"{shapes}; give one batch_axis per input"
        )
    return axes


def _traced(
    model: Callable[..., Any], arrays: list[np.ndarray], axes: list[int | None]
) -> tuple[Trace, Mapping[int, str]]:
    """What the model computes, with what depends on the batch noted; the names of its state by the ids of the arrays."""
    modules = _modules(model)
    names: dict[int, str] = {}
    for prefix, module in modules.items():
        for name, array in module._state():
            names.setdefault(id(array), f"{prefix}.{name}" if prefix else name)
    with _preserved(*modules.values()):
        for module in modules.values():
            module.eval()
        with no_grad():
            model(*(Tensor(array.copy()) for array in arrays))  # what fails here has nothing to do with ONNX
        first = _run(model, arrays, names)
        with np.errstate(all="ignore"):
            require_same_values(first, _other_values(model, arrays, names))
            if any(axis is not None for axis in axes):
                sizes, batch = _other_batch(arrays, axes)
                find_batches(first, _run(model, batch, names), sizes)
    return first, names


def _modules(model: Callable[..., Any]) -> dict[str, Module]:
    """The model, or the modules that a function knows by name."""
    owner = model if isinstance(model, Module) else getattr(model, "__self__", None)
    if isinstance(owner, Module):
        return {"": owner}
    if not inspect.isfunction(model):
        return {}
    variables = inspect.getclosurevars(model)
    known = {**variables.globals, **variables.nonlocals}
    return {name: value for name, value in known.items() if isinstance(value, Module)}


def _preserved(*modules: Module) -> AbstractContextManager[None]:
    return preserved(modules[0], None, *modules[1:]) if modules else nullcontext()


def _run(model: Callable[..., Any], arrays: Sequence[np.ndarray], names: Mapping[int, str]) -> Trace:
    try:
        return traced(model, [array.copy() for array in arrays], names)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"the model cannot be followed: {type(error).__name__}: {error}") from error


def _other_values(model: Callable[..., Any], arrays: list[np.ndarray], names: Mapping[int, str]) -> Trace:
    """A run on other values, which the model should take if it takes the example: smaller ones in another order."""
    turned = [np.flip(array) for array in arrays]
    try:
        return _run(model, [x * x.dtype.type(0.75) if x.dtype.kind == "f" else x for x in turned], names)
    except Refused:
        return _run(model, turned, names)


def _other_batch(arrays: list[np.ndarray], axes: list[int | None]) -> tuple[tuple[int, int], list[np.ndarray]]:
    """Two batch sizes, the example's and another one, and an example of that."""
    size = next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
    other = 2 * size + 1  # also a half of it, rounded down, is another one
    batch = []
    for array, axis in zip(arrays, axes, strict=True):
        if axis is None:
            batch.append(array)
        elif size:
            batch.append(array.take(np.arange(other) % size, axis))
        else:
            batch.append(np.zeros([other if i == axis else n for i, n in enumerate(array.shape)], array.dtype))
    return (size, other), batch


def _parameters(model: Callable[..., Any], count: int) -> list[str]:
    """The names of the inputs: those of what ``forward`` takes."""
    function = model.forward if isinstance(model, Module) else model
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions of other packages have no signature
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(named) >= count:
        return named[:count]
    return ["input"] if count == 1 else [f"input_{i}" for i in range(count)]


class _Export:
    """One file: the graph of a trace, with its inputs and outputs."""

    def __init__(
        self,
        onnx: Any,
        opset: int,
        trace: Trace,
        state: Mapping[int, str],
        axes: list[int | None],
        input_names: Sequence[str],
        output_names: Sequence[str] | None,
    ) -> None:
        self.onnx, self.trace = onnx, trace
        found = dict(_leaves(trace.outputs, ""))
        if not found:
            raise Refused("the model returns no tensor")
        self.outputs = list(found.values())
        default = list(found) if len(found) > 1 and all(found) else ["output"]
        if len(default) != len(found):
            default = [f"output_{i}" for i in range(len(found))]
        self.input_names = _names("input_names", input_names, len(trace.inputs))
        self.output_names = _names("output_names", output_names or default, len(self.outputs))
        taken = [*self.input_names, *self.output_names, *state.values()]
        self.graph = Graph(onnx, opset, taken)
        self._apart(set(state.values()))
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
        size = sum(array.nbytes for array in graph.initializers.values())
        if size > _LARGEST:
            raise Refused(f"the arrays of the model take {size} bytes; a file holds at most {_LARGEST}")
        made = helper.make_graph(
            self._live_nodes(),
            "fastnn",
            [self._info(name, value) for name, value in zip(self.input_names, self.trace.inputs, strict=True)],
            [self._info(name, value) for name, value in zip(self.output_names, self.outputs, strict=True)],
        )
        used = {name for node in made.node for name in node.input}
        arrays = ((name, array) for name, array in graph.initializers.items() if name in used)
        made.initializer.extend(self.onnx.numpy_helper.from_array(array, name) for name, array in arrays)
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
