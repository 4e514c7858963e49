"""Paths of the norm kernels that the samples of the op table are too small for."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
import harness
from fastnn import backend, checks
from fastnn.backend import reference
from harness import needs_native

pytestmark = needs_native


@pytest.mark.parametrize(("outer", "inner"), [(9, 200_000), (600, 70), (40, 3000)])
def test_layer_norm_backward(outer, inner, native):
    """Long rows go eight at a time; many short ones in blocks; others by columns."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((outer, inner), dtype=np.float32) for _ in range(2))
    weight = rng.standard_normal(inner, dtype=np.float32)
    g = checks.Norm(outer, 1, inner)
    _, mean, rstd = reference.layer_norm_forward(g, x, weight, None, 1e-5)
    wide = (a.astype(np.float64) for a in (dy, x, weight, mean, rstd))
    expected = reference.layer_norm_backward(g, *wide, (True, True, True))
    results = []
    for threads in harness.THREADS:
        native.set_num_threads(threads)
        results.append(backend.current().layer_norm_backward(g, dy, x, weight, mean, rstd, (True, True, True)))
    for one, many in zip(results[0], zip(*results, strict=True), strict=True):
        assert all(one.tobytes() == other.tobytes() for other in many)
    for actual, wanted in zip(results[0], expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=np.finfo(np.float32).eps * 4 * np.sqrt(outer) * 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_a_nan_has_the_same_bits_on_any_number_of_threads(isa, dtype, native):
    native.set_isa(isa)
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((2, 6, 9, 33)).astype(dtype) for _ in range(2))
    x[1, 2, 3, 4] = np.nan
    found = set()
    for threads in (1, 2, 3, 7):
        native.set_num_threads(threads)
        tensor = fnn.Tensor(x, requires_grad=True)
        bias = fnn.Tensor(np.zeros((6, 9, 33), dtype), requires_grad=True)
        F.layer_norm(tensor, (6, 9, 33), None, bias).backward(dy)
        found.add(tensor.grad.tobytes() + bias.grad.tobytes())
    assert len(found) == 1


def test_gradients_of_an_empty_batch_are_zeros_whatever_was_computed_before(native):
    for shape in ((4, 5, 3), (64, 5, 0), (0, 5, 3)):
        x = np.full(shape, -2.0, np.float32)
        tensors = [fnn.Tensor(a, requires_grad=True) for a in (x, np.ones(5, np.float32), np.ones(5, np.float32))]
        mean, var = np.full(5, 3.0, np.float32), np.full(5, 0.25, np.float32)
        F.batch_norm(tensors[0], mean, var, *tensors[1:], training=False).backward(np.ones(shape, np.float32))
        if x.size == 0:
            zeros = np.zeros(5, np.float32).tobytes()
            assert tensors[1].grad.tobytes() == tensors[2].grad.tobytes() == zeros
