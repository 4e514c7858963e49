"""What ``torch.save`` writes since PyTorch 1.6: a zip archive of a pickle and of an entry per storage."""

from __future__ import annotations

import math
import re
from typing import Any

from numpy.typing import NDArray

from .error import WeightsError
from .nested import chosen
from .numbers import PORTION, Numbers, dtype_of, span, stored_bytes
from .torch_pickle import HINT, StoredTensor, load
from .zip_directory import Archive

_MOST_PICKLE = 4 << 20
_MOST_SMALL = 100
_MOST_TIMES = 8  # bytes of arrays for each of the file: what halves and shared storages take, but no bomb
_SPARE = 1 << 20
_NEWEST = 10

OLD_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of ``torch.save`` began before PyTorch 1.6, and begin with ``_use_new_zipfile_serialization=False``."""


def looks_like(names: list[str]) -> bool:
    """Whether these are the entries of such an archive.

    >>> from fastnn.weights.torch_file import looks_like
    >>> looks_like(["archive/data.pkl", "archive/version"]), looks_like(["a.npy"])
    (True, False)
    """
    return any(name.endswith("/data.pkl") for name in names)


def read(archive: Archive, key: tuple[str, ...] | None) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, or of the part of them that the keys lead to."""
    root = next(iter(archive.entries)).partition("/")[0]
    if not all(name.startswith(f"{root}/") for name in archive.entries):
        raise WeightsError("is a zip archive of several folders, which torch.save never writes")
    if f"{root}/constants.pkl" in archive.entries:
        raise WeightsError(f"is a TorchScript archive, which holds code; {HINT}")
    archive.require_stored()
    _check_small_entries(archive, root)
    tree = load(archive.read(f"{root}/data.pkl", _MOST_PICKLE))
    tensors = chosen(tree, key, StoredTensor)
    _check_sizes(tensors, archive.size)
    reader = _Reader(archive, root)
    return {name: reader.array(name, tensor) for name, tensor in tensors.items()}


def _check_small_entries(archive: Archive, root: str) -> None:
    """Compare checksums of all entries but the storages, and look for what PyTorch would refuse in them."""
    for name in archive.entries:
        if not name.startswith(f"{root}/data/"):
            archive.find(name)
    version = archive.read(f"{root}/version", _MOST_SMALL)
    if not re.fullmatch(rb"[0-9]{1,3}\n?", version) or not 1 <= int(version) <= _NEWEST:
        raise WeightsError(f"has the format version {version[:20]!r}; 1 to {_NEWEST} are read")
    alignment = f"{root}/.storage_alignment"
    if alignment in archive.entries and not archive.read(alignment, _MOST_SMALL).strip().isdigit():
        raise WeightsError("is damaged: its alignment is no number")


def _check_sizes(tensors: dict[str, StoredTensor], size: int) -> None:
    """Refuse views that come to far more than there is in the file, before memory is reserved."""
    total = sum(math.prod(tensor.shape) * dtype_of(tensor.kind).itemsize for tensor in tensors.values())
    most = _MOST_TIMES * size + _SPARE
    if total > most:
        raise WeightsError(
            f"holds tensors that repeat what it has, to more than {most} bytes of arrays in a file of {size}; in PyTorch, save "
            "them as they were before .expand()"
        )


class _Reader:
    """Makes arrays of tensors, once the storage of each has been compared with its checksum."""

    def __init__(self, archive: Archive, root: str) -> None:
        self._archive = archive
        self._root = root
        self._places: dict[str, int] = {}
        order = archive.read(f"{root}/byteorder", _MOST_SMALL) if f"{root}/byteorder" in archive.entries else b"little"
        if order not in (b"little", b"big"):
            raise WeightsError(f"has the byte order {order[:20]!r}; expected little or big")
        self._order = "<" if order == b"little" else ">"

    def array(self, name: str, tensor: StoredTensor) -> NDArray[Any]:
        """The numbers of a tensor."""
        if self._order == ">" and tensor.storage.kind == "bytes" and stored_bytes(tensor.kind) > 1:
            # PyTorch reads them in the order of the machine that it runs on, whatever the file says.
            raise WeightsError(
                f"holds {name!r:.100} of {tensor.kind}, whose byte order is not sure in a big-endian file"
            )
        numbers = Numbers(self._archive.file, self._place(tensor), tensor.kind, self._order)
        count = math.prod(tensor.shape)
        length = span(tensor.shape, tensor.strides) if count else 0
        if length > 8 * count + PORTION:
            raise WeightsError(
                f"holds {name!r:.100}, a view of {count} numbers that lie scattered over {length}; in PyTorch, save its .clone()"
            )
        return numbers.strided(tensor.offset, tensor.shape, tensor.strides)

    def _place(self, tensor: StoredTensor) -> int:
        """Where the storage of a tensor begins in the file."""
        storage = tensor.storage
        if storage.key not in self._places:
            begin, size = self._archive.find(f"{self._root}/data/{storage.key}")
            expected = storage.length * (1 if storage.kind == "bytes" else stored_bytes(storage.kind))
            if size != expected:
                raise WeightsError(f"is damaged: the storage {storage.key!r:.100} has {size} bytes, not {expected}")
            self._places[storage.key] = begin
        return self._places[storage.key]
