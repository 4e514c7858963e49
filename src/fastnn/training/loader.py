"""The batches of a training: `Batches`, or any other iterable that can be gone through again."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from ..data import Batches
from ..data.samples import taken
from .figures import Sample
from .generators import find_generators
from .streams import set_states, states_of


class Loader:
    """Gives the batches of any pass from any position on.

    Parameters
    ----------
    name : str
        What messages call it.
    batches : Batches or iterable
        Of batches.
    once : bool
        Whether one pass is enough.
    op : str
        What messages begin with.

    Raises
    ------
    TypeError
        If it cannot be gone through, or not again.
    ValueError
        If it says that it has no batch.
    """

    def __init__(self, name: str, batches: Any, *, once: bool = False, op: str = "Trainer") -> None:
        if not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
            raise TypeError(f"{op}: {name} must be an iterable of batches, got {type(batches).__name__}")
        if isinstance(batches, Iterator) and not once:
            raise TypeError(
                f"{op}: {name} is an iterator ({type(batches).__name__}), which is used up after one epoch; give Batches, "
                "a list, or an object whose __iter__ begins anew"
            )
        self.batches = batches
        self.length = _length(batches)
        if self.length == 0:
            raise ValueError(f"{op}: {name} has no batch")
        self._generators = [] if isinstance(batches, Batches) else find_generators(batches)
        self._states = states_of(self._generators)  # as they were when the pass began

    def begin_pass(self) -> None:
        """Note where generators of the caller's own iterable are; a pass is repeated from there."""
        self._states = states_of(self._generators)

    def samples(self, epoch: int, start: int) -> Generator[Sample]:
        """The batches of a pass from a position on, taken apart; to be closed, which ends what prepares them."""
        if isinstance(self.batches, Batches):
            with closing(self.batches.at(epoch, start)) as batches:
                yield from map(Sample, batches)
        else:
            yield from map(Sample, islice(iter(self.batches), start, None))

    def rows(self, epoch: int, number: int) -> np.ndarray | None:
        """Which rows of the data a batch is made of, where that is known."""
        return self.batches.rows(epoch, number) if isinstance(self.batches, Batches) else None

    def for_evaluation(self, samples: int) -> Loader:
        """The same, as it is evaluated: at most so many samples, spread evenly, without augmentation or shuffling."""
        if not isinstance(self.batches, Batches):
            return self
        given = self.batches
        if given.samples <= samples and not given.shuffle and given.transform is None:
            return self
        spread = slice(None, None, -(-given.samples // samples))  # a view: the data may be larger than the memory
        return Loader("train", Batches(*taken(given.arrays, spread), batch_size=given.batch_size))

    def settings(self) -> dict[str, Any]:
        """What tells these batches from others."""
        if isinstance(self.batches, Batches):
            return self.batches.settings()
        return {"kind": type(self.batches).__name__, "batches": self.length}

    def state_dict(self) -> dict[str, Any]:
        """The key of `Batches`; the generators of other iterables as they were when the pass began."""
        key = list(self.batches.key) if isinstance(self.batches, Batches) and self.batches.is_random else None
        return {"key": key, "generators": self._states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave; nothing is changed where it does not fit."""
        set_states("train", self._generators, state["generators"])
        if state["key"] is not None and isinstance(self.batches, Batches):
            self.batches.set_key(Batches.checked_key(state["key"]))
        self._states = states_of(self._generators)


def _length(batches: Any) -> int | None:
    """How many batches there are, None where that is not known: some that have ``__len__`` refuse to say."""
    try:
        return len(batches)
    except TypeError:
        return None
