"""Exact statistics of batch norm over a training set, against computing them at once on all of it."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.data import Batches


def _x(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape) * 2 + 5


def cut(x, size):
    return [x[i : i + size] for i in range(0, len(x), size)]


def moments(x):
    """Mean and unbiased variance per channel."""
    rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return rows.mean(1), rows.var(1, ddof=1)


def check(layer, x):
    mean, var = moments(fnn.autograd.raw(x))
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-11)


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_every_layer_gets_the_statistics_of_its_input_in_evaluation(size):
    net = nn.Sequential(
        nn.BatchNorm2d(2, dtype=float),
        nn.Conv2d(2, 3, 3, dtype=float, rng=0),
        nn.BatchNorm2d(3, dtype=float),
        nn.Dropout(0.5, rng=0),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 4, dtype=float, rng=1),
        nn.BatchNorm1d(4, dtype=float),
    )
    x = _x(20, 2, 4, 4)
    net(x)  # some running statistics to begin with
    counts = [int(net[i].num_batches_tracked) for i in (0, 2, 7)]
    assert nn.recompute_statistics(net, cut(x, size)) == ["0", "2", "7"]
    assert all(m.training for m in net.modules())
    assert counts == [int(net[i].num_batches_tracked) for i in (0, 2, 7)]
    net.eval()
    for i in (0, 2, 7):
        check(net[i], net[:i](x) if i else x)


def test_residual_blocks_and_training_batches():
    net = nn.Sequential(
        nn.ResidualBlock(2, 4, stride=2, dtype=float, rng=0), nn.ResidualBlock(4, 4, dtype=float, rng=1)
    )
    x = _x(11, 2, 6, 6)
    batches = Batches(x, np.arange(11), batch_size=4, shuffle=True, rng=0)
    names = nn.recompute_statistics(net, batches)
    assert names == ["0.branch.1", "0.branch.4", "0.shortcut.1", "1.branch.1", "1.branch.4"]
    net.eval()
    first = net[0]
    check(first.shortcut[1], first.shortcut[0](x))
    check(first.branch[4], first.branch[:4](x))
    check(net[1].branch[4], net[1].branch[:4](first(x)))


def test_biased_variances():
    net, x = nn.Sequential(nn.BatchNorm1d(3, unbiased=False, dtype=float)), _x(10, 3)
    nn.recompute_statistics(net, cut(x, 4))
    np.testing.assert_allclose(net[0].running_var, x.var(0), rtol=1e-11)


def test_far_from_zero_and_in_float32():
    net = nn.Sequential(nn.BatchNorm1d(3))
    x = (_x(1000, 3) + 1e4).astype(np.float32)
    nn.recompute_statistics(net, cut(x, 7))
    mean, var = moments(x.astype(np.float64))
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(net[0].running_mean, mean, rtol=eps)
    np.testing.assert_allclose(net[0].running_var, var, rtol=eps)


def test_what_is_left_out():
    class Part(nn.Module):
        def __init__(self):
            self.used = nn.BatchNorm1d(2, dtype=float)
            self.free = nn.BatchNorm1d(2, track_running_stats=False, dtype=float)
            self.unused = nn.BatchNorm1d(2, dtype=float)

        def forward(self, x):
            return self.free(self.used(x))

    net = Part()
    assert nn.recompute_statistics(net, [_x(5, 2)]) == ["used"]
    np.testing.assert_array_equal(net.unused.running_var, [1.0, 1.0])
    assert nn.recompute_statistics(nn.ReLU(), [_x(5, 2)]) == []


class Twice(nn.Module):
    def __init__(self):
        self.norm = nn.BatchNorm1d(2, dtype=float)

    def forward(self, x):
        return self.norm(self.norm(x))


def test_refusals_change_nothing():
    net = nn.Sequential(nn.BatchNorm1d(2, dtype=float), nn.Linear(2, 2, dtype=float), nn.BatchNorm1d(2, dtype=float))
    net[1].eval()
    state = net.state_dict()
    with pytest.raises(TypeError, match=r"^recompute_statistics: batches .* list_iterator"):
        nn.recompute_statistics(net, iter([_x(5, 2)]))
    with pytest.raises(ValueError, match="no batch"):
        nn.recompute_statistics(net, [])
    with pytest.raises(ValueError, match="0 gets 1 value per channel"):
        nn.recompute_statistics(net, [_x(1, 2)])
    with pytest.raises(ValueError, match="norm is called twice"):
        nn.recompute_statistics(Twice(), [_x(5, 2)])
    with pytest.raises(ValueError, match="BatchNorm1d: expected"):
        nn.recompute_statistics(net, [_x(5, 2), _x(5, 3)])
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert [m.training for m in net.modules()] == [True, True, False, True]
    assert all("forward" not in vars(m) for m in net.modules())
