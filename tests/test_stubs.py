"""The stub of the extension says what is there."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import fastnn as fnn
from harness import needs_native

STUB = Path(fnn.__file__).with_name("_core.pyi")
SOURCES = Path(__file__).parents[1] / "src" / "fastnn" / "bindings"
DECLARED = {
    node.name: [a.arg for a in node.args.args]
    for node in ast.parse(STUB.read_text()).body
    if isinstance(node, ast.FunctionDef)
}


def test_the_stub_names_every_binding_of_the_source():
    """Also where the source could not be compiled."""
    found = re.findall(r"^def (\w+)\(", "".join(p.read_text() for p in SOURCES.glob("*.pxi")), re.MULTILINE)
    assert sorted(DECLARED) == sorted(name for name in found if not name.startswith("_"))


@needs_native
def test_the_stub_names_every_binding():
    from fastnn import _core as core

    bound = {name for name in vars(core) if not name.startswith("_") and callable(getattr(core, name))}
    assert sorted(DECLARED) == sorted(bound)


@needs_native
@pytest.mark.parametrize("name", DECLARED)
def test_arguments(name):
    from fastnn import _core as core

    assert DECLARED[name] == list(inspect.signature(getattr(core, name)).parameters)
