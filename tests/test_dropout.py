"""Dropout's masks: the published generator, the same on both backends, per instruction set and thread count."""

import os
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.backend import reference
from harness import THREADS, by_dtype, by_isa
from subproc import run

# Philox4x32-10 of the counter 0 and the key 0: a known answer that comes with the authors' library Random123.
KNOWN = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_known_answer(backend):
    """An element is kept up to the probability that its word stands for and no further."""
    with fnn.use_backend(backend):
        dropout = fnn.backend.current().dropout_forward
        for i, word in enumerate(KNOWN):
            assert dropout(np.ones(4, np.float32), word / 2**32, 0)[i] != 0
            assert dropout(np.ones(4, np.float32), (word + 1) / 2**32, 0)[i] == 0


@by_isa
@by_dtype
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1000, 12345])
def test_same_mask_on_both_backends(size, isa, dtype, native):
    native.set_isa(isa)
    x = np.random.default_rng(size).normal(size=size).astype(dtype)
    for p in (1e-9, 0.1, 0.5, 0.75, 1 - 1e-9, 1.0):
        for key in (0, 1, 2**32, 2**63 + 12345, 2**64 - 1):
            expected = reference.dropout_forward(x, p, key)
            actual = native.dropout_forward(x, p, key)
            assert actual.dtype == dtype
            np.testing.assert_array_equal(actual, expected)


@by_isa
@by_dtype
def test_same_mask_for_every_thread_count(isa, dtype, native):
    native.set_isa(isa)
    x = np.random.default_rng(0).normal(size=(37, 101)).astype(dtype)
    results = []
    for threads in THREADS:
        native.set_num_threads(threads)
        results.append(native.dropout_forward(x, 0.3, 99))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@by_isa
def test_element_i_does_not_depend_on_the_size(isa, native):
    native.set_isa(isa)
    ones = np.ones(1000, np.float32)
    whole = native.dropout_forward(ones, 0.5, 7)
    for size in range(1, 200):
        np.testing.assert_array_equal(native.dropout_forward(ones[:size], 0.5, 7), whole[:size])


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_statistics(p):
    """The share kept, of all and of each word of a block, within five standard deviations; neighbours independent."""
    n = 1 << 18
    kept = F.dropout(np.ones(n, np.float32), p, rng=5) != 0
    assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / n)
    for lane in range(4):
        assert abs(kept[lane::4].mean() - (1 - p)) < 5 * np.sqrt(4 * p * (1 - p) / n)
    centred = kept - (1 - p)
    for lag in (1, 2, 3, 4, 8, 64):
        assert abs((centred[lag:] * centred[:-lag]).mean()) < 5 * p * (1 - p) / np.sqrt(n - lag)


def test_masks_of_different_keys_are_independent():
    n = 1 << 16
    masks = [F.dropout(np.ones(n, np.float32), 0.5, rng=seed) != 0 for seed in range(4)]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 5 * 0.5 / np.sqrt(n)


@by_dtype
@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_all_and_nothing(backend, dtype):
    x = np.array([1.5, -2.0, 0.0, np.inf, -np.inf, np.nan, 3.0], dtype)
    with fnn.use_backend(backend):
        np.testing.assert_array_equal(F.dropout(x, 0.0, rng=0), x)
        np.testing.assert_array_equal(F.dropout(x, 1.0, rng=0), np.zeros_like(x))
        np.testing.assert_array_equal(F.dropout(x, 0.7, training=False), x)


@by_dtype
@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_kept_values_are_scaled_and_dropped_ones_are_zero(backend, dtype):
    """A dropped NaN or infinity is 0, a kept one stays."""
    x = np.resize(np.array([1.5, -2.0, 0.1, np.inf, -np.inf, np.nan, 1e30], dtype), 700)
    with fnn.use_backend(backend):
        y = F.dropout(x, 0.4, rng=3)
        kept = F.dropout(np.ones(700, dtype), 0.4, rng=3) != 0
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, np.where(kept, x * dtype(1 / (1 - 0.4)), 0))


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_backward_uses_the_same_mask(backend):
    x = fnn.tensor(np.ones((8, 9), np.float32), requires_grad=True)
    with fnn.use_backend(backend):
        y = F.dropout(x, 0.5, rng=11)
        y.backward(np.ones((8, 9), np.float32))
    np.testing.assert_array_equal(x.grad, y.numpy())


def test_a_new_mask_at_each_call():
    x = np.ones(256, np.float32)
    generator = np.random.default_rng(0)
    first, second = F.dropout(x, 0.5, rng=generator), F.dropout(x, 0.5, rng=generator)
    assert (first != second).any()
    assert (F.dropout(x, 0.5) != F.dropout(x, 0.5)).any()
    np.testing.assert_array_equal(F.dropout(x, 0.5, rng=4), F.dropout(x, 0.5, rng=4))


# Functions that draw, with the shape of what they take; RReLU's slopes are drawn as masks are.
DRAWN = {
    "dropout": (7, 11),
    "dropout1d": (7, 11, 3),
    "dropout2d": (7, 11, 3, 2),
    "dropout3d": (7, 11, 3, 2, 1),
    "rrelu": (7, 11),
}
by_drawn = pytest.mark.parametrize("name", DRAWN)
by_backend = pytest.mark.parametrize("backend", fnn.backend.available_backends())
REPEATABLE = [0, 10**30, np.int64(5), [1, 2], (3,), np.array([4, 5]), np.random.SeedSequence(6)]
# What gives other numbers in a second call.
MOVES_ON = [None, np.random.default_rng(0), np.random.PCG64(0), np.random.RandomState(0)]


def drawn(name, rng):
    """What comes of -1."""
    return getattr(F, name)(np.full(DRAWN[name], -1.0), training=True, rng=rng)


def drawn_again(name, rng):
    """The gradient there of minus the sum of the outputs."""
    dy = np.full(DRAWN[name], -1.0)
    return getattr(F, name + "_backward")(dy, *(dy,) * (name == "rrelu"), training=True, rng=rng)


@by_backend
@by_drawn
@pytest.mark.parametrize("rng", REPEATABLE, ids=str)
def test_the_backward_draws_what_the_forward_drew(name, rng, backend):
    """All are linear where x is below 0."""
    with fnn.use_backend(backend):
        y = drawn(name, rng)
        np.testing.assert_array_equal(drawn_again(name, rng), y)
    assert len(np.unique(y)) > 1


@by_backend
@by_drawn
@pytest.mark.parametrize("rng", MOVES_ON, ids=lambda rng: type(rng).__name__)
def test_the_backward_refuses_what_would_draw_again(name, rng, backend):
    with fnn.use_backend(backend):
        drawn(name, rng)
        before = pickle.dumps(rng)
        with pytest.raises(
            TypeError, match=f"^{name}_backward: rng must be .* that {name} got,.* pass rng=seed to both"
        ):
            drawn_again(name, rng)
        assert pickle.dumps(rng) == before


@by_backend
def test_no_numbers_are_needed_where_none_are_drawn(backend):
    dy = np.linspace(-1, 1, 12).reshape(2, 3, 2)
    with fnn.use_backend(backend):
        for options in ({"p": 0.0}, {"training": False}, {"p": 0.0, "rng": np.random.default_rng(0)}):
            np.testing.assert_array_equal(F.dropout_backward(dy, **options), dy)
            np.testing.assert_array_equal(F.dropout1d_backward(dy, **options), dy)
        np.testing.assert_array_equal(F.rrelu_backward(dy, dy, 0.25, 0.75), np.where(dy > 0, dy, dy / 2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork (POSIX)")
def test_a_forked_child_draws_masks_of_its_own():
    code = """
        import os, numpy as np, fastnn.functional as F
        x = np.ones(256, np.float32)
        F.dropout(x)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        print(F.dropout(x).tobytes().hex(), flush=True)
    """
    masks = run(code).split()
    assert len(masks) == len(set(masks)) == 2
