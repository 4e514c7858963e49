"""`baseline` and `learning_curve`: simple predictions against formulas and scikit-learn, curves against trainings by hand."""

import json
import math

import matplotlib
import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches, split, windows
from fastnn.diagnosis import baseline, learning_curve
from fastnn.diagnosis.linear import PENALTY, Linear
from fastnn.training import History, Trainer

matplotlib.use("Agg")
from matplotlib import pyplot

VALUES = np.random.default_rng(0)
X = VALUES.normal(size=(600, 6))
SLOPE = np.array([2.0, -1.0, 0.5, 0, 0, 0])
NUMBERS = (X @ SLOPE + 3 + 0.5 * VALUES.normal(size=600))[:, None]
LABELS = np.argmax(X[:, :3] + 0.5 * VALUES.normal(size=(600, 3)), axis=1)
YES = (NUMBERS > 3).astype(np.float64)


def parts(x, y, at=400):
    return (x[:at], y[:at]), (x[at:], y[at:])


def test_numbers():
    found = baseline(*parts(X, NUMBERS))
    assert [p.name for p in found.predictions] == ["linear", "constant"]
    assert found["constant"].loss == pytest.approx(np.mean((NUMBERS[400:] - NUMBERS[:400].mean()) ** 2))
    assert found["linear"].loss == pytest.approx(0.25, rel=0.2)
    assert found["linear"].score == pytest.approx(math.sqrt(found["linear"].loss))
    assert found.score == "RMSE"
    squares = (NUMBERS[400:] - NUMBERS[:400].mean()) ** 2
    assert found["constant"].error == pytest.approx(squares.std(ddof=1) / math.sqrt(200))
    assert "a linear model (least squares) is best" in str(found)


def test_classes():
    found = baseline(*parts(X, LABELS))
    shares = np.bincount(LABELS[:400]) / 400
    assert found["constant"].loss == pytest.approx(-np.log(shares[LABELS[400:]]).mean())
    assert found["constant"].score == pytest.approx((LABELS[400:] == shares.argmax()).mean())
    assert found["linear"].score > 0.75
    assert found.score == "accuracy"
    assert " %" in str(found)


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1), F.multi_margin_loss])
def test_losses_of_classes(loss):
    if loss is F.multi_margin_loss:
        with pytest.raises(ValueError, match="no constant prediction is known"):
            baseline(*parts(X, LABELS), loss)
        return
    assert baseline(*parts(X, LABELS), loss).best.name == "linear"


def test_other_losses():
    assert baseline(*parts(X, YES), F.binary_cross_entropy_with_logits).best.score > 0.85
    assert baseline(*parts(X, 2 * YES - 1), F.hinge_loss).score == "accuracy"
    found = baseline(*parts(X, NUMBERS), F.l1_loss)
    assert found["constant"].loss == pytest.approx(np.abs(NUMBERS[400:] - np.median(NUMBERS[:400])).mean())


def test_samples_with_weights():
    weight = VALUES.uniform(0, 1, 600)
    train, test = (X[:400], NUMBERS[:400], weight[:400]), (X[400:], NUMBERS[400:], weight[400:])
    found = baseline(train, test)["constant"]
    mean = np.average(NUMBERS[:400], weights=weight[:400], axis=0)
    assert found.loss == pytest.approx(np.average((NUMBERS[400:] - mean) ** 2, weights=weight[400:], axis=0)[0])


def test_batches_several_inputs_and_gaps():
    x = X.astype(np.float32)
    y = NUMBERS.astype(np.float32)
    whole = baseline((x[:400], y[:400]), (x[400:], y[400:]))
    batches = [Batches(*part, batch_size=32, shuffle=True, rng=0) for part in parts(x, y)]
    assert baseline(*batches).best.loss == whole.best.loss
    halves = [((a[:, :3], a[:, 3:]), b) for a, b in parts(x, y)]
    assert baseline(*halves).best.loss == pytest.approx(whole.best.loss)
    x = x.copy()
    x[::7, 2] = np.nan
    assert baseline(*parts(x, y)).best.name == "linear"


def test_a_class_per_position_has_a_constant_only():
    y = VALUES.integers(0, 3, (600, 4))
    assert [p.name for p in baseline(*parts(X, y)).predictions] == ["constant"]


# ---- series -------------------------------------------------------------------------------------------------------------

WALK = np.cumsum(VALUES.normal(size=500))


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("horizon", [1, 4])
def test_persistence(stride, horizon):
    train, test = split(*windows(WALK, 8, horizon, stride), fractions=[0.7], in_order=True)
    found = baseline(train, test)
    assert found["persistence"].loss == pytest.approx(np.mean((test[1] - test[0][:, -1:]) ** 2))


def test_persistence_of_features():
    series = np.stack([WALK, np.arange(500.0)], axis=1)
    train, test = split(*windows(series, 8, 2), fractions=[0.7], in_order=True)
    assert baseline(train, test)["persistence"].loss == pytest.approx(np.mean((test[1] - test[0][:, -1:]) ** 2))
    of_one = [(x, y[..., 0]) for x, y in (train, test)]
    expected = np.mean((test[1][..., 0] - test[0][:, -1:, 0]) ** 2)
    assert baseline(*of_one)["persistence"].loss == pytest.approx(expected)
    first = [(x, y[:, 0, 0]) for x, y in (train, test)]
    assert baseline(*first)["persistence"].loss == pytest.approx(np.mean((test[1][:, 0, 0] - test[0][:, -1, 0]) ** 2))


def test_no_persistence_where_windows_are_shuffled_or_none():
    for x, y in (windows(WALK, 8), (X, NUMBERS)):
        order = np.random.default_rng(1).permutation(len(x))
        with pytest.raises(KeyError, match="there is no 'persistence', only"):
            baseline(*parts(x[order], y[order], 300))["persistence"]


# ---- comparing ----------------------------------------------------------------------------------------------------------


def test_compare():
    found = baseline(*parts(X, NUMBERS))
    linear, constant = found["linear"], found["constant"]
    assert found.compare(linear.loss - 3 * linear.error).level == "ok"
    assert found.compare(linear.loss - linear.error).level == "note"
    assert found.compare(linear.loss).level == "warning"
    assert found.compare(constant.loss - constant.error).level == "warning"
    assert found.compare(constant.loss).level == "problem"
    assert "not surely better" in found.compare(linear.loss - 3 * linear.error, error=10.0).message


def test_compare_with_a_history():
    found = baseline(*parts(X, NUMBERS))
    loss = found["linear"].loss - 3 * found["linear"].error
    records = [
        {"epoch": 1, "validation_loss": 9.0},
        {"epoch": 2, "validation_loss": loss},
        {"epoch": 3, "validation_loss": 8.0},
    ]
    assert found.compare(History(records)) == found.compare(loss)
    unsure = [record | {"validation_loss_se": 1.0} for record in records]
    assert found.compare(History(unsure)) == found.compare(loss, error=1.0)
    assert found.compare(History([{"epoch": 1, "validation_loss": math.nan}])).level == "problem"
    assert "no better than that of always the mean" in found.compare(9.0).message
    with pytest.raises(ValueError, match="compare: the history has no validation loss"):
        found.compare(History([{"epoch": 1, "train_loss": 9.0}]))
    with pytest.raises(TypeError, match="compare: result must be"):
        found.compare("good")


def test_what_is_refused():
    with pytest.raises(ValueError, match="baseline: train and test must be alike"):
        baseline((X, NUMBERS), (X, LABELS))
    with pytest.raises(TypeError, match="baseline: targets must be one array"):
        baseline((X, (NUMBERS, NUMBERS)), (X, (NUMBERS, NUMBERS)))
    with pytest.raises(ValueError, match="baseline: no constant prediction is known"):
        baseline((X, NUMBERS), (X, NUMBERS), lambda output, target: output.mean())
    with pytest.raises(TypeError, match="baseline: loss must be a function"):
        baseline((X, NUMBERS), (X, NUMBERS), "mse")

    labels = LABELS.astype(str)
    for first, second, loss, error, text in (
        (
            (X, LABELS),
            (X[:, :4], LABELS),
            None,
            ValueError,
            r"train and test must be alike, got inputs of shapes \[\(600, 6",
        ),
        ((X, LABELS), (X, LABELS), F.mse_loss, TypeError, "target must be float32 or float64, got dtype int64"),
        ((X, labels), (X, labels), None, TypeError, "targets of train must be numbers, got <U"),
        ((X.astype(str), LABELS), (X, LABELS), None, TypeError, "inputs of train must be numbers"),
        ((X, NUMBERS), (X, LABELS[:, None]), None, TypeError, "mse_loss: target must be float"),
        ((X, NUMBERS), (X[:0], NUMBERS[:0]), None, ValueError, "test has no sample"),
    ):
        with pytest.raises(error, match=f"^baseline: {text}"):
            baseline(first, second, loss)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.huber_loss])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_targets_that_are_not_finite_are_a_problem(loss, wrong):
    broken = NUMBERS.copy()
    broken[[7, 9]] = wrong
    for found, name in (
        (baseline((X, broken), (X, NUMBERS), loss), "train"),
        (baseline((X, NUMBERS), (X, broken), loss), "test"),
    ):
        assert (found.level, found.findings[0].word, found.findings[0].value) == ("problem", "not finite", 2)
        assert f"targets of {name} are not finite: 2 of {len(X)}, the first is number 7" in str(found)
    nothing = baseline((X, NUMBERS * np.nan), (X, NUMBERS), loss)
    assert (nothing.compare(0.5).level, nothing.compare(0.5).word) == ("problem", "not finite")


# ---- linear models ------------------------------------------------------------------------------------------------------


def test_least_squares_solves_its_equations():
    model = Linear(X, NUMBERS, "numbers")
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    w = np.linalg.solve(z.T @ z + PENALTY * np.eye(6), z.T @ (NUMBERS - NUMBERS.mean()))
    np.testing.assert_allclose(model(X), z @ w + NUMBERS.mean(), rtol=1e-6)


@pytest.mark.parametrize("kind", ["classes", "yes or no"])
def test_logistic_regression_is_at_its_minimum(kind):
    """There the gradient is zero: of classes against probabilities, and the penalty's."""
    y = np.eye(3)[LABELS] if kind == "classes" else YES
    model = Linear(X, y, kind)
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    logits = model(X)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if kind == "classes" else 1 / (1 + np.exp(-logits))
    gradient = z.T @ (p - y) + PENALTY * model._slope
    assert np.abs(gradient).max() < 1e-2
    assert np.abs((p - y).sum(axis=0)).max() < 1e-2


def test_logistic_regression_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    theirs = linear_model.LogisticRegression(C=1.0, tol=1e-8).fit(z, LABELS).predict_proba(z)
    logits = Linear(X, np.eye(3)[LABELS], "classes")(X)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), theirs, atol=2e-4)


def test_more_features_than_samples():
    x = VALUES.normal(size=(40, 200))
    model = Linear(x, x[:, :1], "numbers")
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    w = z.T @ np.linalg.solve(z @ z.T + PENALTY * np.eye(40), x[:, :1] - x[:, :1].mean())
    np.testing.assert_allclose(model(x), z @ w + x[:, :1].mean(), rtol=1e-6)


def test_constant_columns_and_columns_of_gaps():
    x = X.copy()
    x[:, 4], x[:, 5] = 7, np.nan
    assert np.isfinite(Linear(x, NUMBERS, "numbers")(x)).all()


# ---- learning curves ----------------------------------------------------------------------------------------------------


def make_trainer(rng):
    net = nn.Sequential(nn.Linear(6, 1, dtype=np.float64, rng=rng))
    return Trainer(net, optim.Adam(net.parameters(), lr=0.05), F.mse_loss)


def test_a_curve():
    curve = learning_curve(make_trainer, X, NUMBERS, [10, 0.25, 480], epochs=8, rng=1)
    assert [p.samples for p in curve.points] == [10, 120, 480]
    assert [p.epochs for p in curve.points] == [384, 32, 8]
    losses = [p.validation for p in curve.points]
    assert losses[0] > losses[1]
    assert curve.points[0].training < curve.points[0].validation
    assert all(p.error > 0 for p in curve.points)
    assert "validation" in str(curve)
    json.dumps(curve.to_dict(), allow_nan=False)
    assert str(learning_curve(make_trainer, X, NUMBERS, [10, 0.25, 480], epochs=8, rng=1)) == str(curve)


def test_more_samples_help_where_there_are_few():
    curve = learning_curve(make_trainer, X, NUMBERS, [6, 12], validation=(X[300:], NUMBERS[300:]), epochs=100)
    assert curve.findings[0].word == "samples"
    assert curve.level == "note"
    assert "more samples would help" in str(curve)


def test_more_samples_hardly_help_a_linear_model():
    curve = learning_curve(make_trainer, X, NUMBERS, [200, 400], epochs=30)
    assert curve.level == "ok"
    assert "hardly help" in str(curve)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((5, X, NUMBERS, [10, 20]), {}, TypeError, "make_trainer must be a function"),
        ((lambda rng: 5, X, NUMBERS, [10, 20]), {}, TypeError, "make_trainer must return a Trainer"),
        ((make_trainer, X, NUMBERS, [10]), {}, ValueError, "sizes must be two or more"),
        ((make_trainer, X, NUMBERS, [10, 600]), {}, ValueError, "sizes must be at most 480"),
        ((make_trainer, X, NUMBERS, [0, 10]), {}, ValueError, "sizes must be at least 1"),
        ((make_trainer, X, NUMBERS, [0.5, 1.5]), {}, ValueError, "sizes must be in"),
        ((make_trainer, X, NUMBERS, "all"), {}, TypeError, "sizes must be numbers"),
        ((make_trainer, X, NUMBERS[:5], [10, 20]), {}, ValueError, "expected arrays"),
        ((make_trainer, X, NUMBERS, [10, 20]), {"validation": 1.0}, ValueError, "validation must be in"),
        ((make_trainer, X, NUMBERS, [10, 20]), {"epochs": 0}, ValueError, "epochs must be at least 1"),
    ],
)
def test_what_learning_curve_refuses(arguments, options, error, text):
    with pytest.raises(error, match=f"learning_curve: .*{text}"):
        learning_curve(*arguments, **options)


def test_a_trainer_that_has_trained_already_is_refused():
    trainer = make_trainer(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"learning_curve: make_trainer must return a new Trainer, got Trainer\("):
        learning_curve(lambda rng: trainer, X, NUMBERS, [10, 20], epochs=1)


def test_pictures():
    curve = learning_curve(make_trainer, X, NUMBERS, [20, 200], epochs=3)
    ax = curve.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("samples for training", "loss")
    assert list(ax.get_lines()[0].get_xdata()) == [20, 200]
    _, given = pyplot.subplots()
    known = baseline(*parts(X, NUMBERS))
    assert known.plot(given) is given
    assert [label.get_text() for label in given.get_yticklabels()] == [p.words for p in known.predictions]
