"""What a history says about the training: whether it learned, and what holds it back."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .constant import Baseline
from .curves import curves_of
from .findings import strict
from .verdict_rules import Found, found_in, with_error

if TYPE_CHECKING:
    from .history import History

VERDICTS = {
    "diverged": "a loss is not finite, or far above that of a network that knows nothing",
    "still improving": "the loss was falling when the training ended",
    "not learning": "no better than a prediction that knows nothing of the inputs",
    "overfitting": "the training part is known by heart, at the cost of other data",
    "underfitting": "the network does not even get the training part right",
    "good": "none of these",
    "unknown": "the history does not tell; the message says why",
}
"""The words of verdicts, in the order in which they are tried, and what they mean."""

_ADVICE = {
    "diverged": "a tenth of the learning rate (`fastnn find-lr`); inputs of mean 0 and standard deviation 1; clip_norm=1; "
    "`preflight`, which looks for the cause before training",
    "still improving": "more epochs; a larger learning rate (`fastnn find-lr`)",
    "overfitting": "stop at the best epoch (EarlyStopping); more or augmented data; weight decay; dropout; a smaller network",
    "underfitting": "a larger network; less dropout and weight decay; better features; a schedule; and look whether a simple "
    "model does better (`diagnosis.baseline`), since noise looks the same",
}
_RESTORED = "more or augmented data; weight decay; dropout; a smaller network"  # advice if training stopped in time
_SINCE = ("overfitting", "underfitting")  # the messages of other verdicts name their epochs
_WIDTH = 116


@dataclass(frozen=True)
class Verdict(Found):
    """What a history says about the training; `History.verdict` makes it.

    Parameters
    ----------
    word : str
        One of `VERDICTS`.
    message : str
        Why, with the numbers.
    since : int or None
        The epoch since when it is so.
    value, threshold : float or None
        The number that decided, and what it was compared with.
    source : str
        Where the threshold is from.
    advice : str
        What helps, the first things first.
    also : tuple of str
        Further words that are true.
    epoch : int or None
        The epoch that is judged: the last, or the one whose weights `EarlyStopping` put back.
    training_loss, validation_loss : float or None
        Its losses.
    training_loss_se, validation_loss_se : float or None
        Their standard errors.
    evaluated : bool
        Whether the training's loss is of evaluation mode (``fit(…, evaluate_train=True)``), and not of the batches as they
        were trained on.
    baseline : Baseline or None
        The loss of a prediction that knows nothing.
    records : tuple of dict
        The records, for `plot`.

    Examples
    --------
    >>> from fastnn.training import History
    >>> from fastnn.training.constant import Baseline
    >>> history = History({"epoch": i, "train_loss": 2 / i, "validation_loss": 0.9 + 0.1 * i} for i in range(1, 31))
    >>> history.baseline = Baseline(2.303, "always the class frequencies")
    >>> verdict = history.verdict()
    >>> verdict.word, verdict.since
    ('overfitting', 1)
    """

    epoch: int | None = None
    training_loss: float | None = None
    validation_loss: float | None = None
    training_loss_se: float | None = None
    validation_loss_se: float | None = None
    evaluated: bool = False
    baseline: Baseline | None = None
    records: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        since = f" since epoch {self.since}" if self.word in _SINCE else ""
        lines = [f"{self.word}{since}: {self.message}"]
        if self.epoch is not None:
            lines.append("  " + "     ".join(self._figures()))
        if self.advice:
            advice = f"what helps, in this order: {self.advice}   [{self.source}]"
            lines += textwrap.wrap(advice, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def _figures(self) -> list[str]:
        """The numbers that were compared, losses with two standard errors."""
        figures = [f"epoch {self.epoch}"]
        if self.training_loss is not None:
            of = "" if self.evaluated else " (of the batches)"
            figures.append(f"training loss{of} {with_error(self.training_loss, self.training_loss_se)}")
        if self.validation_loss is not None:
            figures.append(f"validation loss {with_error(self.validation_loss, self.validation_loss_se)}")
        if self.baseline is not None:
            figures.append(f"baseline ({self.baseline.words}) {self.baseline.loss:.4g}")
        return figures

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses, the baseline and the epoch since when the verdict is true; needs Matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on.

        Raises
        ------
        ValueError
            If there is no record.
        """
        from ..plots.history import verdict

        baseline = None if self.baseline is None else (self.baseline.loss, self.baseline.words)
        return verdict(self.records, self.word, since=self.since, baseline=baseline, ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """All but the records by name, as JSON takes it."""
        return {field.name: strict(getattr(self, field.name)) for field in fields(self) if field.name != "records"}


def verdict_of(history: History) -> Verdict:
    """The verdict on a history: a function of that alone, which never raises."""
    curves = curves_of(history)
    found = dict(vars(found_in(curves)))
    judged = curves.judged()
    stopped_in_time = found["word"] == "overfitting" and history.restored == judged.get("epoch")
    found["advice"] = found["advice"] or (_RESTORED if stopped_in_time else _ADVICE.get(found["word"], ""))
    return Verdict(**found, **judged, baseline=history.baseline, records=tuple(history.records))
