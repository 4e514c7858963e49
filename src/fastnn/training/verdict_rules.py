"""The rules of `History.verdict`, with their thresholds.

B is the baseline, the loss of the best constant prediction; T the loss of the training and V that of validation, where the
weights of the model come from: in the last epoch, or the best one where `EarlyStopping` put that back. "Measured" means: chosen
such that they part the trainings of the first table of docs/verdicts.md. The second table there shows how they do elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .curves import Curves

ERRORS = 2.0
"""So many standard errors are no accident: 95 % of normal errors are smaller."""
HUGE = 5.0
"""A loss above so many B has diverged: measured. A network that starts with random outputs has 1 to 3 B."""
STEADY = 4
"""Where the loss has fallen in each of so many last epochs, a network recovers: measured."""
SLOW = 0.1
"""By which share of itself a loss that is not yet below the baseline must have fallen since the first epoch to be on its way."""
WINDOW, LEAST_WINDOW = 0.1, 2
"""The share of the epochs, and how many at the least, in which the loss must have fallen to be still improving: measured."""
FALL, SHARE = 0.05, 0.2
"""By which share of itself, or of all that was learned, it must have fallen in that time: measured."""
GAIN, SHORT = 0.03, 5
"""And by which share of B: measured; else the last digits of good networks improve for ever. Not asked of trainings of so few
epochs, each of which lowered the loss."""
LOW = 0.1
"""T below this share of B is so good that a falling loss is no reason to go on: measured."""
LEARNED = 0.05
"""By which share of B the best V must be below B for something to have been learned: measured."""
SURELY, SURE_ERRORS = 0.02, 4.0
"""Or by this share of B and this number of standard errors: measured. The best of many epochs is easily two of them too low."""
MOVED = 1e-3
"""A loss that stays within this share of itself from the first epoch to the last has not moved: measured."""
KNOWN = 0.5
"""T below this share of B is known by heart, if V tells that nothing was learned: measured."""
ACCURACY_ERRORS = 3.0
"""By so many standard errors accuracy must be above that of a constant prediction, and of exp(B) classes: measured."""
FEWEST = 5
"""So many samples of validation are the least that tell anything: with fewer, one of them decides."""
RISE, RISEN = 0.05, 0.02
"""By which share of its minimum, and of B, V must have risen to be overfitting: measured."""
APART, GAP = 0.2, 0.12
"""T below this share of V with V - T above this share of B is overfitting: measured. Ratios alone blame good networks."""
WIDE = 0.25
"""V - T above this share of B is overfitting whatever the ratio: measured."""
WORSE = 0.05
"""By so much, and by `ACCURACY_ERRORS`, accuracy must have fallen below its best to be overfitting: measured."""
HIGH = 0.35
"""T above this share of B is underfitting: measured."""

_MEASURED = "docs/verdicts.md"
_NOTES = "cs231n, neural networks part 3; docs/verdicts.md"

_BELONG = (
    "whether inputs and targets belong together (the same order, the right column), and whether inputs tell anything of "
    "targets (`diagnosis.baseline`)"
)
_FROM_ABOVE = (
    "the loss is still above the baseline, as after steps that were too large: a lower learning rate (`fastnn find-lr`), inputs "
    "of mean 0 and standard deviation 1, and smaller initial weights come before more epochs"
)


@dataclass(frozen=True)
class Found:
    """What a rule found: the part of a verdict that rules say."""

    word: str
    message: str
    since: int | None = None
    value: float | None = None
    threshold: float | None = None
    source: str = ""
    advice: str = ""
    also: tuple[str, ...] = ()


def found_in(curves: Curves) -> Found:
    """What the first rule that fits says."""
    with np.errstate(all="ignore"):  # losses near the largest number may overflow
        return next(found for found in (rule(curves) for rule in _RULES) if found is not None)


# ---- what several rules ask ------------------------------------------------------------------------------------------------


def _needed(c: Curves) -> float | None:
    """How low the best loss must be for something to have been learned."""
    if c.of_nothing is None:
        return None
    error = float(c.errors[c.best])
    surely = max(SURELY * c.of_nothing, SURE_ERRORS * error) if error else math.inf
    return c.of_nothing - min(max(LEARNED * c.of_nothing, ERRORS * error), surely)


def _learned(c: Curves) -> bool:
    """Whether it is; where that cannot be told, not."""
    needed = _needed(c)
    return needed is not None and float(c.losses[c.best]) < needed


def _by_heart(c: Curves) -> bool:
    """Whether the training part is known well."""
    return c.validated and c.baseline is not None and c.level < KNOWN * c.baseline


def _right_more_often(c: Curves) -> bool:
    """Whether a network that knows the training part by heart is right more often than chance elsewhere all the same.

    Its loss does not tell, since it is as sure of what is wrong.
    """
    if c.constant is None or c.baseline is None or not c.constant.validation_samples or not _by_heart(c):
        return False
    chance = min(max(c.constant.validation_accuracy or 0.0, math.exp(-c.baseline)), 1.0)
    error = math.sqrt(chance * (1 - chance) / c.constant.validation_samples)
    return bool(c.accuracy[c.at] > chance + ACCURACY_ERRORS * error)


def _movement(c: Curves) -> float:
    """By which share of itself the loss changed from the first epoch on."""
    return float(np.ptp(c.losses)) / max(abs(float(c.losses[c.best])), 1e-300)


def _stands(c: Curves) -> bool:
    """Whether nothing changes, though there is something to be learned."""
    high = c.baseline is None or float(c.losses[c.at]) > KNOWN * c.baseline
    return len(c) > 1 and high and _movement(c) <= MOVED


def with_error(loss: float, error: float | None) -> str:
    """A loss with two standard errors, where they are known."""
    return f"{loss:.4g} (±{ERRORS * error:.2g})" if error and error > 0 else f"{loss:.4g}"


def _shown(c: Curves, place: int) -> str:
    return with_error(float(c.losses[place]), float(c.errors[place]))


# ---- the rules, each of which returns None where it does not fit -------------------------------------------------------------


def _not_finite(c: Curves) -> Found | None:
    if c.broken is None:
        return None
    epoch, name, value = c.broken
    return Found("diverged", c.stopped or f"the {name} is {value} in epoch {epoch}", epoch, source=_NOTES)


def _nothing(c: Curves) -> Found | None:
    return None if len(c) else Found("unknown", c.stopped or "there is no epoch with a loss")


def _one_target(c: Curves) -> Found | None:
    if c.constant is None or c.baseline is not None:
        return None
    return Found("unknown", "all targets are the same, so there is nothing to be learned from the inputs")


def _huge(c: Curves) -> Found | None:
    """The loss at the end, or that of validation all the time, is far above that of a network that knows nothing."""
    if c.baseline is None or _stands(c):
        return None
    limit = HUGE * c.baseline
    for name, losses, value in (("training loss", c.training, c.level), (c.name, c.losses, float(c.losses.min()))):
        if value > limit:
            fine = np.flatnonzero(losses[: c.at] <= limit)
            since = int(c.epochs[fine[-1] + 1 if fine.size else 0])
            message = f"the {name} is {value / c.baseline:.3g} times the baseline or more since epoch {since}"
            return Found("diverged", message, since, value, limit, _NOTES)
    return None


def _never_recovered(c: Curves) -> Found | None:
    """Steps or inputs were so large that the loss went far up, and what was left of the network learned nothing."""
    if c.baseline is None or _stands(c) or _learned(c):
        return None
    limit, worst = HUGE * c.baseline, int(np.argmax(c.batches))
    value, epoch = float(c.batches[worst]), int(c.epochs[worst])
    recovers = c.best == len(c) - 1 > 0 and (np.diff(c.losses[-STEADY:]) < 0).all()
    if not value > limit or recovers:
        return None
    message = (
        f"the training loss was {value / c.baseline:.3g} times the baseline in epoch {epoch}, and the network has learned "
        "nothing since"
    )
    return Found("diverged", message, epoch, value, limit, _NOTES)


def _still_improving(c: Curves) -> Found | None:
    """The last loss is clearly below all those before the window."""
    last = len(c) - 1
    since = max(last - max(LEAST_WINDOW, math.ceil(WINDOW * len(c))), 0)
    # Before the first epoch, a network knows no more than the baseline.
    start = float(c.losses[: since + 1].min()) if last else c.of_nothing
    if start is None or (c.baseline is not None and c.level < LOW * c.baseline):
        return None
    fell = start - float(c.losses[-1])
    enough, least = FALL * abs(start), GAIN * (c.baseline or 0.0)
    if c.of_nothing is not None and _learned(c):
        enough = min(enough, SHARE * (c.of_nothing - float(c.losses[-1])))
        if len(c) <= SHORT and (np.diff(c.losses) < 0).all():
            least = 0.0
    if not fell >= max(enough, least):
        return None
    epochs = f"in the last {last - since} epochs" if last - since > 1 else "in the last epoch"
    message = f"the {c.name} fell from {start:.4g} to {_shown(c, last)} {epochs}"
    above = c.of_nothing is not None and not float(c.losses[last]) < c.of_nothing
    return Found(
        "still improving", message, int(c.epochs[since]), fell, max(enough, least), _MEASURED, _FROM_ABOVE * above
    )


def _stood(c: Curves) -> Found | None:
    if not _stands(c):
        return None
    message = f"the {c.name} stayed at {float(c.losses[-1]):.6g} for {len(c)} epochs"
    advice = f"a larger learning rate (`fastnn find-lr`); what `preflight` says of gradients and updates; {_BELONG}"
    return Found("not learning", message, int(c.epochs[0]), _movement(c), MOVED, _MEASURED, advice)


def _on_its_way(c: Curves) -> Found | None:
    """Not yet below the baseline, but falling in each epoch, as slow trainings do whose weights began too large."""
    if c.of_nothing is None or _learned(c) or len(c) <= STEADY or not (np.diff(c.losses[-STEADY - 1 :]) < 0).all():
        return None
    first, last = float(c.losses[0]), float(c.losses[-1])
    if c.best != len(c) - 1 or not first - last > SLOW * abs(first):
        return None
    message = (
        f"the {c.name} fell from {first:.4g} to {_shown(c, len(c) - 1)}, and in each of the last {STEADY} epochs, but that of a "
        f"prediction that knows nothing is {c.of_nothing:.4g}"
    )
    advice = "another learning rate (`fastnn find-lr`); more epochs; smaller initial weights"
    return Found("still improving", message, int(c.epochs[0]), first - last, SLOW * abs(first), _MEASURED, advice)


def _not_learning(c: Curves) -> Found | None:
    needed = _needed(c)
    if needed is None or c.of_nothing is None or _learned(c) or _right_more_often(c):
        return None
    if len(c) == 1:
        message = f"the {c.name} is {_shown(c, 0)}, that of a prediction that knows nothing {c.of_nothing:.4g}"
        return Found("unknown", f"{message}; one epoch is too short to tell")
    value = float(c.losses[c.best])
    message = f"the {c.name} is {_shown(c, c.best)} at best, that of a prediction that knows nothing {c.of_nothing:.4g}"
    advice = f"a look at inputs and targets, and at what `preflight` says; another learning rate (`fastnn find-lr`); {_BELONG}"
    also: tuple[str, ...] = ()
    if _by_heart(c):
        also = ("overfitting",)
        message += f"; overfitting too: the training part is known by heart, its loss is {float(c.training[c.at]):.4g}"
        advice = f"{_BELONG}; more data; a smaller network"
    return Found("not learning", message, int(c.epochs[0]), value, needed, _MEASURED, advice, also)


def _risen(c: Curves) -> Found | None:
    """Validation's loss rose from its minimum while training's fell."""
    low, now = float(c.losses[c.best]), float(c.losses[c.at])
    least = max(ERRORS * float(c.errors[c.at]), RISE * abs(low), RISEN * (c.baseline or 0.0))
    before, after = float(c.training[c.best]), float(c.training[c.at])
    if not c.validated or not now - low > least or not after < before:
        return None
    message = (
        f"the validation loss rose from {low:.4g} to {_shown(c, c.at)} while the training loss fell from {before:.4g} to "
        f"{after:.4g}"
    )
    return Found("overfitting", message, int(c.epochs[c.best]), now - low, least, _NOTES)


def _apart(c: Curves) -> Found | None:
    """Validation's loss is far above training's."""
    if not c.validated or c.baseline is None:
        return None
    t, gaps = float(c.training[c.at]), c.validation - c.training
    gap = float(gaps[c.at])
    least = max(ERRORS * float(c.errors[c.at]), (GAP if t < APART * float(c.losses[c.at]) else WIDE) * c.baseline)
    if not gap > least:
        return None
    small = np.flatnonzero(~(gaps[: c.at] > least))
    since = int(c.epochs[small[-1] + 1 if small.size else 0])
    message = (
        f"the validation loss {_shown(c, c.at)} is far above the training loss {t:.4g}: the gap is "
        f"{100 * gap / c.baseline:.0f} % of the baseline"
    )
    return Found("overfitting", message, since, gap, least, _NOTES)


def _less_often_right(c: Curves) -> Found | None:
    """Validation's accuracy fell while training's loss did: wrong labels are learned by heart.

    The loss on right labels may stay where it is meanwhile, since the network was never sure of them.
    """
    if c.constant is None or not c.constant.validation_samples or not np.isfinite(c.accuracy).all():
        return None
    best = int(np.argmax(c.accuracy))
    high, now = float(c.accuracy[best]), float(c.accuracy[c.at])
    before, after = float(c.training[best]), float(c.training[c.at])
    error = math.sqrt(max(high * (1 - high) + now * (1 - now), 0.0) / c.constant.validation_samples)
    least = max(WORSE, ACCURACY_ERRORS * error)
    if not high - now > least or not after < before:
        return None
    message = (
        f"the validation accuracy fell from {100 * high:.1f} % to {100 * now:.1f} % while the training loss fell from "
        f"{before:.4g} to {after:.4g}"
    )
    advice = "right labels: look at the samples with the largest losses; to stop earlier; a smaller network"
    return Found("overfitting", message, int(c.epochs[best]), high - now, least, _MEASURED, advice)


def _underfitting(c: Curves) -> Found | None:
    if c.baseline is None or not c.level > HIGH * c.baseline:
        return None
    now = float(c.losses[c.at])
    since = int(c.epochs[np.flatnonzero(c.losses <= now + FALL * abs(now))[0]])
    message = f"the training loss {c.level:.4g} is still {100 * c.level / c.baseline:.0f} % of the baseline"
    return Found("underfitting", message, since, c.level, HIGH * c.baseline, _NOTES)


def _worthless(c: Curves) -> Found | None:
    """Validation's loss is above the baseline, though no difference is beyond its error: a few samples are very wrong."""
    if not c.validated or c.of_nothing is None or c.losses[c.at] < c.of_nothing:
        return None
    value = float(c.losses[c.at])
    message = (
        f"the validation loss {_shown(c, c.at)} is above that of a prediction that knows nothing, {c.of_nothing:.4g}; the "
        f"training loss is {float(c.training[c.at]):.4g}"
    )
    return Found("overfitting", message, int(c.epochs[c.best]), value, c.of_nothing, _NOTES)


def _untold(c: Curves) -> Found | None:
    """What is none of the others may be good, but that takes validation and a baseline to say."""
    if c.baseline is None:
        why = "the loss function tells no baseline" if c.constant is None else "all targets are the same"
        return Found("unknown", f"{why}, so whether {float(c.losses[c.at]):.4g} is much cannot be said")
    if c.validated and c.constant is not None and c.constant.validation_samples in range(1, FEWEST):
        return Found("unknown", f"with {c.constant.validation_samples} samples, validation says too little")
    if not c.validated:
        learned = f"the training loss fell to {c.level:.4g}, {100 * c.level / c.baseline:.2g} % of the baseline"
        return Found("unknown", f"{learned}; without a validation part nobody knows what it is with other data")
    return None


def _good(c: Curves) -> Found:
    value = float(c.losses[c.at])
    share = 100 * value / (c.of_nothing or 1.0)
    message = f"the validation loss {_shown(c, c.at)} is {share:.2g} % of that of a prediction that knows nothing"
    return Found("good", message, int(c.epochs[c.best]), value, source=_MEASURED)


_RULES: tuple[Callable[[Curves], Found | None], ...] = (
    _not_finite,
    _nothing,
    _one_target,
    _huge,
    _never_recovered,
    _still_improving,
    _stood,
    _on_its_way,
    _not_learning,
    _risen,
    _apart,
    _less_often_right,
    _underfitting,
    _worthless,
    _untold,
    _good,
)
