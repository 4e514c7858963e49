"""``fastnn check``."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_columns
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
    check.add_argument("data", metavar="PATH", help="the file or folder")
    add_columns(check)
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what was found."""
    from ..data.review import review

    found = review(
        options.data,
        target=options.target,
        kind=options.kind,
        text=options.text,
        ignore=options.ignore,
        size=options.size,
    )
    for fact in found.facts:
        say(shown(fact))
    for finding in found.findings:
        say(f"looks wrong: {shown(finding)}")
    if not found.findings:
        say("nothing looks wrong")
