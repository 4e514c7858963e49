"""The compiled backend against the NumPy one, per instruction set; the same bits for every thread count and layout."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import fastnn as fnn
import harness
from fastnn.autograd import raw
from harness import DTYPES, THREADS, by_dtype, by_isa, evaluate, gradient_for, needs_native, outputs_of, own
from op_table import OPS

pytestmark = needs_native

by_op = pytest.mark.parametrize("op", OPS, ids=str)


@cache
def samples_of(op, dtype):
    return [s.cast(dtype) for s in op.samples()]


def flushed(a):
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.copysign(a.dtype.type(0), a), a)


@cache
def exact(op, index):
    """An ordinary sample and the reference's results in float64; both types hold its numbers."""
    sample = samples_of(op, np.float64)[index]
    rounded = sample.cast(np.float32).cast(np.float64)
    assert harness.snapshot(rounded) == harness.snapshot(sample), f"{op}: float32 does not hold the numbers of {sample}"
    return sample, harness.reference(op, sample)


@cache
def expected(op, dtype, index, flush=True):
    """Reference results of a sample in float64, and their bounds; eps is that of `dtype`.

    Kernels take denormals for zeros, on whose other side a derivative may be another one.
    """
    eps = float(np.finfo(dtype).eps)
    sample = samples_of(op, dtype)[index]
    if sample.special:
        sample = (sample.map(flushed) if flush else sample).cast(np.float64)
        truth = harness.reference(op, sample)
    else:
        sample, truth = exact(op, index)
    # In float64 the truth is as wrong as what is compared with it.
    return truth, harness.bounds(op, sample, truth, eps), eps * (2 if dtype == np.float64 else 1)


def report(op, failures):
    assert not failures, f"{op}: {len(failures)} failures\n" + "\n".join(failures[:20])


@by_dtype
@by_isa
@by_op
def test_native_matches_reference(op, isa, dtype, native):
    native.set_isa(isa)
    native.set_num_threads(1)
    failures = []
    for i, sample in enumerate(samples_of(op, dtype)):
        before = harness.snapshot(sample)
        actual = evaluate(op, sample)
        failures += [f"{sample}: {line}" for line in harness.mismatches(actual, *expected(op, dtype, i))]
        failures += [
            f"{sample}: {k} is {v.dtype}" for k, v in actual.items() if v.dtype.kind == "f" and v.dtype != dtype
        ]
        if harness.snapshot(sample) != before:
            failures.append(f"{sample}: an input was changed")
    report(op, failures)


@cache
def expected_on_grid(op):
    """The grid's samples in turn in float32 and float64, with what the reference makes of them."""
    rows = []
    for i, sample in enumerate(op.grid()):
        dtype = DTYPES[i % 2]
        eps = float(np.finfo(dtype).eps)
        exact = sample.cast(dtype).cast(np.float64)
        truth = harness.reference(op, exact)
        rows.append((sample.cast(dtype), truth, harness.bounds(op, exact, truth, eps), eps * (1 + i % 2)))
    return rows


@by_isa
@pytest.mark.parametrize("op", [op for op in OPS if op.grid], ids=str)
def test_native_matches_reference_on_the_grid(op, isa, native):
    native.set_isa(isa)
    native.set_num_threads(1)
    failures = []
    for sample, *truth in expected_on_grid(op):
        failures += [f"{sample}: {line}" for line in harness.mismatches(evaluate(op, sample), *truth)]
    report(op, failures)


@by_dtype
@by_op
def test_reference_matches_itself_in_float64(op, dtype):
    """The float32 specification rounds within the same bounds, with no warning for NaN or infinity."""
    failures = []
    for i, sample in enumerate(samples_of(op, dtype)):
        actual = harness.reference(op, sample)
        failures += [f"{sample}: {line}" for line in harness.mismatches(actual, *expected(op, dtype, i, flush=False))]
        failures += [
            f"{sample}: {k} is {v.dtype}" for k, v in actual.items() if v.dtype.kind == "f" and v.dtype != dtype
        ]
    report(op, failures)


@by_dtype
@by_isa
@by_op
def test_same_bits_for_every_thread_count(op, isa, dtype, native):
    native.set_isa(isa)
    failures = []
    for sample in samples_of(op, dtype):
        results = {}
        for threads in THREADS:
            native.set_num_threads(threads)
            results[threads] = evaluate(op, sample)
        for threads in THREADS[1:]:
            different = harness.same_bits(results[1], results[threads])
            failures += [f"{sample}: {name} differs on {threads} threads" for name in different]
    report(op, failures)


def test_small_work_is_split_in_these_tests(native):
    """Otherwise the promise above would be tested on one thread."""
    for threads in THREADS:
        native.set_num_threads(threads)
        out = np.empty(21, np.float32)
        native.probe_ranges(out, 1.0)
        assert len(np.unique(out)) == threads


# ---- layouts ------------------------------------------------------------------------------------------------------


def _transposed(a):
    return a.copy(order="F")


def _rotated(a):
    """Channels last, as it were."""
    return np.moveaxis(np.array(np.moveaxis(a, -1, 0), order="C"), 0, -1) if a.ndim else a


def _strided(a):
    wide = np.full((*a.shape[:-1], a.shape[-1] * 3), np.nan, a.dtype) if a.ndim else a
    return a if a.ndim == 0 else _filled(wide[..., 1::3], a)


def _huge_stride(a):
    return (
        _filled(np.zeros((a.shape[0], 1 << 15, *a.shape[1:]), a.dtype)[:, 7], a) if 0 < a.nbytes < 600 and a.ndim else a
    )


def _reversed(a):
    return np.ascontiguousarray(a[::-1])[::-1] if a.ndim else a


def _misaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
    return _filled(memory.view(a.dtype).reshape(a.shape), a)


def _swapped(a):
    return a.astype(a.dtype.newbyteorder())


def _read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def _filled(view, a):
    view[...] = a
    return view


LAYOUTS = [_transposed, _rotated, _strided, _huge_stride, _reversed, _misaligned, _swapped, _read_only]


def public_results(op, sample, layout=lambda a: a):
    """Outputs on plain arrays, then the public backward with dy and y laid out like the inputs."""
    outputs = outputs_of(op(own(sample, op.in_place)))
    results = {f"y{i}": np.asarray(y) for i, y in enumerate(outputs)}
    if op.backward:
        y = results["y0"]
        gradients = op.backward(layout(gradient_for(y.shape, y.dtype)), layout(y), sample.arrays, sample.options)
        for name, given, g in zip(op.args, sample.arrays, gradients, strict=True):
            if given is not None:
                results["d" + name] = g
    return results


@cache
def plain_results(op, backend, index):
    """Those of a sample as it is, of the backend in use."""
    return public_results(op, samples_of(op, np.float32)[index])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__[1:])
@pytest.mark.parametrize("backend", ["native", "numpy"])
@by_op
def test_layouts(op, backend, layout, native):
    """Any stride, alignment, order and protection is read right, and not changed."""
    fnn.use_backend(backend)
    failures = []
    for i, sample in enumerate(samples_of(op, np.float32)):
        if i % 2 and not sample.special:
            continue
        laid = sample.map(layout)
        # What is changed in place can't be a copy: those arrays stay plain.
        laid = replace(laid, options={k: sample.options[k] if k in op.in_place else v for k, v in laid.options.items()})
        before = harness.snapshot(laid)
        different = harness.same_bits(plain_results(op, backend, i), public_results(op, laid, layout))
        failures += [f"{sample}: {name} differs" for name in different]
        if harness.snapshot(laid) != before:
            failures.append(f"{sample}: an input was changed")
    report(op, failures)


@by_dtype
@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("op", [op for op in OPS if op.backward], ids=str)
def test_public_backward_is_the_tape_s(op, backend, dtype, native):
    fnn.use_backend(backend)
    failures = []
    for sample in samples_of(op, dtype):
        recorded, called = evaluate(op, sample), public_results(op, sample)
        names = ["d" + a for a in op.args if "d" + a in called]
        recorded, called = (harness.one_nan({k: results[k] for k in names}) for results in (recorded, called))
        failures += [f"{sample}: {name} differs" for name in harness.same_bits(recorded, called)]
    report(op, failures)


@by_op
def test_arrays_in_arrays_out(op, native):
    """Without a tensor among the inputs the results are plain arrays, or scalars for no axes, in the same bits."""
    for sample in samples_of(op, np.float32)[:5]:
        plain = outputs_of(op(own(sample, op.in_place)))
        taped = outputs_of(
            op(own(sample, op.in_place), tuple(None if a is None else fnn.Tensor(a) for a in sample.arrays))
        )
        for a, b in zip(plain, taped, strict=True):
            assert isinstance(a, np.ndarray) or (type(a) is a.dtype.type and raw(b).shape == ())
            np.testing.assert_array_equal(a, raw(b))
