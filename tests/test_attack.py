"""FGSM, noise and gaps against their definitions."""

import functools
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from attacked import BACKENDS, EPS, data, mlp
from fastnn import nn
from fastnn.data import Batches, Imputer, StandardScaler
from fastnn.robustness import drop_values, fgsm, robustness

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
