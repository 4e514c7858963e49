"""Tables as text."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """A line per row, with each column as wide as its widest cell.

    Parameters
    ----------
    rows : iterable of sequence of str
        All of one length.
    right : container of int
        The columns whose cells lie at their right, as numbers do.

    Returns
    -------
    list of str
        Without spaces at the ends.

    Examples
    --------
    >>> from fastnn._tables import aligned
    >>> print("\\n".join(aligned([("layer", "units"), ("0", "5"), ("12", "128")], right=range(1, 2))))
    layer  units
    0          5
    12       128
    """
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
