"""Checkpoints of a training: written as it goes, and read when it begins again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import CheckpointError, load_checkpoint, save_checkpoint, writable_target
from ..checks import integer

KIND = "training"


class Checkpoint:
    """Where, how often and with what a training is saved.

    Parameters
    ----------
    path : path
        The file. Where it is there, `Trainer.fit` goes on from it. A relative one is meant from where the process is now.
    every : int, optional
        Save also after each so many optimiser steps; by default at the end of each epoch, by Ctrl-C and at the end only.
    keep : int
        Of how many epochs the checkpoints are kept: with more than 1, those of the last ones lie beside the file, the
        epoch's number in their names ("run-epoch12.npz"); for `nn.Ensemble`.
    extra : mapping, optional
        What else the file shall hold, such as scalers and names of classes. What has ``state_dict`` is saved as that.
    settings : mapping, optional
        Plain values that a training which goes on must have in common with the one that was saved, beside those that
        the trainer knows itself.

    Raises
    ------
    ValueError, TypeError
        If a number does not fit, or the path is none.

    Examples
    --------
    >>> from fastnn.training import Checkpoint
    >>> Checkpoint("run.npz", every=100)
    Checkpoint('run.npz', every=100, keep=1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int | None = None,
        keep: int = 1,
        extra: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = _checked_path(path)
        self._file = os.path.abspath(self.path)  # stays the same when a callback changes the working folder
        self.every = None if every is None else integer("Checkpoint", "every", every, 1)
        self.keep = integer("Checkpoint", "keep", keep, 1)
        self.extra = dict(extra or {})
        self.settings = dict(settings or {})

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every}, keep={self.keep})"

    def save(self, state: Mapping[str, Any], settings: Mapping[str, Any], epoch: int | None = None) -> None:
        """Write the file; with ``epoch`` also the one of that epoch, where several are kept."""
        whole = {
            "kind": KIND,
            "settings": {**self.settings, **settings},
            **state,
            "extra": {name: _state_of(value) for name, value in self.extra.items()},
        }
        save_checkpoint(self._file, whole)
        if epoch is not None and self.keep > 1:
            save_checkpoint(self._of_epoch(epoch), whole)
            self._of_epoch(epoch - self.keep).unlink(missing_ok=True)

    def _of_epoch(self, epoch: int) -> Path:
        path = Path(self._file)
        return path.with_name(f"{path.stem}-epoch{epoch}{path.suffix}")

    def load(self, settings: Mapping[str, Any], architecture: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The state in the file, None where there is no file.

        Raises
        ------
        CheckpointError
            If it is no checkpoint of a training, or of one with other settings or layers: the difference is said.
        OSError
            If there is no folder for it.
        """
        writable_target(self._file)
        if not os.path.exists(self._file):  # so too for a link to a missing file, which saving will make
            return None
        state = load_checkpoint(self._file)
        if _plain(state.get("kind")) != KIND:
            raise CheckpointError(f"{self.path!r} is a fastnn checkpoint, but not one of a training")
        kept = state.get("settings")
        if not isinstance(kept, dict):
            raise CheckpointError(f"{self.path!r} is damaged: it has no settings")
        differences = [
            *_differences(kept, {**self.settings, **settings}),
            *_differences_of_layers(state.get("architecture"), architecture),
        ]
        if differences:
            raise CheckpointError(
                f"{self.path!r} is of a training with other settings: {'; '.join(differences)}. Take another file, or remove "
                "it to begin anew"
            )
        return state


def _state_of(value: Any) -> Any:
    return value.state_dict() if hasattr(value, "state_dict") else value


def _differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*kept, *now]):
        before, after = kept.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from (f"{name}.{difference}" for difference in _differences(before, after))
        elif _plain(before) != _plain(after):
            yield f"{name} was {_shown(before)}, now {_shown(after)}"


def _differences_of_layers(kept: Any, now: Any) -> Iterator[str]:
    """Layers of one number that were made otherwise; where numbers differ the weights will not fit."""
    before, after = list(_layers(kept)), list(_layers(now))
    if len(before) == len(after):
        yield from (f"a layer was {one}, now {other}" for one, other in zip(before, after, strict=True) if one != other)


def _layers(architecture: Any) -> Iterator[str]:
    """Layers with their arguments, from a description that nobody vouches for."""
    modules = architecture.get("modules") if isinstance(architecture, Mapping) else None
    for module in modules if isinstance(modules, list) else []:
        if isinstance(module, Mapping) and isinstance(module.get("arguments"), Mapping):
            options = ", ".join(f"{name}={_plain(value)!r}" for name, value in module["arguments"].items())
            yield f"{module.get('layer')}({options})"


def _checked_path(path: Any) -> str:
    if not isinstance(path, str | bytes | os.PathLike) or not os.fspath(path):
        raise TypeError(f"Checkpoint: expected the path of a file, got {path!r:.100}")
    return os.fsdecode(path)


def _plain(value: Any) -> Any:
    """Tuples, lists and arrays are one: a setting may have been any, and a damaged file may have an array anywhere."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
