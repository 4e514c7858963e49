"""Damaged states: every object refuses one in words, and is as it was; or takes it over exactly as it is."""

import copy
import re
from collections.abc import Mapping

import numpy as np
import pytest

import fastnn as fnn
from fastnn import data, optim, training
from subproc import run as run_python

_X = np.random.default_rng(0).normal(size=(12, 3))
_Y = np.arange(12) % 3
_TEXT = "a,b,kind\n1,x,yes\n2,y,no\n3,x,yes\n4,y,no\n5,x,yes\n6,y,no\n"


def _model():
    return fnn.nn.Sequential(
        fnn.nn.Linear(3, 4, rng=0), fnn.nn.ReLU(), fnn.nn.Dropout(rng=1), fnn.nn.Linear(4, 3, rng=2)
    )


def _batches():
    return data.Batches(_X.astype(np.float32), _Y, batch_size=4, shuffle=True, rng=3)


def _trainer():
    model = _model()
    return training.Trainer(model, optim.Adam(model.parameters(), lr=0.01), schedule=optim.Cosine(20))


def _stopped(epochs):
    """A trainer after some epochs, and what would have ended them."""
    trainer, stopping = _trainer(), training.EarlyStopping(patience=3)
    trainer.fit(_batches(), _batches(), epochs=epochs, callbacks=[stopping])
    return trainer, stopping


def _watching(epochs):
    trainer, monitor = _trainer(), training.LayerMonitor(2)
    trainer.fit(_batches(), epochs=epochs, callbacks=[monitor])
    return monitor


class _Copy:
    """Keeps the state of a training in the middle of an epoch."""

    def on_step(self, trainer):
        if trainer.position == 2:
            self.state = copy.deepcopy(trainer.state_dict())


def _under_way():
    trainer, kept = _trainer(), _Copy()
    trainer.fit(_batches(), _batches(), epochs=1, callbacks=[kept])
    trainer.load_state_dict(kept.state)
    return trainer


def _schema(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return data.read_csv(path, "kind").schema


def _optimizer(kind, steps, **settings):
    params = [fnn.tensor(np.ones(3, np.float32), requires_grad=True), fnn.tensor(np.ones((2, 2)), requires_grad=True)]
    optimizer = kind(params, lr=0.1, **settings)
    for step in range(steps):
        for p in params:
            p.grad = np.full(p.shape, step + 1.0, p.dtype)
        optimizer.step()
    return optimizer


def _schedule(make, steps):
    schedule = make(_optimizer(optim.SGD, 0))
    for _ in range(steps):
        schedule.optimizer._steps_taken += 1
        schedule.step(*([1.0] if isinstance(schedule, optim.ReduceOnPlateau) else []))
    return schedule


def _moved_batches(count):
    batches, given = _batches(), 0
    while given < count:
        for _ in batches:
            given += 1
            if given == count:
                break
    return batches


# By name: an object as it is, and another whose state is loaded.
_MADE = {
    "Batches": lambda path: (_moved_batches(1), _moved_batches(5)),
    "Distribution": lambda path: (data.fit_distribution(_X), data.fit_distribution(_X + 1, _Y)),
    "Distribution kde": lambda path: (data.fit_distribution(_X), data.fit_distribution(_X + 1, kind="kde")),
    "StandardScaler": lambda path: (data.StandardScaler().fit(_X), data.StandardScaler(with_std=False).fit(_X + 1)),
    "MinMaxScaler": lambda path: (data.MinMaxScaler().fit(_X), data.MinMaxScaler((0, 2), clip=True).fit(_X + 1)),
    "ImageScaler": lambda path: (
        data.ImageScaler().fit(_X.reshape(3, 1, 2, 6)),
        data.ImageScaler().fit(_X.reshape(3, 1, 2, 6) + 1),
    ),
    "Whitening": lambda path: (data.Whitening().fit(_X), data.Whitening().fit(_X[::2] + 1)),
    "Imputer": lambda path: (data.Imputer().fit(_X), data.Imputer().fit(_X + 1)),
    "TableSchema": lambda path: (_schema(path, _TEXT), _schema(path, _TEXT + "7,z,yes\n8,z,no\n")),
    "EarlyStopping": lambda path: (_stopped(2)[1], _stopped(3)[1]),
    "LayerMonitor": lambda path: (_watching(2), _watching(3)),
    "History": lambda path: (_stopped(1)[0].history, _stopped(2)[0].history),
    "Trainer": lambda path: (_stopped(1)[0], _stopped(2)[0]),
    "Trainer under way": lambda path: (_stopped(1)[0], _under_way()),
    "Schedule": lambda path: tuple(_schedule(lambda o: optim.Schedule(o, optim.Cosine(9)), n) for n in (1, 3)),
    "ReduceOnPlateau": lambda path: tuple(_schedule(lambda o: optim.ReduceOnPlateau(o, patience=5), n) for n in (1, 3)),
    "SGD": lambda path: tuple(_optimizer(optim.SGD, n, momentum=0.9) for n in (1, 3)),
    **{
        kind.__name__: lambda path, kind=kind: tuple(_optimizer(kind, n) for n in (1, 3))
        for kind in (optim.Adam, optim.AdamW, optim.AMSGrad, optim.Adadelta, optim.Adagrad, optim.RMSprop)
    },
}


def test_every_public_object_with_a_state_is_here():
    public = {
        name
        for module in (data, training, optim)
        for name in module.__all__
        if hasattr(getattr(module, name), "load_state_dict")
    }
    assert public - {"Optimizer"} == {name.split()[0] for name in _MADE}


def _places(state, path=()):
    """The paths of everything inside a state."""
    parts = (
        state.items() if isinstance(state, Mapping) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    )
    for key, value in parts:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _changed(state, path, change):
    """A copy of a state in which one part is replaced by ``change(part)``, or taken out where that is `_GONE`."""
    if not path:
        return change(state)
    whole = dict(state) if isinstance(state, Mapping) else list(state)
    part = _changed(whole[path[0]], path[1:], change)
    if part is _GONE:
        del whole[path[0]]
    else:
        whole[path[0]] = part
    return whole if isinstance(state, (Mapping, list)) else tuple(whole)


_GONE = object()
# What no object takes: of an optimiser the numbers of parameters, of a trainer what other classes of its parts have.
_IGNORED = {"params", "loss"}


class _Anything:
    pass


_DAMAGES = {
    "gone": lambda part: _GONE,
    "None": lambda part: None,
    "an object": lambda part: _Anything(),
    "a text": lambda part: "a text",
    "NaN": lambda part: float("nan"),
    "-7": lambda part: -7,
    "a list": lambda part: [None],
    "a mapping": lambda part: {"other": 1},
    "one more": lambda part: [*part, None] if isinstance(part, (list, tuple)) else part,
    "another shape": lambda part: np.zeros((2, 5, 2)),
    "objects": lambda part: np.full(getattr(part, "shape", ()), None, object),
}


def _plain(value):
    """What compares like arrays in nested mappings and sequences, NaN being equal to itself.

    A trainer's weights before the step are left out: a state in the middle of an epoch alone has them.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if key != "weights_before"}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return "nan" if isinstance(value, float) and np.isnan(value) else value


@pytest.mark.parametrize("name", _MADE)
def test_a_damaged_state_is_refused_or_taken_as_it_is(name, tmp_path):
    own, other = _MADE[name](tmp_path)
    before, good = _plain(own.state_dict()), copy.deepcopy(other.state_dict())
    start = copy.deepcopy(own.state_dict())
    faults = []
    for path in [(), *(path for path in _places(good) if path[0] != "architecture")]:  # it has tests of its own
        for damage, change in _DAMAGES.items():
            bad = _changed(good, path, change)
            if bad is _GONE or _plain(bad) == _plain(good):
                continue
            try:
                own.load_state_dict(bad)
            except (ValueError, TypeError, KeyError) as error:
                if _plain(own.state_dict()) != before:
                    faults.append((path, damage, "changed by an error"))
                    own.load_state_dict(start)
                elif not isinstance(error, KeyError) and not re.match(r"\w+(\.load_state_dict)?: ", str(error)):
                    faults.append((path, damage, f"no message: {error!r}"))
            else:
                if not _IGNORED & set(path) and _plain(own.state_dict()) != _plain(bad):
                    faults.append((path, damage, "taken, and is another"))
                own.load_state_dict(start)
    assert not faults, "\n" + "\n".join(map(str, faults))


def test_a_fit_that_was_refused_leaves_the_loaded_state_for_the_next():
    # Batches without a seed, so that they come in the same order only if their key was handed on.
    x, y = _X.astype(np.float32), _Y
    batches, others = (data.Batches(x, y, batch_size=2, shuffle=True) for _ in range(2))
    stopping, other = (training.EarlyStopping(patience=3) for _ in range(2))
    straight, trainer = _trainer(), _trainer()
    straight.fit(batches, _batches(), epochs=2, callbacks=[stopping])
    trainer.load_state_dict(straight.state_dict())
    straight.fit(batches, _batches(), epochs=4, callbacks=[stopping])
    with pytest.raises(ValueError, match=r"^Trainer: the state has 1 callbacks with state, this training 0"):
        trainer.fit(data.Batches(x, y, batch_size=2, shuffle=True), _batches(), epochs=4)
    trainer.fit(others, _batches(), epochs=4, callbacks=[other])
    assert _plain(other.state_dict()) == _plain(stopping.state_dict())
    assert trainer.history == straight.history


def test_callbacks_of_which_one_does_not_fit_stay_as_they_were():
    trainer, stopping = _stopped(2)
    state = trainer.state_dict()
    good = stopping.state_dict()
    state["callbacks"] = [good, good | {"best_weights": {"other": np.zeros(3)}}]
    other = _trainer()
    other.load_state_dict(state)
    both = [training.EarlyStopping(patience=3), training.EarlyStopping(patience=3)]
    before = [_plain(each.state_dict()) for each in both]
    with pytest.raises(ValueError, match=r"^EarlyStopping: the weights in the state do not fit the model"):
        other.fit(_batches(), _batches(), epochs=4, callbacks=both)
    assert [_plain(each.state_dict()) for each in both] == before


def test_the_state_of_a_trainer_that_was_not_trained_since_is_the_one_it_was_given():
    state = _stopped(2)[0].state_dict()
    trainer = _trainer()
    trainer.load_state_dict(state)
    assert _plain(trainer.state_dict()) == _plain(state)


def test_settings_with_sets_are_described_alike_in_every_process():
    code = (
        "from functools import partial; from fastnn._described import described; "
        "print(described(partial(max, key={'names': {'one', 'two', 'three', 'four'}, len: frozenset('abcde')})))"
    )
    texts = {run_python(code, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}
    assert texts == {"max(key={'names': {'four', 'one', 'three', 'two'}, len: {'a', 'b', 'c', 'd', 'e'}})"}
