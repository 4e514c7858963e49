"""Distributions that are fitted to data, to draw more such data from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import array, generator, integer, real, shown
from .samples import classes_of
from .shares import of_classes

Array = NDArray[Any]
Floats = NDArray[np.float64]
Kind = Literal["gaussian", "kde"]

_KINDS = ("gaussian", "kde")
_STATE = {"kind", "shape", "dtype", "classes", "class_dtype", "counts", "parts"}
_PART = {"points", "vectors", "deviations", "floor"}
_CLASS_KINDS = "iubU"
_AT_ONCE = 1 << 23  # distances that are held at the same time


def fit_distribution(
    x: ArrayLike, y: ArrayLike | None = None, *, kind: Kind = "gaussian", shrinkage: float | Literal["auto"] = "auto"
) -> Distribution:
    """Estimate the distribution of data, to draw new samples from it.

    Parameters
    ----------
    x : array_like of float32 or float64, (N, …)
        The training part of the data, such as features (N, D) or images (N, C, H, W).
    y : array_like of int, bool or str, (N,), optional
        The class of each sample. A distribution is then fitted to each class.
    kind : {"gaussian", "kde"}
        One normal distribution, or a kernel density: a normal distribution around each sample.
    shrinkage : float or "auto"
        How far the covariance S is moved towards a multiple of the unit matrix of equal trace:
        (1 - shrinkage) S + shrinkage tr(S)/D I, with a number in [0, 1]. "auto" estimates which number
        gives the least expected squared error (Ledoit and Wolf 2004); the covariance of fewer samples than features
        becomes invertible by it, too.

    Returns
    -------
    Distribution
        From which to `sample`.

    Raises
    ------
    ValueError, TypeError
        If `x` is of another dtype, holds NaN or infinity, or has fewer than two samples (in a class), `y` does not hold
        classes or is of another length, or an option is unknown.

    Notes
    -----
    The Gaussian has the mean and the covariance of the data (divided by N). The kernel's covariance is that of
    the data (divided by N - 1) times h², h = N^(-1/(D + 4)) (Scott 1992). With many features h is near 1, and the
    samples have nearly twice the variance of the data: for images take the Gaussian.

    Shrinkage after O. Ledoit and M. Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
    Journal of Multivariate Analysis 88 (2004).

    No D×D matrix is made where there are fewer samples than features.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import fit_distribution
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((100, 3)), np.repeat([0, 1], [75, 25])
    >>> x_new, y_new = fit_distribution(x, y).sample(8, rng=1)
    >>> x_new.shape, np.bincount(y_new)
    ((8, 3), array([6, 2]))
    """
    given = array("fit_distribution", "x", x)
    if given.ndim == 0 or 0 in given.shape[1:]:
        raise ValueError(f"fit_distribution: x must have shape (N, …) with values per sample, got {given.shape}")
    _refuse_not_finite("fit_distribution", given)
    if kind not in _KINDS:
        raise ValueError(f"fit_distribution: kind must be 'gaussian' or 'kde', got {shown(kind)}")
    amount = None if shrinkage == "auto" else real("fit_distribution", "shrinkage", shrinkage, 0, 1)
    classes, codes = _classes(y, len(given))
    counts = np.bincount(codes, minlength=1)
    if counts.min() < 2:
        of = "" if classes is None else f" of class {classes.tolist()[int(np.argmin(counts))]!r}"
        raise ValueError(f"fit_distribution: there must be at least 2 samples{of}, got {counts.min()}")
    rows = _rows(given).astype(np.float64)
    return Distribution(
        {
            "kind": kind,
            "shape": list(given.shape[1:]),
            "dtype": given.dtype.name,
            "classes": None if classes is None else classes.tolist(),
            "class_dtype": None if classes is None else classes.dtype.str,
            "counts": counts,
            "parts": [_fitted(rows[codes == code], kind, amount) for code in range(len(counts))],
        }
    )


class Distribution:
    """A distribution of samples, and of their classes, as `fit_distribution` makes it.

    Parameters
    ----------
    state : mapping
        What `state_dict` of another gives.

    Raises
    ------
    ValueError, TypeError
        If the state is incomplete or does not fit together.

    Notes
    -----
    A checkpoint keeps it as its ``state_dict()``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Distribution, fit_distribution
    >>> fitted = fit_distribution(np.random.default_rng(0).standard_normal((50, 2)), kind="kde")
    >>> again = Distribution(fitted.state_dict())
    >>> bool((again.sample(5, rng=0)[0] == fitted.sample(5, rng=0)[0]).all())
    True
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.load_state_dict(state)

    def sample(self, n: int, rng: Any) -> tuple[Array, ...]:
        """Draw new samples.

        Parameters
        ----------
        n : int
            How many.
        rng
            Anything `numpy.random.default_rng` takes.

        Returns
        -------
        tuple of ndarray
            (x, y), or (x,) where no classes were given: x (n, …) of the shape and dtype fitted, y (n,). The classes
            come in the proportions of the data, to a sample, and in random order.

        Raises
        ------
        ValueError, TypeError
            If `n` is not an integer of at least 0, or `rng` no source of random numbers.
        """
        n, random = integer("sample", "n", n, 0), generator("sample", rng)
        drawn = np.repeat(np.arange(len(self._counts)), of_classes(self._counts, n, random))
        drawn = random.permutation(drawn)
        rows = np.empty((n, self._parts[0]["points"].shape[1]), self._dtype)
        for code, part in enumerate(self._parts):
            mine = np.flatnonzero(drawn == code)
            rows[mine] = _drawn(part, len(mine), random)
        x = rows.reshape(n, *self._shape)
        return (x,) if self._classes is None else (x, self._classes[drawn])

    def log_density(self, x: ArrayLike) -> NDArray[np.float64]:
        """The logarithm of the density at given points; of classes together, in their proportions.

        Parameters
        ----------
        x : array_like of float32 or float64, (n, …)
            Points of the shape that was fitted.

        Returns
        -------
        ndarray of float64, (n,)
            Natural logarithms.

        Raises
        ------
        ValueError, TypeError
            If the shape or dtype differs, there are NaN or infinities, or there is no density, since the covariance is
            singular.
        """
        given = array("log_density", "x", x)
        if given.ndim == 0 or given.shape[1:] != self._shape:
            expected = ", ".join(["n", *map(str, self._shape)])
            raise ValueError(f"log_density: x must have shape ({expected}), got {given.shape}")
        _refuse_not_finite("log_density", given)
        rows = _rows(given).astype(np.float64)
        shares = np.log(self._counts / self._counts.sum())
        logs = [share + _log_density(part, rows) for share, part in zip(shares, self._parts, strict=True)]
        return _log_sum(np.stack(logs, axis=1))

    def state_dict(self) -> dict[str, Any]:
        """All that was estimated, as plain arrays, numbers and strings."""
        classes = self._classes
        return {
            "kind": self._kind,
            "shape": list(self._shape),
            "dtype": self._dtype.name,
            "classes": None if classes is None else classes.tolist(),
            "class_dtype": None if classes is None else classes.dtype.str,
            "counts": self._counts.copy(),
            "parts": [
                {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in part.items()}
                for part in self._parts
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the distribution that ``state`` is from.

        Raises
        ------
        ValueError, TypeError
            If the state is incomplete or does not fit together; nothing is changed.
        """
        if not isinstance(state, Mapping) or state.keys() != _STATE:
            found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"Distribution: the state has {found}, expected {sorted(_STATE)}")
        if not all(isinstance(state[name], str) for name in ("kind", "dtype")):
            raise TypeError(f"Distribution: kind and dtype must be names, got {shown([state['kind'], state['dtype']])}")
        if state["kind"] not in _KINDS or state["dtype"] not in ("float32", "float64"):
            raise ValueError(f"Distribution: unknown kind {shown(state['kind'])} or dtype {shown(state['dtype'])}")
        if not isinstance(state["shape"], (list, tuple)) or not isinstance(state["parts"], (list, tuple)):
            raise TypeError("Distribution: shape and parts must be lists")
        shape = tuple(integer("Distribution", "shape", side, 1) for side in state["shape"])
        counts = _as_array("counts", state["counts"], np.intp)
        parts = [_checked(part, math.prod(shape), state["kind"]) for part in state["parts"]]
        classes = state["classes"]
        if not isinstance(state["class_dtype"], type(None) if classes is None else str):
            raise TypeError(
                f"Distribution: class_dtype must name the dtype of classes, got {shown(state['class_dtype'])}"
            )
        if classes is not None:
            classes = _as_array("classes", classes, state["class_dtype"])
            if classes.ndim != 1 or classes.dtype.kind not in _CLASS_KINDS:
                raise TypeError(
                    f"Distribution: classes must be a list of integers or strings, got dtype {classes.dtype} and shape "
                    f"{classes.shape}"
                )
        expected = 1 if classes is None else len(classes)
        if not len(parts) == counts.size == expected or counts.min(initial=1) < 1:
            raise ValueError(f"Distribution: {len(parts)} parts with counts {shown(counts)} for {expected} classes")
        self._kind, self._shape, self._dtype = state["kind"], shape, np.dtype(state["dtype"])
        self._counts, self._parts, self._classes = counts, parts, classes


def _rows(x: Array) -> Array:
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _refuse_not_finite(op: str, x: Array) -> None:
    good = np.isfinite(_rows(x)).all(axis=1)
    if not good.all():
        raise ValueError(f"{op}: x must be finite, but row {int(np.argmin(good))} of {len(x)} has NaN or infinity")


def _classes(y: Any, n: int) -> tuple[Array | None, NDArray[np.intp]]:
    if y is None:
        return None, np.zeros(n, np.intp)
    classes, codes = classes_of("fit_distribution", "y", y, n)
    if classes.dtype.kind == "O":  # strings, as pandas has them
        classes = np.array(classes.tolist())
    if classes.dtype.kind not in _CLASS_KINDS:
        raise TypeError(
            f"fit_distribution: y must hold classes, integers or strings, got dtype {classes.dtype}; to draw numbers "
            "with the samples, fit them together, as np.column_stack([x, y])"
        )
    return classes, codes


def _fitted(rows: Floats, kind: Kind, shrinkage: float | None) -> dict[str, Any]:
    """Points and the normal distribution around them.

    Its covariance is V^T diag(deviations²) V + floor² I, where the rows of V (``vectors``) are orthonormal.
    """
    n, features = rows.shape
    # Numbers of any size are brought near 1, by powers of 2, so that their squares neither overflow nor vanish.
    unit = _power_of_two(rows)
    mean = (rows / unit).mean(axis=0)
    centred = rows / unit - mean
    mean += centred.mean(axis=0)
    centred -= centred.mean(axis=0)
    finer = _power_of_two(centred)
    centred /= finer
    # R of a QR decomposition has the covariance of the data, and fewer rows.
    half = np.linalg.qr(centred, mode="r") if n > features else centred
    _, singular, vectors = np.linalg.svd(half, full_matrices=False)
    # The sign of a vector is fixed: it makes no difference to the covariance, but to the samples that are drawn.
    vectors *= np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1))
    variances = singular**2 / n
    amount = _ledoit_wolf(centred, variances) if shrinkage is None else shrinkage
    scale = unit * finer
    if kind == "kde":
        scale *= n ** (-1 / (features + 4)) * math.sqrt(n / (n - 1))
    return {
        "points": rows if kind == "kde" else mean[None] * unit,
        "vectors": vectors,
        "deviations": scale * np.sqrt((1 - amount) * variances),
        "floor": float(scale * math.sqrt(amount * variances.sum() / features)),
    }


def _power_of_two(x: Floats) -> float:
    """The highest that the largest of x reaches, or 1 if all is 0."""
    largest = float(np.abs(x).max())
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0


def _ledoit_wolf(centred: Floats, variances: Floats) -> float:
    n, features = centred.shape
    squares = (variances**2).sum()  # the sum of the squares of the covariance's elements
    distance = squares - variances.sum() ** 2 / features  # its squared distance from the multiple of the unit matrix
    error = (((centred**2).sum(axis=1) ** 2).mean() - squares) / n  # the expected squared error of the covariance
    return float(min(error / distance, 1.0)) if min(error, distance) > 0 else 0.0


def _drawn(part: Mapping[str, Any], n: int, random: np.random.Generator) -> Floats:
    points, vectors, deviations = part["points"], part["vectors"], part["deviations"]
    around: Floats = points[random.integers(0, len(points), n)]
    around = around + (random.standard_normal((n, len(deviations))) * deviations) @ vectors
    if part["floor"]:
        around += part["floor"] * random.standard_normal(around.shape)
    return around


def _log_density(part: Mapping[str, Any], rows: Floats) -> Floats:
    points, vectors, floor = part["points"], part["vectors"], part["floor"]
    others = points.shape[1] - len(vectors)  # dimensions orthogonal to the vectors: there the deviation is the floor
    deviations = np.append(np.hypot(part["deviations"], floor), [floor] * min(others, 1))
    if deviations.min() <= 10 * (points.shape[1] + len(vectors)) * np.finfo(float).eps * deviations.max():
        raise ValueError(
            "log_density: there is no density, since the covariance is singular; fit with shrinkage='auto' or above 0, "
            "and not to samples that are all alike"
        )
    middle = points.mean(axis=0)
    centres, places = (_whitened(x - middle, vectors, deviations) for x in (points, rows))
    step = max(1, _AT_ONCE // len(points))
    logs = [_log_kernels(places[i : i + step], centres) for i in range(0, len(rows), step)]
    volume = np.log(deviations).sum() + max(others - 1, 0) * math.log(floor or 1)
    constant = points.shape[1] / 2 * math.log(2 * math.pi) + volume + math.log(len(points))
    return np.concatenate([np.empty(0), *logs]) - float(constant)


def _whitened(x: Floats, vectors: Floats, deviations: Floats) -> Floats:
    """Coordinates in which a normal distribution has the same spread in all directions."""
    along = x @ vectors.T
    if len(vectors) == x.shape[1]:
        return np.asarray(along / deviations)
    return np.concatenate([along / deviations[:-1], (x - along @ vectors) / deviations[-1]], axis=1)


def _log_kernels(x: Floats, centres: Floats) -> Floats:
    """The logarithm of the sum of exp(-d²/2), d the distances to the centres."""
    squares = (x**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * (x @ centres.T)
    return _log_sum(np.minimum(-0.5 * squares, 0))


def _log_sum(logs: Floats) -> Floats:
    """Of the exponentials along the last axis."""
    largest = logs.max(axis=1)
    return np.asarray(largest + np.log(np.exp(logs - largest[:, None]).sum(axis=1)))


def _checked(part: Any, features: int, kind: str) -> dict[str, Any]:
    if not isinstance(part, Mapping) or part.keys() != _PART:
        raise ValueError(f"Distribution: a part must have {sorted(_PART)}, got {shown(part)}")
    points, vectors, deviations = (_as_array(n, part[n], np.float64) for n in ("points", "vectors", "deviations"))
    floor = real("Distribution", "floor", part["floor"], 0)
    known = len(deviations) if deviations.ndim == 1 else -1
    wrong_points = points.ndim != 2 or points.shape[1] != features or len(points) < 1
    if wrong_points or vectors.shape != (known, features) or (kind == "gaussian" and len(points) != 1):
        shapes = points.shape, vectors.shape, deviations.shape
        raise ValueError(
            f"Distribution: points, vectors and deviations of shapes {shapes} don't fit {features} features"
        )
    if not all(np.isfinite(a).all() for a in (points, vectors, deviations)) or deviations.min(initial=0) < 0:
        raise ValueError("Distribution: points, vectors and deviations must be finite, and no deviation below 0")
    return {"points": points, "vectors": vectors, "deviations": deviations, "floor": floor}


def _as_array(name: str, value: Any, dtype: Any) -> Array:
    try:
        return np.array(value, dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Distribution: {name} in the state cannot be read: {error}") from None
