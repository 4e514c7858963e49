"""ONNX's recurrent layers: each direction by fastnn's function, with the gates in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import shaping, stack
from .conventions import GATES, PEEPHOLES
from .read_table import F, integers, op, text

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def _names(activations: Any) -> list[str]:
    return [text(name).lower() for name in activations or ()]


def _common(
    direction: Any = "forward", clip: Any = None, activation_alpha: Any = None, activation_beta: Any = None
) -> str | None:
    if text(direction) not in _DIRECTIONS:
        return f"direction={text(direction)!r} is unknown"
    if clip is not None:
        return "clip is not supported"
    return "activation_alpha and activation_beta are not supported" if activation_alpha or activation_beta else None


def _gated(standard: tuple[str, ...]) -> Callable[..., str | None]:
    def refuse(
        activations: Any = None, direction: Any = "forward", clip: Any = None, activation_alpha: Any = None,
        activation_beta: Any = None, input_forget: int = 0, **attributes: Any,
    ) -> str | None:  # fmt: skip
        names = tuple(_names(activations))
        if names and names != standard * (len(names) // len(standard)):
            return f"activations={list(names)} are not supported, only {list(standard)}"
        if input_forget:
            return "input_forget=1 is not supported"
        return _common(direction, clip, activation_alpha, activation_beta)

    return refuse


def _plain(activations: Any = None, direction: Any = "forward", clip: Any = None, activation_alpha: Any = None,
           activation_beta: Any = None, **attributes: Any) -> str | None:  # fmt: skip
    if not set(_names(activations)) <= {"tanh", "relu"}:
        return f"activations={_names(activations)} are not supported, only tanh and relu"
    return _common(direction, clip, activation_alpha, activation_beta)


class _Layer:
    """The inputs of a recurrent node, cut into directions, with rows in the order of fastnn's gates."""

    def __init__(self, kind: str, inputs: Sequence[Any], hidden_size: int | None, direction: Any, layout: int) -> None:
        x, self.weight, self.recurrent, self.bias, lengths, *self.states = inputs
        self.layout = layout
        self.x = shaping.swapaxes(x, 0, 1) if layout else x
        self.reverse = _DIRECTIONS[text(direction)]
        self.units = int(self.recurrent.shape[-1])
        if hidden_size is not None and hidden_size != self.units:
            raise ValueError(f"hidden_size={hidden_size}, but R has shape {self.recurrent.shape}")
        if len(self.reverse) != self.weight.shape[0] or len(self.reverse) != self.recurrent.shape[0]:
            raise ValueError(f"{len(self.reverse)} directions for weights of shape {self.weight.shape}")
        self.gates = len(GATES[kind])
        self.rows = _rows(GATES[kind], self.units)
        self.lengths = None if lengths is None else np.array(integers(lengths))

    def part(self, d: int) -> tuple[Any, ...]:
        """States, both matrices and both biases of a direction."""
        states = [None if s is None else s[:, d] if self.layout else s[d] for s in self.states]
        matrices = [shaping.getitem(w, (d, self.rows)) for w in (self.weight, self.recurrent)]
        if self.bias is None:
            return (*states, *matrices, None, None)
        if self.bias.shape != (len(self.reverse), 2 * self.gates * self.units):
            raise ValueError(f"B has shape {self.bias.shape}")
        biases = [shaping.getitem(self.bias, (d, self.rows + k * self.gates * self.units)) for k in (0, 1)]
        return (*states, *matrices, *biases)

    def peepholes(self, weights: Any, d: int) -> Any:
        """Those of a direction."""
        if weights is None:
            return None
        if weights.shape != (len(self.reverse), 3 * self.units):
            raise ValueError(f"P has shape {weights.shape}")
        return shaping.getitem(weights, (d, _rows(PEEPHOLES, self.units)))

    def joined(self, outputs: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """Outputs (steps, directions, batch, units) and final states (directions, batch, units); batch first with layout 1."""
        y, *finals = (stack(values, 1 if i == 0 else 0) for i, values in enumerate(zip(*outputs, strict=True)))
        if self.layout:
            return shaping.transpose(y, (2, 0, 1, 3)), *(shaping.swapaxes(s, 0, 1) for s in finals)
        return y, *finals


def _rows(order: Sequence[int], units: int) -> np.ndarray:
    """Where ONNX has the rows of fastnn's blocks."""
    return np.arange(len(order) * units).reshape(-1, units)[np.argsort(order)].reshape(-1)


@op("RNN", outputs=2, refuse=_plain)
def _rnn(
    x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, initial_h: Any = None, /, *, count: int,
    activation_alpha: Any = None, activation_beta: Any = None, activations: Any = None, clip: Any = None,
    direction: Any = "forward", hidden_size: int | None = None, layout: int = 0,
) -> Any:  # fmt: skip
    layer = _Layer("RNN", (x, w, r, b, lengths, initial_h), hidden_size, direction, layout)
    kinds = _names(activations) or ["tanh"] * len(layer.reverse)
    outputs = []
    for d, (kind, reverse) in enumerate(zip(kinds, layer.reverse, strict=True)):
        h0, *weights = layer.part(d)
        outputs.append(F.rnn(layer.x, h0, *weights, kind, layer.lengths, reverse))
    return _first(layer.joined(outputs), count)


def _first(values: tuple[Any, ...], count: int) -> Any:
    return values[0] if count == 1 else values[:count]


@op("LSTM", outputs=3, refuse=_gated(("sigmoid", "tanh", "tanh")))
def _lstm(
    x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, initial_h: Any = None, initial_c: Any = None, peepholes: Any = None,
    /, *, count: int, activation_alpha: Any = None, activation_beta: Any = None, activations: Any = None, clip: Any = None,
    direction: Any = "forward", hidden_size: int | None = None, input_forget: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    layer = _Layer("LSTM", (x, w, r, b, lengths, initial_h, initial_c), hidden_size, direction, layout)
    outputs = [
        F.lstm(layer.x, *layer.part(d), layer.lengths, reverse, peepholes=layer.peepholes(peepholes, d))
        for d, reverse in enumerate(layer.reverse)
    ]
    return _first(layer.joined(outputs), count)


@op("GRU", outputs=2, refuse=_gated(("sigmoid", "tanh")))
def _gru(
    x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, initial_h: Any = None, /, *, count: int,
    activation_alpha: Any = None, activation_beta: Any = None, activations: Any = None, clip: Any = None,
    direction: Any = "forward", hidden_size: int | None = None, layout: int = 0, linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    layer = _Layer("GRU", (x, w, r, b, lengths, initial_h), hidden_size, direction, layout)
    outputs = [
        F.gru(layer.x, *layer.part(d), layer.lengths, reverse, reset_after=bool(linear_before_reset))
        for d, reverse in enumerate(layer.reverse)
    ]
    return _first(layer.joined(outputs), count)
