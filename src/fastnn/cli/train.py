"""``fastnn train``."""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fastnn

from .options import (
    DIGITS,
    add_data,
    add_machine,
    add_recipe,
    check_writable,
    columns,
    digits,
    integers,
    not_negative,
    positive,
    use_machine,
)
from .output import Interrupted, UsageError, complain, say, shown

if TYPE_CHECKING:
    from ..data.source import Dataset
    from ..training.history import History
    from ..training.own_data import OwnTraining

_DESCRIPTION = """\
Train a network on data of your own, and save it as a model that `fastnn predict` takes: a CSV file (--target names the
column to be predicted), a .npz file of arrays (images and labels, or x and y), a folder of IDX files as those of MNIST or of
CIFAR-10's binary files, or a folder of pictures in a sub-folder for each class. Network, scaling, augmentation and stopping
follow from the kind of data. Where there is no test part a fifth is held out, always the same; its result is printed last.
`digits` alone are scikit-learn's 1797 handwritten digits; a folder of that name is ./digits. A seed gives the same network,
to the bit, on the same backend for any number of threads."""


def add(commands: Any) -> None:
    """Describe the command."""
    train = commands.add_parser(
        "train", help="train on a CSV file, arrays or images, or on digits", description=_DESCRIPTION
    )
    add_data(train)
    add_recipe(train)
    train.add_argument("--lr", type=positive, help="highest learning rate; falls along a cosine")
    train.add_argument("--weight-decay", type=not_negative, metavar="DECAY", help="of AdamW")
    train.add_argument(
        "--hidden", type=integers, metavar="UNITS,…", help="units of each hidden layer of the network for a table"
    )
    train.add_argument(
        "--output", metavar="FILE", help="where to save the model (default: the data's name with .npz, in this folder)"
    )
    train.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="save the training there, and go on from it when the same command runs again",
    )
    train.add_argument("--quiet", action="store_true", help="print the result of the test only")
    add_machine(train)
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, save, and print the result of the test."""
    use_machine(options)
    output = options.output if options.output is not None else default_output(options.data)
    for path in (output, options.checkpoint):
        if path is not None:
            check_writable(path)
    if options.checkpoint is not None and os.path.realpath(options.checkpoint) == os.path.realpath(output):
        raise UsageError("--checkpoint and --output must be two files")
    training = training_of(options, data_of(options))
    if not options.quiet:
        _introduce(training)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fastnn: training stopped", RuntimeWarning)  # said below
        history = training.fit(checkpoint=options.checkpoint, progress=not options.quiet)
    _refuse_unfinished(history, options.checkpoint)
    result = training.test()
    if not result.finite:
        raise UsageError(f"{result}: nothing is saved; try a smaller --lr")
    training.save(output)
    if not options.quiet:
        if history.stopped:
            complain(history.stopped)
        complain(f"trained in {time.perf_counter() - started:.1f} s, saved to {shown(output)}")
        complain(f"verdict: {str(history.verdict()).splitlines()[0]}")
    say(str(result))


def default_output(path: str) -> str:
    """Where a model goes by default: into this folder, under the data's name, but not in the place of the data."""
    name = os.path.basename(os.path.realpath(path))
    stem = name if os.path.isdir(path) else os.path.splitext(name.removesuffix(".gz"))[0]
    output = f"{stem or 'model'}.npz"
    is_data = os.path.exists(output) and os.path.exists(path) and os.path.samefile(path, output)
    return f"{stem}-model.npz" if is_data else output


def data_of(options: argparse.Namespace) -> Dataset:
    from ..data.source import parted, read_dataset

    return digits(options) if options.data == DIGITS else parted(read_dataset(options.data, **columns(options)))


def training_of(options: argparse.Namespace, data: Dataset, *, select: bool = True) -> OwnTraining:
    """The training that the options ask for; ``select`` says whether one of several recipes is chosen by its results."""
    from ..training.own_data import OwnTraining
    from ..training.recipe import recipes_for
    from ..training.selection import selected

    samples = len(data.parts["train"].x)
    if options.batch_size is not None and options.batch_size > samples:
        raise UsageError(f"--batch-size {options.batch_size} is more than the {samples} samples for training")
    if getattr(options, "hidden", None) is not None and data.images:
        raise UsageError("--hidden is for tables; images have a network of their own")
    names = ("batch_size", "lr", "weight_decay", "hidden")
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    recipes = [replace(recipe, **given) for recipe in recipes_for(data)]
    recipe, why = selected(data, recipes if select else recipes[:1])
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    if why:
        data = replace(data, notes=(*data.notes, why))
    return OwnTraining(data, recipe, seed=options.seed)


def _introduce(training: OwnTraining) -> None:
    data = training.data
    kind = "images" if data.images else "rows"
    counts = ", ".join(f"{len(part.x)} {name}" for name, part in data.parts.items())
    weights = sum(parameter.size for parameter in training.model.parameters())
    complain(
        f"{shown(data.path)}: {counts} {kind}; {_targets(data)}; {weights} parameters; {fastnn.backend.current_name()} backend"
    )
    for note in data.notes:
        complain(f"note: {note}")


def _targets(data: Dataset) -> str:
    if data.classes is None:
        return f"a number, {shown(data.target)}"
    names = ", ".join(map(shown, data.classes[:10])) + (", …" if len(data.classes) > 10 else "")
    return f"{len(data.classes)} classes, {names}"


def _refuse_unfinished(history: History, checkpoint: str | None) -> None:
    """A training that was interrupted, or came to numbers that are not finite, has no model."""
    if history.interrupted:
        advice = (
            "run the same command again to go on"
            if checkpoint
            else "nothing is saved: --checkpoint FILE would go on from there"
        )
        raise Interrupted(f"{history.stopped}; {advice}")
    for name, value in history[-1].items():
        if not math.isfinite(value):
            reason = history.stopped or f"{name.replace('_', ' ')} is {value} in epoch {history[-1]['epoch']}"
            raise UsageError(f"{reason}: nothing is saved; try a smaller --lr, or look at the data with `fastnn check`")
