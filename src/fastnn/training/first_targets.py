"""The first targets of a training, of which its baseline is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import raw
from ..checks import shown

_MOST_SAMPLES = 10_000
_MOST_OUTPUTS = 1 << 22  # numbers in the outputs of all samples: a constant prediction for these is 16 MB of float32

Batch = tuple[np.ndarray, np.ndarray | None]


class FirstTargets:
    """Gathers targets, with their weights, until there are enough.

    Targets in tuples, and those of another shape than the first ones, are passed over.
    """

    def __init__(self) -> None:
        self._one_output: np.ndarray | None = None  # zeros of the shape of one output
        self._held: list[Batch] = []
        self._kept: list[Batch] = []
        self._count = 0

    def hold(self, output: Any, target: Any, weight: np.ndarray | None) -> None:
        """Take a batch that will be counted, or forgotten."""
        if isinstance(output, tuple) or isinstance(target, tuple) or self._room() <= 0:
            return
        outputs, targets = np.asarray(raw(output)), np.asarray(raw(target))
        if self._one_output is None:
            self._one_output = np.zeros((1, *outputs.shape[1:]), outputs.dtype)
        known = self._kept or self._held
        fits = not known or (known[0][0].shape[1:] == targets.shape[1:] and (known[0][1] is None) == (weight is None))
        if fits and self._one_output.shape[1:] == outputs.shape[1:]:
            room = self._room()
            self._held.append((targets[:room].copy(), None if weight is None else weight[:room]))

    def _room(self) -> int:
        """How many more are wanted."""
        size = 1 if self._one_output is None else max(self._one_output.size, 1)
        return min(_MOST_SAMPLES, max(_MOST_OUTPUTS // size, 1)) - self._count

    def forget(self) -> None:
        """Let go of what is held and was not counted."""
        self._held.clear()

    def count(self) -> None:
        """Keep what is held."""
        self._kept += self._held
        self._count += sum(len(targets) for targets, _ in self._held)
        self._held.clear()

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
        """Zeros of the shape of one output, targets and weights; None if there is nothing."""
        if not self._kept or self._one_output is None:
            return None
        targets = np.concatenate([targets for targets, _ in self._kept])
        weights = [weight for _, weight in self._kept if weight is not None]
        return self._one_output, targets, np.concatenate(weights) if weights else None

    def state_dict(self) -> list[Any] | None:
        """What was gathered so far."""
        result = self.result()
        return None if result is None else list(result)

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` gave; nothing is changed where it does not fit."""
        if state is None:
            self._one_output, self._kept, self._count = None, [], 0
            return
        if not isinstance(state, list | tuple) or len(state) != 3:
            raise ValueError(f"Trainer: the state has {shown(state)} in the place of an output, targets and weights")
        output, targets, weights = state
        for part in state[: 2 + (weights is not None)]:
            if not isinstance(part, np.ndarray) or not part.ndim or not len(part):
                raise ValueError(f"Trainer: the state has {shown(part)} in the place of an output, targets and weights")
        if len(output) != 1 or (weights is not None and weights.shape != targets.shape[:1]):
            raise ValueError("Trainer: the state has first targets and weights of different lengths")
        self._one_output, self._kept, self._count = output, [(targets, weights)], len(targets)
