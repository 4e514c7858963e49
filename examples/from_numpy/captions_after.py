"""Words for images: embedded words and projected image features, tanh, and scores of the next word; by fastnn."""

import numpy as np

import fastnn.functional as F


def embed(words, table):
    return F.embedding(words, table)


def embed_backward(dy, words, table):
    return F.embedding_backward(dy, words, len(table))


def affine(x, w, b):
    return F.linear(x, w.T, b)


def affine_backward(dy, x, w):
    dx, dw, db = F.linear_backward(dy, x, w.T)
    return dx, dw.T, db


def softmax_loss(scores, words, mask):
    """Summed over the words that count, and divided by the number of captions."""
    flat, target = scores.reshape(-1, scores.shape[2]), np.where(mask, words, -100).ravel()
    loss = F.cross_entropy(flat, target, reduction="sum") / len(words)
    dscores = F.cross_entropy_backward(flat, target, reduction="sum", dloss=1 / len(words))
    return loss, dscores.reshape(scores.shape)


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
