"""Every path of the pooling kernels by the shape that leads to it: right, in bounds, the same bits for any thread count."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import backend, checks
from fastnn.backend import reference
from harness import THREADS, by_dtype, by_isa, needs_native
from subproc import run

pytestmark = needs_native

# name: shape of x, kernel, stride, padding, dilation, ceil_mode
WINDOWS = {
    "kernel 2 stride 2, whole vectors": ((2, 3, 6, 132), 2, 2, 0, 1, False),
    "kernel 2 stride 2, exactly one vector": ((1, 2, 4, 32), 2, 2, 0, 1, False),
    "kernel 2 stride 2, short rows": ((3, 2, 8, 8), 2, 2, 0, 1, False),
    "kernel 2 stride 2, odd image": ((2, 2, 7, 7), 2, 2, 1, 1, True),
    "side by side, inputs beyond the last": ((2, 2, 7, 65), 2, 2, 0, 1, False),
    "side by side, the last are cut off": ((2, 2, 7, 67), 2, 2, 0, 1, True),
    "kernel 3 stride 2, whole vectors": ((2, 2, 9, 131), 3, 2, 1, 1, False),
    "kernel 3 stride 2, short rows": ((2, 3, 7, 7), 3, 2, 1, 1, False),
    "kernel 3 stride 2, no padding": ((2, 3, 28, 28), 3, 2, 0, 1, True),
    "kernel 3 stride 1": ((2, 2, 12, 70), 3, 1, 1, 1, False),
    "kernel 3 stride 1, one column": ((2, 2, 5, 1), 3, 1, 1, 1, False),
    "any kernel stride 1": ((1, 2, 9, 75), (2, 5), 1, (1, 2), 1, False),
    "any kernel stride 2": ((1, 2, 9, 75), (2, 5), 2, (1, 2), 1, False),
    "stride 2, dilated by 2": ((1, 2, 11, 90), 3, 2, 1, 2, False),
    "stride 2, dilated by 3": ((1, 2, 11, 90), 3, 2, 1, 3, False),
    "stride 1, dilated": ((1, 2, 11, 60), 3, 1, 1, 2, False),
    "stride 3": ((1, 2, 10, 100), 3, 3, 1, 1, True),
    "stride 4, gaps": ((1, 2, 10, 100), 2, 4, 0, 1, False),
    "strides differ": ((1, 2, 16, 40), (3, 3), (3, 2), (1, 1), 1, False),
    "index of 32 bits": ((1, 2, 20, 40), (17, 16), (2, 3), (1, 2), 1, False),
    "along the window": ((2, 5, 14, 70), (14, 35), (14, 35), 0, 1, False),
    "the whole plane": ((2, 5, 7, 7), 7, 7, 0, 1, False),
    "overlapping along the window": ((2, 3, 20, 40), (9, 36), (2, 2), (4, 3), 1, False),
    "parts of wide rows": ((1, 1, 70, 300), 3, 2, 1, 1, False),
    "parts of many rows": ((1, 1, 600, 20), 3, 2, 1, 1, False),
    "parts of columns": ((1, 1, 5, 4500), 3, 2, 1, 1, False),
    "parts of columns, stride 3": ((1, 1, 4, 5000), 3, 3, 1, 1, False),
    "parts of columns, stride 1": ((1, 1, 5, 4500), (2, 4), 1, 1, 1, False),
    "one window on a long row": ((1, 2, 6, 200), (3, 3), (1, 198), 0, 1, False),
    "one window on a row of parts": ((1, 1, 4, 5000), (2, 3), (2, 5000), 0, 1, False),
}
UNDILATED = {name: window for name, window in WINDOWS.items() if window[4] == 1}
by_window = pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
by_undilated_window = pytest.mark.parametrize("window", UNDILATED.values(), ids=UNDILATED.keys())

ADAPTIVE = {
    "to one": ((2, 3, 7, 7), (1, 1)),
    "to one, long": ((2, 3, 9, 130), (1, 1)),
    "dividing": ((2, 3, 12, 40), (3, 4)),
    "overlapping": ((2, 3, 11, 37), (4, 5)),
    "larger than the image": ((1, 2, 3, 5), (7, 8)),
    "one row": ((1, 2, 1, 70), (1, 2)),
    "narrow planes, dividing": ((3, 7, 10, 10), (2, 2)),
    "narrow planes, overlapping": ((5, 8, 5, 7), (2, 2)),
    "narrow planes, larger than the image": ((19, 1, 3, 1), (4, 1)),
    "groups of rows": ((3, 2, 13, 45), (6, 5)),
    "groups of rows, larger than the image": ((2, 3, 3, 20), (5, 23)),
    "narrow planes, to one": ((3, 6, 7, 7), (1, 1)),
}
by_adaptive = pytest.mark.parametrize("case", ADAPTIVE.values(), ids=ADAPTIVE.keys())


def values(shape, dtype, seed=0):
    """With ties, and windows of minus infinity alone."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    x[..., ::5] = np.round(x[..., ::5])
    x[0, 0] = np.where(x[0, 0] > 0, x[0, 0], -np.inf)
    return x


class Guarded:
    """Copies of an array that touch a page without access, above or below."""

    def __init__(self):
        self._maps = []
        self._protect = ctypes.CDLL(None, use_errno=True).mprotect
        self._protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def _pages(self, count):
        page = mmap.PAGESIZE
        memory = mmap.mmap(-1, (count + 2) * page)
        start = np.frombuffer(memory, np.uint8).ctypes.data
        for at in (start, start + (count + 1) * page):
            assert self._protect(at, page, 0) == 0
        self._maps.append((memory, start, (count + 2) * page))
        return np.frombuffer(memory, np.uint8)[page:-page]

    def copies(self, a):
        room = self._pages(-(-max(a.nbytes, 1) // mmap.PAGESIZE))
        for part in (room[room.size - a.nbytes :], room[: a.nbytes]):
            copy = part.view(a.dtype).reshape(a.shape)
            copy[...] = a
            copy.flags.writeable = False
            yield copy

    def release(self):
        for _, start, size in self._maps:
            self._protect(start, size, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def guarded():
    g = Guarded()
    yield g
    g.release()


def geometry(window, x):
    return checks.pool("test", 2, x, *window[1:])[0]


def every_way(native, isa, guarded, call, *arrays):
    """call(backend, arrays) next to either guard and for every number of threads; all with the same bits."""
    native.set_isa(isa)
    results = []
    for copies in zip(*(guarded.copies(a) for a in arrays), strict=True):
        native.set_num_threads(1)
        results.append(call(backend.current(), *copies))
    for threads in THREADS[1:]:
        native.set_num_threads(threads)
        results.append(call(backend.current(), *arrays))
    first = results[0] if isinstance(results[0], tuple) else (results[0],)
    for other in results[1:]:
        for a, b in zip(first, other if isinstance(other, tuple) else (other,), strict=True):
            assert a.tobytes() == b.tobytes()
    return results[0]


def close(actual, expected, terms, dtype):
    """Sums of `terms` products of numbers around one, rounded in dtype."""
    np.testing.assert_allclose(actual, expected, rtol=8 * np.finfo(dtype).eps, atol=8 * terms * np.finfo(dtype).eps)


@by_dtype
@by_isa
@by_window
def test_max_pool(window, isa, dtype, native, guarded):
    x = values(window[0], dtype)
    x[-1, -1, -1, -1] = np.nan
    g = geometry(window, x)
    y, index = reference.max_pool_forward(g, x, True)
    got_y, got_index = every_way(native, isa, guarded, lambda ops, x: ops.max_pool_forward(g, x, True), x)
    assert np.array_equal(got_y, y, equal_nan=True)
    assert np.array_equal(got_index, index)
    assert got_index.dtype == index.dtype
    without = every_way(native, isa, guarded, lambda ops, x: ops.max_pool_forward(g, x, False)[0], x)
    assert np.array_equal(without, y, equal_nan=True)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx = every_way(native, isa, guarded, lambda ops, dy, i: ops.max_pool_backward(g, dy, i), dy, index)
    close(dx, reference.max_pool_backward(g, dy, index), np.prod(g.kernel), dtype)


@by_dtype
@by_isa
@by_undilated_window
@pytest.mark.parametrize("include_pad", [True, False])
def test_avg_pool(window, isa, dtype, include_pad, native, guarded):
    x = np.random.default_rng(0).standard_normal(window[0]).astype(dtype)
    g = geometry(window, x)
    y = every_way(native, isa, guarded, lambda ops, x: ops.avg_pool_forward(g, x, include_pad), x)
    close(y, reference.avg_pool_forward(g, x.astype(np.float64), include_pad), 1, dtype)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx = every_way(native, isa, guarded, lambda ops, dy: ops.avg_pool_backward(g, dy, include_pad), dy)
    close(dx, reference.avg_pool_backward(g, dy.astype(np.float64), include_pad), 4, dtype)


@by_dtype
@by_isa
@by_undilated_window
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_lp_pool(window, isa, dtype, p, native, guarded):
    x = np.random.default_rng(0).standard_normal(window[0]).astype(dtype)
    x[0, 0, :3] = 0
    g = geometry(window, x)
    y = every_way(native, isa, guarded, lambda ops, x: ops.lp_pool_forward(g, x, p), x)
    close(y, reference.lp_pool_forward(g, x.astype(np.float64), p), np.prod(g.kernel), dtype)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx = every_way(native, isa, guarded, lambda ops, *a: ops.lp_pool_backward(g, *a, p), dy, x, y)
    expected = reference.lp_pool_backward(g, *(a.astype(np.float64) for a in (dy, x, y)), p)
    close(dx, expected, np.prod(g.kernel), dtype)


@by_dtype
@by_isa
@by_adaptive
def test_adaptive_pool(case, isa, dtype, native, guarded):
    shape, out = case
    x = values(shape, dtype)
    x[-1, -1, ::2, 1::3] = np.nan
    g, _ = checks.adaptive_pool("test", 2, x, out)
    y, index = reference.adaptive_max_pool_forward(g, x)
    got = every_way(native, isa, guarded, lambda ops, x: ops.adaptive_max_pool_forward(g, x), x)
    assert np.array_equal(got[0], y, equal_nan=True)
    assert np.array_equal(got[1], index)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx = every_way(native, isa, guarded, lambda ops, *a: ops.adaptive_max_pool_backward(g, *a), dy, index)
    close(dx, reference.adaptive_max_pool_backward(g, dy, index), 16, dtype)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    y = every_way(native, isa, guarded, lambda ops, x: ops.adaptive_avg_pool_forward(g, x), x)
    close(y, reference.adaptive_avg_pool_forward(g, x.astype(np.float64)), 1, dtype)
    dx = every_way(native, isa, guarded, lambda ops, dy: ops.adaptive_avg_pool_backward(g, dy), dy)
    close(dx, reference.adaptive_avg_pool_backward(g, dy.astype(np.float64)), 16, dtype)


GRADIENTS = {
    "avg": lambda rank, dy, x, *window: getattr(F, f"avg_pool{rank}d_backward")(dy, x.shape, *window),
    "max": lambda rank, dy, x, *window: getattr(F, f"max_pool{rank}d_backward")(dy, x, *window),
    "lp": lambda rank, dy, x, *window: getattr(F, f"lp_pool{rank}d_backward")(dy, x, 2, *window[:2], padding=window[2]),
}


def few_windows(rank):
    """Shapes, kernels, strides and paddings of windows that leave much of a row alone, one of them above all."""
    lead, ones = (1, 2, *(3,) * (rank - 1)), (1,) * (rank - 1)
    for width, kernel, padding in itertools.product((16, 70), range(1, 8), (0, 1)):
        for stride in (2, width - 2, width + 9):
            if kernel <= width + 2 * padding and padding < kernel:
                yield (*lead, width), (*ones, kernel), (*ones, stride), (*(0,) * (rank - 1), padding)


def through_the_tape(function, dy, x):
    t = fnn.tensor(x, requires_grad=True)
    function(t).backward(dy)
    return np.asarray(t.grad)


@by_isa
@pytest.mark.parametrize("kind", GRADIENTS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_inputs_that_no_window_reaches_get_no_gradient(rank, kind, isa, native):
    """Whatever calls before have left in the memory of the kernels."""
    native.set_isa(isa)
    rng = np.random.default_rng(rank)
    forward = getattr(F, f"{kind}_pool{rank}d")
    earlier = np.full((1, 1, *(4,) * (rank - 1), 500), 1e6, np.float32)
    for number, (shape, kernel, stride, padding) in enumerate(few_windows(rank)):
        native.set_num_threads(1 + number % 3)
        GRADIENTS[kind](rank, np.full_like(earlier, 1e6), earlier, 1, 1, 0)
        GRADIENTS[kind](rank, np.full_like(earlier[..., 2:], 1e6), earlier, (*(1,) * (rank - 1), 3), 1, 0)
        x = rng.standard_normal(shape).astype(np.float32)
        options = (2,) * (kind == "lp") + (kernel, stride)
        y = forward(x, *options, padding=padding)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        with fnn.use_backend("numpy"):
            expected = GRADIENTS[kind](rank, dy, x, kernel, stride, padding)
        got = GRADIENTS[kind](rank, dy, x, kernel, stride, padding)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5, err_msg=f"{shape} {kernel} {stride} {padding}")
        taped = through_the_tape(lambda t, o=options, p=padding: forward(t, *o, padding=p), dy, x)
        assert np.array_equal(got, taped)


@pytest.mark.parametrize("numpy_backend", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_positions_of_maxima_in_many_outputs_of_one_column(rank, numpy_backend):
    """More than 8192 outputs whose last axis is 1 once got other positions than their own, on both backends."""
    fnn.use_backend("numpy" if numpy_backend else "native")
    shape = (30, 300, *(4,) * (rank - 1), 2)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y, index = getattr(F, f"max_pool{rank}d")(x, 2, return_indices=True)
    flat = x.reshape(*x.shape[:2], -1)
    at = index.reshape(*x.shape[:2], -1)
    assert np.array_equal(np.take_along_axis(flat, at, 2).reshape(y.shape), y)
    backward = getattr(F, f"max_pool{rank}d_backward")
    assert np.array_equal(backward(y, x, 2, indices=index), backward(y, x, 2))
    adaptive = getattr(F, f"adaptive_max_pool{rank}d")
    backward = getattr(F, f"adaptive_max_pool{rank}d_backward")
    y, index = adaptive(x, (*(2,) * (rank - 1), 1), return_indices=True)
    assert np.array_equal(
        backward(y, x, (*(2,) * (rank - 1), 1), indices=index), backward(y, x, (*(2,) * (rank - 1), 1))
    )


def mean_pools(x):
    """Every way to one mean of all of x, by name."""
    rank, size = x.ndim - 2, x.shape[2:]
    yield "average", getattr(F, f"avg_pool{rank}d")(x, size)
    yield "divisor", getattr(F, f"avg_pool{rank}d")(x, size, divisor_override=int(np.prod(size)))
    yield "adaptive", getattr(F, f"adaptive_avg_pool{rank}d")(x, 1)


@by_isa
@by_dtype
@pytest.mark.parametrize("numpy_backend", [False, True])
def test_means_of_sums_that_are_too_large(numpy_backend, dtype, isa, native):
    fnn.use_backend("numpy" if numpy_backend else "native")
    native.set_isa(isa)
    large = dtype(0.6) * np.finfo(dtype).max
    for shape in ((2, 3, 40), (2, 3, 8, 9), (17, 2, 4, 4), (1, 2, 3, 5, 6)):
        for name, y in mean_pools(np.full(shape, large)):
            np.testing.assert_allclose(y, large, rtol=8 * np.finfo(dtype).eps, err_msg=f"{name} {shape}")
    x = np.full((17, 1, 12, 36), large)
    x[:, :, 1::2] *= -1
    x[0, 0, 3, 3] = np.inf
    x[1, 0, 3, 3] = np.nan
    for y in (
        F.avg_pool2d(x, 3, 2),
        F.avg_pool2d(x, (4, 12)),
        F.adaptive_avg_pool2d(x, (3, 3)),
        F.avg_pool2d(x, 3, 1, 1),
    ):
        assert np.isfinite(y[2:]).all()
        assert np.isposinf(y[0]).any()
        assert np.isnan(y[1]).any()
        assert np.isfinite(y[0]).any()
    assert np.isposinf(F.avg_pool2d(np.full((1, 1, 4, 4), large), 2, divisor_override=1)).all()


@by_isa
def test_means_and_norms_of_large_windows(isa, native):
    """One accumulator of 24 bits would be off by up to a part in a thousand, or stop at 2**24."""
    native.set_isa(isa)
    for x, kernel, stride in (
        (np.full((1, 1, 1, 2**21 + 5), 0.1, np.float32), (1, 2**21), 1),
        (np.full((1, 1, 600, 40), 0.1, np.float32), (600, 8), (1, 1)),
        (np.full((1, 1, 500, 500), 0.1, np.float32), (500, 500), 1),
    ):
        n = float(np.prod(kernel))
        value = float(np.float32(0.1))
        np.testing.assert_allclose(F.avg_pool2d(x, kernel, stride), value, rtol=2e-6)
        np.testing.assert_allclose(F.lp_pool2d(x, 1, kernel, stride), n * value, rtol=2e-6)
        np.testing.assert_allclose(F.lp_pool2d(x, 2, kernel, stride), np.sqrt(n) * value, rtol=2e-6)
    tall = np.full((16, 1, 30_000, 8), 0.1, np.float32)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(tall, (1, 4)), np.float32(0.1), rtol=2e-6)
    ones = np.ones((1, 1, 4100, 4100), np.float32)
    assert F.adaptive_avg_pool2d(ones, 1).item() == 1
    with fnn.use_backend("numpy"):
        x = np.full((1, 1, 300, 300), 0.1, np.float32)
        np.testing.assert_allclose(F.avg_pool2d(x, 300), np.float32(0.1), rtol=2e-7)
        np.testing.assert_allclose(F.lp_pool2d(x, 1, 300), 9e4 * float(np.float32(0.1)), rtol=2e-7)


@by_isa
@pytest.mark.parametrize("numpy_backend", [False, True])
def test_a_norm_whose_root_is_too_large(numpy_backend, isa, native):
    """(sum of |x|^p)^(1/p) of 100 equal numbers is 100^(1/p) times one of them."""
    fnn.use_backend("numpy" if numpy_backend else "native")
    native.set_isa(isa)
    x = np.full((1, 1, 10, 10), 1e-30, np.float32)
    np.testing.assert_allclose(F.lp_pool2d(x, 0.05, 10), 1e10, rtol=1e-3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of the address space")
def test_tables_are_no_larger_than_the_image():
    code = """
        import resource
        import numpy as np, fastnn.functional as F
        x = np.ones((1, 1, 2**20, 4), np.float32)
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        print(F.avg_pool2d(x, (2**20, 1)).tolist(), F.max_pool2d(x, (2**20, 1)).tolist())
    """
    assert run(code) == "[[[[1.0, 1.0, 1.0, 1.0]]]] [[[[1.0, 1.0, 1.0, 1.0]]]]"
