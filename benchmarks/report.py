"""fastnn against PyTorch and against the machine: ``python benchmarks/report.py [--threads 1,2] [--rows PATTERN]``.

Each library computes in a process of its own and they take turns, so that a slow spell of the machine hits both.
Figures are medians. "ratio" is PyTorch's time over fastnn's: above 1 fastnn is faster. "share" is the part of the
measured limit that fastnn reaches: multiply-adds at the FMA peak, or bytes at the copy rate, each array counted once.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cases
import machine
import worker

SETTLE = 0.015  # seconds: an idle team of OpenMP threads spins about 11 ms before it sleeps


class Process:
    """A worker and the pipe to it."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._process = context.Process(target=worker.serve, args=(other, threads), daemon=True)
        self._process.start()

    def ask(self, *request: Any) -> Any:
        self._pipe.send(request)
        good, result = self._pipe.recv()
        if not good:
            raise RuntimeError(result)
        return result

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


@dataclass
class Row:
    """Milliseconds per library of one direction of one case."""

    case: cases.Case
    what: str
    times: dict[str, list[float]]

    def ms(self, library: str) -> float | None:
        return 1e3 * statistics.median(self.times[library]) if library in self.times else None


class Session:
    """The processes of one thread count, and the limits measured in it."""

    def __init__(self, threads: int, torch: bool, numpy: bool, seconds: float, rounds: int) -> None:
        self.threads = threads
        self._seconds, self._rounds = seconds, rounds
        self._fastnn = Process(threads)
        self._torch = Process(threads) if torch else None
        self._numpy = numpy
        self.peak, self.copy = self._fastnn.ask("limits")

    def about(self) -> str:
        parts = [self._fastnn.ask("about", "native")]
        if self._torch:
            parts.append(self._torch.ask("about", "torch"))
        return ", ".join(parts)

    def _contenders(self, case: cases.Case) -> dict[str, Process]:
        contenders = {"native": self._fastnn}
        if self._numpy:
            contenders["numpy"] = self._fastnn
        if self._torch:
            contenders["torch"] = self._torch
            if case.images:
                contenders["torch channels_last"] = self._torch
        return contenders

    def measure(self, index: int) -> list[Row]:
        """All directions of a case, the libraries in turn."""
        case = cases.CASES[index]
        contenders = self._contenders(case)
        for name, process in contenders.items():
            process.ask("build", name, index)
        rows = []
        for what in case.directions:
            row = Row(case, what, {name: [] for name in contenders})
            for _ in range(self._rounds):
                for name, process in contenders.items():
                    time.sleep(SETTLE)
                    row.times[name] += process.ask("time", name, index, what, self._seconds / self._rounds)
            rows.append(row)
        for process in {self._fastnn, self._torch} - {None}:
            process.ask("drop")
        return rows

    def close(self) -> None:
        self._fastnn.close()
        if self._torch:
            self._torch.close()


# ---- printing -----------------------------------------------------------------------------------------------------

HEADER = ["work", "", "fastnn ms", "PyTorch ms", "ratio", "channels_last ms", "rate", "share"]


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
    native, torch = row.ms("native"), row.ms("torch")
    ratio = f"{torch / native:.2f}" if torch and native else "–"
    line = [
        str(row.case),
        row.what if len(row.case.directions) > 1 else "",
        _number(native),
        _number(torch),
        ratio,
        _number(row.ms("torch channels_last")),
        *_rate(row, session),
    ]
    return [*line, _number(row.ms("numpy"))] if numpy else line


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
    parser.add_argument("--numpy", action="store_true", help="also time the NumPy backend (slow)")
    parser.add_argument("--markdown", metavar="FILE", help="also write the report there")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[int]:
    return [
        i
        for i, case in enumerate(cases.CASES)
        if re.search(options.rows, str(case), re.IGNORECASE)
        and (options.rows or case.table or (options.all and not case.sweep))
    ]


def main() -> int:
    options = _arguments()
    chosen = _chosen(options)
    if not chosen:
        print(f"report: no case matches {options.rows!r}", file=sys.stderr)
        return 2
    torch = importlib.util.find_spec("torch") is not None
    out = Printer()
    seconds, rounds = (0.1, 2) if options.quick else (1.2, 8)
    failed = []
    for i, threads in enumerate(int(t) for t in options.threads.split(",")):
        session = Session(threads, torch, options.numpy, seconds, rounds)
        if i == 0:
            out.text(
                f"{machine.processor()}, {os.cpu_count()} CPUs; Python {sys.version.split()[0]}, {session.about()}"
            )
            if not torch:
                out.text("PyTorch is not installed: no comparison.")
        out.heading(f"{threads} thread{'s' if threads > 1 else ''}")
        out.text(
            f"Limits, measured: {session.peak:.0f} GFLOP/s of multiply-adds, {session.copy:.1f} GB/s of copying 26 MB."
        )
        out.lines.append("")
        out.table(HEADER + (["NumPy ms"] if options.numpy else []))
        for index in chosen:
            try:
                rows = session.measure(index)
            except RuntimeError as error:
                failed.append(str(cases.CASES[index]))
                print(f"{cases.CASES[index]} failed: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
                continue
            for row in rows:
                out.row(cells(row, session, options.numpy))
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
