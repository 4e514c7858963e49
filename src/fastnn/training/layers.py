"""The numbers of layers: outputs, gradients, weights and updates, a row each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._tables import aligned
from .spread import Spread, spread_of
from .watch import Gathered

Array = np.ndarray[Any, Any]

ENOUGH = 1000
"""Samples for which a unit must be 0 to count as dead; healthy networks have units that are for a few hundred."""


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
        What a step of the optimiser adds.
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
        Units of a ReLU, ReLU6 or thresholded ReLU that are at most 0 for every sample, at every position.
    by_chance : float
        How many of them would be active for further samples, as estimated from the units that are for one or two (Chao 1984).
    saturated : float or None
        The share of outputs where the slope of sigmoid, hard sigmoid, tanh or softsign is less than 5 % of its largest; of ReLU6,
        the share that is cut off at 6.
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
    "ReLU6", "ThresholdedReLU", "Hardswish", "CELU", "Mish", "LogSigmoid", "Softsign", "Maxout", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell",
)  # fmt: skip


def layer_row(
    gathered: Gathered,
    gradient_of: Callable[[Any], Array | None],
    complete: bool,
    steps: Mapping[str, Array] | None = None,
    most: int | None = None,
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
    steps : dict of str to ndarray, optional
        What a step of the optimiser adds to parameters.
    most : int, optional
        How many values of a parameter are looked at.
    """
    own = gathered.parameters.items()
    parameters = tuple(_parameter_row(name, p, gradient_of(p), (steps or {}).get(name), most) for name, p in own)
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
        0.0 if complete or gathered.active is None or gathered.samples >= ENOUGH else by_chance(gathered.active),
        None if gathered.saturated is None else gathered.saturated / max(1, activations.count),
        parameters,
        _ratio(matrices, "gradients"),
        _ratio(matrices, "updates"),
        "output" if gathered.is_output else "gate" if gathered.is_gate else "hidden",
        any(_are_equal(p, gradient_of(p), gathered.gates) for _, p in own if p.requires_grad),
    )


def _parameter_row(
    name: str, parameter: Any, gradient: Array | None, step: Array | None, most: int | None
) -> ParameterRow:
    weights = spread_of(parameter.data, most)
    gradients = None if gradient is None else spread_of(gradient, most)
    updates = None if step is None else spread_of(step, most)
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


def row_from(state: Mapping[str, Any]) -> LayerRow:
    """A row from what `dataclasses.asdict` made of it.

    Raises
    ------
    TypeError, KeyError
        If a field is missing, or there are others.
    """
    parameters = tuple(
        ParameterRow(**{**each, "shape": tuple(each["shape"]), **{part: spread_from(each[part]) for part in _SPREADS}})
        for each in state["parameters"]
    )
    spreads = {part: spread_from(state[part]) for part in ("activations", "gradients")}
    return LayerRow(**{**state, "parameters": parameters, **spreads})


_SPREADS = ("weights", "gradients", "updates")


def spread_from(state: Mapping[str, Any] | None) -> Any:
    """A `Spread` from what `dataclasses.asdict` made of it, or None."""
    return None if state is None else Spread(**{**state, "bins": tuple(state["bins"]), "edges": tuple(state["edges"])})


def by_chance(active: Array) -> float:
    """How many units that were never active would be for further samples (Chao 1984, corrected for bias)."""
    once, twice = (int(np.count_nonzero(active == times)) for times in (1, 2))
    return once * (once - 1) / (2 * (twice + 1))


def _are_equal(parameter: Any, gradient: Array | None, gates: int) -> bool:
    """Whether all units of a layer have the same weights and get the same gradient, so that they stay the same."""
    if parameter.ndim < 2 or gradient is None or parameter.shape[0] < 2 * gates:
        return False
    for array in (parameter.data, gradient):
        blocks = array.reshape(gates, array.shape[0] // gates, -1)
        if not (blocks[:, 0] == blocks[:, -1]).all() or not (blocks == blocks[:, :1]).all():
            return False
    return True


_HEAD = ("layer", "type", "units", "mean", "std", "over samples", "zero", "dead", "sat.", "grad/w", "update/w")


def table(rows: Iterable[LayerRow]) -> str:
    """A line per layer."""
    return "\n".join(aligned([_HEAD, *(_cells(row) for row in rows)], right=range(2, len(_HEAD))))


def _cells(row: LayerRow) -> tuple[str, ...]:
    outputs = row.activations
    return (
        row.name or "(model)",
        row.kind,
        str(row.units),
        short(outputs.mean),
        short(outputs.std),
        short(outputs.over_samples),
        percent(outputs.zeros),
        "–" if row.dead is None else percent(row.dead / max(1, row.units)),
        "–" if row.saturated is None else percent(row.saturated),
        short(row.gradient_ratio),
        short(row.update_ratio),
    )


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
