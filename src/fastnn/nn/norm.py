"""Normalisation layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functional as F
from .. import init
from ..checks import scalars
from .module import Module, Parameter


class _Norm(Module):
    weight: Parameter | None

    def _affine(self, name: str, value: float, shape: int | tuple[int, ...], there: bool, dtype: Any) -> None:
        """γ or β, which weight decay leaves alone unless asked."""
        parameter = Parameter(init.constant(shape, value, dtype=dtype), decay=False) if there else None
        self.register_parameter(name, parameter)

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """A scale and a shift of each element."""
        return math.prod(output)


class _ChannelNorm(_Norm):
    """What batch and instance norm have in common."""

    _ndims: tuple[int, ...]
    _axes: str
    bias: Parameter | None

    def __init__(self, num_features: int, eps: float, affine: bool, unbiased: bool, dtype: Any) -> None:
        op = type(self).__name__
        self.num_features = scalars.integer(op, "num_features", num_features, 1)
        self.eps = scalars.real(op, "eps", eps, 0.0)
        self.unbiased = scalars.flag(op, "unbiased", unbiased)
        self._affine("weight", 1.0, num_features, affine, dtype)
        self._affine("bias", 0.0, num_features, affine, dtype)

    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None

    @property
    def affine(self) -> bool:
        """Whether there are γ and β, or one of them."""
        return self.weight is not None or self.bias is not None

    @property
    def track_running_stats(self) -> bool:
        """Whether there are running statistics."""
        return self.running_mean is not None

    def _track(self, tracked: bool, dtype: Any) -> None:
        n = self.num_features
        self.register_buffer("running_mean", init.zeros(n, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", init.constant(n, 1.0, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def _check(self, x: Any) -> None:
        shape = getattr(x, "shape", None) or np.shape(x)
        if len(shape) not in self._ndims or shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: expected {self._axes} with C={self.num_features}, got x of shape {shape}"
            )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}, eps={self.eps:g}{affine}" + ("" if self.unbiased else ", unbiased=False")


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.99,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        unbiased: bool = True,
        dtype: Any = np.float32,
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

    def forward(self, x: Any) -> Any:
        """The shape stays. In training the running statistics take in those of the batch."""
        self._check(x)
        by_batch = self.training or self.running_mean is None
        mean, var, kept = self.running_mean, self.running_var, self._kept()
        y = F.batch_norm(x, mean, var, self.weight, self.bias, by_batch, kept, self.eps, unbiased=self.unbiased)
        self._count()
        return y

    def then_relu(self, x: Any, residual: Any = None) -> Any:
        """``relu(self(x) + residual)`` in one pass over memory; the residual has the shape of ``x``."""
        self._check(x)
        by_batch = self.training or self.running_mean is None
        mean, var, kept = self.running_mean, self.running_var, self._kept()
        y = F.batch_norm_relu(
            x, mean, var, self.weight, self.bias, residual, by_batch, kept, self.eps, unbiased=self.unbiased
        )
        self._count()
        return y

    def _count(self) -> None:
        batches = self.num_batches_tracked
        if self.training and batches is not None:
            batches += 1  # in place; an assignment to the attribute takes longer

    def extra_repr(self) -> str:
        tracked = "" if self.running_mean is not None else ", track_running_stats=False"
        momentum = "None" if self.momentum is None else f"{self.momentum:g}"
        return f"{super().extra_repr()}, momentum={momentum}{tracked}"


class BatchNorm1d(_BatchNorm):
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

    _ndims = (2, 3)
    _axes = "(N, C) or (N, C, W)"


class BatchNorm2d(_BatchNorm):
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

    _ndims = (4,)
    _axes = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
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

    _ndims = (5,)
    _axes = "(N, C, D, H, W)"


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
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(num_features, eps, affine, unbiased, dtype)
        self.momentum = scalars.real(type(self).__name__, "momentum", momentum, 0.0, 1.0)
        self._track(track_running_stats, dtype)

    def forward(self, x: Any) -> Any:
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


class InstanceNorm1d(_InstanceNorm):
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

    _ndims = (3,)
    _axes = "(N, C, W)"


class InstanceNorm2d(_InstanceNorm):
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

    _ndims = (4,)
    _axes = "(N, C, H, W)"


class InstanceNorm3d(_InstanceNorm):
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

    _ndims = (5,)
    _axes = "(N, C, D, H, W)"


class LayerNorm(_Norm):
    """Normalisation over the last axes of each sample; the same in training and evaluation.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Extents of the axes normalised over: the last one, or for example (C, H, W).
    eps : float
        Added to the variance.
    elementwise_affine, bias : bool
        Whether there is a ``weight`` of shape ``normalized_shape``, and with it a ``bias``.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LayerNorm(4)(np.ones((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape = tuple(scalars.integer("LayerNorm", "normalized_shape", n, 1) for n in shape)
        self.eps = scalars.real("LayerNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, self.normalized_shape, elementwise_affine, dtype)
        self._affine("bias", 0.0, self.normalized_shape, elementwise_affine and bias, dtype)

    @property
    def elementwise_affine(self) -> bool:
        """Whether there are a weight and a bias, or one of them."""
        return self.weight is not None or self.bias is not None

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps:g}" + ("" if self.weight is not None else ", affine=False")


class GroupNorm(_Norm):
    """Normalisation over groups of channels and space, for each sample.

    Parameters
    ----------
    num_groups, num_channels : int
        The channels are split into this many groups, which must divide them.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a ``weight`` and a ``bias`` per channel.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.GroupNorm(2, 6)(np.ones((2, 6, 4, 4), np.float32)).shape
    (2, 6, 4, 4)
    """

    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: Any = np.float32
    ) -> None:
        self.num_groups = scalars.integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = scalars.integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.eps = scalars.real("GroupNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, num_channels, affine, dtype)
        self._affine("bias", 0.0, num_channels, affine, dtype)

    @property
    def affine(self) -> bool:
        """Whether there are a weight and a bias, or one of them."""
        return self.weight is not None or self.bias is not None

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps:g}{affine}"


class RMSNorm(_Norm):
    """Division by the root mean square over the last axes of each sample: `fastnn.functional.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Extents of the axes normalised over.
    eps : float, optional
        Added to the mean square; by default the machine epsilon of the input's dtype, as in PyTorch.
    elementwise_affine : bool
        Whether there is a ``weight`` of shape ``normalized_shape``.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.RMSNorm(4)(np.full((2, 4), -3.0, np.float32)).data[0]
    array([-1., -1., -1., -1.], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape = tuple(scalars.integer("RMSNorm", "normalized_shape", n, 1) for n in shape)
        self.eps = None if eps is None else scalars.real("RMSNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, self.normalized_shape, elementwise_affine, dtype)

    @property
    def elementwise_affine(self) -> bool:
        """Whether there is a weight."""
        return self.weight is not None

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        eps = "" if self.eps is None else f", eps={self.eps:g}"
        return f"{self.normalized_shape}{eps}" + ("" if self.weight is not None else ", affine=False")


class LocalResponseNorm(_Norm):
    """Division by a power of the energy in neighbouring channels: `fastnn.functional.local_response_norm`.

    Parameters
    ----------
    size : int
        Channels in a window.
    alpha, beta, k : float
        ``y = x / (k + alpha / size * energy) ** beta``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LocalResponseNorm(5)(np.ones((2, 8, 4, 4), np.float32)).shape
    (2, 8, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        op = "LocalResponseNorm"
        self.size = scalars.integer(op, "size", size, 1)
        self.alpha, self.k = scalars.real(op, "alpha", alpha, 0.0), scalars.real(op, "k", k, 0.0)
        self.beta = scalars.real(op, "beta", beta)

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"
