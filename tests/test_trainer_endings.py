"""How a training ends before its time: interrupts, and numbers that are not finite."""

import math
import os
import signal
import threading

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, Trainer
from learners import LABELS, NUMBERS, Given, Interrupt, X, batches, bits, network, trainer


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
