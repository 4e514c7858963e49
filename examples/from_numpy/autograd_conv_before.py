"""A convolutional network in HIPS autograd: true convolution, filters (in, out, KH, KW), biases (1, C, 1, 1)."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.scipy.signal import convolve


def conv(x, w, b):
    return convolve(x, w, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid") + b


def pool(x):
    n, c, h, w = x.shape
    return np.max(np.max(x.reshape(n, c, h // 2, 2, w // 2, 2), axis=3), axis=4)


def loss(params, x, one_hot):
    w1, b1, w2, b2, w3, b3 = params
    a = np.tanh(pool(conv(x, w1, b1)))
    a = np.tanh(pool(conv(a, w2, b2)))
    scores = a.reshape(len(x), -1) @ w3 + b3
    scores = scores - np.max(scores, axis=1, keepdims=True)
    return -np.mean(np.sum(one_hot * scores, axis=1) - np.log(np.sum(np.exp(scores), axis=1)))


def step(x, one_hot, params):
    """The loss, and the gradients of all parameters."""
    return value_and_grad(loss)(params, x, one_hot)
