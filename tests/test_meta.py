"""Nothing forgotten: each layer has each op, and what is public is documented, tested and measured."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import cases
import fastnn as fnn
import fastnn.functional as F
from fastnn.backend import reference
from harness import NATIVE, evaluate, gradient_for, outputs_of, own
from op_table import OPS

needs_native = pytest.mark.skipif(not NATIVE, reason="the compiled extension fastnn._core is not installed")

FUNCTIONS = {name: getattr(F, name) for name in F.__all__}
MODULES = [
    "fastnn",
    *sorted(m.name for m in pkgutil.walk_packages(fnn.__path__, "fastnn.") if not m.name.endswith("__main__")),
]
MODULES = [name for name in MODULES if NATIVE or not name.startswith(("fastnn._core", "fastnn.backend.native"))]


@needs_native
def test_backends_export_the_same_names():
    from fastnn.backend import native

    assert sorted(native.__all__) == sorted(reference.__all__)
    for module in (native, reference):
        assert all(callable(getattr(module, name)) for name in module.__all__)


@needs_native
@pytest.mark.parametrize("name", reference.__all__)
def test_backends_have_the_same_signatures(name):
    from fastnn.backend import native

    ours, theirs = (inspect.signature(getattr(m, name)) for m in (native, reference))
    assert list(ours.parameters) == list(theirs.parameters)
    for a, b in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        assert (a.kind, a.default) == (b.kind, b.default), a.name


class _Recorder:
    """A backend that notes which of its functions are called."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        self.called.add(name)
        return getattr(reference, name)


def test_the_table_reaches_every_backend_function(monkeypatch):
    recorder = _Recorder()
    monkeypatch.setattr(fnn.backend, "_active", recorder)
    for op in OPS:
        for sample in op.samples():
            if not sample.special:
                evaluate(op, sample)
    assert sorted(set(reference.__all__) - recorder.called) == []


def test_the_table_reaches_every_public_function():
    covered = {op.name for op in OPS} | {op.backward_name for op in OPS if op.backward_name}
    assert sorted(set(FUNCTIONS) - covered) == []
    assert sorted(covered - set(FUNCTIONS)) == []


def test_rows_have_distinct_names():
    names = [op.name for op in OPS]
    assert len(names) == len(set(names))


def test_every_op_is_measured():
    measured = {case.op for case in cases.CASES}
    assert sorted({op.name for op in OPS} - measured) == []
    assert sorted(measured - {op.name for op in OPS}) == ["training step"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_documented(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    assert ">>> " in text, "no example"
    assert text.splitlines()[0].endswith((".", ":")), "the first line is a sentence"
    hints = inspect.signature(FUNCTIONS[name]).parameters.values()
    assert all(p.annotation is not inspect.Parameter.empty for p in hints), "no type annotations"


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    assert module.__doc__ or name == "fastnn._core"
    with np.printoptions():
        results = doctest.testmod(module)
    assert results.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_what_all_names_exists(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), public
        value = getattr(module, public)
        # The reference says what the functions of the compiled backend compute.
        if not name.startswith("fastnn.backend.native") and (inspect.isclass(value) or inspect.isfunction(value)):
            assert inspect.getdoc(value), f"{public} has no docstring"


def test_nothing_is_public_by_accident():
    exported = {name for name in dir(F) if not name.startswith("_")}
    modules = {name for name in exported if inspect.ismodule(getattr(F, name))}
    assert sorted(exported - modules - set(FUNCTIONS)) == []
    assert list(F.__all__) == sorted(F.__all__)


@pytest.mark.parametrize("op", [op for op in OPS if op.backward], ids=str)
def test_public_backwards_take_plain_arrays(op):
    """Also where the compiled backend is missing."""
    sample = next(s for s in op.samples() if not s.special).cast(np.float32)
    y = outputs_of(op(own(sample, op.in_place)))[0]
    gradients = op.backward(gradient_for(y.shape, y.dtype), y, sample.arrays, sample.options)
    for given, g in zip(sample.arrays, gradients or (), strict=bool(gradients)):
        if given is not None:
            assert g.shape == given.shape
            assert g.dtype == np.float32
