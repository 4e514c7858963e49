"""``fastnn find-lr``."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_data, add_machine, add_recipe, train_command, use_machine
from .output import UsageError, complain, say
from .train import data_of, training_of

_DESCRIPTION = """\
Find a learning rate for the network that `fastnn train` would make of the same data: a hundred steps, whose rate grows from
a millionth to ten. Prints the rate, and the command that trains with it; nothing is saved."""


def add(commands: Any) -> None:
    """Describe the command."""
    find = commands.add_parser("find-lr", help="find a learning rate for `train`", description=_DESCRIPTION)
    add_data(find)
    add_recipe(find)
    find.add_argument("--plot", metavar="FILE", help="save a picture of the loss against the rate, such as rate.png")
    add_machine(find)
    find.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Test, and print the suggestion."""
    from ..diagnosis import lr_range_test

    use_machine(options)
    training = training_of(options, data_of(options))
    found = lr_range_test(training.trainer, training.batches)
    if options.plot is not None:
        _draw(found, options.plot)
    if found.rate is None:
        raise UsageError(str(found))
    complain(str(found))
    say(train_command(options, lr=f"{found.suggested:.2g}"))


def _draw(found: Any, path: str) -> None:
    from .._extras import require

    figure = require("matplotlib.figure", "Matplotlib", "plot", "find-lr --plot").Figure(
        (6.4, 4.4), layout="constrained"
    )
    found.plot(figure.subplots())
    figure.savefig(path, dpi=125)
    complain(f"drawn to {path}")
