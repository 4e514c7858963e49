"""Outputs, gradients, weights and updates of layers as histograms, and over the course of a training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import shown
from ._style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    LINES,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    as_array,
    is_several,
    matplotlib,
    panel_axes,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]

_COLOURS = {"activations": BLUE, "gradients": ORANGE, "weights": GREEN, "updates": PURPLE}
_LABELS = {"activations": "output", "gradients": "gradient of the outputs", "weights": "weight", "updates": "step"}
_INCHES = 2.7, 2.2
_HEALTHY = 3e-4, 1e-2  # the range of healthy steps: size of a step over size of the weights
_DECADE = 10  # numbers that differ by a larger factor are drawn on a logarithmic scale
_FEW = 20  # observations are marked one by one if there are at most so many


@picture
def layer_stats(
    layers: Any, what: str = "activations", *, axes: Axes | Sequence[Axes] | np.ndarray[Any, Any] | None = None
) -> Any:
    """Draw what layers give, which gradients come back, their weights, or the steps of the optimiser.

    Parameters
    ----------
    layers : sequence of records, or mapping of str to sequence of dict
        What `fastnn.diagnosis.layer_stats` gives under ``rows``: a histogram for each layer. What
        `fastnn.training.LayerMonitor` gives under ``history``: the course of a training.
    what : {"activations", "gradients", "weights", "updates"}
        What to draw. Of a training, histograms of outputs and gradients as a picture, column by column; the sizes of weights,
        and of steps in proportion to them, as lines.
    axes : Axes, or sequence or array of Axes, optional
        Where to draw, a panel for each layer that has such numbers; for lines a single one. By default in a new figure.

    Returns
    -------
    Axes or ndarray of Axes
        What was given; of a new figure the array of its panels.

    Raises
    ------
    ValueError
        If ``what`` is none of these, no layer has such numbers, or there are not as many axes as panels.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> x, y = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32), np.zeros(64, np.int64)
    >>> model = fnn.nn.Sequential(fnn.nn.Linear(4, 8, rng=0), fnn.nn.ReLU(), fnn.nn.Linear(8, 2, rng=1))
    >>> stats = fnn.diagnosis.layer_stats(model, [(x, y)])
    >>> axes = fnn.plots.layer_stats(stats.rows, "weights")  # doctest: +SKIP
    """
    if what not in _COLOURS:
        raise ValueError(f"layer_stats: what must be one of {', '.join(_COLOURS)}, got {shown(what)}")
    if isinstance(layers, Mapping):
        drawn = _over_time(layers, what, axes)
    else:
        drawn = _at_once(layers, what, axes)
    return as_array(drawn) if axes is None or is_several(axes) else axes


def histograms(rows: Iterable[Any], what: str) -> list[tuple[str, Any]]:
    """The titles and the statistics that panels show: of each layer, or of each parameter."""
    found = []
    for row in rows:
        if what in ("activations", "gradients"):
            found.append((f"{row.name or 'model'} ({row.kind})", getattr(row, what)))
        else:
            found += [(own.name, getattr(own, what)) for own in row.parameters if len(own.shape) > 1]
    return [(title, spread) for title, spread in found if spread is not None and sum(spread.bins)]


def _at_once(rows: Iterable[Any], what: str, axes: Any) -> list[Any]:
    found = histograms(rows, what)
    if not found:
        hint = ", since no optimizer= was given to diagnosis.layer_stats" if what == "updates" else ""
        raise ValueError(f"layer_stats: no layer has {what}{hint}")
    panels = panel_axes("layer_stats", axes, len(found), columns=4, inches=_INCHES)
    for ax, (title, spread) in zip(panels, found, strict=True):
        draw_histogram(ax, spread, _COLOURS[what])
        ax.set_title(title, fontsize="small")
        ax.set_xlabel(f"{_LABELS[what]}\nmean {spread.mean:.2g}, std {spread.std:.2g}", fontsize="small")
    return panels


def draw_histogram(ax: Any, spread: Any, colour: str) -> None:
    """Bars that show shares of all numbers."""
    low, high = spread.edges
    edges = np.linspace(low, high, len(spread.bins) + 1)
    shares = 100 * np.array(spread.bins) / max(1, spread.count)
    ax.bar(edges[:-1], shares, width=np.diff(edges), align="edge", color=colour)
    ax.set_ylabel("share / %", fontsize="small")
    ax.tick_params(labelsize="small")
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")


# ---- over time -------------------------------------------------------------------------------------------------------


def _over_time(history: Mapping[str, Sequence[Mapping[str, Any]]], what: str, axes: Any) -> list[Any]:
    if what in ("activations", "gradients"):
        return _images(history, what, axes)
    lines = {name: course(seen, "weight" if what == "weights" else "update_ratio") for name, seen in history.items()}
    lines = {name: line for name, line in lines.items() if len(line[0])}
    if not lines:
        raise ValueError(f"layer_stats: no layer has {what}")
    (ax,) = panel_axes("layer_stats", axes, 1, inches=(6.4, 4.4))
    for number, (name, (steps, values)) in enumerate(lines.items()):
        style = LINES[number // len(COLOURS) % len(LINES)]
        marker = "." if len(steps) <= _FEW else ""
        ax.plot(
            steps, values, color=COLOURS[number % len(COLOURS)], linestyle=style, marker=marker, label=name or "model"
        )
    ax.set_xlabel("step")
    every = np.concatenate([values for _, values in lines.values()])
    if what == "updates" or every.max() > _DECADE * every.min():
        ax.set_yscale("log")
    if what == "updates":
        ax.axhspan(*_HEALTHY, color=GREY, alpha=0.25, linewidth=0, label="healthy")
        ax.set_ylabel("size of a step / size of the weights")
    else:
        ax.set_ylabel("weights, root mean square")
    ax.legend(fontsize="small", title="layer", title_fontsize="small", ncols=1 + (len(lines) - 1) // 8)
    return [ax]


def course(seen: Iterable[Mapping[str, Any]], name: str) -> tuple[Array, Array]:
    """Steps and numbers of what was seen, where there is a number above 0."""
    pairs = [(each["step"], each[name]) for each in seen if each[name] is not None]
    pairs = [(step, value) for step, value in pairs if math.isfinite(value) and value > 0]
    return np.array([step for step, _ in pairs]), np.array([value for _, value in pairs])


def image(seen: Sequence[Mapping[str, Any]], what: str) -> tuple[Array, Array, tuple[float, float]] | None:
    """Steps, shares of numbers (bins, steps) from the lowest bin to the highest, and the range; None without numbers.

    What lies outside of the range is counted in the first and last bin.
    """
    bins, edges = ("bins", "edges") if what == "activations" else ("gradient_bins", "gradient_edges")
    used = [each for each in seen if each[bins] is not None and np.sum(each[bins]) > 0]
    if not used:
        return None
    counts = np.array([np.asarray(each[bins], dtype=float) for each in used]).T
    low, high = used[0][edges]
    width = (high - low) / (len(counts) - 2)
    return np.array([each["step"] for each in used]), counts / counts.sum(axis=0), (low - width, high + width)


def _images(history: Mapping[str, Sequence[Mapping[str, Any]]], what: str, axes: Any) -> list[Any]:
    found = {name: image(seen, what) for name, seen in history.items()}
    images = {name: each for name, each in found.items() if each is not None}
    if not images:
        raise ValueError(f"layer_stats: no layer has {what}")
    colours = matplotlib("layer_stats", "matplotlib.colors")
    panels = panel_axes("layer_stats", axes, len(images), columns=3)
    norm = colours.LogNorm(1e-4, 1)
    mesh = None
    for ax, (name, (steps, shares, (low, high))) in zip(panels, images.items(), strict=True):
        edges = np.linspace(low, high, len(shares) + 1)
        mesh = ax.pcolormesh(borders(steps), edges, np.maximum(shares, 1e-4), norm=norm, cmap=SEQUENTIAL)
        kind = history[name][0].get("kind")
        ax.set_title(f"{name or 'model'} ({kind})" if kind else name or "model", fontsize="medium")
        ax.set(xlabel="step", ylabel=_LABELS[what])
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    panels[0].figure.colorbar(mesh, ax=panels, label="share of the numbers", shrink=0.8)
    return panels


def borders(steps: Array) -> Array:
    """The edges of columns at some steps: each ends where the next one begins.

    >>> import numpy as np
    >>> borders(np.array([1, 51, 101])), borders(np.array([7]))
    (array([  1.,  51., 101., 151.]), array([7., 8.]))
    """
    last = steps[-1] + (steps[-1] - steps[-2] if len(steps) > 1 else 1)
    return np.append(steps, last).astype(float)
