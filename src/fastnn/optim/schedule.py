"""Schedules: what applies a rule, a function of the number of steps taken, to a setting of an optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import scalars
from .optimizer import Optimizer
from .rules import Linear, Rule

# Stands for a count of steps that is not known after a state was loaded: the state may have been saved after a step of
# the optimiser and before that of the schedule.
UNKNOWN = -1


class Stepped:
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
class Kept:
    """What a `Schedule` keeps of a setting. The optimiser holds it too, so that others can tell whose the setting is."""

    key: str
    relative: bool
    seen: int  # steps of the optimiser at the last step of the schedule
    steps: int = 0
    groups: list[dict[str, Any]] = field(default_factory=list)
    base: list[float] = field(default_factory=list)

    def follow(self, groups: Sequence[dict[str, Any]], before: Kept | None = None) -> None:
        """Keep the bases of groups that stay; the base of a new one is what it has now, or had ``before``."""
        known = {id(group): base for kept in (before, self) if kept for group, base in kept._pairs()}
        self.base = [known.get(id(group), float(group[self.key])) for group in groups]
        self.groups = list(groups)

    def _pairs(self) -> list[tuple[dict[str, Any], float]]:
        return list(zip(self.groups, self.base, strict=True))


class Schedule(Stepped):
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
        self._kept = Kept(key, relative, optimizer._steps_taken)
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
    def base(self, values: Sequence[float]) -> None:
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
        self._kept.seen = UNKNOWN
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
