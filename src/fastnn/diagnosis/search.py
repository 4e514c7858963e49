"""Random search for settings, from coarse to fine."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._described import described
from .._generators import generator
from .._tables import aligned
from ..checks import flag, integer, shown
from ..training import ProgressBar, Trainer
from ..training.findings import Finding, Result, most_severe_first, strict
from ..training.progress import is_terminal
from .spaces import BORDER, Choice, IntUniform, Space
from .taken import batches_of
from .trial_log import TrialLog
from .trials import Job, Outcome, Workers, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MakeTrainer = Callable[[dict[str, Any], np.random.Generator], Trainer]

SOURCE = "cs231n"
ENOUGH = 10
"""Trials with a finite loss, of which a best value at an end is more than a note: of so many, one on average falls in each tenth of a
range; of fewer, the tenth at an end may be the only place near the best one where any trial was."""
_ROUNDS = (1, 20), (5, 7), (20, 3)
_BEST_SHARE = 3  # the best third of the trials says where to search further


@dataclass(frozen=True)
class Trial:
    """What came of one choice of settings.

    Parameters
    ----------
    number : int
        Counted from 0.
    settings : dict
        By name.
    seed : tuple of int
        What `rng` is made of.
    epochs : int
        How long it was trained.
    loss : float
        The smallest of its validation losses at the ends of rounds, infinite if a loss of its training was not finite.
    epoch : int
        The epoch of that loss.
    stopped : str or None
        Why its training ended early.
    """

    number: int
    settings: dict[str, Any]
    seed: tuple[int, ...]
    epochs: int = 0
    loss: float = math.inf
    epoch: int = 0
    stopped: str | None = None

    def rng(self) -> np.random.Generator:
        """The generator that ``make_trainer`` was called with, as it was then: the same training, to the bit."""
        return np.random.default_rng(list(self.seed))

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON takes them."""
        named: dict[str, Any] = strict(self)
        return named | {"settings": in_words(self.settings)}


@dataclass(frozen=True)
class Search(Result):
    """What a random search found.

    Parameters
    ----------
    findings : tuple of Finding
        "border" and "not finite", the most severe first.
    trials : tuple of Trial
        The best first.
    space : dict of str to range
        What was searched.
    ranges : dict of str to range
        What the best third of the trials leaves of it.
    """

    title: ClassVar[str] = "random search"
    trials: tuple[Trial, ...]
    space: dict[str, Space]
    ranges: dict[str, Space]

    @property
    def best(self) -> Trial:
        """The trial with the smallest validation loss of all rounds.

        Raises
        ------
        ValueError
            If the losses of all were not finite.
        """
        if not math.isfinite(self.trials[0].loss):
            raise ValueError(f"random_search: there is no best trial: {self.findings[0].message}")
        return self.trials[0]

    @property
    def best_settings(self) -> dict[str, Any]:
        """The settings of the best trial.

        Raises
        ------
        ValueError
            If the losses of all were not finite.
        """
        return dict(self.best.settings)

    def __str__(self) -> str:
        lines = [] if self.level == "ok" else [super().__str__()]
        if math.isfinite(self.trials[0].loss):
            lines.append(
                f"best: {_listed(self.best.settings)}; validation loss {self.best.loss:.4g} at epoch {self.best.epoch}"
            )
        lines += ["", *self._table(), "", *self._table_of_ranges()]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        head = ["trial", "validation loss", "epochs", *self.space]
        rows = [
            [str(t.number), "not finite" if math.isinf(t.loss) else f"{t.loss:.4f}", str(t.epochs), *map(_short, t.settings.values())]
            for t in self.trials
        ]  # fmt: skip
        return aligned([head, *rows], right=range(1, len(head)))

    def _table_of_ranges(self) -> list[str]:
        best = self.trials[0].settings
        rows = [[name, str(space), str(self.ranges[name]), _short(best[name])] for name, space in self.space.items()]
        return aligned([["setting", "searched", "best third", "best"], *rows], right=range(1, 4))

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON takes them: ranges as they print."""
        in_plain = {"trials": [trial.to_dict() for trial in self.trials]}
        return super().to_dict() | in_plain | {"space": in_words(self.space), "ranges": in_words(self.ranges)}

    def plot(self, ax: Axes | Sequence[Axes] | None = None) -> Any:
        """Draw the loss against each setting.

        Parameters
        ----------
        ax : Axes or sequence of Axes, optional
            As many as there are settings, by default in a new figure.

        Returns
        -------
        ndarray of Axes
        """
        from ..plots.search import search

        logarithmic = [name for name, space in self.space.items() if space.logarithmic]
        ranges = {name: (r.low, r.high) for name, r in self.ranges.items() if not isinstance(r, Choice)}
        settings, losses = [t.settings for t in self.trials], [t.loss for t in self.trials]
        return search(settings, losses, logarithmic=logarithmic, ranges=ranges, ax=ax)


def random_search(
    make_trainer: MakeTrainer,
    space: Mapping[str, Space],
    data: Any,
    *,
    rng: Any,
    validation: Iterable[Any] | None = None,
    trials: int = 20,
    rounds: Sequence[tuple[int, int]] = _ROUNDS,
    n_jobs: int = 1,
    log: str | os.PathLike[str] | None = None,
    progress: bool | str = "auto",
) -> Search:
    """Search settings at random, from coarse to fine: many for a short time, and on with the best.

    Parameters
    ----------
    make_trainer : callable
        ``make_trainer(settings, rng)`` gives a new `fastnn.training.Trainer`. Weights and dropout should draw from ``rng``.
        For several jobs it must be something that other processes can have: a function of a module, not one with an open file.
    space : mapping of str to range
        `LogUniform`, `Uniform`, `IntUniform` or `Choice` by the name of the setting.
    data : Batches, iterable of batches or (x, y), or tuple of two such
        What to train on; or that and what to validate on.
    rng
        Anything `numpy.random.default_rng` takes: settings and initial weights follow from it. Of None a search goes on from
        its log, too.
    validation : iterable of batches or (x, y), optional
        What to validate on, where ``data`` doesn't have it.
    trials : int
        How many settings are tried in all. Of these, the first round takes as many as ``rounds`` says. The others come in the
        rounds between the first and the last (in the last, if there are but two), drawn from the range of the best third.
    rounds : sequence of (int, int)
        Epochs and trials of each round: so many of the best so far go on until they were trained for so many epochs in all.
    n_jobs : int
        Processes, by joblib: -1 for as many as there are cores. The threads of fastnn are shared out among them. Inside
        ``joblib.parallel_config("dask")`` and the like it is a cluster.
    log : path, optional
        A file of JSON lines to which each result is added. If it is there, the search goes on from it: trials that are to go
        on are trained again up to where they were.
    progress : "auto" or bool
        Whether a bar on stderr shows how many trials are done, and the smallest loss so far; "auto" where that is a terminal.

    Returns
    -------
    Search
        ``best_settings``, and all trials. It is the same for any ``n_jobs``, and whether it was interrupted or not.

    Raises
    ------
    TypeError, ValueError
        If something doesn't fit, ``make_trainer`` refuses settings or can't be sent to other processes, or the log is of another
        search or no log.
    MissingExtraError
        If ``n_jobs`` is not 1 and joblib is not installed.
    OSError
        If the log can't be read or written.

    Notes
    -----
    The best trial is the one with the smallest validation loss at the end of any round, not only of the last. A training that
    came to numbers that are not finite counts as worst, and never wins.

    Ranges are never left, but a best value within a tenth of an end is a finding, "border"; of fewer than 10 trials with a
    finite loss a note, since few fall near any value.

    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization" (2012); stages as in cs231n.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.data import Batches
    >>> from fastnn.diagnosis import Choice, LogUniform, random_search
    >>> from fastnn.training import Trainer
    >>> x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    >>> data = Batches(x[:200], y[:200], batch_size=20, shuffle=True, rng=0), Batches(x[200:], y[200:], batch_size=100)
    >>> def make_trainer(settings, rng):
    ...     hidden = fnn.nn.Linear(4, settings["units"], rng=rng)
    ...     model = fnn.nn.Sequential(hidden, fnn.nn.ReLU(), fnn.nn.Linear(settings["units"], 2, rng=rng))
    ...     return Trainer(model, fnn.optim.Adam(model.parameters(), lr=settings["lr"]))
    >>> space = {"lr": LogUniform(1e-5, 1), "units": Choice(8, 32)}
    >>> found = random_search(make_trainer, space, data, rng=0, trials=9, rounds=((1, 6), (4, 3)))
    >>> 1e-3 < found.best_settings["lr"] < 1
    True
    """
    plan = _Plan.checked(make_trainer, space, trials, rounds)
    workers = Workers(make_trainer, *_parts(data, validation), n_jobs)
    entropy = None if rng is None else generator(rng).integers(2**32, size=4).tolist()
    shows = is_terminal(sys.stderr) if progress == "auto" else flag("random_search", "progress", progress)
    book = TrialLog(log, plan.described() | workers.described(), entropy)
    with ProgressBar(plan.jobs(), enabled=shows) as bar:
        return _searched(plan, book, workers, bar)


@dataclass(frozen=True)
class _Plan:
    """What is searched, and how long."""

    space: dict[str, Space]
    trials: int
    rounds: tuple[tuple[int, int], ...]

    @classmethod
    def checked(cls, make_trainer: Any, space: Any, trials: Any, rounds: Any) -> _Plan:
        if not callable(make_trainer) or isinstance(make_trainer, Trainer):
            expected = "make_trainer must be a function of settings and a generator that makes a Trainer"
            raise TypeError(f"random_search: {expected}, got {shown(make_trainer)}")
        if not isinstance(space, Mapping) or not space:
            expected = "space must be ranges by name, such as {'lr': LogUniform(1e-6, 1)}"
            raise TypeError(f"random_search: {expected}, got {shown(space)}")
        for name, part in space.items():
            if not isinstance(part, Space):
                expected = f"{name!r} must be a LogUniform, Uniform, IntUniform or Choice"
                raise TypeError(f"random_search: {expected}, got {shown(part)}")
        return cls(dict(space), integer("random_search", "trials", trials, 1), _checked_rounds(rounds))

    def described(self) -> dict[str, Any]:
        """What tells this search from another."""
        return {"space": in_words(self.space), "trials": self.trials, "rounds": [list(part) for part in self.rounds]}

    def new_in(self, number: int) -> int:
        """How many trials a round begins anew."""
        if len(self.rounds) == 1:
            return self.trials
        first = min(self.trials, self.rounds[0][1])
        if number == 0:
            return first
        later = range(1, max(2, len(self.rounds) - 1))
        if number not in later:
            return 0
        share, rest = divmod(self.trials - first, len(later))
        return share + (number - 1 < rest)

    def jobs(self) -> int:
        """How many trainings there are in all rounds, if none breaks."""
        new = [self.new_in(number) for number in range(len(self.rounds))]
        return sum(new) + sum(min(count, sum(new[:i])) for i, (_, count) in enumerate(self.rounds))


def _checked_rounds(rounds: Any) -> tuple[tuple[int, int], ...]:
    some = isinstance(rounds, Sequence) and not isinstance(rounds, str) and len(rounds) > 0
    if not some or not all(isinstance(part, Sequence) and len(part) == 2 for part in rounds):
        example = "pairs of epochs and trials, such as ((1, 20), (5, 7))"
        raise TypeError(f"random_search: rounds must be {example}, got {shown(rounds)}")
    op, of_round = "random_search", "trials of a round"
    checked = [(integer(op, "epochs", epochs, 1), integer(op, of_round, count, 1)) for epochs, count in rounds]
    if any(a[0] >= b[0] for a, b in pairwise(checked)):
        raise ValueError(f"random_search: the epochs of rounds must rise, got {[part[0] for part in checked]}")
    return tuple(checked)


def _parts(data: Any, validation: Any) -> tuple[Any, Any]:
    """What to train on and what to validate on."""
    pair = isinstance(data, tuple) and not _are_arrays(data)
    if pair and (len(data) != 2 or validation is not None):
        raise TypeError("random_search: data must be batches or (train, validation), and validation be given once")
    train, judged = data if pair else (data, validation)
    if judged is None:
        why = "the training loss would choose what learns by heart"
        raise ValueError(f"random_search: a validation part is needed: {why}")
    return batches_of("random_search", train), batches_of("random_search", judged)


def _are_arrays(data: Any) -> bool:
    """Whether this is (x, y) rather than what to train on and what to validate on."""
    return isinstance(data, tuple) and len(data) in (2, 3) and hasattr(data[1], "shape")


def _searched(plan: _Plan, log: TrialLog, workers: Workers, bar: ProgressBar) -> Search:
    seeds = iter(np.random.SeedSequence(log.entropy).spawn(plan.trials))
    trials: list[Trial] = []
    ranges = plan.space
    for number, (epochs, count) in enumerate(plan.rounds):
        going = [] if number == 0 else [t for t in sorted(trials, key=_rank)[:count] if math.isfinite(t.loss)]
        new = [_drawn(len(trials) + i, ranges, next(seeds)) for i in range(plan.new_in(number))]
        trials += new
        goes_on = number + 1 < len(plan.rounds)
        jobs = {t.number: Job(t.number, t.settings, t.seed, epochs, goes_on) for t in [*going, *new]}
        bar.label = f"round {number + 1}/{len(plan.rounds)}"
        for outcome in _outcomes(jobs, log, workers):
            trials[outcome.number] = _with(trials[outcome.number], outcome)
            bar.note = f"best {min(trial.loss for trial in trials):.4g}"
            bar.advance()
        if goes_on:
            workers.forget(t.number for t in sorted(trials, key=_rank)[plan.rounds[number + 1][1] :])
        ranges = _shrunk(plan.space, trials)
    return _judged(plan, tuple(sorted(trials, key=_rank)), ranges)


def _rank(trial: Trial) -> tuple[float, int]:
    return trial.loss, trial.number


def _with(trial: Trial, outcome: Outcome) -> Trial:
    """A trial after a round. One that broke has no loss any more, however good it was before."""
    trial = replace(trial, epochs=outcome.epochs, stopped=outcome.stopped)
    better = outcome.loss < trial.loss or math.isinf(outcome.loss)
    return replace(trial, loss=outcome.loss, epoch=outcome.epochs) if better else trial


def _drawn(number: int, space: Mapping[str, Space], seed: np.random.SeedSequence) -> Trial:
    """A trial. One half of its seed says what its settings are, the other is for its training."""
    of_settings, of_training = seed.spawn(2)
    rng = np.random.default_rng(of_settings)
    settings = {name: part.sample(rng) for name, part in space.items()}
    return Trial(number, settings, tuple(of_training.generate_state(4).tolist()))


def _outcomes(jobs: Mapping[int, Job], log: TrialLog, workers: Workers) -> Iterator[Outcome]:
    """What jobs come to, from the log where it has them."""
    known = {number: log.outcome(job) for number, job in jobs.items()}
    yield from (outcome for outcome in known.values() if outcome is not None)
    for outcome in workers.run([job for number, job in jobs.items() if known[number] is None]):
        log.add(jobs[outcome.number], outcome)
        yield outcome


def _shrunk(space: Mapping[str, Space], trials: Sequence[Trial]) -> dict[str, Space]:
    """What the best third of the trials leaves of each range."""
    best = [t for t in sorted(trials, key=_rank)[: -(-len(trials) // _BEST_SHARE)] if math.isfinite(t.loss)]
    return {name: part.shrunk([t.settings[name] for t in best]) if best else part for name, part in space.items()}


def _judged(plan: _Plan, trials: tuple[Trial, ...], ranges: dict[str, Space]) -> Search:
    broken = [trial for trial in trials if math.isinf(trial.loss)]
    findings = [_broken(broken, len(trials))] if broken else []
    if len(broken) < len(trials):
        best, finished = trials[0].settings, len(trials) - len(broken)
        at_ends = {name: part.border(best[name]) for name, part in plan.space.items()}
        found = [_border(name, plan.space[name], best[name], end, finished) for name, end in at_ends.items() if end]
        within = Finding("ok", "border", "the best values lie within what was searched", None, BORDER, SOURCE)
        findings += found or [within]
    return Search(most_severe_first(findings), trials, plan.space, ranges)


def _broken(broken: Sequence[Trial], trials: int) -> Finding:
    """Trainings that came to nothing."""
    example = f"{_listed(broken[-1].settings)}: {broken[-1].stopped or 'the validation loss is not finite'}"
    if len(broken) == trials:
        message = f"all {trials} trials came to numbers that are not finite, such as with {example}"
        advice = "Look at the data and the network with preflight."
        return Finding("problem", "not finite", message, 1.0, None, "", advice)
    message = f"{len(broken)} of {trials} trials came to numbers that are not finite, such as with {example}"
    return Finding("note", "not finite", message, len(broken) / trials)


def _border(name: str, space: Space, value: Any, end: str, finished: int) -> Finding:
    """The best value lies at an end of what was searched."""
    message = f"the best {name}, {_short(value)}, lies at the {end} end of what was searched, {space}"
    if isinstance(space, Choice):
        advice = f"Add {'smaller' if end == 'lower' else 'larger'} values, if there are any."
        return Finding("note", "border", message, value, None, SOURCE, advice)
    advice = f"If it can be, search {space.widened(end)} next."
    if finished < ENOUGH:
        message += f"; of fewer than {ENOUGH} trials, here {finished}, this may be chance"
        advice = f"Try at least {ENOUGH} settings. {advice}"
    few = finished < ENOUGH or isinstance(space, IntUniform)  # if there are few integers, many are at the ends
    return Finding("note" if few else "warning", "border", message, value, BORDER, SOURCE, advice)


def _short(value: Any) -> str:
    """A setting in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(described(value))


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in settings.items())
