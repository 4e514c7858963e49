"""Names of a state, turned into those of a module; and what may be meant where they don't fit."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Rename = Mapping[str, str] | Callable[[str], str | None]

_MOST = 200  # names that are compared with each other for a hint


class Renaming:
    """What `Module.load_state_dict` makes of names: without the prefix, and renamed.

    Parameters
    ----------
    rename : mapping, callable or None
        See `Module.load_state_dict`.
    prefix : str
        See there.

    Raises
    ------
    TypeError
        If one of them is something else.
    """

    def __init__(self, rename: Rename | None, prefix: str) -> None:
        if not isinstance(prefix, str):
            raise TypeError(f"load_state_dict: prefix must be a text, got {prefix!r:.100}")
        if isinstance(rename, Mapping):
            if not all(isinstance(name, str) for pair in rename.items() for name in pair):
                raise TypeError("load_state_dict: rename must be a mapping from texts to texts, or a function")
            # The longest beginnings first, so that one is found before those that it begins with.
            self._parts = sorted(rename.items(), key=lambda pair: -len(pair[0]))
            self._function: Callable[[str], str | None] = self._renamed
        elif rename is None or callable(rename):
            self._parts = []
            self._function = rename or self._renamed
        else:
            raise TypeError(f"load_state_dict: rename must be a mapping or a function, got {type(rename).__name__}")
        self.prefix = prefix
        self.prefix_unused = bool(prefix)
        self._used: set[str] = set()

    def names(self, state: Iterable[Any]) -> dict[Any, Any]:
        """The name in the module for each in the state that is meant.

        Raises
        ------
        ValueError
            If two names become one.
        TypeError
            If the function gives neither a text nor None.
        """
        renamed: dict[Any, Any] = {}
        origin: dict[Any, Any] = {}
        for name in state:
            if not isinstance(name, str):
                new = name
            elif not name.startswith(self.prefix):
                continue
            else:
                self.prefix_unused = False
                new = self._function(name.removeprefix(self.prefix))
            if new is None:
                continue
            if isinstance(name, str) and not isinstance(new, str):
                raise TypeError(f"load_state_dict: rename made {new!r:.100} of {name!r}; expected a text or None")
            if new in origin:
                raise ValueError(f"load_state_dict: {origin[new]!r} and {name!r} both become {new!r}")
            origin[new] = name
            renamed[name] = new
        return renamed

    def unused(self) -> list[str]:
        """Beginnings that no name has."""
        return [old for old, _ in self._parts if old not in self._used]

    def _renamed(self, name: str) -> str:
        for old, new in self._parts:
            if name == old or not old or name.startswith(f"{old}."):
                self._used.add(old)
                rest = name[len(old) :].removeprefix(".")
                return f"{new}.{rest}" if new and rest else new or rest
        return name


def hints(missing: Mapping[str, tuple[int, ...]], unexpected: Mapping[str, tuple[int, ...] | None]) -> Iterator[str]:
    """What may have been meant, from names and shapes that one has and the other lacks."""
    wanted, given = list(missing)[:_MOST], [name for name in list(unexpected)[:_MOST] if isinstance(name, str)]
    before = _common(given, wanted)
    if before:
        yield f"prefix={before!r} would fit them"
        return
    before = _common(wanted, given)
    if before:
        yield f"rename={{'': {before.removesuffix('.')!r}}} would fit them"
        return
    for name in given[:5]:
        alike = [other for other in wanted if missing[other] == unexpected[name]]
        yield from (f"{name!r:.100} may be {found!r:.100}" for found in difflib.get_close_matches(name, alike, 1))


def _common(longer: list[str], shorter: list[str]) -> str:
    """What stands before names of the one list in most of the other, to its last dot; empty if nothing does."""
    names = set(shorter)
    counts: dict[str, int] = {}
    for name in longer:
        parts = name.split(".")
        for i in range(1, len(parts)):
            if ".".join(parts[i:]) in names:
                before = ".".join(parts[:i]) + "."
                counts[before] = counts.get(before, 0) + 1
    best = max(counts, key=lambda before: counts[before], default="")
    return best if 2 * counts.get(best, 0) >= len(shorter) else ""
