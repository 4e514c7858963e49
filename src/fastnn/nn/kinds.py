"""What kinds of layers have in common: those without parameters, and those for one, two or three spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, overload

from .. import functional as F
from .._types import Array, ArrayLike, Value
from ..autograd import Tensor
from .module import Module


class WithoutParameters(Module):
    """A layer whose output is an array or a tensor as its input is, which type checkers learn here."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Tensor) -> Tensor: ...
        @overload
        def __call__(self, x: ArrayLike) -> Array: ...
        def __call__(self, x: Value) -> Value: ...


class OfRank(Module):
    """Layers of one definition: each says for how many spatial axes it is (``class Conv2d(_Conv, rank=2)``).

    ``_op`` and the rank are the name of the function that the layer computes.
    """

    _op: ClassVar[str]
    _rank: ClassVar[int]
    _function: ClassVar[Callable[..., Value]]

    def __init_subclass__(cls, rank: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls._rank = rank
            cls._function = staticmethod(getattr(F, f"{cls._op}{rank}d"))

    def _axes(self, *values: int | tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Values of each axis of arguments that are ints or one int per axis."""
        return zip(*(v if isinstance(v, tuple) else (v,) * self._rank for v in values), strict=True)
