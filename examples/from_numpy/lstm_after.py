"""An LSTM by fastnn, from one matrix for [x, h, 1], gates in the order input, forget, output, candidate; steps come first."""

import numpy as np

import fastnn.functional as F


def reorder(rows):
    """Input, forget, output, candidate as input, forget, candidate, output; or back: it swaps the last two."""
    i, f, third, fourth = np.split(rows, 4)
    return np.concatenate([i, f, fourth, third])


def weights(x, w):
    """The weights of x, those of h, and the bias, as fastnn takes them."""
    rows, inputs = reorder(w.T), x.shape[2]
    return rows[:, :inputs], rows[:, inputs:-1], rows[:, -1]


def lstm(x, h, c, w):
    states, _, _, saved = F.lstm(x, h, c, *weights(x, w), return_saved=True)
    return states, (h, c, saved)


def lstm_backward(dstates, cache, x, w):
    h, c, saved = cache
    dx, dh, dc, dw_x, dw_h, db, _ = F.lstm_backward(dstates, x, h, c, *weights(x, w), saved=saved)
    return dx, dh, dc, reorder(np.hstack([dw_x, dw_h, db[:, None]])).T


def step(x, target, h0, c0, w):
    """Half the squared distance of the states from a target, and the gradients of everything."""
    states, cache = lstm(x, h0, c0, w)
    return 0.5 * np.sum((states - target) ** 2), lstm_backward(states - target, cache, x, w)
