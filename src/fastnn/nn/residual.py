"""Residual blocks: what a block learns is added to what it got."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from .._types import DTypeLike, Rng, Value
from ..autograd import Tensor, raw
from ..checks import scalars
from .activation import ReLU
from .channel_norm import BatchNorm2d
from .containers import Sequential
from .conv import Conv2d
from .fusion import NORMS, run, unobserved
from .misc import Identity
from .module import Module

__all__ = ["Residual", "ResidualBlock"]


class Residual(Module):
    """``activation(branch(x) + shortcut(x))``.

    Parameters
    ----------
    branch : Module
        What is learned beside the shortcut.
    shortcut : Module, optional
        The identity by default; a projection where the branch changes the shape.
    activation : Module, optional
        Applied to the sum; none by default.

    Raises
    ------
    ValueError
        When called, if branch and shortcut give different shapes.

    Notes
    -----
    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016, equations (1) and (2).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> block = nn.Residual(nn.Linear(3, 3, rng=0), activation=nn.ReLU())
    >>> block(np.ones((2, 3), np.float32)).shape
    (2, 3)
    """

    def __init__(self, branch: Module, shortcut: Module | None = None, activation: Module | None = None) -> None:
        for name, module in (("branch", branch), ("shortcut", shortcut), ("activation", activation)):
            if not isinstance(module, Module) and (module is not None or name == "branch"):
                raise TypeError(f"Residual: {name} must be a module, got {type(module).__name__}")
        self.branch = branch
        self.shortcut = Identity() if shortcut is None else shortcut
        self.activation = Identity() if activation is None else activation

    def forward(self, x: Value) -> Tensor:
        """x as branch and shortcut take it."""
        norm = self._fused_norm()
        y: Tensor = self.branch(x) if norm is None else run(list(self.branch.children())[:-1], x)
        passed: Tensor = self.shortcut(x)
        given, added = np.shape(raw(y)), np.shape(raw(passed))
        if given != added:
            raise ValueError(
                f"{type(self).__name__}: the branch gives shape {given} but the shortcut {added}, "
                f"for x of shape {np.shape(raw(x))}"
            )
        z: Tensor = self.activation(y + passed) if norm is None else norm.then_relu(y, passed)
        return z

    def _fused_norm(self) -> Any:
        """The batch norm at the end of the branch, if it, the sum and ReLU can be computed together."""
        if type(self.activation) is not ReLU or type(self.branch) is not Sequential or not len(self.branch):
            return None
        last = self.branch[-1]
        return last if type(last) in NORMS and unobserved(self.branch, last, self.activation) else None


class ResidualBlock(Residual):
    """Two 3×3 convolutions with batch norm, added to a shortcut: the block of ResNet-18, -34 and -20.

    conv – norm – ReLU – conv – norm, plus the shortcut, then ReLU.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    stride : int or (int, int)
        Of the first convolution and of the projection.
    shortcut : {"auto", "identity", "projection"}
        The input itself, or a 1×1 convolution with batch norm; ``"auto"`` projects where the shape changes.
    momentum : float
        Of the batch norms; see `BatchNorm2d`.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes; draws the weights.

    Raises
    ------
    ValueError
        For an identity shortcut where the shape changes.

    Notes
    -----
    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016, figure 2; ``"auto"`` is
    option B of section 4.1 and ``"projection"`` option C.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ResidualBlock(8, 16, stride=2, rng=0)(np.ones((2, 8, 16, 16), np.float32)).shape
    (2, 16, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int] = 1,
        shortcut: Literal["auto", "identity", "projection"] = "auto",
        *,
        momentum: float = 0.99,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        if shortcut not in ("auto", "identity", "projection"):
            raise ValueError(f"ResidualBlock: shortcut must be 'auto', 'identity' or 'projection', got {shortcut!r}")
        steps = scalars.per_axis("ResidualBlock", "stride", stride, 2)
        changes = in_channels != out_channels or steps not in (1, (1, 1))
        if changes and shortcut == "identity":
            raise ValueError(
                f"ResidualBlock: the identity does not fit {in_channels} to {out_channels} channels with stride {stride}"
            )
        generator = np.random.default_rng(rng)

        def conv(inputs: int, size: int, step: Any) -> list[Module]:
            padding = size // 2
            return [
                Conv2d(inputs, out_channels, size, step, padding, bias=False, dtype=dtype, rng=generator),
                BatchNorm2d(out_channels, momentum=momentum, dtype=dtype),
            ]

        branch = Sequential(*conv(in_channels, 3, steps), ReLU(), *conv(out_channels, 3, 1))
        projects = changes or shortcut == "projection"
        super().__init__(branch, Sequential(*conv(in_channels, 1, steps)) if projects else None, ReLU())

    @classmethod
    def _of_parts(cls, branch: Module, shortcut: Module, activation: Module) -> Self:
        made = cls.__new__(cls)
        Residual.__init__(made, branch, shortcut, activation)
        return made
