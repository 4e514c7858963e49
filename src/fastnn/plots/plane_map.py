"""How the layers of a network bend the plane until straight lines part the classes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import no_grad, raw
from ..checks import shown
from ..nn import Linear, Module
from ..nn.intercept import evaluation, intercepted
from ._style import GREY, as_array, ink, matplotlib, panel_axes, picture
from .decision_regions import below, checked_labels, checked_samples, draw_samples
from .feature_maps import layer_name
from .weights import Plane, principal_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = 13  # lines of the grid in each direction
_DOTS = 120  # points of a line of the grid, so many because layers bend it
_MARGIN = 0.15  # of the grid around the samples, as a share of their span
_FINE = 240  # points along each axis of the panel with the decision lines
_INCHES = 2.9, 2.7  # of a panel
_INTERVAL = 200  # milliseconds of a frame


class Stage(NamedTuple):
    """Samples and grid as they leave a layer, or enter the network."""

    name: str
    """What the layer is called, and its kind."""
    points: np.ndarray[Any, Any]
    """The samples (N, 2): their two numbers, or their place in the plane of the first two principal components."""
    grid: np.ndarray[Any, Any]
    """The lines of the grid (lines, dots, 2): first those that were upright."""
    share: float | None
    """Of the samples' variance that the plane holds; None where they have two numbers anyway."""
    plane: Plane | None
    """That plane; None where they have two numbers."""


class PlaneMap(NamedTuple):
    """What the layers do to samples and grid."""

    stages: tuple[Stage, ...]
    decided: Decisions | None
    """Of the last stage, where a linear layer follows; None where none does."""
    truth: np.ndarray[Any, Any]
    """Positions in `classes` of the samples' labels (N,)."""
    classes: tuple[Any, ...]


class Decisions(NamedTuple):
    """What the last linear layer decides over the plane of the last stage."""

    first: np.ndarray[Any, Any]
    second: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    """(rows, columns, C), of one unit also the second class with 0."""
    right: float
    """The share of the samples whose class has the largest score."""


@picture
def plane_map(
    model: Module,
    x: Any,
    y: Any,
    layer: str | Module | None = None,
    axes: Axes | Sequence[Axes] | np.ndarray[Any, Any] | None = None,
    frames: Iterable[Mapping[str, Any]] | None = None,
) -> Any:
    """Draw samples and a grid as they go through the layers of a network, up to the lines that part the classes.

    Parameters
    ----------
    model : Module
        The network, which maps samples (N, D) to scores (N, C), or (N, 1) of two classes. It is run in evaluation mode, as a copy.
    x : array_like
        Samples (N, D), finite; D is 2 or more.
    y : array_like
        Their labels (N,).
    layer : str or Module, optional
        A layer, or its dotted name: draw only what leaves it. By default what enters the network and what leaves each layer before
        the last linear one, a panel each, the linear part and the activation apart.
    axes : matplotlib Axes, or sequence of Axes, optional
        One for each panel; by default those of a new figure. `panels_of_map` says how many there are.
    frames : iterable of states, optional
        What `Module.state_dict` gave on the way, such as a `fastnn.training.WeightPath` holds: an animation of these.

    Returns
    -------
    ndarray of Axes, or Animation
        The panels. With ``frames`` a `matplotlib.animation.FuncAnimation`: ``plane_map(…).save("map.gif", writer="pillow")``.

    Raises
    ------
    ValueError
        If shapes don't fit, the model has no such layer or does not call it, there are no frames, or not as many axes as panels.
    TypeError
        If an argument is of another kind.
    MissingExtraError
        If Matplotlib is not installed, with which Pillow comes.

    Notes
    -----
    A layer of two units is drawn as it is. Of more numbers the plane of the first two principal components of the samples is shown,
    and the title says which share of their variance it holds. The grid is one of the plane that enters.

    The lines in the last panel are where the scores of the last linear layer are equal, so they are straight. Of more than two
    units they are the cut with the plane that is shown.

    Layers that change nothing, such as dropout in evaluation mode, have no panel. Frames of more than two units are turned so that
    samples stay near where they were. Olah 2014, "Neural networks, manifolds, and topology".

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    >>> net = fnn.nn.Sequential(fnn.nn.Linear(2, 2, rng=0), fnn.nn.Tanh(), fnn.nn.Linear(2, 2, rng=1))
    >>> axes = fnn.plots.plane_map(net, x, (x[:, 0] > 0).astype(np.int64))  # doctest: +SKIP
    """
    copied = _copied(model)
    if frames is not None:
        return _animated(copied, x, y, layer, axes, _states(frames))
    found = map_of(copied, x, y, layer)
    drawn = panel_axes("plane_map", axes, len(found.stages), inches=_INCHES)
    draw_map(drawn, found)
    return as_array(drawn)


def panels_of_map(model: Module, x: Any, layer: str | Module | None = None) -> int:
    """How many panels `plane_map` draws."""
    samples = _samples(x)
    return len(map_of(_copied(model), samples, np.zeros(len(samples), np.int64), layer).stages)


def map_of(model: Module, x: Any, y: Any, layer: Any = None, before: PlaneMap | None = None) -> PlaneMap:
    """What a network makes of samples and grid; where planes are fitted, turned to be like those of the map before."""
    samples = _samples(x)
    labels = checked_labels("plane_map", y, len(samples))
    classes = tuple(np.unique(labels).tolist())
    truth = np.searchsorted(np.array(classes), labels)
    entering, _ = _flat(samples)
    plane = None if samples.shape[1] == 2 else entering
    lines = grid_lines(samples if plane is None else plane.coordinates(samples))
    points = lines.reshape(-1, 2)
    if plane is not None:
        points = plane.centre + points @ np.stack([plane.first, plane.second])
    whole = np.concatenate([samples, points.astype(samples.dtype)])
    wanted = None if layer is None else layer_name("plane_map", model, layer)
    seen, head = _passed(model, whole, wanted)
    stages = []
    for i, (name, values) in enumerate(seen):
        like = before.stages[i].points if before is not None and i < len(before.stages) else None
        stages.append(_stage(name, values, len(samples), lines.shape, like))
    decided = None
    if head is not None:
        decided = _decided(head, stages[-1], seen[-1][1][: len(samples)], truth)
    return PlaneMap(tuple(stages), decided, truth, classes)


def grid_lines(points: np.ndarray[Any, Any], lines: int = _LINES, dots: int = _DOTS) -> np.ndarray[Any, Any]:
    """Upright and then level lines over the span of points, (2 · lines, dots, 2)."""
    low, high = points.min(0), points.max(0)
    margin = np.where(high > low, _MARGIN * (high - low), 1.0)
    low, high = low - margin, high + margin
    along = np.linspace(low, high, dots)
    at = np.linspace(low, high, lines)[:, None]
    upright = np.broadcast_arrays(at[..., 0], along[:, 1])
    level = np.broadcast_arrays(along[:, 0], at[..., 1])
    return np.concatenate([np.stack(upright, axis=-1), np.stack(level, axis=-1)])


# ---- through the layers --------------------------------------------------------------------------------------------------


class _Call(NamedTuple):
    name: str
    module: Module
    entering: np.ndarray[Any, Any]
    leaving: np.ndarray[Any, Any]


def _passed(
    model: Module, whole: Any, wanted: str | None
) -> tuple[list[tuple[str, np.ndarray[Any, Any]]], Linear | None]:
    """What there is to see, by name, and the linear layer that follows on it."""
    calls: list[_Call] = []

    def around(name: str, module: Module, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        first = output[0] if isinstance(output, tuple | list) else output
        if (name == wanted or next(module.children(), None) is None) and args:
            entering, leaving = (np.array(raw(part)) for part in (args[0], first))
            if len(leaving) == len(whole):
                calls.append(_Call(name, module, entering.reshape(len(whole), -1), leaving.reshape(len(whole), -1)))
        return output

    with evaluation(model), no_grad(), intercepted(model, around):
        model(whole)
    if wanted is not None:
        of_layer = [call for call in calls if call.name == wanted]
        if not of_layer:
            raise ValueError(
                f"plane_map: the model does not call its layer {wanted!r} with the samples along the first axis"
            )
        return [(_called(of_layer[-1]), of_layer[-1].leaving)], None
    last = max((i for i, call in enumerate(calls) if isinstance(call.module, Linear)), default=None)
    seen = [("input", whole.reshape(len(whole), -1))]
    for call in calls if last is None else calls[:last]:
        _see(seen, f"before {call.name}", call.entering)
        _see(seen, _called(call), call.leaving)
    if last is None:
        return seen, None
    _see(seen, f"before {calls[last].name}", calls[last].entering)
    head = calls[last].module
    assert isinstance(head, Linear)
    return seen, head


def _called(call: _Call) -> str:
    return f"{call.name}: {type(call.module).__name__}" if call.name else type(call.module).__name__


def _see(seen: list[tuple[str, np.ndarray[Any, Any]]], name: str, values: np.ndarray[Any, Any]) -> None:
    """Add what differs from what was seen last."""
    if not np.array_equal(seen[-1][1], values, equal_nan=True):
        seen.append((name, values))


def _stage(name: str, values: np.ndarray[Any, Any], samples: int, shape: Any, like: Any) -> Stage:
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"plane_map: what leaves {name!r} is not finite")
    plane, share = None, None
    if numbers.shape[1] != 2:
        plane, share = _flat(numbers[:samples])
        if like is not None:
            plane = _turned(plane, numbers[:samples], like)
        numbers = plane.coordinates(numbers)
    return Stage(name, numbers[:samples], numbers[samples:].reshape(shape), share, plane)


def _flat(samples: np.ndarray[Any, Any]) -> tuple[Plane, float]:
    """The plane of the first two principal components, and its share of the variance."""
    numbers = samples.astype(np.float64)
    if numbers.shape[1] == 1:
        return Plane(np.zeros(1), np.ones(1), np.zeros(1)), 1.0
    plane, shares = principal_plane(numbers)
    return plane, sum(shares)


def _turned(plane: Plane, samples: np.ndarray[Any, Any], like: np.ndarray[Any, Any]) -> Plane:
    """The plane with directions turned within it so that samples come near to where they were (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(plane.coordinates(samples).T @ (like - like.mean(0)))
    first, second = (u @ v).T @ np.stack([plane.first, plane.second])
    return Plane(plane.centre, first, second)


def _decided(head: Linear, stage: Stage, samples: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> Decisions:
    """The scores over the part of the plane that is drawn, and how many samples are right."""
    low, high = limits_of(stage)
    first, second = (np.linspace(low[i], high[i], _FINE) for i in range(2))
    across, up = np.meshgrid(first, second)
    points = np.stack([across, up], axis=-1)
    if stage.plane is not None:
        points = stage.plane.centre + points @ np.stack([stage.plane.first, stage.plane.second])
    best = _scores(head, samples.astype(np.float64)).argmax(1)
    return Decisions(first, second, _scores(head, points), float((best == truth).mean()))


def _scores(head: Linear, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the layer gives (…, C); a single unit's is that of the second class, the first one's is 0."""
    scores = points @ head.weight.data.astype(np.float64).T
    if head.bias is not None:
        scores = scores + head.bias.data
    if scores.shape[-1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=-1)
    return np.asarray(scores)


def limits_of(stage: Stage) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What a panel shows, from and to: the samples with a margin."""
    low, high = stage.points.min(0), stage.points.max(0)
    margin = np.where(high > low, _MARGIN * (high - low), 0.5)
    return low - margin, high + margin


# ---- drawing -------------------------------------------------------------------------------------------------------------


def draw_map(axes: Sequence[Any], found: PlaneMap) -> None:
    """A panel for each stage, the lines of the decision in the last."""
    for i, (ax, stage) in enumerate(zip(axes, found.stages, strict=True)):
        last = i == len(found.stages) - 1
        _draw_grid(ax, stage.grid)
        low, high = limits_of(stage)
        if last and found.decided is not None:
            _draw_decisions(ax, found.decided)
        draw_samples(ax, stage.points, found.truth, found.classes, legend="")
        ax.set_title(_title(stage, found.decided if last else None), fontsize="medium")
        first, second = ("feature 0", "feature 1") if stage.name == "input" else ("unit 0", "unit 1")
        if stage.share is not None:
            first, second = "first component", "second component"
        ax.set(xlabel=first, ylabel=second, xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    below(axes[0], len(found.classes))


def _title(stage: Stage, decided: Decisions | None) -> str:
    words = stage.name
    if stage.share is not None:
        words += f", {100 * stage.share:.0f} % of variance"
    return words if decided is None else f"{words}\n{100 * decided.right:.1f} % right"


def _draw_grid(ax: Any, grid: np.ndarray[Any, Any]) -> None:
    """Upright lines are solid and level ones dashed, so that one sees how they were turned."""
    collections = matplotlib("plane_map", "matplotlib.collections")
    half = len(grid) // 2
    for lines, style in ((grid[:half], "-"), (grid[half:], "--")):
        ax.add_collection(
            collections.LineCollection(list(lines), colors=GREY, linewidths=0.7, linestyles=style, alpha=0.7, zorder=0)
        )


def _draw_decisions(ax: Any, decided: Decisions) -> None:
    """For each class the line that encloses where its score is largest."""
    scores = decided.scores
    for i in range(scores.shape[-1]):
        others = np.delete(scores, i, axis=-1).max(-1)
        lead = scores[..., i] - others
        if lead.min() < 0 < lead.max():
            ax.contour(decided.first, decided.second, lead, [0.0], colors=[ink()], linewidths=1.6, zorder=1)
        if scores.shape[-1] == 2:
            break


# ---- frames --------------------------------------------------------------------------------------------------------------


def _animated(model: Module, x: Any, y: Any, layer: Any, axes: Any, states: list[Mapping[str, Any]]) -> Any:
    maps = maps_of_frames(model, x, y, states, layer)
    animation = matplotlib("plane_map", "matplotlib.animation")
    drawn = panel_axes("plane_map", axes, len(maps[0].stages), inches=_INCHES)

    def draw(number: int) -> list[Any]:
        for ax in drawn:
            ax.clear()
        draw_map(drawn, maps[number])
        return []

    return animation.FuncAnimation(drawn[0].figure, draw, frames=len(maps), interval=_INTERVAL, blit=False)


def maps_of_frames(
    model: Module, x: Any, y: Any, states: Sequence[Mapping[str, Any]], layer: Any = None
) -> list[PlaneMap]:
    """A map for each state, each turned to be like the one after it: the last one, which counts most, is as it would be alone."""
    copied = _copied(model)
    maps: list[PlaneMap] = []
    for state in reversed(states):
        copied.load_state_dict(state)
        maps.append(map_of(copied, x, y, layer, maps[-1] if maps else None))
    return maps[::-1]


def _states(frames: Any) -> list[Mapping[str, Any]]:
    if isinstance(frames, Mapping) or not isinstance(frames, Iterable):
        raise TypeError(f"plane_map: frames must be a list of states, got {type(frames).__name__}")
    states = list(frames)
    if not states or not all(isinstance(state, Mapping) for state in states):
        raise ValueError(f"plane_map: frames must be what state_dict gave, one or more, got {shown(states)}")
    return states


def _copied(model: Any) -> Module:
    if not isinstance(model, Module):
        raise TypeError(f"plane_map: model must be a Module, got {shown(model)}")
    return copy.deepcopy(model)


def _samples(x: Any) -> np.ndarray[Any, Any]:
    return checked_samples("plane_map", x, np.float32)
