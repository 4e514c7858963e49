"""A graph as steps in order, and which of its arrays are trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ._package import OnnxError
from .read_call import DTYPES
from .read_table import OPS, Op
from .reader import Source, Unreadable, array_of, attributes_of, type_name


class Step(NamedTuple):
    """A node: values by name in, values by name out."""

    op_type: str
    inputs: tuple[str, ...]  # "" for one that is left out
    outputs: tuple[str, ...]  # "" for one that nobody needs
    attributes: dict[str, Any]
    label: str
    done: tuple[str, ...]  # values that no later step needs


class Slot(NamedTuple):
    """An input or output of the graph."""

    name: str
    code: int  # of TensorProto.DataType
    shape: tuple[int | None, ...] | None


class Graph(NamedTuple):
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    steps: tuple[Step, ...]
    arrays: dict[str, np.ndarray]
    training: bool  # whether a node says that it trains


def arrays_of(source: Source) -> dict[str, np.ndarray]:
    """The initialisers, by name."""
    graph = source.proto.graph
    if len(graph.sparse_initializer):
        raise OnnxError(f"{source.name}: sparse initialisers are not supported")
    arrays: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in arrays:
            raise OnnxError(f"{source.name}: two initialisers are called {tensor.name!r}, or one has no name")
        arrays[tensor.name] = array_of(tensor, source)
    return arrays


def refuse_missing(source: Source) -> None:
    """Name all ops that are not in the table."""
    names = {_full_name(node) for node in source.proto.graph.node if _row(node) is None}
    _refuse(source, [f"the ops {', '.join(sorted(names))}"] if names else [])


def graph_of(source: Source, arrays: dict[str, np.ndarray]) -> Graph:
    """Look at all of a graph, so that one error says all that is not supported, before anything runs."""
    graph = source.proto.graph
    nodes = [(node, attributes_of(node, source)) for node in graph.node]
    inputs = tuple(_slot(value, source) for value in graph.input if value.name not in arrays)
    outputs = tuple(_slot(value, source) for value in graph.output)
    _refuse(source, list(_unsupported(nodes, inputs)))
    steps = _steps(source, nodes, {*arrays, *(slot.name for slot in inputs)}, [slot.name for slot in outputs])
    return Graph(inputs, outputs, steps, arrays, _trains(nodes, arrays))


def _refuse(source: Source, reasons: list[str]) -> None:
    if reasons:
        raise OnnxError(f"{source.name}: not supported: {'; '.join(dict.fromkeys(reasons))}")


def _full_name(node: Any) -> str:
    return str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _row(node: Any) -> Op | None:
    return OPS.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def _label(i: int, node: Any) -> str:
    return f"node {i} {node.name!r} ({node.op_type})" if node.name else f"node {i} ({node.op_type})"


def _unsupported(nodes: list[tuple[Any, dict[str, Any]]], inputs: tuple[Slot, ...]) -> Iterator[str]:
    for slot in inputs:
        if slot.code not in DTYPES:
            yield f"input {slot.name!r} of data type {type_name(slot.code)}"
    for i, (node, attributes) in enumerate(nodes):
        row = _row(node)
        if row is not None:
            yield from (f"{_label(i, node)}: {reason}" for reason in _reasons(node, attributes, row))


_FLAGS = frozenset(
    ("align_corners", "allowzero", "antialias", "ceil_mode", "count_include_pad", "detect_negative", "detect_positive",
     "exclude_outside", "exclusive", "fmod", "input_forget", "interleaved", "is_causal", "keepdims", "largest", "layout",
     "linear_before_reset", "noop_with_empty_axes", "reverse", "select_last_index", "sorted", "storage_order", "training_mode",
     "transA", "transB", "upper")
)  # fmt: skip


def _reasons(node: Any, attributes: dict[str, Any], row: Op) -> Iterator[str]:
    unknown = sorted(name for name, v in attributes.items() if name not in row.attributes or isinstance(v, Unreadable))
    missing = sorted(row.required - set(attributes))
    if unknown:
        yield f"the attribute {', '.join(unknown)}"
    elif missing:
        yield f"the attribute {', '.join(missing)} is missing"
    elif row.refuse and (reason := row.refuse(**attributes)):
        yield reason
    yield from (
        f"{name}={v} is neither 0 nor 1" for name, v in attributes.items() if name in _FLAGS and v not in (0, 1)
    )
    most = len(node.input) if row.most is None else row.most
    needed = node.input if row.most is None else node.input[: row.least]
    if not row.least <= len(node.input) <= most or "" in needed:
        yield f"inputs {list(node.input)}, expected {row.least} to {'any number' if row.most is None else row.most}"
    if not len(node.output) or (row.outputs is not None and len(node.output) > row.outputs):
        yield f"{len(node.output)} outputs"


def _slot(value: Any, source: Source) -> Slot:
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"{source.name}: not supported: {value.name!r} is no tensor")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return Slot(value.name, tensor.elem_type, None)
    dims = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return Slot(value.name, tensor.elem_type, dims)


def _steps(source: Source, nodes: Any, known: set[str], wanted: list[str]) -> tuple[Step, ...]:
    known = set(known)
    last: dict[str, int] = {}
    for i, (node, _) in enumerate(nodes):
        for name in node.input:
            if name and name not in known:
                raise OnnxError(f"{source.name}: {_label(i, node)} takes {name!r}, which nothing before it gives")
            last[name] = i
        for name in node.output:
            if name and name in known:
                raise OnnxError(f"{source.name}: {name!r} is given twice, the second time by {_label(i, node)}")
            known.add(name)
            last.setdefault(name, i)
    for name in wanted:
        if name not in known:
            raise OnnxError(f"{source.name}: the output {name!r} is given by nothing")
        last[name] = len(nodes)
    ends: dict[int, list[str]] = {}
    for name, i in last.items():
        if name:
            ends.setdefault(i, []).append(name)
    return tuple(
        Step(node.op_type, tuple(node.input), _shortened(node), attributes, _label(i, node), tuple(ends.get(i, ())))
        for i, (node, attributes) in enumerate(nodes)
    )


def _shortened(node: Any) -> tuple[str, ...]:
    """The outputs up to the last that has a name."""
    names = list(node.output)
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(names)


def _trains(nodes: list[tuple[Any, dict[str, Any]]], arrays: dict[str, np.ndarray]) -> bool:
    constants = {node.output[0]: a["value"] for node, a in nodes if node.op_type == "Constant" and "value" in a}
    for node, attributes in nodes:
        if node.op_type == "BatchNormalization" and attributes.get("training_mode", 0):
            return True
        if node.op_type == "Dropout" and len(node.input) > 2:
            mode = arrays.get(node.input[2], constants.get(node.input[2]))
            if mode is not None and mode.size == 1 and bool(mode.item()):
                return True
    return False


# Which inputs of which op are weights.
_WEIGHTS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "Gather": (0,), "PRelu": (1,),
    "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "LayerNormalization": (1, 2), "GroupNormalization": (1, 2),
    "RMSNormalization": (1,), "RNN": (1, 2, 3), "LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "Add": (0, 1), "Mul": (0, 1),
    "Einsum": tuple(range(16)),
}  # fmt: skip
_BROADCAST = frozenset(("Add", "Mul"))
# Through these a weight only moves.
_MOVES = frozenset(
    (
        "Identity",
        "Transpose",
        "Reshape",
        "Unsqueeze",
        "Squeeze",
        "Slice",
        "Concat",
        "Split",
        "Cast",
        "Flatten",
        "Expand",
    )
)


def with_own_statistics(graph: Graph, trained: set[str]) -> tuple[Graph, set[str]]:
    """The graph, and which of its arrays are the running statistics of batch norm.

    PyTorch stores arrays once that are equal when it exports: a layer gets statistics of its own, named after its output, where
    the file has them in common with weights, or with another layer.
    """
    given = {name: step for step in graph.steps for name in step.outputs}
    arrays, steps = dict(graph.arrays), list(graph.steps)
    owners: dict[str, tuple[tuple[str, ...], str]] = {}
    for i, step in enumerate(steps):
        if step.op_type != "BatchNormalization":
            continue
        inputs, layer = list(step.inputs), tuple(_source(name, given) for name in step.inputs[1:5])
        for k, kind in ((3, "running_mean"), (4, "running_var")):
            name = _source(inputs[k], given)
            if name not in arrays:
                continue
            if name in trained or owners.get(name, (layer, kind)) != (layer, kind):
                inputs[k] = f"{step.outputs[0]}.{kind}"
                while inputs[k] in arrays or inputs[k] in given:
                    inputs[k] += "_"
                arrays[inputs[k]] = arrays[name]
                name = inputs[k]
            owners[name] = layer, kind
        steps[i] = step._replace(inputs=tuple(inputs))
    return graph._replace(arrays=arrays, steps=tuple(steps)), set(owners)


def _source(name: str, given: dict[str, Step]) -> str:
    """What a value is the same as."""
    while name in given and given[name].op_type == "Identity":
        name = given[name].inputs[0]
    return name


def weights(graph: Graph) -> set[str]:
    """The arrays that are weights: floats that reach, at most moved about, an input that weights have."""
    given = {name: step for step in graph.steps for name in step.outputs}
    found: set[str] = set()
    for step in graph.steps:
        for i in _WEIGHTS.get(step.op_type, ()):
            if i < len(step.inputs):
                several = step.op_type in _BROADCAST and not _is_bias(step, i, given)
                found.update(
                    name
                    for name in _arrays_behind(step.inputs[i], given, graph.arrays)
                    if graph.arrays[name].size > several and _may_be_trained(graph.arrays[name])
                )
    return found


def _may_be_trained(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def _is_bias(step: Step, i: int, given: dict[str, Step]) -> bool:
    """Whether the other operand of a sum is a product of matrices, so that this one is a bias even if it is one number."""
    other = given.get(step.inputs[1 - i])
    return step.op_type == "Add" and other is not None and other.op_type == "MatMul"


def _arrays_behind(name: str, given: dict[str, Step], arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """The arrays that a value is made of by moving them."""
    waiting, seen = [name], {name}
    while waiting:
        name = waiting.pop()
        if name in arrays:
            yield name
        elif name in given and given[name].op_type in _MOVES:
            inputs = given[name].inputs
            moved = [n for n in (inputs if given[name].op_type == "Concat" else inputs[:1]) if n not in seen]
            waiting += moved
            seen.update(moved)
