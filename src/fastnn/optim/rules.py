"""Rules of schedules: factors, or values, by the number of steps that were taken.

A rule is any function of that number; those here are told apart by their settings, in checkpoints too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from ..checks import scalars

Rule = Callable[[int], float]


@dataclass(frozen=True)
class StepDecay:
    """``gamma`` to the power of ``step // step_size``.

    Parameters
    ----------
    step_size : int
        Steps between two changes, at least 1.
    gamma : float
        Factor of each change, not below 0.

    Examples
    --------
    >>> from fastnn.optim import StepDecay
    >>> [StepDecay(2, 0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        scalars.integer("StepDecay", "step_size", self.step_size, 1)
        scalars.real("StepDecay", "gamma", self.gamma, 0.0)

    def __call__(self, step: int) -> float:
        """The factor."""
        return float(self.gamma ** (step // self.step_size))


@dataclass(frozen=True)
class Exponential:
    """``gamma`` to the power of ``step``.

    Parameters
    ----------
    gamma : float
        Factor of each step, not below 0.

    Examples
    --------
    >>> from fastnn.optim import Exponential
    >>> [Exponential(0.5)(t) for t in range(3)]
    [1.0, 0.5, 0.25]
    """

    gamma: float

    def __post_init__(self) -> None:
        scalars.real("Exponential", "gamma", self.gamma, 0.0)

    def __call__(self, step: int) -> float:
        """The factor."""
        return float(self.gamma**step)


@dataclass(frozen=True)
class Linear:
    """From ``first`` to ``last`` in a straight line over ``steps`` steps, then ``last``.

    Parameters
    ----------
    first, last : float
        The values at the beginning and at the end.
    steps : int
        How long it takes, at least 1.

    Examples
    --------
    >>> from fastnn.optim import Linear
    >>> [Linear(0.5, 0.9, 4)(t) for t in (0, 2, 4, 9)]
    [0.5, 0.7, 0.9, 0.9]
    """

    first: float
    last: float
    steps: int

    def __post_init__(self) -> None:
        scalars.real("Linear", "first", self.first)
        scalars.real("Linear", "last", self.last)
        scalars.integer("Linear", "steps", self.steps, 1)

    def __call__(self, step: int) -> float:
        """The value."""
        share = min(step / self.steps, 1.0)
        return (1 - share) * self.first + share * self.last


@dataclass(frozen=True)
class Warmup:
    """From ``first`` to 1 in a straight line over ``steps`` steps, then 1.

    Parameters
    ----------
    steps : int
        How long it takes, at least 1.
    first : float
        The factor of step 0, not below 0.

    Examples
    --------
    >>> from fastnn.optim import Warmup
    >>> [Warmup(4)(t) for t in (0, 1, 4, 5)]
    [0.0, 0.25, 1.0, 1.0]
    """

    steps: int
    first: float = 0.0

    def __post_init__(self) -> None:
        scalars.integer("Warmup", "steps", self.steps, 1)
        scalars.real("Warmup", "first", self.first, 0.0)

    def __call__(self, step: int) -> float:
        """The factor."""
        return Linear(self.first, 1.0, self.steps)(step)


@dataclass(frozen=True)
class Cosine:
    """From 1 to ``last`` along half a cosine over ``steps`` steps, then ``last``.

    Source: Loshchilov and Hutter 2017.

    Parameters
    ----------
    steps : int
        How long it takes, at least 1.
    last : float
        The factor at the end, not below 0.

    Examples
    --------
    >>> from fastnn.optim import Cosine
    >>> [round(Cosine(4)(t), 3) for t in (0, 1, 2, 4, 5)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """

    steps: int
    last: float = 0.0

    def __post_init__(self) -> None:
        scalars.integer("Cosine", "steps", self.steps, 1)
        scalars.real("Cosine", "last", self.last, 0.0)

    def __call__(self, step: int) -> float:
        """The factor."""
        share = min(step / self.steps, 1.0)
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class OneCycle:
    """Up from ``first`` to 1 and down to ``last``, each along half a cosine.

    The optimiser's own rate is the peak. Source: Smith and Topin 2017.

    Parameters
    ----------
    steps : int
        The length of the cycle, at least 1.
    rising : float
        The share of the steps before the peak, between 0 and 1.
    first, last : float
        The factors at the beginning and at the end, not below 0.

    Examples
    --------
    >>> from fastnn.optim import OneCycle
    >>> [round(OneCycle(10, rising=0.4)(t), 3) for t in (0, 2, 4, 7, 10)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    steps: int
    rising: float = 0.3
    first: float = 1 / 25
    last: float = 1 / 250_000

    def __post_init__(self) -> None:
        scalars.integer("OneCycle", "steps", self.steps, 1)
        scalars.real("OneCycle", "rising", self.rising, 0.0, 1.0, open_low=True, open_high=True)
        scalars.real("OneCycle", "first", self.first, 0.0)
        scalars.real("OneCycle", "last", self.last, 0.0)

    def __call__(self, step: int) -> float:
        """The factor."""
        peak = self.rising * self.steps
        if step < peak:
            share, low = 1 - step / peak, self.first
        else:
            share, low = min((step - peak) / (self.steps - peak), 1.0), self.last
        return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2


class Sequence:
    """One rule after another; each counts from where it begins.

    Parameters
    ----------
    rules : sequence of callable
        The rules.
    milestones : sequence of int
        The step at which each but the first begins.

    Examples
    --------
    >>> from fastnn.optim import Cosine, Sequence, Warmup
    >>> rule = Sequence([Warmup(2), Cosine(4)], [2])
    >>> [round(rule(t), 3) for t in range(7)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, rules: SequenceOf[Rule], milestones: SequenceOf[int]) -> None:
        self.rules, self.milestones = list(rules), [scalars.integer("Sequence", "milestones", m, 1) for m in milestones]
        if len(self.rules) != len(self.milestones) + 1 or self.milestones != sorted(set(self.milestones)):
            raise ValueError(
                f"Sequence: {len(self.rules)} rules need {len(self.rules) - 1} rising milestones, got {list(milestones)}"
            )

    def __repr__(self) -> str:
        return f"Sequence({self.rules}, {self.milestones})"

    def __call__(self, step: int) -> float:
        """The factor of the rule that is on."""
        number = sum(step >= m for m in self.milestones)
        return self.rules[number](step - (self.milestones[number - 1] if number else 0))
