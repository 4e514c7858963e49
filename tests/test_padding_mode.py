"""Convolution layers that pad with elements of the input, against PyTorch's and against `F.pad`."""

import itertools

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn

MODES = ("zeros", "reflect", "replicate", "circular")
by_mode = pytest.mark.parametrize("mode", MODES)
by_rank = pytest.mark.parametrize("rank", [1, 2, 3])
SIZES = {1: (11,), 2: (7, 6), 3: (5, 6, 7)}
OPTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 2, "stride": 2, "groups": 2},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 2, "padding": "valid", "bias": False},
]


def layers(rank, mode, options):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, f"Conv{rank}d")(4, 6, padding_mode=mode, dtype=float, rng=0, **options)
    theirs = getattr(torch.nn, f"Conv{rank}d")(4, 6, padding_mode=mode, dtype=torch.float64, **options)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs


@by_rank
@by_mode
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_against_pytorch(mode, rank):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for options in OPTIONS:
        ours, theirs = layers(rank, mode, options)
        x = rng.standard_normal((2, 4, *SIZES[rank]))
        a, b = fnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(a), theirs(b)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-13, err_msg=str(options))
        dy = rng.standard_normal(y.shape)
        y.backward(dy)
        expected.backward(torch.tensor(dy))
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-12, atol=1e-13)
        for name, parameter in theirs.named_parameters():
            gradient = getattr(ours, name).grad
            np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=1e-12, atol=1e-12)


@by_mode
def test_paddings_that_pytorch_has_not(mode):
    """Each side by itself, "same" with a stride, "full", and more than the image is large."""
    name, x = {"zeros": "constant"}.get(mode, mode), np.random.default_rng(1).standard_normal((1, 2, 5, 4))
    rows = (
        (((1, 0), (2, 1)), 1, ((1, 0), (2, 1))),
        ("same", 2, ((1, 1), (0, 1))),
        ("full", 1, ((2, 2), (2, 2))),
        (9, 1, ((9, 9), (9, 9))),
    )
    for padding, stride, sides in rows:
        layer = nn.Conv2d(2, 3, 3, stride, padding, padding_mode=mode, dtype=float, rng=0)
        expected = F.conv2d(F.pad(x, ((0, 0), (0, 0), *sides), name), layer.weight, layer.bias, stride)
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-12, atol=1e-13)


def test_shown_saved_and_counted(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1, padding_mode="circular", rng=0), nn.Conv2d(3, 1, 3, rng=1))
    assert "padding_mode='circular'" in repr(model)
    assert "padding_mode" not in repr(model[1])
    x = np.random.default_rng(2).standard_normal((2, 2, 9, 9)).astype(np.float32)
    fnn.save_model(model, tmp_path / "model.npz")
    loaded = fnn.load_model(tmp_path / "model.npz")
    assert loaded[0].padding_mode == "circular"
    np.testing.assert_array_equal(loaded(x).numpy(), model(x).numpy())
    plain = nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1, rng=0), nn.Conv2d(3, 1, 3, rng=1))
    for row, same in zip(fnn.summary(model, (2, 9, 9)).rows, fnn.summary(plain, (2, 9, 9)).rows, strict=True):
        assert (row.output_shape, row.receptive_field) == (same.output_shape, same.receptive_field)
        assert (row.parameters, row.multiply_adds) == (same.parameters, same.multiply_adds)


def test_refused():
    with pytest.raises(ValueError, match=r"^Conv2d: padding_mode must be 'zeros', .* or 'circular', got 'constant'"):
        nn.Conv2d(1, 1, 3, padding_mode="constant")
    with pytest.raises(TypeError, match=r"^Conv1d: padding_mode must be"):
        nn.Conv1d(1, 1, 3, padding_mode=None)
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"^conv2d: x must have 4 axes"):
        layer(np.ones((1, 4, 4), np.float32))
    with pytest.raises(
        ValueError, match=r"^conv2d: weight .* takes 1 channels per group, but x of shape \(1, 2, 4, 4\)"
    ):
        layer(np.ones((1, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"^pad: mode 'reflect' has no element"):
        layer(np.ones((1, 1, 0, 4), np.float32))


def test_forward_mode():
    layer = nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect", dtype=float, rng=0)
    x, dx = np.random.default_rng(3).standard_normal((2, 1, 2, 6))
    y, dy = fnn.jvp(layer, (x,), (dx,))
    np.testing.assert_allclose(dy, layer(x + dx).numpy() - layer(x).numpy(), rtol=1e-12, atol=1e-13)
    assert list(itertools.chain(y.shape, dy.shape)) == [1, 3, 8, 1, 3, 8]
