"""Ranges that settings are searched in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from ..checks import integer, real, shown

BORDER = 0.1
"""A value in this share of a range at its end is at the border. Source: cs231n, "careful with best values on border"."""
_NARROWEST = 0.1  # a range is narrowed to this share of it at least, even if the values in it are all equal
_BEYOND = 0.25  # the share of a range that is added beyond the end at which the best value lies


class _Range:
    """What ranges of numbers have in common: places from 0 to 1 on a linear or logarithmic scale."""

    low: float
    high: float
    logarithmic: ClassVar[bool] = False

    def _place(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def _at(self, place: float) -> float:
        """The value at a place, also outside of 0 to 1; at the ends exactly those."""
        if place in (0, 1):
            return self.high if place else self.low
        if self.logarithmic:
            return self.low * math.exp(place * math.log(self.high / self.low))
        return self.low + place * (self.high - self.low)

    def _between(self, low: float, high: float) -> Self:
        return type(self)(low, high)  # type: ignore[call-arg]

    def sample(self, rng: np.random.Generator) -> Any:
        """A value from the range.

        Parameters
        ----------
        rng : numpy.random.Generator
            One number is drawn from it.

        Returns
        -------
        number
        """
        return min(max(self._at(rng.random()), self.low), self.high)

    def shrunk(self, values: Iterable[float]) -> Self:
        """The range of the best values, which never goes beyond this one.

        Parameters
        ----------
        values : iterable of numbers
            Of this range.

        Returns
        -------
        range
            From the smallest to the largest, but a tenth of this one at least. An end that a value is near stays, so that what
            is beside it is searched too.
        """
        given = list(values)
        low, high = min(given), max(given)
        first, last = self._place(low), self._place(high)
        if last - first < _NARROWEST:
            middle = (first + last) / 2
            low, high = self._at(max(middle - _NARROWEST / 2, 0.0)), self._at(min(middle + _NARROWEST / 2, 1.0))
        return self._between(self.low if first < BORDER else low, self.high if last > 1 - BORDER else high)

    def border(self, value: float) -> str | None:
        """The end that a value is near: "lower", "upper" or None. A lower end of 0 counts for none.

        Parameters
        ----------
        value : number
            Of this range.

        Returns
        -------
        str or None
        """
        place = self._place(value)
        if place > 1 - BORDER:
            return "upper"
        return "lower" if place < BORDER and self.low != 0 else None

    def widened(self, end: str) -> Self:
        """The range with a quarter as much again beyond one of its ends, to be searched next; not below 0 if it is above.

        Parameters
        ----------
        end : {"lower", "upper"}
            Which end.

        Returns
        -------
        range
        """
        if end == "upper":
            return self._between(self.low, self._at(1 + _BEYOND))
        low = self._at(-_BEYOND)
        return self._between(max(low, 0.0) if self.low > 0 else low, self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float, np.number)) and bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"{self.low:.3g}…{self.high:.3g}"


@dataclass(frozen=True)
class LogUniform(_Range):
    """Numbers whose logarithm is uniform: rates, decays.

    Parameters
    ----------
    low, high : float
        The ends, above 0.

    Raises
    ------
    ValueError, TypeError
        If they are no such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnosis import LogUniform
    >>> rates = LogUniform(1e-4, 1.0)
    >>> 1e-4 <= rates.sample(np.random.default_rng(0)) <= 1
    True
    >>> rates.border(0.8), rates.border(0.01), rates.shrunk([0.002, 0.02])
    ('upper', None, LogUniform(low=0.002, high=0.02))
    """

    low: float
    high: float
    logarithmic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        low = real("LogUniform", "low", self.low, 0.0, open_low=True)
        _set(self, low=low, high=real("LogUniform", "high", self.high, low, open_low=True))


@dataclass(frozen=True)
class Uniform(_Range):
    """Numbers that are uniform: shares of dropout, momentum.

    Parameters
    ----------
    low, high : float
        The ends.

    Raises
    ------
    ValueError, TypeError
        If they are no such numbers.

    Examples
    --------
    >>> from fastnn.diagnosis import Uniform
    >>> Uniform(0, 0.5).border(0.48), Uniform(0, 0.5).shrunk([0.2, 0.3])
    ('upper', Uniform(low=0.2, high=0.3))
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low = real("Uniform", "low", self.low)
        _set(self, low=low, high=real("Uniform", "high", self.high, low, open_low=True))


@dataclass(frozen=True)
class IntUniform(_Range):
    """Integers that are uniform, both ends among them: units, layers.

    Parameters
    ----------
    low, high : int
        The ends.

    Raises
    ------
    ValueError, TypeError
        If they are no such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnosis import IntUniform
    >>> depth = IntUniform(1, 4)
    >>> sorted({depth.sample(np.random.default_rng(seed)) for seed in range(50)})
    [1, 2, 3, 4]
    >>> depth.border(4), depth.border(3)
    ('upper', None)
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        low = integer("IntUniform", "low", self.low)
        _set(self, low=low, high=integer("IntUniform", "high", self.high, low + 1))

    def _between(self, low: float, high: float) -> Self:
        least, most = round(low), round(high)
        return type(self)(least, most) if least < most else type(self)(*_two(least, self.low, self.high))

    def sample(self, rng: np.random.Generator) -> int:
        """An integer from the range.

        Parameters
        ----------
        rng : numpy.random.Generator
            What it is drawn from.

        Returns
        -------
        int
        """
        return int(rng.integers(self.low, self.high, endpoint=True))

    def __str__(self) -> str:
        return f"{self.low}…{self.high}"


def _two(value: int, low: int, high: int) -> tuple[int, int]:
    """A value and the next one, or the one before at the end of a range."""
    return (value, value + 1) if low <= value < high else (value - 1, value)


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values.

    Parameters
    ----------
    *options : any
        The values, at least one. Rising numbers, three or more, have ends at which the best may lie.

    Raises
    ------
    ValueError
        If there are none, one is there twice, or all are given in one list.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnosis import Choice
    >>> units = Choice(32, 64, 128)
    >>> units.sample(np.random.default_rng(0)), units.border(128), units.shrunk([64, 128, 64])
    (128, 'upper', Choice(64, 128))
    """

    options: tuple[Any, ...]
    logarithmic: ClassVar[bool] = False

    def __init__(self, *options: Any) -> None:
        if not options:
            raise ValueError("Choice: there is nothing to choose from")
        if len(options) == 1 and isinstance(options[0], list | tuple | range | set | np.ndarray):
            raise ValueError(f"Choice: give the values one by one, Choice(*values), got {shown(options[0])}")
        if any(option in options[:i] for i, option in enumerate(options)):
            raise ValueError(f"Choice: a value is there twice in {shown(options)}")
        _set(self, options=options)

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.options))})"

    def sample(self, rng: np.random.Generator) -> Any:
        """One of the values.

        Parameters
        ----------
        rng : numpy.random.Generator
            What it is drawn from.

        Returns
        -------
        any
        """
        return self.options[rng.integers(len(self.options))]

    def shrunk(self, values: Iterable[Any]) -> Choice:
        """Those that are among the best values, in the order that they have here.

        Parameters
        ----------
        values : iterable
            Of these.

        Returns
        -------
        Choice
        """
        best = list(values)
        return Choice(*[option for option in self.options if option in best])

    def border(self, value: Any) -> str | None:
        """The end that a value is at, of three or more rising numbers: "lower", "upper" or None.

        Parameters
        ----------
        value : any
            Of these.

        Returns
        -------
        str or None
        """
        if len(self.options) < 3 or not _rise(self.options):
            return None
        return {self.options[0]: "lower", self.options[-1]: "upper"}.get(value)

    def __contains__(self, value: object) -> bool:
        return value in self.options

    def __str__(self) -> str:
        return ", ".join(map(str, self.options))


def _rise(options: Sequence[Any]) -> bool:
    numbers = all(isinstance(o, (int, float, np.number)) and not isinstance(o, bool) for o in options)
    return numbers and all(a < b for a, b in pairwise(options))


def _set(x: Any, **values: Any) -> None:
    """Assign to a frozen object that is being made."""
    for name, value in values.items():
        object.__setattr__(x, name, value)


Space = LogUniform | Uniform | IntUniform | Choice
