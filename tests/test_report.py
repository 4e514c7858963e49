"""What the benchmark report says of two builds, and how it finds them."""

import sys
from pathlib import Path

import pytest

import cases
import fastnn
import report
import worker

HERE = Path(fastnn.__file__).parent
native = pytest.mark.skipif(
    "native" not in fastnn.backend.available_backends(), reason="workers use the native backend"
)


def rows(*pairs):
    return [report.Row(cases.CASES[0], "forward", {"native": [n], "other build": [o]}) for n, o in pairs]


def test_a_ratio_is_the_other_build_s_time_over_this_one_s():
    (row,) = rows((2.0, 3.0))
    assert row.ratio("other build") == 1.5
    assert row.ratio("torch") is None


def test_summary_lists_the_rows_that_became_slower():
    lines = report.summary(rows((1.0, 1.0), (1.0, 0.96), (2.0, 1.0), (1.0, 0.9)), "other build")
    assert lines[0] == "4 rows, geometric mean of the ratios 0.81, lowest 0.50."
    assert lines[1] == "2 rows below 0.95:"
    assert [line[-4:] for line in lines[2:]] == ["0.50", "0.90"]
    assert report.summary([], "other build") == []


@native
@pytest.mark.parametrize("build", [None, HERE.parent], ids=["this", "folder"])
def test_a_worker_says_which_build_it_imported(build, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    worker = report.Process(1, build)
    try:
        assert worker.ask("build_of") == str(HERE)
        with pytest.raises(RuntimeError, match="no_such_request"):
            worker.ask("no_such_request")
    finally:
        worker.close()


@native
def test_comparing_a_build_with_itself_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["report.py", "--against", str(HERE.parent), "--quick"])
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    with pytest.raises(SystemExit, match="is the build in use"):
        report.main()


@native
def test_cases_are_found_by_their_names():
    """Builds that are compared may have different functions, and so different lists."""
    assert len(cases.BY_NAME) == len(cases.CASES)
    served = worker._Worker(threads=1)
    last = str(cases.CASES[-1])
    served.build("native", last)
    assert [case for _, case in served._works] == [last]
    with pytest.raises(LookupError, match="no such function"):
        served.build("native", "of_the_future few 8")
