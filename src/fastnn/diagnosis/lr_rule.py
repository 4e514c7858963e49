"""Which rate the losses of a range test speak for, and what else they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..training.findings import Finding, graded, most_severe_first

Floats = NDArray[np.float64]

SOURCE = "docs/rates.md"
MEMORY = 0.7
"""Over how many decades of the rate losses are averaged: 0.9 per step for 100 steps over seven decades. Source: docs/rates.md."""
LEFT_OUT = 0.1, 0.05
"""The shares of the steps at the beginning and the end where the lowest loss is not looked for. Source: docs/rates.md."""
FALLEN = 0.6
"""The suggestion is the rate at which this share of the fall is done, … Source: docs/rates.md."""
BELOW_LOWEST = 15.0
"""… but at least this many times lower than that of the lowest loss. Source: docs/rates.md."""
BEGUN = 0.1
"""The loss has begun to fall when this share of the fall is done. Source: docs/rates.md."""
HIGH_ENOUGH = 0.32 * BELOW_LOWEST
"""A test up to this rate can suggest the highest rate that was best on any of 44 problems. Source: docs/rates.md."""
RISEN = 4.0
"""The test ends when the average is this many times the lowest one. Source: fastai's lr_find."""
FELL = 0.05
"""By which share of itself the loss must fall. Source: docs/rates.md."""
SCATTER = 0.75, 1.5
"""The scatter of losses as a share of their fall, for a note and a warning. Noise alone has 1 or more in 19 of 20 tests, 2 in half
of them; the problems that the rule was chosen on have at most 0.52. Source: docs/rates.md."""


class Average:
    """The exponential average of the losses at rates, corrected for its beginning.

    It reaches as far back in the rate for any number of steps.
    """

    def __init__(self, lrs: Floats) -> None:
        per_decade = (len(lrs) - 1) / math.log10(lrs[-1] / lrs[0])
        self._decay = max(0.0, 1 - 1 / (MEMORY * per_decade))
        self._sum = self._weight = 0.0

    def __call__(self, value: float) -> float:
        """The average with another loss."""
        self._sum = self._decay * self._sum + (1 - self._decay) * value
        self._weight = self._decay * self._weight + (1 - self._decay)
        return self._sum / self._weight


def first_judged(steps: int) -> int:
    """The first step that may have the lowest loss."""
    return int(LEFT_OUT[0] * steps)


def has_risen(average: float, lowest: float, first: float) -> bool:
    """Whether an average is far above the lowest one, and above the first loss too, of which the lowest may be a tiny part."""
    return average > max(lowest + (RISEN - 1) * abs(lowest), first)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What losses say.

    Parameters
    ----------
    smoothed : ndarray, (steps,)
        Averages, NaN where a loss is not finite.
    rate : float or None
        The suggestion.
    usable : (float, float) or None
        From where the loss begins to fall to where it is lowest.
    findings : tuple of Finding
        The most severe first.
    """

    smoothed: Floats
    rate: float | None
    usable: tuple[float, float] | None
    findings: tuple[Finding, ...]


def judged(lrs: Floats, losses: Floats) -> Verdict:
    """The verdict on as many steps as there are losses, of which the last may be not finite.

    >>> lrs = np.geomspace(1e-6, 10, 100)
    >>> verdict = judged(lrs, 2 - 1.5 / (1 + (0.01 / lrs) ** 2) + lrs**2)
    >>> f"{verdict.rate:.3f}", [f"{rate:.3f}" for rate in verdict.usable]
    ('0.026', ['0.006', '0.385'])
    """
    finite = losses[np.isfinite(losses)]
    smoothed = np.full(len(losses), np.nan)
    smoothed[: len(finite)] = list(map(Average(lrs), finite))
    first, end = first_judged(len(lrs)), min(len(finite), len(lrs) - int(LEFT_OUT[1] * len(lrs)))
    broke = [_broke(lrs, losses, smoothed[: len(finite)])] if len(finite) < len(losses) else []
    if first >= end:
        return Verdict(smoothed, None, None, tuple(broke))
    if broke and has_risen(smoothed[len(finite) - 1], float(smoothed[first:end].min()), losses[0]):
        broke = []  # no finding: the sweep ended as it should, at a rate that is too high
    lowest = first + int(np.argmin(smoothed[first:end]))
    start = float(losses[: first + 1].mean())
    fall = float(start - smoothed[lowest])
    if not fall >= FELL * abs(start) or fall == 0:
        return Verdict(smoothed, None, None, (*broke, _never_fell(lrs, smoothed[: len(finite)], start, fall)))
    above = np.flatnonzero(smoothed[: lowest + 1] > start - BEGUN * fall)
    fallen = first + int(np.argmax(smoothed[first : lowest + 1] <= start - FALLEN * fall))
    rate = float(min(lrs[fallen], lrs[lowest] / BELOW_LOWEST))
    begins = float(lrs[above[-1]]) if len(above) else rate
    usable = min(begins, rate), float(lrs[lowest])
    words = f"loss falls from {start:.4g} at {usable[0]:.2g} to {smoothed[lowest]:.4g} at {usable[1]:.2g}; suggested {rate:.2g}"
    found = broke + ([_never_rose(lrs, words, rate)] if lowest == end - 1 and len(losses) == len(lrs) else [])
    found += _scattered(losses[: lowest + 1], fall)
    found = found or [Finding("ok", "learning rate", words, rate, None, SOURCE)]
    return Verdict(smoothed, rate, usable, most_severe_first(found))


def _broke(lrs: Floats, losses: Floats, smoothed: Floats) -> Finding:
    """The last loss is not finite; the averages are of those before."""
    last, rate = float(losses[-1]), float(lrs[len(losses) - 1])
    advice = "Look at the data and the network with preflight."
    if not len(smoothed):
        message = f"the loss is {last} before the first step"
    elif has_risen(smoothed[-1], float(smoothed.min()), losses[0]):
        message, advice = f"the loss is {last} after {len(smoothed)} steps, at the rate {rate:.2g}", _lower(lrs)
    else:
        message = f"the loss is {last} after {len(smoothed)} steps, at the rate {rate:.2g}, without having risen before"
    return Finding("problem", "not finite", message, last, None, SOURCE, advice)


def _never_fell(lrs: Floats, smoothed: Floats, start: float, fall: float) -> Finding:
    """No rate made the loss smaller."""
    share = float(fall / abs(start)) if start else 0.0
    message = f"loss never fell by {100 * FELL:g} %: it was {start:.4g}, and at best {100 * share:.2g} % less: see initial_loss"
    advice = "With labels, scale or initial weights that are wrong no rate helps; a network that is trained already may be as good as it gets."
    if smoothed[-1] > start + FELL * abs(start):
        message += f"; it rose to {smoothed[-1]:.4g} at {lrs[len(smoothed) - 1]:.2g}"
        advice += " " + _lower(lrs)
    return Finding("problem", "learning rate", message, share, FELL, SOURCE, advice)


def _never_rose(lrs: Floats, words: str, rate: float) -> Finding:
    """The lowest loss is the last one: the test was too short, or the network bears high rates, as those of one layer do."""
    message = f"loss never rose up to {lrs[-1]:g}"
    higher = f"high={lrs[-1] * 10:.0e}"
    if lrs[-1] < HIGH_ENOUGH:
        message, level = f"{message}: test higher; {words}", "warning"
        advice = f"The suggestion may be too low: {higher} shows it."
    else:
        message, level = f"{message}; {words}", "note"
        advice = f"The suggestion stands, since the loss fell clearly; {higher} shows whether more is possible."
    return Finding(level, "learning rate", message, rate, HIGH_ENOUGH, SOURCE, advice)


def _scattered(losses: Floats, fall: float) -> list[Finding]:
    """Whether losses scatter from step to step by as much as they fall."""
    scatter = float(np.diff(losses).std()) / math.sqrt(2)
    grade = graded(scatter / fall, SCATTER)
    message = f"losses scatter by {scatter:.3g} and fall by {fall:.3g}: the suggestion may be far off"
    advice = "Take larger batches, or more steps over fewer decades."
    return [grade.finding("learning rate", message, SOURCE, advice)] if grade else []


def _lower(lrs: Floats) -> str:
    return f"Test lower rates: low={lrs[0] / 1e3:.0e}."
