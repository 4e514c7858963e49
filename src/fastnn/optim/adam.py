"""Adam, AdamW and AMSGrad."""

from __future__ import annotations

from .. import functional as F
from .optimizer import Optimizer, Params


class Adam(Optimizer):
    """Adam with bias correction.

    ``v ← β₁v + (1−β₁)g``, ``s ← β₂s + (1−β₂)g²``, ``x ← x − lr · v̂/(sqrt(ŝ) + eps)`` with ``v̂ = v/(1−β₁ᵗ)``,
    ``ŝ = s/(1−β₂ᵗ)`` and ``g = grad + weight_decay·x + l1·sign(x)``.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate.
    betas : tuple of float
        β₁ and β₂.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty (of AdamW: decay), on weights and not on biases and parameters of norms.
    l1 : float
        L1 penalty, on the same parameters.
    decay_all : bool
        Decay biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.Adam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.9
    """

    state_names: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    _step = staticmethod(F.adam_step)
    _counts_steps = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, settings | {"weight_decay": weight_decay, "l1": l1, "decay_all": decay_all})


class AdamW(Adam):
    """Adam with decoupled weight decay: ``x ← x − lr·weight_decay·x`` before Adam's step.

    ``weight_decay`` is 0.01 by default, as in PyTorch. Source: Loshchilov and Hutter 2019.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate.
    betas : tuple of float
        β₁ and β₂.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty (of AdamW: decay), on weights and not on biases and parameters of norms.
    l1 : float
        L1 penalty, on the same parameters.
    decay_all : bool
        Decay biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.AdamW([x], lr=0.1, weight_decay=0.5)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.85
    """

    _step = staticmethod(F.adamw_step)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        l1: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, l1=l1, decay_all=decay_all)


class AMSGrad(Adam):
    """Adam with the largest ``s`` so far in the place of ``s`` (Reddi et al. 2018).

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        Parameters or groups of them; see `Optimizer`.
    lr : float
        Learning rate.
    betas : tuple of float
        β₁ and β₂.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty (of AdamW: decay), on weights and not on biases and parameters of norms.
    l1 : float
        L1 penalty, on the same parameters.
    decay_all : bool
        Decay biases and parameters of norms too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0], requires_grad=True)
    >>> optimizer = fnn.optim.AMSGrad([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    0.9
    """

    state_names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
