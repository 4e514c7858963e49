"""Loss and metrics of a pass over batches."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor, raw
from ..checks import shown, unmasked
from ..data.samples import joined, mapped
from .first_targets import FirstTargets
from .generators import find_generators
from .metric_arguments import NOT_COUNTED
from .metrics import accuracy, binary_accuracy, mae, r2, top_k

Metric = Callable[..., float]
Loss = Callable[..., Tensor]

# Metrics whose value for a pass is the mean of those for its parts; all others are given the whole pass at once.
_MEANS: tuple[Metric, ...] = (accuracy, binary_accuracy, top_k, mae)
_KEPT_VALUES = 1 << 20  # outputs are kept until they are more numbers than this, 4 MB of float32; then means are taken
_MOST_NUMBERS = 100  # per sample; for more, as in images, R² is not usual: a whole pass, which it needs, is too large
_LOSSES_OF_NUMBERS = (F.mse_loss, F.l1_loss, F.huber_loss)
_LOSS_MODULES_OF_NUMBERS = (nn.MSELoss, nn.L1Loss, nn.HuberLoss)


class Sample:
    """A batch taken apart.

    Attributes
    ----------
    inputs : tuple
        What the model is called with.
    target : array or tuple of arrays
        What the loss is called with.
    weight : ndarray or None
        One number per sample.
    count : int
        Samples.
    """

    __slots__ = ("count", "inputs", "target", "weight")

    def __init__(self, batch: Any) -> None:
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
            hint = "arrays become batches by Batches(x, y, batch_size=32)"
            raise ValueError(
                f"Trainer: a batch must be (input, target) or (input, target, weight per sample), got {found}; "
                + (hint if isinstance(batch, np.ndarray) else "several inputs are a tuple")
            )
        self.inputs = batch[0] if isinstance(batch[0], tuple) else (batch[0],)
        self.target = batch[1]
        self.count = len(self.target[0] if isinstance(self.target, tuple) else self.target)
        self.weight = None if len(batch) == 2 else _checked_weight(batch[2], self.count)

    @property
    def amount(self) -> float:
        """What the batch counts for in means: its samples, or the sum of their weights."""
        return self.count if self.weight is None else float(self.weight.sum(dtype=np.float64))


def _checked_weight(given: Any, count: int) -> np.ndarray:
    weight = np.asarray(unmasked("Trainer", "the weights", raw(given)))
    if weight.shape != (count,) or weight.dtype.kind not in "biuf":
        raise ValueError(
            f"Trainer: the third part of a batch is a weight per sample, expected shape ({count},), got {weight.dtype} of "
            f"shape {weight.shape}; several inputs are a tuple"
        )
    if not (weight >= 0).all() or not np.isfinite(weight).all():
        raise ValueError("Trainer: weights of samples must be finite and not negative")
    return weight


class Objective:
    """The loss of a batch, with or without weights of samples.

    Weighted: ``sum(w·l) / sum(w)`` with a loss l per sample, the mean over what the loss gives for it.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._each = _without_reduction(loss)

    @cached_property
    def _tells_each(self) -> bool:
        """Asked only where an error is wanted: to look through a function takes as long as a small step."""
        return _tells_each(self.loss)

    def __call__(self, output: Any, sample: Sample) -> Tensor:
        if sample.weight is None:
            loss: Tensor = self.loss(output, sample.target)
            return loss
        try:
            each = self._each(output, sample.target)
        except (TypeError, ValueError) as error:
            raise (TypeError if isinstance(error, TypeError) else ValueError)(
                "Trainer: a batch of three parts is (input, target, weight per sample), for a loss that takes "
                f"reduction='none' as those of fastnn.functional; several inputs are a tuple ({error})"
            ) from error
        shape = np.shape(raw(each))
        if shape[:1] != (sample.count,):
            raise ValueError(f"Trainer: the loss has shape {shape} for {sample.count} samples, expected one per sample")
        # Weights are divided by their sum first, since sums in float32 may overflow. A batch without weight has loss 0.
        share = (sample.weight / (sample.amount or 1)).astype(raw(each).dtype)
        if len(shape) > 1:
            each = each.mean(axis=tuple(range(1, len(shape))))
        weighted: Tensor = (each * share).sum()
        return weighted

    def of_each(self, output: Any, sample: Sample) -> np.ndarray | None:
        """The loss of each sample, the mean over what the loss gives for it; None where the loss does not tell.

        The loss is called once more for it, so only those are asked that surely keep nothing of a call.
        """
        if not self._tells_each:
            return None
        each = np.asarray(raw(self._each(output, sample.target)))
        if each.shape[:1] != (sample.count,) or each.dtype.kind != "f":
            return None
        return each if each.ndim == 1 else np.asarray(each.reshape(sample.count, -1).mean(axis=1, dtype=np.float64))


def _tells_each(loss: Any) -> bool:
    """Whether a loss takes ``reduction="none"`` and keeps nothing of a call: fastnn's own, and functions that draw nothing."""
    if isinstance(loss, partial):
        return _tells_each(loss.func)
    if isinstance(loss, nn.Module):
        return hasattr(loss, "reduction") and type(loss) is getattr(nn, type(loss).__name__, None)
    try:
        return "reduction" in inspect.signature(loss).parameters and not find_generators(loss)
    except (TypeError, ValueError):  # the callable does not say what it takes
        return False


def _without_reduction(loss: Loss) -> Loss:
    if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
        each = copy.copy(loss)
        each.reduction = "none"
        return each
    return partial(loss, reduction="none")


class Figures:
    """Gathers the loss and the metrics of a pass.

    Parameters
    ----------
    loss : callable
        As of the `Trainer`.
    metrics : mapping, or None
        None takes what suits the targets of the first batch.
    targets : FirstTargets, optional
        Gathers targets of the pass.
    """

    def __init__(self, loss: Loss, metrics: Mapping[str, Metric] | None, targets: FirstTargets | None = None) -> None:
        self.targets = targets
        self._loss = loss
        self._metrics = metrics
        self._sums: dict[str, float] = {"loss": 0.0}
        self._amounts: dict[str, float] = {"loss": 0.0}
        self._held: list[tuple[float, float, tuple[Any, Any, Any] | None]] = []  # losses, amounts, and what is kept
        self._kept: list[tuple[Any, Any, Any]] = []  # outputs, targets, weights
        self._size = 0

    def hold(self, output: Any, sample: Sample, loss: float) -> None:
        """Take a batch that will be counted, or forgotten."""
        values = values_of(output)
        if self._metrics is None:
            self._metrics = usual_metrics(self._loss, sample.target, values)
        kept = (copied(values), copied(sample.target), sample.weight) if self._metrics else None
        self._held.append((loss, sample.amount, kept))
        if self.targets is not None:
            self.targets.hold(output, sample.target, sample.weight)

    def forget(self) -> None:
        """Let go of what is held and was not counted."""
        self._held.clear()
        if self.targets is not None:
            self.targets.forget()

    def count(self) -> None:
        """Count what is held."""
        for loss, amount, kept in self._held:
            self._count("loss", loss, amount)
            if kept is not None:
                self._kept.append(kept)
                self._size += kept[0].size if isinstance(kept[0], np.ndarray) else 0
        self._held.clear()
        if self.targets is not None:
            self.targets.count()
        if self._size > _KEPT_VALUES and all(_is_mean(metric) for metric in (self._metrics or {}).values()):
            self._fold()

    def _count(self, name: str, mean: float, amount: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + (amount * mean if amount else 0.0)
        self._amounts[name] = self._amounts.get(name, 0.0) + amount

    def _fold(self) -> None:
        """Count the metrics of what is kept, and forget it."""
        if not self._kept or self._metrics is None:
            return
        outputs, targets, weights = self._joined()
        counted = []
        for name, metric in self._metrics.items():
            # A metric that gets the whole pass counts once; others are means of parts, weighted by the parts' amounts.
            amount = _amount(metric, targets, weights) if _is_mean(metric) else 1.0
            counted.append((name, _value(name, metric, outputs, targets, weights) if amount else 0.0, amount))
        for figure in counted:  # only now: if a metric raises an error, none is counted
            self._count(*figure)
        self._kept, self._size = [], 0

    def result(self) -> dict[str, float]:
        """The figures of what was counted."""
        if self._metrics is None:
            raise ValueError("Trainer: there was no batch to take")
        self._fold()
        amounts = self._amounts
        return {name: total / amounts[name] if amounts[name] else math.nan for name, total in self._sums.items()}

    def _joined(self) -> tuple[Any, Any, Any]:
        if not self._kept:
            return None, None, None
        outputs, targets, weights = zip(*self._kept, strict=True)
        return joined(outputs), joined(targets), None if weights[0] is None else joined(weights)

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far."""
        outputs, targets, weights = self._joined()
        metrics = None if self._metrics is None else list(self._metrics)
        sums, amounts = dict(self._sums), dict(self._amounts)
        return {
            "metrics": metrics,
            "sums": sums,
            "amounts": amounts,
            "kept": [outputs, targets, weights],
            "targets": None if self.targets is None else self.targets.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; nothing is changed where it does not fit."""
        kept, names = state["kept"], state["metrics"]
        if not isinstance(kept, list | tuple) or len(kept) != 3:
            raise ValueError(f"Trainer: the state has {shown(kept)} in the place of outputs, targets and weights")
        if names is not None and not (isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)):
            raise TypeError(f"Trainer: the state has {shown(names)} in the place of names of metrics")
        outputs, targets, weights = kept
        nothing = all(part is None for part in kept)
        lengths = set() if nothing else {_length(part) for part in (outputs, targets)}
        if len(lengths) > 1 or (weights is not None and {_length(weights)} != lengths):
            raise ValueError("Trainer: the state has outputs, targets and weights of different lengths")
        sums, amounts = (_numbers(part, state[part]) for part in ("sums", "amounts"))
        if sums.keys() != amounts.keys():
            raise ValueError("Trainer: the state has sums and amounts of different figures")
        if self.targets is not None:
            self.targets.load_state_dict(state["targets"])
        if self._metrics is None and names is not None:
            self._metrics = {name: _usual(self._loss, name) for name in names}
        self._sums, self._amounts = sums, amounts
        self._kept = [] if outputs is None else [(outputs, targets, weights)]
        self._size = outputs.size if isinstance(outputs, np.ndarray) else 0


def _numbers(name: str, values: Any) -> dict[str, float]:
    """Sums by name, from a state that nobody vouches for; those of metrics may be NaN."""
    if not isinstance(values, Mapping) or not all(isinstance(value, int | float) for value in values.values()):
        raise TypeError(f"Trainer: {name} in the state must be numbers by name, got {shown(values)}")
    return {str(key): float(value) for key, value in values.items()}


def _is_mean(metric: Metric) -> bool:
    return _function(metric) in _MEANS


def _function(metric: Metric) -> Any:
    """The function itself, also of a partial."""
    return getattr(metric, "func", metric)


def _amount(metric: Metric, targets: Any, weights: Any) -> float:
    """What targets count for in a mean: labels that losses and metrics pass over do not."""
    if isinstance(targets, tuple):
        return float(len(targets[0]))
    values = np.asarray(targets)
    of_labels = values.dtype.kind in "iu" and _function(metric) is not mae
    counts = values != NOT_COUNTED if of_labels else np.ones(len(values), bool)
    if weights is None:
        return float(np.count_nonzero(counts))
    return float(counts.reshape(len(values), -1).sum(axis=1) @ weights.astype(np.float64))


def _length(part: Any) -> int:
    """Samples in an array or in a tuple of arrays, from a state that nobody vouches for."""
    arrays = part if isinstance(part, tuple) else (part,)
    lengths = {len(array) for array in arrays if isinstance(array, np.ndarray) and array.ndim}
    if len(lengths) != 1 or not all(isinstance(array, np.ndarray) for array in arrays):
        raise ValueError(f"Trainer: the state has {type(part).__name__} in the place of outputs or targets")
    return lengths.pop()


def copied(part: Any) -> Any:
    """Arrays of one's own: who makes the next batch may use the memory of this one again."""
    return mapped(lambda array: np.array(raw(array)), part)


def values_of(output: Any) -> Any:
    """The arrays of what a model gives; of a tuple the tuple of theirs."""
    return mapped(raw, output)


def _value(name: str, metric: Metric, output: Any, target: Any, weight: Any) -> float:
    try:
        return float(metric(output, target) if weight is None else metric(output, target, weight=weight))
    except (TypeError, ValueError) as error:
        given = "outputs and targets" if weight is None else "outputs, targets and weight="
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Trainer: the metric {name!r} gave no number for {given} of the pass: {error}") from error


def _usual(loss: Loss, name: str) -> Metric:
    """The metric that a training with this loss calls so."""
    return {"accuracy": binary_accuracy if _takes_logits(loss) else accuracy, "r2": r2}[name]


def _takes_logits(loss: Loss) -> bool:
    return loss is F.binary_cross_entropy_with_logits or isinstance(loss, nn.BCEWithLogitsLoss)


def usual_metrics(loss: Loss, target: Any, outputs: Any) -> dict[str, Metric]:
    """Accuracy for classes and for logits of yes or no, R² for a few numbers per sample, nothing for what is none of these."""
    if isinstance(target, tuple) or isinstance(outputs, tuple):
        return {}
    values, output = np.asarray(raw(target)), np.shape(outputs)
    if values.dtype.kind in "iu" and len(output) > 1 and values.shape == output[:1] + output[2:]:
        return {"accuracy": accuracy}
    if values.shape != output:
        return {}
    if _takes_logits(loss):
        return {"accuracy": binary_accuracy}
    of_numbers = loss in _LOSSES_OF_NUMBERS or isinstance(loss, _LOSS_MODULES_OF_NUMBERS)
    few = math.prod(output[1:]) <= _MOST_NUMBERS
    return {"r2": r2} if of_numbers and values.dtype.kind == "f" and few else {}
