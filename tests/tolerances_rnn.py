"""How far a recurrent layer may be off: its formulas on numbers that carry a bound of their rounding error.

A `Rounded` holds values in float64 and, in units of eps, how far a computation with that eps may be from them, to first
order: every operation hands on the errors of its operands by its derivatives and adds its own rounding. Kernels make 0 of
numbers below the smallest normal one, so a product or a saturated gate is off by that, too, whatever it is multiplied by
later.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Op, Results, Sample, gradient_for
from tolerances import walk

# The smallest normal number of float32 in units of its eps. In float64 it would be less still; there this is a bound of 2e-47.
FLUSHED = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)


class Rounded:
    def __init__(self, value: Any, error: Any = 0.0) -> None:
        self.value = np.asarray(value, np.float64)
        self.error = np.broadcast_to(np.asarray(error, np.float64), self.value.shape)

    def __add__(self, other: Any) -> Rounded:
        b = rounded(other)
        total = self.value + b.value
        return Rounded(total, self.error + b.error + np.abs(self.value) + np.abs(b.value))

    def __sub__(self, other: Any) -> Rounded:
        return self + rounded(other) * -1.0

    def __mul__(self, other: Any) -> Rounded:
        b = rounded(other)
        y = self.value * b.value
        return Rounded(y, np.abs(self.value) * b.error + self.error * np.abs(b.value) + np.abs(y) + FLUSHED)

    def __matmul__(self, other: Any) -> Rounded:
        b = rounded(other)
        rounding = walk(b.value.shape[0]) * (np.abs(self.value) @ np.abs(b.value))
        error = np.abs(self.value) @ b.error + self.error @ np.abs(b.value) + rounding
        return Rounded(self.value @ b.value, error)

    def __getitem__(self, index: Any) -> Rounded:
        return Rounded(self.value[index], self.error[index])

    @property
    def T(self) -> Rounded:
        return Rounded(self.value.T, self.error.T)

    def complement(self) -> Rounded:
        """1 - x"""
        return Rounded(1 - self.value, self.error + np.abs(1 - self.value))

    def split(self, n: int) -> list[Rounded]:
        return [Rounded(*pair) for pair in zip(np.split(self.value, n, 1), np.split(self.error, n, 1), strict=True)]

    def sum(self) -> Rounded:
        """Over rows."""
        rounding = walk(len(self.value)) * np.abs(self.value).sum(0)
        return Rounded(self.value.sum(0), self.error.sum(0) + rounding)


def rounded(x: Any) -> Rounded:
    return x if isinstance(x, Rounded) else Rounded(x)


def sigmoid(x: Rounded) -> Rounded:
    s = np.exp(-np.logaddexp(0, -x.value))
    return Rounded(s, s * (1 - s) * x.error + 4 * s + FLUSHED)


def tanh(x: Rounded) -> Rounded:
    t = np.tanh(x.value)
    return Rounded(t, (1 - t * t) * x.error + 4 * np.abs(t))


def where(mask: np.ndarray, a: Rounded, b: Any) -> Rounded:
    b = rounded(b)
    return Rounded(np.where(mask, a.value, b.value), np.where(mask, a.error, b.error))


def stack(items: list[Rounded], axis: int = 0) -> Rounded:
    return Rounded(np.concatenate([x.value for x in items], axis), np.concatenate([x.error for x in items], axis))


class _Layer:
    """The arrays of a sample and the order of its steps."""

    def __init__(self, sample: Sample, states: int) -> None:
        x, *rest = sample.arrays
        assert x is not None
        self.x, (self.steps, self.batch, _) = x, x.shape
        self.w, self.r, b, b2, *peepholes = rest[states:]
        self.units = self.r.shape[1]
        rows = len(self.r)
        self.peepholes = np.split(peepholes[0], 3) if peepholes and peepholes[0] is not None else [None] * 3
        self.b, self.b2 = (np.zeros(rows) if a is None else a for a in (b, b2))
        self.initial = [Rounded(np.zeros((self.batch, self.units)) if h is None else h) for h in rest[:states]]
        lengths, reverse = sample.options.get("lengths"), sample.options.get("reverse", False)
        ends = np.full(self.batch, self.steps) if lengths is None else np.asarray(lengths)
        times = range(self.steps)[:: -1 if reverse else 1]
        self.order = [(t, (t < ends)[:, None]) for t in times]

    def inputs(self, t: int) -> Rounded:
        return Rounded(self.x[t]) @ self.w.T + self.b

    def state(self, h: Rounded) -> Rounded:
        return h @ self.r.T + self.b2

    def bounds(
        self, outputs: list[Rounded], finals: list[Rounded], pulled: Any, reset: list[Rounded] | None = None
    ) -> Results:
        """``pulled``: dgates, drec and the state before of every step, and the gradients of the initial states.

        The last gate's rows of the weights multiply ``reset``, where that is given.
        """
        dgates, drec, before, initial = pulled
        y = np.empty((self.steps, self.batch, self.units))
        dx = np.empty_like(self.x)
        for (t, _), out, da in zip(self.order, outputs, dgates, strict=True):
            y[t], dx[t] = out.error, (da @ self.w).error
        result = {"y": np.concatenate([y, *(h.error[None] for h in finals)]), "dx": dx}
        for name, d in zip(("dh0", "dc0"), initial, strict=False):
            result[name] = d.error
        if self.steps:
            x = Rounded(np.concatenate([self.x[t] for t, _ in self.order]))
            da, dr = stack(dgates), stack(drec)
            hidden = dr.T @ stack(before)
            if reset is not None:
                hidden = stack([hidden[: -self.units], dr.T[-self.units :] @ stack(reset)])
            result["dweight_ih"], result["dweight_hh"] = (da.T @ x).error, hidden.error
            result["dbias_ih"], result["dbias_hh"] = da.sum().error, dr.sum().error
        return result


def _pieces(layer: _Layer, truth: Results) -> tuple[Any, list[Rounded]]:
    """The gradients of the outputs in the order of the steps, and those of the final states."""
    dy = gradient_for(truth["y"].shape, np.float64)
    return [dy[t] for t, _ in layer.order], [Rounded(d) for d in dy[layer.steps :]]


def peep(a: Rounded, peephole: Any, c: Rounded) -> Rounded:
    return a if peephole is None else a + c * peephole


def rnn(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    layer = _Layer(sample, 1)
    relu = sample.options.get("nonlinearity") == "relu"
    (h,) = layer.initial
    outputs, before = [], []
    for t, exists in layer.order:
        a = layer.inputs(t) + layer.state(h)
        new = where(~(a.value <= 0), a, 0.0) if relu else tanh(a)
        before.append(h)
        outputs.append(where(exists, new, 0.0))
        h = where(exists, new, h)
    dys, (dh,) = _pieces(layer, truth)
    dgates = []
    for (_, exists), y, dy in zip(layer.order[::-1], outputs[::-1], dys[::-1], strict=True):
        d = dh + dy
        da = where(exists, where(~(y.value <= 0), d, 0.0) if relu else d * (y * y).complement(), 0.0)
        dgates.append(da)
        dh = where(exists, da @ layer.r, dh)
    dgates.reverse()
    return layer.bounds(outputs, [h], (dgates, dgates, before, [dh]))


def lstm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    layer = _Layer(sample, 2)
    h, c = layer.initial
    p_i, p_f, p_o = layer.peepholes
    outputs, before, kept = [], [], []
    for t, exists in layer.order:
        a_i, a_f, a_g, a_o = (layer.inputs(t) + layer.state(h)).split(4)
        i, f, g = sigmoid(peep(a_i, p_i, c)), sigmoid(peep(a_f, p_f, c)), tanh(a_g)
        new_c = f * c + i * g
        o = sigmoid(peep(a_o, p_o, new_c))
        squashed = tanh(new_c)
        kept.append((i, f, g, o, c, new_c, squashed))
        before.append(h)
        outputs.append(where(exists, o * squashed, 0.0))
        h, c = where(exists, o * squashed, h), where(exists, new_c, c)
    dys, (dh, dc) = _pieces(layer, truth)
    finals, dgates, dpeepholes = [h, c], [], []
    for (_, exists), (i, f, g, o, c, new_c, squashed), dy in zip(layer.order[::-1], kept[::-1], dys[::-1], strict=True):
        d = dh + dy
        da_o = d * squashed * o * o.complement()
        new_dc = peep(dc + d * o * (squashed * squashed).complement(), p_o, da_o)
        da_i, da_f = new_dc * g * i * i.complement(), new_dc * c * f * f.complement()
        dgates.append(where(exists, stack([da_i, da_f, new_dc * i * (g * g).complement(), da_o], 1), 0.0))
        dpeepholes.append(where(exists, stack([da_i * c, da_f * c, da_o * new_c], 1), 0.0))
        dh = where(exists, dgates[-1] @ layer.r, dh)
        dc = where(exists, peep(peep(new_dc * f, p_i, da_i), p_f, da_f), dc)
    dgates.reverse()
    result = layer.bounds(outputs, finals, (dgates, dgates, before, [dh, dc]))
    if dpeepholes:
        result["dpeepholes"] = stack(dpeepholes).sum().error
    return result


def gru(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    layer = _Layer(sample, 1)
    reset_after = sample.options.get("reset_after", True)
    (h,) = layer.initial
    outputs, before, kept = [], [], []
    for t, exists in layer.order:
        x_r, x_z, x_n = layer.inputs(t).split(3)
        h_r, h_z, m = layer.state(h).split(3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        if not reset_after:
            m = r * h
        n = tanh(x_n + (r * m if reset_after else layer.state(m).split(3)[2]))
        new = n + z * (h - n)
        kept.append((r, z, n, m))
        before.append(h)
        outputs.append(where(exists, new, 0.0))
        h = where(exists, new, h)
    dys, (dh,) = _pieces(layer, truth)
    dgates, drec = [], []
    r_gates, r_n = np.split(layer.r, [2 * layer.units])
    steps = list(zip(layer.order, kept, before, dys, strict=True))
    for (_, exists), (r, z, n, m), earlier, dy in reversed(steps):
        d = dh + dy
        da_n = d * z.complement() * (n * n).complement()
        da_z = d * (earlier - n) * z * z.complement()
        rec_n = da_n * r if reset_after else da_n
        through_n = rec_n @ r_n
        da_r = (da_n * m if reset_after else through_n * earlier) * r * r.complement()
        dgates.append(where(exists, stack([da_r, da_z, da_n], 1), 0.0))
        drec.append(where(exists, stack([da_r, da_z, rec_n], 1), 0.0))
        direct = (through_n if reset_after else through_n * r) + d * z
        dh = where(exists, stack([da_r, da_z], 1) @ r_gates + direct, dh)
    dgates.reverse()
    drec.reverse()
    reset = None if reset_after else [m for *_, m in kept]
    return layer.bounds(outputs, [h], (dgates, drec, before, [dh]), reset)
