"""Damaged ONNX files: ``python tools/damage_onnx.py COUNT [--first SEED]``. Names each that is not refused and gives another result
than the references, takes too much memory, or raises something else; ends with what happened how often, and exit code 1 after a fault.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first file")
    options = parser.parse_args()
    faulthandler.enable()
    import onnx_mutations

    warnings.simplefilter("error")
    onnx_mutations.limit_memory()
    seen: Counter[str] = Counter()
    faults = 0
    for seed in range(options.first, options.first + options.count):
        try:
            fault, outcome = onnx_mutations.check(seed)
        except Exception:  # noqa: BLE001 - reported
            fault, outcome = f"seed {seed}: {traceback.format_exc(limit=-3)}", "another error"
        seen[outcome] += 1
        if fault:
            faults += 1
            print(fault)
    print(", ".join(f"{outcome}: {n}" for outcome, n in seen.most_common()))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
