"""Optimiser steps on flat arrays: param and state change in place, grad does not."""

from ..._core import (
    adadelta_step,
    adagrad_step,
    adam_step,
    rmsprop_step,
    sgd_step,
)

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "rmsprop_step",
    "sgd_step",
]
