"""The documentation works: its Python runs, its commands exist, its links lead somewhere, its diffs fit the source."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastnn
import follow_guide
import numpy_networks
import report
import subproc
from fastnn.cli.program import parser

ROOT = Path(__file__).parents[1]
PAGES = {page.name: page for page in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]}
TEXTS = {name: page.read_text(encoding="utf-8") for name, page in PAGES.items()}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOLS = SETTINGS["project"], SETTINGS["tool"]


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL)


def every(language):
    return [pytest.param(b, id=f"{name}-{i}") for name in TEXTS for i, b in enumerate(blocks(name, language))]


def programs():
    """The Python of all pages: the blocks of these are one program, those of others stand by themselves."""
    for name, text in TEXTS.items():
        if name == "diagnosis.md":
            continue  # test_diagnosis_page.py looks at what it prints
        if name in ("from_numpy.md", "from_pytorch.md", "onnx.md", "scikit_learn.md", "training.md", "weights.md"):
            # With empty lines in the place of the text, so that errors name the lines of the page.
            parts = re.split(r"(?<=^```python\n)(.*?)(?=^```$)", text, flags=re.MULTILINE | re.DOTALL)
            code = [part if i % 2 else "\n" * part.count("\n") for i, part in enumerate(parts)]
            yield pytest.param("".join(code), id=name)
        else:
            yield from (pytest.param(block, id=f"{name}-{i}") for i, block in enumerate(blocks(name, "python")))


def run_python(code):
    for package in re.findall(
        r"^(?:import|from) (torch|autograd|thinc|jax|onnx|onnxruntime|safetensors)\b", code, re.MULTILINE
    ):
        subproc.needs_package(package)
    if "load_digits" in code or "sklearn" in code:
        subproc.needs_package("sklearn")
    if "import jax" in code:  # which makes every later fork of a process that imported it warn
        subproc.run(code, timeout=300)
    else:
        exec(compile(code, "<documentation>", "exec"), {"__name__": "__main__"})  # noqa: S102


@pytest.mark.parametrize("code", list(programs()))
def test_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(code)


def test_the_two_commands():
    assert blocks("README.md", "sh")[:2] == [
        "pip install '.[demo]' && fastnn train digits\n",
        "pip install '.[test]' && pytest -n auto --dist loadfile\n",
    ]


def commands(block):
    """Each command of a shell block as a list of words, without variables set before it."""
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            command, words = words[:end], words[end + 1 :]
            while re.match(r"[A-Z_]+=", command[0]):
                command = command[1:]
            yield command


@pytest.mark.parametrize("block", every("sh"))
def test_commands_exist(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program, *arguments in commands(block):
        match program, *arguments:
            case "fastnn", *options:
                parser().parse_args(options)
            case "python", "benchmarks/report.py", *options:
                monkeypatch.setattr(sys, "argv", ["report.py", *options])
                assert report._chosen(report._arguments()) or "hardtanh" in options
            case "python", "benchmarks/numpy_networks.py", *names:
                assert set(names) <= numpy_networks.NETWORKS.keys()
            case "python", "-m", "fastnn", *options:
                parser().parse_args(options)
            case "python", "-c", code:
                run_python(code)
            case "pip", "install", *options:
                for extras in re.findall(r"\.\[(.*?)\]", " ".join(options)):
                    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
            case "python", tool, *_ if tool.startswith("tools/"):
                assert Path(ROOT, tool).exists()
            case ("ruff" | "mypy" as linter, *_):
                assert linter in TOOLS
            case "clang-format", "-i", *patterns:
                assert all(any(Path(ROOT).glob(pattern)) for pattern in patterns)
            case ("pytest", *_) | ("python", "-m", "build"):
                pass
            case _:
                pytest.fail(f"nothing checks {program} {arguments}")


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    prose = re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)", prose):
        assert target.startswith("https://") or (PAGES[name].parent / target).exists(), target


def test_one_version():
    assert PROJECT["version"] == fastnn.__version__
    assert f"\n## {fastnn.__version__} (" in TEXTS["CHANGELOG.md"]


# ---- the diffs of adding_an_op.md ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the source, without the compiled extension, to which the diffs are applied."""
    root = tmp_path_factory.mktemp("extended") / "fastnn"
    follow_guide.follow(root)
    return root


# What concerns one operation, and what looks for forgotten ones. tools/follow_guide.py builds and runs everything.
ONE_OP = "hardtanh or every_public or every_function or every_op or every_binding or every_kernel or functional.activation or names"


# In the files that hold such tests: to collect the others would take longer than to run these.
TABLES = re.compile(r"op_table|bad_input|fuzzing|__all__|_core\.pyi|\.pxi")


def test_the_example_passes_on_numpy(extended):
    paths = sorted((extended / "tests").glob("test_*.py"))
    files = [f"tests/{path.name}" for path in paths if TABLES.search(path.read_text(encoding="utf-8"))]
    files.remove("tests/test_docs.py")
    done = follow_guide.run_tests(extended, ["-q", "-k", ONE_OP, *files], capture_output=True, FASTNN_BACKEND="numpy")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 20, done.stdout


def test_the_example_is_valid_cpp(extended):
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, filter(None, names))), None)
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    flags = [
        "-std=gnu++20",
        "-Werror",
        "-Wall",
        "-Wextra",
        "-Wno-psabi",
        "-DFASTNN_ISA=generic",
        "-DFASTNN_VEC_BYTES=16",
    ]
    done = subprocess.run(
        [compiler, *flags, "-fsyntax-only", "csrc/kernels/activation.cpp"],
        cwd=extended, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
