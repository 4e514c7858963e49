"""Read files of weights that are damaged at random, and compare with safetensors and PyTorch.

``python tools/fuzz_weights.py [COUNT]`` damages so many files of each kind (1000), and prints how many were read as the
format's own library reads them, how many were refused, and the most memory that a file took. It ends with an error if one was
read as something else.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mutated_weights

OUTCOMES = ("same", "both refuse", "refused here", "refused there")


def main(count: int) -> None:
    import torch  # noqa: F401 - so that its own memory is not counted

    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        for kind in mutated_weights.KINDS:
            most, table = 0, collections.defaultdict(collections.Counter)
            for seed, (how, data) in enumerate(mutated_weights.mutants(kind, count)):
                tracemalloc.reset_peak()
                outcome = mutated_weights.compared(kind, data, Path(folder, f"{seed}.{kind}"))
                most = max(most, tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0])
                table[how][outcome] += 1
                if outcome == "refused there":
                    print(f"{kind}, seed {seed}, {how}: read here, refused by the reference", file=sys.stderr)
            print(f"\n| {kind} | {' | '.join(OUTCOMES)} |\n|---{'|---:' * len(OUTCOMES)}|")
            for how, outcomes in table.items():
                print(f"| {how} | " + " | ".join(str(outcomes[o]) for o in OUTCOMES) + " |")
            total = sum(table.values(), collections.Counter())
            print("| all | " + " | ".join(str(total[o]) for o in OUTCOMES) + " |")
            print(f"\nAt most {most / 1e6:.1f} MB for a file.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
