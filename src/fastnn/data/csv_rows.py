"""The rows of a CSV file as text, with the lines that they stand in."""

from __future__ import annotations

import collections
import csv
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .._files import MAX_UNPACKED, PathLike, Source, grouped, is_text, opened

DELIMITERS = "\t;|, "

_MAX_LINE = 1 << 24
_SNIFFED = 100  # lines that the delimiter is found by


class Rows(NamedTuple):
    """What a CSV file holds."""

    path: str
    rows: list[list[str]]
    """All of one length, the header among them; not one is empty."""
    lines: list[int]
    """Where each begins, from 1."""


def read_rows(function: str, path: PathLike, delimiter: str | None, encoding: str) -> Rows:
    """Read a file, gzipped or not; faults are `ValueError`, which name the function, the file and the line."""
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(f"{function}: delimiter must be one character, got {delimiter!r}")
    _check_encoding(function, encoding)
    with opened(function, path, limit=MAX_UNPACKED) as source:
        if not is_text(source.start):
            raise source.not_a("a CSV file")
        lines = _lines(source, encoding)
        first = list(itertools.islice(lines, _SNIFFED))
        found = _records(source, itertools.chain(first, lines), delimiter or _sniff(first))
    if not found.rows:
        raise source.error("holds nothing but blank lines; expected a CSV file")
    return found


def _check_encoding(function: str, encoding: str) -> None:
    try:
        plain = '"\n\t;,'.encode(encoding) == b'"\n\t;,'
    except LookupError:
        plain = False
    if not plain:
        raise ValueError(
            f"{function}: encoding must be 'utf-8', 'latin-1' or another that extends ASCII, got {encoding!r}"
        )


def _lines(source: Source, encoding: str) -> Iterator[str]:
    for number in itertools.count(1):
        line = source.file.readline(_MAX_LINE + 1)
        if not line:
            return
        if len(line) > _MAX_LINE:
            raise source.error(f"has more than {grouped(_MAX_LINE)} bytes in line {number}; it is hardly a CSV file")
        if b"\x00" in line:
            raise source.error(f"has a zero byte in line {number}; it is damaged, or no text in {encoding}")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as fault:
            raise source.error(_undecodable(line, number, encoding, fault)) from None


def _undecodable(line: bytes, number: int, encoding: str, fault: UnicodeDecodeError) -> str:
    near = line[max(fault.start - 10, 0) : fault.start + 10].decode("latin-1").strip()
    return (
        f"is not in {encoding}: line {number} has the byte 0x{line[fault.start]:02x}, which in Latin-1 would read {near!r}. "
        "If that is right pass encoding='latin-1', else save the file as UTF-8"
    )


def _sniff(lines: list[str]) -> str:
    """The first of tab, semicolon, bar, comma and blank that cuts all rows into equally many fields, more than one.

    If none does, the one that cuts most rows alike, for an error about the others. Commas and blanks come last: they are
    within numbers and texts more often than the others.
    """
    best, most = ",", 0
    for delimiter in DELIMITERS:
        widths = _widths(lines, delimiter)
        width, count = collections.Counter(widths).most_common(1)[0] if widths else (1, 0)
        if width > 1 and count == len(widths) and (delimiter != " " or not most):
            return delimiter
        if width > 1 and count > most and delimiter != " ":
            best, most = delimiter, count
    return best


def _stripped(lines: Iterable[str], delimiter: str) -> Iterable[str]:
    """Blanks before the end of a line delimit nothing."""
    return (f"{line.strip()}\n" for line in lines) if delimiter == " " else lines


def _widths(lines: list[str], delimiter: str) -> list[int]:
    reader = csv.reader(_stripped(lines, delimiter), delimiter=delimiter, skipinitialspace=True)
    widths: list[int] = []
    try:
        widths += (len(record) for record in reader if any(record))
    except csv.Error:  # what is wrong is said when the whole file is read
        return []
    # The last record may go on in lines that are not looked at.
    return widths[:-1] if len(lines) == _SNIFFED else widths


def _records(source: Source, lines: Iterable[str], delimiter: str) -> Rows:
    reader = csv.reader(_stripped(lines, delimiter), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    starts: list[int] = []
    end = 0
    try:
        for record in reader:
            start, end = end + 1, reader.line_num
            if not any(record):
                continue
            if rows and len(record) != len(rows[0]):
                raise source.error(
                    f"has {len(record)} fields in line {start} and {len(rows[0])} in line {starts[0]}, cut at {delimiter!r}"
                )
            rows.append(record)
            starts.append(start)
    except csv.Error as fault:
        text = "quotes that do not close" if "unexpected end" in str(fault) else str(fault)
        raise source.error(f"is no CSV file, or is damaged, from line {end + 1} on: {text}") from None
    return Rows(source.path, rows, starts)
