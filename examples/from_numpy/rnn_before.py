"""A recurrent network by hand: sequences (N, T, D), weights in × out, and scores of the next symbol at every step."""

import numpy as np


def rnn(x, h, wx, wh, b):
    states = np.empty((x.shape[0], x.shape[1], len(b)))
    for t in range(x.shape[1]):
        h = states[:, t] = np.tanh(x[:, t] @ wx + h @ wh + b)
    return states


def rnn_backward(dstates, states, x, h0, wx, wh, b):
    dx, dwx, dwh, db = np.empty_like(x), np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    dh = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        before = states[:, t - 1] if t else h0
        da = (dstates[:, t] + dh) * (1 - states[:, t] ** 2)
        dx[:, t], dh = da @ wx.T, da @ wh.T
        dwx += x[:, t].T @ da
        dwh += before.T @ da
        db += da.sum(axis=0)
    return dx, dh, dwx, dwh, db


def softmax_loss(scores, labels):
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    p_right = np.take_along_axis(p, labels[..., None], axis=-1)
    loss = -np.log(p_right).mean()
    np.put_along_axis(p, labels[..., None], p_right - 1, axis=-1)
    return loss, p / labels.size


def step(x, labels, h0, wx, wh, b, w_out, b_out):
    """The loss, and the gradients of the sequences, the initial state and all parameters."""
    states = rnn(x, h0, wx, wh, b)
    loss, dscores = softmax_loss(states @ w_out + b_out, labels)
    gradients = rnn_backward(dscores @ w_out.T, states, x, h0, wx, wh, b)
    flat = dscores.reshape(-1, len(b_out))
    return loss, [*gradients, states.reshape(-1, len(b)).T @ flat, flat.sum(axis=0)]
