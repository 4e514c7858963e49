"""Callbacks of a trainer and the order of its events; early stopping."""

import math

import pytest

from fastnn.data import Batches
from fastnn.training import Checkpoint, EarlyStopping
from learners import LABELS, Given, X, batches, bits, trainer

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
