"""Bindings called with what no public function gives them: an exception, and no memory that isn't theirs."""

import numpy as np
import pytest

from fastnn.checks import AdaptivePool, Conv, Pool
from harness import needs_native

pytestmark = needs_native

REFUSED = (ValueError, TypeError, OverflowError)


def f(*shape):
    return np.ones(shape, np.float32)


NONE = np.zeros(0, np.float32)
CLASSES = np.zeros(0, np.int64)

# Extents that are negative, overflow, or belong to no array of the size that is given.
EXTENTS = [(), (1, 10), (1, 2, 3, 4), None, "abc", 5, [1, 10, 1], (1, 10, "x"), (-1, -1, 10), (-10, 1, -1),
           (2**32, 2**32, 1), (2**62, 4, 1), (2**63, 1, 1), (2**40, 0, 2**40), (2, 10, 1)]  # fmt: skip


@pytest.mark.parametrize("g", EXTENTS, ids=str)
def test_extents(g, native):
    x = f(10)
    for call in (
        lambda x: native.softmax_forward(g, x),
        lambda x: native.log_softmax_backward(g, x, x),
        lambda x: native.cross_entropy_forward(g, x, CLASSES, None, -100, 0.0),
        lambda x: native.soft_cross_entropy_backward(g, f(1), x, x, None, 0.0, f(1)),
        lambda x: native.nll_loss_backward(g, f(1), x, CLASSES, None, -100),
        lambda x: native.maxout_forward(g, x, (1,)),
        lambda x: native.prelu_forward(g, x, f(4)),
        lambda x: native.layer_norm_forward(g, x, None, None, 1e-5),
        lambda x: native.rms_norm_forward(g, x, None, 1e-5),
        lambda x: native.batch_norm_eval_forward(g, x, f(1), f(1), None, None, 1e-5),
        lambda x: native.local_response_norm_forward(g, x, 5, 1e-4, 0.75, 2.0),
    ):
        for a in (x, NONE):
            with pytest.raises(REFUSED):
                call(a)


PIXELS = [(), None, (1, 2, 1, 1), (1, 2, 1, 1, (4, 1, 1), (1, 3, 2)), (-1, 2, -1, 1, (4, 1, 1), (1, 2, 2)),
          (1, -2, 1, 1, (4, 1, 1), (1, 2, 2)), (1, 2, 2, 1, (4, 1, 1), (1, 2, 2)), (2**62, 2, 1, 1, (4, 1, 1), (1, 2, 2)),
          (1, 2, 1, 1, None, None), (1, 2, 1, 1.5, (4, 1, 1), (1, 2, 2)), (1, 0, 1, 1, (4, 1, 1), (1, 2, 2))]  # fmt: skip


@pytest.mark.parametrize("g", PIXELS, ids=str)
def test_pixels(g, native):
    for a in (f(4), NONE):
        with pytest.raises(REFUSED):
            native.pixel_shuffle(a, g)
    with pytest.raises(REFUSED):
        native.pixel_unshuffle(NONE, g)


POOL = Pool(2, 1, (1, 8, 9), (1, 4, 4), (1, 2, 3), (1, 2, 2), (0, 0, 0), (1, 1, 1), (0, 0, 0))
WRONG_AXES = [
    {"out": (1, 4, 6)}, {"out": (1, 0, 4)}, {"out": (1, 2**40, 4)}, {"out": (1, 4)}, {"out": None},
    {"pad": (0, 1001, 0)}, {"pad": (0, -1, 0)}, {"pad": (0, 2**62, 0)}, {"pad_end": (0, 0, -5)}, {"pad_end": (0, 0, 2**62)},
    {"stride": (1, 3, 2)}, {"stride": (1, 2**62, 2)}, {"stride": (1, 0, 2)}, {"stride": (1, 2, -1)},
    {"kernel": (1, 2**62, 3)}, {"kernel": (1, 2**31, 3)}, {"kernel": (0, 2, 3)},
    {"dilation": (1, 2**62, 1)}, {"dilation": (1, 1, 0)}, {"dilation": (1, 20, 1), "pad": (0, 3, 0)},
    {"size": (1, 8, -9)}, {"size": (2**32, 2**32, 9)}, {"size": [1, 8, 9]}, {"n": -2}, {"n": 2**62}, {"c": 2**40},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_AXES, ids=str)
def test_windows_of_pooling(wrong, native):
    g = POOL._replace(**wrong)
    x, y = f(2, 1, 8, 9), f(2, 1, 4, 4)
    for call in (
        lambda: native.max_pool_forward(g, x, True),
        lambda: native.max_pool_backward(g, y, np.zeros(y.shape, np.uint8)),
        lambda: native.max_pool_positions(g, np.zeros(y.shape, np.uint8)),
        lambda: native.max_pool_backward_at(g, y, np.zeros(y.shape, np.int64)),
        lambda: native.avg_pool_forward(g, x, True),
        lambda: native.avg_pool_backward(g, y, False),
        lambda: native.lp_pool_forward(g, x, 2.0),
        lambda: native.lp_pool_backward(g, y, x, y, 2.0),
    ):
        with pytest.raises(REFUSED):
            call()


CONV = Conv(2, 4, 6, 2, (1, 8, 9), (1, 4, 4), (1, 2, 3), (1, 2, 2), (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    "wrong",
    [w for w in WRONG_AXES if not w.keys() & {"pad_end"} and w not in (
        {"pad": (0, 1001, 0)}, {"stride": (1, 3, 2)}, {"out": (1, 4, 6)}, {"dilation": (1, 20, 1), "pad": (0, 3, 0)})]
    + [{"groups": 0}, {"groups": 3}, {"groups": -2}, {"k": -6}, {"k": 2**62}],
    ids=str,
)  # fmt: skip
def test_windows_of_convolution(wrong, native):
    g = CONV._replace(**wrong)
    x, y, weight = f(2, 4, 8, 9), f(2, 6, 4, 4), f(6, 2, 2, 3)
    for call in (
        lambda: native.conv_forward(g, x, weight, None),
        lambda: native.conv_transpose_forward(g, y, weight, None),
        lambda: native.conv_backward_weight(g, y, x, f(6, 2, 2, 3)),
    ):
        with pytest.raises(REFUSED):
            call()


def test_windows_that_are_right(native):
    assert native.max_pool_forward(POOL, f(2, 1, 8, 9), True)[0].shape == (2, 1, 4, 4)
    assert native.conv_forward(CONV, f(2, 4, 8, 9), f(6, 2, 2, 3), None).shape == (2, 6, 4, 4)


@pytest.mark.parametrize("g", [
    AdaptivePool(1, 1, (1, 1, 5), (1, 1, -1)), AdaptivePool(1, 1, (1, 1, 5), (2**32, 2**32, 1)), (1, 1, (1, 1, 5)),
    AdaptivePool(1, 1, (1, 0, 5), (1, 1, 1)), AdaptivePool(-1, -1, (1, 1, 5), (1, 1, 1)), None,
    AdaptivePool(2**62, 4, (1, 1, 5), (1, 1, 1)),
], ids=str)  # fmt: skip
def test_adaptive_windows(g, native):
    for call in (
        lambda: native.adaptive_avg_pool_forward(g, f(1, 1, 5)),
        lambda: native.adaptive_avg_pool_backward(g, f(1, 1, 1)),
        lambda: native.adaptive_max_pool_forward(g, f(1, 1, 5)),
        lambda: native.adaptive_max_pool_backward(g, f(1, 1, 1), np.zeros((1, 1, 1), np.int32)),
        lambda: native.adaptive_max_pool_backward_at(g, f(1, 1, 1), np.zeros((1, 1, 1), np.int64)),
    ):
        with pytest.raises(REFUSED):
            call()


@pytest.mark.parametrize("target", [[0, 1, 2], b"xx", 1.5, None, memoryview(b"abc"), np.zeros(3), np.array([0, 1, 4]),
                                    np.array([0, -1, 2]), np.zeros(4, np.int64)], ids=lambda target: repr(target).partition(" at 0x")[0])  # fmt: skip
def test_targets_of_multi_margin_loss(target, native):
    with pytest.raises(REFUSED):
        native.multi_margin_loss_forward(f(3, 4), target, None, 1.0, False)
    with pytest.raises(REFUSED):
        native.multi_margin_loss_backward(f(3), f(3, 4), target, None, 1.0, False)


def test_weights_of_recurrent_layers(native):
    for d, x in ((f(2, 1, 54), f(19)), (f(2, 54), f(2, 1, 9)), (f(2, 1, 54), "x"), (None, f(2, 1, 9))):
        with pytest.raises(REFUSED):
            native.rnn_backward_weights(d, x, None, None, None, None, False, True)
    with pytest.raises(REFUSED):
        native.rnn_backward_weights(f(2, 1, 6), None, f(2, 1, 9), f(2, 1, 9), None, None, False, False)
    huge = np.empty((0, 2**40), np.float32)
    with pytest.raises(REFUSED):
        native.rnn_forward(f(1, 0, 2), None, f(0, 2), huge, None, None, False, None, False)


@pytest.mark.parametrize("planes", [-3, -(2**63), 7, 2**62])
def test_planes_of_dropout(planes, native):
    with pytest.raises(REFUSED):
        native.spatial_dropout_forward(f(3, 4), planes, 0.5, 0)


def test_room_for_results(native):
    for shape, dtype in (((600,), np.dtype(object)), ((-1,), np.dtype("f")), (None, np.dtype("f")), ((600,), None),
                         ((2**62, 4), np.dtype("f")), ((1,) * 65, np.dtype("f"))):  # fmt: skip
        with pytest.raises((*REFUSED, MemoryError)):
            native.empty(shape, dtype)
    a, b = np.empty((2**32, 0), np.float32), np.empty((0, 2**32), np.float32)
    with pytest.raises(REFUSED):
        native.matmul_into(a, b, False, False, NONE)


def test_taps_that_windows_do_not_have(native):
    """Positions follow from them alone, not from what memory held."""
    index = np.full((2, 1, 4, 4), 255, np.uint8)
    assert np.array_equal(native.max_pool_positions(POOL, index), native.max_pool_positions(POOL, index))
    assert not native.max_pool_backward(POOL, f(2, 1, 4, 4), index).any()


@pytest.mark.parametrize("divisor", [0, -1, 2**63, "x"])
def test_divisors(divisor, native):
    with pytest.raises(REFUSED):
        native.avg_pool_forward(POOL, f(2, 1, 8, 9), True, divisor)


@pytest.mark.parametrize("g", [(0, 4, 3), (2, 4, 0), (0, 4, 100), (0, 1, 4096)])
def test_moments_of_nothing(g, native):
    x = np.zeros(g, np.float32)
    with pytest.raises(ValueError, match="no values"):
        native.batch_norm_train_forward(g, x, None, None, None, None, 0.9, 1e-5)
    rows = np.zeros((3, 0), np.float32)
    for call in (native.layer_norm_forward, native.rms_norm_forward):
        with pytest.raises(ValueError, match="no values"):
            call((3, 1, 0), rows, None, *([None] if call is native.layer_norm_forward else []), 1e-5)
    with pytest.raises(ValueError, match="no values"):
        native.group_norm_forward((2, 3, 4, 0), np.zeros((2, 12, 0), np.float32), None, None, 1e-5)
