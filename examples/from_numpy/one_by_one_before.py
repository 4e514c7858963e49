"""A fully connected network that sees one example at a time, as column vectors, and adds the gradients up."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_slope(z):
    return sigmoid(z) * (1 - sigmoid(z))


def backprop(weights, biases, x, y):
    """Gradients of half the squared distance of one output from y."""
    activations, sums = [x], []
    for w, b in zip(weights, biases, strict=True):
        sums.append(np.dot(w, activations[-1]) + b)
        activations.append(sigmoid(sums[-1]))
    delta = (activations[-1] - y) * sigmoid_slope(sums[-1])
    dweights, dbiases = [], []
    for layer in reversed(range(len(weights))):
        dweights.insert(0, np.dot(delta, activations[layer].T))
        dbiases.insert(0, delta)
        if layer:
            delta = np.dot(weights[layer].T, delta) * sigmoid_slope(sums[layer - 1])
    return dweights, dbiases


def step(pairs, weights, biases):
    """Gradients of all weights and biases, summed over the examples."""
    dweights, dbiases = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
    for x, y in pairs:
        one_dweights, one_dbiases = backprop(weights, biases, x, y)
        dweights = [total + one for total, one in zip(dweights, one_dweights, strict=True)]
        dbiases = [total + one for total, one in zip(dbiases, one_dbiases, strict=True)]
    return dweights, dbiases
