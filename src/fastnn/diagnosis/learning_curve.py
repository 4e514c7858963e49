"""Would more data help?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._tables import aligned
from ..checks import generator, integer, real, shown
from ..data import Batches, split
from ..training.findings import Finding, Result
from ..training.trainer import Trainer
from .losses import losses_of_samples
from .taken import Array, Taken, named, new_trainer, whole

FALLS = 0.05
"""The share by which the validation loss must fall from half of the samples to all, for more of them to help."""
SURE = 2.0
"""Standard errors of the difference, taken sample by sample, by which it must fall."""
_SOURCE = "CS231n and scikit-learn's learning curve; thresholds as of History.verdict"


@dataclass(frozen=True)
class Point:
    """What a training on so many samples achieved, at its best epoch.

    Parameters
    ----------
    samples : int
        For training.
    training, validation : float
        Mean losses in evaluation mode.
    error : float
        The standard error of the validation loss over samples.
    epoch : int
        The best of `epochs`, by the validation loss.
    epochs : int
        As many as make all trainings take equally many steps.

    Examples
    --------
    >>> from fastnn.diagnosis.learning_curve import Point
    >>> Point(100, 0.1, 0.5, 0.05, 7, 40).validation
    0.5
    """

    samples: int
    training: float
    validation: float
    error: float
    epoch: int
    epochs: int


@dataclass(frozen=True)
class LearningCurve(Result):
    """Losses against the number of samples; ``str()`` is the verdict and a table.

    Parameters
    ----------
    findings : tuple of Finding
        One, under the word "samples".
    points : tuple of Point
        By the number of samples.

    Examples
    --------
    >>> from fastnn.diagnosis.learning_curve import LearningCurve, Point
    >>> LearningCurve((), (Point(100, 0.1, 0.5, 0.05, 7, 40),)).points[0].samples
    100
    """

    title: ClassVar[str] = "learning curve"
    points: tuple[Point, ...]

    def __str__(self) -> str:
        rows = [("samples", "training", "validation", "best epoch")]
        rows += [
            (str(p.samples), f"{p.training:.4g}", f"{p.validation:.4g} ± {p.error:.2g}", f"{p.epoch} of {p.epochs}")
            for p in self.points
        ]
        return "\n".join([*map(str, self.findings), *aligned(rows)])

    def plot(self, ax: Any = None) -> Any:
        """Draw both losses against the number of samples, with two standard errors.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn.
        """
        from ..plots.checks import learning_curve

        columns = ([p.samples, p.training, p.validation, SURE * p.error] for p in self.points)
        return learning_curve(*zip(*columns, strict=True), ax=ax)


def learning_curve(
    make_trainer: Callable[[np.random.Generator], Trainer],
    x: Any,
    y: Any,
    sizes: Sequence[int | float],
    *,
    validation: Any = 0.2,
    epochs: int = 20,
    batch_size: int = 32,
    rng: Any = 0,
) -> LearningCurve:
    """Train on more and more samples, and say whether yet more would help.

    Parameters
    ----------
    make_trainer : callable
        ``make_trainer(rng)`` gives a new `fastnn.training.Trainer`, which draws its weights from the generator; it gets an
        equal one each time.
    x, y : array_like
        Samples, inputs in a tuple where they are several, and targets.
    sizes : sequence of int or float
        How many to train on; floats are shares of what is there for training. Each part holds the smaller ones.
    validation : float or (x, y)
        A share that is drawn for validation, or samples of their own.
    epochs : int
        Of the largest size. Smaller ones are trained for more, so that all take equally many steps.
    batch_size : int
        Samples per step; all of them where they are fewer.
    rng : optional
        Anything `numpy.random.default_rng` takes: the parts, weights and the order of batches.

    Returns
    -------
    LearningCurve
        With a note where the validation loss still falls by more than 5 % and two standard errors from half of the samples to
        all: more data help. Otherwise a larger or another network, or better features, may.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1 or beyond what is there, there are not two different ones, or ``make_trainer`` gives no
        trainer, or one that has trained already.

    Notes
    -----
    Losses are those of the epoch with the smallest validation loss, as `fastnn.training.EarlyStopping` would have it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import functional as F, nn, optim
    >>> from fastnn.diagnosis import learning_curve
    >>> from fastnn.training import Trainer
    >>> def make_trainer(rng):
    ...     net = nn.Sequential(nn.Linear(4, 1, dtype=np.float64, rng=rng))
    ...     return Trainer(net, optim.Adam(net.parameters(), lr=0.1), F.mse_loss)
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> curve = learning_curve(make_trainer, x, x.sum(axis=1, keepdims=True), [20, 160], epochs=10)
    >>> [point.samples for point in curve.points]
    [20, 160]
    """
    op = "learning_curve"
    if not callable(make_trainer):
        raise TypeError(f"{op}: make_trainer must be a function that gives a Trainer, got {shown(make_trainer)}")
    epochs, batch_size = integer(op, "epochs", epochs, 1), integer(op, "batch_size", batch_size, 1)
    of_parts, of_order, of_weights = generator(op, rng).spawn(3)
    known, judged = _parts(op, x, y, validation, of_parts)
    wanted = _checked_sizes(op, sizes, known.count)
    order = of_parts.permutation(known.count)
    weights, key = of_weights.bit_generator.state, int(of_order.integers(2**63))
    points, each = [], []
    for size in wanted:
        of_weights.bit_generator.state = weights
        trainer = new_trainer(op, make_trainer(of_weights))
        passes = math.ceil(epochs * wanted[-1] / size)
        point, losses = _trained(trainer, known.at(np.sort(order[:size])), judged, passes, batch_size, key)
        points.append(point)
        each.append(losses)
    return LearningCurve((_verdict(points, each),), tuple(points))


def _parts(op: str, x: Any, y: Any, validation: Any, rng: np.random.Generator) -> tuple[Taken, Taken]:
    with named(op):
        given = whole(op, Batches(x, y, batch_size=1))
    if isinstance(validation, tuple):
        return given, whole(op, validation)
    share = real(op, "validation", validation, 0.0, 1.0, open_low=True, open_high=True)
    with named(op):
        (kept,), (left,) = split(np.arange(given.count), fractions=[1 - share], rng=rng)
    return given.at(kept), given.at(left)


def _checked_sizes(op: str, sizes: Any, there: int) -> list[int]:
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise TypeError(f"{op}: sizes must be numbers of samples, got {shown(sizes)}")
    wanted = []
    for size in sizes:
        if isinstance(size, float | np.floating):
            wanted.append(max(round(there * real(op, "sizes", size, 0.0, 1.0, open_low=True)), 1))
        else:
            wanted.append(integer(op, "sizes", size, 1))
    if max(wanted, default=0) > there:
        raise ValueError(f"{op}: sizes must be at most {there}, the samples for training, got {max(wanted)}")
    if len(set(wanted)) < 2:
        raise ValueError(f"{op}: sizes must be two or more, got {shown(sizes)}")
    return sorted(set(wanted))


def _trained(
    trainer: Trainer, part: Taken, judged: Taken, passes: int, batch_size: int, key: int
) -> tuple[Point, Array | None]:
    """The best epoch of a training, and the losses of the validation samples then."""
    best: tuple[float, int, float, Array | None] = (math.inf, 0, math.nan, None)

    def note(trainer: Trainer) -> None:
        nonlocal best
        loss = trainer.history[-1]["validation_loss"]
        if loss < best[0]:
            inside = trainer.evaluate(part.batches(512))["loss"]
            best = loss, trainer.epoch, inside, losses_of_samples(trainer.loss, trainer.predict(judged.given), judged)

    size, rng = min(batch_size, part.count), np.random.default_rng(key)
    batches = Batches(part.given, part.target, batch_size=size, shuffle=True, rng=rng)
    trainer.fit(batches, judged.batches(512), epochs=passes, callbacks=[note], progress=False)
    loss, epoch, inside, each = best
    error = 0.0 if each is None or len(each) < 2 else float(each.std(ddof=1) / math.sqrt(len(each)))
    return Point(part.count, inside, loss, error, epoch, passes), each


def _verdict(points: list[Point], each: list[Array | None]) -> Finding:
    """Compare all samples with about half of them."""
    last = points[-1]
    if not math.isfinite(last.validation):
        return Finding("problem", "samples", "the training on all samples did not give a finite loss", last.validation)
    index = min(range(len(points) - 1), key=lambda i: abs(math.log(2 * points[i].samples / last.samples)))
    before = points[index]
    fall = before.validation - last.validation
    error = _error_of_difference(before, last, each[index], each[-1])
    message = (
        f"from {before.samples} to {last.samples} samples the validation loss went from {before.validation:.4g} to "
        f"{last.validation:.4g} (the training loss is {last.training:.4g})"
    )
    if fall > FALLS * abs(before.validation) and fall > SURE * error:
        advice = f"more samples would help than these {last.samples}, or augmentation of them"
        return Finding("note", "samples", message, fall, FALLS * before.validation, _SOURCE, advice)
    advice = "more samples would hardly help; a larger or another network, better inputs or longer training may"
    return Finding("ok", "samples", message, fall, FALLS * before.validation, _SOURCE, advice)


def _error_of_difference(a: Point, b: Point, first: Array | None, second: Array | None) -> float:
    """Of the same samples, their losses differ less than two means do."""
    if first is None or second is None:
        return math.hypot(a.error, b.error)
    return float((first - second).std(ddof=1) / math.sqrt(len(first))) if len(first) > 1 else 0.0
