"""The ranges that a search draws from, and what it refuses."""

import copy
import math
import pickle
import sys

import numpy as np
import pytest

from fastnn.data import Batches, MissingExtraError
from fastnn.diagnosis import Choice, IntUniform, LogUniform, Uniform
from searching import SPACE, X, Y, batches, make_trainer, searched

# ---- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [LogUniform(1e-4, 10), Uniform(-1, 3), IntUniform(2, 9), Choice("a", "b", None)])
def test_samples_are_in_the_range_and_the_same_for_a_seed(space):
    first, second = ([space.sample(rng) for _ in range(200)] for rng in map(np.random.default_rng, (1, 1)))
    assert first == second
    assert all(value in space for value in first)
    assert 100 not in space
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == space
    assert hash(space) == hash(copy.copy(space))
    assert eval(repr(space)) == space


def test_samples_are_uniform():
    rng = np.random.default_rng(0)
    logs = np.log10([LogUniform(1e-4, 1).sample(rng) for _ in range(4000)])
    assert np.histogram(logs, 4, (-4, 0))[0].min() > 900
    assert np.histogram([Uniform(1, 3).sample(rng) for _ in range(4000)], 4, (1, 3))[0].min() > 900
    assert np.bincount([IntUniform(0, 3).sample(rng) for _ in range(4000)], minlength=4).min() > 900
    assert type(IntUniform(0, 3).sample(rng)) is int


def test_shrunk():
    assert LogUniform(1e-6, 1).shrunk([1e-3, 0.01, 1e-4]) == LogUniform(1e-4, 0.01)
    assert Uniform(0, 1).shrunk([0.4, 0.7]) == Uniform(0.4, 0.7)
    assert IntUniform(0, 100).shrunk([20, 80, 50]) == IntUniform(20, 80)
    assert Choice(1, 2, 3).shrunk([3, 1, 1]) == Choice(1, 3)
    # near an end, what is beside the values is searched too
    assert Uniform(0, 1).shrunk([0.05, 0.5]) == Uniform(0, 0.5)
    assert LogUniform(1e-6, 1).shrunk([0.01, 0.5]) == LogUniform(0.01, 1)
    # one value leaves a tenth
    one = LogUniform(1e-5, 1).shrunk([0.01])
    assert math.log10(one.high / one.low) == pytest.approx(0.5)
    assert one.low * one.high == pytest.approx(1e-4)
    assert IntUniform(1, 3).shrunk([2]) == IntUniform(2, 3)
    assert IntUniform(1, 3).shrunk([3]) == IntUniform(2, 3)
    assert IntUniform(1, 2).shrunk([1]) == IntUniform(1, 2)


def test_border():
    assert [Uniform(1, 2).border(value) for value in (1.05, 1.5, 1.95)] == ["lower", None, "upper"]
    assert [LogUniform(1e-6, 1).border(value) for value in (3e-6, 1e-3, 0.3)] == ["lower", None, "upper"]
    assert [IntUniform(1, 4).border(value) for value in (1, 2, 4)] == ["lower", None, "upper"]
    assert Uniform(0, 1).border(0.01) is None  # nothing is below it
    assert [Choice(1, 2, 3).border(value) for value in (1, 2, 3)] == ["lower", None, "upper"]
    assert [Choice(*options).border(options[0]) for options in ((1, 2), (3, 1, 2), ("a", "b", "c"))] == [None] * 3


def test_widened():
    assert Uniform(1, 3).widened("upper") == Uniform(1, 3.5)
    assert Uniform(0.1, 3).widened("lower") == Uniform(0, 3)
    assert Uniform(-1, 1).widened("lower") == Uniform(-1.5, 1)
    wide = LogUniform(1e-4, 1).widened("upper")
    assert (wide.low, wide.high) == (1e-4, pytest.approx(10))
    assert IntUniform(1, 3).widened("upper") == IntUniform(1, 4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LogUniform(0, 1), ValueError, "LogUniform: low must be in"),
        (lambda: LogUniform(1, 1), ValueError, "LogUniform: high must be in"),
        (lambda: Uniform(1, 0.5), ValueError, "Uniform: high must be in"),
        (lambda: Uniform("a", 1), TypeError, "Uniform: low must be a real number"),
        (lambda: IntUniform(1, 1), ValueError, "IntUniform: high must be at least 2"),
        (lambda: IntUniform(1.0, 3), TypeError, "IntUniform: low must be an int"),
        (lambda: Choice(), ValueError, "Choice: there is nothing"),
        (lambda: Choice(1, 2, 1), ValueError, "Choice: a value is there twice"),
    ],
)
def test_ranges_that_are_none(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call()


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"make_trainer": 3}, TypeError, "make_trainer must be a function"),
        ({"make_trainer": lambda s, r: 3}, TypeError, "make_trainer must return a Trainer, got int"),
        ({"space": {}}, TypeError, "space must be ranges by name"),
        ({"space": {"lr": (0, 1)}}, TypeError, "'lr' must be a LogUniform, Uniform, IntUniform or Choice, got"),
        (
            {"space": {"lr": Choice(-1.0), **SPACE} | {"lr": Choice(-1.0)}},
            ValueError,
            "make_trainer refused trial 0, {'lr': -1.0",
        ),
        ({"trials": 0}, ValueError, "trials must be at least 1"),
        ({"rounds": ()}, TypeError, "rounds must be pairs"),
        ({"rounds": (3, 4)}, TypeError, "rounds must be pairs"),
        ({"rounds": ((1, 2, 3),)}, TypeError, "rounds must be pairs"),
        ({"rounds": ((2, 7), (2, 3))}, ValueError, r"epochs of rounds must rise, got \[2, 2\]"),
        ({"rounds": ((0, 7),)}, ValueError, "epochs must be at least 1"),
        ({"data": batches()[0]}, ValueError, "a validation part is needed"),
        ({"data": batches() + batches()}, TypeError, r"data must be batches or \(train, validation\)"),
        ({"validation": batches()[1]}, TypeError, "validation be given once"),
        ({"data": (iter(batches()[0]), batches()[1])}, TypeError, "train is an iterator"),
        ({"data": (batches()[0], [])}, ValueError, "validation has no batch"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be at least 1, or -1"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an int"),
    ],
)
def test_refused(options, error, text):
    with pytest.raises(error, match=f"^random_search: .*{text}"):
        searched(**options)


def test_a_trainer_that_was_fitted_is_refused():
    used = make_trainer({"units": 8, "dropout": 0.0, "lr": 0.1}, 0)
    used.fit(*batches(), epochs=1, progress=None)
    with pytest.raises(ValueError, match="make_trainer must return a new Trainer"):
        searched(make_trainer=lambda settings, rng: used)


def test_arrays_in_the_place_of_batches():
    train, validation = (X[:120], Y[:120]), (X[120:], Y[120:])
    options = {"trials": 2, "rounds": ((1, 2),)}
    as_batches = Batches(*train, batch_size=32), Batches(*validation, batch_size=32)
    expected = [trial.loss for trial in searched(data=as_batches, **options).trials]
    for given in ({"data": (train, validation)}, {"data": train, "validation": validation}):
        assert [trial.loss for trial in searched(**given, **options).trials] == expected
    for data, text in (
        (train, "a validation part is needed"),
        (((X, Y[:3]), validation), "expected arrays of one length"),
        ((X, validation), "a batch must be"),
        (([(X[:, :2], Y)], validation), "linear: x of shape"),
    ):
        with pytest.raises(ValueError, match=f"^random_search: {text}"):
            searched(data=data, **options)


@pytest.mark.parametrize("values", [[16, 32], (1, 2), range(3), np.arange(3)])
def test_a_choice_is_given_one_by_one(values):
    with pytest.raises(ValueError, match=r"^Choice: give the values one by one, Choice\(\*values\), got "):
        Choice(values)
    assert Choice(*values).sample(np.random.default_rng(0)) in list(values)


def test_without_joblib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(
        MissingExtraError, match=r"random_search with n_jobs=2 needs joblib: pip install 'fastnn\[search\]'"
    ):
        searched(n_jobs=2)
    searched(trials=1)
