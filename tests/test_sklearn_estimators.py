"""Estimators for scikit-learn: its own checks, and its tools around them."""

import functools
import pickle
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
from sklearn import calibration, compose, datasets, ensemble, model_selection, pipeline, preprocessing
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import estimator_checks

import fastnn as fnn
from fastnn import data, nn, optim
from fastnn import functional as F
from fastnn.sklearn import Autoencoder, Classifier, Regressor
from sklearn_models import make_coder, make_convolution, make_dropout

IRIS = datasets.load_iris(return_X_y=True)
ALL = (Classifier, Regressor, Autoencoder)
WEIGHTS_AND_SPLITS = {
    "check_sample_weight_equivalence_on_dense_data": "what is held out differs where samples are repeated"
}


def iris(**settings):
    return Classifier(epochs=20, lr=0.01, random_state=0, **settings)


def predictions(estimator, X):
    return estimator.transform(X) if isinstance(estimator, Autoencoder) else estimator.predict(X)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [(kind(lr=0.05, epochs=12), {}) for kind in ALL]
    + [(Classifier(lr=0.05, epochs=12, early_stopping=True), WEIGHTS_AND_SPLITS)],
    ids=["Classifier", "Regressor", "Autoencoder", "early stopping"],
)
def test_scikit_learn_s_own_checks(estimator, expected):
    """Of the array API no check does anything unless SCIPY_ARRAY_API is set before SciPy is imported."""
    pytest.importorskip("pandas")  # without it some checks are skipped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks give samples that warn
        results = estimator_checks.check_estimator(estimator, on_fail=None, expected_failed_checks=expected)
    wrong = [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "xfail")]
    assert [found for found in wrong if "array_api" not in found[0]] == []
    assert sum(r["status"] == "passed" for r in results) > 50


SEARCH = """
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import models
from fastnn import nn
from fastnn.sklearn import Classifier, Regressor


def make_model(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 16), nn.Tanh(), nn.Linear(16, n_outputs))


X, y = load_iris(return_X_y=True)
GridSearchCV(make_pipeline(StandardScaler(), Classifier(make_model, epochs=20)), {"classifier__lr": [1e-3, 1e-2]}, n_jobs=2).fit(X, y)

make_model = models.make_model
pipe = make_pipeline(StandardScaler(), Classifier(make_model, epochs=20, random_state=0))
alone, both = (GridSearchCV(pipe, {"classifier__lr": [1e-3, 1e-2]}, n_jobs=n, cv=2).fit(X, y) for n in (1, 2))
assert alone.best_params_ == both.best_params_ == {"classifier__lr": 1e-2}
assert (alone.cv_results_["mean_test_score"] == both.cv_results_["mean_test_score"]).all()
assert (alone.predict_proba(X) == both.predict_proba(X)).all()

try:
    import pandas
except ModuleNotFoundError:
    raise SystemExit from None
frame = pandas.DataFrame(X, columns=list("abcd"))
columns = make_column_transformer((StandardScaler(), ["a", "d"]), remainder="passthrough")
pipe = make_pipeline(columns, Regressor(epochs=2, random_state=0))
alone, both = (cross_val_score(pipe, frame, X[:, 0], cv=2, n_jobs=n, error_score="raise") for n in (1, 2))
assert (alone == both).all()
"""


def test_a_search_with_two_jobs(tmp_path):
    """In a program, whose function workers get as code, and with one of a module, which they import."""
    (tmp_path / "search.py").write_text(SEARCH)
    shutil.copy(Path(__file__).with_name("sklearn_models.py"), tmp_path / "models.py")
    command = [sys.executable, tmp_path / "search.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_of_joblib(tmp_path):
    X, y = IRIS
    pipe = pipeline.make_pipeline(data.StandardScaler(), iris()).fit(X, y)
    joblib.dump(pipe, tmp_path / "pipe.joblib")
    loaded = joblib.load(tmp_path / "pipe.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(X), pipe.predict_proba(X))
    assert loaded[-1].history_.records == pipe[-1].history_.records


def test_in_scikit_learn_s_tools():
    X, y = IRIS
    pipe = pipeline.make_pipeline(data.StandardScaler(), iris())
    assert model_selection.cross_val_score(pipe, X, y, cv=3).mean() > 0.8
    voting = ensemble.VotingClassifier([("a", pipe), ("b", iris(hidden=(20, 20)))], voting="soft").fit(X, y)
    assert voting.score(X, y) > 0.8
    calibrated = calibration.CalibratedClassifierCV(pipe, cv=2).fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


def test_tables():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4], "b": ["x", "y", "x", "y"], "c": [0.0, 1, 0, 1]})
    columns = [("number", data.StandardScaler(), ["a", "c"]), ("word", preprocessing.OneHotEncoder(), ["b"])]
    pipe = pipeline.make_pipeline(compose.ColumnTransformer(columns), iris()).fit(frame, ["p", "q", "p", "q"])
    assert list(pipe.predict(frame)) == ["p", "q", "p", "q"]
    coder = Autoencoder(epochs=1, n_components=2, random_state=0).set_output(transform="pandas")
    coded = coder.fit_transform(frame[["a", "c"]])
    assert list(coded.columns) == ["autoencoder0", "autoencoder1"]
    assert list(coder.feature_names_in_) == ["a", "c"]


@pytest.mark.parametrize("kind", ALL)
def test_a_pickle_goes_on_to_the_same_bits(kind):
    X, y = IRIS
    model = make_coder if kind is Autoencoder else make_dropout
    estimator = kind(model, epochs=2, batch_size=32, random_state=0).fit(X, y)
    copied = pickle.loads(pickle.dumps(estimator))
    for each in (estimator, copied):
        each.partial_fit(X, y)
    assert estimator.n_iter_ == copied.n_iter_ == 3
    np.testing.assert_array_equal(predictions(estimator, X), predictions(copied, X))
    with pytest.raises(ValueError, match="not fitted"):
        predictions(clone(estimator), X)


def test_partial_fit_is_fit_in_parts():
    X, y = IRIS
    whole = iris(batch_size=32).fit(X, y)
    parts = iris(batch_size=32)
    for _ in range(20):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(whole.predict_proba(X), parts.predict_proba(X))
    with pytest.raises(ValueError, match="classes must be passed"):
        iris().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y has the classes \[7\]"):
        parts.partial_fit(X, y + 7 * (y == 2) - 2 * (y == 2))
    with pytest.raises(AttributeError, match="partial_fit"):
        iris(early_stopping=True).partial_fit(X, y)


def test_warm_start_goes_on():
    X, y = IRIS
    estimator = iris(warm_start=True).fit(X, y)
    first, module = estimator.loss_curve_, estimator.module_
    estimator.fit(X, y)
    assert estimator.module_ is module
    assert estimator.loss_curve_[0] < first[-1] * 1.5 < first[0]
    assert estimator.set_params(warm_start=False).fit(X, y).loss_curve_ == first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_have_the_dtype_of_the_data(dtype):
    X, y = IRIS
    estimator = Regressor(epochs=1).fit(X.astype(dtype), y)
    assert {parameter.dtype for parameter in estimator.module_.parameters()} == {np.dtype(dtype)}
    assert estimator.predict(X).dtype == dtype


def test_images():
    images, labels = datasets.load_digits(n_class=3, return_X_y=True)
    images = images.reshape(-1, 1, 8, 8) / 16
    estimator = Classifier(make_convolution, epochs=3, batch_size=32, lr=0.01, random_state=0).fit(images, labels)
    assert estimator.score(images, labels) > 0.95
    assert Classifier(epochs=2, lr=0.01, batch_size=32).fit(images, labels).score(images, labels) > 0.8
    with pytest.raises(ValueError, match=r"samples of shape \(1, 4, 16\), expected \(1, 8, 8\)"):
        estimator.predict(images.reshape(-1, 1, 4, 16))
    with pytest.raises(ValueError, match="needs a model"):
        Autoencoder().fit(images)


def test_several_labels_and_targets():
    X, y = IRIS
    both = np.stack([y == 0, y > 0], axis=1).astype(int)
    several = iris().fit(X, both)
    assert several.score(X, both) > 0.9
    np.testing.assert_allclose(several.predict_log_proba(X), np.log(several.predict_proba(X)), rtol=1e-9)
    assert Regressor(epochs=1).fit(X, X[:, :3]).predict(X).shape == (150, 3)
    assert Regressor(epochs=1).fit(X, X[:, :1]).predict(X).shape == (150, 1)


def test_two_classes():
    X, y = (part[:100] for part in IRIS)
    estimator = iris().fit(X, np.array(["no", "yes"])[y])
    margin, chances = estimator.decision_function(X), estimator.predict_proba(X)
    np.testing.assert_allclose(1 / (1 + np.exp(-margin)), chances[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(estimator.predict(X) == "yes", margin > 0)


def test_weights_of_classes():
    """Balanced weights are those that a mapping, or weights of samples, give."""
    X, y = (part[:110] for part in IRIS)
    of_class = {0: 110 / 3 / 50, 1: 110 / 3 / 50, 2: 110 / 3 / 10}
    losses = [iris(class_weight=given).fit(X, y).loss_curve_ for given in ("balanced", of_class)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    by_samples = iris().fit(X, y, sample_weight=[of_class[each] for each in y]).loss_curve_
    np.testing.assert_allclose(losses[0], by_samples, rtol=1e-9)


def test_history_verdict_and_callbacks():
    X, y = IRIS
    seen = []
    settings = {"early_stopping": True, "validation_fraction": 0.3, "patience": 3}
    metrics = {"accuracy": fnn.training.accuracy}
    estimator = Classifier(epochs=300, lr=0.05, metrics=metrics, callbacks=[seen.append], random_state=0, **settings)
    estimator.fit(X, y)
    assert estimator.n_iter_ == len(seen) == len(estimator.history_) < 300
    assert estimator.history_.restored == estimator.n_iter_ - 3
    assert "validation_accuracy" in estimator.history_
    assert estimator.verdict_.word == estimator.history_.verdict().word != ""
    assert not hasattr(Classifier(), "verdict_")


def test_ctrl_c_leaves_a_fitted_estimator_and_ends_the_rest():
    X, y = IRIS
    estimator = iris(batch_size=32, callbacks=[lambda trainer: signal.raise_signal(signal.SIGINT)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert len(estimator.predict(X)) == 150
    estimator.callbacks_ = []
    assert estimator.partial_fit(X, y).n_iter_ == 2


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": nn.Linear(4, 3)}, TypeError, "model must be a function"),
        ({"model": lambda n, m: None}, TypeError, "model must return a Module, got None"),
        ({"model": lambda n, m: nn.Linear(n, m + 1)}, ValueError, r"outputs of shape \(1, 4\) .* expected \(1, 3\)"),
        ({"hidden": (0,)}, ValueError, "hidden must be at least 1, got 0"),
        ({"activation": "rely"}, ValueError, "activation must be one of 'relu'"),
        ({"optimizer": "adamm"}, ValueError, "optimizer must be one of 'adam'"),
        ({"optimizer": 3}, TypeError, "optimizer must be a name or"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction"),
        ({"class_weight": {9: 1.0}}, ValueError, r"class_weight names \[9\]"),
        ({"warm_start": 1}, TypeError, "warm_start must be True or False"),
    ],
)
def test_settings_that_do_not_fit(settings, error, message):
    with pytest.raises(error, match="^Classifier: .*" + message):
        Classifier(**settings).fit(*IRIS)


def test_other_settings():
    X, y = IRIS
    estimator = iris(
        loss=F.multi_margin_loss,
        optimizer=optim.RMSprop,
        activation=nn.ELU,
        clip_norm=1.0,
        schedule=optim.Exponential(0.99),
    )
    assert estimator.fit(preprocessing.scale(X), y).score(preprocessing.scale(X), y) > 0.8


def test_without_scikit_learn(monkeypatch):
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "sklearn" or name.startswith("fastnn.sklearn")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(data.MissingExtraError, match=r"pip install 'fastnn\[sklearn\]'"):
        __import__("fastnn.sklearn")


def theirs(kind, **settings):
    """scikit-learn's own network, that always makes the same epochs."""
    settings = {"tol": 0.0, "shuffle": False, "random_state": 0, "activation": "tanh", **settings}
    return kind(hidden_layer_sizes=(9,), batch_size=50, alpha=0.1, epsilon=1e-300, **settings)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "numbers"])
def test_the_same_settings_make_the_steps_of_scikit_learn_s_networks(numbers, solver):
    """From the same weights, in the same order; a penalty is theirs over the batch, by the scale of the loss."""
    X, classes = preprocessing.scale(IRIS[0]), IRIS[1]
    ours, kind = (Regressor, MLPRegressor) if numbers else (Classifier, MLPClassifier)
    y = X[:, 1:3] if numbers else classes
    first = theirs(kind, solver=solver, max_iter=1, learning_rate_init=1e-300).fit(X, y)
    last = theirs(kind, solver=solver, max_iter=5, learning_rate_init=0.01).fit(X, y)

    def model(n_inputs, n_outputs):
        layers = nn.Linear(n_inputs, 9, dtype=float), nn.Linear(9, n_outputs, dtype=float)
        for layer, weight, bias in zip(layers, first.coefs_, first.intercepts_, strict=True):
            layer.load_state_dict({"weight": weight.T, "bias": bias})
        return nn.Sequential(layers[0], nn.Tanh(), layers[1])

    optimizer = functools.partial(optim.Adam, eps=1e-300) if solver == "adam" else "sgd"
    settings = {"optimizer": optimizer, "lr": 0.01, "weight_decay": 0.1 / 50, "shuffle": False}
    network = ours(model, epochs=5, batch_size=50, **settings).fit(X, y).module_
    for layer, weight, bias in zip((network[0], network[2]), last.coefs_, last.intercepts_, strict=True):
        rounding = 15 * 50 * np.finfo(float).eps  # of 15 steps, each with sums over 50 samples
        np.testing.assert_allclose(layer.weight.data.T, weight, rtol=0, atol=rounding)
        np.testing.assert_allclose(layer.bias.data, bias, rtol=0, atol=rounding)


@pytest.mark.parametrize(("activation", "factor"), [("relu", 6), ("sigmoid", 2)])
def test_first_weights_are_as_spread_as_scikit_learn_s(activation, factor):
    estimator = Classifier(hidden=(500,), activation=activation, lr=1e-30, epochs=1, random_state=0).fit(*IRIS)
    for number, units in ((0, 504), (2, 503)):
        layer, bound = estimator.module_[number], (factor / units) ** 0.5
        for parameter in layer.parameters():
            assert np.abs(parameter.data).max() < bound
        assert np.abs(layer.weight.data).max() > 0.99 * bound
        assert np.unique(np.sign(layer.bias.data)).tolist() == [-1, 1]
