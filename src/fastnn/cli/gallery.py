"""``fastnn gallery``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .._extras import require
from .options import add_machine, integer, use_machine
from .output import complain, say, shown


def add(commands: Any) -> None:
    """Describe the command."""
    gallery = commands.add_parser(
        "gallery",
        help="draw what happens in networks, with a page that explains it",
        description="Write pictures of what happens in neural networks, light and dark, and a page OUT/index.html that explains "
        "each: activations, optimisers, initialisations, layers that bend the plane, over- and underfitting, filters and more. "
        "All are computed here in about a minute, from made-up data and from the digits that come with scikit-learn. Needs the "
        "extras plot and demo.",
    )
    gallery.add_argument("out", metavar="OUT", help="the folder to write to; it is made if it is not there")
    gallery.add_argument("--seed", type=integer(0), default=0, help="what all numbers follow from; by default 0")
    gallery.add_argument(
        "--jobs",
        type=integer(1),
        default=default_jobs(),
        help="processes that draw; by default 2 where there are as many cores",
    )
    add_machine(gallery)
    gallery.set_defaults(run=run)


def default_jobs() -> int:
    """Two, of which each takes some 200 MB, if this process may use as many cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2, cores)


def run(options: argparse.Namespace) -> None:
    """Write the gallery and say where it is."""
    use_machine(options)
    # A missing package is to be an error before the first picture rather than after some.
    require("sklearn.datasets", "scikit-learn", "demo", "the gallery")
    from ..gallery import ENTRIES, Entry, write_gallery

    def tell(entry: Entry, place: int) -> None:
        complain(f"{place}/{len(ENTRIES)} {entry.title}")

    say(shown(write_gallery(options.out, ENTRIES, options.seed, tell, options.jobs)))
