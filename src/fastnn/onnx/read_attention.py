"""ONNX's scaled dot-product attention, and the rotation of its inputs by place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import concatenate, raw, shaping, stack, where
from ..autograd import ops as tape
from .read_call import refuse_type
from .read_table import F, op


@op("Attention", outputs=4, refuse=refuse_type("softmax_precision"))
def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, past_key: Any = None, past_value: Any = None, lengths: Any = None, /, *, run: Any,
    count: int, is_causal: int = 0, kv_num_heads: int | None = None, left_window_size: int = -1, q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0, right_window_size: int = -1, scale: float | None = None, softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Any:  # fmt: skip
    joined = q.ndim == 3
    q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    before = 0 if past_key is None else past_key.shape[2]
    k = k if past_key is None else concatenate([past_key, k], 2)
    v = v if past_value is None else concatenate([past_value, v], 2)
    present = k, v
    k, v = (_repeated(x, q.shape[1]) for x in present)
    run.room((*q.shape[:3], k.shape[2]), raw(q).dtype)
    root = math.sqrt(1 / math.sqrt(q.shape[3]) if scale is None else scale)
    scores = F.matmul(tape.multiply(q, root), tape.multiply(shaping.swapaxes(k, -1, -2), root))
    scores = tape.multiply(F.tanh(tape.divide(scores, softcap)), softcap) if softcap > 0 else scores
    open_, bias = _mask(mask, k.shape[2])
    ends = None if lengths is None else np.asarray(raw(lengths)).reshape(-1, 1, 1, 1)
    offset = before if ends is None else ends - q.shape[2]
    open_ = open_ & _window(scores.shape, offset, is_causal, left_window_size, right_window_size)
    open_ = open_ if ends is None else open_ & (np.arange(k.shape[2]) < ends)
    biased = scores if bias is None else tape.add(scores, bias)
    biased = tape.add(biased, np.where(open_, 0, -np.inf).astype(raw(q).dtype))
    inner = raw(q).dtype if softmax_precision is None else run.dtype(softmax_precision)
    seen = open_ if bias is None else open_ & (raw(bias) > -np.inf)
    shares = shaping.astype(_softmax(shaping.astype(biased, inner), seen.any(-1, keepdims=True)), raw(q).dtype)
    y = F.matmul(shares, v)
    if joined:
        y = shaping.transpose(y, (0, 2, 1, 3))
        y = shaping.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))
    shown = (scores, scores, biased, shares)[qk_matmul_output_mode]
    return y if count == 1 else (y, *present, shown)[:count]


def _heads(x: Any, count: int | None) -> Any:
    """(batch, heads, steps, size) of x, or of (batch, steps, heads · size)."""
    if x.ndim == 4:
        return x
    if x.ndim != 3 or not count or x.shape[2] % count:
        raise ValueError(f"{count} heads of an input of shape {x.shape}")
    return shaping.transpose(shaping.reshape(x, (*x.shape[:2], count, x.shape[2] // count)), (0, 2, 1, 3))


def _repeated(x: Any, heads: int) -> Any:
    """Each head as often as queries share it."""
    own = x.shape[1]
    if own == heads:
        return x
    if not own or heads % own:
        raise ValueError(f"{heads} heads of queries share {own} of keys")
    return shaping.getitem(x, (slice(None), np.repeat(np.arange(own), heads // own)))


def _mask(mask: Any, keys: int) -> tuple[Any, Any]:
    """Which keys may be seen, and what is added to scores; keys behind the mask's end may not."""
    if mask is None:
        return np.True_, None
    if raw(mask).dtype.kind not in "bf":
        raise TypeError(f"a mask of {raw(mask).dtype} is not supported, only of booleans and floats")
    missing = keys - mask.shape[-1]
    inside = np.arange(keys) < mask.shape[-1]
    if raw(mask).dtype == bool:
        return np.pad(raw(mask), [*[(0, 0)] * (mask.ndim - 1), (0, missing)]) if missing > 0 else raw(mask), None
    if missing > 0:
        mask = concatenate([mask, np.zeros((*mask.shape[:-1], missing), raw(mask).dtype)], -1)
    return inside, mask


def _window(shape: tuple[int, ...], offset: Any, causal: int, left: int, right: int) -> Any:
    """Which keys a query sees by their distance; the first query is at place ``offset``."""
    ahead = np.arange(shape[3]) - (np.arange(shape[2])[:, None] + offset)
    seen = np.ones_like(ahead, bool)
    if causal:
        seen &= ahead <= 0
    if left >= 0:
        seen &= -ahead <= left
    if right >= 0:
        seen &= ahead <= right
    return seen


def _softmax(scores: Any, seen: np.ndarray) -> Any:
    """Shares of the keys, 0 where a query sees none."""
    zero = np.zeros((), raw(scores).dtype)
    return where(seen, F.softmax(where(seen, scores, zero), -1), zero)


@op("RotaryEmbedding")
def _rotary_embedding(
    x: Any,
    cos: Any,
    sin: Any,
    places: Any = None,
    /,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Any:
    shape = x.shape
    x = shaping.transpose(x, (0, 2, 1, 3)) if len(shape) == 4 else shaping.reshape(x, (*shape[:2], num_heads, -1))
    turned = rotary_embedding_dim or x.shape[-1]
    if turned % 2 or turned > x.shape[-1]:
        raise ValueError(f"rotary_embedding_dim={turned} of {x.shape[-1]} values")
    if places is not None:
        cos, sin = (shaping.getitem(table, np.asarray(raw(places))) for table in (cos, sin))
    cos, sin = (shaping.expand_dims(table, 2) for table in (cos, sin))
    first, second = (
        (slice(0, turned, 2), slice(1, turned, 2)) if interleaved else (slice(turned // 2), slice(turned // 2, turned))
    )
    a, b = x[..., first], x[..., second]
    pair = (
        tape.subtract(tape.multiply(a, cos), tape.multiply(b, sin)),
        tape.add(tape.multiply(a, sin), tape.multiply(b, cos)),
    )
    y = shaping.reshape(stack(pair, -1), (*x.shape[:-1], turned)) if interleaved else concatenate(pair, -1)
    y = y if turned == x.shape[-1] else concatenate([y, x[..., turned:]], -1)
    return shaping.transpose(y, (0, 2, 1, 3)) if len(shape) == 4 else shaping.reshape(y, shape)
