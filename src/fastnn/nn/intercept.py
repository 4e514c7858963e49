"""See every call of the layers of a model, for summaries and statistics, without a cost where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .hooks import WithHooks
from .module import Module

# around(name, module, forward, args, kwargs) -> what the call shall return
Around = Callable[[str, Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextmanager
def intercepted(model: Module, around: Around) -> Iterator[None]:
    """Inside, each call of ``model`` or a module below it goes through ``around`` instead of to its ``forward``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.nn.intercept import intercepted
    >>> def announce(name, module, forward, args, kwargs):
    ...     print(name or "all", type(module).__name__)
    ...     return forward(*args, **kwargs)
    >>> net = nn.Sequential(nn.ReLU(), nn.Flatten())
    >>> with intercepted(net, announce):
    ...     y = net(np.ones((2, 3, 4)))
    all Sequential
    0 ReLU
    1 Flatten
    """

    def replacement(name: str, module: Module) -> Callable[..., Any]:
        forward = module.forward
        return lambda *args, **kwargs: around(name, module, forward, args, kwargs)

    with _restored(model, "forward"):
        for name, module in model.named_modules():
            vars(module)["forward"] = replacement(name, module)
        yield


@contextmanager
def evaluation(model: Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each module is in the mode it was in."""
    with _restored(model, "training"):
        model.eval()
        yield


@contextmanager
def _restored(model: Module, name: str) -> Iterator[None]:
    """An attribute that hides one of the class: afterwards as it was, in each module."""
    before = {module: vars(module).get(name) for module in model.modules()}
    try:
        yield
    finally:
        for module, value in before.items():
            vars(module).pop(name, None)
            if value is not None:
                vars(module)[name] = value
            if isinstance(value, WithHooks):
                value.leave_if_empty()  # its last hook may have been removed inside the with block
