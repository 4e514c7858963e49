"""What a training computes of its batches: steps, and evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from ..autograd import no_grad, raw
from ..nn import Module
from ..nn.intercept import evaluation
from ..optim import ReduceOnPlateau, clip_grad_norm, clip_grad_value
from .figures import Figures, Objective, Sample
from .interrupts import Interrupts
from .loader import Loader
from .loss_spread import LossSpread
from .not_finite import named_parameters
from .prediction import predict
from .state import TrainingState


class NotFinite(Exception):
    """Batches whose loss or gradients are not finite, or weights that are not; then there is no batch."""

    def __init__(self, what: str, samples: Sequence[Sample] = ()) -> None:
        super().__init__(what)
        self.samples = samples


class Passes(TrainingState):
    """The part of a `Trainer` that goes through batches; what is recorded, saved and said of it is not here."""

    last_loss: float
    _objective: Objective
    _under_way: int
    _frozen: list[Module]

    def _steps(self, samples: Iterable[Sample], trained_on: Callable[[float], Any]) -> Generator[None]:
        """The steps that batches make, one whenever the next is asked for; ``trained_on`` is told the loss of each batch."""
        taken: list[Sample] = []  # batches whose gradients wait for the step
        for number, sample in enumerate(samples, self.position):
            self._under_way = number
            if not taken:
                self._begin_step()
                self._callbacks.call("on_step_start", self)
            taken.append(sample)
            self._train_on(sample)
            trained_on(self.last_loss)
            if len(taken) == self.accumulate:
                self._update(taken)
                taken = []
                yield
        if taken:
            self._update(taken)
            yield

    def _begin_step(self) -> None:
        """Forget what an exception left of a step that was not made."""
        assert self._figures is not None
        self.optimizer.zero_grad()
        self._figures.forget()

    def _train_on(self, sample: Sample) -> None:
        """Loss and gradients of a batch."""
        self._streams.at(self._batches_seen + self._under_way - self.position)
        output = self.model(*sample.inputs)
        loss = self._objective(output, sample)
        self.last_loss = value = float(raw(loss))
        if not math.isfinite(value):
            raise NotFinite(f"the loss is {value}", [sample])
        if self.accumulate > 1:
            loss = loss * sample.amount
        loss.backward()
        assert self._figures is not None
        self._figures.hold(output, sample, value)

    def _update(self, samples: Sequence[Sample]) -> None:
        """A step of the optimiser, from the gradients of some batches; only now they are counted."""
        amount = sum(sample.amount for sample in samples)
        if self.accumulate > 1 and amount:
            for group in self.optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad *= parameter.dtype.type(1 / amount)
        if self.clip_value is not None:
            clip_grad_value(self._parameters(), self.clip_value)
        if self.clip_norm is not None:
            norm = clip_grad_norm(self._parameters(), self.clip_norm)
            if not math.isfinite(norm):
                raise NotFinite(f"the norm of the gradients is {norm}", samples)
        self.optimizer.step()
        self.step += 1
        self.position += len(samples)
        self._batches_seen += len(samples)
        assert self._figures is not None
        self._figures.count()
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        for schedule in self._schedules:
            if not isinstance(schedule, ReduceOnPlateau):
                schedule.step()

    def _parameters(self) -> list[Any]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _require_finite_weights(self) -> None:
        """The last step of an epoch has no next loss that would tell before the epoch is recorded and saved."""
        stepped = {id(parameter) for parameter in self._parameters() if not _are_finite(parameter.data)}
        if not stepped:
            return
        for name, parameter in named_parameters(self.model, self.loss):
            if id(parameter) in stepped:
                raise NotFinite(f"parameter {name!r} is not finite after the epoch's last step")

    @contextmanager
    def _training_modes(self) -> Iterator[None]:
        """Training mode inside, with what is frozen left so; afterwards each layer is in the mode it was in."""
        before = [(module, module.training) for module in self.model.modules()]
        if self.model.training:
            self._frozen = frozen_layers(self.model)
        else:
            self.model.train()
            for module in self._frozen:
                module.training = False
        try:
            yield
        finally:
            for module, mode in before:
                module.training = mode

    # ---- evaluation --------------------------------------------------------------------------------------------------

    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """Loss and metrics of a pass in evaluation mode; afterwards each layer is in the mode it was in.

        Parameters
        ----------
        batches : Batches or iterable of batches
            Batches of (input, target) or (input, target, weight per sample). `Batches` are taken in the order of their
            first pass, and not counted.

        Returns
        -------
        dict of str to float
            "loss", and the metrics by name.

        Raises
        ------
        ValueError
            If there is no batch.
        """
        figures = self._evaluate(Loader("batches", batches, once=True), None)
        assert figures is not None
        return figures

    def _evaluate(
        self, batches: Loader, interrupts: Interrupts | None, spread: LossSpread | None = None
    ) -> dict[str, float] | None:
        figures = Figures(self.loss, self.metrics)
        with evaluation(self.model), no_grad(), closing(batches.samples(0, 0)) as samples:
            for sample in samples:
                if interrupts is not None and interrupts.asked:
                    return None
                output = self.model(*sample.inputs)
                loss = float(raw(self._objective(output, sample)))
                if spread is not None:
                    spread.add(output, sample, loss)
                figures.hold(output, sample, loss)
                figures.count()
        return figures.result()

    def predict(self, x: Any, batch_size: int = 512) -> Any:
        """`fastnn.training.predict` with this model: its outputs for inputs, in evaluation mode.

        Parameters
        ----------
        x : array_like or tuple of arrays
            Inputs with samples along the first axis; a tuple stands for several.
        batch_size : int
            How many samples are computed at a time.

        Returns
        -------
        ndarray or tuple of ndarray
            What the model gives, for all samples.

        Raises
        ------
        ValueError, TypeError
            As `fastnn.training.predict`, which needs no trainer.
        """
        return predict(self.model, x, batch_size)


def _are_finite(values: np.ndarray) -> bool:
    """Whether all are finite; mostly one product tells, which is not finite either where a square overflows."""
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def frozen_layers(model: Module) -> list[Module]:
    """Layers in evaluation mode, of a model that is in training mode."""
    return [module for module in model.modules() if not module.training] if model.training else []
