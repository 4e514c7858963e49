"""What the trainer takes for batches: inputs, targets, weights of samples, iterables; and exceptions in the middle of them."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer, accuracy
from learners import LABELS, X, batches, bits, network, trainer


@pytest.mark.parametrize(
    "batch", [(X,), (X, LABELS, LABELS, LABELS), X, {"x": X}, (X, LABELS, LABELS[:3]), (X, LABELS, X)]
)
def test_other_batches_are_refused(batch):
    with pytest.raises(ValueError, match=r"^Trainer: .*(batch must be|weight per sample)"):
        trainer().fit([batch], epochs=1)


@pytest.mark.parametrize("weight", [-LABELS, LABELS * np.nan, LABELS * 1j, LABELS.astype(str)])
def test_weights_are_finite_and_not_negative(weight):
    with pytest.raises(ValueError, match=r"^Trainer: .*weight"):
        trainer().evaluate([(X, LABELS, weight)])


def test_several_inputs_are_a_tuple():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 2, rng=0), nn.Linear(2, 2, rng=1)

        def forward(self, x, y):
            return self.a(x) + self.b(y)

    learning = trainer(Two())
    history = learning.fit(Batches((X, X[:, :2]), LABELS, batch_size=16), epochs=2)
    assert history["train_loss"][1] < history["train_loss"][0]
    assert learning.predict((X, X[:, :2]), batch_size=7).shape == (60, 2)
    with pytest.raises(ValueError, match=r"^predict: x must hold a sample at least, got shape \(0, 3\), \(0, 2\)"):
        learning.predict((X[:0], X[:0, :2]))


def test_a_weight_of_2_is_a_sample_twice():
    weight = np.arange(60) % 3
    rows = np.repeat(np.arange(60), weight)
    ours, theirs = trainer(network(dropout=0.0)), trainer(network(dropout=0.0))
    for learning in (ours, theirs):
        learning.model[1].eval()  # whose statistics know nothing of weights
    a = ours.fit([(X, LABELS, weight)], [(X, LABELS, weight)], epochs=3)
    b = theirs.fit([(X[rows], LABELS[rows])], [(X[rows], LABELS[rows])], epochs=3)
    for name in a.names:
        if name != "validation_loss_se":  # more samples are surer than weights
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    for p, q in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


def test_weights_whose_sum_is_beyond_float32():
    small, large = (trainer().evaluate([(X, LABELS, np.full(60, weight))]) for weight in (1, 1e38))
    assert large == pytest.approx(small, rel=1e-6)


def test_a_parameter_of_the_loss_that_is_not_finite_is_named():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(np.ones(1, np.float32))
            self.calls = 0

        def forward(self, output, target):
            self.calls += 1
            loss = F.cross_entropy(output * self.scale, target)
            return loss + fnn.autograd.sqrt((self.scale * 0).sum()) if self.calls == 3 else loss

    model, loss = network(), Scaled()
    learning = Trainer(model, optim.Adam([*model.parameters(), *loss.parameters()], lr=0.1), loss)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match=r"'loss.scale' holds nan since the step before"):
        learning.fit(batches(), epochs=1)
    assert loss.scale.numpy() == 1


def test_a_batch_that_counts_for_nothing_moves_nothing():
    learning = trainer(optimizer=optim.SGD)
    before = bits(learning.model[0])
    history = learning.fit([(X, LABELS, np.zeros(60))], epochs=1)
    assert bits(learning.model[0]) == before
    assert math.isnan(history[0]["train_loss"])


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), F.cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_losses_that_take_weights(loss):
    weight = np.linspace(0, 1, 60, dtype=np.float32)
    learning = trainer(loss=loss)
    figures = learning.evaluate([(X, LABELS, weight)])
    logits = learning.predict(X)
    smoothing = getattr(loss, "label_smoothing", 0.0)
    each = F.cross_entropy(logits, LABELS, reduction="none", label_smoothing=smoothing)
    assert figures["loss"] == pytest.approx(np.average(each, weights=weight), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(np.average(logits.argmax(1) == LABELS, weights=weight), rel=1e-6)


def test_a_loss_that_takes_no_weights_is_named():
    learning = trainer(loss=lambda output, target: F.cross_entropy(output, target))
    with pytest.raises(TypeError, match="reduction='none'"):
        learning.fit([(X, LABELS, LABELS)], epochs=1)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    "used_up", [lambda: iter([(X, LABELS)]), lambda: (b for b in [(X, LABELS)]), lambda: map(tuple, [])]
)
def test_iterators_are_refused_before_anything_is_trained(part, used_up):
    learning = trainer()
    parts = {"train": batches(), "validation": [(X, LABELS)], part: used_up()}
    with pytest.raises(TypeError, match=rf"^Trainer: {part} is an iterator"):
        learning.fit(**parts, epochs=2)
    assert (learning.step, len(learning.history)) == (0, 0)
    with pytest.raises(TypeError, match=r"must be an iterable"):
        learning.fit(3, epochs=2)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_data_without_a_batch_are_refused_before_anything_is_trained(part):
    learning, empty = trainer(), Batches(X[:3], LABELS[:3], batch_size=8, drop_last=True)
    parts = {"train": [(X, LABELS)], "validation": [(X, LABELS)]} | {part: empty}
    with pytest.raises(ValueError, match=rf"Trainer: {part} has no batch"):
        learning.fit(parts["train"], parts["validation"], epochs=1)
    assert learning.step == 0


def test_batches_that_do_not_say_how_many_they_are():
    class Unknown:
        def __len__(self):
            raise TypeError("a stream has no length")

        def __iter__(self):
            return iter([(X, LABELS)] * 2)

    learning = trainer()
    learning.fit(Unknown(), Unknown(), epochs=2)
    assert learning.step == 4


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("where", ["transform", "loss", "metric", "callback"])
def test_a_training_goes_on_after_an_exception(where, accumulate):
    class Fault(Exception):
        pass

    def build(call):
        calls = []

        def at(place, value):
            calls.append(None) if place == where else None
            if place == where and len(calls) == call:
                raise Fault
            return value

        learning = trainer(
            nn.Sequential(nn.Linear(3, 8, rng=0), nn.Dropout(0.2, rng=1), nn.Linear(8, 2, rng=2)),
            loss=lambda output, target: at("loss", F.cross_entropy(output, target)),
            metrics={"accuracy": accuracy, "own": lambda output, target: at("metric", float(output.sum()))},
            accumulate=accumulate,
        )
        data = batches(transform=lambda batch, rng: at("transform", batch + rng.normal(size=batch.shape).astype("f4")))
        return learning, data, [lambda trainer: at("callback", None)]

    whole, data, callbacks = build(call=-1)
    whole.fit(data, [(X, LABELS)], epochs=3, callbacks=callbacks)
    for call in (2, 3) if where in ("metric", "callback") else (2, 3, 6, 7):
        learning, data, callbacks = build(call)
        with pytest.raises(Fault):
            learning.fit(data, [(X, LABELS)], epochs=3, callbacks=callbacks)
        learning.fit(data, [(X, LABELS)], epochs=3, callbacks=callbacks)
        assert bits(learning.model) == bits(whole.model)
        assert learning.history == whole.history


def test_an_interrupt_is_not_lost_while_a_pass_is_ended(monkeypatch):
    end = ThreadPoolExecutor.shutdown

    def interrupted(pool, **options):
        end(pool, **options)
        raise KeyboardInterrupt

    class Stop:
        def on_step(self, trainer):
            trainer.stop = True

    learning = trainer()
    with monkeypatch.context() as patched:
        patched.setattr(ThreadPoolExecutor, "shutdown", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learning.fit(batches(prefetch=2), epochs=1, callbacks=[Stop()])
    learning.fit(batches(prefetch=2), epochs=1)
    assert learning.step == 4


def test_predictions_are_joined_along_the_samples_only():
    learning = trainer(nn.LSTM(3, 2, rng=0))
    series = np.ones((60, 5, 3), np.float32)
    with pytest.raises(
        ValueError, match=r"^predict: the outputs of 4 batches, joined, have shape .* expected 60 samples"
    ):
        learning.predict(series, batch_size=16)
    output, _ = learning.predict(series)
    assert output.shape == (60, 5, 2)


def test_evaluate_takes_an_iterator_and_counts_nothing():
    learning, given = trainer(), batches()
    expected = learning.evaluate([(X, LABELS)])
    assert learning.evaluate(iter([(X, LABELS)])) == expected
    assert learning.evaluate(given) == pytest.approx(expected, rel=1e-5)
    assert given.state_dict()["position"] == 0
