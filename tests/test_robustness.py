"""The table of robustness: what it measures and says, that nothing is changed by looking, and real data."""

import functools
import json
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from attacked import BACKENDS, EPS, data, mlp
from fastnn import nn, optim
from fastnn.data import Batches, StandardScaler, random_noise
from fastnn.robustness import drop_values, fgsm, robustness
from fastnn.robustness.measure import standard_error
from fastnn.training import Trainer, accuracy, binary_accuracy, predict, r2, rmse
from test_preserved import everything


@functools.cache
def blobs():
    """Three classes, hard to tell apart where they touch, and a model that learnt them."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 500)
    x = (np.eye(3, 6)[y] * 3 + rng.normal(size=(500, 6))).astype(np.float32)
    model = mlp()
    Trainer(model, optim.Adam(model.parameters(), lr=1e-2), F.cross_entropy).fit(
        Batches(x[:300], y[:300], batch_size=50, shuffle=True, rng=0), epochs=15
    )
    return model, x[300:], y[300:]


# ---- the table ---------------------------------------------------------------------------------------------------------


def test_strength_0_is_the_clean_figure_and_others_are_by_definition():
    model, x, y = blobs()
    table = robustness(model, x, y, noise=(0.3, 1.0), missing=(0.4,), fgsm=(0.5,), fill=0.0, rng=5)
    clean = accuracy(predict(model, x), y)
    assert table.clean == clean
    assert [curve.values[0] for curve in table.curves] == [clean] * 4
    assert table["fgsm"].values[1] == accuracy(predict(model, fgsm(model, x, y, 0.5)), y)
    assert table["noise"].strengths == (0.0, 0.3, 1.0)
    largest = max(np.bincount(y)) / len(y)
    assert table.constant == pytest.approx(largest)
    drawn = [accuracy(predict(model, random_noise(x, np.random.default_rng(i), std=1.0)), y) for i in range(20)]
    assert abs(table["noise"].values[2] - np.mean(drawn)) < 4 * np.std(drawn) / math.sqrt(3)
    drawn = [accuracy(predict(model, drop_values(x, np.random.default_rng(i), 0.4, 0.0)), y) for i in range(20)]
    assert abs(table["missing"].values[1] - np.mean(drawn)) < 4 * np.std(drawn) / math.sqrt(3)


def test_errors_are_those_of_a_share():
    model, x, y = blobs()
    table = robustness(model, x, y, fgsm=(0.5,))
    right, n = table["fgsm"].values[1] * len(y) + 2, len(y) + 4
    assert table["fgsm"].errors[1] == pytest.approx(math.sqrt(right / n * (1 - right / n) / n))
    sure = robustness(model, x[:1], model(x[:1]).data.argmax(axis=1), fgsm=(1e-6,))
    assert sure.clean == 1
    assert 0.1 < sure["fgsm"].errors[0] < 0.3


def test_the_error_of_an_rmse():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400, 3))
    model = nn.Sequential(nn.Linear(3, 3, dtype=np.float64, rng=0))
    table = robustness(model, x, y, noise=(0.5,), fgsm=(0.1,), loss=F.mse_loss)
    output = predict(model, x)
    assert table.metric == "RMSE"
    assert table.clean == rmse(output, y)
    assert table["noise"].r2[0] == r2(output, y)
    assert table.constant == pytest.approx(rmse(np.broadcast_to(y.mean(axis=0), y.shape), y))
    draws = rng.integers(0, 400, (300, 400))
    assert table["noise"].errors[0] == pytest.approx(np.std([rmse(output[i], y[i]) for i in draws]), rel=0.2)
    assert "R²" in str(table)


def test_standard_errors():
    assert math.isnan(standard_error(np.array([1.0])))
    assert math.isnan(standard_error(np.array([np.nan, 2.0])))
    values = np.random.default_rng(0).normal(size=10)
    assert standard_error(values) == pytest.approx(values.std() / math.sqrt(10))


def test_yes_or_no_and_positions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6)).astype(np.float32)
    yes = rng.integers(0, 2, (30, 2)).astype(np.float32)
    model = mlp(outputs=2)
    table = robustness(model, x, yes, noise=[0.1], loss=F.binary_cross_entropy_with_logits)
    assert (table.metric, table.clean) == ("accuracy", binary_accuracy(predict(model, x), yes))
    shares = np.eye(2, dtype=np.float32)[yes[:, 0].astype(int)]
    assert robustness(model, x, shares, noise=[0.1]).clean == accuracy(predict(model, x), yes[:, 0].astype(int))
    hinge = robustness(model, x, 2 * yes - 1, noise=[0.1], loss=F.hinge_loss)
    assert hinge.clean == table.clean
    images = rng.normal(size=(10, 2, 4, 4)).astype(np.float32)
    labels = rng.integers(0, 3, (10, 4, 4))
    labels[0, :2], labels[1] = -100, -100
    conv = nn.Conv2d(2, 3, 3, padding=1, rng=0)
    per_pixel = robustness(conv, images, labels, noise=[0.5], fgsm=[0.5])
    assert per_pixel.clean == accuracy(predict(conv, images), labels)
    assert np.isfinite(per_pixel["noise"].errors).all()


def test_members_of_an_ensemble_are_judged_on_the_same_inputs():
    _, x, y = blobs()
    models = [mlp(seed=i) for i in range(3)]
    ensemble = nn.Ensemble(models)
    table = robustness(ensemble, x, y, noise=(0.5,), fgsm=(0.3,))
    attacked = fgsm(ensemble, x, y, 0.3)
    assert [values[0] for values in table["noise"].members] == [accuracy(predict(m, x), y) for m in models]
    assert [values[1] for values in table["fgsm"].members] == [accuracy(predict(m, attacked), y) for m in models]
    assert table.clean == accuracy(predict(ensemble, x), y)
    assert "members' mean" in str(table)
    many = robustness(nn.Ensemble(models * 3), x, y, noise=(0.5,))
    assert "least…largest" in str(many)
    assert many.clean == table.clean


def test_units_of_each_value():
    x, y = data(400, dtype=np.float64)
    x = x * [1e-3, 1, 1e3, 1, 1, 0] + [0, 0, 0, 0, 0, 3]
    model = nn.Sequential(StandardScaler().fit(x[:, :5]).as_module(), *mlp(5))
    kept = nn.Sequential(model)
    table = robustness(kept, x[:, :5], y, noise=(0.5,), fgsm=(0.2,), scale="std")
    by_hand = robustness(kept, x[:, :5], y, noise=(0.5,), fgsm=(0.2,), scale=x[:, :5].std(axis=0))
    assert table.curves == by_hand.curves
    assert "standard deviations of each value" in str(table)
    amounts = 0.2 * x[:, :5].std(axis=0)
    assert table["fgsm"].values[1] == accuracy(predict(kept, fgsm(kept, x[:, :5], y, amounts)), y)


def test_bounds_keep_noise_within():
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append((float(fnn.autograd.raw(x).min()), float(fnn.autograd.raw(x).max())))
            return x

    x, y = data()
    x = np.clip(np.abs(x), 0, 1)
    robustness(nn.Sequential(Look(), mlp()), x, y, noise=(2.0,), fgsm=(0.5,), bounds=(0, 1))
    assert min(low for low, _ in seen) == 0
    assert max(high for _, high in seen) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_for_batch_sizes_and_threads(backend):
    model, x, y = blobs()
    settings = {"noise": (0.3, 1.0), "missing": (0.2,), "fgsm": (0.2,), "rng": 1}
    with fnn.use_backend(backend):
        table = robustness(model, x, y, **settings)
        for batch_size in (1, 7, 64, 1000):
            assert robustness(model, x, y, batch_size=batch_size, **settings) == table
        for threads in (2, 3):
            fnn.set_num_threads(threads)
            assert robustness(model, x, y, **settings) == table
    other = robustness(model, x, y, **settings | {"rng": 2})
    assert other["fgsm"] == table["fgsm"]
    assert other["noise"] != table["noise"]


def test_no_more_samples_than_a_batch_are_computed_at_a_time():
    seen = []

    class Count(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x

    x, y = data(50)
    model = nn.Sequential(Count(), mlp())
    fgsm(model, x, y, EPS, batch_size=8)
    robustness(model, x, y, noise=(0.1,), missing=(0.1,), fgsm=(0.1,), batch_size=8)
    assert max(seen) == 8


def test_kinds_do_not_disturb_each_other():
    model, x, y = blobs()
    whole = robustness(model, x, y, noise=(0.3, 1.0), missing=(0.2,), fgsm=(0.2,))
    assert robustness(model, x, y, noise=(1.0,))["noise"].values[1] == whole["noise"].values[2]
    assert robustness(model, x, y, missing=(0.2,))["missing"] == whole["missing"]


def test_text_and_json():
    model, x, y = blobs()
    table = robustness(model, x, y, noise=(0.3,), missing=(0.2,), fgsm=(0.2, 0.5))
    lines = str(table).splitlines()
    assert lines[0].startswith("robustness on 200 samples: accuracy ± 2 standard errors; always the best constant: ")
    assert lines[1].startswith("ok       no direction: FGSM of ")
    kinds = [line.split("  ")[0] for line in lines[3:]]
    assert kinds == ["none", "noise", "missing values", "random signs", "FGSM", "random signs", "FGSM"]
    read = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert [curve["kind"] for curve in read["curves"]] == ["noise", "missing", "random signs", "fgsm"]
    assert read["curves"][0]["values"] == list(table["noise"].values)
    with pytest.raises(KeyError, match="there is no 'rain', but noise, missing"):
        table["rain"]


# ---- what it says --------------------------------------------------------------------------------------------------------


def test_a_healthy_model_has_a_direction():
    model, x, y = blobs()
    table = robustness(model, x, y, fgsm=(0.3,))
    assert table.level == "ok"
    assert [finding.word for finding in table] == ["no direction"]
    assert "no direction" not in table


def test_softmax_twice_is_named():
    model, x, y = blobs()
    table = robustness(nn.Sequential(model, nn.Softmax()), x, y, fgsm=(0.3,))
    assert "outputs" in table
    assert "softmax is taken twice" in str(table).splitlines()[1]
    assert "outputs" not in robustness(nn.Sequential(model, nn.LogSoftmax()), x, y, fgsm=(0.3,))


class Scaled(nn.Module):
    def __init__(self, model, factor):
        self.model, self.factor = model, factor

    def forward(self, x):
        return self.model(x) * self.factor


class Rounded(nn.Module):
    def __init__(self, model):
        self.model = model

    def forward(self, x):
        return self.model(fnn.tensor(np.round(fnn.autograd.raw(x))) + 0.0 * x)


def test_outputs_that_are_saturated_are_named():
    model, x, y = blobs()
    table = robustness(Scaled(model, 1e4), x, y, fgsm=(0.3,))
    assert "no direction" in table
    assert table.level == "problem"
    assert "no direction: the gradient is exactly 0 for" in str(table).splitlines()[1]


def test_an_operation_that_hides_the_gradient_is_named():
    model, x, y = blobs()
    table = robustness(Rounded(model), x, y, fgsm=(1.0,))
    assert table.level == "problem"
    assert "no direction" in str(table).splitlines()[1]


class Backwards(nn.Module):
    """A gradient that says nothing: that of other weights."""

    def __init__(self, model, other):
        self.model, self.other = model, other

    def forward(self, x):
        right = fnn.autograd.raw(self.model(fnn.autograd.raw(x)))
        wrong = self.other(x)
        return wrong + fnn.tensor(right - fnn.autograd.raw(wrong))


def test_a_gradient_that_says_nothing_is_named():
    model, x, y = blobs()
    table = robustness(Backwards(model, mlp(seed=77)), x, y, fgsm=(1.5,))
    assert table.level == "warning"
    assert "not clearly worse on purpose" in str(table).splitlines()[1]


def test_strengths_that_are_too_small_are_a_note():
    model, x, y = blobs()
    table = robustness(model, x, y, fgsm=(1e-7,))
    assert table.level == "note"
    assert "no clear change" in str(table).splitlines()[1]


@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_comes_first():
    model, x, y = blobs()
    spoiled = x.copy()
    spoiled[5, 1] = np.nan
    table = robustness(model, spoiled, y, noise=(0.1,), fgsm=(0.1,))
    assert "not finite: the outputs of 1 of 200 samples are not finite, first of sample 5" in str(table).splitlines()[1]
    numbers = robustness(nn.Linear(6, 1, rng=0), spoiled, x[:, :1], noise=(0.1,), fgsm=(0.1,), loss=F.mse_loss)
    assert "not finite" in str(numbers).splitlines()[1]
    json.dumps(numbers.to_dict(), allow_nan=False)


# ---- nothing is changed --------------------------------------------------------------------------------------------------


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3, rng=rng), nn.Linear(8, 3, rng=rng)
    )


LOOKS = {
    "fgsm": lambda model, x, y, rng: fgsm(model, x, y, 0.1),
    "robustness": lambda model, x, y, rng: robustness(model, x, y, noise=(0.1,), missing=(0.1,), fgsm=(0.1,), rng=rng),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_training_goes_on_to_the_same_bits(backend, look):
    x, y = data(60)

    def trained(callbacks):
        model = network()
        rng = model[3].rng
        batches = Batches(x, y, batch_size=16, shuffle=True, rng=2)
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        trainer = Trainer(model, optimizer, F.cross_entropy)
        trainer.fit(batches, epochs=3, callbacks=[look(rng) for look in callbacks])
        return everything(model, optimizer, batches)

    class Looks:
        def __init__(self, rng):
            self.rng = rng

        def on_step(self, trainer):
            LOOKS[look](trainer.model, x, y, self.rng)

    with fnn.use_backend(backend):
        assert trained([]) == trained([Looks])


def test_gradients_of_parameters_are_not_touched():
    model, (x, y) = network(), data()
    F.cross_entropy(model(x), y).backward()
    before = [p.grad.copy() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    fgsm(model, x, y, 0.1)
    robustness(model, x, y, fgsm=(0.1,))
    assert all((p.grad == g).all() for p, g in zip(model.parameters(), before, strict=True))
    assert [module.training for module in model.modules()] == modes
    assert all(p.requires_grad for p in model.parameters())


# ---- on real data ----------------------------------------------------------------------------------------------------------


@functools.cache
def digits():
    pytest.importorskip("sklearn")
    from fastnn.data import load_digits

    return load_digits()


def trained_on_digits(seed):
    train = digits().train
    scaler = StandardScaler(with_std=False).fit(train.images.reshape(len(train.images), -1))
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Flatten(), scaler.as_module(), nn.Linear(64, 64, rng=rng), nn.ReLU(), nn.Linear(64, 10, rng=rng)
    )
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=3e-3), F.cross_entropy)
    trainer.fit(Batches(*train, batch_size=32, shuffle=True, rng=seed), epochs=20)
    return model


@functools.cache
def three_seeds():
    return [trained_on_digits(seed) for seed in range(3)]


def test_digits_bear_noise_and_gaps_but_not_what_is_done_on_purpose():
    x, y = digits().test
    table = robustness(three_seeds()[0], x, y, missing=(0.3, 0.5), fgsm=(0.1, 0.4), bounds=(0, 1))
    assert table.level == "ok"
    assert table.clean > 0.95
    assert 0.8 < table["missing"].values[1] < table.clean
    assert table["missing"].values[2] < table["missing"].values[1]
    on_purpose, at_random = table["fgsm"].values, table["random signs"].values
    assert on_purpose[1] < 0.7
    assert at_random[1] > 0.9
    assert on_purpose[2] < 0.1


def test_three_seeds_together_are_not_worse_than_the_best_of_them():
    """By more than two standard errors; a difference on the same samples."""
    x, y = digits().test
    models = three_seeds()
    right = [np.argmax(predict(m, x), axis=1) == y for m in models]
    best = max(right, key=np.mean)
    together = np.argmax(predict(nn.Ensemble(models), x), axis=1) == y
    difference = together.astype(float) - best
    assert difference.mean() >= -2 * max(standard_error(difference), 0.5 / len(y))
