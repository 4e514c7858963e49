"""``fastnn predict``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.digit_images import SCALES, DigitImages, read_digits
from .options import add_machine, use_machine
from .output import UsageError, complain, say, shown

if TYPE_CHECKING:
    from ..training.predictor import Predictor, Samples

_DIGITS = ("array", "scale", "ink")


def add(commands: Any) -> None:
    """Describe the command."""
    predict = commands.add_parser(
        "predict",
        help="predict with a model of `fastnn train`",
        description="Predict with a model that `fastnn train` saved. Files are such as it was trained on: CSV files, whose "
        "columns are found by their names, arrays, IDX files, pictures, or folders of these. Where they hold the target too, "
        "the last line says how good the predictions are. The model of `fastnn train digits` names digits in .npy or .npz files "
        "(one image or a batch; 8x8, flat rows of 64, or other sizes, which are fitted around the ink) and in pictures of one "
        "digit each.",
    )
    predict.add_argument("model", metavar="MODEL", help="a file saved by `fastnn train`")
    predict.add_argument("files", nargs="+", metavar="FILE", help="what to predict for")
    digits = predict.add_argument_group("for the model of `fastnn train digits`")
    digits.add_argument(
        "--array", metavar="NAME", help="which array of an .npz file; by default the only one, or 'images'"
    )
    digits.add_argument(
        "--scale",
        type=int,
        choices=SCALES,
        help="full brightness in array files; by default the smallest of the three that no pixel exceeds",
    )
    digits.add_argument(
        "--ink",
        choices=["auto", "light", "dark"],
        help="is the ink lighter or darker than the ground? auto, the default: the opposite of the outermost pixels",
    )
    predict.add_argument("--quiet", action="store_true", help="do not print how the files were understood")
    add_machine(predict)
    predict.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print a line for each sample."""
    use_machine(options)
    from ..training.predictor import Predictor

    predictor = Predictor(options.model)
    if predictor.form == "digits":
        _name_digits(options, predictor)
        return
    for name in _DIGITS:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for the model of `fastnn train digits`")
    known: list[tuple[np.ndarray, np.ndarray]] = []
    for path in options.files:
        samples = predictor.read(path)
        if not options.quiet:
            for note in samples.notes:
                complain(f"{shown(path)}: {note}")
        found = predictor.predict(samples.x)
        _print(predictor, samples, found)
        if samples.y is not None:
            known.append((found, samples.y))
    if known:
        found, right = (np.concatenate(parts) for parts in zip(*known, strict=True))
        say(_judged(found, right))


def _print(predictor: Predictor, samples: Samples, found: np.ndarray) -> None:
    for name, row in zip(samples.names, found, strict=True):
        if predictor.classes is None:
            say(f"{shown(name)}: {row:.8g}")
        else:
            best = int(row.argmax())
            say(f"{shown(name)}: {shown(predictor.classes[best])} ({100 * row[best]:.1f} %)")


def _judged(found: np.ndarray, right: np.ndarray) -> str:
    if found.ndim == 2:
        hits, count = int((found.argmax(axis=1) == right).sum()), len(right)
        return f"accuracy {100 * hits / count:.2f} % ({hits} of {count})"
    from ..training.metrics import r2
    from ..training.own_data import errors, rmse

    return errors(rmse(found, right), r2(found, right), len(right))


def _name_digits(options: argparse.Namespace, predictor: Predictor) -> None:
    for path in options.files:
        try:
            read = read_digits(path, name=options.array, scale=options.scale, ink=options.ink or "auto")
        except (ValueError, TypeError) as error:
            raise UsageError(f"{shown(path)}: {error}") from error
        if not options.quiet:
            complain(_understood(shown(path), read))
        for i, (image, row) in enumerate(zip(read.images, predictor.predict(read.images), strict=True)):
            label = shown(path) + (f"[{i}]" if len(read.images) > 1 else "")
            answer = f"{row.argmax()} ({100 * row.max():.1f} %)" if image.any() else "blank"
            say(f"{label}: {answer}")


def _understood(path: str, read: DigitImages) -> str:
    count = len(read.images)
    inverted = f", {read.inverted if count > 1 else ''} dark on light".replace("  ", " ") if read.inverted else ""
    return f"{path}: shape {read.shape}, {count} image{'s' * (count != 1)}, brightness 0…{read.scale}{inverted}"
