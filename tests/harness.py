"""What the op table's tests share: samples, running an op with gradients, comparing with a tolerance per element."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import backend
from fastnn.autograd import raw

NATIVE = "native" in backend.available_backends()
if NATIVE:
    from fastnn import _core

ISAS = _core.usable_isas() if NATIVE else []
THREADS = (1, 2, 3, 7)
DTYPES = (np.float32, np.float64)

needs_native = pytest.mark.skipif(not NATIVE, reason="the compiled extension fastnn._core is not installed")
by_isa = pytest.mark.parametrize("isa", ISAS or ["none"])
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])

Results = dict[str, np.ndarray]


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


@dataclass(frozen=True)
class Sample:
    """One call of an op: its arrays in order (None where left out) and its keyword arguments."""

    arrays: tuple[np.ndarray | None, ...]
    options: dict[str, Any] = field(default_factory=dict)
    special: bool = False  # holds NaN, infinities or numbers near the ends of the range
    note: str = ""

    def map(self, f: Callable[[np.ndarray], np.ndarray]) -> Sample:
        """The sample with ``f`` applied to every floating-point array."""
        return replace(
            self,
            arrays=tuple(None if a is None else f(a) for a in self.arrays),
            options={k: f(v) if is_float(v) else v for k, v in self.options.items()},
        )

    def cast(self, dtype: Any) -> Sample:
        with np.errstate(all="ignore"):
            return self.map(lambda a: a.astype(dtype))

    def __str__(self) -> str:
        shapes = [None if a is None else a.shape for a in self.arrays]
        options = {k: f"array{v.shape}" if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        return " ".join(str(part) for part in (self.note, *shapes, options or "") if part != "")


@dataclass(frozen=True)
class Op:
    """A row of the op table; `op_table` says what each column is for."""

    name: str
    args: tuple[str, ...]
    samples: Callable[[], list[Sample]]
    bound: Callable[..., Results]
    call: Callable[..., Any] | None = None
    backward: Callable[..., tuple[np.ndarray, ...]] | None = None
    backward_name: str = ""
    shape: Callable[[Sample], tuple[int, ...]] | None = None
    shape_name: str = ""
    in_place: tuple[str, ...] = ()
    grid: Callable[[], list[Sample]] | None = None
    torch: bool = True
    gradcheck: bool = True

    def __call__(self, sample: Sample, arrays: tuple[Any, ...] | None = None) -> Any:
        function = self.call or getattr(F, self.name)
        return function(*(sample.arrays if arrays is None else arrays), **sample.options)

    def __str__(self) -> str:
        return self.name


def gradient_for(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An output gradient that depends on nothing but the shape, exact in float32."""
    return _drawn_for(shape).astype(dtype)


@lru_cache(1000)
def _drawn_for(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(repr(shape).encode()))
    return np.asarray(rng.standard_normal(shape)).astype(np.float32)


def outputs_of(value: Any) -> tuple[Any, ...]:
    return () if value is None else value if isinstance(value, tuple) else (value,)


def own(sample: Sample, names: tuple[str, ...]) -> Sample:
    """The sample with copies of the arrays that the op changes."""
    return replace(
        sample, options={k: v.copy() if k in names and v is not None else v for k, v in sample.options.items()}
    )


def evaluate(op: Op, sample: Sample, dy: np.ndarray | None = None) -> Results:
    """Outputs, arrays changed in place, and gradients of all arrays, by name."""
    sample = own(sample, op.in_place)
    tensors = tuple(None if a is None else fnn.Tensor(a, requires_grad=True) for a in sample.arrays)
    outputs = outputs_of(op(sample, tensors))
    results = {"y" if i == 0 else f"y{i}": raw(y) for i, y in enumerate(outputs)}
    results |= {k: sample.options[k] for k in op.in_place if sample.options.get(k) is not None}
    if outputs and any(t is not None for t in tensors):
        y = results["y"]
        outputs[0].backward(gradient_for(y.shape, y.dtype) if dy is None else dy)
    for name, t in zip(op.args, tensors, strict=True):
        if t is not None:
            assert t.grad is not None, f"{op}: no gradient for {name}"
            results["d" + name] = t.grad
    return results


def reference(op: Op, sample: Sample, dy: np.ndarray | None = None) -> Results:
    with fnn.use_backend("numpy"):
        return evaluate(op, sample, dy)


def snapshot(sample: Sample) -> list[bytes]:
    arrays = [*sample.arrays, *sample.options.values()]
    return [a.tobytes() for a in arrays if isinstance(a, np.ndarray)]


def excess(actual: np.ndarray, truth: np.ndarray, bound: Any, eps: float) -> float:
    """The largest ``|actual - truth| / (eps * bound)``; infinite where one is NaN or infinite and the other is not."""
    assert actual.shape == truth.shape, f"shape {actual.shape}, expected {truth.shape}"
    if actual.dtype.kind != "f":
        return 0.0 if np.array_equal(actual, truth) else np.inf
    # Kernels flush denormals, also of a factor that an output gradient (below 8 in these tests) is multiplied by.
    tiny = 8 * np.finfo(actual.dtype).tiny
    with np.errstate(all="ignore"):
        # Rounded to the result's type first, so that what overflows there is expected to be infinite.
        a, b = actual.astype(np.float64), truth.astype(actual.dtype).astype(np.float64)
        allowed = eps * np.broadcast_to(bound, b.shape) + tiny
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        ratio = np.where(same, 0.0, np.abs(a - b) / np.where(np.isfinite(allowed), allowed, np.inf))
        ratio = np.where(same | (np.isfinite(a) & np.isfinite(b)), ratio, np.inf)
    return float(ratio.max(initial=0.0))


def mismatches(actual: Results, truth: Results, bound: Results, eps: float) -> Iterator[str]:
    """One line per result that is off by more than its bound."""
    assert actual.keys() == truth.keys(), f"results {sorted(actual)}, expected {sorted(truth)}"
    for name, value in truth.items():
        by = excess(actual[name], value, bound.get(name, 0.0), eps)
        if not by <= 1:
            yield f"{name} is off by {by:.3g} times its bound"


def same_bits(a: Results, b: Results) -> list[str]:
    """Names of the results that differ in any bit."""
    assert a.keys() == b.keys()
    return [k for k in a if a[k].shape != b[k].shape or a[k].tobytes() != b[k].tobytes()]


def one_nan(results: Results) -> Results:
    """The results with the same bits for every NaN: its sign and payload follow the order of operands, which no function promises."""
    return {k: np.where(np.isnan(a), a.dtype.type(np.nan), a) if is_float(a) else a for k, a in results.items()}


def bounds(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Tolerances in units of eps; ``sample`` and ``truth`` are float64."""
    with np.errstate(all="ignore"):
        return op.bound(op, sample, truth, eps)
