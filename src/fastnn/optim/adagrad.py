"""Adagrad and Adadelta."""

from __future__ import annotations

from .. import functional as F
from .optimizer import Optimizer, Params


class Adagrad(Optimizer):
    """Adagrad: ``s ← s + g²``, ``x ← x − lr·g/sqrt(s + eps)``, ``g = grad + weight_decay·x + l1·sign(x)``.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate.
    eps : float
        Added to the sum of squares.
    eps_inside : bool
        False adds ``eps`` to the root instead, as PyTorch does: ``g/(sqrt(s) + eps)``.
    weight_decay, l1 : float
        L2 and L1 penalty, on weights and not on biases and parameters of norms.
    decay_all : bool
        Penalise biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.Adagrad([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.9
    """

    state_names = ("square_sum",)
    _step = staticmethod(F.adagrad_step)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        eps_inside: bool = True,
        decay_all: bool = False,
    ) -> None:
        settings = {"lr": lr, "eps": eps, "eps_inside": eps_inside}
        super().__init__(params, settings | {"weight_decay": weight_decay, "l1": l1, "decay_all": decay_all})


class Adadelta(Optimizer):
    """Adadelta: steps in proportion to the steps before.

    ``s ← rho·s + (1−rho)·g²``, ``d = sqrt((D + eps)/(s + eps))·g``, ``D ← rho·D + (1−rho)·d²``, ``x ← x − lr·d``.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        A factor of the step; the method itself has none.
    rho : float
        How slowly both means follow, in [0, 1).
    eps : float
        Under both roots; it sets the size of the first steps.
    weight_decay, l1 : float
        L2 and L1 penalty, on weights and not on biases and parameters of norms.
    decay_all : bool
        Penalise biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.Adadelta([x], rho=0.75, eps=0.01)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.800993
    """

    state_names = ("square_avg", "acc_delta")
    _step = staticmethod(F.adadelta_step)

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps}
        super().__init__(params, settings | {"weight_decay": weight_decay, "l1": l1, "decay_all": decay_all})
