"""Check derivatives against central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .autograd import Tensor, enable_grad, no_grad, raw

_EPS = float(np.finfo(np.float64).eps)


class GradientError(AssertionError):
    """A backward disagrees with central differences.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.testing import GradientError, gradcheck
    >>> def wrong(x):
    ...     return fnn.autograd.record("wrong", x.data * 2, (x,), lambda dy, needs: (dy * 3,))
    >>> try:
    ...     gradcheck(wrong, 1.0)
    ... except GradientError as error:
    ...     print(str(error).partition(",")[0])
    gradcheck: input 0 of shape ()
    """


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    step: float | None = None,
    rtol: float = 1e-6,
    atol: float | None = None,
    max_elements: int | None = None,
    rng: Any = 0,
) -> bool:
    """Compare the gradients of a function or module with central differences, in float64.

    With a random v, the gradient of ``Σ v·f(x)`` by each element of each input is compared with
    ``Σ v·(f(x+h) − f(x−h)) / 2h``. It is right if the two differ by at most ``rtol`` times the larger plus ``atol``.

    Parameters
    ----------
    function : callable
        Takes tensors and returns a tensor or a tuple of tensors; a module's parameters are checked too,
        and its buffers are put back afterwards. It must give the same result each time (dropout: ``eval()``).
    *inputs : array_like or anything
        Float64 arrays and tensors are differentiated, everything else is handed on. Nothing passed in is changed.
    step : float, optional
        h; by default the cube root of the machine epsilon, times the element where that is larger than 1.
    rtol : float
        Relative tolerance: what the truncation error of the difference may be.
    atol : float, optional
        Absolute tolerance; by default 16 times the rounding error of the difference, ``eps/h · Σ |v·f(x)|``.
    max_elements : int, optional
        Check this many elements of each input, drawn at random, instead of all.
    rng : int or numpy.random.Generator
        Seed of v and of the elements drawn.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        Naming the worst element, its gradient and difference, and how many were wrong.
    TypeError
        If there is no float64 input or parameter to check, or one is float32.
    ValueError
        If the function gives different results for the same input, or values that are not finite.

    Notes
    -----
    At a kink (ReLU at 0, equal elements under a maximum) the difference is not the derivative.

    Examples
    --------
    >>> from fastnn.testing import gradcheck
    >>> gradcheck(lambda x: x.exp() / x.sum(), [1.0, 2.0, 3.0])
    True
    """
    generator = np.random.default_rng(rng)
    arguments = [_argument(x) for x in inputs]
    checked = {f"input {i}": x for i, x in enumerate(arguments) if isinstance(x, Tensor)}
    buffers: dict[str, np.ndarray] = {}
    if hasattr(function, "named_parameters"):
        checked |= {f"parameter {name}": p for name, p in function.named_parameters() if p.requires_grad}
        buffers = dict(function.named_buffers())  # type: ignore[attr-defined]
    for name, x in checked.items():
        if x.dtype != np.float64:
            raise TypeError(f"gradcheck: {name} has dtype {x.dtype}, expected float64")
    if not checked:
        raise TypeError("gradcheck: no float64 input and no parameter to differentiate by")

    before = {name: buffer.copy() for name, buffer in buffers.items()}
    grads = {name: x.grad for name, x in checked.items()}
    try:
        with enable_grad():
            _check(function, arguments, checked, generator, step, rtol, atol, max_elements)
    finally:
        for name, buffer in buffers.items():
            buffer[...] = before[name]
        for name, x in checked.items():
            x.grad = grads[name]
    return True


def _argument(x: Any) -> Any:
    """A float array or tensor as a fresh leaf, anything else as it is."""
    if isinstance(x, (Tensor, np.ndarray, float)) or _is_list_of_floats(x):
        array = np.array(raw(x), order="C")
        if array.dtype.kind == "f":
            return Tensor(array, requires_grad=True)
    return x


def _is_list_of_floats(x: Any) -> bool:
    return isinstance(x, list) and np.asarray(x).dtype.kind == "f"


def _check(
    function: Callable[..., Any],
    arguments: list[Any],
    checked: dict[str, Tensor],
    generator: np.random.Generator,
    step: float | None,
    rtol: float,
    atol: float | None,
    max_elements: int | None,
) -> None:
    outputs = _as_tuple(function(*arguments))
    weights = [generator.standard_normal(y.shape) for y in outputs]

    def evaluate() -> np.ndarray:
        with no_grad():
            results = _as_tuple(function(*arguments))
        return np.concatenate([v.ravel() * raw(y).ravel() for v, y in zip(weights, results, strict=True)])

    value = evaluate()
    if not np.array_equal(value, evaluate(), equal_nan=True):
        raise ValueError("gradcheck: the function gives different results for the same input (dropout in training?)")
    magnitude = float(np.abs(value).sum())
    if not np.isfinite(magnitude):
        raise ValueError("gradcheck: the function gives infinite values or NaN")
    for x in checked.values():
        x.grad = None
    total = sum((y * v).sum() for y, v in zip(outputs, weights, strict=True))
    if isinstance(total, Tensor) and total.requires_grad:
        total.backward()

    for name, x in checked.items():
        _compare(name, x, evaluate, _elements(x, max_elements, generator), step, rtol, atol, magnitude)


def _compare(
    name: str,
    x: Tensor,
    evaluate: Callable[[], np.ndarray],
    elements: Iterator[tuple[int, ...]],
    step: float | None,
    rtol: float,
    atol: float | None,
    magnitude: float,
) -> None:
    gradient = np.zeros(x.shape) if x.grad is None else x.grad
    wrong = count = 0
    worst, report = -1.0, ""
    for at in elements:
        h = step if step is not None else _EPS ** (1 / 3) * max(1.0, abs(x.data[at]))
        expected = _difference(x.data, at, h, evaluate)
        found = float(gradient[at])
        allowed = rtol * max(abs(expected), abs(found)) + (16 * _EPS / h * magnitude if atol is None else atol)
        error = abs(expected - found)
        count += 1
        if error <= allowed:
            continue
        wrong += 1
        excess = error / allowed if allowed > 0 and np.isfinite(error) else np.inf
        if excess > worst:
            worst = excess
            report = (
                f"element {at}: the backward gives {found:.10g}, the central difference {expected:.10g} "
                f"(they differ by {error:.3g}, allowed is {allowed:.3g})"
            )
    if wrong:
        raise GradientError(f"gradcheck: {name} of shape {x.shape}, {report}; {wrong} of {count} elements are wrong")


def _difference(data: np.ndarray, at: tuple[int, ...], h: float, evaluate: Callable[[], np.ndarray]) -> float:
    kept = data[at]
    try:
        data[at] = above = kept + h
        plus = evaluate()
        data[at] = below = kept - h
        minus = evaluate()
    finally:
        data[at] = kept
    # Divided by the distance that was really taken, since kept ± h was rounded.
    return float((plus - minus).sum() / (above - below))


def _elements(x: Tensor, max_elements: int | None, generator: np.random.Generator) -> Iterator[tuple[int, ...]]:
    if max_elements is None or max_elements >= x.size:
        yield from np.ndindex(x.shape)
    else:
        for flat in generator.choice(x.size, max_elements, replace=False):
            yield tuple(int(i) for i in np.unravel_index(flat, x.shape))


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    outputs = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: the function must return tensors, not {type(y).__name__}")
    return outputs
