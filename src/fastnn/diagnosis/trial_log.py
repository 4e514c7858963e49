"""The log of a search, from which it goes on after an interrupt."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from .._files import PathLike
from ..checks import shown
from ..training.findings import strict
from .trials import Job, Outcome, in_words

_MARK = "random_search"  # what the first line begins with, and the version of the format
_AROUND = 20  # so many letters are shown before and after the first one that differs
_BEGINNING = f'{{"{_MARK}": 1'.encode()


class TrialLog:
    """A file with a line of JSON that says which search it is of, and one for each outcome; nothing, without a path.

    Parameters
    ----------
    path : path or None
        The file. A last line that was not written whole is taken away.
    search : mapping
        What tells the search from others.
    entropy : list of int or None
        What the seeds follow from; None takes that of the file, or a new one.

    Attributes
    ----------
    entropy : list of int

    Raises
    ------
    ValueError
        If the file is of another search, or no log.
    OSError
        If it can't be read or written.
    """

    def __init__(self, path: PathLike | None, search: Mapping[str, Any], entropy: list[int] | None) -> None:
        self._path = None if path is None else os.fspath(path)
        self._known: dict[tuple[int, int], tuple[dict[str, Any], Outcome]] = {}
        lines = self._lines()
        drawn = lines[0].get("entropy") if lines else np.random.SeedSequence().generate_state(4).tolist()
        self.entropy = entropy or drawn
        header = {_MARK: 1, "entropy": self.entropy, **search}
        if lines:
            self._require_same(lines[0], json.loads(json.dumps(strict(header))))
            for number, line in enumerate(lines[1:], 2):
                self._take(number, line)
        else:
            self._write(header)

    def _lines(self) -> list[dict[str, Any]]:
        """The lines that were written whole."""
        if self._path is None or not os.path.exists(self._path):
            return []
        with open(self._path, "r+b") as file:
            content = file.read()
            if content[: len(_BEGINNING)] != _BEGINNING[: len(content)]:
                raise ValueError(f"random_search: {self._path!r} is no log of a search; give another one, or remove it")
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
        return [self._parsed(number, line) for number, line in enumerate(content[:whole].splitlines(), 1)]

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
        except ValueError as error:
            raise self._damaged(number, error) from error
        if not isinstance(parsed, dict):
            raise self._damaged(number, f"a line must be an object, got {shown(parsed)}")
        return parsed

    def _damaged(self, number: int, why: object) -> ValueError:
        return ValueError(f"random_search: line {number} of {self._path!r} is damaged: {why}")

    def _require_same(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        other = [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]
        if other:
            differences = "; ".join(_difference(name, found.get(name), expected.get(name)) for name in sorted(other))
            raise ValueError(
                f"random_search: {self._path!r} is of another search: {differences}; give another name, the same settings and, "
                "to rng and to Batches, the same seeds"
            )

    def _take(self, number: int, line: dict[str, Any]) -> None:
        try:
            settings = line.pop("settings")
            outcome = Outcome(**{**line, "loss": math.inf if line["loss"] is None else float(line["loss"])})
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(number, error) from error
        self._known[outcome.number, outcome.epochs] = settings, outcome

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._path is not None:
            with open(self._path, "ab") as file:
                file.write(json.dumps(strict(dict(line)), allow_nan=False).encode() + b"\n")

    def outcome(self, job: Job) -> Outcome | None:
        """What the file says of a job, if it does.

        Raises
        ------
        ValueError
            If it had other settings there.
        """
        settings, outcome = self._known.get((job.number, job.epochs), (None, None))
        mine = strict(in_words(job.settings))
        if outcome is not None and settings != mine:
            raise ValueError(
                f"random_search: {self._path!r} has {shown(settings)} for trial {job.number}, which is {shown(mine)} now"
            )
        return outcome

    def add(self, job: Job, outcome: Outcome) -> None:
        """Write what came of a job."""
        self._write({**asdict(outcome), "settings": in_words(job.settings)})


def _difference(name: str, before: Any, now: Any) -> str:
    """The first place at which two values differ, and what is there.

    >>> _difference("data", [{"samples": 5, "seed": 1}], [{"samples": 5, "seed": 2}])
    'data[0].seed 1, now 2'
    >>> _difference("key", "a" * 60 + "b", "a" * 60 + "c")
    "key '…aaaaaaaaaaaaaaaaaaaab', now '…aaaaaaaaaaaaaaaaaaaac'"
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            if key not in before or key not in now:
                was, is_now = (shown(side[key]) if key in side else "missing" for side in (before, now))
                return f"{name}.{key} {was}, now {is_now}"
            if before[key] != now[key]:
                return _difference(f"{name}.{key}", before[key], now[key])
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        first = next(i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
        return _difference(f"{name}[{first}]", before[first], now[first])
    if isinstance(before, str) and isinstance(now, str):
        first = next(i for i in range(len(before) + 1) if before[: i + 1] != now[: i + 1])
        return f"{name} {_around(before, first)!r}, now {_around(now, first)!r}"
    return f"{name} {shown(before)}, now {shown(now)}"


def _around(text: str, place: int) -> str:
    """What is around a place of a text; all of it if it is short."""
    if len(text) <= 2 * _AROUND:
        return text
    low, high = max(0, place - _AROUND), place + _AROUND
    return ("…" if low else "") + text[low:high] + ("…" if high < len(text) else "")
