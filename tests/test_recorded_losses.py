"""What the trainer records for verdicts: standard errors of losses, and the best constant prediction."""

import json
import math
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, History, Trainer, epoch_line
from fastnn.training.verdict import VERDICTS
from made_histories import data, fitted


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
