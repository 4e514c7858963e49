"""Checkpoints: nested state in one ``.npz`` file that opens without running code.

The file is an uncompressed zip archive. ``fastnn.json`` is the header: format name, version, and the
saved state with every array replaced by ``{"$array": name}``. The arrays follow as ``name.npy``, so that
``numpy.load`` reads the file too. Nothing in it is pickled.

Reading trusts nothing: sizes are compared with the bytes that are there before memory is reserved, every
entry is checked against its CRC, and the header must name each array exactly once.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ._atomic import PathLike, replaceable, write_atomically
from ._files import kind_of
from ._npy import ARRAY_KINDS, read_array
from .checks import unmasked

FORMAT = "fastnn-checkpoint"
VERSION = 1
HEADER = "fastnn.json"

_MAX_HEADER_BYTES = 16 << 20
_MAX_HEADER_COST = 1 << 20  # see _cost: what is read from a header takes at most about 200 MB
_MAX_NAME_BYTES = 0xFFFF  # of an entry in a zip archive
_MAX_DEPTH = 200  # levels of nesting: far below what Python's own recursion allows, on any version
_SPECIAL_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal states give equal files


class CheckpointError(ValueError):
    """A file is not a checkpoint, is damaged, or holds something else than was asked for.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn as fnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(b"something else")
    ...     try:
    ...         fnn.load_checkpoint(path)
    ...     except fnn.CheckpointError as error:
    ...         print(str(error).replace(path, "model.npz"))
    load_checkpoint: 'model.npz' is not a fastnn checkpoint; it is text that begins with 'something else'
    """


def save_checkpoint(path: PathLike, state: Mapping[str, Any]) -> None:
    """Save nested state, replacing an older file only when the new one is complete.

    Parameters
    ----------
    path : path
        Where to write; no extension is added. The file is written beside it under a temporary name, flushed
        to the disk and renamed, so that a crash leaves the older checkpoint whole.
    state : mapping
        Dictionaries with string keys, lists and tuples of arrays (bool, integer, float or complex), numbers,
        strings, booleans and None, nested as you like: ``{"model": model.state_dict(), "epoch": 3, …}``.
        The state of a NumPy generator (``rng.bit_generator.state``) fits.

    Raises
    ------
    TypeError
        If the state holds anything else, such as masked arrays; nothing is written then.
    ValueError
        If it is nested more than 200 levels deep; if what is beside the arrays takes more than 16 MiB, or is more than
        about a million numbers or 100 000 dictionaries and lists; if the keys that lead to an array take more than 65 531
        bytes together, or cannot be encoded in UTF-8. Nothing is written.
    CheckpointError
        If ``path`` is empty, or is there and no regular file but a folder, a device or a pipe; it is left as it is.
    OSError
        If the file cannot be written.

    Notes
    -----
    Checkpoints that resume to the same bits, and open without running code. Equal states give
    equal files. NumPy scalars come back as Python numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.checkpoint import load_checkpoint, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     save_checkpoint(path, {"model": {"weight": np.ones(3)}, "epoch": 7})
    ...     load_checkpoint(path)
    {'model': {'weight': array([1., 1., 1.])}, 'epoch': 7}
    """
    arrays: dict[str, NDArray[Any]] = {}
    if not isinstance(state, Mapping):
        raise TypeError(f"save_checkpoint: state must be a mapping, got {type(state).__name__}")
    target = writable_target(path)
    tree = _encode(state, (), arrays)
    header = json.dumps({"format": FORMAT, "version": VERSION, "state": tree}, allow_nan=False).encode()
    if len(header) > _MAX_HEADER_BYTES or _cost(header) > _MAX_HEADER_COST:
        raise ValueError(
            f"save_checkpoint: the state beside the arrays takes {len(header)} bytes, with {header.count(b',')} commas; "
            "store long lists as arrays"
        )

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(HEADER, _ZIP_TIME), header)
            for name, array in arrays.items():
                info = zipfile.ZipInfo(name + ".npy", _ZIP_TIME)
                with archive.open(info, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    write_atomically(target, write)


def writable_target(path: PathLike) -> str:
    """The file that `save_checkpoint` will replace, if nothing that is known before the work stands against it.

    Parameters
    ----------
    path : path
        Where a checkpoint is to be saved.

    Returns
    -------
    str
        Its full name, with links followed. The file need not be there.

    Raises
    ------
    CheckpointError, OSError
        As `save_checkpoint`, for a name that is empty or too long, a folder that is not there, or a path that is no
        regular file.

    Examples
    --------
    >>> from fastnn.checkpoint import writable_target
    >>> try:
    ...     writable_target("/dev/null")
    ... except ValueError as error:
    ...     print(error)
    save_checkpoint: '/dev/null' is no regular file, and would be replaced by one
    """
    return replaceable("save_checkpoint", path, CheckpointError)


def is_checkpoint(path: PathLike) -> bool:
    """Whether a file looks like one of `save_checkpoint`; its content is not checked.

    Parameters
    ----------
    path : path
        A file.

    Returns
    -------
    bool
        Whether it is a zip archive with the header of a checkpoint.

    Raises
    ------
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.checkpoint import is_checkpoint, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.npz")
    ...     save_checkpoint(path, {"a": 1})
    ...     is_checkpoint(path)
    True
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return HEADER in archive.namelist()
    except (ValueError, NotImplementedError, zipfile.BadZipFile):  # what zipfile says of damaged archives
        return False


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """Load what `save_checkpoint` saved.

    Parameters
    ----------
    path : path
        A checkpoint.

    Returns
    -------
    dict
        The saved state; its arrays are fresh and writable.

    Raises
    ------
    CheckpointError
        If the file is damaged, truncated, of another format or of a newer version. Never runs code from it.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn as fnn
    >>> model = fnn.nn.Linear(3, 2, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     fnn.save_checkpoint(path, model.state_dict())
    ...     list(fnn.load_checkpoint(path))
    ['weight', 'bias']
    """
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise CheckpointError(f"load_checkpoint: {name!r} is not a regular file")
    with open(path, "rb") as file:
        try:
            return _read(file)
        except CheckpointError as error:
            raise CheckpointError(f"load_checkpoint: {name!r} {error}") from error.__cause__


Choice = Callable[[dict[str, Any], type], dict[str, Any]]


def read_part(file: IO[bytes], choose: Choice) -> dict[str, NDArray[Any]]:
    """Some arrays of a checkpoint, by name; no others are read.

    Parameters
    ----------
    file : file
        A checkpoint, open for reading in bytes.
    choose : callable
        Gets the state with a placeholder for each array, and the type of placeholders; gives those that are to be read.

    Returns
    -------
    dict of str to ndarray
        Fresh, writable arrays.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`, with the fault alone; also if ``choose`` raises it.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from fastnn.checkpoint import CheckpointError, read_part
    >>> try:
    ...     read_part(io.BytesIO(b"something else"), lambda state, kind: {"small": state["small"]})
    ... except CheckpointError as error:
    ...     print(error)
    is not a fastnn checkpoint; it is text that begins with 'something else'
    """
    return _read(file, choose)


def _encode(value: Any, path: tuple[str, ...], arrays: dict[str, NDArray[Any]]) -> Any:
    """Turn state into JSON values; arrays go into `arrays` under a name made of their path."""
    if len(path) > _MAX_DEPTH:
        raise ValueError(f"save_checkpoint: state is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, np.ndarray):
        return _encode_array(value, path, arrays)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_encode(item, (*path, str(i)), arrays) for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": _encode(list(value), path, arrays)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise TypeError(
                    f"save_checkpoint: {_at(path)} has the key {key!r}; keys are strings without a leading '$'"
                )
        return {key: _encode(item, (*path, key), arrays) for key, item in value.items()}
    raise TypeError(
        f"save_checkpoint: {_at(path)} is a {type(value).__name__}; "
        "expected arrays, numbers, strings, None, lists, tuples and dictionaries"
    )


def _encode_array(array: NDArray[Any], path: tuple[str, ...], arrays: dict[str, NDArray[Any]]) -> dict[str, str]:
    if array.dtype.kind not in ARRAY_KINDS:
        raise TypeError(
            f"save_checkpoint: {_at(path)} has dtype {array.dtype}; expected bool, integer, float or complex"
        )
    unmasked("save_checkpoint", _at(path), array)
    name = "/".join(re.sub(r"[%/\\:\x00-\x1f]", lambda m: f"%{ord(m[0]):02X}", part) for part in path)
    try:
        length = len(f"{name}.npy".encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"save_checkpoint: {_at(path)} has a key that is no text ({error.reason})") from None
    if length > _MAX_NAME_BYTES:
        raise ValueError(
            f"save_checkpoint: {_at(path)} is an array under a name of {length} bytes, made of its keys; expected at most "
            f"{_MAX_NAME_BYTES}"
        )
    arrays[name] = array
    return {"$array": name}


def _at(path: tuple[str, ...]) -> str:
    text = "state" + "".join(f"[{part!r}]" for part in path)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _cost(header: bytes) -> int:
    """A bound of what a header's lists and dictionaries take in memory: elements, and eight for each container.

    Text of 2 bytes may come to a list of 60. Commas and brackets within strings count too.
    """
    return header.count(b",") + 8 * (header.count(b"[") + header.count(b"{"))


def _decode(node: Any, take: Callable[[str], Any], depth: int = 0) -> Any:
    """Undo `_encode`, in place; `take` hands out each array once."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"has a header that is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(node, list):
        for i, item in enumerate(node):
            node[i] = _decode(item, take, depth + 1)
        return node
    if not isinstance(node, dict):
        return node
    match node:
        case {"$array": str(name), **rest} if not rest:
            return take(name)
        case {"$tuple": list(items), **rest} if not rest:
            return tuple(_decode(item, take, depth + 1) for item in items)
        case {"$float": str(text), **rest} if not rest and text in _SPECIAL_FLOATS:
            return _SPECIAL_FLOATS[text]
    if any(key.startswith("$") for key in node):
        raise CheckpointError(f"has a header entry that is not understood: {sorted(node)!r:.200}")
    for key, item in node.items():
        node[key] = _decode(item, take, depth + 1)
    return node


def _read(file: IO[bytes], choose: Choice | None = None) -> dict[str, Any]:
    """The state, or the arrays that ``choose`` picks from it; an error says the fault alone."""
    try:
        return _content(file, choose)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, zlib, json and the npy parser raise a dozen kinds on bad bytes
        raise CheckpointError(f"is damaged ({type(error).__name__}: {error!s:.200})") from error


def _content(file: IO[bytes], choose: Choice | None) -> dict[str, Any]:
    size = file.seek(0, os.SEEK_END)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        start = file.read(512)
        what = "truncated" if start.startswith(b"PK") else kind_of(start)
        raise CheckpointError(f"is not a fastnn checkpoint; it is {what}")
    with zipfile.ZipFile(file) as archive:
        entries = _checked_entries(archive, size)
        tree = _read_header(archive, entries)
        waiting = {info.filename[: -len(".npy")]: info for info in entries.values() if info.filename != HEADER}

        def take(name: str) -> Any:
            if name not in waiting:
                raise CheckpointError(f"lacks the array {name!r:.200}, or names it twice")
            info = waiting.pop(name)
            return info if choose else _read_array(archive, info)

        state = _decode(tree, take)
        if waiting:
            raise CheckpointError(f"holds arrays its header does not name: {sorted(waiting)[:5]!r:.200}")
        if not isinstance(state, dict):
            raise CheckpointError("has a state that is not a dictionary")
        if choose is None:
            return state
        return {name: _read_array(archive, info) for name, info in choose(state, zipfile.ZipInfo).items()}


def _checked_entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Entries by name, once it is sure that reading them all takes no more memory than the file has bytes."""
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    if HEADER not in entries:
        raise CheckpointError(f"is not a fastnn checkpoint (no {HEADER} in the archive)")
    if len(entries) != len(infos):
        raise CheckpointError("is damaged (two entries have one name)")
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos):
        raise CheckpointError("is not a fastnn checkpoint (compressed entries)")
    if sum(info.file_size for info in infos) > size:
        raise CheckpointError("is damaged (its entries declare more bytes than the file has)")
    for name in entries:
        if name != HEADER and not name.endswith(".npy"):
            raise CheckpointError(f"holds a foreign entry {name!r:.200}")
    return entries


def _read_header(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> Any:
    if entries[HEADER].file_size > _MAX_HEADER_BYTES:
        raise CheckpointError(f"has a header of more than {_MAX_HEADER_BYTES >> 20} MiB")
    text = archive.read(entries[HEADER])
    if _cost(text) > _MAX_HEADER_COST:
        raise CheckpointError("has a header with more lists, dictionaries and numbers than are ever saved")
    header = json.loads(text.decode())
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"is not a fastnn checkpoint (no format name in its {HEADER})")
    version = header.get("version")
    if type(version) is not int or version < 1 or "state" not in header:
        raise CheckpointError("has a damaged header")
    if version > VERSION:
        raise CheckpointError(f"has format version {version}, this fastnn reads up to {VERSION}")
    return header["state"]


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as entry:
        try:
            return read_array(entry, info.file_size)
        except ValueError as error:
            raise CheckpointError(f"is damaged at {info.filename!r:.200}: {error}") from error
