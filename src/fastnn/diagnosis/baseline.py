"""What simple predictions achieve, so that it is known what a network has to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from .._tables import aligned
from ..checks import real, shown
from ..training.arguments import checked_loss
from ..training.constant import best_constant
from ..training.figures import Objective, Sample
from ..training.findings import Finding, Result
from ..training.history import History
from .linear import Linear
from .look import target_of
from .losses import kind_of, losses_of_samples
from .taken import Array, Taken, axis_of_samples, named, whole

SURE = 2.0
"""Standard errors by which one loss must be below another to be called better."""
_OF_BASELINE = "Karpathy, A recipe for training neural networks: dumb baselines first"


@dataclass(frozen=True)
class Prediction:
    """How a simple prediction does on the test part.

    Parameters
    ----------
    name : str
        "constant", "linear" or "persistence".
    words : str
        What it is.
    loss, error : float
        The mean loss, and its standard error over samples.
    score, score_error : float or None
        The share of classes that are right, or the root of the mean square error; with its standard error.

    Examples
    --------
    >>> from fastnn.diagnosis.baseline import Prediction
    >>> Prediction("constant", "always the mean", 1.0, 0.1, 1.0, 0.05).loss
    1.0
    """

    name: str
    words: str
    loss: float
    error: float
    score: float | None
    score_error: float | None


@dataclass(frozen=True)
class Baseline(Result):
    """Simple predictions side by side; ``str()`` is a table.

    Parameters
    ----------
    findings : tuple of Finding
        One, which says what is best; or that targets, or the losses, are not finite.
    predictions : tuple of Prediction
        The best first.
    score : str
        What the score is: "accuracy", "RMSE", or empty.
    samples : int
        In the test part.

    Examples
    --------
    >>> from fastnn.diagnosis.baseline import Baseline, Prediction
    >>> known = Baseline((), (Prediction("constant", "always the mean", 1.0, 0.1, None, None),), "", 50)
    >>> known.compare(1.1).level, known.compare(0.9).level, known.compare(0.5).level
    ('problem', 'warning', 'ok')
    """

    title: ClassVar[str] = "baseline"
    predictions: tuple[Prediction, ...]
    score: str
    samples: int

    @property
    def best(self) -> Prediction:
        """The one with the smallest loss."""
        return self.predictions[0]

    def __getitem__(self, name: str) -> Prediction:
        """By its name."""
        for prediction in self.predictions:
            if prediction.name == name:
                return prediction
        raise KeyError(f"Baseline: there is no {name!r}, only {', '.join(p.name for p in self.predictions)}")

    def compare(self, result: History | float, error: float | None = None) -> Finding:
        """Say whether a network is better than the simple predictions.

        Parameters
        ----------
        result : History or float
            A loss on the same samples, or a history, whose smallest validation loss is taken.
        error : float, optional
            The standard error of that loss; by default what the history has, else 0.

        Returns
        -------
        Finding
            A problem where the network is no better than a constant prediction, a warning where it is no better than one of the
            others, or not surely better than the constant; a note where it is not surely better than one of the others; else
            ok. A problem as well where no loss of a simple prediction is finite. Sure is what is two standard errors below; those of both count, as if of different samples.

        Raises
        ------
        ValueError, TypeError
            If the history has no validation loss, or ``result`` is neither.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.diagnosis import baseline
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = x[:, :1] + 2 * x[:, 1:]
        >>> print(baseline((x[:150], y[:150]), (x[150:], y[150:])).compare(0.5).word)
        baseline
        """
        loss, known = _loss_of(result)
        error = known if error is None else real("compare", "error", error, 0.0)
        known_losses = [p for p in self.predictions if math.isfinite(p.loss)]
        if not known_losses:
            return _nothing_finite()
        for prediction in sorted(known_losses, key=lambda p: p.name != "constant"):
            margin = SURE * math.hypot(prediction.error, error)
            if not loss < prediction.loss - margin:
                return _no_better(loss, prediction)
        message = f"{loss:.4g}, below {self.best.loss:.4g} ± {self.best.error:.2g} of {self.best.words}"
        return Finding("ok", "baseline", message, loss, self.best.loss, _OF_BASELINE)

    def __str__(self) -> str:
        head = ["prediction", "loss", self.score]
        rows = [head] + [[p.words, f"{p.loss:.4g} ± {p.error:.2g}", _scored(p, self.score)] for p in self.predictions]
        return "\n".join([*map(str, self.findings), *aligned(rows)])

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses as bars with two standard errors.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn.
        """
        from ..plots.checks import losses

        errors = [SURE * p.error for p in self.predictions]
        return losses({p.words: p.loss for p in self.predictions}, ax=ax, errors=errors)


def _loss_of(result: Any) -> tuple[float, float]:
    """A loss and its standard error."""
    if not isinstance(result, History):
        return real("compare", "result", result), 0.0
    if "validation_loss" not in result.names:
        raise ValueError("compare: the history has no validation loss; give fit a validation part, or the loss itself")
    losses = result["validation_loss"]
    if not np.isfinite(losses).any():
        return math.inf, 0.0
    best = int(np.nanargmin(losses))
    error = result["validation_loss_se"][best] if "validation_loss_se" in result.names else 0.0
    return float(losses[best]), float(error) if math.isfinite(error) else 0.0


def _nothing_finite() -> Finding:
    message = "no loss of a simple prediction is finite: there is nothing to compare with"
    advice = "look for NaN and huge numbers in the targets"
    return Finding("problem", "not finite", message, math.nan, None, "IEEE 754", advice)


def _not_finite(parts: dict[str, Array]) -> Finding | None:
    """What is said of targets that are NaN or infinite."""
    for name, y in parts.items():
        wrong = ~np.isfinite(y.reshape(len(y), -1)).all(axis=1)
        count = int(wrong.sum())
        if count:
            message = (
                f"targets of {name} are not finite: {count} of {len(y)}, the first is number {int(np.argmax(wrong))}"
            )
            return Finding("problem", "not finite", message, float(count), 0.0, "IEEE 754", "leave these samples out")
    return None


def _no_better(loss: float, prediction: Prediction) -> Finding:
    """What is said of a network that is not surely better than a simple prediction."""
    of_constant, worse = prediction.name == "constant", not loss < prediction.loss
    level = ("note", "warning", "problem")[of_constant + worse]
    how = "no better than" if worse else "not surely better than"
    message = f"the network's loss of {loss:.4g} is {how} that of {prediction.words}, {prediction.loss:.4g} ± {prediction.error:.2g}"
    advice = (
        "it has learned nothing from the inputs: see preflight"
        if of_constant
        else "take the simple prediction, give the network its output as a further input, or get more data"
    )
    return Finding(level, "baseline", message, loss, prediction.loss, _OF_BASELINE, advice)


def _scored(prediction: Prediction, score: str) -> str:
    if prediction.score is None or prediction.score_error is None:
        return ""
    if score == "accuracy":
        return f"{100 * prediction.score:.1f} % ± {100 * prediction.score_error:.1f}"
    return f"{prediction.score:.4g} ± {prediction.score_error:.2g}"


def baseline(train: Any, test: Any, loss: Any = None) -> Baseline:
    """What simple predictions achieve: a constant, a linear model, and for series the last value again.

    Parameters
    ----------
    train, test : (x, y), Batches, or iterable of batches
        What predictions are made of, and what they are tried on. x of several inputs is a tuple; samples may have weights.
    loss : callable, optional
        As of the network it is compared with; of those of `fastnn.functional` and `fastnn.nn`. By default cross-entropy for
        integers, and the squared error for floats.

    Returns
    -------
    Baseline
        Losses with their standard errors, and accuracy or the root of the mean square error. ``compare`` says whether a network
        is better.

    Raises
    ------
    ValueError, TypeError
        If there is no sample, something is no number, parts do not fit together, or no simple prediction of this loss is known.

    Notes
    -----
    "constant" is the class frequencies, the mean or the median: the best under the loss. "linear" is least squares, or logistic
    regression, on all numbers of the inputs, scaled, with a penalty of 1. "persistence" predicts the last value; it is there
    where inputs and targets are made by `fastnn.data.windows`, and in order.

    Source: Karpathy, "A recipe for training neural networks"; CS231n.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import split, windows
    >>> from fastnn.diagnosis import baseline
    >>> series = np.sin(np.arange(400) / 5)
    >>> train, test = split(*windows(series, length=8), fractions=[0.8], in_order=True)
    >>> known = baseline(train, test)
    >>> known.best.name, known["persistence"].score < known["constant"].score
    ('linear', True)
    """
    op = "baseline"
    known, tried = whole(op, train), whole(op, test, "test")
    if isinstance(known.target, tuple) or isinstance(tried.target, tuple):
        raise TypeError(f"{op}: targets must be one array, got several")
    y, z = target_of(known), target_of(tried)
    for name, taken in (("train", known), ("test", tried)):
        _check_numbers(op, name, taken)
    if loss is None:
        loss = F.cross_entropy if y.dtype.kind in "iub" else F.mse_loss
    checked_loss(op, loss)
    if y.shape[1:] != z.shape[1:]:
        raise ValueError(f"{op}: train and test must be alike, got targets of shapes {y.shape} and {z.shape}")
    shapes = [[array.shape for array in taken.inputs] for taken in (known, tried)]
    if [_of_one(known, array) for array in known.inputs] != [_of_one(tried, array) for array in tried.inputs]:
        raise ValueError(f"{op}: train and test must be alike, got inputs of shapes {shapes[0]} and {shapes[1]}")
    with np.errstate(all="ignore"):  # some targets may be NaN or infinite
        ordered = _ordered(op, known, tried, loss)
    best = ordered[0]
    finding = _not_finite({"train": y, "test": z}) or _best_of(ordered)
    score = "" if best.score is None else "accuracy" if kind_of(loss) != "numbers" else "RMSE"
    return Baseline((finding,), ordered, score, tried.count)


_Made = tuple[str, str, Array]


def _check_numbers(op: str, name: str, taken: Taken) -> None:
    """Refuse texts and objects."""
    for what, array in (*(("inputs", array) for array in taken.inputs), ("targets", target_of(taken))):
        if array.dtype.kind not in "biuf":
            advice = "; classes get numbers by np.unique(y, return_inverse=True)" if what == "targets" else ""
            raise TypeError(f"{op}: {what} of {name} must be numbers, got {array.dtype}{advice}")


def _of_one(taken: Taken, array: Array) -> tuple[int, ...]:
    """The shape of an input of one sample."""
    axis = axis_of_samples(array, taken.count)
    return array.shape if axis is None else array.shape[:axis] + array.shape[axis + 1 :]


def _ordered(op: str, known: Taken, tried: Taken, loss: Any) -> tuple[Prediction, ...]:
    """The simple predictions, the best first."""
    like = _outputs_like(target_of(known), target_of(tried), loss)
    predicted = (
        _constant(op, known, tried, loss, like),
        _linear(known, tried, loss, like),
        _persistence(known, tried, loss),
    )
    with named(op):
        made = [_judged(name, words, outputs, tried, loss) for name, words, outputs in filter(None, predicted)]
    return tuple(sorted(made, key=lambda prediction: (math.isnan(prediction.loss), prediction.loss)))


def _best_of(ordered: tuple[Prediction, ...]) -> Finding:
    best = ordered[0]
    if not math.isfinite(best.loss):
        return _nothing_finite()
    others = "; ".join(f"{p.words} {p.loss:.4g}" for p in ordered[1:])
    message = f"{best.words} is best: {best.loss:.4g} ± {best.error:.2g}" + (f"; {others}" if others else "")
    return Finding("ok", "baseline", message, best.loss, None, _OF_BASELINE)


def _outputs_like(y: Array, z: Array, loss: Any) -> Array:
    """An array of the shape and dtype of the outputs for one sample."""
    if kind_of(loss) == "classes" and y.dtype.kind in "iub":
        classes = int(max(y.max(initial=0), z.max(initial=0))) + 1
        return np.zeros((1, max(classes, 2), *y.shape[1:]))
    return np.zeros((1, *y.shape[1:]), y.dtype if y.dtype.kind == "f" else np.float64)


def _constant(op: str, known: Taken, tried: Taken, loss: Any, like: Array) -> _Made:
    with named(op):
        found = best_constant(loss, like, known.target, known.weight)
    if found is None:
        raise ValueError(
            f"{op}: no constant prediction is known for the loss {shown(loss)}; give one of fastnn.functional"
        )
    return "constant", found.words, np.repeat(found.output, tried.count, axis=0)


def _linear(known: Taken, tried: Taken, loss: Any, like: Array) -> _Made | None:
    """None where there is no linear model of the target: a class for each position."""
    kind, y = kind_of(loss), target_of(known)
    of_classes = kind == "classes" and y.dtype.kind in "iub"
    if (of_classes and y.ndim > 1) or (kind == "classes" and like.ndim > 2) or kind == "distribution":
        return None
    if of_classes:
        y = np.eye(like.shape[1])[y]
    elif kind == "signs":
        y = (y + 1) / 2
    fitted = {"classes": "classes", "yes or no": "yes or no", "signs": "yes or no"}.get(kind, "numbers")
    model = Linear(_flat(known), y.reshape(len(y), -1), fitted, known.weight)
    words = "a linear model (least squares)" if fitted == "numbers" else "a linear model (logistic regression)"
    return "linear", words, model(_flat(tried)).reshape(-1, *like.shape[1:]).astype(like.dtype)


def _flat(taken: Taken) -> Array:
    """All numbers of the inputs of each sample."""
    return np.hstack([np.asarray(array, np.float64).reshape(taken.count, -1) for array in taken.inputs])


def _persistence(known: Taken, tried: Taken, loss: Any) -> _Made | None:
    """The last value again, where windows follow each other so that this is the value before the target."""
    x, y = known.inputs[0], target_of(known)
    of_numbers = y.dtype.kind == "f" and kind_of(loss) in ("numbers", "unknown")
    if not of_numbers or len(known.inputs) > 1 or x.ndim not in (2, 3):
        return None
    features: list[Any] = [..., *((..., k) for k in range(x.shape[2] if x.ndim == 3 else 0))]
    for feature in features:
        if _goes_on(x[feature], y):
            last, shape = tried.inputs[0][feature][:, -1], target_of(tried).shape
            outputs = np.broadcast_to(last if last.shape == shape else last[:, None], shape)
            return "persistence", "the last value again", outputs.astype(y.dtype)
    return None


def _goes_on(x: Array, y: Array) -> bool:
    """Whether each target is the value after its window, as the next window shows, one or more points further on."""
    if y.shape[1:] == x.shape[2:]:
        first = y
    elif y.ndim > 1 and y.shape[2:] == x.shape[2:]:
        first = y[:, 0]
    else:
        return False
    return len(x) > 1 and any(np.array_equal(x[1:, -stride], first[:-1]) for stride in range(1, x.shape[1] + 1))


def _judged(name: str, words: str, outputs: Array, tried: Taken, loss: Any) -> Prediction:
    counts = np.ones(tried.count) if tried.weight is None else tried.weight.astype(np.float64)
    each = losses_of_samples(loss, outputs, tried)
    if each is None:
        mean, error = float(np.asarray(Objective(loss)(outputs, Sample(tried.batch())))), 0.0
    else:
        mean, error = _mean(each, counts)
    score = _score(outputs, target_of(tried), loss, counts)
    return Prediction(name, words, mean, error, *score)


def _mean(each: Array, counts: Array) -> tuple[float, float]:
    """A mean over samples, and its standard error."""
    total = counts.sum()
    if total <= 0 or len(each) < 2:
        return float(np.mean(each)), 0.0
    mean = float((counts * each).sum() / total)
    effective = total**2 / np.square(counts).sum()
    correction = effective / max(effective - 1, 1)
    return mean, float(np.sqrt((np.square(counts * (each - mean))).sum() * correction) / total)


def _score(outputs: Array, target: Array, loss: Any, counts: Array) -> tuple[float | None, float | None]:
    kind = kind_of(loss)
    if kind == "classes" and target.dtype.kind in "iub":
        right = (outputs.argmax(axis=1) == target).reshape(len(target), -1).mean(axis=1)
        return _mean(right.astype(np.float64), counts)
    if kind in ("yes or no", "signs"):
        right = ((outputs > 0) == (target > (0.5 if kind == "yes or no" else 0))).reshape(len(target), -1).mean(axis=1)
        return _mean(right.astype(np.float64), counts)
    if target.dtype.kind != "f" or target.shape != outputs.shape:
        return None, None
    squares = np.square(outputs.astype(np.float64) - target).reshape(len(target), -1).mean(axis=1)
    mean, error = _mean(squares, counts)
    root = math.sqrt(mean)
    return root, error / (2 * root) if root else 0.0
