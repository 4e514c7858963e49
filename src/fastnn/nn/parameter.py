"""`Parameter`: a tensor that modules find among their attributes."""

from __future__ import annotations

from .._types import Value
from ..autograd import Tensor, tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that a `Module` finds among its attributes and an optimiser updates.

    Parameters
    ----------
    array : array_like
        The first values, float32 or float64; copied.
    requires_grad : bool
        Whether it is trained; may be changed later to freeze it.
    decay : bool
        Whether an optimiser's ``weight_decay`` applies to it. Layers say False for biases and for the
        parameters of norms.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ("decay",)

    def __init__(self, array: Value, requires_grad: bool = True, *, decay: bool = True) -> None:
        super().__init__(tensor(array).data, requires_grad)
        self.decay = decay

    def __repr__(self) -> str:
        return super().__repr__().replace("tensor(", "Parameter(", 1)
