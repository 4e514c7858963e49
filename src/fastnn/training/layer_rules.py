"""What the numbers of layers say: dead, saturated, vanishing and exploding, with the thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .findings import Finding, Grade, graded, quoted
from .layers import LayerRow, percent, short
from .spread import Spread

Bounds = tuple[float, float, float]

# Three bounds are those of a note, a warning and a problem.
DEAD: Bounds = (0.10, 0.25, 0.50)
DEAD_SOURCE = 'cs231n: "as much as 40 %"; SageMaker: 50 %; best rates ≤ 3 %'
SATURATED: Bounds = (0.10, 0.25, 0.50)
SATURATED_SOURCE = "slope below 5 % of its largest; Xavier and He ≤ 1 %, N(0, 1) 62 to 83 %"
SMALL_SIGNAL: Bounds = (0.05, 1e-2, 1e-3)
LARGE_SIGNAL: Bounds = (10.0, 1e2, 1e3)
SIGNAL_SOURCE = "Glorot and Bengio 2010: it should stay; healthy 0.2 to 0.8"
SMALL_GRADIENT: Bounds = (1e-4, 1e-5, 1e-6)
LARGE_GRADIENT: Bounds = (1.0, 10.0, 100.0)
USUAL_INPUTS = 100
"""Of the layers that these bounds were measured on; weights get smaller with the root of the number of inputs."""
GRADIENT_SOURCE = "healthy 0.02 to 0.1 at the start"
TOWARDS_INPUT: Bounds = (1e-1, 1e-2, 1e-3)
AWAY_FROM_INPUT: Bounds = (10.0, 1e2, 1e3)
TOWARDS_SOURCE = "Glorot and Bengio 2010"
SMALL_UPDATE: Bounds = (3e-4, 1e-4, 1e-5)
LARGE_UPDATE: Bounds = (1e-2, 3e-2, 1e-1)
HEALTHY_UPDATE = 1e-3
UPDATES = 20
"""Of fewer steps the sizes say little."""
UPDATE_SOURCE = "cs231n: around 1e-3; best rates 1.1e-3 to 7.9e-3"

FEW = 60
"""Fewer samples say nothing about single units: one that is active for a twentieth of them, as units of healthy networks are, is
silent for all of 60 in 1 of 20 cases (0.95^60), but for all of 20 in 1 of 3."""
FEW_OF_ALL = 20
"""Fewer samples don't even show that a layer is dead of which no unit is ever active."""

_NOT_JUDGED = ("Embedding",)  # its rows for numbers that didn't come get no gradient


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


def _named(row: LayerRow) -> str:
    return quoted(row.name, row.kind)


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
        else:
            continue  # if only gradients are not finite, it began at the last such layer: see the loop below
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
        yield Finding(
            "problem", "symmetric", message, float(row.units), 1.0, "cs231n: all zero initialization", advice, row.name
        )


def _dead(watched: Watched) -> Iterator[Finding]:
    """Units that are 0 for all samples, by their share less its standard error.

    Of few samples the share is an estimate, and of very few only a whole layer counts.
    """
    found: list[tuple[Grade, LayerRow]] = []
    for row in watched.rows:
        if row.dead is None or row.dead_share is None or (row.role != "hidden" and row.dead < row.units):
            continue
        all_of_them = row.dead == row.units and row.samples >= FEW_OF_ALL
        known = row.samples >= FEW or all_of_them
        share = _at_least(row.dead_share, row.units) if known or watched.complete else 0.0
        grade = graded(share, DEAD) if known else graded(share, DEAD).at_most("note")
        if grade:
            found.append((grade, row))
    if not found:
        return
    grade, row = max(found, key=lambda each: (each[0], each[0].value))
    silent_units = row.dead or 0
    word = "dying" if watched.training else "dead"
    samples = "1 sample" if row.samples == 1 else f"all {row.samples} samples"
    when = f"were 0 for all of the last {row.samples} samples" if watched.training else f"are 0 for {samples}"
    share_of = percent(silent_units / max(1, row.units))
    silent = f"{_named(row)}: {silent_units} of {row.units} units ({share_of}) {when}"
    if row.by_chance >= 0.5 and not watched.complete:
        silent += f", about {row.by_chance:.0f} of them by chance"
    if row.samples < FEW and silent_units < row.units:
        silent += f", too few to tell: {FEW} are needed"
    advice = (
        "lower the learning rate (a tenth), or use LeakyReLU; dead units don't come back"
        if watched.training
        else "scale inputs to mean 0 and standard deviation 1, draw He weights, biases 0; or use LeakyReLU"
    )
    yield grade.finding(word, silent + _others(found), DEAD_SOURCE, advice, row.name)


def _at_least(share: float, units: int) -> float:
    """A share less its standard error: of a few units, several are dead by chance."""
    return max(0.0, share - math.sqrt(share * (1 - share) / max(1, units)))


def _saturated(watched: Watched) -> Iterator[Finding]:
    rows = [row for row in watched.rows if row.saturated is not None and row.role == "hidden"]
    found = [(graded(row.saturated or 0.0, SATURATED), row) for row in rows]
    found = [each for each in found if each[0]]
    if found:
        grade, row = max(found, key=lambda each: each[0])
        share = percent(grade.value)
        message = f"{_named(row)}: {share} of its outputs are at the flat ends of the function{_others(found)}"
        advice = "use smaller weights (xavier_normal), scaled inputs, a batch norm before it, or ReLU"
        yield grade.finding("saturated", message, SATURATED_SOURCE, advice, row.name)


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
    if grade := graded(ratio, SMALL_SIGNAL, below=True):
        now = row.activations.over_samples
        message = (
            f"the signal of {_named(row)} is {short(ratio)} of that of {_named(first)}: "
            f"from sample to sample its outputs differ by {short(now)}"
        )
        advice = "use He weights with ReLU, Xavier with tanh, no deep sigmoids; batch norm; residual blocks"
        yield grade.finding("vanishing", message, SIGNAL_SOURCE, advice, row.name)
    row, ratio = max(ratios, key=lambda each: each[1])
    if grade := graded(ratio, LARGE_SIGNAL):
        message = f"the signal of {_named(row)} is {short(ratio)} times that of {_named(first)}"
        advice = "use smaller weights (He for ReLU, Xavier for tanh) or batch norm"
        yield grade.finding("exploding", message, SIGNAL_SOURCE, advice, row.name)


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
    """The size of gradients by the model's output, at most 1: when it shrinks with the loss, all others shrink with it."""
    size = 1.0 if watched.output is None else watched.output.rms
    return size if 0 < size < 1 else 1.0


def _gradient(watched: Watched) -> Iterator[Finding]:
    rows = [row for row in _weighted(watched) if row.gradient_ratio]
    if not rows:
        return
    scale = _wrongness(watched)
    row = min(rows, key=lambda each: each.gradient_ratio or 0.0)
    if grade := graded((row.gradient_ratio or 0.0) / scale, SMALL_GRADIENT, below=True):
        message = f"the gradient of {_named(row)} is {short(row.gradient_ratio)} of its weights (root mean squares)"
        message += "" if scale > 0.1 else f", that of the outputs {short(scale)}"
        advice = "use He or Xavier weights, ReLU instead of sigmoid, batch norm, or residual blocks"
        yield grade.finding("vanishing", message, GRADIENT_SOURCE, advice, row.name)
    row = max(rows, key=_large_gradient)
    if grade := graded(_large_gradient(row), LARGE_GRADIENT):
        message = f"the gradient of {_named(row)} is {short(row.gradient_ratio)} times its weights (root mean squares)"
        advice = "use smaller weights (He, Xavier), scaled inputs and targets, batch norm, or clip_norm"
        yield grade.finding("exploding", message, GRADIENT_SOURCE, advice, row.name)


def _large_gradient(row: LayerRow) -> float:
    """A layer's gradient over its weights; these are smaller in layers with more inputs than those the bounds are from."""
    inputs = max((math.prod(own.shape[1:]) for own in row.parameters if len(own.shape) > 1), default=1)
    return (row.gradient_ratio or 0.0) / math.sqrt(max(1.0, inputs / USUAL_INPUTS))


def _towards_input(watched: Watched) -> Iterator[Finding]:
    """The first hidden layer against the last: by the gradients alone and by those over the weights, whichever says less.

    Gradients of weights that are used at many places, as in convolutions, are larger; weights of layers with few inputs are.
    """
    rows = [row for row in _weighted(watched) if row.gradient_ratio]  # gradients of exactly 0 are another finding
    if len(rows) < 2:
        return
    first, last = rows[0], rows[-1]
    by_weights = _over(first.gradient_ratio or 0.0, last.gradient_ratio or 0.0)
    alone = _over(_gradient_size(first), _gradient_size(last))
    sizes = f"{short(_gradient_size(first))} in {_named(first)}, {short(_gradient_size(last))} in {_named(last)}"
    if grade := graded(max(by_weights, alone), TOWARDS_INPUT, below=True):
        message = f"gradients vanish towards the input: {sizes}"
        advice = "use ReLU instead of sigmoid, He or Xavier weights, batch norm, or residual blocks"
        yield grade.finding("vanishing", message, TOWARDS_SOURCE, advice, first.name)
    if grade := graded(min(by_weights, alone), AWAY_FROM_INPUT):
        message = f"gradients explode towards the input: {sizes}"
        advice = "use smaller weights (He, Xavier), batch norm, or clip_norm of the Trainer"
        yield grade.finding("exploding", message, TOWARDS_SOURCE, advice, first.name)


def _gradient_size(row: LayerRow) -> float:
    """The root mean square of the gradients of a layer's weights."""
    parts = [own.gradients for own in row.parameters if len(own.shape) > 1 and own.gradients is not None]
    return math.sqrt(math.fsum(part.count * part.rms**2 for part in parts) / max(1, sum(part.count for part in parts)))


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


def updates(ratios: Mapping[str, Sequence[float]], has_fallen: bool, vouched: bool = False) -> Iterator[Finding]:
    """What the sizes of steps say.

    Parameters
    ----------
    ratios : mapping of str to sequence of float
        For each parameter, at several steps, the norm of the step over that of the weights.
    has_fallen : bool
        Whether the loss has become much smaller, so that small steps are no fault.
    vouched : bool
        Whether these are only the last layers, whose steps are larger than the median of a whole network's, and a loss that
        falls steadily shows that they are not too large.

    Returns
    -------
    iterator of Finding
        Nothing for fewer than 20 steps, of which the median would say little.
    """
    medians = {name: median(values) for name, values in ratios.items() if len(values) >= UPDATES}
    if not medians:
        return
    middle = median(medians.values())
    changes = f"a step changes weights by {short(middle)} of their size"
    if grade := graded(middle, LARGE_UPDATE):
        name = max(medians, key=lambda each: medians[each])
        message = f"{changes}, {name!r} by {short(medians[name])} (medians)"
        advice = f"lower the learning rate, to about {short(HEALTHY_UPDATE / middle)} of what it is"
        if vouched:
            grade = grade.at_most("note")
            advice = "steps of last layers alone may be so large while the loss falls, as it does"
        yield grade.finding("update too large", message, UPDATE_SOURCE, advice, name)
    if (grade := graded(middle, SMALL_UPDATE, below=True)) and not has_fallen:
        name = min(medians, key=lambda each: medians[each])
        message = f"{changes}, {name!r} by {short(medians[name])} (medians)"
        times = f"{short(HEALTHY_UPDATE / middle)} times" if middle else "very many times"
        advice = f"raise the learning rate, to about {times} what it is"
        yield grade.finding("update too small", message, UPDATE_SOURCE, advice, name)
