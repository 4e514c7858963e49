"""The curves of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import flag, integer, shown
from ._style import BLUE, GREEN, GREY, ORANGE, as_array, ink, is_several, one_axes, panel_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]

_FAR = 1000  # if the largest number is more than so many times the smallest, the scale is logarithmic
_FEW = 40  # the points of a curve are marked one by one if there are at most so many
_ERROR = "_loss_se"  # the end of the names of standard errors
_ERRORS = 2  # a band has so many standard errors on both sides: 95 % of normal errors
_BAND = f"±{_ERRORS} standard errors"
_HEADROOM = 0.35  # the share of the height that is added for the legend of many lines


class _Style(NamedTuple):
    """How a curve is drawn; without a colour, in that of text."""

    label: str
    colour: str | None
    line: str


_STYLES = {
    "train": _Style("training", BLUE, "-"),
    "training": _Style("training, in evaluation mode", GREEN, "-."),
    "validation": _Style("validation", ORANGE, "--"),
    "": _Style("", None, "-"),
}


@picture
def history(
    records: Iterable[Record],
    *,
    ax: Axes | Sequence[Axes] | np.ndarray[Any, Any] | None = None,
    names: Sequence[str] | None = None,
    best: int | None = None,
    log: bool = False,
) -> Any:
    """Draw losses and metrics against epochs, those of training and validation together.

    Parameters
    ----------
    records : iterable of mapping
        One per epoch, such as a `fastnn.training.Trainer` keeps: "epoch" (counted from 1 where it is missing), and numbers
        under names such as "train_loss", "validation_loss", "lr". An epoch without a number is passed over; NaN and infinities
        are gaps. A standard error, under the name of its loss with "_se" behind it, becomes a band of two of them on both
        sides.
    ax : matplotlib Axes, or sequence of Axes, optional
        Where to draw: the loss only in a single one, unless ``names`` says otherwise; a panel each in several. By default in a
        new figure with as many panels as there are names.
    names : sequence of str, optional
        What to draw, a panel each: "loss" means the losses of training and validation; a full name, such as "lr", itself. All
        that training or validation have by default, the loss first.
    best : int, optional
        The epoch to mark. By default the one of the smallest validation loss; of the smallest training loss where nothing was
        validated.
    log : bool
        Whether losses are drawn on a logarithmic scale.

    Returns
    -------
    Axes or ndarray of Axes
        What was given; of a new figure, the array of its panels.

    Raises
    ------
    ValueError
        If there are no records, a name is in none of them, the marked epoch isn't there, there are not as many axes as names,
        or no loss is above 0 where the scale shall be logarithmic.
    TypeError
        If a record is no mapping, or what it has under one of the names no number.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import fastnn as fnn
    >>> records = [{"epoch": i, "train_loss": 1 / i, "validation_loss": 1 / i + 0.01 * i} for i in range(1, 21)]
    >>> axes = fnn.plots.history(records)  # doctest: +SKIP
    >>> axes[0].figure.savefig("history.png")  # doctest: +SKIP
    """
    rows = _rows(records)
    log = flag("history", "log", log)
    if names is None:
        names = ["loss"] if ax is not None and not is_several(ax) else _default_names(rows)
    panels = {name: _series(rows, name) for name in _checked_names(names)}
    marked = _best(rows) if best is None else integer("history", "best", best)
    if best is not None and marked not in [epoch for epoch, _ in rows]:
        raise ValueError(f"history: there is no epoch {shown(best)} to mark, expected {rows[0][0]} to {rows[-1][0]}")
    if log:
        _refuse_without_logarithms(panels)
    axes = panel_axes("history", ax, len(panels))
    for one, (name, series) in zip(axes, panels.items(), strict=True):
        _draw(one, name, series, marked, log and name.endswith("loss"))
    if ax is None:
        for one, name in zip(axes, panels, strict=True):
            one.set_title(name)
        return as_array(axes)
    return ax


class _Curve(NamedTuple):
    """The numbers under one name, with the epochs that have one."""

    style: _Style
    epochs: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    band: np.ndarray[Any, Any]  # half its width, NaN where there is none


def _rows(records: Iterable[Record]) -> list[tuple[int, Record]]:
    """The records with their epochs."""
    given = list(records)
    if not given:
        raise ValueError("history: there are no records to draw")
    for record in given:
        if not isinstance(record, Mapping):
            raise TypeError(f"history: a record must be a dictionary, got {type(record).__name__}")
    return [(integer("history", "epoch", record.get("epoch", i)), record) for i, record in enumerate(given, 1)]


def _default_names(rows: list[tuple[int, Record]]) -> list[str]:
    """What training or validation have, the loss first, else in the order in which it comes."""
    keys = dict.fromkeys(key for _, record in rows for key in record if not key.endswith(_ERROR))
    parts = [key.partition("_") for key in keys]
    names = dict.fromkeys(name for prefix, _, name in parts if prefix and prefix in _STYLES and name)
    return sorted(names, key=lambda name: name != "loss")


def _checked_names(names: Any) -> list[str]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"history: names must be a list of names, got {shown(names)}")
    listed = list(dict.fromkeys(names))
    if not listed:
        raise ValueError("history: there are no names to draw")
    return listed


def _series(rows: list[tuple[int, Record]], name: str) -> list[_Curve]:
    """The curves that a panel shows."""
    keys = {f"{prefix}_{name}" if prefix else name: style for prefix, style in _STYLES.items()}
    found = [_curve(rows, key, style) for key, style in keys.items() if any(key in record for _, record in rows)]
    if not found:
        had = sorted({key for _, record in rows for key in record})
        raise ValueError(f"history: there is no {name!r} in the records, which have {had}")
    return found


def _curve(rows: list[tuple[int, Record]], key: str, style: _Style) -> _Curve:
    points = [(epoch, _number(key, record[key])) for epoch, record in rows if record.get(key) is not None]
    values = np.array([value for _, value in points])
    values[~np.isfinite(values)] = np.nan  # which Matplotlib leaves out
    errors = [record.get(f"{key}_se") for _, record in rows if record.get(key) is not None]
    band = np.array([np.nan if error is None else _ERRORS * _number(f"{key}_se", error) for error in errors])
    return _Curve(style, np.array([epoch for epoch, _ in points]), values, band)


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"history: {key!r} must be a number, got {shown(value)}") from None


def _best(rows: list[tuple[int, Record]]) -> int | None:
    """The epoch of the smallest loss."""
    for key in ("validation_loss", "train_loss"):
        curve = _curve(rows, key, _STYLES[""])
        if np.isfinite(curve.values).any():
            return int(curve.epochs[np.nanargmin(curve.values)])
    return None


def _refuse_without_logarithms(panels: dict[str, list[_Curve]]) -> None:
    for name, series in panels.items():
        if name.endswith("loss") and not any((curve.values > 0).any() for curve in series):
            raise ValueError(f"history: log needs numbers above 0, but no {name} is")


def _draw(ax: Any, name: str, series: list[_Curve], marked: int | None, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    for style, epochs, values, band in series:
        marker = "." if len(epochs) <= _FEW else ""
        label, colour = style.label or name, style.colour or ink()
        ax.plot(epochs, values, linestyle=style.line, color=colour, marker=marker, label=label)
        if np.isfinite(band).any():
            note = "_" if any(c.get_label() == _BAND for c in ax.collections) else _BAND  # in the legend once
            ax.fill_between(epochs, values - band, values + band, color=colour, alpha=0.25, linewidth=0, label=note)
    if log:
        ax.set_yscale("log")
    if marked is not None:
        _mark(ax, series, marked)
    ax.set(xlabel="epoch", ylabel=name)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if len(series) > 1 or marked is not None:
        ax.legend()


def _mark(ax: Any, series: list[_Curve], epoch: int) -> None:
    """A line through all curves at an epoch, with the number that the most telling one, validation's, has there."""
    label = f"epoch {epoch}"
    telling = next((curve for curve in series if curve.style is _STYLES["validation"]), series[0])
    at = np.flatnonzero(telling.epochs == epoch)
    if at.size and np.isfinite(telling.values[at[0]]):
        value = telling.values[at[0]]
        label = f"best epoch {epoch}: {value:.4g}"
        ax.plot([epoch], [value], marker="o", linestyle="", color=GREY, markerfacecolor="none", markersize=9)
    ax.axvline(epoch, color=GREY, linestyle=":", linewidth=1, label=label)


def _far_apart(series: list[_Curve]) -> bool:
    """Whether positive numbers are so different that only logarithms show them."""
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in series])
    return bool(values.size and values.min() > 0 and values.max() > _FAR * values.min())


@picture
def verdict(
    records: Iterable[Record],
    word: str,
    *,
    since: int | None = None,
    baseline: tuple[float, str] | None = None,
    ax: Axes | None = None,
) -> Any:
    """Draw the losses that led to a verdict, with the epoch since when it is true and the loss of a constant prediction.

    Parameters
    ----------
    records : iterable of mapping
        As `history` takes them.
    word : str
        The verdict, which becomes the title.
    since : int, optional
        The epoch.
    baseline : (float, str), optional
        The loss of the prediction, and what that is.
    ax : matplotlib Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        What was drawn on.
    """
    rows = _rows(records)
    series = _series(rows, "loss")
    one = one_axes("verdict", ax)
    _draw(one, "loss", series, None, _far_apart(series))
    if baseline is not None:
        loss, words = baseline
        one.axhline(loss, color=GREY, linestyle="--", linewidth=1, label=f"{words}: {loss:.4g}")
    if since is not None:
        one.axvline(since, color=GREY, linestyle=":", linewidth=1, label=f"since epoch {since}")
    low, high = one.transData.inverted().transform(one.transAxes.transform([(0, 0), (0, 1 + _HEADROOM)]))[:, 1]
    one.set(ylim=(low, high), title=word)
    one.legend(loc="upper center", ncols=2, fontsize="small")
    return one
