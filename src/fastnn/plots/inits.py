"""Initialisations compared: outputs of each layer under each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, as_array, ink, panel_axes, picture
from .layer_stats import draw_histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    "fine": GREEN,
    "vanishing": ORANGE,
    "exploding": PURPLE,
    "saturated": YELLOW,
    "dead": GREY,
    "symmetric": SKY,
}
_MOST = 6  # at most so many columns, one for a layer, are drawn


@picture
def inits(
    rows: Mapping[str, Sequence[Any]],
    words: Mapping[str, str] | None = None,
    *,
    axes: Sequence[Axes] | np.ndarray[Any, Any] | None = None,
) -> Any:
    """Draw the outputs of layers under several initialisations: a row of panels for each of them.

    Parameters
    ----------
    rows : mapping of str to sequence of records
        By the names of the initialisations the rows of layers that `fastnn.diagnosis.layer_stats` gives, of the same layers.
    words : mapping of str to str, optional
        The verdict on each, written beside its row.
    axes : sequence or array of Axes, optional
        Where to draw, row by row. By default in a new figure.

    Returns
    -------
    ndarray of Axes, shape (initialisations, layers)
        The panels. Of more than six layers, six are drawn, evenly spread.

    Raises
    ------
    ValueError
        If there is nothing to draw, the layers differ, or there are not as many axes as panels.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    Under each histogram of outputs: their standard deviation over the samples, the saturated share or that of dead units, and
    the gradient of the layer's weights over their size (of the layer before an activation, root mean squares).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> def model():
    ...     return fnn.nn.Sequential(fnn.nn.Linear(4, 8, rng=0), fnn.nn.Tanh(), fnn.nn.Linear(8, 2, rng=1))
    >>> x, y = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32), np.zeros(64, np.int64)
    >>> found = fnn.diagnosis.compare_inits({"0.01": 0.01, "Xavier": fnn.init.xavier_normal}, model, x, y)
    >>> axes = fnn.plots.inits({name: stats.rows for name, stats in found.stats.items()})  # doctest: +SKIP
    """
    drawn = {name: shown_layers(each) for name, each in rows.items()}
    columns = {tuple(row.name for row, _ in each) for each in drawn.values()}
    if len(columns) != 1 or not next(iter(columns)):
        raise ValueError(f"inits: expected the same hidden layers under each initialisation, got {sorted(columns)}")
    wide = len(next(iter(columns)))
    panels = panel_axes("inits", axes, len(drawn) * wide, columns=wide, inches=(1.65, 2.1))
    grid = as_array(panels).reshape(len(drawn), wide)
    for line, (name, layers) in zip(grid, drawn.items(), strict=True):
        word = (words or {}).get(name, "")
        for ax, (row, ratio) in zip(line, layers, strict=True):
            draw_histogram(ax, row.activations, _COLOURS.get(word, BLUE))
            ax.set_ylabel("")
            ax.set_xlabel(_numbers(row, ratio), fontsize="small")
        line[0].set_ylabel(
            f"{name}\n{word}\nshare / %" if word else f"{name}\nshare / %", fontsize="small", color=ink()
        )
    for ax, (row, _) in zip(grid[0], next(iter(drawn.values())), strict=True):
        ax.set_title(f"{row.name or 'model'} ({row.kind})", fontsize="small")
    return grid


def shown_layers(rows: Sequence[Any]) -> list[tuple[Any, float | None]]:
    """The layers that have panels, six at most, each with the gradient over the weights of the last layer that has some."""
    hidden = [row for row in rows if row.role == "hidden"]
    bending = [row for row in hidden if row.is_activation] or hidden
    ratios: dict[str, float | None] = {}
    ratio = None
    for row in rows:
        ratio = ratio if row.gradient_ratio is None else row.gradient_ratio
        ratios[row.name] = ratio
    if not bending:
        return []
    places = np.linspace(0, len(bending) - 1, min(_MOST, len(bending))).round().astype(int)
    return [(bending[i], ratios[bending[i].name]) for i in places]


def _numbers(row: Any, ratio: float | None) -> str:
    parts = [f"over samples {_short(row.activations.over_samples)}"]
    if row.saturated is not None:
        parts.append(f"saturated {100 * row.saturated:.0f} %")
    elif row.dead is not None:
        parts.append(f"dead {100 * row.dead / max(1, row.units):.0f} %")
    parts.append(f"grad/w {_short(ratio)}")
    return "\n".join(parts)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}" if value and not 0.01 <= abs(value) < 1000 else f"{value:.2g}"
