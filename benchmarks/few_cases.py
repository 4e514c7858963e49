"""Cases of few elements, where the call is what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from bench_case import Call, Case, Work, call_case, normal
from op_cases import ELEMENTWISE, LABELS, SIGNS, WANTED, batch_norm_relu, maxout, response
from training_cases import adam, optimizer_case, recurrent_cases, rmsprop

# ---- call overhead --------------------------------------------------------------------------------------------------

SMALL_IMAGE = (4, 12, 10, 10)


def _overhead(op: str, label: str, shapes: list[tuple[int, ...] | None], call: Call) -> Case:
    return call_case(op, label, shapes, call, backward=False, overhead=True, table=True)


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
        scores, target = normal(*rows), library.array(LABELS[: rows[0]] % rows[1])

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
        yield call_case(op, f"small {_sizes(shapes[0] or ())}", shapes, call, overhead=True)
    yield from (_small_loss(op, rows) for op in ("cross_entropy", "nll_loss"))
    yield optimizer_case("adam_step", f"small {n * c}", [(n * c,)], adam, 7, overhead=True)


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
    ("maxout", lambda s: [s.rows], maxout),
    ("pixel_shuffle", lambda s: [(s.image[0], 4 * -(-s.image[1] // 4), *s.image[2:])], lambda F, x: F.pixel_shuffle(x, 2)),
    ("pixel_unshuffle", lambda s: [s.image], lambda F, x: F.pixel_unshuffle(x, 2)),
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
    ("pad", lambda s: [s.image], lambda F, x: F.pad(x, (1, 1, 1, 1))),
    ("batch_norm_relu", lambda s: [s.image, s.image[1:2], s.image[1:2], s.image], batch_norm_relu),
    ("local_response_norm", lambda s: [s.image], response),
    *(
        (f"{op}{rank}d", lambda s, at=at: [getattr(s, at)], lambda F, x, op=f"{op}{rank}d", rest=rest: getattr(F, op)(x, *rest))
        for rank, at in ((1, "line"), (2, "image"), (3, "volume"))
        for op, rest in (
            ("max_pool", (2,)), ("avg_pool", (2,)), ("lp_pool", (2, 2)), ("adaptive_avg_pool", (2,)), ("adaptive_max_pool", (2,)),
        )
    ),
    ("interpolate", lambda s: [s.image], lambda F, x: F.interpolate(x, None, 2.0, "bilinear")),
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
    ("adam_step", adam, 7),
    ("adamw_step", lambda lib, p: lib.optim.AdamW(p, lr=1e-3), 7),
    ("rmsprop_step", rmsprop, 5),
    ("adagrad_step", lambda lib, p: lib.optim.Adagrad(p, lr=1e-2), 5),
    ("adadelta_step", lambda lib, p: lib.optim.Adadelta(p), 7),
]


def _few_case(op: str, n: int, shapes: Shapes, call: Call, fixed: np.ndarray | None = None) -> Case:
    """``fixed``: a last argument that no gradient is taken of."""

    def build(library: Any) -> Work:
        rest = [] if fixed is None else [library.array(fixed)]
        arrays = [normal(*shape) for shape in shapes]
        inputs = [library.array(a) for a in arrays]
        forward = lambda: call(library.F, *inputs, *rest)
        y = forward()
        dy = normal(*y.shape) if y.shape else np.ones((), np.float32)
        return Work(forward, library.vjp(lambda F, *given: call(F, *given, *rest), arrays, dy))

    return Case(op, f"few {n}", build, overhead=True, sweep=True, directions=("forward", "backward"))


def _few(n: int, shapes: Few) -> Iterator[Case]:
    for op, of, call in FEW_CALLS:
        yield _few_case(op, n, of(shapes), call)
    for op, target, call in FEW_LOSSES:
        yield _few_case(op, n, [shapes.rows], call, target(shapes.rows))
    for op, make, moved in FEW_STEPS:
        yield optimizer_case(op, f"few {n}", [(n,)], make, moved, overhead=True, sweep=True)
    steps, batch, inputs = shapes.steps
    for op, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        yield from recurrent_cases(op, gates, inputs, inputs, steps, batch, f"few {n}, ", overhead=True, sweep=True)


FEW = [case for n, shapes in FEW_SHAPES.items() for case in _few(n, shapes)]
