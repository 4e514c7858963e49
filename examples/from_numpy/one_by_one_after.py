"""A fully connected network that sees one example at a time, as column vectors, with fastnn's sigmoid."""

import numpy as np

import fastnn.functional as F


def backprop(weights, biases, x, y):
    """Gradients of half the squared distance of one output from y."""
    activations = [x]
    for w, b in zip(weights, biases, strict=True):
        activations.append(F.sigmoid(np.dot(w, activations[-1]) + b))
    delta = F.sigmoid_backward(activations[-1] - y, activations[-1])
    dweights, dbiases = [], []
    for layer in reversed(range(len(weights))):
        dweights.insert(0, np.dot(delta, activations[layer].T))
        dbiases.insert(0, delta)
        if layer:
            delta = F.sigmoid_backward(np.dot(weights[layer].T, delta), activations[layer])
    return dweights, dbiases


def step(pairs, weights, biases):
    """Gradients of all weights and biases, summed over the examples."""
    dweights, dbiases = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
    for x, y in pairs:
        one_dweights, one_dbiases = backprop(weights, biases, x, y)
        dweights = [total + one for total, one in zip(dweights, one_dweights, strict=True)]
        dbiases = [total + one for total, one in zip(dbiases, one_dbiases, strict=True)]
    return dweights, dbiases
