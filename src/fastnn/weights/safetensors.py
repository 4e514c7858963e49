"""The safetensors format: eight bytes of length, a JSON header, and the numbers, without holes, in little-endian C order.

https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
from typing import IO, Any, NamedTuple

from numpy.typing import NDArray

from .error import WeightsError
from .json_text import is_readable, parse, require_short
from .numbers import Numbers, read_bytes, stored_bytes

KINDS = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
"""PyTorch's names of types by those of the format, in its order: small ones first."""

METADATA = "__metadata__"


class Entry(NamedTuple):
    """An array as the header lists it."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def looks_like(start: bytes) -> bool:
    """Whether a file begins as these do: with a length, whose highest bytes are zero, and a brace.

    >>> from fastnn.weights.safetensors import looks_like
    >>> looks_like(bytes([8, 0, 0, 0, 0, 0, 0, 0]) + b"{}      "), looks_like(b'{"a": {"b": {}}}')
    (True, False)
    """
    return start[8:9] == b"{" and b"\0" in start[:8]


def read(file: IO[bytes], size: int) -> dict[str, NDArray[Any]]:
    """The arrays of a file of ``size`` bytes."""
    length = int.from_bytes(read_bytes(file, 0, 8).tobytes(), "little")
    begin = 8 + length
    if begin > size:
        raise WeightsError(f"is damaged: its header is claimed to take {length} bytes, but {size - 8} are there")
    require_short("its header", length)
    header = parse(read_bytes(file, 8, length).tobytes(), "its header", whole_numbers=True)
    entries = _entries(header, size - begin)
    return {name: Numbers(file, begin + entry.begin, entry.kind).array(entry.shape) for name, entry in entries.items()}


def _entries(header: Any, size: int) -> dict[str, Entry]:
    """What the header lists, once it is sure that it describes the ``size`` bytes that follow, each once."""
    if not isinstance(header, dict):
        raise WeightsError("is damaged: its header is no dictionary")
    _check_metadata(header.pop(METADATA, {}))
    entries = {name: _entry(name, described) for name, described in header.items()}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry.begin != end:
            raise WeightsError(f"is damaged: {name!r:.100} begins at byte {entry.begin}, but at {end} it should")
        end = entry.end
    if end != size:
        raise WeightsError(f"is damaged: its arrays take {end} bytes, but {size} are there")
    return entries


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError("is damaged: its metadata are not texts by name")


def _entry(name: str, described: Any) -> Entry:
    match described:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [int(begin), int(end)], **rest} if not rest:
            pass
        case _:
            raise WeightsError(f"is damaged: the header of {name!r:.100} is not that of an array")
    if code not in KINDS:
        raise WeightsError(f"holds {name!r:.100} with the dtype {code!r:.20}; those that are read: {', '.join(KINDS)}")
    if not all(type(extent) is int for extent in (*shape, begin, end)):
        raise WeightsError(f"is damaged: the header of {name!r:.100} is not that of an array")
    kind = KINDS[code]
    if math.prod(shape) * stored_bytes(kind) != end - begin:
        raise WeightsError(
            f"is damaged: {name!r:.100} of shape {str(shape)[:100]} and dtype {code} is claimed to lie in {end - begin} bytes"
        )
    return Entry(kind, tuple(shape), begin, end)


def layout(arrays: dict[str, NDArray[Any]], codes: dict[str, str]) -> tuple[bytes, list[str]]:
    """Length and header of a file with these arrays, and the order in which they follow.

    Large types come first, so that every array begins at a multiple of its type's size.
    """
    rank = {code: i for i, code in enumerate(KINDS)}
    order = sorted(arrays, key=lambda name: (-rank[codes[name]], name.encode()))
    header: dict[str, Any] = {METADATA: {"format": "pt"}}
    end = 0
    for name in order:
        begin, end = end, end + arrays[name].nbytes
        header[name] = {"dtype": codes[name], "shape": list(arrays[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
    raw = text.encode()
    if not is_readable(raw, text):
        raise ValueError(
            f"{len(arrays)} arrays with names of {sum(map(len, arrays))} characters are too many for one file"
        )
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw, order
