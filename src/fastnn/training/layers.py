"""What the numbers of layers say: dead, saturated, vanishing and exploding, with the thresholds (SPEC J4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .findings import LEVELS, Finding, graded
from .spread import Spread, spread_of
from .watch import Gathered

Array = np.ndarray[Any, Any]
Bounds = tuple[float, float, float]

# Of a note, a warning and a problem each.
DEAD: Bounds = (0.10, 0.25, 0.50)
DEAD_SOURCE = 'cs231n: "as much as 40 %"; SageMaker: 50 %; best rates ≤ 3 %'
SATURATED: Bounds = (0.10, 0.25, 0.50)
SATURATED_SOURCE = "slope below 5 % of its largest; Xavier and He ≤ 1 %, N(0, 1) 62 to 83 %"
SMALL_SIGNAL: Bounds = (0.05, 1e-2, 1e-3)
LARGE_SIGNAL: Bounds = (10.0, 1e2, 1e3)
SIGNAL_SOURCE = "Glorot and Bengio 2010: it should stay; healthy 0.2 to 0.8"
SMALL_GRADIENT: Bounds = (1e-4, 1e-5, 1e-6)
LARGE_GRADIENT: Bounds = (1.0, 10.0, 100.0)
GRADIENT_SOURCE = "healthy 0.02 to 0.1 at the start"
TOWARDS_INPUT: Bounds = (1e-1, 1e-2, 1e-3)
AWAY_FROM_INPUT: Bounds = (10.0, 1e2, 1e3)
SMALL_UPDATE: Bounds = (3e-4, 1e-4, 1e-5)
LARGE_UPDATE: Bounds = (1e-2, 3e-2, 1e-1)
UPDATE_SOURCE = "cs231n: around 1e-3; best rates 1.1e-3 to 7.9e-3"

ENOUGH = 1000
"""Samples for which a unit must be 0 to count as dead; healthy networks have units that are for a few hundred."""
FEW = 100
"""Fewer samples say nothing about single units, only about a layer of which no unit is ever active."""


@dataclass(frozen=True)
class ParameterRow:
    """The numbers of a parameter.

    Parameters
    ----------
    name : str
        As in ``named_parameters``.
    shape : tuple of int
        Its shape.
    trained : bool
        Whether it requires a gradient.
    weights : Spread
        Its values.
    gradients : Spread or None
        Its gradient; None where it got none.
    gradient_ratio : float or None
        The gradient's root mean square over that of the values; None without a gradient or where all values are 0.
    updates : Spread or None
        What a step of the optimiser added.
    update_ratio : float or None
        Its norm over that of the values.
    """

    name: str
    shape: tuple[int, ...]
    trained: bool
    weights: Spread
    gradients: Spread | None
    gradient_ratio: float | None
    updates: Spread | None = None
    update_ratio: float | None = None


@dataclass(frozen=True)
class LayerRow:
    """The numbers of a layer.

    Parameters
    ----------
    name, kind : str
        Where it is in the model, and its class; an activation that a function computed is named behind its input.
    units : int
        Channels or features.
    samples : int
        For how many samples it was looked at.
    activations : Spread
        Its outputs.
    gradients : Spread or None
        The gradients of each sample's loss by its outputs.
    dead : int or None
        Units of a ReLU that are at most 0 for every sample, at every position.
    by_chance : float
        How many of them would be active for further samples, as estimated from the units that are for one or two (Chao 1984).
    saturated : float or None
        The share of outputs where sigmoid or tanh has less than 5 % of its largest slope.
    parameters : tuple of ParameterRow
        Its own.
    gradient_ratio : float or None
        Of all its weights with two axes or more, the root mean square of gradients over that of values.
    update_ratio : float or None
        Of the same, the norm of a step over that of the values.
    role : {"hidden", "output", "gate"}
        Outputs and gates may be saturated.
    symmetric : bool
        Whether the units have equal weights and equal gradients.
    """

    name: str
    kind: str
    units: int
    samples: int
    activations: Spread
    gradients: Spread | None
    dead: int | None
    by_chance: float
    saturated: float | None
    parameters: tuple[ParameterRow, ...]
    gradient_ratio: float | None
    update_ratio: float | None
    role: str
    symmetric: bool

    @property
    def is_activation(self) -> bool:
        """Whether it bends what it gets, so that signals are compared at it."""
        return self.kind in _BENDING

    @property
    def dead_share(self) -> float | None:
        """The share of units that are dead, without those that are silent by chance."""
        return None if self.dead is None else max(0.0, self.dead - self.by_chance) / max(1, self.units)


_BENDING = (
    "ReLU", "LeakyReLU", "ELU", "SELU", "Sigmoid", "Hardsigmoid", "Tanh", "SiLU", "GELU", "Softplus", "PReLU", "RReLU",
    "Maxout", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell",
)  # fmt: skip
_NOT_JUDGED = ("Embedding",)  # rows of numbers that didn't come get no gradient


def layer_row(
    gathered: Gathered,
    gradient_of: Callable[[Any], Array | None],
    complete: bool,
    before: dict[str, Array] | None = None,
) -> LayerRow:
    """A row from what was gathered.

    Parameters
    ----------
    gathered : Gathered
        Of a layer.
    gradient_of : callable
        From a parameter to its gradient, or None.
    complete : bool
        Whether there are no further samples than those.
    before : dict of str to ndarray, optional
        Values of parameters before a step.
    """
    own = gathered.parameters.items()
    parameters = tuple(_parameter_row(name, p, gradient_of(p), (before or {}).get(name)) for name, p in own)
    matrices = [row for row in parameters if len(row.shape) > 1]
    dead = None if gathered.active is None else int(np.count_nonzero(gathered.active == 0))
    activations = gathered.activations.result()
    return LayerRow(
        gathered.name,
        gathered.kind,
        gathered.units,
        max(gathered.activations.samples, gathered.samples),
        activations,
        gathered.gradients.result() if gathered.gradients.count else None,
        dead,
        0.0 if complete or gathered.active is None or gathered.samples >= ENOUGH else _by_chance(gathered.active),
        None if gathered.saturated is None else gathered.saturated / max(1, activations.count),
        parameters,
        _ratio(matrices, "gradients"),
        _ratio(matrices, "updates"),
        "output" if gathered.is_output else "gate" if gathered.is_gate else "hidden",
        any(_are_equal(p, gradient_of(p), gathered.gates) for _, p in own if p.requires_grad),
    )


def _parameter_row(name: str, parameter: Any, gradient: Array | None, before: Array | None) -> ParameterRow:
    weights = spread_of(parameter.data)
    gradients = None if gradient is None else spread_of(gradient)
    updates = None if before is None else spread_of(parameter.data.astype(np.float64) - before)
    alone = ParameterRow(name, parameter.shape, bool(parameter.requires_grad), weights, gradients, None, updates, None)
    return replace(alone, gradient_ratio=_ratio([alone], "gradients"), update_ratio=_ratio([alone], "updates"))


def _ratio(rows: Sequence[ParameterRow], what: str) -> float | None:
    """The root mean square of gradients or updates of some parameters over that of their values."""
    with_some = [(getattr(row, what), row.weights) for row in rows if getattr(row, what) is not None]
    below = math.fsum(weights.count * weights.rms**2 for _, weights in with_some)
    if not below:
        return None
    above = math.fsum(part.count * part.rms**2 for part, _ in with_some)
    return math.sqrt(above / below)


def _by_chance(active: Array) -> float:
    """How many units that were never active would be for further samples (Chao 1984, corrected for bias)."""
    once, twice = (int(np.count_nonzero(active == times)) for times in (1, 2))
    return once * (once - 1) / (2 * (twice + 1))


def _are_equal(parameter: Any, gradient: Array | None, gates: int) -> bool:
    """Whether all units of a layer have the same weights and get the same gradient, so that they stay the same."""
    if parameter.ndim < 2 or gradient is None or parameter.shape[0] < 2 * gates:
        return False
    for array in (parameter.data, gradient):
        blocks = array.reshape(gates, array.shape[0] // gates, -1)
        if not (blocks == blocks[:, :1]).all():
            return False
    return True


# ---- what is wrong, in the order of causes before effects ------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """What is judged.

    Parameters
    ----------
    rows : sequence of LayerRow
        In the order of the calls.
    output : Spread or None
        The gradients of each sample's loss by the model's output.
    complete : bool
        Whether the samples are all that there are.
    training : bool
        Whether this is in a training, where what is dead has died.
    began : (str, str) or None
        In which layer the first number was computed that is not finite, and the words for it.
    """

    rows: Sequence[LayerRow]
    output: Spread | None
    complete: bool
    training: bool = False
    began: tuple[str, str] | None = None


def judged(watched: Watched) -> list[Finding]:
    """What is wrong with layers, causes before effects; effects of a cause that was found are left out."""
    found = [*_not_finite(watched)]
    if found:
        return found
    found += [*_symmetric(watched), *_dead(watched), *_saturated(watched)]
    if not any(finding.level == "problem" and finding.word != "saturated" for finding in found):
        found += [*_signal(watched), *_gradient(watched), *_towards_input(watched)]
    return found


def short(value: float | None) -> str:
    """A number in few characters.

    >>> short(0.034), short(1.2e-7), short(12345.6), short(None), short(0.0)
    ('0.034', '1.2e-7', '1.2e4', '–', '0')
    """
    if value is None or math.isnan(value):
        return "–" if value is None else "nan"
    if value == 0 or not math.isfinite(value) or 0.01 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """A share in words of two digits.

    >>> percent(0.415), percent(0.003)
    ('42 %', '0.3 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1g} %"


def _named(row: LayerRow) -> str:
    return f"layer {row.name!r} ({row.kind})" if row.name else f"the model ({row.kind})"


def _others(rows: Sequence[Any]) -> str:
    """How many further layers are the same."""
    others = len(rows) - 1
    return "" if not others else "; so is another one" if others == 1 else f"; so are {others} others"


def _not_finite(watched: Watched) -> Iterator[Finding]:
    if watched.began is not None:
        layer, message = watched.began
        yield Finding("problem", "not finite", message, layer=layer, advice=_NOT_FINITE)
        return
    for row in watched.rows:
        bad = [p for p in row.parameters if p.weights.not_finite]
        if bad:
            count = bad[0].weights.not_finite
            message = f"parameter {bad[0].name!r} holds {count} values that are NaN or infinite"
        elif row.activations.not_finite:
            count = row.activations.not_finite
            message = f"{_named(row)} gives {count} of {row.activations.count} values that are NaN or infinite"
        elif row.gradients is not None and row.gradients.not_finite:
            continue  # the last such layer is where it began, below
        else:
            continue
        yield Finding("problem", "not finite", message, float(count), 0.0, layer=row.name, advice=_NOT_FINITE)
        return
    for row in reversed(watched.rows):
        if row.gradients is not None and row.gradients.not_finite:
            count = row.gradients.not_finite
            message = f"the gradient of the outputs of {_named(row)} has {count} values that are NaN or infinite"
            yield Finding("problem", "not finite", message, float(count), 0.0, layer=row.name, advice=_NOT_FINITE)
            return


_NOT_FINITE = "look for NaN in the data, log or sqrt of what may be negative, division by 0, large weights"


def _symmetric(watched: Watched) -> Iterator[Finding]:
    same = [row for row in watched.rows if row.symmetric and row.role == "hidden" and row.kind not in _NOT_JUDGED]
    if same:
        row = same[0]
        zero = all(p.weights.low == p.weights.high == 0 for p in row.parameters if len(p.shape) > 1)
        weights = "all weights are 0" if zero else "their weights are equal"
        message = f"{_named(row)}: all {row.units} units compute the same and get the same gradient, since {weights}{_others(same)}"
        advice = "draw them at random: fastnn.init.he_normal for ReLU, xavier_normal for tanh and sigmoid"
        yield Finding("problem", "symmetric", message, float(row.units), 1.0, "notes 002", advice, row.name)


def _dead(watched: Watched) -> Iterator[Finding]:
    """Units that are 0 for all samples; of few samples, the share is an estimate, and of very few only a whole layer counts."""
    found: list[tuple[int, float, LayerRow]] = []
    for row in watched.rows:
        if row.dead is None or row.dead_share is None or row.role != "hidden":
            continue
        known = watched.complete or row.samples >= FEW
        share = row.dead_share if known else float(row.dead == row.units and row.samples >= 20)
        level = graded(share, DEAD)
        if level:
            found.append((level, share, row))
    if not found:
        return
    level, share, row = max(found, key=lambda each: each[:2])
    silent_units = row.dead or 0
    word = "dying" if watched.training else "dead"
    every = "all" if watched.complete or row.samples < ENOUGH else "all of"
    silent = f"{_named(row)}: {row.dead} of {row.units} units ({percent(silent_units / row.units)}) are 0 for {every} {row.samples} samples"
    if row.by_chance >= 0.5 and not watched.complete:
        silent += f", about {row.by_chance:.0f} of them by chance"
    others = _others([row for _, _, row in found])
    advice = (
        "lower the learning rate (a tenth), or use LeakyReLU; dead units don't come back"
        if watched.training
        else "scale inputs to mean 0 and standard deviation 1, draw He weights, biases 0; or use LeakyReLU"
    )
    yield Finding(LEVELS[level], word, silent + others, share, DEAD[level - 1], DEAD_SOURCE, advice, row.name)


def _saturated(watched: Watched) -> Iterator[Finding]:
    rows = [row for row in watched.rows if row.saturated is not None and row.role == "hidden"]
    found = [(graded(row.saturated or 0.0, SATURATED), row) for row in rows]
    found = [each for each in found if each[0]]
    if found:
        level, row = max(found, key=lambda each: each[0])
        assert row.saturated is not None
        message = (
            f"{_named(row)}: {percent(row.saturated)} of its outputs are at the flat ends of the function"
            f"{_others(found)}"
        )
        advice = "use smaller weights (xavier_normal), scaled inputs, a batch norm before it, or ReLU"
        yield Finding(
            LEVELS[level], "saturated", message, row.saturated, SATURATED[level - 1], SATURATED_SOURCE, advice, row.name
        )


def _signal(watched: Watched) -> Iterator[Finding]:
    hidden = [row for row in watched.rows if row.role == "hidden" and row.activations.over_samples is not None]
    bending = [row for row in hidden if row.is_activation]
    compared = bending or [row for row in hidden if any(len(p.shape) > 1 for p in row.parameters)]
    if len(compared) < 2:
        return
    first = compared[0]
    base = first.activations.over_samples or 0.0
    ratios = [(row, _over(row.activations.over_samples or 0.0, base)) for row in compared[1:]]
    row, ratio = min(ratios, key=lambda each: each[1])
    level = graded(ratio, SMALL_SIGNAL, below=True)
    if level:
        now = row.activations.over_samples
        message = (
            f"the signal of {_named(row)} is {short(ratio)} of that of {_named(first)}: "
            f"from sample to sample its outputs differ by {short(now)}"
        )
        advice = "use He weights with ReLU, Xavier with tanh, no deep sigmoids; batch norm; residual blocks"
        yield Finding(
            LEVELS[level], "vanishing", message, ratio, SMALL_SIGNAL[level - 1], SIGNAL_SOURCE, advice, row.name
        )
    row, ratio = max(ratios, key=lambda each: each[1])
    level = graded(ratio, LARGE_SIGNAL)
    if level:
        message = f"the signal of {_named(row)} is {short(ratio)} times that of {_named(first)}"
        advice = "use smaller weights (He for ReLU, Xavier for tanh) or batch norm"
        yield Finding(
            LEVELS[level], "exploding", message, ratio, LARGE_SIGNAL[level - 1], SIGNAL_SOURCE, advice, row.name
        )


def _over(above: float, below: float) -> float:
    return above / below if below else 1.0 if above == below else math.inf


def _weighted(watched: Watched) -> list[LayerRow]:
    """Hidden layers with weights, and with gradients for them."""
    return [
        row
        for row in watched.rows
        if row.gradient_ratio is not None and row.role == "hidden" and row.kind not in _NOT_JUDGED
    ]


def _wrongness(watched: Watched) -> float:
    """How large the gradients are by the model's output: they shrink with the loss, and all others with them."""
    if watched.output is None or not watched.output.rms or not math.isfinite(watched.output.rms):
        return 1.0
    return watched.output.rms


def _gradient(watched: Watched) -> Iterator[Finding]:
    rows = [row for row in _weighted(watched) if row.gradient_ratio]
    if not rows:
        return
    scale = _wrongness(watched)
    row = min(rows, key=lambda each: each.gradient_ratio or 0.0)
    ratio = (row.gradient_ratio or 0.0) / scale
    level = graded(ratio, SMALL_GRADIENT, below=True)
    if level:
        message = f"the gradient of {_named(row)} is {short(row.gradient_ratio)} of its weights (root mean squares)"
        advice = "use He or Xavier weights, ReLU instead of sigmoid, batch norm, or residual blocks"
        yield Finding(
            LEVELS[level], "vanishing", message, ratio, SMALL_GRADIENT[level - 1], GRADIENT_SOURCE, advice, row.name
        )
    row = max(rows, key=lambda each: each.gradient_ratio or 0.0)
    ratio = (row.gradient_ratio or 0.0) / scale
    level = graded(ratio, LARGE_GRADIENT)
    if level:
        message = f"the gradient of {_named(row)} is {short(row.gradient_ratio)} times its weights (root mean squares)"
        advice = "use smaller weights (He, Xavier), scaled inputs and targets, batch norm, or clip_norm"
        yield Finding(
            LEVELS[level], "exploding", message, ratio, LARGE_GRADIENT[level - 1], GRADIENT_SOURCE, advice, row.name
        )


def _towards_input(watched: Watched) -> Iterator[Finding]:
    rows = _weighted(watched)
    if len(rows) < 2:
        return
    first, last = rows[0], rows[-1]
    ratio = _over(first.gradient_ratio or 0.0, last.gradient_ratio or 0.0)
    level = graded(ratio, TOWARDS_INPUT, below=True)
    values = f"{short(first.gradient_ratio)} of the weights in {_named(first)}, {short(last.gradient_ratio)} in {_named(last)}"
    if level:
        advice = "use ReLU instead of sigmoid, He or Xavier weights, batch norm, or residual blocks"
        yield Finding(
            LEVELS[level], "vanishing", f"gradients vanish towards the input: {values}", ratio, TOWARDS_INPUT[level - 1],
            "notes 002", advice, first.name,
        )  # fmt: skip
    level = graded(ratio, AWAY_FROM_INPUT)
    if level:
        advice = "use smaller weights (He, Xavier), batch norm, or clip_norm of the Trainer"
        yield Finding(
            LEVELS[level], "exploding", f"gradients explode towards the input: {values}", ratio, AWAY_FROM_INPUT[level - 1],
            "notes 002", advice, first.name,
        )  # fmt: skip


def no_gradient(rows: Sequence[LayerRow], unused: Sequence[str], known: Sequence[str]) -> Iterator[Finding]:
    """Parameters that get no gradient.

    Parameters
    ----------
    rows : sequence of LayerRow
        Of layers.
    unused : sequence of str
        Parameters that the loss doesn't depend on.
    known : sequence of str
        Layers that get one as soon as layers behind them, which begin at 0, have changed.
    """
    zero = [
        row for row in rows
        if row.gradient_ratio == 0 and row.name not in known and any(p.trained and len(p.shape) > 1 for p in row.parameters)
    ]  # fmt: skip
    if zero:
        row = zero[0]
        message = f"{_named(row)}: its weights get a gradient of exactly 0{_others(zero)}"
        advice = "look for flat functions (steps, rounding, dead ReLUs), detach() and numpy() in forward"
        yield Finding("problem", "no gradient", message, 0.0, 0.0, "", advice, row.name)
    if unused:
        message = f"the loss does not depend on parameter {', '.join(map(repr, unused[:3]))}"
        message += f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        advice = "use it in forward, without detach() or numpy() behind it; or freeze it: requires_grad=False"
        yield Finding("warning", "no gradient", message, None, None, "", advice, unused[0])
