"""No file, function or line is too long to take in, and C++ looks as `.clang-format` says."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = sorted(
    path for folder in ("src", "tests", "benchmarks", "tools", "examples") for path in (ROOT / folder).rglob("*.py")
)
CPP = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".h", ".cpp", ".inc"))
# Another version breaks lines in other places.
CLANG_FORMAT = "23."


def name(path):
    return path.relative_to(ROOT).as_posix()


def too_long(paths, most):
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return {path: n for path, n in lines.items() if n > most}


def python_functions(text):
    """The name of each function and its number of lines without its docstring, and those of functions in it."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            documented = [
                n.body[0] for n in ast.walk(node) if isinstance(n, functions) and ast.get_docstring(n) is not None
            ]
            docstrings = sum(first.end_lineno - first.lineno + 1 for first in documented)
            yield node.name, node.end_lineno - node.lineno + 1 - docstrings


def test_nothing_lies_beside_the_sources():
    kinds = {path.suffix for path in (ROOT / "csrc").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert kinds <= {".cpp", ".h", ".inc", ".py"}
    left = [
        name(path) for folder in ("src", "tests", "docs", "benchmarks", "tools") for path in (ROOT / folder).rglob("*")
    ]
    assert [path for path in left if path.endswith((".orig", ".rej", "~"))] == []


def without_comments(text):
    """C++ of as many lines: blanks in the place of comments, texts and macros."""
    unwanted = r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|^[ \t]*#(?:\\\n|[^\n])*"""
    return re.sub(unwanted, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL | re.MULTILINE)


def cpp_functions(text):
    """The head of each function's body, which is no scope and follows a parenthesis, and its number of lines."""
    text = without_comments(text)
    begin, open_blocks = 0, []
    for found in re.finditer(r"[{};]", text):
        if found[0] == "{":
            head = text[begin : found.start()]
            scope = re.search(r"\b(namespace|struct|class|enum|union|extern)\b[^()]*$", head)
            inside = any(function for function, *_ in open_blocks)
            line = text.count("\n", 0, found.start() - len(head.lstrip()))
            open_blocks.append((not inside and not scope and ")" in head, " ".join(head.split()), line))
        elif found[0] == "}":
            function, head, line = open_blocks.pop()
            if function:
                yield head, text.count("\n", 0, found.start()) - line + 1
        begin = found.end()
    assert not open_blocks, "braces that do not match"


def test_functions_are_found():
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n\n\nclass C:\n    async def g(self): ...\n'
    assert dict(python_functions(text)) == {"f": 2, "g": 1}
    text = (
        "#define F(x) \\\n  if (x) {\n\nnamespace n {\nstruct S {\n  int f(int a,\n        int b) {\n    auto g = [&] {\n"
        "      return '{';  // }\n    };\n    return g();\n  }\n};\nvoid h() {}\n}  // namespace n\n"
    )
    assert dict(cpp_functions(text)) == {"int f(int a, int b)": 7, "void h()": 1}


def test_python_files_are_short():
    assert too_long(PYTHON, 450) == {}


def test_cpp_files_are_short():
    assert too_long(CPP, 400) == {}


@pytest.mark.parametrize(("paths", "functions"), [(PYTHON, python_functions), (CPP, cpp_functions)], ids=["py", "cpp"])
def test_functions_are_short(paths, functions):
    found = ((name(path), *function) for path in paths for function in functions(path.read_text(encoding="utf-8")))
    assert [function for function in found if function[-1] > 60] == []


def test_lines_of_cpp_are_short():
    lines = ((name(path), i, line) for path in CPP for i, line in enumerate(path.read_text("utf-8").splitlines(), 1))
    assert [f"{path}:{i}" for path, i, line in lines if len(line) > 120] == []


def test_cpp_is_formatted():
    tool = shutil.which("clang-format") or shutil.which("clang-format", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("clang-format is not installed")
    version = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    if not version.startswith(CLANG_FORMAT):
        pytest.skip(f"clang-format {version} may break lines otherwise than {CLANG_FORMAT}*")
    files = [str(path) for path in CPP if path.suffix != ".inc"]  # which hold rows, not code
    done = subprocess.run(
        [tool, "--dry-run", "--Werror", *files], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
