"""An LSTM by hand: one matrix for [x, h, 1], gates in the order input, forget, output, candidate; steps come first."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(x, h, c, w):
    steps, batch, _ = x.shape
    units = h.shape[1]
    states, cache = np.empty((steps, batch, units)), []
    for t in range(steps):
        row = np.hstack([x[t], h, np.ones((batch, 1))])
        a = row @ w
        i, f, o = sigmoid(a[:, :units]), sigmoid(a[:, units : 2 * units]), sigmoid(a[:, 2 * units : 3 * units])
        g = np.tanh(a[:, 3 * units :])
        before, c = c, f * c + i * g
        h = states[t] = o * np.tanh(c)
        cache.append((row, i, f, o, g, before, c))
    return states, cache


def lstm_backward(dstates, cache, x, w):
    inputs, units = x.shape[2], dstates.shape[2]
    dx, dw = np.empty_like(x), np.zeros_like(w)
    dh, dc = np.zeros_like(dstates[0]), np.zeros_like(dstates[0])
    for t in reversed(range(len(x))):
        row, i, f, o, g, before, c = cache[t]
        dh = dh + dstates[t]
        s = np.tanh(c)
        dc = dc + dh * o * (1 - s**2)
        da = np.hstack([dc * g * i * (1 - i), dc * before * f * (1 - f), dh * s * o * (1 - o), dc * i * (1 - g**2)])
        dw += row.T @ da
        drow = da @ w.T
        dx[t], dh, dc = drow[:, :inputs], drow[:, inputs : inputs + units], dc * f
    return dx, dh, dc, dw


def step(x, target, h0, c0, w):
    """Half the squared distance of the states from a target, and the gradients of everything."""
    states, cache = lstm(x, h0, c0, w)
    return 0.5 * np.sum((states - target) ** 2), lstm_backward(states - target, cache, x, w)
