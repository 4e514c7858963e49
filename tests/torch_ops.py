"""PyTorch's counterparts of the ops, under the names and with the arguments of `fastnn.functional`.

Where PyTorch has no such argument (padding per side, "full", L_p pooling of negative numbers) the counterpart is
composed of others that have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as tf
import torch.nn.utils.rnn as rnn_utils

import fastnn.functional as F
from torch_pools import (  # noqa: F401 - counterparts
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    by_side,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    sides_of,
)


def counterpart(name: str) -> Callable[..., Any]:
    return globals().get(name) or getattr(tf, name)


add = torch.add


def _conv(convolve: Any) -> Callable[..., Any]:
    def conv(
        x: Any, weight: Any, bias: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        x = tf.pad(x, sides_of(padding, x.shape[2:], weight.shape[2:], stride, dilation))
        return convolve(x, weight, bias, stride, 0, dilation, groups)

    return conv


conv1d = _conv(tf.conv1d)
conv2d = _conv(tf.conv2d)
conv3d = _conv(tf.conv3d)


def _conv_transpose(convolve: Any) -> Callable[..., Any]:
    def conv(x: Any, weight: Any, bias: Any, padding: Any = 0, **options: Any) -> Any:
        if not by_side(padding):
            return convolve(x, weight, bias, padding=padding, **options)
        y = convolve(x, weight, bias, **options)
        sides = [p if isinstance(p, tuple) else (p, p) for p in padding]
        return y[(..., *(slice(low, n - high) for n, (low, high) in zip(y.shape[2:], sides, strict=True)))]

    return conv


conv_transpose1d = _conv_transpose(tf.conv_transpose1d)
conv_transpose2d = _conv_transpose(tf.conv_transpose2d)
conv_transpose3d = _conv_transpose(tf.conv_transpose3d)


def _masked(name: str) -> Callable[..., Any]:
    """By fastnn's mask, and otherwise PyTorch's arithmetic: what it drops itself cannot be foreseen."""

    def dropped(x: Any, **options: Any) -> Any:
        return x * torch.tensor(getattr(F, name)(np.ones(tuple(x.shape)), **options))

    return dropped


dropout, dropout1d, dropout2d, dropout3d = (
    _masked(name) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d")
)


def rrelu(x: Any, **options: Any) -> Any:
    slopes = -torch.tensor(F.rrelu(-np.ones(tuple(x.shape)), **options))
    return torch.where(x > 0, x, slopes * x)


def pad(x: Any, padding: Any, mode: str = "constant", value: float = 0.0) -> Any:
    """Pairs axis by axis, by NumPy's rows where the mode copies: PyTorch refuses most of these."""
    if padding and not any(isinstance(p, tuple) for p in padding):
        return tf.pad(x, padding, mode, value if mode == "constant" else None)
    if mode == "constant":
        return tf.pad(x, [n for pair in reversed(padding) for n in pair], mode, value)
    name = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    for axis, (low, high) in enumerate(padding):
        kept = np.arange(x.shape[axis])[max(-low, 0) : x.shape[axis] - max(-high, 0)]
        rows = np.pad(kept, (max(low, 0), max(high, 0)), name) if max(low, high) > 0 else kept  # type: ignore[call-overload]
        x = x.index_select(axis, torch.as_tensor(rows))
    return x


def matmul(a: Any, b: Any) -> Any:
    return torch.matmul(a, b)


def embedding(weight: Any, index: Any, padding_idx: int | None = None) -> Any:
    return tf.embedding(index, weight, padding_idx)


def _turned(x: Any, lengths: Any) -> Any:
    """Every sequence backwards, from its own end."""
    if lengths is None:
        return x.flip(0)
    t, ends = torch.arange(len(x))[:, None], torch.as_tensor(lengths)
    return x[torch.where(t < ends, ends - 1 - t, t), torch.arange(x.shape[1])]


def _layer(run: Any, x: Any, states: list[Any], weights: list[Any], lengths: Any, reverse: bool) -> Any:
    batch, units = x.shape[1], weights[1].shape[1]
    states = [x.new_zeros(batch, units) if h is None else h for h in states]
    weights = [x.new_zeros(len(weights[1])) if w is None else w for w in weights]
    x = _turned(x, lengths) if reverse else x
    settings = (True, 1, 0.0, False, False)  # biases, layers, dropout, training, bidirectional
    if lengths is None:
        hx = [h[None] for h in states]
        y, *finals = run(x, hx if len(hx) > 1 else hx[0], weights, *settings, False)
    else:
        packed = rnn_utils.pack_padded_sequence(x, torch.as_tensor(lengths), enforce_sorted=False)
        hx = [h[None, packed.sorted_indices] for h in states]
        y, *finals = run(packed.data, packed.batch_sizes, hx if len(hx) > 1 else hx[0], weights, *settings)
        finals = [h[:, packed.unsorted_indices] for h in finals]
        y, _ = rnn_utils.pad_packed_sequence(packed._replace(data=y), total_length=len(x))
    return torch.cat([_turned(y, lengths) if reverse else y, *finals])


def rnn(
    x: Any, h0: Any, *weights: Any, nonlinearity: str = "tanh", lengths: Any = None, reverse: bool = False
) -> Any:  # fmt: skip
    return _layer(getattr(torch, f"rnn_{nonlinearity}"), x, [h0], list(weights), lengths, reverse)


def _by_steps(
    cell: Any, x: Any, states: list[Any], weights: list[Any], lengths: Any = None, reverse: bool = False
) -> Any:
    """What PyTorch has no function for, by the formula: ``cell`` gives the states after a step."""
    w, r, *biases = weights
    b, b2 = (x.new_zeros(len(r)) if a is None else a for a in biases)
    states = [x.new_zeros(x.shape[1], r.shape[1]) if h is None else h for h in states]
    ends = torch.as_tensor([len(x)] * x.shape[1] if lengths is None else lengths)
    outputs = []
    x = _turned(x, lengths) if reverse else x
    for t, x_t in enumerate(x):
        exists = (t < ends)[:, None]
        x_t = torch.where(exists, x_t, torch.zeros_like(x_t))
        new = cell(x_t @ w.T + b, (r, b2), *states)
        outputs.append(torch.where(exists, new[0], torch.zeros_like(new[0])))
        states = [torch.where(exists, after, before) for after, before in zip(new, states, strict=True)]
    y = torch.stack(outputs) if outputs else x.new_zeros(0, *states[0].shape)
    return torch.cat([_turned(y, lengths) if reverse else y, *(h[None] for h in states)])


def lstm(
    x: Any, h0: Any, c0: Any, *weights: Any, lengths: Any = None, reverse: bool = False
) -> Any:  # fmt: skip
    *weights, peepholes = weights
    if peepholes is None:
        return _layer(torch.lstm, x, [h0, c0], weights, lengths, reverse)
    p_i, p_f, p_o = peepholes.chunk(3)

    def cell(inputs: Any, state: Any, h: Any, c: Any) -> Any:
        r, b = state
        a_i, a_f, a_g, a_o = (inputs + h @ r.T + b).chunk(4, 1)
        after = torch.sigmoid(a_f + p_f * c) * c + torch.sigmoid(a_i + p_i * c) * torch.tanh(a_g)
        return torch.sigmoid(a_o + p_o * after) * torch.tanh(after), after

    return _by_steps(cell, x, [h0, c0], weights, lengths, reverse)


def gru(
    x: Any, h0: Any, *weights: Any, reset_after: bool = True, lengths: Any = None, reverse: bool = False
) -> Any:  # fmt: skip
    if reset_after:
        return _layer(torch.gru, x, [h0], list(weights), lengths, reverse)

    def cell(inputs: Any, state: Any, h: Any) -> Any:
        (r_r, r_z, r_n), (b_r, b_z, b_n) = (a.chunk(3) for a in state)
        x_r, x_z, x_n = inputs.chunk(3, 1)
        r, z = torch.sigmoid(x_r + h @ r_r.T + b_r), torch.sigmoid(x_z + h @ r_z.T + b_z)
        n = torch.tanh(x_n + (r * h) @ r_n.T + b_n)
        return ((1 - z) * n + z * h,)

    return _by_steps(cell, x, [h0], list(weights), lengths, reverse)


def _biased(running_var: Any, old: Any, momentum: float, m: int) -> None:
    """Make a running variance that PyTorch moved on from ``old`` what it is without Bessel's correction; autograd watches it."""
    running_var.data.copy_(momentum * old + (running_var - momentum * old) * ((m - 1) / m))


def batch_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float = 0.99,
    unbiased: bool = True,
    **o: Any,
) -> Any:
    old = None if running_var is None else running_var.clone()
    y = tf.batch_norm(x, running_mean, running_var, weight, bias, momentum=1 - momentum, **o)
    if o["training"] and old is not None and not unbiased:
        _biased(running_var, old, momentum, x.numel() // x.shape[1])
    return y


def batch_norm_relu(x: Any, weight: Any, bias: Any, residual: Any, **options: Any) -> Any:
    y = batch_norm(x, weight, bias, **options)
    return tf.relu(y if residual is None else y + residual)


def layer_norm(x: Any, weight: Any, bias: Any, normalized_shape: Any, eps: float = 1e-5) -> Any:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
    return tf.layer_norm(x, shape, weight, bias, eps)


def instance_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float = 0.99,
    unbiased: bool = True,
    **o: Any,
) -> Any:
    old = None if running_var is None else running_var.clone()
    y = tf.instance_norm(x, running_mean, running_var, weight, bias, momentum=1 - momentum, **o)
    if o.get("use_input_stats", True) and old is not None and not unbiased:
        _biased(running_var, old, momentum, x[0, 0].numel())
    return y


def group_norm(x: Any, weight: Any, bias: Any, num_groups: int, eps: float = 1e-5) -> Any:
    # PyTorch's backward fails where only one of the two is given.
    weight = x.new_ones(x.shape[1]) if weight is None else weight
    return tf.group_norm(x, num_groups, weight, x.new_zeros(x.shape[1]) if bias is None else bias, eps)


def rms_norm(x: Any, weight: Any, normalized_shape: Any, eps: float) -> Any:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
    return tf.rms_norm(x, shape, weight, eps)


def local_response_norm(x: Any, size: int, **options: Any) -> Any:
    if x.ndim == 2:  # which PyTorch refuses
        return tf.local_response_norm(x[:, :, None], size, **options)[:, :, 0]
    if size <= 2 * x.shape[1]:
        return tf.local_response_norm(x, size, **options)
    # The window covers all channels, and PyTorch would allocate as many.
    alpha, beta, k = (options.get(name, value) for name, value in (("alpha", 1e-4), ("beta", 0.75), ("k", 1.0)))
    return x / (k + alpha / size * (x * x).sum(1, keepdim=True)) ** beta


def gelu(x: Any, approximate: str = "none") -> Any:
    # tf.gelu adds 1 to erf or tanh, which cancels on the negative side; test_activations compares with it.
    if approximate == "none":
        return x * (torch.special.erfc(x / -np.sqrt(2)) / 2)
    u = (2 * np.sqrt(2 / np.pi)) * (x + 0.044715 * x**3)
    return torch.where(x > 0, x - x * torch.sigmoid(-u), x * torch.sigmoid(u))


def silu(x: Any) -> Any:
    # The derivative of tf.silu has 1 - sigmoid(x), which cancels; test_activations compares with it.
    return torch.where(x > 0, x - x * torch.sigmoid(-x), x * torch.sigmoid(x))


def hardsigmoid(x: Any) -> Any:
    # In float64 the gradient of tf.hardsigmoid is dy times a 1/6 rounded to float32.
    return tf.relu6(x + 3) / 6


def thresholded_relu(x: Any, alpha: float = 1.0) -> Any:
    return tf.threshold(x, alpha, 0.0)


def mish(x: Any) -> Any:
    # The derivative of tf.mish has 1 - tanh^2, which cancels; test_activations compares with it.
    n = torch.exp(-torch.abs(x))
    return torch.where(x > 0, x - x * (2 * n * n / (n * (n + 1) * 2 + 1)), x * (n * (n + 2) / (n * (n + 2) + 2)))


def softsign(x: Any) -> Any:
    # The derivative of tf.softsign is a difference of two nearly equal quotients where |x| is large.
    size = 1 + torch.abs(x)
    return torch.where(size < 2, x / size, torch.sign(x) - torch.sign(x) / size)


def maxout(x: Any, k: int, axis: int = 1) -> Any:
    return x.unflatten(axis, (-1, k)).max(axis + 1 if axis >= 0 else axis).values


def softmax(x: Any, axis: int = -1) -> Any:
    return tf.softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    return tf.log_softmax(x, axis)


def hinge_loss(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    loss = tf.relu(margin - target * x)
    return loss if reduction == "none" else getattr(loss, reduction)()


def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    if reduction == "mean":  # PyTorch warns that this is not the divergence
        return tf.kl_div(x, target, reduction="none", log_target=log_target).mean()
    return tf.kl_div(x, target, reduction=reduction, log_target=log_target)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:  # fmt: skip
    # PyTorch's own adds (1 - target) * x, which cancels on the negative side; test_losses compares with it.
    on = target if pos_weight is None else pos_weight * target
    loss = (1 - target) * tf.softplus(x, threshold=700) + on * tf.softplus(-x, threshold=700)
    loss = loss if weight is None else weight * loss
    return loss if reduction == "none" else getattr(loss, reduction)()


def _take_step(optimizer: Any, param: Any, grad: Any, state: dict[str, Any], l1: float = 0.0) -> None:
    optimizer.state[param].update(state)
    param.grad = grad + l1 * param.sign()
    optimizer.step()


def sgd_step(
    param: Any, grad: Any, momentum_buffer: Any = None, *, lr: float, momentum: float = 0.0, l1: float = 0.0, **options: Any
) -> None:  # fmt: skip
    state = {} if momentum_buffer is None else {"momentum_buffer": -momentum_buffer / lr}
    _take_step(torch.optim.SGD([param], lr, momentum, **options), param, grad, state, l1)
    if momentum_buffer is not None:
        momentum_buffer.copy_(-lr * state["momentum_buffer"])


def _adam(kind: Any) -> Callable[..., None]:
    def step(
        param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, *, step: int, max_exp_avg_sq: Any = None,
        l1: float = 0.0, **options: Any,
    ) -> None:  # fmt: skip
        state = {"step": torch.tensor(float(step - 1)), "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
        if max_exp_avg_sq is not None:
            state["max_exp_avg_sq"] = max_exp_avg_sq
        _take_step(kind([param], amsgrad=max_exp_avg_sq is not None, **options), param, grad, state, l1)

    return step


adam_step = _adam(torch.optim.Adam)
adamw_step = _adam(torch.optim.AdamW)


def rmsprop_step(
    param: Any,
    grad: Any,
    square_avg: Any,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    eps_inside: bool,
    l1: float = 0.0,
) -> None:
    if not eps_inside:
        state = {"step": torch.tensor(0.0), "square_avg": square_avg}
        return _take_step(torch.optim.RMSprop([param], lr, alpha, eps, weight_decay), param, grad, state, l1)
    with torch.no_grad():  # PyTorch has only the other form
        g = grad + weight_decay * param + l1 * param.sign()
        square_avg.mul_(alpha).add_((1 - alpha) * g * g)
        param.sub_(lr * g / torch.sqrt(square_avg + eps))
    return None


def adagrad_step(
    param: Any, grad: Any, square_sum: Any, *, lr: float, eps: float, eps_inside: bool, weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:  # fmt: skip
    if not eps_inside:
        state = {"step": torch.tensor(0.0), "sum": square_sum}
        return _take_step(torch.optim.Adagrad([param], lr, 0, weight_decay, 0, eps), param, grad, state, l1)
    with torch.no_grad():  # PyTorch has only the other form
        g = grad + weight_decay * param + l1 * param.sign()
        square_sum.add_(g * g)
        param.sub_(lr * g / torch.sqrt(square_sum + eps))
    return None


def adadelta_step(
    param: Any, grad: Any, square_avg: Any, acc_delta: Any, *, lr: float, rho: float, eps: float,
    weight_decay: float = 0.0, l1: float = 0.0,
) -> None:  # fmt: skip
    state = {"step": torch.tensor(0.0), "square_avg": square_avg, "acc_delta": acc_delta}
    _take_step(torch.optim.Adadelta([param], lr, rho, eps, weight_decay), param, grad, state, l1)
