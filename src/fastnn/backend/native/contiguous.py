"""Copies of strided arrays."""

from ..._core import contiguous

__all__ = ["contiguous"]
