"""First values of parameters: functions of a shape that return an array.

``layer.weight.data[...] = init.he_normal(layer.weight.shape, rng=0)`` gives an existing layer new weights.

Values are drawn in float64 and rounded to ``dtype``, so that one seed gives the same network in float32 and
float64. ``rng`` is anything `numpy.random.default_rng` takes; to initialise several arrays hand on one Generator,
since equal seeds draw equal numbers.
"""

from .plain import constant, normal, orthogonal, truncated_normal, uniform, zeros
from .scaled import fans, he_normal, he_uniform, lecun_normal, lecun_uniform, xavier_normal, xavier_uniform

__all__ = [
    "constant",
    "fans",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
