"""Parameters, gradients and runs of optimisers that their tests share."""

import numpy as np

import fastnn as fnn

RNG = np.random.default_rng(0)
SHAPES = [(4, 3), (5,), (), (2, 3, 3)]
STARTS = [RNG.standard_normal(shape) for shape in SHAPES]
GRADS = [[RNG.standard_normal(shape) for shape in SHAPES] for _ in range(6)]


def parameters(dtype=np.float64):
    return [fnn.tensor(start, requires_grad=True, dtype=dtype) for start in STARTS]


def run(optimizer, params, grads=GRADS):
    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = None if g is None else g.astype(p.dtype)
        optimizer.step()
