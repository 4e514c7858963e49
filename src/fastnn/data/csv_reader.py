"""Tables from CSV files that nobody described: what the columns are follows from their values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .._files import PathLike, class_order, listed
from .csv_columns import WITH_COMMA, Columns, any_number, shortest
from .csv_rows import read_rows
from .csv_table import MISSING, Column, Kind, Table, TableSchema

_MOST_CATEGORIES = 1000
# Up to so many different integers may be classes; up to so many texts are categories even if each row has its own.
_FEW = 20


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
    has_header = not any_number(rows.rows[0]) if header is None else bool(header)
    reader = Columns("read_csv", rows, _strings("missing", missing), has_header)
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
    return schema.convert(reader, {name: i for i, name in enumerate(reader.names)})


def _strings(name: str, given: Iterable[str]) -> tuple[str, ...]:
    values = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"read_csv: {name} must be strings, got {values!r}")
    return values


def _check_names(reader: Columns, target: str | None, chosen: Mapping[str, Sequence[str]]) -> None:
    for argument, names in {"target": () if target is None else (target,), **chosen}.items():
        for name in names:
            if name not in reader.names:
                raise reader.error(f"has no column {name!r} for {argument}; its columns are {listed(reader.names, 50)}")
            if name == target and argument != "target":
                raise ValueError(f"read_csv: {argument} must not name the target, {target!r}")


def _column(reader: Columns, place: int, as_text: bool) -> Column:
    """What a column of features is; one that says nothing about other rows is left out."""
    name = reader.names[place]
    advice = f"; read it as text with text=[{name!r}], or leave it out with ignore=[{name!r}]"
    if reader.missing_in(place) == len(reader.lines):
        excess = "no value"
    elif not as_text and _is_numeric(reader, place, advice):
        return Column(name, "number")
    else:
        categories = reader.distinct(place)
        excess = _excess(reader, place, categories)
        if not excess:
            return Column(name, "text", tuple(class_order(categories)))
        if as_text:
            raise reader.error(f"has {excess} in column {name!r}, too many for categories")
    reader.leave_out(name, excess)
    return Column(name, "ignored")


def _is_numeric(reader: Columns, place: int, advice: str) -> bool:
    """Whether a column is of numbers; an error where most are and some are not."""
    values = reader.values(place)
    _, others = reader.parsed(place)
    commas = [row for row in others if WITH_COMMA.fullmatch(values[row])]
    present = len(values) - reader.missing_in(place)
    numbers = present - len(others)
    if commas and 2 * (numbers + len(commas)) >= present:
        raise reader.wrong(
            place, commas[0], "a number with a comma; expected a decimal point, and nothing between thousands"
        )
    if others and 2 * numbers >= present:
        raise reader.wrong(place, others[0], f"but {numbers} of its {present} values are numbers{advice}")
    return not others


def _excess(reader: Columns, place: int, categories: set[str]) -> str:
    """How many texts a column has, if they are too many for categories, because they hardly repeat."""
    present = len(reader.lines) - reader.missing_in(place)
    if len(categories) > _MOST_CATEGORIES or (len(categories) > _FEW and 2 * len(categories) > present):
        return f"{len(categories)} different texts in {present} values"
    return ""


def _classes(reader: Columns, place: int, kind: Kind | None) -> tuple[Kind, tuple[str, ...] | None]:
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
    return "classification", tuple(shortest(value) for value in values.tolist())
