"""Models written as ONNX, and run by onnxruntime, or by ONNX's reference where onnxruntime has no kernel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import fastnn as fnn
from fastnn.autograd import raw

NEWEST = min(28, onnx.defs.onnx_opset_version())  # 28 is the newest that onnxruntime 1.32 runs

onnxruntime.set_default_logger_severity(4)
_OPTIONS = onnxruntime.SessionOptions()
_OPTIONS.intra_op_num_threads = 1
_OPTIONS.log_severity_level = 4
_NO_KERNEL = ("NOT_IMPLEMENTED", "does not support double yet")


def saved(model: Any, *example: Any, **options: Any) -> bytes:
    """What `fastnn.onnx.save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        fnn.onnx.save(model, path, example, **options)
        return path.read_bytes()


def run(content: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs that onnxruntime computes; without a kernel for float64, those of ONNX's reference.

    Where that is wrong, too, the same graph is run in float32, and so are the outputs.
    """
    graph = onnx.load_from_string(content).graph
    feeds = {i.name: x for i, x in zip(graph.input, inputs, strict=True)}
    try:
        session = onnxruntime.InferenceSession(content, _OPTIONS)
        return list(session.run(None, feeds))
    except Exception as error:
        if not any(words in str(error) for words in _NO_KERNEL):
            raise
    if any(node.op_type in _WRONG_IN_REFERENCE for node in graph.node):
        assert any(x.dtype == np.float64 for x in inputs)
        return run(_in_float32(content), *(x.astype(np.float32) if x.dtype == np.float64 else x for x in inputs))
    with np.errstate(all="ignore"):
        return [np.asarray(y) for y in ReferenceEvaluator(content).run(None, feeds)]


# Groups and batches of no samples; reverse and lengths; indices of more than one axis; shapes; digits of float64.
_WRONG_IN_REFERENCE = {"ConvTranspose", "RNN", "LSTM", "GRU", "MaxPool", "GlobalMaxPool", "Erf", "Softsign"}


def _in_float32(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    double, single = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    for info in (*model.graph.input, *model.graph.output):
        if info.type.tensor_type.elem_type == double:
            info.type.tensor_type.elem_type = single
    for tensor in model.graph.initializer:
        if tensor.data_type == double:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type == double:
                array = onnx.numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(array))
            if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", double):
                attribute.i = single
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def flat(outputs: Any) -> list[np.ndarray]:
    """The arrays that a model returns, in order."""
    if isinstance(outputs, dict):
        outputs = tuple(outputs.values())
    if isinstance(outputs, (tuple, list)):
        return [array for y in outputs for array in flat(y)]
    return [np.asarray(raw(outputs))]


def off(model: Any, *inputs: Any, content: bytes | None = None, **options: Any) -> float:
    """The largest difference between onnxruntime and fastnn, as a share of the largest output, over all outputs."""
    content = saved(model, *inputs, **options) if content is None else content
    if isinstance(model, fnn.nn.Module):
        model.eval()
    with fnn.no_grad():
        expected = flat(model(*map(fnn.Tensor, inputs)))
    return max(share(a, b) for a, b in zip(run(content, *inputs), expected, strict=True))


def share(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a share of the largest number; infinite for another shape, dtype, or integers that differ."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return np.inf
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(actual, expected) else np.inf
    if not expected.size:
        return 0.0
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), np.finfo(expected.dtype).tiny))


def kinds(content: bytes) -> list[str]:
    """The operators of a file, in order, without constants."""
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    return [kind for kind in kinds if kind != "Constant"]
