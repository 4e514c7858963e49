"""Read files of weights that are damaged at random, and compare with safetensors and PyTorch.

``python tools/fuzz_weights.py [COUNT]`` damages so many files of each kind (1000), and prints how many were read as the
format's own library reads them, and how many were refused. It ends with an error if one was read as something else.
"""

from __future__ import annotations

import collections
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mutated_weights

OUTCOMES = ("same", "both refuse", "refused here", "refused there")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for kind in mutated_weights.KINDS:
            table = collections.defaultdict(collections.Counter)
            for seed, (how, data) in enumerate(mutated_weights.mutants(kind, count)):
                outcome = mutated_weights.compared(kind, data, Path(folder, f"{seed}.{kind}"))
                table[how][outcome] += 1
                if outcome == "refused there":
                    print(f"{kind}, seed {seed}, {how}: read here, refused by the reference", file=sys.stderr)
            print(f"\n| {kind} | {' | '.join(OUTCOMES)} |\n|---{'|---:' * len(OUTCOMES)}|")
            for how, outcomes in table.items():
                print(f"| {how} | " + " | ".join(str(outcomes[o]) for o in OUTCOMES) + " |")
            total = sum(table.values(), collections.Counter())
            print("| all | " + " | ".join(str(total[o]) for o in OUTCOMES) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
