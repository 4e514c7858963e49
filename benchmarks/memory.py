"""Peak memory of the training steps, fastnn's beside PyTorch's.

    python benchmarks/memory.py [--rows PATTERN]

Each figure is from a process of its own: the most memory that it ever had, after some steps, less what it had
once the network was built. Linux only: the peak is VmHWM of /proc/self/status, which can be set back.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import re
import sys
from pathlib import Path
from typing import Any

import cases
import worker

STEPS = 4


def _megabytes(key: str) -> float:
    """A line of this process's status, which is in kB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def _measure(name: str, index: int, pipe: Any) -> None:
    """In a process of its own: the peak above what was there before the first step."""
    library = worker.make_library(name, threads=1)
    cases.TRAINING[0].build(library).forward()  # so that what libraries load late is there already
    work = cases.CASES[index].build(library)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from here
    before = _megabytes("VmRSS")
    for _ in range(STEPS):
        work.forward()
    pipe.send(_megabytes("VmHWM") - before)


def peak(name: str, index: int) -> float:
    """Megabytes that the steps of a case add to a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(name, index, theirs))
    process.start()
    theirs.close()
    try:
        return float(ours.recv())
    finally:
        process.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", default="", metavar="PATTERN", help="only cases whose name matches")
    options = parser.parse_args()
    if not Path("/proc/self/clear_refs").exists():
        print("memory: needs /proc of Linux", file=sys.stderr)
        return 2
    libraries = ["native", *(["torch"] if importlib.util.find_spec("torch") else [])]
    print("| work | " + " | ".join(f"{name} MB" for name in libraries) + " |\n|---|" + "---|" * len(libraries))
    for index, case in enumerate(cases.CASES):
        if case.op == "training step" and re.search(options.rows, str(case), re.IGNORECASE):
            print(f"| {case} | " + " | ".join(f"{peak(name, index):.1f}" for name in libraries) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
