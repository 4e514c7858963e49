"""What a training leaves behind: one record per epoch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, SupportsIndex, overload

import numpy as np

from .._atomic import replaceable, write_atomically

Record = dict[str, Any]


class History(Sequence[Record]):
    """The records of a training, one per epoch, and how it ended.

    Parameters
    ----------
    records : iterable of dict, optional
        What to begin with: numbers by name, such as "epoch", "lr", "train_loss" and "validation_loss".

    Attributes
    ----------
    records : list of dict
        The records.
    stopped : str or None
        Why the training ended before its last epoch.
    interrupted : bool
        Whether Ctrl-C ended it.

    Examples
    --------
    >>> from fastnn.training import History
    >>> history = History([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}])
    >>> history["train_loss"], history[-1]
    (array([2., 1.]), {'epoch': 2, 'train_loss': 1.0})
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.records: list[Record] = [dict(record) for record in records]
        self.stopped: str | None = None
        self.interrupted = False

    @property
    def names(self) -> list[str]:
        """The names in the records, in the order in which they came up."""
        return list(dict.fromkeys(name for record in self.records for name in record))

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, key: str) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> list[Record]: ...

    def __getitem__(self, key: Any) -> Any:
        """By name the values of all epochs, NaN where a record has none; by number a record."""
        if not isinstance(key, str):
            return self.records[key]
        if key not in self.names:
            raise KeyError(f"History: there is no {key!r}, only {', '.join(self.names) or 'no record'}")
        return np.array([record.get(key, np.nan) for record in self.records], np.float64)

    def __contains__(self, item: object) -> bool:
        """Whether a record, or a name of a figure, is there."""
        return item in (self.names if isinstance(item, str) else self.records)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, History):
            return self.records == other.records
        return self.records == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        ended = f", {self.stopped}" if self.stopped else ""
        last = f", last: {self.records[-1]}" if self.records else ""
        return f"History({len(self)} epochs{ended}{last})"

    def plot(self, ax: Any = None) -> Any:
        """Draw the records with `fastnn.plots.history`, which needs Matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes or ndarray of them
            As of `fastnn.plots.history`.
        """
        from ..plots import history

        return history(self.records, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the records to a file: a table for names that end in ".csv", JSON for those that end in ".json".

        Parameters
        ----------
        path : path
            The file; one that is there is replaced at once when the new one is complete.

        Raises
        ------
        ValueError
            For another ending.
        OSError
            If the file cannot be written.
        """
        name = os.fspath(path)
        if name.endswith(".csv"):
            text = self._as_csv()
        elif name.endswith(".json"):
            text = json.dumps({"records": _strict(self.records), "stopped": self.stopped}, indent=1) + "\n"
        else:
            raise ValueError(f"History: the file's name must end in .csv or .json, got {name!r}")

        def write(file: IO[bytes]) -> None:
            file.write(text.encode())

        write_atomically(replaceable("History", path), write)

    def _as_csv(self) -> str:
        text = io.StringIO()
        table = csv.DictWriter(text, self.names, lineterminator="\n")
        table.writeheader()
        table.writerows(self.records)
        return text.getvalue()

    def state_dict(self) -> dict[str, Any]:
        """The records and how the training ended, for `load_state_dict`."""
        return {"records": [dict(record) for record in self.records], "stopped": self.stopped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave; nothing is changed where it does not fit.

        Raises
        ------
        ValueError
            If it holds something else.
        """
        if not isinstance(state, Mapping) or state.keys() != {"records", "stopped"}:
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"History: the state has {found}, expected records and stopped")
        records, stopped = state["records"], state["stopped"]
        if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
            raise ValueError("History: the state must hold a list of records")
        if not (stopped is None or isinstance(stopped, str)):
            raise ValueError(f"History: stopped must be a text or None, got {stopped!r:.100}")
        self.records[:] = [dict(record) for record in records]
        self.stopped, self.interrupted = stopped, False


def _strict(records: list[Record]) -> list[Record]:
    """Records in which null stands for numbers that are not finite, since JSON has none."""

    def value(number: Any) -> Any:
        return None if isinstance(number, float) and not math.isfinite(number) else number

    return [{name: value(number) for name, number in record.items()} for record in records]
