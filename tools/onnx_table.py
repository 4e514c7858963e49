"""The table of ONNX's node tests in docs/onnx.md: ``python tools/onnx_table.py [--write]`` prints it, or puts it there."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))


def main() -> int:
    import onnx_nodes

    table = textwrap.fill(onnx_nodes.table(), 120, break_on_hyphens=False) + "\n"
    if "--write" not in sys.argv[1:]:
        print(table, end="")
        return 0
    page = ROOT / "docs" / "onnx.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(onnx_nodes.BEGIN)
    after = rest.partition(onnx_nodes.END)[2]
    page.write_text(before + begin + table + onnx_nodes.END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
