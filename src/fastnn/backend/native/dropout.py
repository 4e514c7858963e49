"""Dropout with a counter-based generator: element i is kept or not whatever the order or number of threads."""

from ..._core import (
    dropout_forward,
    spatial_dropout_forward,
)

__all__ = [
    "dropout_forward",
    "spatial_dropout_forward",
]
