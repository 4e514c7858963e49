"""The embedding layer; the function's tests are those of the op table."""

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn


def test_layer_against_pytorch():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Embedding(7, 5, padding_idx=-2, rng=0), torch.nn.Embedding(7, 5, padding_idx=-2)
    assert not ours.weight.data[5].any()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    index = np.array([[0, 5, 5, 3], [3, 3, 6, 1]])
    y, expected = ours(index), theirs(torch.tensor(index))
    np.testing.assert_array_equal(y.numpy(), expected.detach().numpy())
    dy = np.random.default_rng(0).standard_normal(y.shape, dtype=np.float32)
    y.backward(dy)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-6)


def test_any_integers_will_do():
    weight = np.arange(6.0).reshape(3, 2)
    for index in ([2, 0], np.array([2, 0], np.uint8), np.array([2, 0], ">i4"), np.array([2, 9, 0, 9])[::2]):
        np.testing.assert_array_equal(F.embedding(index, weight), weight[[2, 0]])
    assert F.embedding(1, weight).shape == (2,)


W = np.ones((3, 2))
REFUSED = [
    (lambda: F.embedding([0, 3], W), ValueError, r"embedding: index holds 3, expected 0 to 2 \(shape \(2,\)\)"),
    (lambda: F.embedding([-1], W), ValueError, "embedding: index holds -1"),
    (lambda: F.embedding([0.0], W), TypeError, "embedding: index must hold integers"),
    (lambda: F.embedding([0], W, padding_idx=3), ValueError, "embedding: padding_idx must be in"),
    (lambda: F.embedding([0], W[0]), ValueError, "embedding: weight must have shape"),
    (lambda: F.embedding_backward(W, [0, 1], 3), ValueError, r"embedding_backward: dy must have shape \(2, 2\)"),
    (lambda: F.embedding_backward(W, [0, 1, 2], 2), ValueError, "embedding_backward: index holds 2, expected 0 to 1"),
    (lambda: nn.Embedding(3, 0), ValueError, "Embedding: embedding_dim"),
    (lambda: nn.Embedding(3, 2, padding_idx=-4), ValueError, "Embedding: padding_idx"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_refused(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
