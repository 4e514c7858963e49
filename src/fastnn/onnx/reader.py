"""ONNX files as protos, and the arrays in them; nothing is believed about sizes that the bytes do not hold."""

from __future__ import annotations

import importlib
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._files import kind_of
from ._package import OnnxError, package
from .read_call import DTYPES, HALVES

PathLike = str | os.PathLike[str]
_FIELDS = {1: "float_data", 11: "double_data", 7: "int64_data", 12: "uint64_data", 13: "uint64_data"}
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_EXTERNAL = 1  # TensorProto.DataLocation


class Source(NamedTuple):
    """A model as it was parsed."""

    proto: Any
    name: str  # for errors
    folder: Path | None  # where external data may lie


def read(source: Any, function: str) -> Source:
    """Parse a file, bytes, or take a proto as it is."""
    onnx = package(function)
    if isinstance(source, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
        return Source(proto, f"{function}: the model", None)
    if isinstance(source, (bytes, bytearray, memoryview)):
        name = f"{function}: the bytes"
        return Source(_parsed(onnx, bytes(source), name), name, None)
    try:
        path = Path(source)
    except TypeError:
        raise TypeError(
            f"{function}: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
        ) from None
    name = f"{function}: {path}"
    return Source(_parsed(onnx, path.read_bytes(), name), name, path.parent)


def _parsed(onnx: Any, content: bytes, name: str) -> Any:
    errors: Any = importlib.import_module("google.protobuf.message")  # which has no types
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except errors.DecodeError:
        raise OnnxError(f"{name}: no ONNX model, or a damaged one; it is {kind_of(content[:512])}") from None
    if not proto.HasField("graph"):
        raise OnnxError(f"{name}: no graph, so not an ONNX model; it is {kind_of(content[:512])}")
    if not all(isinstance(name, str) for name in _names(proto.graph)):
        raise OnnxError(f"{name}: a name in the graph is no text")
    return proto


def _names(graph: Any) -> Iterator[Any]:
    """All names in a graph; protobuf gives bytes for one that is not in UTF-8."""
    for value in (*graph.initializer, *graph.input, *graph.output):
        yield value.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def array_of(tensor: Any, source: Source) -> np.ndarray:
    """The values of a TensorProto, perhaps read-only, in the machine's byte order; 16-bit floats as float32."""
    name = f"{source.name}: tensor {tensor.name!r}"
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None:
        raise OnnxError(f"{name} has data type {type_name(tensor.data_type)}, which is not supported")
    shape = tuple(tensor.dims)
    if any(n < 0 for n in shape):
        raise OnnxError(f"{name} has a negative extent: {shape}")
    if tensor.HasField("segment"):
        raise OnnxError(f"{name} is one of several segments, which is not supported")
    stored = np.dtype("<u2") if tensor.data_type in HALVES else dtype.newbyteorder("<")
    count = math.prod(shape)
    if tensor.data_location == _EXTERNAL:
        values = _external(tensor, name, source, stored, count)
    elif tensor.HasField("raw_data"):
        values = _raw(tensor, name, stored, count)
    else:
        values = _typed(tensor, name, stored, count)
    try:
        return _native(values, tensor.data_type, dtype).reshape(shape)
    except ValueError:  # NumPy has no such shape, though one extent is 0
        raise OnnxError(f"{name} has extents that no array has: {shape}") from None


def type_name(code: int) -> str:
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(code)) if code in TensorProto.DataType.values() else str(code)


def _native(values: np.ndarray, code: int, dtype: np.dtype[Any]) -> np.ndarray:
    if code == 16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    if code == 10:
        return values.astype(np.uint16).view(np.float16).astype(np.float32)
    if code == 9:
        return np.asarray(values.view(np.uint8) != 0)
    return values.astype(dtype, copy=False)


def _expect(name: str, there: int, count: int, what: str) -> None:
    if there != count:
        raise OnnxError(f"{name} needs {count} {what}, but there are {there}")


def _raw(tensor: Any, name: str, stored: np.dtype[Any], count: int) -> np.ndarray:
    content = tensor.raw_data
    others = [field for field in _TYPED if len(getattr(tensor, field))]
    if others:
        raise OnnxError(f"{name} has values twice: raw_data and {others[0]}")
    _expect(name, len(content), count * stored.itemsize, "bytes")
    return np.frombuffer(content, stored)


def _typed(tensor: Any, name: str, stored: np.dtype[Any], count: int) -> np.ndarray:
    field = _FIELDS.get(tensor.data_type, "int32_data")
    content = getattr(tensor, field)
    others = [other for other in _TYPED if other != field and len(getattr(tensor, other))]
    if others:
        raise OnnxError(f"{name} has values in {others[0]}, expected {field}")
    _expect(name, len(content), count, "values")
    wide = {"float_data": np.float32, "double_data": np.float64, "int64_data": np.int64, "uint64_data": np.uint64}
    values = np.array(content, wide.get(field, np.int32))
    return values.astype(stored)


def _external(tensor: Any, name: str, source: Source, stored: np.dtype[Any], count: int) -> np.ndarray:
    """Values from a file beside the model; never from elsewhere, whatever the path says and wherever a link leads."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if source.folder is None:
        raise OnnxError(f"{name} has its data in another file, which can be read beside a path only")
    path = _inside(entries.get("location", ""), name, source.folder)
    offset, length = (_size(entries, key, name) for key in ("offset", "length"))
    size = count * stored.itemsize
    if length is not None:
        _expect(name, length, size, "bytes")
    with path.open("rb") as file:
        there = os.fstat(file.fileno()).st_size - (offset or 0)
        if there < size:
            raise OnnxError(
                f"{name} needs {size} bytes from byte {offset or 0} of {path.name}, but there are {max(there, 0)}"
            )
        file.seek(offset or 0)
        values = np.empty(count, stored)
        _expect(name, file.readinto(values.view(np.uint8).data), size, "bytes")
    return values


def _size(entries: dict[str, str], key: str, name: str) -> int | None:
    if key not in entries:
        return None
    value = entries[key]
    if not (value.isascii() and value.isdecimal() and len(value) < 20):
        raise OnnxError(f"{name}: {key} is {value[:40]!r}, expected a number of bytes")
    return int(value)


def _inside(location: str, name: str, folder: Path) -> Path:
    if (
        not location
        or "\0" in location
        or "\\" in location
        or Path(location).is_absolute()
        or ".." in Path(location).parts
    ):
        raise OnnxError(f"{name}: its data are at {location!r}, expected a file in the model's folder")
    path, root = folder / location, folder.resolve()
    try:
        resolved = path.resolve(strict=True)
        is_file = stat.S_ISREG(resolved.stat().st_mode)
    except (OSError, RuntimeError) as error:  # not there, or links in a circle
        raise OnnxError(f"{name}: its data are at {location!r}, which cannot be read: {error}") from None
    if not resolved.is_relative_to(root) or not is_file:
        raise OnnxError(f"{name}: its data are at {location!r}, which is no file in the model's folder")
    return resolved


def attributes_of(node: Any, source: Source) -> dict[str, Any]:
    """Attributes by name: numbers, lists of them, bytes (texts) and arrays."""
    found: dict[str, Any] = {}
    for a in node.attribute:
        if a.name in found:
            raise OnnxError(f"{source.name}: node {node.name!r} ({node.op_type}) has the attribute {a.name!r} twice")
        found[a.name] = _value(a, source)
    return found


class Unreadable(NamedTuple):
    """An attribute that no op here takes: a graph, a sparse tensor, a type."""

    kind: str


def _value(a: Any, source: Source) -> Any:
    if a.type == 1:
        return _decimal(a.f)
    if a.type in (2, 3):
        return a.i if a.type == 2 else a.s
    if a.type == 4:
        return array_of(a.t, source)
    if a.type == 6:
        return tuple(map(_decimal, a.floats))
    if a.type in (7, 8):
        return tuple(a.ints if a.type == 7 else a.strings)
    return Unreadable({5: "a graph", 10: "graphs"}.get(a.type, "of an unsupported kind"))


def _decimal(value: float) -> float:
    """The shortest decimal that is the float32 of the file: 1e-05, where that is 9.99999974737875e-06 in float64."""
    return float(str(np.float32(value)))
