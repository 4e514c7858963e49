"""fastnn (either backend) and PyTorch behind one small interface, so that a benchmark case is written once.

A library has the functional namespace ``F``, ``nn`` and ``optim``, and makes its arrays from NumPy's. Both name their
functions, layers and optimisers alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Fastnn:
    """fastnn on one of its backends."""

    def __init__(self, backend: str = "native") -> None:
        import fastnn
        import fastnn.functional

        self.name = backend
        self.fastnn = fastnn
        self.F = fastnn.functional
        fastnn.use_backend(backend)

    @property
    def nn(self) -> Any:
        return self.fastnn.nn

    @property
    def optim(self) -> Any:
        return self.fastnn.optim

    def array(self, a: np.ndarray) -> Any:
        """As an input: fastnn computes on NumPy arrays."""
        return a

    def parameter(self, a: np.ndarray) -> Any:
        return self.nn.Parameter(a)

    def set_grad(self, parameter: Any, grad: np.ndarray) -> None:
        parameter.grad = grad

    def module(self, net: Any) -> Any:
        return net

    def adam(self, parameters: Any, lr: float = 1e-3) -> Any:
        return self.optim.Adam(parameters, lr=lr)

    def vjp(self, call: Callable[..., Any], arrays: Sequence[Any], dy: np.ndarray) -> Callable[[], Any]:
        """The reverse pass of ``call`` alone, as the tape runs it: no sums into ``.grad``.

        It is that of a repeated call, which follows a kept plan as the steps of a training do.
        """
        leaves = [None if a is None else self.fastnn.Tensor(a, requires_grad=True) for a in arrays]
        for _ in range(2):
            y = call(self.F, *leaves)
        node, needs = y._node, y._node.needs
        return lambda: node.vjp(dy, needs)

    def pool_gradient(self, op: str, dy: Any, x: Any, indices: Any, *arguments: Any) -> Callable[[], Any]:
        """The public backward of a max pooling, given what the forward returned with ``return_indices=True``."""
        backward = getattr(self.F, op + "_backward")
        return lambda: backward(dy, x, *arguments, indices=indices)

    def without_grad(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """``call``, which uses parameters, without recording a graph."""

        def run() -> Any:
            with self.fastnn.no_grad():
                return call()

        return run


class _TorchFunctional:
    """torch.nn.functional, and torch for what is only there."""

    def __init__(self, torch: Any) -> None:
        self._places = (torch.nn.functional, torch)

    def thresholded_relu(self, x: Any) -> Any:
        return self._places[0].threshold(x, 1.0, 0.0)

    def __getattr__(self, name: str) -> Any:
        for place in self._places:
            if hasattr(place, name):
                value = getattr(place, name)
                setattr(self, name, value)
                return value
        raise AttributeError(name)


class Torch:
    """PyTorch on the CPU, with contiguous or channels_last images."""

    def __init__(self, channels_last: bool = False) -> None:
        import torch

        self.name = "torch channels_last" if channels_last else "torch"
        self.torch = torch
        self.channels_last = channels_last
        self.F = _TorchFunctional(torch)
        self.nn = torch.nn
        self.optim = torch.optim

    def array(self, a: np.ndarray) -> Any:
        t = self.torch.from_numpy(a)
        return t.contiguous(memory_format=self.torch.channels_last) if self.channels_last and t.ndim == 4 else t

    def parameter(self, a: np.ndarray) -> Any:
        return self.nn.Parameter(self.array(a))

    def set_grad(self, parameter: Any, grad: np.ndarray) -> None:
        parameter.grad = self.array(grad)

    def module(self, net: Any) -> Any:
        return net.to(memory_format=self.torch.channels_last) if self.channels_last else net

    def adam(self, parameters: Any, lr: float = 1e-3) -> Any:
        return self.optim.Adam(parameters, lr=lr, fused=True)

    def vjp(self, call: Callable[..., Any], arrays: Sequence[Any], dy: np.ndarray) -> Callable[[], Any]:
        leaves = [None if a is None else self.array(a).detach().requires_grad_() for a in arrays]
        y = call(self.F, *leaves)
        wanted = [a for a in leaves if a is not None]
        seed = self.array(dy)
        return lambda: self.torch.autograd.grad(y, wanted, seed, retain_graph=True)

    def pool_gradient(self, op: str, dy: Any, x: Any, indices: Any, *arguments: Any) -> Callable[[], Any]:
        """As of `Fastnn`; the function is not in PyTorch's functional namespace."""
        dy, aten = self.array(dy), self.torch.ops.aten
        if op.startswith("adaptive"):
            return lambda: getattr(aten, op + "_backward")(dy, x, indices)
        kernel, stride, padding = ([n, n] for n in arguments)
        backward = getattr(aten, op + "_with_indices_backward")
        return lambda: backward(dy, x, kernel, stride, padding, [1, 1], False, indices)

    def without_grad(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """``call``, which uses parameters, without recording a graph."""

        def run() -> Any:
            with self.torch.no_grad():
                return call()

        return run
