"""The loss of the trials of a search against each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._style import BLUE, GREEN, GREY, ORANGE, as_array, panel_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_MUCH = 20.0  # if the largest loss is more than so many times the smallest, a linear axis will not do


@picture
def search(
    settings: Sequence[Mapping[str, Any]],
    losses: Sequence[float],
    *,
    logarithmic: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
    ax: Axes | Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw the loss of trials against each of their settings, a panel each.

    Parameters
    ----------
    settings : sequence of mapping
        The settings of each trial by name. Those that are numbers are on an axis of numbers, others are named.
    losses : sequence of float
        The loss of each trial. Trials whose loss is not finite are crosses at the top; the smallest loss is marked. The
        axis is logarithmic where the largest is more than twenty times the smallest.
    logarithmic : sequence of str
        Settings on a logarithmic axis.
    ranges : mapping of str to (float, float), optional
        A range of a setting to shade.
    ax : Axes or sequence of Axes, optional
        As many as there are settings, by default in a new figure.

    Returns
    -------
    ndarray of Axes
        The panels.

    Raises
    ------
    ValueError
        If there are no trials or settings, or not as many losses or axes.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> from fastnn.plots.search import search
    >>> trials = [{"lr": 0.1, "units": 32}, {"lr": 0.01, "units": 64}]
    >>> axes = search(trials, [0.5, 0.4], logarithmic=["lr"])  # doctest: +SKIP
    """
    if not len(settings) or not settings[0]:
        raise ValueError("search: there are no trials with settings to draw")
    if len(losses) != len(settings):
        raise ValueError(f"search: {len(settings)} trials need as many losses, got {len(losses)}")
    names = list(settings[0])
    values = np.array(losses, np.float64)
    axes = panel_axes("search", ax, len(names), columns=2)
    for number, (one, name) in enumerate(zip(axes, names, strict=True)):
        given = [trial[name] for trial in settings]
        _draw(one, name, given, values, name in logarithmic, (ranges or {}).get(name))
        if number == 0:
            one.legend()
    return as_array(axes)


def _draw(
    ax: Any, name: str, given: list[Any], losses: Floats, logarithmic: bool, shaded: tuple[float, float] | None
) -> None:
    at, labels = positions(given)
    finite = np.isfinite(losses)
    top = float(losses[finite].max()) if finite.any() else 1.0
    if shaded is not None and not labels:
        ax.axvspan(*shaded, color=GREEN, alpha=0.2, linewidth=0, label="best third")
    ax.plot(at[finite], losses[finite], linestyle="", marker="o", color=BLUE, label="trial")
    if not finite.all():
        ax.plot(at[~finite], np.full((~finite).sum(), top), linestyle="", marker="x", color=GREY, label="not finite")
    if finite.any():
        best = int(np.argmin(np.where(finite, losses, np.inf)))
        ax.plot(at[best], losses[best], linestyle="", marker="*", markersize=14, color=ORANGE, label=f"best: {given[best]:.3g}"
                if isinstance(given[best], float) else f"best: {given[best]}")  # fmt: skip
    if labels:
        ax.set_xticks(range(len(labels)), labels)
        ax.margins(x=0.2)
    elif logarithmic:
        ax.set_xscale("log")
    if _spans_much(losses[finite]):
        ax.set_yscale("log")
    ax.set(xlabel=name + (" (logarithmic)" if logarithmic and not labels else ""), ylabel="validation loss")


def _spans_much(losses: Floats) -> bool:
    """Whether the smallest of positive losses could not be told apart on a linear axis."""
    return bool(losses.size) and 0 < _MUCH * float(losses.min()) < float(losses.max())


def positions(given: Sequence[Any]) -> tuple[Floats, list[str]]:
    """Where values are on an axis, and the names of its places if they are no numbers.

    >>> positions([0.5, 2])
    (array([0.5, 2. ]), [])
    >>> positions(["tanh", "relu", "tanh"])
    (array([0., 1., 0.]), ['tanh', 'relu'])
    """
    if all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in given):
        return np.array(given, np.float64), []
    labels = list(dict.fromkeys(map(str, given)))
    return np.array([labels.index(str(value)) for value in given], np.float64), labels
