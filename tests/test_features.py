"""docs/features.md lists every row of the specification with a public name and a test: both are there, and the test ran."""

import importlib.util
import itertools
import re
from pathlib import Path

import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import NATIVE, OUTCOMES

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
TORCH = importlib.util.find_spec("torch") is not None
ROWS = {
    "A": 6, "B": 6, "C": 1, "D": 6, "E": 1, "F": 1, "G": 11, "H": 4, "I": 4, "J": 7,
}  # fmt: skip


def expand(text):
    """``a{1,2}b`` stands for ``a1b`` and ``a2b``."""
    parts = re.split(r"\{([^}]*)\}", text)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def table():
    """(row, names, tests) of each line of the page's tables."""
    lines = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"[A-J]\d*", cells[0]):
            names, tests = (
                [e for quoted in re.findall(r"`([^`]+)`", cell) for e in expand(quoted)] for cell in cells[2:]
            )
            lines.append((cells[0], names, tests))
    return lines


LINES = table()


def test_every_row_of_the_specification_is_there():
    found = {row for row, _, _ in LINES}
    expected = {f"{section}{i}" for section, n in ROWS.items() for i in range(1, n + 1)} - {"C1", "E1", "F1"}
    assert found == expected | {"C", "E", "F"}
    assert all(names and tests for _, names, tests in LINES)


@pytest.mark.parametrize("name", sorted({name for _, names, _ in LINES for name in names}))
def test_the_names_are_public(name):
    value = {"F": F, "fnn": fnn}[name.split(".")[0]]
    for part in name.split(".")[1:]:
        if not hasattr(value, part):  # a module that nothing has imported yet
            assert importlib.util.find_spec(f"{value.__name__}.{part}"), name
            importlib.import_module(f"{value.__name__}.{part}")
        value = getattr(value, part)


def test_the_tests_ran(request):
    """Last of all (see conftest.py). A part of the suite is only asked for its own tests."""
    option = request.config.option
    if option.keyword or option.markexpr or any("::" in arg for arg in request.config.args):
        return
    outcomes = request.config.stash[OUTCOMES]
    files = {nodeid.split("::")[0].rsplit("/", 1)[-1] for nodeid in outcomes}
    missing = []
    for row, _, tests in LINES:
        for test in tests:
            if test.split("::")[0] not in files:
                continue
            found = [o for nodeid, o in outcomes.items() if nodeid.rsplit("/", 1)[-1].startswith(test)]
            complete = NATIVE and TORCH
            if not found or "failed" in found or (complete and "passed" not in found):
                missing.append(f"{row}: {test} ({sorted(set(found)) or 'no such test'})")
    assert missing == []
