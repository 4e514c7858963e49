"""The learning-rate range test."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..checks import integer, real
from ..optim import Optimizer
from ..training import Trainer
from ..training.aside import steps_aside
from ..training.findings import Result
from .lr_rule import Average, Floats, first_judged, has_risen, judged
from .taken import batches_of, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class LRRange(Result):
    """What a learning-rate range test saw.

    Parameters
    ----------
    findings : tuple of Finding
        "learning rate" or "not finite", the most severe first.
    lrs : ndarray, (steps,)
        The rate of each step that was made; of several parameter groups the highest.
    losses : ndarray, (steps,)
        The loss of each step, before the weights changed.
    smoothed : ndarray, (steps,)
        Their exponential average, corrected for its beginning.
    rate : float or None
        The suggestion; `suggested` says why there is none.
    usable : (float, float) or None
        From the rate at which the loss begins to fall to the one at which it is lowest.
    shares : tuple of float
        The rate of each parameter group as a share of the highest.
    """

    title: ClassVar[str] = "learning-rate range test"
    lrs: Floats
    losses: Floats
    smoothed: Floats
    rate: float | None
    usable: tuple[float, float] | None
    shares: tuple[float, ...]

    @property
    def suggested(self) -> float:
        """The rate to train with; of several parameter groups the highest.

        Raises
        ------
        ValueError
            If there is none, with the reason.
        """
        if self.rate is None:
            raise ValueError(f"lr_range_test: there is no rate to suggest: {self.findings[0].message}")
        return self.rate

    @property
    def rates(self) -> tuple[float, ...]:
        """The suggestion for each parameter group.

        Raises
        ------
        ValueError
            If there is none, with the reason.
        """
        return tuple(self.suggested * share for share in self.shares)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw it with `fastnn.plots.lr_range`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, by default in a new figure.

        Returns
        -------
        Axes
        """
        from ..plots import lr_range

        return lr_range(self.lrs, self.losses, self.smoothed, suggested=self.rate, usable=self.usable, ax=ax)


def lr_range_test(
    trainer: Trainer, train: Iterable[Any], *, low: float = 1e-6, high: float = 10.0, steps: int = 100
) -> LRRange:
    """Find a learning rate, by steps whose rate grows from one to the next.

    Parameters
    ----------
    trainer : Trainer
        In any state. It makes the steps as it would in `Trainer.fit`: with its clipping, accumulation, weights of samples and
        frozen layers, and with schedules for other settings than the rate. Afterwards everything is as it was, to the bit.
    train : Batches, iterable of batches, or (x, y)
        What it trains on, from the batch on that it would take next, again and again.
    low, high : float
        The first and the last rate. They are those of the parameter group with the highest rate; others keep their ratio to it.
    steps : int
        Steps from one to the other, at least 20.

    Returns
    -------
    LRRange
        With the suggestion, ``suggested``. Of a schedule it is the highest rate.

    Raises
    ------
    TypeError, ValueError
        If there is no trainer, a number does not fit, or the batches don't; ValueError if no parameter is trained.

    Notes
    -----
    The losses are averaged exponentially over 0.7 decades of the rate, ``s = β·s + (1 - β)·loss`` with β = 0.9 for 100 steps
    over seven decades, and divided by ``1 - β^n``. The suggestion is the rate at which 60 % of the fall of the average is done,
    but at most a fifteenth of the rate at which it is lowest, where the first tenth of the steps and the last twentieth don't
    count. The test ends early when the average is four times the lowest one. docs/rates.md says how well this does.

    Source: Smith, "Cyclical learning rates for training neural networks" (2017); the rule was chosen among others by regret.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.data import Batches
    >>> from fastnn.diagnosis import lr_range_test
    >>> from fastnn.training import Trainer
    >>> x = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> model = fnn.nn.Sequential(fnn.nn.Linear(8, 16, rng=0), fnn.nn.ReLU(), fnn.nn.Linear(16, 2, rng=1))
    >>> trainer = Trainer(model, fnn.optim.Adam(model.parameters()))
    >>> found = lr_range_test(trainer, Batches(x, y, batch_size=32, shuffle=True, rng=0))
    >>> 1e-3 < found.suggested < 0.3
    True
    >>> trainer.optimizer.lr = found.suggested
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"lr_range_test: trainer must be a Trainer, got {type(trainer).__name__}")
    low = real("lr_range_test", "low", low, 0.0, open_low=True)
    high = real("lr_range_test", "high", high, low, open_low=True)
    steps = integer("lr_range_test", "steps", steps, 20)
    shares = _shares(trainer.optimizer)
    lrs = np.geomspace(low, high, steps)
    train = batches_of("lr_range_test", train)
    with named("lr_range_test"):
        losses = _swept(trainer, train, lrs, shares)
    verdict = judged(lrs, losses)
    made = lrs[: len(losses)].copy()
    return LRRange(verdict.findings, made, losses, verdict.smoothed, verdict.rate, verdict.usable, shares)


def _shares(optimizer: Optimizer) -> tuple[float, ...]:
    """The rates of the groups as shares of the highest, without what a schedule makes of them."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    scheduled = optimizer._scheduled.get("lr")
    if scheduled is not None:  # a schedule that is not relative gives all groups the same rate
        rates = list(scheduled.base) if scheduled.relative else [1.0] * len(rates)
    highest = max(rates)
    return tuple(rate / highest if highest else 1.0 for rate in rates)


def _swept(trainer: Trainer, train: Iterable[Any], lrs: Floats, shares: tuple[float, ...]) -> Floats:
    """The losses of the steps until one is not finite, or their average has risen."""
    losses: list[float] = []
    average, lowest = Average(lrs), math.inf
    with steps_aside("lr_range_test", trainer, train) as steps:
        for lr in lrs:
            for group, share in zip(trainer.optimizer.param_groups, shares, strict=True):
                group["lr"] = float(lr) * share
            losses.append(next(steps))
            smoothed = average(losses[-1])
            if not math.isfinite(smoothed) or has_risen(smoothed, lowest, losses[0]):
                break
            if len(losses) > first_judged(len(lrs)):
                lowest = min(lowest, smoothed)
    return np.array(losses)
