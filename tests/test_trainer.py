"""The trainer: what it learns and records, modes of layers, steps, arguments that it refuses, and metrics."""

import math
import warnings
from functools import partial

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, Trainer, accuracy, mae, predict, top_k
from learners import LABELS, NUMBERS, X, batches, network, trainer


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


# ---- the history ----------------------------------------------------------------------------------------------------


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
