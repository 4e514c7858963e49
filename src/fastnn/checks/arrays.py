"""What an array argument must be before a kernel sees it: C-contiguous, aligned, native, float32 or float64.

Elementwise functions also take axes in another order (`dense`).
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
MAX_AXES = 64  # NumPy's arrays have no more


def _max_elements() -> int:
    """More elements than this no array may have: what the machine's memory holds in float32.

    Beyond it an allocation may seem to work and then get the process killed. It is also far below where the
    kernels' 64-bit offsets could overflow.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        memory = 0
    return memory // 4 if memory > 0 else 2**59


MAX_ELEMENTS = _max_elements()

# Bits of ndarray.flags.num, read at once because four attribute look-ups would cost as much as the ReLU of a
# small array.
_C_CONTIGUOUS, _ALIGNED, _WRITEABLE = 0x0001, 0x0100, 0x0400
_READABLE = _C_CONTIGUOUS | _ALIGNED
_IN_PLACE = _READABLE | _WRITEABLE

_ndarray = np.ndarray
_NUMBERS = (int, float, np.integer, np.floating)


def shown(value: Any) -> str:
    """A short repr that cannot fail."""
    return reprlib.repr(value)


def counted(number: int, what: str, ending: str = "s") -> str:
    """A number of things.

    >>> counted(1, "trial"), counted(2, "trial")
    ('1 trial', '2 trials')
    """
    return f"{number} {what}{'' if number == 1 else ending}"


def limited(op: str, what: str, *shape: int) -> None:
    """Refuse an array too large for the machine; an empty axis counts as one element long."""
    if math.prod([n or 1 for n in shape]) > MAX_ELEMENTS:
        raise ValueError(f"{op}: {what} would have shape {shape}, too large for the memory of this machine")


def array(op: str, name: str, value: Any) -> Array:
    """``value`` itself if a kernel can read it as it is, else a copy that it can."""
    if type(value) is _ndarray and value.flags.num & _READABLE == _READABLE:
        dtype = value.dtype
        if dtype is FLOAT32 or dtype is FLOAT64:
            return value
    return _converted(op, name, value)


def _converted(op: str, name: str, value: Any) -> Array:
    return _plain(_floats(op, name, value))


def _floats(op: str, name: str, value: Any) -> Array:
    given = _as_ndarray(op, name, value, "an array of float32 or float64")
    dtype = given.dtype
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        hint = (
            _foreign(value) if dtype.kind == "O" else f"; pass {_as_floats(name, value)}" if dtype.kind in "iub" else ""
        )
        raise TypeError(f"{op}: {name} must be float32 or float64, got dtype {dtype} and shape {given.shape}{hint}")
    limited(op, name, *given.shape)
    return given


def _as_floats(name: str, value: Any, dtype: Any = FLOAT32) -> str:
    """How to write the conversion of integers or lists, by default to the dtype that networks have."""
    return f"{name}.astype(np.{dtype})" if hasattr(value, "astype") else f"np.asarray({name}, np.{dtype})"


def _plain(given: Array) -> Array:
    """An array of floats as a kernel can read it: itself, or a copy."""
    dtype = FLOAT32 if given.dtype.itemsize == 4 else FLOAT64
    return np.require(in_c_order(given) if given.dtype == dtype else given, dtype, ("C", "A"))


def in_c_order(a: Array) -> Array:
    """An array that is C-contiguous: itself, or a copy that the active backend makes."""
    return a if a.flags.c_contiguous else backend.current().contiguous(a)


def dense(op: str, name: str, value: Any) -> Array:
    """As `array`, for elementwise functions: one whose axes are C-contiguous in another order stays as it is."""
    if type(value) is _ndarray and value.flags.num & _READABLE == _READABLE:
        dtype = value.dtype
        if dtype is FLOAT32 or dtype is FLOAT64:
            return value
    given = _floats(op, name, value)
    in_place = given.flags.aligned and given.dtype.isnative and _is_dense(given)
    return given if in_place else _plain(given)


def _axes_in_memory(a: Array) -> list[int]:
    """The axes from the farthest neighbours to the nearest; those of one element first."""
    strides, shape = a.strides, a.shape
    return sorted(range(a.ndim), key=lambda i: (shape[i] != 1, -strides[i]))


def _is_dense(a: Array) -> bool:
    axes = _axes_in_memory(a)
    return bool(a.transpose(axes).flags.c_contiguous)


def beside(a: Array, first: Array) -> Array:
    """A second array of an elementwise function, in the order of axes of the first, which is dense: itself or a copy."""
    if a.flags.c_contiguous and first.flags.c_contiguous:
        return a
    axes = _axes_in_memory(first)
    turned = a.transpose(axes)
    if turned.flags.c_contiguous:
        return a
    return _plain(turned).transpose(np.argsort(axes))


def _foreign(value: Any) -> str:
    """What to do with an object of another library that computes derivatives by passing such objects through functions."""
    if isinstance(value, (_ndarray, list, tuple)):
        return ""
    return (
        f", from an object of type {type(value).__name__}: a library that differentiates through its own objects must be "
        "given this function as a primitive, with its backward as the derivative"
    )


def constant(op: str, name: str, value: Any) -> Any:
    """The array of a tensor, which is refused where a gradient by it is wanted; any other value as it is.

    Functions hand over the arrays of what they differentiate by, so a tensor that comes here is a constant to them.
    """
    # A method of `fastnn.Tensor`, which this module cannot import.
    as_constant = getattr(type(value), "_as_constant", None)
    return value if as_constant is None else as_constant(value, op, name)


def _as_ndarray(op: str, name: str, value: Any, expected: str) -> Array:
    value = constant(op, name, value)
    if value is None or isinstance(value, (str, bytes)):
        raise TypeError(f"{op}: {name} must be {expected}, got {shown(value)}")
    unmasked(op, name, value)
    try:
        return np.asarray(value)
    except Exception as error:  # an object's __array__ can raise anything
        raise TypeError(f"{op}: {name} must be {expected}, got {type(value).__name__}: {error}") from error


def unmasked(op: str, name: str, value: Any) -> Any:
    """``value``, unless an array of it would lose something.

    That is the mask of a masked array, also in lists, and the derivative by tensors in lists.
    """
    if type(value) is _ndarray:
        return value
    if isinstance(value, (list, tuple)):
        _complete_parts(op, name, value, MAX_AXES)
    elif isinstance(value, _ndarray) and isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{op}: {name} is a masked array, whose mask would be lost; say with .filled(value) what is to stand there"
        )
    return value


def _complete_parts(op: str, name: str, parts: Any, depth: int) -> None:
    for part in parts:
        kind = type(part)
        if kind is float or kind is int:
            continue
        if isinstance(part, (list, tuple)):
            if depth:
                _complete_parts(op, name, part, depth - 1)
            continue
        wanted = getattr(kind, "_wanted", None)  # a method of `fastnn.Tensor`, which this module cannot import
        if wanted is None:
            unmasked(op, name, part)
        elif derivative := wanted(part):
            raise TypeError(
                f"{op}: {name} is a {type(parts).__name__} with a tensor of shape {part.shape} that {derivative}, which "
                "would be lost; make a tensor of it with fastnn.stack or concatenate, or pass detach() of its tensors"
            )


def operand(
    op: str,
    name: str,
    value: Any,
    dtype: np.dtype[Any],
    shape: Shape | None = None,
    first: str = "x",
    as_array: Callable[[str, str, Any], Array] = array,
) -> Array:
    """A second array of a call: of the ``first`` one's dtype and, where given, of exactly this shape; as `array` or `dense`.

    A number, Python's or NumPy's, is one without axes. It takes that dtype, as it does beside an array in NumPy's arithmetic.
    """
    if type(value) is not _ndarray and isinstance(value, _NUMBERS) and not isinstance(value, bool):
        value = _of_number(op, name, value, dtype)
    a = as_array(op, name, value)
    if a.dtype is not dtype:
        same_dtype(op, name, a, dtype, first)
    if shape is not None and a.shape != shape:
        raise ValueError(f"{op}: {name} must have shape {shape}, got {a.shape}")
    return a


def _of_number(op: str, name: str, value: Any, dtype: np.dtype[Any]) -> Array:
    try:
        with np.errstate(over="raise"):
            return np.array(value, dtype)
    except (OverflowError, FloatingPointError):
        raise ValueError(f"{op}: {name} must be a number that {dtype} holds, got {shown(value)}") from None


def same_dtype(op: str, name: str, a: Array, dtype: np.dtype[Any], first: str = "x") -> None:
    """Refuse a mixture of float32 and float64.

    The float64 array is named as the odd one: NumPy makes such by default, which then meet weights of float32.
    """
    if a.dtype != dtype:
        wide, narrow = (first, name) if dtype == FLOAT64 else (name, first)
        model = " (of all weights of a model: model.astype(np.float64))" if name.startswith("weight") else ""
        raise TypeError(
            f"{op}: {wide} is float64 but {narrow} is float32, and both must have one dtype: {wide}.astype(np.float32) or "
            f"{narrow}.astype(np.float64){model}; the shape of {name} is {a.shape}"
        )


def optional(op: str, name: str, value: Any, dtype: np.dtype[Any], shape: Shape, first: str = "x") -> Array | None:
    """As `operand`, but None stays None."""
    return None if value is None else operand(op, name, value, dtype, shape, first)


def in_place(
    op: str, name: str, value: Any, dtype: np.dtype[Any] | None = None, shape: Shape | None = None, first: str = "x"
) -> Array:
    """An array that will be written to: a copy would lose the result, so it must be usable as it is.

    Where there is a ``first`` array, it must have the dtype of that one.
    """
    if type(value) is _ndarray and value.flags.num & _IN_PLACE == _IN_PLACE:
        known = value.dtype is FLOAT32 or value.dtype is FLOAT64
        if known and (dtype is None or value.dtype is dtype) and (shape is None or value.shape == shape):
            return value
    return _examined_in_place(op, name, value, dtype, shape, first)


def _examined_in_place(
    op: str, name: str, value: Any, dtype: np.dtype[Any] | None, shape: Shape | None, first: str
) -> Array:
    """The same for a tensor or a subclass such as a memmap, and the error where an array is not usable."""
    value = constant(op, name, value)
    if not isinstance(value, _ndarray):
        raise TypeError(f"{op}: {name} is updated in place and must be an ndarray, got {type(value).__name__}")
    unmasked(op, name, value)
    given = value.dtype
    if not given.isnative or given.kind != "f" or given.itemsize not in (4, 8):
        raise TypeError(f"{op}: {name} is updated in place and must be native float32 or float64, got dtype {given}")
    if dtype is not None:
        same_dtype(op, name, value, dtype, first)
    if shape is not None and value.shape != shape:
        raise ValueError(f"{op}: {name} must have shape {shape}, got {value.shape}")
    missing = _IN_PLACE & ~value.flags.num
    if missing:
        why = "writeable" if missing & _WRITEABLE else "C-contiguous" if missing & _C_CONTIGUOUS else "aligned"
        raise ValueError(f"{op}: {name} is updated in place but is not {why} (shape {value.shape})")
    return value.view(_ndarray)


def no_overlap(op: str, targets: dict[str, Array], **inputs: Array | None) -> None:
    """Refuse in-place targets that share memory with each other or with an input; all are contiguous."""
    earlier = [(name, a) for name, a in inputs.items() if a is not None]
    for name, a in targets.items():
        for other, b in earlier:
            if np.may_share_memory(a, b):
                raise ValueError(f"{op}: {name} of shape {a.shape} overlaps {other} of shape {b.shape} in memory")
        earlier.append((name, a))


def shape_of(op: str, name: str, value: Any) -> Shape:
    """The shape given as an array (of a tensor, whatever is wanted of it) or as a tuple of ints."""
    if isinstance(value, _ndarray) or hasattr(type(value), "_as_constant"):
        return tuple(value.shape)
    if isinstance(value, (tuple, list)) and all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in value
    ):
        return tuple(int(n) for n in value)
    raise TypeError(f"{op}: {name} must be an array or a shape, got {shown(value)}")


def integer_array(op: str, name: str, value: Any) -> Array:
    """An ndarray of some integer dtype."""
    given = _as_ndarray(op, name, value, "an array of integers")
    if given.dtype.kind not in "iu":
        raise TypeError(f"{op}: {name} must hold integers, got dtype {given.dtype} and shape {given.shape}")
    return given


def all_below(numbers: Array, end: int) -> bool:
    """Whether all of an int64 array are in [0, end): one comparison, since negative numbers are huge as unsigned ones."""
    return bool((numbers.view(np.uint64) < end).all())


def class_targets(
    op: str,
    value: Any,
    shape: Shape,
    classes: int,
    ignore_index: int | None,
    probabilities: np.dtype[Any] | None = None,
) -> tuple[Array, bool]:
    """Class indices as flat int64, each in [0, classes) or ignore_index; and whether surely none is ignored.

    ``probabilities`` is the dtype of those that the operation takes besides.
    """
    given = _as_ndarray(op, "target", value, "an array of integers")
    if given.shape == (*shape[:1], classes, *shape[1:]) and given.dtype.kind in "iufb":
        floats = "" if probabilities is None else f", or probabilities by {_as_floats('target', value, probabilities)}"
        whole = given.dtype.kind != "f"
        wanted = f"have shape {shape} where it holds integers" if whole else f"hold integers, in shape {shape}"
        raise (ValueError if whole else TypeError)(
            f"{op}: target must {wanted}, which are classes, got dtype {given.dtype} and shape {given.shape}; one-hot rows "
            f"become classes by np.argmax(target, axis=1){floats}"
        )
    given = integer_array(op, "target", given)
    if given.shape != shape:
        raise ValueError(f"{op}: target must have shape {shape}, got {given.shape}")
    if given.dtype.kind == "i":
        plain = given.dtype is INT64 and given.flags.num & _READABLE == _READABLE
        target = (given if plain else np.require(given, INT64, ("C", "A"))).reshape(-1)
        if all_below(target, classes):
            return target, ignore_index is None or not 0 <= ignore_index < classes
    legal = (given >= 0) & (given < classes)
    if ignore_index is not None:
        legal |= given == ignore_index
    if not legal.all():
        wrong = given[~legal][0]
        other = "" if ignore_index is None else f" or ignore_index={ignore_index}"
        raise ValueError(f"{op}: target holds {wrong}, expected 0 to {classes - 1}{other} (shape {shape})")
    return np.require(given, INT64, ("C", "A")).reshape(-1), False
