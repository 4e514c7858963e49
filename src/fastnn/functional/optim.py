"""Fused optimiser steps: parameters and state change in place, nothing is returned.

All arrays of a call have one shape and dtype, any number of axes; param and state are C-contiguous and
writeable, and share no memory. If a check fails nothing has changed.

A sum of squares that the dtype does not hold as a normal number stands in its array as minus its root, so that the
steps follow the formulas for gradients of any size.

``weight_decay`` and ``l1`` are penalties in the gradient, ``g = grad + weight_decay * param + l1 * sign(param)``: with
lambda / n they are the usual penalties (decoupled decay, of `adamw_step`, is not in the gradient).
"""

from __future__ import annotations

from typing import Any

from .. import backend, checks
from .._types import Array, Constant
from ..autograd import Tensor
from ..autograd.changes import note_change

__all__ = ["adadelta_step", "adagrad_step", "adam_step", "adamw_step", "rmsprop_step", "sgd_step"]


def _step_arrays(op: str, param: Any, grad: Any, **state: Any) -> Any:
    """The checked arrays of a step. Once no check can refuse, it is noted that a tensor's values change."""
    if type(param) is type(grad) is checks.FlatArray:
        return [param, grad, *state.values()]
    if not isinstance(param, Tensor):
        return checks.step_arrays(op, param, grad, **state)
    arrays = checks.step_arrays(op, param.data, grad, **state)
    note_change(param.data)
    return arrays


def sgd_step(
    param: Array | Tensor,
    grad: Constant,
    momentum_buffer: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Stochastic gradient descent, with momentum or Nesterov's.

    ``g = grad + penalties; d = momentum * d - lr * g; param += d``, and with Nesterov's form
    ``param += momentum * d - lr * g``. PyTorch's buffer is ``-d / lr`` for a constant ``lr``.

    Parameters
    ----------
    param : ndarray or Tensor
        Changed in place, float32 or float64.
    grad : array_like
        The gradient.
    momentum_buffer : ndarray, optional
        The last step d, changed in place, zeros before the first step; needed if ``momentum`` is not 0.
    lr, momentum, weight_decay, l1 : float
        At least 0, at most what float32 holds.
    nesterov : bool
        Look ahead; needs momentum.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, d = np.array([1.0]), np.array([-2.0])
    >>> F.sgd_step(x, np.array([1.0]), d, lr=0.5, momentum=0.5)
    >>> x, d
    (array([-0.5]), array([-1.5]))
    """
    op = "sgd_step"
    lr, momentum, decay = (
        checks.rate(op, "lr", lr),
        checks.rate(op, "momentum", momentum),
        checks.rate(op, "weight_decay", weight_decay),
    )
    nesterov, penalty = checks.flag(op, "nesterov", nesterov), checks.rate(op, "l1", l1)
    if momentum and momentum_buffer is None:
        raise ValueError(f"{op}: momentum={momentum} needs a momentum_buffer of the shape of param")
    if nesterov and not momentum:
        raise ValueError(f"{op}: nesterov needs momentum above 0, got {momentum}")
    if momentum_buffer is None:
        p, g = _step_arrays(op, param, grad)
        d = None
    else:
        p, g, d = _step_arrays(op, param, grad, momentum_buffer=momentum_buffer)
    backend.current().sgd_step(p, g, d, lr, momentum, nesterov, decay, penalty)


def _adam(
    op: str,
    decoupled: bool,
    param: Any,
    grad: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    step: int,
    lr: float,
    betas: Any,
    eps: float,
    weight_decay: float,
    l1: float,
    max_exp_avg_sq: Any,
) -> None:
    step = checks.step_count(op, step)
    lr, beta1, beta2, eps, decay, l1 = checks.adam(op, lr, betas, eps, weight_decay, l1)
    state = {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
    if max_exp_avg_sq is not None:
        state["max_exp_avg_sq"] = max_exp_avg_sq
    p, g, m, v, *largest = _step_arrays(op, param, grad, **state)
    top = largest[0] if largest else None
    backend.current().adam_step(p, g, m, v, top, step, lr, beta1, beta2, eps, decay, l1, decoupled)


def adam_step(
    param: Array | Tensor,
    grad: Constant,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    max_exp_avg_sq: Array | None = None,
) -> None:
    """Adam with bias correction.

    ``g = grad + penalties; m = b1*m + (1 - b1)*g; v = b2*v + (1 - b2)*g**2;
    param -= lr * mhat / (sqrt(vhat) + eps)`` with ``mhat = m / (1 - b1**step)``, ``vhat = v / (1 - b2**step)``.

    Parameters
    ----------
    param : ndarray or Tensor
        Changed in place, float32 or float64.
    grad : array_like
        The gradient.
    exp_avg, exp_avg_sq : ndarray
        m and v, changed in place, zeros before the first step.
    step : int
        The number of this step, from 1.
    lr, eps, weight_decay, l1 : float
        At least 0, at most what float32 holds.
    betas : (float, float)
        b1 and b2, in [0, 1).
    max_exp_avg_sq : ndarray, optional
        With it AMSGrad (Reddi et al. 2018): the largest v so far, changed in place and used in the place of v.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> F.adam_step(x, np.array([4.0]), m, v, step=1, lr=0.25, eps=0.0)
    >>> x.round(12), m.round(12), v.round(12)
    (array([0.75]), array([0.4]), array([0.016]))
    """
    _adam("adam_step", False, param, grad, exp_avg, exp_avg_sq, step, lr, betas, eps, weight_decay, l1, max_exp_avg_sq)


def adamw_step(
    param: Array | Tensor,
    grad: Constant,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    l1: float = 0.0,
    max_exp_avg_sq: Array | None = None,
) -> None:
    """Adam with decoupled weight decay: ``param *= 1 - lr * weight_decay`` before the step.

    Parameters
    ----------
    param, grad, exp_avg, exp_avg_sq, step, lr, betas, eps, weight_decay, l1, max_exp_avg_sq
        As in `adam_step`.

    Raises
    ------
    TypeError, ValueError
        As `adam_step`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> F.adamw_step(x, np.array([4.0]), m, v, step=1, lr=0.25, eps=0.0, weight_decay=0.5)
    >>> x.round(12)
    array([0.625])
    """
    _adam("adamw_step", True, param, grad, exp_avg, exp_avg_sq, step, lr, betas, eps, weight_decay, l1, max_exp_avg_sq)


def rmsprop_step(
    param: Array | Tensor,
    grad: Constant,
    square_avg: Array,
    *,
    lr: float,
    alpha: float = 0.9,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    eps_inside: bool = True,
) -> None:
    """RMSprop.

    ``g = grad + penalties; s = alpha*s + (1 - alpha)*g**2; param -= lr * g / sqrt(s + eps)``.

    Parameters
    ----------
    param : ndarray or Tensor
        Changed in place, float32 or float64.
    grad : array_like
        The gradient.
    square_avg : ndarray
        s, changed in place, zeros before the first step.
    lr, eps, weight_decay, l1 : float
        At least 0, at most what float32 holds.
    alpha : float
        Share of the old s that is kept, in [0, 1).
    eps_inside : bool
        False gives PyTorch's form, ``param -= lr * g / (sqrt(s) + eps)``.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, s = np.array([1.0]), np.array([0.0])
    >>> F.rmsprop_step(x, np.array([2.0]), s, lr=0.25, alpha=0.75, eps=0.0)
    >>> x, s
    (array([0.5]), array([1.]))
    """
    op = "rmsprop_step"
    lr, eps, decay = (
        checks.rate(op, "lr", lr),
        checks.rate(op, "eps", eps),
        checks.rate(op, "weight_decay", weight_decay),
    )
    alpha, inside = checks.decay(op, "alpha", alpha), checks.flag(op, "eps_inside", eps_inside)
    penalty = checks.rate(op, "l1", l1)
    p, g, s = _step_arrays(op, param, grad, square_avg=square_avg)
    backend.current().rmsprop_step(p, g, s, lr, alpha, eps, decay, penalty, inside)


def adagrad_step(
    param: Array | Tensor,
    grad: Constant,
    square_sum: Array,
    *,
    lr: float,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    eps_inside: bool = True,
) -> None:
    """Adagrad.

    ``g = grad + penalties; s = s + g**2; param -= lr * g / sqrt(s + eps)``.

    Parameters
    ----------
    param : ndarray or Tensor
        Changed in place, float32 or float64.
    grad : array_like
        The gradient.
    square_sum : ndarray
        s, changed in place, zeros before the first step.
    lr, eps, weight_decay, l1 : float
        At least 0, at most what float32 holds.
    eps_inside : bool
        False gives PyTorch's form, ``param -= lr * g / (sqrt(s) + eps)``.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, s = np.array([1.0]), np.array([0.0])
    >>> F.adagrad_step(x, np.array([2.0]), s, lr=0.25, eps=0.0)
    >>> x, s
    (array([0.75]), array([4.]))
    """
    op = "adagrad_step"
    lr, eps, decay, penalty = (
        checks.rate(op, "lr", lr),
        checks.rate(op, "eps", eps),
        checks.rate(op, "weight_decay", weight_decay),
        checks.rate(op, "l1", l1),
    )
    inside = checks.flag(op, "eps_inside", eps_inside)
    p, g, s = _step_arrays(op, param, grad, square_sum=square_sum)
    backend.current().adagrad_step(p, g, s, lr, eps, decay, penalty, inside)


def adadelta_step(
    param: Array | Tensor,
    grad: Constant,
    square_avg: Array,
    acc_delta: Array,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Adadelta.

    ``g = grad + penalties; s = rho*s + (1 - rho)*g**2; d = sqrt((D + eps) / (s + eps)) * g;
    D = rho*D + (1 - rho)*d**2; param -= lr * d``.

    Parameters
    ----------
    param : ndarray or Tensor
        Changed in place, float32 or float64.
    grad : array_like
        The gradient.
    square_avg, acc_delta : ndarray
        s and D, changed in place, zeros before the first step.
    lr, eps, weight_decay, l1 : float
        At least 0, at most what float32 holds; the method itself has no learning rate, that is, 1.
    rho : float
        Share of the old s and D that is kept, in [0, 1).

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, s, d = np.array([1.0]), np.array([0.0]), np.array([4.0])
    >>> F.adadelta_step(x, np.array([2.0]), s, d, rho=0.75, eps=0.0)
    >>> x, s, d
    (array([-3.]), array([1.]), array([7.]))
    """
    op = "adadelta_step"
    lr, eps, decay, penalty = (
        checks.rate(op, "lr", lr),
        checks.rate(op, "eps", eps),
        checks.rate(op, "weight_decay", weight_decay),
        checks.rate(op, "l1", l1),
    )
    rho = checks.decay(op, "rho", rho)
    p, g, s, d = _step_arrays(op, param, grad, square_avg=square_avg, acc_delta=acc_delta)
    backend.current().adadelta_step(p, g, s, d, lr, rho, eps, decay, penalty)
