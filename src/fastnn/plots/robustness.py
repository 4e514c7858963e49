"""The accuracy or error of a model against the strength of what was done to its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import real, shown
from ._style import BLUE, GREY, ORANGE, as_array, panel_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What a panel is about: its title, and what its strengths are.
_PANELS = {
    "noise": ("noise", "standard deviation ({unit})"),
    "missing": ("missing values", "share of all values"),
    "fgsm": ("changes on purpose (FGSM)", "change of each value ({unit})"),
}
_SURE = 2.0  # so many standard errors are drawn on both sides
_BESIDE = {"random signs": "fgsm"}  # kinds that are drawn in the panel of another kind


@picture
def robustness(
    curves: Iterable[Mapping[str, Any]],
    *,
    axes: Axes | Sequence[Axes] | np.ndarray[Any, Any] | None = None,
    metric: str = "accuracy",
    constant: float | None = None,
    unit: str = "units of the input",
) -> np.ndarray[Any, Any]:
    """Draw a metric against strength, a panel for each kind of change, with two standard errors up and down.

    Parameters
    ----------
    curves : iterable of mapping
        What `fastnn.robustness.robustness` measured: each has a "kind" ("noise", "missing", "fgsm" or "random signs", which is
        drawn beside "fgsm"), "strengths", "values", their standard "errors", and, of an ensemble, the values of its "members".
    axes : matplotlib Axes, or sequence of Axes, optional
        Where to draw, as many as there are panels; by default in a new figure.
    metric : str
        What the values are.
    constant : float, optional
        The metric of the best constant prediction, which is marked.
    unit : str
        What noise and changes of size 1 are.

    Returns
    -------
    ndarray of Axes
        The panels.

    Raises
    ------
    ValueError
        If there are no curves, one is of an unknown kind or there twice, its numbers are not as many as its strengths, or
        there are not as many axes as panels.
    TypeError
        If a curve is no mapping.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import fastnn as fnn
    >>> curve = {"kind": "noise", "strengths": [0, 0.1, 0.3], "values": [0.98, 0.97, 0.8], "errors": [0.01, 0.01, 0.02]}
    >>> axes = fnn.plots.robustness([curve])  # doctest: +SKIP
    >>> axes[0].figure.savefig("robustness.png")  # doctest: +SKIP
    """
    if not isinstance(curves, Iterable) or isinstance(curves, Mapping):
        raise TypeError(f"robustness: curves must be a list of dictionaries, got {shown(curves)}")
    grouped = _grouped([_checked(curve) for curve in curves])
    level = None if constant is None else real("robustness", "constant", constant)
    drawn = panel_axes("robustness", axes, len(grouped))
    for ax, (kind, several) in zip(drawn, grouped.items(), strict=True):
        for curve in several:
            _draw(ax, curve, alone=len(several) == 1)
        if level is not None:
            ax.axhline(level, color=GREY, linestyle=":", linewidth=1, label="best constant")
        title, strengths = _PANELS[kind]
        ax.set(title=title, xlabel=strengths.format(unit=unit), ylabel=f"{metric} ± 2 standard errors")
        if metric == "accuracy":
            ax.set_ylim(-0.02, 1.04)
        # The legend stands below the panel, since curves may be anywhere inside.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize="small", frameon=False)
    return as_array(drawn)


def _checked(curve: Any) -> Mapping[str, Any]:
    if not isinstance(curve, Mapping):
        raise TypeError(f"robustness: a curve must be a dictionary, got {type(curve).__name__}")
    missing = [name for name in ("kind", "strengths", "values", "errors") if name not in curve]
    if missing:
        raise ValueError(f"robustness: a curve must have {missing[0]!r}, got {shown(list(curve))}")
    if curve["kind"] not in (*_PANELS, *_BESIDE):
        raise ValueError(
            f"robustness: kind must be one of {', '.join((*_PANELS, *_BESIDE))}, got {shown(curve['kind'])}"
        )
    lengths = [len(curve[name]) for name in ("strengths", "values", "errors")]
    if len({*lengths}) > 1 or not lengths[0]:
        raise ValueError(f"robustness: strengths, values and errors must be equally many, got {lengths}")
    return curve


def _grouped(curves: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The curves of each panel, that of the panel's own kind first."""
    if not curves:
        raise ValueError("robustness: there are no curves to draw")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for curve in sorted(curves, key=lambda curve: curve["kind"] in _BESIDE):
        kind = curve["kind"]
        group = groups.setdefault(_BESIDE.get(kind, kind), [])
        if any(other["kind"] == kind for other in group):
            raise ValueError(f"robustness: there are two curves of {kind!r}, expected one of each kind")
        group.append(curve)
    return {kind: groups[kind] for kind in _PANELS if kind in groups}


def _draw(ax: Any, curve: Mapping[str, Any], alone: bool) -> None:
    beside = curve["kind"] in _BESIDE
    strengths, values = (np.asarray(curve[name], float) for name in ("strengths", "values"))
    errors = np.nan_to_num(_SURE * np.asarray(curve["errors"], float))
    members = curve.get("members")
    name = "model" if members is None else "ensemble"
    if beside:
        name = "random signs"
    elif not alone:
        name += ", FGSM"
    if members is not None:
        for i, member in enumerate([] if beside else members):
            label = "its members" if i == 0 else None
            ax.plot(strengths, np.asarray(member, float), color=GREY, linewidth=0.8, label=label)
    colour, line, marker = (ORANGE, "--", "s") if beside else (BLUE, "-", "o")
    look = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4, "capsize": 3}
    ax.errorbar(strengths, values, errors, **look, label=name)
