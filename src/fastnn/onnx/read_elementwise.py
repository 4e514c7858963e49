"""ONNX's elementwise ops: arithmetic, comparisons, logic and functions of one value."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import absolute, differentiable, exp, log, maximum, minimum, raw, sqrt, where
from ..autograd import ops as tape
from ..autograd.core import is_followed
from ..backend.reference.activation_smooth import SELU_ALPHA, SELU_SCALE
from .read_shapes import converted
from .read_table import F, choice, is_float, number, op, summed, text


def _shaped(function: Callable[[Any, Any], Any], op_name: str) -> None:
    """A function of two arrays, whose broadcast result is looked at before it is made."""

    def compute(a: Any, b: Any, /, *, run: Any) -> Any:
        run.room(np.broadcast_shapes(a.shape, b.shape), raw(a).dtype)
        return function(a, b)

    op(op_name)(compute)


def _divide(a: Any, b: Any) -> Any:
    if is_float(a):
        return tape.divide(a, b)
    quotient = np.floor_divide(a, b)  # rounded down; ONNX rounds towards zero
    inexact = (quotient * b != a) & (b != 0)
    return (quotient + (inexact & ((a < 0) != (b < 0)))).astype(a.dtype)


def _power(a: Any, b: Any) -> Any:
    if not is_float(a):
        return np.power(a, raw(b)).astype(a.dtype)
    if np.ndim(raw(b)) == 0 and not is_followed(b):
        return tape.power(a, float(number(b)))
    return tape.power(a, converted(b, raw(a).dtype))


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": tape.add, "Sub": tape.subtract, "Mul": tape.multiply, "Div": _divide, "Pow": _power,
}  # fmt: skip
for _name, _function in _ARITHMETIC.items():
    _shaped(_function, _name)

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor,
    "BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor,
}  # fmt: skip
for _name, _function in _COMPARISONS.items():
    _shaped(lambda a, b, function=_function: function(raw(a), raw(b)), _name)  # type: ignore[misc]


@op("Not")
def _not(x: Any, /) -> Any:
    return np.logical_not(raw(x))


@op("BitwiseNot")
def _bitwise_not(x: Any, /) -> Any:
    return np.bitwise_not(x)


@op("BitShift")
def _bit_shift(x: Any, by: Any, /, *, direction: Any) -> Any:
    return np.left_shift(x, by) if choice("direction", direction, "LEFT", "RIGHT") == "LEFT" else np.right_shift(x, by)


@op("Mod")
def _mod(a: Any, b: Any, /, *, run: Any, fmod: int = 0) -> Any:
    """The remainder, with the sign of the divisor or, for ``fmod``, of the dividend."""
    run.room(np.broadcast_shapes(a.shape, b.shape), raw(a).dtype)
    if is_float(a):
        return _MOD(a, b, fmod=fmod)
    return np.fmod(a, b) if fmod else np.mod(a, b)


def _mod_forward(a: np.ndarray, b: np.ndarray, *, fmod: int) -> tuple[np.ndarray, Any]:
    turns = np.trunc(a / b) if fmod else np.floor(a / b)
    return np.asarray(np.fmod(a, b) if fmod else np.mod(a, b)), (turns, a.shape, b.shape)


_MOD = differentiable(
    _mod_forward,
    lambda saved, dy: (summed(dy, saved[1]), summed(-dy * saved[0], saved[2])),
    lambda saved, ta, tb: np.broadcast_to(ta - saved[0] * tb, saved[0].shape),
    name="Mod",
)


def _folded(name: str, pair: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compute(first: Any, /, *others: Any, run: Any) -> Any:
        run.room(np.broadcast_shapes(first.shape, *(x.shape for x in others)), raw(first).dtype)
        return functools.reduce(pair, others, first)

    return op(name)(compute)


_folded("Max", maximum)
_folded("Min", minimum)
_add_up = _folded("Sum", tape.add)


@op("Mean")
def _mean(first: Any, /, *others: Any, run: Any) -> Any:
    return tape.divide(_add_up(first, *others, run=run), 1 + len(others))


@op("Where")
def _where(condition: Any, a: Any, b: Any, /, *, run: Any) -> Any:
    run.room(np.broadcast_shapes(condition.shape, a.shape, b.shape), raw(a).dtype)
    return where(condition, a, b) if is_float(a) else np.where(condition, a, b)


@op("Clip")
def _clip(x: Any, low: Any = None, high: Any = None, /) -> Any:
    if low is None and high is None:
        return x
    if not is_followed(low) and not is_followed(high):
        return tape.clip(x, *(None if bound is None else raw(bound) for bound in (low, high)))
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def _smooth(name: str, function: Callable[[Any], Any], slope: Callable[[Any], Any]) -> None:
    """A function of one value with its derivative."""

    def derivative(x: Any, dy: Any) -> Any:
        return np.asarray(slope(x) * dy, dtype=x.dtype)

    made = differentiable(lambda x: (np.asarray(function(x), dtype=x.dtype), x), derivative, derivative, name=name)

    def compute(x: Any, /) -> Any:
        return made(x)

    op(name)(compute)


_smooth("Sin", np.sin, np.cos)
_smooth("Cos", np.cos, lambda x: -np.sin(x))
_smooth("Tan", np.tan, lambda x: 1 + np.tan(x) ** 2)
_smooth("Asin", np.arcsin, lambda x: 1 / np.sqrt(1 - x * x))
_smooth("Acos", np.arccos, lambda x: -1 / np.sqrt(1 - x * x))
_smooth("Atan", np.arctan, lambda x: 1 / (1 + x * x))
_smooth("Sinh", np.sinh, np.cosh)
_smooth("Cosh", np.cosh, np.sinh)
_smooth("Asinh", np.arcsinh, lambda x: 1 / np.sqrt(x * x + 1))
_smooth("Acosh", np.arccosh, lambda x: 1 / np.sqrt(x * x - 1))
_smooth("Atanh", np.arctanh, lambda x: 1 / (1 - x * x))


def _erf_values(x: Any) -> Any:
    """erf, from the Gaussian integral in F.gelu; near 0, where that would cancel, from the Taylor series."""
    z = np.clip(x, -6, 6)  # erf rounds to ±1 there
    scaled = z * math.sqrt(2)
    far = 2 * np.asarray(F.gelu(scaled)) / np.where(scaled == 0, 1, scaled) - 1
    square, power, near = z * z, z, np.zeros_like(z)
    for n in range(12):  # |z| <= 1/2: the next term is below 0.5^25 / (12! · 25)
        near = near + power / (2 * n + 1)
        power = power * -square / (n + 1)
    return np.where(np.abs(z) <= 0.5, near * (2 / math.sqrt(math.pi)), far)


_smooth("Erf", _erf_values, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x))


def _flat(name: str, function: Callable[[Any], Any]) -> None:
    """A function whose derivative is 0 wherever it has one: the result is a constant."""

    def compute(x: Any, /) -> Any:
        return function(raw(x))

    op(name)(compute)


_flat("Floor", np.floor)
_flat("Ceil", np.ceil)
_flat("Round", np.round)
_flat("Sign", np.sign)
_flat("IsNaN", np.isnan)


@op("IsInf")
def _is_inf(x: Any, /, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    x = raw(x)
    return ((x == np.inf) & bool(detect_positive)) | ((x == -np.inf) & bool(detect_negative))


def _plain(name: str, function: Callable[[Any], Any]) -> None:
    def compute(x: Any, /) -> Any:
        return function(x)

    op(name)(compute)


_plain("Neg", tape.negative)
_plain("Abs", lambda x: absolute(x) if is_float(x) else np.abs(x))
_plain("Exp", exp)
_plain("Log", log)
_plain("Sqrt", sqrt)
_plain("Reciprocal", lambda x: tape.divide(1, x))
_plain("Identity", lambda x: x)
_plain("Relu", lambda x: F.relu(x) if is_float(x) else np.maximum(x, 0))
_plain("Sigmoid", F.sigmoid)
_plain("Tanh", F.tanh)
_plain("HardSwish", F.hardswish)
_plain("Softsign", F.softsign)
_plain("Softplus", lambda x: F.softplus(x, threshold=50.0))
_plain("Mish", F.mish)


@op("LeakyRelu")
def _leaky_relu(x: Any, /, *, alpha: float = 0.01) -> Any:
    return F.leaky_relu(x, alpha)


@op("PRelu")
def _prelu(x: Any, slope: Any, /) -> Any:
    shape = np.shape(raw(slope))
    channels = x.shape[1] if x.ndim > 1 else None
    if len(shape) == x.ndim - 1 and shape and shape[0] in (1, channels) and set(shape[1:]) <= {1}:
        return F.prelu(x, slope.reshape(-1))
    return where(raw(x) < 0, tape.multiply(slope, x), x)


@op("Elu")
def _elu(x: Any, /, *, alpha: float = 1.0) -> Any:
    return F.elu(x, alpha)


@op("Celu")
def _celu(x: Any, /, *, alpha: float = 1.0) -> Any:
    return F.celu(x, alpha)


@op("Selu")
def _selu(x: Any, /, *, alpha: float = SELU_ALPHA, gamma: float = SELU_SCALE) -> Any:
    if math.isclose(alpha, SELU_ALPHA, rel_tol=1e-6) and math.isclose(gamma, SELU_SCALE, rel_tol=1e-6):
        return F.selu(x)
    return tape.multiply(F.elu(x, alpha), gamma)


@op("Gelu")
def _gelu(x: Any, /, *, approximate: Any = "none") -> Any:
    return F.gelu(x, text(approximate))


@op("Swish")
def _swish(x: Any, /, *, alpha: float = 1.0) -> Any:
    return F.silu(x) if alpha == 1 else tape.multiply(x, F.sigmoid(tape.multiply(x, alpha)))


@op("HardSigmoid")
def _hard_sigmoid(x: Any, /, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return F.hardsigmoid(x)
    return tape.clip(tape.add(tape.multiply(x, alpha), beta), 0.0, 1.0)


@op("ThresholdedRelu")
def _thresholded_relu(x: Any, /, *, alpha: float = 1.0) -> Any:
    return F.thresholded_relu(x, alpha)


@op("Shrink")
def _shrink(x: Any, /, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    x_ = raw(x)
    if not is_float(x):
        return np.where(x_ < -lambd, x_ + bias, np.where(x_ > lambd, x_ - bias, 0)).astype(x_.dtype)
    zero = np.zeros((), x_.dtype)
    return where(x_ < -lambd, tape.add(x, bias), where(x_ > lambd, tape.subtract(x, bias), zero))
