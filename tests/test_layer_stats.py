"""Statistics of layers against plain NumPy, for every kind of layer, and that nothing is changed by them."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim, plots
from fastnn.data import Batches
from fastnn.diagnosis import layer_stats
from fastnn.nn.module import Module
from fastnn.plots.layer_stats import borders, course, histograms, image
from fastnn.training import Trainer
from layer_networks import WIDE, Recurrent, data, deep, drawn

X, Y = drawn((40, 6)), np.arange(40) % 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, Y), TypeError, "layer_stats: loss must be a function of output and target"),
        (((X, Y[:5]),), ValueError, "layer_stats: expected arrays of one length"),
        (([(X[:, :1], Y)],), ValueError, "layer_stats: linear: x of shape"),
        ((X,), ValueError, "layer_stats: a batch must be"),
    ],
)
def test_arguments_that_do_not_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        layer_stats(nn.Sequential(nn.Linear(6, 3, rng=0)), *arguments)


def test_a_pair_of_arrays_is_enough():
    model = nn.Sequential(nn.Linear(6, 3, rng=0))
    assert layer_stats(model, (X, Y)).samples == len(X)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_numbers_of_a_network_are_those_of_numpy(backend):
    x, y = drawn((256, 6)), np.random.default_rng(1).integers(0, 3, 256)
    net = nn.Sequential(nn.Linear(6, 8, rng=0), nn.ReLU(), nn.Linear(8, 3, rng=1))
    with fnn.use_backend(backend):
        stats = layer_stats(net, Batches(x, y, batch_size=100))
    z = x.astype(np.float64) @ net[0].weight.data.T + net[0].bias.data
    a = np.maximum(z, 0)
    logits = a @ net[2].weight.data.T + net[2].bias.data
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    d = p - np.eye(3)[y]  # of each sample's own loss
    da = d @ net[2].weight.data
    dz = da * (z > 0)
    assert stats.samples == 256
    assert stats.complete
    assert stats.loss == pytest.approx(-np.log(p[np.arange(256), y]).mean(), rel=1e-5)
    for row, outputs, gradients in zip(stats.rows, (z, a, logits), (dz, da, d), strict=True):
        assert row.activations.mean == pytest.approx(outputs.mean(), rel=1e-4, abs=1e-6)
        assert row.activations.std == pytest.approx(outputs.std(), rel=1e-5)
        assert row.activations.over_samples == pytest.approx(outputs.std(axis=0).mean(), rel=1e-5)
        assert row.gradients.std == pytest.approx(gradients.std(), rel=1e-4)
    assert [row.name for row in stats.rows] == ["0", "1", "2"]
    assert [row.role for row in stats.rows] == ["hidden", "hidden", "output"]
    assert stats["1"].dead == ((a > 0).sum(axis=0) == 0).sum()
    assert stats["1"].activations.zeros == pytest.approx((a == 0).mean(), abs=1e-3)
    gradient = dz.T @ x / 256
    first = stats["0"].parameters[0]
    assert first.name == "0.weight"
    assert first.gradients.rms == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-4)
    expected = np.sqrt((gradient**2).mean() / (net[0].weight.data.astype(float) ** 2).mean())
    assert stats["0"].gradient_ratio == pytest.approx(expected, rel=1e-4)
    assert stats.output.rms == pytest.approx(np.sqrt((d**2).mean()), rel=1e-4)


def test_same_bits_for_any_number_of_threads():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, rng=0), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10, rng=1)
    )
    batches = Batches(drawn((200, 1, 8, 8)), np.arange(200) % 10, batch_size=64)
    found = []
    for threads in (1, 2):
        with fnn.set_num_threads(threads):
            found.append(layer_stats(net, batches, optimizer=optim.Adam(net.parameters())))
    assert found[0] == found[1]


def test_updates_are_those_of_the_optimiser():
    net = deep(nn.ReLU, 1)
    stats = layer_stats(net, data(), optimizer=optim.SGD(net.parameters(), lr=0.5))
    row = stats["0"]
    assert row.update_ratio == pytest.approx(0.5 * row.gradient_ratio, rel=1e-4)
    assert row.parameters[0].updates.rms == pytest.approx(0.5 * row.parameters[0].gradients.rms, rel=1e-4)
    assert layer_stats(net, data())["0"].update_ratio is None


# ---- every kind of layer is seen -------------------------------------------------------------------------------------


class Free(Module):
    """Functions in the place of layers."""

    def __init__(self):
        self.first, self.second = nn.Linear(6, 8, rng=0), nn.Linear(8, 8, rng=1)
        self.last = nn.Linear(8, 3, rng=2)

    def forward(self, x):
        x = F.relu(self.first(x))
        gate = F.sigmoid(self.second(x))
        return self.last(fnn.maximum(x * gate, 0.0)).reshape(len(x), 3)


def test_functions_are_seen_as_layers():
    stats = layer_stats(Free(), data(256, 6, 3))
    kinds = {row.name: (row.kind, row.role) for row in stats.rows}
    assert kinds == {
        "first": ("Linear", "hidden"),
        "first.relu": ("ReLU", "hidden"),
        "second": ("Linear", "hidden"),
        "second.sigmoid": ("Sigmoid", "gate"),
        "relu": ("ReLU", "hidden"),
        "last": ("Linear", "output"),
    }
    assert stats["relu"].dead == 0


@pytest.mark.parametrize("name", ["celu", "hardswish", "logsigmoid", "mish", "relu6", "softsign", "thresholded_relu"])
def test_activations_are_seen_by_their_functions(name):
    class Net(Module):
        def __init__(self):
            self.first, self.last = nn.Linear(6, 8, rng=0), nn.Linear(8, 3, rng=2)

        def forward(self, x):
            return self.last(getattr(F, name)(self.first(x)))

    row = layer_stats(Net(), data(256, 6, 3))[f"first.{name}"]
    assert (row.kind.lower(), row.role) == (name.replace("_", ""), "hidden")
    assert row.is_activation
    assert getattr(nn, row.kind)


@pytest.mark.parametrize(
    ("layer", "flat"),
    [
        (nn.ReLU6, lambda y: y == 6),
        (nn.Softsign, lambda y: (1 - np.abs(y)) ** 2 < 0.05),
        (nn.Tanh, lambda y: 1 - y * y < 0.05),
    ],
)
def test_saturated_is_where_the_slope_is_small(layer, flat):
    net = nn.Sequential(nn.Linear(6, 8, rng=0), layer(), nn.Linear(8, 3, rng=2))
    net[0].weight.data *= 5
    saturated = layer_stats(net, (X, Y))["1"].saturated
    assert saturated == pytest.approx(
        flat(net[1](F.linear(X, net[0].weight.data, net[0].bias.data))).mean(), abs=1 / 320
    )
    assert 0.1 < saturated < 0.9


@pytest.mark.parametrize("layer", [nn.ReLU, nn.ReLU6, nn.ThresholdedReLU])
def test_units_without_output_are_dead(layer):
    net = nn.Sequential(nn.Linear(6, 8, rng=0), layer(), nn.Linear(8, 3, rng=2))
    net[0].bias.data[:3] = -1e3
    net[0].bias.data[3:] = 3
    assert layer_stats(net, data(256, 6, 3))["1"].dead == 3


def test_what_is_computed_together_is_seen_apart():
    block = nn.Residual(nn.Sequential(nn.Linear(6, 6, rng=0), nn.BatchNorm1d(6)), activation=nn.ReLU())
    net = nn.Sequential(
        nn.Linear(6, 6, rng=3), nn.BatchNorm1d(6), nn.ReLU(), block, nn.Dropout(0.1, rng=4), nn.Linear(6, 3, rng=1)
    )
    stats = layer_stats(net, data(256, 6, 3))
    assert [row.kind for row in stats.rows] == [
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Linear",
    ]
    assert stats["3.activation"].dead is not None


def test_channels_are_units_of_images():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10, rng=1))
    net[0].bias.data[2] = -50
    stats = layer_stats(net, Batches(drawn((64, 1, 8, 8)), np.arange(64) % 10, batch_size=64))
    assert (stats["1"].units, stats["1"].dead) == (4, 1)
    one = nn.Sequential(nn.Conv1d(2, 4, 3, rng=0), nn.MaxPool1d(1), nn.ReLU(), nn.Flatten(), nn.Linear(24, 10, rng=1))
    one[0].bias.data[:2] = -50
    stats = layer_stats(one, Batches(drawn((64, 2, 8)), np.arange(64) % 10, batch_size=64))
    assert (stats["2"].units, stats["2"].dead) == (4, 2)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_are_seen_by_samples_and_units(kind):
    numbers = np.random.default_rng(0).integers(0, 20, (128, 9))
    found = []
    for batch_first in (True, False):
        stats = layer_stats(Recurrent(kind, batch_first), Batches(numbers, np.arange(128) % 10, batch_size=128))
        assert stats.level == "ok"
        row = stats["layer"]
        assert row.units == 7
        found.append(row.activations)
        assert (row.saturated is None) == (kind is not nn.RNN)
    assert found[0].over_samples == pytest.approx(found[1].over_samples, rel=1e-5)


def test_a_recurrent_layer_with_relu_can_be_dead():
    net = Recurrent(nn.RNN, True, nonlinearity="relu")
    net.layer.bias_ih_l0.data[...] = -50
    stats = layer_stats(net, Batches(np.zeros((64, 3), np.int64), np.arange(64) % 10, batch_size=64))
    assert stats["layer"].dead == 7
    assert stats.findings[0].word == "dead"


def test_shared_layers_have_one_row():
    shared = nn.Linear(6, 6, rng=0)
    stats = layer_stats(nn.Sequential(shared, nn.Tanh(), shared), data(64, 6, 6))
    assert [row.name for row in stats.rows] == ["0", "1"]
    assert stats["0"].activations.count == 2 * 64 * 6


class Two(Module):
    def __init__(self):
        self.a, self.b = nn.Linear(3, 4, rng=0), nn.Linear(2, 4, rng=1)
        self.last = nn.Linear(4, 1, rng=2)

    def forward(self, x, z):
        return self.last(fnn.concatenate([self.a(x), self.b(z)], axis=0).reshape(2, -1, 4).mean(axis=0))


def test_tuples_of_inputs_weights_of_samples_and_float64():
    batch = (drawn((50, 3)), drawn((50, 2), 1)), drawn((50, 1), 2), np.linspace(0, 1, 50)
    stats = layer_stats(Two(), [batch], F.mse_loss)
    assert stats.samples == 50
    assert stats.level in ("ok", "note")
    double = nn.Sequential(
        nn.Linear(3, 4, dtype=np.float64, rng=0), nn.Tanh(), nn.Linear(4, 1, dtype=np.float64, rng=1)
    )
    assert layer_stats(double, [(np.ones((5, 3)), np.ones((5, 1)))], F.mse_loss).rows[0].activations.count == 20


def test_one_layer_and_one_sample():
    stats = layer_stats(nn.Linear(3, 2, rng=0), [(drawn((1, 3)), np.array([1]))])
    assert [(row.name, row.role) for row in stats.rows] == [("", "output")]
    assert stats.rows[0].activations.over_samples is None
    assert stats.level == "ok"
    assert "(model)" in str(stats)


def test_frozen_layers_and_models_are_seen():
    net = deep(nn.ReLU, 2)
    for parameter in net.parameters():
        parameter.requires_grad = False
    stats = layer_stats(net, data(200))
    assert [row.kind for row in stats.rows] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert all(row.gradients is None and row.gradient_ratio is None for row in stats.rows)


def test_so_many_samples_are_taken():
    stats = layer_stats(deep(nn.ReLU, 1), data(), samples=200)
    assert (stats.samples, stats.complete) == (256, False)


# ---- as a result -----------------------------------------------------------------------------------------------------


def test_nothing_is_changed_in_the_middle_of_a_training():
    def train(look):
        rng = np.random.default_rng(5)
        net = nn.Sequential(
            nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3, rng=rng), nn.Linear(8, 3, rng=rng)
        )
        optimizer = optim.Adam(net.parameters(), lr=0.01)
        batches = Batches(drawn((96, 6)), np.arange(96) % 3, batch_size=16, shuffle=True, rng=3)

        class Look:
            def on_step(self, trainer):
                if look and trainer.step == 8:
                    layer_stats(net, batches, optimizer=optimizer)

        history = Trainer(net, optimizer).fit(batches, epochs=3, callbacks=[Look()], progress=False)
        state = optimizer.state_dict()["state"]
        arrays = [*net.state_dict().values(), *(v for kept in state.values() for v in kept.values())]
        return history.records, [np.asarray(array).tobytes() for array in arrays]

    assert train(True) == train(False)


def test_gradients_modes_and_hooks_stay():
    net = deep(nn.ReLU, 1).eval()
    net(drawn((2, WIDE))).sum().backward()
    before = [p.grad.copy() for p in net.parameters()]
    layer_stats(net, data(64))
    assert not net.training
    assert all((p.grad == kept).all() for p, kept in zip(net.parameters(), before, strict=True))
    assert not any("forward" in vars(module) for module in net.modules())
    assert fnn.autograd.modes.mode.observers == ()


def test_an_error_of_the_model_leaves_nothing_behind():
    net = deep(nn.ReLU, 1)
    with pytest.raises(ValueError, match="linear"):
        layer_stats(net, [(drawn((4, 3)), np.zeros(4, np.int64))])
    assert not any("forward" in vars(module) for module in net.modules())
    assert fnn.autograd.modes.mode.observers == ()


def test_as_json_and_by_name():
    stats = layer_stats(deep(nn.ReLU, 1), data(64))
    read = json.loads(json.dumps(stats.to_dict(), allow_nan=False))
    assert read["rows"][1]["kind"] == "ReLU"
    assert sum(read["rows"][0]["activations"]["bins"]) == 64 * WIDE
    with pytest.raises(KeyError, match="no layer 'x', only '0', '1', '2'"):
        stats["x"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, [1]), TypeError, "layer_stats: model must be a Module, got 1"),
        ((nn.Linear(2, 2), 3), TypeError, "must be an iterable of batches"),
        ((nn.Linear(2, 2), iter([])), ValueError, "layer_stats: there was no batch to take"),
        ((nn.Linear(2, 2), [], F.cross_entropy, 0), ValueError, "layer_stats: samples must be"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        layer_stats(*arguments)


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_pictures_of_layers():
    net = deep(nn.ReLU, 2)
    stats = layer_stats(net, data(200), optimizer=optim.SGD(net.parameters(), lr=0.1))
    for what, count in (("activations", 5), ("gradients", 5), ("weights", 3), ("updates", 3)):
        axes = stats.plot(what)
        assert axes.shape == (count,)
        assert all(ax.get_xlabel() and ax.get_ylabel() and ax.get_title() for ax in axes)
        heights = [bar.get_height() for bar in axes[0].patches]
        title, spread = histograms(stats.rows, what)[0]
        assert axes[0].get_title() == title
        np.testing.assert_allclose(heights, 100 * np.array(spread.bins) / spread.count)
        plt.close("all")
    _, given = plt.subplots(5)
    assert stats.plot(axes=given)[0] is given[0]


def test_pictures_refuse_what_is_not_there():
    stats = layer_stats(deep(nn.ReLU, 1), data(64))
    with pytest.raises(
        ValueError, match="layer_stats: what must be one of activations, gradients, weights, updates, got"
    ):
        plots.layer_stats(stats.rows, "outputs")
    with pytest.raises(ValueError, match="layer_stats: no layer has updates"):
        stats.plot("updates")
    with pytest.raises(ValueError, match="layer_stats: no layer has activations"):
        plots.layer_stats({}, "activations")
    with pytest.raises(ValueError, match="3 panels must have as many axes, got 1"):
        stats.plot(axes=plt.figure().gca())


def test_the_numbers_of_a_picture_over_time():
    seen = [
        {"step": 1, "bins": np.array([0, 1, 2, 1]), "edges": (-1.0, 1.0), "update_ratio": None},
        {"step": 51, "bins": np.array([4, 0, 4, 0]), "edges": (-1.0, 1.0), "update_ratio": 1e-3},
    ]
    steps, shares, extent = image(seen, "activations")
    assert steps.tolist() == [1, 51]
    assert shares.T.tolist() == [[0, 0.25, 0.5, 0.25], [0.5, 0, 0.5, 0]]
    assert extent == (-2.0, 2.0)
    assert borders(steps).tolist() == [1, 51, 101]
    assert [part.tolist() for part in course(seen, "update_ratio")] == [[51], [1e-3]]
