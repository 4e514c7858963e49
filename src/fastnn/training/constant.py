"""The best prediction that knows nothing of the inputs, and its loss: what a network has to beat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import checks, nn
from .. import functional as F
from ..autograd import raw
from .figures import Loss, Objective, Sample

Array = np.ndarray[Any, Any]

FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a loss of the caller's may raise when it is asked for more than the loss of a batch; that ends no training."""

_OP = "best_constant"
# The probability that is given to a class without targets: to any loss it is as good as 0, and yet its logit, -69,
# gives a finite loss on other targets, where the class may come.
_LEAST = 1e-30
_HALVINGS = 60  # how often the interval is halved in which the constant of a Huber loss lies

# The function that each module of a loss calls, and the module's attributes that it gets.
_MODULES: dict[type[nn.Module], tuple[Callable[..., Any], tuple[str, ...]]] = {
    nn.CrossEntropyLoss: (F.cross_entropy, ("weight", "ignore_index", "label_smoothing", "reduction")),
    nn.NLLLoss: (F.nll_loss, ("weight", "ignore_index", "reduction")),
    nn.MultiMarginLoss: (F.multi_margin_loss, ("p", "margin", "weight", "reduction")),
    nn.BCEWithLogitsLoss: (F.binary_cross_entropy_with_logits, ("weight", "pos_weight", "reduction")),
    nn.HingeLoss: (F.hinge_loss, ("margin", "reduction")),
    nn.MSELoss: (F.mse_loss, ("reduction",)),
    nn.L1Loss: (F.l1_loss, ("reduction",)),
    nn.HuberLoss: (F.huber_loss, ("delta", "reduction")),
}


@dataclass(frozen=True)
class Baseline:
    """What a training has to beat: the loss of the best constant prediction for its targets.

    Parameters
    ----------
    loss : float
        That loss.
    words : str
        What the prediction is.
    validation_loss : float or None
        The loss of the same prediction for the validation part.
    validation_accuracy : float or None
        Its accuracy there, where that is the usual metric.
    validation_samples : int or None
        How many samples that part has.
    """

    loss: float
    words: str
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_samples: int | None = None


@dataclass(frozen=True)
class Constant:
    """A prediction that is the same for every sample.

    Parameters
    ----------
    output : ndarray, shape (1, ...)
        What a model that predicts it gives for one sample.
    loss : float
        Its loss on the targets.
    words : str
        What it is.
    """

    output: Array
    loss: float
    words: str

    def loss_of(self, objective: Objective, sample: Sample) -> float:
        """Its loss for the targets of a batch."""
        return float(raw(objective(np.repeat(self.output, sample.count, axis=0), sample)))


def best_constant(loss: Loss, outputs: Any, targets: Any, weight: Any = None) -> Constant | None:
    """Of the predictions that are the same for every sample the one with the smallest loss.

    That is, under cross-entropy, the frequencies of the classes as logits (over samples and positions together); under binary
    cross-entropy the logit of the mean, under squared error the mean, under absolute error the median, each of every element
    of the output.

    Parameters
    ----------
    loss : callable
        A loss of `fastnn.functional` or `fastnn.nn`, or a `functools.partial` of one with keywords. One of your own may have
        a method ``best_constant(targets, weight)``, which gives the prediction, of shape (1, ...).
    outputs : array_like or Tensor, shape (n, ...)
        What a model gives for some samples, of which shape and dtype count, not the values.
    targets : array_like or Tensor, shape (samples, ...)
        What the loss is called with.
    weight : array_like, shape (samples,), optional
        Of each sample.

    Returns
    -------
    Constant or None
        None where the loss is not one of these, where outputs or targets are several, and where nothing counts.

    Raises
    ------
    TypeError, ValueError
        If the targets do not fit the loss, or there is none.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> from fastnn.training.constant import best_constant
    >>> of_classes = best_constant(F.cross_entropy, np.zeros((1, 2)), np.array([0, 1, 1, 1]))
    >>> np.exp(of_classes.output).round(2), round(of_classes.loss, 4), of_classes.words
    (array([[0.25, 0.75]]), 0.5623, 'always the class frequencies')
    >>> best_constant(F.l1_loss, np.zeros((1, 1)), np.array([[1.0], [2.0], [9.0]])).output
    array([[2.]])
    """
    if isinstance(outputs, tuple) or isinstance(targets, tuple):
        return None
    like, target = np.asarray(raw(outputs)), np.asarray(raw(targets))
    if not target.ndim or not len(target):
        raise ValueError(f"{_OP}: expected targets of some samples, got shape {target.shape}")
    counts = np.ones(len(target)) if weight is None else np.asarray(weight, np.float64)
    if not counts.sum() > 0:
        return None
    found = _prediction(loss, like, target, counts)
    if found is None:
        return None
    prediction, words = found
    one = np.asarray(prediction, like.dtype).reshape((1, *like.shape[1:]))
    batch = Sample((one, targets) if weight is None else (one, targets, weight))
    return Constant(one, Constant(one, 0.0, words).loss_of(Objective(loss), batch), words)


def has_constant(loss: Loss) -> bool:
    """Whether `best_constant` knows a loss, and it is a mean, which does not depend on how many samples there are."""
    function, settings = function_and_settings(loss)
    return callable(getattr(loss, "best_constant", None)) or (
        function in _RULES and settings.get("reduction", "mean") == "mean"
    )


def constant_of_training(loss: Loss, output: Array, targets: Array, weight: Array | None) -> Constant | None:
    """The constant prediction for the targets of a training; None where there is none. It is no reason to fail."""
    try:
        found = best_constant(loss, output, targets, weight)
    except FAULTS:
        return None
    return found if found is not None and math.isfinite(found.loss) else None


def _prediction(loss: Loss, like: Array, target: Array, counts: Array) -> tuple[Array, str] | None:
    """The prediction and what it is; None of an unknown loss, and where nothing counts."""
    own = getattr(loss, "best_constant", None)
    if callable(own):
        return np.asarray(own(target, counts)), "always the best constant"
    function, settings = function_and_settings(loss)
    rule = _RULES.get(function)
    if rule is None:
        return None
    settings.pop("reduction", None)
    zeros = np.zeros((len(target), *like.shape[1:]), like.dtype)
    return rule(zeros, target, counts, **settings)


def function_and_settings(loss: Any) -> tuple[Any, dict[str, Any]]:
    """The function of `fastnn.functional` that a loss is, and its keywords; None if it is none."""
    if isinstance(loss, partial):
        function, settings = function_and_settings(loss.func)
        return (None, {}) if loss.args or isinstance(loss.func, nn.Module) else (function, settings | loss.keywords)
    if type(loss) in _MODULES:
        function, names = _MODULES[type(loss)]
        return function, {name: getattr(loss, name) for name in names}
    return (loss, {}) if callable(loss) and loss in _RULES else (None, {})


# ---- a rule per loss: it gets zeros of the outputs' shape, targets, what samples count for, settings of the loss -----


def _frequencies(
    zeros: Array,
    target: Array,
    counts: Array,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[Array, str] | None:
    """Logits whose softmax is each class's share of what the loss multiplies with -log p."""
    c = checks.cross_entropy(_OP, zeros, target, weight, ignore_index, "mean", label_smoothing)
    return _as_logits(zeros, _amounts(c, counts), c.weight, c.label_smoothing)


def _log_frequencies(
    zeros: Array, target: Array, counts: Array, weight: Any = None, ignore_index: int = -100
) -> tuple[Array, str] | None:
    c = checks.nll_loss(_OP, zeros, target, weight, ignore_index, "mean")
    return _as_logits(zeros, _amounts(c, counts), c.weight, 0.0)


def _amounts(c: checks.CrossEntropy, counts: Array) -> Array:
    """How much of the targets each class has, over all positions that count."""
    n, classes, positions = len(c.logits), c.logits.shape[1], c.geometry.inner
    if c.soft:
        shares = c.target.reshape(n, classes, positions).sum(axis=2, dtype=np.float64)
        return np.asarray(counts @ shares)
    each = np.repeat(counts, positions)
    counted = c.target != c.ignore_index
    return np.bincount(c.target[counted], each[counted], classes)


def _as_logits(zeros: Array, amounts: Array, weight: Array | None, smoothing: float) -> tuple[Array, str] | None:
    mass = (1 - smoothing) * amounts + smoothing * amounts.sum() / amounts.size
    if weight is not None:
        mass = mass * weight
    if not mass.sum() > 0:
        return None
    logits = np.log(np.maximum(mass / mass.sum(), _LEAST))
    shape = (1, -1) + (1,) * (zeros.ndim - 2)
    return np.broadcast_to(logits.reshape(shape), (1, *zeros.shape[1:])), "always the class frequencies"


def _logit_of_mean(
    zeros: Array, target: Array, counts: Array, weight: Any = None, pos_weight: Any = None
) -> tuple[Array, str]:
    x, t = checks.pair(_OP, zeros, target)
    w = _columns(counts, t)
    factor = checks.broadcast(_OP, "weight", weight, x)
    if factor is not None:
        w = w * factor
    of_one = checks.broadcast(_OP, "pos_weight", pos_weight, x)
    ones = (w * t * (1 if of_one is None else of_one)).sum(axis=0, keepdims=True)
    zeros_ = (w * (1.0 - t)).sum(axis=0, keepdims=True)
    both = ones + zeros_
    share = np.divide(ones, both, out=np.full_like(both, 0.5), where=both > 0)
    logit = np.log(np.maximum(share, _LEAST)) - np.log(np.maximum(1 - share, _LEAST))
    return logit, "always the frequency of class 1"


def _mean(zeros: Array, target: Array, counts: Array) -> tuple[Array, str]:
    _, t = checks.pair(_OP, zeros, target)
    return np.average(t.astype(np.float64), axis=0, weights=counts)[None], "always the mean"


def _median(zeros: Array, target: Array, counts: Array) -> tuple[Array, str]:
    """The mean of the values that have half of the weight below or above them."""
    _, t = checks.pair(_OP, zeros, target)
    flat = t.reshape(len(t), -1)
    order = np.argsort(flat, axis=0)
    ordered = np.take_along_axis(flat, order, axis=0)
    below = np.cumsum(counts[order], axis=0)
    half = below[-1] / 2
    first = np.argmax(below >= half, axis=0)
    second = np.argmax(below > half, axis=0)
    columns = np.arange(flat.shape[1])
    return (ordered[first, columns].astype(np.float64) + ordered[second, columns]) / 2, "always the median"


def _between_mean_and_median(zeros: Array, target: Array, counts: Array, delta: float = 1.0) -> tuple[Array, str]:
    """Where the slope of the Huber loss, which rises, changes its sign; found by halving."""
    _, t = checks.pair(_OP, zeros, target)
    t = t.astype(np.float64)
    w = _columns(counts, t)
    low, high = t.min(axis=0, keepdims=True), t.max(axis=0, keepdims=True)
    words = "always the number between mean and median"
    mean = (w * t).sum(axis=0, keepdims=True) / counts.sum()
    if (high - mean <= delta).all() and (mean - low <= delta).all():
        return mean, words
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = (w * np.clip(middle - t, -delta, delta)).sum(axis=0, keepdims=True) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    return (low + high) / 2, words


def _more_frequent(zeros: Array, target: Array, counts: Array, margin: float = 1.0) -> tuple[Array, str]:
    """The score from which on the more frequent class costs nothing; 0 if there is none."""
    x, t = checks.pair(_OP, zeros, target)
    checks.signs(_OP, "target", t)
    surplus = (_columns(counts, t) * t).sum(axis=0, keepdims=True)
    return np.sign(surplus) * max(checks.margin_of(_OP, margin, x), 0.0), "always the more frequent class"


def _of_two_classes(
    zeros: Array, target: Array, counts: Array, p: int = 1, margin: float = 1.0, weight: Any = None
) -> tuple[Array, str] | None:
    """The scores of two classes that are best; with more of them there is no formula."""
    if zeros.shape[1:] != (2,):
        return None
    _, t, w, m, squared, _ = checks.multi_margin_loss(_OP, zeros, target, p, margin, weight, "mean")
    first, second = np.bincount(t, counts, 2) * (1 if w is None else w)
    if not first + second > 0:
        return None
    between = (second - first) / (first + second) if squared else np.sign(second - first)
    return np.array([[0, max(m, 0.0) * between]]), "always the more frequent class"


def _columns(counts: Array, like: Array) -> Array:
    return counts.reshape((-1,) + (1,) * (like.ndim - 1))


_RULES: dict[Any, Callable[..., tuple[Array, str] | None]] = {
    F.cross_entropy: _frequencies,
    F.nll_loss: _log_frequencies,
    F.binary_cross_entropy_with_logits: _logit_of_mean,
    F.mse_loss: _mean,
    F.l1_loss: _median,
    F.huber_loss: _between_mean_and_median,
    F.hinge_loss: _more_frequent,
    F.multi_margin_loss: _of_two_classes,
}
