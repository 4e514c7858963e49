"""Initialisations compared on a model and data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from .. import init
from .._generators import generator
from .._tables import aligned
from ..autograd.changes import note_change
from ..checks import integer, shown
from ..data import Batches
from ..nn import Module, Parameter
from ..training.figures import Loss
from ..training.findings import LEVELS, Finding, Result, most_severe_first
from ..training.layers import percent, short
from ..training.preserved import preserved
from .layer_stats import LayerStats, layer_stats

Init = float | Callable[..., Any]

# The word for an initialisation, by the word of its most severe finding. Findings below a warning count for nothing.
_WORDS = {
    "vanishing": "vanishing",
    "exploding": "exploding",
    "saturated": "saturated",
    "dead": "dead",
    "symmetric": "symmetric",
    "no gradient": "vanishing",
    "not finite": "exploding",
}
_BATCH = 256


@dataclass(frozen=True)
class Inits(Result):
    """What `compare_inits` found; ``str()`` is a table with a line per initialisation, and the findings.

    Parameters
    ----------
    findings : tuple of Finding
        What is wrong with which initialisation, the most severe first.
    words : dict of str to str
        The verdict on each: "fine", "vanishing", "exploding", "saturated", "dead" or "symmetric".
    stats : dict of str to LayerStats
        The statistics of the layers under each.
    """

    title: ClassVar[str] = "initialisations"
    words: dict[str, str]
    stats: dict[str, LayerStats]

    def __str__(self) -> str:
        head = ("init", "verdict", "signal last/first", "saturated", "dead", "least grad/w", "loss")
        cells = [head, *(_cells(name, self.words[name], stats) for name, stats in self.stats.items())]
        lines = aligned(cells, right=range(2, len(head)))
        return "\n".join([*lines, *(["", super().__str__()] if self.findings else [])])

    def plot(self, axes: Any = None) -> Any:
        """Draw the outputs of the layers under each; see `fastnn.plots.inits`.

        Parameters
        ----------
        axes : sequence or array of Axes, optional
            Where to draw.

        Returns
        -------
        ndarray of Axes
            A row of panels per initialisation.

        Raises
        ------
        ValueError
            If there are not as many axes as panels.
        """
        from ..plots.inits import inits

        return inits({name: stats.rows for name, stats in self.stats.items()}, self.words, axes=axes)


def _cells(name: str, word: str, stats: LayerStats) -> tuple[str, ...]:
    hidden = [row for row in stats.rows if row.role == "hidden"]
    signals = [row.activations.over_samples for row in hidden if row.is_activation]
    first, last = (signals[0], signals[-1]) if signals else (None, None)
    saturated = [row.saturated for row in hidden if row.saturated is not None]
    dead = [row.dead / max(1, row.units) for row in hidden if row.dead is not None]
    ratios = [row.gradient_ratio for row in hidden if row.gradient_ratio is not None]
    return (
        name,
        word,
        short(last / first if first and last is not None else None),
        percent(max(saturated)) if saturated else "–",
        percent(max(dead)) if dead else "–",
        short(min(ratios, default=None)),
        short(stats.loss),
    )


def compare_inits(
    inits: Mapping[str, Init],
    make_model: Callable[[], Module],
    x: Any,
    y: Any,
    loss: Loss = F.cross_entropy,
    samples: int = 1024,
    *,
    rng: Any = 0,
) -> Inits:
    """See what each of several initialisations does to signals and gradients of a model, before any training.

    Parameters
    ----------
    inits : mapping of str to float or callable
        By name: a number is the standard deviation of a normal distribution around 0. A function whose first argument is called
        ``shape``, as those of `fastnn.init`, gives the values of each weight with two axes or more; it gets ``rng=`` if it
        takes that. Any other function is called with the model, and changes it.
    make_model : callable
        Returns the model, ``make_model()``; what an initialisation doesn't concern, such as biases, stays as it made it.
    x : array_like or tuple of arrays
        Inputs, (N, ...).
    y : array_like
        Targets, (N, ...).
    loss : callable
        ``loss(output, target)``.
    samples : int
        How many samples are used at most, the first ones.
    rng : optional
        Anything `numpy.random.default_rng` takes; each initialisation draws from the same state.

    Returns
    -------
    Inits
        A verdict for each, and the statistics of all layers.

    Raises
    ------
    TypeError, ValueError
        If there is no initialisation, one is neither a number nor a function, ``make_model`` gives no module, or an
        initialisation gives values of another shape.

    Notes
    -----
    A verdict is the word of the most severe finding of `layer_stats` from a warning on, else "fine".

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> def model():
    ...     layers = []
    ...     for _ in range(8):
    ...         layers += [fnn.nn.Linear(50, 50, rng=0), fnn.nn.Tanh()]
    ...     return fnn.nn.Sequential(*layers, fnn.nn.Linear(50, 10, rng=0))
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(256, 50)).astype(np.float32), rng.integers(0, 10, 256)
    >>> inits = {"0.01": 0.01, "1": 1.0, "Xavier": fnn.init.xavier_normal}
    >>> fnn.diagnosis.compare_inits(inits, model, x, y).words
    {'0.01': 'vanishing', '1': 'saturated', 'Xavier': 'fine'}
    """
    _check(inits, make_model)
    samples = integer("compare_inits", "samples", samples, 1)
    seed = int(generator(rng).integers(2**63))
    batches = Batches(x, y, batch_size=_BATCH)
    stats = {}
    for name, given in inits.items():
        model = make_model()
        if not isinstance(model, Module):
            raise TypeError(f"compare_inits: make_model must return a Module, got {shown(model)}")
        with preserved(model):
            _initialise(name, given, model, np.random.default_rng(seed))
            stats[name] = layer_stats(model, batches, loss, samples)
    words = {name: _word(each) for name, each in stats.items()}
    found = [
        replace(finding, message=f"{name}: {finding.message}")
        for name, each in stats.items()
        for finding in _worst(each)
    ]
    return Inits(most_severe_first(found), words, stats)


def _check(inits: Any, make_model: Any) -> None:
    if not isinstance(inits, Mapping) or not inits:
        raise TypeError(f"compare_inits: inits must be initialisations by name, got {shown(inits)}")
    for name, given in inits.items():
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number and (not callable(given) or isinstance(given, type)):
            raise TypeError(f"compare_inits: {name!r} must be a standard deviation or a function, got {shown(given)}")
    if isinstance(make_model, Module) or not callable(make_model):
        hint = "; such as lambda: fnn.nn.Sequential(...)"
        raise TypeError(
            f"compare_inits: make_model must be a function that makes a model, got {shown(make_model)}{hint}"
        )


def _initialise(name: str, given: Init, model: Module, rng: np.random.Generator) -> None:
    """Give the weights of a model new values."""
    function: Any = given if callable(given) else partial(init.normal, std=float(given))
    takes = inspect.signature(function).parameters
    if next(iter(takes), None) != "shape":
        function(model)
        return
    for module in model.modules():
        options: dict[str, Any] = {"rng": rng, "groups": getattr(module, "groups", 1)}
        options["transposed"] = type(module).__name__.startswith("ConvTranspose")
        options = {key: value for key, value in options.items() if key in takes}
        for parameter in vars(module).values():
            if isinstance(parameter, Parameter) and parameter.ndim > 1:
                values = np.asarray(function(parameter.shape, **options))
                if values.shape != parameter.shape:
                    raise ValueError(
                        f"compare_inits: {name!r} must give values of shape {parameter.shape}, got {values.shape}"
                    )
                parameter.data[...] = values
                note_change(parameter.data)


def _worst(stats: LayerStats) -> list[Finding]:
    return [finding for finding in stats.findings if LEVELS.index(finding.level) >= LEVELS.index("warning")][:1]


def _word(stats: LayerStats) -> str:
    return _WORDS[_worst(stats)[0].word] if _worst(stats) else "fine"
