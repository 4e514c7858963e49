"""The weights of a training on their way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, SupportsIndex, overload

import numpy as np

from ..checks import integer
from ..nn import Module

if TYPE_CHECKING:
    from .trainer import Trainer

State = dict[str, np.ndarray]


class WeightPath(Sequence[State]):
    """A callback that records the weights of the model, for `fastnn.plots.loss_surface` and the frames of `fastnn.plots.plane_map`.

    It is a sequence of what `Module.state_dict` gave: first of the weights that the training began with, last of those of its
    last epoch.

    Parameters
    ----------
    every : int, optional
        After how many steps each. By default after each epoch.

    Attributes
    ----------
    steps : list of int
        The number of the step after which each was recorded; 0 of the first.

    Raises
    ------
    ValueError, TypeError
        If ``every`` is no integer above 0.

    Notes
    -----
    Every record is a copy of all parameters and buffers. A training that is fitted further is recorded further; one that begins
    anew, anew. What was recorded is not saved with the training: one that is resumed from a file is recorded from there on.


    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.training import Trainer, WeightPath
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> model = fnn.nn.Linear(2, 2, rng=0)
    >>> trainer = Trainer(model, fnn.optim.SGD(model.parameters(), lr=0.1))
    >>> path = WeightPath()
    >>> _ = trainer.fit(fnn.data.Batches(x, y, batch_size=16), epochs=3, callbacks=[path])
    >>> len(path), path.steps, path[-1]["weight"].shape
    (4, [0, 4, 8, 12], (2, 2))
    """

    def __init__(self, every: int | None = None) -> None:
        self.every = None if every is None else integer("WeightPath", "every", every, 1)
        self.steps: list[int] = []
        self._states: list[State] = []

    def __repr__(self) -> str:
        return f"WeightPath(every={self.every})"

    def __len__(self) -> int:
        return len(self._states)

    @overload
    def __getitem__(self, index: SupportsIndex) -> State: ...
    @overload
    def __getitem__(self, index: slice) -> list[State]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> State | list[State]:
        return self._states[index]

    def __iter__(self) -> Iterator[State]:
        return iter(self._states)

    def on_fit_start(self, trainer: Trainer) -> None:
        """Record where it begins."""
        if trainer.step == 0:
            self.steps, self._states = [], []
        self._record(trainer.model, trainer.step)

    def on_step(self, trainer: Trainer) -> None:
        """Record every so many steps."""
        if self.every is not None and trainer.step % self.every == 0:
            self._record(trainer.model, trainer.step)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record each epoch, and in any case the last."""
        if self.every is None:
            self._record(trainer.model, trainer.step)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Record where it ends."""
        self._record(trainer.model, trainer.step)

    def _record(self, model: Module, step: int) -> None:
        """Once for each step."""
        if not self.steps or self.steps[-1] < step:
            self.steps.append(step)
            self._states.append(model.state_dict())
