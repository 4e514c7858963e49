"""Arrays of any strides: copies of them, elementwise functions that keep the order of axes, and what depends on positions."""

import itertools

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
import harness
from fastnn import backend
from harness import DTYPES, ISAS, THREADS, by_dtype, needs_native

by_backend = pytest.mark.parametrize("name", ["native", "numpy"] if harness.NATIVE else ["numpy"])


def values(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def as_floats(x):
    return np.lib.stride_tricks.as_strided(x, (5, 7), (x.itemsize, 3 * x.itemsize))  # elements that overlap


# Views of arrays, by name.
VIEWS = {
    "NHWC as NCHW": lambda d: values(3, 9, 11, 33, dtype=d).transpose(0, 3, 1, 2),
    "NCHW as NHWC": lambda d: values(3, 33, 9, 11, dtype=d).transpose(0, 2, 3, 1),
    "three channels last": lambda d: values(2, 40, 50, 3, dtype=d).transpose(0, 3, 1, 2),
    "three channels first": lambda d: values(2, 3, 40, 50, dtype=d).transpose(0, 2, 3, 1),
    "a matrix, transposed": lambda d: values(130, 77, dtype=d).T,
    "a small matrix, transposed": lambda d: values(3, 2, dtype=d).T,
    "a tall matrix, transposed": lambda d: values(9000, 5, dtype=d).T,
    "all axes reversed": lambda d: values(2, 3, 4, 5, 6, dtype=d).T,
    "batch and time exchanged": lambda d: values(13, 6, 20, dtype=d).swapaxes(0, 1),
    "every second": lambda d: values(400, dtype=d)[::2],
    "every second channel": lambda d: values(2, 8, 5, 7, dtype=d)[:, ::2],
    "every second column": lambda d: values(2, 3, 5, 70, dtype=d)[..., 1::2],
    "every third of both axes, transposed": lambda d: values(90, 100, dtype=d)[::3, ::3].T,
    "a part": lambda d: values(3, 20, 30, dtype=d)[1:, 2:-1, 3:-2],
    "backwards": lambda d: values(5000, dtype=d)[::-1],
    "rows backwards": lambda d: values(30, 40, dtype=d)[::-1],
    "columns backwards": lambda d: values(30, 41, dtype=d)[:, ::-1],
    "both backwards, transposed": lambda d: values(30, 41, dtype=d)[::-1, ::-1].T,
    "repeated": lambda d: np.broadcast_to(values(1, 6, 1, 1, dtype=d), (3, 6, 5, 7)),
    "repeated planes": lambda d: np.broadcast_to(values(1, 1, 50, 7, dtype=d), (3, 6, 50, 7)),
    "one number": lambda d: np.broadcast_to(values(1, dtype=d), (70, 90)),
    "overlapping windows": lambda d: np.lib.stride_tricks.sliding_window_view(values(50, dtype=d), 9),
    "overlapping elements": lambda d: as_floats(values(40, dtype=d)),
    "one element": lambda d: values(3, 3, dtype=d)[1:2, ::2][:, 1:],
    "nothing": lambda d: values(3, 0, 5, dtype=d).T,
    "an axis of one": lambda d: values(4, 1, 6, dtype=d)[:, :, ::-1].transpose(2, 1, 0),
    "64 axes": lambda d: values(*(2, 3, 4), *(1,) * 61, dtype=d).T,
}
by_view = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def is_dense(a):
    """Whether some order of the axes is C-contiguous."""
    axes = sorted(range(a.ndim), key=lambda i: (a.shape[i] != 1, -a.strides[i]))
    return a.transpose(axes).flags.c_contiguous


def strides_of(a):
    return [stride for stride, extent in zip(a.strides, a.shape, strict=True) if extent > 1]


def check_strides(y, x, why=""):
    """Those of x where they are dense, else C-contiguous."""
    if not is_dense(x):
        assert y.flags.c_contiguous, why
    elif x.size:
        assert strides_of(y) == strides_of(x), why
    assert y.flags.writeable
    assert not np.may_share_memory(x, y)


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@by_view
@by_dtype
@by_backend
def test_copies(name, dtype, view):
    fnn.use_backend(name)
    a = view(dtype)
    a.flags.writeable = False
    copy = backend.current().contiguous(a)
    assert copy.flags.c_contiguous
    assert copy.flags.writeable
    assert not np.may_share_memory(a, copy) or not a.size
    assert same(copy, a)


@needs_native
@by_view
@pytest.mark.parametrize("isa", ISAS or ["none"])
def test_copies_on_every_instruction_set_and_number_of_threads(isa, view, native):
    native.set_isa(isa)
    for dtype, threads in itertools.product(DTYPES, THREADS):
        native.set_num_threads(threads)
        a = view(dtype)
        assert same(native.contiguous(a), a)


@needs_native
@pytest.mark.parametrize("isa", ISAS or ["none"])
def test_copies_of_random_views(isa, native):
    """Shapes on both sides of every vector and block, axes in any order, stepped, reversed and repeated."""
    native.set_isa(isa)
    rng = np.random.default_rng(0)
    for _ in range(200):
        extents = rng.choice([1, 2, 3, 5, 8, 17, 40, 70], rng.integers(1, 5)).tolist()
        steps = rng.choice([1, 1, 2, 3], len(extents)).tolist()
        whole = rng.standard_normal(
            [n * s for n, s in zip(extents, steps, strict=True)][:4], dtype=DTYPES[rng.integers(2)]
        )
        a = whole[tuple(slice(None, None, s * int(rng.choice([1, -1]))) for s in steps)].transpose(
            rng.permutation(len(extents))
        )
        if rng.random() < 0.3:
            a = np.broadcast_to(a[:1], (4, *a.shape[1:]))
        native.set_num_threads(int(rng.choice(THREADS)))
        assert same(native.contiguous(a), a), (a.shape, a.strides)


@by_backend
def test_copies_of_other_types_and_of_what_is_not_aligned(name):
    fnn.use_backend(name)
    packed = np.zeros(20, np.dtype([("byte", "u1"), ("number", "f4")]))
    packed["number"] = np.arange(20)
    for a in (np.arange(12).reshape(3, 4).T, values(3, 4).astype(">f4").T, packed["number"], np.arange(6) > 2):
        copy = backend.current().contiguous(a)
        assert copy.flags.c_contiguous
        assert np.array_equal(copy, a)
    assert np.array_equal(F.relu(packed["number"]), np.arange(20))


# ---- elementwise functions keep the order of axes ---------------------------------------------------------------------

# Forward, and the backward of dy and x or y.
ELEMENTWISE = {
    "relu": (F.relu, F.relu_backward),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_backward),
    "elu": (F.elu, F.elu_backward),
    "sigmoid": (F.sigmoid, F.sigmoid_backward),
    "tanh": (F.tanh, F.tanh_backward),
    "selu": (F.selu, F.selu_backward),
    "softplus": (F.softplus, F.softplus_backward),
    "gelu": (F.gelu, F.gelu_backward),
    "gelu with tanh": (lambda x: F.gelu(x, "tanh"), lambda dy, x: F.gelu_backward(dy, x, "tanh")),
    "silu": (F.silu, F.silu_backward),
    "hardsigmoid": (F.hardsigmoid, F.hardsigmoid_backward),
    "hardswish": (F.hardswish, F.hardswish_backward),
    "relu6": (F.relu6, F.relu6_backward),
    "thresholded_relu": (F.thresholded_relu, F.thresholded_relu_backward),
    "celu": (F.celu, F.celu_backward),
    "mish": (F.mish, F.mish_backward),
    "logsigmoid": (F.logsigmoid, F.logsigmoid_backward),
    "softsign": (F.softsign, F.softsign_backward),
    "rrelu in evaluation": (F.rrelu, F.leaky_relu_backward),
}
by_function = pytest.mark.parametrize("function", ELEMENTWISE)


@by_function
@by_dtype
@by_backend
def test_elementwise_functions_keep_the_order_of_axes(name, dtype, function):
    fnn.use_backend(name)
    forward, backward = ELEMENTWISE[function]
    for view_name, view in VIEWS.items():
        x = view(dtype)
        plain = np.array(x, order="C")
        for y in (forward(x), forward(fnn.Tensor(x)).data):
            check_strides(y, x, view_name)
            assert same(y, forward(plain)), view_name
        dy = 2 * plain[::-1] if plain.ndim else plain
        expected = backward(dy, plain)
        turned = np.empty_like(x) if is_dense(x) else x.copy()
        turned[...] = dy
        for dy_, x_ in ((turned, x), (turned, plain), (dy, x), (turned[::-1][::-1], x)):
            dx = backward(dy_, x_)
            check_strides(dx, dy_, view_name)
            assert same(dx, expected), view_name


@by_function
def test_the_same_bits_for_every_number_of_threads_in_any_order_of_axes(function, native):
    forward, backward = ELEMENTWISE[function]
    for view in VIEWS.values():
        x = view(np.float32)
        expected = forward(np.array(x, order="C"))
        gradient = backward(expected, expected)
        for threads in THREADS:
            native.set_num_threads(threads)
            assert same(forward(x), expected)
            assert same(backward(expected, forward(x)), gradient)


@by_view
@by_backend
def test_sums(name, view):
    fnn.use_backend(name)
    a = view(np.float32)
    b = 2 * np.array(a, order="C")
    for first, second in ((a, a), (a, b), (b, a)):
        y = F.add(first, second)
        check_strides(y, first)
        assert same(y, np.array(first, order="C") + np.array(second, order="C"))


@by_backend
def test_axes_of_one_element_have_any_stride(name):
    fnn.use_backend(name)
    x = np.lib.stride_tricks.as_strided(values(6, 5), (6, 1, 5), (20, 1234567, 4))
    turned = np.lib.stride_tricks.as_strided(values(6, 5), (5, 1, 6), (4, -8, 20))
    for a in (x, turned):
        y = F.relu_backward(a, F.tanh(a))
        assert strides_of(y) == strides_of(a)
        assert np.array_equal(y, np.maximum(a, 0))


@by_view
@by_backend
def test_what_depends_on_positions_does_not_depend_on_strides(name, view):
    fnn.use_backend(name)
    x = view(np.float32)
    plain = np.array(x, order="C")
    assert same(F.dropout(x, 0.5, rng=0), F.dropout(plain, 0.5, rng=0))
    assert same(F.rrelu(x, training=True, rng=0), F.rrelu(plain, training=True, rng=0))
    if x.ndim == 4:
        assert same(F.dropout2d(x, 0.5, rng=0), F.dropout2d(plain, 0.5, rng=0))
    results = []
    for a in (x, plain):
        t = fnn.Tensor(a, requires_grad=True)
        F.rrelu(F.dropout(t, 0.5, rng=0), training=True, rng=1).backward(plain)
        results.append(t.grad)
    assert same(*results)


@by_function
@by_backend
def test_gradients_of_tensors_in_any_order_of_axes(name, function):
    """Also of chains of them, whose outputs are in that order and whose gradients are not."""
    fnn.use_backend(name)
    forward, _ = ELEMENTWISE[function]
    for view in VIEWS.values():
        x = view(np.float64)
        plain = np.array(x, order="C")
        results = []
        for a in (x, plain):
            t = fnn.Tensor(a, requires_grad=True)
            y = F.add(forward(forward(t) * 2.0), t)
            y.backward(plain)
            value, moved = fnn.jvp(lambda v: forward(F.add(v, v)), (a,), (plain,))
            results.append((y.data, t.grad, value, moved))
        assert all(same(a, b) for a, b in zip(*results, strict=True))
        assert results[0][1].flags.c_contiguous


@by_backend
def test_a_network_of_images_with_channels_last(name):
    """Forward and backward as of contiguous ones, to the bit."""
    fnn.use_backend(name)
    x = values(2, 9, 8, 3).transpose(0, 3, 1, 2)
    weight = values(3, 3, 3, 5).transpose(3, 2, 0, 1)  # HWIO
    dense = values(100, 7)
    results = []
    for arrays in ((x, weight, dense.T), tuple(np.array(a, order="C") for a in (x, weight, dense.T))):
        tensors = [fnn.Tensor(a, requires_grad=True) for a in arrays]
        image, w, matrix = tensors
        y = F.relu(F.conv2d(F.tanh(image), w, padding=1))
        y = F.linear(F.max_pool2d(y, 2).reshape(2, -1)[:, : 100 - 20], matrix[:, : 100 - 20])
        y.backward(np.ones(y.shape, np.float32))
        results.append([y.data, *(t.grad for t in tensors)])
    assert all(same(a, b) for a, b in zip(*results, strict=True))
