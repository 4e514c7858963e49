"""Generators whose numbers follow from a key and a counter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.random.bit_generator import ISeedSequence


class _Key(ISeedSequence):
    """Gives the words of a key as they are, where a seed would be stirred."""

    def __init__(self, words: tuple[int, int]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.array(self._words, dtype)


def keyed_generator(key: tuple[int, int], counter: tuple[int, int, int, int]) -> Generator:
    """A generator on Philox with a key and a counter, each of words of 64 bits.

    It is the one of ``Philox(key=..., counter=...)``, which first asks the operating system for a seed that it does not use;
    that takes most of its time.

    >>> from fastnn.data.keyed import keyed_generator
    >>> first = np.random.Philox(key=np.array([1, 2], np.uint64), counter=np.array([0, 0, 3, 4], np.uint64))
    >>> second = keyed_generator((1, 2), (0, 0, 3, 4)).bit_generator
    >>> bool((first.random_raw(9) == second.random_raw(9)).all())
    True
    """
    words: Any = _Key(key)  # NumPy's types know only one kind of seed sequence
    return Generator(Philox(words, counter=np.array(counter, np.uint64)))
