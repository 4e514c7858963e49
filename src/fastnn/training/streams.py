"""Generators whose numbers follow the step of a training, not what was drawn before."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

# The odd number nearest to 2**128 over the golden ratio, which NumPy's own `jumped` uses, too: its multiples lie evenly
# among the states of PCG64, and differ in their lower bits as well.
_STRIDE = 0x9E3779B97F4A7C15F39CC0605CEDC835
_PERIOD = 1 << 128


class Streams:
    """Sets generators, before each step, to where a function of their first state and the step says.

    Parameters
    ----------
    generators : sequence of numpy.random.Generator
        Each once, in an order that stays.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = list(generators)
        self._bases = states_of(self._generators)
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self._generators)

    def at(self, step: int) -> None:
        """Put every generator where it is before a step."""
        for generator, base in zip(self._generators, self._bases, strict=True):
            bits: Any = generator.bit_generator
            bits.state = base
            if base["bit_generator"] == "PCG64":  # what default_rng makes
                bits.advance(step * _STRIDE % _PERIOD)
            else:
                bits.state = _mixed(bits, step)

    def following(self, generators: Sequence[np.random.Generator]) -> Streams:
        """These streams if they are those of the generators, else new ones.

        In a forked child, generators that nobody seeded begin anew: two children must not draw the same.
        """
        if len(generators) != len(self) or any(a is not b for a, b in zip(generators, self._generators, strict=True)):
            return Streams(generators)
        if os.getpid() != self._process:
            self._process = os.getpid()
            for i, generator in enumerate(self._generators):
                if not _is_seeded(generator):
                    bits: Any = type(generator.bit_generator)
                    self._bases[i] = bits().state
        return self

    def state_dict(self) -> list[Any]:
        """The first states."""
        return copy.deepcopy(self._bases)

    def load_state_dict(self, state: Any) -> None:
        """Take first states from `state_dict` of a training with the same generators.

        Raises
        ------
        ValueError
            If their number or kinds differ; nothing is changed.
        """
        _check_states("the model", self._generators, state)
        self._bases, self._process = copy.deepcopy(state), os.getpid()


def states_of(generators: Sequence[np.random.Generator]) -> list[Any]:
    """The states of generators."""
    return [copy.deepcopy(generator.bit_generator.state) for generator in generators]


def set_states(name: str, generators: Sequence[np.random.Generator], states: Any) -> None:
    """Put generators into states; a ValueError, and nothing is changed, where they do not fit."""
    _check_states(name, generators, states)
    for generator, state in zip(generators, states, strict=True):
        bits: Any = generator.bit_generator
        bits.state = state


def _check_states(name: str, generators: Sequence[np.random.Generator], states: Any) -> None:
    if not isinstance(states, list) or len(states) != len(generators):
        count = len(states) if isinstance(states, list) else type(states).__name__
        raise ValueError(f"Trainer: the state has {count} generators for {name}, there are {len(generators)}")
    for generator, state in zip(generators, states, strict=True):
        trial: Any = copy.deepcopy(generator.bit_generator)
        try:
            trial.state = state
        except (TypeError, LookupError, ValueError, OverflowError, AttributeError) as error:
            kind = type(trial).__name__
            raise ValueError(f"Trainer: the state of a {kind} of {name} does not fit ({error})") from error


def _is_seeded(generator: np.random.Generator) -> bool:
    from .._unseeded import UnseededGenerator

    return not isinstance(generator, UnseededGenerator)


def _mixed(bits: Any, step: int) -> Any:
    """A state of the same kind, seeded by some numbers of the stream and by the step."""
    return type(bits)(np.random.SeedSequence([*bits.random_raw(4).tolist(), step])).state
