"""LeNet on images (N, C, H, W), with fastnn's convolution and pooling."""

import numpy as np

import fastnn.functional as F


def conv(x, weight, bias, pad):
    return F.conv2d(x, weight, bias, padding=pad), (x, weight, pad)


def conv_backward(dy, cache, needs=(True, True, True)):
    x, weight, pad = cache
    return F.conv2d_backward(dy, x, weight, padding=pad, needs=needs)


def pool(x):
    return F.max_pool2d(x, 2), x


def pool_backward(dy, x):
    return F.max_pool2d_backward(dy, x, 2)


def affine(x, weight, bias):
    return x @ weight + bias, (x, weight)


def affine_backward(dy, cache):
    x, weight = cache
    return dy @ weight.T, x.T @ dy, dy.sum(axis=0)


def relu(x):
    return np.maximum(x, 0), x > 0


def softmax_loss(scores, labels):
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    return loss, p / len(labels)


def step(x, labels, params):
    """The loss, and the gradients of all parameters."""
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    a, conv1 = conv(x, w1, b1, 2)
    a, relu1 = relu(a)
    a, pool1 = pool(a)
    a, conv2 = conv(a, w2, b2, 0)
    a, relu2 = relu(a)
    a, pool2 = pool(a)
    images = a.shape
    a, affine1 = affine(a.reshape(len(a), -1), w3, b3)
    a, relu3 = relu(a)
    scores, affine2 = affine(a, w4, b4)

    loss, d = softmax_loss(scores, labels)
    d, dw4, db4 = affine_backward(d, affine2)
    d, dw3, db3 = affine_backward(d * relu3, affine1)
    d = pool_backward(d.reshape(images), pool2)
    d, dw2, db2 = conv_backward(d * relu2, conv2)
    d = pool_backward(d, pool1)
    _, dw1, db1 = conv_backward(d * relu1, conv1, needs=(False, True, True))
    return loss, [dw1, db1, dw2, db2, dw3, db3, dw4, db4]
