"""Values and gradients changed in place while something else is under way: other changes, forks, threads."""

import gc
import signal
import threading

import numpy as np
import pytest

import fastnn as fnn
from fastnn.autograd import changes, record
from fastnn.autograd.changes import note_change
from subproc import forked, needs_fork


def test_changes_in_the_middle_of_others():
    """The garbage collector runs finalizers, which may change tensors, wherever it likes."""

    class Cycle:
        def __init__(self, x):
            self.x, self.itself = x, self

        def __del__(self):
            self.x += 1.0

    def work():
        x = fnn.tensor([0.0])
        for _ in range(4000):
            Cycle(x)
            note_change(np.zeros(1))
            changes.changes.first_after(-1, ())
        with changes.changes._lock:  # a signal handler may come just here
            x += 1.0
        gc.collect()
        results.append(x.item())

    results, thresholds = [], gc.get_threshold()
    thread = threading.Thread(target=work, daemon=True)
    gc.set_threshold(1)
    try:
        thread.start()
        thread.join(60)
    finally:
        gc.set_threshold(*thresholds)
    assert results == [4001.0]


@needs_fork
def test_a_fork_while_another_thread_notes_a_change():
    lock = changes.changes._lock
    held, go = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            assert go.wait(20)

    def child():
        signal.alarm(10)
        x, w = fnn.tensor([1.0, 2.0]), fnn.tensor([1.0, 1.0], requires_grad=True)
        y = (w * x).sum()
        y.backward(retain_graph=True)
        x[0] = 5.0
        with pytest.raises(RuntimeError, match="changed in place since"):
            y.backward()
        return w.grad

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        gradient = forked(child)
    finally:
        go.set()
        thread.join(10)
    np.testing.assert_array_equal(gradient, [1.0, 2.0])


def test_a_change_by_another_thread():
    x = fnn.tensor([1.0, 2.0])
    w = fnn.tensor([1.0, 1.0], requires_grad=True)
    loss = (w * x).sum()
    thread = threading.Thread(target=lambda: x.__setitem__(0, 5.0))
    thread.start()
    thread.join(10)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# Gradients that several threads deliver
def _written(w, between):
    """The sum of a parameter, whose gradient the backward writes to its target; before that something else happens."""

    def pull(dy, needs):
        between()
        if needs[0] is True:
            return (np.full(w.shape, dy),)
        needs[0].array[...] = dy
        return (needs[0].array,)

    return record("written", w.data.sum(), (w,), pull)


@pytest.mark.parametrize("other", [lambda w: _written(w, lambda: None), lambda w: w.sum()], ids=["written", "added"])
def test_a_gradient_that_another_backward_delivered_meanwhile(other):
    w = fnn.nn.Parameter(np.ones(3))
    optimiser = fnn.optim.SGD([w], lr=0.25)
    for _ in range(3):
        optimiser.zero_grad()
        before = w.data.copy()
        _written(w, lambda: other(w).backward()).backward()
        np.testing.assert_array_equal(w.grad, [2.0, 2.0, 2.0])
        optimiser.step()
        np.testing.assert_array_equal(w.data, before - 0.5)


@pytest.mark.parametrize("first", [True, False])
def test_backwards_of_two_threads(first):
    layer = fnn.nn.Linear(512, 512, rng=0)
    optimiser = fnn.optim.SGD(layer.parameters(), lr=0.1)
    x = np.ones((8, 512), np.float32)

    def work(start):
        start.wait(10)
        for _ in range(4):
            layer(x).sum().backward()

    for _ in range(15):
        optimiser.zero_grad()
        if not first:
            layer(x).sum().backward()
        start = threading.Barrier(2)
        threads = [threading.Thread(target=work, args=(start,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        for p in layer.parameters():
            np.testing.assert_array_equal(p.grad, 8.0 * (8 + (not first)))
