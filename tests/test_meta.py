"""Nothing forgotten: each layer has each op, and what is public is documented, tested and measured."""

import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import cases
import fastnn as fnn
import fastnn.functional as F
from fastnn.backend import reference
from harness import NATIVE, evaluate, gradient_for, needs_native, outputs_of, own
from op_table import OPS

FUNCTIONS = {name: getattr(F, name) for name in F.__all__}
DOCUMENTED = (
    "fastnn",
    "fastnn.autograd",
    "fastnn.backend",
    "fastnn.checkpoint",
    "fastnn.config",
    "fastnn.data",
    "fastnn.functional",
    "fastnn.init",
    "fastnn.nn",
    "fastnn.optim",
    "fastnn.diagnosis",
    "fastnn.plots",
    "fastnn.robustness",
    "fastnn.sklearn",
    "fastnn.testing",
    "fastnn.training",
    "fastnn.weights",
)
# Takes anything.
REFUSES_NOTHING = {"fastnn.autograd.raw"}
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
    with fnn.use_backend("numpy"):  # the other one follows plans past its functions
        monkeypatch.setattr(fnn.backend, "_active", recorder)
        for op in OPS:
            for sample in op.samples():
                if not sample.special:
                    y = evaluate(op, sample).get("y")
                    if op.backward:
                        strided = gradient_for(y.shape, y.dtype).copy(order="F")
                        op.backward(strided, y, sample.arrays, sample.options)
    assert sorted(set(reference.__all__) - recorder.called) == []


# Functions of shapes, without arrays.
OF_SHAPES = {op.shape_name for op in OPS if op.shape}


def test_the_table_reaches_every_public_function():
    names = {name for op in OPS for name in (op.name, op.backward_name)}
    covered = (names - {""}) | OF_SHAPES
    assert sorted(set(FUNCTIONS) - covered) == []
    assert sorted(covered - set(FUNCTIONS)) == []


# Steps change parameters in place, by a rule that nobody differentiates.
WITHOUT_BACKWARD = {"adadelta_step", "adagrad_step", "adam_step", "adamw_step", "rmsprop_step", "sgd_step"}


def test_every_function_has_its_backward():
    backwards = {name for name in FUNCTIONS if name.endswith("_backward")}
    functions = FUNCTIONS.keys() - backwards - WITHOUT_BACKWARD - OF_SHAPES
    assert sorted(backwards) == sorted(name + "_backward" for name in functions)
    assert WITHOUT_BACKWARD <= FUNCTIONS.keys()


# Without running statistics only training makes sense, and with them the call must say which it was.
OTHER_DEFAULTS = {("batch_norm_backward", "training"), ("batch_norm_relu_backward", "training")}


def test_a_backward_has_the_defaults_of_its_function():
    """Equal arguments would mean something else in the two, and nothing would tell."""
    different = set()
    for name in FUNCTIONS.keys() & {name + "_backward" for name in FUNCTIONS}:
        of_forward = inspect.signature(FUNCTIONS[name.removesuffix("_backward")]).parameters
        of_backward = inspect.signature(FUNCTIONS[name]).parameters
        for argument in of_forward.keys() & of_backward.keys():
            default = of_forward[argument].default
            if default is not inspect.Parameter.empty and of_backward[argument].default != default:
                different.add((name, argument))
    assert different == OTHER_DEFAULTS


@pytest.mark.parametrize("op", OPS, ids=str)
def test_the_backward_of_a_row_is_the_function_s(op):
    """So that it is compared with what the tape, and hence PyTorch and central differences, give."""
    differentiable = op.name not in WITHOUT_BACKWARD
    assert op.backward_name == (op.name + "_backward" if differentiable else "")
    assert (op.backward is not None) == differentiable


def test_rows_have_distinct_names():
    names = [op.name for op in OPS]
    assert len(names) == len(set(names))


def test_every_op_is_measured():
    measured = {case.op for case in cases.CASES}
    assert sorted({op.name for op in OPS} - measured) == []
    assert sorted(measured - {op.name for op in OPS}) == ["training step"]
    assert sorted({op.name for op in OPS} - {case.op for case in cases.FEW}) == []


def public(module):
    """Functions and classes of ours that a module offers: those in __all__, or without one those it defines."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [n for n, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    for name in names:
        value = getattr(module, name)
        if (inspect.isfunction(value) or inspect.isclass(value)) and not name.startswith("_"):
            yield f"{module.__name__}.{name}", value


PUBLIC = {name: value for module in DOCUMENTED for name, value in public(importlib.import_module(module))}


def sections(text):
    """The numpydoc sections of a docstring by name."""
    parts = re.split(r"^([A-Z][A-Za-z ]*)\n-{3,}$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def explained(section):
    """The names that a Parameters section explains: ``a, b : type`` explains two."""
    headings = [line.split(" : ")[0] for line in section.splitlines() if line and not line.startswith(" ")]
    return {name.lstrip("*") for heading in headings for name in heading.split(", ")}


def begins_with_a_sentence(value):
    return (inspect.getdoc(value) or " ").splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_documented(name):
    value = PUBLIC[name]
    assert begins_with_a_sentence(value), "the first line is not a sentence"
    found = sections(inspect.getdoc(value))
    assert ">>> " in found.get("Examples", ""), "no example"
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    signature = inspect.signature(value)
    assert sorted(set(signature.parameters) - explained(found.get("Parameters", ""))) == []
    hints = signature.parameters.values()
    assert all(p.annotation is not inspect.Parameter.empty for p in hints), "no type annotations"
    if inspect.isfunction(value):
        assert "Returns" in found or "Yields" in found or signature.return_annotation == "None"
        assert "Raises" in found or not signature.parameters or name in REFUSES_NOTHING


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isclass(value)])
def test_public_methods_are_documented(name):
    """Also where a subclass defines a method anew: its base's docstring counts for it."""
    kind = PUBLIC[name]
    for member in (n for n in dir(kind) if not n.startswith("_")):
        given = inspect.getattr_static(kind, member)
        function = getattr(given, "fget", None) or getattr(given, "__func__", given)
        if inspect.isfunction(function) and function.__module__.startswith("fastnn"):
            assert begins_with_a_sentence(getattr(kind, member)), member


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
    for given, g in zip(sample.arrays, gradients, strict=True):
        if given is not None:
            assert g.shape == given.shape
            assert g.dtype == np.float32
