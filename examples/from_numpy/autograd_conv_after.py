"""A convolutional network in HIPS autograd: its convolution is a primitive made of fastnn's."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.extend import defvjp_argnums, primitive

import fastnn.functional as F


def swapped(w):
    """Filters of a true convolution as fastnn's, and back: (out, in, KH, KW), turned by half a turn."""
    return w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]


@primitive
def conv(x, w, b):
    return F.conv2d(x, swapped(w), b.ravel())


def conv_gradients(argnums, y, args, kwargs):
    x, w, b = args

    def backward(dy):
        dx, dw, db = F.conv2d_backward(dy, x, swapped(w), needs=(0 in argnums, True, True))
        gradients = dx, swapped(dw), db.reshape(b.shape)
        return [gradients[i] for i in argnums]

    return backward


defvjp_argnums(conv, conv_gradients)


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
