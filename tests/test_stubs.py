"""The stub of the extension says what is there."""

import ast
import inspect
from pathlib import Path

import pytest

import fastnn as fnn

core = pytest.importorskip("fastnn._core", reason="the compiled extension fastnn._core is not installed")

STUB = Path(fnn.__file__).with_name("_core.pyi")
DECLARED = {
    node.name: [a.arg for a in node.args.args]
    for node in ast.parse(STUB.read_text()).body
    if isinstance(node, ast.FunctionDef)
}


def test_the_stub_names_every_binding():
    bound = {name for name in vars(core) if not name.startswith("_") and callable(getattr(core, name))}
    assert sorted(DECLARED) == sorted(bound)


@pytest.mark.parametrize("name", DECLARED)
def test_arguments(name):
    assert DECLARED[name] == list(inspect.signature(getattr(core, name)).parameters)
