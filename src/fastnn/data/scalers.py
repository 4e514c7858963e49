"""Scaling by statistics of the training part: per feature, and for images."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from ..checks import scalars
from ..nn import Module, Rescale, Sequential, Standardize, StandardizeSample
from ..nn.moments import Moments, without_variance
from ..nn.scaling import in_float64
from .transformer import Statistics, Transformer, _warn, blocks, feature_names, float_of, named

Array = np.ndarray[Any, Any]


class _Scaler(Transformer):
    """A transformer that can be fitted in parts: its statistics are merged with those of further samples."""

    constant_: Array

    def fit(self, X: Any, y: Any = None) -> Self:
        """Take the statistics of samples, X (N, ...), in place of earlier ones; ``y`` is not used.

        A ValueError for infinities, no samples or no features, or samples with one axis; a TypeError for what are no
        real numbers.
        """
        op = f"{type(self).__name__}.fit"
        self._learn(op, X, known=False)
        self._warn_of_constants(op)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Take further samples, X (N, ...), into the statistics; ``y`` is not used. Errors are those of `fit`."""
        self._learn(f"{type(self).__name__}.partial_fit", X, known=self.__sklearn_is_fitted__())
        return self

    def _learn(self, op: str, X: Any, *, known: bool) -> None:
        self._check_parameters(op)
        x = self._samples(op, X, known=known)
        self._check_axes(op, x.shape)
        if not len(x):
            raise ValueError(f"{op}: Found array with 0 sample(s) (shape={x.shape}) while a minimum of 1 is required.")
        shape = self._shape if known else x.shape[1:]
        statistics = {name: a.copy() for name, a in self._statistics.items()} if known else self._empty(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            self._take(x, statistics)
        names = getattr(self, "feature_names_in_", None) if known else feature_names(X)
        try:
            self._settle(shape, names, statistics)
        except ValueError as error:
            raise ValueError(f"{op}: {error}") from None

    def _check_axes(self, op: str, shape: tuple[int, ...]) -> None:
        """Refuse samples of another rank than the scaler is for."""

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        """Statistics of no samples."""
        raise NotImplementedError

    def _take(self, x: Array, statistics: Statistics) -> None:
        """Merge the statistics of samples into those that are there, in place."""
        raise NotImplementedError

    def _warn_of_constants(self, op: str) -> None:
        raise NotImplementedError

    def transform(self, X: Any) -> Any:
        """A new array of the shape of X (N, ...), scaled; of its float dtype, or float64 for integers.

        A ValueError where X has other features than `fit` saw, or is infinite somewhere.
        """
        op = f"{type(self).__name__}.transform"
        self._require_fitted(op)
        x = self._samples(op, X, known=True)
        return self._wrapped(self._scaled(x, float_of(x.dtype)), X)

    def _scaled(self, x: Array, dtype: np.dtype[Any]) -> Array:
        raise NotImplementedError

    def inverse_transform(self, X: Any) -> Any:
        """A new array of the shape of X (N, ...), with the units that the samples had before `transform`.

        A ValueError where X has other features than `fit` saw, or is infinite somewhere.
        """
        op = f"{type(self).__name__}.inverse_transform"
        self._require_fitted(op)
        x = self._samples(op, np.asarray(X) if hasattr(X, "columns") else X, known=False)
        self._check_shape(op, x.shape[1:])
        return self._restored(x, float_of(x.dtype))

    def _restored(self, x: Array, dtype: np.dtype[Any]) -> Array:
        raise NotImplementedError

    def as_module(self, *, dtype: Any = np.float32, inverse: bool = False) -> Module:
        """A layer that does what `transform` does, or `inverse_transform`, with nothing to train; gradients go through it.

        It takes float32, float64 and integers, computes in float64, and rounds once to ``dtype``: float32, as layers have by
        default, or float64; ``astype`` of the model changes it. So data may stay in float64, where columns far from zero
        keep their digits until they are scaled. Infinity is not looked for. A ValueError before `fit`.

        ``inverse=True`` after a network that was trained on scaled targets makes a model that predicts in their units:
        ``nn.Sequential(network, scaler.as_module(inverse=True))``.
        """
        self._require_fitted(f"{type(self).__name__}.as_module")
        scalars.flag(f"{type(self).__name__}.as_module", "inverse", inverse)
        return self._module(dtype, inverse=inverse)

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Module:
        raise NotImplementedError


class _FeatureScaler(_Scaler):
    """A scaler with statistics per element of a sample."""

    _outcome: str  # what a constant feature becomes

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Standardize | Rescale:
        raise NotImplementedError

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        return empty_moments(math.prod(shape))

    def _take(self, x: Array, statistics: Statistics) -> None:
        for part in blocks(x):
            add_moments(statistics, part.T)

    def _warn_of_constants(self, op: str) -> None:
        self._warn_of(op, self.constant_, f"no variance to divide by, and become {self._outcome}")
        self._warn_of(op, np.flatnonzero(self._statistics["count"] == 0), "no value, and stay NaN")

    def _warn_of(self, op: str, features: Array, what: str) -> None:
        if len(features):
            listed = named(features, self._shape, getattr(self, "feature_names_in_", None))
            _warn(f"{op}: {len(features)} of {self.n_features_in_} features have {what}: {listed}")

    def _scaled(self, x: Array, dtype: np.dtype[Any]) -> Array:
        return self._module().compute(x, dtype)

    def _restored(self, x: Array, dtype: np.dtype[Any]) -> Array:
        return self._module(inverse=True).compute(x, dtype)


MOMENTS = ("count", "pivot", "offset", "squares")  # of a feature, as `Moments` has them


def empty_moments(features: int) -> Statistics:
    """Statistics of no samples."""
    return {name: np.zeros(features) for name in MOMENTS}


def add_moments(statistics: Statistics, values: Array) -> None:
    """Merge the moments of values (features, samples) into statistics; NaN is left out."""
    moments = Moments(len(values))
    vars(moments).update((name, statistics[name]) for name in MOMENTS)
    moments.add(values, skip_nan=True)
    statistics.update((name, getattr(moments, name)) for name in MOMENTS)


def check_statistics(statistics: Statistics, sizes: dict[str, int]) -> None:
    """Refuse statistics of a state with other names, lengths or impossible counts."""
    found = {name: array.shape for name, array in statistics.items()}
    expected: dict[str, tuple[int, ...]] = {name: (n,) for name, n in sizes.items()}
    if found != expected:
        raise ValueError(f"statistics must have the shapes {expected}, got {found}")
    for name in ("count", "squares"):
        array = statistics[name]
        if not (array >= 0).all() and not np.isnan(array).any():
            raise ValueError(f"statistics[{name!r}] must not be negative, got {array.min()}")


def mean_and_variance(statistics: Statistics) -> tuple[Array, Array, Array]:
    """Mean and variance of each feature, NaN where there is no value; and where the variance is but rounding."""
    count = statistics["count"]
    nothing = count == 0
    divisor = np.where(nothing, 1.0, count)
    mean = np.where(nothing, np.nan, statistics["pivot"] + statistics["offset"])
    variance = np.where(nothing, np.nan, statistics["squares"] / divisor)
    return mean, variance, without_variance(variance, mean, count)


def refuse_too_large(unbounded: Array, shape: tuple[int, ...], what: str) -> None:
    """Refuse features whose statistics float64 cannot hold."""
    if unbounded.any():
        places = named(np.flatnonzero(unbounded), shape, None)
        raise ValueError(
            f"the values of feature {places} are so large that their {what} is beyond float64; scale them first"
        )


class StandardScaler(_FeatureScaler):
    """Shifts features to mean 0 and divides them by their standard deviation: ``(x - mean) / std``.

    Parameters
    ----------
    with_mean : bool
        Whether the mean is subtracted.
    with_std : bool
        Whether to divide by the standard deviation, that of all N values (divided by N, not N − 1).

    Attributes
    ----------
    mean_ : ndarray of float64, shape of a sample, or None
        None if neither is wanted.
    var_, scale_ : ndarray of float64, shape of a sample, or None
        The variance and what is divided by, its root, or 1 of constant features; None without ``with_std``.
    constant_ : ndarray of int, (n,)
        Indices of the features, in C order, that counted as constant; they become 0.
    n_samples_seen_ : int or ndarray of int64, shape of a sample
        Values per feature; an array where NaN makes them different.
    n_features_in_ : int
        Elements of a sample.
    feature_names_in_ : ndarray of str, (n_features_in_,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Fit it to the training part alone, and transform the other parts with the same object: what it knows of them would make the
    test too good.

    Statistics are computed in float64, in parts that are merged (Chan, Golub and LeVeque 1979), and so is the result, which
    is rounded once: to float16, float32 or float64 where the samples are of it, else it is float64. NaN counts as missing:
    it is left out of the statistics and stays NaN; `Imputer` fills it. Infinity is an error. A feature without a value
    stays NaN. Where a variance is within the error of computing it, ``var <= n·ε·var + (n·ε·mean)²`` (scikit-learn's rule),
    the feature counts as constant: it is not divided by its spread, `fit` names it in a warning, and ``constant_`` lists
    it. `partial_fit` doesn't warn, since further samples may differ.

    In scikit-learn it works as a transformer. Samples of more axes (N, ...) have a statistic per element, whose arrays have the
    shape of a sample. ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import StandardScaler
    >>> train, test = np.array([[0.0, 10.0], [4.0, 30.0]]), np.array([[2.0, 40.0]])
    >>> scaler = StandardScaler().fit(train)
    >>> scaler.transform(test)
    array([[0., 2.]])
    >>> scaler.inverse_transform(scaler.transform(test))
    array([[ 2., 40.]])
    """

    _outcome = "0"
    mean_: Array | None
    var_: Array | None
    scale_: Array | None
    n_samples_seen_: int | Array

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _check_parameters(self, op: str) -> None:
        scalars.flag(op, "with_mean", self.with_mean)
        scalars.flag(op, "with_std", self.with_std)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        check_statistics(statistics, dict.fromkeys(MOMENTS, math.prod(shape)))
        mean, variance, constant = mean_and_variance(statistics)
        there = statistics["count"] > 0
        refuse_too_large(there & ~np.isfinite(mean), shape, "mean")
        if self.with_std:
            refuse_too_large(there & ~np.isfinite(variance), shape, "variance")
        count = statistics["count"].astype(np.int64)
        scale = np.sqrt(np.where(constant, 1.0, variance))
        return {
            "mean_": mean.reshape(shape) if self.with_mean or self.with_std else None,
            "var_": variance.reshape(shape) if self.with_std else None,
            "scale_": scale.reshape(shape) if self.with_std else None,
            "constant_": np.flatnonzero(constant),
            "n_samples_seen_": int(count[0]) if (count == count[0]).all() else count.reshape(shape),
        }

    def _warn_of_constants(self, op: str) -> None:
        if self.with_std:
            super()._warn_of_constants(op)

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Standardize:
        module = Standardize(self._shape, inverse=inverse, out_dtype=dtype)
        if self.with_mean:
            module.mean = np.array(self.mean_)
        if self.with_std:
            module.scale = np.array(self.scale_)
        return module


class MinMaxScaler(_FeatureScaler):
    """Maps the range of each feature to a given one: ``(x - min) / (max - min) · (high - low) + low``.

    Parameters
    ----------
    feature_range : (float, float)
        ``low`` and ``high``: what the smallest and the largest value become.
    clip : bool
        Whether `transform` cuts values off that are beyond the range of those that `fit` saw.

    Attributes
    ----------
    data_min_, data_max_, data_range_ : ndarray of float64, shape of a sample
        The smallest and the largest value, and their difference.
    scale_, min_ : ndarray of float64, shape of a sample
        As in scikit-learn: the result is ``x · scale_ + min_``, but computed without its loss of digits.
    constant_ : ndarray of int, (n,)
        Indices of the features, in C order, that counted as constant: of these values `fit` saw the smallest becomes
        ``low``, and none is divided.
    n_samples_seen_ : int
        Samples.
    n_features_in_ : int
        Elements of a sample.
    feature_names_in_ : ndarray of str, (n_features_in_,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Fit it to the training part alone, and transform the other parts with the same object: what it knows of them would make the
    test too good.

    Statistics are computed in float64, in parts that are merged (Chan, Golub and LeVeque 1979), and so is the result, which
    is rounded once: to float16, float32 or float64 where the samples are of it, else it is float64. NaN counts as missing:
    it is left out of the statistics and stays NaN; `Imputer` fills it. Infinity is an error. A feature without a value
    stays NaN. Where a variance is within the error of computing it, ``var <= n·ε·var + (n·ε·mean)²`` (scikit-learn's rule),
    the feature counts as constant: it is not divided by its spread, `fit` names it in a warning, and ``constant_`` lists
    it. `partial_fit` doesn't warn, since further samples may differ.

    In scikit-learn it works as a transformer. Samples of more axes (N, ...) have a statistic per element, whose arrays have the
    shape of a sample. ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import MinMaxScaler
    >>> scaler = MinMaxScaler().fit(np.array([[0.0, 10.0], [4.0, 30.0]]))
    >>> scaler.transform(np.array([[1.0, 40.0]]))
    array([[0.25, 1.5 ]])
    """

    _outcome = "the lower end of feature_range"
    data_min_: Array
    data_max_: Array
    data_range_: Array
    scale_: Array
    min_: Array
    n_samples_seen_: int

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def _check_parameters(self, op: str) -> None:
        scalars.flag(op, "clip", self.clip)
        if not isinstance(self.feature_range, (tuple, list)) or len(self.feature_range) != 2:
            raise TypeError(f"{op}: feature_range must be a tuple of two numbers, got {self.feature_range!r}")
        low, high = (scalars.real(op, "feature_range", end) for end in self.feature_range)
        if low >= high:
            raise ValueError(f"{op}: feature_range must begin below its end, got {self.feature_range!r}")

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        features = math.prod(shape)
        ends = {"minimum": np.full(features, np.inf), "maximum": np.full(features, -np.inf)}
        return {**empty_moments(features), **ends, "samples": np.zeros(1)}

    def _take(self, x: Array, statistics: Statistics) -> None:
        for part in blocks(x):
            add_moments(statistics, part.T)
            statistics["minimum"] = np.fmin(statistics["minimum"], np.fmin.reduce(part, axis=0))
            statistics["maximum"] = np.fmax(statistics["maximum"], np.fmax.reduce(part, axis=0))
        statistics["samples"] += len(x)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        features = math.prod(shape)
        sizes = dict.fromkeys((*MOMENTS, "minimum", "maximum"), features)
        check_statistics(statistics, {**sizes, "samples": 1})
        nothing = statistics["count"] == 0
        low, high = (np.where(nothing, np.nan, statistics[name]) for name in ("minimum", "maximum"))
        with np.errstate(over="ignore"):
            extent = high - low
        refuse_too_large(~nothing & ~np.isfinite(extent), shape, "range")
        constant = mean_and_variance(statistics)[2] | (extent == 0)
        start, end = (float(number) for number in self.feature_range)
        scale = (end - start) / np.where(constant, 1.0, extent)
        return {
            "data_min_": low.reshape(shape),
            "data_max_": high.reshape(shape),
            "data_range_": extent.reshape(shape),
            "scale_": scale.reshape(shape),
            "min_": (start - low * scale).reshape(shape),
            "constant_": np.flatnonzero(constant),
            "n_samples_seen_": int(statistics["samples"][0]),
        }

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Rescale:
        low, high = self.feature_range
        clip = self.clip and not inverse
        module = Rescale(self._shape, float(low), float(high), clip=clip, inverse=inverse, out_dtype=dtype)
        module.minimum = self.data_min_.copy()
        module.extent = self.data_range_.copy()
        module.extent.reshape(-1)[self.constant_] = 1.0
        return module


class ImageScaler(_Scaler):
    """Subtracts a mean from images (N, C, ...) and divides by a standard deviation: by channel, pixel or image.

    Parameters
    ----------
    mean : {"channel", "pixel", "sample"} or None
        Which mean is subtracted:

        - ``"channel"``: one number per channel, of all pixels of all training images (VGG, ResNet). It moves the data to
          where weights are initialised for, and nothing else: brightness, contrast and details stay, and images of any size
          can be transformed. The right choice unless you have a reason for another.
        - ``"pixel"``: the mean image, a number per pixel and channel (AlexNet). It takes away what all images have in
          common at a place, such as a dark border. For images of one size whose content is aligned: faces, digits. Others
          have a mean image that is nearly flat, which is ``"channel"`` with more noise.
        - ``"sample"``: the mean of all pixels and channels of each image itself. It takes away how bright an image is, so
          two photographs of a thing under different light become more alike; where brightness tells classes apart, this
          loses it. It is not fitted, and cannot be undone.
        - None: nothing.
    std : {"channel", "sample"} or None
        By what is divided, after that: one standard deviation per channel of all pixels of all training images; or that of
        each image itself, over pixels and channels, which takes away its contrast; or nothing.

    Attributes
    ----------
    mean_ : ndarray of float64, (C,) or (C, ...), or None
        By channel or by pixel; None of ``"sample"`` and None.
    scale_ : ndarray of float64, (C,), or None
        The standard deviation per channel of what is left when the mean is subtracted; 1 of constant channels.
    constant_ : ndarray of int, (n,)
        Channels, or with ``mean="pixel"`` and no std pixels in C order, without variance.
    n_samples_seen_ : int
        Images.
    n_features_in_ : int
        Pixels times channels.

    Notes
    -----
    Images are (N, C, ...) with one or more spatial axes, of floats or integers such as uint8. Fit to the training part
    alone. Statistics are computed in float64, in parts, and so is the result, which is rounded once to the float dtype
    of the images, or float64 of integers: ``images.astype(np.float32)`` first halves the memory. NaN is left out of
    statistics and stays NaN, infinity is an error. A standard deviation within the error of computing it counts as 1, as
    in `StandardScaler`; `fit` names such channels in a warning. ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import ImageScaler
    >>> images = np.random.default_rng(0).integers(0, 256, (100, 3, 8, 8), dtype=np.uint8)
    >>> scaler = ImageScaler().fit(images[:80])
    >>> scaler.transform(images[80:]).shape, scaler.mean_.shape
    ((20, 3, 8, 8), (3,))
    >>> layer = scaler.as_module()  # for a model that takes pixels as they are in a file
    >>> layer(images[80:]).dtype
    dtype('float32')
    """

    mean_: Array | None
    scale_: Array | None
    n_samples_seen_: int

    def __init__(self, mean: str | None = "channel", std: str | None = "channel") -> None:
        self.mean = mean
        self.std = std

    def _check_parameters(self, op: str) -> None:
        for name, value, known in (
            ("mean", self.mean, ("channel", "pixel", "sample", None)),
            ("std", self.std, ("channel", "sample", None)),
        ):
            if not (value is None or isinstance(value, str)) or value not in known:
                raise ValueError(f"{op}: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")

    def _check_axes(self, op: str, shape: tuple[int, ...]) -> None:
        if len(shape) < 3:
            raise ValueError(f"{op}: expected images (N, C, ...) with a spatial axis at least, got X of shape {shape}")

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        """Images of any size fit, unless the mean is an image."""
        self._check_axes(op, (0, *shape))
        if self.mean == "pixel" or len(shape) != len(self._shape) or shape[0] != self._shape[0]:
            super()._check_shape(op, shape)

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        features = math.prod(shape) if self.mean == "pixel" else shape[0]
        return {**empty_moments(features), "samples": np.zeros(1)}

    def _take(self, x: Array, statistics: Statistics) -> None:
        centre = StandardizeSample(scale=False)
        for part in blocks(x):
            if self.mean == "pixel":
                add_moments(statistics, part.T)
                continue
            images = centre.of_block(part) if self.mean == "sample" else part
            by_channel = images.reshape(len(part), x.shape[1], -1)
            add_moments(statistics, np.moveaxis(by_channel, 1, 0).reshape(x.shape[1], -1))
        statistics["samples"] += len(x)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        features = math.prod(shape) if self.mean == "pixel" else shape[0]
        check_statistics(statistics, {**dict.fromkeys(MOMENTS, features), "samples": 1})
        mean, variance, constant = mean_and_variance(statistics)
        there = statistics["count"] > 0
        refuse_too_large(there & ~(np.isfinite(mean) & np.isfinite(variance)), (features,), "variance")
        if self.mean == "pixel" and self.std == "channel":
            variance, constant = self._by_channel(shape, statistics, mean)
        scale = np.sqrt(np.where(constant, 1.0, variance)) if self.std == "channel" else None
        means = {"channel": mean, "pixel": mean.reshape(shape) if self.mean == "pixel" else None}
        return {
            "mean_": means.get(str(self.mean)),
            "scale_": scale,
            "constant_": np.flatnonzero(constant),
            "n_samples_seen_": int(statistics["samples"][0]),
        }

    @staticmethod
    def _by_channel(shape: tuple[int, ...], statistics: Statistics, mean: Array) -> tuple[Array, Array]:
        """Variance per channel of what is left of the pixels without the mean image, and where that is but rounding."""
        count, squares = (statistics[name].reshape(shape[0], -1).sum(1) for name in ("count", "squares"))
        variance = np.where(count == 0, np.nan, squares / np.maximum(count, 1.0))
        largest = np.fmax.reduce(np.abs(mean.reshape(shape[0], -1)), axis=1)
        return variance, without_variance(variance, largest, statistics["samples"])

    def _warn_of_constants(self, op: str) -> None:
        if self.std == "channel" and len(self.constant_):
            _warn(f"{op}: channels {named(self.constant_, self._shape[:1], None)} are constant, and are not divided")

    def _fixed(self, dtype: Any = np.float64, *, inverse: bool = False) -> Standardize:
        """The part whose numbers were fitted."""
        ones = (1,) * (len(self._shape) - 1)
        shape = self._shape if self.mean == "pixel" else (self._shape[0], *ones)
        fixed = Standardize(shape, inverse=inverse, out_dtype=dtype)
        if self.mean_ is not None:
            fixed.mean = self.mean_.reshape(fixed.shape).copy()
        if self.scale_ is not None:
            fixed.scale = np.broadcast_to(self.scale_.reshape(-1, *ones), fixed.shape).copy()
        return fixed

    def _stages(self, dtype: Any = np.float64) -> list[Standardize | StandardizeSample]:
        """What is done, in order; the last one rounds to ``dtype``."""
        if "sample" not in (self.mean, self.std):
            return [self._fixed(dtype)]
        center, scale = self.mean == "sample", self.std == "sample"
        if self.mean_ is None and self.scale_ is None:
            return [StandardizeSample(center, scale, out_dtype=dtype)]
        if center:
            return [StandardizeSample(center, scale, out_dtype=np.float64), self._fixed(dtype)]
        return [self._fixed(np.float64), StandardizeSample(center, scale, out_dtype=dtype)]

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Module:
        if inverse:
            self._require_invertible("ImageScaler.as_module")
            return self._fixed(dtype, inverse=True)
        stages = self._stages(dtype)
        return stages[0] if len(stages) == 1 else Sequential(*stages)

    def _scaled(self, x: Array, dtype: np.dtype[Any]) -> Array:
        stages = self._stages()

        def scaled(v: Array) -> Array:
            for stage in stages:
                v = stage.of_block(v)
            return v

        return in_float64(scaled, dtype, x.shape[1:], x)

    def _restored(self, x: Array, dtype: np.dtype[Any]) -> Array:
        self._require_invertible("ImageScaler.inverse_transform")
        return self._fixed(inverse=True).compute(x, dtype)

    def _require_invertible(self, op: str) -> None:
        if "sample" in (self.mean, self.std):
            raise ValueError(
                f"{op}: mean={self.mean!r} and std={self.std!r} forget each image's own statistics, so there is nothing to "
                "restore them from"
            )
