"""What is in data, and what looks wrong with it, before anybody trains on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, listed
from ..checks import counted
from .csv_columns import Columns, any_number
from .csv_rows import read_rows
from .csv_table import MISSING, Kind
from .source import Dataset, Part, parted, read_dataset, recognise

_FEW = 5  # a class with fewer samples can hardly be learnt and tested
_UNEVEN = 10  # classes are uneven if the largest has more than so many times the samples of the smallest
_MANY = 30  # at most so many classes or columns are listed
_LEAST_ROWS = 10  # with fewer rows, no column is said to look like a counter


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
    header: bool | None = None,
    size: int | None = None,
) -> Review:
    """Look at data before training on them.

    Parameters
    ----------
    path, target, kind, text, ignore, header, size
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
    ...     review(path).findings
    ["column 'unit' is constant, 'cm'"]
    """
    options: dict[str, Any] = {"kind": kind, "text": tuple(text), "ignore": tuple(ignore), "header": header}
    if recognise(path) != "csv":
        return review_samples(read_dataset(path, target=target, size=size, **options))
    facts, findings = _of_table(path, target, options["ignore"], header)
    if target is not None:
        try:
            data = parted(read_dataset(path, target=target, **options))
        except ValueError as error:  # what is known of the columns is reported all the same
            findings.append(f"`fastnn train` refuses it: {error}")
        else:
            facts += _of_target(data)
            findings += [*_wrong_with_classes(data), *_giving_away(data)]
    return Review(facts, findings)


def review_samples(data: Dataset) -> Review:
    """What is in samples that were read, and what looks wrong with them.

    >>> import numpy as np
    >>> from fastnn.data.review import review_samples
    >>> from fastnn.data.source import Dataset, Part
    >>> images = np.zeros((2, 1, 8, 8), np.float32)
    >>> review_samples(Dataset("a", "arrays", {"train": Part(images, np.array([0, 1]))}, ("0", "1"))).findings[0]
    'train: 2 images of a single value: number 1, 2'
    """
    return Review([*_of_parts(data)], [*_wrong_with_parts(data)])


# ---- samples of any kind --------------------------------------------------------------------------------------------------


def _of_parts(data: Dataset) -> Iterator[str]:
    for name, part in data.parts.items():
        what = "image" if data.images else "row"
        shape = "×".join(map(str, part.x.shape[1:]))
        finite = part.x[np.isfinite(part.x)]
        span = (
            f"{finite.min():.6g} to {finite.max():.6g}, mean {finite.mean():.6g}" if finite.size else "nothing finite"
        )
        yield f"{name}: {counted(len(part.x), what)} of {shape}; values {span}"
    yield from _of_target(data)
    yield from data.notes


def _of_target(data: Dataset) -> Iterator[str]:
    parts = {name: part.y for name, part in data.parts.items() if part.y is not None}
    if data.classes is None:
        every = np.concatenate(list(parts.values()))
        yield f"target {data.target}: numbers, {every.min():.6g} to {every.max():.6g}, mean {every.mean():.6g}"
        return
    counts = {name: np.bincount(y, minlength=len(data.classes)) for name, y in parts.items()}
    if data.form == "csv":  # fastnn made the split, so its parts say nothing of the data
        counts = {"all": np.sum(list(counts.values()), axis=0)}
    for i, name in enumerate(data.classes[:_MANY]):
        yield f"class {name}: " + ", ".join(
            f"{count[i]}{'' if part == 'all' else ' ' + part}" for part, count in counts.items()
        )
    if len(data.classes) > _MANY:
        yield f"and {counted(len(data.classes) - _MANY, 'more class', 'es')}"
    total = np.sum(list(counts.values()), axis=0)
    if total.all():  # each class has samples: the reader has numbered the labels that it found
        yield from (f"note: {found}; here the classes are numbered from 0 on" for found in _labels(data.classes, total))


def _wrong_with_parts(data: Dataset) -> Iterator[str]:
    for name, part in data.parts.items():
        lost = int(np.count_nonzero(np.isinf(part.x) | (np.isnan(part.x) if data.images else False)))
        if lost:
            yield f"{name}: {_count(lost, 'value')} not finite"
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
        yield f"{name}: {counted(constant.size, 'image')} of a single value: {_which(part, constant)}"


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
    return (
        listed(part.files[row] for row in rows)
        if part.files
        else f"number {', '.join(map(str, rows[:5] + 1))}" + (" …" if len(rows) > 5 else "")
    )


def _duplicates(data: Dataset) -> Iterator[str]:
    """Equal samples within parts, and in two parts: the test is then of what was learnt."""
    first: dict[bytes, tuple[str, Any]] = {}
    within: Counter[str] = Counter()
    between: Counter[tuple[str, str]] = Counter()
    contradicting = 0
    for name, part in data.parts.items():
        targets = [None] * len(part.x) if part.y is None else part.y.tolist()
        for sample, target in zip(part.x, targets, strict=True):
            content = sample.tobytes()
            if content not in first:
                first[content] = name, target
                continue
            where, other = first[content]
            if where == name:
                within[name] += 1
            else:
                between[where, name] += 1
            contradicting += other != target
    for name, count in within.items():
        yield f"{name}: {_count(count, 'sample')} there before"
    for (earlier, later), count in between.items():
        yield f"{later}: {_count(count, 'sample')} also in {earlier}, so that a test is of what was learnt"
    if contradicting:
        yield f"{_count(contradicting, 'sample')} there before with another target"


def _count(number: int, what: str) -> str:
    return f"{counted(number, what)} {'is' if number == 1 else 'are'}"


def _wrong_with_classes(data: Dataset) -> Iterator[str]:
    if data.classes is None:
        return
    labels = {name: part.y for name, part in data.parts.items() if part.y is not None}
    counts = np.bincount(np.concatenate(list(labels.values())), minlength=len(data.classes))
    if not counts.all():  # some label never comes, and yet a network would have an output for it
        yield from _labels(data.classes, counts)
    few = [name for name, count in zip(data.classes, counts, strict=True) if 0 < count < _FEW]
    if few:
        yield f"classes with fewer than {_FEW} samples: {listed(few, 10)}"
    present = counts[counts > 0]
    if len(present) == 1:
        yield "there is only one class"
    elif present.size and present.max() > _UNEVEN * present.min():
        yield f"the largest class has {counted(present.max(), 'sample')}, the smallest {present.min()}"
    for name, found in labels.items():
        new = np.setdiff1d(found, labels["train"])
        if new.size:
            yield f"{name}: classes that the training part lacks: {listed([data.classes[i] for i in new], 10)}"


def _labels(classes: Sequence[str], counts: NDArray[np.int64]) -> Iterator[str]:
    """Labels that are numbers, but not 0, 1, 2 and so on."""
    if not all(name.lstrip("-").isdecimal() for name in classes):
        return
    labels = sorted(int(name) for name, count in zip(classes, counts, strict=True) if count)
    if not labels:
        return
    if labels[0] != 0:
        yield f"labels begin at {labels[0]}, not at 0"
    gaps = sorted(set(range(labels[0], min(labels[-1], labels[0] + 10_000))) - set(labels))
    if gaps:
        yield f"labels leave gaps: there is no {', '.join(map(str, gaps[:10]))}{' …' * (len(gaps) > 10)}"


def _giving_away(data: Dataset) -> Iterator[str]:
    """Columns that equal the target, or name the class in other words."""
    x = np.concatenate([part.x for part in data.parts.values()])
    y = np.concatenate([part.y for part in data.parts.values() if part.y is not None])
    names = data.schema.names if data.schema is not None else ()
    away = [name for name, column in zip(names, x.T, strict=True) if _tells(column, y, data.classes is not None)]
    if away:
        yield f"columns that give the target away: {listed(away, 10)}"


def _tells(column: NDArray[np.float64], y: NDArray[Any], classes: bool) -> bool:
    if np.isnan(column).any() or (column == column[0]).all() or (y == y[0]).all():
        return False
    if classes:
        values, codes = np.unique(column, return_inverse=True)
        few = len(values) <= len(column) // 5 and len(values) <= 2 * len(np.unique(y))
        return few and len(np.unique(codes * (int(y.max()) + 1) + y)) == len(values)
    centred = [v - v.mean() for v in (column, y)]
    lengths = [float(np.linalg.norm(v)) for v in centred]
    return bool(len(y) > 2 and min(lengths) > 0 and abs(centred[0] @ centred[1]) > (1 - 1e-9) * lengths[0] * lengths[1])


# ---- columns of a CSV file ------------------------------------------------------------------------------------------------


def _of_table(
    path: PathLike, target: str | None, ignore: Sequence[str], header: bool | None
) -> tuple[list[str], list[str]]:
    rows = read_rows("review", path, None, "utf-8")
    reader = Columns("review", rows, MISSING, not any_number(rows.rows[0]) if header is None else header)
    facts = [
        f"{os.fspath(path)}: {counted(len(reader.lines), 'row')} of {counted(len(reader.names), 'column')}",
        *reader.notes,
    ]
    findings = []
    for place, name in enumerate(reader.names):
        if name in ignore:
            continue
        fact, found = _of_column(reader, place, name == target)
        facts.append(fact)
        findings += found
    repeated = Counter(map(tuple, rows.rows[-len(reader.lines) :]))
    twins = sum(count - 1 for count in repeated.values())
    if twins:
        findings.append(f"{_count(twins, 'row')} there before")
    findings += _equal_columns(reader, target)
    return facts, findings


def _of_column(reader: Columns, place: int, is_target: bool) -> tuple[str, list[str]]:
    """What a column holds, and what is wrong with it."""
    name = reader.names[place]
    values = [value for value in reader.values(place) if value not in MISSING]
    missing = len(reader.lines) - len(values)
    different = len(set(values))
    numbers, others = reader.parsed(place)
    found = []
    lacking = f", {missing} missing" if missing else ""
    if missing:
        found.append(f"column {name!r} lacks {missing} of {counted(len(reader.lines), 'value')}")
    if not values:
        return f"column {name}: empty", found
    if different == 1 and not is_target:
        found.append(f"column {name!r} is constant, {values[0][:40]!r}")
    if others and len(others) < len(values):
        line = reader.lines[others[0]]
        found.append(
            f"column {name!r} holds numbers and {counted(len(others), 'text')}, the first {values_at(reader, place, others[0])!r} in line {line}"
        )
    if not is_target and _counts(numbers, others, different, len(values)):
        found.append(f"column {name!r} has another value in each row: it seems to name the rows")
    if others:
        common = ", ".join(f"{value[:20]} ({count})" for value, count in Counter(values).most_common(3))
        return f"column {name}: text, {different} different: {common}{', …' if different > 3 else ''}{lacking}", found
    there = numbers[~np.isnan(numbers)]
    return (
        f"column {name}: numbers, {there.min():.6g} to {there.max():.6g}, mean {there.mean():.6g}, {different} different{lacking}",
        found,
    )


def values_at(reader: Columns, place: int, row: int) -> str:
    """A field, shortened."""
    return reader.values(place)[row][:40]


def _counts(numbers: NDArray[np.float64], others: list[int], different: int, values: int) -> bool:
    """Whether a column seems to name rows: texts or integers that are all different, and integers that also run on."""
    if different < values or values < _LEAST_ROWS:
        return False
    if others:
        return True
    there = np.sort(numbers[~np.isnan(numbers)])
    return bool((there == np.round(there)).all() and there[-1] - there[0] < 2 * values)


def _equal_columns(reader: Columns, target: str | None) -> Iterator[str]:
    known: dict[tuple[str, ...], str] = {}
    for place, name in enumerate(reader.names):
        twin = known.setdefault(tuple(reader.values(place)), name)
        if twin != name:
            away = ": it gives the target away" if target in (name, twin) else ""
            yield f"columns {twin!r} and {name!r} are equal{away}"
