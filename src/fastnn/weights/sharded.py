"""Weights in several files, which an index lists: ``model.safetensors.index.json``, ``pytorch_model.bin.index.json``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .._files import listed
from .error import WeightsError
from .json_text import parse

Arrays = dict[str, NDArray[Any]]


def looks_like(start: bytes) -> bool:
    """Whether a file begins as JSON text with a dictionary.

    >>> from fastnn.weights.sharded import looks_like
    >>> looks_like(b'{"metadata": {}'), looks_like(b"[1]")
    (True, False)
    """
    return start.lstrip(b" \t\r\n")[:1] == b"{" and b"\0" not in start


def read(raw: bytes, folder: str, read_shard: Callable[[str], Arrays]) -> Arrays:
    """The arrays of all files that an index lists, in its order.

    Parameters
    ----------
    raw : bytes
        The index.
    folder : str
        Where it lies; the files lie there too, nowhere else.
    read_shard : callable
        Reads one of the files.
    """
    index = parse(raw, "it", whole_numbers=False)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise WeightsError("is JSON text, but no index of weights: it has no 'weight_map' from names to files")
    shards = list(dict.fromkeys(places.values()))
    outside = [shard for shard in shards if not _is_plain(shard)]
    if outside:
        raise WeightsError(f"lists files that are not beside it: {listed(outside)}; expected names without folders")
    missing = [shard for shard in shards if not os.path.isfile(os.path.join(folder, shard))]
    if missing:
        raise WeightsError(f"lists files that are missing beside it: {listed(missing)}")
    found: Arrays = {}
    for shard in shards:
        expected = {name for name, place in places.items() if place == shard}
        try:
            arrays = read_shard(os.path.join(folder, shard))
        except WeightsError as error:
            raise WeightsError(f"lists {shard!r}, which {error}") from None
        different = sorted(expected ^ arrays.keys())
        if different:
            raise WeightsError(f"does not list what is in {shard!r}: they differ in {listed(different)}")
        found |= arrays
    return {name: found[name] for name in places}


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in the same folder on any system."""
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\:\0")
