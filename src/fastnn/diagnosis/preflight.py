"""Everything that can be seen before a training."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..autograd import enable_grad
from ..checks import counted, generator, integer, shown
from ..nn import Module
from ..nn.intercept import evaluation
from ..optim import Optimizer
from ..training.arguments import checked_loss, checked_model
from ..training.figures import Objective, Sample
from ..training.findings import LEVELS, Finding, Result, most_severe_first, worst
from ..training.not_finite import first_not_finite
from ..training.preserved import preserved
from . import data_checks, model_checks
from .initial_loss import InitialLoss, compared
from .label_checks import labels
from .layer_stats import LayerStats, layer_stats
from .look import Look, run
from .overfit_batch import RATE, OverfitBatch, overfitted
from .taken import batches_of, preserving, sample, train_mode, whole

_RUN = 256  # samples that are sent through the model while each layer is looked at
_OF_STATISTICS, _BATCH = 512, 128  # samples for the statistics of layers, altogether and at a time
_FEW, _STEPS = 20, 300
_LEAST = 2  # with fewer samples there is nothing to compare
_WIDTH = 110
# What layers are checked for, and what the report says if nothing was found.
_OF_LAYERS = (
    ("symmetric", "units of a layer differ"),
    ("dead", "units answer to some sample"),
    ("saturated", "few units are at the flat ends of their activation"),
    ("vanishing", "signals and gradients reach all layers"),
    ("exploding", "signals and gradients stay of one size"),
    ("no gradient", "all parameters get one"),
)
# Findings that make the later checks meaningless.
_ENDS = ("not finite", "shapes", "labels", "one class")
# Problems in spite of which a few samples can be learnt by heart. Any other problem may prevent it, and the test would
# only say it again.
_APART = ("shared rows", "update too large", "update too small")
# Findings that follow from targets that are large numbers.
_OF_LARGE_TARGETS = ("initial loss", "exploding", "update too large")


@dataclass(frozen=True)
class Report(Result):
    """What `preflight` found; ``str()`` has the worst first.

    Parameters
    ----------
    findings : tuple of Finding
        One or more per check, the most severe first and, of equal ones, causes before their effects. Checks that found nothing
        have one of level "ok".
    initial : InitialLoss or None
        The loss before training; None where it was not reached.
    layers : LayerStats or None
        The numbers of the layers; None where they were not reached.
    overfit : OverfitBatch or None
        The test on a few samples; None where it was not reached.

    Examples
    --------
    >>> from fastnn.diagnosis import Finding, Report
    >>> report = Report((Finding("problem", "labels", "the targets are 1…10"), Finding("ok", "scale", "mean 0")))
    >>> print(report)
    1 problem: labels
    PROBLEM  labels: the targets are 1…10
    ok       scale: mean 0
    """

    title: ClassVar[str] = "preflight"
    initial: InitialLoss | None = None
    layers: LayerStats | None = None
    overfit: OverfitBatch | None = None

    def __str__(self) -> str:
        lines = [_heading(self.findings)]
        lines += [str(finding) for finding in self.findings if finding.level != "ok"]
        lines += [_short(finding) for finding in self.findings if finding.level == "ok"]
        return "\n".join(lines)

    def plot(self, axes: Any = None) -> Any:
        """Draw the level of each check, and the losses: before training, expected, and learning a few samples by heart.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes, optional
            Two, where to draw; a new figure without them.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            Where it was drawn.
        """
        from ..plots.checks import preflight

        few = self.overfit
        return preflight(
            [(finding.word, finding.level) for finding in self.findings],
            None if self.initial is None else (self.initial.seen, self.initial.expected),
            None if few is None else (few.losses, few.aim),
            axes=axes,
        )


def _heading(findings: tuple[Finding, ...]) -> str:
    """How many of which level, and their words in order."""
    wrong = [finding for finding in findings if finding.level in ("warning", "problem")]
    notes = sum(finding.level == "note" for finding in findings)
    noted = f" ({counted(notes, 'note')})" if notes else ""
    if not wrong:
        return f"ok: nothing looks wrong in {len({finding.word for finding in findings})} checks{noted}"
    of_level = {level: sum(finding.level == level for finding in wrong) for level in ("problem", "warning")}
    words = dict.fromkeys(finding.word for finding in wrong)
    return f"{', '.join(counted(count, level) for level, count in of_level.items() if count)}: {', '.join(words)}"


def _short(finding: Finding) -> str:
    return f"{'ok':<9}" + textwrap.shorten(f"{finding.word}: {finding.message}", _WIDTH - 9, placeholder=" …")


def preflight(
    model: Module,
    train: Any,
    loss: Any = F.cross_entropy,
    *,
    validation: Any = None,
    optimizer: Optimizer | None = None,
    samples: int = 1024,
    overfit: bool = True,
    rng: Any = 0,
) -> Report:
    """Look for everything that can be seen before a training, in seconds; nothing is changed, to the bit.

    Parameters
    ----------
    model : Module
        The network, before its first step or later.
    train : Batches, iterable of batches, or (x, y)
        As for `fastnn.training.Trainer.fit`.
    loss : callable
        ``loss(output, target)``.
    validation : Batches, iterable of batches, or (x, y), optional
        What the training is judged by; it is looked at for numbers that are not finite, labels, shapes, another scale, and rows
        that the training part has too.
    optimizer : Optimizer, optional
        With it, parameters that it lacks are named, and its first step is compared with the weights.
    samples : int
        How many go through the model. Data are looked at as a whole, up to 67 million numbers.
    overfit : bool
        Whether to train on a few samples, which takes longest. This is done where no problem was found that explains the result.
    rng : optional
        Anything `numpy.random.default_rng` takes: which samples `overfit_batch` takes.

    Returns
    -------
    Report
        ``str()`` has the worst first, with what to do; ``.findings``, ``.level``, ``"scale" in report``, ``.plot()``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or there is no sample. What the model or the loss raise is a finding.

    Notes
    -----
    In this order: numbers that are not finite, labels, shapes, scale, constant features, duplicates and rows shared with the
    validation part; then, unless one of these made it meaningless, outputs that the loss does not take, units that are the
    same, layers that are not trained, samples that are mixed, dead and saturated units, signals and gradients that vanish or
    explode, the initial loss, parameters without a gradient, the first step, and a few samples learnt by heart. Each is a
    finding under one of the words of `fastnn.training.findings.WORDS`, with value, threshold and its source.

    Source: Karpathy, "A recipe for training neural networks"; CS231n, "Babysitting the learning process"; Glorot and Bengio 2010.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.diagnosis import preflight
    >>> x = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    >>> net = fnn.nn.Sequential(fnn.nn.Linear(5, 32, rng=0), fnn.nn.ReLU(), fnn.nn.Linear(32, 4, rng=0))
    >>> y = x[:, :4].argmax(axis=1)
    >>> report = preflight(net, (x, y + 1))
    >>> print(str(report).splitlines()[1])
    PROBLEM  labels: the targets are 1…4, the network has 4 outputs, for 0…3
    >>> preflight(net, (x, y)).level
    'ok'
    """
    op = "preflight"
    checked_model(op, model), checked_loss(op, loss)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"{op}: optimizer must be an Optimizer, got {shown(optimizer)}")
    samples, drawn = integer(op, "samples", samples, 1), generator(op, rng)
    train = batches_of(op, train)
    validation = None if validation is None else batches_of(f"{op}: validation", validation)
    frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    with preserving(model, optimizer, loss, train, validation), enable_grad(), np.errstate(all="ignore"):
        look = Look(model, train, loss, optimizer, whole(op, train), sample(op, train, samples), None, drawn)
        other = None
        if validation is not None:
            look.validation = whole(op, validation, "validation")
            taken = sample(op, validation, samples, "validation")
            other = Look(model, validation, loss, optimizer, look.validation, taken, None, drawn)
        return _Checks(look, other, frozen, overfit).report()


class _Checks:
    """Goes from the data to the steps, and keeps what comes out."""

    def __init__(self, look: Look, validation: Look | None, frozen: set[int], overfit: bool) -> None:
        self._look = look
        self._validation = validation
        self._frozen = frozen
        self._overfits = overfit
        self._initial: InitialLoss | None = None
        self._layers: LayerStats | None = None
        self._overfit: OverfitBatch | None = None
        self._of_target: list[Finding] = []

    def report(self) -> Report:
        findings = list(self._of_data())
        if not _is_meaningless(findings):
            findings += self._of_model()
        if not _is_meaningless(findings) and not self._has_no_loss() and self._learns():
            findings += self._of_steps()
            if not any(finding.level == "problem" and finding.word not in _APART for finding in findings):
                findings += self._of_a_few()
        findings = [*self._as_bad_as_its_effects(findings), *findings, *self._of_batches(), *self._of_validation()]
        found = {finding.word for finding in findings if finding.level != "ok"}
        findings = [finding for finding in findings if finding.level != "ok" or finding.word not in found]
        # Causes were looked for before their effects, and stay before those of the same level.
        return Report(most_severe_first(findings), self._initial, self._layers, self._overfit)

    def _as_bad_as_its_effects(self, findings: list[Finding]) -> Iterator[Finding]:
        """What is wrong with the scale of the target, which must come before what follows from it."""
        effects = worst([finding for finding in findings if finding.word in _OF_LARGE_TARGETS])
        for finding in self._of_target:
            yield replace(finding, level=max(finding.level, effects, key=LEVELS.index))

    def _of_data(self) -> Iterator[Finding]:
        look = self._look
        with preserved(look.model):
            train_mode(look.model)
            look.run = run(look.model, look.taken.at(slice(_RUN)), look.loss)
        found = [*data_checks.not_finite(look), *labels(look)]
        if not _is_meaningless(found):
            found += model_checks.shapes(look)
        yield from found
        yield from data_checks.scale(look)
        self._of_target = list(data_checks.scale_of_target(look))
        yield from data_checks.constant_features(look)
        yield from data_checks.duplicates(look)

    def _of_batches(self) -> Iterator[Finding]:
        """What goes wrong with some batch of a training alone."""
        yield from model_checks.single_samples(self._look)

    def _of_validation(self) -> Iterator[Finding]:
        """What is wrong with the validation part, which has no part in what is trained."""
        other, ours = self._validation, self._look.run
        if other is None:
            return
        found = list(data_checks.not_finite_values(other))
        if ours is not None and ours.failed is None and ours.loss_error is None:
            with preserved(other.model), evaluation(other.model):
                other.run = run(other.model, other.taken.at(slice(_RUN)), other.loss)
            of_labels = [finding for finding in labels(other) if finding.level == "problem"]
            # That is no finding here, since few samples may be of one class by chance.
            found += [finding for finding in of_labels if finding.word != "one class"]
            if not _is_meaningless(found):
                found += model_checks.of_validation(other, self._look)
        found += data_checks.other_scale(self._look.taken, other.taken)
        for finding in found:
            yield replace(finding, message=f"validation: {finding.message}")

    def _of_model(self) -> Iterator[Finding]:
        look = self._look
        of_outputs = list(model_checks.outputs(look))
        yield from of_outputs
        if self._has_no_loss() and all(finding.level == "ok" for finding in of_outputs):
            yield self._where_not_finite()
        yield from model_checks.reached(look)
        yield from model_checks.heavy_weights(look)
        yield from model_checks.not_trained(look, self._frozen)
        if look.taken.count >= _LEAST:
            yield from model_checks.mixed_samples(look)

    def _learns(self) -> bool:
        return self._look.run is not None and self._look.run.learns

    def _has_no_loss(self) -> bool:
        run = self._look.run
        return run is None or run.loss is None or not math.isfinite(run.loss)

    def _where_not_finite(self) -> Finding:
        look = self._look
        with preserved(look.model):
            part = Sample(look.taken.at(slice(_RUN)).batch())
            train_mode(look.model)
            where = first_not_finite(look.model, Objective(look.loss), part, {})
        assert look.run is not None
        advice = "look for log, sqrt and division of what may be 0 or below, and for weights that are too large"
        message = f"the loss is {look.run.loss} before training" + (f": {where}" if where else "")
        return Finding("problem", "not finite", message, look.run.loss, advice=advice)

    def _of_steps(self) -> Iterator[Finding]:
        look = self._look
        with preserved(look.model):
            self._initial = compared(look.model, look.taken, look.loss)
        if self._trains():
            some = look.taken.at(slice(_OF_STATISTICS))
            self._layers = layer_stats(look.model, some.batches(_BATCH), look.loss, some.count)
            yield from self._layers.findings
            yield from (Finding("ok", word, words) for word, words in _OF_LAYERS if word not in self._layers)
        yield from self._initial
        if self._trains():
            yield from model_checks.first_update(look, self._initial.expected)

    def _trains(self) -> bool:
        return any(id(parameter) not in self._frozen for parameter in self._look.model.parameters())

    def _of_a_few(self) -> Iterator[Finding]:
        look = self._look
        if self._overfits and self._trains() and look.taken.count >= _LEAST:
            self._overfit = overfitted(look.model, look.taken, look.loss, _FEW, _STEPS, RATE, look.rng)
            yield from self._overfit


def _is_meaningless(findings: list[Finding]) -> bool:
    return any(finding.level == "problem" and finding.word in _ENDS for finding in findings)
