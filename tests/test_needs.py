"""Public backwards that are told which gradients to compute."""

import inspect
import itertools
import sys
from functools import partial

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import DTYPES, gradient_for, outputs_of
from op_table import OPS

WITH_NEEDS = [
    op for op in OPS if op.backward_name and "needs" in inspect.signature(getattr(F, op.backward_name)).parameters
]
COMBINATIONS = list(itertools.product([True, False], repeat=3))


def backward(op, sample, dy, **needs):
    """The public backward of an op: by position but for ``needs``."""
    return op.backward(dy, None, sample.arrays, {**sample.options, **needs})


def output_gradient(op, sample):
    (y,) = outputs_of(op(sample))
    return gradient_for(y.shape, y.dtype)


def test_products_have_needs():
    ranks = (1, 2, 3)
    expected = {"linear"} | {f"{kind}{rank}d" for kind in ("conv", "conv_transpose") for rank in ranks}
    assert {op.name for op in WITH_NEEDS} == expected


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("op", WITH_NEEDS, ids=str)
def test_what_is_needed_has_the_same_bits(op, dtype, backend):
    fnn.use_backend(backend)
    for sample in (s.cast(dtype) for s in op.samples()):
        dy = output_gradient(op, sample)
        full = backward(op, sample, dy)
        for needs in COMBINATIONS:
            for _ in range(2 if backend == "native" else 1):  # the second call follows the plan of the first
                found = backward(op, sample, dy, needs=needs)
                assert [g is not None for g in found] == list(needs), sample
                for g, expected in zip(found, full, strict=True):
                    if g is not None:
                        assert (g.dtype, g.shape, g.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


# What computes dx, dweight and dbias in each backend: functions of one of its modules, which no two share.
PARTS = {
    ("native", "conv"): ("conv_transpose_forward", "conv_backward_weight", "conv_backward_bias"),
    ("native", "conv_transpose"): ("conv_forward", "conv_backward_weight", "conv_backward_bias"),
    ("native", "linear"): ("matmul", "matmul_into", "linear_backward_bias"),
    ("numpy", "linear"): ("_backward_data", "_backward_weight", "_backward_bias"),
    ("numpy", "conv"): ("_backward_data", "_backward_weight", "_backward_bias"),
    ("numpy", "conv_transpose"): ("conv_forward", "_backward_weight", "_backward_bias"),
}


def family(op):
    return op.name.rstrip("123d")


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("op", WITH_NEEDS, ids=str)
def test_what_is_not_needed_is_not_computed(op, backend, monkeypatch):
    fnn.use_backend(backend)
    numpy = f"fastnn.backend.reference.{'linear' if family(op) == 'linear' else 'conv'}"
    module = sys.modules["fastnn._core" if backend == "native" else numpy]
    sample = next(s for s in op.samples() if s.arrays[0].size).cast(np.float32)
    dy = output_gradient(op, sample)
    called = set()

    def noted(part, function, *arguments):
        called.add(part)
        return function(*arguments)

    for i, name in enumerate(PARTS[backend, family(op)]):
        monkeypatch.setattr(module, name, partial(noted, i, getattr(module, name)))
    for needs in COMBINATIONS:
        called.clear()
        backward(op, sample, dy, needs=needs)
        assert called == {i for i, need in enumerate(needs) if need}


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("needs", [[True, False, False], (np.True_, np.False_, np.False_)], ids=["list", "NumPy"])
def test_needs_of_other_types(needs, backend):
    fnn.use_backend(backend)
    x, weight, dy = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.ones((2, 4), np.float32)
    dx, *rest = F.linear_backward(dy, x, weight, needs=needs)
    assert rest == [None, None]
    np.testing.assert_array_equal(dx, np.full((2, 3), 4))
