"""Several models that answer as one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self

import numpy as np

from .. import functional as F
from .._types import Array
from ..autograd import Tensor, no_grad, raw, record
from ..autograd.modes import mode
from ..checks import real, shown
from .containers import ModuleList
from .intercept import evaluation
from .module import Module

__all__ = ["Ensemble"]

Average = Literal["probabilities", "logits", "votes"]
_AVERAGES = ("probabilities", "logits", "votes")


def _mean(values: Sequence[Array], weights: Sequence[float]) -> Array:
    """The weighted mean in float64, with the same bits in whatever order values and weights come together."""
    with np.errstate(invalid="ignore", over="ignore"):
        terms = np.stack([np.asarray(v, np.float64) * w for v, w in zip(values, weights, strict=True)])
        terms.sort(axis=0)  # each element's terms are then added from the smallest on
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        total = np.asarray(total / math.fsum(weights))
    total[np.isnan(total)] = np.nan  # NaNs may differ in their bits, so all become the same one
    return total


def _averaged(outputs: Sequence[Any], weights: Sequence[float]) -> Any:
    """The weighted mean, recorded; each output has a share of its gradient."""
    arrays = [raw(y) for y in outputs]
    dtype, whole = np.result_type(*arrays), math.fsum(weights)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array, ...]:
        return tuple((dy * (w / whole)).astype(v.dtype, copy=False) for v, w in zip(arrays, weights, strict=True))

    def jvp(tangents: Sequence[Array | None]) -> Array:
        moved = [np.zeros_like(v) if t is None else t for t, v in zip(tangents, arrays, strict=True)]
        return _mean(moved, weights).astype(dtype)

    return record("Ensemble", _mean(arrays, weights).astype(dtype), outputs, vjp, jvp, (tuple(weights),))


class Ensemble(Module):
    """The average of what several models say, usually better than the best of them.

    Parameters
    ----------
    models : iterable of Module
        The members, which get the same input and give outputs of one shape. They are kept, not copied.
    average : {"probabilities", "logits", "votes"}
        What is averaged. "probabilities": the members give logits (N, C, ...), and the output is the mean of their softmax along
        axis 1; for a loss take its logarithm, as ``F.nll_loss(fnn.log(ensemble(x)), y)``. "logits": the outputs as they are,
        also those of a regression. "votes": each member votes for the class of its largest output along axis 1; the output is
        each class's share of the votes, which has no gradient.
    weights : sequence of float, optional
        What each member counts; not negative, and not all 0. Equal by default.

    Attributes
    ----------
    members : ModuleList
        The models.
    average, weights
        As given; the weights are a tuple of floats or None.

    Raises
    ------
    TypeError, ValueError
        For no models or something else than models, another ``average``, or weights that don't fit. When called, if the members
        give anything but one floating-point array of the same shape, or, but for "logits", one without an axis of classes.

    Notes
    -----
    Members are always evaluated: dropout is off and batch norm uses its running statistics, whatever mode they are in, and
    they stay in it. To train them, train each by itself.

    The mean is computed in float64, and the terms of each element are added by size. So the output, which is rounded to the
    members' dtype, has the same bits in whatever order the members (with their weights) come.

    Source: Hansen and Salamon, "Neural network ensembles", 1990; Lakshminarayanan, Pritzel and Blundell, "Simple and scalable
    predictive uncertainty estimation using deep ensembles", 2017 (averaged probabilities).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> ensemble = nn.Ensemble([nn.Linear(4, 3, rng=seed) for seed in range(5)])
    >>> x = np.ones((2, 4), np.float32)
    >>> ensemble(x).shape, ensemble.member_outputs(x).shape, ensemble.disagreement(x).shape
    ((2, 3), (5, 2, 3), (2,))
    """

    def __init__(
        self, models: Iterable[Module], *, average: Average = "probabilities", weights: Iterable[float] | None = None
    ) -> None:
        if isinstance(models, Module) and not isinstance(models, ModuleList):
            raise TypeError(f"Ensemble: models must be several, got one {type(models).__name__}")
        members = list(models)
        for member in members:
            if not isinstance(member, Module):
                raise TypeError(f"Ensemble: models must be modules, got {shown(member)}")
        self._settle(ModuleList(members), average, weights)

    @classmethod
    def _of_parts(cls, members: Module, average: Average, weights: Iterable[float] | None) -> Self:
        made = cls.__new__(cls)
        made._settle(members, average, weights)
        return made

    def _settle(self, members: Module, average: Average, weights: Iterable[float] | None) -> None:
        if not isinstance(members, ModuleList) or not len(members):
            raise ValueError(f"Ensemble: there must be at least one model, got {shown(members)}")
        if not isinstance(average, str) or average not in _AVERAGES:
            raise ValueError(
                f"Ensemble: average must be one of {', '.join(map(repr, _AVERAGES))}, got {shown(average)}"
            )
        self.members = members
        self.average = average
        self.weights = None if weights is None else tuple(real("Ensemble", "weights", w, 0.0) for w in weights)
        self._shares()

    @classmethod
    def from_checkpoints(
        cls,
        paths: Iterable[str | os.PathLike[str]],
        make_model: Callable[[], Module] | None = None,
        *,
        average: Average = "probabilities",
        weights: Iterable[float] | None = None,
    ) -> Self:
        """An ensemble of models from files, as several trainings or several moments of one have left them.

        Parameters
        ----------
        paths : iterable of path
            Files of `fastnn.save_model` or of a training.
        make_model : callable, optional
            Makes a model for the state of a file: its entry "model", or the whole file where there is none. Needed for
            files without architecture only.
        average, weights
            As of the class.

        Returns
        -------
        Ensemble
            Its members are in evaluation mode.

        Raises
        ------
        CheckpointError
            As `fastnn.load_model`, or if a state does not fit the model that was made for it; it names the file.
        OSError
            If a file cannot be opened.
        """
        from .model_file import load_model, load_values  # here, since they take longer to import than this

        if isinstance(paths, (str, bytes, os.PathLike)):
            raise TypeError(f"Ensemble.from_checkpoints: paths must be several, got {shown(paths)}")
        models = [load_model(path) if make_model is None else load_values(make_model(), path).eval() for path in paths]
        return cls(models, average=average, weights=weights)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """What each member takes -> the average, of the shape of each member's output."""
        outputs = self._terms(args, kwargs)
        shares = self._shares()
        if self.average != "votes":
            averaged: Tensor = _averaged(outputs, shares)
            return averaged
        dtype = np.result_type(*map(raw, outputs))
        votes = _mean([_vote(raw(y)) for y in outputs], shares).astype(dtype)
        of_tensors = any(isinstance(y, Tensor) for y in outputs)  # members with parameters give tensors
        if not of_tensors:
            return votes  # type: ignore[return-value]
        result = Tensor(votes)
        if mode.tracer is not None:
            mode.tracer.recorded("Ensemble votes", result, outputs, (tuple(shares),))
        return result

    def member_outputs(self, *args: Any, **kwargs: Any) -> Array:
        """What is averaged, member by member: probabilities, outputs, or votes as 1 among 0s.

        Parameters
        ----------
        *args, **kwargs
            What each member takes.

        Returns
        -------
        ndarray, (members, N, C, ...)
            In the order of the members, without their weights.
        """
        with no_grad():
            outputs = [np.asarray(raw(y)) for y in self._terms(args, kwargs)]
        return np.stack([_vote(y).astype(y.dtype) for y in outputs] if self.average == "votes" else outputs)

    def disagreement(self, *args: Any, **kwargs: Any) -> Array:
        """How far the members are apart, for each sample: where that is much, the ensemble is unsure.

        Of classes ("probabilities" and "votes") this is the share of the pairs of members that name different ones, in 0…1;
        its mean over samples is what the literature calls the disagreement of an ensemble. Of "logits", it is the standard
        deviation of each output over the members. Weights don't count, and neither does the order of the members.

        Parameters
        ----------
        *args, **kwargs
            What each member takes.

        Returns
        -------
        ndarray of float64, (N, ...), or of "logits" (N, C, ...)
            0 for a single member; NaN where a member's output is.
        """
        outputs = self.member_outputs(*args, **kwargs)
        equal = [1.0] * len(outputs)
        if self.average == "logits":
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.square(outputs - _mean(list(outputs), equal))
            return np.sqrt(_mean(list(apart), equal))
        named = outputs.argmax(axis=2)
        differing = np.zeros(named.shape[1:])
        for i, classes in enumerate(named):
            differing += (named[i + 1 :] != classes).sum(axis=0)
        share = differing / max(len(named) * (len(named) - 1) // 2, 1)
        return np.where(np.isnan(outputs).any(axis=(0, 2)), np.nan, share)

    def _terms(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """What is averaged; of votes, that which decides them."""
        # A mode that is switched for the time of a call would be seen by calls in other threads.
        if any(module.training for module in self.members.modules()):
            with evaluation(self.members):
                return self._terms(args, kwargs)
        outputs = [member(*args, **kwargs) for member in self.members]
        for i, y in enumerate(outputs):
            values = raw(y)
            if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
                raise TypeError(f"Ensemble: member {i} must give one array of floats, got {shown(y)}")
            if values.shape != raw(outputs[0]).shape:
                raise ValueError(
                    f"Ensemble: member {i} gives shape {values.shape}, but member 0 {raw(outputs[0]).shape}"
                )
            if self.average != "logits" and (values.ndim < 2 or not values.shape[1]):
                raise ValueError(
                    f"Ensemble: members must give logits (N, C, ...) for {self.average}, got shape {values.shape}"
                )
        return [F.softmax(y, 1) for y in outputs] if self.average == "probabilities" else outputs

    def _shares(self) -> Sequence[float]:
        if self.weights is None:
            return [1.0] * len(self.members)
        if len(self.weights) != len(self.members) or not 0 < sum(self.weights) < math.inf:
            raise ValueError(
                f"Ensemble: weights must be one for each of {len(self.members)} models, and not all 0, got {shown(self.weights)}"
            )
        return self.weights

    def extra_repr(self) -> str:
        weights = "" if self.weights is None else f", weights={self.weights}"
        return f"average={self.average!r}{weights}"


def _vote(scores: Array) -> Array:
    """1 at the first of the largest scores along axis 1, else 0; NaN everywhere where one is."""
    vote = np.zeros(scores.shape)
    np.put_along_axis(vote, np.expand_dims(scores.argmax(axis=1), 1), 1.0, axis=1)
    return np.where(np.isnan(scores).any(axis=1, keepdims=True), np.nan, vote)
