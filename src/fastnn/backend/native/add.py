"""Sums of two arrays of one shape."""

from ..._core import add

__all__ = ["add"]
