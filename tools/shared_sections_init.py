"""The sections that functions of `fastnn.init` have in common; `shared_sections` says whose they are."""

from __future__ import annotations

DRAWN = """
rng : optional
    Anything `numpy.random.default_rng` takes: a seed, or a Generator, whose numbers go on.
dtype : dtype
    float32 or float64.

Returns
-------
ndarray, shape ``shape``
    Values drawn in float64 and rounded.

Raises
------
TypeError
    For a dtype other than float32 and float64.
ValueError"""

FILLED = """
Parameters
----------
shape : int or tuple of int
    The shape.
{value}dtype : dtype
    float32 or float64.

Returns
-------
ndarray, shape ``shape``
    A fresh array.

Raises
------
TypeError
    For a dtype other than float32 and float64.
ValueError
    For an extent below 0.
"""

NORMAL = f"""
Parameters
----------
shape : int or tuple of int
    The shape.
mean, std : float
    Mean and standard deviation.{DRAWN}
    For an extent below 0, or a ``std`` below 0 or not finite.
"""

UNIFORM = f"""
Parameters
----------
shape : int or tuple of int
    The shape.
low, high : float
    The bounds; before rounding ``low`` can be drawn, ``high`` cannot.{DRAWN}
    For an extent below 0, a ``low`` above ``high``, or NaN.
OverflowError
    If their difference is not finite.
"""

ORTHOGONAL = f"""
Parameters
----------
shape : tuple of int
    At least two axes; those after the first count as one.
gain : float
    Length of the rows or columns.{DRAWN}
    For fewer than two axes.
"""

XAVIER = f"""
Parameters
----------
shape : tuple of int
    Of the weight; see `fans`. A transposed convolution, which exchanges the two fans, gets the same values.
gain : float
    Factor of the standard deviation.
groups : int
    Groups of the convolution.{DRAWN}
    For a ``gain`` below 0 or not finite, and as `fans`.
"""

BY_FAN_IN = f"""
Parameters
----------
shape : tuple of int
    Of the weight; see `fans`.
{{slope}}groups : int
    Groups of the convolution.
transposed : bool
    Whether the weight is that of a transposed convolution.{DRAWN}
    As `fans`.
"""

SLOPE = """negative_slope : float
    Of a leaky ReLU: the variance is ``2/((1 + negative_slope²) · fan_in)``.
"""
