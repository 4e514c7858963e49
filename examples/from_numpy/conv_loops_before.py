"""A convolutional block on images (N, H, W, C), one window after the other: convolution, ReLU, max pooling."""

import numpy as np


def conv(x, weight, bias, stride, pad):
    n, h, w, _ = x.shape
    size, _, _, channels = weight.shape
    oh, ow = (h + 2 * pad - size) // stride + 1, (w + 2 * pad - size) // stride + 1
    y = np.zeros((n, oh, ow, channels))
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for i in range(n):
        for row in range(oh):
            for col in range(ow):
                top, left = row * stride, col * stride
                window = padded[i, top : top + size, left : left + size]
                for k in range(channels):
                    y[i, row, col, k] = np.sum(window * weight[..., k]) + bias[0, 0, 0, k]
    return y


def conv_backward(dy, x, weight, bias, stride, pad):
    n, oh, ow, channels = dy.shape
    size = len(weight)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    dpadded, dweight, dbias = np.zeros_like(padded), np.zeros_like(weight), np.zeros_like(bias)
    for i in range(n):
        for row in range(oh):
            for col in range(ow):
                top, left = row * stride, col * stride
                for k in range(channels):
                    d = dy[i, row, col, k]
                    dpadded[i, top : top + size, left : left + size] += weight[..., k] * d
                    dweight[..., k] += padded[i, top : top + size, left : left + size] * d
                    dbias[..., k] += d
    return dpadded[:, pad : pad + x.shape[1], pad : pad + x.shape[2]], dweight, dbias


def pool(x, size):
    n, h, w, channels = x.shape
    y = np.zeros((n, h // size, w // size, channels))
    for i in range(n):
        for row in range(h // size):
            for col in range(w // size):
                for k in range(channels):
                    window = x[i, row * size : (row + 1) * size, col * size : (col + 1) * size, k]
                    y[i, row, col, k] = np.max(window)
    return y


def pool_backward(dy, x, size):
    n, oh, ow, channels = dy.shape
    dx = np.zeros_like(x)
    for i in range(n):
        for row in range(oh):
            for col in range(ow):
                for k in range(channels):
                    rows, cols = slice(row * size, (row + 1) * size), slice(col * size, (col + 1) * size)
                    window = x[i, rows, cols, k]
                    dx[i, rows, cols, k] += (window == np.max(window)) * dy[i, row, col, k]
    return dx


def step(x, target, weight, bias):
    """Half the squared distance from a target, and the gradients of image, filters and bias."""
    a = conv(x, weight, bias, stride=1, pad=1)
    h = np.maximum(a, 0)
    y = pool(h, 2)
    loss = 0.5 * np.sum((y - target) ** 2)
    dh = pool_backward(y - target, h, 2)
    return loss, conv_backward(dh * (a > 0), x, weight, bias, stride=1, pad=1)
