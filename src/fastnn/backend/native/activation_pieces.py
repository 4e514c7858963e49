"""Activations of linear pieces: learned slopes, random slopes, the largest of several."""

from ..._core import (
    maxout_backward,
    maxout_forward,
    prelu_backward,
    prelu_forward,
    rrelu_backward,
    rrelu_forward,
)

__all__ = [
    "maxout_backward",
    "maxout_forward",
    "prelu_backward",
    "prelu_forward",
    "rrelu_backward",
    "rrelu_forward",
]
