"""What is measured: a case per op and shape, with the operations or bytes that its result costs at least.

`report` prints them against PyTorch, `test_bench` runs them under pytest-benchmark. ``op`` is the name in
`fastnn.functional` (or the kind of training step), so that an op without a benchmark is seen by the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

import nets
from fastnn.functional import activation, activation_smooth

Call = Callable[..., Any]  # call(F, *arrays)
FLOAT = 4


@dataclass
class Work:
    """What to time; flops or bytes are per call."""

    forward: Callable[[], Any]
    backward: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Case:
    op: str
    label: str
    build: Callable[[Any], Work]
    flops: tuple[float, float] = (0.0, 0.0)  # forward, backward
    bytes: tuple[float, float] = (0.0, 0.0)
    table: bool = False  # a row of DESIGN's table
    images: bool = False  # PyTorch is also measured in its channels_last layout
    overhead: bool = False  # microseconds of call overhead matter, not throughput
    sweep: bool = False  # one of many sizes, only measured when asked for
    directions: tuple[str, ...] = ("forward",)  # the parts of `Work` there are

    def __str__(self) -> str:
        return f"{self.op} {self.label}"


def _normal(*shape: int) -> np.ndarray:
    """At a multiple of 64 bytes: where NumPy puts arrays differs by process, and by up to a tenth of a small call's time."""
    size = prod(shape)
    memory = np.empty(size + 16, np.float32)
    x = memory[-memory.ctypes.data % 64 // 4 :][:size].reshape(shape)
    return np.random.default_rng(size).standard_normal(out=x, dtype=np.float32)


def _call_case(
    op: str, label: str, shapes: list[tuple[int, ...] | None], call: Call, backward: bool = True, **columns: Any
) -> Case:
    """A function of arrays of these shapes and its reverse pass."""

    def build(library: Any) -> Work:
        arrays = [None if s is None else _normal(*s) for s in shapes]
        inputs = [None if a is None else library.array(a) for a in arrays]
        forward = lambda: call(library.F, *inputs)
        if not backward:
            return Work(forward)
        y = forward()
        return Work(forward, library.vjp(call, arrays, _normal(*y.shape)))

    images = len(shapes[0] or ()) == 4 and not columns.get("overhead") and not columns.get("sweep")
    directions = ("forward", "backward") if backward else ("forward",)
    return Case(op, label, build, images=images, directions=directions, **columns)


# ---- convolution: 2 · N · K · OH · OW · C/groups · KH · KW operations, twice that backwards -------------------------


def _conv(
    n: int, c: int, size: int, k: int, f: int, stride: int = 1, pad: int = 0, groups: int = 1, **columns: Any
) -> Case:
    out = (size + 2 * pad - f) // stride + 1
    flops = 2.0 * n * k * out * out * (c // groups) * f * f
    label = (
        ("sweep " if columns.get("sweep") else "")
        + f"{f}×{f} {n}×{c}×{size}² → {k}"
        + (f" s{stride}" if stride > 1 else "")
        + (f" g{groups}" if groups > 1 else "")
    )

    def call(F: Any, x: Any, w: Any, b: Any) -> Any:
        return F.conv2d(x, w, b, stride, pad, 1, groups)

    shapes = [(n, c, size, size), (k, c // groups, f, f), (k,)]
    return _call_case("conv2d", label, shapes, call, flops=(flops, 2 * flops), **columns)


def _conv_transpose(op: str, label: str, x: tuple[int, ...], k: int, f: int, **options: int) -> Case:
    """Every input meets every weight of its channel once."""
    rank = len(x) - 2
    flops = 2.0 * prod(x) * k * f**rank
    shapes = [x, (x[1], k, *(f,) * rank), (k,)]
    return _call_case(
        op, label, shapes, lambda F, x, w, b: getattr(F, op)(x, w, b, **options), flops=(flops, 2 * flops)
    )  # fmt: skip


CONVOLUTIONS = [
    _conv(32, 64, 56, 64, 3, pad=1, table=True),
    _conv(32, 128, 28, 128, 3, pad=1, table=True),
    _conv(32, 256, 14, 256, 3, pad=1, table=True),
    _conv(32, 512, 7, 512, 3, pad=1, table=True),
    _conv(32, 64, 56, 64, 1, table=True),
    _conv(32, 256, 14, 512, 1, stride=2, table=True),
    _conv(64, 3, 32, 64, 3, pad=1, table=True),
    _conv(32, 1, 28, 32, 3, pad=1, table=True),
    _conv(32, 16, 32, 16, 3, pad=1, table=True),
    _conv(32, 3, 224, 64, 7, stride=2, pad=3, table=True),
    _conv(32, 64, 56, 64, 3, pad=1, groups=64),
    _conv(32, 64, 56, 128, 3, stride=2, pad=1),
    _call_case(
        "conv1d", "9 32×64×512 → 64", [(32, 64, 512), (64, 64, 9), (64,)],
        lambda F, x, w, b: F.conv1d(x, w, b, 1, 4), flops=(2.0 * 32 * 64 * 512 * 64 * 9, 4.0 * 32 * 64 * 512 * 64 * 9),
    ),
    _conv_transpose("conv_transpose2d", "4×4 s2 16×64×28² → 32", (16, 64, 28, 28), 32, 4, stride=2, padding=1),
    _conv_transpose("conv_transpose2d", "2×2 s2 16×64×28² → 32", (16, 64, 28, 28), 32, 2, stride=2),
    _conv_transpose("conv_transpose1d", "4 s2 16×64×512 → 32", (16, 64, 512), 32, 4, stride=2, padding=1),
    _conv_transpose("conv_transpose3d", "2×2×2 s2 4×32×8×14² → 16", (4, 32, 8, 14, 14), 16, 2, stride=2),
    _call_case(
        "conv3d", "3×3×3 4×32×8×28² → 32", [(4, 32, 8, 28, 28), (32, 32, 3, 3, 3), (32,)],
        lambda F, x, w, b: F.conv3d(x, w, b, 1, 1), flops=(2.0 * 4 * 32 * 8 * 28**2 * 32 * 27, 4.0 * 4 * 32 * 8 * 28**2 * 32 * 27),
    ),
]  # fmt: skip

# Sizes between those above, to see that none falls off: 3×3, as many channels out as in, up to 3 GFLOP forward.
SWEEP = [
    _conv(n, c, size, c, 3, pad=1, sweep=True)
    for c in (1, 4, 16, 48, 64, 256, 512)
    for size in (4, 8, 14, 28, 56, 112, 224)
    for n in (1, 16, 128)
    if 18.0 * n * c * c * size * size <= 3e9
]

PRODUCTS = [
    _call_case(
        "linear", "256×1024 → 1024", [(256, 1024), (1024, 1024), (1024,)],
        lambda F, x, w, b: F.linear(x, w, b), flops=(2.0 * 256 * 1024**2, 4.0 * 256 * 1024**2),
    ),
    _call_case(
        "matmul", "1024³", [(1024, 1024), (1024, 1024)],
        lambda F, a, b: F.matmul(a, b), flops=(2.0 * 1024**3, 4.0 * 1024**3),
    ),
]  # fmt: skip


# ---- what is bound by memory: each array counted once --------------------------------------------------------------

IMAGE = (32, 64, 56, 56)


def _memory(
    op: str,
    label: str,
    x: tuple[int, ...],
    y: int,
    call: Call,
    *rest: tuple[int, ...],
    saved: bool = True,
    **columns: Any,
) -> Case:
    """Reads x and writes y values forwards; backwards reads dy (and x, if ``saved``) and writes dx."""
    n = prod(x)
    moved = (FLOAT * (n + y), FLOAT * (y + n * (1 + saved)))
    return _call_case(op, label, [x, *rest], call, bytes=moved, **columns)


def _pool(op: str, label: str, call: Call, out: int, saved: bool = False, **columns: Any) -> Case:
    return _memory(op, f"{label} 32×64×56²", IMAGE, 32 * 64 * out * out, call, saved=saved, **columns)


def _pool_with_indices(op: str, label: str, arguments: tuple[int, ...], out: int) -> Case:
    """The way of programs without a tape: the forward returns the indices, and the public backward takes them."""

    def build(library: Any) -> Work:
        x, call = library.array(_normal(*IMAGE)), getattr(library.F, op)
        forward = lambda: call(x, *arguments, return_indices=True)
        y, indices = forward()
        return Work(forward, library.pool_gradient(op, _normal(*y.shape), x, indices, *arguments))

    n, y = prod(IMAGE), 32 * 64 * out * out
    moved = (FLOAT * (n + 3 * y), FLOAT * (3 * y + n))
    return Case(op, f"{label}, indices 32×64×56²", build, bytes=moved, images=True, directions=("forward", "backward"))


def _volume_pool(op: str, label: str, call: Call, out: int, saved: bool = False) -> Case:
    return _memory(op, f"{label} 8×32×8×28²", (8, 32, 8, 28, 28), 8 * 32 * out, call, saved=saved)


POOLS = [
    _pool("max_pool2d", "2×2", lambda F, x: F.max_pool2d(x, 2), 28, table=True),
    _pool("max_pool2d", "3×3 s2", lambda F, x: F.max_pool2d(x, 3, 2, 1), 28, table=True),
    _pool_with_indices("max_pool2d", "2×2", (2, 2, 0), 28),
    _pool_with_indices("max_pool2d", "3×3 s2", (3, 2, 1), 28),
    _pool_with_indices("adaptive_max_pool2d", "7", (7,), 7),
    _pool("avg_pool2d", "2×2", lambda F, x: F.avg_pool2d(x, 2), 28, table=True),
    _pool("lp_pool2d", "p=2 2×2", lambda F, x: F.lp_pool2d(x, 2, 2), 28, saved=True),
    _pool("adaptive_avg_pool2d", "1", lambda F, x: F.adaptive_avg_pool2d(x, 1), 1),
    _pool("adaptive_max_pool2d", "7", lambda F, x: F.adaptive_max_pool2d(x, 7), 7),
    _volume_pool("max_pool3d", "2×2×2", lambda F, x: F.max_pool3d(x, 2), 4 * 14 * 14),
    _volume_pool("avg_pool3d", "2×2×2", lambda F, x: F.avg_pool3d(x, 2), 4 * 14 * 14),
    _volume_pool("lp_pool3d", "p=2 2×2×2", lambda F, x: F.lp_pool3d(x, 2, 2), 4 * 14 * 14, saved=True),
    _volume_pool("adaptive_avg_pool3d", "1", lambda F, x: F.adaptive_avg_pool3d(x, 1), 1),
    _volume_pool("adaptive_max_pool3d", "4", lambda F, x: F.adaptive_max_pool3d(x, 4), 64),
    _memory("max_pool1d", "2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.max_pool1d(x, 2), saved=False),
    _memory("avg_pool1d", "2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.avg_pool1d(x, 2), saved=False),
    _memory("lp_pool1d", "p=2 2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.lp_pool1d(x, 2, 2)),
    _memory(
        "adaptive_avg_pool1d",
        "1 32×64×1024",
        (32, 64, 1024),
        32 * 64,
        lambda F, x: F.adaptive_avg_pool1d(x, 1),
        saved=False,
    ),
    _memory(
        "adaptive_max_pool1d",
        "8 32×64×1024",
        (32, 64, 1024),
        32 * 64 * 8,
        lambda F, x: F.adaptive_max_pool1d(x, 8),
        saved=False,
    ),
]


def _batch_norm_relu(F: Any, x: Any, w: Any, b: Any, residual: Any) -> Any:
    if isinstance(F, ModuleType):
        return F.batch_norm_relu(x, None, None, w, b, residual, True)
    return F.relu(F.batch_norm(x, None, None, w, b, True) + residual)


NORMS = [
    _memory(
        "batch_norm", "training 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), (64,), (64,), table=True,
    ),
    _call_case(
        "batch_norm_relu", "training, residual 32×64×56²", [IMAGE, (64,), (64,), IMAGE], _batch_norm_relu,
        bytes=(3.0 * FLOAT * prod(IMAGE), 5.0 * FLOAT * prod(IMAGE)),
    ),
    _memory(
        "instance_norm", "32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b), (64,), (64,), table=True,
    ),
    _memory(
        "layer_norm", "over C,H,W 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.layer_norm(x, IMAGE[1:], w, b), IMAGE[1:], IMAGE[1:], table=True,
    ),
    _memory(
        "layer_norm", "4096×768", (4096, 768), 4096 * 768,
        lambda F, x, w, b: F.layer_norm(x, (768,), w, b), (768,), (768,),
    ),
    _memory(
        "group_norm", "8 groups 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.group_norm(x, 8, w, b), (64,), (64,),
    ),
]  # fmt: skip


def _response(F: Any, x: Any) -> Any:
    return F.local_response_norm(x, 5, 1e-4, 0.75, 2.0)


NORMS += [
    _memory("rms_norm", "4096×768", (4096, 768), 4096 * 768, lambda F, x, w: F.rms_norm(x, (768,), w), (768,)),
    _memory("local_response_norm", "5 32×64×56²", IMAGE, prod(IMAGE), _response),
]


def _activation(op: str, **columns: Any) -> Case:
    return _memory(op, "32×64×56²", IMAGE, prod(IMAGE), lambda F, x: getattr(F, op)(x), **columns)


def _maxout(F: Any, x: Any) -> Any:
    return F.maxout(x, 2) if isinstance(F, ModuleType) else x.unflatten(1, (-1, 2)).max(2).values


# A function of one array by element needs no further mention here.
ELEMENTWISE = [
    name for module in (activation, activation_smooth) for name in module.__all__ if not name.endswith("_backward")
]
ACTIVATIONS = [
    *(_activation(op, table=op in ("elu", "sigmoid", "tanh", "relu")) for op in ELEMENTWISE),
    _call_case("add", "32×64×56²", [IMAGE, IMAGE], lambda F, a, b: F.add(a, b), backward=False, bytes=(3.0 * FLOAT * prod(IMAGE), 0.0)),
    _call_case(
        "gelu", "tanh 32×64×56²", [IMAGE], lambda F, x: F.gelu(x, approximate="tanh"),
        bytes=(2.0 * FLOAT * prod(IMAGE), 3.0 * FLOAT * prod(IMAGE)),
    ),
    _memory("prelu", "64 slopes 32×64×56²", IMAGE, prod(IMAGE), lambda F, x, w: F.prelu(x, w), (64,)),
    _memory("prelu", "1 slope 32×64×56²", IMAGE, prod(IMAGE), lambda F, x, w: F.prelu(x, w), (1,)),
    _memory("rrelu", "training 32×64×56²", IMAGE, prod(IMAGE), lambda F, x: F.rrelu(x, training=True)),
    _memory("maxout", "2 256×2048", (256, 2048), 256 * 1024, lambda F, x: _maxout(F, x)),
    _memory("maxout", "2 32×64×56²", IMAGE, prod(IMAGE) // 2, lambda F, x: _maxout(F, x)),
]  # fmt: skip

LABELS = np.random.default_rng(0).integers(0, 1000, 256)
LOSSES = [
    _memory("softmax", "4096×1000", (4096, 1000), 4096000, lambda F, x: F.softmax(x, -1)),
    _memory("log_softmax", "4096×1000", (4096, 1000), 4096000, lambda F, x: F.log_softmax(x, -1)),
]


def _cross_entropy(library: Any) -> Work:
    logits, target = _normal(256, 1000), library.array(LABELS)

    def call(F: Any, x: Any) -> Any:
        return F.cross_entropy(x, target)

    x = library.array(logits)
    forward = lambda: call(library.F, x)
    return Work(forward, library.vjp(call, [logits], np.ones((), np.float32)))


def _loss(op: str, label: str, shape: tuple[int, ...], target: np.ndarray, moved: int, **options: Any) -> Case:
    """``moved``: values per score that the loss reads; the gradient writes one more."""

    def build(library: Any) -> Work:
        x, t = _normal(*shape), library.array(target)

        def call(F: Any, a: Any) -> Any:
            return getattr(F, op)(a, t, **options)

        given = library.array(x)
        return Work(lambda: call(library.F, given), library.vjp(call, [x], np.ones((), np.float32)))

    size = FLOAT * float(prod(shape))
    return Case(op, label, build, bytes=(moved * size, (moved + 1) * size), directions=("forward", "backward"))


PAIRS = (1000, 1000)
WANTED = np.random.default_rng(1).random(PAIRS, dtype=np.float32)
SIGNS = np.sign(WANTED - np.float32(0.5)) + (WANTED == 0.5)
LOSSES += [
    _loss("cross_entropy", "probabilities 256×1000", (256, 1000), WANTED[:256], 2),
    _loss("mse_loss", "1000×1000", PAIRS, WANTED, 2),
    _loss("l1_loss", "1000×1000", PAIRS, WANTED, 2),
    _loss("huber_loss", "1000×1000", PAIRS, WANTED, 2),
    _loss("binary_cross_entropy_with_logits", "1000×1000", PAIRS, WANTED, 2),
    _loss("kl_div", "1000×1000", PAIRS, WANTED, 2, reduction="sum"),
    _loss("nll_loss", "256×1000", (256, 1000), LABELS, 0),
    _loss("multi_margin_loss", "256×1000", (256, 1000), LABELS, 1),
]


def _hinge(library: Any) -> Work:
    x, t = _normal(*PAIRS), library.array(SIGNS)

    def call(F: Any, a: Any) -> Any:
        return F.hinge_loss(a, t) if isinstance(F, ModuleType) else F.relu(1 - t * a).mean()

    given = library.array(x)
    return Work(lambda: call(library.F, given), library.vjp(call, [x], np.ones((), np.float32)))


LOSSES.append(Case("hinge_loss", "1000×1000", _hinge, bytes=(8e6, 12e6), directions=("forward", "backward")))


def _dropout(op: str, shape: tuple[int, ...]) -> Case:
    def build(library: Any) -> Work:
        x, function = library.array(_normal(*shape)), getattr(library.F, op)
        if isinstance(x, np.ndarray):
            return Work(lambda: function(x, 0.5, True, rng=0))
        return Work(lambda: function(x, 0.5, True))

    return Case(op, "×".join(map(str, shape)), build, bytes=(2.0 * FLOAT * prod(shape), 0.0))


LOSSES += [
    Case(
        "cross_entropy",
        "256×1000",
        _cross_entropy,
        bytes=(FLOAT * 256e3, FLOAT * 512e3),
        directions=("forward", "backward"),
    ),
    _dropout("dropout", IMAGE),
    _dropout("dropout1d", (32, 64, 1024)),
    _dropout("dropout2d", IMAGE),
    _dropout("dropout3d", (8, 64, 16, 28, 28)),
]


# ---- optimisers ---------------------------------------------------------------------------------------------------

BIG = [(9_400_000,)]
# Weights, biases and norm parameters of a small residual network
SMALL = [shape for c in (16, 32, 64) for shape in [(c, c, 3, 3), (c,), (c,), (c,)] * 5]


def _optimizer(
    op: str, label: str, shapes: list[tuple[int, ...]], make: Callable[[Any, Any], Any], moved: int, **columns: Any
) -> Case:
    """``moved``: values read and written per parameter."""

    def build(library: Any) -> Work:
        parameters = [library.parameter(_normal(*s)) for s in shapes]
        for parameter, s in zip(parameters, shapes, strict=True):
            library.set_grad(parameter, _normal(*s))
        return Work(make(library, parameters).step)

    return Case(op, label, build, bytes=(float(FLOAT * moved * sum(map(prod, shapes))), 0.0), **columns)


def _adam(library: Any, parameters: Any) -> Any:
    return library.adam(parameters)


def _amsgrad(library: Any, parameters: Any) -> Any:
    if hasattr(library.optim, "AMSGrad"):
        return library.optim.AMSGrad(parameters, lr=1e-3)
    return library.optim.Adam(parameters, lr=1e-3, amsgrad=True, fused=True)


def _rmsprop(library: Any, parameters: Any) -> Any:
    return library.optim.RMSprop(parameters, lr=1e-3, alpha=0.9)


OPTIMISERS = [
    _optimizer("adam_step", "fused, 9.4 M", BIG, _adam, 7, table=True),
    _optimizer("rmsprop_step", "9.4 M", BIG, _rmsprop, 5, table=True),
    _optimizer("adam_step", "fused, 60 small tensors", SMALL, _adam, 7, table=True),
    _optimizer("rmsprop_step", "60 small tensors", SMALL, _rmsprop, 5, table=True),
    _optimizer("adamw_step", "9.4 M", BIG, lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    _optimizer("adamw_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    _optimizer("adam_step", "AMSGrad, 9.4 M", BIG, _amsgrad, 9),
    _optimizer("adagrad_step", "9.4 M", BIG, lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    _optimizer("adagrad_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    _optimizer("adadelta_step", "9.4 M", BIG, lambda lib, p: lib.optim.Adadelta(p), 7),
    _optimizer("adadelta_step", "60 small tensors", SMALL, lambda lib, p: lib.optim.Adadelta(p), 7),
    _optimizer("sgd_step", "plain, 9.4 M", BIG, lambda lib, p: lib.optim.SGD(p, lr=1e-3), 3),
    _optimizer("sgd_step", "momentum, 60 small tensors", SMALL, lambda lib, p: lib.optim.SGD(p, 1e-3, 0.9), 5),
    _optimizer("sgd_step", "momentum, 9.4 M", BIG, lambda lib, p: lib.optim.SGD(p, lr=1e-3, momentum=0.9), 5),
]


# ---- training steps: forward, loss, backward, optimiser --------------------------------------------------------------


def _training(label: str, net: Callable[[Any], Any], shape: tuple[int, ...], **columns: Any) -> Case:
    def build(library: Any) -> Work:
        model = library.module(net(library.nn))
        model.train()
        optimizer, criterion = library.adam(list(model.parameters())), library.nn.CrossEntropyLoss()
        x, target = library.array(_normal(*shape)), library.array(LABELS[: shape[0]] % 10)

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
    table, index = _normal(30000, 256), library.array(ROWS)

    def call(F: Any, weight: Any) -> Any:
        return F.embedding(index, weight)

    weight = library.array(table)
    forward = lambda: call(library.F, weight)
    return Work(forward, library.vjp(call, [table], _normal(8192, 256)))


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


def _recurrent(
    op: str, gates: int, inputs: int, units: int, steps: int, batch: int, prefix: str = "", **columns: Any
) -> Iterator[Case]:
    """The forward in evaluation; and what a training step needs, forward and gradients of input and weights."""

    def evaluation(library: Any) -> Work:
        net, x = getattr(library.nn, op.upper())(inputs, units), library.array(_normal(steps, batch, inputs))
        return Work(library.without_grad(lambda: net(x)))

    def training(library: Any) -> Work:
        net, x = getattr(library.nn, op.upper())(inputs, units), library.parameter(_normal(steps, batch, inputs))
        dy = library.array(_normal(steps, batch, units))

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
    for case in _recurrent(op, gates, *sizes, table=sizes == (64, 128, 50, 32))
]
RECURRENT += _recurrent("rnn", 1, 64, 128, 50, 32)


# ---- call overhead --------------------------------------------------------------------------------------------------

SMALL_IMAGE = (4, 12, 10, 10)


def _overhead(op: str, label: str, shapes: list[tuple[int, ...] | None], call: Call) -> Case:
    return _call_case(op, label, shapes, call, backward=False, overhead=True, table=True)


OVERHEAD = [
    _overhead("relu", "8 elements", [(8,)], lambda F, x: F.relu(x)),
    _overhead("relu", "4×12×10×10", [SMALL_IMAGE], lambda F, x: F.relu(x)),
    _overhead("layer_norm", "1×8", [(1, 8), (8,), (8,)], lambda F, x, w, b: F.layer_norm(x, (8,), w, b)),
    _overhead("batch_norm", "4×2", [(4, 2), (2,), (2,)], lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True)),
    _overhead("linear", "1×8 → 8", [(1, 8), (8, 8), (8,)], lambda F, x, w, b: F.linear(x, w, b)),
    _overhead("max_pool2d", "2×2 1×1×2×4", [(1, 1, 2, 4)], lambda F, x: F.max_pool2d(x, 2)),
    _overhead("conv2d", "3×3 1×1×4² → 1", [(1, 1, 4, 4), (1, 1, 3, 3), (1,)], lambda F, x, w, b: F.conv2d(x, w, b)),
]


def _small_loss(op: str, rows: tuple[int, ...]) -> Case:
    """Of class numbers."""

    def build(library: Any) -> Work:
        scores, target = _normal(*rows), library.array(LABELS[: rows[0]] % rows[1])

        def call(F: Any, x: Any) -> Any:
            return getattr(F, op)(x, target)

        given = library.array(scores)
        return Work(lambda: call(library.F, given), library.vjp(call, [scores], np.ones((), np.float32)))

    return Case(op, f"small {_sizes(rows)}", build, overhead=True, directions=("forward", "backward"))


def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _small(rows: tuple[int, int], image: tuple[int, ...]) -> Iterator[Case]:
    """Operations on few elements: rows of scores or features, and an image."""
    (n, c), (_, k, *_) = rows, image
    calls: list[tuple[str, list[tuple[int, ...] | None], Call]] = [
        ("relu", [rows], lambda F, x: F.relu(x)),
        ("sigmoid", [rows], lambda F, x: F.sigmoid(x)),
        ("softmax", [rows], lambda F, x: F.softmax(x, -1)),
        ("mse_loss", [rows, rows], lambda F, x, t: F.mse_loss(x, t)),
        ("linear", [rows, (c, c), (c,)], lambda F, x, w, b: F.linear(x, w, b)),
        ("layer_norm", [rows, (c,), (c,)], lambda F, x, w, b: F.layer_norm(x, (c,), w, b)),
        ("batch_norm", [image, (k,), (k,)], lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True)),
        ("conv2d", [image, (k, k, 3, 3), (k,)], lambda F, x, w, b: F.conv2d(x, w, b, 1, 1)),
        ("max_pool2d", [image], lambda F, x: F.max_pool2d(x, 2)),
        ("avg_pool2d", [image], lambda F, x: F.avg_pool2d(x, 2)),
    ]
    for op, shapes, call in calls:
        yield _call_case(op, f"small {_sizes(shapes[0] or ())}", shapes, call, overhead=True)
    yield from (_small_loss(op, rows) for op in ("cross_entropy", "nll_loss"))
    yield _optimizer("adam_step", f"small {n * c}", [(n * c,)], _adam, 7, overhead=True)


# 8, 500 and 5000 elements
SMALL_SIZES = [((1, 8), (1, 1, 2, 4)), ((10, 50), (1, 5, 10, 10)), ((50, 100), (2, 25, 10, 10))]
OVERHEAD += [case for sizes in SMALL_SIZES for case in _small(*sizes)]


# ---- few elements: every function at 8, 64, 500 and 5000 of them, where no op may be slower than PyTorch's -----------


@dataclass(frozen=True)
class Few:
    """Shapes with about as many elements: rows of scores, sequences, images, volumes, (steps, rows, inputs)."""

    rows: tuple[int, int]
    line: tuple[int, int, int]
    image: tuple[int, int, int, int]
    volume: tuple[int, int, int, int, int]
    steps: tuple[int, int, int]


FEW_SHAPES = {
    8: Few((1, 8), (1, 2, 4), (1, 2, 2, 2), (1, 1, 2, 2, 2), (2, 1, 4)),
    64: Few((4, 16), (2, 4, 8), (1, 4, 4, 4), (1, 1, 4, 4, 4), (4, 2, 8)),
    500: Few((10, 50), (5, 5, 20), (1, 5, 10, 10), (1, 4, 5, 5, 5), (10, 2, 25)),
    5000: Few((50, 100), (10, 10, 50), (2, 25, 10, 10), (2, 20, 5, 5, 5), (20, 5, 50)),
}
Shapes = list[tuple[int, ...]]
# Of arrays that gradients are taken of: the name of a function, the shapes for a Few, and the call.
FEW_CALLS: list[tuple[str, Callable[[Few], Shapes], Call]] = [
    *((op, lambda s: [s.rows], lambda F, x, op=op: getattr(F, op)(x)) for op in ELEMENTWISE),
    *((op, lambda s: [s.rows], lambda F, x, op=op: getattr(F, op)(x, -1)) for op in ("softmax", "log_softmax")),
    ("prelu", lambda s: [s.image, s.image[1:2]], lambda F, x, w: F.prelu(x, w)),
    ("rrelu", lambda s: [s.rows], lambda F, x: F.rrelu(x, training=True)),
    ("maxout", lambda s: [s.rows], _maxout),
    ("add", lambda s: [s.rows, s.rows], lambda F, a, b: F.add(a, b)),
    ("matmul", lambda s: [s.rows, (s.rows[1], s.rows[1])], lambda F, a, b: F.matmul(a, b)),
    ("linear", lambda s: [s.rows, (s.rows[1], s.rows[1]), s.rows[1:]], lambda F, x, w, b: F.linear(x, w, b)),
    ("layer_norm", lambda s: [s.rows, s.rows[1:], s.rows[1:]], lambda F, x, w, b: F.layer_norm(x, w.shape, w, b)),
    ("rms_norm", lambda s: [s.rows, s.rows[1:]], lambda F, x, w: F.rms_norm(x, w.shape, w)),
    *(
        (op, lambda s: [s.image, s.image[1:2], s.image[1:2]], call)
        for op, call in (
            ("batch_norm", lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True)),
            ("instance_norm", lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b)),
            ("group_norm", lambda F, x, w, b: F.group_norm(x, 5 if w.shape[0] % 2 else 2, w, b)),
        )
    ),
    ("batch_norm_relu", lambda s: [s.image, s.image[1:2], s.image[1:2], s.image], _batch_norm_relu),
    ("local_response_norm", lambda s: [s.image], _response),
    *(
        (f"{op}{rank}d", lambda s, at=at: [getattr(s, at)], lambda F, x, op=f"{op}{rank}d", rest=rest: getattr(F, op)(x, *rest))
        for rank, at in ((1, "line"), (2, "image"), (3, "volume"))
        for op, rest in (
            ("max_pool", (2,)), ("avg_pool", (2,)), ("lp_pool", (2, 2)), ("adaptive_avg_pool", (2,)), ("adaptive_max_pool", (2,)),
        )
    ),
    *(
        (
            f"{op}{rank}d",
            lambda s, at=at, f=f: [getattr(s, at), (getattr(s, at)[1],) * 2 + (f,) * (len(getattr(s, at)) - 2), getattr(s, at)[1:2]],
            lambda F, x, w, b, op=f"{op}{rank}d", rest=rest: getattr(F, op)(x, w, b, *rest),
        )
        for rank, at in ((1, "line"), (2, "image"), (3, "volume"))
        for op, f, rest in (("conv", 3, (1, 1)), ("conv_transpose", 2, (2,)))
    ),
]  # fmt: skip


FEW_CALLS += [  # drawn from the library's own generator, as PyTorch's are: to seed one takes 7 µs
    (op, lambda s, at=at: [getattr(s, at)], lambda F, x, op=op: getattr(F, op)(x, 0.5, True))
    for op, at in (("dropout", "rows"), ("dropout1d", "line"), ("dropout2d", "image"), ("dropout3d", "volume"))
]


def _hinge_mean(F: Any, x: Any, target: Any) -> Any:
    return F.hinge_loss(x, target) if isinstance(F, ModuleType) else F.relu(1 - target * x).mean()


# Of scores (rows) and a target, which is made of the shape.
FEW_LOSSES: list[tuple[str, Callable[[tuple[int, int]], np.ndarray], Call]] = [
    *(
        (op, lambda rows: WANTED[: rows[0], : rows[1]].copy(), lambda F, x, t, op=op: getattr(F, op)(x, t))
        for op in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits")
    ),
    ("kl_div", lambda rows: WANTED[: rows[0], : rows[1]].copy(), lambda F, x, t: F.kl_div(x, t, reduction="sum")),
    ("hinge_loss", lambda rows: SIGNS[: rows[0], : rows[1]].copy(), _hinge_mean),
    *(
        (op, lambda rows: LABELS[: rows[0]] % rows[1], lambda F, x, t, op=op: getattr(F, op)(x, t))
        for op in ("cross_entropy", "nll_loss", "multi_margin_loss")
    ),
    ("embedding", lambda rows: LABELS[: rows[0]] % rows[0], lambda F, x, index: F.embedding(index, x)),
]
FEW_STEPS: list[tuple[str, Callable[[Any, Any], Any], int]] = [
    ("sgd_step", lambda lib, p: lib.optim.SGD(p, 1e-3, 0.9), 5),
    ("adam_step", _adam, 7),
    ("adamw_step", lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    ("rmsprop_step", _rmsprop, 5),
    ("adagrad_step", lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    ("adadelta_step", lambda lib, p: lib.optim.Adadelta(p), 7),
]


def _few_case(op: str, n: int, shapes: Shapes, call: Call, fixed: np.ndarray | None = None) -> Case:
    """``fixed``: a last argument that no gradient is taken of."""

    def build(library: Any) -> Work:
        rest = [] if fixed is None else [library.array(fixed)]
        arrays = [_normal(*shape) for shape in shapes]
        inputs = [library.array(a) for a in arrays]
        forward = lambda: call(library.F, *inputs, *rest)
        y = forward()
        dy = _normal(*y.shape) if y.shape else np.ones((), np.float32)
        return Work(forward, library.vjp(lambda F, *given: call(F, *given, *rest), arrays, dy))

    return Case(op, f"few {n}", build, overhead=True, sweep=True, directions=("forward", "backward"))


def _few(n: int, shapes: Few) -> Iterator[Case]:
    for op, of, call in FEW_CALLS:
        yield _few_case(op, n, of(shapes), call)
    for op, target, call in FEW_LOSSES:
        yield _few_case(op, n, [shapes.rows], call, target(shapes.rows))
    for op, make, moved in FEW_STEPS:
        yield _optimizer(op, f"few {n}", [(n,)], make, moved, overhead=True, sweep=True)
    steps, batch, inputs = shapes.steps
    for op, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        yield from _recurrent(op, gates, inputs, inputs, steps, batch, f"few {n}, ", overhead=True, sweep=True)


FEW = [case for n, shapes in FEW_SHAPES.items() for case in _few(n, shapes)]

CASES = [
    *CONVOLUTIONS,
    *PRODUCTS,
    *POOLS,
    *NORMS,
    *ACTIVATIONS,
    *LOSSES,
    *OPTIMISERS,
    *TRAINING,
    *EMBEDDING,
    *RECURRENT,
    *OVERHEAD,
    *SWEEP,
    *FEW,
]
