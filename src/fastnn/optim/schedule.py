"""Schedules: rules that give a factor for a step, and what applies them to an optimiser.

A rule is any function of the number of steps taken. `Schedule` multiplies an optimiser's own rate by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any

from ..checks import scalars
from .optimizer import Optimizer

Rule = Callable[[int], float]
# In the place of a count of steps, after a state was loaded: it may be of between a step of the optimiser and the schedule's.
_UNKNOWN = -1


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


class _Stepped:
    """What is stepped after the optimiser, and saves and loads its state."""

    _keys: tuple[str, ...]

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimiser, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def _require_a_step(self, seen: int) -> None:
        if self.optimizer._steps_taken == seen:
            raise RuntimeError(
                f"{type(self).__name__}: step was called before the optimiser's; call optimizer.step() first"
            )

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` and `fastnn.save_checkpoint` take; the rule itself is not in it."""
        return {key: getattr(self, key) for key in self._keys}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; a `Schedule` also sets the value for it.

        Everything is checked before anything is changed.

        Raises
        ------
        ValueError
            If it has other keys, is of an optimiser with another number of groups, or has numbers that cannot be.
        TypeError
            If something is not a number.
        RuntimeError
            If another `Schedule` was made for the setting.
        """
        if not isinstance(state, Mapping) or state.keys() != set(self._keys):
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{type(self).__name__}: the state has {found}, expected {sorted(self._keys)}")
        self._take(state)

    def _take(self, state: Mapping[str, Any]) -> None:
        raise NotImplementedError


@dataclass
class _Kept:
    """What a `Schedule` keeps of a setting. The optimiser holds it too, so that others can tell whose the setting is."""

    key: str
    relative: bool
    seen: int  # steps of the optimiser at the last step of the schedule
    steps: int = 0
    groups: list[dict[str, Any]] = field(default_factory=list)
    base: list[float] = field(default_factory=list)

    def follow(self, groups: SequenceOf[dict[str, Any]], before: _Kept | None = None) -> None:
        """Keep the bases of groups that stay; the base of a new one is what it has now, or had ``before``."""
        known = {id(group): base for kept in (before, self) if kept for group, base in kept._pairs()}
        self.base = [known.get(id(group), float(group[self.key])) for group in groups]
        self.groups = list(groups)

    def _pairs(self) -> list[tuple[dict[str, Any], float]]:
        return list(zip(self.groups, self.base, strict=True))


class Schedule(_Stepped):
    """Applies a rule to a setting of an optimiser, group by group.

    Parameters
    ----------
    optimizer : Optimizer
        Its setting is changed at once, to the value for step 0.
    rule : callable
        The factor (or the value) for a number of steps; see `Cosine` and the others.
    key : str
        The setting: "lr", or "momentum" of `SGD`.
    relative : bool
        Whether the rule's result is multiplied by what each group had, or is the value itself.

    Attributes
    ----------
    steps : int
        How often `step` was called.
    base : list of float
        What each group had.

    Notes
    -----
    A group that is added to the optimiser later has its rate of then as base, and follows the rule from the next step on.

    A setting has one schedule: where another is made for it, the one before must not be stepped any more, and refuses. The
    new one starts from what the groups have; from the old bases, if the one before made no step. Rules are combined in one
    schedule: one after another by `Sequence`, or multiplied by a function, ``lambda t: Warmup(5)(t) * Cosine(50)(t)``.
    `ReduceOnPlateau` may be used beside a schedule: it reduces the bases too.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn import optim
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.SGD([x], lr=0.5)
    >>> schedule = optim.Schedule(optimizer, optim.Sequence([optim.Warmup(2), optim.Cosine(8)], [2]))
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(round(optimizer.lr, 3))
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [0.0, 0.25, 0.5, 0.481]
    """

    _keys = ("base", "steps")

    def __init__(self, optimizer: Optimizer, rule: Rule, *, key: str = "lr", relative: bool = True) -> None:
        super().__init__(optimizer)
        if key not in optimizer.defaults:
            raise ValueError(
                f"Schedule: the optimiser has no setting {key!r}, expected one of {sorted(optimizer.defaults)}"
            )
        self.rule, self.key, self.relative = rule, key, relative
        self._kept = _Kept(key, relative, optimizer._steps_taken)
        before = optimizer._scheduled.get(key)
        self._kept.follow(optimizer.param_groups, before if before is not None and not before.steps else None)
        values = self._values(self.base, 0)
        optimizer._scheduled[key] = self._kept
        self._set(values)

    def __repr__(self) -> str:
        return f"Schedule({self.rule!r}, key={self.key!r}, relative={self.relative})"

    @property
    def base(self) -> list[float]:
        """What each group had; see above."""
        return self._kept.base

    @base.setter
    def base(self, values: SequenceOf[float]) -> None:
        self._kept.base = [float(value) for value in values]

    @property
    def steps(self) -> int:
        """How often `step` was called; see above."""
        return self._kept.steps

    @steps.setter
    def steps(self, value: int) -> None:
        self._kept.steps = int(value)

    def _is_replaced(self) -> bool:
        return self.optimizer._scheduled.get(self.key) is not self._kept

    def _follow(self) -> None:
        if self._is_replaced():
            raise RuntimeError(
                f"Schedule: another schedule was made for {self.key!r} of this optimiser, and took the place of this one; "
                "combine rules in one schedule: Sequence([first, second], [milestone]), or a function that multiplies them"
            )
        self._kept.follow(self.optimizer.param_groups)

    def _values(self, bases: list[float], steps: int) -> list[float]:
        """What each group shall have; made before anything is changed, since a rule may raise."""
        value = self.rule(steps)
        return [base * value if self.relative else value for base in bases]

    def _set(self, values: list[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            group[self.key] = value

    def step(self) -> None:
        """Count a step and set the value for it; once after every ``optimizer.step()``, or once an epoch.

        Raises
        ------
        RuntimeError
            If the optimiser made no step since, or another schedule was made for the setting.
        """
        self._follow()
        self._require_a_step(self._kept.seen)
        values = self._values(self.base, self.steps + 1)
        self._kept.seen = self.optimizer._steps_taken
        self.steps += 1
        self._set(values)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` and `fastnn.save_checkpoint` take; the rule itself is not in it."""
        if not self._is_replaced():
            self._follow()
        return {"base": list(self.base), "steps": self.steps}

    def _take(self, state: Mapping[str, Any]) -> None:
        self._follow()
        if not isinstance(state["base"], list | tuple):
            raise TypeError(f"Schedule: base must be a list of numbers, got {type(state['base']).__name__}")
        bases = [scalars.real("Schedule", "base", base) for base in state["base"]]
        steps = scalars.integer("Schedule", "steps", state["steps"], 0)
        if len(bases) != len(self.base):
            raise ValueError(f"Schedule: the state has {len(bases)} groups, this optimiser {len(self.base)}")
        values = self._values(bases, steps)
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            self.optimizer._checked_settings(group | {self.key: value})  # else its next step would refuse it
        self.base, self.steps = bases, steps
        self._kept.seen = _UNKNOWN
        self._set(values)


def momentum_schedule(optimizer: Optimizer, steps: int, first: float = 0.5, last: float = 0.9) -> Schedule:
    """Momentum from ``first`` to ``last`` over ``steps`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        One with the setting "momentum".
    steps : int
        How long it takes.
    first, last : float
        Before and after.

    Returns
    -------
    Schedule
        To be stepped after the optimiser.

    Raises
    ------
    TypeError
        For something that is not an optimiser, or parameters that are not numbers.
    ValueError
        If the optimiser has no momentum, ``steps`` is below 1, or a value is not finite.

    Examples
    --------
    >>> import fastnn as fnn
    >>> optimizer = fnn.optim.SGD([fnn.tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9)
    >>> schedule = fnn.optim.momentum_schedule(optimizer, 10)
    >>> optimizer.param_groups[0]["momentum"]
    0.5
    """
    return Schedule(optimizer, Linear(first, last, steps), key="momentum", relative=False)


class ReduceOnPlateau(_Stepped):
    """Multiplies the learning rates by ``factor`` when a measure has not improved for ``patience`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates are changed.
    factor : float
        In (0, 1).
    patience : int
        How many steps without improvement are borne.
    threshold : float
        By which share the measure must improve to count.
    larger_is_better : bool
        True for an accuracy, False for a loss.
    min_lr : float
        Rates are not made smaller than this.

    Notes
    -----
    Beside a `Schedule` of the rate, a reduction is one of the schedule's bases too, so that its next step keeps it.

    Examples
    --------
    >>> import fastnn as fnn
    >>> optimizer = fnn.optim.SGD([fnn.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = fnn.optim.ReduceOnPlateau(optimizer, 0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     optimizer.step()
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    _keys = ("best", "waited")

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        larger_is_better: bool = False,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(optimizer)
        self._seen = optimizer._steps_taken
        op = "ReduceOnPlateau"
        self.factor = scalars.real(op, "factor", factor, 0.0, 1.0, open_low=True, open_high=True)
        self.patience = scalars.integer(op, "patience", patience, 0)
        self.threshold = scalars.real(op, "threshold", threshold, 0.0)
        self.larger_is_better = scalars.flag(op, "larger_is_better", larger_is_better)
        self.min_lr = scalars.real(op, "min_lr", min_lr, 0.0)
        self.best = -math.inf if larger_is_better else math.inf
        self.waited = 0

    def __repr__(self) -> str:
        return (
            f"ReduceOnPlateau({self.factor}, {self.patience}, threshold={self.threshold}, "
            f"larger_is_better={self.larger_is_better}, min_lr={self.min_lr})"
        )

    def _take(self, state: Mapping[str, Any]) -> None:
        best, op = state["best"], "ReduceOnPlateau"
        if not (isinstance(best, float) and math.isinf(best)):
            best = scalars.real(op, "best", best)
        self.best, self.waited = best, scalars.integer(op, "waited", state["waited"], 0)
        self._seen = _UNKNOWN

    def _improves(self, measure: float) -> bool:
        if math.isinf(self.best):
            return math.isfinite(measure)
        margin = self.threshold * abs(self.best)
        return measure > self.best + margin if self.larger_is_better else measure < self.best - margin

    def step(self, measure: float) -> None:
        """Take note of a measure, as of a validation after some steps of the optimiser. NaN is no improvement.

        Raises
        ------
        RuntimeError
            If the optimiser made no step since, or a schedule with ``relative=False`` sets the rates.
        """
        kept: _Kept | None = self.optimizer._scheduled.get("lr")
        if kept is not None and not kept.relative:
            raise RuntimeError(
                "ReduceOnPlateau: a schedule with relative=False sets the rates of this optimiser, and would undo what is "
                "reduced; give it a rule of factors and relative=True"
            )
        self._require_a_step(self._seen)
        measure = float(measure)
        self._seen = self.optimizer._steps_taken
        if self._improves(measure):
            self.best, self.waited = measure, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.waited = 0
            groups = self.optimizer.param_groups
            if kept is not None:
                kept.follow(groups)
            factors = [self._reduce(group) for group in groups]
            if kept is not None:
                kept.base = [base * factor for base, factor in zip(kept.base, factors, strict=True)]

    def _reduce(self, group: dict[str, Any]) -> float:
        """Reduce a group's rate, and return by which factor."""
        before, reduced = group["lr"], group["lr"] * self.factor
        group["lr"] = max(reduced, min(self.min_lr, before))
        return self.factor if group["lr"] == reduced else group["lr"] / before
