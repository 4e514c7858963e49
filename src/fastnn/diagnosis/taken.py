"""The samples that checks look at: as data, and as batches of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import raw
from ..data import Batches
from ..data.samples import joined, leaves, mapped, taken
from ..nn import Module
from ..optim import Optimizer
from ..training.figures import Sample, copied
from ..training.loader import Loader
from ..training.preserved import preserved
from ..training.trainer import Trainer

Array = NDArray[Any]

MOST_VALUES = 1 << 26
"""Of the inputs, that are looked at: of larger data, evenly spread samples."""
LISTED = 5
"""Classes or columns that a message names."""


@dataclass(frozen=True)
class Taken:
    """Samples.

    Parameters
    ----------
    inputs : tuple of ndarray
        What the model is called with; samples lie along the first axis or, as recurrent layers may take them, the second.
    target : ndarray or tuple of ndarray
        What the loss is called with.
    weight : ndarray or None
        One number per sample.
    rows : ndarray of int or None
        Their places in the data, where they are known.
    counts : tuple of int
        How many samples the batches have that they come from, of an iterable.
    rest : tuple of Taken
        The later batches of an iterable, where they are of other shapes and cannot be put together.
    """

    inputs: tuple[Array, ...]
    target: Any
    weight: Array | None = None
    rows: NDArray[np.intp] | None = None
    counts: tuple[int, ...] = ()
    rest: tuple[Taken, ...] = ()

    @property
    def count(self) -> int:
        """Samples."""
        return len(leaves(self.target)[0])

    @property
    def given(self) -> Any:
        """The inputs as a batch has them: an array, or a tuple of several."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def parts(self) -> tuple[Taken, ...]:
        """These samples, and those of batches of other shapes."""
        return self, *self.rest

    @property
    def total(self) -> int:
        """Samples, with those of batches of other shapes."""
        return sum(part.count for part in self.parts)

    def at(self, index: Any) -> Taken:
        """Some of them, by a slice or by numbers."""
        count = self.count
        return Taken(
            tuple(along(array, count, index) for array in self.inputs),
            mapped(lambda array: along(array, count, index), self.target),
            None if self.weight is None else self.weight[index],
            None if self.rows is None else self.rows[index],
        )

    def batches(self, size: int) -> list[Any]:
        """The same in batches, as a training takes them.

        A last one of a single sample joins the one before, since norms over a batch do not take it.
        """
        starts = list(range(0, self.count, size))
        if len(starts) > 1 and self.count - starts[-1] == 1:
            starts.pop()
        parts = [self.at(slice(a, b)) for a, b in zip(starts, [*starts[1:], self.count], strict=True)]
        return [part.batch() for part in parts]

    def batch(self) -> Any:
        """All of them as one batch."""
        return (self.given, self.target) if self.weight is None else (self.given, self.target, self.weight)

    def row(self, number: int, part: int = 0) -> str:
        """The place of a sample in the data, or among these samples where that is not known; `part` as in `parts`."""
        if self.rest:
            return f"batch {part + 1}, row {number}"
        return f"row {number if self.rows is None else int(self.rows[number])}"

    @property
    def only_first(self) -> str:
        """What to say where batches of other shapes are not looked at."""
        return f" (first batch of {len(self.parts)})" if self.rest else ""


def axis_of_samples(array: Array, count: int) -> int | None:
    """The axis along which so many samples lie: the first or the second; None where neither is so long."""
    return next((axis for axis in (0, 1) if array.ndim > axis and array.shape[axis] == count), None)


def along(array: Array, count: int, index: Any) -> Array:
    """Some samples of an array that holds so many; the array itself where it holds no samples."""
    axis = axis_of_samples(array, count)
    if axis is None:
        return array
    return array[index] if axis == 0 else array[:, index]


def batches_of(op: str, train: Any, batch_size: int = 32) -> Any:
    """Batches as given, or made of a pair of arrays (x, y)."""
    if not isinstance(train, tuple) or len(train) not in (2, 3):
        return train
    if isinstance(train[1], tuple | list) and isinstance(train[0], tuple | list):  # two or three batches, not arrays
        return train
    with named(op):
        return Batches(*train, batch_size=batch_size)


def whole(op: str, train: Any, part: str = "train") -> Taken:
    """The data behind batches, as they are before a transform.

    Parameters
    ----------
    op : str
        The function, for messages.
    train : Batches, or iterable of batches, or (x, y)
        Of more than `MOST_VALUES` numbers, evenly spread samples; of an iterable the first ones.
    part : str
        What messages call it.
    """
    given = batches_of(op, train)
    if not isinstance(given, Batches):
        return _gathered(op, given, None, part)
    _some(op, part, given.samples)
    values = sum(array.size for array in leaves(given.arrays[0]))
    step = max(-(-values // MOST_VALUES), 1)
    return _taken(op, given, slice(None, None, step), np.arange(given.samples)[::step])


def sample(op: str, train: Any, count: int, part: str = "train") -> Taken:
    """So many samples as the model gets them, in random order, so that the first few are of all kinds.

    They are drawn from `Batches`, and the first ones of other iterables.
    """
    given = batches_of(op, train)
    if not isinstance(given, Batches):
        found = _gathered(op, given, count, part)
        return found.at(np.random.default_rng(0).permutation(found.count))
    _some(op, part, given.samples)
    rows = np.random.default_rng(0).permutation(given.samples)[:count]
    return _transformed(op, given, _taken(op, given, rows, rows))


def _some(op: str, name: str, samples: int) -> None:
    if not samples:
        raise ValueError(f"{op}: {name} has no samples")


def _taken(op: str, given: Batches, index: Any, rows: NDArray[np.intp]) -> Taken:
    with named(op):
        some = Sample(taken(given.arrays, index))
    return Taken(tuple(np.asarray(raw(array)) for array in some.inputs), some.target, some.weight, rows)


def _transformed(op: str, given: Batches, some: Taken) -> Taken:
    if given.transform is None:
        return some
    batches = Batches(some.given, some.rows, batch_size=some.count, transform=given.transform, rng=0)
    with closing(batches.at(0)) as made:
        changed, _ = next(made)
    return replace(some, inputs=tuple(map(raw, leaves(changed))))


def _gathered(op: str, given: Any, count: int | None, name: str) -> Taken:
    """The first samples of an iterable of batches."""
    found: list[Sample] = []
    values = samples = 0
    with named(op):
        loader = Loader(name, given)
        with closing(loader.samples(0, 0)) as parts:
            for part in parts:
                part.inputs, part.target = copied(part.inputs), copied(part.target)
                found.append(part)
                samples += part.count
                values += sum(np.size(raw(array)) for array in part.inputs)
                if values >= MOST_VALUES or (count is not None and samples >= count):
                    break
    if not found:
        raise ValueError(f"{op}: {name} has no batch")
    _some(op, name, samples)
    whole = replace(_put_together(found), counts=tuple(part.count for part in found))
    return whole if count is None else whole.at(slice(count))


def _put_together(parts: list[Sample]) -> Taken:
    """One for all; of batches of different shapes the first, which has the others as its rest."""
    first, *others = (Taken(part.inputs, part.target, part.weight) for part in parts)
    apart = replace(first, rest=tuple(others))
    axes = [axis_of_samples(array, first.count) for array in first.inputs]
    if None in axes:
        return apart
    try:
        given = zip(*(part.inputs for part in parts), strict=True)
        inputs = [np.concatenate(arrays, axis) for arrays, axis in zip(given, axes, strict=True)]
        target = joined([part.target for part in parts])
        weight = None if first.weight is None else np.concatenate([part.weight for part in parts])
    except ValueError:  # such as batches of sequences of different lengths
        return apart
    return Taken(tuple(inputs), target, weight)


def preserving(model: Module, optimizer: Optimizer | None, loss: Any, *batches: Any) -> AbstractContextManager[None]:
    """`preserved`, without a copy of data that lie in plain lists: nobody writes to them."""
    return preserved(model, optimizer, loss, *(part for part in batches if not isinstance(part, list | tuple)))


@contextmanager
def named(op: str) -> Iterator[None]:
    """Errors of what is used inside begin with the name of the function that was called."""
    try:
        yield
    except (TypeError, ValueError) as error:
        before, colon, after = str(error).partition(": ")
        text = f"{op}: {after}" if colon and before in (op, "Trainer", "Batches", "best_constant") else f"{op}: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(text) from error


def new_trainer(op: str, made: Any) -> Trainer:
    """What a function ``make_trainer`` returned, if it is a trainer that has not trained yet."""
    if not isinstance(made, Trainer):
        raise TypeError(f"{op}: make_trainer must return a Trainer, got {type(made).__name__}")
    if made.epoch or made.step:
        raise ValueError(f"{op}: make_trainer must return a new Trainer, got {made!r}")
    return made


def train_mode(model: Module) -> None:
    """Training mode; layers that are frozen in a model that is in this mode stay so."""
    if not model.training:
        model.train()
