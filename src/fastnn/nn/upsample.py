"""The layer that gives images another size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .. import checks
from .. import functional as F
from .._types import Ints, Value
from .kinds import WithoutParameters

__all__ = ["Upsample"]

_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}


class Upsample(WithoutParameters):
    """Sequences, images or volumes (N, C, ...) of another size, larger or smaller, as `fastnn.functional.interpolate` makes them.

    Parameters
    ----------
    size : int or tuple of int, optional
        Extents of the spatial axes of the output.
    scale_factor : float or tuple of float, optional
        In the place of ``size``: how many times as large each of them becomes, rounded down.
    mode : str
        "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "cubic", "bicubic" or "area".
    align_corners : bool, optional
        Linear and cubic: whether the outer elements of input and output lie on each other, or, as by default, their outer edges.
    recompute_scale_factor : bool, optional
        Whether places are computed with the factor of the rounded sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Upsample(scale_factor=2, mode="bilinear")(np.ones((2, 4, 9, 7))).shape
    (2, 4, 18, 14)
    """

    def __init__(
        self,
        size: Ints | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        checks.upsampling("Upsample", size, scale_factor, mode, align_corners, recompute_scale_factor)
        self.size = tuple(size) if isinstance(size, list) else size
        self.scale_factor = tuple(scale_factor) if isinstance(scale_factor, list) else scale_factor
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Value) -> Value:
        """x (N, C, *size) -> (N, C, *out)."""
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int | Fraction, int | Fraction], ...] | None:
        """Outputs lie closer than inputs where the size grows; areas have windows where all are of one size."""
        settings = (self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)
        given = checks.interpolation("Upsample", (1, 1, *size), None, *settings)
        axes = list(zip(size, given.out, strict=True))
        if given.rule is not None:
            taps = _TAPS[given.rule.kind]
            return tuple((1, 1) if n == out else (taps, Fraction(n, out)) for n, out in axes)
        return None if any(n % out for n, out in axes) else tuple((n // out, n // out) for n, out in axes)

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        corners = "" if self.align_corners is None else f", align_corners={self.align_corners}"
        return f"{size}, mode={self.mode!r}{corners}"
