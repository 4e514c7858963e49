"""What readers of the source see: mypy accepts a user's program and refuses mistakes, griffe reads docstrings whole."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import fastnn as fnn
import make_stubs
from subproc import needs_package
from test_meta import PUBLIC

PROGRAMS = Path(__file__).with_name("typing")
PROGRAM, MISTAKES = PROGRAMS / "program.py", PROGRAMS / "mistakes.py"
PACKAGE = Path(fnn.__file__).parent


@pytest.mark.parametrize("package", make_stubs.PACKAGES)
def test_the_stub_is_what_the_functions_say(package):
    """``python tools/make_stubs.py --write`` makes it anew."""
    importable = PACKAGE.joinpath(*package.split(".")[1:], "__init__.pyi")
    assert importable.read_text() == make_stubs.stub(package)


def test_functions_say_what_they_take_and_give():
    """A gradient that ``needs`` leaves out is None, which ``Array | Any`` stands for."""
    heads = re.findall(r"^def .*$", make_stubs.stub("fastnn.functional"), re.MULTILINE)
    assert [head for head in heads if re.search(r"\bAny\b", head.replace("Array | Any", ""))] == []


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where mypy keeps what it has read, such as NumPy's stubs."""
    return tmp_path_factory.mktemp("mypy")


def installed(folder, layout):
    """An interpreter that has the package as a wheel or an editable installation puts it there, and all that is here."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages") if os.name == "posix" else [folder / "Lib" / "site-packages"]
    paths = [sysconfig.get_path("purelib")]
    if layout == "wheel":
        left_out = shutil.ignore_patterns("*.pyx", "*.pxi", "__pycache__", "_core*.so")
        shutil.copytree(PACKAGE, site / "fastnn", ignore=left_out)
    else:
        paths.insert(0, str(PACKAGE.parent))
    (site / "packages.pth").write_text("\n".join(paths) + "\n")
    return next(folder.glob("bin/python") if os.name == "posix" else folder.glob("Scripts/python.exe"))


@pytest.mark.parametrize("layout", ["wheel", "editable"])
def test_a_program_is_accepted_and_its_mistakes_are_refused(layout, tmp_path, cache):
    needs_package("mypy")
    python = installed(tmp_path / "venv", layout)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={python}", f"--cache-dir={cache}",
         "--no-error-summary", PROGRAM, MISTAKES],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300,
        env={name: value for name, value in os.environ.items() if name not in ("MYPYPATH", "PYTHONPATH")},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    errors = re.findall(r"(\w+)\.py:(\d+): error: ", done.stdout)
    marked = {n for n, line in enumerate(MISTAKES.read_text().split("\n"), 1) if "# refused: " in line}
    assert {int(n) for name, n in errors if name == "mistakes"} == marked, done.stdout
    assert len(marked) >= 10
    assert [error for error in errors if error[0] != "mistakes"] == [], done.stdout


def test_the_program_runs(tmp_path, monkeypatch):
    needs_package("matplotlib")
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.setenv("MPLBACKEND", "agg")
    import program

    program.main(tmp_path)


def test_what_type_checkers_need_is_in_the_package():
    """In the wheel as in the source: ``py.typed`` says that there are types."""
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "functional" / "__init__.pyi").exists()


def test_griffe_reads_every_docstring_whole():
    needs_package("griffe")
    import griffe

    package = griffe.load("fastnn", search_paths=[PACKAGE.parent], allow_inspection=False, resolve_aliases=True)
    different = []
    for name, value in PUBLIC.items():
        seen = package[name.removeprefix("fastnn.")]
        if seen.is_module:  # named as the function in it, which is what there is at run time
            seen = seen[value.__name__]
        docstring = seen.docstring.value if seen.docstring else ""
        if docstring != inspect.cleandoc(value.__doc__ or ""):
            different.append(name)
    assert different == []
