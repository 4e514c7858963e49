"""Samples of the op table: recurrent layers and the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Sample
from samples import Values

# (steps, batch, in, units): one of everything, edges of vectors and of blocks of rows, more than one depth block
LAYERS = [
    (1, 1, 1, 1), (5, 3, 4, 7), (4, 2, 5, 33), (3, 1, 2, 4), (2, 2, 3, 16), (6, 9, 2, 17), (3, 17, 40, 20),
    (5, 32, 16, 32), (2, 37, 3, 9), (7, 1, 3, 40), (3, 4, 3, 65), (4, 13, 70, 15), (2, 5, 6, 130), (1, 8, 5, 9), (0, 2, 3, 4), (4, 0, 3, 4),
]  # fmt: skip


def _layer(
    v: Values, gates: int, states: int, shape: tuple[int, ...], i: int, peepholes: bool | None = None, **options: Any
) -> Sample:
    """Every third has no initial states, every fourth not all biases; weights keep the state's size.

    ``peepholes`` says whether there are some, None that the layer takes none.
    """
    steps, batch, inputs, units = shape
    initial = [v.normal(batch, units) if (i + j) % 3 else None for j in range(states)]
    weights = [v.normal(gates * units, n, scale=n**-0.5) for n in (inputs, units)]
    biases = [v.normal(gates * units) if i % 4 != j else None for j in (0, 2)]
    further = [] if peepholes is None else [v.normal(3 * units) if peepholes else None]
    return Sample((v.normal(steps, batch, inputs), *initial, *weights, *biases, *further), options)


def _options(v: Values, steps: int, batch: int, i: int) -> dict[str, Any]:
    lengths = v.rng.integers(1, steps + 1, batch).tolist() if steps and batch and i % 2 else None
    return {"lengths": lengths, "reverse": i // 2 % 2 == 1}


def _recurrent(name: str, gates: int, states: int, *variants: dict[str, Any]) -> list[Sample]:
    """Each layer in two of the variants, of which each meets sequences with and without lengths."""
    v = Values(name)
    samples = []
    for i, shape in enumerate(LAYERS):
        for k in range(2):
            options = _options(v, *shape[:2], i + 3 * k) | variants[(i // 2 + k) % len(variants)]
            samples.append(_layer(v, gates, states, shape, i + 3 * k, **options))
    for i, variant in enumerate(variants, 1):  # an LSTM has no initial cell state in the second
        special = _layer(v, gates, states, (4, 5, 3, 18), i, lengths=[4, 2, 3, 4, 1], **variant)
        x = special.arrays[0]
        assert x is not None
        x[2, 0, 1], x[3, 1, 0], x[1, 4] = np.nan, np.nan, np.inf  # the last two behind the end
        x[0, 2, 2] = 1e-40
        samples.append(Sample(special.arrays, special.options, special=True))
    return samples


def rnn() -> list[Sample]:
    return _recurrent("rnn", 1, 1, {"nonlinearity": "tanh"}, {"nonlinearity": "relu"})


def lstm() -> list[Sample]:
    return _recurrent("lstm", 4, 2, {"peepholes": False}, {"peepholes": True})


def gru() -> list[Sample]:
    return _recurrent("gru", 3, 1, {"reset_after": True}, {"reset_after": False})


def embedding() -> list[Sample]:
    v = Values("embedding")

    def sample(rows: int, width: int, *shape: int, **options: Any) -> Sample:
        note = "row without gradient" if options else ""  # on purpose, but no derivative
        return Sample((v.normal(rows, width),), {"index": v.rng.integers(0, rows, shape), **options}, note=note)

    samples = [
        sample(1, 1), sample(5, 3, 7), sample(10, 17, 2, 3), sample(3, 33, 400), sample(50, 16, 0), sample(200, 64, 300),
        sample(7, 5, 40, padding_idx=2), sample(4, 20, 3, 5, padding_idx=-1), sample(2, 8, 2, 0, 3),
    ]  # fmt: skip
    table = v.normal(6, 9)
    table[2, 3], table[4, 0] = np.nan, np.inf
    return [*samples, Sample((table,), {"index": np.array([4, 2, 2, 0])}, special=True)]
