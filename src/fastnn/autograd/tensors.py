"""`Tensor`: a value with arithmetic, indexing and the other methods that arrays have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from .._types import Array, Constant, DTypeLike, Value
from ..checks.arrays import unmasked
from . import ops, reductions, shaping
from .changes import note_change
from .core import Axis, TensorBase, _as_data, has_tangent, is_followed, raw, use_kind
from .modes import mode
from .numpy_functions import call_numpy

Changed = TypeVar("Changed", bound="Tensor")


class Tensor(TensorBase):
    """An array on which operations are recorded, so that `backward` can differentiate through them.

    Parameters
    ----------
    array : array_like
        The values: float32 or float64 (integers and booleans where no gradient is required). An ndarray
        is not copied; `fastnn.tensor` copies.
    requires_grad : bool
        Whether `backward` shall leave a gradient in ``.grad``.

    Attributes
    ----------
    data : ndarray
        The values.
    grad : ndarray or None
        The gradient, summed over calls of `backward`; only leaves get one (see `retain_grad`).

    Notes
    -----
    Arithmetic follows NumPy's broadcasting and type promotion, comparisons give plain boolean arrays,
    and an ndarray on the left (``array * tensor``) works too. Tensors hash by identity. A NumPy scalar beside a tensor of
    floats counts as a Python number, which leaves the tensor's dtype alone; an array without axes does not.
    ``x ** 3`` and ``x ** 4`` are products, up to two units in the last place from the exact value.

    ``x += y`` and its like change values in place, as NumPy does, where nothing is recorded: those of any tensor inside
    `no_grad`, also of ``row = w[0]``, whose memory is that of ``w``; elsewhere those of a leaf, if neither requires a
    gradient. A leaf that requires one is not changed while operations are recorded, and other tensors get a new value,
    with a history.

    NumPy's own functions take a tensor's values, and refuse a tensor that requires a gradient where they would lose it;
    ``.numpy()`` and ``np.asarray`` say that this is meant.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ()

    def detach(self) -> Tensor:
        """A tensor with the same memory and no history."""
        return Tensor(self.data)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set ``requires_grad``, and return this tensor."""
        self.requires_grad = requires_grad
        return self

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number if there are no axes."""
        return self.data.tolist()

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self.data)))

    def __float__(self) -> float:
        return float(self.data.item())

    def __int__(self) -> int:
        return int(self.data.item())

    def __bool__(self) -> bool:
        return bool(self.data)

    # Hidden from type checkers: they would take `array * tensor` for an array, and a list of tensors for an array_like.
    if not TYPE_CHECKING:

        def __array__(self, dtype=None, copy=None):
            return np.array(self.data, dtype=dtype, copy=copy)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.data.size != 1:
            raise TypeError(f"Tensor: a format like {spec!r} is for one element, this tensor has shape {self.shape}")
        return format(self.data.item(), spec)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return call_numpy(function, types, args, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise BufferError("Tensor: a tensor that requires a gradient is not exported by DLPack; use detach()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    __hash__ = object.__hash__

    def __add__(self, other: Value) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Value) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Value) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Value) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Value) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Value) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Value) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Value) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Value) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Value) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Value) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Value) -> Tensor:
        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.absolute(self)  # type: ignore[return-value]

    def __getitem__(self, index: Any) -> Tensor:
        return shaping.getitem(self, index)

    def __setitem__(self, index: Any, value: Value) -> None:
        if self._node is not None or (self._requires_grad and mode.enabled) or has_tangent(self):
            raise RuntimeError(
                "Tensor: elements can be assigned in leaves only, and where a gradient is required inside no_grad(); "
                "use fastnn.where or concatenate to compute with a gradient"
            )
        if is_followed(value):
            raise RuntimeError(
                "Tensor: a tensor that requires a gradient was assigned to elements, which is not recorded; use "
                "fastnn.stack, where or concatenate, or assign value.detach()"
            )
        value = unmasked("Tensor", "the value assigned", raw(value))
        index = shaping.plain_index("Tensor", index)
        written = shaping.part(self.data, index)
        try:
            self.data[index] = value
        except ValueError as error:
            raise ValueError(f"Tensor: {error}{_why_read_only(self)}") from None
        finally:  # also after an error: if one number does not fit, others may have been written before
            note_change(written)

    def __iadd__(self, other: Value) -> Self:
        return _in_place(self, other, np.add, ops.add)

    def __isub__(self, other: Value) -> Self:
        return _in_place(self, other, np.subtract, ops.subtract)

    def __imul__(self, other: Value) -> Self:
        return _in_place(self, other, np.multiply, ops.multiply)

    def __itruediv__(self, other: Value) -> Self:
        return _in_place(self, other, np.divide, ops.divide)

    def __ipow__(self, other: Value) -> Self:
        return _in_place(self, other, np.power, ops.power)

    def __imatmul__(self, other: Value) -> Self:
        return _in_place(self, other, _matmul_into, matmul)

    def __eq__(self, other: object) -> Array:  # type: ignore[override]
        equal: Array = self.data == raw(other)
        return equal

    def __ne__(self, other: object) -> Array:  # type: ignore[override]
        unequal: Array = self.data != raw(other)
        return unequal

    def __lt__(self, other: Value) -> Array:
        return self.data < raw(other)

    def __le__(self, other: Value) -> Array:
        return self.data <= raw(other)

    def __gt__(self, other: Value) -> Array:
        return self.data > raw(other)

    def __ge__(self, other: Value) -> Array:
        return self.data >= raw(other)

    def exp(self) -> Tensor:
        """e to the power of each element."""
        return ops.exp(self)  # type: ignore[return-value]

    def log(self) -> Tensor:
        """The natural logarithm of each element."""
        return ops.log(self)  # type: ignore[return-value]

    def sqrt(self) -> Tensor:
        """The square root of each element."""
        return ops.sqrt(self)  # type: ignore[return-value]

    def abs(self) -> Tensor:
        """The absolute value of each element."""
        return ops.absolute(self)  # type: ignore[return-value]

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over an axis, several axes, or everything."""
        return reductions.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over an axis, several axes, or everything."""
        return reductions.mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
        return reductions.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
        return reductions.min(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """The variance over an axis, several axes, or everything; the divisor is the count less ``ddof``."""
        return reductions.var(self, axis, keepdims, ddof)

    def std(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """The standard deviation, the root of `var`; where it is 0, so is the gradient."""
        return reductions.std(self, axis, keepdims, ddof)

    def clip(self, min: Constant | None = None, max: Constant | None = None) -> Tensor:
        """Each element, but not below ``min`` nor above ``max``; the gradient is 0 outside."""
        return ops.clip(self, min, max)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Array:
        """Where the largest element is, along an axis or in the flattened tensor, as a plain array or integer."""
        place: Array = np.argmax(self.data, axis=axis, keepdims=keepdims)
        return place

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Array:
        """Where the smallest element is, along an axis or in the flattened tensor, as a plain array or integer."""
        place: Array = np.argmin(self.data, axis=axis, keepdims=keepdims)
        return place

    def clone(self) -> Tensor:
        """A copy of the values, through which gradients flow."""
        return shaping.clone(self)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements in another shape, given as a tuple or as several integers; one may be -1."""
        return shaping.reshape(self, shape[0] if len(shape) == 1 else shape)

    def flatten(self) -> Tensor:
        """The same elements along one axis."""
        return shaping.reshape(self, -1)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order: all of them, as a tuple or as integers, or two integers that change places.

        Two integers are PyTorch's form, of a matrix too: NumPy's ``transpose(0, 1)`` leaves a matrix as it is, this one is
        ``.T``. Without arguments the axes are reversed.
        """
        return shaping.swapaxes(self, *axes, "transpose") if len(axes) == 2 else self.permute(*axes)

    def permute(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order, all of them given as a tuple or as integers."""
        return shaping.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return shaping.transpose(self)

    def swapaxes(self, first: int, second: int) -> Tensor:
        """Two axes exchanged."""
        return shaping.swapaxes(self, first, second)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        """Without axes of extent 1: all of them, or those named."""
        return shaping.squeeze(self, axis)

    def unsqueeze(self, axis: int | tuple[int, ...]) -> Tensor:
        """With a new axis of extent 1 there; with several where a tuple says so."""
        return shaping.expand_dims(self, axis)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """In another dtype; the gradient comes back in this one."""
        return shaping.astype(self, dtype)


def _in_place(x: Changed, other: Any, write: Callable[..., Any], operation: Callable[..., Any]) -> Changed:
    """An augmented assignment: ``write`` changes the memory of a leaf, ``operation`` gives a new tensor."""
    recorded = x._node is not None and mode.enabled
    if recorded or has_tangent(x) or (is_followed(other) and not is_followed(x)):
        fresh: Changed = operation(x, other)  # a tensor, but not always of the subclass that x is of
        if mode.tracer is not None:
            mode.tracer.replaced(x)
        return fresh
    name = operation.__name__
    if is_followed(x):
        raise RuntimeError(
            f"{name}: a leaf that requires a gradient cannot be changed in place while operations are recorded; change it "
            "inside no_grad(), or compute a new tensor: x = x + y in the place of x += y"
        )
    values = ops.operand(other, name)
    try:
        write(x.data, values, out=x.data)
    except ValueError as error:  # shapes don't fit
        raise ValueError(f"{name}: {error}{_why_read_only(x)}") from None
    except TypeError as error:  # dtypes don't fit; NumPy's subclass of TypeError takes other arguments
        raise TypeError(f"{name}: {error}") from None
    finally:  # also after an error, since NumPy raises those of single elements after it has written them
        note_change(x.data)
    return x


def _why_read_only(x: Tensor) -> str:
    if x.data.flags.writeable:
        return ""
    return "; a new tensor can be computed: x = x + y in the place of x += y. What grad, vjp and jvp differentiate by is read-only"


_product: Callable[[Any, Any], Tensor]


def matmul(a: Any, b: Any) -> Tensor:
    """``a @ b``."""
    return _product(a, b)


def _matmul_into(a: np.ndarray, b: Any, out: np.ndarray) -> None:
    y: Any = _product(a, np.asarray(b))
    if y.shape != out.shape:
        raise ValueError(f"the product has shape {y.shape} but is to be put into {out.shape}")
    np.copyto(out, y)


def use_product(product: Callable[[Any, Any], Any]) -> None:
    """What ``@`` calls: `fastnn.functional.matmul`, which is above this module."""
    global _product
    _product = product


def tensor(array: Value, requires_grad: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """A `Tensor` with a copy of the values.

    Parameters
    ----------
    array : array_like
        The values.
    requires_grad : bool
        Whether `Tensor.backward` shall leave a gradient in ``.grad``.
    dtype : dtype, optional
        float32 or float64, or integers or booleans where no gradient is required; by default what NumPy makes of
        ``array``.

    Returns
    -------
    Tensor
        A leaf, of C-contiguous values.

    Raises
    ------
    TypeError
        For another dtype, or integers or booleans with ``requires_grad=True``.
    ValueError
        For nested lists that are not of one shape.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.tensor([[1, 2]], dtype="float32", requires_grad=True)
    tensor([[1., 2.]], dtype=float32, requires_grad=True)
    """
    return Tensor(np.array(_as_data(array, "tensor"), dtype=dtype, order="C"), requires_grad)


use_kind(Tensor)
