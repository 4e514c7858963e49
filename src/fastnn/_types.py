"""Types of what functions and layers take and give, named once for annotations, type checkers and the stub of `functional`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from .autograd.tensors import Tensor

Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]

Arguments = ParamSpec("Arguments")
Output_co = TypeVar("Output_co", covariant=True)
_Item_co = TypeVar("_Item_co", covariant=True)


class Computes(Protocol[Arguments, Output_co]):
    """A module as its call sees it, which takes and gives what ``forward`` does."""

    def forward(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Output_co: ...


class _HasArray(Protocol):
    """Arrays, NumPy scalars, and columns of data frames."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


class _Nested(Protocol[_Item_co]):
    """Lists, tuples and their like, nested too; no strings, which contain nothing but strings."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> _Item_co | _Nested[_Item_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __iter__(self, /) -> Iterator[_Item_co | _Nested[_Item_co]]: ...
    def __reversed__(self, /) -> Iterator[_Item_co | _Nested[_Item_co]]: ...
    @property
    def index(self) -> object: ...  # dictionaries and sets don't have it, so they are not taken


ArrayLike: TypeAlias = "_HasArray | bool | int | float | _Nested[_HasArray | bool | int | float]"
"""What `numpy.asarray` makes real numbers of. A `Tensor` is none: type checkers don't see its ``__array__``."""

Value: TypeAlias = "ArrayLike | Tensor"
"""What an operation is differentiated by; a result that is annotated so is a `Tensor` if one of these arguments is one."""

Constant: TypeAlias = "ArrayLike | Tensor"
"""A tensor is taken as a constant here: it doesn't make the result a tensor."""

ShapeLike: TypeAlias = "Sequence[int] | Array | Tensor"
"""A shape, or what has it."""

Ints: TypeAlias = int | Sequence[int]
"""One number for all axes, or one per axis."""

Padding: TypeAlias = int | Sequence[int | Sequence[int]] | Literal["valid", "same", "full"]
"""Zeros on all sides, per axis, or per axis a pair (low, high)."""

Sides: TypeAlias = Sequence[int] | Sequence[Sequence[int]]
"""Two ints per axis, from the last axis to the first, or a pair (before, after) for each axis in order."""

PadMode: TypeAlias = Literal["constant", "reflect", "replicate", "circular"]

ConvPadMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]

Reduction: TypeAlias = Literal["mean", "sum", "none"]

DTypeLike: TypeAlias = "npt.DTypeLike"

Rng: TypeAlias = "int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | np.random.RandomState | None"
"""What `numpy.random.default_rng` takes."""
