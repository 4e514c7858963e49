"""`load`: an ONNX file as a module."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Rng
from . import (  # noqa: F401  the tables of ops
    read_attention,
    read_elementwise,
    read_grid,
    read_indexing,
    read_losses,
    read_making,
    read_norms,
    read_products,
    read_recurrent,
    read_reductions,
    read_resize,
    read_shapes,
    read_windows,
)
from ._package import OnnxError, package
from .graph import arrays_of, graph_of, refuse_missing, weights, with_own_statistics
from .model import OnnxModel
from .reader import Source, read

__all__ = ["load"]

OLDEST, NEWEST = 13, 28


def load(source: Any, *, trainable: Callable[[str], bool] | None = None, rng: Rng = None) -> OnnxModel:
    """Read a model from an ONNX file.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto
        Of opset 13 to 28; older ones are converted by ``onnx.version_converter``.
    trainable : callable, optional
        ``trainable(name)`` says which initialisers of floats are parameters. By default those are that reach, at most moved
        about (transposed, reshaped, joined), an input for weights: of convolutions, products of matrices, norms, PReLU,
        recurrent layers, ``Gather`` and ``Einsum``, or an operand of ``Add`` or ``Mul`` with more than one element (with one, if
        the other operand of ``Add`` is a product of matrices). All must be finite.
    rng : optional
        For dropout: anything `numpy.random.default_rng` takes.

    Returns
    -------
    OnnxModel
        In the mode that the file was saved in.

    Raises
    ------
    OnnxError
        If the file is damaged or no model, or has ops, attributes or dtypes that are not supported: all of them are named.
    OSError
        If it cannot be read.
    MissingExtraError
        If the package ``onnx`` is not installed.

    Notes
    -----
    Running statistics of batch norm are buffers; all other arrays are constants. float16 and bfloat16 are computed in
    float32. Data outside the file are read from its folder only.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    >>> weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), "fc.weight")
    >>> graph = helper.make_graph([helper.make_node("MatMul", ["x", "fc.weight"], ["y"])], "net", [x], [y], [weight])
    >>> model = fnn.onnx.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    >>> list(model.state_dict())
    ['fc.weight']
    >>> model(np.ones((1, 2), np.float32))
    tensor([[1., 1.]], dtype=float32, from=matmul)
    """
    try:
        opened = _current(read(source, "load"))
        refuse_missing(opened)
        arrays = arrays_of(opened)
        skeleton = _skeleton(opened, arrays)
        _check(skeleton, opened.name)
        graph = graph_of(opened, arrays)
        _check_types(skeleton, opened.name)
        del opened, skeleton  # their memory is as large as that of the arrays
    except UnicodeDecodeError as error:
        raise OnnxError(f"load: a name in the file is no text: {error}") from None
    if trainable is None:
        trained = weights(graph)
    else:
        trained = {name for name, array in graph.arrays.items() if array.dtype.kind == "f" and trainable(name)}
    graph, statistics = with_own_statistics(graph, trained)
    return OnnxModel(graph, trained, statistics, rng)


def _current(source: Source) -> Source:
    """The model with the ops of an opset that is known, and without functions of its own."""
    versions = {entry.domain: entry.version for entry in source.proto.opset_import if entry.domain in ("", "ai.onnx")}
    if not versions:
        raise OnnxError(f"{source.name}: no opset is named")
    version = max(versions.values())
    if not 1 <= version <= NEWEST:
        raise OnnxError(f"{source.name}: opset {version} is not known, {NEWEST} is the newest that is")
    if version < OLDEST or len(source.proto.functions):
        source = _converted(source, version)
    if version < 11:
        _keep_old_coordinates(source.proto.graph)
    if version < 14:
        _mark_training(source.proto)
    return source


def _converted(source: Source, version: int) -> Source:
    onnx = package("load")
    from onnx import inliner, version_converter

    _give_shapes(source.proto.graph.output, source.proto.graph.value_info)
    _check(source.proto, source.name)
    try:
        proto = source.proto
        if len(proto.functions):
            proto = inliner.inline_local_functions(proto)
        if version < OLDEST:
            proto = version_converter.convert_version(proto, OLDEST)
    except Exception as error:  # noqa: BLE001 - onnx raises what its C++ does
        raise OnnxError(f"{source.name}: opset {version} cannot be converted to {OLDEST}: {error}") from None
    assert isinstance(proto, onnx.ModelProto)
    return source._replace(proto=proto)


def _keep_old_coordinates(graph: Any) -> None:
    """`Upsample` and the first `Resize` scale coordinates without an offset; the converter leaves the new default there."""
    from onnx import helper

    for node in graph.node:
        if node.op_type == "Resize":
            attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())


def _mark_training(proto: Any) -> None:
    """Before opset 14 a batch norm is in training mode where it has several outputs; since then an attribute says so.

    No other op that is read differs between opsets 13 and 14 in more than attributes that were added. The last two of the five
    outputs are statistics of the batch, which opset 14 does not give.
    """
    from onnx import helper

    used = {name for node in proto.graph.node for name in node.input} | {value.name for value in proto.graph.output}
    trains = [n for n in proto.graph.node if n.op_type == "BatchNormalization" and len(n.output) > 1]
    if not trains or not all(used.isdisjoint(node.output[3:]) for node in trains):
        return
    for node in trains:
        del node.output[3:]
        node.attribute.append(helper.make_attribute("training_mode", 1))
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = 14


def _skeleton(source: Source, arrays: dict[str, np.ndarray]) -> Any:
    """The model with inputs in the place of initialisers, whose values would be copied to be checked."""
    onnx = package("load")
    tensors = [(tensor.name, tensor.data_type) for tensor in source.proto.graph.initializer]
    del source.proto.graph.initializer[:]
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(source.proto)
    graph = skeleton.graph
    names = {value.name for value in graph.input}
    graph.input.extend(
        onnx.helper.make_tensor_value_info(name, code, arrays[name].shape)
        for name, code in tensors
        if name not in names
    )
    _give_shapes(graph.input, graph.output, graph.value_info)
    return skeleton


def _give_shapes(*values: Any) -> None:
    """A shape to what has none, which is legal for all but the checker; only where nobody reads it any more."""
    for value in itertools.chain(*values):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()


def _check(proto: Any, name: str) -> None:
    """What the package ``onnx`` has against a model."""
    checker = package("load").checker
    try:
        checker.check_model(proto)
    except Exception as error:  # noqa: BLE001 - as above
        raise OnnxError(f"{name}: not a valid ONNX model: {_first_line(error)}") from None


def _check_types(proto: Any, name: str) -> None:
    """Whether each node gets values of the types that its op takes."""
    from onnx import shape_inference

    try:
        shape_inference.infer_shapes(proto, check_type=True)
    except Exception as error:  # noqa: BLE001 - as above
        raise OnnxError(f"{name}: data types do not fit: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
