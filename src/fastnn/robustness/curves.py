"""The table of `robustness`: a figure against the strength of each kind of change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from .._tables import aligned
from ..checks import counted, shown
from ..training.findings import Result
from .measure import SURE

_FEW = 6  # up to so many members of an ensemble are printed one by one

NAMES = {"noise": "noise", "missing": "missing values", "random signs": "random signs", "fgsm": "FGSM"}
"""The kinds of changes, and what they are called where they are printed."""
INPUT = "units of the input"
"""What strengths are, unless said otherwise."""


@dataclass(frozen=True)
class Curve:
    """A figure against the strength of a kind of change.

    Parameters
    ----------
    kind : {"noise", "missing", "random signs", "fgsm"}
        What was done to the inputs.
    strengths : tuple of float
        How much of it, from 0 on, in rising order.
    values : tuple of float
        Accuracy, or RMSE, at each strength; the mean over the draws.
    errors : tuple of float
        A standard error of each, over samples.
    r2 : tuple of float or None
        R² at each strength, of numbers.
    members : tuple of tuple of float, or None
        What each member of an ensemble makes of the same inputs: its values at each strength.
    """

    kind: str
    strengths: tuple[float, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]
    r2: tuple[float, ...] | None = None
    members: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Robustness(Result):
    """What `robustness` found; printing it gives a table.

    Parameters
    ----------
    findings : tuple of Finding
        What was found, the most severe first.
    metric : {"accuracy", "RMSE"}
        What was measured.
    samples : int
        On how many samples.
    repeats : int
        How often noise, gaps and random signs were drawn.
    unit : str
        What noise, random signs and FGSM of strength 1 are.
    constant : float or None
        The metric of the best prediction that is the same for all samples.
    curves : tuple of Curve
        One for each kind of change. ``result["fgsm"]`` is the one of that kind.
    """

    title: ClassVar[str] = "robustness"
    metric: str
    samples: int
    repeats: int
    unit: str
    constant: float | None
    curves: tuple[Curve, ...]

    def __getitem__(self, kind: str) -> Curve:
        for curve in self.curves:
            if curve.kind == kind:
                return curve
        raise KeyError(f"Robustness: there is no {shown(kind)}, but {', '.join(curve.kind for curve in self.curves)}")

    @property
    def clean(self) -> float:
        """The metric of the inputs as they are."""
        return self.curves[0].values[0]

    def __str__(self) -> str:
        constant = "" if self.constant is None else f"; always the best constant: {self.constant:.3g}"
        head = f"{self.title} on {counted(self.samples, 'sample')}: {self.metric} ± 2 standard errors{constant}"
        unit = [] if self.unit == INPUT else [f"strengths of noise, random signs and FGSM are in {self.unit}"]
        return "\n".join([head, *map(str, self.findings), *unit, *_table(self.curves, self.metric)])

    def plot(self, axes: Any = None) -> Any:
        """Draw the metric against strength, a panel for each kind of change; see `fastnn.plots.robustness`."""
        from ..plots import robustness as draw

        return draw(
            [asdict(curve) for curve in self.curves],
            axes=axes,
            metric=self.metric,
            constant=self.constant,
            unit=self.unit,
        )


def _table(curves: Sequence[Curve], metric: str) -> list[str]:
    """A line per change and strength; FGSM and random signs of one size together."""
    first = curves[0]
    rows = [["change", "strength", metric, *_more_headings(first)], _row("none", None, first, 0)]
    at_random = [curve for curve in curves if curve.kind == "random signs"]
    for curve in curves:
        if curve.kind != "random signs":
            for i in range(1, len(curve.strengths)):
                beside = at_random if curve.kind == "fgsm" else []
                rows += [_row(NAMES[c.kind], c.strengths[i], c, i) for c in (*beside, curve)]
    return aligned(rows, right=(1,))  # the column of strengths


def _more_headings(curve: Curve) -> list[str]:
    headings = [] if curve.r2 is None else ["R²"]
    if curve.members is None:
        return headings
    return [*headings, "members' mean", "each" if len(curve.members) <= _FEW else "least…largest"]


def _row(name: str, strength: float | None, curve: Curve, i: int) -> list[str]:
    cells = [name, "" if strength is None else f"{strength:g}", _with_error(curve.values[i], curve.errors[i])]
    if curve.r2 is not None:
        cells.append(f"{curve.r2[i]:.3f}")
    if curve.members is not None:
        each = [member[i] for member in curve.members]
        listed = " ".join(map(_number, each)) if len(each) <= _FEW else f"{_number(min(each))}…{_number(max(each))}"
        cells += [_number(float(np.mean(each))), listed]
    return cells


def _with_error(value: float, error: float) -> str:
    return f"{_number(value)} ± {_number(SURE * error)}" if math.isfinite(error) else _number(value)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"
