"""LeNet on images (N, C, H, W), with the convolution as a matrix product of copied patches (im2col)."""

import numpy as np


def im2col(x, size, stride):
    n, c, h, w = x.shape
    oh, ow = (h - size) // stride + 1, (w - size) // stride + 1
    cols = np.empty((n, c, size, size, oh, ow))
    for i in range(size):
        for j in range(size):
            cols[:, :, i, j] = x[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride]
    return cols.transpose(0, 4, 5, 1, 2, 3).reshape(n * oh * ow, -1)


def col2im(cols, shape, size, stride):
    n, c, h, w = shape
    oh, ow = (h - size) // stride + 1, (w - size) // stride + 1
    cols = cols.reshape(n, oh, ow, c, size, size).transpose(0, 3, 4, 5, 1, 2)
    x = np.zeros(shape)
    for i in range(size):
        for j in range(size):
            x[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += cols[:, :, i, j]
    return x


def conv(x, weight, bias, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, _, h, w = x.shape
    size = weight.shape[2]
    cols = im2col(x, size, 1)
    y = cols @ weight.reshape(len(weight), -1).T + bias
    y = y.reshape(n, h - size + 1, w - size + 1, -1).transpose(0, 3, 1, 2)
    return y, (x.shape, cols, weight, pad)


def conv_backward(dy, cache):
    shape, cols, weight, pad = cache
    dy = dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))
    dweight = (dy.T @ cols).reshape(weight.shape)
    dx = col2im(dy @ weight.reshape(len(weight), -1), shape, weight.shape[2], 1)
    return dx[:, :, pad : shape[2] - pad, pad : shape[3] - pad], dweight, dy.sum(axis=0)


def pool(x):
    n, c, h, w = x.shape
    cols = im2col(x, 2, 2).reshape(-1, 4)
    first = cols.argmax(axis=1)
    y = cols.max(axis=1).reshape(n, h // 2, w // 2, c).transpose(0, 3, 1, 2)
    return y, (x.shape, first)


def pool_backward(dy, cache):
    shape, first = cache
    cols = np.zeros((dy.size, 4))
    cols[np.arange(dy.size), first] = dy.transpose(0, 2, 3, 1).ravel()
    return col2im(cols, shape, 2, 2)


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
    _, dw1, db1 = conv_backward(d * relu1, conv1)
    return loss, [dw1, db1, dw2, db2, dw3, db3, dw4, db4]
