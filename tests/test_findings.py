"""What checks find: words and levels from closed lists, in order of severity, as text and as JSON."""

import json
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

from fastnn.training.findings import LEVELS, Finding, Result, graded, most_severe_first, strict, worst


@dataclass(frozen=True)
class Example(Result):
    curve: np.ndarray
    rate: float


NOTE = Finding("note", "scale", "standard deviation 3", 3.0, 2.0)
PROBLEM = Finding("problem", "labels", "label 10 of 10 classes", advice="count from 0", layer="1", step=7)


@pytest.mark.parametrize(
    ("level", "word", "message"),
    [
        ("bad", "scale", "level must be one of ok, note, warning, problem"),
        ("note", "odd", "word must be one of not finite"),
    ],
)
def test_words_and_levels_are_from_lists(level, word, message):
    with pytest.raises(ValueError, match=message):
        Finding(level, word, "text")


def test_findings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        NOTE.level = "ok"


def test_order_and_level():
    ok = Finding("ok", "baseline", "0.1 below 2.3")
    assert most_severe_first([ok, NOTE, PROBLEM, NOTE]) == (PROBLEM, NOTE, NOTE, ok)
    assert worst([ok, NOTE]) == "note"
    assert [worst([Finding(level, "scale", "text")]) for level in LEVELS] == list(LEVELS)


@pytest.mark.parametrize(
    ("value", "grade"), [(0.1, 0), (0.11, 1), (0.25, 1), (0.5, 2), (0.6, 3), (np.nan, 3), (np.inf, 3)]
)
def test_grades_above(value, grade):
    assert graded(value, (0.1, 0.25, 0.5)) == grade


@pytest.mark.parametrize(("value", "grade"), [(1e-4, 0), (9e-5, 1), (1e-6, 2), (0.0, 3), (np.nan, 3)])
def test_grades_below(value, grade):
    assert graded(value, (1e-4, 1e-5, 1e-6), below=True) == grade


def test_a_result_as_text_and_as_json():
    result = Example(most_severe_first([NOTE, PROBLEM]), np.array([1.0, np.inf]), np.float64("nan"))
    assert "labels" in result
    assert "dead" not in result
    assert result.level == "problem"
    lines = str(result).splitlines()
    assert lines[0] == "PROBLEM  labels: label 10 of 10 classes"
    assert lines[1] == "         count from 0"
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["curve"] == [1.0, None]
    assert read["rate"] is None
    assert read["findings"][0] == PROBLEM.to_dict()


def test_fine_is_no_finding():
    assert "scale" not in Example((Finding("ok", "scale", "mean 0"),), np.zeros(1), 1.0)


def test_strict_goes_into_everything():
    assert strict([(np.inf, {"a": np.arange(2.0)}), "text", None, True]) == [
        [None, {"a": [0.0, 1.0]}],
        "text",
        None,
        True,
    ]
