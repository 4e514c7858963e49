"""Random calls of every public function for as long as told: ``python tools/fuzz.py SECONDS [--seed N] [--isa avx2]``.

Needs what the tests need. Seeds are drawn at the time where none is given. The work is done in a process of its own: where that one
dies or hangs, this one names the case and goes on behind it. Ends with the number of calls of each function, and with exit
code 1 if there was a fault. ``--case OP SEED NUMBER`` repeats one case.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import secrets
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
HANG = 300  # seconds after which a case counts as hung
REFUSALS = 4  # calls with wrong arguments for each random sample


def cases(seed: int, names: list[str]) -> Iterator[tuple[str, int, int]]:
    """Every op in turn, for ever."""
    number = 0
    while True:
        for name in names:
            yield name, seed, number
        number += 1


def run_case(name: str, seed: int, number: int) -> list[str]:
    import bad_input
    import fuzzing
    import harness
    from fastnn import _core

    _core.set_num_threads(1)
    _core.set_thread_cost(0.0 if number % 2 else 8000.0)  # every other time work is split however small it is
    key = seed, fuzzing.NAMES.index(name), number
    faults = list(fuzzing.check(fuzzing.BY_NAME[name], harness.DTYPES[number // 2 % 2], *key))
    public = sorted(bad_input.LEGAL)
    for i in range(REFUSALS):
        # The functions take turns over all ops and numbers, whichever ops were asked for.
        function = public[(key[1] * REFUSALS + i + number * 7) % len(public)]
        faults += fuzzing.check_refusal(function, *key, i)
    return faults


def child(options: argparse.Namespace) -> int:
    """Report each case before it runs, then its faults, a line of JSON each."""
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "benchmarks")]
    import fastnn
    import fuzzing

    if options.no_cache:
        fastnn.set_cache_limit(0)

    def tell(**what: object) -> None:
        print(json.dumps(what), flush=True)

    names = options.ops.split(",") if options.ops else fuzzing.NAMES
    end = time.monotonic() + options.seconds
    for position, case in enumerate(cases(options.seed, names)):
        if position < options.start:
            continue
        if time.monotonic() >= end:
            break
        tell(case=case, position=position)
        faulthandler.dump_traceback_later(HANG, exit=True)
        try:
            for fault in run_case(*case):
                tell(fault=fault)
        except Exception:  # noqa: BLE001 - a legal call raised
            tell(fault=traceback.format_exc())
    tell(calls=fuzzing.calls)
    return 0


class Run:
    """One child after the other, until the time is over."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.calls: Counter[str] = Counter()
        self.faults = 0
        self.case: list[object] = []
        self.next = 0

    def to_the_end(self) -> None:
        end = time.monotonic() + self.options.seconds
        while (left := end - time.monotonic()) > 0:
            code = self._child(left)
            if code == 0:
                return
            self._fault(f"the process ended with {code}")

    def _child(self, seconds: float) -> int:
        command = [sys.executable, __file__, str(seconds), "--seed", str(self.options.seed), "--start", str(self.next)]
        command += ["--child", *(["--ops", self.options.ops] if self.options.ops else [])]
        command += ["--no-cache"] if self.options.no_cache else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                message = json.loads(line)
                if "case" in message:
                    self.case, self.next = message["case"], message["position"] + 1
                elif "fault" in message:
                    self._fault(message["fault"])
                else:
                    self.calls.update(message["calls"])
        return process.returncode

    def _fault(self, text: str) -> None:
        self.faults += 1
        print(f"FAULT --case {' '.join(map(str, self.case))}: {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--isa", help="the instruction set, by default the best")
    parser.add_argument("--ops", help="names of rows of the op table, separated by commas")
    parser.add_argument("--no-cache", action="store_true", help="give memory back at once, so that a sanitizer sees it")
    parser.add_argument("--case", nargs=3, metavar=("OP", "SEED", "NUMBER"), help="one case again")
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.isa:
        os.environ["FASTNN_ISA"] = options.isa
    os.environ.setdefault("OMP_NUM_THREADS", "8")  # so that more threads than cores are allowed
    if options.case:
        sys.path[:0] = [str(TESTS), str(TESTS.parent / "benchmarks")]
        name, seed, number = options.case
        faults = run_case(name, int(seed), int(number))
        print("\n".join(faults) or "no fault")
        return bool(faults)
    if options.child:
        return child(options)
    print(f"seed {options.seed}", flush=True)
    run = Run(options)
    run.to_the_end()
    counts = run.calls.most_common()
    if counts:
        print(
            f"{run.calls.total()} calls of {len(counts)} functions, at least {counts[-1][1]} of each ({counts[-1][0]})"
        )
    print(f"{run.faults} faults in {run.next} cases")
    return bool(run.faults)


if __name__ == "__main__":
    sys.exit(main())
