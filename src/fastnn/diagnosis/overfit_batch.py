"""Can the network learn a few samples by heart?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from .. import nn, optim
from ..autograd import enable_grad, raw
from ..checks import generator, integer, real
from ..data.samples import leaves
from ..nn import Module
from ..training.arguments import checked_loss, checked_model
from ..training.figures import Objective, Sample, values_of
from ..training.findings import Finding, Result
from ..training.preserved import preserved
from .losses import constant_loss, kind_of, least_loss, seen, share_right
from .taken import Array, Taken, batches_of, preserving, sample, train_mode

LEARNED = 0.05
"""The share of the best constant prediction's loss at which samples count as learnt by heart: of numbers, R² of 0.95."""
HALF = 0.5
"""The share below which a loss is on its way. Measured: one hidden unit before ten classes, ten sigmoid layers and ten random
classes of one number stayed above; random answers to six columns, which a sound network takes long to learn, did not."""
SLOW = 150
"""Steps, measured: sound networks took 3 to 60, deep and small ones up to 190; those with weights of N(0, 1e-4) more, or for ever."""
_SOURCE = "CS231n, Babysitting: overfit a tiny subset; steps measured"
_LEAST_SAMPLES = 2
_FOR_CONSTANT = 1024  # samples for which the loss of the constant prediction is computed
RATE = 5e-3
_TINY = 1e-6


@dataclass(frozen=True)
class OverfitBatch(Result):
    """How a network learned a few samples by heart.

    Parameters
    ----------
    findings : tuple of Finding
        One, under the word "cannot overfit".
    losses : ndarray, shape (steps,)
        The loss before each step; it ends where the samples were learnt.
    aim : float
        The loss at which they count as learnt.
    steps : int or None
        After how many steps they were; None if never.
    right : float or None
        The share of classes that were right in the end.
    samples : int
        How many they were.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnosis.overfit_batch import OverfitBatch
    >>> OverfitBatch((), np.array([2.3, 1.0, 0.1]), 0.115, 2, 1.0, 20).passed
    True
    """

    title: ClassVar[str] = "overfit"
    losses: Array
    aim: float
    steps: int | None
    right: float | None
    samples: int

    @property
    def passed(self) -> bool:
        """Whether the samples were learnt by heart."""
        return self.steps is not None

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss against the steps, with the loss to be reached.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn.
        """
        from ..plots.checks import overfit

        return overfit(self.losses, self.aim, ax=ax, slow=SLOW)


def overfit_batch(
    model: Module,
    train: Any,
    loss: Any = F.cross_entropy,
    *,
    samples: int = 20,
    steps: int = 300,
    lr: float = RATE,
    rng: Any = 0,
) -> OverfitBatch:
    """Train on a few samples alone, until they are known by heart.

    A network that cannot do this cannot learn: it is too small, gradients do not reach its layers, labels contradict the
    inputs, or the loss is not computed from what it should be.

    Parameters
    ----------
    model : Module
        Trained in training mode, without dropout, and put back as it was.
    train : Batches, iterable of batches, or (x, y)
        As for `fastnn.training.Trainer.fit`. A transform of `Batches` is applied once.
    loss : callable
        ``loss(output, target)``.
    samples : int
        How many, of which no two have the same inputs; of sequences or images with a class per position, as many samples as
        have about so many positions.
    steps : int
        How many at most.
    lr : float
        The rate of Adam, which trains without weight decay.
    rng : optional
        Anything `numpy.random.default_rng` takes: which samples.

    Returns
    -------
    OverfitBatch
        The finding is a problem where the loss did not fall to a twentieth of the best constant prediction's, with all classes
        right where each sample has one and counts the same, nor to half of it. A note where it fell to half of it only, where
        learning took 150 steps or more, and where an autoencoder does not give its inputs back. Where the test can say nothing
        (all weights of samples are 0, parameters or the loss are not finite, nothing is to train, the loss begins below 0) the
        finding says so, and the samples do not count as learnt.

    Raises
    ------
    TypeError, ValueError
        If the model is no module, a number does not fit, there is no sample, or model and loss do not take the batches.

    Notes
    -----
    Source: CS231n, "Babysitting the learning process".

    Adam hides gradients that are small everywhere: a network with six layers of sigmoids passes. See
    `fastnn.diagnosis.layer_stats`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.diagnosis import overfit_batch
    >>> x = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    >>> y = np.arange(200) % 4
    >>> net = nn.Sequential(nn.Linear(5, 64, rng=0), nn.ReLU(), nn.Linear(64, 4, rng=0))
    >>> overfit_batch(net, (x, y), samples=10).passed
    True
    """
    op = "overfit_batch"
    checked_model(op, model), checked_loss(op, loss)
    samples, steps = integer(op, "samples", samples, 1), integer(op, "steps", steps, 1)
    lr = real(op, "lr", lr, 0.0, open_low=True)
    train = batches_of(op, train)
    with preserving(model, None, loss, train):
        taken = sample(op, train, _FOR_CONSTANT)
        return overfitted(model, taken, loss, samples, steps, lr, generator(op, rng))


def overfitted(
    model: Module, taken: Taken, loss: Any, samples: int, steps: int, lr: float, rng: np.random.Generator
) -> OverfitBatch:
    """The same of samples that are taken already."""
    few = taken.at(_chosen(taken, samples, loss, rng))
    with preserved(model, None, loss):
        without_dropout(model)
        aim, half = (_aim(model, taken, few, loss, share) for share in (LEARNED, HALF))
    with preserved(model, None, loss), enable_grad():
        without_dropout(model)
        losses, right = _trained(model, few, loss, steps, lr, aim)
    hindered = _hindered(model, loss, few, losses)
    learnt = len(losses) - 1 if hindered is None and losses[-1] <= aim and right in (None, 1.0) else None
    finding = hindered or _judged(losses, aim, half, learnt, right, few)
    return OverfitBatch((finding,), losses, aim, learnt, right, few.count)


def without_dropout(model: Module) -> None:
    """Training mode, but no dropout; layers that are frozen in a model in training mode stay so."""
    train_mode(model)
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.RReLU):
            module.training = False
        elif isinstance(getattr(module, "dropout", None), float):  # recurrent layers have it as a number
            module.dropout = 0.0


def _chosen(taken: Taken, samples: int, loss: Any, rng: np.random.Generator) -> Array:
    """Samples with different inputs, in order."""
    target = leaves(taken.target)[0]
    if kind_of(loss) == "classes" and target.dtype.kind in "iu":
        samples = max(_LEAST_SAMPLES, samples // max(math.prod(target.shape[1:]), 1))
    known: dict[bytes, int] = {}
    order = rng.permutation(taken.count)
    if taken.weight is not None and taken.weight.any():  # what counts for nothing cannot be learnt
        order = order[taken.weight[order] > 0]
    for number in order:
        one = taken.at([number])
        known.setdefault(b"".join(array.tobytes() for array in one.inputs), int(number))
        if len(known) == samples:
            break
    return np.sort(np.array(list(known.values())))


def _aim(model: Module, taken: Taken, few: Taken, loss: Any, share: float) -> float:
    """The least possible loss, and a share of what the best constant prediction has above it."""
    outputs, value = seen(model, taken, loss)
    constant = constant_loss(loss, outputs, taken)
    above = constant[0] if constant is not None and constant[0] > _TINY else abs(value)
    least = least_loss(loss, values_of(model(*few.inputs)), few)
    return least + share * max(above - least, 0.0)


def _trained(model: Module, few: Taken, loss: Any, steps: int, lr: float, aim: float) -> tuple[Array, float | None]:
    """The losses before each step, and the share of right classes in the end."""
    parameters = _trained_parameters(model, loss)
    optimizer = optim.Adam(parameters, lr=lr) if parameters else None
    objective, part = Objective(loss), Sample(few.batch())
    losses = []
    right: float | None = None
    # Classes are counted if there is one per sample: with one per position of a sequence some cannot be right, as
    # after beginnings that are the same.
    one_each = few.weight is None and leaves(few.target)[0].size == few.count
    for step in range(steps + 1):
        output = model(*part.inputs)
        value = objective(output, part)
        losses.append(float(raw(value)))
        right = share_right(values_of(output), few.target, loss) if one_each else None
        if not math.isfinite(losses[-1]) or (losses[-1] <= aim and right in (None, 1.0)) or optimizer is None:
            break
        if step < steps:
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return np.array(losses), right


def _hindered(model: Module, loss: Any, few: Taken, losses: Array) -> Finding | None:
    """What lets the test say nothing about the network."""
    level, advice, threshold = "problem", "", None
    if few.weight is not None and not few.weight.any():
        message, advice = all_weights_are_zero(few.count)
    elif broken := [name for name, p in model.named_parameters() if not np.isfinite(p.data).all()]:
        message = f"parameter {broken[0]!r} holds numbers that are not finite"
        advice = "draw the weights anew, or load a checkpoint from before"
    elif not _trained_parameters(model, loss):
        message, advice = nothing_to_train(model)
    elif not math.isfinite(losses[0]):
        message = f"the loss is {losses[0]} before the first step"
        advice = "look for numbers that are not finite in the data, and for log, sqrt and division in model and loss"
    elif not math.isfinite(losses[-1]):
        message, advice = f"the loss became {losses[-1]} after {len(losses) - 1} steps", "a lower rate: lr="
    elif losses[0] < 0:
        known = kind_of(loss) != "unknown"
        level, threshold = "problem" if known else "note", 0.0
        message = f"the loss is {losses[0]:.3g} before the first step, and nothing says how far below 0 it should fall"
        never = "this loss is never below 0 for what it should get: see outputs and targets"
        advice = never if known else "see its curve"
    else:
        return None
    return Finding(level, "cannot overfit", message, float(losses[-1]), threshold, _SOURCE, advice)


def all_weights_are_zero(count: int) -> tuple[str, str]:
    """Message and advice where no sample counts."""
    return f"all weights of {count} samples are 0: none counts", "give weights above 0, or none"


def nothing_to_train(model: Module) -> tuple[str, str]:
    """Message and advice where no parameter is trained."""
    if next(model.parameters(), None) is None:
        return "nothing to train: the model has no parameters", "layers count where they are attributes of a Module"
    return "nothing to train: all parameters are frozen (requires_grad is False)", "model.requires_grad_(True)"


def _trained_parameters(model: Module, loss: Any) -> list[Any]:
    parameters = [*model.parameters(), *(loss.parameters() if isinstance(loss, Module) else ())]
    return [parameter for parameter in parameters if parameter.requires_grad]


def _judged(losses: Array, aim: float, half: float, learnt: int | None, right: float | None, few: Taken) -> Finding:
    of = f"{few.count} samples"
    steps = len(losses) - 1
    fell = f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {steps} steps, {aim:.3g} was the aim"
    if learnt is not None and learnt < SLOW:
        return Finding("ok", "cannot overfit", f"{of} known by heart after {learnt} steps", learnt, SLOW, _SOURCE)
    if learnt is not None:
        advice = "gradients may be small in the first layers: see layer_stats, and how the weights are drawn"
        message = f"{of} known by heart only after {learnt} steps, fewer than {SLOW} are usual"
        return Finding("note", "cannot overfit", message, learnt, SLOW, _SOURCE, advice)
    if losses[-1] <= half or _reconstructs(few):
        advice = "slow, but on its way: noise takes long to learn, and a narrow autoencoder need not do it"
        missing = f"only {right:.0%} of the classes are right" if losses[-1] <= aim else "the loss is above its aim"
        return Finding("note", "cannot overfit", f"{of}: {missing}; {fell}", losses[-1], aim, _SOURCE, advice)
    classes = "" if right is None else f", {right:.0%} of the classes right"
    advice = (
        "is the network large enough, do gradients reach all layers, do targets belong to these inputs, and is the loss made "
        "of the outputs?"
    )
    message = f"{of} are not learnt by heart: {fell}{classes}"
    return Finding("problem", "cannot overfit", message, losses[-1], aim, _SOURCE, advice)


def _reconstructs(few: Taken) -> bool:
    """Whether the target is the input, whatever its shape and scale."""
    target = leaves(few.target)[0]
    for array in few.inputs:
        if array.size == target.size > few.count and target.dtype.kind == array.dtype.kind == "f":
            both = np.corrcoef(array.ravel(), target.ravel())
            if both[0, 1] > 0.9:
                return True
    return False
