"""Cases of optimisers, training steps, embeddings and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

import nets
from bench_case import FLOAT, Case, Work, normal
from op_cases import LABELS

# ---- optimisers ---------------------------------------------------------------------------------------------------

BIG = [(9_400_000,)]
# Weights, biases and norm parameters of a small residual network
SMALL = [shape for c in (16, 32, 64) for shape in [(c, c, 3, 3), (c,), (c,), (c,)] * 5]


def optimizer_case(
    op: str, label: str, shapes: list[tuple[int, ...]], make: Callable[[Any, Any], Any], moved: int, **columns: Any
) -> Case:
    """``moved``: values read and written per parameter."""

    def build(library: Any) -> Work:
        parameters = [library.parameter(normal(*s)) for s in shapes]
        for parameter, s in zip(parameters, shapes, strict=True):
            library.set_grad(parameter, normal(*s))
        return Work(make(library, parameters).step)

    return Case(op, label, build, bytes=(float(FLOAT * moved * sum(map(prod, shapes))), 0.0), **columns)


def adam(library: Any, parameters: Any) -> Any:
    return library.adam(parameters)


def _amsgrad(library: Any, parameters: Any) -> Any:
    if hasattr(library.optim, "AMSGrad"):
        return library.optim.AMSGrad(parameters, lr=1e-3)
    return library.optim.Adam(parameters, lr=1e-3, amsgrad=True, fused=True)


def rmsprop(library: Any, parameters: Any) -> Any:
    return library.optim.RMSprop(parameters, lr=1e-3, alpha=0.9)


OPTIMISERS = [
    optimizer_case("adam_step", "fused, 9.4 M", BIG, adam, 7, table=True),
    optimizer_case("rmsprop_step", "9.4 M", BIG, rmsprop, 5, table=True),
    optimizer_case("adam_step", "fused, 60 small tensors", SMALL, adam, 7, table=True),
    optimizer_case("rmsprop_step", "60 small tensors", SMALL, rmsprop, 5, table=True),
    optimizer_case("adamw_step", "9.4 M", BIG, lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    optimizer_case("adamw_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    optimizer_case("adam_step", "AMSGrad, 9.4 M", BIG, _amsgrad, 9),
    optimizer_case("adagrad_step", "9.4 M", BIG, lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    optimizer_case("adagrad_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    optimizer_case("adadelta_step", "9.4 M", BIG, lambda lib, p: lib.optim.Adadelta(p), 7),
    optimizer_case("adadelta_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.Adadelta(p), 7),
    optimizer_case("sgd_step", "plain, 9.4 M", BIG, lambda lib, p: lib.optim.SGD(p, lr=1e-3), 3),
    optimizer_case("sgd_step", "momentum, 60 small tensors", SMALL, lambda lib, p: lib.optim.SGD(p, 1e-3, 0.9), 5),
    optimizer_case("sgd_step", "momentum, 9.4 M", BIG, lambda lib, p: lib.optim.SGD(p, lr=1e-3, momentum=0.9), 5),
]


# ---- training steps: forward, loss, backward, optimiser --------------------------------------------------------------


def _training(label: str, net: Callable[[Any], Any], shape: tuple[int, ...], **columns: Any) -> Case:
    def build(library: Any) -> Work:
        model = library.module(net(library.nn))
        model.train()
        optimizer, criterion = library.adam(list(model.parameters())), library.nn.CrossEntropyLoss()
        x, target = library.array(normal(*shape)), library.array(LABELS[: shape[0]] % 10)

        def step() -> None:
            optimizer.zero_grad()
            criterion(model(x), target).backward()
            optimizer.step()

        return Work(step)

    return Case("training step", label, build, table=True, images=len(shape) == 4, **columns)


TRAINING = [
    _training("1×8×8 CNN b32", nets.digits_cnn, (32, 1, 8, 8)),
    _training("28×28 CNN b64", nets.mnist_cnn, (64, 1, 28, 28)),
    _training("MLP 784-256-10 b64", nets.mlp, (64, 784)),
    _training("ResNet-20 b32", nets.resnet20, (32, 3, 32, 32)),
    _training("ResNet-20 b128", nets.resnet20, (128, 3, 32, 32)),
]


# ---- embedding: each row taken is read and written once; the gradient is as large as the table --------------------

ROWS = np.random.default_rng(0).integers(0, 30000, 8192)


def _embedding(library: Any) -> Work:
    table, index = normal(30000, 256), library.array(ROWS)

    def call(F: Any, weight: Any) -> Any:
        return F.embedding(index, weight)

    weight = library.array(table)
    forward = lambda: call(library.F, weight)
    return Work(forward, library.vjp(call, [table], normal(8192, 256)))


EMBEDDING = [
    Case(
        "embedding",
        "8192 of 30000×256",
        _embedding,
        bytes=(2.0 * FLOAT * 8192 * 256, FLOAT * (8192.0 + 30000.0) * 256),
        directions=("forward", "backward"),
    )
]


# ---- recurrent layers: 2 · T · N · gates · H · (I + H) operations, twice that backwards -----------------------------


def recurrent_cases(
    op: str, gates: int, inputs: int, units: int, steps: int, batch: int, prefix: str = "", **columns: Any
) -> Iterator[Case]:
    """The forward in evaluation; and what a training step needs, forward and gradients of input and weights."""

    def evaluation(library: Any) -> Work:
        net, x = getattr(library.nn, op.upper())(inputs, units), library.array(normal(steps, batch, inputs))
        return Work(library.without_grad(lambda: net(x)))

    def training(library: Any) -> Work:
        net, x = getattr(library.nn, op.upper())(inputs, units), library.parameter(normal(steps, batch, inputs))
        dy = library.array(normal(steps, batch, units))

        def step() -> None:
            net.zero_grad()
            x.grad = None
            net(x)[0].backward(dy)

        return Work(step)

    flops = 2.0 * steps * batch * gates * units * (inputs + units)
    label = f"{prefix}{inputs}→{units}, T={steps}, b{batch}"
    yield Case(op, label, evaluation, flops=(flops, 0.0), **columns)
    yield Case(op, f"{label}, forward + backward", training, flops=(3 * flops, 0.0), **columns)


RECURRENT = [
    case
    for op, gates in (("lstm", 4), ("gru", 3))
    for sizes in ((64, 128, 50, 32), (128, 256, 100, 16), (64, 128, 50, 1), (128, 256, 100, 1))
    for case in recurrent_cases(op, gates, *sizes, table=sizes == (64, 128, 50, 32))
]
RECURRENT += recurrent_cases("rnn", 1, 64, 128, 50, 32)
