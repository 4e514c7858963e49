"""Whole networks through onnxruntime, at the example's batch size and at others."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from onnx_out import NEWEST, kinds, off, run, saved

FAR = 1e-5  # of the largest output, as of the whole networks of other libraries


def images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def moved_statistics(model, *inputs):
    """The model after a few passes in training, so that running statistics and biases are no longer 0 and 1."""
    rng = np.random.default_rng(1)
    with fnn.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter[...] = parameter.data + 0.1 * rng.standard_normal(parameter.shape)
        model.train()
        for _ in range(3):
            model(*inputs)
    return model.eval()


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2, rng=0), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5, rng=1), nn.Tanh(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120, rng=2), nn.Tanh(), nn.Linear(120, 84, rng=3), nn.Tanh(),
        nn.Linear(84, 10, rng=4),
    )  # fmt: skip


def resnet20():
    blocks = [
        nn.ResidualBlock(inputs, outputs, stride, rng=10 * stage + i)
        for stage, outputs in enumerate((16, 32, 64))
        for i in range(3)
        for stride in [2 if stage and not i else 1]
        for inputs in [outputs // 2 if stage and not i else outputs]
    ]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False, rng=0), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10, rng=9))


def resnet18(width=64):
    stem = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False, rng=0), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
    ]  # fmt: skip
    blocks = []
    for stage, outputs in enumerate((width, 2 * width, 4 * width, 8 * width)):
        for i in range(2):
            changes = stage > 0 and i == 0
            inputs = outputs // 2 if changes else outputs
            blocks.append(nn.ResidualBlock(inputs, outputs, 2 if changes else 1, rng=10 * stage + i))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 100, rng=9)]
    return nn.Sequential(*stem, *blocks, *head)


class Inverted(nn.Module):
    """A block of MobileNetV3: expansion, depthwise convolution, squeeze and excitation, projection."""

    def __init__(self, inputs, wide, outputs, stride, seed):
        self.stays = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False, rng=seed), nn.BatchNorm2d(wide), nn.Hardswish(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False, rng=seed + 1), nn.BatchNorm2d(wide), nn.Hardswish(),
        )  # fmt: skip
        self.down, self.up = nn.Conv2d(wide, wide // 4, 1, rng=seed + 2), nn.Conv2d(wide // 4, wide, 1, rng=seed + 3)
        self.project = nn.Sequential(nn.Conv2d(wide, outputs, 1, bias=False, rng=seed + 4), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.body(x)
        gate = F.relu(self.down(F.adaptive_avg_pool2d(y, 1)))
        y = self.project(y * F.hardsigmoid(self.up(gate)))
        return x + y if self.stays else y


def mobilenet():
    stem = [nn.Conv2d(3, 16, 3, 2, 1, bias=False, rng=0), nn.BatchNorm2d(16), nn.Hardswish()]
    blocks = [Inverted(16, 32, 24, 2, 10), Inverted(24, 72, 24, 1, 20), Inverted(24, 72, 40, 2, 30)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10, rng=9))


NETWORKS = {
    "lenet": (lenet, (4, 1, 28, 28)),
    "resnet20": (resnet20, (2, 3, 32, 32)),
    "resnet18": (resnet18, (1, 3, 64, 64)),
    "mobilenet": (mobilenet, (2, 3, 32, 32)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_images(name):
    make, shape = NETWORKS[name]
    model = moved_statistics(make(), images(8, *shape[1:], seed=2))
    content = saved(model, images(*shape))
    for batch in (shape[0], 1, 5):
        assert off(model, images(batch, *shape[1:], seed=batch), content=content) <= FAR


def test_fused_layers_are_written_each_by_itself():
    content = saved(resnet20(), images(2, 3, 8, 8))
    assert kinds(content)[:3] == ["Conv", "BatchNormalization", "Relu"]
    assert kinds(content).count("BatchNormalization") == 1 + 2 * 9 + 2
    assert kinds(content).count("Add") == 9
    content = saved(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)), images(2, 1, 8, 8))
    assert kinds(content) == ["Conv", "Relu", "MaxPool"]


@pytest.mark.parametrize("opset", [17, NEWEST])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_networks(kind, bidirectional, opset):
    class Tagger(nn.Module):
        def __init__(self):
            self.embedding = nn.Embedding(20, 6, rng=0)
            options = {"bidirectional": bidirectional, "batch_first": True, "rng": 1}
            self.recurrent = getattr(nn, kind)(6, 9, 2, **options)
            self.head = nn.Linear(9 * (1 + bidirectional), 5, rng=2)

        def forward(self, words):
            output, state = self.recurrent(self.embedding(words))
            return self.head(output), state

    model, rng = Tagger(), np.random.default_rng(0)
    content = saved(model, rng.integers(0, 20, (3, 7)), opset=opset)
    for batch in (3, 1, 8):
        assert off(model, rng.integers(0, 20, (batch, 7)), content=content) <= FAR


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_states_and_lengths_as_inputs(kind):
    net = getattr(nn, kind)(3, 4, 2, bidirectional=True, rng=0)
    states = 2 if kind == "LSTM" else 1

    def model(x, lengths, *initial):
        return net(x, initial if states == 2 else initial[0], lengths)

    def inputs(batch, seed):
        rng = np.random.default_rng(seed)
        initial = [images(4, batch, 4, seed=seed + i) for i in range(states)]
        return images(6, batch, 3, seed=seed), rng.integers(1, 7, batch), *initial

    content = saved(model, *inputs(3, 0), batch_axis=(1, 0, *[1] * states))
    for batch in (3, 1, 5):
        assert off(model, *inputs(batch, batch), content=content) <= FAR


@pytest.mark.parametrize("net", [nn.GRU(3, 4, reset_after=False, rng=0), nn.LSTM(3, 4, peepholes=True, rng=0)])
def test_variants_of_cells(net):
    with fnn.no_grad():
        for parameter in net.parameters():
            parameter[...] = images(*parameter.shape, seed=parameter.size)
    assert off(net, images(6, 2, 3), batch_axis=1) <= FAR


def test_networks_in_float64():
    model = nn.Sequential(nn.Linear(5, 32, rng=0), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 3, rng=1)).astype(
        "float64"
    )
    x = images(4, 5).astype(np.float64)
    assert off(model, x) <= 64 * np.finfo(np.float64).eps


def test_structured_recurrent_networks():
    x = images(6, 3, 4)
    for model in (nn.PyramidalRNN(4, 5, 2, rng=0), nn.StackRNN(4, 5, 3, rng=0)):
        content = saved(model, x, batch_axis=1)
        for batch in (3, 1, 4):
            assert off(model, images(6, batch, 4, seed=batch), content=content) <= FAR


@pytest.mark.parametrize("average", ["probabilities", "logits", "votes"])
def test_ensembles(average):
    members = [nn.Sequential(nn.Linear(4, 8, rng=s), nn.Tanh(), nn.Linear(8, 3, rng=s + 9)) for s in range(3)]
    model = nn.Ensemble(members, average=average, weights=(1.0, 2.0, 0.5))
    content = saved(model, images(5, 4))
    assert off(model, images(7, 4, seed=3), content=content) <= FAR


def test_layers_that_scale():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4)) * [1, 10, 100, 1000] + 1e6
    gaps = np.where(rng.random(x.shape) < 0.2, np.nan, x)
    for table, layer in (
        (gaps, fnn.data.Imputer().fit(gaps).as_module()),
        (x, fnn.data.StandardScaler().fit(x).as_module()),
        (x, fnn.data.StandardScaler().fit(x).as_module(inverse=True)),
        (x, fnn.data.MinMaxScaler().fit(x).as_module()),
        (x, fnn.data.MinMaxScaler(clip=True).fit(x[:4]).as_module()),
        (x, fnn.data.Whitening().fit(x).as_module()),
        (x, fnn.data.Whitening(method="zca").fit(x).as_module()),
        (gaps, nn.StandardizeSample()),
        (np.ones_like(x), nn.StandardizeSample()),
        ((x - 1e6).astype(np.int64), fnn.data.StandardScaler().fit(x - 1e6).as_module()),
    ):
        content = saved(layer, table[:3])
        actual, expected = run(content, table)[0], np.asarray(layer(table))
        limit = 8 * np.finfo(np.float64).eps * 1e6 * np.nanmax(np.abs(expected)) + np.finfo(expected.dtype).eps
        assert np.allclose(actual, expected, rtol=0, atol=limit, equal_nan=True), layer
