"""What a classifier says where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import no_grad, raw
from ..checks import counted, integer, shown
from ..nn import Module
from ..nn.intercept import evaluation
from ._style import MARKERS, colours_of, ink, matplotlib, one_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESOLUTION = 150
"""Points of the grid along each feature."""
_MARGIN = 0.08  # around the samples, as a share of their span
_PORTION = 1 << 14  # points that are predicted at a time
_FAINT, _STRONG = 0.12, 0.62  # how opaque an undecided and a certain place are
_LEGEND = 20  # classes that a legend has room for


class Regions(NamedTuple):
    """The prediction over a grid of two features."""

    first: np.ndarray[Any, Any]
    """Values of the first feature (columns,)."""
    second: np.ndarray[Any, Any]
    """Values of the second feature (rows,)."""
    labels: np.ndarray[Any, Any]
    """Positions in `classes` (rows, columns)."""
    probability: np.ndarray[Any, Any] | None
    """Of the predicted class (rows, columns); None where the prediction is labels alone."""
    classes: tuple[Any, ...]
    truth: np.ndarray[Any, Any]
    """Positions in `classes` of the samples' own labels (N,)."""


@picture
def decision_regions(
    predict: Module | Callable[[Any], Any],
    x: Any,
    y: Any,
    *,
    features: tuple[int, int] = (0, 1),
    fill: str | Sequence[float] | np.ndarray[Any, Any] = "nearest",
    resolution: int = RESOLUTION,
    names: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Any:
    """Draw which class is predicted where, as colours over two features, with the samples.

    Parameters
    ----------
    predict : Module or callable
        A network, which is run in evaluation mode and is afterwards as it was; or any function of samples (N, D), such as
        ``predict`` or ``predict_proba`` of scikit-learn. It gives scores or probabilities (N, C), a score or a probability
        (N,) or (N, 1) of the second of two classes, or labels (N,).
    x : array_like
        The samples (N, D), finite.
    y : array_like
        Their labels (N,): 0 to C − 1, or whatever labels are predicted.
    features : (int, int)
        Which columns are drawn, to the right and upwards.
    fill : {"nearest", "mean"} or array_like
        What the other features are at each place: those of the nearest sample in the picture, their means, or these numbers (D,).
    resolution : int
        Points of the grid along each feature.
    names : sequence, optional
        What the two features are called (2,).
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The one with the regions.

    Raises
    ------
    ValueError
        If shapes don't fit, there are no such features or fill, x or the prediction is not finite, or labels are not
        among the classes.
    TypeError
        If ``predict`` cannot be called, or gives no numbers or labels.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    Rows that are not negative and sum to 1 count as probabilities; others are scores (logits), of which the softmax is taken. A
    single number counts as a probability of the second class if all are in [0, 1], else as its logit. Integers, bools, texts and
    numbers that are all among the labels are labels. The paler a place is, the less probable is its class.

    With more than two features a picture shows only a part: with "nearest" the other features jump from sample to sample, and so
    does the border.


    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> ax = fnn.plots.decision_regions(fnn.nn.Linear(2, 2, rng=0), x, y)  # doctest: +SKIP
    """
    found = regions(predict, x, y, features=features, fill=fill, resolution=resolution)
    if names is not None and (isinstance(names, str) or len(names) != 2):
        raise ValueError(f"decision_regions: names must be two, of the features that are drawn, got {shown(names)}")
    one = one_axes("decision_regions", ax)
    draw_regions(one, found, np.asarray(x)[:, list(features)])
    called = [f"feature {i}" for i in features] if names is None else [str(name) for name in names]
    one.set(xlabel=called[0], ylabel=called[1])
    return one


def regions(
    predict: Any,
    x: Any,
    y: Any,
    *,
    features: tuple[int, int] = (0, 1),
    fill: Any = "nearest",
    resolution: int = RESOLUTION,
) -> Regions:
    """What is predicted over the grid, and which classes there are."""
    if not callable(predict):
        raise TypeError(f"decision_regions: predict must be a Module or a function, got {shown(predict)}")
    samples = checked_samples("decision_regions", x, np.float64)
    labels = checked_labels("decision_regions", y, len(samples))
    i, j = _columns(features, samples.shape[1])
    count = integer("decision_regions", "resolution", resolution, 2)
    first, second = (_axis(samples[:, k], count) for k in (i, j))
    across, up = np.meshgrid(first, second)
    points = _filled(samples, fill, (i, j), across.ravel(), up.ravel())
    predicted = np.concatenate([outputs(predict, part) for part in _portions(points.astype(samples.dtype))])
    found, probability, classes = interpreted(predicted, labels)
    shape = (count, count)
    probability = None if probability is None else probability.reshape(shape)
    return Regions(first, second, found.reshape(shape), probability, classes, _positions(labels, classes))


def outputs(predict: Any, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What is predicted for samples; by a network in evaluation mode, and in its dtype."""
    if isinstance(predict, Module):
        dtype = next((parameter.dtype for parameter in predict.parameters()), np.dtype(np.float32))
        with evaluation(predict), no_grad():
            given = raw(predict(x.astype(dtype)))
    else:
        with no_grad():
            given = raw(predict(x))
    array = np.asarray(given)
    if array.ndim == 0 or len(array) != len(x):
        given = f"{counted(len(x), 'sample')} {'was' if len(x) == 1 else 'were'} given"
        raise ValueError(f"decision_regions: {given}, but the prediction has shape {array.shape}")
    return array


def interpreted(
    predicted: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None, tuple[Any, ...]]:
    """Positions of the predicted classes, their probabilities, and the classes."""
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        probabilities = _finite(as_probabilities(predicted))
        best = probabilities.argmax(1)
        return best, probabilities[np.arange(len(best)), best], _classes_of(labels, predicted.shape[1])
    if predicted.ndim > 2:
        raise ValueError(f"decision_regions: predictions must be (N, C) or (N,), got shape {predicted.shape}")
    single = predicted.reshape(len(predicted))
    if single.dtype.kind == "f" and not np.isin(single, labels).all():
        of_second = _finite(_of_second(single.astype(np.float64)))
        best = (of_second > 0.5).astype(np.int64)
        return best, np.where(best == 1, of_second, 1 - of_second), _classes_of(labels, 2)
    if single.dtype.kind not in "biufUSO":
        raise TypeError(f"decision_regions: predictions must be numbers or labels, got {single.dtype}")
    classes = tuple(np.unique(np.concatenate([single, labels])).tolist())
    return _positions(single, classes), None, classes


def as_probabilities(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows that sum to 1: as they are if they do so already, else their softmax."""
    rows = scores.astype(np.float64)
    if (rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-4):
        return rows
    with np.errstate(invalid="ignore"):  # infinite scores give NaN
        powers = np.exp(rows - rows.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _finite(probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not np.isfinite(probabilities).all():
        raise ValueError("decision_regions: what is predicted is not finite: NaN, or infinite scores")
    return probabilities


def _of_second(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if ((scores >= 0) & (scores <= 1)).all():
        return scores
    return 0.5 + 0.5 * np.tanh(scores / 2)


def _classes_of(labels: np.ndarray[Any, Any], count: int) -> tuple[Any, ...]:
    """What columns of scores stand for: 0 to count − 1, or as many labels of another kind in their order."""
    found = np.unique(labels)
    if found.dtype.kind in "biu" and (found.size == 0 or (found.min() >= 0 and found.max() < count)):
        return tuple(range(count))
    if len(found) == count:
        return tuple(found.tolist())
    raise ValueError(
        f"decision_regions: the prediction has {count} classes, but y has the labels {shown(found.tolist())}"
    )


def _positions(labels: np.ndarray[Any, Any], classes: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    at = {label: i for i, label in enumerate(classes)}
    return np.array([at[label] for label in labels.tolist()], dtype=np.int64)


def checked_samples(op: str, x: Any, default: Any) -> np.ndarray[Any, Any]:
    """Samples (N, D) of two features or more, those that are no floats in a default dtype."""
    samples = np.asarray(raw(x))
    if samples.ndim != 2 or samples.shape[1] < 2 or not len(samples) or samples.dtype.kind not in "biuf":
        found = f"{samples.dtype} of shape {samples.shape}"
        raise ValueError(f"{op}: x must be numbers (N, D) with at least 2 features, got {found}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{op}: x holds numbers that are not finite")
    return samples if samples.dtype.kind == "f" else samples.astype(default)


def checked_labels(op: str, y: Any, count: int) -> np.ndarray[Any, Any]:
    """Labels of so many samples."""
    labels = np.asarray(raw(y))
    if labels.shape != (count,):
        raise ValueError(f"{op}: y must be ({count},), a label per sample, got shape {labels.shape}")
    return labels


def _columns(features: Any, count: int) -> tuple[int, int]:
    if not isinstance(features, tuple | list) or len(features) != 2:
        raise TypeError(f"decision_regions: features must be two columns, got {shown(features)}")
    i, j = (integer("decision_regions", "features", k, 0) for k in features)
    if i == j or max(i, j) >= count:
        raise ValueError(f"decision_regions: features must be two different columns of {count}, got {shown(features)}")
    return i, j


def _axis(values: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, count)


def _filled(
    samples: np.ndarray[Any, Any], fill: Any, columns: tuple[int, int], across: Any, up: Any
) -> np.ndarray[Any, Any]:
    """A whole sample for each point of the grid (points, D)."""
    if isinstance(fill, str):
        if fill not in ("nearest", "mean"):
            raise ValueError(f"decision_regions: fill must be 'nearest', 'mean' or numbers, got {fill!r}")
        if fill == "mean" or samples.shape[1] == 2:
            points = np.tile(samples.mean(0), (len(across), 1))
        else:
            points = samples[_nearest(samples[:, list(columns)], across, up)].copy()
    else:
        values = np.asarray(fill, dtype=samples.dtype)
        if values.shape != samples.shape[1:]:
            raise ValueError(f"decision_regions: fill must be ({samples.shape[1]},), got shape {values.shape}")
        points = np.tile(values, (len(across), 1))
    points[:, columns[0]], points[:, columns[1]] = across, up
    return points


def _nearest(seen: np.ndarray[Any, Any], across: Any, up: Any) -> np.ndarray[Any, Any]:
    """For each point the nearest sample, in units of each feature's span."""
    span = np.ptp(seen, axis=0)
    span = np.where(span > 0, span, 1.0)
    samples = seen / span
    found = []
    for part in _portions(np.column_stack([across, up]) / span, 1 + (1 << 22) // len(samples)):
        squares = (np.square(part).sum(1)[:, None] - 2 * part @ samples.T) + np.square(samples).sum(1)
        found.append(squares.argmin(1))
    return np.concatenate(found)


def _portions(points: np.ndarray[Any, Any], size: int = _PORTION) -> Any:
    return (points[start : start + size] for start in range(0, len(points), size))


def draw_regions(ax: Any, found: Regions, samples: np.ndarray[Any, Any], legend: str = "small") -> None:
    """The regions as colours, their borders as lines, the samples as marks."""
    to_rgba = matplotlib("decision_regions", "matplotlib.colors").to_rgba
    colours = [to_rgba(colour) for colour in colours_of(len(found.classes))]
    tones = np.array(colours)[found.labels]
    tones[..., 3] = opacity(found.probability, len(found.classes))
    halves = [np.diff(axis[:2])[0] / 2 for axis in (found.first, found.second)]
    extent = [axis[[0, -1]] + (-half, half) for axis, half in zip((found.first, found.second), halves, strict=True)]
    ax.imshow(tones, origin="lower", extent=np.concatenate(extent), aspect="auto", interpolation="nearest", zorder=0)
    for i in range(len(found.classes)):
        inside = (found.labels == i).astype(float)
        if inside.any() and not inside.all():
            ax.contour(found.first, found.second, inside, [0.5], colors=[ink()], linewidths=0.8, zorder=1)
    draw_samples(ax, samples, found.truth, found.classes, legend)


def opacity(probability: np.ndarray[Any, Any] | None, classes: int) -> Any:
    """How strong the colour is: from undecided, which is 1 / classes, to certain."""
    if probability is None:
        return (_FAINT + _STRONG) / 2
    least = 1 / max(classes, 2)
    share = np.clip((probability - least) / (1 - least), 0, 1)
    return np.where(np.isfinite(share), _FAINT + (_STRONG - _FAINT) * share, 0.0)


def draw_samples(
    ax: Any, samples: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], classes: Sequence[Any], legend: str = "small"
) -> None:
    """Samples as marks, which differ by class in colour and shape, with a legend in this size of letters if any."""
    size = float(np.clip(4000 / max(len(samples), 1), 8, 30))
    for i, (label, colour) in enumerate(zip(classes, colours_of(len(classes)), strict=True)):
        of_class = samples[truth == i]
        if len(of_class):
            ax.scatter(
                *of_class.T,
                s=size,
                color=[colour],
                marker=MARKERS[i % len(MARKERS)],
                edgecolors=ink(),
                linewidths=0.4,
                label=label if isinstance(label, str) else f"class {label}",
                zorder=2,
            )
    if legend and len(classes) <= _LEGEND:
        ax.legend(fontsize=legend, ncols=1 + (len(classes) - 1) // 7, framealpha=0.7, handletextpad=0.2)


def below(ax: Any, classes: int) -> None:
    """A legend of the classes below axes, where it hides nothing."""
    if classes <= _LEGEND:
        ax.legend(
            fontsize="x-small", ncols=min(classes, 3), loc="upper center", bbox_to_anchor=(0.5, -0.25), frameon=False,
            handletextpad=0.2, columnspacing=0.8,
        )  # fmt: skip
