"""The learning-rate range test: what it measures, what it says, and that the training goes on as if nothing had happened."""

import json
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import lr_range_test
from fastnn.diagnosis.lr_rule import judged
from fastnn.plots.lr_range import limits
from fastnn.training import Trainer
from fastnn.training.aside import steps_aside
from fastnn.training.generators import find_generators

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64) + (X[:, 2] > 0)
RATES = np.geomspace(1e-6, 10, 100)


def network(seed=0, norm=False, dropout=0.0):
    rng = np.random.default_rng(seed)
    middle = [nn.BatchNorm1d(12, momentum=0.9)] if norm else []
    last = [nn.Dropout(dropout, rng=rng)] if dropout else []
    return nn.Sequential(nn.Linear(6, 12, rng=rng), *middle, nn.ReLU(), *last, nn.Linear(12, 3, rng=rng))


def batches(batch_size=16, **options):
    return Batches(X, Y, **{"batch_size": batch_size, "shuffle": True, "rng": 3} | options)


def trainer_of(model=None, optimizer=optim.Adam, **options):
    model = model or network()
    return Trainer(model, optimizer(model.parameters(), lr=0.01), **options)


def rates_at_each_step(trainer, lrs):
    """A callback that has the trainer make its steps at these rates, and notes its losses."""

    class Sweep:
        losses = ()

        def set(self):
            if trainer.step < len(lrs):
                for group in trainer.optimizer.param_groups:
                    group["lr"] = float(lrs[trainer.step])

        def on_epoch_start(self, trainer):
            self.set()

        def on_step(self, trainer):
            self.losses = (*self.losses, trainer.last_loss)
            self.set()

    return Sweep()


# ---- what it measures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_losses_are_those_of_a_plain_loop(backend):
    if backend not in fnn.backend.available_backends():
        pytest.skip("the compiled extension is not installed")
    with fnn.use_backend(backend):
        found = lr_range_test(trainer_of(), batches())
        model, losses = network(), []
        optimizer, data = optim.Adam(model.parameters()), batches()
        for lr in RATES[: len(found.losses)]:
            number = len(losses)
            x, y = next(iter(data.at(number // 6, number % 6)))
            optimizer.lr = float(lr)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert found.losses.tolist() == losses
    np.testing.assert_allclose(found.lrs, RATES[: len(losses)], rtol=1e-12)


CASES = {
    "dropout and batch norm": (lambda: network(norm=True, dropout=0.3), optim.Adam, {}),
    "clipping": (network, optim.RMSprop, {"clip_norm": 0.1, "clip_value": 0.05}),
    "momentum, scheduled": (network, lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_fit_at_the_same_rates(case):
    make, optimizer, options = CASES[case]

    def trainer():
        made = trainer_of(make(), optimizer, **options)
        if "scheduled" in case:
            rule = optim.Schedule(made.optimizer, optim.Linear(0.1, 0.9, 60), key="momentum", relative=False)
            return Trainer(made.model, made.optimizer, schedule=rule)
        return made

    found = lr_range_test(trainer(), batches())
    fitted = trainer()
    sweep = rates_at_each_step(fitted, found.lrs)
    fitted.fit(batches(), epochs=-(-len(found.lrs) // 6), callbacks=[sweep])
    assert found.losses.tolist() == list(sweep.losses[: len(found.losses)])


def test_frozen_layers_stay_frozen():
    model = network(norm=True, dropout=0.3)
    model[1].eval()
    model[0].requires_grad_(False)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    seen = []
    model[1].register_forward_hook(
        lambda module, args, output: seen.append((module.training, model[0].weight.data.copy()))
    )
    lr_range_test(Trainer(model, optim.Adam(model[4].parameters())), batches())
    assert seen
    assert not any(training for training, _ in seen)
    assert all((weight == before["0.weight"]).all() for _, weight in seen)


def test_accumulated_and_weighted_steps_count_by_their_samples():
    weights = np.random.default_rng(5).uniform(0, 2, 96)
    data = Batches(X, Y, weights, batch_size=20)
    found = lr_range_test(trainer_of(optimizer=optim.SGD, accumulate=2), data)
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    losses, parts = [], list(Batches(X, Y, weights, batch_size=20))
    while len(losses) < len(found.losses):
        for first in range(0, 5, 2):  # the fifth batch makes a step of its own
            optimizer.zero_grad()
            optimizer.lr = float(RATES[min(len(losses), 99)])
            taken = parts[first : first + 2]
            total = sum(float(w.sum()) for _, _, w in taken)
            each = [
                (F.cross_entropy(model(x), y, reduction="none") * (w / total).astype(np.float32)).sum()
                for x, y, w in taken
            ]
            for loss in each:
                loss.backward()
            optimizer.step()
            losses.append(sum(loss.item() for loss in each))
    np.testing.assert_allclose(found.losses, losses[: len(found.losses)], rtol=1e-4)


def test_schedules_of_the_rate_change_nothing():
    plain = lr_range_test(trainer_of(), batches())
    for rule in (optim.Cosine(20), optim.Warmup(10), optim.OneCycle(50)):  # at step 0, a warmup has rate 0
        assert lr_range_test(trainer_of(schedule=rule), batches()).to_dict() == plain.to_dict()


def test_groups_keep_their_ratio():
    def trainer(schedule=None, rates=(0.1, 0.001)):
        model = network()
        groups = [
            {"params": list(layer.parameters()), "lr": lr}
            for layer, lr in zip((model[0], model[2]), rates, strict=True)
        ]
        return Trainer(model, optim.SGD(groups, lr=1.0), schedule=schedule)

    seen = []
    for one in (trainer(), trainer(optim.Warmup(5))):
        one.model.register_forward_hook(
            lambda module, args, output, one=one: seen.append([group["lr"] for group in one.optimizer.param_groups])
        )
        found = lr_range_test(one, batches())
        np.testing.assert_allclose(np.array(seen[: len(found.lrs)])[:, 0], found.lrs)
        np.testing.assert_allclose(np.array(seen[: len(found.lrs)])[:, 1], found.lrs / 100)
        np.testing.assert_allclose(found.rates, [found.suggested, found.suggested / 100])
        seen.clear()
    assert lr_range_test(trainer(rates=(0.0, 0.0)), batches()).shares == (1.0, 1.0)
    absolute = trainer()
    rule = optim.Schedule(absolute.optimizer, optim.Linear(0.1, 0.01, 9), relative=False)
    assert lr_range_test(Trainer(absolute.model, absolute.optimizer, schedule=rule), batches()).shares == (1.0, 1.0)


def test_a_small_set_is_gone_round():
    orders = []
    model = network()
    model.register_forward_hook(lambda module, args, output: orders.append(args[0].tobytes()))
    found = lr_range_test(trainer_of(model), batches(batch_size=32))
    assert len(found.losses) > 3
    assert len(set(orders)) == len(orders)  # each pass in an order of its own


class Shuffled:
    """Batches that draw from a generator of their own."""

    def __init__(self):
        self.rng = np.random.default_rng(7)

    def __iter__(self):
        order = self.rng.permutation(96)
        for i in range(0, 96, 24):
            yield X[order[i : i + 24]], Y[order[i : i + 24]]


def test_any_iterable_will_do():
    data = Shuffled()
    before = data.rng.bit_generator.state
    found = lr_range_test(trainer_of(), data)
    assert found.rate is not None
    assert data.rng.bit_generator.state == before
    as_list = list(batches(shuffle=False, rng=None))
    assert (
        lr_range_test(trainer_of(), as_list).to_dict() == lr_range_test(trainer_of(), batches(shuffle=False)).to_dict()
    )


def test_the_same_bits_for_any_number_of_threads():
    results = []
    for threads in (1, 2):
        with fnn.set_num_threads(threads):
            results.append(lr_range_test(trainer_of(network(norm=True, dropout=0.2)), batches()).to_dict())
    assert results[0] == results[1]


# ---- it changes nothing ----------------------------------------------------------------------------------------------


def bits(trainer, data):
    def plain(state):
        if isinstance(state, dict):
            return {key: plain(value) for key, value in state.items()}
        if isinstance(state, (list, tuple)):
            return [plain(value) for value in state]
        return (state.dtype, state.tobytes()) if isinstance(state, np.ndarray) else state

    gradients = [None if p.grad is None else p.grad.tobytes() for p in trainer.model.parameters()]
    generators = [rng.bit_generator.state for rng in find_generators(trainer.model, trainer.optimizer, data)]
    kept = [
        trainer.epoch,
        trainer.step,
        trainer.position,
        trainer.history.records,
        repr(trainer.last_loss),
        trainer._rates,
    ]
    return plain([trainer.state_dict(), gradients, generators, kept, [m.training for m in trainer.model.modules()]])


def fitted(look=None, data=batches):
    model = network(norm=True, dropout=0.3)
    schedules = [
        optim.Schedule(o := optim.Adam(model.parameters(), lr=0.02), optim.Cosine(40)),
        optim.ReduceOnPlateau(o),
    ]
    trainer, data = Trainer(model, o, schedule=schedules, clip_norm=1.0, accumulate=2), data()

    class Look:
        def on_step(self, trainer):
            if look is not None and trainer.step % 4 == 1:
                before = bits(trainer, data)
                look(trainer, data)
                assert bits(trainer, data) == before

        on_epoch_end = on_step

    trainer.fit(data, batches(), epochs=4, callbacks=[Look()])
    return bits(trainer, data)


@pytest.mark.parametrize("data", [batches, Shuffled])
def test_a_training_goes_on_to_the_same_bits(data):
    def look(trainer, data):
        assert (
            lr_range_test(trainer, data, steps=40).losses[0]
            != lr_range_test(trainer, batches(rng=9), steps=20).losses[0]
        )

    assert fitted(look, data) == fitted(data=data)


def test_also_where_the_loss_is_not_finite_or_something_raises():
    def stop(trainer, data):
        with steps_aside("look", trainer, data) as steps:
            raise ZeroDivisionError(next(steps))

    def look(trainer, data):
        assert not math.isfinite(lr_range_test(trainer, [(np.full_like(X, np.inf), Y)]).losses[-1])
        with pytest.raises(ValueError, match="does not fit weight"):
            lr_range_test(trainer, [(X[:, :3], Y)])
        with pytest.raises(ZeroDivisionError):
            stop(trainer, data)

    assert fitted(look) == fitted()


def test_gradients_that_wait_for_a_step_stay():
    trainer = trainer_of()
    F.cross_entropy(trainer.model(X), Y).backward()
    before = bits(trainer, None)
    lr_range_test(trainer, batches())
    assert bits(trainer, None) == before


def test_a_trainer_that_was_loaded_and_not_fitted_yet():
    data = batches()
    first, second = (trainer_of(network(dropout=0.2)) for _ in range(2))
    first.fit(data, epochs=2)
    second.load_state_dict(first.state_dict())
    assert lr_range_test(second, data).to_dict() == lr_range_test(first, data).to_dict()
    first.fit(data, epochs=3)
    second.fit(batches(), epochs=3)
    assert bits(first, None) == bits(second, None)


# ---- what it says ----------------------------------------------------------------------------------------------------


def expected_rate(lrs, losses):
    """The rule of docs/rates.md for 100 steps from 1e-6 to 10, in plain loops."""
    average, weight, smoothed = 0.0, 0.0, []
    decay = 1 - 7 / (0.7 * 99)
    for loss in losses:
        average, weight = decay * average + (1 - decay) * loss, decay * weight + 1 - decay
        smoothed.append(average / weight)
    lowest = min(range(10, min(len(losses), 95)), key=lambda i: smoothed[i])
    start = sum(losses[:11]) / 11
    for i in range(10, lowest + 1):
        if smoothed[i] <= start - 0.6 * (start - smoothed[lowest]):
            return min(lrs[i], lrs[lowest] / 15), smoothed
    raise AssertionError("the loss did not fall")


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.SGD, optim.RMSprop])
def test_the_rule(optimizer):
    found = lr_range_test(trainer_of(optimizer=optimizer), batches())
    rate, smoothed = expected_rate(found.lrs, found.losses.tolist())
    assert found.suggested == found.rate == pytest.approx(rate)
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-10)
    assert found.usable[0] <= found.suggested <= found.usable[1] / 15 * (1 + 1e-9)
    assert found.level == "ok"
    assert str(found).startswith("ok       learning rate: loss falls from")


def test_the_test_ends_when_the_loss_has_risen():
    found = lr_range_test(trainer_of(optimizer=optim.SGD), batches())
    assert len(found.lrs) == len(found.losses) == len(found.smoothed) < 100
    assert found.smoothed[-1] > 4 * found.smoothed[10:-1].min()
    assert not (
        found.smoothed[10:-1] > np.maximum(4 * np.minimum.accumulate(found.smoothed[10:-1]), found.losses[0])
    ).any()


def healthy():
    rows = RNG.normal(size=(96, 5, 4)).astype(np.float32)

    class Last(nn.Module):
        def __init__(self):
            self.lstm, self.linear = nn.LSTM(4, 8, batch_first=True, rng=1), nn.Linear(8, 2, rng=2)

        def forward(self, x):
            return self.linear(self.lstm(x)[0][:, -1])

    images = (RNG.normal(size=(96, 1, 6, 6)) + Y[:, None, None, None]).astype(np.float32)
    cnn = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2, rng=1))
    yield "MLP", network(), X, Y, F.cross_entropy
    yield "one layer", nn.Linear(6, 3, rng=0), X, Y, F.cross_entropy
    yield "batch norm, float64", network(norm=True).astype(np.float64), X.astype(np.float64), Y, F.cross_entropy
    yield "regression", nn.Linear(6, 1, rng=0), X, X[:, :1] - X[:, 1:2], F.mse_loss
    yield "CNN", cnn, images, np.minimum(Y, 1), F.cross_entropy
    yield "LSTM", Last(), rows, (rows[:, :, 0].sum(axis=1) > 0).astype(np.int64), F.cross_entropy


def test_healthy_networks_get_a_rate_and_no_complaint():
    for name, model, x, y, loss in healthy():
        for optimizer in (optim.Adam, optim.SGD):
            trainer = Trainer(model, optimizer(model.parameters(), lr=0.01), loss)
            found = lr_range_test(trainer, Batches(x, y, batch_size=16, shuffle=True, rng=0), high=100)
            assert found.level in ("ok", "note"), (name, str(found))
            assert 1e-4 < found.suggested < 2, name


def test_never_fell():
    found = lr_range_test(trainer_of(), batches(), high=1e-5)
    assert found.level == "problem"
    assert str(found).splitlines()[0].startswith("PROBLEM  learning rate: loss never fell by 5 %")
    assert "see initial_loss" in str(found).splitlines()[0]
    assert found.rate is found.usable is None
    for name in ("suggested", "rates"):
        with pytest.raises(ValueError, match=r"^lr_range_test: there is no rate to suggest: loss never fell by 5 %"):
            getattr(found, name)


def test_rates_that_are_all_too_high():
    found = lr_range_test(trainer_of(optimizer=optim.SGD), batches(), low=20.0, high=1e4)
    assert found.rate is None
    assert "low=2e-02" in str(found)


def test_never_rose():
    found = lr_range_test(trainer_of(), batches(), high=0.02)
    assert str(found).startswith("WARNING  learning rate: loss never rose up to 0.02: test higher")
    assert "high=2e-01" in str(found)
    assert found.level == "warning"
    assert found.suggested < 0.02


def test_arrays_and_gradients_switched_off():
    expected = lr_range_test(trainer_of(), Batches(X, Y, batch_size=32))
    with fnn.no_grad():
        found = lr_range_test(trainer_of(), (X, Y))
        assert not fnn.is_grad_enabled()
    assert found.losses.tolist() == expected.losses.tolist()
    assert found.suggested == expected.suggested


def test_nothing_to_train():
    model = network()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"^lr_range_test: no parameter of the optimiser is trained"):
        lr_range_test(trainer_of(model), (X, Y))


@pytest.mark.parametrize(
    ("data", "text"),
    [((X, Y[:5]), "expected arrays of one length"), ([(X[:, :3], Y)], "linear: x of shape"), (X, "a batch must be")],
)
def test_errors_begin_with_the_name(data, text):
    with pytest.raises(ValueError, match=f"^lr_range_test: {text}"):
        lr_range_test(trainer_of(), data)


def test_networks_that_bear_all_rates_are_no_fault():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    y = (x @ rng.normal(size=(8, 3))).argmax(1)
    small = nn.Sequential(nn.Linear(8, 32, rng=0), nn.ReLU(), nn.Linear(32, 3, rng=1))
    for model, make, count in ((nn.Linear(8, 3, rng=0), optim.SGD, 300), (small, optim.Adam, 30)):
        data = Batches(x[:count], y[:count], batch_size=32, shuffle=True, rng=0)
        found = lr_range_test(Trainer(model, make(model.parameters(), lr=0.1)), data)
        assert str(found).startswith("NOTE     learning rate: loss never rose up to 10; loss falls")
        assert "suggestion stands" in str(found)
        assert "high=1e+02" in str(found)
        assert 0.01 < found.suggested < 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_at_once(bad):
    x = X.copy()
    x[:, 3] = bad
    found = lr_range_test(trainer_of(), Batches(x, Y, batch_size=16))
    assert str(found).splitlines()[0].startswith("PROBLEM  not finite: the loss is nan before the first step")
    assert len(found.losses) == 1
    assert "not finite" in found
    with pytest.raises(ValueError, match="the loss is nan before the first step"):
        _ = found.suggested
    json.dumps(found.to_dict(), allow_nan=False)
    found.plot().figure.canvas.draw()


def test_not_finite_after_some_steps():
    """A row that is NaN comes early or late; rates that are too high make the loss rise before it is not finite."""
    for row, steps in ((9, 4), (60, 30), (155, 77)):
        x = np.repeat(X, 2, axis=0)
        x[row] = np.nan
        found = lr_range_test(trainer_of(), Batches(x, np.repeat(Y, 2), batch_size=2))
        first = str(found).splitlines()[0]
        assert first.startswith(f"PROBLEM  not finite: the loss is nan after {steps} steps, at the rate ")
        assert "without having risen before" in first
        assert "preflight" in str(found)
    model = nn.Linear(6, 1, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1.0), F.mse_loss)
    found = lr_range_test(trainer, Batches(X, X[:, :1], batch_size=16), low=10.0, high=1e6, steps=200)
    assert not np.isfinite(found.losses[-1])
    assert "Test lower rates" in str(found)
    assert "without having risen" not in str(found)


def test_gradients_that_are_not_finite():
    """Under a loss that is: the square root of the distance to 0, at 0."""
    model = nn.Linear(6, 1, rng=0)
    model.weight.data[...] = 0
    model.bias.data[...] = 0
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(model, optimizer, lambda output, target: ((output - target) ** 2).sum() ** 0.5, clip_norm=1.0)
    with np.errstate(all="ignore"):
        found = lr_range_test(trainer, [(X, np.zeros((96, 1), np.float32))])
    assert len(found.losses) == 1
    assert math.isnan(found.losses[0])


def test_losses_that_scatter_by_as_much_as_they_fall():
    up_and_down = np.where(np.arange(100) % 2, 0.5, -0.5)
    verdict = judged(RATES, 2 - 0.3 / (1 + 0.01 / RATES) + up_and_down + RATES**2)
    assert verdict.findings[0].level == "warning"
    assert "losses scatter by 0.7" in verdict.findings[0].message
    assert verdict.rate is not None


def test_noise_alone_is_not_taken_for_a_fall():
    levels = [judged(RATES, 3 + np.random.default_rng(seed).normal(size=100)).findings[0].level for seed in range(100)]
    assert levels.count("ok") < 5
    assert levels.count("warning") + levels.count("problem") > 60


def test_negative_losses():
    """As of densities; four times the lowest one would be below it."""
    verdict = judged(RATES, -2 - 1.5 / (1 + (0.01 / RATES) ** 2) + RATES**2)
    assert verdict.findings[0].level == "ok"
    target = X[:, :1]
    model = nn.Linear(6, 1, rng=0)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), lambda o, t: F.mse_loss(o, t) - 3)
    found = lr_range_test(trainer, Batches(X, target, batch_size=16))
    assert found.level == "ok"
    assert found.losses.min() < 0 < found.smoothed[-1]


def test_the_rule_means_the_same_for_any_number_of_steps():
    rates = []
    for steps in (50, 100, 200, 400):
        lrs = np.geomspace(1e-6, 10, steps)
        rates.append(judged(lrs, 2 - 1.5 / (1 + (0.01 / lrs) ** 2) + lrs**2).rate)
    assert max(rates) < 1.3 * min(rates)
    assert lr_range_test(trainer_of(), batches(), low=1e-3, high=1.0, steps=20).rate is not None


# ---- outputs and errors ----------------------------------------------------------------------------------------------


def test_as_json():
    found = lr_range_test(trainer_of(), batches())
    loaded = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert loaded["rate"] == found.suggested
    assert loaded["losses"] == found.losses.tolist()
    assert loaded["findings"][0]["word"] == "learning rate"


def test_picture():
    from matplotlib.figure import Figure

    found = lr_range_test(trainer_of(), batches())
    axes = Figure().subplots()
    assert found.plot(axes) is axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["loss of a step"].get_ydata(), found.losses)
    np.testing.assert_array_equal(lines["average"].get_ydata(), found.smoothed)
    assert lines[f"suggested: {found.suggested:.2g}"].get_xdata() == [found.suggested] * 2
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    fnn.plots.lr_range([0.1, 1], [1.0, np.inf], ax=Figure().subplots()).figure.canvas.draw()
    fnn.plots.lr_range([0.1], [np.nan], ax=Figure().subplots()).figure.canvas.draw()


def test_the_part_of_the_axis_that_is_shown():
    low, high = limits(np.array([3.0, 2.0, 1.0, 1e30, np.inf]))
    assert low < 1
    assert 3 < high < 5
    assert limits(np.array([1.0, 2.0]))[1] > 2
    assert limits(np.array([1.0])) == (0.9, 1.6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: lr_range_test(network(), batches()), TypeError, "trainer must be a Trainer, got Sequential"),
        (lambda: lr_range_test(trainer_of(), batches(), low=0), ValueError, "low must be in"),
        (lambda: lr_range_test(trainer_of(), batches(), low=1.0, high=0.5), ValueError, "high must be in"),
        (lambda: lr_range_test(trainer_of(), batches(), high=np.inf), ValueError, "high must be finite"),
        (lambda: lr_range_test(trainer_of(), batches(), steps=19), ValueError, "steps must be at least 20"),
        (lambda: lr_range_test(trainer_of(), batches(), steps=50.0), TypeError, "steps must be an int"),
        (lambda: lr_range_test(trainer_of(), iter(batches())), TypeError, "train is an iterator"),
        (lambda: lr_range_test(trainer_of(), 3), TypeError, "train must be an iterable"),
        (lambda: lr_range_test(trainer_of(), []), ValueError, "train has no batch"),
        (lambda: lr_range_test(trainer_of(), Empty()), ValueError, "there was no batch"),
        (
            lambda: lr_range_test(trainer_of(), Batches(X, Y, np.zeros(96), batch_size=16)),
            ValueError,
            "none whose samples count",
        ),
        (lambda: fnn.plots.lr_range([1.0], [1.0, 2.0]), ValueError, "losses must be as many as lrs, 1, got 2"),
        (lambda: fnn.plots.lr_range([], []), ValueError, "lrs must be rates above 0"),
        (lambda: fnn.plots.lr_range([0.0], [1.0]), ValueError, "lrs must be rates above 0"),
        (lambda: fnn.plots.lr_range(["a"], [1.0]), TypeError, "lrs must be numbers"),
        (lambda: fnn.plots.lr_range([[1.0]], [1.0]), ValueError, "lrs must have one axis"),
        (lambda: fnn.plots.lr_range([1.0], [1.0], usable=3), TypeError, "usable must be two rates"),
        (lambda: fnn.plots.lr_range([1.0], [1.0], suggested=-1), ValueError, "suggested must be in"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=rf"^(lr_range_test|lr_range): .*{text}"):
        call()


class Empty:
    def __iter__(self):
        return iter(())
