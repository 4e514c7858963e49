"""The trainer: batches, weights, modes, schedules, metrics, callbacks, endings, and states that load whole or not at all."""

import copy
import io
import math
import os
import pickle
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import (
    Checkpoint,
    EarlyStopping,
    History,
    ProgressBar,
    Trainer,
    accuracy,
    epoch_line,
    mae,
    predict,
    preserved,
    top_k,
)

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)
NUMBERS = X[:, :1] - X[:, 1:2]


def network(outputs=2, dropout=0.2):
    rng = np.random.default_rng(1)
    return nn.Sequential(
        nn.Linear(3, 8, rng=rng),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout, rng=rng),
        nn.Linear(8, outputs, rng=rng),
    )


def trainer(model=None, optimizer=optim.Adam, **options):
    model = network() if model is None else model
    return Trainer(model, optimizer(model.parameters(), lr=0.05), **options)


def batches(**options):
    return Batches(X, LABELS, **{"batch_size": 16, "shuffle": True, "rng": 0, **options})


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_repr():
    learning = trainer(schedule=lambda step: 0.5)
    assert (
        repr(learning)
        == "Trainer(Sequential of 66 parameters, Adam(lr=0.025), cross_entropy; 0 epochs and 0 steps done)"
    )
    learning.fit(batches(), epochs=2)
    assert repr(learning).endswith("; 2 epochs and 8 steps done)")


def test_learns_and_records():
    learning, seen = trainer(), []

    def note(trainer):
        seen.append((trainer.epoch, trainer.history[-1]["epoch"]))

    history = learning.fit(batches(), Batches(X, LABELS, batch_size=50), epochs=8, callbacks=[note])
    assert seen == [(i, i) for i in range(1, 9)]
    assert learning.step == 8 * 4
    assert history is learning.history
    names = {"epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
    names.add("validation_loss_se")
    assert all(set(record) == names for record in history)
    assert history[-1]["validation_accuracy"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_validation_is_optional_and_callbacks_can_stop():
    def stop(trainer):
        trainer.stop = trainer.epoch == 3

    learning = trainer()
    learning.fit(batches(), epochs=10, callbacks=[stop])
    assert learning.epoch == len(learning.history) == 3
    assert "validation_loss" not in learning.history[0]


def test_means_weigh_batches_by_their_size():
    learning = trainer()
    parts = learning.evaluate(Batches(X, LABELS, batch_size=16))
    assert parts == pytest.approx(learning.evaluate([(X, LABELS)]), rel=1e-6)


def test_labels_that_are_passed_over_count_for_nothing():
    labels = LABELS.copy()
    labels[:20], labels[25] = -100, -100
    learning = trainer()
    expected = float((learning.predict(X).argmax(1) == LABELS)[labels >= 0].mean())
    for weight in ((), (np.ones(60),)):
        figures = learning.evaluate(Batches(X, labels, *weight, batch_size=16))
        assert figures["accuracy"] == pytest.approx(expected, rel=1e-12)


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batch"):
        trainer().fit(Batches(X, LABELS, batch_size=61, drop_last=True), epochs=1)


@pytest.mark.parametrize("fails", [False, True])
def test_evaluation_leaves_each_layer_in_its_mode(fails):
    learning = trainer()
    learning.model[2].eval()
    before = [module.training for module in learning.model.modules()]
    if fails:
        with pytest.raises(ValueError, match="weight"):
            learning.evaluate([(X[:, :1], LABELS)])
    else:
        learning.evaluate([(X, LABELS)])
    assert [module.training for module in learning.model.modules()] == before


# ---- batches --------------------------------------------------------------------------------------------------------


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


# ---- modes ----------------------------------------------------------------------------------------------------------


def test_frozen_layers_stay_frozen():
    learning = trainer()
    learning.model[1].eval()
    statistics = learning.model[1].running_mean.copy()
    modes = [module.training for module in learning.model.modules()]
    learning.fit(batches(), [(X, LABELS)], epochs=2)
    assert [module.training for module in learning.model.modules()] == modes
    assert (learning.model[1].running_mean == statistics).all()
    learning.model.eval()  # to predict, say
    learning.fit(batches(), epochs=3)
    assert (learning.model[1].running_mean == statistics).all()
    assert not any(module.training for module in learning.model.modules())


def test_a_model_in_evaluation_mode_is_trained():
    model = network().eval()
    learning = trainer(model)
    before = model[1].running_mean.copy()
    learning.fit(batches(), epochs=1)
    assert (model[1].running_mean != before).any()
    assert not model.training


# ---- steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 7])
def test_accumulated_batches_are_one_batch(size):
    """Also where the last group has fewer batches, and the last batch fewer samples."""
    whole, parts = trainer(network(dropout=0.0)), trainer(network(dropout=0.0), accumulate=3)
    for learning in (whole, parts):
        learning.model[1].eval()
    a = whole.fit(Batches(X, LABELS, batch_size=3 * size), epochs=3)
    b = parts.fit(Batches(X, LABELS, batch_size=size), epochs=3)
    assert whole.step == parts.step == 3 * -(-60 // (3 * size))
    np.testing.assert_allclose(a["train_loss"], b["train_loss"], rtol=1e-5)
    for p, q in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped():
    def step(**options):
        learning = trainer(optimizer=optim.SGD, **options)
        before = learning.model.state_dict()
        learning.fit([(X * 100, LABELS)], epochs=1)
        after = learning.model.state_dict()
        return np.concatenate([(after[n] - before[n]).ravel() for n, _ in learning.model.named_parameters()]) / -0.05

    free, by_norm, by_value = step(), step(clip_norm=0.5), step(clip_value=0.01)
    assert np.linalg.norm(free) > 0.6
    assert np.linalg.norm(by_norm) == pytest.approx(0.5, rel=1e-3)
    np.testing.assert_allclose(by_norm, free * 0.5 / np.linalg.norm(free), atol=1e-5)
    np.testing.assert_allclose(by_value, np.clip(free, -0.01, 0.01), atol=1e-5)


@pytest.mark.parametrize("options", [{"clip_norm": 0}, {"clip_norm": -1}, {"clip_value": math.nan}, {"accumulate": 0}])
def test_bad_numbers(options):
    with pytest.raises(ValueError, match=r"^Trainer: "):
        trainer(**options)


def test_bad_kinds():
    model = network()
    with pytest.raises(TypeError, match="a Module and an Optimizer"):
        Trainer(model, model.parameters())
    with pytest.raises(TypeError, match="schedule must be"):
        trainer(schedule=0.1)
    other = optim.SGD(network().parameters(), lr=1.0)
    with pytest.raises(ValueError, match="another optimiser"):
        trainer(schedule=optim.Schedule(other, optim.Cosine(3)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": {"loss": accuracy}}, "cannot be named 'loss'"),
        ({"schedule": [optim.Warmup(2), optim.Cosine(9)]}, "2 rules for 'lr'; combine them"),
    ],
)
def test_what_would_fail_later_is_refused(options, words):
    with pytest.raises(ValueError, match=f"^Trainer: .*{words}"):
        trainer(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "mse"}, "loss must be a function of output and target.* got 'mse'"),
        ({"loss": nn.MSELoss}, r"loss must be .*, such as MSELoss\(\), got"),
        ({"metrics": accuracy}, "metrics must be functions by name"),
        ({"metrics": ["accuracy"]}, r"metrics must be .* got \['accuracy'\]"),
        ({"metrics": {"accuracy": "accuracy"}}, "metrics must be functions by name"),
        ({"schedule": optim.Cosine}, "schedule must be .*Cosine"),
    ],
)
def test_arguments_of_another_kind(options, words):
    with pytest.raises(TypeError, match=f"^Trainer: {words}"):
        trainer(**options)


def test_an_optimiser_that_would_train_nothing_is_refused():
    model, other = network(), network()
    with pytest.raises(ValueError, match="none of the model's parameters"):
        Trainer(model, optim.SGD(other.parameters(), lr=0.1))


def test_arrays_are_no_batches():
    for batches_of_rows in (X, (X, LABELS)):
        with pytest.raises(ValueError, match=r"^Trainer: .*got ndarray; arrays become batches by Batches\(x, y"):
            trainer().fit(batches_of_rows, epochs=1)


def test_rates_of_groups_stay_relative_under_a_schedule():
    model = network()
    groups = [{"params": list(model[0].parameters()), "lr": 0.01}, {"params": list(model[4].parameters())}]
    learning = Trainer(model, optim.SGD(groups, lr=0.1), schedule=optim.Cosine(8))
    history = learning.fit(batches(), epochs=2)
    rule = optim.Cosine(8)
    np.testing.assert_allclose(history["lr_0"], [0.01 * rule(3), 0.01 * rule(7)])
    np.testing.assert_allclose(history["lr_1"], [0.1 * rule(3), 0.1 * rule(7)])
    assert "lr" not in history.names


def test_a_plateau_is_stepped_after_each_epoch():
    model = network()
    model[1].eval()
    optimizer = optim.SGD(model.parameters(), lr=1e-12)  # which improves nothing
    plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=1)
    history = Trainer(model, optimizer, schedule=[optim.Warmup(4), plateau]).fit(batches(), [(X, LABELS)], epochs=7)
    assert history["lr"][0] == pytest.approx(0.75e-12)
    assert history["lr"][-1] < 0.3e-12


# ---- metrics --------------------------------------------------------------------------------------------------------


def test_metrics_see_the_whole_pass():
    seen = []

    def spread(output, target):
        seen.append((output.shape, target.shape))
        return float(output.max() - output.min())

    learning = trainer(metrics={"spread": spread})
    learning.fit(batches(), [(X[:33], LABELS[:33]), (X[33:], LABELS[33:])], epochs=1)
    assert seen == [((60, 2), (60,))] * 2
    output = learning.predict(X)
    assert learning.history[0]["validation_spread"] == float(output.max() - output.min())


def test_what_a_metric_is_given_is_not_changed_by_later_batches():
    x, y = np.empty((20, 3), np.float32), np.empty(20, np.int64)

    class Reused:
        def __iter__(self):
            for i in range(3):
                x[...], y[...] = X[i * 20 : i * 20 + 20], LABELS[i * 20 : i * 20 + 20]
                yield x, y

    figures = trainer(metrics={"ones": lambda output, target: float(target.mean())}).evaluate(Reused())
    assert figures["ones"] == pytest.approx(LABELS.mean())


@pytest.mark.parametrize(
    ("metric", "batch", "words"),
    [
        (lambda output: 1.0, (X, LABELS), r"outputs and targets of the pass: .*takes 1 positional argument"),
        (lambda output, target: output, (X, LABELS), "outputs and targets of the pass: only"),
        (lambda output, target: 1.0, (X, LABELS, np.ones(60)), "outputs, targets and weight= of the pass: .*'weight'"),
    ],
)
def test_a_metric_that_fails_is_named(metric, batch, words):
    with pytest.raises(TypeError, match=f"^Trainer: the metric 'odd' gave no number for {words}"):
        trainer(metrics={"odd": metric}).evaluate([batch])
    with pytest.raises(ValueError, match=r"^Trainer: the metric 'top' gave .*top_k: k must be 1 to 2"):
        trainer(metrics={"top": top_k}).evaluate([(X, LABELS)])


@pytest.mark.parametrize(
    ("loss", "target", "names"),
    [
        (F.cross_entropy, LABELS, {"loss", "accuracy"}),
        (F.mse_loss, np.repeat(NUMBERS, 2, axis=1), {"loss", "r2"}),
        (nn.HuberLoss(), np.repeat(NUMBERS, 2, axis=1), {"loss", "r2"}),
        (F.cross_entropy, np.eye(2, dtype=np.float32)[LABELS], {"loss"}),
        (F.binary_cross_entropy_with_logits, np.eye(2, dtype=np.float32)[LABELS], {"loss", "accuracy"}),
        (nn.BCEWithLogitsLoss(), np.eye(2, dtype=np.float32)[LABELS], {"loss", "accuracy"}),
    ],
)
def test_the_usual_metric_follows_the_target(loss, target, names):
    assert set(trainer(loss=loss).evaluate([(X, target)])) == names


@pytest.mark.parametrize(("columns", "names"), [(100, {"loss", "r2"}), (101, {"loss"})])
def test_images_as_targets_are_not_kept_for_a_whole_pass(columns, names):
    images = np.ones((8, columns), np.float32)
    learning = trainer(nn.Linear(columns, columns, rng=0), loss=F.mse_loss)
    assert learning.evaluate([(images, images)]).keys() == names


def test_means_of_parts_count_what_the_metric_counts(monkeypatch):
    monkeypatch.setattr("fastnn.training.figures._KEPT_VALUES", 1)
    target = np.array([-100, -100, 4, 5, 6])
    learning = trainer(
        nn.Linear(3, 5, rng=0), loss=lambda output, target: output.sum() * 0, metrics={"mae": partial(mae)}
    )
    learning.model = nn.Identity()
    parts = [(np.zeros(3), target[:3]), (np.zeros(2), target[3:])]
    assert learning.evaluate(parts)["mae"] == pytest.approx(np.abs(target).mean())


def test_training_figures_of_files_are_read_by_batches(tmp_path):
    import tracemalloc

    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (25_000, 256))
    rows[...] = 1
    rows.flush()
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    learning = trainer(nn.Linear(256, 2, rng=0))
    data = Batches(mapped, np.arange(25_000) % 2, batch_size=500, shuffle=True, rng=0)
    tracemalloc.start()
    learning.fit(data, epochs=1, evaluate_train=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000 * 256 * 4 / 2


def test_the_accuracy_of_yes_or_no_is_the_same_after_a_break_in_the_epoch(tmp_path):
    target = LABELS[:, None].astype(np.float32)
    path = tmp_path / "run.npz"

    def learning():
        net = nn.Linear(X.shape[1], 1, rng=0)
        return Trainer(net, optim.SGD(net.parameters(), lr=0.1), F.binary_cross_entropy_with_logits)

    class Leave:
        def on_step(self, trainer):
            trainer.stop = trainer.step == 6

    given = Batches(X, target, batch_size=16, shuffle=True, rng=0)
    whole = learning()
    first = whole.fit(given, epochs=3)
    left = learning().fit(given, epochs=3, checkpoint=path, callbacks=[Leave()])
    assert left.stopped == f"stopped by a callback in epoch 2 after batch 2 of {len(given)}"
    rest = learning()
    assert rest.fit(given, epochs=3, checkpoint=path) == first
    assert rest.history.stopped is None
    assert whole.evaluate([(X, target)])["accuracy"] == ((whole.predict(X) > 0) == target).mean()


def test_prediction_needs_no_trainer():
    net = network(dropout=0.5)
    expected = trainer(net).predict(X)
    found = predict(net, X, batch_size=7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert all(module.training for module in net.modules())


def test_training_figures_can_be_had_in_evaluation_mode():
    given = batches(transform=lambda batch, rng: batch + 100)
    learning = trainer()
    history = learning.fit(given, [(X, LABELS)], epochs=2, evaluate_train=True)
    assert history["training_loss"][-1] == pytest.approx(history["validation_loss"][-1], rel=1e-5)
    assert history["train_loss"][-1] != pytest.approx(history["validation_loss"][-1], rel=1e-2)


# ---- callbacks ------------------------------------------------------------------------------------------------------


class Recorder:
    def __init__(self):
        self.events = []

    def on_fit_start(self, trainer):
        self.events.append(("fit start", trainer.epoch, trainer.step))

    def on_epoch_start(self, trainer):
        self.events.append(("epoch start", trainer.epoch, trainer.step))

    def on_step(self, trainer):
        self.events.append(("step", trainer.position, trainer.step))

    def on_epoch_end(self, trainer):
        self.events.append(("epoch end", trainer.epoch, len(trainer.history)))

    def on_fit_end(self, trainer):
        self.events.append(("fit end", trainer.epoch, trainer.step))


def test_events_in_their_order():
    recorder = Recorder()
    trainer().fit(Batches(X, LABELS, batch_size=30), epochs=2, callbacks=[recorder])
    assert recorder.events == [
        ("fit start", 0, 0),
        *[("epoch start", 0, 0), ("step", 1, 1), ("step", 2, 2), ("epoch end", 1, 1)],
        *[("epoch start", 1, 2), ("step", 1, 3), ("step", 2, 4), ("epoch end", 2, 2)],
        ("fit end", 2, 4),
    ]


def test_events_around_steps_and_at_the_end_of_all():
    class Around:
        def __init__(self):
            self.events = []

        def on_step_start(self, trainer):
            self.events.append(("start", trainer.position, trainer.step))

        def on_step(self, trainer):
            self.events.append(("step", trainer.position, trainer.step))
            if trainer.step == 2:
                raise OSError("no room")

        def on_fit_end(self, trainer):
            self.events.append("end")

        def on_fit_exit(self, trainer):
            self.events.append("exit")

    around, learning = Around(), trainer(accumulate=2)
    with pytest.raises(OSError, match="no room"):
        learning.fit(Batches(X, LABELS, batch_size=15), epochs=1, callbacks=[around])
    assert around.events == [("start", 0, 0), ("step", 2, 1), ("start", 2, 1), ("step", 4, 2), "exit"]
    around.events.clear()
    learning.fit(Batches(X, LABELS, batch_size=15), epochs=1, callbacks=[around])
    assert around.events == ["end", "exit"]


def test_a_callback_may_have_some_of_the_events_only():
    class Stops:
        def on_step(self, trainer):
            trainer.stop = trainer.step == 6

    learning = trainer()
    learning.fit(batches(), epochs=5, callbacks=[Stops()])
    assert (learning.epoch, learning.position, learning.step, len(learning.history)) == (1, 2, 6, 1)
    learning.fit(batches(), epochs=5)
    whole = trainer()
    whole.fit(batches(), epochs=5)
    assert bits(learning.model) == bits(whole.model)
    assert learning.history == whole.history


@pytest.mark.parametrize("callback", [3, "on_step", object(), EarlyStopping])
def test_what_is_no_callback_is_refused(callback):
    with pytest.raises(TypeError, match=r"^Trainer: a callback must be"):
        trainer().fit(batches(), epochs=1, callbacks=[callback])


def test_callbacks_are_a_list_without_checkpoints():
    with pytest.raises(TypeError, match="callbacks must be a list of them, got EarlyStopping"):
        trainer().fit(batches(), [(X, LABELS)], epochs=1, callbacks=EarlyStopping())
    with pytest.raises(TypeError, match="give it to fit as checkpoint="):
        trainer().fit(batches(), epochs=1, callbacks=[Checkpoint("run.npz")])


def test_unknown_events_are_refused():
    class Typo:
        def on_epoch_finish(self, trainer):
            pass

    with pytest.raises(TypeError, match=r"Typo.on_epoch_finish is no event; the events are on_fit_start"):
        trainer().fit(batches(), epochs=1, callbacks=[Typo()])


# ---- early stopping -------------------------------------------------------------------------------------------------


class Given:
    """A validation whose loss is given: the trainer's own is replaced before other callbacks see it."""

    def __init__(self, values):
        self.values = values
        self.weights = []

    def on_epoch_end(self, trainer):
        trainer.history[-1]["validation_loss"] = self.values[trainer.epoch - 1]
        self.weights.append(bits(trainer.model))


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([5, 4, 3, 4, 4, 4, 4, 4], {"patience": 2}, 5, 3),
        ([5, 4, 3, 4, 2, 4, 4, 4], {"patience": 3}, 8, 5),
        ([5, 4, 3, 2, 1, 0, -1, -2], {"patience": 1}, 8, 8),
        ([5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5], {"patience": 3, "min_delta": 1}, 8, 7),
        ([5, 4.9, 4.8, 1], {"patience": 2, "min_delta": 1}, 3, 1),
        ([5, math.nan, math.nan, 1], {"patience": 2}, 3, 1),
        ([math.nan, 5, 6, 4], {"patience": 2}, 4, 4),
        ([math.inf, 5, 6, 7], {"patience": 2}, 4, 2),
        ([5, 6, 6, 6], {"patience": 9}, 4, 1),
        ([1, 2, 3, 1, 1], {"patience": 2, "larger_is_better": True}, 5, 3),
    ],
)
def test_early_stopping(values, options, epochs, best):
    learning, given, stopping = trainer(), Given(values), EarlyStopping(**options)
    history = learning.fit(batches(), [(X, LABELS)], epochs=len(values), callbacks=[given, stopping])
    assert (len(history), stopping.best_epoch, stopping.best) == (epochs, best, values[best - 1])
    assert bits(learning.model) == given.weights[best - 1]
    early = epochs < len(values) or stopping.waited == stopping.patience
    assert (history.stopped is not None) == early
    if early:
        assert f"stopped after epoch {epochs}: validation_loss has not improved" in history.stopped


def test_without_restoring_the_last_weights_stay():
    learning, given = trainer(), Given([1, 2, 3])
    learning.fit(batches(), [(X, LABELS)], epochs=3, callbacks=[given, EarlyStopping(restore_best=False)])
    assert bits(learning.model) == given.weights[2]


def test_two_calls_give_the_bits_of_one():
    """Though the best weights were put back in between."""
    once, twice = trainer(), trainer()
    values = [5, 4, 6, 3, 7, 8]
    stopping, given = EarlyStopping(), Given(values)
    twice.fit(batches(), [(X, LABELS)], epochs=3, callbacks=[given, stopping])
    assert bits(twice.model) == given.weights[1]
    twice.fit(batches(), [(X, LABELS)], epochs=6, callbacks=[given, stopping])
    whole = Given(values)
    once.fit(batches(), [(X, LABELS)], epochs=6, callbacks=[whole, EarlyStopping()])
    assert given.weights == whole.weights
    assert bits(once.model) == bits(twice.model) == given.weights[3]


def test_early_stopping_begins_anew_with_another_trainer():
    stopping = EarlyStopping(patience=1)
    for _ in range(2):
        history = trainer().fit(batches(), [(X, LABELS)], epochs=3, callbacks=[Given([1, 2, 3]), stopping])
        assert len(history) == 2


def test_early_stopping_refuses_what_it_cannot_know():
    with pytest.raises(ValueError, match="larger_is_better must say"):
        EarlyStopping("validation_spread")
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(patience=0)
    assert EarlyStopping("validation_accuracy").larger_is_better
    assert not EarlyStopping("train_loss").larger_is_better
    learning = trainer()
    with pytest.raises(ValueError, match="'validation_loss' needs a validation part; fit was given none"):
        learning.fit(batches(), epochs=1, callbacks=[EarlyStopping()])
    assert learning.step == 0
    with pytest.raises(ValueError, match="there is no 'test_loss' in the history, only epoch, train_loss"):
        learning.fit(batches(), epochs=1, callbacks=[EarlyStopping("test_loss")])


# ---- endings --------------------------------------------------------------------------------------------------------


class Interrupt:
    def __init__(self, step, times=1):
        self.step, self.times = step, times

    def on_step(self, trainer):
        if trainer.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_the_first_interrupt_ends_the_step():
    seen = []

    class Told(Interrupt):
        def on_interrupt(self, trainer):
            seen.append(trainer.step)

    handler = signal.getsignal(signal.SIGINT)
    learning, stopping = trainer(), EarlyStopping()
    history = learning.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[Told(6), stopping])
    assert history.interrupted
    assert history.stopped == "interrupted in epoch 2 after batch 2 of 4"
    assert seen == [6]
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(history) == stopping.best_epoch == 1  # whose weights the model has
    history = learning.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[stopping])
    whole = trainer()
    whole.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[EarlyStopping()])
    assert (history.interrupted, history.stopped) == (False, None)
    assert bits(learning.model) == bits(whole.model)
    assert learning.history == whole.history


def test_the_second_interrupt_is_python_s():
    handler = signal.getsignal(signal.SIGINT)
    learning = trainer()
    with pytest.raises(KeyboardInterrupt):
        learning.fit(batches(), epochs=5, callbacks=[Interrupt(3, times=2)])
    assert signal.getsignal(signal.SIGINT) is handler
    assert learning.model.training


def test_an_interrupt_in_the_validation_repeats_it():
    class Interrupting:
        asked = False

        def __iter__(self):
            if not self.asked:
                self.asked = True
                os.kill(os.getpid(), signal.SIGINT)
            yield X, LABELS

    learning = trainer()
    history = learning.fit(batches(), Interrupting(), epochs=2)
    assert history.stopped == "interrupted in epoch 1 after batch 4 of 4"
    assert len(history) == 0
    learning.fit(batches(), [(X, LABELS)], epochs=2)
    whole = trainer()
    whole.fit(batches(), [(X, LABELS)], epochs=2)
    assert bits(learning.model) == bits(whole.model)
    assert learning.history == whole.history


def test_other_threads_and_other_handlers_are_left_alone():
    learning = trainer()
    thread = threading.Thread(target=learning.fit, args=(batches(),), kwargs={"epochs": 1})
    thread.start()
    thread.join()
    assert len(learning.history) == 1
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        learning.fit(batches(), epochs=2, callbacks=[Interrupt(6)])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(learning.history) == 2


class Log(nn.Module):
    def forward(self, x):
        with np.errstate(all="ignore"):
            return fnn.autograd.log(x)


def poisoned(x, row):
    x = x.copy()
    x[row] = np.nan
    return x


@pytest.mark.parametrize(
    ("model", "data", "lr", "words"),
    [
        (network, (poisoned(X, 37), LABELS), 0.1, ["the input holds nan in row 37 of the data"]),
        (network, (X * 1e38, LABELS), 0.1, ["layer '0' (Linear) gives"]),
        (network, (X, LABELS), 1e38, ["gives", "Learning rate 1e+38", "largest weight"]),
        (
            lambda: nn.Sequential(nn.Linear(3, 2, rng=0), Log()),
            (X, LABELS),
            0.1,
            ["layer '1' (Log) gives nan from inputs"],
        ),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_training_and_is_explained(model, data, lr, words):
    model = model()
    learning = Trainer(model, optim.SGD(model.parameters(), lr=lr))
    before = bits(model)
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"^fastnn: training stopped in epoch 1") as caught,
    ):
        history = learning.fit(Batches(*data, batch_size=16, shuffle=True, rng=0), epochs=3)
    assert caught[0].filename == __file__
    assert history.stopped in str(caught[0].message)
    for text in ("at batch", "step", *words):
        assert text in history.stopped
    assert len(history) == 1
    assert math.isnan(history[0]["train_loss"])
    assert bits(model) == before  # also the running statistics
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_targets_and_the_step_are_named():
    model = network(outputs=1)
    learning = Trainer(model, optim.SGD(model.parameters(), lr=0.01), F.mse_loss)
    with pytest.warns(
        RuntimeWarning, match=r"epoch 1 at batch 2 \(step 2\): the loss is nan; the target holds nan in row 20"
    ):
        learning.fit(Batches(X, poisoned(NUMBERS, 20), batch_size=16), epochs=3)
    with pytest.warns(RuntimeWarning, match=r"the target holds nan in sample 3 of the batch"):
        learning.fit([(X, poisoned(NUMBERS, 3))], epochs=3)


def test_gradients_that_are_not_finite_are_seen_by_clipping():
    class Root(nn.Module):
        def forward(self, x):
            with np.errstate(all="ignore"):
                return fnn.autograd.sqrt(x * 0)  # whose gradient at 0 is not finite

    model = nn.Sequential(nn.Linear(3, 2, rng=0), Root())
    learning = Trainer(model, optim.SGD(model.parameters(), lr=0.1), clip_norm=1.0)
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"norm of the gradients is nan; the gradient of"),
    ):
        learning.fit([(X, LABELS)], epochs=1)


class Pole(nn.Module):
    """A loss whose gradients are not finite in one of its calls."""

    def __init__(self, call):
        super().__init__()
        self.calls, self.call = 0, call

    def forward(self, output, target):
        self.calls += 1
        loss = F.cross_entropy(output, target)
        return loss + fnn.autograd.sqrt((output * 0).sum()) if self.calls == self.call else loss


@pytest.mark.parametrize(
    "optimizer", [optim.SGD, optim.Adam, optim.AMSGrad, optim.RMSprop, optim.Adadelta, optim.Adagrad]
)
def test_a_training_that_went_wrong_can_go_on(optimizer):
    learning = trainer(optimizer=optimizer, loss=Pole(call=6))
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"parameter '0.weight' holds nan since the step before"),
    ):
        learning.fit(batches(), epochs=4)
    history = learning.fit(batches(), epochs=4)
    assert history.stopped is None
    assert np.isfinite(history["train_loss"]).all()


def test_the_last_step_of_an_epoch_that_goes_wrong_is_seen_at_once():
    learning = trainer(loss=Pole(call=8), metrics={})
    saved = []
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"epoch 2 at batch 4 \(step 8\): parameter '0.weight' is"),
    ):
        history = learning.fit(batches(), epochs=4, callbacks=[lambda trainer: saved.append(bits(trainer.model))])
    assert len(history) == 2
    assert bits(learning.model) == saved[0]


def test_weights_that_never_were_finite_are_said_to_be_so():
    learning = trainer()
    learning.model[0].eval()
    learning.model[0].weight.data[0, 0] = np.nan
    with pytest.warns(RuntimeWarning, match=r"parameter '0.weight' holds nan since the epoch began"):
        learning.fit(batches(), epochs=1)


def test_the_batch_of_an_accumulated_step_is_found():
    class Root(nn.Module):
        def forward(self, x):
            return fnn.autograd.sqrt(x)

    x = np.ones((12, 3), np.float32)
    x[4] = 0  # of which the root's gradient is not finite
    model = nn.Sequential(Root(), nn.Linear(3, 2, rng=0))
    first = nn.Linear(3, 3, bias=False, rng=0)
    first.weight.data[...] = np.eye(3)
    model = nn.Sequential(first, *model)
    learning = Trainer(model, optim.SGD(model.parameters(), lr=0.1), accumulate=3, clip_norm=1.0)
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"norm of the gradients is \w+; the gradient of"),
    ):
        learning.fit(Batches(x, LABELS[:12], batch_size=4), epochs=1)


def test_rows_are_named_only_where_the_first_axis_is_that_of_samples():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(axis=0) if isinstance(x, np.ndarray) else x

    model = nn.Sequential(Mean(), nn.Linear(3, 2, rng=0))
    learning = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    series = np.ones((60, 20, 3), np.float32)
    series[2, 19] = np.nan
    data = Batches(series, LABELS, batch_size=4, transform=lambda batch, rng: batch.transpose(1, 0, 2))
    with pytest.warns(RuntimeWarning, match=r"the loss is nan; the input holds nan\. Learning"):
        learning.fit(data, epochs=1)


def test_the_best_weights_come_back_when_it_goes_wrong():
    class Poison:
        def on_epoch_end(self, trainer):
            if trainer.epoch == 3:
                trainer.model[4].weight.data[0, 0] = np.inf

    learning, given = trainer(), Given([3, 2, 4, 5, 6])
    with (
        pytest.warns(RuntimeWarning, match=r"epoch 4 at batch 1 .*parameter '4.weight' holds inf"),
        np.errstate(all="ignore"),
    ):
        learning.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[given, Poison(), EarlyStopping()])
    assert bits(learning.model) == given.weights[1]


# ---- randomness -----------------------------------------------------------------------------------------------------


def test_what_is_drawn_in_between_changes_nothing():
    class Draws:
        def on_step(self, trainer):
            trainer.model[3].rng.random(trainer.step)
            trainer.model(X)

    def frozen():
        learning = trainer()
        learning.model[1].eval()
        return learning

    plain, drawn = frozen(), frozen()
    plain.fit(batches(), epochs=2)
    drawn.fit(batches(prefetch=2), epochs=2, callbacks=[Draws()])
    assert bits(plain.model) == bits(drawn.model)
    assert plain.history == drawn.history


def test_masks_differ_from_step_to_step_and_follow_the_seed():
    class Masks:
        def __init__(self):
            self.seen = []

        def on_step(self, trainer):
            self.seen.append(trainer.model[3](np.ones((1, 64), "f")).tobytes())

    seen = []
    for seed in (1, 1, 2):
        model = network(dropout=0.5)
        model[3].rng = np.random.default_rng(seed)
        masks = Masks()
        trainer(model).fit(batches(), epochs=3, callbacks=[masks])
        seen.append(masks.seen)
    assert len(set(seen[0])) == 12
    assert seen[0] == seen[1]
    assert not set(seen[0]) & set(seen[2])


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_of_any_kind_follow_the_step(kind):
    def train(greedy):
        model = network()
        model[3].rng = np.random.Generator(getattr(np.random, kind)(5))

        def draw(trainer):
            trainer.model[3].rng.random(greedy)

        learning = trainer(model)
        learning.fit(batches(), epochs=2, callbacks=[draw])
        return bits(model)

    assert train(0) == train(7)


def look_by_fitting(learning):
    with preserved(learning.model, learning.optimizer):
        Trainer(learning.model, learning.optimizer).fit(batches(), epochs=1)


def look_by_drawing(learning):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots()
    if learning.history:
        learning.history.plot(ax)
    pyplot.close(figure)


def refused(function, *args):
    with pytest.raises((ValueError, KeyError)):
        function(*args)


LOOKS = {
    "evaluate": lambda learning: learning.evaluate(
        batches(transform=lambda b, rng: b + rng.random(b.shape, np.float32))
    ),
    "evaluate badly": lambda learning: refused(learning.evaluate, [(X[:, :1], LABELS)]),
    "predict": lambda learning: learning.predict(X, batch_size=7),
    "summary": lambda learning: fnn.summary(learning.model, (3,)),
    "state": lambda learning: learning.state_dict(),
    "refused state": lambda learning: refused(learning.load_state_dict, {}),
    "own state": lambda learning: learning.load_state_dict(learning.state_dict()),
    "copy": lambda learning: copy.deepcopy(learning).evaluate([(X, LABELS)]),
    "draw": look_by_drawing,
    "repr": lambda learning: repr((learning.model, learning.optimizer, learning.history)),
    "fit inside preserved": look_by_fitting,
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_in_the_middle_of_a_training_changes_nothing(look):
    class Looks:
        def on_step(self, trainer):
            LOOKS[look](trainer)

        on_epoch_end = on_epoch_start = on_step

    plain, watched = complicated(), complicated()
    plain.fit(batches(), [(X, LABELS)], epochs=3, progress=False)
    watched.fit(batches(), [(X, LABELS)], epochs=3, progress=False, callbacks=[Looks()])
    assert bits(plain.model) == bits(watched.model)
    assert plain.history == watched.history
    assert repr(plain.optimizer.state_dict()) == repr(watched.optimizer.state_dict())


# ---- copies and states ----------------------------------------------------------------------------------------------


def complicated():
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=1)
    return Trainer(model, optimizer, schedule=[optim.Cosine(40), plateau], clip_norm=5.0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_in_mid_epoch_go_on_alike(copied):
    original, its = complicated(), batches(prefetch=1)
    original.fit(its, [(X, LABELS)], epochs=5, callbacks=[Interrupt(6)])
    other, others = copied((original, its))
    for learning, given in ((original, its), (other, others)):
        learning.fit(given, [(X, LABELS)], epochs=4)
    assert bits(original.model) == bits(other.model)
    assert original.history == other.history


def test_a_state_in_mid_epoch_goes_on_to_the_same_bits():
    whole, broken, resumed = complicated(), complicated(), complicated()
    whole.fit(batches(), [(X, LABELS)], epochs=4, callbacks=[EarlyStopping()])
    broken.fit(batches(), [(X, LABELS)], epochs=4, callbacks=[Interrupt(6), EarlyStopping(restore_best=False)])
    resumed.load_state_dict(broken.state_dict())
    resumed.fit(batches(rng=99), [(X, LABELS)], epochs=4, callbacks=[EarlyStopping(restore_best=False)])
    assert resumed.history == whole.history  # by the key in the state, not by that of seed 99


STATE_FAULTS = {
    "epoch": lambda s: s.update(epoch="x"),
    "step": lambda s: s.update(step=-1),
    "position": lambda s: s.pop("position"),
    "history": lambda s: s.update(history=[3]),
    "records": lambda s: s["history"].update(records=[3]),
    "stopped": lambda s: s["history"].update(stopped=3),
    "rates": lambda s: s.update(rates=["x"]),
    "figures": lambda s: s["figures"].pop("sums"),
    "model": lambda s: s["model"].pop("0.weight"),
    "shape": lambda s: s["model"].update({"0.weight": np.zeros(3)}),
    "moments": lambda s: s["optimizer"]["state"]["0"].update(exp_avg=np.zeros(1)),
    "count": lambda s: s["optimizer"]["state"]["3"].update(step="x"),
    "schedules": lambda s: s["schedules"].pop(),
    "base": lambda s: s["schedules"][0].update(base=["x"]),
    "plateau": lambda s: s["schedules"][1].pop("best"),
    "generators": lambda s: s["generators"]["streams"].append({}),
    "kind": lambda s: s["generators"]["streams"].__setitem__(0, {"bit_generator": "MT19937"}),
    "nothing": lambda s: s.clear(),
}


@pytest.mark.parametrize("fault", STATE_FAULTS)
def test_states_load_whole_or_not_at_all(fault):
    source, target = complicated(), complicated()
    source.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[Interrupt(6)])
    target.fit(batches(), [(X, LABELS)], epochs=5, callbacks=[Interrupt(2)])
    state, before = copy.deepcopy(source.state_dict()), target.state_dict()
    STATE_FAULTS[fault](state)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        target.load_state_dict(state)
    assert repr(target.state_dict()) == repr(before)
    fresh = complicated()
    fresh.load_state_dict(before)
    for learning in (fresh, target):
        learning.fit(batches(), [(X, LABELS)], epochs=3)
    assert bits(fresh.model) == bits(target.model)


# ---- what is shown --------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_where_a_training_goes_on_is_shown(monkeypatch, tmp_path):
    path = str(tmp_path / "run.npz")
    for epochs, words in [(2, "epoch 1/2"), (3, f"resuming {path} at epoch 3, batch 0"), (3, f"{path} is at its end")]:
        monkeypatch.setattr("sys.stderr", stream := io.StringIO())
        trainer().fit(batches(), epochs=epochs, checkpoint=path, progress=True)
        assert words in stream.getvalue()
        assert ("resuming" in stream.getvalue()) == words.startswith("resuming")


def test_a_bar_and_a_line_for_each_epoch_on_terminals(monkeypatch):
    for stream, progress, shows in [
        (Terminal(), "auto", True),
        (io.StringIO(), "auto", False),
        (io.StringIO(), True, True),
        (Terminal(), False, False),
        (Terminal(), None, False),
    ]:
        monkeypatch.setattr("sys.stderr", stream)
        trainer().fit(batches(), [(X, LABELS)], epochs=2, progress=progress)
        text = stream.getvalue()
        assert ("epoch 2/2   train loss" in text) == shows
        assert bool(text) == shows


def test_bars_of_the_caller_s():
    class Tqdm:
        count, closed = 0, False

        def update(self, n):
            self.count += n

        def close(self):
            self.closed = True

    bar = Tqdm()
    trainer().fit(batches(), epochs=2, progress=bar)
    assert (bar.count, bar.closed) == (8, False)
    stream = io.StringIO()
    own = ProgressBar(8, stream=stream)
    trainer().fit(batches(), epochs=2, progress=own)
    assert own.done == 8
    assert "epoch 2/2 100 % loss" in stream.getvalue()
    for wrong in (3, object()):
        with pytest.raises(TypeError, match=r"update\(n\)"):
            trainer().fit(batches(), epochs=1, progress=wrong)
    with pytest.raises(ValueError, match="'auto', True, False"):
        trainer().fit(batches(), epochs=1, progress="yes")


def test_tqdm_itself():
    tqdm = pytest.importorskip("tqdm")
    bar = tqdm.tqdm(total=8, file=io.StringIO())
    trainer().fit(batches(), epochs=2, progress=bar)
    assert bar.n == 8


def test_lines():
    record = {
        "epoch": 3,
        "train_loss": 1.0,
        "train_accuracy": 1.0,
        "lr": 0.1,
        "validation_loss": 2.0,
        "validation_r2": -1.5,
    }
    assert epoch_line(record, 120, seconds=1.26) == (
        "epoch   3/120   train loss 1.0000 accuracy 100.00 %   validation loss 2.0000 r2 -1.5000   1.3 s"
    )


# ---- the history ----------------------------------------------------------------------------------------------------


def test_history_is_a_sequence_and_a_table():
    history = History([{"epoch": 1, "a": 1.0}, {"epoch": 2, "a": 2.0, "b": 3.0}])
    assert len(history) == 2
    assert history.names == ["epoch", "a", "b"]
    np.testing.assert_array_equal(history["b"], [np.nan, 3.0])
    assert history[0] == {"epoch": 1, "a": 1.0}
    assert history[-1:] == [{"epoch": 2, "a": 2.0, "b": 3.0}]
    assert [record["epoch"] for record in history] == [1, 2]
    with pytest.raises(KeyError, match="no 'loss', only epoch, a, b"):
        history["loss"]
    assert history == History(history.records) == history.records


def test_names_and_records_are_in_a_history():
    history = History([{"epoch": 1, "train_loss": 2.0}])
    assert "train_loss" in history
    assert "validation_loss" not in history
    assert {"epoch": 1, "train_loss": 2.0} in history
    assert {} not in history


def test_history_is_saved(tmp_path):
    import csv
    import json

    history = History([{"epoch": 1, "a": 0.1}, {"epoch": 2, "a": math.nan, "b": 3.0}])
    history.save(tmp_path / "h.csv")
    history.save(tmp_path / "h.json")
    with open(tmp_path / "h.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "1", "a": "0.1", "b": ""},
            {"epoch": "2", "a": "nan", "b": "3.0"},
        ]
    assert json.loads((tmp_path / "h.json").read_text()) == {
        "records": [{"epoch": 1, "a": 0.1}, {"epoch": 2, "a": None, "b": 3.0}],
        "stopped": None,
        "restored": None,
        "baseline": None,
    }
    with pytest.raises(ValueError, match=r"must end in .csv or .json"):
        history.save(tmp_path / "h.txt")


def test_history_is_drawn():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots()
    trainer().fit(batches(), [(X, LABELS)], epochs=3, progress=False).plot(ax)
    assert [len(line.get_xdata()) for line in ax.get_lines()][:2] == [3, 3]
    pyplot.close(figure)


def test_no_warning_in_a_training_that_goes_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(loss=nn.CrossEntropyLoss()).fit(batches(), [(X, LABELS)], epochs=1, callbacks=[EarlyStopping()])


def test_trains_where_no_gradients_are_recorded():
    def fitted():
        model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU(), nn.Linear(4, 2, rng=1))
        x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
        return trainer.fit(Batches(x, (x[:, 0] > 0).astype(np.int64), batch_size=8, rng=0), epochs=2)

    expected = fitted()
    with fnn.no_grad():
        assert fitted().records == expected.records
        assert not fnn.is_grad_enabled()
