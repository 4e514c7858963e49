"""Steps of a training that are taken back afterwards."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from ..autograd import enable_grad
from .figures import Figures
from .generators import find_generators
from .loader import Loader
from .passes import NotFinite
from .preserved import preserved
from .trainer import Trainer


@contextmanager
def steps_aside(op: str, trainer: Trainer, train: Any) -> Iterator[Iterator[float]]:
    """Let a trainer make steps that change nothing in the end.

    Parameters
    ----------
    op : str
        What messages begin with.
    trainer : Trainer
        In any state, also in the middle of an epoch.
    train : Batches or iterable of batches
        What `Trainer.fit` takes. It is gone through from the batch on that the training would take next, again and again.

    Yields
    ------
    iterator of float
        Each ``next`` makes one step, as `Trainer.fit` would: with its clipping, accumulation, schedules, frozen layers and
        weights of samples. It gives the step's loss, the mean over its samples before the weights changed. A loss that is
        not finite, or NaN where the norm of the gradients is not, is the last one, and no step is made then. Steps that count
        for nothing, since all their weights are 0, are passed over.

    Raises
    ------
    TypeError, ValueError
        As `Trainer.fit`, for batches that don't fit; ValueError if a whole pass counts for nothing, or nothing is trained.
    """
    if not any(parameter.requires_grad for group in trainer.optimizer.param_groups for parameter in group["params"]):
        raise ValueError(
            f"{op}: no parameter of the optimiser is trained: requires_grad is False for all; see Module.requires_grad_"
        )
    loader = Loader("train", train, op=op)
    with_state = [train] if hasattr(type(train), "load_state_dict") else find_generators(train)
    with preserved(trainer.model, trainer.optimizer, trainer.loss, trainer._schedules, *with_state):
        aside = copy.copy(trainer)
        aside._follow_generators()
        if loader.length is not None and aside.position >= loader.length:
            aside.position = 0
        with enable_grad(), aside._training_modes(), closing(_losses(op, aside, loader)) as losses:
            yield losses


def _losses(op: str, aside: Trainer, loader: Loader) -> Generator[float]:
    while True:
        begins, counted = aside.position == 0, False
        with closing(loader.samples(aside.epoch, aside.position)) as samples:
            try:
                for loss in _losses_of_pass(aside, samples):
                    counted = True
                    yield loss
            except NotFinite:
                yield math.nan if math.isfinite(aside.last_loss) else aside.last_loss
                return
        if begins and not counted:
            raise ValueError(f"{op}: there was no batch to take, or none whose samples count")
        aside.epoch, aside.position = aside.epoch + 1, 0


def _losses_of_pass(aside: Trainer, samples: Generator[Any]) -> Generator[float]:
    aside._figures = Figures(aside.loss, {})
    with closing(aside._steps(samples, lambda loss: None)) as steps:
        for _ in steps:
            loss = aside._figures.result()["loss"]
            if not math.isnan(loss):  # NaN is that of a step whose samples count for nothing
                yield loss
            aside._figures = Figures(aside.loss, {})
