"""``fastnn search``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..checks import counted
from .options import add_data, add_machine, add_recipe, integer, train_command, use_machine
from .output import Interrupted, complain, say
from .train import data_of, training_of

if TYPE_CHECKING:
    import numpy as np

    from ..data.source import Dataset
    from ..diagnosis.spaces import Space
    from ..training import Trainer
    from ..training.own_data import OwnTraining
    from ..training.recipe import Recipe

_DESCRIPTION = """\
Search learning rate and weight decay, and of tables the number and width of hidden layers, for the network that `fastnn train`
would make of the same data. All trials are trained for a few epochs, a third of them for longer, and the best few to the end.
What a trial is judged by is the validation part; of tables with less than 1000 rows a third of the training part. The test part is
not looked at. Prints the trials and, last, the command that trains with the best settings; nothing is saved."""

_SHARES = 20, 4, 1  # trials are trained for a 20th of the epochs in the first round, then for a 4th, then for all
_THIRD, _FEW = 3, 7  # a 3rd of the trials is in the second round, a 7th in the last


def add(commands: Any) -> None:
    """Describe the command."""
    search = commands.add_parser("search", help="search the best settings for `train`", description=_DESCRIPTION)
    add_data(search)
    add_recipe(search)
    search.add_argument(
        "--trials", type=integer(1), default=20, metavar="N", help="how many settings are tried (default: 20)"
    )
    search.add_argument("--jobs", type=integer(1), default=1, metavar="N", help="processes, by joblib (default: 1)")
    search.add_argument(
        "--log", metavar="FILE", help="add each result there, and go on from it when the same command runs again"
    )
    add_machine(search)
    search.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Search, and print what was found."""
    from ..diagnosis import random_search

    use_machine(options)
    training = _judged(options)
    recipe = training.recipe
    rounds = rounds_of(recipe.epochs, options.trials)
    complain("; ".join(f"{counted(count, 'trial')} for {counted(epochs, 'epoch')}" for epochs, count in rounds))
    try:
        found = random_search(
            MakeTrainer(training.data, recipe),
            space_of(training.data),
            (training.batches, training.whole("validation")),
            rng=options.seed,
            trials=options.trials,
            rounds=rounds,
            n_jobs=options.jobs,
            log=options.log,
            progress=True,
        )
    except KeyboardInterrupt:
        advice = "run the same command again to go on" if options.log else "--log FILE would go on from there"
        raise Interrupted(f"interrupted; {advice}") from None
    say(str(found))
    say("")
    best = settings_of(found.best_settings)
    hidden = {"hidden": ",".join(map(str, best["hidden"]))} if "hidden" in best else {}
    say(train_command(options, lr=f"{best['lr']:.3g}", weight_decay=f"{best['weight_decay']:.3g}", **hidden))


def _judged(options: argparse.Namespace) -> OwnTraining:
    """The training that `train` would make, with something to validate on."""
    from ..training.own_data import OwnTraining
    from ..training.selection import folds

    training = training_of(options, data_of(options), select=False)
    if "validation" in training.data.parts:
        return training
    held_out = next(iter(folds(training.data)))
    batch_size = min(training.recipe.batch_size, len(held_out.parts["train"].x))
    return OwnTraining(held_out, replace(training.recipe, batch_size=batch_size), seed=options.seed)


def rounds_of(epochs: int, trials: int) -> list[tuple[int, int]]:
    """Epochs and trials of each round, the last of which goes to the end.

    >>> rounds_of(60, 20), rounds_of(5, 20), rounds_of(1, 3)
    ([(3, 20), (15, 7), (60, 3)], [(1, 20), (5, 3)], [(1, 3)])
    """
    counts = trials, -(-trials // _THIRD), -(-trials // _FEW)
    rounds: dict[int, int] = {}
    for share, count in zip(_SHARES, counts, strict=True):
        rounds.setdefault(max(1, epochs // share), count)
    return list(rounds.items())


def space_of(data: Dataset) -> dict[str, Space]:
    """What is searched for data of a kind."""
    from ..diagnosis import Choice, IntUniform, LogUniform

    space: dict[str, Space] = {"lr": LogUniform(1e-4, 0.3), "weight_decay": LogUniform(1e-3, 3.0)}
    return space if data.images else space | {"units": Choice(16, 32, 64, 128, 256), "layers": IntUniform(1, 3)}


def settings_of(found: dict[str, Any]) -> dict[str, Any]:
    """What was drawn from the space, as a recipe has it."""
    settings = {name: found[name] for name in ("lr", "weight_decay")}
    return settings | ({"hidden": (found["units"],) * found["layers"]} if "units" in found else {})


@dataclass(frozen=True, repr=False)
class MakeTrainer:
    """Makes the trainer of a trial.

    Parameters
    ----------
    data : Dataset
        With its parts.
    recipe : Recipe
        What is not searched.
    """

    data: Dataset
    recipe: Recipe

    def __call__(self, settings: dict[str, Any], rng: np.random.Generator) -> Trainer:
        from ..training.own_data import OwnTraining

        recipe = replace(self.recipe, **settings_of(settings))
        return OwnTraining(self.data, recipe, seed=int(rng.integers(2**32))).trainer

    def __repr__(self) -> str:
        from ..training.own_data import checksum

        recipe = self.recipe
        return f"MakeTrainer({self.data.path!r}, {checksum(self.data)}, epochs={recipe.epochs}, batch_size={recipe.batch_size})"
