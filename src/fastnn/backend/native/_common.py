"""Types that the modules share."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["Array", "Gradients", "Needs"]

Array = NDArray[Any]
Needs = tuple[bool, bool, bool]
Gradients = tuple[Array | None, Array | None, Array | None]
