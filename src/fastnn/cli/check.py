"""``fastnn check``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .options import DIGITS, add_data, columns, digits
from .output import say, shown

if TYPE_CHECKING:
    from ..data.source import Dataset

_SAMPLES = 2000  # the network is made for at most so many
_SEEN = 256  # samples that go through the network: few, so that the check is quick for larger images, too
# Findings that are not printed, since the review of the data says them better.
_REVIEWED = ("constant features", "duplicates", "shared rows", "one class", "labels")


def add(commands: Any) -> None:
    """Describe the command."""
    check = commands.add_parser(
        "check",
        help="say what is in data, and what looks wrong with them or the network",
        description="Say what is in a CSV file, a file of arrays or a folder of images, and what looks wrong: missing and "
        "constant values, duplicates, also between training and test part, classes with few samples, labels that leave gaps, "
        "columns that give the target away. Then the network that `fastnn train` would make is looked at before its first step: "
        "scale, initial loss, dead or saturated units, gradients, steps, and whether it can learn a few samples by heart.",
    )
    add_data(check)
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what was found, in the data and in the network that `fastnn train` would make for them."""
    from ..data.review import review, review_samples
    from ..data.source import read_dataset, recognise

    of_table = options.data != DIGITS and recognise(options.data) == "csv"
    if of_table:
        found = review(options.data, **columns(options))
        data, why = _table(options)
    else:
        data = digits(options) if options.data == DIGITS else read_dataset(options.data, **columns(options))
        found = review_samples(data)
    facts, findings = list(found.facts), list(found.findings)
    if data is not None:
        try:
            fact, wrong = _of_network(data)
        except ValueError as error:  # which the review of a table says, too
            wrong = [] if of_table else [f"`fastnn train` refuses it: {error}"]
        else:
            facts.append(fact)
        findings += wrong
    for fact in facts:
        say(shown(fact))
    for finding in findings:
        say(f"looks wrong: {shown(finding)}")
    if not findings:
        say("nothing looks wrong")
    if of_table and options.target is None:
        say(f"the network was not looked at: {shown(why)}")


def _table(options: argparse.Namespace) -> tuple[Dataset | None, str]:
    """What is in a CSV file; None and the reason where it cannot be trained on, as without a target."""
    from ..data.source import read_dataset

    try:
        return read_dataset(options.data, **columns(options)), ""
    except ValueError as error:
        return None, str(error)


def _of_network(data: Dataset) -> tuple[str, list[str]]:
    """A line about the network, and what is worse than a note in it."""
    from ..data.source import parted
    from ..diagnosis import preflight
    from ..training.own_data import OwnTraining

    training = OwnTraining(parted(_some(data)))
    optimizer = training.trainer.optimizer
    report = preflight(training.model, training.batches, training.loss, optimizer=optimizer, samples=_SEEN)
    wrong = [f for f in report if f.level in ("warning", "problem") and f.word not in _REVIEWED]
    weights = sum(parameter.size for parameter in training.model.parameters())
    checks = len({finding.word for finding in report})
    verdict = "looks wrong" if wrong else "ok"
    fact = f"network of `fastnn train`: {weights} parameters, {checks} checks before training: {verdict}"
    return fact, [f"{f.level} {f.word}: {f.message}" + (f"; {f.advice}" if f.advice else "") for f in wrong]


def _some(data: Dataset) -> Dataset:
    """A part of the training samples, spread evenly: enough to judge a network by."""
    train = data.parts["train"]
    step = slice(None, None, -(-len(train.x) // _SAMPLES))
    part = train._replace(x=train.x[step], y=None if train.y is None else train.y[step], files=train.files[step])
    return replace(data, parts=data.parts | {"train": part})
