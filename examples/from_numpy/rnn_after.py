"""A recurrent network with the steps in fastnn: sequences (N, T, D), weights in × out, and scores of the next symbol at every step."""

import numpy as np

import fastnn.functional as F


def rnn(x, h, wx, wh, b):
    states, _, saved = F.rnn(x.transpose(1, 0, 2), h, wx.T, wh.T, b, return_saved=True)
    return states.transpose(1, 0, 2), saved


def rnn_backward(dstates, saved, x, h0, wx, wh, b):
    dx, dh, dwx, dwh, db, _ = F.rnn_backward(
        dstates.transpose(1, 0, 2), x.transpose(1, 0, 2), h0, wx.T, wh.T, b, saved=saved
    )
    return dx.transpose(1, 0, 2), dh, dwx.T, dwh.T, db


def softmax_loss(scores, labels):
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    p_right = np.take_along_axis(p, labels[..., None], axis=-1)
    loss = -np.log(p_right).mean()
    np.put_along_axis(p, labels[..., None], p_right - 1, axis=-1)
    return loss, p / labels.size


def step(x, labels, h0, wx, wh, b, w_out, b_out):
    """The loss, and the gradients of the sequences, the initial state and all parameters."""
    states, saved = rnn(x, h0, wx, wh, b)
    loss, dscores = softmax_loss(states @ w_out + b_out, labels)
    gradients = rnn_backward(dscores @ w_out.T, saved, x, h0, wx, wh, b)
    flat = dscores.reshape(-1, len(b_out))
    return loss, [*gradients, states.reshape(-1, len(b)).T @ flat, flat.sum(axis=0)]
