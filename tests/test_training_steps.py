"""Whole training steps of the benchmarks' networks: the losses of PyTorch from the same weights."""

import numpy as np
import pytest

import nets
from fastnn import nn, optim

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_torch_thread")

STEPS = 50
# The network, the shape of a batch, and how far losses may drift apart in float32: what rounds differently in one step
# grows in the next ones, where Adam divides by small roots.
CASES = [
    pytest.param(nets.digits_cnn, (32, 1, 8, 8), 1e-4, id="digits_cnn"),
    pytest.param(nets.mnist_cnn, (16, 1, 28, 28), 1e-3, id="mnist_cnn"),
    pytest.param(nets.mlp, (64, 784), 1e-3, id="mlp"),
    pytest.param(nets.resnet20, (4, 3, 32, 32), 2e-2, id="resnet20"),
]


def _networks(make, dtype):
    """One of each library with the same weights."""
    torch.manual_seed(0)
    theirs = make(torch.nn).to(getattr(torch, np.dtype(dtype).name))
    ours = make(nn)
    parameters, values = list(ours.parameters()), list(theirs.parameters())
    for p, q in zip(parameters, values, strict=True):
        assert p.shape == tuple(q.shape)
        p.data = q.detach().numpy().copy()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean, module.running_var = (
                a.astype(dtype) for a in (module.running_mean, module.running_var)
            )
    return ours, theirs


def _losses(net, optimizer, loss, x, target, value):
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        error = loss(net(x), target)
        error.backward()
        optimizer.step()
        losses.append(value(error))
    return np.array(losses)


def _both(make, shape, dtype):
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape).astype(dtype), rng.integers(0, 10, shape[0])
    ours, theirs = _networks(make, dtype)
    mine = _losses(ours, optim.Adam(ours.parameters(), lr=1e-3), nn.CrossEntropyLoss(), x, target, lambda e: e.item())
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    tensors = torch.from_numpy(x), torch.from_numpy(target)
    return mine, _losses(theirs, adam, torch.nn.CrossEntropyLoss(), *tensors, lambda e: e.item())


@pytest.mark.parametrize(("make", "shape", "drift"), CASES)
def test_losses_in_double_precision(make, shape, drift):
    ours, theirs = _both(make, shape, np.float64)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize(("make", "shape", "drift"), CASES)
def test_losses_in_single_precision(make, shape, drift):
    ours, theirs = _both(make, shape, np.float32)
    np.testing.assert_allclose(ours, theirs, rtol=drift)
