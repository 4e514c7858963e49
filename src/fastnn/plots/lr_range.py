"""The loss against the learning rate, in a range test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import real
from ._style import BLUE, GREEN, GREY, ORANGE, one_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_ABOVE, _BELOW = 0.6, 0.1  # room above and below the curve, as shares of the fall of the loss


@picture
def lr_range(
    lrs: ArrayLike,
    losses: ArrayLike,
    smoothed: ArrayLike | None = None,
    *,
    suggested: float | None = None,
    usable: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss against the learning rate, on a logarithmic axis.

    Parameters
    ----------
    lrs : array_like, (steps,)
        Rates above 0, rising.
    losses : array_like, (steps,)
        The loss at each; what is not finite is left out.
    smoothed : array_like, (steps,), optional
        Averages of the losses. The axis shows their fall whole, and their rise as far as they began.
    suggested : float, optional
        A rate to mark.
    usable : (float, float), optional
        The first and the last rate of a range to shade.
    ax : matplotlib Axes, optional
        Where to draw, by default in a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If lengths differ, there are no losses, or a rate is not above 0.
    TypeError
        If ``ax`` is no single Axes, or something is no number.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> lrs = np.geomspace(1e-6, 10, 100)
    >>> losses = 2.3 - 2 / (1 + 1e-3 / lrs) + lrs**2
    >>> ax = fnn.plots.lr_range(lrs, losses, suggested=0.05, usable=(1e-4, 0.5))  # doctest: +SKIP
    >>> ax.figure.savefig("lr_range.png")  # doctest: +SKIP
    """
    rates, raw, average = _checked(lrs, losses, smoothed)
    marked = None if suggested is None else real("lr_range", "suggested", suggested, 0.0, open_low=True)
    shaded = None if usable is None else _checked_range(usable)
    ax = one_axes("lr_range", ax)
    if shaded is not None:
        label = f"usable: {shaded[0]:.2g} to {shaded[1]:.2g}"
        ax.axvspan(*shaded, color=GREEN, alpha=0.2, linewidth=0, label=label)
    few = "." if np.isfinite(raw).sum() < 3 else ""
    if average is None:
        ax.plot(rates, raw, color=BLUE, marker=few, label="loss")
    else:
        ax.plot(rates, raw, color=GREY, linewidth=1, alpha=0.7, marker=few, label="loss of a step")
        ax.plot(rates, average, color=BLUE, linewidth=2, marker=few, label="average")
    if marked is not None:
        ax.axvline(marked, color=ORANGE, linestyle="--", label=f"suggested: {marked:.2g}")
    ax.set_xscale("log")
    bottom, top = limits(raw if average is None else average)
    ax.set(ylim=(min(bottom, limits(raw)[0]), top), xlabel="learning rate (logarithmic)", ylabel="loss of a batch")
    ax.legend()
    return ax


def limits(values: Floats) -> tuple[float, float]:
    """The part of the axis that shows a fall whole, and a rise as far as matters.

    >>> limits(np.array([2.0, 1.0, 50.0, np.nan]))
    (0.9, 2.6)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    lowest = int(np.argmin(finite))
    low, high = float(finite[lowest]), float(finite[: lowest + 1].max())
    if high == low:  # the loss only rose
        high = float(finite.max())
    fall = (high - low) or abs(low) or 1.0
    return low - _BELOW * fall, high + _ABOVE * fall


def _checked(lrs: Any, losses: Any, smoothed: Any) -> tuple[Floats, Floats, Floats | None]:
    rates = _numbers("lrs", lrs)
    if not len(rates) or not (rates > 0).all() or not np.isfinite(rates).all():
        raise ValueError("lr_range: lrs must be rates above 0, and at least one")
    others = [
        None if part is None else _numbers(name, part) for name, part in (("losses", losses), ("smoothed", smoothed))
    ]
    for name, part in zip(("losses", "smoothed"), others, strict=True):
        if part is not None and len(part) != len(rates):
            raise ValueError(f"lr_range: {name} must be as many as lrs, {len(rates)}, got {len(part)}")
    raw, average = (None if part is None else np.where(np.isfinite(part), part, np.nan) for part in others)
    assert raw is not None
    return rates, raw, average


def _numbers(name: str, values: Any) -> Floats:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"lr_range: {name} must be numbers, got {type(values).__name__}") from None
    if array.ndim != 1:
        raise ValueError(f"lr_range: {name} must have one axis, got shape {array.shape}")
    return array


def _checked_range(usable: Any) -> tuple[float, float]:
    if not isinstance(usable, (tuple, list)) or len(usable) != 2:
        raise TypeError(f"lr_range: usable must be two rates, got {usable!r}")
    low = real("lr_range", "usable", usable[0], 0.0, open_low=True)
    return low, real("lr_range", "usable", usable[1], low)
