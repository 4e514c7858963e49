"""`initial_loss` and `overfit_batch`: numbers against what is known, and nothing changed by looking."""

import math

import matplotlib
import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import initial_loss, overfit_batch, preflight
from fastnn.diagnosis.overfit_batch import SLOW
from fastnn.training import Trainer

matplotlib.use("Agg")
from matplotlib import pyplot

VALUES = np.random.default_rng(0)
X = VALUES.normal(size=(500, 20)).astype(np.float32)
Y = VALUES.integers(0, 5, 500)
T = (X[:, :1] + 0.1 * VALUES.normal(size=(500, 1))).astype(np.float32)


def mlp(hidden=32, outputs=5, scale=1.0, dtype=np.float32):
    net = nn.Sequential(
        nn.Linear(20, hidden, rng=0, dtype=dtype), nn.ReLU(), nn.Dropout(0.5, rng=1), nn.Linear(hidden, outputs, rng=2, dtype=dtype)
    )  # fmt: skip
    net[3].weight.data *= scale
    return net


# ---- initial loss -------------------------------------------------------------------------------------------------------


def test_outputs_of_zero_give_the_entropy_exactly():
    y = np.arange(500) % 5
    found = initial_loss(mlp(scale=0), (X, y))
    assert found.seen == pytest.approx(math.log(5), rel=1e-6)
    assert found.expected == pytest.approx(math.log(5), rel=1e-6)
    assert found.ratio == pytest.approx(1, rel=1e-6)
    assert (found.level, found.spread, found.samples) == ("ok", 0.0, 500)


def test_the_spread_of_logits_explains_the_loss():
    """ln C + var / 2, as long as logits are not far apart."""
    draws = np.random.default_rng(1).normal(size=(4000, 50)).astype(np.float32)

    class Given(nn.Module):
        def forward(self, x):
            return x

    found = initial_loss(Given(), (draws, np.arange(4000) % 50), samples=4000)
    assert found.spread == pytest.approx(1, rel=0.02)
    assert found.seen == pytest.approx(math.log(50) + found.spread**2 / 2, rel=0.02)


@pytest.mark.parametrize(("scale", "level"), [(1, "ok"), (2, "note"), (4, "warning"), (100, "problem")])
def test_levels_of_classes(scale, level):
    assert initial_loss(mlp(scale=scale), (X, Y)).level == level


def test_losses_of_numbers():
    found = initial_loss(mlp(outputs=1, scale=0), (X, T), F.mse_loss)
    assert found.expected == pytest.approx(T.var(), rel=1e-5)
    assert found.seen == pytest.approx(np.mean(T**2), rel=1e-5)
    assert initial_loss(mlp(outputs=1), (X, T + 50), F.mse_loss).level == "problem"
    assert initial_loss(mlp(outputs=1), (X, T), nn.L1Loss()).level in ("ok", "note")


def test_weights_of_samples_count():
    weight = (Y == 2).astype(np.float64)
    found = initial_loss(mlp(scale=0), (X, Y, weight))
    assert found.seen == pytest.approx(math.log(5), rel=1e-6)


def test_a_network_that_knows_is_noted():
    class Told(nn.Module):
        def forward(self, x):
            return x

    found = initial_loss(Told(), (10 * np.eye(5, dtype=np.float32)[Y], Y))
    assert found.level == "note"
    assert "is it trained already" in str(found)


def test_an_unknown_loss_has_nothing_to_compare_with():
    found = initial_loss(mlp(outputs=1), (X, T), lambda output, target: ((output - target) ** 2).mean())
    assert (found.level, found.expected, found.ratio) == ("ok", None, None)
    found.plot()


def test_both_backends_and_float64():
    for dtype in (np.float32, np.float64):
        with fnn.use_backend("numpy"):
            a = initial_loss(mlp(dtype=dtype), (X.astype(dtype), Y)).seen
        assert a == pytest.approx(initial_loss(mlp(dtype=dtype), (X.astype(dtype), Y)).seen, rel=1e-5)


# ---- overfitting a few --------------------------------------------------------------------------------------------------


def test_a_sound_network_learns_by_heart():
    found = overfit_batch(mlp(), (X, Y))
    assert found.passed
    assert found.level == "ok"
    assert found.steps == len(found.losses) - 1 < SLOW
    assert found.losses[-1] <= found.aim < found.losses[0]
    assert (found.right, found.samples) == (1.0, 20)


def test_dropout_is_off_and_one_unit_cannot():
    assert overfit_batch(mlp(), (X, Y)).steps == overfit_batch(mlp(), (X, Y)).steps
    found = overfit_batch(mlp(hidden=1), (X, Y))
    assert (found.level, found.steps, found.passed) == ("problem", None, False)
    assert len(found.losses) == 301


def test_slow_is_a_note():
    found = overfit_batch(mlp(), (X, Y), lr=2e-4, steps=2000)
    assert found.level == "note"
    assert found.steps >= SLOW


def test_what_is_on_its_way_is_a_note():
    found = overfit_batch(mlp(), (X, Y), steps=overfit_batch(mlp(), (X, Y)).steps - 3)
    assert not found.passed
    assert found.level == "note"
    assert "on its way" in str(found)
    assert overfit_batch(mlp(), (X, Y), steps=2).level == "problem"


def test_recurrent_layers_drop_nothing():
    class Last(nn.Module):
        def __init__(self):
            self.rnn = nn.LSTM(4, 16, 2, batch_first=True, dropout=0.9, rng=0)
            self.head = nn.Linear(16, 5, rng=1)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    model = Last()
    assert overfit_batch(model, (X.reshape(-1, 5, 4), Y), samples=8).passed
    assert model.rnn.dropout == 0.9


def test_samples_with_equal_inputs_are_taken_once():
    x, y = np.repeat(X[:10], 50, axis=0), np.arange(500) % 5
    assert overfit_batch(mlp(), (x, y)).samples == 10


def test_the_aim_is_above_the_least_possible_loss():
    """With smoothed labels, no prediction has a loss of 0."""
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    p = np.full(5, 0.04)
    p[0] = 0.84
    found = overfit_batch(mlp(), (X, Y), loss)
    assert found.aim > -(p * np.log(p)).sum()
    assert found.passed
    assert overfit_batch(mlp(outputs=20), (X, 1 / (1 + np.exp(-X))), F.binary_cross_entropy_with_logits).passed


def test_classes_per_position():
    class Positions(nn.Module):
        def __init__(self):
            self.table, self.head = nn.Embedding(7, 32, rng=0), nn.Linear(32, 7, rng=1)

        def forward(self, x):
            return self.head(self.table(x)).transpose(1, 2)

    x = VALUES.integers(0, 7, (100, 10))
    found = overfit_batch(Positions(), (x, (x * 3) % 7))
    assert found.samples == 2
    assert found.passed


def test_other_samples_by_rng():
    a, b = (overfit_batch(mlp(), (X, Y), rng=rng).losses for rng in (0, 1))
    assert a[0] != b[0]
    assert (overfit_batch(mlp(), (X, Y), rng=np.random.default_rng(1)).losses == b).all()


def test_frozen_layers_stay():
    model = mlp().requires_grad_(False)
    found = overfit_batch(model, (X, Y))
    assert not found.passed
    assert len(found.losses) == 1
    assert "nothing to train: all parameters are frozen" in str(found)
    assert "large enough" not in str(found)


def hindered(model, data, loss=F.cross_entropy, level="problem", **options):
    found = overfit_batch(model, data, loss, **options)
    assert (found.passed, found.steps, found.level) == (False, None, level)
    assert "large enough" not in str(found)
    return found.findings[0].message


def test_what_lets_the_test_say_nothing():
    class Same(nn.Module):
        def forward(self, x):
            return x[:, :5]

    broken = mlp()
    broken[3].weight.data[0, 0] = np.nan
    assert hindered(broken, (X, Y)) == "parameter '3.weight' holds numbers that are not finite"
    assert hindered(Same(), (X, Y)) == "nothing to train: the model has no parameters"
    assert hindered(mlp(), (X, Y, np.zeros(500))) == "all weights of 20 samples are 0: none counts"
    assert "the loss is nan before" in hindered(mlp(), (np.where(X == X[3, 4], np.nan, X)[3:23], Y[3:23]))
    positive = nn.Sequential(*mlp(), nn.Softmax(1))
    assert "the loss is -0." in hindered(positive, (X, Y), F.nll_loss)
    own = hindered(mlp(outputs=1), (X, T), lambda output, target: ((output - target) ** 2).mean() - 5, level="note")
    assert "before the first step" in own


def test_samples_of_weight_0_are_not_chosen():
    weight = (np.arange(500) < 30).astype(float)
    found = overfit_batch(mlp(), (X, Y, weight))
    assert (found.samples, found.passed) == (20, True)
    assert found.losses[0] > 0.5


def test_a_note_says_what_is_lacking():
    found = overfit_batch(mlp(), (X, Y), steps=overfit_batch(mlp(), (X, Y)).steps - 3)
    assert "20 samples: the loss is above its aim; the loss went from" in str(found)
    assert f"fewer than {SLOW} are usual" in str(overfit_batch(mlp(), (X, Y), lr=2e-4, steps=2000))


# ---- both ---------------------------------------------------------------------------------------------------------------


def trained(look):
    rng = np.random.default_rng(5)
    net = nn.Sequential(
        nn.Linear(20, 16, rng=rng), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3, rng=rng), nn.Linear(16, 5, rng=rng)
    )
    optimizer = optim.Adam(net.parameters(), lr=1e-2)
    train = Batches(X, Y, batch_size=64, shuffle=True, rng=2)
    trainer = Trainer(net, optimizer)
    looks = [lambda _: look(net, train)] if look else []
    trainer.fit(train, epochs=3, callbacks=looks, progress=False)
    moments = [
        a for kept in optimizer.state_dict()["state"].values() for a in kept.values() if isinstance(a, np.ndarray)
    ]
    state = [a.tobytes() for a in [*net.state_dict().values(), *moments]]
    return state, trainer.history["train_loss"].tolist(), net[3].rng.bit_generator.state


@pytest.mark.parametrize("check", [initial_loss, overfit_batch])
def test_looking_changes_nothing(check):
    assert trained(check) == trained(None)


@pytest.mark.parametrize("check", [initial_loss, overfit_batch])
def test_what_is_refused(check):
    name = check.__name__
    with pytest.raises(TypeError, match=f"{name}: model must be a Module"):
        check(len, (X, Y))
    with pytest.raises(TypeError, match=f"{name}: loss must be a function"):
        check(mlp(), (X, Y), "mse")
    with pytest.raises(TypeError, match=f"{name}: train must be an iterable of batches"):
        check(mlp(), 5)
    with pytest.raises(ValueError, match=f"{name}: expected arrays of one length"):
        check(mlp(), (X, Y[:7]))


@pytest.mark.parametrize("check", [initial_loss, overfit_batch, preflight])
def test_no_samples_and_numbers_of_samples_that_are_refused(check):
    name = check.__name__
    empty = (X[:0], Y[:0])
    for train in (empty, Batches(*empty, batch_size=32), [empty], [empty, empty]):
        with pytest.raises(ValueError, match=f"{name}: train has no samples"):
            check(mlp(), train)
    for samples, error in ((0, ValueError), (-3, ValueError), (2.5, TypeError), ("5", TypeError)):
        with pytest.raises(error, match=f"{name}: samples must be"):
            check(mlp(), (X, Y), samples=samples)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"samples": 0}, "samples must be at least 1"), ({"steps": 0}, "steps must be"), ({"lr": 0.0}, "lr must be")],
)
def test_options_of_overfit_batch(options, text):
    with pytest.raises(ValueError, match=f"overfit_batch: {text}"):
        overfit_batch(mlp(), (X, Y), **options)


def test_pictures():
    found, few = initial_loss(mlp(scale=100), (X, Y)), overfit_batch(mlp(hidden=1), (X, Y), steps=160)
    ax = found.plot()
    assert ax.get_xlabel() == "loss"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["seen", "expected"]
    assert ax.get_xscale() == "log"
    ax = few.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("steps", "loss")
    assert len(ax.get_lines()[0].get_xdata()) == 161
    _, given = pyplot.subplots()
    assert few.plot(given) is given
    pyplot.close("all")
    assert found.to_dict()["seen"] == found.seen


def test_the_advice_is_about_what_is_large():
    """A target far from 0 is not mended by scaling the inputs."""
    large = initial_loss(mlp(outputs=1), (X, T + 50), F.mse_loss)
    assert "StandardScaler().fit(y)" in large.findings[0].advice
    assert "scale the inputs" in initial_loss(mlp(outputs=1, scale=100), (X, T), F.mse_loss).findings[0].advice
    assert "scale the inputs" in initial_loss(mlp(scale=100), (X, Y)).findings[0].advice


def test_overfitting_without_gradients_or_parameters_to_train():
    x, y = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32), np.arange(100) % 4
    net = nn.Sequential(nn.Linear(5, 64, rng=0), nn.ReLU(), nn.Linear(64, 4, rng=0))
    expected = overfit_batch(net, (x, y), samples=10)
    with fnn.no_grad():
        found = overfit_batch(net, (x, y), samples=10)
    assert found.passed
    assert found.losses.tolist() == expected.losses.tolist()
    net.requires_grad_(False)
    found = overfit_batch(net, (x, y), samples=10)
    assert found.level == "problem"
    assert "nothing to train" in str(found)
