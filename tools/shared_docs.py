"""Sections that several docstrings have in common: written once here, and in full where readers of the source look for them.

``python tools/shared_docs.py`` says which docstrings differ from the templates, ``python tools/shared_docs.py --write`` rewrites
them. A section stands directly before the examples of its docstring.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from shared_sections import SHARED

SOURCES = Path(__file__).parents[1] / "src" / "fastnn"


def with_section(docstring: str, section: str) -> str:
    """A docstring, as it is in the source, with this section in the place of what begins with the same heading."""
    before, examples = docstring.split("Examples\n", 1)
    indent = before[before.rindex("\n") + 1 :]
    lines = section.strip().split("\n")
    heading = f"\n{indent}{lines[0]}\n{indent}---"
    before = before[: before.index(heading) + 1] if heading in before else before.removesuffix(indent)
    body = "\n".join(indent + line if line else "" for line in lines)
    return f"{before}{body}\n\n{indent}Examples\n{examples}"


def rewritten(path: str) -> tuple[str, str]:
    """The source of a module as it is, and with the sections that the templates say."""
    source = (SOURCES / path).read_text()
    lines = source.split("\n")
    for node in reversed(ast.parse(source).body):
        section = SHARED[path].get(getattr(node, "name", ""))
        if section is not None:
            first = node.body[0]
            start, end = first.lineno - 1, first.end_lineno
            lines[start:end] = with_section("\n".join(lines[start:end]), section).split("\n")
    return source, "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the sections into the sources")
    write = parser.parse_args().write
    different = 0
    for path in SHARED:
        source, wanted = rewritten(path)
        if source != wanted:
            different += 1
            print(f"{path}: {'rewritten' if write else 'differs'}")
            if write:
                (SOURCES / path).write_text(wanted)
    return different and not write


if __name__ == "__main__":
    raise SystemExit(main())
