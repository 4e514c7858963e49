"""What the losses of a learning-rate range test say: the rate, or why there is none."""

import json
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import lr_range_test
from fastnn.diagnosis.lr_rule import judged
from fastnn.training import Trainer
from swept import RATES, RNG, X, Y, batches, network, trainer_of


def expected_rate(lrs, losses):
    """The rule of docs/rates.md for 100 steps from 1e-6 to 10, in plain loops."""
    average, weight, smoothed = 0.0, 0.0, []
    decay = 1 - 7 / (0.7 * 99)
    for loss in losses:
        average, weight = decay * average + (1 - decay) * loss, decay * weight + 1 - decay
        smoothed.append(average / weight)
    lowest = min(range(10, min(len(losses), 95)), key=lambda i: smoothed[i])
    start = sum(losses[:11]) / 11
    for i in range(10, lowest + 1):
        if smoothed[i] <= start - 0.6 * (start - smoothed[lowest]):
            return min(lrs[i], lrs[lowest] / 15), smoothed
    raise AssertionError("the loss did not fall")


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.SGD, optim.RMSprop])
def test_the_rule(optimizer):
    found = lr_range_test(trainer_of(optimizer=optimizer), batches())
    rate, smoothed = expected_rate(found.lrs, found.losses.tolist())
    assert found.suggested == found.rate == pytest.approx(rate)
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-10)
    assert found.usable[0] <= found.suggested <= found.usable[1] / 15 * (1 + 1e-9)
    assert found.level == "ok"
    assert str(found).startswith("ok       learning rate: loss falls from")


def test_the_test_ends_when_the_loss_has_risen():
    found = lr_range_test(trainer_of(optimizer=optim.SGD), batches())
    assert len(found.lrs) == len(found.losses) == len(found.smoothed) < 100
    assert found.smoothed[-1] > 4 * found.smoothed[10:-1].min()
    assert not (
        found.smoothed[10:-1] > np.maximum(4 * np.minimum.accumulate(found.smoothed[10:-1]), found.losses[0])
    ).any()


def healthy():
    rows = RNG.normal(size=(96, 5, 4)).astype(np.float32)

    class Last(nn.Module):
        def __init__(self):
            self.lstm, self.linear = nn.LSTM(4, 8, batch_first=True, rng=1), nn.Linear(8, 2, rng=2)

        def forward(self, x):
            return self.linear(self.lstm(x)[0][:, -1])

    images = (RNG.normal(size=(96, 1, 6, 6)) + Y[:, None, None, None]).astype(np.float32)
    cnn = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2, rng=1))
    yield "MLP", network(), X, Y, F.cross_entropy
    yield "one layer", nn.Linear(6, 3, rng=0), X, Y, F.cross_entropy
    yield "batch norm, float64", network(norm=True).astype(np.float64), X.astype(np.float64), Y, F.cross_entropy
    yield "regression", nn.Linear(6, 1, rng=0), X, X[:, :1] - X[:, 1:2], F.mse_loss
    yield "CNN", cnn, images, np.minimum(Y, 1), F.cross_entropy
    yield "LSTM", Last(), rows, (rows[:, :, 0].sum(axis=1) > 0).astype(np.int64), F.cross_entropy


def test_healthy_networks_get_a_rate_and_no_complaint():
    for name, model, x, y, loss in healthy():
        for optimizer in (optim.Adam, optim.SGD):
            trainer = Trainer(model, optimizer(model.parameters(), lr=0.01), loss)
            found = lr_range_test(trainer, Batches(x, y, batch_size=16, shuffle=True, rng=0), high=100)
            assert found.level in ("ok", "note"), (name, str(found))
            assert 1e-4 < found.suggested < 2, name


def test_never_fell():
    found = lr_range_test(trainer_of(), batches(), high=1e-5)
    assert found.level == "problem"
    assert str(found).splitlines()[0].startswith("PROBLEM  learning rate: loss never fell by 5 %")
    assert "see initial_loss" in str(found).splitlines()[0]
    assert found.rate is found.usable is None
    for name in ("suggested", "rates"):
        with pytest.raises(ValueError, match=r"^lr_range_test: there is no rate to suggest: loss never fell by 5 %"):
            getattr(found, name)


def test_rates_that_are_all_too_high():
    found = lr_range_test(trainer_of(optimizer=optim.SGD), batches(), low=20.0, high=1e4)
    assert found.rate is None
    assert "low=2e-02" in str(found)


def test_never_rose():
    found = lr_range_test(trainer_of(), batches(), high=0.02)
    assert str(found).startswith("WARNING  learning rate: loss never rose up to 0.02: test higher")
    assert "high=2e-01" in str(found)
    assert found.level == "warning"
    assert found.suggested < 0.02


def test_arrays_and_gradients_switched_off():
    expected = lr_range_test(trainer_of(), Batches(X, Y, batch_size=32))
    with fnn.no_grad():
        found = lr_range_test(trainer_of(), (X, Y))
        assert not fnn.is_grad_enabled()
    assert found.losses.tolist() == expected.losses.tolist()
    assert found.suggested == expected.suggested


def test_nothing_to_train():
    model = network()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"^lr_range_test: no parameter of the optimiser is trained"):
        lr_range_test(trainer_of(model), (X, Y))


@pytest.mark.parametrize(
    ("data", "text"),
    [((X, Y[:5]), "expected arrays of one length"), ([(X[:, :3], Y)], "linear: x of shape"), (X, "a batch must be")],
)
def test_errors_begin_with_the_name(data, text):
    with pytest.raises(ValueError, match=f"^lr_range_test: {text}"):
        lr_range_test(trainer_of(), data)


def test_networks_that_bear_all_rates_are_no_fault():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    y = (x @ rng.normal(size=(8, 3))).argmax(1)
    small = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
    for model, make, count in ((nn.Linear(8, 3, rng=0), optim.SGD, 300), (small, optim.Adam, 30)):
        data = Batches(x[:count], y[:count], batch_size=32, shuffle=True, rng=0)
        found = lr_range_test(Trainer(model, make(model.parameters(), lr=0.1)), data)
        assert str(found).startswith("NOTE     learning rate: loss never rose up to 10; loss falls")
        assert "suggestion stands" in str(found)
        assert "high=1e+02" in str(found)
        assert 0.01 < found.suggested < 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_at_once(bad):
    x = X.copy()
    x[:, 3] = bad
    found = lr_range_test(trainer_of(), Batches(x, Y, batch_size=16))
    assert str(found).splitlines()[0].startswith("PROBLEM  not finite: the loss is nan before the first step")
    assert len(found.losses) == 1
    assert "not finite" in found
    with pytest.raises(ValueError, match="the loss is nan before the first step"):
        _ = found.suggested
    json.dumps(found.to_dict(), allow_nan=False)
    found.plot().figure.canvas.draw()


def test_not_finite_after_some_steps():
    """A row that is NaN comes early or late; rates that are too high make the loss rise before it is not finite."""
    for row, steps in ((9, 4), (60, 30), (155, 77)):
        x = np.repeat(X, 2, axis=0)
        x[row] = np.nan
        found = lr_range_test(trainer_of(), Batches(x, np.repeat(Y, 2), batch_size=2))
        first = str(found).splitlines()[0]
        assert first.startswith(f"PROBLEM  not finite: the loss is nan after {steps} steps, at the rate ")
        assert "without having risen before" in first
        assert "preflight" in str(found)
    model = nn.Linear(6, 1, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1.0), F.mse_loss)
    found = lr_range_test(trainer, Batches(X, X[:, :1], batch_size=16), low=10.0, high=1e6, steps=200)
    assert not np.isfinite(found.losses[-1])
    assert "Test lower rates" in str(found)
    assert "without having risen" not in str(found)


def test_gradients_that_are_not_finite():
    """Under a loss that is: the square root of the distance to 0, at 0."""
    model = nn.Linear(6, 1, rng=0)
    model.weight.data[...] = 0
    model.bias.data[...] = 0
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(model, optimizer, lambda output, target: ((output - target) ** 2).sum() ** 0.5, clip_norm=1.0)
    with np.errstate(all="ignore"):
        found = lr_range_test(trainer, [(X, np.zeros((96, 1), np.float32))])
    assert len(found.losses) == 1
    assert math.isnan(found.losses[0])


def test_losses_that_scatter_by_as_much_as_they_fall():
    up_and_down = np.where(np.arange(100) % 2, 0.5, -0.5)
    verdict = judged(RATES, 2 - 0.3 / (1 + 0.01 / RATES) + up_and_down + RATES**2)
    assert verdict.findings[0].level == "warning"
    assert "losses scatter by 0.7" in verdict.findings[0].message
    assert verdict.rate is not None


def test_noise_alone_is_not_taken_for_a_fall():
    levels = [judged(RATES, 3 + np.random.default_rng(seed).normal(size=100)).findings[0].level for seed in range(100)]
    assert levels.count("ok") < 5
    assert levels.count("warning") + levels.count("problem") > 60


def test_negative_losses():
    """As of densities; four times the lowest one would be below it."""
    verdict = judged(RATES, -2 - 1.5 / (1 + (0.01 / RATES) ** 2) + RATES**2)
    assert verdict.findings[0].level == "ok"
    target = X[:, :1]
    model = nn.Linear(6, 1, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), lambda o, t: F.mse_loss(o, t) - 3)
    found = lr_range_test(trainer, Batches(X, target, batch_size=16))
    assert found.level == "ok"
    assert found.losses.min() < 0 < found.smoothed[-1]


def test_the_rule_means_the_same_for_any_number_of_steps():
    rates = []
    for steps in (50, 100, 200, 400):
        lrs = np.geomspace(1e-6, 10, steps)
        rates.append(judged(lrs, 2 - 1.5 / (1 + (0.01 / lrs) ** 2) + lrs**2).rate)
    assert max(rates) < 1.3 * min(rates)
    assert lr_range_test(trainer_of(), batches(), low=1e-3, high=1.0, steps=20).rate is not None
