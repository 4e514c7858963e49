"""What a training has come to: saved, loaded whole or not at all, and gone on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._described import described
from ..checkpoint import CheckpointError
from ..checks import integer, real
from ..nn import Module, architecture
from ..optim import Optimizer, ReduceOnPlateau, Schedule
from .callbacks import Callbacks
from .checkpoints import Checkpoint
from .constant import has_constant
from .figures import Figures, Loss, Metric
from .first_targets import FirstTargets
from .generators import find_generators
from .history import History
from .loader import Loader
from .streams import Streams, set_states, states_of


class TrainingState:
    """The part of a `Trainer` that is saved; the loop is not here."""

    model: Module
    optimizer: Optimizer
    loss: Loss
    metrics: dict[str, Metric] | None
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    epoch: int
    step: int
    position: int
    history: History
    resumed_at: tuple[int, int] | None
    _schedules: list[Schedule | ReduceOnPlateau]
    _schedule: Any
    _settings_of_groups: dict[str, dict[str, Any]]
    _batches_seen: int
    _figures: Figures | None
    _weights_before: dict[str, Any]
    _rates: list[float]
    _streams: Streams
    _callbacks: Callbacks
    _train: Loader | None
    _waiting: dict[str, Any] | None

    def _settings(self, train: Loader, callbacks: Callbacks) -> dict[str, Any]:
        """What two trainings must have in common for one to go on from the other's file."""
        return {
            "optimizer": type(self.optimizer).__name__,
            "groups": self._settings_of_groups,
            "loss": described(self.loss),
            "metrics": None if self.metrics is None else {n: described(m) for n, m in self.metrics.items()},
            "schedule": self._schedule,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "accumulate": self.accumulate,
            "callbacks": callbacks.names(),
            "data": train.settings(),
        }

    def _follow_generators(self) -> None:
        """Take the generators that the model has now."""
        generators = find_generators(self.model, self.loss, self.metrics)
        self._streams = self._streams.following(generators)

    def _other_generators(self) -> list[np.random.Generator]:
        """Those of callbacks, which keep their own course."""
        known = find_generators(self.model, self.loss, self.metrics, *([self._train.batches] if self._train else []))
        mine = {id(generator.bit_generator) for generator in known}
        return [g for g in find_generators(*self._callbacks.all) if id(g.bit_generator) not in mine]

    def state_dict(self) -> dict[str, Any]:
        """All that a training needs to go on: weights, optimiser, schedules, generators, position, history, callbacks.

        Of a loss that is a module, its parameters too.

        Returns
        -------
        dict
            Plain nested state with arrays, as `fastnn.save_checkpoint` takes it.
        """
        return self._state() | {"architecture": described_architecture(self.model)}

    def _state(self) -> dict[str, Any]:
        """The state without the architecture, which takes as long as making the model."""
        if not self._streams:
            self._follow_generators()
        under_way = self._figures is not None
        waiting = self._waiting or {
            "data": self._train.state_dict() if self._train is not None else None,
            "callbacks": self._callbacks.state_dict(),
            "others": states_of(self._other_generators()),
        }
        return {
            "epoch": self.epoch,
            "step": self.step,
            "position": self.position,
            "batches_seen": self._batches_seen,
            "history": self.history.state_dict(),
            "rates": list(self._rates),
            "figures": self._figures.state_dict() if self._figures is not None else None,
            "weights_before": dict(self._weights_before) if under_way else None,
            **self._weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedules": [schedule.state_dict() for schedule in self._schedules],
            "generators": {"streams": self._streams.state_dict(), "others": waiting["others"]},
            "data": waiting["data"],
            "callbacks": waiting["callbacks"],
        }

    def __getstate__(self) -> dict[str, Any]:
        """Without data and callbacks, which the next `fit` is given; but with where the data's own generators were."""
        state = vars(self) | {"_train": None, "_callbacks": Callbacks(())}
        if self._figures is not None and self._train is not None and self._waiting is None:
            state["_waiting"] = {"data": self._train.state_dict(), "callbacks": [], "others": []}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; the next `fit` hands the states of data and callbacks on.

        Parameters
        ----------
        state : mapping
            The state of a training with the same kinds of model, optimiser and schedules.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing or does not fit; then everything is as it was.
        """
        before, waiting = self._state(), self._waiting
        try:
            self._take(state)
        except BaseException:
            self._take(before)
            self._waiting = waiting
            raise

    def _take(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, Mapping):
            raise TypeError(f"Trainer: the state must be a mapping, got {type(state).__name__}")
        for name in ("generators", "figures"):
            if not isinstance(state[name], Mapping) and not (name == "figures" and state[name] is None):
                raise TypeError(f"Trainer: {name} in the state must be a mapping, got {type(state[name]).__name__}")
        for name in ("rates", "schedules"):
            if not isinstance(state[name], list | tuple):
                raise TypeError(f"Trainer: {name} in the state must be a list, got {type(state[name]).__name__}")
        names = ("epoch", "step", "position", "batches_seen")
        epoch, step, position, seen = (integer("Trainer", name, state[name], 0) for name in names)
        rates = [real("Trainer", "rates", rate) for rate in state["rates"]]
        figures = None
        if state["figures"] is not None:
            figures = self._new_figures(epoch)
            figures.load_state_dict(state["figures"])
        before = dict(state["weights_before"]) if figures is not None else {}
        schedules = state["schedules"]
        if len(schedules) != len(self._schedules):
            raise ValueError(f"Trainer: the state has {len(schedules)} schedules, this trainer {len(self._schedules)}")
        waiting = {name: state[name] for name in ("data", "callbacks")} | {"others": state["generators"]["others"]}
        self.history.load_state_dict(state["history"])
        self._follow_generators()
        self._streams.load_state_dict(state["generators"]["streams"])
        if figures is not None:
            self._set_weights(before)  # set for a moment: an error tells that they do not fit
        self._set_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        for schedule, kept in zip(self._schedules, schedules, strict=True):
            schedule.load_state_dict(kept)
        self.epoch, self.step, self.position, self._batches_seen = epoch, step, position, seen
        self._rates, self._figures, self._weights_before, self._waiting = rates, figures, before, waiting

    def _hand_out_state(self, from_file: bool = False) -> None:
        """Give data and callbacks the states that were loaded for them; a state without callbacks is for any of them."""
        length = self._train.length if self._train is not None else None
        if length is not None and self.position > length:
            raise ValueError(
                f"Trainer: the training is at position {self.position} of an epoch, but this one has {length} batches"
            )
        if self._waiting is None:
            return
        waiting = self._waiting
        if self._train is not None and waiting["data"] is not None:
            self._train.load_state_dict(waiting["data"])
        if waiting["callbacks"] or from_file:
            self._callbacks.load_state_dict(waiting["callbacks"], self.model)
        if waiting["others"]:
            set_states("callbacks", self._other_generators(), waiting["others"])
        self._waiting = None  # only now: if something above is refused, the next `fit` needs the states again

    def _resume(self, checkpoint: Checkpoint, settings: Mapping[str, Any], made_of: Mapping[str, Any] | None) -> None:
        state = checkpoint.load(settings, made_of)
        if state is None:
            return
        if self.step:
            if integer("Trainer", "step", state.get("step"), 0) > self.step:
                raise ValueError(
                    f"Trainer: {checkpoint.path!r} is at step {state['step']}, this trainer at step {self.step}; make a new "
                    "trainer to go on from the file"
                )
            return
        before = self._state()
        try:
            self._take(state)
            self._hand_out_state(from_file=True)
        except Exception as error:  # the caller's callbacks may raise anything for a damaged state
            self._take(before)
            self._hand_out_state()
            raise _does_not_fit(checkpoint.path, error) from error
        self.resumed_at = self.epoch + 1, self.position

    def _new_figures(self, epoch: int) -> Figures:
        """Of a pass of the training; in the first one targets are gathered for the baseline."""
        wanted = epoch == 0 and has_constant(self.loss)
        return Figures(self.loss, self.metrics, FirstTargets() if wanted else None)

    def _weights(self) -> dict[str, Any]:
        """Values of the model, and of a loss that has some."""
        of_loss = dict(self.loss.state_dict()) if isinstance(self.loss, Module) else None
        return {"model": dict(self.model.state_dict()), "loss": of_loss}

    def _set_weights(self, weights: Mapping[str, Any]) -> None:
        self.model.load_state_dict(weights["model"])
        if isinstance(self.loss, Module):
            self.loss.load_state_dict(weights["loss"])


def _does_not_fit(path: str, error: Exception) -> CheckpointError:
    missing = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return CheckpointError(f"{path!r} does not fit this training: {missing}")


def described_architecture(model: Module) -> dict[str, Any] | None:
    """How the model is made, where it is made of fastnn's own layers."""
    try:
        return architecture(model)
    except (TypeError, ValueError):
        return None
