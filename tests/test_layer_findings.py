"""What statistics of layers say about networks that were made ill, and about healthy ones."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import init, nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import layer_stats
from fastnn.nn.module import Module
from fastnn.training import Trainer
from fastnn.training.networks import table_network
from layer_networks import WIDE, Recurrent, data, deep, drawn, normal


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
