"""The training loop: train, validate, record, save; to be read before it is used."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import functional
from .._described import described
from .._files import grouped
from ..autograd import enable_grad
from ..checks import integer, real
from ..nn import Module
from ..optim import Optimizer, ReduceOnPlateau, Schedule
from .arguments import (
    check_parameters,
    checked_loss,
    checked_metrics,
    checked_schedules,
    refuse_two_for_one_setting,
    settings_of_groups,
)
from .callbacks import Callback, Callbacks
from .checkpoints import Checkpoint
from .constant import Baseline, Constant, constant_of_training
from .display import Display
from .figures import Figures, Loss, Metric, Objective
from .history import History, Record
from .interrupts import Interrupts
from .loader import Loader
from .loss_spread import LossSpread
from .not_finite import begin_anew_where_not_finite, first_not_finite
from .passes import NotFinite, Passes, frozen_layers
from .state import described_architecture
from .streams import Streams

Rule = Callable[[int], float]
_EVALUATED_SAMPLES = 10_000  # at most so many of the training part are evaluated by evaluate_train


@dataclass
class _Run:
    """What one call of `Trainer.fit` works with."""

    train: Loader
    validation: Loader | None
    evaluated: Loader | None
    epochs: int
    callbacks: Callbacks
    checkpoint: Checkpoint | None
    settings: dict[str, Any]
    architecture: dict[str, Any] | None
    display: Display
    interrupts: Interrupts


class Trainer(Passes):
    """Trains a model, keeps the history, and goes on where it was interrupted.

    Parameters
    ----------
    model : Module
        Called with the inputs of a batch.
    optimizer : Optimizer
        Over the parameters of the model.
    loss : callable
        ``loss(output, target)``: the mean over the batch, as a Tensor. Cross-entropy by default. Batches with weights need
        one that takes ``reduction="none"``, as those of `fastnn.functional`.
    metrics : mapping of str to callable, optional
        ``metric(output, target)`` gives a number, and is called with the outputs and targets of a whole pass; with
        ``weight=`` where batches have weights. By default the accuracy for targets that are classes and under binary
        cross-entropy with logits, R² for at most 100 numbers per sample under squared, absolute or Huber error, and nothing
        for others.
    schedule : callable, Schedule, ReduceOnPlateau or a list of them, optional
        A rule of `fastnn.optim` or another function of the number of steps, whose factor multiplies the rate that each
        group has now. A `ReduceOnPlateau` is stepped after each epoch, by the validation loss or, without one, the
        training loss.
    clip_norm : float, optional
        Gradients are scaled to at most this norm, all together.
    clip_value : float, optional
        Elements of gradients are limited to at most this size.
    accumulate : int
        How many batches a step is made of, each counted by its samples.

    Attributes
    ----------
    epoch, step : int
        Epochs and optimiser steps done.
    position : int
        Batches done of the epoch that is under way.
    history : History
        One record per epoch, also of one that ended by a loss that is not finite: ``epoch``, ``train_loss``,
        ``train_accuracy``, ``lr`` (``lr_0``, ``lr_1``, … of several groups), ``validation_loss``, …. Training figures are of
        the batches as they were trained on: with augmentation and dropout, by weights that changed meanwhile.
        ``validation_loss_se`` is the standard error of the loss over the samples, where the loss takes
        ``reduction="none"``. ``history.verdict()`` says what they mean.
    last_loss : float
        Of the last batch.
    resumed_at : tuple of int or None
        The epoch, counted from 1, and the batch at which the last `fit` went on from a file.
    validates : bool
        Whether the last `fit` was given a validation part.
    stop : bool
        A callback sets it to end the training: at once, or with the epoch if that is over.

    Raises
    ------
    TypeError, ValueError
        If something is of the wrong kind, or a number does not fit.

    Notes
    -----
    **Batches** are (input, target) or (input, target, weight per sample); a tuple in the place of the input stands for
    several. With weights, losses and metrics are means ``sum(w·l) / sum(w)``.

    **Modes.** Layers in evaluation mode within a model in training mode are frozen, and stay so. A model that is in
    evaluation mode as a whole is trained as it was when the trainer was made. Afterwards each layer is in the mode it had.

    **Randomness.** Before each batch, the generators of the layers are set to a function of their first state and the number
    of the batch, and `Batches` are taken by the number of the epoch. So nothing that is done in between changes a training.

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
    >>> bool(history["train_loss"][-1] < history["train_loss"][0])
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss = functional.cross_entropy,
        *,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Rule | Schedule | ReduceOnPlateau | Iterable[Any] | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
    ) -> None:
        if not isinstance(model, Module) or not isinstance(optimizer, Optimizer):
            found = f"{type(model).__name__} and {type(optimizer).__name__}"
            raise TypeError(f"Trainer: expected a Module and an Optimizer, got {found}")
        check_parameters(model, loss, optimizer)
        self.model = model
        self.optimizer = optimizer
        self.loss = checked_loss("Trainer", loss)
        self.metrics = checked_metrics(metrics)
        self.clip_norm = None if clip_norm is None else real("Trainer", "clip_norm", clip_norm, 0.0, open_low=True)
        self.clip_value = None if clip_value is None else real("Trainer", "clip_value", clip_value, 0.0, open_low=True)
        self.accumulate = integer("Trainer", "accumulate", accumulate, 1)
        self._objective = Objective(loss)
        self._schedules = list(checked_schedules(optimizer, schedule))
        refuse_two_for_one_setting(self._schedules)
        self._schedule = described(list(schedule) if isinstance(schedule, list | tuple) else schedule)
        self._settings_of_groups = settings_of_groups(optimizer)
        self.epoch = self.step = self.position = 0
        self.history = History()
        self.last_loss = math.nan
        self.resumed_at: tuple[int, int] | None = None
        self.stop = self.validates = False
        self._batches_seen = 0
        self._under_way = 0  # the number in its epoch of the batch that is trained on
        self._figures: Figures | None = None  # those of the epoch that is under way
        self._weights_before: dict[str, Any] = {}  # the weights when that epoch began
        self._rates: list[float] = []  # the groups' rates in the last step
        self._frozen = frozen_layers(model)
        self._streams = Streams([])
        self._callbacks = Callbacks(())
        self._train: Loader | None = None
        self._waiting: dict[str, Any] | None = None  # parts of a loaded state that only the next fit can take

    def __repr__(self) -> str:
        weights = grouped(sum(parameter.size for parameter in self.model.parameters()))
        rates = "/".join(f"{rate:g}" for rate in dict.fromkeys(group["lr"] for group in self.optimizer.param_groups))
        return (
            f"Trainer({type(self.model).__name__} of {weights} parameters, {type(self.optimizer).__name__}(lr={rates}), "
            f"{described(self.loss)}; {self.epoch} epochs and {self.step} steps done)"
        )

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        epochs: int,
        callbacks: Iterable[Callback] = (),
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
        progress: Any = "auto",
        evaluate_train: bool = False,
    ) -> History:
        """Train until `epochs` epochs are done in all, those before counted.

        Parameters
        ----------
        train : Batches or iterable of batches
            What to train on, once per epoch.
        validation : iterable of batches, optional
            Evaluated after each epoch.
        epochs : int
            The epoch to end after.
        callbacks : iterable
            Functions, called with the trainer after each epoch; and objects with any of the methods ``on_fit_start``,
            ``on_epoch_start``, ``on_step_start``, ``on_step``, ``on_epoch_end``, ``on_fit_end``, ``on_interrupt`` and
            ``on_fit_exit``, which is called last, after an exception too; each is called with the trainer. Those with ``state_dict`` and ``load_state_dict`` are saved with the training.
        checkpoint : path or Checkpoint, optional
            The file to save to: after each epoch, by Ctrl-C, at the end, and as often as a `Checkpoint` says. If it is
            there, the training goes on from it, to the bits that it would have had without a break.
        progress : "auto", bool, None or object
            "auto" shows a bar and a line for each epoch on stderr where that is a terminal, True always. A `ProgressBar`,
            or another object with ``update(n)`` as tqdm's, is advanced by one for each batch.
        evaluate_train : bool
            Whether to evaluate up to 10 000 samples of the training part too, in evaluation mode and without augmentation:
            ``training_loss`` and so on, which can be compared with those of the validation.

        Returns
        -------
        History
            The history; its ``stopped`` says why the training ended early.

        Raises
        ------
        TypeError, ValueError
            If an iterator is given where batches are taken more than once, there is no batch, or something does not fit.
            Nothing is trained then.
        CheckpointError
            If the file is of a training with other settings or layers, or no checkpoint.
        OSError
            If the file cannot be read or written; the training goes on where it was when `fit` is called again.

        Warns
        -----
        RuntimeWarning
            If a loss is not finite, or a weight after an epoch's last step. The training ends at that step, the model has the
            weights of the epoch's start (or the best ones, with `EarlyStopping`), and the warning says in which layer the first
            such number is. Averages of the optimiser that are not finite either begin anew.

        Notes
        -----
        The first Ctrl-C ends the training after the step; it is saved, and the history is returned. A second one raises
        KeyboardInterrupt at once.
        """
        epochs = integer("Trainer", "epochs", epochs, 0)
        loader = Loader("train", train)
        judged = None if validation is None else Loader("validation", validation)
        called = Callbacks(callbacks)
        saved = checkpoint if checkpoint is None or isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        made_of = described_architecture(self.model) if saved is not None else None
        settings = self._settings(loader, called)
        if self._figures is not None and self._train is not None and self._train.batches is train:
            loader.load_state_dict(self._train.state_dict())  # so that the pass that is under way comes again
        self._train, self._callbacks, self.validates = loader, called, judged is not None
        self._follow_generators()
        self.resumed_at = None
        if saved is not None:
            self._resume(saved, settings, made_of)
        self._hand_out_state()
        length = loader.length or 0
        display = Display(progress, epochs, epochs * length, self.epoch * length + self.position)
        evaluated = loader.for_evaluation(_EVALUATED_SAMPLES) if evaluate_train else None
        run = _Run(loader, judged, evaluated, epochs, called, saved, settings, made_of, display, Interrupts())
        try:
            with self._training_modes(), enable_grad(), run.interrupts:
                self._run(run)
        finally:
            called.call("on_fit_exit", self)
            display.close()
        return self.history

    def _run(self, run: _Run) -> None:
        self.stop, self.history.stopped, self.history.interrupted, self.history.restored = False, None, False, None
        del self.history.records[self.epoch :]  # the record of an epoch that went wrong and is done again
        if self.resumed_at is not None and run.checkpoint is not None:
            epoch, batch = self.resumed_at
            path, done = run.checkpoint.path, self.epoch >= run.epochs
            run.display.say(f"{path} is at its end" if done else f"resuming {path} at epoch {epoch}, batch {batch}")
        run.callbacks.call("on_fit_start", self)
        went_wrong = False
        while self.epoch < run.epochs and not self.stop and not run.interrupts.asked:
            try:
                self._go_through_epoch(run)
            except NotFinite as found:
                went_wrong = True
                self._give_up(found)
                break
        interrupted = run.interrupts.asked and not went_wrong
        if interrupted:
            self._interrupt(run)
        elif self.stop and self.history.stopped is None and self.epoch < run.epochs:
            self.history.stopped = f"stopped by a callback {self._place(run)}"
        run.callbacks.call("on_fit_end", self)
        if run.checkpoint is not None and not interrupted and not went_wrong:
            self._save(run)
        if run.interrupts.asked and not interrupted:  # Ctrl-C came when there was nothing left to end
            self.history.interrupted = True
            self.history.stopped = self.history.stopped or f"interrupted after epoch {self.epoch}"

    def _go_through_epoch(self, run: _Run) -> None:
        if self._figures is None:
            self._begin_epoch(run)
        run.display.begin_epoch(self.epoch + 1)
        self._train_on_rest(run)
        if self.stop or run.interrupts.asked:
            return
        self._require_finite_weights()
        record = self._record(run)
        if record is None:  # Ctrl-C came in the validation, which is done again
            return
        self.epoch, self.position, self._figures = self.epoch + 1, 0, None
        run.train.begin_pass()  # a state that is saved between two passes belongs to the next one
        self.history.records.append(record)
        for schedule in self._schedules:
            if isinstance(schedule, ReduceOnPlateau):
                schedule.step(record["validation_loss" if "validation_loss" in record else "train_loss"])
        run.callbacks.call("on_epoch_end", self)
        run.display.end_epoch(record)
        if run.checkpoint is not None:
            self._save(run, epoch=self.epoch)

    def _begin_epoch(self, run: _Run) -> None:
        self._figures = self._new_figures(self.epoch)
        self._weights_before = self._weights()
        run.train.begin_pass()
        run.callbacks.call("on_epoch_start", self)

    def _train_on_rest(self, run: _Run) -> None:
        """The batches of the epoch that are left."""
        with (
            closing(run.train.samples(self.epoch, self.position)) as samples,
            closing(self._steps(samples, run.display.batch)) as steps,
        ):
            for _ in steps:
                if self._after_step(run):
                    return

    def _after_step(self, run: _Run) -> bool:
        """Tell and save; returns whether the training is to end here."""
        for callback in run.callbacks.wanted("on_step"):
            callback(self)
        every = run.checkpoint.every if run.checkpoint is not None else None
        if every is not None and self.step % every == 0:
            self._save(run)
        return run.interrupts.asked or self.stop

    def _record(self, run: _Run) -> Record | None:
        """The record of an epoch; None if Ctrl-C came meanwhile."""
        assert self._figures is not None
        record: Record = {"epoch": self.epoch + 1}
        self._streams.at(self._batches_seen)  # for layers that draw in evaluation mode too
        record |= {f"train_{name}": value for name, value in self._figures.result().items()}
        record |= self._recorded_rates()
        constant = self._constant()
        baseline = None if constant is None else Baseline(constant.loss, constant.words)
        for part, batches in (("training", run.evaluated), ("validation", run.validation)):
            if batches is not None:
                spread = LossSpread(self._objective, constant if part == "validation" else None)
                figures = self._evaluate(batches, run.interrupts, spread)
                if figures is None:
                    return None
                error = spread.error(figures["loss"])
                known = {} if error is None else {"loss_se": error}
                figures = {"loss": figures["loss"], **known, **figures}
                record |= {f"{part}_{name}": value for name, value in figures.items()}
                baseline = spread.baseline(constant) if constant is not None else None
        self.history.baseline = baseline or self.history.baseline
        return record

    def _constant(self) -> Constant | None:
        """The best constant prediction for the first targets, at the end of the first pass."""
        assert self._figures is not None
        targets = self._figures.targets.result() if self._figures.targets is not None else None
        return None if targets is None else constant_of_training(self.loss, *targets)

    def _recorded_rates(self) -> Record:
        several = len(self._rates) > 1
        return {f"lr_{i}" if several else "lr": float(rate) for i, rate in enumerate(self._rates)}

    # ---- the ends ----------------------------------------------------------------------------------------------------

    def _interrupt(self, run: _Run) -> None:
        """Save, and say where it was."""
        self.history.interrupted = True
        text = f"interrupted {self._place(run)}"
        if run.checkpoint is not None:
            self._save(run)
            text += f"; saved to {run.checkpoint.path}"
        self.history.stopped = text
        run.display.say(text)
        run.callbacks.call("on_interrupt", self)

    def _place(self, run: _Run) -> str:
        if self._figures is None:
            return f"after epoch {self.epoch}"
        length = f" of {run.train.length}" if run.train.length is not None else ""
        return f"in epoch {self.epoch + 1} after batch {self.position}{length}"

    def _give_up(self, found: NotFinite) -> None:
        """Find out where it began, put the weights of the epoch's start back, and warn."""
        largest = max((float(np.abs(p.data).max(initial=0)) for p in self.model.parameters()), default=0.0)
        what = "; ".join([str(found), *self._origin(found)])
        rates = ", ".join(f"{rate:g}" for rate in dict.fromkeys(g["lr"] for g in self.optimizer.param_groups))
        self.history.stopped = (
            f"stopped in epoch {self.epoch + 1} at batch {self._under_way + 1} (step {self.step + bool(found.samples)}): "
            f"{what}. Learning rate {rates}, largest weight {largest:.3g}"
        )
        self.history.records.append({"epoch": self.epoch + 1, "train_loss": math.nan, **self._recorded_rates()})
        self._set_weights(self._weights_before)
        self.optimizer.zero_grad()
        begin_anew_where_not_finite(self.optimizer)
        self.position, self._figures = 0, None
        warnings.warn(f"fastnn: training {self.history.stopped}", RuntimeWarning, stacklevel=4)

    def _origin(self, found: NotFinite) -> Iterator[str]:
        """Where the first number is that is not finite, found by running the batches of the step again."""
        of_loss = self._weights_before["loss"] or {}
        before = self._weights_before["model"] | {f"loss.{name}": value for name, value in of_loss.items()}
        first = self._under_way + 1 - len(found.samples)
        for number, sample in enumerate(found.samples, first):
            self._streams.at(self._batches_seen + number - self.position)
            rows = self._train.rows(self.epoch, number) if self._train is not None else None
            where = first_not_finite(self.model, self._objective, sample, before, rows)
            if where is not None:
                yield where
                return

    def _save(self, run: _Run, epoch: int | None = None) -> None:
        assert run.checkpoint is not None
        run.checkpoint.save(self._state() | {"architecture": run.architecture}, run.settings, epoch)
