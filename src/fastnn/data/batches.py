"""Mini-batches over arrays in memory or mapped from files."""

from __future__ import annotations

import inspect
import mmap
import operator
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .._described import described
from .._generators import generator
from ..checks import integer, shown
from .samples import leaves, mapped, samples

if TYPE_CHECKING:
    from concurrent.futures import Future

Array = NDArray[Any]
Batch = tuple[Any, ...]
Transform = Callable[[Any, np.random.Generator], Any]

_KEY_BITS = 64
# Philox counts draws in the lower half of its counter. The upper half says what the draws are for: it has the number of
# the pass, and 0 for the order of the pass, or a batch's number plus 1 for the transform of this batch.
_ORDER = 0


class Batches:
    """Equal slices of several arrays, in another random order on each pass.

    The order is a function of the key and the number of the pass, and what a transform draws is one of the key, the pass and
    the batch. Neither depends on what was drawn before: any batch of any pass can be had by itself (`at`), a training that is
    resumed inside a pass goes on with the batches that it would have had, and batches prepared ahead are the same.

    Parameters
    ----------
    *arrays : array_like or tuple of arrays
        Arrays with one length N along their first axis, such as images (N, C, H, W) and labels (N,). A tuple of arrays
        stands for several inputs and comes out as a tuple. A batch is a copy of its part of them, which may be changed
        without changing the data.
    batch_size : int
        Samples per batch.
    shuffle : bool
        Take another order on each pass; otherwise keep the order given.
    drop_last : bool
        Leave out the last batch where it would be smaller than the others.
    transform : callable, optional
        ``transform(batch, rng)``, applied to the batch of the first argument: augmentation. It draws from the generator that
        it is given, a new one for each batch, and returns as many samples as it got, an array or a tuple of arrays; along the
        first axis, or the second one as recurrent layers take them.
    rng : optional
        Anything `numpy.random.default_rng` takes; the key is drawn from it. In a forked child, batches with a seed go on as
        in its parent, and those made from None have another key.
    prefetch : int
        How many batches a thread prepares ahead while one is worked on; 0 for none.

    Attributes
    ----------
    key : tuple of int
        Two numbers of 64 bits.
    epoch, position : int
        The pass that was begun last, and how many of its batches were given; after the end of a pass, the next one and 0. So
        ``while batches.epoch < 20:`` goes through passes until 20 are done, those before a `load_state_dict` counted.

    Raises
    ------
    ValueError, TypeError
        If the lengths differ, there is no array, an array is masked, a number does not fit, or ``transform`` cannot be called
        with a batch and a generator; when a batch is taken, if ``transform`` did not return as many samples.

    Notes
    -----
    Plain iteration counts passes; a `fastnn.training.Trainer` uses `at` and does not.

    Random numbers come from Philox (Salmon et al. 2011): key and counter in, bits out.

    Of arrays in files (`numpy.memmap`), each batch is read when it is its turn, and pages of files opened for reading only are
    given back at the end of a pass.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Batches
    >>> batches = Batches(np.arange(7), np.arange(7) ** 2, batch_size=3, shuffle=True, rng=0)
    >>> len(batches)
    3
    >>> for x, y in batches:
    ...     assert (y == x**2).all()
    >>> again = [x.tolist() for x, _ in batches.at(epoch=0, start=1)]
    >>> again == [x.tolist() for x, _ in batches.at(epoch=0)][1:]
    True
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        rng: Any = None,
        prefetch: int = 0,
    ) -> None:
        self.arrays, self.samples = samples("Batches", arrays)
        self.batch_size = operator.index(batch_size)
        if self.batch_size < 1:
            raise ValueError(f"Batches: batch_size must be at least 1, got {batch_size}")
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = _checked_transform(transform)
        self.prefetch = integer("Batches", "prefetch", prefetch, 0)
        self.epoch = self.position = 0
        self._begun = False
        self._seeded = rng is not None
        self._key = _drawn_key(rng) if self._seeded else None
        self._key_is_for: int | None = None  # the process that drew the key, if it came from no seed

    @property
    def key(self) -> tuple[int, int]:
        """Two numbers of 64 bits, from which all randomness follows; see above."""
        if self._key is None or (self._key_is_for is not None and self._key_is_for != os.getpid()):
            self._key, self._key_is_for = _drawn_key(None), os.getpid()
        return self._key

    def __repr__(self) -> str:
        arrays = [" and ".join(f"{a.dtype} {a.shape[1:]}" for a in leaves(part)) for part in self.arrays]
        options = [f"batch_size={self.batch_size}"]
        options += [f"{name}=True" for name in ("shuffle", "drop_last") if getattr(self, name)]
        options += [f"transform={described(self.transform)}"] if self.transform is not None else []
        options += [f"prefetch={self.prefetch}"] if self.prefetch else []
        return f"Batches({self.samples} samples of {', '.join(arrays)}; {', '.join(options)})"

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        if self._begun:  # a pass was begun, and left before its end
            self.epoch, self.position = self.epoch + 1, 0
        self._begun = True
        return self._counted(self.epoch, self.position)

    def _counted(self, epoch: int, start: int) -> Iterator[Batch]:
        for i, batch in enumerate(self.at(epoch, start), start + 1):
            if epoch == self.epoch:  # no later pass was begun meanwhile
                self.position = i
            yield batch
        if epoch == self.epoch:
            self.epoch, self.position, self._begun = epoch + 1, 0, False

    def at(self, epoch: int, start: int = 0) -> Generator[Batch]:
        """The batches of a pass, from number ``start`` on; nothing is counted.

        Parameters
        ----------
        epoch : int
            The number of the pass, from 0.
        start : int
            The batch to begin with, from 0.

        Returns
        -------
        generator
            Of batches. Closing it ends the thread that prepares them.

        Raises
        ------
        ValueError, TypeError
            If a number is no integer, or below 0.
        """
        epoch, start = integer("Batches", "epoch", epoch, 0), integer("Batches", "start", start, 0)
        return self._pass(epoch, range(start, len(self)))

    def _pass(self, epoch: int, numbers: range) -> Generator[Batch]:
        order = self._order(epoch) if self.shuffle else None

        def batch(number: int) -> Batch:
            return self._batch(self._index(order, number), epoch, number)

        try:
            # `yield from` closes the generator `_ahead`, which ends its thread, when this generator is closed.
            yield from _ahead(batch, numbers, self.prefetch) if self.prefetch else map(batch, numbers)
        finally:
            for array in leaves(self.arrays):
                _give_pages_back(array)

    def rows(self, epoch: int, number: int) -> NDArray[np.intp]:
        """Which rows of the arrays a batch is made of, in their order.

        Parameters
        ----------
        epoch, number : int
            The pass and the batch in it, from 0.

        Returns
        -------
        ndarray of int
            Row numbers.
        """
        index = self._index(self._order(epoch) if self.shuffle else None, number)
        return np.arange(self.samples)[index]

    def _index(self, order: NDArray[np.intp] | None, number: int) -> slice | NDArray[np.intp]:
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return part if order is None else order[part]

    def _batch(self, index: slice | NDArray[np.intp], epoch: int, number: int) -> Batch:
        first, *others = mapped(lambda array: _taken(array, index), self.arrays)
        if self.transform is not None:
            changed = self.transform(first, self._random(epoch, number + 1))
            _require_samples(self.transform, changed, len(leaves(first)[0]))
            first = changed
        return (first, *others)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return self._random(epoch, _ORDER).permutation(self.samples)

    def _random(self, epoch: int, purpose: int) -> np.random.Generator:
        from .keyed import keyed_generator  # which imports numpy.random, and that takes longer than importing fastnn

        return keyed_generator(self.key, (0, 0, purpose, epoch))

    @property
    def is_random(self) -> bool:
        """Whether anything follows from the key."""
        return bool(self.shuffle) or self.transform is not None

    def settings(self) -> dict[str, Any]:
        """What tells these batches from others, in plain values: sizes, options, and the key if it came from a seed."""
        shapes = [f"{array.dtype} {array.shape[1:]}" for array in leaves(self.arrays)]
        return {
            "samples": self.samples,
            "arrays": shapes,
            "batch_size": self.batch_size,
            "shuffle": bool(self.shuffle),
            "drop_last": bool(self.drop_last),
            "transform": described(self.transform),
            "key from rng": list(self.key) if self._seeded else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """Key and position, for `load_state_dict` of batches over the same data."""
        epoch, position = self._next(self.epoch, self.position)
        return {"key": list(self.key), "epoch": epoch, "position": position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next iteration gives the rest of the pass, or the next pass after its end.

        Raises
        ------
        ValueError, TypeError
            If something is missing or does not fit; nothing is changed.
        """
        if not isinstance(state, Mapping) or state.keys() != {"key", "epoch", "position"}:
            found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"Batches: the state has {found}, expected epoch, key and position")
        key = self.checked_key(state["key"])
        epoch = integer("Batches", "epoch", state["epoch"], 0)
        position = integer("Batches", "position", state["position"], 0)
        if position > len(self):
            raise ValueError(f"Batches: the state is at batch {position} of {len(self)}")
        self.set_key(key)
        (self.epoch, self.position), self._begun = self._next(epoch, position), False

    def _next(self, epoch: int, position: int) -> tuple[int, int]:
        """Pass and number of the batch that comes after so many of a pass."""
        return (epoch + 1, 0) if position >= len(self) > 0 else (epoch, position)

    @staticmethod
    def checked_key(key: Any) -> tuple[int, int]:
        """A key from a state, once it is sure that it is one."""
        if not isinstance(key, list | tuple) or len(key) != 2:
            raise ValueError(f"Batches: the key must be two integers, got {key!r:.100}")
        first, second = (integer("Batches", "key", part, 0, 2**_KEY_BITS - 1) for part in key)
        return first, second

    def set_key(self, key: tuple[int, int]) -> None:
        """Take another key, as from `checked_key`; in forked children it stays."""
        self._key, self._key_is_for = key, None


def _checked_transform(transform: Any) -> Transform | None:
    """Refuse what cannot be called with a batch and a generator, where its signature tells."""
    if transform is None:
        return None
    expected = "Batches: transform must be a function transform(batch, rng) that returns the changed batch"
    if not callable(transform):
        raise TypeError(f"{expected}, got {shown(transform)}")
    try:
        signature = inspect.signature(transform)
    except ValueError:  # some functions written in C have no signature
        return cast(Transform, transform)
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(f"{expected}; {described(transform)} cannot be called so: {error}") from None
    return cast(Transform, transform)


def _require_samples(transform: Transform, changed: Any, n: int) -> None:
    """Refuse what a transform returned if it is not as many samples as it got.

    They may be along the second axis, too, as recurrent layers take them.
    """
    shapes = [getattr(part, "shape", None) for part in (changed if isinstance(changed, tuple) else (changed,))]
    if shapes and all(shape is not None and n in shape[:2] for shape in shapes):
        return
    got = f"shape {', '.join(map(str, shapes))}" if shapes and None not in shapes else shown(changed)
    raise ValueError(
        f"Batches: transform must return an array of the {n} samples that it got, or a tuple of such arrays; "
        f"{described(transform)} returned {got}"
    )


def _drawn_key(rng: Any) -> tuple[int, int]:
    first, second = generator(rng).integers(0, 2**_KEY_BITS, 2, dtype=np.uint64).tolist()
    return first, second


def _taken(array: Array, index: slice | NDArray[np.intp]) -> Array:
    """A copy of a part of an array."""
    if isinstance(index, slice):
        return array[index].copy()
    if _mapping(array) is None:
        # Both copy. `take` is faster, but of an array that is not contiguous it would first make one that is.
        return array.take(index, axis=0) if array.flags.c_contiguous and array.flags.aligned else array[index]
    # A mapped array is read in the order of its file, so that each page is read once.
    by_place = np.argsort(index)
    taken = np.empty((len(index), *array.shape[1:]), array.dtype)
    taken[by_place] = array[index[by_place]]
    return taken


def _mapping(array: Array) -> mmap.mmap | None:
    """The file's mapping that an array shows a part of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _give_pages_back(array: Array) -> None:
    """Pages that were read count as the process's memory until they are given back; a read-only mapping loses nothing."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED") and not array.flags.writeable and _is_read_only(mapping):
        mapping.madvise(mmap.MADV_DONTNEED)


def _is_read_only(mapping: mmap.mmap) -> bool:
    with memoryview(mapping) as view:
        return view.readonly


def _ahead(make: Callable[[int], Batch], numbers: range, depth: int) -> Iterator[Batch]:
    """``make`` of each number, computed by a thread up to ``depth`` ahead of who takes them."""
    from concurrent.futures import ThreadPoolExecutor

    process = os.getpid()
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="fastnn-batches")
    try:
        for number in numbers:
            if os.getpid() != process:  # a forked child has no such thread: it makes the rest itself
                yield make(number)
                continue
            while len(waiting) <= depth and number + len(waiting) < numbers.stop:
                waiting.append(pool.submit(make, number + len(waiting)))
            yield waiting.popleft().result()
    finally:
        if os.getpid() == process:
            pool.shutdown(wait=True, cancel_futures=True)
