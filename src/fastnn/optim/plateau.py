"""Learning rates that are reduced when a measure stays as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..checks import scalars
from .optimizer import Optimizer
from .schedule import UNKNOWN, Kept, Stepped


class ReduceOnPlateau(Stepped):
    """Multiplies the learning rates by ``factor`` when a measure has not improved for ``patience`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates are changed.
    factor : float
        In (0, 1).
    patience : int
        How many steps without improvement are borne.
    threshold : float
        By which share the measure must improve to count.
    larger_is_better : bool
        True for an accuracy, False for a loss.
    min_lr : float
        Rates are not made smaller than this.

    Notes
    -----
    Beside a `Schedule` of the rate, a reduction is one of the schedule's bases too, so that its next step keeps it.

    Examples
    --------
    >>> import fastnn as fnn
    >>> optimizer = fnn.optim.SGD([fnn.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = fnn.optim.ReduceOnPlateau(optimizer, 0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     optimizer.step()
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    _keys = ("best", "waited")

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        larger_is_better: bool = False,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(optimizer)
        self._seen = optimizer._steps_taken
        op = "ReduceOnPlateau"
        self.factor = scalars.real(op, "factor", factor, 0.0, 1.0, open_low=True, open_high=True)
        self.patience = scalars.integer(op, "patience", patience, 0)
        self.threshold = scalars.real(op, "threshold", threshold, 0.0)
        self.larger_is_better = scalars.flag(op, "larger_is_better", larger_is_better)
        self.min_lr = scalars.real(op, "min_lr", min_lr, 0.0)
        self.best = -math.inf if larger_is_better else math.inf
        self.waited = 0

    def __repr__(self) -> str:
        return (
            f"ReduceOnPlateau({self.factor}, {self.patience}, threshold={self.threshold}, "
            f"larger_is_better={self.larger_is_better}, min_lr={self.min_lr})"
        )

    def _take(self, state: Mapping[str, Any]) -> None:
        best, op = state["best"], "ReduceOnPlateau"
        if not (isinstance(best, float) and math.isinf(best)):
            best = scalars.real(op, "best", best)
        self.best, self.waited = best, scalars.integer(op, "waited", state["waited"], 0)
        self._seen = UNKNOWN

    def _improves(self, measure: float) -> bool:
        if math.isinf(self.best):
            return math.isfinite(measure)
        margin = self.threshold * abs(self.best)
        return measure > self.best + margin if self.larger_is_better else measure < self.best - margin

    def step(self, measure: float) -> None:
        """Take note of a measure, as of a validation after some steps of the optimiser. NaN is no improvement.

        Raises
        ------
        RuntimeError
            If the optimiser made no step since, or a schedule with ``relative=False`` sets the rates.
        """
        kept: Kept | None = self.optimizer._scheduled.get("lr")
        if kept is not None and not kept.relative:
            raise RuntimeError(
                "ReduceOnPlateau: a schedule with relative=False sets the rates of this optimiser, and would undo what is "
                "reduced; give it a rule of factors and relative=True"
            )
        self._require_a_step(self._seen)
        measure = float(measure)
        self._seen = self.optimizer._steps_taken
        if self._improves(measure):
            self.best, self.waited = measure, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.waited = 0
            groups = self.optimizer.param_groups
            if kept is not None:
                kept.follow(groups)
            factors = [self._reduce(group) for group in groups]
            if kept is not None:
                kept.base = [base * factor for base, factor in zip(kept.base, factors, strict=True)]

    def _reduce(self, group: dict[str, Any]) -> float:
        """Reduce a group's rate, and return by which factor."""
        before, reduced = group["lr"], group["lr"] * self.factor
        group["lr"] = max(reduced, min(self.min_lr, before))
        return self.factor if group["lr"] == reduced else group["lr"] / before
