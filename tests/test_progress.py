"""The progress bar, on a terminal and off."""

import io
import os
import re

import pytest

from fastnn.training.progress import ProgressBar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Ascii(Terminal):
    encoding = "ascii"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("fastnn.training.progress._REDRAW_SECONDS", 0.0)


def run(stream, total=25, **options):
    with ProgressBar(total, "epoch 1/3", stream=stream, **options) as bar:
        for _ in range(total):
            bar.note = "loss 0.5"
            bar.advance()
    return stream.getvalue()


def shown(output):
    """What a terminal would show at the end."""
    line, column = [], 0
    for character in re.sub(r"\x1b\[\d*m", "", output):
        if character == "\r":
            column = 0
        else:
            line[column : column + 1] = character
            column += 1
    return "".join(line).rstrip()


def test_terminal_line_is_redrawn_and_taken_away():
    output = run(Terminal())
    assert "\n" not in output
    assert output.count("\r") >= 25
    assert "epoch 1/3 \x1b[32m━" in output
    assert "100 % loss 0.5" in output
    assert "left" in output
    assert shown(output) == ""


@pytest.mark.parametrize("columns", [10, 25, 40, 80, 200])
def test_line_never_wraps(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    plain = re.sub(r"\x1b\[\d*m", "", run(Terminal()))
    assert max(len(part) for part in plain.split("\r")) < columns


def test_clear_lets_other_text_be_printed():
    stream = Terminal()
    bar = ProgressBar(10, stream=stream)
    bar.advance()
    bar.clear()
    assert shown(stream.getvalue()) == ""
    bar.advance()
    assert "20 %" in shown(stream.getvalue())


def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    output = run(Terminal())
    assert "\x1b" not in output
    assert "━" in output


def test_ascii_terminal():
    assert "###" in run(Ascii())


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_plain_lines_elsewhere(monkeypatch, make):
    monkeypatch.setenv("TERM", "dumb")
    output = run(make())
    assert "\r" not in output
    assert "\x1b" not in output
    lines = output.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch 1/3  12 % loss 0.5")
    assert " 100 %" in lines[-1]


class Console:
    """What notebooks and windows put in the place of stderr."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def getvalue(self):
        return self.text


def test_a_stream_that_only_writes():
    assert len(run(Console()).splitlines()) == 10


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_a_closed_stream_does_not_stop_the_work(make):
    stream = make()
    with ProgressBar(4, stream=stream) as bar:
        bar.advance()
        stream.close()
        bar.advance(2)
    assert bar.done == 3
    with ProgressBar(4, stream=stream) as bar:
        bar.advance(4)
    assert bar.done == 4


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_a_stream_that_fails_does_not_stop_the_work(monkeypatch, make):
    stream = make()
    bar = ProgressBar(4, stream=stream)
    bar.advance()

    def fail(text):
        raise BrokenPipeError

    monkeypatch.setattr(stream, "write", fail)
    bar.advance()
    monkeypatch.undo()
    before = stream.getvalue()
    bar.advance(2)
    bar.close()
    assert stream.getvalue() == before  # and is not tried again
    assert bar.done == 4


def test_text_that_the_stream_lacks(tmp_path):
    with open(tmp_path / "log", "w", encoding="ascii") as stream, ProgressBar(1, "süß 数", stream=stream) as bar:
        bar.advance()
    assert (tmp_path / "log").read_text() == "s\\xfc\\xdf \\u6570 100 %\n"


def test_disabled_says_nothing():
    assert run(Terminal(), enabled=False) == ""


def test_no_work_and_too_much_work():
    stream = io.StringIO()
    with ProgressBar(0, stream=stream) as bar:
        bar.advance(5)
    assert stream.getvalue().splitlines() == ["100 %"]


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_real_terminal():
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as stream, ProgressBar(4, stream=stream) as bar:
        bar.advance()
        bar.advance()
    text = os.read(master, 10_000).decode()
    os.close(master)
    assert "25 %" in text
    assert "━" in text
