"""ONNX's products of matrices."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..autograd import differentiable, raw, shaping
from ..autograd import ops as tape
from .read_table import F, is_float, op, text


@op("MatMul")
def _matmul(a: Any, b: Any, /, *, run: Any) -> Any:
    if a.ndim and b.ndim:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        run.room((*lead, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())), raw(a).dtype)
    return F.matmul(a, b) if is_float(a) else np.matmul(a, b)


@op("Gemm")
def _gemm(
    a: Any,
    b: Any,
    c: Any = None,
    /,
    *,
    run: Any,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"matrices have shapes {a.shape} and {b.shape}")
    rows, columns = a.shape[1 if transA else 0], b.shape[0 if transB else 1]
    run.room((rows, columns), raw(a).dtype)
    a = shaping.transpose(a) if transA else a
    if alpha == beta == 1 and c is not None and c.shape == (columns,) and is_float(a):
        return F.linear(a, b if transB else shaping.transpose(b), c)
    b = shaping.transpose(b) if transB else b
    y = F.matmul(a, b) if is_float(a) else np.matmul(a, b)
    y = y if alpha == 1 else _scaled(y, alpha)
    if c is None:
        return y
    if np.broadcast_shapes(c.shape, y.shape) != y.shape:
        raise ValueError(f"C of shape {c.shape} does not broadcast to {y.shape}")
    return tape.add(y, c if beta == 1 else _scaled(c, beta))


def _scaled(x: Any, factor: float) -> Any:
    return tape.multiply(x, factor) if is_float(x) else (x * factor).astype(x.dtype)


def _terms(equation: str, arrays: tuple[np.ndarray, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; those that an ellipsis stands for are capital ones not in use."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ValueError(f"{len(arrays)} operands for the equation {equation!r}")
    if not arrow:
        once = Counter(left.replace(",", "").replace(".", ""))
        right = ("..." if "..." in left else "") + "".join(sorted(c for c, n in once.items() if n == 1))
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in equation]
    hidden = max(
        (a.ndim - len(s.replace("...", "")) for s, a in zip(inputs, arrays, strict=True) if "..." in s), default=0
    )
    if not 0 <= hidden <= len(spare):
        raise ValueError(f"the operands do not fit the equation {equation!r}")
    letters = "".join(spare[:hidden])
    for i, (s, a) in enumerate(zip(inputs, arrays, strict=True)):
        own = a.ndim - len(s.replace("...", ""))
        inputs[i] = s.replace("...", letters[hidden - own :] if own else "")
        if len(inputs[i]) != a.ndim or (not inputs[i].isalpha() and inputs[i]):
            raise ValueError(f"operands of shapes {[x.shape for x in arrays]} do not fit the equation {equation!r}")
    output = right.replace("...", letters)
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        raise ValueError(f"the result of the equation {equation!r} has a letter twice, or one that no operand has")
    return inputs, output


def _einsum_forward(*arrays: np.ndarray, equation: str) -> tuple[np.ndarray, Any]:
    inputs, output = _terms(equation, arrays)
    y = np.einsum(",".join(inputs) + "->" + output, *arrays, optimize=len(arrays) > 2)
    return np.asarray(y), (arrays, inputs, output)


def _einsum_gradient(i: int, arrays: Any, inputs: list[str], output: str, dy: np.ndarray) -> np.ndarray:
    """The gradient of one operand: the product of the others with dy, repeated along what only it had."""
    wanted = inputs[i]
    if len(set(wanted)) != len(wanted):
        raise NotImplementedError(f"Einsum: an operand with a diagonal, {wanted!r}, has no gradient here")
    others = [(s, a) for j, (s, a) in enumerate(zip(inputs, arrays, strict=True)) if j != i]
    terms, values = [output, *(s for s, _ in others)], [dy, *(a for _, a in others)]
    there = "".join(c for c in wanted if any(c in s for s in terms))
    g = np.asarray(np.einsum(",".join(terms) + "->" + there, *values))
    g = g.reshape([g.shape[there.index(c)] if c in there else 1 for c in wanted])
    stretched = tuple(k for k, n in enumerate(arrays[i].shape) if n == 1 and g.shape[k] != 1)
    return np.broadcast_to(g.sum(axis=stretched, keepdims=True), arrays[i].shape).astype(dy.dtype)


def _einsum_gradients(saved: Any, dy: np.ndarray) -> Any:
    arrays, inputs, output = saved
    return tuple(_einsum_gradient(i, arrays, inputs, output, dy) for i in range(len(arrays)))


def _einsum_tangent(saved: Any, *tangents: np.ndarray) -> np.ndarray:
    arrays, inputs, output = saved
    equation = ",".join(inputs) + "->" + output
    moved = (np.einsum(equation, *arrays[:i], t, *arrays[i + 1 :]) for i, t in enumerate(tangents))
    return np.asarray(sum(moved))


_EINSUM = differentiable(_einsum_forward, _einsum_gradients, _einsum_tangent, name="Einsum")


@op("Einsum")
def _einsum(*xs: Any, run: Any, equation: Any) -> Any:
    arrays = tuple(raw(x) for x in xs)
    inputs, output = _terms(text(equation), arrays)
    extents: dict[str, int] = {}
    for letters, array in zip(inputs, arrays, strict=True):
        for letter, n in zip(letters, array.shape, strict=True):
            extents[letter] = max(n, extents.get(letter, 0))
    run.room([extents[c] for c in output], arrays[0].dtype)
    if is_float(xs[0]):
        return _EINSUM(*xs, equation=text(equation))
    return _einsum_forward(*arrays, equation=text(equation))[0]
