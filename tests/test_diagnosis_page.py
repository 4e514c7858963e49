"""docs/diagnosis.md: its program prints what the page shows, and its tables have every word."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from fastnn.training.findings import WORDS
from fastnn.training.verdict import VERDICTS
from test_pages import table

PAGE = Path(__file__).parents[1] / "docs" / "diagnosis.md"
NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?)"
CUT = "…"  # at the end of a line that goes on
CLOSE = 0.2  # as a share: rounding differs between backends, and trainings make more of it
MOST = 0.75  # of the numbers


def blocks():
    """The Python of each block, and what stands below it as its output, if anything does."""
    pattern = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    return re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def words_and_numbers(line):
    """A line with # in the place of numbers, and the numbers."""
    plain = " ".join(line.split())
    return re.sub(NUMBER, "#", plain), [float(number) for number in re.findall(NUMBER, plain)]


def compared(shown, printed):
    """Numbers that are shown, with those that were printed; fails where words differ."""
    pairs = []
    lines, found = shown.splitlines(), printed.splitlines()
    assert len(lines) == len(found), printed
    for expected, line in zip(lines, found, strict=True):
        text, numbers = words_and_numbers(expected.removesuffix(CUT))
        same, others = words_and_numbers(line)
        if expected.endswith(CUT):  # a number may be cut, too
            numbers, text = numbers[:-1], text.rpartition("#")[0]
            same = same[: len(text)]
        assert same == text, line
        pairs += zip(numbers, others, strict=False)
    return pairs


@pytest.mark.filterwarnings("error")
def test_the_page_shows_what_its_program_prints(monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "__main__"}
    pairs = []
    for code, shown in blocks():
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, str(PAGE), "exec"), space)  # noqa: S102
        pairs += compared(shown, output.getvalue())
    close = sum(abs(a - b) <= CLOSE * max(abs(a), abs(b)) for a, b in pairs)
    assert close >= MOST * len(pairs)
    assert len(pairs) > 100


def test_cut_lines_and_numbers():
    assert compared("loss 2.31 after 5 …", "loss 2.30 after 50 epochs") == [(2.31, 2.3)]
    with pytest.raises(AssertionError):
        compared("loss 2.31", "lost 2.31")


@pytest.mark.parametrize(("number", "words"), [(0, WORDS), (1, VERDICTS)])
def test_every_word_is_explained(number, words):
    rows = [cells for cells in table("diagnosis.md", 3) if cells[2] != "---"]
    heads = [i for i, cells in enumerate(rows) if cells[0] == "It says"]
    listed = rows[heads[number] + 1 : heads[number + 1] if number + 1 < len(heads) else None]
    assert {word: meaning for word, meaning, _ in listed} == words
    assert all(helps for *_, helps in listed)
