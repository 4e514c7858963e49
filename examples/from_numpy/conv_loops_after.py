"""A convolutional block on images (N, H, W, C), through fastnn's convolution and pooling."""

import numpy as np

import fastnn.functional as F


def images(x):
    """(N, H, W, C) as (N, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


def filters(weight):
    """(KH, KW, in, out) as (out, in, KH, KW), a view."""
    return weight.transpose(3, 2, 0, 1)


def conv(x, weight, bias, stride, pad):
    y = F.conv2d(images(x), filters(weight), bias.ravel(), stride=stride, padding=pad)
    return y.transpose(0, 2, 3, 1)


def conv_backward(dy, x, weight, bias, stride, pad):
    dx, dweight, dbias = F.conv2d_backward(images(dy), images(x), filters(weight), stride=stride, padding=pad)
    return dx.transpose(0, 2, 3, 1), dweight.transpose(2, 3, 1, 0), dbias.reshape(bias.shape)


def pool(x, size):
    return F.max_pool2d(images(x), size).transpose(0, 2, 3, 1)


def pool_backward(dy, x, size):
    return F.max_pool2d_backward(images(dy), images(x), size).transpose(0, 2, 3, 1)


def step(x, target, weight, bias):
    """Half the squared distance from a target, and the gradients of image, filters and bias."""
    a = conv(x, weight, bias, stride=1, pad=1)
    h = np.maximum(a, 0)
    y = pool(h, 2)
    loss = 0.5 * np.sum((y - target) ** 2)
    dh = pool_backward(y - target, h, 2)
    return loss, conv_backward(dh * (a > 0), x, weight, bias, stride=1, pad=1)
