"""The checks of recurrent layers and of the embedding, and which steps of a batch of sequences exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import scalars
from .arrays import INT64, Array, Shape, array, integer_array, limited, operand, optional, shown


class Recurrent(NamedTuple):
    """The arguments of a recurrent layer, clean; x is zero where a sequence has ended."""

    x: Array
    states: tuple[Array | None, ...]
    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None
    peepholes: tuple[Array | None, ...]  # of layers that may have them one entry, else none
    lengths: Array | None
    reverse: bool

    @property
    def output_shape(self) -> Shape:
        """The shape of the output: the states of all steps."""
        return (*self.x.shape[:2], self.weight_hh.shape[1])


def recurrent(
    op: str, gates: int, x: Any, states: dict[str, Any], weights: Sequence[Any], lengths: Any, reverse: Any
) -> Recurrent:
    """Of ``rnn``, ``gru`` and ``lstm``: x (steps, batch, in), states (batch, units), weights (gates * units, …).

    ``weights`` are two matrices, two biases and, of a layer that may have them, the peepholes.
    """
    x = array(op, "x", x)
    if x.ndim != 3 or x.shape[2] == 0:
        raise ValueError(f"{op}: x must have shape (steps, batch, in) with at least one feature, got {x.shape}")
    steps, batch, inputs = x.shape
    weight_hh = operand(op, "weight_hh", weights[1], x.dtype)
    shape = weight_hh.shape
    if len(shape) != 2 or shape[1] == 0 or shape[0] != gates * shape[1]:
        raise ValueError(f"{op}: weight_hh must have shape ({gates} * units, units), got {shape}")
    rows, units = shape
    limited(op, "the gates", steps, batch, rows)
    ends = sequence_lengths(op, lengths, steps, batch)
    if ends is not None:
        x = np.where(existing(steps, ends), x, x.dtype.type(0))
    return Recurrent(
        x,
        tuple(optional(op, name, state, x.dtype, (batch, units)) for name, state in states.items()),
        operand(op, "weight_ih", weights[0], x.dtype, (rows, inputs)),
        weight_hh,
        optional(op, "bias_ih", weights[2], x.dtype, (rows,)),
        optional(op, "bias_hh", weights[3], x.dtype, (rows,)),
        tuple(optional(op, "peepholes", p, x.dtype, (3 * units,)) for p in weights[4:]),
        ends,
        scalars.flag(op, "reverse", reverse),
    )


def sequence_lengths(op: str, value: Any, steps: int, batch: int) -> Array | None:
    """One length per row of the batch, from 0 to the number of steps."""
    if value is None:
        return None
    lengths = integer_array(op, "lengths", value)
    if lengths.shape != (batch,):
        x = f"x (steps, batch, in) = ({steps}, {batch}, …)"
        raise ValueError(f"{op}: lengths must have shape ({batch},), one per sequence of {x}, got {lengths.shape}")
    wrong = lengths[(lengths < 0) | (lengths > steps)]
    if wrong.size:
        raise ValueError(f"{op}: lengths holds {wrong[0]}, expected 0 to {steps}, the steps of x")
    return np.require(lengths, INT64, ("C", "A"))


def recurrent_gradients(op: str, call: Recurrent, dy: Any, **finals: Any) -> tuple[Array | None, ...]:
    """The gradients of the output and of the final states; None is zero."""
    output = call.output_shape
    return (
        optional(op, "dy", dy, call.x.dtype, output),
        *(optional(op, name, d, call.x.dtype, output[1:]) for name, d in finals.items()),
    )


def recurrent_saved(op: str, call: Recurrent, saved: Any, *extents: int) -> tuple[Array, ...]:
    """What the forward returned as ``saved``: arrays over all steps and rows, of these extents in units."""
    if not isinstance(saved, tuple) or len(saved) != len(extents):
        raise TypeError(f"{op}: saved must be the tuple that the forward returned, got {shown(saved)}")
    steps, batch, units = call.output_shape
    return tuple(
        operand(op, f"saved[{i}]", a, call.x.dtype, (steps, batch, extent * units))
        for i, (a, extent) in enumerate(zip(saved, extents, strict=True))
    )


def existing(steps: int, lengths: Array) -> Array:
    """Which steps each row has, (steps, batch, 1)."""
    return np.asarray((np.arange(steps)[:, None] < lengths)[:, :, None])


def existing_steps(x: Array, lengths: Array | None, reverse: bool) -> Iterator[tuple[int, Array]]:
    """The times in the order in which states follow each other, each with the rows (batch, 1) that it exists for."""
    steps, batch = x.shape[:2]
    exists = existing(steps, np.full(batch, steps) if lengths is None else lengths)
    for t in reversed(range(steps)) if reverse else range(steps):
        yield t, exists[t]


def states_before(states: Array, initial: Array, lengths: Array | None, reverse: bool) -> Array:
    """For every step the state it began with; zeros where there is no step, whatever the initial state."""
    before = np.empty_like(states)
    if not reverse:
        before[1:], before[:1] = states[:-1], initial
    elif len(states):
        before[:-1], before[-1] = states[1:], initial
        if lengths is not None:
            before[lengths - 1, np.arange(len(lengths))] = initial
    if lengths is not None:
        before[~existing(len(states), lengths)[:, :, 0]] = 0
    return before
