"""JSON from files that nobody vouches for: no key twice, no text that is none, little memory."""

from __future__ import annotations

import json
import sys
from typing import Any

from .error import WeightsError

_MOST_MEMORY = 44 << 20
_MOST_BYTES = 10 << 20
_MOST_DIGITS = 20


def memory_of(raw: bytes, text: str) -> int:
    """A bound of the memory that parsing takes: texts, then for each comma, list and dictionary what it may stand for.

    Commas and brackets within names count too.

    >>> from fastnn.weights.json_text import memory_of
    >>> memory_of(b"{}", "{}") < 1000
    True
    """
    lists, dictionaries = raw.count(b"["), raw.count(b"{")
    return len(raw) + 2 * sys.getsizeof(text) + 60 * raw.count(b",") + 72 * lists + 240 * dictionaries


def is_readable(raw: bytes, text: str) -> bool:
    """Whether `parse` would take the text, given as bytes and as characters.

    >>> from fastnn.weights.json_text import is_readable
    >>> is_readable(b"{}", "{}")
    True
    """
    return len(raw) <= _MOST_BYTES and memory_of(raw, text) <= _MOST_MEMORY


def require_short(what: str, count: int) -> None:
    """Refuse a text that takes so many bytes that none is read.

    >>> from fastnn.weights.json_text import require_short
    >>> require_short("its header", 1000)
    """
    if count > _MOST_BYTES:
        raise WeightsError(f"is damaged, or made otherwise: {what} takes {count} bytes; at most {_MOST_BYTES} are read")


def parse(raw: bytes, what: str, whole_numbers: bool) -> Any:
    """The values that a JSON text stands for; with ``whole_numbers`` it may hold no others, and none below zero.

    >>> from fastnn.weights.json_text import parse
    >>> parse(b'{"a": [1, 2]}', "header", True)
    {'a': [1, 2]}
    """

    def refused(text: str) -> Any:
        raise WeightsError(f"is damaged: {what} holds {text[:40]}, where only whole numbers belong")

    def whole(text: str) -> int:
        return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS else refused(text)

    hooks: dict[str, Any] = {"parse_int": whole, "parse_float": refused} if whole_numbers else {}
    try:
        text = raw.decode()
        if not is_readable(raw, text):
            raise WeightsError(f"has {what} with more names, lists and numbers than are ever saved")
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=refused, **hooks)
    except WeightsError:
        raise
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"is damaged: {what} is no JSON text ({error!s:.100})") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary of the pairs; text that UTF-8 does not have, such as half a surrogate pair, is a ValueError."""
    for key, value in pairs:
        key.encode()
        if isinstance(value, str):
            value.encode()
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WeightsError("is damaged: a name stands twice in it")
    return found
