"""The entry point: parses the arguments, runs a command, and turns what went wrong into a message and an exit code."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

import numpy as np

import fastnn

from ..data import MissingExtraError
from . import check, find_lr, gallery, info, predict, search, train
from .output import Interrupted, UsageError, complain, give_up, warn

USAGE_ERROR = 2
INTERRUPTED = 130
READER_GONE = 141  # what shells say of programs that SIGPIPE ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 when all went well, 2 when the arguments, the files or the installed packages don't allow what was asked for, 130
    when interrupted by Ctrl-C, 141 when who reads the output went away, as `head` does.
    """
    try:
        return _run(_parsed(arguments))
    finally:
        give_up(sys.stderr)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser().parse_args(arguments)
    # argparse of Python 3.11.2 raises it if its message cannot be written; that of 3.11.7 passes over it.
    except OSError:
        give_up(sys.stdout)
        raise SystemExit(USAGE_ERROR) from None


def _run(options: argparse.Namespace) -> int:
    try:
        # Numbers that are not finite are looked for where they count.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = warn
            options.run(options)
        if sys.stdout is not None:  # None: closed by who started this
            sys.stdout.flush()
    except KeyboardInterrupt:
        complain("fastnn: interrupted")
        return INTERRUPTED
    except Interrupted as interrupted:
        complain(f"fastnn: {interrupted}")
        return INTERRUPTED
    except BrokenPipeError:
        give_up(sys.stdout)
        return READER_GONE
    # ValueError: what the library says of files, whatever it finds in them.
    except (UsageError, ValueError, MissingExtraError, OSError, MemoryError) as error:
        complain(f"fastnn: error: {error}" if str(error) else "fastnn: error: there is not enough memory")
        give_up(sys.stdout)
        return USAGE_ERROR
    return 0


def parser() -> argparse.ArgumentParser:
    """What understands the arguments."""
    made = argparse.ArgumentParser(prog="fastnn", description="Neural networks on plain NumPy arrays.")
    made.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, predict, check, find_lr, search, gallery, info):
        command.add(commands)
    return made
