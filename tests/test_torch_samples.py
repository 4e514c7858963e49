"""The samples that PyTorch tests its own operators with: values and gradients, and what is refused and why."""

import inspect
import re
import warnings
from collections import Counter

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's operator samples need the package expecttest")

# PyTorch's names of functions, where they differ from "nn.functional." and ours.
PLAIN = {"sigmoid", "tanh", "softmax", "log_softmax", "matmul", "add"}
# Arguments of PyTorch's by position, behind the input, where the function has no signature to ask.
_CONV = ("weight", "bias", "stride", "padding", "dilation", "groups")
_CONV_TRANSPOSE = ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_AVG = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
POSITIONS = {
    **{f"conv{n}d": _CONV for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _CONV_TRANSPOSE for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _AVG for n in (1, 2, 3)},
    **{f"max_pool{n}d": _MAX for n in (1, 2, 3)},
    "adaptive_avg_pool1d": ("output_size",), "linear": ("weight", "bias"), "matmul": ("b",), "add": ("b",),
    "softmax": ("dim",), "log_softmax": ("dim",), "prelu": ("weight",), "gelu": ("approximate",),
    **{f"adaptive_max_pool{n}d": ("output_size", "return_indices") for n in (1, 2, 3)},
    "softplus": ("beta", "threshold"), "embedding": ("index", "padding_idx"), "sigmoid": (), "tanh": (), "hardsigmoid": (),
    "celu": ("alpha",), "relu6": (), "hardswish": (), "logsigmoid": (), "mish": (), "softsign": (),
}  # fmt: skip
RENAMED = {"dim": "axis", "other": "b"}
# What ours lack because it only repeats something else, with the values that change nothing.
IDLE = {
    "inplace": (False, True), "size_average": (None,), "reduce": (None,), "dtype": (None,), "use_input_stats": (True,),
    "scale_grad_by_freq": (False,), "sparse": (False,), "max_norm": (None,), "norm_type": (2.0,), "weight": (None,),
}  # fmt: skip
# What ours refuse, on purpose and with an error that says so.
REFUSED = (
    r"x must have \d axes",  # an image without a batch
    r"x must have (shape \(n, classes|at least 2 axes)",  # scores without a batch
    r"momentum must be in \[0, 1\]",
    r"eps must be in",  # below 0
    r"divisor_override must be at least 1",
    r"avg_pool\dd: (padding must have|stride must be an int or)",  # tuples of no entries, or of one for several axes
)
# PyTorch's gradient is computed with a float32's 1/6.
TOLERANCES = {"hardsigmoid": 1e-7}
NAMES = [
    *(f"{kind}{n}d" for kind in ("conv", "conv_transpose", "avg_pool", "max_pool") for n in (1, 2, 3)),
    *(f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)),
    "batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm",
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "hardsigmoid", "prelu", "sigmoid", "tanh",
    "relu6", "hardswish", "mish", "celu", "logsigmoid", "softsign",
    "interpolate", "softmax", "log_softmax", "linear", "matmul", "add", "embedding",
    "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss", "mse_loss",
    "multi_margin_loss", "nll_loss",
]  # fmt: skip


@pytest.fixture(scope="module")
def operators():
    from torch.testing._internal.common_methods_invocations import op_db

    wanted = {name if name in PLAIN else f"nn.functional.{name}": name for name in NAMES}
    found = {}
    for op in op_db:
        # Variants of one name differ in keyword arguments only; those of interpolation are its modes.
        if op.name in wanted and (wanted[op.name] not in found or wanted[op.name] == "interpolate"):
            found.setdefault(wanted[op.name], []).append(op)
    return found


def keywords(name, op, sample):
    """PyTorch's arguments behind the input, by our names; None where ours has no such thing."""
    names = POSITIONS[name] if name in POSITIONS else list(inspect.signature(op.op).parameters)[1:]
    options = dict(zip(names, sample.args, strict=False)) | sample.kwargs
    options = {RENAMED.get(k, k): v for k, v in options.items()}
    known = inspect.signature(getattr(F, name)).parameters
    for key in [k for k in options if k not in known]:
        value = options.pop(key)
        if torch.is_tensor(value) or value not in IDLE.get(key, ()):
            return None
    if "momentum" in options:  # Keras's sense here
        options["momentum"] = None if options["momentum"] is None else 1 - options["momentum"]
    return options


def as_array(value):
    return value.detach().numpy().copy() if torch.is_tensor(value) else value


def as_tensor(value):
    if torch.is_tensor(value) and value.requires_grad:
        return fnn.Tensor(as_array(value), requires_grad=True)
    return as_array(value)


def call(name, x, options):
    if name == "embedding":
        return F.embedding(weight=x, **options)
    if name == "add":
        return x + options["b"]  # which broadcasts, as PyTorch's function does
    return getattr(F, name)(x, **options)


def results(y):
    return y if isinstance(y, tuple) else (y,)


def compare(name, op, sample):
    """ "right", or the refusal, or None where ours has no such argument; an assertion where a value is wrong."""
    options = keywords(name, op, sample)
    if options is None:
        return None
    theirs = {"input": sample.input} | options
    ours = {k: as_tensor(v) for k, v in theirs.items()}
    x = ours.pop("input")
    try:
        actual = results(call(name, x, ours))
    except (TypeError, ValueError) as error:
        return str(error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = results(op.op(sample.input, *sample.args, **sample.kwargs))
    what = f"{name} {tuple(sample.input.shape)} { {k: getattr(v, 'shape', v) for k, v in options.items()} }"
    for a, b in zip(actual, expected, strict=True):
        close(name, np.asarray(fnn.autograd.raw(a)), b.detach().numpy(), what)
    tensors = {k: v for k, v in (ours | {"input": x}).items() if isinstance(v, fnn.Tensor)}
    if not tensors or not isinstance(actual[0], fnn.Tensor) or not actual[0].requires_grad:
        return "right"
    dy = torch.tensor(np.random.default_rng(0).standard_normal(tuple(expected[0].shape)))
    wanted = [theirs[k] for k in tensors]
    gradients = torch.autograd.grad(expected[0], wanted, dy, allow_unused=True)
    actual[0].backward(dy.numpy())
    for (key, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        if gradient is not None:
            close(name, tensor.grad, gradient.numpy(), f"{what}, gradient of {key}")
    return "right"


def close(name, actual, expected, what):
    assert actual is not None, f"{what} is missing"
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCES.get(name, 1e-9), atol=1e-11 * scale, err_msg=what)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients(name, operators):
    outcomes = Counter()
    samples = [(op, s) for op in operators[name] for s in op.sample_inputs("cpu", torch.float64, requires_grad=True)]
    for op, sample in samples[:: 1 + len(samples) // 200]:  # max pooling has a thousand
        outcomes[compare(name, op, sample)] += 1
    unexpected = [o for o in outcomes if o not in ("right", None) and not any(re.search(r, o) for r in REFUSED)]
    assert not unexpected
    assert outcomes["right"] > outcomes.total() / 4
