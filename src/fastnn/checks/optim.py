"""The checks of optimiser steps. All come before the first write, so that a refused call has changed nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import scalars
from .arrays import Array, in_place, no_overlap, operand, shown

# lr, beta1, beta2, eps, weight_decay, l1
AdamRates = tuple[float, float, float, float, float, float]


class FlatArray(np.ndarray[Any, Any]):
    """A slice of an optimiser's flat buffers, which are plain, of one dtype and apart from each other by construction."""


def step_arrays(op: str, param: Any, grad: Any, **state: Any) -> list[Array]:
    """Param, grad and state as flat arrays: views of what was given, but for a grad that had to be copied."""
    param = in_place(op, "param", param)
    grad = operand(op, "grad", grad, param.dtype, param.shape, "param")
    targets = {name: in_place(op, name, a, param.dtype, param.shape, "param") for name, a in state.items()}
    no_overlap(op, {"param": param, **targets}, grad=grad)
    return [a.reshape(-1) for a in (param, grad, *targets.values())]


def rate(op: str, name: str, value: Any) -> float:
    """A number of at least 0, at most the largest that float32 holds."""
    if type(value) is float and 0.0 <= value <= scalars.FLOAT32_LARGEST:
        return value
    return scalars.real(op, name, value, 0.0, scalars.FLOAT32_LARGEST)


def decay(op: str, name: str, value: Any) -> float:
    """A number in [0, 1)."""
    if type(value) is float and 0.0 <= value < 1.0:
        return value
    return scalars.real(op, name, value, 0.0, 1.0, open_high=True)


def betas(op: str, value: Any) -> tuple[float, float]:
    """Two numbers in [0, 1)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{op}: betas must be a pair of numbers, got {shown(value)}")
    return decay(op, "betas", value[0]), decay(op, "betas", value[1])


def adam(op: str, lr: Any, betas: Any, eps: Any, weight_decay: Any, l1: Any) -> AdamRates:
    """Of ``adam_step``: its numbers. Those that passed before are not looked at again."""
    if type(betas) is tuple and len(betas) == 2:
        numbers = (lr, *betas, eps, weight_decay, l1)
        if all(type(number) is float for number in numbers):
            return _plain_adam(op, *numbers)
    return _adam(op, lr, betas, eps, weight_decay, l1)


def _adam(op: str, lr: Any, pair: Any, eps: Any, weight_decay: Any, l1: Any) -> AdamRates:
    lr, eps, weight_decay = rate(op, "lr", lr), rate(op, "eps", eps), rate(op, "weight_decay", weight_decay)
    return lr, *betas(op, pair), eps, weight_decay, rate(op, "l1", l1)


@lru_cache(maxsize=64)
def _plain_adam(op: str, lr: float, beta1: float, beta2: float, eps: float, decay: float, l1: float) -> AdamRates:
    return _adam(op, lr, (beta1, beta2), eps, decay, l1)


def step_count(op: str, value: Any) -> int:
    """An int in [1, 2**63)."""
    return scalars.integer(op, "step", value, 1)
