"""The columns of a CSV file as text, numbers and codes, with errors that name its lines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .._files import listed
from .csv_rows import Rows

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WITH_COMMA = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)+(?:[eE][+-]?[0-9]+)?")
_EXACT = 2.0**53


class Columns:
    """The columns of a file as text, and errors that name their lines."""

    def __init__(self, function: str, rows: Rows, missing: Sequence[str], header: bool) -> None:
        self.path = rows.path
        self.function = function
        self.missing = tuple(missing)
        self.header = header
        self.notes: list[str] = []
        self.useless: list[str] = []
        self._missing = frozenset(missing)
        body = rows.rows[1:] if header else rows.rows
        self.lines = rows.lines[1:] if header else rows.lines
        if not body:
            raise self.error("has a header and no rows")
        fields = [name.strip() for name in rows.rows[0]] if header else [""] * len(rows.rows[0])
        self.named = [bool(name) for name in fields]
        self.names = [name or str(i) for i, name in enumerate(fields, 1)]
        self._columns = [tuple(map(str.strip, column)) for column in zip(*body, strict=True)]
        if header:
            self._refuse_twins()
        else:
            self.notes.append(f"no header: columns are called 1 to {len(self.names)}")

    def may_have_names_in_first_row(self) -> bool:
        """Whether the first row has texts, and none of them comes again in its column."""
        texts = [c for c in self._columns if c[0] not in self._missing and not any_number(c[:1])]
        return len(self.lines) > 2 and bool(texts) and not any(c[0] in c[1:] for c in texts)

    def error(self, fault: str) -> ValueError:
        return ValueError(f"{self.function}: {self.path!r} {fault}")

    def wrong(self, place: int, row: int, problem: str) -> ValueError:
        """The error for one value."""
        value = self._columns[place][row]
        shown = repr(value) if len(value) <= 60 else repr(value[:60]) + "…"
        hint = "" if self.header or row else "; if that row is a header, pass header=True"
        return self.error(f"line {self.lines[row]}: column {self.names[place]!r} holds {shown}, {problem}{hint}")

    def values(self, place: int) -> tuple[str, ...]:
        """The fields of a column without blanks around them."""
        return self._columns[place]

    def missing_in(self, place: int) -> int:
        return sum(value in self._missing for value in self.values(place))

    def is_left_out(self, place: int) -> bool:
        """Whether a column has no name, and no values either or those that pandas counts rows by."""
        if self.named[place] or not self.header:
            return False
        values = self.values(place)
        counted = any(values == tuple(map(str, range(first, first + len(values)))) for first in (0, 1))
        empty = all(value in self._missing for value in values)
        if counted or empty:
            self.notes.append(
                f"column {place + 1} has no name and {'counts the rows' if counted else 'no values'}: left out"
            )
        return counted or empty

    def leave_out(self, name: str, holds: str) -> None:
        """Note a column that is not read, and why."""
        self.useless.append(f"{name!r}, which holds {holds}")
        self.notes.append(f"column {name!r} holds {holds}: left out")

    def distinct(self, place: int) -> set[str]:
        """The different values of a column."""
        return set(self.values(place)) - self._missing

    def numbers(self, place: int) -> NDArray[np.float64]:
        """A column as numbers, with NaN where one is missing."""
        numbers, others = self.parsed(place)
        if others:
            raise self.wrong(place, others[0], "expected a number")
        return numbers

    def parsed(self, place: int) -> tuple[NDArray[np.float64], list[int]]:
        """The numbers of a column, NaN elsewhere, and the rows that hold neither a number nor what stands for none."""
        if (numbers := self._all_numbers(self._columns[place])) is not None:
            return numbers, []
        numbers, others = np.full(len(self.lines), np.nan), []
        for row, value in enumerate(self.values(place)):
            if value in self._missing:
                continue
            number = float(value) if _NUMBER.fullmatch(value) else math.inf
            if math.isfinite(number):
                numbers[row] = number
            else:
                others.append(row)
        return numbers, others

    def _all_numbers(self, column: Sequence[str]) -> NDArray[np.float64] | None:
        """A column quickly, if all its fields are numbers and none of those that stand for a missing value."""
        try:
            numbers = np.fromiter(map(float, column), np.float64, len(column))
        except ValueError:
            return None
        together = "".join(column)
        # Python's float takes more than the numbers of a table: infinities, NaN, underscores, digits of other scripts.
        plain = np.isfinite(numbers).all() and together.isascii() and "_" not in together
        return numbers if plain and not any_number(self._missing) else None

    def codes(
        self, place: int, known: Sequence[str], what: str, spelling: Callable[[str], str] = str
    ) -> NDArray[np.int64]:
        """The position of each value of a column in a list, −1 where it is missing."""
        code = {name: i for i, name in enumerate(known)} | dict.fromkeys(self._missing, -1)
        values = [spelling(value) for value in self.values(place)]
        strange = {value: row for row, value in reversed(list(enumerate(values))) if value not in code}
        if strange:
            first, *more = sorted(strange, key=lambda value: strange[value])
            also = f". Unknown, too: {listed(more)}" if more else ""
            raise self.wrong(place, strange[first], f"expected {what}, one of {listed(known, 20)}{also}")
        return np.fromiter((code[value] for value in values), np.int64, len(values))

    def require_all(self, place: int) -> None:
        lacking = [self.lines[i] for i, value in enumerate(self.values(place)) if value in self._missing]
        if lacking:
            shown = ", ".join(str(line) for line in lacking[:10]) + (" …" if len(lacking) > 10 else "")
            raise self.error(
                f"lacks the target {self.names[place]!r} in {len(lacking)} row{'s' * (len(lacking) > 1)}, line {shown}"
            )

    def _refuse_twins(self) -> None:
        places: dict[str, int] = {}
        for place, name in enumerate(self.names):
            if name in places:
                raise self.error(f"has two columns of the name {name!r}, column {places[name] + 1} and {place + 1}")
            places[name] = place


def any_number(fields: Iterable[str]) -> bool:
    return any(_NUMBER.fullmatch(field.strip()) for field in fields)


def shortest(value: float) -> str:
    """A number as a name: 3 rather than 3.0."""
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def spelling(classes: Sequence[str]) -> Callable[[str], str]:
    """How values are spelled as classes: where those are all numbers, 3.0 and 03 are 3."""
    if not all(_NUMBER.fullmatch(name) for name in classes):
        return str
    return lambda value: shortest(float(value)) if _NUMBER.fullmatch(value) else value
