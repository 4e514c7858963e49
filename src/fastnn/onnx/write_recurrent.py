"""Recurrent layers: each direction is a node of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .conventions import GATES, PEEPHOLES
from .graph_writer import Graph, Name, result
from .trace import Constant, Step, Value
from .write_table import writes


def _gates(g: Graph, weight: Any, order: Sequence[int]) -> Name:
    """Rows of the gates in ONNX's order, with an axis for the direction in front."""
    sizes = g.ints(*[weight.shape[0] // len(order)] * len(order))
    parts = g.node_of_several("Split", len(order), weight, sizes, axis=0)
    joined = g.node("Concat", *(parts[i] for i in order), axis=0)
    return g.node("Unsqueeze", joined, g.ints(0))


def _ordered(g: Graph, weight: Any, order: Sequence[int]) -> Name:
    if len(order) == 1:
        return g.node("Unsqueeze", weight, g.ints(0))
    return _gates(g, weight, order)


def _biases(g: Graph, first: Any, second: Any, order: Sequence[int], rows: int, dtype: Any) -> Name | None:
    if first is None and second is None:
        return None
    zeros = g.array(np.zeros((1, rows)), dtype)
    parts = [zeros if b is None else _ordered(g, b, order) for b in (first, second)]
    return g.node("Concat", *parts, axis=1)


def _written(
    g: Graph,
    step: Step,
    kind: str,
    x: Any,
    states: Sequence[Any],
    weights: Sequence[Any],
    lengths: Any,
    reverse: bool,
    peepholes: Name | None = None,
    **attributes: Any,
) -> tuple[Name, ...]:
    """The outputs: of all steps, and the final states; ONNX has an axis of directions in each."""
    wi, wh, bi, bh = weights
    order = GATES[kind]
    biases = _biases(g, bi, bh, order, wh.shape[0], result(step).dtype)
    initial = [None if h is None else g.node("Unsqueeze", h, g.ints(0)) for h in states]
    outputs = g.node_of_several(
        kind, 1 + len(states),
        x, _ordered(g, wi, order), _ordered(g, wh, order), biases, _lengths(g, lengths), *initial, peepholes,
        hidden_size=wh.shape[1], direction="reverse" if reverse else "forward", **attributes,
    )  # fmt: skip
    axes = (1, *[0] * len(states))
    return tuple(g.node("Squeeze", y, g.ints(axis)) for y, axis in zip(outputs, axes, strict=True))


def _lengths(g: Graph, lengths: Any) -> Name | None:
    if lengths is None:
        return None
    if not isinstance(lengths, (Value, Constant)):
        return g.array(lengths, np.int32)
    return g.name(lengths) if lengths.dtype == np.int32 else g.cast(lengths, np.int32)


@writes("rnn")
def _rnn(
    g: Graph, step: Step, x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, nonlinearity: str, lengths: Any,
    reverse: bool, keep: Any,
) -> tuple[Name, ...]:  # fmt: skip
    function = {"tanh": "Tanh", "relu": "Relu"}[nonlinearity]
    return _written(
        g, step, "RNN", x, (h0,), (wi, wh, bi, bh), lengths, reverse, activations=[function]
    )  # fmt: skip


@writes("lstm")
def _lstm(
    g: Graph, step: Step, x: Any, h0: Any, c0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: bool,
    peepholes: Any, keep: Any,
) -> tuple[Name, ...]:  # fmt: skip
    return _written(
        g, step, "LSTM", x, (h0, c0), (wi, wh, bi, bh), lengths, reverse,
        peepholes=None if peepholes is None else _ordered(g, peepholes, PEEPHOLES),
    )  # fmt: skip


@writes("gru")
def _gru(
    g: Graph, step: Step, x: Any, h0: Any, wi: Any, wh: Any, bi: Any, bh: Any, lengths: Any, reverse: bool,
    reset_after: bool, keep: Any,
) -> tuple[Name, ...]:  # fmt: skip
    weights = (wi, wh, bi, bh)
    return _written(g, step, "GRU", x, (h0,), weights, lengths, reverse, linear_before_reset=int(reset_after))
