"""The trainings of a search, in this process or in others."""

from __future__ import annotations

import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend
from .._described import described
from .._extras import require
from ..checks import integer
from ..config import get_num_threads, set_num_threads
from ..training import History, Trainer
from ..training.loader import Loader
from .taken import named, new_trainer


@dataclass(frozen=True)
class Job:
    """A trial to be trained for so many epochs in all.

    Parameters
    ----------
    number, settings, seed
        Of the trial.
    epochs : int
        The epoch to end after.
    keep : bool
        Whether it may go on later.
    """

    number: int
    settings: dict[str, Any]
    seed: tuple[int, ...]
    epochs: int
    keep: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Parameters
    ----------
    number, epochs : int
        Of the job.
    loss : float
        The validation loss at the end, infinite if a loss was not finite.
    stopped : str or None
        Why the training ended early.
    """

    number: int
    epochs: int
    loss: float
    stopped: str | None


@dataclass(frozen=True)
class _Machine:
    """What other processes compute with: the same backend, and their share of the threads."""

    process: int
    backend: str
    threads: int

    def use(self) -> None:
        if os.getpid() != self.process:
            backend.use_backend(self.backend)
            set_num_threads(self.threads)


@dataclass(frozen=True)
class _Task:
    """What all jobs have in common."""

    make_trainer: Callable[[dict[str, Any], np.random.Generator], Trainer]
    train: Any
    validation: Any
    begins: tuple[dict[str, Any], dict[str, Any]]  # the states of both parts of the data
    machine: _Machine

    def __call__(self, job: Job, state: dict[str, Any] | None) -> tuple[Outcome, dict[str, Any] | None]:
        """Train, from the start or from a state on; what came of it, and the new state."""
        self.machine.use()
        trainer = self._made(job)
        self.set_data()
        if state is not None:
            trainer.load_state_dict(state)
        with named("random_search"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fastnn: training stopped", RuntimeWarning)  # the outcome says it
            history = trainer.fit(self.train, self.validation, epochs=job.epochs, progress=None)
        if history.interrupted:  # the trainer caught Ctrl-C, which must end the search, too
            raise KeyboardInterrupt
        outcome = _outcome(job, history)
        return outcome, trainer.state_dict() if job.keep and math.isfinite(outcome.loss) else None

    def set_data(self) -> None:
        """Every training begins with the data as they were: another one before it changes nothing."""
        Loader("train", self.train).load_state_dict(self.begins[0])
        Loader("validation", self.validation).load_state_dict(self.begins[1])

    def _made(self, job: Job) -> Trainer:
        try:
            trainer = self.make_trainer(dict(job.settings), np.random.default_rng(list(job.seed)))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            trial = f"trial {job.number}, {in_words(job.settings)}"
            raise kind(f"random_search: make_trainer refused {trial}: {error}") from error
        return new_trainer("random_search", trainer)


def _outcome(job: Job, history: History) -> Outcome:
    loss = float(history[-1].get("validation_loss", math.inf))  # an epoch that broke has none
    return Outcome(job.number, job.epochs, loss if math.isfinite(loss) else math.inf, history.stopped)


class Workers:
    """Runs jobs, and keeps the states of the trainings that may go on.

    Parameters
    ----------
    make_trainer : callable
        Of settings and a generator.
    train, validation : Batches or iterable of batches
        The data.
    n_jobs : int
        Processes.

    Raises
    ------
    TypeError, ValueError, MissingExtraError
        As `random_search`.
    """

    def __init__(self, make_trainer: Any, train: Any, validation: Any, n_jobs: Any) -> None:
        asked = integer("random_search", "n_jobs", n_jobs)
        if asked == 0:
            raise ValueError("random_search: n_jobs must be at least 1, or -1 for all cores, got 0")
        purpose = f"random_search with n_jobs={n_jobs}"
        self._joblib = None if asked == 1 else require("joblib", "joblib", "search", purpose)
        self._jobs = self._joblib.effective_n_jobs(asked) if self._joblib is not None else 1
        loaders = Loader("train", train, op="random_search"), Loader("validation", validation, op="random_search")
        self._data = [loader.settings() for loader in loaders]
        begins = loaders[0].state_dict(), loaders[1].state_dict()
        machine = _Machine(os.getpid(), backend.current_name(), max(1, get_num_threads() // self._jobs))
        self._task = _Task(make_trainer, train, validation, begins, machine)
        self._states: dict[int, dict[str, Any]] = {}

    def described(self) -> dict[str, Any]:
        """What tells these trainings from others."""
        keys = [begins["key"] for begins in self._task.begins]
        return {"make_trainer": described(self._task.make_trainer), "data": self._data, "keys": keys}

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of the states of trials that don't go on."""
        for number in numbers:
            self._states.pop(number, None)

    def run(self, jobs: list[Job]) -> Iterator[Outcome]:
        """Each outcome as soon as it is there, in any order; what the data are at is as before in the end."""
        try:
            for outcome, state in self._results(jobs):
                if state is not None:
                    self._states[outcome.number] = state
                yield outcome
        finally:
            self._task.set_data()

    def _results(self, jobs: list[Job]) -> Iterator[tuple[Outcome, dict[str, Any] | None]]:
        with_states = [(job, self._states.get(job.number)) for job in jobs]
        if self._joblib is None:
            for job, state in with_states:
                yield self._task(job, state)
            return
        with set_num_threads(self._task.machine.threads):  # for jobs that run as threads of this process
            yield from self._parallel(self._joblib, with_states)

    def _parallel(self, joblib: Any, with_states: list[Any]) -> Iterator[Any]:
        try:
            parallel = joblib.Parallel(self._jobs, return_as="generator_unordered")
        except ValueError:  # on some clusters joblib can only give all results at once
            parallel = joblib.Parallel(self._jobs)
        try:
            yield from parallel(joblib.delayed(self._task)(*each) for each in with_states)
        except (pickle.PicklingError, RuntimeError, TypeError, AttributeError) as error:
            if not _is_about_sending(error):
                raise
            # The last line is taken: a traceback from another process ends with what is wrong.
            why = str(error.__cause__ or error).strip('"\n').rpartition("\n")[2]
            raise TypeError(
                f"random_search: {described(self._task.make_trainer)} or the data can't be sent to other processes ({why}); with "
                f"n_jobs={self._jobs}, make_trainer must be a function of a module that these can import, and hold nothing that "
                "pickle refuses, such as locks; n_jobs=1 needs no other process"
            ) from error


def _is_about_sending(error: BaseException) -> bool:
    """Whether something could not be pickled or unpickled, which each of joblib's backends says in another way."""
    if isinstance(error, RuntimeError):  # of which a BrokenProcessPool is one
        return "un-serialize" in str(error)
    return isinstance(error, pickle.PicklingError) or "pickle" in str(error)


def in_words(values: dict[str, Any]) -> dict[str, Any]:
    """Settings or ranges by name, as JSON takes them.

    >>> from fastnn.diagnosis.spaces import Choice
    >>> from fastnn.diagnosis.trials import in_words
    >>> in_words({"lr": 0.1, "units": Choice(1, 2), "activation": max})
    {'lr': 0.1, 'units': 'Choice(1, 2)', 'activation': 'max'}
    """
    return {name: described(value.item() if isinstance(value, np.generic) else value) for name, value in values.items()}
