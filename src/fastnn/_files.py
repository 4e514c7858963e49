"""Opening files that people have: gzipped or not, whatever their names say, and often not what they were taken for."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PathLike = str | os.PathLike[str]

MAX_UNPACKED = 1 << 30
"""Bytes that a gzip file may unpack to where nothing in it says how many there should be."""
GZIP_RATIO = 1032
"""What deflate packs into one byte at most."""

_START = 512  # bytes that are looked at to know what a file is
_BUFFER = 1 << 20

_KINDS = (
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x93NUMPY", "a .npy file, for numpy.load"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word document; save it as CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
)
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x7F)) | set(range(0x80, 0x100)))


def kind_of(start: bytes) -> str:
    """What a file is, by its first bytes, as words that follow "is".

    >>> from fastnn._files import kind_of
    >>> kind_of(b"\\x89PNG\\r\\n\\x1a\\n..."), kind_of(b"<!DOCTYPE html><html>")
    ('a PNG picture', 'an HTML page, perhaps of a download that failed')
    """
    if not start:
        return "empty"
    for magic, kind in _KINDS:
        if start.startswith(magic):
            return kind
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "a WebP picture"
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _archive(start)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, which fastnn never opens, because opening one can run anything"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if is_idx(start):
        return "an IDX file"
    if not start.strip(b"\x00"):
        return f"{'at its start ' if len(start) == _START else ''}nothing but zero bytes"
    return _text(start)


def is_text(start: bytes) -> bool:
    """Whether a file begins as text does, and is nothing that is known by its first words."""
    return kind_of(start).startswith("text that begins")


def is_idx(start: bytes) -> bool:
    """Whether a file begins as IDX files do: two zeros, a type, and a number of axes."""
    return len(start) >= 4 and start[:2] == b"\x00\x00" and start[2] in b"\x08\x09\x0b\x0c\x0d\x0e" and start[3] > 0


def _archive(start: bytes) -> str:
    first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
    if first.endswith(b".npy"):
        return "an .npz file of NumPy arrays, for numpy.load"
    if first.startswith((b"[Content_Types]", b"xl/", b"_rels/")):
        return "an Excel or Word document; save it as CSV"
    if first.endswith(b"/data.pkl"):
        return "a file of torch.save; fastnn.load_weights reads weights from it"
    return "a zip archive; unpack it first"


def _text(start: bytes) -> str:
    words = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb"(?i)<!doctype html|<html|<head|<body", words):
        return "an HTML page, perhaps of a download that failed"
    if words.startswith(b"<?xml"):
        return "XML text, perhaps of a download that failed"
    if start.translate(None, _TEXT):
        return f"of an unknown kind, with the first bytes {start[:8].hex(' ')}"
    line = words.splitlines()[0] if words.strip() else b""
    return f"text that begins with {line[:40].decode(errors='replace')!r}"


@dataclass
class Source:
    """A file that is open, gzipped or not."""

    function: str
    path: str
    start: bytes
    """The first bytes of the content; the file is still before them."""
    file: IO[bytes]
    packed: bool
    """Whether the file is gzipped, and ``file`` gives what is in it."""
    size: int
    """Bytes of the file."""

    def error(self, fault: str) -> ValueError:
        """An error that names the reader and the file; the fault follows their names."""
        return ValueError(f"{self.function}: {self.path!r} {fault}")

    def not_a(self, expected: str) -> ValueError:
        """The error for a file that is something else, which it names."""
        inside = "a gzip file, and what is in it is " if self.packed else ""
        return self.error(f"is {inside}{kind_of(self.start)}; expected {expected}")


@contextlib.contextmanager
def opened(function: str, path: PathLike, limit: int | None = None) -> Iterator[Source]:
    """Open a file, through gzip if its first bytes say so, whatever its name is.

    Reading raises `ValueError`, which names the function and the file, where gzip data are damaged or come to more than
    `limit` bytes.
    """
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        what = "a folder" if os.path.isdir(path) else "no regular file"
        raise ValueError(f"{function}: {name!r} is {what}; expected a file")
    with open(path, "rb") as raw:
        start = raw.read(_START)
        raw.seek(0)
        source = Source(function, name, start, raw, False, os.fstat(raw.fileno()).st_size)
        if start.startswith(b"\x1f\x8b"):
            source.packed = True
            source.start = _unpacking(raw, source, limit).read(_START)
            raw.seek(0)
            source.file = _unpacking(raw, source, limit)
            if source.start.startswith(b"\x1f\x8b"):
                raise source.error("is gzipped twice; unpack it once")
        yield source


def require_folder(function: str, path: PathLike, expected: str) -> None:
    """Refuse what is no folder: with what the file is, or what is where the folder was looked for.

    >>> from fastnn._files import require_folder
    >>> require_folder("read", ".", "a folder of pictures")
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return
    if os.path.exists(name):
        with opened(function, name) as source:
            raise source.not_a(expected)
    above = os.path.abspath(name)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    holds = listed(sorted(entry for entry in os.listdir(above) if not entry.startswith("."))) or "nothing"
    raise FileNotFoundError(f"{function}: there is no folder {name!r}; {above!r} holds {holds}; expected {expected}")


def _unpacking(raw: IO[bytes], source: Source, limit: int | None) -> IO[bytes]:
    return io.BufferedReader(_Unpacked(raw, source.error, limit), _BUFFER)


class _Unpacked(io.RawIOBase):
    """What is in a gzip file, with the errors of three modules as one kind."""

    def __init__(self, raw: IO[bytes], error: Callable[[str], ValueError], limit: int | None) -> None:
        self._packed = gzip.GzipFile(fileobj=raw, mode="rb")
        self._error = error
        self._limit = limit
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            count = self._packed.readinto(buffer)
        except EOFError:
            raise self._error(
                "is a gzip file that ends too early; it was not copied or downloaded to its end"
            ) from None
        except (OSError, zlib.error) as fault:
            raise self._error(f"is a damaged gzip file ({fault})") from None
        self._count += count
        if self._limit is not None and self._count > self._limit:
            raise self._error(f"is a gzip file of more than {grouped(self._limit)} bytes of content; unpack it first")
        return count


def grouped(number: int) -> str:
    """A number with its digits in groups of three.

    >>> from fastnn._files import grouped
    >>> grouped(47040016)
    '47 040 016'
    """
    return f"{number:,}".replace(",", " ")


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first few of many, in quotes; long ones are cut.

    >>> from fastnn._files import listed
    >>> listed("abcdefg", most=3)
    "'a', 'b', 'c' and 4 more"
    """
    shown = list(names)
    rest = len(shown) - most
    return ", ".join(f"{name!r:.100}" for name in shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def natural_order(name: str) -> tuple[tuple[str | int, ...], str]:
    """A key for sorting in which numbers within names count as numbers.

    >>> from fastnn._files import natural_order
    >>> sorted(["img10", "img9", "Img1", "img"], key=natural_order)
    ['img', 'Img1', 'img9', 'img10']
    """
    parts = re.split(r"([0-9]{1,18})", name)
    return tuple(int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)), name


def class_order(names: set[str]) -> list[str]:
    """Names of classes in order: as numbers where all are integers, else in natural order.

    >>> from fastnn._files import class_order
    >>> class_order({"10", "9", "-1"}), class_order({"b", "a"})
    (['-1', '9', '10'], ['a', 'b'])
    """
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names, key=natural_order)
