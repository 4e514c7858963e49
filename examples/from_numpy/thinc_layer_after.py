"""A thinc network of three layers, each of fastnn's functions."""

import numpy as np
from thinc.api import Model, chain

import fastnn.functional as F


def forward(model, x, is_train):
    weight, bias = model.get_param("W"), model.get_param("b")
    y = F.relu(F.linear(x, weight, bias))

    def backprop(dy):
        dx, dweight, dbias = F.linear_backward(F.relu_backward(dy, y), x, weight)
        model.inc_grad("W", dweight)
        model.inc_grad("b", dbias)
        return dx

    return y, backprop


def prepare(x, target, weights):
    """The network with these weights in the place of the list of them."""
    layers = [Model("relu", forward, params={"W": w, "b": np.zeros(len(w), w.dtype)}) for w in weights]
    return x, target, chain(*layers).initialize()


def step(x, target, model):
    """Half the squared distance from the target, and the gradients of x and of all weights and biases."""
    y, backprop = model.begin_update(x)
    dx = backprop(y - target)
    gradients = [layer.get_grad(name) for layer in model.layers for name in ("W", "b")]
    for layer in model.layers:
        for name in ("W", "b"):
            layer.set_grad(name, layer.ops.alloc(layer.get_param(name).shape))
    return 0.5 * ((y - target) ** 2).sum(), dx, gradients
