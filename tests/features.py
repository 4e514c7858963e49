"""docs/features.md as data: its rows, with the names and the tests in them."""

import importlib.util
import itertools
import re
from pathlib import Path

from harness import NATIVE

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
TORCH = importlib.util.find_spec("torch") is not None


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
        if len(cells) == 4 and re.fullmatch(r"[A-Z]\d*", cells[0]):
            names, tests = (
                [e for quoted in re.findall(r"`([^`]+)`", cell) for e in expand(quoted)] for cell in cells[2:]
            )
            lines.append((cells[0], names, tests))
    return lines


LINES = table()


def not_proved(outcomes):
    """The tests of the page that did not pass, or are not there, in a run with these outcomes by node id.

    A run of some files is asked for the tests of these alone. Tests may be skipped where PyTorch or the extension is missing.
    """
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
    return missing
