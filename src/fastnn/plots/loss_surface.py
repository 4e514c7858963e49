"""Surfaces that are descended, and the paths of optimisers on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import no_grad, raw
from ..checks import flag, integer, real, shown
from ..nn import Module
from ._style import LINES, MARKERS, ORANGE, PURPLE, SEQUENTIAL, SKY, YELLOW, matplotlib, one_axes, picture
from .descent import NAMED, function_of, values_over
from .weights import Plane, filter_normalised, flattened, principal_plane, set_vector, vector_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Span = tuple[tuple[float, float], tuple[float, float]]

RESOLUTION = 41
"""Points of the grid along each direction."""
_MARGIN = 0.2  # around paths, as a share of their span
_LEVELS = 24
_LOGARITHMIC = 50.0  # if positive numbers differ by more than this factor, their logarithm is drawn
_DECADES = 5  # powers of 10 that a logarithmic scale shows at most
# Colours of the optimisers' paths. The surface below goes from blue to yellow; a dark edge sets each path off as well.
_PATHS = ("#FFFFFF", ORANGE, SKY, PURPLE, YELLOW, "#7FFF9F")


class Path(NamedTuple):
    """Where an optimiser went."""

    points: np.ndarray[Any, Any]
    """On the plane (T, 2)."""
    values: np.ndarray[Any, Any]
    """The function, or the model's own loss, at each point of the path itself, which may lie off the plane (T,)."""


class Surface(NamedTuple):
    """A function over a plane, with paths."""

    first: np.ndarray[Any, Any]
    """Coordinates to the right (columns,)."""
    second: np.ndarray[Any, Any]
    """Coordinates upwards (rows,)."""
    values: np.ndarray[Any, Any]
    """(rows, columns)"""
    paths: dict[str, Path]
    share: float | None
    """Of the paths' variance that the plane holds; None for a function of two numbers, or without paths."""
    labels: tuple[str, str]
    """Of the two directions."""


@picture
def loss_surface(
    f: str | Callable[[Any, Any], Any] | Module,
    x: Any = None,
    y: Any = None,
    *,
    paths: Any = None,
    directions: str | Sequence[Any] | None = None,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    span: Any = None,
    resolution: int = RESOLUTION,
    log: bool | None = None,
    rng: Any = None,
    ax: Axes | None = None,
) -> Any:
    """Draw a function of two numbers, or the loss of a model over a plane of its weights, with paths of optimisers.

    Parameters
    ----------
    f : {"beale", "rosenbrock", "saddle"}, callable or Module
        A function of two tensors, or a network. The network is run in evaluation mode, as a copy.
    x, y : array_like
        For a network: inputs, or a tuple of them, and targets.
    paths : array_like, sequence of states, or mapping of str to these, optional
        Where optimisers went. On a function: points (T, 2), such as `fastnn.plots.descent.descent` gives. Of a network: what
        `Module.state_dict` gave on the way, such as a `fastnn.training.WeightPath` holds. A mapping names several.
    directions : {"pca", "filter"} or (u, v), optional
        Of a network, the plane: "pca" holds most of the variance of the paths and goes through their mean; "filter" goes through
        the model's weights in two random directions with the norms of its filters; two states, or vectors (D,) in the order of
        the parameters, span one through the model's weights. By default "pca" with paths, else "filter".
    loss : callable
        ``loss(output, target)``, the mean over the samples.
    span : (float, float) or ((float, float), (float, float)), optional
        From and to, in both directions or in each. By default what shows the paths; 1 to either side with "filter" and (u, v).
    resolution : int
        Points of the grid along each direction.
    log : bool, optional
        Whether the scale of the values is logarithmic. By default where all are positive and differ widely.
    rng : optional
        What draws the directions of "filter": anything `numpy.random.default_rng` takes.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The one with the surface.

    Raises
    ------
    ValueError
        If shapes don't fit, something isn't known or missing, or no value is finite.
    TypeError
        If an argument is of another kind.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    **Weights off the plane.** A path of a network has as many dimensions as the network weights; the plane shows the nearest
    points. Each point therefore has the colour of its own loss: where that differs from the colour of the ground, the picture
    misleads. The title says how much of the variance the plane holds.

    **Batch norm** is in evaluation mode. The ground is computed with the running statistics that the model has, each point of a
    path with those of its own state.

    Directions of "pca" have length 1, so their coordinates are distances between weights. With "filter" 1 is the length of the
    weights themselves, filter by filter; biases and other parameters of one axis stay (Li et al. 2018).


    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.plots.descent import descent
    >>> path = descent("beale", (1.0, 1.2), lambda point: fnn.optim.Adam(point, lr=0.1), steps=80)
    >>> ax = fnn.plots.loss_surface("beale", paths={"Adam": path})  # doctest: +SKIP
    """
    found = surface(f, x, y, paths=paths, directions=directions, loss=loss, span=span, resolution=resolution, rng=rng)
    log = None if log is None else flag("loss_surface", "log", log)
    one = one_axes("loss_surface", ax)
    draw_surface(one, found, log)
    if found.share is not None:
        one.set_title(f"the plane holds {100 * found.share:.1f} % of the variance of the weights")
    return one


def surface(
    f: Any,
    x: Any = None,
    y: Any = None,
    *,
    paths: Any = None,
    directions: Any = None,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    span: Any = None,
    resolution: int = RESOLUTION,
    rng: Any = None,
) -> Surface:
    """The numbers that `loss_surface` draws."""
    count = integer("loss_surface", "resolution", resolution, 2)
    if isinstance(f, Module):
        return _of_model(f, x, y, _named(paths), directions, loss, span, count, rng)
    if not isinstance(f, str) and not callable(f):
        raise TypeError(f"loss_surface: f must be a function, its name or a Module, got {shown(f)}")
    if x is not None or y is not None or directions is not None:
        raise ValueError("loss_surface: x, y and directions are for a Module; a function has its own two numbers")
    return _of_function(f, _named(paths), span, count)


def _named(paths: Any) -> dict[str, Any]:
    """Paths by name."""
    if paths is None:
        return {}
    return {str(name): path for name, path in paths.items()} if isinstance(paths, Mapping) else {"": paths}


# ---- functions of two numbers --------------------------------------------------------------------------------------------


def _of_function(f: Any, paths: dict[str, Any], span: Any, count: int) -> Surface:
    function = function_of(f, "loss_surface")
    walked = {name: _points(name, path) for name, path in paths.items()}
    if span is None and isinstance(f, str):
        span = NAMED[f].span
    first, second = _axes(span, list(walked.values()), count, 2.0)
    across, up = np.meshgrid(first, second)
    drawn = {name: Path(points, values_over(function, *points.T)) for name, points in walked.items()}
    return Surface(first, second, values_over(function, across, up), drawn, None, ("x", "y"))


def _points(name: str, path: Any) -> np.ndarray[Any, Any]:
    points = np.asarray(path, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"loss_surface: the path {name!r} must be points (T, 2), got shape {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"loss_surface: the path {name!r} has numbers that are not finite")
    return points


def _axes(
    span: Any, walked: list[np.ndarray[Any, Any]], count: int, alone: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The grid's coordinates: over the span, or what shows the paths, or ``alone`` to either side."""
    if span is not None:
        first, second = _span(span)
    elif walked:
        points = np.concatenate(walked)
        low, high = points.min(0), points.max(0)
        margin = _MARGIN * np.maximum(high - low, 0.1 * (high - low).max())
        margin = np.where(margin > 0, margin, 1.0)
        first, second = ((float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True))
    else:
        first = second = (-alone, alone)
    return np.linspace(*first, count), np.linspace(*second, count)


def _span(span: Any) -> Span:
    pairs = [span, span] if np.ndim(span) == 1 else span
    if np.shape(pairs) != (2, 2):
        raise ValueError(f"loss_surface: span must be (from, to), or that of both directions, got {shown(span)}")
    ends = [tuple(real("loss_surface", "span", float(end)) for end in pair) for pair in pairs]
    if any(low >= high for low, high in ends):
        raise ValueError(f"loss_surface: span must go upwards, got {shown(span)}")
    return ends[0], ends[1]  # type: ignore[return-value]


# ---- networks ------------------------------------------------------------------------------------------------------------


def _of_model(
    given: Module, x: Any, y: Any, paths: dict[str, Any], directions: Any, loss: Any, span: Any, count: int, rng: Any
) -> Surface:
    if x is None or y is None:
        raise ValueError("loss_surface: a Module needs inputs x and targets y")
    if next(given.parameters(), None) is None:
        raise ValueError(f"loss_surface: the model has no parameters to vary, got {shown(given)}")
    model = copy.deepcopy(given).eval()
    inputs = x if isinstance(x, tuple) else (x,)

    def lost() -> float:
        with no_grad():
            return float(raw(loss(model(*inputs), y)))

    states = {name: _states(name, path) for name, path in paths.items()}
    walked = {name: np.array([vector_of("loss_surface", model, s) for s in path]) for name, path in states.items()}
    everything = np.concatenate(list(walked.values())) if walked else None
    plane, labels = _plane(model, everything, directions, rng)
    on_plane = {name: plane.coordinates(points) for name, points in walked.items()}
    first, second = _axes(span, list(on_plane.values()), count, 1.0)
    values = np.empty((count, count))
    for i, b in enumerate(second):
        for j, a in enumerate(first):
            set_vector(model, plane.at(float(a), float(b)))
            values[i, j] = lost()
    drawn = {}
    for name, path in states.items():
        own = []
        for state in path:
            model.load_state_dict(state)
            own.append(lost())
        drawn[name] = Path(on_plane[name], np.array(own))
    share = plane.share(everything) if everything is not None and len(everything) > 1 else None
    return Surface(first, second, values, drawn, share, labels)


def _states(name: str, path: Any) -> list[Any]:
    if isinstance(path, Mapping) or not isinstance(path, Iterable):
        raise TypeError(f"loss_surface: the path {name!r} must be a list of states, got {type(path).__name__}")
    states = list(path)
    if not states:
        raise ValueError(f"loss_surface: the path {name!r} has no states")
    return states


def _plane(
    model: Module, points: np.ndarray[Any, Any] | None, directions: Any, rng: Any
) -> tuple[Plane, tuple[str, str]]:
    centre = flattened([parameter.data for parameter in model.parameters()])
    wanted = ("filter" if points is None else "pca") if directions is None else directions
    if isinstance(wanted, str) and wanted == "pca":
        if points is None:
            raise ValueError("loss_surface: directions='pca' needs paths")
        plane, shares = principal_plane(points)
        first, second = (f"{100 * share:.1f} %" for share in shares)
        unit = "distance of weights"
        return plane, (f"first component, {first} ({unit})", f"second component, {second} ({unit})")
    if isinstance(wanted, str) and wanted == "filter":
        generator = np.random.default_rng(rng)
        plane = Plane(centre, filter_normalised(model, generator), filter_normalised(model, generator))
        return plane, ("first random direction (1: length of the weights)", "second random direction")
    if isinstance(wanted, str) or not isinstance(wanted, tuple | list) or len(wanted) != 2:
        raise ValueError(f"loss_surface: directions must be 'pca', 'filter' or two vectors, got {shown(wanted)}")
    u, v = (_direction(model, vector, len(centre)) for vector in wanted)
    return Plane(centre, u, v), ("along u", "along v")


def _direction(model: Module, vector: Any, size: int) -> np.ndarray[Any, Any]:
    if isinstance(vector, Mapping):
        return vector_of("loss_surface", model, vector)
    array = np.asarray(raw(vector), dtype=np.float64)
    if array.shape != (size,):
        raise ValueError(f"loss_surface: a direction must have shape ({size},), got {array.shape}")
    return array


# ---- drawing -------------------------------------------------------------------------------------------------------------


def is_logarithmic(values: np.ndarray[Any, Any]) -> bool:
    """Whether values are best seen by their logarithm: none is below 0, and they differ widely."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() >= 0 and finite.max() > _LOGARITHMIC * max(finite.min(), 1e-300))


def levels_of(values: np.ndarray[Any, Any], log: bool) -> np.ndarray[Any, Any]:
    """Where lines of equal height are, upwards."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("loss_surface: no value is finite")
    low, high = float(finite.min()), float(finite.max())
    if log:
        if high <= 0:
            raise ValueError("loss_surface: log needs values above 0")
        low = max(low, high * 10.0**-_DECADES)
        return np.geomspace(low, high, _LEVELS) if low < high else np.array([low, low * 2])
    return np.linspace(low, high, _LEVELS) if low < high else np.array([low, low + 1.0])


class Drawn(NamedTuple):
    """What shows a path, so that it can be shortened."""

    line: Any
    marks: Any
    path: Path

    def end_after(self, points: int) -> None:
        """Show the first points of the path only."""
        shown_part = self.path.points[:points]
        self.line.set_data(*shown_part.T)
        at = _marked(len(self.path.points))
        at = np.unique(np.append(at[at < len(shown_part)], len(shown_part) - 1))
        self.marks.set_offsets(shown_part[at])
        self.marks.set_array(self.path.values[at])


def draw_surface(ax: Any, found: Surface, log: bool | None = None) -> list[Drawn]:
    """The surface as coloured bands, and each path as a line with marks."""
    colours = matplotlib("loss_surface", "matplotlib.colors")
    ticker = matplotlib("loss_surface", "matplotlib.ticker")
    log = is_logarithmic(found.values) if log is None else log
    levels = levels_of(found.values, log)
    norm = (colours.LogNorm if log else colours.Normalize)(levels[0], levels[-1])
    finite = np.where(np.isfinite(found.values), found.values, levels[-1])
    ground = ax.contourf(
        found.first, found.second, np.clip(finite, levels[0], levels[-1]), levels, cmap=SEQUENTIAL, norm=norm
    )
    ax.contour(found.first, found.second, finite, levels[1::2], colors="#000000", linewidths=0.4, alpha=0.5)
    drawn = [_draw_path(ax, path, name, i, norm) for i, (name, path) in enumerate(found.paths.items())]
    bar = ax.figure.colorbar(ground, ax=ax, label="f(x, y)" if found.labels == ("x", "y") else "loss")
    bar.set_ticks(ticker.LogLocator(numticks=6) if log else ticker.MaxNLocator(6))
    ax.set(xlabel=found.labels[0], ylabel=found.labels[1], xlim=found.first[[0, -1]], ylim=found.second[[0, -1]])
    if any(found.paths):
        ax.legend(fontsize="small", framealpha=0.9)
    return drawn


def _draw_path(ax: Any, path: Path, name: str, i: int, norm: Any) -> Drawn:
    """A line with a dark edge; its points have the colours of their own values."""
    effects = matplotlib("loss_surface", "matplotlib.patheffects")
    colour, marker = _PATHS[i % len(_PATHS)], MARKERS[i % len(MARKERS)]
    edge = [effects.Stroke(linewidth=3.2, foreground="#000000"), effects.Normal()]
    style = LINES[i // len(_PATHS) % len(LINES)]
    (line,) = ax.plot(*path.points.T, color=colour, linewidth=1.8, linestyle=style, path_effects=edge, zorder=3)
    at = _marked(len(path.points))
    look = {"marker": marker, "s": 26, "edgecolors": colour, "linewidths": 1.0}
    marks = ax.scatter(*path.points[at].T, c=path.values[at], cmap=SEQUENTIAL, norm=norm, zorder=4, **look)
    ax.plot([], [], color=colour, marker=marker, markersize=6, path_effects=edge, label=name or "path")
    return Drawn(line, marks, path)


def _marked(count: int) -> np.ndarray[Any, Any]:
    """The points of a path that are marked: some 25, the last among them."""
    return np.unique(np.append(np.arange(0, count, max(1, count // 25)), count - 1))
