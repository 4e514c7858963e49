"""`preflight`: what is planted is named at once, sound networks are left alone, and nothing is changed by looking."""

import json
import math

import matplotlib
import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import Report, preflight
from fastnn.training import Trainer
from preflight_cases import IMAGES, LABELS, PIXELS, PLANTED, SOUND, convolutional, drawn, frozen, mlp

matplotlib.use("Agg")


from matplotlib import pyplot


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_planted_is_named_in_the_first_three_lines(fault):
    make, data, loss, words = PLANTED[fault]
    model = make()
    report = preflight(model, data, loss, optimizer=optim.Adam(model.parameters(), lr=1e-3))
    first = "\n".join(str(report).splitlines()[:3])
    for word in words:
        assert word in first
    assert report.level in ("warning", "problem")
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("rate", "word"), [(10, "update too large"), (1e-8, "update too small")])
def test_rates(rate, word):
    model = mlp(64, 64, 10)
    for make in (optim.Adam, optim.SGD):
        report = preflight(model, (PIXELS, LABELS), optimizer=make(model.parameters(), lr=rate))
        assert word in str(report).splitlines()[0]


# ---- sound networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_sound_networks_have_nothing_above_a_note(name):
    make, data, loss = SOUND[name]
    model = make()
    report = preflight(model, data, loss, optimizer=optim.Adam(model.parameters(), lr=1e-3))
    assert report.level in ("ok", "note"), str(report)
    assert str(report).startswith("ok: nothing looks wrong")
    assert report.overfit is not None
    assert report.initial is not None


def test_on_the_numpy_backend():
    make, data, loss, _ = PLANTED["a softmax"]
    with fnn.use_backend("numpy"):
        assert preflight(make(), data, loss, overfit=False).findings[0].word == "outputs"
        assert preflight(mlp(64, 64, 10), (PIXELS, LABELS), overfit=False).level == "ok"


# ---- nothing is changed -------------------------------------------------------------------------------------------------


def trained(look):
    """Three epochs with dropout, batch norm, shuffling and augmentation, with somebody looking after each step or not."""
    model = convolutional()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    noise = np.random.default_rng(8)
    train = Batches(
        IMAGES[:128], LABELS[:128], batch_size=64, shuffle=True, rng=3,
        transform=lambda x, rng: (x + 0.1 * rng.normal(size=x.shape) + 0.01 * noise.normal(size=x.shape)).astype(np.float32),
    )  # fmt: skip

    def on_epoch_end(trainer):
        if look:
            before = [parameter.data for parameter in model.parameters()]
            preflight(model, train, optimizer=optimizer, validation=(IMAGES[128:], LABELS[128:]), samples=64)
            assert all(a is p.data for a, p in zip(before, model.parameters(), strict=True))

    trainer = Trainer(model, optimizer)
    trainer.fit(train, epochs=3, callbacks=[on_epoch_end], progress=False)
    state = [*model.state_dict().values()]
    moments = [
        a for kept in optimizer.state_dict()["state"].values() for a in kept.values() if isinstance(a, np.ndarray)
    ]
    generators = [model[7].rng.bit_generator.state, noise.bit_generator.state]
    return [array.tobytes() for array in [*state, *moments]], trainer.history["train_loss"].tolist(), generators


def test_looking_changes_nothing():
    assert trained(True) == trained(False)


def test_modes_gradients_and_requires_grad_stay():
    model = frozen(0).eval()
    model[2].weight.grad = np.ones_like(model[2].weight.data)
    preflight(model, (PIXELS, LABELS), optimizer=optim.Adam(model[2].parameters(), lr=0.1))
    assert not any(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True, True, True]
    assert (model[2].weight.grad == 1).all()


def test_the_same_report_each_time_and_for_any_number_of_threads():
    model = convolutional()
    reports = []
    for threads in (1, 3, 1):
        with fnn.set_num_threads(threads):
            reports.append(
                preflight(model, (IMAGES, LABELS), optimizer=optim.Adam(model.parameters()), rng=4).to_dict()
            )
    assert reports[0] == reports[1] == reports[2]


# ---- arguments, text and pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (("net", (PIXELS, LABELS)), {}, TypeError, "preflight: model must be a Module"),
        ((mlp(64, 10), (PIXELS, LABELS), nn.MSELoss), {}, TypeError, "preflight: loss must be a function"),
        ((mlp(64, 10), (PIXELS, LABELS[:5])), {}, ValueError, "preflight: "),
        ((mlp(64, 10), []), {}, ValueError, "preflight: train has no batch"),
        ((mlp(64, 10), iter([])), {}, TypeError, "preflight: train is an iterator"),
        ((mlp(64, 10), [PIXELS]), {}, ValueError, "preflight: a batch must be"),
        ((mlp(64, 10), (PIXELS, LABELS)), {"samples": 0}, ValueError, "preflight: samples must be at least 1"),
        (
            (mlp(64, 10), (PIXELS, LABELS)),
            {"optimizer": "Adam"},
            TypeError,
            "preflight: optimizer must be an Optimizer",
        ),
        ((mlp(64, 10), (PIXELS, LABELS)), {"rng": "x"}, TypeError, "preflight: rng"),
    ],
)
def test_what_is_refused(arguments, options, error, text):
    with pytest.raises(error, match=text):
        preflight(*arguments, **options)


def test_text():
    make, data, loss, _ = PLANTED["labels 1…10"]
    lines = str(preflight(make(), data, loss)).splitlines()
    assert lines[0] == "1 problem: labels"
    assert lines[1].startswith("PROBLEM  labels: the targets are 1…10")
    assert all(line.startswith("ok       ") for line in lines[3:])
    assert max(map(len, lines[3:])) <= 110


@pytest.mark.parametrize("fault", ["labels 1…10", "raw pixels", "zero weights"])
def test_pictures(fault):
    make, data, loss, _ = PLANTED[fault]
    report = preflight(make(), data, loss)
    assert isinstance(report, Report)
    axes = report.plot()
    assert axes.shape == (2,)
    assert len(axes[0].get_yticklabels()) == len({finding.word for finding in report})
    _, given = pyplot.subplots(1, 2)
    assert (report.plot(given) == given).all()
    for part in (report.initial, report.overfit):
        if part is not None:
            assert part.plot(given[0]) is given[0]


def test_nothing_is_drawn_twice_for_a_loss_that_is_not_finite():
    model = drawn(mlp(64, *[64] * 40, 10), lambda rng, shape: 9 * rng.normal(size=shape))
    report = preflight(model, (PIXELS, LABELS))
    assert report.level == "problem"
    assert report.findings[0].word in ("exploding", "not finite")
    assert report.initial is None or math.isfinite(report.initial.seen)
    report.plot()


@pytest.mark.parametrize("change", [lambda y: 1000 * y, lambda y: y + 100])
def test_targets_that_are_large_numbers_come_before_what_follows_from_them(change):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    model = nn.Sequential(nn.Linear(6, 32, rng=0), nn.ReLU(), nn.Linear(32, 1, rng=1))
    report = preflight(model, (x, change(2 * x[:, :1] + x[:, 1:2])), F.mse_loss)
    assert str(report).splitlines()[1].startswith("PROBLEM  scale: the target has mean")
    assert len(report.findings) > 1


# ---- batches of different lengths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_sound_validation_parts_are_no_fault(name):
    make, data, loss = SOUND[name]
    report = preflight(make(), data, loss, validation=data, overfit=False)
    assert not [finding for finding in report if finding.message.startswith("validation: ") and finding.level != "note"]
    assert "shared rows" in report


def test_the_same_where_no_gradients_are_recorded():
    x, y = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32), np.arange(100) % 4
    net = nn.Sequential(nn.Linear(5, 32, rng=0), nn.ReLU(), nn.Linear(32, 4, rng=0))
    expected = str(preflight(net, (x, y), rng=0))
    with fnn.no_grad():
        assert str(preflight(net, (x, y), rng=0)) == expected
