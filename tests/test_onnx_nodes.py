"""ONNX's own tests of single nodes, and the derivatives of every op that is read."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import fastnn as fnn
import onnx_nodes
from fastnn.onnx.read_table import OPS
from fastnn.testing import gradcheck

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"


def test_all_pass_but_those_excepted():
    failed = {name: reason for name, reason in onnx_nodes.faults().items() if reason}
    assert {name: reason for name, reason in failed.items() if name not in onnx_nodes.EXCEPTED} == {}
    assert set(onnx_nodes.EXCEPTED) - set(failed) == set(), "these pass, and must not be excepted"
    assert len(failed) <= 0.05 * len(onnx_nodes.cases())


def test_refusals_name_their_reason():
    refused = {n: why for n, why in onnx_nodes.EXCEPTED.items() if onnx_nodes.faults()[n].startswith("refused")}
    assert refused
    for name, reason in refused.items():
        assert reason in onnx_nodes.faults()[name]


def test_table_of_the_page():
    text = PAGE.read_text(encoding="utf-8")
    if f"onnx {onnx.__version__}" not in text:
        pytest.skip(f"the page has the table of another version than onnx {onnx.__version__}")
    found = text.partition(onnx_nodes.BEGIN)[2].partition(onnx_nodes.END)[0]
    assert found.split() == onnx_nodes.table().split(), "run tools/onnx_table.py --write"


def smallest():
    """For each op the smallest case whose result is floats that may be differentiated."""
    found = {}
    for case in onnx_nodes.cases():
        node = case.model.graph.node[0]
        combined = any(a.name == "reduction" and a.s in (b"mul", b"max", b"min") for a in node.attribute)
        if onnx_nodes.faults()[case.name] or len(case.model.graph.node) > 1 or combined:
            continue
        inputs, outputs = ([onnx_nodes.array_of(x) for x in values] for values in case.data_sets[0])
        arrays = [*inputs, *outputs]
        if outputs[0].dtype.kind != "f":
            continue
        if not all(np.isfinite(x).all() and x.size for x in arrays if x.dtype.kind == "f"):
            continue
        size = sum(x.size for x in arrays)
        op = onnx_nodes.op_of(case)
        if any(x.dtype.kind == "f" for x in inputs) and size < found.get(op, (np.inf,))[0]:
            found[op] = size, case
    return {op: case for op, (_, case) in found.items()}


# Their derivatives are 0, or no input of theirs is one to differentiate by, or the result is not continuous.
CONSTANT = {"Ceil", "Floor", "Round", "Sign", "Hardmax", "EyeLike", "OneHot", "Range", "CastLike"}


def test_derivatives():
    checked = set()
    for op, case in smallest().items():
        if op in CONSTANT:
            continue
        model = fnn.onnx.load(case.model).eval().astype("float64")
        inputs = [onnx_nodes.array_of(x) for x in case.data_sets[0][0]]
        inputs = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
        fixed = FIXED.get(op, ())

        def compute(*moving, model=model, inputs=inputs, fixed=fixed):
            given = iter(moving)
            every = [x if i in fixed or x.dtype.kind != "f" else next(given) for i, x in enumerate(inputs)]
            y = model(*every)
            return tuple(v for v in (y if isinstance(y, tuple) else (y,)) if isinstance(v, fnn.Tensor))

        rng = np.random.default_rng(0)  # cases lie on kinks, such as 0
        inputs = [
            x + rng.uniform(0.01, 0.02, x.shape) if x.dtype.kind == "f" and i not in fixed else x
            for i, x in enumerate(inputs)
        ]
        moving = [x for i, x in enumerate(inputs) if i not in fixed and x.dtype.kind == "f"]
        try:
            gradcheck(compute, *moving, max_elements=6)
            check_forward(compute, moving)
        except Exception as error:
            raise AssertionError(f"{op}, {case.name}: {error}") from error
        checked.add(op)
    assert len(checked) > 100, sorted(set(OPS) - checked)


# Inputs that get no gradient, by their numbers: statistics, class weights, a share of draws, what a border is filled with.
FIXED = {
    "BatchNormalization": (3, 4), "NegativeLogLikelihoodLoss": (2,), "SoftmaxCrossEntropyLoss": (2,), "Dropout": (1,),
    "Pad": (2,), "Resize": (1, 2),
}  # fmt: skip


def check_forward(compute, moving):
    """v·(J t) of forward mode is that of reverse mode, for random v and t."""
    rng = np.random.default_rng(0)
    ts = tuple(rng.standard_normal(x.shape) for x in moving)
    y, moved = fnn.jvp(lambda *xs: compute(*xs)[0], tuple(moving), ts)
    v = rng.standard_normal(y.shape)
    tensors = [fnn.tensor(x, requires_grad=True) for x in moving]
    (compute(*tensors)[0] * v).sum().backward()
    back = sum((x.grad * t).sum() for x, t in zip(tensors, ts, strict=True) if x.grad is not None)
    size = sum(np.abs(x.grad * t).sum() for x, t in zip(tensors, ts, strict=True) if x.grad is not None)
    assert abs((moved * v).sum() - back) <= 1e-9 * (1 + size)
