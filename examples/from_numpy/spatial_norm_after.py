"""Spatial batch norm with biased running variances, by fastnn, which changes the running statistics in place."""

import numpy as np

import fastnn.functional as F


def norm(x, gamma, beta, running, momentum=0.9, eps=1e-5):
    statistics = running["mean"], running["var"]
    y = F.batch_norm(x, *statistics, gamma, beta, training=True, momentum=momentum, eps=eps, unbiased=False)
    return y, (x, gamma, eps)


def norm_backward(dy, cache):
    return F.batch_norm_backward(dy, *cache)


def step(x, target, gamma, beta, running):
    """Norm and ReLU: half the squared distance from a target, the gradients, and the running statistics."""
    a, cache = norm(x, gamma, beta, running)
    y = np.maximum(a, 0)
    loss = 0.5 * np.sum((y - target) ** 2)
    return loss, norm_backward((y - target) * (a > 0), cache), [running["mean"], running["var"]]
