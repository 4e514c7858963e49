"""The curves of a training, read from its history: what `History.verdict` looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .constant import Baseline

if TYPE_CHECKING:
    from .history import History

Array = np.ndarray[Any, Any]

_LOSSES = ("train_loss", "training_loss", "validation_loss")
_ZERO = 1e-20  # a baseline up to this counts as 0: all targets are the same


@dataclass(frozen=True)
class Curves:
    """The epochs that have finite losses; NaN where a figure is missing.

    Parameters
    ----------
    epochs : ndarray of int
        Their numbers.
    batches : ndarray
        The training's loss as it was trained on: with dropout and augmentation, by weights that changed meanwhile.
    training : ndarray
        The training's loss, in evaluation mode if all epochs have that.
    evaluated : bool
        Whether they have.
    validation, training_se, validation_se, accuracy : ndarray
        The loss of validation, standard errors, and the accuracy of validation.
    constant : Baseline or None
        What the best constant prediction comes to.
    restored : int or None
        The epoch whose weights were put back.
    stopped : str or None
        Why the training ended early.
    broken : (int, str, float) or None
        The first epoch with a loss that is not finite, which loss that is, and its value.
    """

    epochs: Array
    batches: Array
    training: Array
    evaluated: bool
    validation: Array
    training_se: Array
    validation_se: Array
    accuracy: Array
    constant: Baseline | None
    restored: int | None
    stopped: str | None
    broken: tuple[int, str, float] | None

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def validated(self) -> bool:
        """Whether there are losses of validation."""
        return bool(np.isfinite(self.validation).any())

    @property
    def name(self) -> str:
        """What `losses` are."""
        return "validation loss" if self.validated else "training loss"

    @property
    def losses(self) -> Array:
        """Those that tell how well the network does: of validation where there are some."""
        return self.validation if self.validated else self.training

    @property
    def errors(self) -> Array:
        """Their standard errors, 0 where they are not known."""
        return np.nan_to_num(self.validation_se if self.validated else self.training_se)

    @property
    def at(self) -> int:
        """The place of the epoch whose weights the model has."""
        wanted = self.restored if isinstance(self.restored, int) else None
        return max(
            (place for place, epoch in enumerate(self.epochs.tolist()) if epoch == wanted), default=len(self) - 1
        )

    @property
    def best(self) -> int:
        """The place of the smallest of `losses`."""
        return int(np.argmin(self.losses))

    @property
    def level(self) -> float:
        """The training's loss there.

        That of the batches as they were trained on may be far above the loss in evaluation mode, which is hardly ever above
        that of validation.
        """
        t, v = float(self.training[self.at]), float(self.validation[self.at])
        return t if self.evaluated or not math.isfinite(v) else min(v, t)

    @property
    def baseline(self) -> float | None:
        """The loss of the best constant prediction for the training part; None if it is 0, since all targets are the same."""
        return None if self.constant is None else _above_nothing(self.constant.loss)

    @property
    def of_nothing(self) -> float | None:
        """What `losses` would be of that prediction."""
        of_validation = None if self.constant is None else _above_nothing(self.constant.validation_loss)
        return of_validation if self.validated and of_validation is not None else self.baseline

    def judged(self) -> dict[str, Any]:
        """The numbers of the epoch whose weights the model has, by the names that a verdict has for them."""
        if not len(self):
            return {}
        named = {
            "training_loss": self.training,
            "training_loss_se": self.training_se,
            "validation_loss": self.validation,
            "validation_loss_se": self.validation_se,
        }
        values = {name: float(array[self.at]) for name, array in named.items()}
        known = {name: value if math.isfinite(value) else None for name, value in values.items()}
        return {"epoch": int(self.epochs[self.at]), "evaluated": self.evaluated, **known}


def curves_of(history: History) -> Curves:
    """The curves of a history, whatever it holds."""
    records = [(_epoch(r, place), r) for place, r in enumerate(history.records, 1) if isinstance(r, Mapping)]
    wanted = [name for name in ("train_loss", "validation_loss") if any(name in record for _, record in records)]
    kept = [(e, r) for e, r in records if wanted and all(math.isfinite(_number(r, name)) for name in wanted)]
    evaluated = bool(kept) and all(math.isfinite(_number(record, "training_loss")) for _, record in kept)

    def column(name: str) -> Array:
        return np.array([_number(record, name) for _, record in kept])

    return Curves(
        epochs=np.array([epoch for epoch, _ in kept], int),
        batches=column("train_loss"),
        training=column("training_loss" if evaluated else "train_loss"),
        evaluated=evaluated,
        validation=column("validation_loss"),
        training_se=column("training_loss_se") if evaluated else np.full(len(kept), np.nan),
        validation_se=column("validation_loss_se"),
        accuracy=column("validation_accuracy"),
        constant=history.baseline,
        restored=history.restored,
        stopped=history.stopped,
        broken=next(_broken(records), None),
    )


def _broken(records: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, str, float]]:
    for epoch, record in records:
        for name in _LOSSES:
            value = _number(record, name)
            if name in record and not math.isfinite(value):
                yield epoch, name.replace("_", " "), value


def _number(record: Mapping[str, Any], name: str) -> float:
    """A figure, NaN where there is none."""
    value = record.get(name)
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _above_nothing(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) and loss > _ZERO else None


def _epoch(record: Mapping[str, Any], place: int) -> int:
    epoch = record.get("epoch", place)
    return epoch if isinstance(epoch, int) and abs(epoch) < 1 << 53 else place
