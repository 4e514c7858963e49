"""What a verdict is as a result, and what it says of real trainings and of any history at all."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import fastnn as fnn
import verdict_problems
import verdict_table
import verdict_trainings
from fastnn import nn
from fastnn.training import History
from fastnn.training.constant import Baseline
from fastnn.training.verdict import VERDICTS
from made_histories import BASELINE, B, curve, data, fitted, made

# ---- what a verdict is ---------------------------------------------------------------------------------------------------------


def test_dictionary_and_text():
    history = made(curve(1.0, 0.05), curve(1.0, 0.3, 0.9))
    verdict = history.verdict()
    named = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert named["word"] == "overfitting"
    assert named["baseline"]["loss"] == B
    assert "records" not in named
    first, second, *rest = str(verdict).splitlines()
    assert first.startswith("overfitting since epoch ")
    assert "training loss (of the batches) 0.05     validation loss 0.9 (±0.02)" in second
    assert "baseline (always the class frequencies) 2" in second
    assert rest[0].startswith("  what helps, in this order: stop at the best epoch")
    assert all(len(line) <= 120 for line in rest)
    assert verdict == history.verdict()
    assert hash(verdict.word)
    assert verdict.word in VERDICTS


def test_it_changes_nothing():
    history = made(curve(1.0, 0.05), curve(1.0, 0.3, 0.9))
    before = json.dumps(history.state_dict())
    history.verdict()
    assert json.dumps(history.state_dict()) == before


def test_plot():
    plt = pytest.importorskip("matplotlib.pyplot")
    history = made(curve(1.0, 0.05), curve(1.0, 0.3, 0.9))
    _, mine = plt.subplots()
    assert history.verdict().plot(mine) is mine
    labels = [text.get_text() for text in mine.get_legend().get_texts()]
    assert "always the class frequencies: 2" in labels
    assert "±2 standard errors" in labels
    assert any(label.startswith("since epoch") for label in labels)
    assert mine.get_title() == "overfitting"
    assert mine.get_yscale() == "linear"
    diverged = made([1e6, *curve(3.0, 2.5)], curve(3.0, 2.5, epochs=31)).verdict()
    ax = diverged.plot()
    assert ax.get_yscale() == "log"
    with pytest.raises(ValueError, match="no records"):
        History().verdict().plot()


# ---- any history ---------------------------------------------------------------------------------------------------------------


_VALUES = [
    0.0,
    1.0,
    -1.0,
    2.0,
    0.5,
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    1e-320,
    None,
    "x",
    True,
    10**400,
    [1],
    3,
]
_NAMES = [
    "epoch",
    "train_loss",
    "training_loss",
    "validation_loss",
    "validation_loss_se",
    "training_loss_se",
    "validation_accuracy",
    "lr",
    "",
]


@pytest.mark.parametrize("seed", range(8))
def test_never_raises(seed):
    rng = np.random.default_rng(seed)

    def some(values):
        return values[rng.integers(len(values))]

    def baseline():
        return some(
            [
                None,
                BASELINE,
                Baseline(*(some([0.0, 2.0, -3.0, -1e4, 1e308, 1e-300]), "x")),
                Baseline(
                    some([1.0, 5e-324]),
                    "x",
                    some([None, 0.0, 1e308, -1.0]),
                    some([None, 0.0, 1.5, -1.0]),
                    some([None, 1, 9]),
                ),
            ]
        )

    for _ in range(120):
        names = [name for name in _NAMES if rng.random() < 0.7]
        values = _VALUES if rng.random() < 0.5 else [v for v in _VALUES if type(v) is float and math.isfinite(v)]
        records = [{name: some(values) for name in names if rng.random() < 0.95} for _ in range(rng.integers(0, 8))]
        history = History(records)
        history.baseline = baseline()
        history.restored = some([None, 1, 2, 99])
        history.stopped = some([None, "stopped"])
        verdict = history.verdict()
        assert verdict.word in VERDICTS
        assert str(verdict)
        json.dumps(verdict.to_dict(), allow_nan=False)


@pytest.mark.parametrize("seed", range(4))
def test_units_of_the_loss_do_not_count(seed):
    """A loss a thousand times as large, with its baseline, is judged alike."""
    rng = np.random.default_rng(seed)
    for _ in range(50):
        t = np.abs(np.cumsum(rng.normal(size=12)) * rng.choice([0.01, 0.3])) + rng.choice([0.05, 1.5])
        v = np.abs(t + rng.normal(size=12) * 0.2)
        small = made(t.tolist(), v.tolist()).verdict()
        large = made((1024 * t).tolist(), (1024 * v).tolist(), se=10.24, baseline=Baseline(1024 * B, "x")).verdict()
        assert (small.word, small.since) == (large.word, large.since)


# ---- real trainings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_real_trainings(backend):
    if backend == "native":
        pytest.importorskip("fastnn._core")
    with fnn.use_backend(backend):
        _check_real_trainings()


def _check_real_trainings():
    shuffled = np.random.default_rng(5).permutation(data()[1])
    assert fitted(lr=0.02, epochs=12).verdict().word == "good"
    assert fitted(lr=1e-8, epochs=5).verdict().word == "not learning"
    assert fitted(lr=2e-4, epochs=4).verdict().word == "still improving"
    assert fitted(lr=10.0, epochs=8).verdict().word == "diverged"
    known = fitted(units=200, y=shuffled, samples=100, lr=0.02, epochs=60).verdict()
    assert (known.word, known.also) == ("not learning", ("overfitting",))
    assert fitted(units=200, samples=20, lr=0.02, epochs=60).verdict().word == "overfitting"


def test_real_regression():
    x, _ = data()
    y = (x[:, :1] * x[:, 1:2]).astype(np.float32)
    history = fitted(units=64, y=y, lr=0.02, epochs=60, loss=nn.MSELoss())
    assert history.verdict().word == "good"
    assert history.baseline.words == "always the mean"
    assert history.baseline.loss == pytest.approx(y[:600].var(), rel=1e-5)


# ---- the tables ------------------------------------------------------------------------------------------------------------------


def test_the_trainings_of_the_tables():
    tuned, untouched = verdict_table.cases("tuned"), verdict_table.cases("untouched")
    for cases in (tuned, untouched):
        assert len({case.name for case in cases}) == len(cases)
        assert all(set(case.intended) <= set(VERDICTS) for case in cases)
    assert not {case.data for case in tuned} & {case.data for case in untouched}
    assert not {seed for case in tuned for seed in case.seeds} & {seed for case in untouched for seed in case.seeds}
    case = next(case for case in untouched if case.data is verdict_problems.pulses)
    history = verdict_trainings.trained(replace(case, epochs=2), 0)
    assert len(history) == 2
    assert history.verdict().word in VERDICTS
