"""Numbers, flags and per-axis arguments. Everything comes out as plain int, float, bool or tuples of them.

Plain types matter beyond tidiness: the geometry is cached by its arguments, and 1, 1.0 and True are one key.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .arrays import FLOAT32, FLOAT64, shown

# A plain padding: the same on all sides, a mode, or per axis an int or (low, high).
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]
PerAxis = int | tuple[int, ...]

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # of the integers that 64 bits hold

# The normal numbers of float32: neither flushed to 0 in a kernel nor infinite there.
FLOAT32_SMALLEST, FLOAT32_LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def integer(op: str, name: str, value: Any, low: int | None = None, high: int | None = LARGEST) -> int:
    """An int of at least ``low``, which 64 bits must hold unless ``high`` says otherwise; bools and floats are not ints."""
    plain = value if type(value) is int else _index(value)
    if plain is None:
        raise TypeError(f"{op}: {name} must be an int, got {shown(value)}")
    if low is not None and plain < low:
        raise ValueError(f"{op}: {name} must be at least {low}, got {shown(plain)}")
    if high is not None and not SMALLEST <= plain <= high:
        raise ValueError(f"{op}: {name} must fit in 64 bits, got {shown(plain)}")
    return plain


def _index(value: Any) -> int | None:
    """``value`` as an int, or None if it isn't one."""
    if isinstance(value, (bool, np.bool_, np.ndarray)):
        return None
    try:
        return int(operator.index(value))
    except Exception:  # noqa: BLE001 - an object's __index__ can raise anything
        return None


def real(
    op: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite float in [low, high], with either end left out where said. An infinite end is no limit."""
    if type(value) is not float:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{op}: {name} must be a real number, got {shown(value)}")
        try:
            value = float(value)
        except OverflowError as error:
            raise ValueError(f"{op}: {name} must be finite, got an int too large for a float") from error
    if not math.isfinite(value):
        raise ValueError(f"{op}: {name} must be finite, got {value}")
    if value < low or value > high or (open_low and value == low) or (open_high and value == high):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{op}: {name} must be in {left}{_end(low)}, {_end(high)}{right}, got {value}")
    return float(value)


def _end(value: float) -> str:
    """The end of an interval, to the last digit: 1 rather than 1.0."""
    return repr(value).removesuffix(".0")


def normal(op: str, name: str, value: float, like: Any) -> float:
    """``value``, refused where the type of the array ``like`` does not hold it: as 0, or as a normal number.

    A kernel would compute with 0 or infinity instead. ``like`` may be anything array_like; without a dtype it will be float64.
    """
    if FLOAT32_SMALLEST <= value <= FLOAT32_LARGEST or value == 0 or like is None:
        return value
    dtype = getattr(like, "dtype", FLOAT64)
    held = np.finfo(FLOAT32 if getattr(dtype, "itemsize", 8) == 4 else FLOAT64)
    low, high = float(held.tiny), float(held.max)
    if not low <= abs(value) <= high:
        raise ValueError(
            f"{op}: {name} must be 0 or of a size in [{low}, {high}], the normal numbers of {held.dtype}, got {value}"
        )
    return value


def coefficient(op: str, name: str, value: Any, like: Any) -> float:
    """A finite float that the type of the array ``like`` holds."""
    if type(value) is float and FLOAT32_SMALLEST <= value <= FLOAT32_LARGEST:
        return value
    return normal(op, name, real(op, name, value), like)


def flag(op: str, name: str, value: Any) -> bool:
    """True or False and nothing that is only truthy."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{op}: {name} must be True or False, got {shown(value)}")


ALL = (True, True, True)  # which gradients are wanted: dx, dweight and dbias


def needs(op: str, value: Any) -> tuple[bool, bool, bool]:
    """Which of the gradients (dx, dweight, dbias) a backward is to compute."""
    expected = f"{op}: needs must be three bools, for dx, dweight and dbias, got"
    if not isinstance(value, (tuple, list)) or not all(isinstance(v, (bool, np.bool_)) for v in value):
        raise TypeError(f"{expected} {shown(value)}")
    if len(value) != 3:
        raise ValueError(f"{expected} {len(value)}: {shown(value)}")
    return bool(value[0]), bool(value[1]), bool(value[2])


def per_axis(op: str, name: str, value: Any, rank: int, low: int = 1) -> PerAxis:
    """An int, or a tuple of ``rank`` ints."""
    if type(value) is int:
        return integer(op, name, value, low) if value < low or value > LARGEST else value
    if type(value) is tuple and len(value) == rank and _plain(value, low):
        return value
    return _per_axis(op, name, value, rank, low)


def _plain(value: tuple[Any, ...], low: int) -> bool:
    """Whether a tuple needs no conversion: the case of every layer, and much faster to see than to convert."""
    for v in value:
        if type(v) is not int or v < low or v > LARGEST:
            return False
    return True


def _per_axis(op: str, name: str, value: Any, rank: int, low: int) -> PerAxis:
    entries = value if isinstance(value, (tuple, list)) else (value,) * rank
    converted = [_index(v) for v in entries]
    if len(converted) != rank:
        raise ValueError(f"{op}: {name} must be an int or a tuple of {rank} ints, got {shown(value)}")
    result = tuple(v for v in converted if v is not None)
    if len(result) != rank:
        raise TypeError(f"{op}: {name} must be an int or a tuple of {rank} ints, got {shown(value)}")
    if min(result) < low or max(result) > LARGEST:
        raise ValueError(f"{op}: {name} must be at least {low} and fit in 64 bits, got {shown(value)}")
    return result


def ints(op: str, name: str, value: Any) -> tuple[int, ...]:
    """Any number of ints, none negative: a shape."""
    if type(value) is tuple and _plain(value, 0):
        return value
    if not isinstance(value, (tuple, list)):
        value = (value,)
    return tuple(integer(op, name, v, 0) for v in value)


def padding(op: str, value: Any, rank: int) -> Padding:
    """An int, one entry per axis (an int or (low, high)), or "valid", "same", "full"."""
    if (type(value) is int and 0 <= value <= LARGEST) or (
        type(value) is tuple and len(value) == rank and _plain(value, 0)
    ):
        return value
    if isinstance(value, str):
        if value in ("valid", "same", "full"):
            return value
        raise ValueError(f"{op}: padding must be 'valid', 'same' or 'full' where it is a string, got {shown(value)}")
    if isinstance(value, (tuple, list)):
        if len(value) != rank:
            raise ValueError(
                f"{op}: padding must have {rank} entries, each an int or a pair (low, high), got {shown(value)}"
            )
        return tuple(_side_pair(op, value, entry) for entry in value)
    return _side_pair(op, value, value)[0]


def _side_pair(op: str, whole: Any, entry: Any) -> tuple[int, int]:
    sides = entry if isinstance(entry, (tuple, list)) else (entry, entry)
    low, high = (_index(sides[0]), _index(sides[1])) if len(sides) == 2 else (None, None)
    if low is None or high is None:
        raise TypeError(
            f"{op}: padding must be an int, an int or a pair (low, high) per axis, 'valid', 'same' or 'full', "
            f"got {shown(whole)}"
        )
    if min(low, high) < 0:
        raise ValueError(f"{op}: padding must not be negative, got {shown(whole)}")
    if max(low, high) > LARGEST:
        raise ValueError(f"{op}: padding must fit in 64 bits, got {shown(whole)}")
    return low, high


def generator(op: str, rng: Any) -> np.random.Generator:
    """A generator from what `numpy.random.default_rng` takes; lists are looked into, as NumPy follows cyclic ones."""
    random = np.random  # NumPy imports it at its first use, which takes longer than to import fastnn
    if isinstance(rng, (tuple, list)):
        rng = [integer(op, "rng", v, 0, None) for v in rng]
    elif isinstance(rng, np.ndarray):
        if rng.dtype.kind not in "iu" or rng.ndim != 1:
            raise TypeError(
                f"{op}: rng must be 1-d integers where it is an array, got {rng.dtype} of shape {rng.shape}"
            )
    elif not isinstance(rng, (random.Generator, random.BitGenerator, random.SeedSequence, random.RandomState)):
        rng = None if rng is None else integer(op, "rng", rng, 0, None)
    try:
        return random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{op}: rng must be what numpy.random.default_rng takes: {error}") from error


def seed(op: str, forward: str, rng: Any) -> Any:
    """``rng`` where it gives the same numbers each time; a generator has moved on since ``forward`` drew from it."""
    random = np.random
    if rng is None or isinstance(rng, (random.Generator, random.BitGenerator, random.RandomState)):
        raise TypeError(
            f"{op}: rng must be the int, the ints or the SeedSequence that {forward} got, since {_described(rng)} would give "
            f"other random numbers; draw one, seed = int(generator.integers(2**63)), and pass rng=seed to both"
        )
    return rng


def _described(rng: Any) -> str:
    return "None" if rng is None else f"a {type(rng).__name__}"
