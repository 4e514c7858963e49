"""Looks, copies and states in the middle of a training: it goes on to the same bits."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn.training import EarlyStopping, Trainer, preserved
from learners import LABELS, Interrupt, X, batches, bits, complicated, network, trainer

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
