"""Every row of the op table, written as ONNX, checked by its checker and run by onnxruntime."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
import harness
from fastnn.autograd import raw
from fastnn.functional._op import OPS as OPERATIONS
from fastnn.onnx import export  # noqa: F401 - its import fills the table
from fastnn.onnx.write_table import REFUSED, ROWS
from harness import by_dtype, outputs_of
from onnx_out import NEWEST, run, saved
from op_table import OPS

WRITTEN = [op for op in OPS if not op.name.endswith("_step") and op.name not in REFUSED]
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d"}
# What ONNX does not have: windows of several sizes, and what only training does.
NOT_SAID = ("which do not divide", "pads the axis of the batch", "as in training", "with training=True")
PER_ROW = {17: 9, NEWEST: 4}  # how many samples


def test_every_operation_has_a_row_or_a_reason():
    forward = {name for name in OPERATIONS if not name.endswith("_backward")}
    assert forward <= ROWS.keys() | REFUSED.keys()


def test_every_operation_of_tensors_has_a_row():
    sources = (Path(fnn.autograd.__file__).parent / f"{name}.py" for name in ("ops", "reductions", "shaping"))
    names = {
        name
        for source in sources
        for name in re.findall(r'(?:recorded|_moved|_binary|_pick|_extremum)\(\s*"(\w+)"', source.read_text())
    }
    assert {"add", "where", "mean", "max", "getitem", "stack"} <= names
    assert names | {"swapaxes"} <= ROWS.keys()


@cache
def samples_of(op, count):
    """The ordinary samples, first so many spread over all, without those that onnxruntime fails on: recurrent layers without steps
    or rows crash it, and some operators refuse batches without samples."""
    rows = [s for s in op.samples() if not s.special and s.note not in ("small", "range")]
    if op.name in ("rnn", "lstm", "gru"):
        rows = [s for s in rows if 0 not in s.arrays[0].shape and 0 not in np.asarray(s.options.get("lengths") or 1)]
    if op.name in ("group_norm", "cross_entropy"):
        rows = [s for s in rows if s.arrays[0].size]
    rows = [s for s in rows if sum(a.size for a in s.arrays if a is not None) < 20_000]
    step = max(1, len(rows) // count)
    return [s for first in range(step) for s in rows[first::step]]


def bound_of(op, sample, dtype):
    """The table's bound, eight times, and so many roundings of the largest number: runtimes add up in other orders, and small
    results may be differences of larger ones."""
    truth = harness.reference(op, sample)
    eps = float(np.finfo(dtype).eps)
    y = truth["y"]
    bound = harness.bounds(op, sample, truth, eps).get("y", 0.0)
    largest = np.abs(y[np.isfinite(y)]).max(initial=0.0)
    return 8 * eps * (bound + largest * spread_of(op, sample))


def spread_of(op, sample):
    """Norms of runtimes may subtract the square of the mean from the mean of squares, which costs their quotient's digits."""
    x = sample.arrays[0]
    if not op.name.endswith("_norm") or not x.size:
        return 1.0
    return 1.0 + float(np.max(x**2)) / max(float(x.var()), 1e-12)


@by_dtype
@pytest.mark.parametrize("opset", PER_ROW)
@pytest.mark.parametrize("op", WRITTEN, ids=str)
def test_row(op, opset, dtype):
    failures, said = [], 0
    for double in samples_of(op, PER_ROW[opset]):
        if said == PER_ROW[opset]:
            break
        sample = double.cast(dtype)
        x, *others = sample.arrays

        def call(x, sample=sample, others=others):
            return op(harness.own(sample, op.in_place), (x, *others))

        batch = 0 if x.ndim and others_fit(call, x) else None
        try:
            content = saved(call, x, batch_axis=batch, opset=opset)
        except fnn.onnx.OnnxError as error:
            if not any(words in str(error) for words in NOT_SAID):
                failures.append(f"{sample}: {error}")
            continue
        said += 1
        expected = [np.asarray(raw(y)) for y in outputs_of(call(x))]
        for i, (a, b) in enumerate(zip(run(content, x), expected, strict=True)):
            if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
                failures.append(f"{sample}: {a.dtype} {a.shape}, expected {b.dtype} {b.shape}")
            elif b.dtype.kind != "f":
                if not np.array_equal(a, b):
                    failures.append(f"{sample}: other indices")
            elif i == 0 and not (np.abs(a - b) <= (limit := bound_of(op, double, a.dtype))).all():
                failures.append(f"{sample}: off by {np.nanmax(np.abs(a - b) / limit):.3g} bounds")
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:10])
    assert said


def others_fit(call, x):
    """Whether a batch of another size goes with the other arguments."""
    try:
        call(np.resize(x, (2 * len(x) + 1, *x.shape[1:])))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(DROPOUTS))
def test_random_numbers_are_refused_and_what_drops_nothing_is_not(name):
    function, x = (
        getattr(fnn.functional, name),
        np.ones((2, 3, 4, 5, 6)[: 3 + max(int(name[7:8] or 1) - 1, 0)], np.float32),
    )
    with pytest.raises(fnn.onnx.OnnxError, match=f"{name} draws random numbers"):
        saved(lambda x: function(x * 2.0, 0.5, rng=0), x)
    assert np.array_equal(run(saved(lambda x: function(x * 2.0, 0.5, training=False), x), x)[0], x * 2)
