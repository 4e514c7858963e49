"""Tables: numbers as they are, texts as one column for each category, and the schema that reads further files so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, grouped, listed
from .csv_columns import Columns, any_number, spelling
from .csv_rows import Rows, read_rows

Kind = Literal["classification", "regression"]
ColumnKind = Literal["number", "text", "target", "ignored"]

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What stands for a value that is not known."""


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
        names: list[str] = []
        for column in self.features:
            of_texts = [f"{column.name}={category}" for category in column.categories]
            names += [column.name] if column.kind == "number" else of_texts
        return tuple(names)

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
        reader = Columns("TableSchema.read", rows, self.missing, has_header)
        return self.convert(reader, self._positions(reader))

    def convert(self, reader: Columns, positions: Mapping[str, int]) -> Table:
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
        missing = {name: count for name, count in counts.items() if count}
        lines = np.array(reader.lines, np.int64)
        return Table(x, y, self.names, self.classes, missing, lines, tuple(reader.notes), self)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to read other files, as plain lists, dictionaries and strings."""
        return {
            "columns": [column._asdict() | {"categories": list(column.categories)} for column in self.columns],
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
        return (self.header and bool(first & known)) or not any_number(rows.rows[0])

    def _positions(self, reader: Columns) -> dict[str, int]:
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

    def _by_order(self, reader: Columns) -> dict[str, int]:
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

    def _features(self, reader: Columns, positions: Mapping[str, int]) -> NDArray[np.float64]:
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

    def _targets(self, reader: Columns, place: int) -> NDArray[Any]:
        reader.require_all(place)
        if self.classes is None:
            return reader.numbers(place)
        return reader.codes(place, self.classes, "a known class", spelling(self.classes))


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
