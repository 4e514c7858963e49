"""Rules of ONNX's operators that its own tests of single nodes leave out."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper
from onnx.reference import ReferenceEvaluator

import fastnn as fnn
from onnx_models import FLOAT, model, node, weight

X = weight(0, 5, 5, 3, 3)  # the reference normalises as many channels as there are samples
SQUARE = np.abs(weight(1, 3))
ROUNDINGS = 16  # of LRN: a sum of 8 squares and a power, here and there


def one(op, *inputs, opset=18, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    return fnn.onnx.Backend.run_node(
        helper.make_node(op, names, ["y"], **attributes), list(inputs), opset_version=opset
    )[0]


def by_reference(op, *inputs, opset=18, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(names, inputs, strict=True)
    ]
    result = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attributes)], "node", values, [result])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(made).run(None, dict(zip(names, inputs, strict=True)))[0]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        *(("LRN", [X], {"size": size, "alpha": 0.5, "beta": 0.7, "bias": 1.2}) for size in (1, 2, 3, 4, 8)),
        ("Pow", [SQUARE, np.array([2.0, 3.0, 1.5])], {}),
        ("Pow", [SQUARE, np.array(1.5)], {}),
        ("Pow", [SQUARE.astype(np.float64), np.array([2, 3, 1], np.float32)], {}),
        ("Pow", [np.array([2, 3, 4]), np.array([0.5, 1.5, 2], np.float32)], {}),
        ("Cast", [np.array([2049, 70000, -5])], {"to": 10}),
        ("Cast", [np.array([True, False])], {"to": 10}),
        ("NonZero", [np.array(3, np.float32)], {}),
        ("NonZero", [np.array(0, np.float32)], {}),
        ("ReduceL2", [np.array([[1, 2], [3, 4]], np.int32)], {"keepdims": 0}),
        ("Clip", [weight(2, 5), np.array(1, np.float32), np.array(-1, np.float32)], {}),
        ("Div", [np.array([-7, 7, -7, -8], np.int32), np.array([2, -2, -2, 4], np.int32)], {}),
        ("CumSum", [weight(3, 2, 0), np.array(1)], {"exclusive": 1}),
    ],
)
def test_values_and_dtypes_are_those_of_the_reference(op, inputs, attributes):
    actual = one(op, *inputs, **attributes)
    with np.errstate(all="ignore"):
        expected = by_reference(op, *inputs, **attributes)
    assert actual.dtype == (np.float32 if expected.dtype == np.float16 else expected.dtype)
    np.testing.assert_allclose(actual, expected, rtol=ROUNDINGS * np.finfo(np.float32).eps, atol=0)


@pytest.mark.parametrize("op", ["ReduceLogSum", "ReduceLogSumExp"])
def test_logarithms_of_integers_are_cut_off(op):
    x = np.array([[1, 2], [3, 4]], np.int32)
    y = one(op, x, keepdims=0)
    assert y.dtype == np.int32
    assert y == int(np.log(x.sum() if op == "ReduceLogSum" else np.exp(x).sum()))


def test_a_large_constant_is_no_result_that_grew():
    table = np.ones((1 << 22, 2), np.float32)  # 32 MB, more than 1024 times the input
    constant = helper.make_node("Constant", [], ["t"], value=onnx.numpy_helper.from_array(table))
    made = model([constant, node("Gather", "t i", "y")], {}, {"i": (onnx.TensorProto.INT64, [1])}, {"y": (FLOAT, None)})
    np.testing.assert_array_equal(fnn.onnx.load(made)(np.array([7])).numpy(), [[1, 1]])
