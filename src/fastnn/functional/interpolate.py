"""Interpolation: images of another size, by PyTorch's and by ONNX's rules of coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import checks
from .._types import Array, Constant, Ints, ShapeLike, Value
from ..checks import Resample
from ._op import Plan, Tape, operation
from .adaptive_pool import AVG_TAPE

__all__ = ["interpolate", "interpolate_backward"]


def _plan(x: Any, *settings: Any, taped: bool = False) -> Plan:
    given, x = checks.interpolate("interpolate", x, *settings)
    if given.rule is None:
        arguments = checks.adaptive_pool("interpolate", len(given.out), x, given.out)
        return Plan("adaptive_avg_pool_forward", arguments, tape=AVG_TAPE)
    g = checks.resampling("interpolate", given, x.shape, x.dtype)
    back = checks.resampling("interpolate", given, x.shape, x.dtype, transposed=True) if taped else None
    return Plan(
        "resample", (g, x), tape=Tape(_vjp, _jvp), constants={"transposed": back}, lasting=given.lasting(x.shape[2:])
    )


def _vjp(ops: Any, dy: Array, transposed: Resample) -> Array:
    return ops.resample(transposed, dy)


def _jvp(ops: Any, tangents: Any, g: Resample) -> Array:
    return ops.resample(g._replace(fill=0.0), tangents[0])


def _gradient_plan(dy: Any, x_shape: Any, *settings: Any) -> Plan:
    given, dy, x = checks.interpolate_backward("interpolate_backward", dy, x_shape, *settings)
    if given.rule is None:
        arguments = checks.adaptive_pool_backward("interpolate_backward", len(given.out), dy, x, given.out)
        return Plan("adaptive_avg_pool_backward", arguments)
    g = checks.resampling("interpolate_backward", given, x, dy.dtype, transposed=True)
    return Plan("resample", (g, dy), lasting=given.lasting(x[2:]))


def interpolate(
    x: Value,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
    *,
    coordinates: str | None = None,
    nearest_mode: str | None = None,
    cubic_coeff_a: float | None = None,
    exclude_outside: bool = False,
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
) -> Value:
    """Sequences, images or volumes of another size.

    Each axis is resampled by itself: an output is a weighted sum of the inputs near the place that it has among them. The
    arguments up to ``antialias`` are PyTorch's, and without further ones results are as there; the others are attributes of
    ONNX's Resize.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, w), (n, c, h, w) or (n, c, d, h, w)
        The images, float32 or float64.
    size : int or tuple of int, optional
        Extents of the spatial axes of the output.
    scale_factor : float or tuple of float, optional
        In the place of ``size``: how many times as large each of them becomes, rounded down. Places are computed with this
        factor, not with that of the rounded sizes, unless ``recompute_scale_factor`` is True. With ``coordinates`` it may be
        given beside a ``size`` that differs by less than 1 from what it makes.
    mode : str
        "nearest", "nearest-exact", "linear" or "cubic" (convolution, by Keys) along all axes, or "area", which is adaptive
        average pooling. "bilinear", "bicubic" and "trilinear" say the number of axes, too.
    align_corners : bool, optional
        Linear and cubic: whether the outer elements of input and output lie on each other, or, as by default, their outer edges.
    recompute_scale_factor : bool, optional
        Whether places are computed with the factor of the rounded sizes.
    antialias : bool
        Linear and cubic: where an axis becomes smaller, widen the filter so that each input counts.
    coordinates : str, optional
        The rule by which outputs find their places, by ONNX's names: "half_pixel", "half_pixel_symmetric",
        "pytorch_half_pixel", "align_corners", "asymmetric" or "tf_crop_and_resize". By default PyTorch's.
    nearest_mode : str, optional
        With mode "nearest" and ``coordinates``: "round_prefer_floor" (default), "round_prefer_ceil", "floor" or "ceil".
    cubic_coeff_a : float, optional
        The parameter of the cubic filter; by default -0.75, and PyTorch's -0.5 with ``antialias`` and no ``coordinates``.
    exclude_outside : bool
        Linear and cubic: whether taps outside the image have no weight, and the others share it. Otherwise the image goes
        on as its edge does. PyTorch's ``antialias`` always excludes them.
    roi : tuple of float, optional
        With "tf_crop_and_resize": where along each axis the output starts, and then where it ends, as shares of the input.
    extrapolation_value : float
        With "tf_crop_and_resize": what outputs outside the input are.

    Returns
    -------
    ndarray or Tensor, shape (n, c, \\*size)
        The images; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For a wrong shape, an output size below 1, and arguments that don't go together.

    Notes
    -----
    Formulas of the places and filters: operator Resize of the ONNX standard. PyTorch finds nearest neighbours by several rules,
    which differ where a ``scale_factor`` leaves a size as it is or doubles it, and by roundings. Without ``coordinates`` this
    function has that of its images and of all its gradients, with places in float32.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.array([[[0.0, 4.0]]])
    >>> F.interpolate(x, scale_factor=2)
    array([[[0., 0., 4., 4.]]])
    >>> F.interpolate(x, scale_factor=2, mode="linear")
    array([[[0., 1., 3., 4.]]])
    >>> F.interpolate(x, 3, mode="linear", align_corners=True)
    array([[[0., 2., 4.]]])
    """
    return _INTERPOLATE(
        x, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias, coordinates, nearest_mode,
        cubic_coeff_a, exclude_outside, roi, extrapolation_value,
    )  # fmt: skip


def interpolate_backward(
    dy: Constant,
    x_shape: ShapeLike,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
    *,
    coordinates: str | None = None,
    nearest_mode: str | None = None,
    cubic_coeff_a: float | None = None,
    exclude_outside: bool = False,
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
) -> Array:
    """Gradient of `interpolate`.

    Parameters
    ----------
    dy : array_like, shape (n, c, \\*size)
        The gradient of the output.
    x_shape : tuple of int, or ndarray
        The shape of what `interpolate` got, or the array itself.
    size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
        What `interpolate` got.
    coordinates, nearest_mode, cubic_coeff_a, exclude_outside, roi, extrapolation_value
        What `interpolate` got.

    Returns
    -------
    ndarray, shape x_shape
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `interpolate`, and if ``dy`` has not the shape of its output.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.interpolate_backward(np.ones((1, 1, 4)), (1, 1, 2), scale_factor=2)
    array([[[2., 2.]]])
    """
    return _INTERPOLATE_BACKWARD(
        dy, x_shape, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias, coordinates, nearest_mode,
        cubic_coeff_a, exclude_outside, roi, extrapolation_value,
    )  # fmt: skip


_INTERPOLATE = operation("interpolate", _plan, ("x",))
_INTERPOLATE_BACKWARD = operation("interpolate_backward", _gradient_plan)
