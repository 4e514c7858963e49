"""Pictures of single checks: losses side by side, levels, the curve of an overfit test, a learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._style import BLUE, GREEN, GREY, ORANGE, PURPLE, YELLOW, as_array, ink, matplotlib, one_axes, panel_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From fine to bad, told apart by marker as well as by colour.
_LEVELS = {"ok": (GREEN, "o"), "note": (BLUE, "s"), "warning": (YELLOW, "^"), "problem": (ORANGE, "X")}
_WIDE = 50.0  # if the largest number is more than so many times the smallest, a scale is logarithmic


@picture
def losses(
    values: Mapping[str, float | None],
    *,
    ax: Axes | None = None,
    errors: Sequence[float] | None = None,
    usual: tuple[float, float] | None = None,
) -> Any:
    """Bars of losses with their names; a band for what is usual.

    Parameters
    ----------
    values : mapping of str to float or None
        By name; None and what is not finite is left out, with a word in the place of the number.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    errors : sequence of float, optional
        How far the whiskers reach.
    usual : (float, float), optional
        The band.
    """
    ax = one_axes("losses", ax)
    numbers = [float("nan") if value is None else float(value) for value in values.values()]
    known = [number for number in numbers if np.isfinite(number) and number > 0]
    places = np.arange(len(numbers))[::-1]
    shown = [number if np.isfinite(number) else 0.0 for number in numbers]
    bars = ax.barh(places, shown, height=0.5, color=[BLUE, *[GREY] * (len(numbers) - 1)])
    if errors is not None:
        ax.errorbar(shown, places, xerr=errors, linestyle="", color=ink(), capsize=4)
    if usual is not None:
        ax.axvspan(*usual, color=GREEN, alpha=0.2, label="usual")
        ax.legend(loc="lower right")
    if known and len(known) == len(numbers) and max(known) > _WIDE * min(known):
        ax.set(xscale="log", xlim=(min(known) / 3, max(known) * 6))
    else:
        ax.margins(x=0.18)
    if errors is None:
        ax.bar_label(bars, [f" {n:.3g}" if np.isfinite(n) else " not known" for n in numbers], color=ink())
    ax.set_yticks(places, list(values))
    ax.set(ylim=(-0.6, len(numbers) - 0.4), xlabel="loss")
    return ax


@picture
def overfit(
    curve: Sequence[float] | NDArray[Any], aim: float, *, ax: Axes | None = None, slow: int | None = None
) -> Any:
    """The loss of a few samples against steps, and the loss to be reached.

    Parameters
    ----------
    curve : sequence of float
        The loss before each step.
    aim : float
        What is to be reached.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    slow : int, optional
        The step to mark after which it is slow; only where the curve goes so far.
    """
    ax = one_axes("overfit", ax)
    values = np.asarray(curve, np.float64)
    values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    marker = "." if len(values) <= 60 else ""
    ax.plot(np.arange(len(values)), values, color=BLUE, marker=marker, label="a few samples")
    ax.axhline(aim, color=ORANGE, linestyle="--", label=f"learnt by heart: {aim:.3g}")
    if slow is not None and len(values) > slow:
        ax.axvline(slow, color=GREY, linestyle=":", label=f"slow from {slow} steps on")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(matplotlib("overfit", "matplotlib.ticker").MaxNLocator("auto", integer=True))
    ax.set(xlabel="steps", ylabel="loss")
    ax.legend()
    return ax


@picture
def levels(checks: Sequence[tuple[str, str]], *, ax: Axes | None = None) -> Any:
    """A line per check with a mark at its level.

    Parameters
    ----------
    checks : sequence of (str, str)
        Word and level; of a word that comes several times, the worst counts.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    """
    order = list(_LEVELS)
    worst: dict[str, str] = {}
    for word, level in checks:
        worst[word] = max(level, worst.get(word, "ok"), key=order.index)
    ax = one_axes("levels", ax, (6.4, 0.9 + 0.27 * len(worst)))
    places = np.arange(len(worst))[::-1]
    at = np.array([order.index(level) for level in worst.values()])
    ax.hlines(places, 0, at, color=GREY, linewidth=1)
    for number, (colour, marker) in enumerate(_LEVELS.values()):
        here = at == number
        ax.plot(at[here], places[here], marker=marker, markersize=9, linestyle="", color=colour)
    ax.set_yticks(places, list(worst))
    ax.set_xticks(range(len(order)), order)
    ax.set(xlim=(-0.4, len(order) - 0.6), ylim=(-0.7, len(worst) - 0.3), xlabel="level")
    return ax


@picture
def preflight(
    checks: Sequence[tuple[str, str]],
    initial: tuple[float, float | None] | None,
    few: tuple[Sequence[float] | NDArray[Any], float] | None,
    *,
    axes: Any = None,
) -> Any:
    """Levels of checks beside the losses that were seen.

    Parameters
    ----------
    checks : sequence of (str, str)
        Word and level.
    initial : (float, float or None), optional
        The loss before training, and that of the best constant prediction.
    few : (sequence of float, float), optional
        The losses while a few samples were learned, and the aim.
    axes : sequence of matplotlib.axes.Axes, optional
        Two.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        The two.
    """
    words = len({word for word, _ in checks})
    first, second = panel_axes("preflight", axes, 2, inches=(5.0, max(3.2, 0.9 + 0.27 * words)))
    levels(checks, ax=first)
    _losses_seen(second, initial, few)
    return as_array([first, second])


def _losses_seen(ax: Any, initial: Any, few: Any) -> None:
    """The curve of the few samples, with lines for the losses of all; without it, bars."""
    if few is None and initial is None:
        ax.text(0.5, 0.5, "losses: not reached", ha="center", va="center", color=ink(), transform=ax.transAxes)
        ax.set_axis_off()
        return
    if few is None:
        losses({"before\ntraining": initial[0], "expected": initial[1]}, ax=ax)
        return
    overfit(*few, ax=ax)
    for value, label, colour, line in (
        (None if initial is None else initial[0], "before training", PURPLE, "-."),
        (None if initial is None else initial[1], "expected", GREEN, ":"),
    ):
        if value is not None and np.isfinite(value) and value > 0:
            ax.axhline(value, color=colour, linestyle=line, label=f"{label}: {value:.3g}")
    ax.legend()


@picture
def learning_curve(
    samples: Sequence[int],
    training: Sequence[float],
    validation: Sequence[float],
    errors: Sequence[float],
    *,
    ax: Axes | None = None,
) -> Any:
    """Losses against the number of samples for training.

    Parameters
    ----------
    samples : sequence of int
        How many.
    training, validation : sequence of float
        Losses.
    errors : sequence of float
        How far the whiskers of the validation loss reach.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    """
    ax = one_axes("learning_curve", ax)
    ax.plot(samples, training, color=BLUE, marker="o", label="training")
    ax.errorbar(samples, validation, errors, color=ORANGE, marker="s", linestyle="--", capsize=4, label="validation")
    if max(samples) > _WIDE / 10 * min(samples):
        ax.set_xscale("log")
        ax.set_xticks(samples, [str(n) for n in samples])
        ax.minorticks_off()
    ax.set(xlabel="samples for training", ylabel="loss")
    ax.legend()
    return ax
