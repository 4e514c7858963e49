"""Padding layers against PyTorch's, and in what is saved, counted and watched of a model."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.data import Batches
from fastnn.diagnosis import layer_stats

KINDS = ("Zero", "Constant", "Reflection", "Replication", "Circular")
SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 6)}
by_kind = pytest.mark.parametrize("kind", KINDS)
by_rank = pytest.mark.parametrize("rank", [1, 2, 3])


def made(package, kind, rank, padding):
    return getattr(package, f"{kind}Pad{rank}d")(padding, *([0.25] if kind == "Constant" else []))


@by_kind
@by_rank
@pytest.mark.usefixtures("backend")
def test_against_pytorch(kind, rank):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for padding in (0, 1, 3, (2, 0, 1, 3, 0, 1)[: 2 * rank], [-1, 2, 0, -2, 1, 1][: 2 * rank]):
        ours, theirs = made(nn, kind, rank, padding), made(torch.nn, kind, rank, padding)
        assert ours.padding == tuple(theirs.padding)
        for batch in ((), (2,)):  # PyTorch takes (C, *size), too
            x = rng.standard_normal((*batch, 3, *SIZES[rank]))
            a, b = fnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            y, expected = ours(a), theirs(b)
            np.testing.assert_array_equal(y.numpy(), expected.detach().numpy())
            dy = rng.standard_normal(y.shape)
            y.backward(dy)
            expected.backward(torch.tensor(dy))
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-13, atol=1e-14)


def test_shown():
    assert repr(nn.ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))"
    assert repr(nn.ConstantPad1d((np.int8(1), 2), np.float32(0.5))) == "ConstantPad1d((1, 2), value=0.5)"


def padded():
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.ReflectionPad2d((1, 2, 0, 1)), nn.Conv2d(1, 4, 3, rng=rng), nn.ReLU(), nn.ConstantPad2d(1, -1e9),
        nn.MaxPool2d(2), nn.CircularPad2d(1), nn.Upsample(scale_factor=2), nn.ReplicationPad2d(-1), nn.Flatten(),
        nn.Linear(672, 10, rng=rng), nn.ZeroPad1d(0),
    )  # fmt: skip


def test_saved_and_copied(tmp_path):
    model, x = padded(), np.random.default_rng(1).standard_normal((2, 1, 9, 9)).astype(np.float32)
    fnn.save_model(model, tmp_path / "model.npz")
    for other in (fnn.load_model(tmp_path / "model.npz"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(other) == repr(model)
        np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())


def test_an_infinite_value_is_not_saved():
    with pytest.raises(ValueError, match=r"the model has value=-inf, which is no plain setting"):
        nn.architecture(nn.ConstantPad2d(1, -np.inf))


def test_padding_leaves_receptive_fields():
    def rows(*first):
        return fnn.summary(nn.Sequential(*first, nn.Conv2d(1, 1, 3, 2, rng=0), nn.MaxPool2d(2)), (1, 12, 12)).rows

    pad, *after = rows(nn.CircularPad2d((3, 0, 1, -2)))
    assert (pad.output_shape, pad.receptive_field, pad.stride) == (("N", 1, 11, 15), (1, 1), (1, 1))
    assert [r.receptive_field for r in after] == [r.receptive_field for r in rows()]
    assert [r.stride for r in after] == [r.stride for r in rows()]
    assert fnn.summary(nn.ZeroPad1d(1), (3, 4, 5)).rows[0].receptive_field == (1, 1)


def test_layers_that_only_move_numbers_have_no_rows():
    x = np.random.default_rng(1).standard_normal((64, 1, 9, 9)).astype(np.float32)
    stats = layer_stats(padded(), Batches(x, np.arange(64) % 10, batch_size=64))
    assert [row.kind for row in stats.rows] == ["Conv2d", "ReLU", "Linear"]
