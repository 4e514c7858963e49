"""Shapes of what convolution and pooling give, without computing it."""

from __future__ import annotations

from .. import checks
from .._types import Ints, Padding, ShapeLike

__all__ = ["conv_output_shape", "conv_transpose_output_shape", "pool_output_shape"]


def conv_output_shape(
    x_shape: ShapeLike,
    weight_shape: ShapeLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> tuple[int, ...]:
    """Shape of the result of `conv1d`, `conv2d` or `conv3d`: ``floor((W + P - D*(F - 1) - 1) / S) + 1`` per axis.

    Nothing is computed and nothing allocated. The length of ``x_shape`` says which of the three it is.

    Parameters
    ----------
    x_shape : tuple of int, (n, c, ...), or array
        The shape of the input, with one to three spatial axes; of an array its shape is taken.
    weight_shape : tuple of int, (k, c // groups, ...), or array
        The shape of the filters.
    stride, padding, dilation, groups
        What the convolution gets, with the same defaults; also ``"same"``, ``"valid"`` and ``"full"``.

    Returns
    -------
    tuple of int, (n, k, ...)
        With as many spatial axes as ``x_shape``.

    Raises
    ------
    TypeError, ValueError
        Where the convolution would refuse these shapes and arguments.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> F.conv_output_shape((32, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    (32, 64, 112, 112)
    >>> F.conv_output_shape((1, 4, 100), (8, 2, 5), padding="same", groups=2)
    (1, 8, 100)
    """
    return checks.conv_output_shape("conv_output_shape", x_shape, weight_shape, stride, padding, dilation, groups)


def conv_transpose_output_shape(
    x_shape: ShapeLike,
    weight_shape: ShapeLike,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[int, ...]:
    """Shape of the result of `conv_transpose1d`, `conv_transpose2d` or `conv_transpose3d`.

    ``(W - 1)*S - P + D*(F - 1) + output_padding + 1`` per spatial axis. Nothing is computed and nothing allocated. The
    length of ``x_shape`` says which of the three it is; the arguments are in their order, which is PyTorch's.

    Parameters
    ----------
    x_shape : tuple of int, (n, c, ...), or array
        The shape of the input, with one to three spatial axes; of an array its shape is taken.
    weight_shape : tuple of int, (c, k // groups, ...), or array
        The shape of the filters.
    stride, padding, output_padding, groups, dilation
        What the transposed convolution gets, with the same defaults.

    Returns
    -------
    tuple of int, (n, k, ...)
        With as many spatial axes as ``x_shape``.

    Raises
    ------
    TypeError, ValueError
        Where the transposed convolution would refuse these shapes and arguments.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> F.conv_transpose_output_shape((2, 3, 7, 7), (3, 4, 3, 3), 2, 1, output_padding=1)
    (2, 4, 14, 14)
    """
    return checks.conv_transpose_output_shape(
        "conv_transpose_output_shape", x_shape, weight_shape, stride, padding, output_padding, groups, dilation
    )


def pool_output_shape(
    x_shape: ShapeLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Shape of the result of max, average and L_p pooling of one to three dimensions.

    As `conv_output_shape` per spatial axis, rounded up with ``ceil_mode``, but without windows that would start behind the
    input and its low padding. Nothing is computed and nothing allocated. The length of ``x_shape`` says how many
    dimensions there are.

    Parameters
    ----------
    x_shape : tuple of int, (n, c, ...), or array
        The shape of the input, with one to three spatial axes; of an array its shape is taken. Three axes are those of
        1-d pooling, so that an image (c, height, width) without its batch axis is taken for signals (n, c, width).
    kernel_size, stride, padding, dilation, ceil_mode
        What the pooling gets, with the same defaults.

    Returns
    -------
    tuple of int, (n, c, ...)
        With as many axes as ``x_shape``.

    Raises
    ------
    TypeError, ValueError
        Where the pooling would refuse this shape and these arguments.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> F.pool_output_shape((1, 8, 7, 7), 2)
    (1, 8, 3, 3)
    >>> F.pool_output_shape((1, 8, 7, 7), 3, stride=2, padding=1, ceil_mode=True)
    (1, 8, 4, 4)
    """
    return checks.pool_output_shape("pool_output_shape", x_shape, kernel_size, stride, padding, dilation, ceil_mode)
