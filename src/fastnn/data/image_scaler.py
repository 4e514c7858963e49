"""Scaling of images: by channel, pixel or image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..nn import Module, Sequential, Standardize, StandardizeSample
from ..nn.moments import without_variance
from ..nn.scaling import in_float64
from .moments import MOMENTS, add_moments, check_statistics, empty_moments, mean_and_variance, refuse_too_large
from .scaler import Scaler
from .transformer import Array, Statistics, blocks, named, warn


class ImageScaler(Scaler):
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
            warn(f"{op}: channels {named(self.constant_, self._shape[:1], None)} are constant, and are not divided")

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
