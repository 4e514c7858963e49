"""What a training leaves behind: one record per epoch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import IO, TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np

from .._atomic import replaceable, write_atomically
from ..checks import shown
from .constant import Baseline
from .findings import strict

if TYPE_CHECKING:
    from .verdict import Verdict

Record = dict[str, Any]
ERROR = "_loss_se"
"""How the names of standard errors end, those of losses over samples."""


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
    restored : int or None
        The epoch whose weights `EarlyStopping` put back at the end; None if the model has those of the last epoch.
    baseline : Baseline or None
        What the network has to beat: the ``loss`` of the best constant prediction for up to 10 000 targets of the first pass,
        its ``validation_loss``, and ``words`` that say what it is. None where the loss function does not tell.

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
        self.restored: int | None = None
        self.baseline: Baseline | None = None

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
        last = f", last: {without_errors(self.records[-1])}" if self.records else ""
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

    def verdict(self) -> Verdict:
        """Whether the training learned, and what holds it back: a function of the history alone.

        Returns
        -------
        Verdict
            Its ``word`` is "diverged", "still improving", "not learning", "overfitting", "underfitting", "good" or "unknown";
            printed, it says why and what helps.

        Notes
        -----
        Validation says most; without it only the first words and "underfitting" can be found. The training's losses are those
        of the batches as they were trained on, unless the history has those of evaluation mode
        (``fit(…, evaluate_train=True)``).

        How often the words are right is measured in docs/verdicts.md.

        Examples
        --------
        >>> from fastnn.training import History
        >>> print(History([{"epoch": 1, "train_loss": float("nan")}]).verdict().word)
        diverged
        """
        from .verdict import verdict_of

        return verdict_of(self)

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
            text = json.dumps(strict(self.state_dict()), indent=1) + "\n"
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
        """The records, how the training ended, and the baseline, for `load_state_dict`."""
        return {
            "records": [dict(record) for record in self.records],
            "stopped": self.stopped,
            "restored": self.restored,
            "baseline": None if self.baseline is None else asdict(self.baseline),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave; nothing is changed where it does not fit.

        Raises
        ------
        ValueError
            If it holds something else.
        """
        if not isinstance(state, Mapping) or state.keys() != self.state_dict().keys():
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"History: the state has {found}, expected {', '.join(self.state_dict())}")
        records, stopped, restored, baseline = (state[name] for name in self.state_dict())
        if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
            raise ValueError("History: the state must hold a list of records")
        if not (stopped is None or isinstance(stopped, str)):
            raise ValueError(f"History: stopped must be a text or None, got {stopped!r:.100}")
        if not (restored is None or (isinstance(restored, int) and not isinstance(restored, bool))):
            raise ValueError(f"History: restored must be an epoch or None, got {shown(restored)}")
        of_state = None if baseline is None else _baseline(baseline)
        self.records[:] = [dict(record) for record in records]
        self.stopped, self.interrupted, self.restored, self.baseline = stopped, False, restored, of_state


def _baseline(state: Any) -> Baseline:
    """A baseline from a state that nobody vouches for."""
    if isinstance(state, Mapping) and state.keys() == {field.name for field in fields(Baseline)}:
        figures = [state[name] for name in ("loss", "validation_loss", "validation_accuracy")]
        numbers = figures[:1] + [figure for figure in figures[1:] if figure is not None]
        samples = state["validation_samples"]
        whole = samples is None or (isinstance(samples, int) and not isinstance(samples, bool) and samples > 0)
        if (
            all(isinstance(n, float) and math.isfinite(n) for n in numbers)
            and isinstance(state["words"], str)
            and whole
        ):
            return Baseline(**state)
    raise ValueError(f"History: baseline must be finite losses and words, or None, got {shown(state)}")


def without_errors(record: Mapping[str, Any]) -> Record:
    """A record without the standard errors, which are no figures of their own.

    >>> without_errors({"epoch": 1, "validation_loss": 0.5, "validation_loss_se": 0.01})
    {'epoch': 1, 'validation_loss': 0.5}
    """
    return {name: value for name, value in record.items() if not name.endswith(ERROR)}
