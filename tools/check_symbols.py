"""Check the kernels' object files: ``python tools/check_symbols.py BUILD_DIR``.

The same sources are compiled once per instruction set. Were an inline function emitted under one name by two of these
compilations, the linker would keep either copy, and a CPU without AVX-512 could be handed the AVX-512 one. So every
symbol that the linker sees of an instruction set's objects must lie in the namespace of that name, and what they use
from elsewhere must be compiled for the baseline: `parallel.h` or the C library.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def symbols(objects: list[Path], *flags: str) -> Iterator[tuple[str, str]]:
    """(file, symbol) as nm lists them."""
    for path in objects:
        out = subprocess.run(["nm", "-P", "-g", *flags, str(path)], check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            yield path.name, line.split()[0]


def within(isa: str, name: str) -> bool:
    """Whether a mangled name is of something in fastnn::<isa>, or local to a function there."""
    return re.match(rf"_Z(GV|GR)?Z*NK?6fastnn{len(isa)}{isa}", name) is not None


def problems(isa: str, objects: list[Path], isas: list[str]) -> Iterator[str]:
    for file, name in symbols(objects, "--defined-only"):
        if not within(isa, name):
            yield f"{isa}/{file} defines {name} outside fastnn::{isa}"
    for file, name in symbols(objects, "-u"):
        foreign = any(within(other, name) for other in isas if other != isa)
        baseline = name.startswith(("_ZN6fastnn", "_ZNK6fastnn")) or not name.startswith("_Z")
        if foreign or not baseline:
            yield f"{isa}/{file} uses {name}, which is not compiled for {isa} nor for the baseline"


def main() -> int:
    build = Path(sys.argv[1] if len(sys.argv) > 1 else "build")
    found: dict[str, list[Path]] = {}
    for folder in build.rglob("kernels_*.dir"):
        found.setdefault(folder.name.removeprefix("kernels_").removesuffix(".dir"), []).extend(folder.rglob("*.o"))
    found = {isa: objects for isa, objects in found.items() if objects}
    if not found:
        print(f"check_symbols: no kernel objects below {build}", file=sys.stderr)
        return 2
    wrong = [line for isa, objects in found.items() for line in problems(isa, objects, list(found))]
    print(
        "\n".join(wrong)
        or f"check_symbols: {sum(map(len, found.values()))} objects of {', '.join(sorted(found))} are clean"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
