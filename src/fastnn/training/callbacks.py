"""What is called in the course of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._described import described
from ..checks import integer, real
from ..nn.module import Module
from .checkpoints import Checkpoint

if TYPE_CHECKING:
    from .trainer import Trainer

EVENTS = (
    "on_fit_start", "on_epoch_start", "on_step_start", "on_step", "on_epoch_end", "on_fit_end", "on_interrupt", "on_fit_exit",
)  # fmt: skip
Callback = Callable[["Trainer"], Any] | Any

# Whether smaller or larger values of a figure are better, by the last word of its name.
_SMALLER_IS_BETTER = ("loss", "error", "mae", "mse", "rmse")
_LARGER_IS_BETTER = ("accuracy", "r2", "f1", "precision", "recall", "auc")


class Callbacks:
    """Functions and objects, and which of them want to know of an event.

    Parameters
    ----------
    callbacks : iterable
        Functions of the trainer, called at the end of each epoch; and objects with any of the methods in `EVENTS`.

    Raises
    ------
    TypeError
        If this is no list of them, or one has none of these, or one whose name begins with "on_" and is not among them.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"Trainer: callbacks must be a list of them, got {type(callbacks).__name__}")
        self.all = list(callbacks)
        self._wanted: dict[str, list[Callable[[Trainer], Any]]] = {event: [] for event in EVENTS}
        for callback in self.all:
            for event, method in _methods(callback).items():
                self._wanted[event].append(method)

    def wanted(self, event: str) -> list[Callable[[Trainer], Any]]:
        """What is to be called at an event."""
        return self._wanted[event]

    def call(self, event: str, trainer: Any) -> None:
        """Tell those who want to know."""
        for method in self._wanted[event]:
            method(trainer)

    def _with_state(self) -> list[Any]:
        return [callback for callback in self.all if hasattr(callback, "state_dict")]

    def names(self) -> list[str]:
        """The kinds and settings of those that have state."""
        return [described(callback) for callback in self._with_state()]

    def state_dict(self) -> list[Any]:
        """The states of those that have one."""
        return [callback.state_dict() for callback in self._with_state()]

    def load_state_dict(self, states: Any, model: Module) -> None:
        """Give each its state.

        Raises
        ------
        ValueError
            If there are more or fewer, or one does not fit; then all are as they were.
        """
        own = self._with_state()
        if not isinstance(states, list) or len(states) != len(own):
            count = len(states) if isinstance(states, list) else type(states).__name__
            raise ValueError(f"Trainer: the state has {count} callbacks with state, this training {len(own)}")
        before = self.state_dict()
        try:
            for callback, state in zip(own, states, strict=True):
                callback.load_state_dict(state)
                if isinstance(callback, EarlyStopping):
                    callback.require_fit(model)
        except Exception:
            for callback, state in zip(own, before, strict=True):
                callback.load_state_dict(state)
            raise


def _methods(callback: Callback) -> dict[str, Callable[[Trainer], Any]]:
    if isinstance(callback, type):
        raise TypeError(f"Trainer: a callback must be an object, got the class {callback.__name__}")
    if isinstance(callback, Checkpoint):
        raise TypeError("Trainer: a Checkpoint is no callback; give it to fit as checkpoint=")
    named = [name for name in dir(callback) if name.startswith("on_")]
    unknown = [name for name in named if name not in EVENTS]
    if unknown:
        raise TypeError(
            f"Trainer: {type(callback).__name__}.{unknown[0]} is no event; the events are {', '.join(EVENTS)}"
        )
    if named:
        return {name: getattr(callback, name) for name in named}
    if not callable(callback):
        kind = type(callback).__name__
        raise TypeError(f"Trainer: a callback must be a function of the trainer, or an object with events, got {kind}")
    return {"on_epoch_end": callback}


class EarlyStopping:
    """Ends a training when a figure has not improved for some epochs, and puts the best weights back.

    Parameters
    ----------
    monitor : str
        The name of the figure in the records of the history.
    patience : int
        How many epochs without improvement are waited for, at least 1.
    min_delta : float
        By more than how much a figure must be better than the best to count, not below 0.
    restore_best : bool
        Whether the model has the weights of the best epoch whenever `Trainer.fit` ends: after the last epoch, by patience, by
        Ctrl-C or by a loss that is not finite.
    larger_is_better : bool, optional
        Whether an improvement goes upwards. By default known from the end of the name: losses and errors go down, accuracy,
        r2, f1, precision, recall and auc up; for other names it must be said.

    Attributes
    ----------
    best : float or None
        The best figure so far.
    best_epoch : int
        Its epoch, counted from 1; 0 before the first.
    waited : int
        Epochs since then.

    Raises
    ------
    ValueError, TypeError
        If a number does not fit, or the direction of a figure is not known.

    Notes
    -----
    NaN is no improvement. A training that is fitted further goes on from the weights of its last epoch, not from the best:
    two calls give the bits of one.

    Prechelt, "Early stopping, but when?" (1998).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.data import Batches
    >>> from fastnn.training import EarlyStopping, Trainer
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> model = fnn.nn.Linear(2, 2, rng=0)
    >>> trainer = Trainer(model, fnn.optim.Adam(model.parameters(), lr=0.3))
    >>> stopping = EarlyStopping(patience=2, min_delta=0.1)
    >>> history = trainer.fit(Batches(x, y, batch_size=16), Batches(x, y, batch_size=64), epochs=50, callbacks=[stopping])
    >>> len(history) == stopping.best_epoch + 2
    True
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        larger_is_better: bool | None = None,
    ) -> None:
        self.monitor = monitor
        self.patience = integer("EarlyStopping", "patience", patience, 1)
        self.min_delta = real("EarlyStopping", "min_delta", min_delta, 0.0)
        self.restore_best = restore_best
        self.larger_is_better = _direction(monitor) if larger_is_better is None else bool(larger_is_better)
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch = self.waited = 0
        self._best_weights: dict[str, np.ndarray] | None = None
        self._last_weights: dict[str, np.ndarray] | None = None  # the weights that the best ones replaced

    def __repr__(self) -> str:
        return (
            f"EarlyStopping({self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"restore_best={self.restore_best}, larger_is_better={self.larger_is_better})"
        )

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin anew with a training that begins; go on with one that goes on."""
        if self.monitor.startswith("validation_") and not trainer.validates:
            raise ValueError(f"EarlyStopping: {self.monitor!r} needs a validation part; fit was given none")
        if trainer.step == 0:
            self._reset()
        if self.waited >= self.patience:
            self._stop(trainer)
        elif self._last_weights is not None:
            if self._best_weights is not None and _same(trainer.model, self._best_weights):
                trainer.model.load_state_dict(self._last_weights)
            self._last_weights = None

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Look at the figure."""
        record = trainer.history[-1]
        if self.monitor not in record:
            raise ValueError(f"EarlyStopping: there is no {self.monitor!r} in the history, only {', '.join(record)}")
        value = float(record[self.monitor])
        if self._improves(value):
            self.best, self.best_epoch, self.waited = value, trainer.epoch, 0
            if self.restore_best:
                self._best_weights = trainer.model.state_dict()
            return
        self.waited += 1
        if self.waited >= self.patience:
            self._stop(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if self._best_weights is not None and self._last_weights is None:
            self._last_weights = trainer.model.state_dict()
            trainer.model.load_state_dict(self._best_weights)
        if self._last_weights is not None:
            trainer.history.restored = self.best_epoch

    def _improves(self, value: float) -> bool:
        if math.isnan(value) or self.best is None:
            return not math.isnan(value)
        gain = value - self.best if self.larger_is_better else self.best - value
        return gain > self.min_delta

    def _stop(self, trainer: Trainer) -> None:
        trainer.stop = True
        best = "it never was a number" if self.best is None else f"best {self.best:.4g} at {self.best_epoch}"
        epochs = "epoch" if self.waited == 1 else f"{self.waited} epochs"
        trainer.history.stopped = (
            f"stopped after epoch {trainer.epoch}: {self.monitor} has not improved for {epochs} ({best})"
        )

    def state_dict(self) -> dict[str, Any]:
        """Best figure and weights, and how long it is ago."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "best_weights": self._best_weights,
            "last_weights": self._last_weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave.

        Raises
        ------
        ValueError, TypeError
            If something is missing or of another kind; nothing is changed.
        """
        if not isinstance(state, Mapping) or state.keys() != self.state_dict().keys():
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"EarlyStopping: the state has {found}, expected {list(self.state_dict())}")
        best = None if state["best"] is None else _figure(state["best"])
        best_epoch, waited = (integer("EarlyStopping", name, state[name], 0) for name in ("best_epoch", "waited"))
        weights = [state[name] for name in ("best_weights", "last_weights")]
        for kept in weights:
            if kept is not None and not _are_weights(kept):
                raise ValueError(f"EarlyStopping: the state has {type(kept).__name__} in the place of weights")
        self.best, self.best_epoch, self.waited = best, best_epoch, waited
        self._best_weights, self._last_weights = weights

    def require_fit(self, model: Module) -> None:
        """Refuse weights from a state that are not those of the model.

        Raises
        ------
        ValueError
            If names or shapes differ.
        """
        for kept in (self._best_weights, self._last_weights):
            if kept is not None and not _fit(model, kept):
                raise ValueError("EarlyStopping: the weights in the state do not fit the model")


def _direction(monitor: str) -> bool:
    word = monitor.rpartition("_")[2]
    if word in _SMALLER_IS_BETTER + _LARGER_IS_BETTER:
        return word in _LARGER_IS_BETTER
    raise ValueError(f"EarlyStopping: larger_is_better must say whether {monitor!r} improves by growing")


def _figure(value: Any) -> float:
    """A best figure from a state. It may be infinite, but not NaN, on which nothing would ever improve."""
    if isinstance(value, float) and math.isinf(value):
        return value
    return real("EarlyStopping", "best", value)


def _are_weights(kept: Any) -> bool:
    """Whether something from a state is arrays of numbers by name."""
    return isinstance(kept, Mapping) and all(
        isinstance(a, np.ndarray | np.generic) and a.dtype.kind in "biuf" for a in kept.values()
    )


def _fit(model: Module, weights: Mapping[str, np.ndarray]) -> bool:
    own = {name: array.shape for name, array in model.state_dict().items()}
    return own == {name: np.shape(array) for name, array in weights.items()}


def _same(model: Module, weights: Mapping[str, np.ndarray]) -> bool:
    own = model.state_dict()
    return own.keys() == weights.keys() and all(
        own[name].tobytes() == np.asarray(value).tobytes() for name, value in weights.items()
    )
