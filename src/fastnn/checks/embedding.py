"""The checks of the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import scalars
from .arrays import INT64, MAX_AXES, Array, Shape, all_below, array, integer_array, limited, operand


def embedding(op: str, index: Any, weight: Any, padding_idx: Any) -> tuple[Array, Shape, Array, int]:
    """Of ``embedding``: the numbers, flat, and their shape; the table; the row without a gradient, or -1."""
    weight = array(op, "weight", weight)
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"{op}: weight must have shape (rows, width), none of them 0, got {weight.shape}")
    flat, shape = _numbers(op, index, weight.shape[0])
    if len(shape) >= MAX_AXES:
        raise ValueError(f"{op}: index must have fewer than {MAX_AXES} axes, got {len(shape)}")
    limited(op, "the result", *shape, weight.shape[1])
    return flat, shape, weight, _padding(op, padding_idx, weight.shape[0])


def embedding_backward(
    op: str, dy: Any, index: Any, num_embeddings: Any, padding_idx: Any
) -> tuple[Array, Array, int, int]:
    """Of ``embedding_backward``: dy (n, width), the numbers, flat, how many rows there are, and that without gradient."""
    dy = array(op, "dy", dy)
    rows = scalars.integer(op, "num_embeddings", num_embeddings, 1)
    flat, shape = _numbers(op, index, rows)
    if dy.ndim < 1 or dy.shape[-1] == 0:
        raise ValueError(f"{op}: dy must have shape (*index.shape, width), got {dy.shape}")
    width = dy.shape[-1]
    limited(op, "the gradient", rows, width)
    dy = operand(op, "dy", dy, dy.dtype, (*shape, width))
    return dy.reshape(flat.size, width), flat, rows, _padding(op, padding_idx, rows)


def _numbers(op: str, value: Any, rows: int) -> tuple[Array, Shape]:
    given = integer_array(op, "index", value)
    limited(op, "index", *given.shape)
    plain = given.dtype is INT64 and given.flags.c_contiguous and given.flags.aligned
    if not (plain and all_below(given, rows)):
        wrong = given[(given < 0) | (given >= rows)]
        if wrong.size:
            raise ValueError(f"{op}: index holds {wrong[0]}, expected 0 to {rows - 1} (shape {given.shape})")
    return (given if plain else np.require(given, INT64, ("C", "A"))).reshape(-1), given.shape


def _padding(op: str, value: Any, rows: int) -> int:
    if value is None:
        return -1
    number = scalars.integer(op, "padding_idx", value)
    if not -rows <= number < rows:
        raise ValueError(f"{op}: padding_idx must be in [{-rows}, {rows}), got {number}")
    return number % rows
