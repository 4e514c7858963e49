"""Statistics of layers against plain NumPy, and what they say about networks that were made ill, and healthy ones."""

import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import init, nn, optim, plots
from fastnn.data import Batches
from fastnn.diagnosis import layer_stats
from fastnn.nn.module import Module
from fastnn.plots.layer_stats import borders, course, histograms, image
from fastnn.training import Trainer
from fastnn.training.layers import by_chance, percent, short
from fastnn.training.networks import table_network
from fastnn.training.spread import BINS, Running, edges_of, spread_of

SAMPLES, WIDE = 1200, 100


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def data(samples=SAMPLES, features=WIDE, classes=10, batch_size=128):
    labels = np.random.default_rng(1).integers(0, classes, samples)
    return Batches(drawn((samples, features)), labels, batch_size=batch_size)


def deep(activation, depth, draw=None, wide=WIDE):
    rng = np.random.default_rng(2)
    layers = []
    for _ in range(depth):
        linear = nn.Linear(wide, wide, rng=rng)
        if draw is not None:
            linear.weight.data[...] = draw(linear.weight.shape, rng=rng)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(wide, 10, rng=rng))


def normal(std):
    return lambda shape, rng: init.normal(shape, 0.0, std, rng=rng)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cuts", [[], [1], [40, 41, 90]])
def test_a_spread_in_parts_is_that_of_the_whole(dtype, cuts):
    values = (3 + 2 * np.random.default_rng(0).normal(size=(120, 5, 7))).astype(dtype)
    values[values > 6] = 0
    gathered = Running((-1.0, 6.0))
    for part in np.split(values, cuts):
        gathered.add(part)
    found, exact = gathered.result(), values.astype(np.float64)
    assert found.count == values.size
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert found.std == pytest.approx(exact.std(), rel=1e-12)
    assert found.rms == pytest.approx(np.sqrt((exact**2).mean()), rel=1e-12)
    assert found.over_samples == pytest.approx(exact.std(axis=0).mean(), rel=1e-9)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.zeros == (values == 0).mean()
    assert found.bins == tuple(np.histogram(exact, BINS, (-1.0, 6.0))[0])
    assert (found.under, found.over) == ((values < -1).sum(), (values > 6).sum())
    assert sum(found.bins) + found.under + found.over == found.count


def test_sequences_of_several_lengths_have_a_spread():
    a, b = drawn((10, 3, 4)), drawn((20, 3, 6), 1)
    gathered = Running()
    gathered.add(a)
    gathered.add(b)
    expected = (a.std(axis=0).mean() * a.size + b.std(axis=0).mean() * b.size) / (a.size + b.size)
    assert gathered.result().over_samples == pytest.approx(expected, rel=1e-6)


def test_numbers_that_are_not_finite_are_counted_and_left_out():
    gathered = Running()
    gathered.add(np.array([[1.0, np.nan], [3.0, np.inf]])[:, :, None])
    gathered.add(np.full((2, 2, 1), np.nan))
    found = gathered.result()
    assert (found.count, found.not_finite, found.mean, found.low, found.high) == (8, 6, 2.0, 1.0, 3.0)
    assert found.over_samples is None
    assert sum(found.bins) == 2


def test_nothing_and_constants_have_a_spread():
    empty = spread_of(np.zeros((0, 3)))
    assert (empty.count, empty.over_samples, sum(empty.bins)) == (0, None, 0)
    assert math.isnan(empty.mean)
    constant = spread_of(np.full((4, 4), 3.0))
    assert (constant.std, constant.edges, max(constant.bins)) == (0.0, (2.5, 3.5), 16)
    assert edges_of(1e9, 1e9)[0] < 1e9 < edges_of(1e9, 1e9)[1]


def test_numbers_far_outside_of_the_range_are_counted():
    gathered = Running((0.0, 1.0))
    gathered.add(np.array([1e300, -1e300, 0.5, 1.0, 0.0]).reshape(-1, 1, 1))
    found = gathered.result()
    assert (found.under, found.over, found.bins[0], found.bins[32], found.bins[-1]) == (1, 1, 1, 1, 1)


def test_a_range_for_later_numbers_is_symmetric_and_wider():
    gathered = Running(symmetric=True)
    gathered.add(np.array([[[0.0]], [[3.0]]]))
    assert gathered.result().edges == (-6.0, 6.0)


def test_of_a_large_array_evenly_spread_values_are_taken():
    values = np.random.default_rng(0).normal(2.0, 1.0, (100, 1000))
    assert spread_of(values, 1600).count == 1600
    assert spread_of(values, 1600).mean == pytest.approx(2, abs=0.1)
    assert spread_of(values[:1], 1600).count == 1000


def test_units_that_are_silent_by_chance():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0, 0.05, 4000)  # none is dead
    active = rng.binomial(60, rates)
    silent = (active == 0).sum()
    assert silent > 800
    assert abs(by_chance(active) - silent) < 0.5 * silent
    assert by_chance(np.array([0, 0, 50, 60])) == 0


def test_texts_of_numbers():
    assert [short(x) for x in (1e-7, -100.0, 99.7, 0.5, math.inf, math.nan)] == [
        "1.0e-7",
        "-100",
        "100",
        "0.5",
        "inf",
        "nan",
    ]
    assert percent(0.41) == "41 %"


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


class Recurrent(Module):
    def __init__(self, kind, batch_first, **options):
        self.rows = nn.Embedding(30, 5, rng=0)
        self.layer = kind(5, 7, batch_first=batch_first, rng=1, **options)
        self.last = nn.Linear(7, 10, rng=2)
        self.batch_first = batch_first

    def forward(self, x):
        x = self.rows(x) if self.batch_first else self.rows(x).swapaxes(0, 1)
        y, _ = self.layer(x)
        return self.last(y[:, -1] if self.batch_first else y[-1])


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


# ---- what is wrong ---------------------------------------------------------------------------------------------------


def lines(stats):
    return "\n".join(str(stats).splitlines()[:3])


def test_ten_sigmoid_layers_vanish_though_their_deviation_looks_fine():
    stats = layer_stats(deep(nn.Sigmoid, 10, init.xavier_normal), data())
    last = stats["19"].activations
    assert last.std > 0.05
    assert last.over_samples < 1e-5
    assert stats.level == "problem"
    assert "vanishing" in lines(stats)
    assert {finding.word for finding in stats} == {"vanishing"}
    assert any("towards the input" in finding.message for finding in stats)


def test_small_tanh_weights_vanish_though_gradients_are_equal():
    stats = layer_stats(deep(nn.Tanh, 10, normal(0.01)), data())
    ratio = stats["0"].gradient_ratio / stats["18"].gradient_ratio
    assert 0.5 < ratio < 2
    assert stats["0"].gradient_ratio < 1e-8
    assert "PROBLEM  vanishing" in lines(stats)


def test_large_tanh_weights_saturate_and_explode():
    stats = layer_stats(deep(nn.Tanh, 20, normal(1)), data())
    assert 0.5 < stats["3"].saturated < 0.95
    assert "saturated" in lines(stats)
    assert "exploding" in lines(stats)


def test_relu_with_xavier_vanishes_with_depth():
    assert "PROBLEM  vanishing" in lines(layer_stats(deep(nn.ReLU, 20, init.xavier_normal), data()))


def test_relu_with_large_weights_explodes():
    assert "PROBLEM  exploding" in lines(layer_stats(deep(nn.ReLU, 5, normal(1)), data()))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_equal_weights_are_symmetric(activation, value):
    net = deep(activation, 2, wide=12)
    for parameter in net.parameters():
        parameter.data[...] = value if parameter.ndim > 1 else 0
    stats = layer_stats(net, data(features=12))
    assert "PROBLEM  symmetric: layer '0'" in lines(stats)
    assert ("are 0" in stats.findings[0].message) == (value == 0)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_equal_weights_of_a_recurrent_layer_are_symmetric(kind):
    net = Recurrent(kind, True)
    for parameter in (*net.layer.parameters(), net.last.weight):
        if parameter.ndim > 1:
            parameter.data[...] = 0.1
    stats = layer_stats(net, Batches(np.arange(120).reshape(40, 3) % 20, np.zeros(40, np.int64), batch_size=40))
    assert "symmetric" in lines(stats)


def test_dead_units_are_counted_by_layer():
    net = deep(nn.ReLU, 2)
    net[0].bias.data[:31] = -100
    stats = layer_stats(net, data())
    finding = stats.findings[0]
    assert (finding.level, finding.word, finding.layer) == ("warning", "dead", "1")
    share = stats["1"].dead / 100
    assert share == pytest.approx(0.3, abs=0.02)
    assert finding.value == pytest.approx(share - np.sqrt(share * (1 - share) / 100))
    assert "of 100 units" in finding.message
    net[0].bias.data[...] = -100
    assert "PROBLEM  dead: layer '1' (ReLU): 100 of 100 units (100 %)" in lines(layer_stats(net, data()))
    assert "vanishing" not in str(layer_stats(net, data()))


def test_a_collapse_by_a_large_rate_is_called_dead():
    net = deep(nn.ReLU, 2)
    Trainer(net, optim.Adam(net.parameters(), lr=0.3)).fit(data(), epochs=4, progress=False)
    assert "PROBLEM  dead" in lines(layer_stats(net, data()))


def test_units_that_are_silent_for_few_samples_are_not_dead():
    net = deep(nn.ReLU, 1, wide=64)
    net[0].bias.data[...] = -3.3  # active for about one of a hundred samples
    few = layer_stats(net, data(4000, 64), samples=128)
    row = few["1"]
    assert row.dead > 10
    assert row.by_chance > 0.5 * row.dead
    assert few.level != "problem"
    assert not few.complete


def test_he_and_relu_are_healthy():
    assert layer_stats(deep(nn.ReLU, 20, init.he_normal), data()).level in ("ok", "note")
    assert layer_stats(deep(nn.ReLU, 5, init.he_normal), data()).level in ("ok", "note")
    assert layer_stats(deep(nn.Tanh, 10, init.xavier_normal), data()).level == "ok"


def test_a_wide_layer_behind_convolutions_is_healthy():
    rng = np.random.default_rng(3)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 32, 3, padding=1, rng=rng),
        nn.ReLU(), nn.Flatten(), nn.Linear(32 * 14 * 14, 64, rng=rng), nn.ReLU(), nn.Linear(64, 10, rng=rng),
    )  # fmt: skip
    stats = layer_stats(net, Batches(drawn((100, 1, 28, 28)), np.arange(100) % 10, batch_size=50))
    assert stats["6"].gradient_ratio > 1  # its weights are small, as it has 6272 inputs
    assert stats.level in ("ok", "note")


def test_gradients_that_shrink_with_the_loss_do_not_vanish():
    net = deep(nn.ReLU, 2)
    x = drawn((100, WIDE))
    batches = Batches(x, (x[:, 0] > 0).astype(np.int64), batch_size=50)
    Trainer(net, optim.Adam(net.parameters(), lr=3e-3)).fit(batches, epochs=150, progress=False)
    stats = layer_stats(net, batches)
    assert stats.loss < 1e-3
    assert stats["0"].gradient_ratio < 1e-4
    assert "vanishing" not in stats


def test_layers_that_begin_at_zero_are_healthy():
    x = np.random.default_rng(0).normal(size=(200, 13))
    stats = layer_stats(table_network(13, 3, rng=0), Batches(x, np.arange(200) % 3, batch_size=50))
    assert stats["branch.0"].gradient_ratio == 0
    assert stats.findings == ()
    assert str(stats).startswith("ok")


def test_a_detached_layer_gets_no_gradient():
    class Cut(Module):
        def __init__(self):
            self.first, self.last = nn.Linear(6, 6, rng=0), nn.Linear(6, 3, rng=1)

        def forward(self, x):
            return self.last(F.relu(self.first(x)).detach())

    stats = layer_stats(Cut(), data(64, 6, 3))
    assert "no gradient: the loss does not depend on parameter 'first.weight', 'first.bias'" in lines(stats)


def test_a_flat_function_gives_no_gradient():
    class Step(Module):
        def forward(self, x):
            return x * 0.0

    stats = layer_stats(nn.Sequential(nn.Linear(6, 6, rng=0), Step(), nn.Linear(6, 3, rng=1)), data(64, 6, 3))
    assert "PROBLEM  no gradient: layer '0' (Linear)" in str(stats)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_number_that_is_not_finite_is_named(value):
    x, y = drawn((64, 6)), np.arange(64) % 3
    net = nn.Sequential(nn.Linear(6, 6, rng=0), nn.ReLU(), nn.Linear(6, 3, rng=1))
    net[2].weight.data[0, 0] = value
    stats = layer_stats(net, Batches(x, y, batch_size=32))
    assert f"PROBLEM  not finite: parameter '2.weight' holds {value}" in lines(stats)
    net[2].weight.data[0, 0] = 1
    x[3, 2] = value
    assert "PROBLEM  not finite: what linear gets in layer '0'" in lines(layer_stats(net, Batches(x, y, batch_size=32)))


def test_a_logarithm_of_a_negative_number_is_named():
    class Log(Module):
        def __init__(self):
            self.first = nn.Linear(6, 3, rng=0)

        def forward(self, x):
            return fnn.log(self.first(x))

    stats = layer_stats(nn.Sequential(nn.Linear(6, 6, rng=1), Log()), data(64, 6, 3))
    assert "not finite: log in layer '1' (Log) gives nan from inputs that are finite" in lines(stats)


def test_a_loss_that_is_not_finite_is_named():
    batch = drawn((8, 6)), np.zeros(8, np.int64)
    inside = layer_stats(nn.Linear(6, 2, rng=0), [batch], lambda output, target: fnn.log(output.mean() * 0.0 - 1.0))
    assert "not finite: log in the loss gives nan from inputs that are finite" in lines(inside)
    outside = layer_stats(nn.Linear(6, 2, rng=0), [batch], lambda output, target: fnn.tensor(np.nan))
    assert "not finite: the loss is nan" in lines(outside)


@pytest.mark.parametrize(("samples", "levels"), [(1, {"note"}), (12, {"note", "ok"}), (59, {"note", "ok"})])
def test_few_samples_give_at_most_a_note_about_single_units(samples, levels):
    x, y = drawn((samples, 8)), np.zeros(samples, np.int64)
    net = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
    net[0].bias.data[:20] = -100 if samples > 1 else 0
    stats = layer_stats(net, (x, y))
    assert stats["1"].dead > 10
    assert stats.level in levels
    assert "too few to tell: 60 are needed" in lines(stats)
    if samples == 59:
        assert layer_stats(net, (drawn((60, 8)), np.zeros(60, np.int64))).findings[0].level != "note"
    found = fnn.diagnosis.compare_inits({"as made": lambda model: None}, lambda: net, x, y)
    assert found.words == {"as made": "fine"}


def test_steps_need_an_optimizer():
    net = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
    stats = layer_stats(net, (drawn((64, 8)), np.zeros(64, np.int64)))
    with pytest.raises(ValueError, match=r"^layer_stats: no layer has updates, since no optimizer= was given"):
        stats.plot("updates")


def test_the_values_before_the_step_are_judged():
    for broken in (True, False):
        net = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
        if broken:
            net[2].weight.data[1, 3] = np.nan
        batch = drawn((200, 8)), np.arange(200) % 3
        alone = layer_stats(net, batch)
        stats = layer_stats(net, batch, optimizer=optim.SGD(net.parameters(), lr=0.05))
        assert ("parameter '2.weight' holds nan" in lines(stats)) is broken
        assert str(stats.findings) == str(alone.findings)
        assert str(stats["0"].parameters[0].weights) == str(alone["0"].parameters[0].weights)
        if not broken:
            size = np.linalg.norm(net[0].weight.data.astype(float))
            steps = stats["0"].parameters[0].updates
            np.testing.assert_allclose(stats["0"].update_ratio, steps.rms * np.sqrt(256) / size, rtol=1e-4)


def test_outputs_that_are_all_0_are_dead_and_some_may_be():
    net = nn.Sequential(nn.Linear(6, 4, rng=0), nn.ReLU())
    batch = drawn((64, 6)), np.ones((64, 4), np.float32)
    net[0].bias.data[:3] = -100
    assert "dead" not in layer_stats(net, [batch], F.mse_loss)
    net[0].bias.data[...] = -100
    assert "PROBLEM  dead: layer '1' (ReLU): 4 of 4 units" in lines(layer_stats(net, [batch], F.mse_loss))


def test_generators_of_an_iterable_go_on():
    class Drawn:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __iter__(self):
            yield self.rng.normal(size=(8, 6)).astype(np.float32), np.zeros(8, np.int64)

    batches = Drawn()
    layer_stats(nn.Linear(6, 2, rng=0), batches)
    assert batches.rng.normal() == np.random.default_rng(0).normal()


@pytest.mark.parametrize(
    ("activation", "slope"), [(nn.Sigmoid, lambda a: 4 * a * (1 - a)), (nn.Tanh, lambda a: 1 - a**2)]
)
def test_saturated_outputs_are_those_with_little_slope(activation, slope):
    net = nn.Sequential(nn.Linear(6, 40, rng=0), activation(), nn.Linear(40, 2, rng=1))
    net[0].weight.data *= 3
    x = drawn((100, 6))
    stats = layer_stats(net, [(x, np.zeros(100, np.int64))])
    assert stats["1"].saturated == pytest.approx((slope(activation()(net[0](x)).numpy()) < 0.05).mean(), abs=1e-3)


def test_outputs_may_be_saturated():
    net = nn.Sequential(nn.Linear(6, 1, rng=0), nn.Sigmoid())
    net[0].weight.data[...] = 50
    stats = layer_stats(net, [(drawn((64, 6)), np.ones((64, 1), np.float32))], F.mse_loss)
    assert stats["1"].saturated > 0.5
    assert "saturated" not in stats


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
    figure, given = plt.subplots(5)
    assert stats.plot(axes=given)[0] is given[0]
    plt.close(figure)


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
    plt.close("all")


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
