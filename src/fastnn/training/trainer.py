"""The training loop (SPEC J1): train, validate, record; to be read before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import functional
from ..autograd import Tensor, no_grad, raw
from ..checks import integer
from ..data import Batches
from ..nn import Module
from ..nn.intercept import evaluation
from ..optim import Optimizer
from .metrics import accuracy, fits
from .progress import ProgressBar

Metric = Callable[[Any, Any], float]
Record = dict[str, Any]


def _holds_classes(target: Any, scores: tuple[int, ...]) -> bool:
    labels = np.asarray(raw(target))
    return labels.dtype.kind in "iu" and fits(labels.shape, scores)


def cosine_decay(lr: float, steps: int) -> Callable[[int], float]:
    """A learning rate that falls from `lr` at step 0 to nearly 0 at the last step, along half a cosine.

    ``lr/2 · (1 + cos(π · step/steps))``. Source: SPEC G11; Loshchilov and Hutter 2017.

    Parameters
    ----------
    lr : float
        The rate to start from.
    steps : int
        Optimiser steps in all; from this one on the rate is 0.

    Returns
    -------
    callable
        ``schedule(step)``, with steps counted from 0; what `Trainer` takes.

    Raises
    ------
    ZeroDivisionError
        For ``steps=0``, when the schedule is called.

    Examples
    --------
    >>> from fastnn.training import cosine_decay
    >>> schedule = cosine_decay(0.1, 100)
    >>> schedule(0), round(schedule(50), 6)
    (0.1, 0.05)
    """
    return partial(_cosine, lr, steps)  # which can be pickled, and a Trainer with it


def _cosine(lr: float, steps: int, step: int) -> float:
    return lr * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


class Trainer:
    """Trains a model and keeps the history.

    Parameters
    ----------
    model : Module
        Called with the inputs of a batch.
    optimizer : Optimizer
        Over the parameters of the model.
    loss : callable
        ``loss(output, target)``: the mean over the batch, as a Tensor. Cross-entropy by default.
    metrics : mapping of str to callable, optional
        ``metric(output, target)``: a mean over the batch, as a number. By default ``{"accuracy": accuracy}`` for
        targets that are classes, and none for others.
    schedule : callable, optional
        ``schedule(step)`` gives the learning rate of each optimiser step, counted from 0.

    Attributes
    ----------
    epoch, step : int
        Epochs and optimiser steps done.
    history : list of dict
        One record per epoch: ``epoch``, ``lr``, ``train_loss``, ``train_accuracy``, ``validation_loss``, ….
        Training figures are means over the batches as they were trained on: with augmentation and dropout.
    stop : bool
        A callback sets it to end training after this epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.data import Batches
    >>> from fastnn.training import Trainer
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> model = fnn.nn.Sequential(fnn.nn.Linear(2, 2, rng=0))
    >>> trainer = Trainer(model, fnn.optim.Adam(model.parameters(), lr=0.1))
    >>> history = trainer.fit(Batches(x, y, batch_size=16, shuffle=True, rng=0), epochs=5)
    >>> history[-1]["train_loss"] < history[0]["train_loss"]
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Tensor] = functional.cross_entropy,
        *,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = {} if metrics is None else dict(metrics)
        self._accuracy_of_classes = metrics is None
        self.schedule = schedule
        self.epoch = 0
        self.step = 0
        self.history: list[Record] = []
        self.stop = False

    def fit(
        self,
        train: Batches,
        validation: Iterable[tuple[Any, ...]] | None = None,
        *,
        epochs: int,
        callbacks: Iterable[Callable[[Trainer], None]] = (),
        progress: ProgressBar | None = None,
    ) -> list[Record]:
        """Train until `epochs` epochs are done in all, those before a resume counted.

        Parameters
        ----------
        train : Batches
            Batches of (input, target).
        validation : iterable of batches, optional
            Evaluated after each epoch.
        epochs : int
            The epoch to stop after.
        callbacks : iterable of callables
            Each is called with the trainer after each epoch; ``trainer.history[-1]`` is the epoch's record.
        progress : ProgressBar, optional
            Advanced by one for each batch trained on.

        Returns
        -------
        list of dict
            The history.
        """
        self.stop = False
        while self.epoch < epochs and not self.stop:
            if progress is not None:
                progress.label = f"epoch {self.epoch + 1}/{epochs}"
            record: Record = {"epoch": self.epoch + 1}
            record |= {f"train_{name}": value for name, value in self.train_epoch(train, progress).items()}
            record["lr"] = self.optimizer.lr
            if validation is not None:
                record |= {f"validation_{name}": value for name, value in self.evaluate(validation).items()}
            self.epoch += 1
            self.history.append(record)
            for callback in callbacks:
                callback(self)
        return self.history

    def train_epoch(self, batches: Iterable[tuple[Any, ...]], progress: ProgressBar | None = None) -> dict[str, float]:
        """One pass over the batches, with every layer in training mode; the means of loss and metrics."""
        self.model.train()
        means = _Means()
        for inputs, target in batches:
            if self.schedule is not None:
                self.optimizer.lr = self.schedule(self.step)
            self.optimizer.zero_grad()
            output = self.model(inputs)
            loss = self.loss(output, target)
            loss.backward()
            self.optimizer.step()
            self.step += 1
            means.add(len(target), self._figures(output, target, loss))
            if progress is not None:
                progress.note = f"loss {means.current['loss']:.4f}"
                progress.advance()
        return means.result()

    def evaluate(self, batches: Iterable[tuple[Any, ...]]) -> dict[str, float]:
        """The means of loss and metrics in evaluation mode; afterwards each layer is in the mode it was in."""
        means = _Means()
        with evaluation(self.model), no_grad():
            for inputs, target in batches:
                output = self.model(inputs)
                means.add(len(target), self._figures(output, target, self.loss(output, target)))
        return means.result()

    def state_dict(self) -> dict[str, Any]:
        """Counters and history, and the states of model and optimiser: with the generators, all that a resume needs."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "history": [dict(record) for record in self.history],
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Everything is checked before anything is changed.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing or does not fit, as of `Module.load_state_dict` and `Optimizer.load_state_dict`.
        """
        epoch, step = (integer("Trainer", name, state[name], 0) for name in ("epoch", "step"))
        history = [dict(record) for record in state["history"]]
        self.optimizer._checked_state(state["optimizer"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.history = epoch, step, history

    def _figures(self, output: Any, target: Any, loss: Any) -> dict[str, float]:
        metrics = self.metrics
        if self._accuracy_of_classes and _holds_classes(target, np.shape(raw(output))):
            metrics = {"accuracy": accuracy, **metrics}
        return {"loss": float(raw(loss))} | {name: metric(output, target) for name, metric in metrics.items()}


class _Means:
    """Means over samples, from means over batches."""

    def __init__(self) -> None:
        self.current: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._samples = 0

    def add(self, samples: int, figures: dict[str, float]) -> None:
        self.current = figures
        self._samples += samples
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + samples * value

    def result(self) -> dict[str, float]:
        if not self._samples:
            raise ValueError("Trainer: there was no batch to take")
        return {name: value / self._samples for name, value in self._sums.items()}
