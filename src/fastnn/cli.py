"""The command ``fastnn``: train on digits, name digits, say what is in use."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import fastnn

from .checkpoint import CheckpointError, writable_target
from .data import MissingExtraError
from .data.digit_images import SCALES, DigitImages, read_digits

if TYPE_CHECKING:
    from .training import Trainer

USAGE_ERROR = 2
INTERRUPTED = 130
READER_GONE = 141  # what shells say of programs that SIGPIPE ends


class UsageError(Exception):
    """Something the person can put right: shown without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 when all went well, 2 when the arguments, the files or the installed packages don't allow what was asked for, 130
    when interrupted by Ctrl-C, 141 when who reads the output went away, as `head` does.
    """
    try:
        return _run(_parser().parse_args(arguments))
    finally:
        _give_up(sys.stderr)


def _run(options: argparse.Namespace) -> int:
    try:
        options.run(options)
        if sys.stdout is not None:  # None: closed by who started this
            sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("fastnn: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _give_up(sys.stdout)
        return READER_GONE
    except (UsageError, CheckpointError, MissingExtraError, OSError) as error:
        _complain(f"fastnn: error: {error}")
        _give_up(sys.stdout)
        return USAGE_ERROR
    return 0


def _say(text: str) -> None:
    """Print a line, with characters that the output's encoding lacks escaped."""
    if sys.stdout is not None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _complain(text: str) -> None:
    """Print a line to stderr, where there is one that takes it."""
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            print(text, file=sys.stderr)


def _give_up(stream: TextIO | None) -> None:
    """What cannot be written now is not tried again when Python ends, which would have an exit code of its own."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Report:
    """Prints lines of a training, which goes on where they cannot be printed: `end` raises then."""

    def __init__(self) -> None:
        self._failure: OSError | None = None

    def __call__(self, text: str) -> None:
        if self._failure is None:
            try:
                _say(text)
            except OSError as error:
                self._failure = error

    def end(self) -> None:
        if self._failure is not None:
            raise self._failure


def _shown(path: str) -> str:
    """A file's name on one line, whatever characters it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description="Neural networks on plain NumPy arrays.")
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    _add_info(commands)
    return parser


def _add_train(commands: Any) -> None:
    from .training.digits import BATCH_SIZE, EPOCHS, LEARNING_RATE

    train = commands.add_parser(
        "train",
        help="train a small convolutional network on handwritten digits",
        description="Train a small convolutional network on scikit-learn's 1797 handwritten digits of 8x8 pixels, and "
        "save it. The split into training, validation and test images is always the same; a seed gives the same network, "
        "to the bit, on the same backend for any number of threads.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument("dataset", choices=["digits"], help="what to train on")
    train.add_argument("--seed", type=_integer(0), default=0, help="of weights, dropout, batches and augmentation")
    train.add_argument("--epochs", type=_integer(1), default=EPOCHS, help="passes over the training images")
    train.add_argument("--batch-size", type=_integer(1), default=BATCH_SIZE, help="images per step")
    train.add_argument("--lr", type=_positive, default=LEARNING_RATE, help="first learning rate; falls along a cosine")
    train.add_argument("--output", default="digits.npz", metavar="FILE", help="where to save the checkpoint")
    train.add_argument("--quiet", action="store_true", help="print the test accuracy only")
    _add_machine(train)
    train.set_defaults(run=_train)


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser(
        "predict",
        help="name the digits in array files or pictures",
        description="Name the digits in .npy or .npz files of arrays (one image or a batch; 8x8, flat rows of 64, or other "
        "sizes, which are fitted around the ink) and in pictures of one digit each.",
    )
    predict.add_argument("checkpoint", help="a file saved by `fastnn train digits`")
    predict.add_argument("files", nargs="+", metavar="FILE", help="array file or picture")
    predict.add_argument(
        "--array", metavar="NAME", help="which array of an .npz file; by default the only one, or 'images'"
    )
    predict.add_argument(
        "--scale",
        type=int,
        choices=SCALES,
        help="full brightness in array files; by default the smallest of the three that no pixel exceeds",
    )
    predict.add_argument(
        "--ink",
        choices=["auto", "light", "dark"],
        default="auto",
        help="is the ink lighter or darker than the ground? auto: the opposite of the outermost pixels",
    )
    predict.add_argument("--quiet", action="store_true", help="do not print how the files were understood")
    _add_machine(predict)
    predict.set_defaults(run=_predict)


def _add_info(commands: Any) -> None:
    info = commands.add_parser("info", help="say which version, backend, instruction set and threads are in use")
    info.add_argument("--json", action="store_true", help="as JSON")
    _add_machine(info)
    info.set_defaults(run=_info)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=["native", "numpy"], help="compiled, or plain NumPy and slow")
    parser.add_argument("--threads", type=_integer(1), help="threads of the compiled backend")


def _use_machine(options: argparse.Namespace) -> None:
    """Apply --backend and --threads."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fastnn.use_backend(options.backend or fastnn.backend.current_name())
            if options.threads:
                fastnn.set_num_threads(options.threads)
    except (ValueError, RuntimeError, ImportError) as error:
        raise UsageError(str(error)) from error
    if options.backend != "numpy":  # who asks for NumPy need not be told that it is slow
        for warning in caught:
            _complain(f"fastnn: warning: {warning.message}".replace("warning: fastnn:", "warning:"))


def _train(options: argparse.Namespace) -> None:
    _use_machine(options)
    from .data import load_digits
    from .training import ProgressBar
    from .training.digits import DigitsTraining

    _check_writable(options.output)
    data = load_digits()
    if options.batch_size > len(data.train.labels):
        raise UsageError(f"--batch-size {options.batch_size} is more than the {len(data.train.labels)} training images")
    training = DigitsTraining(
        data, seed=options.seed, epochs=options.epochs, batch_size=options.batch_size, lr=options.lr
    )
    report = _Report()
    if not options.quiet:
        weights = sum(parameter.size for parameter in training.model.parameters())
        counts = ", ".join(f"{len(part.labels)} {name}" for name, part in zip(data._fields, data, strict=True))
        report(f"digits: {counts} images; {weights} parameters; {fastnn.backend.current_name()} backend")
    started = time.perf_counter()
    steps = options.epochs * len(training.batches)
    with ProgressBar(steps, enabled=not options.quiet) as bar:
        show = () if options.quiet else (_epoch_printer(report, bar, options.epochs),)
        training.fit(callbacks=(_stop_at_nan, *show), progress=bar)
    seconds = time.perf_counter() - started
    test = training.test()
    _refuse_nan(test, "in the test")
    training.save(options.output)
    if not options.quiet:
        report(f"trained in {seconds:.1f} s, saved to {_shown(options.output)}")
    right = round(test["accuracy"] * len(data.test.labels))
    report(
        f"test loss {test['loss']:.4f}, accuracy {100 * test['accuracy']:.2f} % ({right} of {len(data.test.labels)})"
    )
    report.end()


def _stop_at_nan(trainer: Trainer) -> None:
    _refuse_nan(trainer.history[-1], f"in epoch {trainer.epoch}")


def _refuse_nan(figures: Mapping[str, float], where: str) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise UsageError(f"{name.replace('_', ' ')} is {value} {where}: nothing is saved; try a smaller --lr")


def _epoch_printer(report: _Report, bar: Any, epochs: int) -> Callable[[Trainer], None]:
    width = len(str(epochs))
    started = time.perf_counter()

    def show(trainer: Trainer) -> None:
        nonlocal started
        now = time.perf_counter()
        record = trainer.history[-1]
        figures = "   ".join(
            f"{part} loss {record[f'{part}_loss']:.4f} accuracy {100 * record[f'{part}_accuracy']:6.2f} %"
            for part in ("train", "validation")
        )
        bar.clear()
        report(f"epoch {trainer.epoch:{width}}/{epochs}   {figures}   {now - started:.2f} s")
        started = now

    return show


def _check_writable(path: str) -> None:
    """Find out before the training, not after it, that its result cannot be saved."""
    try:
        folder = os.path.dirname(writable_target(path))
    except (CheckpointError, OSError) as error:
        raise UsageError(f"cannot write {path!r}: {error}") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path!r}: no permission to write in {folder!r}")


def _predict(options: argparse.Namespace) -> None:
    _use_machine(options)
    from .training.digits import load_digits_model, predict_digits

    model = load_digits_model(options.checkpoint)
    for path in options.files:
        try:
            read = read_digits(path, name=options.array, scale=options.scale, ink=options.ink)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{_shown(path)}: {error}") from error
        if not options.quiet:
            _complain(_understood(_shown(path), read))
        probabilities = predict_digits(model, read.images)
        for i, (image, row) in enumerate(zip(read.images, probabilities, strict=True)):
            label = _shown(path) + (f"[{i}]" if len(read.images) > 1 else "")
            answer = f"{row.argmax()} ({100 * row.max():.1f} %)" if image.any() else "blank"
            _say(f"{label}: {answer}")


def _understood(path: str, read: DigitImages) -> str:
    count = len(read.images)
    inverted = f", {read.inverted if count > 1 else ''} dark on light".replace("  ", " ") if read.inverted else ""
    return f"{path}: shape {read.shape}, {count} image{'s' * (count != 1)}, brightness 0…{read.scale}{inverted}"


def _info(options: argparse.Namespace) -> None:
    _use_machine(options)
    if options.json:
        print(json.dumps(fastnn.show_config("dicts"), indent=2))
    else:
        fastnn.show_config()


def _integer(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    parse.__name__ = "integer"  # argparse shows it: "invalid integer value"
    return parse


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return value


_positive.__name__ = "number"
