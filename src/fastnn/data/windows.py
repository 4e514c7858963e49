"""Windows over a series, to forecast from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ..checks import integer, unmasked

Array = NDArray[Any]


def windows(series: ArrayLike, length: int, horizon: int = 1, stride: int = 1) -> tuple[Array, Array]:
    """Windows over a series and what follows each of them: inputs and targets of a forecast.

    Parameters
    ----------
    series : array_like, (T, …)
        One value or one array of features per point in time, such as (T,) or (T, features), of any dtype.
    length : int
        Points in an input.
    horizon : int
        Points in a target: those right after the input.
    stride : int
        Points from the start of one window to that of the next.

    Returns
    -------
    x : ndarray, (n, length, …)
        The inputs, in the order of time. x[i] begins at point i * stride.
    y : ndarray, (n, horizon, …)
        The targets. With one feature of several as the target, take ``y[..., k]``.

    Raises
    ------
    ValueError, TypeError
        If the series is shorter than one window of length + horizon points, has no axis or is masked, or a number is
        not an integer of at least 1.

    Notes
    -----
    Both are read-only views of the series, so a window takes no memory until it is in a batch.

    Split windows in time, with ``split(x, y, fractions=[0.8], in_order=True)``: neighbours share most of their points,
    so that in a random split the test's targets would be among the inputs of the training. Inputs of the first test
    windows reach back into the time of the training. That is no leak, since those values are known when the forecast is
    made. Targets of the training must not reach into the test: for horizons above the stride leave out what does, with
    ``gap=(horizon - 1) // stride``. Fit scalers on the training part alone.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import split, windows
    >>> x, y = windows(np.arange(10), length=4, horizon=2)
    >>> x.shape, x[0], y[0]
    ((5, 4), array([0, 1, 2, 3]), array([4, 5]))
    >>> train, test = split(x, y, fractions=[0.8], in_order=True, gap=1)
    >>> train[1].max(), test[1].min()
    (np.int64(7), np.int64(8))
    """
    array = np.asarray(unmasked("windows", "series", series))
    length, horizon, stride = (
        integer("windows", name, value, 1)
        for name, value in (("length", length), ("horizon", horizon), ("stride", stride))
    )
    if array.ndim == 0 or len(array) < length + horizon:
        raise ValueError(
            f"windows: a window of length={length} and horizon={horizon} needs {length + horizon} points, "
            f"got a series of shape {array.shape}"
        )
    seen = np.moveaxis(sliding_window_view(array, length + horizon, axis=0), -1, 1)[::stride]
    return seen[:, :length], seen[:, length:]
