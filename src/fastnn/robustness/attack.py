"""Inputs changed on purpose: as little as possible, in the direction in which the loss rises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor, log, raw, value_and_grad
from ..checks import flag, integer, real, shown
from ..data.augment import per_value
from ..data.samples import leaves, samples
from ..training.arguments import checked_loss, checked_model
from ..training.preserved import preserved

Array = np.ndarray[Any, Any]
Loss = Callable[..., Any]
Bounds = tuple[float, float]

_SUM = 1e-3  # the sum of probabilities may differ from 1 by this: in float16 it differs by this much
_FLOATS = (np.float32, np.float64)


def fgsm(
    model: nn.Module,
    x: Any,
    y: Any,
    eps: Any,
    *,
    loss: Loss = F.cross_entropy,
    bounds: Bounds | None = None,
    targeted: bool = False,
    batch_size: int = 256,
) -> Any:
    """Inputs changed by the fast gradient sign method, so that a model errs.

    ``x + eps * sign(gradient of the loss by x)``: each value goes up or down by `eps`, whichever makes the loss larger.

    Parameters
    ----------
    model : Module
        What is attacked, in evaluation mode whatever mode it is in. Of an `nn.Ensemble` of probabilities or votes it is the
        logarithm of its members' mean probability that the loss gets, since votes have no gradient.
    x : array_like or tuple of arrays, (N, ...)
        Inputs, float32 or float64; they are not changed. Of a tuple those of floats are changed, and others (lengths of
        sequences) are handed on.
    y : array_like, (N, ...)
        What the loss takes as the target: what is right, or, where `targeted`, what the model shall say.
    eps : float or array_like
        By how much each value is changed, in the units of `x`; an array (of the shape of a sample, or one that NumPy stretches
        to it) has an amount for each value.
    loss : callable
        ``loss(output, y)``: a mean over samples, as those of `fastnn.functional`.
    bounds : (float, float), optional
        The least and the largest value that an input may have, such as (0, 1) of pixels: what would leave them is set to them.
    targeted : bool
        Whether the loss is made smaller instead.
    batch_size : int
        How many samples are computed at a time.

    Returns
    -------
    ndarray or tuple of arrays, (N, ...)
        New arrays of the dtypes of `x`. A value whose gradient is 0 stays as it is, and so does NaN.

    Raises
    ------
    TypeError
        If ``model`` is no module, no input is of floats, or the loss is no tensor that depends on them.
    ValueError
        If the model gives probabilities to a loss that takes logits, since their gradients are too small and mislead; if
        a gradient is not finite; for inputs outside the bounds, ``eps`` below 0 or of a shape that doesn't fit, or inputs
        and targets of different lengths.

    Notes
    -----
    Scale inside of the model (``scaler.as_module()``), so that `eps` and `bounds` are in the units that the inputs come in.

    The model, its gradients, modes and generators are afterwards what they were. The error need not grow steadily with `eps`:
    the gradient is that at `x`, and a long step may go past the place where the model errs.

    Source: Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2015, equation 2 of section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.robustness import fgsm
    >>> model = nn.Linear(2, 2, bias=False)
    >>> model.weight.data[...] = [[1, -1], [-1, 1]]
    >>> fgsm(model, np.array([[0.5, 0.25]], np.float32), np.array([0]), 0.125)
    array([[0.375, 0.375]], dtype=float32)
    """
    attack = Attack("fgsm", model, loss)
    parts, target, several = checked("fgsm", x, y)
    amounts = [per_value("fgsm", "eps", eps, part) if is_real(part) else None for part in parts]
    limits = checked_bounds("fgsm", bounds, parts)
    upwards = -1 if flag("fgsm", "targeted", targeted) else 1
    batch_size = integer("fgsm", "batch_size", batch_size, 1)
    changed = tuple(part.copy() if is_real(part) else part for part in parts)
    with preserved(model, None, loss):
        attack.prepare()
        for part in portions(len(target), batch_size):
            inputs = [array[part] for array in parts]
            found = attack.signs(inputs, target[part])
            attack.refuse(found, part.start)
            for array, amount, sign in zip(changed, amounts, found.signs, strict=True):
                if amount is not None:
                    array[part] = moved(array[part], upwards * amount, sign, limits)
    return changed if several else changed[0]


class Signs(NamedTuple):
    """What the gradient says of some samples.

    Parameters
    ----------
    signs : list of (ndarray of int8 or None)
        -1, 0 or 1 for each value of each input; None of an input that is not of floats.
    blind : ndarray of bool, (n,)
        Samples whose gradient is exactly 0 everywhere.
    finite : ndarray of bool, (n,)
        Samples whose gradient is finite everywhere; where it isn't the sign is 0.
    probabilities : bool
        Whether a loss of logits got probabilities.
    """

    signs: list[Array | None]
    blind: Array
    finite: Array
    probabilities: bool


class Attack:
    """The gradient of a model's loss by its inputs.

    Parameters
    ----------
    op : str
        The function, for messages.
    model : Module
        What is attacked.
    loss : callable
        Of output and target.
    """

    def __init__(self, op: str, model: Any, loss: Any) -> None:
        self._op, self.model, self.loss = op, checked_model(op, model), checked_loss(op, loss)
        self._surrogate, self._of_probabilities = _with_gradient(model)

    def prepare(self) -> None:
        """Evaluation mode, and no gradients of parameters, which nobody needs; to be called inside `preserved`."""
        self.model.eval()
        self.model.requires_grad_(False)

    def signs(self, inputs: Sequence[Array], target: Any) -> Signs:
        """The signs of the gradient for some samples."""
        of_floats = [i for i, array in enumerate(inputs) if is_real(array)]
        seen: list[bool] = []

        def total(*variables: Tensor) -> Any:
            arguments: list[Any] = list(inputs)
            for i, variable in zip(of_floats, variables, strict=True):
                arguments[i] = variable
            output = self._surrogate(*arguments)
            if self._of_probabilities:
                output = log(output + float(np.finfo(output.dtype).tiny))
            else:
                seen.append(takes_logits(self.loss) and are_probabilities(output))
            value = self.loss(output, target)
            if not isinstance(value, Tensor) or value.size != 1:
                raise TypeError(
                    f"{self._op}: the loss must be a tensor of one element that depends on x, got {_kind(value)}; a model that "
                    "computes with plain arrays has no gradient"
                )
            # Made a sum, since the gradients of a mean of n samples are n times smaller, and may vanish.
            return value * float(len(target))

        _, gradients = value_and_grad(total, argnums=tuple(range(len(of_floats))))(*(inputs[i] for i in of_floats))
        n = len(target)
        finite, blind = np.ones(n, bool), np.ones(n, bool)
        signs: list[Array | None] = [None] * len(inputs)
        for i, gradient in zip(of_floats, gradients, strict=True):
            flat = gradient.reshape(n, -1)
            finite &= np.isfinite(flat).all(axis=1)
            blind &= (flat == 0).all(axis=1)
            with np.errstate(invalid="ignore"):
                signs[i] = np.where(np.isfinite(gradient), np.sign(gradient), 0).astype(np.int8)
        return Signs(signs, blind, finite, any(seen))

    def refuse(self, found: Signs, start: int) -> None:
        """Raise an error for what misleads."""
        if found.probabilities:
            raise ValueError(f"{self._op}: {PROBABILITIES}; {PROBABILITIES_ADVICE}")
        if not found.finite.all():
            sample = start + int(np.argmin(found.finite))
            raise ValueError(f"{self._op}: the gradient of the loss by sample {sample} is not finite")


PROBABILITIES = "the model gives probabilities, but the loss takes logits, so that softmax is taken twice"
PROBABILITIES_ADVICE = (
    "leave the model's softmax out, or give a loss of probabilities: loss=lambda p, y: F.nll_loss(fnn.log(p), y)"
)


def _with_gradient(model: nn.Module) -> tuple[nn.Module, bool]:
    """What has a gradient in the place of a model, and whether it gives probabilities, of which the logarithm is wanted."""
    if not isinstance(model, nn.Ensemble) or model.average == "logits":
        return model, False
    if model.average == "votes":
        model = nn.Ensemble(model.members, average="probabilities", weights=model.weights)
    return model, True


def takes_logits(loss: Any) -> bool:
    """Whether a loss takes logits of classes."""
    return is_loss(loss, F.cross_entropy, nn.CrossEntropyLoss)


def is_loss(loss: Any, function: Any, module: type[nn.Module]) -> bool:
    """Whether a loss is a function, a partial of it, or a module of this class."""
    while isinstance(loss, partial):
        loss = loss.func
    return loss is function or isinstance(loss, module)


def are_probabilities(output: Any) -> bool:
    """Whether the numbers of each sample are in 0…1 and have the sum 1 over the classes."""
    values = raw(output)
    if not isinstance(values, np.ndarray) or values.ndim < 2 or values.shape[1] < 2:
        return False
    sums = values.sum(axis=1, dtype=np.float64)
    return bool((values >= 0).all() and (np.abs(sums - 1) <= _SUM).all())


def checked(op: str, x: Any, y: Any) -> tuple[tuple[Array, ...], Array, bool]:
    """Inputs, at least one of them of floats, the targets, and whether the inputs are a tuple."""
    if isinstance(y, tuple):
        raise TypeError(f"{op}: y must be one array of targets, got a tuple")
    (inputs, target), n = samples(op, (x, y))
    if not n:
        raise ValueError(f"{op}: x must hold a sample at least, got shape {np.shape(leaves(inputs)[0])}")
    parts = tuple(np.asarray(part) for part in leaves(inputs))
    if not any(map(is_real, parts)):
        kinds = ", ".join(str(part.dtype) for part in parts)
        advice = (
            "neither noise nor gradients change integers that are names, such as tokens; those that are amounts, such as pixels, "
            "become floats by x.astype(np.float32)"
            if any(part.dtype.kind in "biu" for part in parts)
            else "x.astype(np.float32) is"
        )
        raise TypeError(f"{op}: x must be of float32 or float64, got {kinds}; {advice}")
    return parts, np.asarray(target), isinstance(inputs, tuple)


def is_real(array: Array) -> bool:
    """Whether an input has values that can be changed a little."""
    return array.dtype in _FLOATS


def checked_bounds(op: str, bounds: Any, parts: Sequence[Array]) -> Bounds | None:
    """The least and largest value that inputs may have; all have to be within already."""
    if bounds is None:
        return None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"{op}: bounds must be (least, largest), got {shown(bounds)}")
    low, high = (real(op, "bounds", bound) for bound in bounds)
    if low >= high:
        raise ValueError(f"{op}: bounds must be (least, largest), got {shown(bounds)}")
    for part in filter(is_real, parts):
        least, largest = (f(part, initial=start) for f, start in ((np.nanmin, high), (np.nanmax, low)))
        if least < part.dtype.type(low) or largest > part.dtype.type(high):
            raise ValueError(f"{op}: x must be within the bounds {low:g} to {high:g}, got {least:g} to {largest:g}")
    return low, high


def moved(x: Array, amount: Any, direction: Any, bounds: Bounds | None) -> Array:
    """Inputs that went by an amount, and were set to the bounds where they would leave them."""
    there = x + amount * np.asarray(direction, x.dtype)
    return there if bounds is None else within(there, bounds)


def within(x: Array, bounds: Bounds | None) -> Array:
    """Inputs set to the bounds where they are beyond them."""
    return x if bounds is None else np.clip(x, x.dtype.type(bounds[0]), x.dtype.type(bounds[1]))


def portions(n: int, size: int) -> Iterator[slice]:
    """The samples from the first on, so many at a time."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    return f"{type(value).__name__} of shape {np.shape(value)}" if math.prod(np.shape(value)) != 1 else shown(value)
