"""What a history says about the training: whether it learned, and what holds it back (SPEC J3)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .constant import Baseline
from .findings import strict

if TYPE_CHECKING:
    from .history import History

Array = np.ndarray[Any, Any]

VERDICTS = {
    "diverged": "a loss is not finite, or far above that of a network that knows nothing",
    "still improving": "the loss was falling when the training ended",
    "not learning": "no better than a prediction that knows nothing of the inputs",
    "overfitting": "the training part is known by heart, at the cost of other data",
    "underfitting": "the network does not even get the training part right",
    "good": "none of these",
    "unknown": "the history does not tell",
}
"""The words of verdicts, in the order in which they are tried, and what they mean."""

# Thresholds. B is the baseline, T the loss of training, V that of validation. "Measured" means: chosen such that they part the
# trainings of the first table of docs/verdicts.md; the second table shows how they do elsewhere.
HUGE = 5.0
"""T above so many B has diverged: measured; a network that starts with random outputs has at most 2 B (docs/verdicts.md)."""
WINDOW = 0.1
"""The share of the epochs, two at least, over which a loss must have fallen to be still improving: measured."""
FALL = 0.05
"""By which share of itself it must have fallen in that time: measured."""
SHARE = 0.2
"""Or by which share of all that was learned: measured; slow trainings are found by it."""
GAIN = 0.03
"""And by which share of B: measured; without it, the last digits of good networks improve forever."""
LEARNED = 0.05
"""By which share of B the best V must be below B for something to have been learned: measured."""
SURELY, SURE_ERRORS = 0.02, 4.0
"""Or by this share of B and this number of standard errors: measured; the best of many epochs is often two of them too low."""
MOVED = 1e-3
"""A loss that stays within this share of itself from the first epoch to the last has not moved: measured."""
KNOWN = 0.5
"""T below this share of B, where nothing was learned that holds for validation, is learned by heart: measured."""
RISE = 0.05
"""By which share of its minimum V must have risen to be overfitting: measured."""
APART, GAP = 0.2, 0.12
"""T below this share of V, with V − T above this share of B, is overfitting: measured; the ratio alone fires on good networks."""
WIDE = 0.25
"""V − T above this share of B is overfitting whatever the ratio: measured."""
HIGH = 0.35
"""T above this share of B is underfitting: measured."""
ERRORS = 2.0
"""So many standard errors are no accident: 95 % of normal errors."""

LOW = 0.1
"""T below this share of B is good enough that a falling loss is no reason to go on: measured."""
RISEN = 0.02
"""By which share of B V must have risen: measured."""

ACCURACY_ERRORS = 3.0
"""By so many standard errors the accuracy must be above that of a constant prediction, or of exp(B) classes: measured."""
SHORT = 5
"""In so few epochs, each of which lowers the loss, `SHARE` alone decides: measured."""

_STEADY = 4  # epochs, in each of which the loss fell, are a network that recovers
_ZERO = 1e-20  # a baseline of nothing: all targets are the same
_CS231N = "cs231n, neural networks part 3"
_SOURCES = "cs231n, neural networks part 3; docs/verdicts.md"
_MEASURED = "docs/verdicts.md"

_ADVICE = {
    "diverged": "a tenth of the learning rate (`fastnn find-lr`), inputs of mean 0 and standard deviation 1, clip_norm=1; "
    "`preflight` looks for the cause before training",
    "still improving": "more epochs, or a larger learning rate (`fastnn find-lr`)",
    "not learning": "a look at inputs and targets, and at what `preflight` says; a larger learning rate if the loss hardly moves "
    "(`fastnn find-lr`); if it moves, whether inputs and targets belong together, and tell anything of each other "
    "(`diagnosis.baseline`)",
    "overfitting": "to stop at the best epoch (EarlyStopping), more or augmented data, weight decay, dropout, a smaller network",
    "underfitting": "a larger network, less dropout and weight decay, better features, other initial weights or a schedule; and "
    "whether a simple model does better (`diagnosis.baseline`), since noise looks the same",
    "good": "a test on data that played no part in any choice",
    "unknown": "",
}


@dataclass(frozen=True)
class Verdict:
    """What a history says about the training; `History.verdict` makes it.

    Parameters
    ----------
    word : str
        One of `VERDICTS`.
    message : str
        Why, with the numbers.
    since : int or None
        The epoch since when it is so.
    also : tuple of str
        Further words that are true.
    value, threshold : float or None
        The number that decided, and what it was compared with.
    source : str
        Where the threshold is from.
    advice : str
        What helps, the first things first.
    epoch : int or None
        The epoch that is judged: the last, or the one whose weights `EarlyStopping` put back.
    training_loss, validation_loss : float or None
        Its losses. Of the training, in evaluation mode if the history has that (``fit(…, evaluate_train=True)``).
    training_loss_se, validation_loss_se : float or None
        Their standard errors.
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

    word: str
    message: str
    since: int | None = None
    also: tuple[str, ...] = ()
    value: float | None = None
    threshold: float | None = None
    source: str = ""
    advice: str = ""
    epoch: int | None = None
    training_loss: float | None = None
    validation_loss: float | None = None
    training_loss_se: float | None = None
    validation_loss_se: float | None = None
    baseline: Baseline | None = None
    records: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        since = "" if self.since is None or self.word == "good" else f" since epoch {self.since}"
        lines = [f"{self.word}{since}: {self.message}"]
        figures = self._figures()
        if figures:
            lines.append("  " + "     ".join(figures))
        if self.advice:
            advice = f"what helps, in this order: {self.advice}" + (f"   [{self.source}]" if self.source else "")
            lines += textwrap.wrap(advice, 116, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def _figures(self) -> list[str]:
        """The numbers that are compared, with two standard errors."""
        figures = []
        for name, loss, error in (
            ("training loss", self.training_loss, self.training_loss_se),
            ("validation loss", self.validation_loss, self.validation_loss_se),
        ):
            if loss is not None:
                figures.append(f"{name} {_with_error(loss, error)}")
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
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "records"}
        named["baseline"] = None if self.baseline is None else asdict(self.baseline)
        return {name: strict(value) for name, value in named.items()}


def verdict_of(history: History) -> Verdict:
    """The verdict on a history; a function of that alone, which never raises."""
    run = _read(history)
    found = next(found for found in (rule(run) for rule in _RULES) if found is not None)
    return replace(
        found,
        advice=found.advice or _ADVICE[found.word],
        baseline=history.baseline,
        records=tuple(history.records),
        **run.judged(),
    )


# ---- the numbers of a history ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """The epochs that have finite losses, as arrays; NaN where a figure is missing."""

    epochs: Array
    training: Array
    validation: Array
    batches: Array  # the training's loss as it was trained on
    training_se: Array
    validation_se: Array
    measured: bool  # whether the training's losses are of evaluation mode
    accuracy: Array
    constant: Baseline | None
    baseline: float | None
    of_validation: float | None  # the loss of the same prediction there
    restored: int | None
    stopped: str | None
    broken: (
        tuple[int, str, float] | None
    )  # the first epoch with a loss that is not finite, the loss's name, and its value

    @property
    def validated(self) -> bool:
        return bool(np.isfinite(self.validation).any())

    @property
    def losses(self) -> Array:
        """Those that tell how well the network does: of validation where there is one."""
        return self.validation if self.validated else self.training

    @property
    def errors(self) -> Array:
        """Their standard errors, 0 where they are not known."""
        return np.nan_to_num(self.validation_se if self.validated else self.training_se)

    @property
    def at(self) -> int:
        """The place of the judged epoch."""
        if self.restored is not None and self.restored in self.epochs:
            return int(np.flatnonzero(self.epochs == self.restored)[-1])
        return len(self.epochs) - 1

    @property
    def best(self) -> int:
        """The place of the smallest loss, of validation where there is one."""
        return int(np.argmin(self.losses))

    @property
    def level(self) -> float:
        """T of the judged epoch. That of the batches as trained on may be far above the loss in evaluation mode, which is
        hardly ever above that of validation."""
        t, v = self.training[self.at], self.validation[self.at]
        return float(t if self.measured or not self.validated else min(t, v))

    @property
    def of_nothing(self) -> float | None:
        """What `losses` would be of a prediction that knows nothing: the best constant one for the training part."""
        return self.of_validation if self.validated and self.of_validation is not None else self.baseline

    @property
    def needed(self) -> float | None:
        """How low the best loss must be for something to have been learned."""
        if self.of_nothing is None:
            return None
        error = float(self.errors[self.best])
        surely = max(SURELY * self.of_nothing, SURE_ERRORS * error) if error else math.inf
        return self.of_nothing - min(max(LEARNED * self.of_nothing, ERRORS * error), surely)

    @property
    def learned(self) -> bool:
        """Whether it is; where it cannot be told, not."""
        return self.needed is not None and float(self.losses[self.best]) < self.needed

    @property
    def by_heart(self) -> bool:
        """Whether the training part is known well."""
        t = self.level
        return self.validated and self.baseline is not None and t < KNOWN * self.baseline

    @property
    def right_more_often(self) -> bool:
        """Whether a network that knows the training part by heart is right more often than chance all the same.

        Its loss does not tell: it is sure of what is wrong.
        """
        known = self.constant
        if known is None or known.validation_accuracy is None or not known.validation_samples or not self.by_heart:
            return False
        chance = min(max(known.validation_accuracy, math.exp(-known.loss)), 1.0)
        error = math.sqrt(chance * (1 - chance) / known.validation_samples)
        return bool(self.accuracy[self.at] > chance + ACCURACY_ERRORS * error)

    @property
    def movement(self) -> float:
        """By which share of itself the loss changed from the first epoch on."""
        return float(np.ptp(self.losses) / max(abs(float(self.losses[self.best])), 1e-300))

    @property
    def still(self) -> bool:
        """Whether nothing changes, though there is something to be learned."""
        high = self.baseline is None or self.losses[self.at] > KNOWN * self.baseline
        return len(self.losses) > 1 and self.movement <= MOVED and bool(high)

    def judged(self) -> dict[str, Any]:
        """What a verdict has of the judged epoch."""
        if not len(self.epochs):
            return {}
        names = ("training", "validation")
        values = {f"{name}_loss": getattr(self, name)[self.at] for name in names}
        values |= {f"{name}_loss_se": getattr(self, f"{name}_se")[self.at] for name in names}
        known = {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
        return {"epoch": int(self.epochs[self.at]), **known}


def _number(record: Mapping[str, Any], name: str) -> float:
    """A figure, NaN where there is none."""
    value = record.get(name, math.nan)
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _read(history: History) -> _Run:
    records = [(_epoch(record, place), record) for place, record in enumerate(history.records, 1)]
    broken = None
    for epoch, record in records:
        for name in ("train_loss", "training_loss", "validation_loss"):
            if name in record and broken is None and not math.isfinite(_number(record, name)):
                broken = epoch, name.replace("_", " "), _number(record, name)
    wanted = [name for name in ("train_loss", "validation_loss") if any(name in record for _, record in records)]
    kept = [(e, r) for e, r in records if all(math.isfinite(_number(r, name)) for name in wanted)] if wanted else []
    measured = bool(kept) and all(math.isfinite(_number(record, "training_loss")) for _, record in kept)

    def column(name: str) -> Array:
        return np.array([_number(record, name) for _, record in kept])

    known = history.baseline
    return _Run(
        epochs=np.array([epoch for epoch, _ in kept], int),
        training=column("training_loss" if measured else "train_loss"),
        validation=column("validation_loss"),
        batches=column("train_loss" if "train_loss" in wanted else "training_loss"),
        training_se=column("training_loss_se") if measured else np.full(len(kept), np.nan),
        validation_se=column("validation_loss_se"),
        accuracy=column("validation_accuracy"),
        constant=known,
        measured=measured,
        baseline=None if known is None else _above_nothing(known.loss),
        of_validation=None if known is None else _above_nothing(known.validation_loss),
        restored=history.restored,
        stopped=history.stopped,
        broken=broken,
    )


def _above_nothing(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) and loss > _ZERO else None


def _epoch(record: Mapping[str, Any], place: int) -> int:
    epoch = record.get("epoch", place)
    return epoch if isinstance(epoch, int) and abs(epoch) < 1 << 53 else place


# ---- the rules, in the order in which they are tried -----------------------------------------------------------------------


def _diverged(run: _Run) -> Verdict | None:
    """A loss that is not finite, or so large that the network is worse than none."""
    if run.broken is not None:
        epoch, name, value = run.broken
        return Verdict("diverged", run.stopped or f"the {name} is {value}", epoch, source=_CS231N)
    if not len(run.epochs) or run.baseline is None or run.still:
        return None
    limit = HUGE * run.baseline
    for name, losses, value in (
        ("training", run.training, run.level),
        ("validation", run.losses, float(run.losses.min())),
    ):
        if value > limit:
            low = np.flatnonzero(losses[: run.at + 1] <= limit)
            since = int(run.epochs[low[-1] + 1 if low.size and low[-1] < run.at else 0])
            message = f"the {name} loss is {value / run.baseline:.3g} times the baseline"
            return Verdict("diverged", message, since, value=value, threshold=limit, source=_CS231N)
    return None


def _never_recovered(run: _Run) -> Verdict | None:
    """Steps or inputs so large that the loss went far up, and what was left of the network learned nothing."""
    if run.baseline is None or run.still or run.learned:
        return None
    limit, worst = HUGE * run.baseline, int(np.argmax(run.batches))
    value = float(run.batches[worst])
    falling = (np.diff(run.losses[-_STEADY:]) < 0).all() and run.best == len(run.losses) - 1 > 0
    if value <= limit or falling:
        return None
    message = f"the training loss was {value / run.baseline:.3g} times the baseline, and the network has learned nothing since"
    return Verdict("diverged", message, int(run.epochs[worst]), value=value, threshold=limit, source=_CS231N)


def _nothing(run: _Run) -> Verdict | None:
    if len(run.epochs):
        return None
    return Verdict("unknown", run.stopped or "there is no epoch with a loss")


def _still_improving(run: _Run) -> Verdict | None:
    """The last loss is clearly below all those before the window."""
    losses, last = run.losses, len(run.losses) - 1
    now, since = float(losses[-1]), max(last - _window(run), 0)
    # Before the first epoch, a network knows no more than the baseline.
    start = float(losses[: since + 1].min()) if last else run.of_nothing
    if start is None or (run.baseline is not None and run.level < LOW * run.baseline):
        return None
    enough, floor = FALL * abs(start), GAIN * (run.baseline or 0.0)
    if run.of_nothing is not None and run.learned:
        enough = min(enough, SHARE * (run.of_nothing - now))
        if last < SHORT and (np.diff(losses) < 0).all():
            floor = 0.0
    least = max(enough, floor)
    if not start - now >= least:
        return None
    message = f"the {_name(run)} fell from {start:.4g} to {_with_error(now, run.errors[-1])} in the last {_epochs(last - since or 1)}"
    return Verdict("still improving", message, int(run.epochs[since]), (), start - now, least, _MEASURED)


def _not_learning(run: _Run) -> Verdict | None:
    best, now = run.best, float(run.losses[run.best])
    if run.still:
        message = f"the {_name(run)} stayed at {now:.6g} for {_epochs(len(run.epochs))}"
        return Verdict("not learning", message, 1, value=run.movement, threshold=MOVED, source=_MEASURED)
    if run.of_nothing is None or run.learned or run.right_more_often:
        return None
    message = (
        f"the {_name(run)} is {_with_error(now, run.errors[best])} at best, that of a prediction that knows nothing "
        f"{run.of_nothing:.4g}"
    )
    also: tuple[str, ...] = ()
    if run.by_heart:
        also = ("overfitting",)
        message += f"; overfitting too: the training loss fell to {run.training[run.at]:.4g}, by heart"
    return Verdict("not learning", message, 1, also, now, run.needed, _MEASURED)


def _overfitting(run: _Run) -> Verdict | None:
    if not run.validated:
        return None
    return _risen(run) or _apart(run)


def _risen(run: _Run) -> Verdict | None:
    """Validation's loss rose from its minimum while training's fell."""
    best, at = run.best, run.at
    low, now = float(run.validation[best]), float(run.validation[at])
    least = max(ERRORS * float(run.errors[at]), RISE * abs(low), RISEN * (run.baseline or 0.0))
    if now - low <= least or run.training[at] >= run.training[best]:
        return None
    message = (
        f"the validation loss rose from {low:.4g} to {_with_error(now, run.errors[at])} while the training loss fell from "
        f"{run.training[best]:.4g} to {run.training[at]:.4g}"
    )
    return Verdict("overfitting", message, int(run.epochs[best]), value=now - low, threshold=least, source=_SOURCES)


def _apart(run: _Run) -> Verdict | None:
    """Validation's loss is far above training's."""
    at = run.at
    t, v = float(run.training[at]), float(run.validation[at])
    if run.baseline is None:
        return None
    least = max(ERRORS * float(run.errors[at]), (GAP if t < APART * v else WIDE) * run.baseline)
    if v - t <= least:
        return None
    gaps = (run.validation - run.training) > least
    since = int(np.flatnonzero(~gaps[: at + 1])[-1]) + 1 if not gaps[: at + 1].all() else 0
    message = (
        f"the validation loss {_with_error(v, run.errors[at])} is far above the training loss {t:.4g}; the gap is "
        f"{100 * (v - t) / run.baseline:.0f} % of the baseline"
    )
    return Verdict("overfitting", message, int(run.epochs[since]), value=v - t, threshold=least, source=_SOURCES)


def _underfitting(run: _Run) -> Verdict | None:
    if run.baseline is None:
        return None
    t, limit = run.level, HIGH * run.baseline
    if t <= limit:
        return None
    message = f"the training loss {t:.4g} is still {100 * t / run.baseline:.0f} % of the baseline"
    since = int(run.epochs[np.flatnonzero(run.losses <= (1 + FALL) * run.losses[run.at])[0]])
    return Verdict("underfitting", message, since, value=t, threshold=limit, source=_SOURCES)


def _untold(run: _Run) -> Verdict | None:
    """What is not one of the others may be good, but that takes validation and a baseline to say."""
    if not run.validated:
        return Verdict(
            "unknown", "the training loss fell; what the network does with other data, only a validation part tells"
        )
    if run.baseline is None:
        return Verdict("unknown", "the loss fell; whether that is much cannot be told without a baseline")
    return None


def _good(run: _Run) -> Verdict:
    at = run.at
    share = 100 * run.validation[at] / (run.baseline or 1.0)
    message = f"the validation loss {_with_error(run.validation[at], run.errors[at])} is {share:.2g} % of the baseline"
    return Verdict("good", message, int(run.epochs[run.best]), value=float(run.validation[at]), source=_MEASURED)


_RULES = (
    _diverged,
    _nothing,
    _never_recovered,
    _still_improving,
    _not_learning,
    _overfitting,
    _underfitting,
    _untold,
    _good,
)


def _window(run: _Run) -> int:
    """How many epochs back improvement is looked for."""
    return max(2, math.ceil(WINDOW * len(run.epochs)))


def _name(run: _Run) -> str:
    return "validation loss" if run.validated else "training loss"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _with_error(loss: float, error: float | None) -> str:
    """A loss with two standard errors, where they are known."""
    known = error is not None and math.isfinite(error) and error > 0
    return f"{loss:.4g} (±{ERRORS * error:.2g})" if known and error is not None else f"{loss:.4g}"
