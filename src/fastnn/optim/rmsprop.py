"""RMSprop."""

from __future__ import annotations

from .. import functional as F
from .optimizer import Optimizer, Params


class RMSprop(Optimizer):
    """RMSprop: ``s ← alpha·s + (1−alpha)·g²``, ``x ← x − lr·g/sqrt(s + eps)``, ``g = grad + weight_decay·x + l1·sign(x)``.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate.
    alpha : float
        The γ of the spec: how slowly the mean of squares follows. (PyTorch's default is 0.99.)
    eps : float
        Added to the mean of squares.
    weight_decay : float
        L2 penalty, on weights and not on biases and parameters of norms.
    eps_inside : bool
        False adds ``eps`` to the root instead, as PyTorch does: ``g/(sqrt(s) + eps)``.
    l1 : float
        L1 penalty, on the same parameters.
    decay_all : bool
        Decay biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.RMSprop([x], lr=0.1, alpha=0.75)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.8
    """

    state_names = ("square_avg",)
    _step = staticmethod(F.rmsprop_step)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.9,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        eps_inside: bool = True,
        l1: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "eps_inside": eps_inside}
        super().__init__(params, settings | {"weight_decay": weight_decay, "l1": l1, "decay_all": decay_all})
