"""The error of all readers and writers of weights."""

from __future__ import annotations


class WeightsError(ValueError):
    """A file holds no weights that can be read, is damaged, or is of another kind; or a path cannot take weights.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn as fnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.pt")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(b"something else")
    ...     try:
    ...         fnn.load_weights(path)
    ...     except fnn.WeightsError as error:
    ...         print(str(error).replace(path, "model.pt").partition("; expected")[0])
    load_weights: 'model.pt' is text that begins with 'something else'
    """
