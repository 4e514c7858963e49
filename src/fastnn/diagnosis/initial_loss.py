"""Is the loss before training that of a network that knows nothing?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..autograd import raw
from ..checks import integer
from ..nn import Module
from ..training.arguments import checked_loss, checked_model
from ..training.figures import Objective, Sample
from ..training.findings import Finding, Result, graded
from .data_checks import OF_TARGET, judged_target
from .look import HEAVY, heaviest, target_of
from .losses import constant_loss, function_of, kind_of, seen
from .taken import Taken, batches_of, preserving, sample, train_mode

TOO_LARGE = {"numbers": (5.0, 30.0, 100.0), "": (2.0, 4.0, 8.0)}
"""Times the expected loss, of numbers and of everything else. Measured on sound networks, 30 seeds each: up to 18 times for
numbers, where the last layer's weights alone make outputs of the target's size, up to 3.3 for classes. Weights of N(0, 1) and
raw pixels gave 56 and more."""
TOO_SMALL = {"numbers": 0.1, "": 0.5}
"""Times the expected loss, below which the network seems to know something; measured: from 0.3 and 0.53 on."""
_SOURCE = "CS231n, Learning: look for the correct loss at chance performance; factors measured"
_OF_INPUTS = "scale the inputs, and draw the weights by init.he_normal or init.xavier_normal"
_SPREAD = 1.5  # standard deviation of logits up to which ln C + var/2 says what their loss is
_TINY = 1e-6  # an expected loss below this counts as 0: nothing can be compared with it


@dataclass(frozen=True)
class InitialLoss(Result):
    """The loss before training beside that of the best constant prediction.

    Parameters
    ----------
    findings : tuple of Finding
        One, under the word "initial loss".
    seen : float
        The loss of the network.
    expected : float or None
        That of the best constant prediction or, of uneven classes, of equal chances; None where the loss has none that is known.
    spread : float or None
        The standard deviation of the logits over the classes, of a cross-entropy.
    samples : int
        How many were looked at.
    bounds : (float, float)
        Of the ratio of sound networks.

    Examples
    --------
    >>> from fastnn.diagnosis.initial_loss import InitialLoss
    >>> InitialLoss((), 2.4, 2.3, 0.5, 100).ratio.__round__(2)
    1.04
    """

    title: ClassVar[str] = "initial loss"
    seen: float
    expected: float | None
    spread: float | None
    samples: int
    bounds: tuple[float, float] = (TOO_SMALL[""], TOO_LARGE[""][0])

    @property
    def ratio(self) -> float | None:
        """How many times the expected loss was seen."""
        return None if self.expected is None or self.expected < _TINY else self.seen / self.expected

    def plot(self, ax: Any = None) -> Any:
        """Draw the two losses as bars, with the bounds of what is usual.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn.
        """
        from ..plots.checks import losses

        return losses(
            {"seen": self.seen, "expected": self.expected},
            ax=ax,
            usual=None if self.expected is None else (self.bounds[0] * self.expected, self.bounds[1] * self.expected),
        )


def initial_loss(model: Module, train: Any, loss: Any = F.cross_entropy, *, samples: int = 1024) -> InitialLoss:
    """Compare the loss before training with that of the best constant prediction.

    A network with sound weights on sound data predicts nearly the same for all inputs, so that its loss is near the entropy of
    the class frequencies (ln C of C equal classes), or near the variance of the target. A loss of many times that comes from
    inputs or weights that are too large; of numbers, from a target that is far from 0.

    Parameters
    ----------
    model : Module
        Looked at in training mode, and left as it was.
    train : Batches, iterable of batches, or (x, y)
        As for `fastnn.training.Trainer.fit`.
    loss : callable
        ``loss(output, target)``.
    samples : int
        How many to look at.

    Returns
    -------
    InitialLoss
        Its finding is a note from 2 times the expected loss on, a warning from 4, and a problem from 8 times on; of losses of
        numbers 5, 30 and 100 times. A note too where the loss is less than half (of numbers a tenth) of what is expected.

    Raises
    ------
    TypeError, ValueError
        If the model is no module, `samples` is no positive integer, there is no sample, or model and loss do not take the batches.

    Notes
    -----
    Of a cross-entropy over logits with variance v around their mean the loss is about ``ln C + v / 2``, as long as their
    standard deviation is below 1.5; the message says so where it explains what was seen.

    Source: CS231n, "Learning"; the factors were measured on 10 and on 2 classes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.diagnosis import initial_loss
    >>> x = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    >>> y = np.arange(200) % 4
    >>> print(initial_loss(nn.Sequential(nn.Linear(5, 4, rng=0)), (x, y)).level)
    ok
    >>> print(initial_loss(nn.Sequential(nn.Linear(5, 4, rng=0)), (100 * x, y)).level)
    problem
    """
    checked_model("initial_loss", model), checked_loss("initial_loss", loss)
    samples = integer("initial_loss", "samples", samples, 1)
    train = batches_of("initial_loss", train)
    with preserving(model, None, loss, train):
        return compared(model, sample("initial_loss", train, samples), loss)


def compared(model: Module, taken: Taken, loss: Any) -> InitialLoss:
    """The same of samples that are taken already; draws from the model's generators, and changes its running statistics."""
    train_mode(model)
    outputs, value = seen(model, taken, loss)
    constant = _of_equal_chances(loss, outputs, taken, constant_loss(loss, outputs, taken))
    spread = _spread_of_logits(outputs, loss)
    expected, words = (None, "") if constant is None else constant
    kind = kind_of(loss) if kind_of(loss) in TOO_LARGE else ""
    finding = _judged(value, expected, words, kind, _of_logits(expected, spread) + _too_heavy(model))
    if finding.advice == _OF_INPUTS and any(True for _ in judged_target(loss, outputs, target_of(taken))):
        finding = replace(finding, advice=OF_TARGET)
    return InitialLoss((finding,), value, expected, spread, taken.count, (TOO_SMALL[kind], TOO_LARGE[kind][0]))


def _of_equal_chances(
    loss: Any, outputs: Any, taken: Taken, constant: tuple[float, str] | None
) -> tuple[float, str] | None:
    """Where classes are uneven, a new network does not know that: outputs of 0 are expected of it."""
    if constant is None or kind_of(loss) not in ("classes", "yes or no") or function_of(loss) is F.nll_loss:
        return constant
    equal = float(raw(Objective(loss)(np.zeros_like(outputs), Sample(taken.batch()))))
    return max(constant, (equal, "equal chances of all classes"))


def _spread_of_logits(outputs: Any, loss: Any) -> float | None:
    if function_of(loss) is not F.cross_entropy or isinstance(outputs, tuple):
        return None
    return float(np.sqrt(np.var(outputs.astype(np.float64), axis=1).mean()))


def _too_heavy(model: Module) -> str:
    """The layer whose weights are largest for its number of inputs, in words; empty where all are as drawn usually."""
    found = heaviest(model)
    return f"; {found}" if found is not None and found.gain > HEAVY else ""


def _judged(value: float, expected: float | None, words: str, kind: str, why: str) -> Finding:
    if not math.isfinite(value):
        return Finding("problem", "initial loss", f"it is {value} before training", value, None, _SOURCE)
    if expected is None or expected < _TINY:
        why = "this loss has no constant prediction that is known" if expected is None else f"{words} costs nothing"
        return Finding("ok", "initial loss", f"{value:.4g}; {why}, so there is nothing to compare it with", value)
    ratio = value / expected
    too_small, too_large = TOO_SMALL[kind], TOO_LARGE[kind]
    said = f"{value:.4g} before training, {expected:.4g} for {words}: {ratio:.3g} times"
    if ratio < too_small:
        advice = "a new network should know nothing: is it trained already, or is the target among the inputs?"
        return Finding("note", "initial loss", said, ratio, too_small, _SOURCE, advice)
    grade = graded(ratio, too_large)
    return grade.finding("initial loss", said + why * bool(grade), _SOURCE, _OF_INPUTS if grade else "")


def _of_logits(expected: float | None, spread: float | None) -> str:
    """What logits that far apart cost."""
    if spread is None or expected is None:
        return ""
    cost = f", ln C + var/2 = {expected + spread**2 / 2:.3g}" if spread <= _SPREAD else ""
    return f"; logits have a standard deviation of {spread:.3g}{cost}"
