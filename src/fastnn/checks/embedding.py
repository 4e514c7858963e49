"""The checks of the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import scalars
from .arrays import INT64, MAX_AXES, Array, all_below, array, integer_array, limited, operand


def embedding(op: str, index: Any, weight: Any, padding_idx: Any) -> tuple[Array, Array, int]:
    """Of ``embedding``: the numbers; the table; the row without a gradient, or -1."""
    weight = array(op, "weight", weight)
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"{op}: weight must have shape (rows, width), none of them 0, got {weight.shape}")
    index = _numbers(op, index, weight.shape[0])
    if index.ndim >= MAX_AXES:
        raise ValueError(f"{op}: index must have fewer than {MAX_AXES} axes, got {index.ndim}")
    limited(op, "the result", *index.shape, weight.shape[1])
    return index, weight, _padding(op, padding_idx, weight.shape[0])


def embedding_backward(
    op: str, dy: Any, index: Any, num_embeddings: Any, padding_idx: Any
) -> tuple[Array, Array, int, int]:
    """Of ``embedding_backward``: dy (n, width), the numbers, flat, how many rows there are, and that without gradient."""
    dy = array(op, "dy", dy)
    rows = scalars.integer(op, "num_embeddings", num_embeddings, 1)
    index = _numbers(op, index, rows)
    if dy.ndim < 1 or dy.shape[-1] == 0:
        raise ValueError(f"{op}: dy must have shape (*index.shape, width), got {dy.shape}")
    width = dy.shape[-1]
    limited(op, "the gradient", rows, width)
    dy = operand(op, "dy", dy, dy.dtype, (*index.shape, width))
    return dy.reshape(index.size, width), index.reshape(-1), rows, _padding(op, padding_idx, rows)


def _numbers(op: str, value: Any, rows: int) -> Array:
    given = integer_array(op, "index", value)
    limited(op, "index", *given.shape)
    plain = given.dtype is INT64 and given.flags.c_contiguous and given.flags.aligned
    if not (plain and all_below(given, rows)):
        wrong = given[(given < 0) | (given >= rows)]
        if wrong.size:
            raise ValueError(f"{op}: index holds {wrong[0]}, expected 0 to {rows - 1} (shape {given.shape})")
    return given if plain else np.require(given, INT64, ("C", "A"))


def _padding(op: str, value: Any, rows: int) -> int:
    if value is None:
        return -1
    number = scalars.integer(op, "padding_idx", value)
    if not -rows <= number < rows:
        raise ValueError(f"{op}: padding_idx must be in [{-rows}, {rows}), got {number}")
    return number % rows
