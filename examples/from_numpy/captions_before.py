"""Words for images: embedded words and projected image features, tanh, and scores of the next word; no RNN between."""

import numpy as np


def embed(words, table):
    return table[words]


def embed_backward(dy, words, table):
    dtable = np.zeros_like(table)
    np.add.at(dtable, words, dy)
    return dtable


def affine(x, w, b):
    return x @ w + b


def affine_backward(dy, x, w):
    flat = dy.reshape(-1, w.shape[1])
    return dy @ w.T, x.reshape(-1, len(w)).T @ flat, flat.sum(axis=0)


def softmax_loss(scores, words, mask):
    """Summed over the words that count, and divided by the number of captions."""
    p = np.exp(scores - scores.max(axis=2, keepdims=True))
    p /= p.sum(axis=2, keepdims=True)
    n, t = np.indices(words.shape)
    loss = -np.sum(mask * np.log(p[n, t, words])) / len(words)
    p[n, t, words] -= 1
    return loss, p * mask[:, :, None] / len(words)


def step(features, words, table, w_image, b_image, w_out, b_out):
    """The loss, and the gradients of all parameters; the word 0 is padding."""
    inside, following = words[:, :-1], words[:, 1:]
    image = affine(features, w_image, b_image)
    h = np.tanh(embed(inside, table) + image[:, None])
    scores = affine(h, w_out, b_out)
    loss, dscores = softmax_loss(scores, following, following != 0)
    dh, dw_out, db_out = affine_backward(dscores, h, w_out)
    da = dh * (1 - h**2)
    _, dw_image, db_image = affine_backward(da.sum(axis=1), features, w_image)
    return loss, [embed_backward(da, inside, table), dw_image, db_image, dw_out, db_out]
