"""What is in data, and what looks wrong with it, before anybody trains on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, listed
from .csv_rows import read_rows
from .csv_table import MISSING, Kind, _any_number, _Reader
from .source import Dataset, Part, parted, read_dataset, recognise

_FEW = 5  # samples of a class, fewer than which can hardly be learnt and tested
_UNEVEN = 10  # times as many samples in the largest class as in the smallest
_MANY = 30  # classes or columns, after which no more are listed
_LEAST_ROWS = 10  # for columns to look like counters


class Review(NamedTuple):
    """What was found.

    Parameters
    ----------
    facts : list of str
        What is in the data.
    findings : list of str
        What looks wrong.
    """

    facts: list[str]
    findings: list[str]


def review(
    path: PathLike,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    text: Iterable[str] = (),
    ignore: Iterable[str] = (),
    size: int | None = None,
) -> Review:
    """Look at data before training on them.

    Parameters
    ----------
    path, target, kind, text, ignore, size
        As for `fastnn.data.source.read_dataset`; a target is looked for only where one is named.

    Returns
    -------
    Review
        Facts and findings, as lines of text.

    Raises
    ------
    ValueError, TypeError, MissingExtraError, OSError
        If the data cannot be read at all.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.data.review import review
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("size,unit,price\\n3,cm,4.5\\n1,cm,1.5\\n2,cm,3.5\\n")
    ...     review(path, target="price").findings
    ["column 'unit' is constant, 'cm'"]
    """
    options: dict[str, Any] = {"kind": kind, "text": tuple(text), "ignore": tuple(ignore)}
    if recognise(path) != "csv":
        data = read_dataset(path, target=target, size=size, **options)
        return Review([*_of_parts(data)], [*_wrong_with_parts(data)])
    facts, findings = _of_table(path, target, options["ignore"])
    if target is not None:
        try:
            data = parted(read_dataset(path, target=target, **options))
        except ValueError as error:  # what the columns are like is known all the same
            findings.append(f"`fastnn train` refuses it: {error}")
        else:
            facts += _of_target(data)
            findings += [*_wrong_with_classes(data), *_giving_away(data)]
    return Review(facts, findings)


# ---- samples of any kind --------------------------------------------------------------------------------------------------


def _of_parts(data: Dataset) -> Iterator[str]:
    for name, part in data.parts.items():
        what = "images" if data.images else "rows"
        shape = "×".join(map(str, part.x.shape[1:]))
        finite = part.x[np.isfinite(part.x)]
        span = f"{finite.min():.6g} to {finite.max():.6g}, mean {finite.mean():.6g}" if finite.size else "nothing finite"
        yield f"{name}: {len(part.x)} {what} of {shape}; values {span}"
    yield from _of_target(data)
    yield from data.notes


def _of_target(data: Dataset) -> Iterator[str]:
    parts = {name: part.y for name, part in data.parts.items() if part.y is not None}
    if data.classes is None:
        every = np.concatenate(list(parts.values()))
        yield f"target {data.target}: numbers, {every.min():.6g} to {every.max():.6g}, mean {every.mean():.6g}"
        return
    counts = {name: np.bincount(y, minlength=len(data.classes)) for name, y in parts.items()}
    if data.form == "csv":  # the split is ours
        counts = {"all": np.sum(list(counts.values()), axis=0)}
    for i, name in enumerate(data.classes[:_MANY]):
        yield f"class {name}: " + ", ".join(f"{count[i]}{'' if part == 'all' else ' ' + part}" for part, count in counts.items())
    if len(data.classes) > _MANY:
        yield f"and {len(data.classes) - _MANY} more classes"


def _wrong_with_parts(data: Dataset) -> Iterator[str]:
    for name, part in data.parts.items():
        lost = int(np.count_nonzero(np.isinf(part.x) | (np.isnan(part.x) if data.images else False)))
        if lost:
            yield f"{name}: {lost} values are not finite"
        if data.images:
            yield from _constant_images(name, part)
        else:
            yield from _wrong_with_columns(name, part)
    yield from _duplicates(data)
    yield from _wrong_with_classes(data)
    if not data.images:
        yield from _giving_away(data)


def _constant_images(name: str, part: Part) -> Iterator[str]:
    flat = part.x.reshape(len(part.x), -1)
    constant = np.flatnonzero(flat.min(axis=1) == flat.max(axis=1))
    if constant.size:
        yield f"{name}: {constant.size} images of a single value: {_which(part, constant)}"


def _wrong_with_columns(name: str, part: Part) -> Iterator[str]:
    missing = np.isnan(part.x).sum(axis=0)
    with np.errstate(all="ignore"):
        filled = np.where(np.isnan(part.x), part.x[0], part.x)
        constant = (filled == filled[0]).all(axis=0)
    for found, what in ((missing > 0, "have missing values"), (constant, "are constant")):
        columns = (np.flatnonzero(found) + 1).tolist()
        if columns:
            yield f"{name}: columns that {what}: {listed(columns, 10)}"


def _which(part: Part, rows: NDArray[Any]) -> str:
    return listed(part.files[row] for row in rows) if part.files else f"number {', '.join(map(str, rows[:5] + 1))}" + (
        " …" if len(rows) > 5 else ""
    )


def _duplicates(data: Dataset) -> Iterator[str]:
    """Equal samples within parts, and of parts whose test would then be of what was learnt."""
    seen: dict[bytes, tuple[str, int | float | None]] = {}
    within: Counter[str] = Counter()
    between: Counter[tuple[str, str]] = Counter()
    contradicting = 0
    for name, part in data.parts.items():
        for row, sample in enumerate(part.x):
            target = None if part.y is None else part.y[row].item()
            before = seen.setdefault(sample.tobytes(), (name, target))
            if before is seen.get(sample.tobytes()) and before == (name, target) and _first(seen, sample, name, row):
                continue
            if before[0] == name:
                within[name] += 1
            else:
                between[before[0], name] += 1
            contradicting += before[1] != target
    for name, count in within.items():
        yield f"{name}: {count} samples are there twice or more"
    for (first, second), count in between.items():
        yield f"{count} samples of {second} are in {first}, too: a model knows them already"
    if contradicting:
        yield f"{contradicting} samples are there with another target, too"
