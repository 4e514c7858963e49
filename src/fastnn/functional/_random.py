"""Keys of the counter-based generator."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import checks

# Asking the system takes as long as a small dropout, so it is asked for many keys at once.
_KEYS = 512
_keys: list[int] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)  # a child must not draw what its parent draws


def key(op: str, rng: Any) -> int:
    """64 bits from ``rng``."""
    if rng is None:
        try:
            return _keys.pop()
        except IndexError:
            fresh: list[int] = np.frombuffer(os.urandom(8 * _KEYS), np.uint64).tolist()
            _keys.extend(fresh[1:])
            return fresh[0]
    return _drawn(op, rng)


def key_again(op: str, rng: Any) -> int:
    """The 64 bits that `key` gave the forward of ``op``; a source that would give others is refused."""
    return _drawn(op, checks.seed(op, op.removesuffix("_backward"), rng))


def _drawn(op: str, rng: Any) -> int:
    return int(checks.generator(op, rng).integers(0, 2**64, dtype=np.uint64))
