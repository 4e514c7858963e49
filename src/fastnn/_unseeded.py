"""Generators that were made from no seed, and get a new state in forked children."""

from __future__ import annotations

import os
import weakref
from typing import Any

from numpy.random import PCG64, BitGenerator, Generator

_alive: weakref.WeakSet[UnseededGenerator] = weakref.WeakSet()


class UnseededGenerator(Generator):
    """A `numpy.random.Generator` whose numbers nobody can foresee, in a forked child other ones than in its parent.

    Copies are so too.
    """

    def __init__(self, bit_generator: BitGenerator | None = None) -> None:
        super().__init__(PCG64() if bit_generator is None else bit_generator)
        _alive.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return UnseededGenerator, (self.bit_generator,)


def _renew() -> None:
    for generator in list(_alive):
        bits: Any = generator.bit_generator
        bits.state = type(bits)().state


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
