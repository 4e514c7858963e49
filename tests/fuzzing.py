"""Random calls of every public function, held against the NumPy backend and against themselves.

`check` runs one drawn sample; `check_refusal` calls a function with arguments that have no business in it. Both give a line per
fault. A case is named by (op, dtype, seed), from which it can be drawn again. ``tools/fuzz.py`` runs them by the
hour, ``test_fuzz.py`` a few of each.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import bad_input
import fastnn as fnn
import fastnn.functional as F
import harness
from draws import DRAWS, Draw
from harness import Op, Results, Sample
from op_table import OPS
from test_parity import LAYOUTS, flushed, public_results

NAMES = [op.name for op in OPS]
BY_NAME = dict(zip(NAMES, OPS, strict=True))
SHAKES = 10  # how often inputs are moved by a rounding to see what that does; each has half a chance to miss a jump

# What may turn out to be refused as drawn: windows larger than the image, statistics of one value.
_MAY_NOT_FIT = ("conv", "max_pool", "avg_pool", "lp_pool", "batch_norm", "instance_norm")

calls: Counter[str] = Counter()  # of public functions on the compiled backend, for a run to report


def draw(op: Op, *seed: int) -> Sample:
    """The op's sample of this seed; where arguments don't fit each other, it is drawn again."""
    for attempt in range(100):
        sample = DRAWS[op.name](Draw(*seed, attempt))
        if not op.name.startswith(_MAY_NOT_FIT) or _fits(op, sample):
            return sample
    raise AssertionError(f"{op}: no sample in 100 draws")


def _fits(op: Op, sample: Sample) -> bool:
    try:
        with fnn.use_backend("numpy"):
            op(harness.own(sample, op.in_place))
    except ValueError:
        return False
    return True


def check(op: Op, dtype: Any, *seed: int) -> Iterator[str]:
    """What is wrong with the compiled op on one sample: a line each."""
    rng = np.random.default_rng((*seed, 1))
    exact = draw(op, *seed)
    sample = exact.cast(dtype)
    before = harness.snapshot(sample)
    actual = _evaluate(op, sample)
    if harness.snapshot(sample) != before:
        yield f"{sample}: an input was changed"
    yield from (f"{sample}: {line}" for line in _wrong_values(op, exact, sample, actual, dtype, rng))
    again = _evaluate(op, sample)  # by a plan that the first call left
    yield from (f"{sample}: {name} differs in a second call" for name in harness.same_bits(actual, again))
    yield from _differ_by_threads(op, sample, actual, int(rng.choice([2, 3, 7])))
    yield from _differ_by_layout(op, sample, actual, LAYOUTS[rng.integers(len(LAYOUTS))])


def _evaluate(op: Op, sample: Sample) -> Results:
    calls[op.name] += 1
    return harness.evaluate(op, sample)


def _wrong_values(op: Op, exact: Sample, sample: Sample, actual: Results, dtype: Any, rng: Any) -> Iterator[str]:
    eps = float(np.finfo(dtype).eps)
    given = (sample.map(flushed) if sample.special else sample).cast(np.float64)
    truth = harness.reference(op, given)
    bound = harness.bounds(op, given, truth, eps)
    scale = eps * (2 if dtype == np.float64 else 1)
    lines = list(harness.mismatches(actual, truth, bound, scale))
    if lines and not exact.special:
        # A result next to a jump (the sign of a sum for ReLU, a maximum among near equals) may fall on its other side.
        moved = [harness.reference(op, _shaken(given, eps, rng)) for _ in range(SHAKES)]
        for name, value in truth.items():
            spread = np.max([np.abs(m[name] - value) for m in moved], axis=0)
            bound[name] = bound.get(name, 0.0) + 16 * np.max(spread, initial=0.0) / scale
        lines = list(harness.mismatches(actual, truth, bound, scale))
    yield from lines
    yield from (f"{k} is {v.dtype}" for k, v in actual.items() if v.dtype.kind == "f" and v.dtype != dtype)


def _shaken(sample: Sample, eps: float, rng: Any) -> Sample:
    """Every number moved by a rounding of the largest one: 0, too, which may lie where a mean is."""
    return sample.map(lambda a: a + eps * np.max(np.abs(a), initial=0.0) * rng.choice([-1.0, 1.0], a.shape))


def _differ_by_threads(op: Op, sample: Sample, actual: Results, threads: int) -> Iterator[str]:
    with fnn.set_num_threads(threads):
        results = _evaluate(op, sample)
    yield from (f"{sample}: {name} differs on {threads} threads" for name in harness.same_bits(actual, results))


def _differ_by_layout(op: Op, sample: Sample, actual: Results, layout: Any) -> Iterator[str]:
    """Also of the public backward, whose gradients the layout is applied to, and which gives what the tape gave."""
    laid = sample.map(layout)
    laid = replace(laid, options={k: sample.options[k] if k in op.in_place else v for k, v in laid.options.items()})
    before = harness.snapshot(laid)
    plain, other = public_results(op, sample), public_results(op, laid, layout)
    calls[op.name] += 2
    calls[op.backward_name] += 2
    name = layout.__name__[1:]
    yield from (f"{sample}: {k} differs where arrays are {name}" for k in harness.same_bits(plain, other))
    gradients = [k for k in plain.keys() & actual.keys() if k.startswith("d")]
    # Where a gradient that nobody wants is left out, NaN may get another sign.
    different = [k for k in gradients if not np.array_equal(actual[k], plain[k], equal_nan=True)]
    yield from (f"{sample}: {k} of the public backward differs" for k in different)
    if harness.snapshot(laid) != before:
        yield f"{sample}: an input that is {name} was changed"


# ---- wrong arguments --------------------------------------------------------------------------------------------------


def check_refusal(name: str, *seed: int) -> Iterator[str]:
    """One or two arguments replaced: both backends compute, or both refuse alike and change nothing."""
    rng = np.random.default_rng(seed)
    legal = bad_input.LEGAL[name]
    changed = {str(k): _wrong(legal[k], rng) for k in rng.choice(list(legal), rng.choice([1, 1, 2]))}
    outcomes = {}
    for backend in ("native", "numpy"):
        with fnn.use_backend(backend), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes[backend] = _outcome(name, legal, changed)
    calls[name] += 1
    shown = {k: f"{v.dtype}{v.shape}" if isinstance(v, np.ndarray) else _shown(v) for k, v in changed.items()}
    native, numpy = outcomes["native"], outcomes["numpy"]
    yield from (f"{name} with {shown}: {line}" for line in (*native[1], *numpy[1]))
    if native[0] != numpy[0]:
        yield f"{name} with {shown}: native {native[0]}, NumPy {numpy[0]}"


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except Exception:  # noqa: BLE001 - that is what some of them are for
        return type(value).__name__


def _wrong(value: Any, rng: Any) -> Any:
    """Something else in the place of ``value``: now and then of the same kind, so that it gets past the first check."""
    if isinstance(value, np.ndarray) and rng.random() < 0.4:
        axis = int(rng.integers(value.ndim)) if value.ndim else None
        near = [value[None], value.T, value.astype(np.float64), np.concatenate([value, value], axis)]
        near.append(np.atleast_1d(value)[..., :0])
        return near[rng.integers(len(near))]
    if type(value) in (int, float) and rng.random() < 0.3:
        return (-value, value + 1, value * 100, 0, float(value))[rng.integers(5)]
    pool = bad_input.ARRAYS if isinstance(value, np.ndarray) else bad_input.SCALARS
    return pool[rng.integers(len(pool))]


def _outcome(name: str, legal: dict[str, Any], changed: dict[str, Any]) -> tuple[str, list[str]]:
    """The shapes of the results or the kind of the error, and what is wrong with that."""
    targets = bad_input.IN_PLACE.get(name, ())
    call = {k: v.copy() if k in targets and _is_small(v) else v for k, v in (legal | changed).items()}
    before = {k: v.tobytes() for k, v in call.items() if _is_small(v)}
    faults = []
    try:
        outcome = str(_shapes(getattr(F, name)(**call)))
        kept = [k for k in before if k not in targets]
    except (TypeError, ValueError) as error:
        outcome, kept = type(error).__name__, list(before)
        if not str(error).startswith(name):
            faults.append(f"the message does not begin with the name: {error}")
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is a fault
        outcome, kept = type(error).__name__, list(before)
        faults.append(f"{type(error).__name__}: {error}")
    faults += [f"{k} was changed" for k in kept if call[k].tobytes() != before[k]]
    return outcome, faults


def _shapes(result: Any) -> Any:
    return [_shapes(r) for r in result] if isinstance(result, tuple) else None if result is None else np.shape(result)


def _is_small(value: Any) -> bool:
    return type(value) is np.ndarray and value.size < 10**6 and value.dtype.kind != "O"
