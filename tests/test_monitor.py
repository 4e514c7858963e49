"""Layers watched in training: what is seen, what is said, and that the training stays the same to the bit."""

import copy
import json
import math
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.data.digits import load_digits
from fastnn.training import LayerMonitor, Trainer
from fastnn.training.layer_rules import updates


def data(batch_size=16, samples=96):
    x = np.random.default_rng(0).normal(size=(samples, 6)).astype(np.float32)
    return Batches(x, (x[:, 0] > x[:, 1]).astype(np.int64), batch_size=batch_size, shuffle=True, rng=3)


def network(rng=5):
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3, rng=rng), nn.Linear(8, 2, rng=rng)
    )


def fit(monitor=None, epochs=4, model=None, optimizer=None, **options):
    model = network() if model is None else model
    optimizer = optim.Adam(model.parameters(), lr=0.01) if optimizer is None else optimizer
    trainer = Trainer(model, optimizer, **options)
    trainer.fit(data(), data(), epochs=epochs, callbacks=[] if monitor is None else [monitor], progress=False)
    return trainer


def bits(trainer):
    state = trainer.optimizer.state_dict()["state"]
    arrays = [*trainer.model.state_dict().values(), *(v for kept in state.values() for v in kept.values())]
    return trainer.history.records, [np.asarray(array).tobytes() for array in arrays]


# ---- the training stays the same --------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 5, "epoch"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_watched_training_has_the_same_bits(every, accumulate):
    monitor = LayerMonitor(every)
    watched = fit(monitor, accumulate=accumulate, clip_norm=0.5)
    assert bits(watched) == bits(fit(accumulate=accumulate, clip_norm=0.5))
    assert monitor.rows


def test_a_watched_convolutional_network_has_the_same_bits():
    def trained(callbacks):
        rng = np.random.default_rng(1)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.ResidualBlock(4, 8, 2, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 10, rng=rng),
        )  # fmt: skip
        images = np.random.default_rng(2).normal(size=(64, 1, 8, 8)).astype(np.float32)
        trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1, momentum=0.9))
        trainer.fit(Batches(images, np.arange(64) % 10, batch_size=16), epochs=2, callbacks=callbacks, progress=False)
        return bits(trainer)

    assert trained([LayerMonitor(1)]) == trained([])


def test_nothing_is_left_behind():
    monitor = LayerMonitor(1)
    trainer = fit(monitor)
    assert not any("forward" in vars(module) for module in trainer.model.modules())
    assert fnn.autograd.modes.mode.observers == ()
    pickle.loads(pickle.dumps(monitor))
    copy.deepcopy(trainer.model)


@pytest.mark.parametrize("event", ["on_step_start", "on_step", "on_epoch_end"])
def test_nothing_is_left_behind_by_an_exception(event):
    class Failing:
        pass

    def fail(self, trainer):
        raise OSError("no room")

    setattr(Failing, event, fail)
    net = network()
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(OSError, match="no room"):
        trainer.fit(data(), epochs=1, callbacks=[LayerMonitor(1), Failing()], progress=False)
    assert not any("forward" in vars(module) for module in net.modules())
    assert fnn.autograd.modes.mode.observers == ()


def test_a_failing_layer_leaves_nothing_behind():
    net = nn.Sequential(nn.Linear(6, 4, rng=0), nn.Linear(5, 2, rng=0))
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="linear"):
        trainer.fit(data(), epochs=1, callbacks=[LayerMonitor(1)], progress=False)
    assert not any("forward" in vars(module) for module in net.modules())


# ---- what is seen -----------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_the_step_itself():
    net = nn.Sequential(nn.Linear(6, 8, rng=0), nn.ReLU(), nn.Linear(8, 2, rng=1))
    seen = {}

    class Keep:
        def on_step_start(self, trainer):
            seen["before"] = net[0].weight.data.copy()

        def on_step(self, trainer):
            seen["gradient"], seen["after"] = net[0].weight.grad.copy(), net[0].weight.data.copy()

    monitor = LayerMonitor(1)
    batches = Batches(*data().arrays, batch_size=96)
    trainer = Trainer(net, optim.Adam(net.parameters(), lr=0.01))
    trainer.fit(batches, epochs=3, callbacks=[monitor, Keep()], progress=False)
    x = batches.arrays[0]
    row = monitor.rows[0]
    z = x.astype(float) @ seen["before"].T  # the bias is of the step before, too
    assert row.activations.std == pytest.approx(z.std(), rel=0.05)
    norm = np.linalg.norm
    assert row.update_ratio == pytest.approx(norm(seen["after"] - seen["before"]) / norm(seen["before"]), rel=1e-5)
    assert monitor.history["0"][-1]["update_ratio"] == row.update_ratio
    assert row.gradient_ratio == pytest.approx(norm(seen["gradient"]) / norm(seen["after"]), rel=1e-5)
    assert [each["step"] for each in monitor.history["0"]] == [1, 2, 3]
    assert monitor.step == 3
    first, last = monitor.history["0"][0], monitor.history["0"][-1]
    assert first["edges"] == last["edges"]
    assert last["bins"].sum() == 96 * 8
    assert len(last["bins"]) == 66


def test_gradients_of_outputs_are_those_of_single_samples():
    found = []
    for accumulate in (1, 2):
        monitor = LayerMonitor(1)
        net = nn.Sequential(nn.Linear(6, 2, rng=0))
        trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.0), accumulate=accumulate)
        trainer.fit(Batches(*data().arrays, batch_size=96 // accumulate), epochs=1, callbacks=[monitor], progress=False)
        found.append(monitor.rows[0].gradients)
    assert found[0].rms == pytest.approx(found[1].rms, rel=1e-5)
    x, y = data().arrays
    logits = x @ net[0].weight.data.T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found[0].rms == pytest.approx(np.sqrt(((p - np.eye(2)[y]) ** 2).mean()), rel=1e-4)


@pytest.mark.parametrize(("every", "steps"), [(5, [1, 6, 11, 16]), ("epoch", [1, 7, 13])])
def test_it_looks_as_often_as_it_says(every, steps):
    monitor = LayerMonitor(every)
    fit(monitor, epochs=3)
    assert [each["step"] for each in monitor.history["0"]] == steps


def test_what_is_kept_is_bounded():
    monitor = LayerMonitor(1)
    fit(monitor, epochs=50)
    steps = [each["step"] for each in monitor.history["0"]]
    assert 64 <= len(steps) <= 128
    assert np.unique(np.diff(steps)).tolist() == [4]
    assert len(monitor._losses) <= 256
    assert all(len(sizes) == len(monitor._losses) for sizes in monitor._sizes.values())


def test_of_large_layers_a_part_is_looked_at():
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 28 * 28, 10, rng=1)
    )
    images = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32)
    monitor = LayerMonitor(1)
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.01))
    trainer.fit(Batches(images, np.arange(64) % 10, batch_size=64), epochs=1, callbacks=[monitor], progress=False)
    row = monitor.rows[1]
    assert 1000 < row.activations.count <= 1 << 15
    assert row.samples == 64
    assert row.activations.std == pytest.approx(monitor.rows[0].activations.std * 0.58, rel=0.1)


# ---- what is said -----------------------------------------------------------------------------------------------------


def images(batch_size=32):
    train = load_digits().train
    x = train.images.reshape(len(train.images), -1)
    return Batches((x - x.mean()) / x.std(), train.labels, batch_size=batch_size, shuffle=True, rng=0)


def wide(features, rng=0):
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Linear(features, 128, rng=rng),
        nn.ReLU(),
        nn.Linear(128, 128, rng=rng),
        nn.ReLU(),
        nn.Linear(128, 10, rng=rng),
    )


def watched(make_optimizer, epochs=8, loss=F.cross_entropy):
    batches = images()
    net = wide(batches.arrays[0].shape[1])
    monitor = LayerMonitor()
    Trainer(net, make_optimizer(net.parameters()), loss).fit(
        batches, epochs=epochs, callbacks=[monitor], progress=False
    )
    return monitor


def lines(monitor):
    return "\n".join(str(monitor).splitlines()[:3])


@pytest.mark.parametrize("rate", [0.03, 0.1, 0.3])
def test_dying_units_are_named_with_their_layer(rate):
    monitor = watched(lambda parameters: optim.Adam(parameters, lr=rate))
    assert "dying: layer '1' (ReLU)" in lines(monitor) or "dying: layer '3' (ReLU)" in lines(monitor)
    assert monitor.level in ("warning", "problem")
    assert monitor.findings[0].step == monitor.step
    assert "of the last" in lines(monitor)


def test_a_healthy_training_is_called_so():
    monitor = watched(lambda parameters: optim.Adam(parameters, lr=1e-3))
    assert monitor.level in ("ok", "note")


@pytest.mark.parametrize(
    ("frozen", "rate", "level"),
    [((0,), 0.1, "note"), ((0,), 1.0, "note"), ((0,), 10.0, "problem"), ((0,), 100.0, "problem"), ((), 1.0, "warning")],
)
def test_steps_of_a_head_alone(frozen, rate, level):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    y = (x @ rng.normal(size=(8, 3))).argmax(1)
    model = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
    for layer in frozen:
        model[layer].requires_grad_(False)
    monitor = LayerMonitor(every=10)
    batches = Batches(x, y, batch_size=32, shuffle=True, rng=0)
    Trainer(model, optim.SGD(model.parameters(), lr=rate)).fit(batches, epochs=10, callbacks=[monitor], progress=False)
    assert [each.level for each in monitor.findings if each.word == "update too large"] == [level]


def test_tiny_and_huge_steps_are_named():
    assert "update too small" in lines(watched(lambda parameters: optim.SGD(parameters, lr=1e-8)))
    sizes = {"a": [0.2] * 30, "b": [0.05] * 30, "c": [0.04] * 30}
    (found,) = updates(sizes, False)
    assert (found.level, found.word, found.value, found.layer) == ("warning", "update too large", 0.05, "a")
    (found,) = updates({"a": [1e-6] * 20}, False)
    assert (found.level, found.word) == ("problem", "update too small")
    assert "1.0e3 times" in found.advice
    assert list(updates({"a": [1e-6] * 20}, True)) == []  # the loss has fallen all the same
    assert list(updates({"a": [1e-6] * 19}, False)) == []
    assert list(updates({"a": [2e-3] * 50}, False)) == []
    assert "very many times" in next(updates({"a": [0.0] * 20}, False)).advice


def test_weights_that_begin_at_zero_make_no_finding_of_their_steps():
    net = nn.Sequential(nn.Linear(6, 8, rng=0), nn.ReLU(), nn.Linear(8, 2, rng=1))
    net[2].weight.data[...] = 0
    monitor = LayerMonitor(1)
    fit(monitor, model=net, epochs=5)
    assert monitor.findings[0].value == pytest.approx(np.median(monitor._sizes["0.weight"]))
    assert "2.weight" not in monitor.findings[0].message


def test_an_end_that_is_not_finite_is_told_with_layer_and_step():
    class Log(nn.Module):
        def __init__(self):
            self.first = nn.Linear(6, 2, rng=0)

        def forward(self, x):
            return fnn.log(self.first(x))

    monitor = LayerMonitor()
    with pytest.warns(RuntimeWarning, match="stopped in epoch 1"), np.errstate(invalid="ignore"):
        fit(monitor, model=nn.Sequential(nn.Linear(6, 6, rng=0), Log()))
    assert "not finite" in lines(monitor)
    assert "layer '1' (Log) gives nan from inputs that are finite" in lines(monitor)
    assert "(step 1)" in lines(monitor)


def test_before_a_training_it_says_so():
    monitor = LayerMonitor()
    assert str(monitor) == "ok       layers: nothing was watched yet"
    assert (monitor.findings, monitor.level, repr(monitor)) == ((), "ok", "LayerMonitor(every=50)")
    assert json.loads(json.dumps(monitor.to_dict(), allow_nan=False))["rows"] == []


def test_as_json():
    monitor = LayerMonitor(2)
    fit(monitor)
    read = json.loads(json.dumps(monitor.to_dict(), allow_nan=False))
    assert read["every"] == 2
    assert len(read["history"]["0"]) == 12
    assert sum(read["history"]["2"][0]["bins"]) == 16 * 8
    assert [row["kind"] for row in read["rows"]] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


@pytest.mark.parametrize(
    ("every", "error"), [(0, ValueError), ("often", ValueError), (1.5, TypeError), (None, TypeError)]
)
def test_refusals(every, error):
    with pytest.raises(error, match="LayerMonitor: every must be"):
        LayerMonitor(every)


# ---- saved and gone on from -------------------------------------------------------------------------------------------


def test_it_resumes_from_a_file(tmp_path):
    path, whole, first, second = tmp_path / "run.npz", LayerMonitor(4), LayerMonitor(4), LayerMonitor(4)
    for monitor, epochs, file in ((whole, 6, None), (first, 3, path), (second, 6, path)):
        net = network()
        trainer = Trainer(net, optim.Adam(net.parameters(), lr=0.01))
        trainer.fit(data(), epochs=epochs, callbacks=[monitor], checkpoint=file, progress=False)
    assert json.dumps(second.to_dict()) == json.dumps(whole.to_dict())
    assert str(second) == str(whole)
    assert second.rows == whole.rows


def test_another_training_begins_anew():
    monitor = LayerMonitor(2)
    fit(monitor, epochs=4)
    fit(monitor, epochs=1)
    assert [each["step"] for each in monitor.history["0"]] == [1, 3, 5]


def test_states_that_do_not_fit_are_refused_and_change_nothing():
    monitor = LayerMonitor(2)
    fit(monitor)
    before = json.dumps(monitor.to_dict())
    seen = json.loads(monitor.state_dict()["seen"].tobytes())
    bad = [[], {"step": 1}, {"seen": None}, {"seen": np.zeros(3, np.uint8)}, {"seen": np.zeros(3)}]
    changes = ({"step": -1}, {"rows": [{}]}, {"counts": [1]}, {"more": 1}, {"history": []}, {"output": {"mean": 1}})
    bad += [{"seen": np.frombuffer(json.dumps(seen | change).encode(), np.uint8)} for change in changes]
    for each in bad:
        with pytest.raises(ValueError, match=r"^LayerMonitor: "):
            monitor.load_state_dict(each)
        assert json.dumps(monitor.to_dict()) == before


# ---- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_over_time():
    monitor = LayerMonitor(2)
    fit(monitor)
    for what, count in (("activations", 4), ("gradients", 4), ("weights", 1), ("updates", 1)):
        axes = monitor.plot(what)
        assert axes.shape == (count,)
        assert all(ax.get_xlabel() == "step" and ax.get_ylabel() for ax in axes)
        plt.close("all")
    axes = plt.figure().gca()
    assert monitor.plot("updates", axes) is axes
    line = axes.lines[0]
    assert line.get_label() == "0"
    np.testing.assert_array_equal(line.get_ydata(), [each["update_ratio"] for each in monitor.history["0"]])


def test_layers_with_one_observation_can_be_drawn():
    monitor = LayerMonitor("epoch")
    fit(monitor, epochs=1)
    assert math.isfinite(monitor.plot()[0].get_xlim()[1])


def test_what_was_wrong_for_a_while_is_named_when_it_has_passed():
    """Adam brings ten sigmoid layers to learn after some hundred steps; at the end nothing vanishes any more."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(320, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    layers = []
    for i in range(6):
        layers += [nn.Linear(8, 8, rng=i), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(8, 2, rng=9))
    monitor = LayerMonitor(every=10)
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-2))
    trainer.fit(Batches(x, y, batch_size=32, shuffle=True, rng=0), epochs=60, callbacks=[monitor])
    passed = [finding for finding in monitor.findings if "and no more since" in finding.message]
    assert [finding.word for finding in passed] == ["vanishing"]
    count, first, last, _ = monitor._past["vanishing"]
    assert f"(at {count} of 60 looks, from step {first} to {last}, and no more since)" in passed[0].message
    assert passed[0].step == last < monitor.step
    assert passed[0].level == ("warning" if count >= 15 else "note")
    resumed = LayerMonitor(every=10)
    resumed.load_state_dict(monitor.state_dict())
    assert resumed.findings == monitor.findings
