"""Shapes of results from shapes alone: those of the functions themselves, and their errors."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import ones
from harness import outputs_of
from op_table import OPS

WITH_SHAPE = [op for op in OPS if op.shape]


def test_windowed_operations_have_shapes():
    kinds = ("conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool")
    assert {op.name for op in WITH_SHAPE} == {f"{kind}{rank}d" for kind in kinds for rank in (1, 2, 3)}


@pytest.mark.parametrize("op", WITH_SHAPE, ids=str)
def test_shapes_are_those_of_the_results(op):
    for sample in [*op.samples(), *(op.grid() if op.grid else [])]:
        y = outputs_of(op(sample.cast(np.float32)))[0]
        shape = op.shape(sample)
        assert shape == y.shape, sample
        assert all(type(n) is int for n in shape)


# A call, the function of shapes, and its arguments.
def conv(x=(2, 4, 8, 8), weight=(6, 2, 3, 3), **options):
    rank = len(x) - 2
    options = {"groups": 2, **options}
    return (
        lambda: getattr(F, f"conv{rank}d")(ones(*x), ones(*weight), **options),
        lambda: F.conv_output_shape(x, weight, **options),
    )


def transposed(x=(2, 4, 8, 8), weight=(4, 3, 3, 3), **options):
    rank = len(x) - 2
    return (
        lambda: getattr(F, f"conv_transpose{rank}d")(ones(*x), ones(*weight), **options),
        lambda: F.conv_transpose_output_shape(x, weight, **options),
    )


def pool(x=(2, 4, 8, 8), kernel_size=3, **options):
    rank = len(x) - 2
    return (
        lambda: getattr(F, f"max_pool{rank}d")(ones(*x), kernel_size, **options),
        lambda: F.pool_output_shape(x, kernel_size, **options),
    )


REFUSED = [
    conv(x=(2, 3, 8, 8)),
    conv(x=(2, 4, 0, 8)),
    conv(x=(2, 4, 2, 8)),
    conv(x=(2, 4, 8)),
    conv(weight=(6, 2, 3)),
    conv(weight=(6, 0, 3, 3)),
    conv(weight=(5, 2, 3, 3)),
    conv(groups=0),
    conv(groups=1.0),
    conv(groups=None),
    conv(stride=0),
    conv(stride=(1, 2, 3)),
    conv(stride="2"),
    conv(padding=-1),
    conv(padding="reflect"),
    conv(padding=2**40),
    conv(padding=2**28),
    conv(dilation=4),
    conv(dilation=True),
    transposed(x=(2, 3, 8, 8)),
    transposed(weight=(4, 3, 3)),
    transposed(padding="same"),
    transposed(padding=5),
    transposed(output_padding=1),
    transposed(output_padding=-1),
    transposed(groups=3),
    transposed(stride=2**30),
    transposed(dilation=0),
    pool(x=(2, 0, 8, 8)),
    pool(kernel_size=9),
    pool(kernel_size=None),
    pool(kernel_size=(2,)),
    pool(padding=3),
    pool(padding=((0, 5), 0), stride=1),
    pool(ceil_mode=1),
    pool(stride=(1, 0)),
    pool(dilation=4),
]


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize(("call", "shape"), REFUSED)
def test_errors_are_those_of_the_functions(call, shape, backend, monkeypatch):
    fnn.use_backend(backend)
    monkeypatch.setattr("fastnn.checks.arrays.MAX_ELEMENTS", 2**24)
    messages = []
    for function in (call, shape):
        with pytest.raises((TypeError, ValueError)) as error:
            function()
        name, text = str(error.value).split(": ", 1)
        messages.append((error.type, text))
    assert name.endswith("_output_shape")
    assert messages[0] == messages[1]


FUNCTIONS = {
    F.conv_output_shape: ((6, 2, 3, 3),),
    F.conv_transpose_output_shape: ((4, 2, 3, 3),),
    F.pool_output_shape: (2,),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [(), (2,), (2, 4), (1,) * 6, (1,) * 70])
def test_other_numbers_of_axes(function, x):
    with pytest.raises(ValueError, match=rf"^{function.__name__}: x_shape must have 3 to 5 axes"):
        function(x, *FUNCTIONS[function])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [8, None, "2488", (2, 4, 8, -8), (2, 4, 8, 8.0), (2, 4, 8, True), (2, 4, 8, None)])
def test_what_is_no_shape(function, x):
    with pytest.raises(TypeError, match=rf"^{function.__name__}: x_shape must be an array or a shape"):
        function(x, *FUNCTIONS[function])


def test_what_a_shape_may_be():
    """Lists, NumPy's integers, arrays and tensors; what is allocated is a tuple."""
    x, weight = ones(2, 2, 8), ones(6, 2, 3)
    for like in (tuple, list, lambda shape: [np.int64(n) for n in shape]):
        assert F.conv_output_shape(like(x.shape), like(weight.shape)) == (2, 6, 6)
    assert F.conv_output_shape(x, fnn.Tensor(weight, requires_grad=True)) == (2, 6, 6)
    assert F.pool_output_shape((0, 3, 5, 5, 5), 2) == (0, 3, 2, 2, 2)
    assert F.conv_output_shape((2**20, 2, 8), (6, 2, 3), padding="full") == (2**20, 6, 10)
