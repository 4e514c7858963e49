"""The entries of a zip archive whose bytes lie in it as they are, which is how PyTorch writes: found in bounded memory.

Of `zipfile` nothing is used, since it reserves memory for all that a directory claims.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, NamedTuple

from .error import WeightsError
from .numbers import read_bytes

_MOST_ENTRIES = 1 << 15
_MOST_BYTES = 6 << 20
_PORTION = 1 << 20
_HARMLESS = 0x808  # flags: sizes that follow the entry, too, and a name in UTF-8

_END = struct.Struct("<4sHHHHIIH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LISTED = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")


class Entry(NamedTuple):
    """An entry as the directory lists it."""

    header: int
    size: int
    packed: int
    method: int
    flags: int
    crc: int


class Archive:
    """The entries of an archive by name.

    Parameters
    ----------
    file : file
        Open for reading, in bytes.
    size : int
        Its bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size
        self._directory, length, count = _find_directory(file, size)
        if count > _MOST_ENTRIES or length > _MOST_BYTES:
            raise WeightsError(f"is an archive of {count} entries; at most {_MOST_ENTRIES} are read")
        self.entries = _listed(read_bytes(file, self._directory, length).tobytes(), count)

    def require_stored(self) -> None:
        """Refuse compressed entries, which a few bytes can make large, and encrypted or patched ones."""
        for name, entry in self.entries.items():
            if entry.flags & ~_HARMLESS:
                raise WeightsError(f"has the entry {name!r:.100}, which is encrypted or otherwise not as it was")
            if entry.method or entry.packed != entry.size:
                raise WeightsError(f"has compressed entries, such as {name!r:.100}, which torch.save never writes")

    def find(self, name: str) -> tuple[int, int]:
        """Where the bytes of an entry that is not compressed begin, and how many there are, if its checksum is right."""
        if name not in self.entries:
            raise WeightsError(f"is damaged: it lacks the entry {name!r:.100}")
        entry = self.entries[name]
        begin = self._begin(name, entry)
        crc = 0
        for start in range(begin, begin + entry.size, _PORTION):
            crc = zlib.crc32(read_bytes(self.file, start, min(_PORTION, begin + entry.size - start)).data, crc)
        if crc != entry.crc:
            raise WeightsError(f"is damaged: the checksum of {name!r:.100} differs")
        return begin, entry.size

    def read(self, name: str, most: int) -> bytes:
        """The bytes of an entry."""
        if name in self.entries and self.entries[name].size > most:
            raise WeightsError(
                f"has an entry {name!r:.100} of {self.entries[name].size} bytes; at most {most} are read"
            )
        begin, size = self.find(name)
        return read_bytes(self.file, begin, size).tobytes()

    def _begin(self, name: str, entry: Entry) -> int:
        if entry.header + _LOCAL.size > self._directory:
            raise WeightsError(f"is damaged: the entry {name!r:.100} begins beyond the archive's entries")
        header = _LOCAL.unpack(read_bytes(self.file, entry.header, _LOCAL.size).tobytes())
        magic, flags, method, length, extra = header[0], header[2], header[3], header[-2], header[-1]
        begin: int = entry.header + _LOCAL.size + length + extra
        if begin + entry.size > self._directory:
            raise WeightsError(f"is damaged: the entry {name!r:.100} reaches beyond the archive's entries")
        own = read_bytes(self.file, entry.header + _LOCAL.size, length).tobytes()
        if magic != b"PK\x03\x04" or method != entry.method or own != name.encode() or flags & ~_HARMLESS:
            raise WeightsError(f"is damaged: the entry {name!r:.100} is not what the directory says")
        return begin


def _find_directory(file: IO[bytes], size: int) -> tuple[int, int, int]:
    """Where the directory begins, its bytes and the number of entries."""
    at = size - _END.size
    if at < 0:
        raise WeightsError("is a damaged zip archive; perhaps it was not downloaded to its end")
    magic, disk, first, here, count, length, begin, comment = _END.unpack(read_bytes(file, at, _END.size).tobytes())
    if magic != b"PK\x05\x06" or disk or first or here != count or comment:
        raise WeightsError("is a damaged zip archive; perhaps it was not downloaded to its end")
    found = begin, length, count
    wide = _find_wide(file, at)
    if wide is not None:
        at, *found64 = wide
        limits = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF)
        if any(a not in (b, most) for a, b, most in zip(found, found64, limits, strict=True)):
            raise WeightsError("is a damaged zip archive: it has two ends that differ")
        found = (found64[0], found64[1], found64[2])
    if found[0] + found[1] != at:
        raise WeightsError("is a damaged zip archive: its directory does not end where its end begins")
    return found


def _find_wide(file: IO[bytes], end: int) -> tuple[int, int, int, int] | None:
    """Where the end record of large archives is, and what it says of the directory; None where there is none."""
    at = end - _LOCATOR.size - _END64.size
    if at < 0:
        return None
    raw = read_bytes(file, at, _END64.size + _LOCATOR.size).tobytes()
    locator, disk, where, disks = _LOCATOR.unpack_from(raw, _END64.size)
    if locator != b"PK\x06\x07":
        return None
    magic, length, *_, number, first, here, count, bytes_, begin = _END64.unpack_from(raw)
    if magic != b"PK\x06\x06" or length != _END64.size - 12 or where != at or disks != 1 or here != count:
        raise WeightsError("is a damaged zip archive: its end record is malformed")
    if disk or number or first:
        raise WeightsError("is a part of a zip archive of several files")
    return at, begin, bytes_, count


def _listed(directory: bytes, count: int) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    at = 0
    try:
        for _ in range(count):
            fields = _LISTED.unpack_from(directory, at)
            flags, method, crc, length, extra, comment = fields[3], fields[4], *fields[7:8], *fields[10:13]
            if fields[0] != b"PK\x01\x02" or fields[13]:
                raise WeightsError("is a damaged zip archive: its directory is malformed")
            at += _LISTED.size
            name = directory[at : at + length].decode()
            more = directory[at + length : at + length + extra]
            sizes = _widened([fields[9], fields[8], fields[16]], more)
            if name in entries:
                raise WeightsError(f"is damaged: it has two entries {name!r:.100}")
            entries[name] = Entry(sizes[2], sizes[0], sizes[1], method, flags, crc)
            at += length + extra + comment
    except (struct.error, UnicodeDecodeError):
        raise WeightsError("is a damaged zip archive: its directory is malformed") from None
    if at != len(directory):
        raise WeightsError("is a damaged zip archive: its directory is longer than its entries")
    return entries


def _widened(values: list[int], extra: bytes) -> list[int]:
    """Size, packed size and place, with those that take more than 32 bits from the field of them that follows the name."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            return [next(numbers, value) if value == 0xFFFFFFFF else value for value in values]
        at += 4 + length
    return values
