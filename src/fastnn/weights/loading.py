"""`load_weights`: weights of any format, which the first bytes of the file tell."""

from __future__ import annotations

import os
import stat
from typing import IO, Any

from numpy.typing import NDArray

from .._files import PathLike, kind_of, listed
from ..checkpoint import HEADER, CheckpointError, read_part
from . import safetensors, sharded, torch_file
from .error import WeightsError
from .json_text import require_short
from .nested import chosen
from .zip_directory import Archive

_START = 512
_EXPECTED = (
    "a .safetensors file, the index of a sharded set (.index.json), a checkpoint of fastnn, or what torch.save writes"
)

Arrays = dict[str, NDArray[Any]]


def load_weights(path: PathLike, *, key: str | tuple[str, ...] | None = None) -> Arrays:
    """Load weights by name, without the library that saved them.

    Parameters
    ----------
    path : path
        One of these, told by its first bytes whatever it is called:

        - a ``.safetensors`` file;
        - the index of a set of several files (``model.safetensors.index.json``, ``pytorch_model.bin.index.json``), which
          lie beside it;
        - what ``torch.save`` writes since PyTorch 1.6 (``.pt``, ``.pth``, ``.bin``), of tensors in dictionaries and lists;
        - a checkpoint of fastnn: of `save_checkpoint`, `save_model` or a training.
    key : str or tuple of str, optional
        Where the weights are in a nested checkpoint: a key, or the keys that lead to them. By default the file itself if it
        holds arrays by name and nothing else, else "model" of a checkpoint of fastnn, else the only entry that is such a
        dictionary, as "model" of ``{"model": ..., "optimizer": ..., "epoch": 3}``.

    Returns
    -------
    dict of str to ndarray
        New arrays in C order, which share nothing, in the order of the file. float16 and bfloat16 become float32; other floats,
        integers, bool and complex numbers keep their type.

    Raises
    ------
    WeightsError
        If the file is of another kind, damaged, or incomplete; if it holds code or objects, such as a whole module, a TorchScript
        archive, or a file of PyTorch before 1.6; if a tensor is of a type that NumPy has not, such as float8; if there is no
        dictionary of weights, or more than one. The text says what to do instead.
    TypeError
        If ``key`` is neither a text nor a tuple of texts.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Nothing in a file is ever run. A reader of its own knows the dozen names that PyTorch's tensors need, and refuses every
    other before anything is made. Sizes are compared with the bytes that are there before memory is reserved: reading
    ``.safetensors`` and ``torch.save``'s files takes at most twice the memory of the arrays that are returned, and 64 MB.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn as fnn
    >>> model = fnn.nn.Linear(3, 2, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fnn.save_weights(model.state_dict(), path)
    ...     weights = fnn.load_weights(path)
    >>> weights["weight"].shape, weights["bias"].shape
    ((2, 3), (2,))
    >>> fnn.nn.Linear(3, 2).load_state_dict(weights)
    StateKeys(missing=[], unexpected=[])
    """
    keys = (key,) if isinstance(key, str) else key
    if keys is not None and not (isinstance(keys, tuple) and all(isinstance(part, str) for part in keys)):
        raise TypeError(f"load_weights: key must be a text or a tuple of texts, got {key!r:.100}")
    name = os.fsdecode(path)
    try:
        return _read(name, keys, shards=True)
    except WeightsError as error:
        raise WeightsError(f"load_weights: {name!r} {error}") from None


def _read(path: str, keys: tuple[str, ...] | None, shards: bool) -> Arrays:
    """The weights of a file; with ``shards`` it may be an index of others. An error says the fault alone."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise WeightsError(f"is {_no_file(path)}")
    with open(path, "rb") as file:
        return _arrays(file, path, keys, shards)


def _no_file(path: str) -> str:
    """What is at a path where no file is."""
    if not os.path.isdir(path):
        return "no regular file"
    ends = (".safetensors", ".index.json", ".pt", ".pth", ".bin", ".npz")
    there = [name for name in sorted(os.listdir(path)) if name.endswith(ends)]
    return f"a folder; give one of the files in it: {listed(there)}" if there else "a folder without weights"


def _arrays(file: IO[bytes], path: str, keys: tuple[str, ...] | None, shards: bool) -> Arrays:
    size = os.fstat(file.fileno()).st_size
    start = file.read(_START)
    if start.startswith(b"PK\x03\x04"):
        return _from_archive(file, size, start, keys)
    if start.startswith(torch_file.OLD_MAGIC):
        raise WeightsError(
            "is of the format that torch.save wrote before PyTorch 1.6; in PyTorch, torch.save(torch.load(path), path) writes it "
            "anew"
        )
    flat = safetensors.looks_like(start)
    if not flat and not (shards and sharded.looks_like(start)):
        raise WeightsError(f"is {kind_of(start)}; expected {_EXPECTED}")
    if keys:
        raise WeightsError(f"is not nested, so that key={keys!r:.100} leads nowhere")
    if flat:
        return safetensors.read(file, size)
    require_short("it", size)
    file.seek(0)
    return sharded.read(file.read(), os.path.dirname(path), lambda shard: _read(shard, None, shards=False))


def _from_archive(file: IO[bytes], size: int, start: bytes, keys: tuple[str, ...] | None) -> Arrays:
    archive = Archive(file, size)
    if HEADER in archive.entries:
        try:
            return read_part(file, lambda state, kind: _of_checkpoint(state, keys, kind))
        except CheckpointError as error:
            raise WeightsError(str(error)) from None
    if torch_file.looks_like(list(archive.entries)):
        return torch_file.read(archive, keys)
    raise WeightsError(f"is {kind_of(start)}; expected {_EXPECTED}")


def _of_checkpoint(state: dict[str, Any], keys: tuple[str, ...] | None, kind: type) -> dict[str, Any]:
    """What a checkpoint of fastnn has under the keys; by default a training's, or a saved model's, part of that name."""
    by_default = keys is None and isinstance(state.get("model"), dict)
    try:
        return chosen(state, ("model",) if by_default else keys, kind)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
