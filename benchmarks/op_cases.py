"""Cases of single operations."""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any

import numpy as np

import fastnn.functional
from bench_case import FLOAT, Call, Case, Work, call_case, memory_case, normal

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
    return call_case("conv2d", label, shapes, call, flops=(flops, 2 * flops), **columns)


def _conv_transpose(op: str, label: str, x: tuple[int, ...], k: int, f: int, **options: int) -> Case:
    """Every input meets every weight of its channel once."""
    rank = len(x) - 2
    flops = 2.0 * prod(x) * k * f**rank
    shapes = [x, (x[1], k, *(f,) * rank), (k,)]
    return call_case(
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
    call_case(
        "conv1d", "9 32×64×512 → 64", [(32, 64, 512), (64, 64, 9), (64,)],
        lambda F, x, w, b: F.conv1d(x, w, b, 1, 4), flops=(2.0 * 32 * 64 * 512 * 64 * 9, 4.0 * 32 * 64 * 512 * 64 * 9),
    ),
    _conv_transpose("conv_transpose2d", "4×4 s2 16×64×28² → 32", (16, 64, 28, 28), 32, 4, stride=2, padding=1),
    _conv_transpose("conv_transpose2d", "2×2 s2 16×64×28² → 32", (16, 64, 28, 28), 32, 2, stride=2),
    _conv_transpose("conv_transpose1d", "4 s2 16×64×512 → 32", (16, 64, 512), 32, 4, stride=2, padding=1),
    _conv_transpose("conv_transpose3d", "2×2×2 s2 4×32×8×14² → 16", (4, 32, 8, 14, 14), 16, 2, stride=2),
    call_case(
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
    call_case(
        "linear", "256×1024 → 1024", [(256, 1024), (1024, 1024), (1024,)],
        lambda F, x, w, b: F.linear(x, w, b), flops=(2.0 * 256 * 1024**2, 4.0 * 256 * 1024**2),
    ),
    call_case(
        "matmul", "1024³", [(1024, 1024), (1024, 1024)],
        lambda F, a, b: F.matmul(a, b), flops=(2.0 * 1024**3, 4.0 * 1024**3),
    ),
]  # fmt: skip


# ---- what is bound by memory: each array counted once --------------------------------------------------------------

IMAGE = (32, 64, 56, 56)


def _pool(op: str, label: str, call: Call, out: int, saved: bool = False, **columns: Any) -> Case:
    return memory_case(op, f"{label} 32×64×56²", IMAGE, 32 * 64 * out * out, call, saved=saved, **columns)


def _pool_with_indices(op: str, label: str, arguments: tuple[int, ...], out: int) -> Case:
    """The way of programs without a tape: the forward returns the indices, and the public backward takes them."""

    def build(library: Any) -> Work:
        x, call = library.array(normal(*IMAGE)), getattr(library.F, op)
        forward = lambda: call(x, *arguments, return_indices=True)
        y, indices = forward()
        return Work(forward, library.pool_gradient(op, normal(*y.shape), x, indices, *arguments))

    n, y = prod(IMAGE), 32 * 64 * out * out
    moved = (FLOAT * (n + 3 * y), FLOAT * (3 * y + n))
    return Case(op, f"{label}, indices 32×64×56²", build, bytes=moved, images=True, directions=("forward", "backward"))


def _volume_pool(op: str, label: str, call: Call, out: int, saved: bool = False) -> Case:
    return memory_case(op, f"{label} 8×32×8×28²", (8, 32, 8, 28, 28), 8 * 32 * out, call, saved=saved)


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
    memory_case(
        "max_pool1d", "2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.max_pool1d(x, 2), saved=False
    ),
    memory_case(
        "avg_pool1d", "2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.avg_pool1d(x, 2), saved=False
    ),
    memory_case("lp_pool1d", "p=2 2 32×64×1024", (32, 64, 1024), 32 * 64 * 512, lambda F, x: F.lp_pool1d(x, 2, 2)),
    memory_case(
        "adaptive_avg_pool1d",
        "1 32×64×1024",
        (32, 64, 1024),
        32 * 64,
        lambda F, x: F.adaptive_avg_pool1d(x, 1),
        saved=False,
    ),
    memory_case(
        "adaptive_max_pool1d",
        "8 32×64×1024",
        (32, 64, 1024),
        32 * 64 * 8,
        lambda F, x: F.adaptive_max_pool1d(x, 8),
        saved=False,
    ),
]


def _resize(label: str, x: tuple[int, ...], out: tuple[int, ...], mode: str, **options: Any) -> Case:
    y = prod(x[:2]) * prod(out)
    return memory_case(
        "interpolate", f"{mode} {label}", x, y, lambda F, x: F.interpolate(x, out, mode=mode, **options), saved=False
    )


RESIZES = [
    _resize("32×64×28² → 56²", (32, 64, 28, 28), (56, 56), "nearest"),
    _resize("32×64×28² → 56²", (32, 64, 28, 28), (56, 56), "bilinear"),
    _resize("8×3×64² → 128²", (8, 3, 64, 64), (128, 128), "bicubic"),
    _resize("32×256×4² → 8²", (32, 256, 4, 4), (8, 8), "nearest"),
    _resize("32×256×7² → 14²", (32, 256, 7, 7), (14, 14), "bilinear"),
    _resize("8×3×224² → 331²", (8, 3, 224, 224), (331, 331), "bilinear"),
    _resize("32×64×56² → 28²", (32, 64, 56, 56), (28, 28), "bilinear"),
    _resize("antialias 8×3×256² → 112²", (8, 3, 256, 256), (112, 112), "bilinear", antialias=True),
    _resize("antialias 8×3×256² → 112²", (8, 3, 256, 256), (112, 112), "bicubic", antialias=True),
    _resize("32×64×512 → 1024", (32, 64, 512), (1024,), "linear"),
    _resize("4×16×8×14² → 16×28²", (4, 16, 8, 14, 14), (16, 28, 28), "trilinear"),
]


def batch_norm_relu(F: Any, x: Any, w: Any, b: Any, residual: Any) -> Any:
    if isinstance(F, ModuleType):
        return F.batch_norm_relu(x, None, None, w, b, residual, True)
    return F.relu(F.batch_norm(x, None, None, w, b, True) + residual)


NORMS = [
    memory_case(
        "batch_norm", "training 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), (64,), (64,), table=True,
    ),
    call_case(
        "batch_norm_relu", "training, residual 32×64×56²", [IMAGE, (64,), (64,), IMAGE], batch_norm_relu,
        bytes=(3.0 * FLOAT * prod(IMAGE), 5.0 * FLOAT * prod(IMAGE)),
    ),
    memory_case(
        "instance_norm", "32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b), (64,), (64,), table=True,
    ),
    memory_case(
        "layer_norm", "over C,H,W 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.layer_norm(x, IMAGE[1:], w, b), IMAGE[1:], IMAGE[1:], table=True,
    ),
    memory_case(
        "layer_norm", "4096×768", (4096, 768), 4096 * 768,
        lambda F, x, w, b: F.layer_norm(x, (768,), w, b), (768,), (768,),
    ),
    memory_case(
        "group_norm", "8 groups 32×64×56²", IMAGE, prod(IMAGE),
        lambda F, x, w, b: F.group_norm(x, 8, w, b), (64,), (64,),
    ),
]  # fmt: skip


def response(F: Any, x: Any) -> Any:
    return F.local_response_norm(x, 5, 1e-4, 0.75, 2.0)


NORMS += [
    memory_case("rms_norm", "4096×768", (4096, 768), 4096 * 768, lambda F, x, w: F.rms_norm(x, (768,), w), (768,)),
    memory_case("local_response_norm", "5 32×64×56²", IMAGE, prod(IMAGE), response),
]


def _pad(label: str, x: tuple[int, ...], padding: tuple[int, ...], mode: str, **columns: Any) -> Case:
    sides = zip(padding[-1::-2], padding[-2::-2], strict=True)
    space = prod(n + low + high for n, (high, low) in zip(x[-len(padding) // 2 :], sides, strict=True))
    y = prod(x[: -len(padding) // 2]) * space
    return memory_case("pad", f"{mode} {label}", x, y, lambda F, a: F.pad(a, padding, mode), saved=False, **columns)


PADS = [
    _pad("1 32×64×56²", IMAGE, (1, 1, 1, 1), "constant"),
    _pad("1 32×64×56²", IMAGE, (1, 1, 1, 1), "reflect"),
    _pad("3 32×64×14²", (32, 64, 14, 14), (3, 3, 3, 3), "replicate"),
    _pad("2 32×64×28²", (32, 64, 28, 28), (2, 2, 2, 2), "circular"),
    _pad("200 64×16000", (64, 16000), (200, 200), "reflect"),
    _pad("cropped 4 32×64×56²", IMAGE, (-4, -4, -4, -4), "constant"),
]


def _activation(op: str, **columns: Any) -> Case:
    return memory_case(op, "32×64×56²", IMAGE, prod(IMAGE), lambda F, x: getattr(F, op)(x), **columns)


def maxout(F: Any, x: Any) -> Any:
    return F.maxout(x, 2) if isinstance(F, ModuleType) else x.unflatten(1, (-1, 2)).max(2).values


# A function of one array by element needs no further mention here. Another build, with which this one is compared, may have
# fewer of these modules.
ELEMENTWISE = [
    name
    for module in ("activation", "activation_hard", "activation_smooth")
    for name in getattr(getattr(fastnn.functional, module, None), "__all__", ())
    if not name.endswith("_backward")
]
ACTIVATIONS = [
    *(_activation(op, table=op in ("elu", "sigmoid", "tanh", "relu")) for op in ELEMENTWISE),
    call_case("add", "32×64×56²", [IMAGE, IMAGE], lambda F, a, b: F.add(a, b), backward=False, bytes=(3.0 * FLOAT * prod(IMAGE), 0.0)),
    call_case(
        "gelu", "tanh 32×64×56²", [IMAGE], lambda F, x: F.gelu(x, approximate="tanh"),
        bytes=(2.0 * FLOAT * prod(IMAGE), 3.0 * FLOAT * prod(IMAGE)),
    ),
    memory_case("pixel_shuffle", "2 32×64×56²", IMAGE, prod(IMAGE), lambda F, x: F.pixel_shuffle(x, 2), saved=False),
    memory_case("pixel_unshuffle", "2 32×64×56²", IMAGE, prod(IMAGE), lambda F, x: F.pixel_unshuffle(x, 2), saved=False),
    memory_case("prelu", "64 slopes 32×64×56²", IMAGE, prod(IMAGE), lambda F, x, w: F.prelu(x, w), (64,)),
    memory_case("prelu", "1 slope 32×64×56²", IMAGE, prod(IMAGE), lambda F, x, w: F.prelu(x, w), (1,)),
    memory_case("rrelu", "training 32×64×56²", IMAGE, prod(IMAGE), lambda F, x: F.rrelu(x, training=True)),
    memory_case("maxout", "2 256×2048", (256, 2048), 256 * 1024, lambda F, x: maxout(F, x)),
    memory_case("maxout", "2 32×64×56²", IMAGE, prod(IMAGE) // 2, lambda F, x: maxout(F, x)),
]  # fmt: skip

LABELS = np.random.default_rng(0).integers(0, 1000, 256)
LOSSES = [
    memory_case("softmax", "4096×1000", (4096, 1000), 4096000, lambda F, x: F.softmax(x, -1)),
    memory_case("log_softmax", "4096×1000", (4096, 1000), 4096000, lambda F, x: F.log_softmax(x, -1)),
]


def _cross_entropy(library: Any) -> Work:
    logits, target = normal(256, 1000), library.array(LABELS)

    def call(F: Any, x: Any) -> Any:
        return F.cross_entropy(x, target)

    x = library.array(logits)
    forward = lambda: call(library.F, x)
    return Work(forward, library.vjp(call, [logits], np.ones((), np.float32)))


def _loss(op: str, label: str, shape: tuple[int, ...], target: np.ndarray, moved: int, **options: Any) -> Case:
    """``moved``: values per score that the loss reads; the gradient writes one more."""

    def build(library: Any) -> Work:
        x, t = normal(*shape), library.array(target)

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
    x, t = normal(*PAIRS), library.array(SIGNS)

    def call(F: Any, a: Any) -> Any:
        return F.hinge_loss(a, t) if isinstance(F, ModuleType) else F.relu(1 - t * a).mean()

    given = library.array(x)
    return Work(lambda: call(library.F, given), library.vjp(call, [x], np.ones((), np.float32)))


LOSSES.append(Case("hinge_loss", "1000×1000", _hinge, bytes=(8e6, 12e6), directions=("forward", "backward")))


def _dropout(op: str, shape: tuple[int, ...]) -> Case:
    def build(library: Any) -> Work:
        x, function = library.array(normal(*shape)), getattr(library.F, op)
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
