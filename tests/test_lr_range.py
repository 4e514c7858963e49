"""The learning-rate range test: what it measures, and that the training goes on as if nothing had happened."""

import json
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import Shuffled
from fastnn import optim
from fastnn.data import Batches
from fastnn.diagnosis import lr_range_test
from fastnn.plots.lr_range import limits
from fastnn.training import Trainer
from fastnn.training.aside import steps_aside
from fastnn.training.generators import find_generators
from swept import RATES, X, Y, batches, network, trainer_of


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


def test_any_iterable_will_do():
    data = Shuffled(X, Y, 24)
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


@pytest.mark.parametrize("data", [batches, lambda: Shuffled(X, Y, 24)], ids=["batches", "Shuffled"])
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
