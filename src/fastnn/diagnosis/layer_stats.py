"""Statistics of a model's layers before or after a training."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..autograd import enable_grad, raw
from ..autograd.changes import note_change
from ..checks import integer
from ..nn import Module
from ..optim import Optimizer
from ..training.arguments import checked_loss, checked_model
from ..training.figures import Loss, Objective, Sample
from ..training.findings import Result, most_severe_first
from ..training.generators import find_generators
from ..training.layer_rules import Watched, judged, no_gradient
from ..training.layers import LayerRow, layer_row, table
from ..training.loader import Loader
from ..training.preserved import preserved
from ..training.spread import Spread
from ..training.watch import Watch
from .taken import batches_of, named, train_mode

_MOST = 1 << 16  # at most so many numbers of an output are looked at in a batch
_NUDGE = 1e-2  # root mean square of a step along the gradient, to see whether layers behind zeros get gradients later
_NUDGES = 3


@dataclass(frozen=True)
class LayerStats(Result):
    """What `layer_stats` found; ``str()`` gives the findings, and a table with a line per layer.

    Parameters
    ----------
    findings : tuple of Finding
        What is wrong, the most severe first.
    rows : tuple of LayerRow
        A row per layer, in the order of the calls.
    output : Spread or None
        Gradients of each sample's loss by the model's output.
    samples : int
        How many samples were looked at.
    complete : bool
        Whether these are all that the batches have.
    loss : float
        Their mean loss.
    """

    title: ClassVar[str] = "layers"
    rows: tuple[LayerRow, ...]
    output: Spread | None
    samples: int
    complete: bool
    loss: float

    def __str__(self) -> str:
        text = super().__str__()
        return "\n".join([*([text] if text else ["ok       layers: nothing found"]), "", table(self.rows)])

    def plot(self, what: str = "activations", axes: Any = None) -> Any:
        """Draw a histogram for each layer; see `fastnn.plots.layer_stats`.

        Parameters
        ----------
        what : {"activations", "gradients", "weights", "updates"}
            What to draw.
        axes : sequence or array of Axes, optional
            Where to draw, a panel per layer.

        Returns
        -------
        ndarray of Axes
            The panels.

        Raises
        ------
        ValueError
            If ``what`` is none of these, no layer has such numbers, or there are not as many axes as panels.
        """
        from ..plots.layer_stats import layer_stats as draw

        return draw(self.rows, what, axes=axes)

    def __getitem__(self, name: str) -> LayerRow:
        """The row of a layer."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"LayerStats: there is no layer {name!r}, only {', '.join(repr(row.name) for row in self.rows)}")


def layer_stats(
    model: Module,
    batches: Iterable[Any],
    loss: Loss = F.cross_entropy,
    samples: int = 1024,
    *,
    optimizer: Optimizer | None = None,
) -> LayerStats:
    """Look at the outputs, gradients and weights of each layer, in training mode, and say what is wrong with them.

    Parameters
    ----------
    model : Module
        Of any form. Layers are seen by their calls, and functions such as `fastnn.functional.relu` too.
    batches : Batches, iterable of batches, or (x, y)
        What `Trainer.fit` takes: (input, target) or (input, target, weight per sample).
    loss : callable
        ``loss(output, target)``, as of the `Trainer`.
    samples : int
        After how many samples to stop.
    optimizer : Optimizer, optional
        Makes one step, for the updates; it is taken back.

    Returns
    -------
    LayerStats
        Findings, a row per layer, and the mean loss.

    Raises
    ------
    TypeError, ValueError
        If ``model`` is no module, ``batches`` cannot be gone through or has no batch, or ``samples`` is below 1.

    Notes
    -----
    Nothing is changed: parameters, gradients, running statistics and generators are afterwards as before.

    Of outputs of more than 65 536 numbers in a batch, about as many are looked at, evenly spread, but all for dead units.
    Gradients of outputs are those of each sample's own loss, so they don't depend on the size of the batches.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.diagnosis import layer_stats
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(256, 20)).astype(np.float32), rng.integers(0, 10, 256)
    >>> layers = []
    >>> for i in range(10):
    ...     layers += [fnn.nn.Linear(20, 20, rng=i), fnn.nn.Sigmoid()]
    >>> model = fnn.nn.Sequential(*layers, fnn.nn.Linear(20, 10, rng=10))
    >>> stats = layer_stats(model, fnn.data.Batches(x, y, batch_size=64))
    >>> stats.level, stats.findings[0].word
    ('problem', 'vanishing')
    """
    op = "layer_stats"
    checked_model(op, model), checked_loss(op, loss)
    samples = integer(op, "samples", samples, 1)
    batches = batches_of(op, batches)
    loader = Loader("batches", batches, once=True, op=op)
    with preserved(model, optimizer, loss, *find_generators(batches)), np.errstate(all="ignore"), named(op):
        train_mode(model)
        return _looked_at(model, loader, Objective(loss), samples, optimizer)


def _looked_at(
    model: Module, loader: Loader, objective: Objective, samples: int, optimizer: Optimizer | None
) -> LayerStats:
    parameters = dict(model.named_parameters())
    for parameter in parameters.values():
        parameter.grad = None
    watch = Watch(model, _MOST)
    seen, amount, total, last = 0, 0.0, 0.0, None
    with enable_grad(), watch, closing(loader.samples(0, 0)) as taken:
        complete = True
        for sample in taken:
            if seen >= samples:
                complete = False
                break
            total += _passed(model, objective, sample)
            seen, amount, last = seen + sample.count, amount + sample.amount, sample
    if last is None:
        raise ValueError("layer_stats: there was no batch to take")
    gradients = {id(p): None if p.grad is None else p.grad / (amount or 1.0) for p in parameters.values()}
    steps = _steps(parameters, gradients, optimizer) if optimizer is not None else {}
    rows = tuple(layer_row(row, lambda p: gradients.get(id(p)), complete, steps) for row in watch.rows.values())
    output = watch.output.result() if watch.output.count else None
    found = judged(Watched(rows, output, complete))
    if any(finding.word == "not finite" for finding in found) or not np.isfinite(total):
        began = _where_it_began(model, loader, objective) or ("", f"the loss is {total / (amount or 1.0)}")
        found = judged(Watched(rows, output, complete, began=began))
    if not any(finding.word in ("not finite", "symmetric", "dead") for finding in found):
        unused = [name for name, p in parameters.items() if p.requires_grad and gradients[id(p)] is None]
        zero = [row.name for row in rows if row.gradient_ratio == 0]
        known = _later(model, objective, last, watch, zero) if zero else []
        found = [*no_gradient(rows, unused, known), *found]
    return LayerStats(most_severe_first(found), rows, output, seen, complete, total / (amount or 1.0))


def _where_it_began(model: Module, loader: Loader, objective: Objective) -> tuple[str, str] | None:
    """The first operation that gives a number that is not finite: the batches are gone through again."""
    with enable_grad(), Watch(model, _MOST, locate=True) as watch, closing(loader.samples(0, 0)) as taken:
        for sample in taken:
            _passed(model, objective, sample)
            if watch.began is not None:
                break
    return watch.began


def _passed(model: Module, objective: Objective, sample: Sample) -> float:
    """A forward and a backward pass; gradients are those of the sum over samples."""
    loss = objective(model(*sample.inputs), sample)
    value = float(raw(loss)) * sample.amount
    if getattr(loss, "requires_grad", False):
        (loss * sample.amount).backward()
    return value


def _steps(parameters: dict[str, Any], gradients: dict[int, Any], optimizer: Optimizer) -> dict[str, Any]:
    """What a step of the optimiser adds; it is taken back, so that what is said is about the values before it."""
    before = {name: parameter.data.copy() for name, parameter in parameters.items()}
    for parameter in parameters.values():
        gradient = gradients[id(parameter)]
        parameter.grad = None if gradient is None else gradient.astype(parameter.dtype)
    optimizer.step()
    added = {}
    for name, parameter in parameters.items():
        added[name] = parameter.data.astype(np.float64) - before[name]
        parameter.data[...] = before[name]
        note_change(parameter.data)
    return added


def _later(model: Module, objective: Objective, sample: Sample, watch: Watch, zero: list[str]) -> list[str]:
    """Which of these layers get a gradient after a small step: those before layers that begin at 0."""
    waiting = dict.fromkeys(zero)
    own = {name: [p for p in watch.rows[name].parameters.values() if p.ndim > 1] for name in zero}
    with enable_grad():
        for _ in range(_NUDGES):
            for parameter in model.parameters():
                gradient = parameter.grad
                if gradient is not None and parameter.requires_grad and gradient.any():
                    parameter.data -= (_NUDGE / np.sqrt(np.mean(gradient**2)) * gradient).astype(parameter.dtype)
                    note_change(parameter.data)
                parameter.grad = None
            _passed(model, objective, sample)
            for name in list(waiting):
                if any(p.grad is not None and p.grad.any() for p in own[name]):
                    del waiting[name]
    return [name for name in zero if name not in waiting]
