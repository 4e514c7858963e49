"""How a model bears noise, gaps, and inputs that are changed on purpose: figures against strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import no_grad
from ..checks import counted, generator, integer
from ..data.samples import joined
from ..training.figures import values_of
from ..training.findings import Finding, graded, most_severe_first
from ..training.preserved import preserved
from .attack import (
    PROBABILITIES,
    PROBABILITIES_ADVICE,
    Attack,
    Bounds,
    Loss,
    checked,
    checked_bounds,
    is_real,
    portions,
)
from .curves import Curve, Robustness
from .draws import Change, Draws, Inputs, filling_of, strengths_of, units_of
from .measure import measure_for

Array = np.ndarray[Any, Any]

BLIND = (0.1, 0.25, 0.5)
"""Shares of samples without any gradient, from which on FGSM says little (fastnn; those of dead units in a layer)."""
_BLIND_ADVICE = (
    "outputs so large that softmax is exactly 0 or 1 have no gradient, nor have units at the flat ends of their activation "
    "(layer_stats), and rounding, argmax or detach in the model hides it"
)
_NO_WORSE_ADVICE = (
    "is softmax taken twice, are units saturated (layer_stats), does an operation of the model hide its gradient? Or have a "
    "longer step, which goes past the place where the model errs"
)


def robustness(
    model: nn.Module,
    x: Any,
    y: Any,
    *,
    noise: Sequence[float] = (),
    missing: Sequence[float] = (),
    fgsm: Sequence[float] = (),
    bounds: Bounds | None = None,
    scale: Any = None,
    fill: Any = "mean",
    loss: Loss = F.cross_entropy,
    repeats: int = 3,
    batch_size: int = 256,
    rng: Any = 0,
) -> Robustness:
    """How the accuracy (or error) of a model depends on noise, missing values, and changes made on purpose.

    Parameters
    ----------
    model : Module
        Evaluated in evaluation mode, whatever mode it is in. Of an `nn.Ensemble`, the members are judged on the same inputs
        too; attacked is the ensemble.
    x : array_like or tuple of arrays, (N, ...)
        Inputs that were not trained on, float32 or float64. Of a tuple those of floats are changed, and others (lengths of
        sequences) are handed on.
    y : array_like, (N, ...)
        What is right: classes, or numbers of the shape of the output.
    noise : sequence of float
        Standard deviations of normal noise that is added to all values (`fastnn.data.random_noise`), in the units of `x`.
    missing : sequence of float
        Shares of values that are dropped (`fastnn.data.drop_values`), in 0…1.
    fgsm : sequence of float
        By how much `fgsm` changes each value, in the units of `x`. Beside each stands what random signs of the same size do.
    bounds : (float, float), optional
        The least and the largest value that an input may have: noise, random signs and FGSM stay within.
    scale : "std" or array_like, optional
        What noise, random signs and FGSM of strength 1 mean for each value, where columns have different units: "std" is the
        standard deviation of each value over `x`; or an array of the shape of a sample.
    fill : "mean", float or array_like
        What takes the place of dropped values: their means over `x`, or as of `fastnn.data.drop_values`.
    loss : callable
        The loss of the training: FGSM makes it larger, and it says whether targets are classes, yes or no, or numbers.
    repeats : int
        How often noise, gaps and random signs are drawn for each strength; figures are means of these.
    batch_size : int
        How many samples are computed at a time.
    rng : optional
        Anything `numpy.random.default_rng` takes.

    Returns
    -------
    Robustness
        A table, with ``.plot()``, ``.to_dict()`` and findings. Each curve begins at strength 0, the figure of the inputs as
        they are. Where FGSM is not clearly worse than random signs, the finding "no direction" says what may be the reason.

    Raises
    ------
    TypeError
        If ``model`` is no module, no input is of floats, or the outputs are several.
    ValueError
        If no strength is given, one is below 0 or a share above 1; if targets don't fit the outputs; for inputs outside the
        bounds; for a ``scale`` or ``fill`` that doesn't fit.

    Notes
    -----
    Accuracies have the standard error of Agresti and Coull: two samples more that are right, and two that are wrong. Where
    samples are drawn several times, their mean counts as one. RMSE has the one that follows from that of the squared errors.

    All strengths of a kind use the same draws, multiplied by the strength, and what a small share drops a larger one drops
    too; so differences between strengths are those of the strength. No draw depends on the batch size. The signs of the
    gradient are kept for all inputs, a byte for each value.

    Nothing is changed, to the bit: the model goes on as if it had not been looked at.

    Source: Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2015 (FGSM); Agresti and Coull,
    "Approximate is better than exact for interval estimation of binomial proportions", 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.robustness import robustness
    >>> model = nn.Linear(2, 2, bias=False)
    >>> model.weight.data[...] = [[1, -1], [-1, 1]]
    >>> x = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    >>> print(robustness(model, x, (x[:, 0] < x[:, 1]).astype(int), fgsm=[0.3]))
    robustness on 1000 samples: accuracy ± 2 standard errors; always the best constant: 0.506
    ok       no direction: FGSM of 0.3 leaves an accuracy of 0.668, random signs of that size 0.927
    change        strength  accuracy
    none                    1.000 ± 0.003
    random signs       0.3  0.927 ± 0.012
    FGSM               0.3  0.668 ± 0.030
    """
    op = "robustness"
    attack = Attack(op, model, loss)
    parts, target, _ = checked(op, x, y)
    strengths = strengths_of(op, noise=noise, missing=missing, fgsm=fgsm)
    limits = checked_bounds(op, bounds, parts)
    units, unit = units_of(op, scale, parts)
    repeats = integer(op, "repeats", repeats, 1)
    batch_size = integer(op, "batch_size", batch_size, 1)
    filling = filling_of(fill, parts) if missing else []
    with preserved(model, None, loss):
        key = [int(word) for word in generator(op, rng).integers(2**32, size=4)]
        attack.prepare()
        judge = _Judge(op, attack, parts, target, batch_size)
        draws = Draws(key, parts, units, filling, limits)
        return judge.table(strengths, draws, repeats, unit)


class Figures(NamedTuple):
    """What was measured of one change.

    Parameters
    ----------
    value : float
        The metric, a mean over draws.
    each : ndarray, (N,)
        The score of each sample: how right it is, or its squared error; a mean over draws.
    r2 : float or None
        Of numbers.
    members : list of float
        The metric of each member of an ensemble.
    """

    value: float
    each: Array
    r2: float | None
    members: list[float]


class _Judge:
    """Measures a model, and the members that it may have, on changed inputs."""

    def __init__(self, op: str, attack: Attack, parts: Inputs, target: Array, batch_size: int) -> None:
        self._attack, self._parts, self._target, self._batch_size = attack, parts, target, batch_size
        model = attack.model
        self._models = [model, *model.members] if isinstance(model, nn.Ensemble) else [model]
        clean = self._outputs(lambda inputs, _: inputs)
        self._measure = measure_for(op, attack.loss, clean[0], target)
        self._finite: Array = np.asarray(np.isfinite(clean[0].reshape(len(target), -1)).all(axis=1))
        self._clean = self._figures([clean])

    def table(self, strengths: dict[str, tuple[float, ...]], draws: Draws, repeats: int, unit: str) -> Robustness:
        """Figures of all kinds and strengths of changes, with what they say."""
        signs = self._signs() if "fgsm" in strengths else None
        draws.signs = signs.signs if signs else []
        curves, kept = [], {}
        for kind, levels in strengths.items():
            times = 1 if kind == "fgsm" else repeats  # FGSM draws nothing, so it is not repeated
            kept[kind] = [self._clean] + [
                self._figures([self._outputs(draws.change(kind, level, repeat)) for repeat in range(times)])
                for level in levels
            ]
            curves.append(self._curve(kind, (0.0, *levels), kept[kind]))
        constant = self._measure.of_constant()
        findings = [*self._not_finite(), *self._directions(signs, kept, strengths.get("fgsm", ()))]
        found = most_severe_first(findings)
        return Robustness(found, self._measure.name, len(self._target), repeats, unit, constant, tuple(curves))

    def _outputs(self, change: Change) -> list[Array]:
        """What the model and its members give for changed inputs."""
        found = []
        with no_grad():
            for part in portions(len(self._target), self._batch_size):
                inputs = change([array[part] for array in self._parts], part)
                found.append(tuple(values_of(model(*inputs)) for model in self._models))
        return list(joined(found))

    def _figures(self, draws: list[list[Array]]) -> Figures:
        measure = self._measure
        outputs = [drawn[0] for drawn in draws]
        members = [float(np.mean([measure.figure(drawn[i]) for drawn in draws])) for i in range(1, len(self._models))]
        value = float(np.mean([measure.figure(output) for output in outputs]))
        r2 = None if measure.r2 is None else float(np.mean([measure.r2(output) for output in outputs]))
        return Figures(value, np.mean([measure.each(output) for output in outputs], axis=0), r2, members)

    def _curve(self, kind: str, strengths: tuple[float, ...], figures: list[Figures]) -> Curve:
        values = tuple(figure.value for figure in figures)
        errors = tuple(self._measure.error(figure.value, figure.each) for figure in figures)
        r2 = tuple(figure.r2 for figure in figures if figure.r2 is not None) or None
        members = tuple(zip(*(figure.members for figure in figures), strict=True)) or None
        return Curve(kind, strengths, values, errors, r2, members)

    def _signs(self) -> _AllSigns:
        """The signs of the gradient of all inputs."""
        found = [
            self._attack.signs([array[part] for array in self._parts], self._target[part])
            for part in portions(len(self._target), self._batch_size)
        ]
        signs = [
            np.concatenate([each.signs[i] for each in found]) if is_real(array) else None
            for i, array in enumerate(self._parts)
        ]
        blind, finite = (np.concatenate([getattr(each, name) for each in found]) for name in ("blind", "finite"))
        return _AllSigns(signs, blind, finite, all(each.probabilities for each in found))

    # ---- what the figures say ------------------------------------------------------------------------------------------

    def _not_finite(self) -> Iterator[Finding]:
        wrong = int((~self._finite).sum())
        if wrong:
            first = int(np.argmin(self._finite))
            of = f"{wrong} of {counted(len(self._finite), 'sample')}"
            message = f"the outputs of {of} are not finite, first of sample {first}"
            advice = "look at these rows for NaN, and at the weights; fnn.detect_anomaly names the operation"
            yield Finding("problem", "not finite", message, float(wrong), 0.0, "IEEE 754", advice)

    def _directions(
        self, signs: _AllSigns | None, kept: dict[str, list[Figures]], strengths: Sequence[float]
    ) -> Iterator[Finding]:
        if signs is None:
            return
        if signs.probabilities:
            yield Finding("problem", "outputs", PROBABILITIES, None, None, "foolbox#108", PROBABILITIES_ADVICE)
        unknown = int((~signs.finite).sum())
        if unknown and self._finite.all():
            message = f"the gradients of {unknown} of {counted(len(signs.finite), 'sample')} are not finite"
            advice = "fnn.detect_anomaly names the operation; FGSM left these samples as they are"
            yield Finding("problem", "not finite", message, float(unknown), 0.0, "IEEE 754", advice)
        yield self._no_direction(signs, kept, strengths)

    def _no_direction(self, signs: _AllSigns, kept: dict[str, list[Figures]], strengths: Sequence[float]) -> Finding:
        """Whether FGSM is clearly worse than random signs, and if not, why."""
        on_purpose, at_random = kept["fgsm"], kept["random signs"]
        grade = graded(float(signs.blind.mean()), BLIND)
        gaps = [self._measure.worse(a.each, b.each) for a, b in zip(on_purpose[1:], at_random[1:], strict=True)]
        at = int(np.argmax([gap.size for gap in gaps]))
        seen = (
            f"FGSM of {strengths[at]:g} leaves {self._measure.words} of {on_purpose[at + 1].value:.3g}, "
            f"random signs of that size {at_random[at + 1].value:.3g}"
        )
        if grade:
            message = f"the gradient is exactly 0 for {grade.value:.0%} of samples, which FGSM cannot change; {seen}"
            return grade.finding("no direction", message, "fastnn", _BLIND_ADVICE)
        if any(gap.is_clear for gap in gaps):
            return Finding("ok", "no direction", seen)
        if self._measure.worse(at_random[-1].each, self._clean.each).is_clear:
            level, message, advice = "warning", f"not clearly worse on purpose: {seen}", _NO_WORSE_ADVICE
        else:
            level, message = "note", f"no clear change, on purpose or at random: {seen}"
            advice = "larger strengths, or more samples, would tell"
        return Finding(level, "no direction", message, gaps[at].size, 0.0, "fastnn", advice)


class _AllSigns(NamedTuple):
    """As `Signs`, of all samples."""

    signs: list[Array | None]
    blind: Array
    finite: Array
    probabilities: bool
