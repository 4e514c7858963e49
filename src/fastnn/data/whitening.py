"""PCA and ZCA whitening."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from ..checks import scalars
from ..nn import Whiten
from ..nn.scaling import in_float64
from ..nn.whitening import from_components, turned
from .moments import add_moments, empty_moments
from .transformer import Statistics, Transformer, as_samples, blocks, feature_names, float_of, refuse_infinite

Array = np.ndarray[Any, Any]

LIMIT = 1 << 31  # bytes of the largest matrix that is decomposed; one of 16384 rows takes minutes

_DEFAULT_EPS = {"zca": 1e-2, "pca": 1e-7}


class Whitening(Transformer):
    """Makes features uncorrelated, with variance 1 and mean 0: rotated (PCA), or turned back to where they were (ZCA).

    Parameters
    ----------
    method : {"zca", "pca"}
        ``"pca"``: the coordinates along the directions of largest variance, most first, each divided by its standard
        deviation. ``"zca"``: the same turned back, ``(x - mean) @ (C + ε I)^(-1/2)`` with the symmetric root of the
        covariance C: of all whitenings the one that changes the samples least, so images stay images, with their edges
        stressed.
    n_components : int, optional
        How many directions to keep; by default all in which the samples vary, of ZCA all that there are. ZCA with fewer
        sets what lies in the others to 0.
    eps : float, optional
        Added to each variance before its root is taken, as a share of the mean variance of the features, so its meaning
        doesn't change with their units. It keeps directions that hold only noise from being blown up: the least variance
        there is counts as this share. Default 0.01 of ZCA, which is for images, and 1e-7 of PCA. With 0, directions without
        variance become 0.

    Attributes
    ----------
    mean_ : ndarray of float64, shape of a sample
        Always subtracted.
    components_ : ndarray of float64, (K, D)
        The directions, rows of length 1, by falling variance. The element of largest size of each is positive.
    explained_variance_ : ndarray of float64, (K,)
        The variances of the samples along them, eigenvalues of the covariance, which is divided by N.
    eps_ : float
        What is added to them: ``eps`` times the mean variance.
    n_components_ : int
        K, at most D and N − 1.
    n_samples_seen_, n_features_in_ : int
        N and D, the elements of a sample.
    feature_names_in_ : ndarray of str, (D,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Samples are (N, ...), of D elements each; results are (N, K) of PCA, and of ZCA of the same shape as the samples. Fit to
    the training part alone.

    The smaller side decides what is computed: with N > D the eigenvectors of the D×D covariance, else the singular vectors
    of the N×D samples, so a few large images need no D×D matrix. (The latter lose no digits, unlike those of the N×N
    Gram matrix, whose condition is squared.) Statistics and results are computed in float64 and rounded once, to the float
    dtype of the samples, or float64 of integers. NaN and infinity are errors. Variances below D·2e-16 of the largest are no
    more than rounding, and count as 0.

    Source: Bell and Sejnowski 1997 (ZCA); Krizhevsky 2009; the UFLDL tutorial, whose advice for pixels in 0…1 is the
    default eps of ZCA.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Whitening
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) @ np.array([[3.0, 2.0], [0.0, 0.1]])
    >>> y = Whitening("pca").fit_transform(x)
    >>> np.round(np.cov(y.T, bias=True), 3) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """

    _allow_nan = False
    mean_: Array
    components_: Array
    explained_variance_: Array
    eps_: float
    n_components_: int
    n_samples_seen_: int

    def __init__(self, method: str = "zca", *, n_components: int | None = None, eps: float | None = None) -> None:
        self.method = method
        self.n_components = n_components
        self.eps = eps

    def _check_parameters(self, op: str) -> None:
        if not isinstance(self.method, str) or self.method not in _DEFAULT_EPS:
            raise ValueError(f"{op}: method must be 'zca' or 'pca', got {self.method!r}")
        if self.n_components is not None:
            scalars.integer(op, "n_components", self.n_components, 1)
        if self.eps is not None:
            scalars.real(op, "eps", self.eps, 0.0)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the directions of samples, X (N, ...), N at least 2; ``y`` is not used.

        A ValueError for NaN, infinities, samples that are all equal or have one axis, more components than directions, and
        a matrix of more than 2 GiB; a TypeError for what are no real numbers.
        """
        op = "Whitening.fit"
        self._check_parameters(op)
        x = as_samples(op, X)
        shape, size = x.shape[1:], math.prod(x.shape[1:])
        _refuse_size(op, len(x), size)
        refuse_infinite(op, x, self._allow_nan)
        most = min(size, len(x) - 1)
        if self.n_components is not None and self.n_components > most:
            raise ValueError(
                f"{op}: n_components must be at most {most}, of {len(x)} samples with {size} features, got {self.n_components}"
            )
        moments = empty_moments(size)
        for part in blocks(x):
            add_moments(moments, part.T)
        total = (moments["squares"] / moments["count"]).sum()
        if not 0 < total < math.inf:
            raise ValueError(
                f"{op}: the variances of X sum to {total}; expected samples that differ, and by finite numbers"
            )
        mean = moments["pivot"] + moments["offset"]
        variances, components = _directions(x, mean)
        kept = self._kept(variances, size, most)
        statistics = {
            "mean": mean,
            "components": _with_signs(components[:kept]),
            "variance": variances[:kept],
            "total": np.array([total]),
            "samples": np.array([float(len(x))]),
        }
        self._settle(shape, feature_names(X), statistics)
        return self

    def _kept(self, variances: Array, size: int, most: int) -> int:
        if self.n_components is not None:
            return self.n_components
        if self.method == "zca" and size <= most:
            return size
        return max(1, int((variances[:most] > 0).sum()))

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        size = math.prod(shape)
        found = {name: array.shape for name, array in statistics.items()}
        kept = len(statistics["variance"]) if len(found.get("variance", ())) == 1 else 1
        expected = {"mean": (size,), "components": (kept, size), "variance": (kept,), "total": (1,), "samples": (1,)}
        if found != expected:
            raise ValueError(f"statistics must have the shapes {expected}, got {found}")
        if not all(np.isfinite(array).all() for array in statistics.values()) or (statistics["variance"] < 0).any():
            raise ValueError("statistics must be finite, and variances not negative")
        share = _DEFAULT_EPS[self.method] if self.eps is None else float(self.eps)
        return {
            "mean_": statistics["mean"].reshape(shape),
            "components_": statistics["components"],
            "explained_variance_": statistics["variance"],
            "eps_": share * float(statistics["total"][0]) / size,
            "n_components_": kept,
            "n_samples_seen_": int(statistics["samples"][0]),
        }

    def _gains(self) -> tuple[Array, Array]:
        """What coordinates along the components are multiplied by, and what is left at right angles to them."""
        variances = self.explained_variance_ + self.eps_
        gains = np.zeros(len(variances))
        np.divide(1.0, np.sqrt(variances), out=gains, where=variances > 0)
        complete = self.n_components_ == self.n_features_in_
        dropped = complete or self.n_components is not None or self.method == "pca" or self.eps_ == 0
        return gains, np.array(0.0 if dropped else 1 / math.sqrt(self.eps_))

    def transform(self, X: Any) -> Any:
        """A new array: (N, K) of PCA, of the shape of X (N, ...) of ZCA; of its float dtype, or float64 for integers.

        A ValueError where X has other features than `fit` saw, or isn't finite somewhere.
        """
        op = "Whitening.transform"
        self._require_fitted(op)
        x = self._samples(op, X, known=True)
        return self._wrapped(self.as_module(dtype=None).compute(x, float_of(x.dtype)), X)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`: a new array (N, ...) with samples as they were, less what lies in no component's direction.

        A ValueError where X has other features than `transform` returns, or isn't finite somewhere.
        """
        op = "Whitening.inverse_transform"
        self._require_fitted(op)
        x = self._samples(op, np.asarray(X) if hasattr(X, "columns") else X, known=False)
        expected = (self.n_components_,) if self.method == "pca" else self._shape
        if x.shape[1:] != expected:
            raise ValueError(f"{op}: expected X of shape (N, {', '.join(map(str, expected))}), got {x.shape}")
        gains, rest = (np.divide(1.0, g, out=np.zeros(g.shape), where=g > 0) for g in self._gains())

        def restored(v: Array) -> Array:
            if self.method == "pca":
                flat = from_components(v * gains, self.components_)
            else:
                flat = turned(v.reshape(len(v), -1), self.components_, gains, rest)
            back: Array = flat.reshape(-1, *self._shape) + self.mean_
            return back

        return in_float64(restored, float_of(x.dtype), self._shape, x)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns that `transform` returns: of ZCA those of its input, of PCA whitening0 and so on."""
        names = super().get_feature_names_out(input_features)
        return names if self.method == "zca" else np.array([f"whitening{i}" for i in range(self.n_components_)], object)

    def as_module(self, *, dtype: Any = np.float32) -> Whiten:
        """A layer that does what `transform` does, without anything to train; gradients go through to its input.

        It takes float32, float64 and integers, computes in float64, and rounds once to ``dtype``: float32, as layers have by
        default, or float64; ``astype`` of the model changes it. A ValueError before `fit`.
        """
        self._require_fitted("Whitening.as_module")
        module = Whiten(self._shape, self.n_components_, rotate_back=self.method == "zca", out_dtype=dtype)
        module.mean, module.components = self.mean_.copy(), self.components_.copy()
        module.gains, module.rest = self._gains()
        return module


def _refuse_size(op: str, samples: int, features: int) -> None:
    """Refuse one sample, which differs from none, and what would take too much memory."""
    if samples < 2:
        raise ValueError(
            f"{op}: Found array with {samples} sample(s) (shape=({samples}, {features})) while a minimum of 2 is required."
        )
    smaller = min(samples, features)
    if smaller**2 * 8 > LIMIT:
        most = math.isqrt(LIMIT // 8)
        raise ValueError(
            f"{op}: {samples} samples of {features} features need a {smaller}×{smaller} matrix of {smaller**2 * 8} bytes, more "
            f"than {LIMIT}; fit to at most {most} samples, {op}(X[:{most}]), or to smaller images or patches"
        )


def _directions(x: Array, mean: Array) -> tuple[Array, Array]:
    """Variances, falling, and the directions that have them, as rows; those that are no more than rounding are 0."""
    n, size = len(x), len(mean)
    if n > size:
        covariance = np.zeros((size, size))
        for part in blocks(x):
            part -= mean
            covariance += part.T @ part
        variances, columns = np.linalg.eigh(covariance / n)
        variances, components = variances[::-1], columns.T[::-1]
    else:
        centred = x.reshape(n, size).astype(np.float64) - mean
        _, singular, components = np.linalg.svd(centred, full_matrices=False)
        variances = singular**2 / n
    return np.where(variances > max(n, size) * np.finfo(np.float64).eps * variances[0], variances, 0.0), components


def _with_signs(components: Array) -> Array:
    """The same directions, each with its largest element positive: the first of those that are equal but for rounding."""
    sizes = np.abs(components)
    first = (sizes >= sizes.max(axis=1, keepdims=True) * (1 - 1e-6)).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), first])
    return np.ascontiguousarray(components * signs[:, None])
