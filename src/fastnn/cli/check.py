"""``fastnn check``."""

from __future__ import annotations

import argparse
from typing import Any

from .options import DIGITS, add_columns, columns, digits
from .output import say, shown


def add(commands: Any) -> None:
    """Describe the command."""
    check = commands.add_parser(
        "check",
        help="say what is in data, and what looks wrong",
        description="Say what is in a CSV file, a file of arrays or a folder of images, and what looks wrong: missing and "
        "constant values, duplicates, also between training and test part, classes with few samples, labels that leave gaps, "
        "columns that give the target away.",
    )
    check.add_argument("data", metavar="PATH", help="the file or folder, or `digits`")
    add_columns(check)
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what was found."""
    from ..data.review import review, review_samples

    found = review_samples(digits(options)) if options.data == DIGITS else review(options.data, **columns(options))
    for fact in found.facts:
        say(shown(fact))
    for finding in found.findings:
        say(f"looks wrong: {shown(finding)}")
    if not found.findings:
        say("nothing looks wrong")
