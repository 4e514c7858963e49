"""``fastnn info``."""

from __future__ import annotations

import argparse
import json
from typing import Any

import fastnn

from .options import add_machine, use_machine


def add(commands: Any) -> None:
    """Describe the command."""
    info = commands.add_parser("info", help="say which version, backend, instruction set and threads are in use")
    info.add_argument("--json", action="store_true", help="as JSON")
    add_machine(info)
    info.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the configuration."""
    use_machine(options)
    if options.json:
        print(json.dumps(fastnn.show_config("dicts"), indent=2))
    else:
        fastnn.show_config()
