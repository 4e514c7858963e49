"""Normalisation by channel: batch norm and instance norm, with running statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from .. import functional as F
from .. import init
from .._types import Array, ArrayLike, DTypeLike, Value
from ..autograd import Tensor
from ..checks import scalars
from .norm import _PerChannel

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]

_AXES = {2: "(N, C)", 3: "(N, C, W)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}


class _ChannelNorm(_PerChannel):
    """What batch and instance norm have in common."""

    _flat = False  # whether the layer of one spatial axis takes (N, C), too
    _ndims: ClassVar[tuple[int, ...]]
    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None

    def __init_subclass__(cls, rank: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls._ndims = (2, 3) if cls._flat and rank == 1 else (rank + 2,)

    def __init__(self, num_features: int, eps: float, affine: bool, unbiased: bool, dtype: DTypeLike) -> None:
        op = type(self).__name__
        self.num_features = scalars.integer(op, "num_features", num_features, 1)
        self.eps = scalars.real(op, "eps", eps, 0.0)
        self.unbiased = scalars.flag(op, "unbiased", unbiased)
        self._affine("weight", 1.0, num_features, affine, dtype)
        self._affine("bias", 0.0, num_features, affine, dtype)

    @property
    def track_running_stats(self) -> bool:
        """Whether there are running statistics."""
        return self.running_mean is not None

    def _track(self, tracked: bool, dtype: DTypeLike) -> None:
        n = self.num_features
        self.register_buffer("running_mean", init.zeros(n, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", init.constant(n, 1.0, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def _check(self, x: Any) -> None:
        shape = getattr(x, "shape", None) or np.shape(x)
        if len(shape) not in self._ndims or shape[1] != self.num_features:
            axes = " or ".join(_AXES[n] for n in self._ndims)
            raise ValueError(
                f"{type(self).__name__}: expected {axes} with C={self.num_features}, got x of shape {shape}"
            )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}, eps={self.eps:g}{affine}" + ("" if self.unbiased else ", unbiased=False")


class _BatchNorm(_ChannelNorm):
    _flat = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.99,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        unbiased: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_features, eps, affine, unbiased, dtype)
        op = type(self).__name__
        self.momentum = None if momentum is None else scalars.real(op, "momentum", momentum, 0.0, 1.0)
        self._track(track_running_stats, dtype)

    def _kept(self) -> float:
        """The share of the running statistics that the next batch leaves."""
        if self.momentum is not None:
            return self.momentum
        if self.num_batches_tracked is None:
            return 0.0
        seen = int(self.num_batches_tracked)
        return seen / (seen + 1)

    def forward(self, x: Value) -> Tensor:
        """The shape stays. In training the running statistics take in those of the batch."""
        return self._normalised(F.batch_norm, x)

    def then_relu(self, x: Value, residual: Value | None = None) -> Tensor:
        """``relu(self(x) + residual)`` in one pass over memory; the residual has the shape of ``x``."""
        return self._normalised(F.batch_norm_relu, x, residual)

    def _normalised(self, function: Callable[..., Tensor], x: Value, *residual: Value | None) -> Tensor:
        self._check(x)
        by_batch = self.training or self.running_mean is None
        mean, var, kept = self.running_mean, self.running_var, self._kept()
        y = function(x, mean, var, self.weight, self.bias, *residual, by_batch, kept, self.eps, unbiased=self.unbiased)
        batches = self.num_batches_tracked
        if self.training and batches is not None:
            batches += 1  # in place; an assignment to the attribute takes longer
        return y

    def extra_repr(self) -> str:
        tracked = "" if self.running_mean is not None else ", track_running_stats=False"
        momentum = "None" if self.momentum is None else f"{self.momentum:g}"
        return f"{super().extra_repr()}, momentum={momentum}{tracked}"


class BatchNorm1d(_BatchNorm, rank=1):
    """Batch norm of (N, C) or (N, C, W): ``y = γ·(x − μ)/sqrt(σ² + ε) + β`` per channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        ε.
    momentum : float or None
        Of the running statistics, as Keras, Flax and ONNX understand it: ``running = momentum·running +
        (1 − momentum)·batch``. **PyTorch's ``momentum`` is one minus this**: its default 0.1 is 0.9 here. None, as in
        PyTorch: the running statistics are the mean of those of all batches so far.
    affine : bool
        Whether there are γ (``weight``) and β (``bias``).
    track_running_stats : bool
        Whether to keep running statistics; without them evaluation uses those of its batch.
    unbiased : bool
        Whether the running variance is made of unbiased variances, divided by m − 1, as in PyTorch; if not, of those divided
        by m, with which training normalises, as in Keras and ONNX.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, ()
        Training batches seen.

    Notes
    -----
    In training a batch must have more than one value per channel.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.BatchNorm1d(3)(np.arange(6, dtype=np.float32).reshape(2, 3)).data.round(3)
    array([[-1., -1., -1.],
           [ 1.,  1.,  1.]], dtype=float32)
    """


class BatchNorm2d(_BatchNorm, rank=2):
    """Batch norm of images (N, C, H, W): ``y = γ·(x − μ)/sqrt(σ² + ε) + β`` per channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        ε.
    momentum : float or None
        Of the running statistics, as Keras, Flax and ONNX understand it: ``running = momentum·running +
        (1 − momentum)·batch``. **PyTorch's ``momentum`` is one minus this**: its default 0.1 is 0.9 here. None, as in
        PyTorch: the running statistics are the mean of those of all batches so far.
    affine : bool
        Whether there are γ (``weight``) and β (``bias``).
    track_running_stats : bool
        Whether to keep running statistics; without them evaluation uses those of its batch.
    unbiased : bool
        Whether the running variance is made of unbiased variances, divided by m − 1, as in PyTorch; if not, of those divided
        by m, with which training normalises, as in Keras and ONNX.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, ()
        Training batches seen.

    Notes
    -----
    In training a batch must have more than one value per channel.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> norm = nn.BatchNorm2d(3)
    >>> y = norm(np.random.default_rng(0).normal(5.0, 2.0, (8, 3, 4, 4)).astype(np.float32))
    >>> bool(abs(y.data.mean()) < 1e-5)
    True
    """


class BatchNorm3d(_BatchNorm, rank=3):
    """Batch norm of volumes (N, C, D, H, W): ``y = γ·(x − μ)/sqrt(σ² + ε) + β`` per channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        ε.
    momentum : float or None
        Of the running statistics, as Keras, Flax and ONNX understand it: ``running = momentum·running +
        (1 − momentum)·batch``. **PyTorch's ``momentum`` is one minus this**: its default 0.1 is 0.9 here. None, as in
        PyTorch: the running statistics are the mean of those of all batches so far.
    affine : bool
        Whether there are γ (``weight``) and β (``bias``).
    track_running_stats : bool
        Whether to keep running statistics; without them evaluation uses those of its batch.
    unbiased : bool
        Whether the running variance is made of unbiased variances, divided by m − 1, as in PyTorch; if not, of those divided
        by m, with which training normalises, as in Keras and ONNX.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, ()
        Training batches seen.

    Notes
    -----
    In training a batch must have more than one value per channel.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.BatchNorm3d(3)(np.ones((2, 3, 2, 4, 4), np.float32)).shape
    (2, 3, 2, 4, 4)
    """


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = False,
        momentum: float = 0.99,
        track_running_stats: bool = False,
        *,
        unbiased: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_features, eps, affine, unbiased, dtype)
        self.momentum = scalars.real(type(self).__name__, "momentum", momentum, 0.0, 1.0)
        self._track(track_running_stats, dtype)

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Tensor) -> Tensor: ...
        @overload
        def __call__(self, x: ArrayLike) -> Tensor | Array: ...  # an array unless affine=True
        def __call__(self, x: Value) -> Tensor | Array: ...

    def forward(self, x: Value) -> Tensor | Array:
        """The shape stays. In training the running statistics, if any, take in those of the instances."""
        self._check(x)
        mean, var = self.running_mean, self.running_var
        of_input = self.training or mean is None
        return F.instance_norm(
            x, self.weight, self.bias, self.eps, mean, var, of_input, self.momentum, unbiased=self.unbiased
        )

    def extra_repr(self) -> str:
        tracked = "" if self.running_mean is None else f", momentum={self.momentum:g}, track_running_stats=True"
        return super().extra_repr() + tracked


class InstanceNorm1d(_InstanceNorm, rank=1):
    """Normalisation of sequences (N, C, W) over W, for each sample and channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a ``weight`` and a ``bias`` per channel; False by default, as in PyTorch.
    momentum : float
        Of the running statistics, as of batch norm: the share that is kept. PyTorch's is one minus this.
    track_running_stats : bool
        Whether to keep running statistics, the mean over the samples of theirs, for evaluation; by default evaluation
        normalises as training does.
    unbiased : bool
        As of batch norm: whether the running variance is made of unbiased variances.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, (), or None
        Stays 0, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.InstanceNorm1d(3)(np.ones((2, 3, 8))).shape
    (2, 3, 8)
    """


class InstanceNorm2d(_InstanceNorm, rank=2):
    """Normalisation of images (N, C, H, W) over H and W, for each sample and channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a ``weight`` and a ``bias`` per channel; False by default, as in PyTorch.
    momentum : float
        Of the running statistics, as of batch norm: the share that is kept. PyTorch's is one minus this.
    track_running_stats : bool
        Whether to keep running statistics, the mean over the samples of theirs, for evaluation; by default evaluation
        normalises as training does.
    unbiased : bool
        As of batch norm: whether the running variance is made of unbiased variances.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, (), or None
        Stays 0, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.InstanceNorm2d(3)(np.ones((2, 3, 8, 8))).shape
    (2, 3, 8, 8)
    """


class InstanceNorm3d(_InstanceNorm, rank=3):
    """Normalisation of volumes (N, C, D, H, W) over D, H and W, for each sample and channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a ``weight`` and a ``bias`` per channel; False by default, as in PyTorch.
    momentum : float
        Of the running statistics, as of batch norm: the share that is kept. PyTorch's is one minus this.
    track_running_stats : bool
        Whether to keep running statistics, the mean over the samples of theirs, for evaluation; by default evaluation
        normalises as training does.
    unbiased : bool
        As of batch norm: whether the running variance is made of unbiased variances.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : ndarray, (num_features,), or None
        Used in evaluation.
    num_batches_tracked : ndarray of int64, (), or None
        Stays 0, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.InstanceNorm3d(3)(np.ones((2, 3, 2, 4, 4))).shape
    (2, 3, 2, 4, 4)
    """
