"""What the bindings are written from says the same as what they bind, also where nothing could be compiled."""

import inspect
import re
import runpy
from pathlib import Path

import pytest

from fastnn.backend import reference
from harness import needs_native

ROOT = Path(__file__).parents[1]
WRITTEN = runpy.run_path(str(ROOT / "csrc" / "declare.py"))["written"]()
BY_HAND = "".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "src" / "fastnn" / "bindings").glob("*.pxi")))
BINDINGS = {
    name: [a.partition("=")[0].removesuffix(" not None").split()[-1] for a in arguments.split(",") if a.strip()]
    for name, arguments in re.findall(r"^def (\w+)\((.*?)\):$", BY_HAND + WRITTEN, re.MULTILINE | re.DOTALL)
}


def test_every_kernel_is_declared_to_raise():
    """A declaration without ``except -1`` would go on after a call that found no memory."""
    declared = re.findall(r'^    int (\w+)_c "fastnn::call::(\w+)"\(Call[^)]*\) except -1$', WRITTEN, re.MULTILINE)
    lists = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "csrc" / "kernels").glob("*.inc"))
    listed = re.findall(r"^FASTNN_KERNEL\((\w+),", lists, re.MULTILINE)
    rows = re.findall(r"^FASTNN_UNARY\w*\((\w+),", lists, re.MULTILINE)
    listed += [name + way for name in rows for way in ("_forward", "_backward")]
    assert len(listed) > 100
    assert sorted(declared) == sorted((name, name) for name in listed)
    assert WRITTEN.count("fastnn::call::") == len(declared)
    assert "fastnn::call::" not in BY_HAND


def test_types_of_kernels_are_declared_to_raise():
    types = re.findall(r"^ctypedef int \(\*\w+\)\(Call\b[^)]*\)(.*)$", BY_HAND, re.MULTILINE)
    assert len(types) > 5
    assert set(types) == {" except -1"}


@pytest.mark.parametrize("name", reference.__all__)
def test_every_binding_has_the_arguments_of_the_reference(name):
    assert BINDINGS[name] == list(inspect.signature(getattr(reference, name)).parameters)


@needs_native
def test_every_binding_is_compiled():
    from fastnn import _core as core

    compiled = {name for name in vars(core) if not name.startswith("_") and inspect.isroutine(getattr(core, name))}
    assert compiled == {name for name in BINDINGS if not name.startswith("_")}
