"""Neighbouring layers that are computed together where that gives the same numbers in less time.

Nothing is fused where somebody looks at single layers: if one has a ``forward`` of its own (see `intercept`), or where
operations are observed (`detect_anomaly`, `draw_graph`). Subclasses are never fused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.modes import mode
from .activation import ReLU
from .channel_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .module import Module
from .pool import MaxPool1d, MaxPool2d, MaxPool3d

NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def _norm_then_relu(norm: Any, relu: Module, x: Any) -> Any:
    return norm.then_relu(x)


def _pool_then_relu(relu: Module, pool: Module, x: Any) -> Any:
    """The maximum of what is cut off at 0 is the maximum, cut off; the gradient too takes the same way. It is smaller."""
    return relu(pool(x))


_PAIRS: dict[tuple[type[Module], type[Module]], Callable[[Any, Any, Any], Any]] = {
    **{(norm, ReLU): _norm_then_relu for norm in NORMS},
    **{(ReLU, pool): _pool_then_relu for pool in (MaxPool1d, MaxPool2d, MaxPool3d)},
}


def unobserved(*modules: Module) -> bool:
    """Whether nobody looks at the calls of these modules."""
    return not mode.observers and not any("forward" in vars(module) for module in modules)


def run(modules: Sequence[Module], x: Any) -> Any:
    """Call each module with what the one before returned."""
    if mode.observers:
        for module in modules:
            x = module(x)
        return x
    i, last = 0, len(modules) - 1
    while i <= last:
        module = modules[i]
        i += 1
        if i <= last:
            together = _PAIRS.get((type(module), type(modules[i])))
            if together is not None and unobserved(module, modules[i]):
                x = together(module, modules[i], x)
                i += 1
                continue
        x = module(x)
    return x
