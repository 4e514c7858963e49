"""docs/features.md lists every row of the specification with a public name and a test: both are there.

That the tests ran and passed is looked at when the run is over (see conftest.py).
"""

import importlib.util

import pytest

import fastnn as fnn
import fastnn.functional as F
from features import LINES, not_proved

ROWS = {
    "A": 7, "B": 6, "C": 1, "D": 6, "E": 1, "F": 1, "G": 11, "H": 4, "I": 4, "J": 7, "L": 3,
}  # fmt: skip


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


@pytest.mark.parametrize("outcome", ["failed", "passed"])
def test_a_proof_that_failed_or_is_not_there_is_named(outcome):
    row, _, (test, *_) = next(line for line in LINES if "::" in line[2][0])
    file = test.split("::")[0]
    assert any(f"{row}: {test} (no such test)" in line for line in not_proved({f"tests/{file}::test_other": "passed"}))
    named = [line for line in not_proved({f"tests/{test}": outcome}) if line.startswith(f"{row}: {test} ")]
    assert named == ([f"{row}: {test} (['failed'])"] if outcome == "failed" else [])
