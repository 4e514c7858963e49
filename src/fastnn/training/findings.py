"""What checks find, in words from a closed list, with the numbers behind them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from ..checks import shown

LEVELS = ("ok", "note", "warning", "problem")
"""How much a finding matters, the least first."""

WORDS = {
    "not finite": "a number is NaN or infinite",
    "shapes": "inputs, outputs and targets don't fit together",
    "labels": "targets are not what the loss takes",
    "one class": "all samples are of one class",
    "scale": "inputs are far from mean 0 and standard deviation 1",
    "constant features": "columns that say nothing",
    "duplicates": "rows that are there several times",
    "shared rows": "rows that training and validation have in common",
    "initial loss": "the loss before training is not that of a network that knows nothing",
    "outputs": "outputs are not what the loss takes, such as probabilities in the place of logits",
    "symmetric": "all units of a layer compute the same and get the same gradient",
    "mixed samples": "the output of one sample depends on another one",
    "no gradient": "a parameter gets no gradient at all",
    "not trained": "a parameter is not among those that the optimiser changes, or is frozen",
    "dead": "units that are 0 for every sample, before training",
    "dying": "units that have become 0 for every sample",
    "saturated": "units at the flat ends of their activation",
    "vanishing": "signals or gradients that become ever smaller from layer to layer",
    "exploding": "signals or gradients that become ever larger from layer to layer",
    "update too small": "steps that hardly change the weights",
    "update too large": "steps that change the weights too much",
    "cannot overfit": "a few samples cannot be learned by heart",
    "learning rate": "a rate that is too low, too high, or cannot be told",
    "border": "the best value lies at the edge of what was searched",
    "no direction": "gradients say nothing about how to change an input",
    "baseline": "a simple prediction is as good as the network",
    "samples": "what more data would bring",
}
"""Everything that a finding may be called, and what it means."""

_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One thing that a check saw.

    Parameters
    ----------
    level : {"ok", "note", "warning", "problem"}
        How much it matters.
    word : str
        What it is, one of `WORDS`.
    message : str
        What was seen, where, with the numbers.
    value : float or None
        The number that decided.
    threshold : float or None
        What it was compared with.
    source : str
        Where the threshold is from.
    advice : str
        What to do.
    layer : str or None
        The name of the layer or parameter.
    step : int or None
        The step of the training.

    Raises
    ------
    ValueError
        For a level or word that is not in the lists.

    Examples
    --------
    >>> from fastnn.training.findings import Finding
    >>> print(Finding("warning", "dying", "layer '1': 41 % of 128 units are 0 for all samples", 0.41, 0.25, "cs231n"))
    WARNING  dying: layer '1': 41 % of 128 units are 0 for all samples   [cs231n]
    """

    level: str
    word: str
    message: str
    value: float | None = None
    threshold: float | None = None
    source: str = ""
    advice: str = ""
    layer: str | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"Finding: level must be one of {', '.join(LEVELS)}, got {shown(self.level)}")
        if self.word not in WORDS:
            raise ValueError(f"Finding: word must be one of {', '.join(WORDS)}, got {shown(self.word)}")

    def __str__(self) -> str:
        head = "ok" if self.level == "ok" else self.level.upper()
        lines = [f"{head:<9}{self.word}: {self.message}" + (f"   [{self.source}]" if self.source else "")]
        lines += textwrap.wrap(self.advice, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON takes them: null for numbers that are not finite."""
        named: dict[str, Any] = strict(self)
        return named


def quoted(layer: str, kind: str) -> str:
    """A layer in words, by its name and class."""
    return f"layer {layer!r} ({kind})" if layer else f"the model ({kind})"


def most_severe_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings by their level; those of one level stay in the order in which they came.

    >>> from fastnn.training.findings import Finding, most_severe_first
    >>> found = most_severe_first([Finding("ok", "scale", "fine"), Finding("problem", "labels", "label 10")])
    >>> [finding.word for finding in found]
    ['labels', 'scale']
    """
    return tuple(sorted(findings, key=lambda finding: -LEVELS.index(finding.level)))


def worst(findings: Sequence[Finding]) -> str:
    """The highest level, "ok" of none.

    >>> worst([])
    'ok'
    """
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


class Grade(int):
    """How many bounds a value is beyond: the place of a level in `LEVELS`.

    Attributes
    ----------
    value : float
        What was graded.
    bounds : sequence of float
        Those of a note, a warning and a problem.
    """

    value: float
    bounds: Sequence[float]

    def at_most(self, level: str) -> Grade:
        """The same, where a value may not be worse than so."""
        return _grade(min(self, LEVELS.index(level)), self.value, self.bounds)

    def finding(self, word: str, message: str, source: str = "", advice: str = "", layer: str | None = None) -> Finding:
        """What to say of the value: at this level, beside the bound of it, of "ok" beside that of a note."""
        bound = self.bounds[max(self - 1, 0)]
        return Finding(LEVELS[self], word, message, self.value, bound, source, advice, layer)


def _grade(number: int, value: float, bounds: Sequence[float]) -> Grade:
    grade = Grade(number)
    grade.value, grade.bounds = value, bounds
    return grade


def graded(value: float, bounds: Sequence[float], *, below: bool = False) -> Grade:
    """How many of the bounds, those of a note, a warning and a problem, a value is beyond; NaN is beyond all.

    >>> graded(0.3, (0.1, 0.25, 0.5)), graded(1e-7, (1e-4, 1e-5, 1e-6), below=True), graded(float("nan"), (1, 2, 3))
    (2, 3, 3)
    >>> print(graded(0.3, (0.1, 0.25, 0.5)).finding("dead", "30 % of the units"))
    WARNING  dead: 30 % of the units
    """
    return _grade(sum(not (value >= bound if below else value <= bound) for bound in bounds), value, bounds)


def strict(value: Any) -> Any:
    """A value as JSON has it: None for numbers that are not finite, lists for arrays and tuples, dictionaries for dataclasses.

    >>> import numpy as np
    >>> strict({"a": (1.0, float("nan")), "b": np.arange(2), "c": np.float32(0.5)})
    {'a': [1.0, None], 'b': [0, 1], 'c': 0.5}
    """
    if hasattr(value, "tolist"):  # an array or a number of NumPy
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    if is_dataclass(value):
        return {field.name: strict(getattr(value, field.name)) for field in fields(value)}
    return value


@dataclass(frozen=True)
class Result:
    """The base of what checks give: frozen data with findings.

    Subclasses are frozen dataclasses, have a ``title``, and add ``plot(ax=None) -> ax``.

    Parameters
    ----------
    findings : tuple of Finding
        What was found, the most severe first.
    """

    title: ClassVar[str] = ""
    findings: tuple[Finding, ...]

    @property
    def level(self) -> str:
        """The level of the most severe finding."""
        return worst(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __contains__(self, word: object) -> bool:
        """Whether something above "ok" was found under a word."""
        return any(finding.word == word and finding.level != "ok" for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON takes them."""
        named: dict[str, Any] = strict(self)
        return named
