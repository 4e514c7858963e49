"""fastnn against PyTorch and against the machine: ``python benchmarks/report.py [--threads 1,2] [--rows PATTERN]``.

Each library computes in a process of its own and they take turns, so that a slow spell of the machine hits both.
Figures are medians. "ratio" is PyTorch's time over fastnn's: above 1 fastnn is faster. "share" is the part of the
measured limit that fastnn reaches: multiply-adds at the FMA peak, or bytes at the copy rate, each array counted once.

With ``--against BUILD`` another build of fastnn takes PyTorch's place, on the same rows; "ratio" is its time over this
one's, so that a change that made a row slower reads below 1. Each build then has several processes, which take turns too:
how the memory of a process happens to be laid out moves a call of a microsecond by a tenth.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cases
import machine
import worker

SETTLE = 0.015  # seconds: idle threads of PyTorch, by libgomp, spin about 11 ms before they sleep
SLOWER = 0.95  # of two builds: what the noise of a quiet machine does not explain
PROCESSES = 4  # of each of two builds


class Process:
    """A worker and the pipe to it."""

    def __init__(self, threads: int, build: Path | None = None) -> None:
        """``build`` is the interpreter of another environment, or a folder that another fastnn is in."""
        ours, theirs = socket.socketpair()
        python, environment = sys.executable, os.environ | {"OMP_NUM_THREADS": str(threads)}
        if build is not None:
            environment.pop("PYTHONPATH", None)
            if build.is_dir():
                environment["PYTHONPATH"] = str(build)
            else:
                python = str(build)
        command = [python, worker.__file__, str(theirs.fileno()), str(threads)]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self._pipe = Connection(ours.detach())

    def ask(self, *request: Any) -> Any:
        self._pipe.send(request)
        try:
            good, result = self._pipe.recv()
        except EOFError:
            raise SystemExit(f"report: a worker ended with exit code {self._process.wait()}") from None
        if not good:
            raise RuntimeError(result)
        return result

    def close(self) -> None:
        self._pipe.send(None)
        self._process.wait()


@dataclass
class Row:
    """Milliseconds per contender of one direction of one case."""

    case: cases.Case
    what: str
    times: dict[str, list[float]]

    def ms(self, contender: str) -> float | None:
        return 1e3 * statistics.median(self.times[contender]) if contender in self.times else None

    def ratio(self, peer: str) -> float | None:
        ours, theirs = self.ms("native"), self.ms(peer)
        return theirs / ours if ours and theirs else None


class Session:
    """The processes of one thread count, and the limits measured in it.

    A contender is a name, its processes and the library there; "native" is fastnn as this interpreter imports it, ``peer``
    what it is compared with.
    """

    def __init__(self, options: argparse.Namespace, threads: int) -> None:
        self.threads = threads
        self._seconds, self._rounds = (0.1, 4) if options.quick else (options.seconds, 8)
        count = PROCESSES if options.against else 1
        fastnn = [Process(threads) for _ in range(count)]
        self._contenders = {"native": (fastnn, "native")}
        self.peer = "torch"
        if options.numpy:
            self._contenders["numpy"] = (fastnn, "numpy")
        if options.against:
            self.peer = "other build"
            other = [Process(threads, options.against) for _ in range(count)]
            self._contenders[self.peer] = (other, "native")
            self._refuse_same_build(fastnn[0], other[0])
        elif importlib.util.find_spec("torch") is not None:
            torch = [Process(threads)]
            self._contenders |= {name: (torch, name) for name in ("torch", "torch channels_last")}
        self.peak, self.copy = fastnn[0].ask("limits")

    def _refuse_same_build(self, one: Process, other: Process) -> None:
        places = [process.ask("build_of") for process in (one, other)]
        if places[0] == places[1]:
            self.close()
            raise SystemExit(f"report: --against is the build in use, {places[0]}")

    def _processes(self) -> set[Process]:
        return {process for processes, _ in self._contenders.values() for process in processes}

    def about(self) -> str:
        compared = ("native", self.peer)
        return " against ".join(
            processes[0].ask("about", library)
            for name, (processes, library) in self._contenders.items()
            if name in compared
        )

    def measure(self, case: cases.Case) -> list[Row]:
        """All directions of a case, the contenders in turn."""
        contenders = {
            name: contender
            for name, contender in self._contenders.items()
            if case.images or not name.endswith("channels_last")
        }
        rows = []
        try:
            for processes, library in contenders.values():
                for process in processes:
                    process.ask("build", library, str(case))
            for what in case.directions:
                row = Row(case, what, {name: [] for name in contenders})
                for n in range(self._rounds):
                    for name, (processes, library) in contenders.items():
                        time.sleep(SETTLE)
                        process = processes[n % len(processes)]
                        row.times[name] += process.ask("time", library, str(case), what, self._seconds / self._rounds)
                rows.append(row)
        finally:
            for process in self._processes():
                process.ask("drop")
        return rows

    def close(self) -> None:
        for process in self._processes():
            process.close()


# ---- printing -----------------------------------------------------------------------------------------------------

WORK, REST = ["work", "", "fastnn ms"], ["rate", "share"]
HEADERS = {
    "torch": [*WORK, "PyTorch ms", "ratio", "channels_last ms", *REST],
    "other build": [*WORK, "other ms", "ratio", *REST],
}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.5f}" if value < 0.01 else f"{value:.4f}" if value < 0.1 else f"{value:.3g}"


def _rate(row: Row, session: Session) -> tuple[str, str]:
    """Work per second and its share of the limit, for cases large enough to have one."""
    i = 0 if row.what == "forward" else 1
    ms = row.ms("native")
    assert ms is not None
    if row.case.flops[i]:
        rate = row.case.flops[i] / ms / 1e6
        return f"{rate:.0f} GF/s", f"{100 * rate / session.peak:.0f} %"
    if row.case.bytes[i]:
        rate = row.case.bytes[i] / ms / 1e6
        return f"{rate:.1f} GB/s", f"{100 * rate / session.copy:.0f} %"
    return "", ""


def cells(row: Row, session: Session, numpy: bool) -> list[str]:
    ratio = row.ratio(session.peer)
    line = [
        str(row.case),
        row.what if len(row.case.directions) > 1 else "",
        _number(row.ms("native")),
        _number(row.ms(session.peer)),
        f"{ratio:.2f}" if ratio else "–",
        *([_number(row.ms("torch channels_last"))] if session.peer == "torch" else []),
        *_rate(row, session),
    ]
    return [*line, _number(row.ms("numpy"))] if numpy else line


def summary(rows: list[Row], peer: str) -> list[str]:
    """How many rows there were, the geometric mean of their ratios, and those where another build was faster."""
    ratios = [(ratio, row) for row in rows if (ratio := row.ratio(peer))]
    if not ratios:
        return []
    mean = math.exp(statistics.fmean(math.log(ratio) for ratio, _ in ratios))
    lines = [f"{len(ratios)} rows, geometric mean of the ratios {mean:.2f}, lowest {min(r for r, _ in ratios):.2f}."]
    if peer == "other build":
        slower = sorted(((ratio, f"{row.case} {row.what}") for ratio, row in ratios if ratio < SLOWER))
        lines.append(f"{len(slower)} rows below {SLOWER}{':' if slower else '.'}")
        lines += [f"- {name}: {ratio:.2f}" for ratio, name in slower]
    return lines


def import_times(repeats: int) -> dict[str, float]:
    """Milliseconds to start Python and import a package, less those to start Python: the best of several."""
    commands = {"python": "pass", "numpy": "import numpy", "fastnn": "import fastnn"}
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(repeats):
        for name, code in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: 1e3 * (best[name] - best["python"]) for name in ("numpy", "fastnn")}


class Printer:
    """To the terminal as rows come in, and to a Markdown file at the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def text(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)

    def heading(self, line: str) -> None:
        print(f"\n{line}", flush=True)
        self.lines += ["", f"## {line}", ""]

    def table(self, columns: list[str]) -> None:
        self.row(columns)
        self.lines.append("|" + "---|" * len(columns))

    def row(self, columns: list[str]) -> None:
        widths = [44, 8, 10, 10, 6, 16, 10, 6, 10]
        print(
            "  ".join(
                f"{c:<{w}}" if i < 2 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(columns, widths, strict=False))
            ),
            flush=True,
        )
        self.lines.append("| " + " | ".join(columns) + " |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", default="1,2", help="thread counts, by default 1,2")
    parser.add_argument(
        "--rows", default="", metavar="PATTERN", help="only cases whose name matches this regular expression"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also the cases that are not in DESIGN's table, but for those of --rows sweep and --rows few",
    )
    parser.add_argument("--quick", action="store_true", help="short measurements: a rough idea")
    parser.add_argument(
        "--seconds", type=float, default=1.2, help="for each row and contender, without --quick; by default 1.2"
    )
    parser.add_argument("--numpy", action="store_true", help="also time the NumPy backend (slow)")
    parser.add_argument(
        "--against",
        metavar="BUILD",
        type=Path,
        help="compare with another build of fastnn and not with PyTorch: the Python interpreter of the environment that "
        "it is installed in, or the folder that it is in (as of pip install --target)",
    )
    parser.add_argument("--markdown", metavar="FILE", help="also write the report there")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[cases.Case]:
    return [
        case
        for case in cases.CASES
        if re.search(options.rows, str(case), re.IGNORECASE)
        and (options.rows or case.table or (options.all and not case.sweep))
    ]


def _measured(session: Session, chosen: list[cases.Case], out: Printer, numpy: bool, failed: list[str]) -> list[Row]:
    """The rows of the chosen cases, printed one by one; names of cases that failed are added to ``failed``."""
    measured = []
    for case in chosen:
        try:
            rows = session.measure(case)
        except RuntimeError as error:
            failed.append(str(case))
            print(f"{case} failed: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
            continue
        for row in rows:
            out.row(cells(row, session, numpy))
        measured += rows
    return measured


def main() -> int:
    options = _arguments()
    chosen = _chosen(options)
    if not chosen:
        print(f"report: no case matches {options.rows!r}", file=sys.stderr)
        return 2
    out = Printer()
    failed: list[str] = []
    for i, threads in enumerate(int(t) for t in options.threads.split(",")):
        session = Session(options, threads)
        if i == 0:
            out.text(
                f"{machine.processor()}, {os.cpu_count()} CPUs; Python {sys.version.split()[0]}, {session.about()}"
            )
        out.heading(f"{threads} thread{'s' if threads > 1 else ''}")
        out.text(
            f"Limits, measured: {session.peak:.0f} GFLOP/s of multiply-adds, {session.copy:.1f} GB/s of copying 26 MB."
        )
        out.lines.append("")
        out.table(HEADERS[session.peer] + (["NumPy ms"] if options.numpy else []))
        rows = _measured(session, chosen, out, options.numpy, failed)
        out.lines.append("")
        for line in summary(rows, session.peer):
            out.text(line)
        session.close()
    if not options.rows:
        took = import_times(3 if options.quick else 15)
        out.heading("Import")
        out.text(f"`import fastnn` {took['fastnn']:.0f} ms, of which `import numpy` {took['numpy']:.0f} ms.")
    if options.markdown:
        Path(options.markdown).write_text("# Benchmarks\n\n" + "\n".join(out.lines) + "\n", encoding="utf-8")
    if failed:
        print(f"report: {len(failed)} cases failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
