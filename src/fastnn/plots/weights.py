"""Weights as points of a space, and planes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..nn import Module

State = Mapping[str, Any]


class Plane(NamedTuple):
    """A plane in a space of many numbers: ``centre + a · first + b · second``."""

    centre: np.ndarray[Any, Any]
    """(D,), float64"""
    first: np.ndarray[Any, Any]
    second: np.ndarray[Any, Any]

    def at(self, a: float, b: float) -> np.ndarray[Any, Any]:
        """A point of the plane (D,)."""
        return self.centre + a * self.first + b * self.second

    def coordinates(self, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Of the nearest points of the plane (N, 2), by least squares, since the directions need not be at right angles."""
        basis = np.column_stack([self.first, self.second])
        return np.asarray(np.linalg.lstsq(basis, (points - self.centre).T, rcond=None)[0].T)

    def share(self, points: np.ndarray[Any, Any]) -> float:
        """How much of the points' variance lies in the plane: of the sum of squared distances from their mean."""
        away = points - points.mean(0)
        whole = float(np.square(away).sum())
        if not whole:
            return 1.0
        basis = np.linalg.qr(np.column_stack([self.first, self.second]))[0]
        return float(np.square(away @ basis).sum()) / whole


def principal_plane(points: np.ndarray[Any, Any]) -> tuple[Plane, tuple[float, float]]:
    """The plane through the mean of points (N, D) that holds most of their variance, and each direction's share of it.

    The directions are the first two principal components, of length 1; each points to where its largest number is positive.
    """
    centre = points.mean(0)
    away = points - centre
    _, sizes, rows = np.linalg.svd(away, full_matrices=False)
    whole = float(np.square(sizes).sum())
    directions = []
    for i in range(2):
        if i < len(rows) and sizes[i] > 1e-12 * max(float(sizes[0]), 1e-300):
            directions.append(rows[i] * np.sign(rows[i][np.abs(rows[i]).argmax()]))
        else:
            directions.append(_at_right_angles(directions, points.shape[1]))
    shares = [float(np.square(size)) / whole if whole else 0.0 for size in sizes[:2]]
    shares += [0.0] * (2 - len(shares))
    return Plane(centre, directions[0], directions[1]), (shares[0], shares[1])


def _at_right_angles(directions: list[np.ndarray[Any, Any]], size: int) -> np.ndarray[Any, Any]:
    """An axis without its part along the others, where the points leave the direction open; zeros if there is none."""
    for i in range(size):
        candidate = np.zeros(size)
        candidate[i] = 1.0
        for other in directions:
            candidate -= candidate @ other * other
        length = float(np.linalg.norm(candidate))
        if length > 0.5:
            return candidate / length
    return np.zeros(size)


def flattened(arrays: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Arrays as one of float64 (D,)."""
    return np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in arrays])


def vector_of(op: str, model: Module, state: Any) -> np.ndarray[Any, Any]:
    """The parameters that a model has in a state, such as `Module.state_dict` gives, as a point (D,)."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{op}: expected what state_dict gives, got {type(state).__name__}")
    parts = []
    for name, parameter in model.named_parameters():
        if name not in state or np.shape(state[name]) != parameter.shape:
            found = f"shape {np.shape(state[name])}" if name in state else "nothing"
            raise ValueError(f"{op}: a state has {found} for {name!r}, expected shape {parameter.shape}")
        parts.append(state[name])
    vector = flattened(parts)
    if not np.isfinite(vector).all():
        raise ValueError(f"{op}: a state holds weights that are not finite")
    return vector


def set_vector(model: Module, point: np.ndarray[Any, Any]) -> None:
    """Give a model's parameters the numbers of a point (D,)."""
    start = 0
    for parameter in model.parameters():
        parameter.data[...] = point[start : start + parameter.size].reshape(parameter.shape)
        start += parameter.size


def filter_normalised(model: Module, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A random direction (D,) with, filter by filter, the length of the weights; none for biases and scales.

    Li et al. 2018, "Visualizing the loss landscape of neural nets", section 4: normal numbers, scaled so that each filter of the
    direction has the norm of the filter of the weights; parameters with a single axis are left out.
    """
    parts = []
    for parameter in model.parameters():
        drawn = rng.standard_normal(parameter.shape)
        if parameter.ndim < 2:
            parts.append(np.zeros(parameter.size))
            continue
        weights = parameter.data.astype(np.float64).reshape(len(parameter.data), -1)
        rows = drawn.reshape(weights.shape)
        scale = np.linalg.norm(weights, axis=1) / np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        parts.append((rows * scale[:, None]).ravel())
    return np.concatenate(parts)
