"""What a training shows on its way: a bar, and a line for each epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from ..checks import shown
from .history import without_errors
from .progress import ProgressBar, is_terminal

_SHARES = ("accuracy", "f1", "precision", "recall")  # shown in per cent


def epoch_line(record: Mapping[str, Any], epochs: int, *, best: bool = False, seconds: float | None = None) -> str:
    """A record of the history on one line.

    Parameters
    ----------
    record : mapping
        As `History` has them.
    epochs : int
        How many there are to be.
    best : bool
        Whether a mark for the best epoch so far is shown.
    seconds : float, optional
        How long the epoch took.

    Returns
    -------
    str
        Without a line break.

    Raises
    ------
    KeyError
        If the record has no "epoch".

    Examples
    --------
    >>> from fastnn.training import epoch_line
    >>> epoch_line({"epoch": 7, "train_loss": 0.18214, "validation_loss": 0.224, "validation_accuracy": 0.934}, 30, best=True)
    'epoch  7/30   train loss 0.1821   validation loss 0.2240 accuracy 93.40 % *'
    """
    parts = [f"epoch {record['epoch']:{len(str(epochs))}}/{epochs}"]
    record = without_errors(record)
    for part in ("train", "training", "validation"):
        figures = {
            name.removeprefix(part + "_"): value for name, value in record.items() if name.startswith(part + "_")
        }
        if figures:
            parts.append(" ".join([part, *(_figure(name, value) for name, value in figures.items())]))
    line = "   ".join(parts) + (" *" if best else "")
    return line if seconds is None else f"{line}   {seconds:.1f} s"


def _figure(name: str, value: float) -> str:
    shown = f"{100 * value:5.2f} %" if name in _SHARES else f"{value:.4f}"
    return f"{name.replace('_', ' ')} {shown}"


class Display:
    """Shows a training on whatever ``progress=`` was given.

    Parameters
    ----------
    progress : "auto", bool, None, ProgressBar or an object with ``update(n)``
        "auto" is True where stderr is a terminal. True makes a bar on stderr and a line for each epoch. An object of the
        caller's is advanced by one for each batch, and never closed.
    epochs, steps : int
        Epochs in all, and batches in all, 0 where that is not known.
    done : int
        Batches that were done before.
    """

    def __init__(self, progress: Any, epochs: int, steps: int, done: int) -> None:
        if isinstance(progress, str) and progress != "auto":
            raise ValueError(
                f"Trainer: progress must be 'auto', True, False or an object with update(n), got {progress!r}"
            )
        if isinstance(progress, str):
            progress = is_terminal(sys.stderr)
        self._epochs = epochs
        self._own = progress is True
        self._bar: ProgressBar | None = None
        self._update: Any = None
        if self._own:
            self._bar = ProgressBar(max(steps, 1), enabled=True)
            self._bar.done = min(done, self._bar.total)
        elif isinstance(progress, ProgressBar):
            self._bar = progress
        elif progress is not None and progress is not False:
            self._update = getattr(progress, "update", None)
            if isinstance(progress, type) or not callable(self._update):
                raise TypeError(
                    f"Trainer: progress must be an object with update(n), as tqdm's bars, got {shown(progress)}"
                )
        self.shows = self._bar is not None or self._update is not None
        self._best: float | None = None
        self._began = time.perf_counter()

    def begin_epoch(self, epoch: int) -> None:
        """An epoch begins; the first has number 1."""
        self._began = time.perf_counter()
        if self._bar is not None:
            self._bar.label = f"epoch {epoch}/{self._epochs}"

    def batch(self, loss: float) -> None:
        """A batch is done."""
        if self._bar is not None:
            self._bar.note = f"loss {loss:.4f}"
            self._bar.advance()
        elif self._update is not None:
            self._update(1)

    def end_epoch(self, record: Mapping[str, Any]) -> None:
        """Print the record's line, where the bar is our own."""
        if not self._own:
            return
        measure = record.get("validation_loss", record["train_loss"])
        best = self._best is None or measure < self._best
        if best:
            self._best = measure
        self.say(epoch_line(record, self._epochs, best=best, seconds=time.perf_counter() - self._began))

    def say(self, text: str) -> None:
        """Print a line, where the bar is our own."""
        if self._own and self._bar is not None:
            self._bar.print(text)

    def close(self) -> None:
        """Take our own bar away."""
        if self._own and self._bar is not None:
            self._bar.close()
