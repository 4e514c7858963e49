"""The learning-rate range test (SPEC J5)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import integer, real
from ..optim import Optimizer
from ..training import Trainer
from ..training.aside import steps_aside
from ..training.findings import Finding, Result, most_severe_first, worst

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

SOURCE = "Smith 2017; docs/rates.md"
BELOW_MINIMUM = 10.0
"""By how much the suggestion is below the rate of the lowest loss. Source: docs/rates.md."""
MEMORY = 0.7
"""Over how many decades of the rate losses are averaged: 0.9 per step for 100 steps over seven decades. Source: docs/rates.md."""
LEFT_OUT = 0.1, 0.05
"""The shares of the steps at the beginning and the end that are not looked at for the lowest loss. Source: docs/rates.md."""
RISEN = 4.0
"""The test ends when the loss is this many times the lowest one. Source: fastai's lr_find."""
FELL = 0.05
"""By which share of itself the loss must fall. Source: docs/rates.md."""
SCATTER = 1.0
"""Losses that scatter by more than this many times their fall tell little. Source: docs/rates.md."""


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
    usable : (float, float) or None
        From the rate at which the loss begins to fall to the one at which it is lowest.
    shares : tuple of float
        The rate of each parameter group as a share of the highest.
    """

    title: ClassVar[str] = "learning-rate range test"
    lrs: Floats
    losses: Floats
    smoothed: Floats
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
        if self.usable is None:
            raise ValueError(f"lr_range_test: there is no rate to suggest: {self.findings[0].message}")
        return self.usable[1] / BELOW_MINIMUM

    @property
    def rates(self) -> tuple[float, ...]:
        """The suggestion for each parameter group.

        Raises
        ------
        ValueError
            If there is none, with the reason.
        """
        return tuple(self.suggested * share for share in self.shares)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name and the suggestion, as JSON takes them."""
        return super().to_dict() | {"suggested": None if self.usable is None else self.suggested}

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

        suggested = None if self.usable is None else self.suggested
        drawn: Axes = lr_range(self.lrs, self.losses, self.smoothed, suggested=suggested, usable=self.usable, ax=ax)
        return drawn


def lr_range_test(
    trainer: Trainer, train: Iterable[Any], *, low: float = 1e-6, high: float = 10.0, steps: int = 100
) -> LRRange:
    """Find a learning rate, by steps whose rate grows from one to the next (SPEC J5).

    Parameters
    ----------
    trainer : Trainer
        In any state. It makes the steps as it would in `Trainer.fit`: with its clipping, accumulation, weights of samples and
        frozen layers, and with schedules for other settings than the rate. Afterwards everything is as it was, to the bit.
    train : Batches or iterable of batches
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
        If there is no trainer, a number does not fit, or the batches don't.

    Notes
    -----
    The losses are averaged exponentially over 0.7 decades of the rate, ``s = β·s + (1 - β)·loss`` with β = 0.9 for 100 steps
    over seven decades, and divided by ``1 - β^n``. The suggestion is a tenth of the rate at which the average is lowest,
    where the first tenth of the steps and the last twentieth don't count. The test ends early when the average is four times
    as high. docs/rates.md says how well this does.

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
    losses = _swept(trainer, train, lrs, shares)
    return _judged(lrs, losses, shares)


def _shares(optimizer: Optimizer) -> tuple[float, ...]:
    """The rates of the groups as shares of the highest, without what a schedule makes of them."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    scheduled = optimizer._scheduled.get("lr")
    if scheduled is not None:  # an absolute one gives all groups the same
        rates = list(scheduled.base) if scheduled.relative else [1.0] * len(rates)
    highest = max(rates)
    return tuple(rate / highest if highest else 1.0 for rate in rates)


def _swept(trainer: Trainer, train: Iterable[Any], lrs: Floats, shares: tuple[float, ...]) -> Floats:
    """The losses of the steps until one is not finite, or their average has risen."""
    losses: list[float] = []
    average = _Average(_decay(lrs))
    lowest = math.inf
    with steps_aside(trainer, train) as steps:
        for lr in lrs:
            for group, share in zip(trainer.optimizer.param_groups, shares, strict=True):
                group["lr"] = float(lr) * share
            losses.append(next(steps))
            smoothed = average(losses[-1])
            if not math.isfinite(smoothed) or _has_risen(smoothed, lowest, losses[0]):
                break
            if len(losses) > LEFT_OUT[0] * len(lrs):
                lowest = min(lowest, smoothed)
    return np.array(losses)


def _has_risen(smoothed: float, lowest: float, first: float) -> bool:
    """Whether a loss is far above the lowest one, and above the first one too, which a loss near 0 may be far below."""
    return smoothed > max(lowest + (RISEN - 1) * abs(lowest), first)


class _Average:
    """The exponential average of numbers, corrected for its beginning."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._sum = self._weight = 0.0

    def __call__(self, value: float) -> float:
        self._sum = self._decay * self._sum + (1 - self._decay) * value
        self._weight = self._decay * self._weight + (1 - self._decay)
        return self._sum / self._weight


def _decay(lrs: Floats) -> float:
    """What is kept of an average from one step to the next, so that it reaches as far back in the rate for any number of steps."""
    per_decade = (len(lrs) - 1) / math.log10(lrs[-1] / lrs[0])
    return max(0.0, 1 - 1 / (MEMORY * per_decade))


def _judged(lrs: Floats, losses: Floats, shares: tuple[float, ...]) -> LRRange:
    """What losses say: of as many rates as there are losses, the last of which may be not finite."""
    finite = losses[np.isfinite(losses)]
    smoothed = np.array(list(map(_Average(_decay(lrs)), finite)))
    first = int(LEFT_OUT[0] * len(lrs))
    end = min(len(finite), len(lrs) - int(LEFT_OUT[1] * len(lrs)))
    usable: tuple[float, float] | None = None
    findings: tuple[Finding, ...] = (_too_early(lrs, losses, finite),)
    if first < end:
        usable, findings = _found(lrs, finite, smoothed, first, end)
    made = len(losses)
    padded = np.full(made, np.nan)
    padded[: len(finite)] = smoothed
    return LRRange(findings, lrs[:made].copy(), losses, padded, usable, shares)


def _too_early(lrs: Floats, losses: Floats, finite: Floats) -> Finding:
    """The test ended before there was anything to judge."""
    last, rate = losses[-1], lrs[len(losses) - 1]
    if not len(finite):
        message = f"the loss is {last} before the first step"
        advice = "No rate helps against that: look at the data and the network with preflight."
    elif len(finite) < len(losses):
        message = f"the loss is {last} after {len(finite)} steps, at the rate {rate:.2g}"
        advice = f"Test lower rates: low={lrs[0] / 1e3:.0e}."
    else:
        message = f"the loss rose from {losses[0]:.4g} to {last:.4g} in {len(losses)} steps, up to the rate {rate:.2g}"
        return Finding("problem", "learning rate", message, float(rate), None, SOURCE, _lower(lrs))
    return Finding("problem", "not finite", message, float(last), None, SOURCE, advice)


def _lower(lrs: Floats) -> str:
    return f"Test lower rates: low={lrs[0] / 1e3:.0e}."


def _found(
    lrs: Floats, losses: Floats, smoothed: Floats, first: int, end: int
) -> tuple[tuple[float, float] | None, tuple[Finding, ...]]:
    """The usable range and the findings, by the averages from one index to another."""
    at = first + int(np.argmin(smoothed[first:end]))
    lowest, start = float(smoothed[at]), float(losses[: first + 1].mean())
    fall = start - lowest
    share = fall / abs(start) if start else 0.0
    if not share >= FELL:
        return None, (_never_fell(lrs, smoothed, start, share),)
    begins = first + int(np.argmax(smoothed[first : at + 1] <= start - FELL * fall))
    usable = float(lrs[begins]), float(lrs[at])
    words = f"the loss falls from {start:.4g} at {usable[0]:.2g} to {lowest:.4g} at {usable[1]:.2g}"
    findings = [_scattered(losses[: at + 1] - smoothed[: at + 1], fall)]
    if at == end - 1 and end < len(lrs) and len(losses) > end:
        message = f"{words} and never rose up to {lrs[-1]:g}: test higher"
        findings.append(Finding("warning", "learning rate", message, usable[1], float(lrs[-1]), SOURCE, _higher(lrs)))
    if worst([finding for finding in findings if finding]) == "ok":
        findings.append(Finding("ok", "learning rate", words, usable[1] / BELOW_MINIMUM, None, SOURCE))
    return usable, most_severe_first([finding for finding in findings if finding])


def _higher(lrs: Floats) -> str:
    return f"The suggestion may be too low: high={lrs[-1] * 1e3:.0e} finds out."


def _scattered(apart: Floats, fall: float) -> Finding | None:
    """Whether losses scatter about their average by more than they fall."""
    scatter = float(apart.std())
    if not scatter > SCATTER * fall:
        return None
    message = f"losses scatter by {scatter:.3g}, more than they fall ({fall:.3g}): the suggestion may be far off"
    advice = "Take larger batches, or more steps over fewer decades."
    return Finding("note", "learning rate", message, scatter / fall, SCATTER, SOURCE, advice)


def _never_fell(lrs: Floats, smoothed: Floats, start: float, share: float) -> Finding:
    """No rate made the loss smaller."""
    message = (
        f"loss never fell by {100 * FELL:g} %: it was {start:.4g} at {lrs[0]:g}, and {100 * share:.2g} % less at best"
    )
    advice = "See initial_loss: with labels, scale or initial weights that are wrong no rate helps."
    if smoothed[-1] > start + FELL * abs(start):
        message += f"; it rose to {smoothed[-1]:.4g} at {lrs[len(smoothed) - 1]:.2g}"
        advice += " " + _lower(lrs)
    return Finding("problem", "learning rate", message, share, FELL, SOURCE, advice)
