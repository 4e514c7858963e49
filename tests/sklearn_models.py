"""Functions that make the networks of estimators, in a module that other processes can import."""

from fastnn import nn


def make_model(n_inputs, n_outputs, rng=None):
    return nn.Sequential(nn.Linear(n_inputs, 16, rng=rng), nn.Tanh(), nn.Linear(16, n_outputs, rng=rng))


def make_dropout(n_inputs, n_outputs, rng=None):
    return nn.Sequential(nn.Linear(n_inputs, 16, rng=rng), nn.Dropout(0.3, rng=rng), nn.Linear(16, n_outputs, rng=rng))


def make_coder(n_inputs, n_outputs, rng=None):
    return nn.Sequential(nn.Linear(n_inputs, n_outputs, rng=rng), nn.Linear(n_outputs, n_inputs, rng=rng))


def make_convolution(n_inputs, n_outputs, rng=None):
    channels, height, width = n_inputs
    last = nn.Linear(4 * height * width, n_outputs, rng=rng)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.Flatten(), last)
