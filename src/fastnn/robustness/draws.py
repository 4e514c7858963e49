"""Changes of inputs, drawn so that neither batch sizes nor other changes count."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import real, shown
from ..data.augment import drop_values, means, per_value, random_noise
from .attack import Bounds, is_real, moved, within
from .curves import INPUT

Array = np.ndarray[Any, Any]
Inputs = Sequence[Array]
Change = Callable[[Inputs, slice], Inputs]

KINDS = ("noise", "missing", "random signs", "fgsm")


class Draws:
    """What is done to inputs.

    Parameters
    ----------
    key : list of int
        What all draws follow from.
    parts : sequence of ndarray
        The inputs.
    units : list
        What strength 1 means for the values of each.
    filling : list
        What takes the place of dropped values of each.
    bounds : (float, float) or None
        What values are kept within.

    Attributes
    ----------
    signs : list of (ndarray or None)
        Of the gradient, for FGSM.
    """

    def __init__(
        self, key: list[int], parts: Inputs, units: list[Any], filling: list[Any], bounds: Bounds | None
    ) -> None:
        self._key, self._units, self._filling, self._bounds = key, units, filling, bounds
        self._real = [i for i, part in enumerate(parts) if is_real(part)]
        self.signs: list[Array | None] = []

    def change(self, kind: str, strength: float, repeat: int) -> Change:
        """A function that changes one portion of the inputs after the other."""
        number = KINDS.index(kind)
        rngs = {
            i: np.random.default_rng(np.random.SeedSequence(self._key, spawn_key=(number, repeat, i)))
            for i in self._real
        }
        apply = getattr(self, "_" + kind.replace(" ", "_"))

        def changed(inputs: Inputs, part: slice) -> Inputs:
            return [apply(i, x, strength, rngs[i], part) if i in rngs else x for i, x in enumerate(inputs)]

        return changed

    def _noise(self, i: int, x: Array, strength: float, rng: np.random.Generator, part: slice) -> Array:
        return within(random_noise(x, rng, std=strength * self._units[i]), self._bounds)

    def _missing(self, i: int, x: Array, strength: float, rng: np.random.Generator, part: slice) -> Array:
        return drop_values(x, rng, strength, self._filling[i])

    def _random_signs(self, i: int, x: Array, strength: float, rng: np.random.Generator, part: slice) -> Array:
        signs = np.where(rng.random(x.shape, dtype=np.float32) < 0.5, 1, -1)
        return moved(x, x.dtype.type(strength) * self._units[i], signs, self._bounds)

    def _fgsm(self, i: int, x: Array, strength: float, rng: np.random.Generator, part: slice) -> Array:
        signs = self.signs[i]
        assert signs is not None
        return moved(x, x.dtype.type(strength) * self._units[i], signs[part], self._bounds)


def strengths_of(op: str, **given: Any) -> dict[str, tuple[float, ...]]:
    """The strengths of each kind of change, in rising order and each once, without 0."""
    found = {}
    for kind, strengths in given.items():
        if isinstance(strengths, str) or np.ndim(strengths) != 1:
            raise TypeError(f"{op}: {kind} must be a sequence of strengths, such as (0.1, 0.3), got {shown(strengths)}")
        high = 1.0 if kind == "missing" else math.inf
        listed = {real(op, kind, float(s) if isinstance(s, int) else s, 0.0, high) for s in strengths}
        if positive := tuple(sorted(listed - {0.0})):
            if kind == "fgsm":
                found["random signs"] = positive
            found[kind] = positive
    if not found:
        raise ValueError(
            f"{op}: no strength above 0 is given; noise=(0.1, 0.3), missing=(0.1, 0.3) and fgsm=(0.01, 0.1) are"
        )
    return found


def units_of(op: str, scale: Any, parts: Inputs) -> tuple[list[Any], str]:
    """What strength 1 means for the values of each input, and in words."""
    if scale is None:
        return [part.dtype.type(1) if is_real(part) else None for part in parts], INPUT
    if isinstance(scale, str) and scale != "std":
        raise ValueError(f"{op}: scale must be 'std' or an array of the shape of a sample, got {shown(scale)}")
    if isinstance(scale, str):
        return [_deviations(part) if is_real(part) else None for part in parts], "standard deviations of each value"
    return [per_value(op, "scale", scale, part) if is_real(part) else None for part in parts], "the given scale"


def _deviations(x: Array) -> Array:
    """The standard deviation of each value over the samples, without NaN; 0 where there is no value."""
    middle = means(x.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.sqrt(means(np.square(x - middle)))).astype(x.dtype)


def filling_of(fill: Any, parts: Inputs) -> list[Any]:
    """What takes the place of dropped values of each input: means over all samples, not over those of a portion."""
    of_all = isinstance(fill, str) and fill == "mean"
    return [means(part) if of_all and is_real(part) else fill for part in parts]
