"""Keys of the counter-based generator."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import checks


def key(op: str, rng: Any) -> int:
    """64 bits from ``rng``."""
    if rng is None:
        return int.from_bytes(os.urandom(8), "little")
    return int(checks.generator(op, rng).integers(0, 2**64, dtype=np.uint64))
