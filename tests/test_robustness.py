"""FGSM, noise and gaps against their definitions; the table of robustness; nothing is changed by looking."""

import functools
import json
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches, Imputer, StandardScaler, random_noise
from fastnn.robustness import drop_values, fgsm, robustness
from fastnn.robustness.measure import standard_error
from fastnn.training import Trainer, accuracy, binary_accuracy, predict, r2, rmse
from harness import NATIVE
from test_preserved import everything

BACKENDS = ["numpy", *["native"] * NATIVE]
EPS = 0.05


def mlp(inputs=6, outputs=3, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(inputs, 16, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(16, outputs, rng=rng, dtype=dtype)
    )


def data(n=40, inputs=6, classes=3, dtype=np.float32, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, inputs)).astype(dtype), rng.integers(0, classes, n)


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


# ---- FGSM -------------------------------------------------------------------------------------------------------------


def central_signs(model, x, y, loss, step=1e-5):
    """The sign of the slope of the loss in each value, by central differences."""
    signs = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        signs[at] = np.sign(float(loss(model(up), y)) - float(loss(model(down), y)))
    return signs


LOSSES = {
    "classes": (F.cross_entropy, lambda rng: rng.integers(0, 3, 8)),
    "shares of classes": (F.cross_entropy, lambda rng: rng.dirichlet(np.ones(3), 8)),
    "yes or no": (F.binary_cross_entropy_with_logits, lambda rng: rng.integers(0, 2, (8, 3)).astype(float)),
    "numbers": (F.mse_loss, lambda rng: rng.normal(size=(8, 3))),
    "smoothed": (functools.partial(F.cross_entropy, label_smoothing=0.1), lambda rng: rng.integers(0, 3, 8)),
    "a module": (nn.CrossEntropyLoss(), lambda rng: rng.integers(0, 3, 8)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_value_goes_where_the_loss_rises(backend, name):
    loss, targets = LOSSES[name]
    model = mlp(dtype=np.float64)
    x, y = data(8, dtype=np.float64)[0], targets(np.random.default_rng(2))
    signs = central_signs(model, x, y, loss)
    with fnn.use_backend(backend):
        changed = fgsm(model, x, y, EPS, loss=loss)
        towards = fgsm(model, x, y, EPS, loss=loss, targeted=True)
    np.testing.assert_array_equal(changed, x + EPS * signs)
    np.testing.assert_array_equal(towards, x - EPS * signs)
    assert float(loss(model(changed), y)) > float(loss(model(x), y)) > float(loss(model(towards), y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays_and_inputs_are_not_changed(dtype):
    model, (x, y) = mlp(dtype=dtype), data(dtype=dtype)
    before = x.copy()
    x.flags.writeable = False
    changed = fgsm(model, x, y, EPS)
    assert changed.dtype == dtype
    assert changed.shape == x.shape
    assert (x == before).all()
    assert not np.may_share_memory(changed, x)
    np.testing.assert_array_equal(fgsm(model, x, y, 0), x)


def test_bounds_hold():
    model, (x, y) = mlp(), data()
    x = np.clip(np.abs(x), 0, 1)
    changed = fgsm(model, x, y, 0.3, bounds=(0, 1))
    assert changed.min() >= 0
    assert changed.max() <= 1
    np.testing.assert_array_equal(changed, np.clip(fgsm(model, x, y, 0.3), 0, 1))
    fgsm(model, np.full((1, 6), 0.1, np.float32), [0], 0.3, bounds=(0, 0.1))  # though float32 rounds 0.1 up


def test_an_amount_for_each_value():
    model, (x, y) = mlp(), data()
    amounts = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5], np.float32)
    changed = fgsm(model, x, y, amounts)
    np.testing.assert_array_equal(changed, x + amounts * np.sign(fgsm(model, x, y, 1.0) - x))


def test_a_scaler_in_the_model_keeps_the_units_of_the_data():
    x, y = data(dtype=np.float64)
    x = x * [1, 10, 100, 1, 1, 1] + 1000
    model = nn.Sequential(StandardScaler().fit(x).as_module(), *mlp())
    changed = fgsm(model, x, y, 0.5)
    assert changed.dtype == np.float64
    np.testing.assert_allclose(np.abs(changed - x), 0.5, rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_batches_change_nothing(batch_size):
    model, (x, y) = mlp(dtype=np.float64), data(dtype=np.float64)
    np.testing.assert_array_equal(fgsm(model, x, y, EPS, batch_size=batch_size), fgsm(model, x, y, EPS))


def test_gaps_stay_and_the_rest_is_changed():
    x, y = data(dtype=np.float64)
    x[3, 2] = np.nan
    model = nn.Sequential(Imputer().fit(x).as_module(), *mlp(dtype=np.float64))
    changed = fgsm(model, x, y, EPS)
    assert np.isnan(changed[3, 2])
    assert np.count_nonzero(changed != x) == x.size
    fgsm(model, x, y, EPS, bounds=(-9, 9))


class Reader(nn.Module):
    """A recurrent network that also gets the lengths of its sequences."""

    def __init__(self):
        self.lstm = nn.LSTM(3, 5, batch_first=True, rng=0)
        self.last = nn.Linear(5, 3, rng=1)

    def forward(self, x, lengths):
        _, (h, _) = self.lstm(x, lengths=lengths)
        return self.last(h[-1])


def sequences():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 7, 3)).astype(np.float32), rng.integers(1, 8, 12), rng.integers(0, 3, 12)


def test_sequences_with_their_lengths():
    x, lengths, y = sequences()
    changed, handed_on = fgsm(Reader(), (x, lengths), y, EPS, batch_size=5)
    assert (handed_on == lengths).all()
    moved = np.abs(changed - x) > EPS / 2
    read = np.arange(7) < lengths[:, None]
    np.testing.assert_array_equal(moved, np.repeat(read[:, :, None], 3, axis=2))  # what isn't read has no gradient
    table = robustness(Reader(), (x, lengths), y, noise=[0.1], missing=[0.2], fgsm=[0.1], batch_size=5)
    assert len(table.curves) == 4


class TwoInputs(nn.Module):
    def __init__(self):
        self.a, self.b = nn.Linear(4, 3, rng=0), nn.Linear(2, 3, rng=1)

    def forward(self, a, b):
        return self.a(a) + self.b(b)


def test_of_two_inputs_both_are_changed():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=(9, 2)).astype(np.float32)
    changed = fgsm(TwoInputs(), x, rng.integers(0, 3, 9), EPS)
    assert isinstance(changed, tuple)
    for before, after in zip(x, changed, strict=True):
        np.testing.assert_allclose(np.abs(after - before), EPS, rtol=1e-4)


@pytest.mark.parametrize("average", ["probabilities", "votes"])
def test_of_an_ensemble_the_mean_probability_is_attacked(average):
    models, (x, y) = [mlp(seed=i, dtype=np.float64) for i in range(3)], data(8, dtype=np.float64)
    mean = nn.Ensemble(models)
    signs = central_signs(mean, x, y, lambda p, target: F.nll_loss(fnn.log(p), target))
    np.testing.assert_array_equal(fgsm(nn.Ensemble(models, average=average), x, y, EPS), x + EPS * signs)


REFUSED = [
    (lambda m, x, y: fgsm(nn.Sequential(m, nn.Softmax()), x, y, EPS), ValueError, "fgsm: the model gives probabilities"),
    (lambda m, x, y: fgsm(m, x.astype(int), y, EPS), TypeError, "fgsm: x must be of float32 or float64, got int64; neither noise nor gradients change integers"),
    (lambda m, x, y: fgsm(m, x, y, -EPS), ValueError, r"fgsm: eps must be in \[0"),
    (lambda m, x, y: fgsm(m, x, y, np.ones(5)), ValueError, r"fgsm: eps of shape \(5,\) does not fit samples of shape \(6,\)"),
    (lambda m, x, y: fgsm(m, x, y, "much"), TypeError, "fgsm: eps must be a real number"),
    (lambda m, x, y: fgsm(m, x, y, EPS, bounds=(0, 1)), ValueError, "fgsm: x must be within the bounds 0 to 1"),
    (lambda m, x, y: fgsm(m, x, y, EPS, bounds=(1, 0)), ValueError, "fgsm: bounds must be .least, largest., got"),
    (lambda m, x, y: fgsm(m, x, y, EPS, bounds=1), TypeError, "fgsm: bounds must be .least, largest., got 1"),
    (lambda m, x, y: fgsm(m, x, y[:3], EPS), ValueError, "fgsm: expected arrays of one length"),
    (lambda m, x, y: fgsm(m, x[:0], y[:0], EPS), ValueError, "fgsm: x must hold a sample"),
    (lambda m, x, y: fgsm("model", x, y, EPS), TypeError, "fgsm: model must be a Module"),
    (lambda m, x, y: fgsm(m, x, y, EPS, loss=nn.MSELoss), TypeError, "fgsm: loss must be a function"),
    (lambda m, x, y: fgsm(m, x, y, EPS, loss=lambda o, t: o), TypeError, "fgsm: the loss must be a tensor of one element"),
    (lambda m, x, y: fgsm(m, x, y, EPS, targeted=1), TypeError, "fgsm: targeted must be True or False"),
    (lambda m, x, y: fgsm(m, np.where(x > 2, np.nan, x), y, EPS), ValueError, "fgsm: the gradient of the loss by sample"),
    (lambda m, x, y: robustness(m, x, y), ValueError, "robustness: no strength above 0 is given"),
    (lambda m, x, y: robustness(m, x, y, noise=[0]), ValueError, "robustness: no strength above 0 is given"),
    (lambda m, x, y: robustness(m, x, y, noise=[0.1], rng="a"), TypeError, "robustness: rng must be"),
    (lambda m, x, y: robustness(m, x, y, noise=0.1), TypeError, "robustness: noise must be a sequence of strengths"),
    (lambda m, x, y: robustness(m, x, y, missing=[1.5]), ValueError, r"robustness: missing must be in \[0, 1\], got 1.5"),
    (lambda m, x, y: robustness(m, x, y, noise=[0.1], scale="mean"), ValueError, "robustness: scale must be 'std' or an"),
    (lambda m, x, y: robustness(m, x, y, noise=[0.1], repeats=0), ValueError, "robustness: repeats must be at least 1"),
    (lambda m, x, y: robustness(m, x, y[:, None] * 1.0, noise=[0.1]), TypeError, "robustness: y does not fit the loss"),
    (lambda m, x, y: robustness(m[:1], x, x, noise=[0.1], loss=F.mse_loss), ValueError, "robustness: y does not fit the loss"),
    (lambda m, x, y: robustness(mlp(6, 1), x, y, noise=[0.1]), ValueError, "robustness: cross-entropy takes logits of several"),
    (lambda m, x, y: robustness(m, x, (y, y), noise=[0.1]), TypeError, "robustness: y must be one array of targets"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number):
    call, error, message = REFUSED[number]
    with pytest.raises(error, match=message):
        call(mlp(), *data())


# ---- gaps and noise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["mean", 7.0, np.nan, np.arange(6.0)])
def test_dropped_values_are_filled_and_others_stay(fill):
    x = np.random.default_rng(0).normal(size=(2000, 6))
    y = drop_values(x, np.random.default_rng(1), 0.3, fill)
    filled = np.broadcast_to(x.mean(axis=0) if isinstance(fill, str) else fill, x.shape)
    dropped = (y != x) | np.isnan(y)
    np.testing.assert_allclose(y[dropped], filled[dropped], rtol=1e-12)
    assert abs(dropped.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / x.size)
    assert (np.abs(dropped.mean(axis=0) - 0.3) < 0.05).all()
    assert (drop_values(x, np.random.default_rng(1), 0) == x).all()
    np.testing.assert_array_equal(drop_values(x, np.random.default_rng(1), 1, 5.0), np.full_like(x, 5))


def test_what_a_small_share_drops_a_larger_one_drops_too():
    x = np.ones((50, 50), np.float32)
    few, many = (drop_values(x, np.random.default_rng(1), share, 0.0) == 0 for share in (0.1, 0.4))
    assert (many | ~few).all()


def test_the_mean_leaves_out_what_is_missing_already():
    x = np.array([[1.0, np.nan], [3.0, np.nan]])
    np.testing.assert_array_equal(drop_values(x, np.random.default_rng(0), 1), [[2, np.nan], [2, np.nan]])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"share": 1.1}, ValueError, r"drop_values: share must be in \[0, 1\], got 1.1"),
        ({"share": 0.1, "fill": "median"}, ValueError, "drop_values: fill must be 'mean', a number or an array"),
        ({"share": 0.1, "fill": np.inf}, ValueError, "drop_values: fill must not be infinite"),
        ({"share": 0.1, "fill": np.ones(3)}, ValueError, r"drop_values: fill of shape \(3,\) does not fit"),
        ({"share": 0.1, "fill": None}, TypeError, "drop_values: fill must be a number or an array of numbers"),
    ],
)
def test_gaps_refused(options, error, message):
    with pytest.raises(error, match=message):
        drop_values(np.ones((4, 2)), np.random.default_rng(0), **options)


def test_gaps_of_other_arguments_refused():
    with pytest.raises(TypeError, match=r"drop_values: rng must be a numpy.random.Generator"):
        drop_values(np.ones((4, 2)), 0, 0.1)
    with pytest.raises(TypeError, match="drop_values: x must be of a float dtype, got int64"):
        drop_values(np.ones((4, 2), int), np.random.default_rng(0), 0.1)


def test_a_network_learns_with_gaps():
    x, y = data()
    batches = Batches(x, y, batch_size=10, transform=functools.partial(drop_values, share=0.2, fill=0.0), rng=0)
    assert all(0 < (inputs == 0).mean() < 0.4 for inputs, _ in batches)


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
