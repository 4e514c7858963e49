"""Tables from CSV files: numbers as they are, texts as one column for each category."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, class_order, grouped, listed
from .csv_rows import Rows, read_rows

Kind = Literal["classification", "regression"]
ColumnKind = Literal["number", "text", "target", "ignored"]

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What stands for a value that is not known."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WITH_COMMA = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)+(?:[eE][+-]?[0-9]+)?")
_MOST_CATEGORIES = 1000
_FEW = 20  # values: as many integers are taken for classes, and texts are categories even if each row has its own
_EXACT = 2.0**53


class Column(NamedTuple):
    """A column of a file.

    Parameters
    ----------
    name : str
        Its name, or its number from 1 where it has none.
    kind : {"number", "text", "target", "ignored"}
        What it is read as.
    categories : tuple of str, optional
        The texts that a column of text may have.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()


class Table(NamedTuple):
    """What a CSV file holds, as arrays.

    Parameters
    ----------
    x : ndarray of float64, (N, F)
        The features: numbers, with NaN where one is missing, and 0 or 1 for each category of a column of text, all 0 where
        the text is missing.
    y : ndarray, (N,), or None
        The target: int64, positions in ``classes``, or float64; None where the file has none.
    names : tuple of str
        The names of the features, ``"colour=red"`` for a category.
    classes : tuple of str or None
        The names of the classes; None for a regression or without a target.
    missing : dict
        How many values each column lacks, of those that lack any.
    lines : ndarray of int64, (N,)
        The line in which each row begins, from 1.
    notes : tuple of str
        What was assumed about the file, or left out.
    schema : TableSchema
        Reads other files into the same features.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.data import read_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "fruit.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("grams,colour,fruit\\n120,red,apple\\n,green,apple\\n7,red,cherry\\n6,red,cherry\\n")
    ...     table = read_csv(path, target="fruit")
    >>> table.names, table.classes, table.y, table.missing
    (('grams', 'colour=green', 'colour=red'), ('apple', 'cherry'), array([0, 0, 1, 1]), {'grams': 1})
    """

    x: NDArray[np.float64]
    y: NDArray[Any] | None
    names: tuple[str, ...]
    classes: tuple[str, ...] | None
    missing: dict[str, int]
    lines: NDArray[np.int64]
    notes: tuple[str, ...]
    schema: TableSchema

    def column(self, name: str) -> NDArray[Any]:
        """A feature, or the target, by its name.

        Parameters
        ----------
        name : str
            One of ``names``, or the name of the target.

        Returns
        -------
        ndarray, (N,)
            The column of ``x``, a view; or ``y``.

        Raises
        ------
        ValueError
            If there is no such column; the message lists those that are there.

        Examples
        --------
        >>> import os, tempfile
        >>> from fastnn.data import read_csv
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "sunspots.csv")
        ...     with open(path, "w") as file:
        ...         _ = file.write("spots\\n5\\n11\\n16\\n")
        ...     series = read_csv(path).column("spots")
        >>> series
        array([ 5., 11., 16.])
        """
        if name in self.names:
            return self.x[:, self.names.index(name)]
        if self.y is not None and name == self.schema.target:
            return self.y
        target = [] if self.y is None else [self.schema.target]
        raise ValueError(f"Table.column: there is no column {name!r}; there are {listed([*self.names, *target], 20)}")

    def __repr__(self) -> str:
        parts = [f"{len(self.x)} rows", f"features {listed(self.names)}"]
        if self.y is not None:
            of = "" if self.classes is None else f" of classes {listed(self.classes)}"
            parts.append(f"target {self.schema.target!r}{of}")
        if self.missing:
            parts.append(f"{sum(self.missing.values())} values missing")
        return f"Table({', '.join(parts)})"


class TableSchema:
    """What the columns of a table are, to read other files into the same features.

    Parameters
    ----------
    columns : sequence of Column
        All columns in the order of the file.
    kind : {"classification", "regression"} or None
        What the target is for; None without a target.
    classes : sequence of str or None
        The names of the classes of a classification.
    missing : sequence of str
        What stands for a missing value.
    header : bool
        Whether the columns have names, by which those of another file are found.

    Examples
    --------
    >>> from fastnn.data import TableSchema
    >>> from fastnn.data.csv_table import Column
    >>> schema = TableSchema([Column("size", "number"), Column("colour", "text", ("blue", "red"))])
    >>> schema.names
    ('size', 'colour=blue', 'colour=red')
    >>> copy = TableSchema()
    >>> copy.load_state_dict(schema.state_dict())
    >>> copy.columns == schema.columns
    True
    """

    def __init__(
        self,
        columns: Sequence[Column] = (),
        kind: Kind | None = None,
        classes: Sequence[str] | None = None,
        missing: Sequence[str] = MISSING,
        header: bool = True,
    ) -> None:
        self.columns = tuple(columns)
        self.kind = kind
        self.classes = None if classes is None else tuple(classes)
        self.missing = tuple(missing)
        self.header = header

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(
            name
            for column in self.features
            for name in (
                [column.name] if column.kind == "number" else [f"{column.name}={c}" for c in column.categories]
            )
        )

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that features are made of."""
        return tuple(column for column in self.columns if column.kind in ("number", "text"))

    @property
    def target(self) -> str | None:
        """The name of the target."""
        return next((column.name for column in self.columns if column.kind == "target"), None)

    def read(
        self, path: PathLike, *, header: bool | None = None, delimiter: str | None = None, encoding: str = "utf-8"
    ) -> Table:
        """Read another file into the same features.

        Columns are found by their names, in any order, and further ones are left out with a note. A file without a header
        is read if it has as many columns as the first one, with or without the target and those that were ignored. The
        target may be missing; ``y`` is None then, and where it has no value in any row.

        Parameters
        ----------
        path : path
            The file, gzipped or not.
        header, delimiter, encoding
            As for `read_csv`. By default the first row has the names also where it has some of this schema's.

        Returns
        -------
        Table
            With the ``names`` and ``classes`` of this schema.

        Raises
        ------
        ValueError
            As `read_csv`; and if columns are missing, or texts or classes are not among those known, which are named.
        OSError
            If the file cannot be opened.
        """
        rows = read_rows("TableSchema.read", path, delimiter, encoding)
        has_header = self._has_header(rows) if header is None else bool(header)
        reader = _Reader("TableSchema.read", rows, self.missing, has_header)
        return self._convert(reader, self._positions(reader))

    def _convert(self, reader: _Reader, positions: Mapping[str, int]) -> Table:
        """The table of columns of text, by the position of each that is known."""
        x = self._features(reader, positions)
        target = self.target
        y = None
        if target is not None and target in positions:
            values = reader.values(positions[target])
            if any(value not in reader.missing for value in values):
                y = self._targets(reader, positions[target])
            else:
                reader.notes.append(f"column {target!r}, the target, holds no value")
        counts = {column.name: reader.missing_in(positions[column.name]) for column in self.features}
        return Table(
            x,
            y,
            self.names,
            self.classes,
            {name: count for name, count in counts.items() if count},
            np.array(reader.lines, np.int64),
            tuple(reader.notes),
            self,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to read other files, as plain lists, dictionaries and strings."""
        return {
            "columns": [
                {"name": column.name, "kind": column.kind, "categories": list(column.categories)}
                for column in self.columns
            ],
            "kind": self.kind,
            "classes": None if self.classes is None else list(self.classes),
            "missing": list(self.missing),
            "header": self.header,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; it is checked before anything changes.

        Raises
        ------
        ValueError
            If the state is of something else.
        """
        loaded = _loaded(state)
        self.__dict__.update(loaded.__dict__)

    def _has_header(self, rows: Rows) -> bool:
        first = {field.strip() for field in rows.rows[0]}
        known = {column.name for column in self.columns}
        return (self.header and bool(first & known)) or not _any_number(rows.rows[0])

    def _positions(self, reader: _Reader) -> dict[str, int]:
        """Where the columns are in a file."""
        wanted = [column.name for column in self.features]
        if not (self.header and reader.header):
            return self._by_order(reader)
        places = {name: i for i, name in enumerate(reader.names)}
        lacking = [name for name in wanted if name not in places]
        if lacking:
            raise reader.error(
                f"lacks the column{'s' * (len(lacking) > 1)} {listed(lacking, 10)}; it has {listed(reader.names, 20)}"
            )
        known = {column.name for column in self.columns}
        extra = [name for name in reader.names if name not in known]
        if extra:
            reader.notes.append(f"not used: column{'s' * (len(extra) > 1)} {listed(extra)}")
        return {column.name: places[column.name] for column in self.columns if column.name in places}

    def _by_order(self, reader: _Reader) -> dict[str, int]:
        """Where the columns are in a file without names: those of the first file, or some of its kinds left out."""
        choices = {
            tuple(column.name for column in self.columns if column.kind not in left)
            for left in ((), ("target",), ("ignored",), ("target", "ignored"))
        }
        fitting = [names for names in choices if len(names) == len(reader.names)]
        if len(fitting) != 1:
            counts = " or ".join(str(n) for n in sorted({len(names) for names in choices}))
            problem = "could be read in several ways; give it a header" if fitting else f"expected {counts}"
            raise reader.error(
                f"has {len(reader.names)} columns, and names cannot tell which they are: {problem}. "
                f"The columns are {listed((column.name for column in self.columns), 20)}"
            )
        reader.notes.append(f"columns taken in the order {listed(fitting[0])}")
        return {name: i for i, name in enumerate(fitting[0])}

    def _features(self, reader: _Reader, positions: Mapping[str, int]) -> NDArray[np.float64]:
        try:
            x = np.zeros((len(reader.lines), len(self.names)))
        except MemoryError:
            size = grouped(8 * len(reader.lines) * len(self.names))
            raise reader.error(
                f"would take {size} bytes as {len(self.names)} features, more memory than there is"
            ) from None
        start = 0
        for column in self.features:
            place = positions[column.name]
            if column.kind == "number":
                x[:, start] = reader.numbers(place)
                start += 1
            else:
                codes = reader.codes(place, column.categories, "a known text")
                known = np.flatnonzero(codes >= 0)
                x[known, start + codes[known]] = 1
                start += len(column.categories)
        return x

    def _targets(self, reader: _Reader, place: int) -> NDArray[Any]:
        reader.require_all(place)
        if self.classes is None:
            return reader.numbers(place)
        return reader.codes(place, self.classes, "a known class", _spelling(self.classes))


def read_csv(
    path: PathLike,
    target: str | None = None,
    *,
    kind: Kind | None = None,
    text: Iterable[str] = (),
    ignore: Iterable[str] = (),
    missing: Iterable[str] = MISSING,
    header: bool | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
) -> Table:
    """Read a table from a CSV file, gzipped or not.

    Parameters
    ----------
    path : path
        The file.
    target : str, optional
        The name of the column that is to be predicted.
    kind : {"classification", "regression"}, optional
        What the target is. By default classes if it holds texts, or integers of at most 20 different values, each in two
        rows on average; else numbers.
    text : iterable of str
        Columns to take as text though they hold numbers, such as postal codes.
    ignore : iterable of str
        Columns to leave out.
    missing : iterable of str
        What stands for a value that is not known.
    header : bool, optional
        Whether the first row has the names. By default it has unless one of its fields is a number; a warning says
        so where its texts don't come again, as of names and years. Without a header the
        columns are called "1", "2" and so on.
    delimiter : str, optional
        By default the first of tab, ``;``, ``|``, ``,`` and blanks that cuts all rows into equally many fields, more than
        one. Several blanks count as one.
    encoding : str
        Of the text; a byte order mark of UTF-8 is passed over.

    Returns
    -------
    Table
        Features, target, names, and ``table.schema``, which reads other files into the same features.

    Raises
    ------
    ValueError
        If the file is something else, which the message names; for a row of another length, quotes that do not close, names
        that occur twice or are not there, no rows; if at least half of the values of a column are numbers and others are not;
        for numbers with a comma, and beyond the range of float64; for rows without a target. Messages name file, line, column
        and value.
    OSError
        If the file cannot be opened.

    Notes
    -----
    A column is of numbers if all its values are, and of text if fewer than half are. Fields are stripped of blanks;
    fields in quotes may hold delimiters and line ends. Lines that are blank, or hold delimiters alone, are skipped. Left out
    with a warning are columns that hold no value, and texts that hardly repeat, such as names and dates: more than 1000
    different ones, or more than 20 that are more than half of the values. Columns without a name are left out if they are
    empty or count the rows, as pandas writes them. Categories and classes
    are in natural order, those that are all integers in the order of numbers.

    Nothing is put in the place of missing values: fill them with what the training part says, as by
    ``np.where(np.isnan(x), np.nanmedian(train, axis=0), x)``, or with scikit-learn's ``SimpleImputer``.

    Numbers are float64, so that those that differ little from each other beside their size stay different; scale them before
    you bring them to float32.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.data import read_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "cars.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("hp;fuel;price\\n90;petrol;9500.5\\n120;diesel;14000\\n")
    ...     table = read_csv(path, target="price")
    ...     with open(path, "w") as file:
    ...         _ = file.write("fuel,hp\\ndiesel,75\\n")
    ...     other = table.schema.read(path)
    >>> table.x, table.y
    (array([[ 90.,   0.,   1.],
           [120.,   1.,   0.]]), array([ 9500.5, 14000. ]))
    >>> other.x, other.y
    (array([[75.,  1.,  0.]]), None)
    """
    if kind not in (None, "classification", "regression"):
        raise ValueError(f"read_csv: kind must be 'classification' or 'regression', got {kind!r}")
    rows = read_rows("read_csv", path, delimiter, encoding)
    has_header = not _any_number(rows.rows[0]) if header is None else bool(header)
    reader = _Reader("read_csv", rows, _strings("missing", missing), has_header)
    chosen = {"text": _strings("text", text), "ignore": _strings("ignore", ignore)}
    _check_names(reader, target, chosen)
    columns = []
    for place, name in enumerate(reader.names):
        if name == target:
            columns.append(Column(name, "target"))
        elif name in chosen["ignore"] or reader.is_left_out(place):
            columns.append(Column(name, "ignored"))
        else:
            columns.append(_column(reader, place, name in chosen["text"]))
    if reader.useless:
        columns_of = f"column{'s' * (len(reader.useless) > 1)} {'; '.join(reader.useless)}"
        warnings.warn(f"read_csv: {reader.path!r}: left out: {columns_of}", stacklevel=2)
    if header is None and not has_header and reader.may_have_names_in_first_row():
        warnings.warn(
            f"read_csv: {reader.path!r}: line {reader.lines[0]} was taken for data, since it holds numbers; if it has the "
            "names, such as years, pass header=True",
            stacklevel=2,
        )
    target_kind, classes = (None, None) if target is None else _classes(reader, reader.names.index(target), kind)
    schema = TableSchema(columns, target_kind, classes, reader.missing, has_header)
    if not schema.features:
        raise reader.error(
            "has no column beside the target and those that are left out"
            if len(columns) > 1 or target is None
            else f"has no column beside the target; a series is read without a target: read_csv(…).column({target!r})"
        )
    return schema._convert(reader, {name: i for i, name in enumerate(reader.names)})


class _Reader:
    """The columns of a file as text, and errors that name their lines."""

    def __init__(self, function: str, rows: Rows, missing: Sequence[str], header: bool) -> None:
        self.path = rows.path
        self.function = function
        self.missing = tuple(missing)
        self.header = header
        self.notes: list[str] = []
        self.useless: list[str] = []
        self._missing = frozenset(missing)
        body = rows.rows[1:] if header else rows.rows
        self.lines = rows.lines[1:] if header else rows.lines
        if not body:
            raise self.error("has a header and no rows")
        fields = [name.strip() for name in rows.rows[0]] if header else [""] * len(rows.rows[0])
        self.named = [bool(name) for name in fields]
        self.names = [name or str(i) for i, name in enumerate(fields, 1)]
        self._columns = [tuple(map(str.strip, column)) for column in zip(*body, strict=True)]
        if header:
            self._refuse_twins()
        else:
            self.notes.append(f"no header: columns are called 1 to {len(self.names)}")

    def may_have_names_in_first_row(self) -> bool:
        """Whether the first row has texts, and none of them comes again in its column."""
        texts = [c for c in self._columns if c[0] not in self._missing and not _any_number(c[:1])]
        return len(self.lines) > 2 and bool(texts) and not any(c[0] in c[1:] for c in texts)

    def error(self, fault: str) -> ValueError:
        return ValueError(f"{self.function}: {self.path!r} {fault}")

    def wrong(self, place: int, row: int, problem: str) -> ValueError:
        """The error for one value."""
        value = self._columns[place][row]
        shown = repr(value) if len(value) <= 60 else repr(value[:60]) + "…"
        hint = "" if self.header or row else "; if that row is a header, pass header=True"
        return self.error(f"line {self.lines[row]}: column {self.names[place]!r} holds {shown}, {problem}{hint}")

    def values(self, place: int) -> tuple[str, ...]:
        """The fields of a column without blanks around them."""
        return self._columns[place]

    def missing_in(self, place: int) -> int:
        return sum(value in self._missing for value in self.values(place))

    def is_left_out(self, place: int) -> bool:
        """Whether a column has no name, and no values either or those that pandas counts rows by."""
        if self.named[place] or not self.header:
            return False
        values = self.values(place)
        counted = any(values == tuple(map(str, range(first, first + len(values)))) for first in (0, 1))
        empty = all(value in self._missing for value in values)
        if counted or empty:
            self.notes.append(
                f"column {place + 1} has no name and {'counts the rows' if counted else 'no values'}: left out"
            )
        return counted or empty

    def left_out(self, name: str, holds: str) -> Column:
        """A column that is not read, and why."""
        self.useless.append(f"{name!r}, which holds {holds}")
        self.notes.append(f"column {name!r} holds {holds}: left out")
        return Column(name, "ignored")

    def distinct(self, place: int) -> set[str]:
        """The different values of a column."""
        return set(self.values(place)) - self._missing

    def numbers(self, place: int) -> NDArray[np.float64]:
        """A column as numbers, with NaN where one is missing."""
        numbers, others = self.parsed(place)
        if others:
            raise self.wrong(place, others[0], "expected a number")
        return numbers

    def parsed(self, place: int) -> tuple[NDArray[np.float64], list[int]]:
        """The numbers of a column, NaN elsewhere, and the rows that hold neither a number nor what stands for none."""
        if (numbers := self._all_numbers(self._columns[place])) is not None:
            return numbers, []
        numbers, others = np.full(len(self.lines), np.nan), []
        for row, value in enumerate(self.values(place)):
            if value in self._missing:
                continue
            number = float(value) if _NUMBER.fullmatch(value) else math.inf
            if math.isfinite(number):
                numbers[row] = number
            else:
                others.append(row)
        return numbers, others

    def _all_numbers(self, column: Sequence[str]) -> NDArray[np.float64] | None:
        """A column quickly, if all its fields are numbers and none of those that stand for a missing value."""
        try:
            numbers = np.fromiter(map(float, column), np.float64, len(column))
        except ValueError:
            return None
        together = "".join(
            column
        )  # Python's float takes more: infinities, NaN, underscores and digits of other scripts
        plain = np.isfinite(numbers).all() and together.isascii() and "_" not in together
        return numbers if plain and not _any_number(self._missing) else None

    def codes(
        self, place: int, known: Sequence[str], what: str, spelling: Callable[[str], str] = str
    ) -> NDArray[np.int64]:
        """The position of each value of a column in a list, −1 where it is missing."""
        code = {name: i for i, name in enumerate(known)} | dict.fromkeys(self._missing, -1)
        values = [spelling(value) for value in self.values(place)]
        strange = {value: row for row, value in reversed(list(enumerate(values))) if value not in code}
        if strange:
            first, *more = sorted(strange, key=lambda value: strange[value])
            also = f". Unknown, too: {listed(more)}" if more else ""
            raise self.wrong(place, strange[first], f"expected {what}, one of {listed(known, 20)}{also}")
        return np.fromiter((code[value] for value in values), np.int64, len(values))

    def require_all(self, place: int) -> None:
        lacking = [self.lines[i] for i, value in enumerate(self.values(place)) if value in self._missing]
        if lacking:
            shown = ", ".join(str(line) for line in lacking[:10]) + (" …" if len(lacking) > 10 else "")
            raise self.error(
                f"lacks the target {self.names[place]!r} in {len(lacking)} row{'s' * (len(lacking) > 1)}, line {shown}"
            )

    def _refuse_twins(self) -> None:
        places: dict[str, int] = {}
        for place, name in enumerate(self.names):
            if name in places:
                raise self.error(f"has two columns of the name {name!r}, column {places[name] + 1} and {place + 1}")
            places[name] = place


def _any_number(fields: Iterable[str]) -> bool:
    return any(_NUMBER.fullmatch(field.strip()) for field in fields)


def _strings(name: str, given: Iterable[str]) -> tuple[str, ...]:
    values = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"read_csv: {name} must be strings, got {values!r}")
    return values


def _check_names(reader: _Reader, target: str | None, chosen: Mapping[str, Sequence[str]]) -> None:
    for argument, names in {"target": () if target is None else (target,), **chosen}.items():
        for name in names:
            if name not in reader.names:
                raise reader.error(f"has no column {name!r} for {argument}; its columns are {listed(reader.names, 50)}")
            if name == target and argument != "target":
                raise ValueError(f"read_csv: {argument} must not name the target, {target!r}")


def _column(reader: _Reader, place: int, as_text: bool) -> Column:
    """What a column of features is; one that says nothing about other rows is left out."""
    name = reader.names[place]
    if reader.missing_in(place) == len(reader.lines):
        return reader.left_out(name, "no value")
    if not as_text and _is_numeric(
        reader, place, f"; read it as text with text=[{name!r}], or leave it out with ignore=[{name!r}]"
    ):
        return Column(name, "number")
    categories = reader.distinct(place)
    excess = _excess(reader, place, categories)
    if excess and as_text:
        raise reader.error(f"has {excess} in column {name!r}, too many for categories")
    return reader.left_out(name, excess) if excess else Column(name, "text", tuple(class_order(categories)))


def _is_numeric(reader: _Reader, place: int, advice: str) -> bool:
    """Whether a column is of numbers; an error where most are and some are not."""
    values = reader.values(place)
    _, others = reader.parsed(place)
    commas = [row for row in others if _WITH_COMMA.fullmatch(values[row])]
    present = len(values) - reader.missing_in(place)
    numbers = present - len(others)
    if commas and 2 * (numbers + len(commas)) >= present:
        raise reader.wrong(
            place, commas[0], "a number with a comma; expected a decimal point, and nothing between thousands"
        )
    if others and 2 * numbers >= present:
        raise reader.wrong(place, others[0], f"but {numbers} of its {present} values are numbers{advice}")
    return not others


def _excess(reader: _Reader, place: int, categories: set[str]) -> str:
    """How many texts a column has, if they are too many for categories, because they hardly repeat."""
    present = len(reader.lines) - reader.missing_in(place)
    if len(categories) > _MOST_CATEGORIES or (len(categories) > _FEW and 2 * len(categories) > present):
        return f"{len(categories)} different texts in {present} values"
    return ""


def _classes(reader: _Reader, place: int, kind: Kind | None) -> tuple[Kind, tuple[str, ...] | None]:
    """What the target is for, and its classes."""
    reader.require_all(place)
    if kind == "regression":
        reader.numbers(place)
        return "regression", None
    numbers, others = reader.parsed(place)
    if others:
        if kind is None:
            _is_numeric(reader, place, "; if they are names of classes pass kind='classification'")
        classes = reader.distinct(place)
        if excess := _excess(reader, place, classes):
            raise reader.error(f"has {excess} of the target {reader.names[place]!r}, too many for classes")
        return "classification", tuple(class_order(classes))
    values = np.unique(numbers)
    few = len(values) <= _FEW and 2 * len(values) <= len(numbers)
    if kind is None and not (few and (values == np.round(values)).all()):
        return "regression", None
    if len(values) > _MOST_CATEGORIES:
        raise reader.error(f"has {len(values)} different values of the target, too many for classes")
    return "classification", tuple(_shortest(value) for value in values.tolist())


def _shortest(value: float) -> str:
    """A number as a name: 3 rather than 3.0."""
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def _spelling(classes: Sequence[str]) -> Callable[[str], str]:
    """How values are spelled as classes: where those are all numbers, 3.0 and 03 are 3."""
    if not all(_NUMBER.fullmatch(name) for name in classes):
        return str
    return lambda value: _shortest(float(value)) if _NUMBER.fullmatch(value) else value


def _loaded(state: Mapping[str, Any]) -> TableSchema:
    """The schema of a state, if it is one."""
    match state:
        case {
            "columns": [*columns],
            "kind": str("classification" | "regression") | None as kind,
            "classes": list() | tuple() | None as classes,
            "missing": [*missing],
            "header": bool(header),
        }:
            pass
        case _:
            raise _strange(state)
    read = []
    for entry in columns:
        match entry:
            case {
                "name": str(name),
                "kind": str("number" | "text" | "target" | "ignored") as what,
                "categories": [*categories],
            }:
                read.append(Column(name, what, tuple(categories)))
            case _:
                raise _strange(entry)
    targets = sum(column.kind == "target" for column in read)
    listings = [[column.name for column in read], classes or [], missing, *(column.categories for column in read)]
    right = (
        targets == (kind is not None)
        and isinstance(classes, list | tuple) == (kind == "classification")
        and all(isinstance(name, str) for names in listings for name in names)
        and all(len(set(names)) == len(names) for names in listings)
        and all(column.kind == "text" or not column.categories for column in read)
    )
    if not right:
        raise _strange(state)
    return TableSchema(read, kind, classes, missing, header)


def _strange(what: object) -> ValueError:
    shown = repr(what)
    return ValueError(
        f"TableSchema.load_state_dict: expected the state of a schema, got {shown[:200]}{'…' * (len(shown) > 200)}"
    )
