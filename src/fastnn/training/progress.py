"""A small progress bar on stderr.

On a terminal one line is redrawn in place, at most ten times a second. Elsewhere (a file, a pipe, a dumb
terminal) a plain line is written each time another tenth of the work is done. ``NO_COLOR`` turns colour off.
A stream that cannot be written to is left alone: what is counted goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

_REDRAW_SECONDS = 0.1
_LONGEST_BAR = 30
_SHORTEST_BAR = 8
_GREEN, _PLAIN = "\x1b[32m", "\x1b[0m"


class ProgressBar:
    """Show how much of a known amount of work is done.

    Parameters
    ----------
    total : int
        Steps of work.
    label : str
        Text before the bar; may be set anew at any time, as may `note`, the text after it.
    stream : file, optional
        Where to draw; stderr by default. Something with ``write`` will do.
    enabled : bool
        False draws nothing.

    Examples
    --------
    >>> from fastnn.training import ProgressBar
    >>> with ProgressBar(3, "counting", enabled=False) as bar:
    ...     for i in range(3):
    ...         bar.advance()
    """

    def __init__(self, total: int, label: str = "", *, stream: TextIO | None = None, enabled: bool = True) -> None:
        self.total = max(total, 1)
        self.done = 0
        self.label = label
        self.note = ""
        self._stream = sys.stderr if stream is None else stream
        self._enabled = enabled and self._stream is not None
        self._live = self._enabled and is_terminal(self._stream) and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._cells = _cells(self._stream)
        self._started = time.monotonic()
        self._drawn = -1.0
        self._width = 0
        self._tenths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, steps: int = 1) -> None:
        """Count steps as done, and show it."""
        self.done = min(self.done + steps, self.total)
        if self._live:
            now = time.monotonic()
            if now - self._drawn >= _REDRAW_SECONDS:
                self._drawn = now
                self._draw()
        elif self._enabled and self.done * 10 // self.total > self._tenths:
            self._tenths = self.done * 10 // self.total
            self._write(self._text(bar="") + "\n")

    def clear(self) -> None:
        """Take the bar off the screen, so that other text can be printed; `advance` draws it again."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0
            self._drawn = -1.0

    close = clear

    def print(self, text: str) -> None:
        """Write a line of text where the bar is, which comes back below it."""
        if self._enabled:
            self.clear()
            self._write(text + "\n")

    def _draw(self) -> None:
        room = _columns(self._stream) - 1
        length = min(_LONGEST_BAR, room - len(self._text(bar="")) - 1)
        text = self._text(bar="")[:room]
        width = len(text)
        if length >= _SHORTEST_BAR:
            text, width = self._text(bar=self._bar(length)), width + length + 1
        padding = " " * max(self._width - width, 0)
        self._width = width
        self._write("\r" + text + padding)

    def _write(self, text: str) -> None:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "backslashreplace").decode())
            getattr(self._stream, "flush", _nothing)()
        except (OSError, ValueError):  # a reader that went away, a full disk; a stream that was closed
            self._enabled = self._live = False
            self._width = 0

    def _bar(self, length: int) -> str:
        full = length * self.done // self.total
        done, left = self._cells[0] * full, self._cells[1] * (length - full)
        return f"{_GREEN}{done}{_PLAIN}{left}" if self._colour else done + left

    def _text(self, bar: str) -> str:
        parts = [self.label, bar, f"{100 * self.done // self.total:3d} %", self.note, self._remaining()]
        return " ".join(part for part in parts if part)

    def _remaining(self) -> str:
        if not 0 < self.done < self.total:
            return ""
        seconds = (time.monotonic() - self._started) * (self.total - self.done) / self.done
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        return f"{clock} left"


def _nothing() -> None:
    pass


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody may be looking at it."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # consoles of notebooks and windows have no isatty, closed files refuse it
        return False


def _cells(stream: TextIO) -> tuple[str, str]:
    """Characters for done and not done that the stream's encoding has."""
    try:
        "━─".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "━", "─"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns
