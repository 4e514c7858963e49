"""What the command prints: results to stdout, all else to stderr; each may be closed, full, or unable to show a character."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class UsageError(Exception):
    """Something the person can put right: shown without a traceback."""


class Interrupted(Exception):
    """Ctrl-C ended a training in good order; the text says where."""


def say(text: str) -> None:
    """Print a line of the results, with characters that the output's encoding lacks escaped."""
    if sys.stdout is not None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def complain(text: str) -> None:
    """Print a line to stderr, where there is one that takes it."""
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            print(text, file=sys.stderr)


def warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning, in the place of `warnings.showwarning`."""
    complain(f"fastnn: warning: {str(message).removeprefix('fastnn: ')}")


def give_up(stream: TextIO | None) -> None:
    """What cannot be written now is not tried again when Python ends, which would have an exit code of its own."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def shown(path: str) -> str:
    """A file's name on one line, whatever characters it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
