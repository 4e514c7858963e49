"""What a `Trainer` or a check is given: refused where it could not train, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ..checks import shown
from ..nn import Module
from ..optim import Optimizer, ReduceOnPlateau, Schedule
from .figures import Loss, Metric


def check_parameters(model: Module, loss: Any, optimizer: Optimizer) -> None:
    """An optimiser over another network's parameters, or over those before `Module.astype`, would train nothing."""
    trainable = {id(p) for part in (model, loss) if isinstance(part, Module) for p in part.parameters()}
    if trainable and not any(id(p) in trainable for group in optimizer.param_groups for p in group["params"]):
        raise ValueError("Trainer: the optimiser has none of the model's parameters; make it of model.parameters()")


def checked_model(op: str, model: Any) -> Module:
    """A module, or a TypeError."""
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be a Module, got {shown(model)}")
    return model


def checked_loss(op: str, loss: Any) -> Loss:
    """A function of outputs and targets, or a TypeError."""
    if isinstance(loss, type) or not callable(loss):
        hint = f"{loss.__name__}()" if isinstance(loss, type) else "fastnn.functional.mse_loss"
        raise TypeError(f"{op}: loss must be a function of output and target, such as {hint}, got {shown(loss)}")
    return cast(Loss, loss)


def checked_metrics(metrics: Any) -> dict[str, Metric] | None:
    if metrics is None:
        return None
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise TypeError(
            "Trainer: metrics must be functions by name, such as {'accuracy': fastnn.training.accuracy}, got "
            f"{shown(metrics)}"
        )
    for taken in ("loss", "loss_se"):
        if taken in metrics:
            raise ValueError(f"Trainer: a metric cannot be named {taken!r}, as the loss itself and its error are")
    return dict(metrics)


def checked_schedules(optimizer: Optimizer, given: Any) -> Iterator[Schedule | ReduceOnPlateau]:
    for schedule in given if isinstance(given, list | tuple) else [given]:
        if isinstance(schedule, Schedule | ReduceOnPlateau):
            if schedule.optimizer is not optimizer:
                raise ValueError("Trainer: the schedule is one of another optimiser")
            yield schedule
        elif callable(schedule) and not isinstance(schedule, type):
            yield Schedule(optimizer, schedule)
        elif schedule is not None:
            raise TypeError(f"Trainer: schedule must be a rule, a Schedule or a ReduceOnPlateau, got {shown(schedule)}")


def refuse_two_for_one_setting(schedules: Sequence[Schedule | ReduceOnPlateau]) -> None:
    keys = [schedule.key for schedule in schedules if isinstance(schedule, Schedule)]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(
                f"Trainer: schedule has {keys.count(key)} rules for {key!r}; combine them in one: optim.Sequence has one after "
                "another, and a function may multiply them"
            )


def settings_of_groups(optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    """The settings of groups by number, with what scheduled ones had before."""
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    for key, kept in optimizer._scheduled.items():
        for group, base in zip(groups, kept.base, strict=False):
            group[key] = base
    return {str(number): group for number, group in enumerate(groups)}
