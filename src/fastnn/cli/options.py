"""Options that several commands have, and what they are checked by."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import fastnn

from ..checkpoint import CheckpointError, is_checkpoint, writable_target
from .output import UsageError, warn

if TYPE_CHECKING:
    from ..data.source import Dataset

DIGITS = "digits"
"""What stands for the demo in the place of a path."""


def add_machine(parser: argparse.ArgumentParser) -> None:
    """--backend and --threads."""
    parser.add_argument("--backend", choices=["native", "numpy"], help="compiled, or plain NumPy and slow")
    parser.add_argument("--threads", type=integer(1), help="threads of the compiled backend")


def use_machine(options: argparse.Namespace) -> None:
    """Apply --backend and --threads."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fastnn.use_backend(options.backend or fastnn.backend.current_name())
            if options.threads:
                fastnn.set_num_threads(options.threads)
    except (ValueError, RuntimeError, ImportError) as error:
        raise UsageError(str(error)) from error
    if options.backend != "numpy":  # who asks for NumPy need not be told that it is slow
        for warning in caught:
            warn(warning.message)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The path of the data, --target, and what else concerns columns of CSV files."""
    parser.add_argument("data", metavar="PATH", help="the file or folder, or `digits`")
    parser.add_argument("--target", metavar="NAME", help="the column of a CSV file that is to be predicted")
    parser.add_argument(
        "--kind",
        choices=["classification", "regression"],
        help="is the target a class or a number? By default texts and few integers are classes",
    )
    parser.add_argument(
        "--text", metavar="NAME", action="append", default=[], help="a column of numbers that are names; repeatable"
    )
    parser.add_argument(
        "--ignore", metavar="NAME", action="append", default=[], help="a column to leave out; repeatable"
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="the first row of a CSV file has the names; by default unless it holds numbers",
    )
    parser.add_argument(
        "--size", type=integer(4), metavar="PIXELS", help="height and width to bring pictures of a folder to"
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """--seed, --epochs and --batch-size."""
    parser.add_argument(
        "--seed", type=integer(0), default=0, help="of weights, dropout, batches and augmentation (default: 0)"
    )
    parser.add_argument("--epochs", type=integer(1), help="passes over the training part")
    parser.add_argument("--batch-size", type=integer(1), help="samples per step")


def train_command(options: argparse.Namespace, **found: Any) -> str:
    """The command line that trains on the same data, with further settings; it can be pasted into a shell."""
    words = ["fastnn", "train", options.data]
    given = {name: value for name, value in columns(options).items() if name != "header"}
    given |= {name: getattr(options, name) for name in ("epochs", "batch_size", "backend", "threads")}
    given |= {"seed": options.seed or None, **found}
    if options.header is not None:
        words.append("--header" if options.header else "--no-header")
    for name, value in given.items():
        for each in value if isinstance(value, list) else [value]:
            words += [] if each is None else [f"--{name.replace('_', '-')}", str(each)]
    return shlex.join(words)


def columns(options: argparse.Namespace) -> dict[str, Any]:
    """What `add_data` added, as `fastnn.data.source.read_dataset` takes it."""
    return {name: getattr(options, name) for name in ("target", "kind", "text", "ignore", "header", "size")}


def digits(options: argparse.Namespace) -> Dataset:
    """The demo's data, where options for columns are not given."""
    if any(value not in (None, []) for value in columns(options).values()):
        raise UsageError("digits alone is the demo, without columns or sizes; a folder of that name is ./digits")
    from ..data.source import digits_dataset

    return digits_dataset()


def integer(least: int) -> Callable[[str], int]:
    """A parser of integers that are not below a bound."""

    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    parse.__name__ = "integer"  # argparse shows it: "invalid integer value"
    return parse


def positive(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return value


positive.__name__ = "number"


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


not_negative.__name__ = "number"


def integers(text: str) -> tuple[int, ...]:
    """Integers of at least 1, with commas between them."""
    return tuple(map(integer(1), text.split(",")))


def check_writable(path: str) -> None:
    """Find out before the training, not after it, that its result cannot be saved."""
    try:
        folder = os.path.dirname(writable_target(path))
    except (CheckpointError, OSError) as error:
        raise UsageError(f"cannot write {path!r}: {error}") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path!r}: no permission to write in {folder!r}")
    if os.path.exists(path) and not is_checkpoint(path):
        raise UsageError(f"{path!r} is there and was not written by fastnn; give another name, or remove it")
