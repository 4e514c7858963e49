"""Watching the layers in the course of a training."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import integer, shown
from .findings import Finding, most_severe_first, strict, worst
from .layer_rules import Watched, judged, updates
from .layers import LayerRow, by_chance, layer_row, row_from, spread_from, table
from .not_finite import named_parameters
from .spread import Spread, some_of
from .watch import Watch

if TYPE_CHECKING:
    from .trainer import Trainer

Array = np.ndarray[Any, Any]

_MOST = 1 << 12  # at most so many numbers of an output or parameter are looked at
_KEPT = 128  # so many observations are kept; when there are more, every second one is dropped
_WINDOW = 128  # dead units are judged by the last observations, as many as have at least so many samples
_SIZES = 5  # sizes of steps are taken so many times as often as the rest, or at each 5th step if every="epoch"
_REMEMBERED = ("warning", "problem")
_SEVERAL = 2  # what was wrong at fewer looks, and has passed, may be an accident
_LONG = 0.25  # what has passed is more than a note if it was wrong at this share of the looks or more
_ENDS = 5  # so many losses at the beginning are compared with as many at the end
# A loss has shot up if it is more than so many times the first: steady trainings of a last layer stayed below 1.3,
# those with too high a rate came to 4 and more.
_SHOT_UP = 2.0


class LayerMonitor:
    """Watches layers while a network is trained: give it to `Trainer.fit` as a callback.

    Parameters
    ----------
    every : int or "epoch"
        After how many steps to look again; "epoch" looks at the first step of each epoch.

    Attributes
    ----------
    rows : tuple of LayerRow
        What was seen last, a row per layer.
    history : dict of str to list of dict
        For each layer what was seen: "step", "kind", "mean", "std", "over_samples", "zeros", "dead", "saturated",
        "gradient", "gradient_ratio", "weight", "update_ratio", and the histograms "bins" and "gradient_bins" over the ranges
        "edges" and "gradient_edges".
    step : int
        At which step that was.

    Raises
    ------
    ValueError, TypeError
        If ``every`` is neither a whole number of at least 1 nor "epoch".

    Notes
    -----
    Statistics are those of a step that the training makes anyway: of its own forward and backward pass. Nothing of the
    training is changed, to the bit. Of outputs and parameters of more than 4 096 numbers, as many are looked at, evenly spread,
    but all of them for dead units. At most 128 observations are kept; of more, every second one is let go.

    What was above a note at several looks and has passed is still named, with the steps: a warning if it was so at a quarter of the
    looks, else a note.

    Units count as dead that were 0 for each of the last 128 samples that were looked at, and in the later half of the looks,
    without those that are so by chance, as estimated from how many were active once or twice (Chao 1984). The sizes of steps are taken five times as often.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.data import Batches
    >>> from fastnn.training import LayerMonitor, Trainer
    >>> x = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> model = fnn.nn.Sequential(fnn.nn.Linear(8, 64, rng=0), fnn.nn.ReLU(), fnn.nn.Linear(64, 2, rng=1))
    >>> trainer = Trainer(model, fnn.optim.Adam(model.parameters(), lr=0.001))
    >>> monitor = LayerMonitor(every=10)
    >>> history = trainer.fit(Batches(x, y, batch_size=32, shuffle=True, rng=0), epochs=10, callbacks=[monitor])
    >>> monitor.level, list(monitor.history)
    ('ok', ['0', '1', '2'])
    """

    def __init__(self, every: int | str = 50) -> None:
        if isinstance(every, str) and every != "epoch":
            raise ValueError(f"LayerMonitor: every must be a number of steps or 'epoch', got {shown(every)}")
        self.every: int | str = every if isinstance(every, str) else integer("LayerMonitor", "every", every, 1)
        self._watch: Watch | None = None
        self._before: dict[str, Array] = {}
        self._forget()

    def _forget(self) -> None:
        self.rows: tuple[LayerRow, ...] = ()
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.step = 0
        self._output: Spread | None = None
        self._stride = 1  # every `_stride`-th observation is kept
        self._seen = 0
        # For each of a layer's last observations: its number of samples, and for how many of them each unit is active.
        self._active: dict[str, list[list[Any]]] = {}
        self._sizes: dict[str, list[float]] = {}
        self._losses: list[float] = []
        self._size_stride = 1
        self._stopped: str | None = None
        self._begun_at_zero: list[str] = []
        # By a finding's word: how many looks found it above a note, their first and last step, the finding at the last.
        self._past: dict[str, tuple[int, int, int, Finding]] = {}

    def __repr__(self) -> str:
        return f"LayerMonitor(every={self.every!r})"

    # ---- events ------------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin anew if this is another training."""
        if trainer.step < self.step:
            self._forget()
        self._stopped = None

    def on_step_start(self, trainer: Trainer) -> None:
        """Look at this step, if it is its turn."""
        self._leave()
        if self._is_due(trainer):
            edges = {name: (seen[0]["edges"], seen[0]["gradient_edges"]) for name, seen in self.history.items() if seen}
            self._watch = Watch(trainer.model, _MOST, of_means=trainer.accumulate == 1, edges=edges)
            self._watch.__enter__()
        if self._watch is not None or trainer.step % self._size_every() == 0:
            self._before = {
                name: some_of(p.data, _MOST).copy()
                for name, p in named_parameters(trainer.model, trainer.loss)
                if p.ndim > 1 and p.requires_grad
            }

    def _is_due(self, trainer: Trainer) -> bool:
        return trainer.position == 0 if self.every == "epoch" else trainer.step % int(self.every) == 0

    def _size_every(self) -> int:
        usual = _SIZES if self.every == "epoch" else max(1, int(self.every) // _SIZES)
        return usual * self._size_stride

    def on_step(self, trainer: Trainer) -> None:
        """Take what was seen."""
        if not self._before and self._watch is None:
            return
        ratios = self._measure(trainer)
        if self._watch is not None:
            watch = self._watch
            self._leave()
            self._observe(trainer, watch, ratios)
        self._before = {}

    def on_fit_end(self, trainer: Trainer) -> None:
        """Remember how it ended."""
        self._leave()
        last = trainer.history.records[-1] if trainer.history.records else {}
        if math.isnan(last.get("train_loss", 0.0)):
            self._stopped = trainer.history.stopped

    def on_fit_exit(self, trainer: Trainer) -> None:
        """Leave the model as it was, also after an exception."""
        self._leave()

    def _leave(self) -> None:
        if self._watch is not None:
            self._watch.__exit__()
            self._watch = None

    # ---- what is taken -----------------------------------------------------------------------------------------------

    def _measure(self, trainer: Trainer) -> dict[str, float]:
        """The norm of the step over that of the weights, of each parameter with two axes or more."""
        ratios = {}
        for name, parameter in named_parameters(trainer.model, trainer.loss):
            before = self._before.get(name)
            if before is None:
                continue
            size = _norm(before)
            if size:
                ratios[name] = _norm(some_of(parameter.data, _MOST) - before) / size
            elif name not in self._begun_at_zero and not self._losses:
                self._begun_at_zero.append(name)
        if (trainer.step - 1) % self._size_every() == 0:
            self._losses.append(trainer.last_loss)
            for name, ratio in ratios.items():
                self._sizes.setdefault(name, []).append(ratio)
            if len(self._losses) > 2 * _KEPT:
                self._losses = self._losses[::2]
                self._sizes = {name: values[::2] for name, values in self._sizes.items()}
                self._size_stride *= 2
        return ratios

    def _observe(self, trainer: Trainer, watch: Watch, ratios: Mapping[str, float]) -> None:
        self.step = trainer.step
        self._output = watch.output.result() if watch.output.count else None
        rows = []
        for gathered in watch.rows.values():
            row = layer_row(gathered, lambda parameter: parameter.grad, False, most=_MOST)
            own = [ratios[name] for name in gathered.parameters if name in ratios]
            row = replace(row, update_ratio=math.sqrt(fmean(r * r for r in own)) if own else None)
            if gathered.active is not None:
                row = self._with_dead(row, gathered.samples, gathered.active)
            rows.append(row)
        self.rows = tuple(rows)
        if self._seen % self._stride == 0:
            for row in rows:
                self.history.setdefault(row.name, []).append(_observation(self.step, row))
            if max(map(len, self.history.values()), default=0) > _KEPT:
                self.history = {name: seen[::2] for name, seen in self.history.items()}
                self._stride *= 2
        self._seen += 1
        self._remember()

    def _remember(self) -> None:
        """Keep what is wrong at this look, for when it has passed."""
        for finding in reversed(most_severe_first(self._present())):  # of findings with one word, the worst is kept
            if finding.level in _REMEMBERED:
                count, first, last, _ = self._past.get(finding.word, (0, self.step, 0, finding))
                self._past[finding.word] = (count + (last != self.step), first, self.step, finding)

    def _with_dead(self, row: LayerRow, samples: int, active: Array) -> LayerRow:
        """Judge dead units by as many of the last observations as make enough samples."""
        seen = self._active.setdefault(row.name, [])
        if seen and seen[0][1].shape != active.shape:
            seen.clear()
        seen.append([samples, active])
        while sum(each[0] for each in seen[1:]) >= _WINDOW:
            del seen[0]
        late = seen[-(self._seen // 2 + 1) :]  # without the early ones, at which units that died were alive
        together = sum(each[1] for each in late)
        dead = int(np.count_nonzero(together == 0))
        return replace(row, samples=sum(each[0] for each in late), dead=dead, by_chance=by_chance(together))

    # ---- what it says ------------------------------------------------------------------------------------------------

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, by what was seen last, and what was wrong for a while; the most severe first."""
        found = []
        if self._stopped is not None:
            found.append(Finding("problem", "not finite", f"training {self._stopped}", step=self.step))
        present = self._present()
        found += [*present, *self._passed({finding.word for finding in present if finding.level in _REMEMBERED})]
        judging = {name: values for name, values in self._sizes.items() if self._is_judged(name)}
        found += updates(judging, self._has_fallen(), self._trains_the_end() and self._falls_steadily())
        return most_severe_first([replace(finding, step=finding.step or self.step) for finding in found])

    def _present(self) -> list[Finding]:
        """What the last look says."""
        return judged(Watched(self.rows, self._output, False, training=True))

    def _passed(self, present: set[str]) -> Iterator[Finding]:
        """What was wrong at several looks and is so no more, such as gradients that vanished until Adam had made up for it."""
        for word, (count, first, last, finding) in self._past.items():
            if word in present or count < _SEVERAL:
                continue
            share = count / self._seen
            when = f"at {count} of {self._seen} looks, from step {first} to {last}, and no more since"
            message = f"{finding.message} ({when})"
            yield replace(
                finding,
                level="warning" if share >= _LONG else "note",
                message=message,
                value=share,
                threshold=_LONG,
                step=last,
            )

    def _is_judged(self, parameter: str) -> bool:
        """Tables of rows that didn't come, and weights that begin at 0, make steps of other sizes."""
        kinds = [row.kind for row in self.rows if any(own.name == parameter for own in row.parameters)]
        return "Embedding" not in kinds and parameter not in self._begun_at_zero

    def _has_fallen(self) -> bool:
        """Whether the loss is less than half of what it was."""
        if len(self._losses) < 2 * _ENDS:
            return False
        return fmean(self._losses[-_ENDS:]) < 0.5 * fmean(self._losses[:_ENDS])

    def _falls_steadily(self) -> bool:
        """Whether the loss is smaller than at first, and was never far above that: of too high a rate it shoots up."""
        if len(self._losses) < 2 * _ENDS:
            return False
        first = self._losses[0]
        return fmean(self._losses[-_ENDS:]) < first and max(self._losses) <= first + (_SHOT_UP - 1) * abs(first)

    def _trains_the_end(self) -> bool:
        """Whether only the last layer is trained, or at most half of the layers with weights."""
        layers = [
            (row.role, any(own.trained for own in row.parameters if len(own.shape) > 1))
            for row in self.rows
            if any(len(own.shape) > 1 for own in row.parameters)
        ]
        roles = [role for role, trained in layers if trained]
        return 2 * len(roles) <= len(layers) or all(role == "output" for role in roles)

    @property
    def level(self) -> str:
        """The level of the most severe finding."""
        return worst(self.findings)

    def __str__(self) -> str:
        lines = list(map(str, self.findings))
        if not self.rows:
            return "\n".join(lines or ["ok       layers: nothing was watched yet"])
        lines = lines or [f"ok       layers: nothing found up to step {self.step}"]
        return "\n".join([*lines, "", f"at step {self.step}", table(self.rows)])

    def to_dict(self) -> dict[str, Any]:
        """Findings, rows and history, as JSON takes them."""
        return {name: strict(getattr(self, name)) for name in ("every", "step", "findings", "rows", "history")}

    def plot(self, what: str = "activations", axes: Any = None) -> Any:
        """Draw layers over the course of the training; see `fastnn.plots.layer_stats`.

        Parameters
        ----------
        what : {"activations", "gradients", "weights", "updates"}
            Histograms of outputs or gradients, or the sizes of weights or steps.
        axes : Axes, or sequence or array of Axes, optional
            Where to draw.

        Returns
        -------
        Axes or ndarray of Axes
            What was given; of a new figure the array of its panels.

        Raises
        ------
        ValueError
            If ``what`` is none of these, nothing was seen, or there are not as many axes as panels.
        """
        from ..plots.layer_stats import layer_stats as draw

        return draw(self.history, what, axes=axes)

    # ---- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far, as `fastnn.save_checkpoint` takes it: JSON as an array of bytes, since it is long."""
        return {"seen": np.frombuffer(json.dumps(self._contents(), separators=(",", ":")).encode(), np.uint8).copy()}

    def _contents(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "rows": [asdict(row) for row in self.rows],
            "history": {name: [_plain(each) for each in seen] for name, seen in self.history.items()},
            "output": None if self._output is None else asdict(self._output),
            "counts": [self._stride, self._seen, self._size_stride],
            "active": {name: [[n, each.tolist()] for n, each in seen] for name, seen in self._active.items()},
            "sizes": self._sizes,
            "losses": self._losses,
            "begun_at_zero": self._begun_at_zero,
            "past": {word: [*times, finding.to_dict()] for word, (*times, finding) in self._past.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave.

        Parameters
        ----------
        state : mapping
            The state of a monitor.

        Raises
        ------
        ValueError
            If it is none; nothing is changed.
        """
        found = state.get("seen") if isinstance(state, Mapping) and len(state) == 1 else None
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.ndim != 1:
            raise ValueError(f"LayerMonitor: the state must be what state_dict gave, got {shown(state)}")
        other = LayerMonitor(self.every)
        try:
            other._take(json.loads(found.tobytes().decode()))
            str(other)  # goes through all of the state, and so finds what is damaged
            same = np.array_equal(other.state_dict()["seen"], found)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"LayerMonitor: the state is damaged: {error}") from error
        if not same:
            raise ValueError("LayerMonitor: the state is damaged: it has other parts than those of state_dict")
        vars(self).update(vars(other))

    def _take(self, contents: Mapping[str, Any]) -> None:
        self.step = integer("LayerMonitor", "step", contents["step"], 0)
        self.rows = tuple(row_from(row) for row in contents["rows"])
        self.history = {name: [_with_arrays(each) for each in seen] for name, seen in contents["history"].items()}
        self._output = spread_from(contents["output"])
        self._stride, self._seen, self._size_stride = contents["counts"]
        self._active = {name: [[n, np.array(each)] for n, each in seen] for name, seen in contents["active"].items()}
        self._sizes, self._losses = contents["sizes"], contents["losses"]
        self._begun_at_zero = contents["begun_at_zero"]
        past = contents["past"].items()
        self._past = {word: (count, first, last, Finding(**said)) for word, (count, first, last, said) in past}


def _plain(observation: Mapping[str, Any]) -> dict[str, Any]:
    """An observation as JSON has it."""
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in observation.items()}


def _with_arrays(observation: Mapping[str, Any]) -> dict[str, Any]:
    """An observation as it was before `_plain`."""
    made: dict[str, Any] = dict(observation)
    for name in ("bins", "gradient_bins", "edges", "gradient_edges"):
        if made[name] is not None:
            made[name] = np.array(made[name]) if name.endswith("bins") else tuple(made[name])
    return made


def _norm(values: Array) -> float:
    """The Euclidean norm; by sums that don't depend on the number of threads."""
    return math.sqrt(float(np.square(values).sum(dtype=np.float64)))


def _observation(step: int, row: LayerRow) -> dict[str, Any]:
    """What is kept of a row."""
    outputs, gradients = row.activations, row.gradients
    matrices = [own.weights for own in row.parameters if len(own.shape) > 1]
    return {
        "step": step,
        "kind": row.kind,
        "mean": outputs.mean,
        "std": outputs.std,
        "over_samples": outputs.over_samples,
        "zeros": outputs.zeros,
        "dead": row.dead_share,
        "saturated": row.saturated,
        "gradient": None if gradients is None else gradients.rms,
        "gradient_ratio": row.gradient_ratio,
        "weight": matrices[0].rms if matrices else None,
        "update_ratio": row.update_ratio,
        "bins": _with_ends(outputs),
        "edges": outputs.edges,
        "gradient_bins": None if gradients is None else _with_ends(gradients),
        "gradient_edges": None if gradients is None else gradients.edges,
    }


def _with_ends(spread: Spread) -> Array:
    """A histogram with what lies below and above the range in its first and last entry."""
    return np.array([spread.under, *spread.bins, spread.over])
