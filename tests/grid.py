"""The grid of small argument combinations on which convolution, pooling and norms are compared with PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from harness import Sample
from samples import Values
from samples_conv import conv_sample, conv_transpose_sample


def product(**choices: Any) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _pairs(value: Any, rank: int) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value] * rank


def _fits(size: tuple[int, ...], kernel: Any, padding: Any, dilation: Any) -> bool:
    """Whether the kernel is no larger than the padded image."""
    if padding in ("same", "full"):
        return True
    sides = [0] * len(size) if padding == "valid" else _pairs(padding, len(size))
    for n, f, p, d in zip(size, _pairs(kernel, len(size)), sides, _pairs(dilation, len(size)), strict=True):
        low, high = p if isinstance(p, tuple) else (p, p)
        if d * (f - 1) + 1 > n + low + high:
            return False
    return True


def conv2d() -> list[Sample]:
    v = Values("grid conv2d")
    choices = product(
        kernel=((1, 1), (2, 2), (3, 3), (3, 2)),
        stride=(1, 2, (2, 1), 3),
        padding=(0, 1, (1, 0), ((0, 1), (2, 1)), "same", "full"),
        dilation=(1, 2, (1, 3)),
        groups=(1, 2, 4),
    )
    samples = []
    for i, options in enumerate(choices):
        kernel = options.pop("kernel")
        if _fits((6, 7), kernel, options["padding"], options["dilation"]):
            samples.append(conv_sample(v, (2, 4, 6, 7), 4, kernel, bias=i % 2 == 0, **options))
    return samples


def conv1d() -> list[Sample]:
    v = Values("grid conv1d")
    choices = product(
        kernel=((1,), (3,), (4,)),
        stride=(1, 3),
        padding=(0, 2, ((1, 0),), "same", "full"),
        dilation=(1, 2),
        groups=(1, 3),
    )
    samples = []
    for i, options in enumerate(choices):
        kernel = options.pop("kernel")
        if _fits((9,), kernel, options["padding"], options["dilation"]):
            samples.append(conv_sample(v, (2, 3, 9), 6, kernel, bias=i % 2 == 0, **options))
    return samples


def conv3d() -> list[Sample]:
    v = Values("grid conv3d")
    choices = product(
        kernel=((1, 1, 1), (2, 2, 2), (3, 1, 2)),
        stride=(1, (1, 2, 3)),
        padding=(0, (1, 0, 2), ((1, 0), (0, 2), (1, 1)), "same", "full"),
        dilation=(1, (2, 1, 2)),
        groups=(1, 2),
    )
    samples = []
    for i, options in enumerate(choices):
        kernel = options.pop("kernel")
        if _fits((4, 5, 6), kernel, options["padding"], options["dilation"]):
            samples.append(conv_sample(v, (2, 2, 4, 5, 6), 4, kernel, bias=i % 2 == 0, **options))
    return samples


def _conv_transpose(name: str, x: tuple[int, ...], k: int, **choices: Any) -> list[Sample]:
    """PyTorch's rules: output padding below stride or dilation, and something left of the result."""
    v = Values(f"grid {name}")
    rank = len(x) - 2
    samples = []
    for i, options in enumerate(product(**choices)):
        kernel = options.pop("kernel")
        axes = zip(x[2:], kernel, *(_pairs(options[o], rank) for o in list(options) if o != "groups"), strict=True)
        legal = True
        for size, f, stride, padding, extra, dilation in axes:
            low, high = padding if isinstance(padding, tuple) else (padding, padding)
            extent = (size - 1) * stride + dilation * (f - 1) + extra + 1
            legal = legal and extra < max(stride, dilation) and extent > low + high
        if legal:
            samples.append(conv_transpose_sample(v, x, k, kernel, bias=i % 2 == 0, **options))
    return samples


def conv_transpose1d() -> list[Sample]:
    return _conv_transpose(
        "conv_transpose1d", (2, 4, 5), 6, kernel=((1,), (2,), (3,)), stride=(1, 2, 3), padding=(0, 1, ((2, 0),)),
        output_padding=(0, 1, 2), dilation=(1, 2, 3), groups=(1, 2),
    )  # fmt: skip


def conv_transpose2d() -> list[Sample]:
    return _conv_transpose(
        "conv_transpose2d", (2, 4, 4, 5), 6, kernel=((1, 1), (2, 3), (3, 3)), stride=(1, 2, (3, 1)),
        padding=(0, 1, (1, 0), ((0, 1), (2, 1))), output_padding=(0, 1, (2, 0)), dilation=(1, 2, (1, 3)), groups=(1, 2),
    )  # fmt: skip


def conv_transpose3d() -> list[Sample]:
    return _conv_transpose(
        "conv_transpose3d", (1, 2, 2, 3, 4), 4, kernel=((2, 2, 2), (1, 3, 2)), stride=(1, (1, 2, 3)),
        padding=(0, (0, 1, 0)), output_padding=(0, (0, 1, 2)), dilation=(1, (2, 1, 1)), groups=(1, 2),
    )  # fmt: skip


def _legal_padding(options: dict[str, Any], rank: int) -> bool:
    """PyTorch's rule: at most half the kernel."""
    kernel, padding = _pairs(options["kernel_size"], rank), _pairs(options.get("padding", 0), rank)
    return all(2 * p <= f for f, p in zip(kernel, padding, strict=True))


def _pool(name: str, shape: tuple[int, ...], **choices: Any) -> list[Sample]:
    v = Values(f"grid {name}")
    samples = []
    rank = len(shape) - 2
    for i, options in enumerate(product(**choices)):
        fits = _fits(shape[2:], options["kernel_size"], options.get("padding", 0), options.get("dilation", 1))
        if fits and _legal_padding(options, rank):
            x = v.ties(*shape) if name.startswith("max") and i % 3 == 0 else v.normal(*shape)
            samples.append(Sample((x,), options))
    return samples


def max_pool2d() -> list[Sample]:
    return _pool(
        "max_pool2d",
        (2, 2, 7, 9),
        kernel_size=(1, 2, 3, (3, 2), 4),
        stride=(None, 1, 2, (2, 3)),
        padding=(0, 1, (1, 0)),
        dilation=(1, 2, (1, 2)),
        ceil_mode=(False, True),
        return_indices=(False, True),
    )


def max_pool1d() -> list[Sample]:
    return _pool(
        "max_pool1d", (2, 3, 11), kernel_size=(1, 2, 3, 5), stride=(None, 1, 2, 3), padding=(0, 1), dilation=(1, 2),
        ceil_mode=(False, True),
    )  # fmt: skip


def max_pool3d() -> list[Sample]:
    return _pool(
        "max_pool3d", (1, 2, 5, 6, 7), kernel_size=(1, 2, (3, 2, 1), 3), stride=(None, 1, (2, 1, 3)),
        padding=(0, 1, (1, 0, 0)), dilation=(1, (1, 2, 1)), ceil_mode=(False, True), return_indices=(False, True),
    )  # fmt: skip


def avg_pool2d() -> list[Sample]:
    return _pool(
        "avg_pool2d",
        (2, 2, 7, 9),
        kernel_size=(1, 2, 3, (3, 2), 4),
        stride=(None, 1, 2, (2, 3)),
        padding=(0, 1, (1, 0)),
        dilation=(1, 2),
        ceil_mode=(False, True),
        count_include_pad=(False, True),
    )


def avg_pool1d() -> list[Sample]:
    return _pool(
        "avg_pool1d", (2, 3, 11), kernel_size=(1, 2, 3, 5), stride=(None, 1, 2, 3), padding=(0, 1),
        dilation=(1, 2), ceil_mode=(False, True), count_include_pad=(False, True),
    )  # fmt: skip


def avg_pool3d() -> list[Sample]:
    return _pool(
        "avg_pool3d", (1, 2, 5, 6, 7), kernel_size=(1, 2, (3, 2, 1), 3), stride=(None, 1, (2, 1, 3)),
        padding=(0, 1, (1, 0, 0)), dilation=(1, (1, 2, 1)), ceil_mode=(False, True), count_include_pad=(False, True),
    )  # fmt: skip


def lp_pool2d() -> list[Sample]:
    return _pool(
        "lp_pool2d", (2, 2, 7, 9), norm_type=(1, 2, 3, 2.5), kernel_size=(1, 2, (3, 2)), stride=(None, 1, (2, 3)),
        dilation=(1, (1, 2)), ceil_mode=(False, True),
    )  # fmt: skip


def lp_pool1d() -> list[Sample]:
    return _pool(
        "lp_pool1d", (2, 3, 11), norm_type=(1, 2, 3, 2.5), kernel_size=(1, 2, 3), stride=(None, 1, 2),
        ceil_mode=(False, True),
    )  # fmt: skip


def lp_pool3d() -> list[Sample]:
    return _pool(
        "lp_pool3d", (1, 2, 5, 6, 7), norm_type=(1, 2, 2.5), kernel_size=(1, 2, (3, 2, 1)), stride=(None, (2, 1, 3)),
        ceil_mode=(False, True),
    )  # fmt: skip


def adaptive_pool() -> list[Sample]:
    v = Values("grid adaptive_pool")
    sizes = [1, 2, 3, 5, (1, 4), (9, 2), (None, 3), (7, 8)]
    return [Sample((v.normal(2, 3, *image),), {"output_size": s}) for image in ((7, 8), (1, 5), (12, 3)) for s in sizes]


def adaptive_pool3d() -> list[Sample]:
    v = Values("grid adaptive_pool3d")
    sizes = [1, 2, 3, (1, 4, 2), (None, 3, 5), (4, 7, 8)]
    images = ((4, 7, 8), (1, 5, 3))
    return [Sample((v.normal(2, 2, *image),), {"output_size": s}) for image in images for s in sizes]


def _parameters(v: Values, present: str, *shape: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (v.normal(*shape) if "w" in present else None, v.normal(*shape) if "b" in present else None)


PRESENT = ("wb", "w", "b", "")
NORM_SHAPES = ((2, 6), (3, 6, 5), (2, 6, 3, 4), (2, 6, 2, 3, 2))


def batch_norm() -> list[Sample]:
    v = Values("grid batch_norm")
    samples = []
    choices = product(
        shape=NORM_SHAPES,
        present=PRESENT,
        training=(True, False),
        running=(True, False),
        momentum=(0.9, 0.99),
        eps=(1e-5, 0.1),
    )
    for choice in choices:
        if not choice["training"] and not choice["running"]:
            continue
        running = (v.normal(6), v.positive(6)) if choice["running"] else (None, None)
        options = {"running_mean": running[0], "running_var": running[1]}
        options |= {k: choice[k] for k in ("training", "momentum", "eps")}
        samples.append(Sample((v.normal(*choice["shape"]), *_parameters(v, choice["present"], 6)), options))
    return samples


def layer_norm() -> list[Sample]:
    v = Values("grid layer_norm")
    samples = []
    for choice in product(shape=NORM_SHAPES, last=(1, 2, 3), present=PRESENT, eps=(1e-5, 0.1)):
        shape, last = choice["shape"], choice["last"]
        if last < len(shape):
            normalized = shape[-last:]
            arrays = (v.normal(*shape), *_parameters(v, choice["present"], *normalized))
            samples.append(Sample(arrays, {"normalized_shape": normalized, "eps": choice["eps"]}))
    return samples


def instance_norm() -> list[Sample]:
    v = Values("grid instance_norm")
    samples = []
    for o in product(
        shape=NORM_SHAPES[1:], present=PRESENT, of_input=(True, False), running=(True, False), eps=(1e-5, 0.1)
    ):
        if not o["of_input"] and not o["running"]:
            continue
        mean, var = (v.normal(6), v.positive(6)) if o["running"] else (None, None)
        options = {"running_mean": mean, "running_var": var, "use_input_stats": o["of_input"], "momentum": 0.9}
        arrays = (v.normal(*o["shape"]), *_parameters(v, o["present"], 6))
        samples.append(Sample(arrays, {**options, "eps": o["eps"]}))
    return samples


def group_norm() -> list[Sample]:
    v = Values("grid group_norm")
    choices = product(shape=NORM_SHAPES, groups=(1, 2, 3), present=PRESENT, eps=(1e-5, 0.1))
    return [
        Sample((v.normal(*o["shape"]), *_parameters(v, o["present"], 6)), {"num_groups": o["groups"], "eps": o["eps"]})
        for o in choices
    ]


def rms_norm() -> list[Sample]:
    v = Values("grid rms_norm")
    samples = []
    for choice in product(shape=NORM_SHAPES, last=(1, 2, 3), present=("w", ""), eps=(1e-5, 0.1)):
        shape, last = choice["shape"], choice["last"]
        if last < len(shape):
            normalized = shape[-last:]
            arrays = (v.normal(*shape), _parameters(v, choice["present"], *normalized)[0])
            samples.append(Sample(arrays, {"normalized_shape": normalized, "eps": choice["eps"]}))
    return samples


def local_response_norm() -> list[Sample]:
    v = Values("grid local_response_norm")
    choices = product(
        shape=NORM_SHAPES[1:], size=(1, 2, 3, 8), alpha=(1e-4, 1.0), beta=(0.75, 0.5, 1.0, 2.2), k=(1.0, 0.1)
    )  # fmt: skip
    return [Sample((v.normal(*o.pop("shape"), scale=2),), o) for o in choices]
