"""Do what docs/adding_an_op.md says: ``python tools/follow_guide.py [FOLDER] [-- pytest arguments]``.

Copies the source to a new folder, applies the diffs of the guide there, builds the extension for the portable instruction
set, writes the stubs, and runs the tests: all of them, unless pytest gets arguments. Needs what a build in place needs (see the README).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "adding_an_op.md"
LEFT_OUT = shutil.ignore_patterns("*.so", "__pycache__", ".*cache", ".git", "build", "dist")


def steps() -> Iterator[tuple[str, str]]:
    """Path and diff, for each diff: a path stands alone on the last line of the kind before it."""
    path = ""
    text = GUIDE.read_text(encoding="utf-8")
    for line, diff in re.findall(r"^`([\w/.]+)`$|^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        path = line or path
        if diff:
            yield path, diff


def apply(root: Path, path: str, diff: str) -> None:
    """Apply a diff, whose old lines must be in the file once."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] or "\n" for line in lines if line[0] not in sign) for sign in ("+", "-"))
    text = (root / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds {text.count(old)} times\n{old}"
    (root / path).write_text(text.replace(old, new), encoding="utf-8")


def follow(root: Path) -> None:
    """Copy the source to a folder that isn't there yet, apply all diffs, and have the stubs written."""
    shutil.copytree(ROOT, root, ignore=LEFT_OUT)
    for path, diff in steps():
        apply(root, path, diff)
    command = [sys.executable, "-c", STUBS, "--write"]
    subprocess.run(command, cwd=root, env=environment(root, FASTNN_BACKEND="numpy"), check=True)


def build(root: Path) -> None:
    """Build the extension in place, in a folder of its own: only the portable kernels, which takes a third of the time."""
    options = ["-DFASTNN_ISAS=generic", "-DFASTNN_INPLACE=ON", "-DCMAKE_BUILD_TYPE=Release"]
    options.append(f"-DPython_EXECUTABLE={sys.executable}")
    if shutil.which("ccache"):
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    subprocess.run(["cmake", "-G", "Ninja", "-S", root, "-B", root / "build", *options], check=True)
    subprocess.run(["cmake", "--build", root / "build"], check=True)


# An editable installation would find the original.
HERE = """
import runpy, sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path.insert(0, "src")
"""
STUBS = HERE + 'runpy.run_path("tools/make_stubs.py", run_name="__main__")'
PYTEST = HERE + 'import pytest; sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))'


def environment(root: Path, **changes: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str((root / "src").resolve())} | changes  # for processes that tests start, too


def run_tests(
    root: Path, arguments: list[str], capture_output: bool = False, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest there; the guide itself fits no source that it was applied to."""
    command = [sys.executable, "-c", PYTEST, "--ignore=tests/test_docs.py", *arguments]
    env = environment(root, **changes)
    return subprocess.run(command, cwd=root, env=env, check=False, text=True, capture_output=capture_output)


def main() -> int:
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    folder, arguments = words[:cut], words[cut + 1 :]
    root = Path(folder[0]) if folder else Path(tempfile.mkdtemp()) / "fastnn"
    follow(root)
    build(root)
    subprocess.run([sys.executable, "tools/make_stubs.py", "--write"], cwd=root, check=True)
    return run_tests(root, arguments, FASTNN_REQUIRE_NATIVE="1").returncode


if __name__ == "__main__":
    sys.exit(main())
