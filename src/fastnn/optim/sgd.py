"""Gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import functional as F
from .flat import Part
from .optimizer import Optimizer, Params


class SGD(Optimizer):
    """Gradient descent, with momentum if asked.

    ``g = grad + weight_decay·x + l1·sign(x)``; without momentum ``x ← x − lr·g``; with it ``d ← momentum·d − lr·g`` and
    ``x ← x + d``; Nesterov ``x ← x + momentum·d − lr·g``, the usual equivalent of taking the gradient at
    ``x + momentum·d``.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate. It is part of the buffer d: a change takes effect on new gradients only (PyTorch's buffer
        holds the sum of gradients instead; with a constant rate both are the same).
    momentum : float
        0 for none; 0.9 is usual.
    nesterov : bool
        Nesterov's variant.
    weight_decay : float
        L2 penalty, on weights and not on biases and parameters of norms.
    l1 : float
        L1 penalty, on the same parameters.
    decay_all : bool
        Decay biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([0.8], requires_grad=True)
    """

    state_names = ("momentum_buffer",)
    _step: Callable[..., None] = staticmethod(F.sgd_step)

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, settings | {"weight_decay": weight_decay, "l1": l1, "decay_all": decay_all})

    def _checked_settings(self, group: dict[str, Any]) -> dict[str, Any]:
        checked = super()._checked_settings(group)
        if checked["nesterov"] and not checked["momentum"]:
            raise ValueError("SGD: nesterov needs momentum above 0")
        return checked

    def _update(self, part: Part, step: int, settings: dict[str, Any]) -> None:
        state = part.state if settings["momentum"] else {}
        self._step(part.data, part.grad, **state, **settings)
