"""What histories are said to be: rules on made-up curves, small real trainings, and any history at all."""

import importlib.util
import json
import math
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, History, Trainer, epoch_line
from fastnn.training import verdict_rules as rules
from fastnn.training.constant import Baseline
from fastnn.training.verdict import VERDICTS

ROOT = Path(__file__).parents[1]
B = 2.0
BASELINE = Baseline(B, "always the class frequencies")


def made(training, validation=None, se=0.01, baseline=BASELINE, **more):
    """A history of these losses."""
    records = []
    for i, t in enumerate(training):
        record = {"epoch": i + 1, "train_loss": t}
        if validation is not None:
            record |= {"validation_loss": validation[i], "validation_loss_se": se}
        records.append(record | {name: values[i] for name, values in more.items()})
    history = History(records)
    history.baseline = baseline
    return history


def word(*arguments, **settings):
    return made(*arguments, **settings).verdict().word


def curve(*points, epochs=30):
    """Losses that go through points, evenly."""
    return np.interp(np.linspace(0, 1, epochs), np.linspace(0, 1, len(points)), points).tolist()


FLAT_GOOD = curve(1.0, 0.1, 0.05, 0.05, 0.05)


# ---- each word, and its borders ------------------------------------------------------------------------------------------------


def test_what_falls_from_above_the_baseline_is_not_to_be_trained_faster():
    falling = made([14.0, 7.2], [14.0, 7.2]).verdict()
    assert falling.word == "still improving"
    assert "a lower learning rate" in falling.advice
    assert "a larger learning rate" in made([1.8, 1.2], [1.8, 1.2]).verdict().advice


def test_good():
    verdict = made(FLAT_GOOD, curve(0.9, 0.15, 0.12, 0.12, 0.12)).verdict()
    assert verdict.word == "good"
    assert verdict.validation_loss == pytest.approx(0.12)
    assert str(verdict).startswith(
        "good: the validation loss 0.12 (±0.02) is 6 % of that of a prediction that knows nothing\n"
    )


@pytest.mark.parametrize("name", ["train_loss", "training_loss", "validation_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_loss_that_is_not_finite(name, value):
    history = made(FLAT_GOOD, FLAT_GOOD)
    history.records[11][name] = value
    verdict = history.verdict()
    assert (verdict.word, verdict.since) == ("diverged", 12)
    assert "epoch 12" in verdict.message


def test_diverged_repeats_what_the_trainer_found():
    history = History([{"epoch": 3, "train_loss": math.nan}])
    history.stopped = "stopped in epoch 3 at batch 2 (step 9): the loss is nan; layer '1' (_Log) gives nan"
    assert str(history.verdict()).startswith(f"diverged: {history.stopped}\n")


def test_huge_losses():
    just, beyond = 0.99 * rules.HUGE * B, 1.01 * rules.HUGE * B
    blown_up = curve(1.0, 0.5, 0.5, beyond, beyond)
    verdict = made(blown_up, blown_up).verdict()
    assert verdict.word == "diverged"
    assert verdict.since == next(i for i, t in enumerate(blown_up, 1) if t > rules.HUGE * B)
    assert word(curve(1.0, 0.5, 0.5, just, just), curve(1.0, 0.5, 0.5, just, just)) == "underfitting"
    assert word(FLAT_GOOD, curve(900, 800)) == "diverged", "validation that never came near the baseline"
    assert word(FLAT_GOOD, curve(1.0, 30.0)) == "overfitting", "validation that did"
    assert word([beyond]) == "diverged", "one epoch, without validation"


def test_what_was_huge_and_learned_nothing_has_diverged():
    noise = [2.3, 2.4, 2.2, 2.5, 2.1] * 4
    assert word([1e4, *noise], [3.0, *noise]) == "diverged"
    assert word([3.0, *noise], [3.0, *noise]) == "not learning"
    assert word([1e4, *curve(3.0, 0.05, 0.05)], [3.0, *curve(2.0, 0.1, 0.1)]) == "good", "recovered"
    steadily = curve(8.0, 2.6, epochs=8)
    assert word([1e4, *steadily], [9.0, *steadily]) == "still improving", "is about to"


def test_still_improving():
    falling = curve(2.0, 1.0, epochs=10)
    verdict = made(falling, falling).verdict()
    assert (verdict.word, verdict.since) == ("still improving", 8)
    assert verdict.message == "the validation loss fell from 1.222 to 1 (±0.02) in the last 2 epochs"
    assert word(falling) == "still improving", "without validation"
    assert word(falling, [*falling[:-1], falling[-3]]) != "still improving", "the last one is no better"
    low = curve(0.3, 0.9 * rules.LOW * B, epochs=10)
    assert word(low, low) == "good", "what falls is small"


def test_still_improving_needs_a_fall_that_matters():
    plateau, window = [1.0] * 20, rules.LEAST_WINDOW
    for fall, expected in ((1.05 * rules.GAIN * B, "still improving"), (0.95 * rules.GAIN * B, "underfitting")):
        losses = [*plateau, *curve(1.0, 1.0 - fall, epochs=window + 1)[1:]]
        assert word(losses, losses) == expected


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5])
def test_short_runs(epochs):
    falling = curve(1.5, 1.0, epochs=epochs) if epochs > 1 else [1.2]
    assert word(falling, falling) == "still improving"
    nothing = [2.1, 2.05, 2.02, 2.01, 2.005][:epochs]
    assert word(nothing, nothing) == ("not learning" if epochs > 1 else "unknown"), "one epoch is too short to tell"
    good = [0.1, 0.08, 0.07, 0.065, 0.06][:epochs]
    assert word(good, good) == "good"
    slowly = [1.94, 1.92, 1.90, 1.88, 1.86][:epochs]
    assert word(slowly, slowly, se=0.001) == "still improving", "little was learned, much of it in the end"


def test_not_learning():
    assert word([2.0] * 10, curve(2.1, 2.0), se=0.0) == "not learning"
    border = B - rules.LEARNED * B
    level = [border + 0.01] * 9 + [border + 0.011]
    assert word(level, [1.9, *level[1:]], se=0.05) == "not learning"
    below = [border - 0.01] * 9 + [border - 0.011]
    assert word(below, [1.9, *below[1:]], se=0.01) == "underfitting"
    assert word(below, [1.9, *below[1:]], se=0.1) == "not learning", "by accident"
    surely = [B - 1.1 * rules.SURELY * B] * 9 + [B - 1.2 * rules.SURELY * B]
    assert word(surely, surely, se=0.001) == "underfitting", "little, but no accident"


def test_a_rate_that_is_too_small():
    moves = [1.3 - 1e-6 * i for i in range(20)]
    verdict = made(moves, moves).verdict()
    assert verdict.word == "not learning"
    assert verdict.advice.startswith("a larger learning rate")
    assert word(moves, moves, baseline=None) == "not learning"
    done = [0.1 - 1e-6 * i for i in range(20)]
    assert word(done, done) == "good", "what is good already need not move"


def test_slow_but_steady_above_the_baseline_is_on_its_way():
    falling = curve(3.4, 2.6)
    verdict = made(falling, falling).verdict()
    assert (verdict.word, verdict.since) == ("still improving", 1)
    assert "in each of the last 4 epochs" in verdict.message
    assert word(curve(3.4, 3.2), curve(3.4, 3.2)) == "not learning", "too slow"
    assert word(falling, [*falling[:-2], falling[-3], falling[-3]]) == "not learning", "it stands"


def test_one_target_and_one_sample_tell_nothing():
    falling = curve(1e-3, 1e-6)
    constant = replace(BASELINE, loss=0.0)
    assert word(falling, falling, baseline=constant) == "unknown"
    for samples, expected in ((1, "unknown"), (rules.FEWEST - 1, "unknown"), (rules.FEWEST, "good")):
        few = replace(BASELINE, validation_loss=B, validation_accuracy=0.5, validation_samples=samples)
        assert word(FLAT_GOOD, curve(0.9, 0.1, 0.1), baseline=few) == expected


def test_shuffled_labels_are_both():
    verdict = made(curve(2.0, 0.1), curve(2.05, 4.0)).verdict()
    assert (verdict.word, verdict.also) == ("not learning", ("overfitting",))
    assert "not learning" in str(verdict).splitlines()[0]
    assert "overfitting too" in str(verdict).splitlines()[0]


def test_validation_has_a_baseline_of_its_own():
    harder = replace(BASELINE, validation_loss=4.0)
    losses = curve(2.5, 2.1, 2.1)
    assert word(FLAT_GOOD, losses) == "not learning"
    assert word(curve(2.5, 1.0, 1.0), losses, baseline=harder) == "overfitting", (
        "learned, though above the other baseline"
    )


def test_accuracy_tells_wrong_labels_from_shuffled_ones():
    known = replace(BASELINE, validation_loss=B, validation_accuracy=0.5, validation_samples=400)
    sure_of_what_is_wrong = curve(0.9, 0.01), curve(2.1, 4.0)
    error = math.sqrt(0.25 / 400)
    for accuracy, expected in ((0.5 + 2.9 * error, "not learning"), (0.5 + 3.1 * error, "overfitting")):
        assert word(*sure_of_what_is_wrong, baseline=known, validation_accuracy=[accuracy] * 30) == expected


def test_overfitting_by_a_rise():
    falling = curve(1.0, 0.1)
    for rise, expected in ((1.1, "overfitting"), (0.9, "good")):
        for se, least in ((0.001, rules.RISEN * B), (0.05, 2 * 0.05)):
            validation = curve(0.5, 0.3, 0.3 + rise * least)
            verdict = made(falling, validation, se=se).verdict()
            assert verdict.word == expected
            if expected == "overfitting":
                assert verdict.since == int(np.argmin(validation)) + 1
    assert word(curve(0.1, 1.0), curve(0.5, 0.3, 0.6)) != "overfitting", "training's rose as well"


def test_overfitting_by_a_gap():
    for gap, expected in ((1.05 * rules.GAP, "overfitting"), (0.95 * rules.GAP, "good")):
        assert word(curve(1.0, 0.001, 0.001), curve(1.0, gap * B, gap * B)) == expected
    t = 0.2
    for gap, expected in ((1.05 * rules.WIDE, "overfitting"), (0.95 * rules.WIDE, "good")):
        assert word(curve(1.0, t, t), curve(1.0, t + gap * B, t + gap * B)) == expected
    assert word(curve(1.0, 0.001, 0.001), curve(1.0, 0.3, 0.3), se=0.2) == "good", "it may be an accident"


def test_overfitting_by_an_accuracy_that_falls():
    """As with wrong labels in the training part alone, where the loss on right ones stays where it is."""
    falling, steady = curve(1.0, 0.2), curve(0.6, 0.4, 0.4)
    for samples, least in ((10_000, rules.WORSE), (100, rules.ACCURACY_ERRORS * math.sqrt((0.09 + 0.21) / 100))):
        known = replace(BASELINE, validation_loss=B, validation_accuracy=0.1, validation_samples=samples)
        for fall, expected in ((1.2 * least, "overfitting"), (0.8 * least, "good")):
            accuracy = curve(0.8, 0.9, 0.9 - fall)
            assert word(falling, steady, baseline=known, validation_accuracy=accuracy) == expected
    known = replace(BASELINE, validation_loss=B, validation_accuracy=0.1, validation_samples=10_000)
    verdict = made(falling, steady, baseline=known, validation_accuracy=curve(0.8, 0.9, 0.7)).verdict()
    assert "the validation accuracy fell from 89.7 % to 70.0 %" in str(verdict)
    assert verdict.since in (15, 16)
    assert word(curve(0.2, 0.4), steady, baseline=known, validation_accuracy=curve(0.9, 0.7)) == "good", (
        "training's loss rose as well"
    )
    assert word(falling, steady, baseline=known, validation_accuracy=[math.nan, *curve(0.9, 0.7, epochs=29)]) == "good"


def test_nothing_above_the_baseline_is_good():
    history = made(FLAT_GOOD, curve(0.9, 0.5, 0.5, 900.0))
    history[-1]["validation_loss_se"] = 1000.0
    verdict = history.verdict()
    assert verdict.word == "overfitting"
    assert "above that of a prediction that knows nothing, 2" in verdict.message


def test_underfitting():
    for share, expected in ((1.02 * rules.HIGH, "underfitting"), (0.98 * rules.HIGH, "good")):
        losses = curve(1.5, share * B, share * B)
        assert word(losses, losses) == expected
    verdict = made(curve(1.9, 1.5, 1.5), curve(1.9, 1.5, 1.5)).verdict()
    assert 10 < verdict.since <= 15
    assert word(curve(1.9, 1.5, 1.5)) == "underfitting", "without validation"


def test_dropout_makes_no_underfitting():
    """The loss of the batches is far above that in evaluation mode, but validation's is not."""
    assert word(curve(1.9, 1.2, 1.2), curve(1.0, 0.2, 0.2)) == "good"
    evaluated = curve(1.0, 0.15, 0.15)
    verdict = made(curve(1.9, 1.2, 1.2), curve(1.0, 0.2, 0.2), training_loss=evaluated).verdict()
    assert (verdict.word, verdict.training_loss, verdict.evaluated) == ("good", pytest.approx(0.15), True)
    assert "training loss 0.15" in str(verdict)
    assert "(of the batches)" in str(made(FLAT_GOOD, FLAT_GOOD).verdict())


def test_the_judged_epoch_is_the_one_whose_weights_the_model_has():
    history = made(curve(1.0, 0.01, epochs=21), curve(1.0, 0.3, 0.9, epochs=21))
    assert history.verdict().word == "overfitting"
    history.restored = 11
    verdict = history.verdict()
    assert (verdict.word, verdict.epoch, verdict.validation_loss) == ("good", 11, pytest.approx(0.3))
    history = made(curve(1.0, 0.001, 0.001, epochs=21), curve(1.0, 0.8, 1.9, epochs=21))
    history.restored = 11
    assert history.verdict().word == "overfitting"
    assert not history.verdict().advice.startswith("stop"), "that was done"


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (History(), "there is no epoch with a loss"),
        (History([{"epoch": 1, "lr": 0.1}]), "there is no epoch with a loss"),
        (made(FLAT_GOOD, FLAT_GOOD, baseline=None), "the loss function tells no baseline"),
        (made(FLAT_GOOD, FLAT_GOOD, baseline=Baseline(0.0, "always the mean")), "all targets are the same"),
        (made(FLAT_GOOD), "without a validation part"),
    ],
)
def test_unknown_has_a_reason(history, message):
    verdict = history.verdict()
    assert verdict.word == "unknown"
    assert message in verdict.message
    assert str(verdict).startswith("unknown: ")


# ---- the order -----------------------------------------------------------------------------------------------------------------


def test_order():
    falling = curve(3.0, 2.2, epochs=10)
    assert word(falling, falling) == "still improving", "before not learning"
    beyond = curve(40.0, 30.0, epochs=10)
    assert word(beyond, beyond) == "diverged", "before still improving"
    assert word([*beyond[:-1], math.nan], beyond) == "diverged"
    assert made([*beyond[:-1], math.nan], beyond).verdict().since == 10
    both = curve(1.0, 0.8, 0.8), curve(1.0, 0.9, 1.8)
    assert word(*both) == "overfitting", "before underfitting"


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
    figure, mine = plt.subplots()
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
    plt.close(figure)
    plt.close("all")


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


def data(n=900, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 0.5)


def fitted(
    units=32, lr=5e-3, epochs=15, samples=600, y=None, dropout=0.0, optimizer=optim.Adam, loss=F.cross_entropy, **more
):
    x, labels = data()
    y = labels if y is None else y
    rng = np.random.default_rng(1)
    outputs = 3 if y.ndim == 1 else 1
    model = nn.Sequential(
        nn.Linear(4, units, rng=rng), nn.Tanh(), nn.Dropout(dropout, rng=rng), nn.Linear(units, outputs, rng=rng)
    )
    trainer = Trainer(model, optimizer(model.parameters(), lr=lr), loss)
    return trainer.fit(
        Batches(x[:samples], y[:samples], batch_size=min(20, samples), shuffle=True, rng=2),
        Batches(x[600:], y[600:], batch_size=150),
        epochs=epochs,
        progress=False,
        **more,
    )


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


# ---- what the trainer records ----------------------------------------------------------------------------------------------------


def test_standard_errors():
    x, y = data()
    model = nn.Linear(4, 3, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    validation = x[200:300], y[200:300]
    history = trainer.fit(
        Batches(x[:200], y[:200], batch_size=32), Batches(*validation, batch_size=32), epochs=2, evaluate_train=True
    )
    for part, arrays in (("validation", validation), ("training", (x[:200], y[:200]))):
        each = F.cross_entropy(trainer.predict(arrays[0]), arrays[1], reduction="none").astype(float)
        assert history[-1][f"{part}_loss_se"] == pytest.approx(each.std(ddof=1) / math.sqrt(len(each)), rel=1e-4)
    assert "_se" not in epoch_line(history[-1], 2)
    assert "_se" not in repr(history)


def test_standard_errors_of_weighted_samples():
    x, y = data(40)
    weight = np.random.default_rng(0).uniform(0, 2, 40).astype(np.float32)
    model = nn.Linear(4, 3, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.0))
    history = trainer.fit([(x, y, weight)], [(x[:25], y[:25], weight[:25]), (x[25:], y[25:], weight[25:])], epochs=1)
    each = F.cross_entropy(trainer.predict(x), y, reduction="none").astype(float)
    w = weight.astype(float)
    mean, n = w @ each / w.sum(), w.sum() ** 2 / (w @ w)
    expected = math.sqrt((w**2 @ (each - mean) ** 2) * n / (n - 1)) / w.sum()
    assert history[-1]["validation_loss_se"] == pytest.approx(expected, rel=1e-4)


def test_standard_error_of_weighted_classes_is_that_of_the_recorded_loss():
    x, y = data(200)
    loss = nn.CrossEntropyLoss(np.array([1.0, 10.0, 1.0], np.float32))
    model = nn.Linear(4, 3, rng=0)
    history = Trainer(model, optim.SGD(model.parameters(), lr=0.0), loss).fit([(x, y)], [(x, y)], epochs=1)
    record = history[-1]
    assert 0 < record["validation_loss_se"] < record["validation_loss"]


def _no_reduction(output, target):
    return F.cross_entropy(output, target)


class _Stateful:
    """A loss that would notice to be called once more."""

    def __init__(self):
        self.rng, self.calls = np.random.default_rng(0), 0

    def __call__(self, output, target, reduction="mean"):
        self.calls += 1
        return F.cross_entropy(output, target, reduction=reduction) * (1 + 0.1 * self.rng.random())


def _refuses(output, target, reduction="mean"):
    assert reduction == "mean"
    return F.cross_entropy(output, target)


@pytest.mark.parametrize("loss", [_no_reduction, _Stateful(), _refuses])
def test_losses_that_do_not_tell(loss):
    x, y = data(60)
    model = nn.Linear(4, 3, rng=0)
    history = Trainer(model, optim.SGD(model.parameters(), lr=0.1), loss).fit([(x, y)], [(x, y)] * 2, epochs=2)
    assert "validation_loss_se" not in history[-1]
    assert history.baseline is None
    assert history.verdict().word in VERDICTS
    if isinstance(loss, _Stateful):
        assert loss.calls == 2 * 3


def test_one_sample_has_no_standard_error():
    x, y = data(10)
    model = nn.Linear(4, 3, rng=0)
    history = Trainer(model, optim.SGD(model.parameters(), lr=0.1)).fit([(x, y)], [(x[:1], y[:1])], epochs=1)
    assert "validation_loss_se" not in history[-1]


def test_baseline():
    _, y = data()
    history = fitted()
    counts = np.bincount(y[:600], minlength=3) / 600
    assert history.baseline.words == "always the class frequencies"
    assert history.baseline.loss == pytest.approx(-(counts * np.log(counts)).sum(), rel=1e-5)
    assert history.baseline.validation_loss == pytest.approx(-np.log(counts)[y[600:]].mean(), rel=1e-5)
    assert history.baseline.validation_accuracy == pytest.approx((y[600:] == counts.argmax()).mean())
    assert history.baseline.validation_samples == 300


def test_the_training_part_is_no_validation():
    x, y = data(60)
    model = nn.Linear(4, 3, rng=0)
    history = Trainer(model, optim.SGD(model.parameters(), lr=0.1)).fit([(x, y)], epochs=1, evaluate_train=True)
    assert history.baseline.loss > 0
    assert history.baseline.validation_loss is None


def test_baseline_takes_ten_thousand_targets():
    x = np.zeros((12_000, 1), np.float32)
    y = np.repeat(np.arange(2.0, dtype=np.float32), [10_000, 2_000])[:, None]
    model = nn.Linear(1, 1, rng=0)
    history = Trainer(model, optim.SGD(model.parameters(), lr=0.0), F.mse_loss).fit(
        Batches(x, y, batch_size=700), epochs=1
    )
    assert history.baseline.loss == 0.0
    assert history.verdict().word == "unknown"


def test_no_baseline_of_sums():
    x, y = data(60)
    model = nn.Linear(4, 3, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e-3), partial(F.cross_entropy, reduction="sum"))
    assert trainer.fit([(x, y)], [(x, y)], epochs=1).baseline is None


def test_baseline_of_sequences_of_other_lengths():
    """What does not fit the first batch is passed over, also in validation."""
    rng = np.random.default_rng(0)

    def batch(length):
        return rng.normal(size=(6, 4, length)).astype(np.float32), rng.integers(0, 3, (6, length))

    model = nn.Conv1d(4, 3, 1, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), metrics={})
    history = trainer.fit([batch(5), batch(7)], [batch(9)], epochs=2)
    assert history.baseline.loss > 0
    assert history.baseline.validation_loss is None
    assert history[-1]["validation_loss_se"] > 0


@pytest.mark.parametrize("weighted", [False, True])
def test_the_baseline_is_the_same_after_a_break(tmp_path, weighted):
    x, y = data()
    arrays = (x, y, np.linspace(0.5, 1.5, 900, dtype=np.float32)) if weighted else (x, y)

    def trainer():
        model = nn.Sequential(nn.Linear(4, 8, rng=0), nn.Dropout(0.2, rng=1), nn.Linear(8, 3, rng=2))
        return Trainer(model, optim.Adam(model.parameters(), lr=0.01))

    def batches():
        return Batches(*arrays, batch_size=40, shuffle=True, rng=3)

    straight = trainer().fit(batches(), batches(), epochs=3)

    class Break:
        def on_step(self, trainer):
            trainer.stop = trainer.step == 5

    first = trainer()
    first.fit(batches(), batches(), epochs=3, callbacks=[Break()])
    assert first.history.baseline is None
    fnn.save_checkpoint(tmp_path / "broken.npz", first.state_dict())
    second = trainer()
    second.load_state_dict(fnn.load_checkpoint(tmp_path / "broken.npz"))
    resumed = second.fit(batches(), batches(), epochs=3)
    assert resumed.baseline == straight.baseline
    assert resumed.records == straight.records
    again = History()
    again.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    assert again.verdict() == straight.verdict()


def test_a_training_with_and_without_validation_has_the_same_weights():
    """Standard errors and baselines are looked at, and nothing more."""

    def weights(validation, evaluate):
        x, y = data()
        model = nn.Sequential(
            nn.Linear(4, 8, rng=0), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2, rng=1), nn.Linear(8, 3, rng=2)
        )
        trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01))
        batches = Batches(x, y, batch_size=40, shuffle=True, rng=3)
        trainer.fit(batches, batches if validation else None, epochs=3, evaluate_train=evaluate)
        return [p.data.copy() for p in model.parameters()]

    plain = weights(False, False)
    for other in (weights(True, False), weights(True, True)):
        for a, b in zip(plain, other, strict=True):
            assert_array_equal(a, b)


def test_restored_epoch(tmp_path):
    stopping = EarlyStopping(patience=3)
    history = fitted(units=200, samples=20, lr=0.05, epochs=80, callbacks=[stopping])
    assert history.restored == stopping.best_epoch
    assert history.verdict().epoch == stopping.best_epoch
    history.save(tmp_path / "h.json")
    saved = json.loads((tmp_path / "h.json").read_text())
    assert saved["restored"] == stopping.best_epoch
    assert saved["baseline"]["words"] == "always the class frequencies"
    assert fitted(callbacks=[EarlyStopping(restore_best=False)]).restored is None


class _Log(nn.Module):
    def forward(self, x):
        return x.log()


def test_the_logarithm_of_a_negative_number():
    x, y = data()
    model = nn.Sequential(nn.Linear(4, 8, rng=0), _Log(), nn.Linear(8, 3, rng=1))
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        first = str(trainer.fit(Batches(x, y, batch_size=50), epochs=3).verdict()).splitlines()[0]
    assert first.startswith("diverged: ")
    assert "(step 1)" in first
    assert "layer '1' (_Log)" in first


def test_a_loss_that_becomes_nan_in_the_first_epoch():
    x, y = data()
    x[3, 1] = np.nan
    model = nn.Linear(4, 3, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        history = trainer.fit(Batches(x, y, batch_size=50), epochs=3)
    verdict = history.verdict()
    assert verdict.word == "diverged"
    assert "step 1" in str(verdict).splitlines()[0]


# ---- the tables ------------------------------------------------------------------------------------------------------------------


def test_the_trainings_of_the_tables():
    spec = importlib.util.spec_from_file_location("verdict_table", ROOT / "tools" / "verdict_table.py")
    table = importlib.util.module_from_spec(spec)
    sys.modules["verdict_table"] = table
    try:
        spec.loader.exec_module(table)
        tuned, untouched = table.cases("tuned"), table.cases("untouched")
        for cases in (tuned, untouched):
            assert len({case.name for case in cases}) == len(cases)
            assert all(set(case.intended) <= set(VERDICTS) for case in cases)
        assert not {case.data for case in tuned} & {case.data for case in untouched}
        assert not {seed for case in tuned for seed in case.seeds} & {seed for case in untouched for seed in case.seeds}
        case = next(case for case in untouched if case.data is table.pulses)
        history = table.trained(replace(case, epochs=2), 0)
        assert len(history) == 2
        assert history.verdict().word in VERDICTS
    finally:
        del sys.modules["verdict_table"]
