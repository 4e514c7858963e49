"""Optimiser steps on flat arrays: param and state change in place, grad does not."""

from ..._core import (
    adam_step,
    rmsprop_step,
    sgd_step,
)

__all__ = [
    "adam_step",
    "rmsprop_step",
    "sgd_step",
]
