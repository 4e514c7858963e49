"""Small ONNX models, made without any other library than onnx, with inputs that fit."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def weight(seed, *shape):
    return (np.random.default_rng(seed).standard_normal(shape) / 4).astype(np.float32)


def model(nodes, arrays, inputs, outputs, opset=18):
    """A ModelProto; inputs and outputs as {name: (type, shape)}, arrays as {name: ndarray}."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def node(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name or outputs.split()[0], **attributes)


def convolutional():
    nodes = [
        node("Conv", "x c.w c.b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "c n.w n.b n.m n.v", "n", epsilon=1e-5, momentum=0.9),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Shape", "p", "s"),
        node("Gather", "s zero", "batch", axis=0),
        node("Unsqueeze", "batch axis", "first"),
        node("Concat", "first rest", "flat", axis=0),
        node("Reshape", "p flat", "f"),
        node("Dropout", "f ratio", "d"),
        node("Gemm", "d g.w g.b", "y", transB=1),
    ]
    arrays = {
        "c.w": weight(0, 4, 2, 3, 3), "c.b": weight(1, 4), "n.w": 1 + weight(2, 4), "n.b": weight(3, 4),
        "n.m": weight(4, 4), "n.v": 1 + weight(5, 4) ** 2, "g.w": weight(6, 3, 16), "g.b": weight(7, 3),
        "zero": np.int64(0), "axis": np.int64([0]), "rest": np.int64([-1]), "ratio": np.float32(0.5),
    }  # fmt: skip
    made = model(nodes, arrays, {"x": (FLOAT, ["n", 2, 8, 8])}, {"y": (FLOAT, ["n", 3])})
    return made, {"x": weight(8, 2, 2, 8, 8)}


def recurrent():
    nodes = [
        node("LSTM", "x l.w l.r l.b", "h", hidden_size=3, direction="bidirectional"),
        node("Transpose", "h", "t", perm=[0, 2, 1, 3]),
        node("Reshape", "t shape", "m"),
        node("MatMul", "m w", "p"),
        node("Add", "p b", "a"),
        node("Softmax", "a", "y", axis=-1),
        node("ReduceSum", "a last", "z", keepdims=0),
        node("ArgMax", "y", "k", axis=2, keepdims=0),
    ]
    arrays = {
        "l.w": weight(0, 2, 12, 2), "l.r": weight(1, 2, 12, 3), "l.b": weight(2, 2, 24), "w": weight(3, 6, 5),
        "b": weight(4, 5), "shape": np.int64([0, 0, -1]), "last": np.int64([2]),
    }  # fmt: skip
    outputs = {"y": (FLOAT, [4, "n", 5]), "z": (FLOAT, [4, "n"]), "k": (INT64, [4, "n"])}
    return model(nodes, arrays, {"x": (FLOAT, [4, "n", 2])}, outputs), {"x": weight(5, 4, 2, 2)}


def shapes():
    """Ops whose results may be of any size, whatever the size of the file."""
    nodes = [
        node("ConstantOfShape", "made", "o", value=numpy_helper.from_array(np.float32([2]), "value")),
        node("Tile", "x times", "t"),
        node("Pad", "t border fill", "p", mode="constant"),
        node("Range", "start limit step", "r"),
        node("Cast", "r", "q", to=FLOAT),
        node("Expand", "q wide", "e"),
        node("OneHot", "places depth onoff", "h", axis=-1),
        node("Slice", "p from to along by", "s"),
        node("Mul", "e o", "m"),
        node("ReduceMean", "s", "u", keepdims=0),
        node("Where", "flags m u", "y"),
        node("CumSum", "h axis", "z"),
        node("TopK", "x two", "best index"),
    ]
    arrays = {
        "made": np.int64([3, 1]), "times": np.int64([1, 2]), "border": np.int64([1, 0, 1, 2]), "fill": np.float32(1.5),
        "start": np.int64(1), "limit": np.int64(9), "step": np.int64(2), "wide": np.int64([3, 4]),
        "places": np.int64([0, 2, -1]), "depth": np.int64(4), "onoff": np.float32([0, 1]), "from": np.int64([0, -1]),
        "to": np.int64([3, -9]), "along": np.int64([0, 1]), "by": np.int64([1, -1]), "flags": np.array([[True], [False], [True]]),
        "axis": np.int64(1), "two": np.int64([2]),
    }  # fmt: skip
    outputs = {"y": (FLOAT, None), "z": (FLOAT, None), "best": (FLOAT, None), "index": (INT64, None)}
    return model(nodes, arrays, {"x": (FLOAT, ["n", 3])}, outputs), {"x": weight(0, 2, 3)}


def mixed():
    """Norms, activations and indexing."""
    nodes = [
        node("Gather", "table k", "e", axis=0),
        node("LayerNormalization", "e g b", "n", axis=-1, epsilon=1e-5),
        node("Transpose", "n", "t", perm=[0, 2, 1]),
        node("MatMul", "n t", "a"),
        node("Div", "a root", "c"),
        node("Softmax", "c", "p", axis=-1),
        node("MatMul", "p n", "o"),
        node("Einsum", "o w", "v", equation="nti,ij->ntj"),
        node("HardSwish", "v", "hs"),
        node("Clip", "hs low high", "cl"),
        node("Split", "cl sizes", "s1 s2", axis=2),
        node("Concat", "s2 s1", "j", axis=2),
        node("ScatterND", "j where what", "sc"),
        node("AveragePool", "sc", "y", kernel_shape=[2], strides=[1], pads=[0, 1], count_include_pad=1),
    ]
    arrays = {
        "table": weight(0, 7, 4), "g": 1 + weight(1, 4), "b": weight(2, 4), "root": np.float32(2), "w": weight(3, 4, 4),
        "low": np.float32(-1), "high": np.float32(6), "sizes": np.int64([1, 3]), "where": np.int64([[0, 1], [1, 2]]),
        "what": weight(4, 2, 4),
    }  # fmt: skip
    made = model(nodes, arrays, {"k": (INT64, ["n", 3])}, {"y": (FLOAT, ["n", 3, 4])})
    return made, {"k": np.int64([[0, 6, 2], [3, -1, 5]])}


def images():
    """Ops that make images larger, and attention."""
    nodes = [
        node("Resize", "x none scales", "r", mode="cubic"),
        node("Pad", "r border", "p", mode="reflect"),
        node("ConvTranspose", "p w b", "t", strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 0]),
        node("DepthToSpace", "t", "d", blocksize=2, mode="CRD"),
        node("MaxPool", "d", "m", kernel_shape=[3, 3], strides=[3, 3], dilations=[2, 1]),
        node("LpPool", "m", "l", kernel_shape=[2, 1], p=2),
        node("Resize", "l none none sizes", "s", mode="nearest", coordinate_transformation_mode="asymmetric"),
        node("Reshape", "s rows", "q"),
        node("Attention", "q q q mask", "a", q_num_heads=2, kv_num_heads=2, is_causal=1),
        node("GlobalAveragePool", "a", "y"),
    ]
    arrays = {
        "none": np.float32([]), "scales": np.float32([1, 1, 1.5, 2]), "border": np.int64([0, 0, 1, 1, 0, 0, 0, 2]),
        "w": weight(0, 2, 4, 3, 3), "b": weight(1, 4), "sizes": np.int64([2, 1, 4, 8]), "rows": np.int64([0, 4, -1]),
        "mask": np.tril(np.ones((4, 4), bool)),
    }  # fmt: skip
    outputs = {"y": (FLOAT, None)}
    return model(nodes, arrays, {"x": (FLOAT, ["n", 2, 4, 4])}, outputs, opset=23), {"x": weight(2, 2, 2, 4, 4)}


MODELS = {make.__name__: make for make in (convolutional, recurrent, shapes, mixed, images)}
