"""Mistakes in the use of fastnn: a type checker refuses the lines that are marked, and no others."""

from __future__ import annotations

import numpy as np

from fastnn import Tensor, nn, optim
from fastnn import functional as F

X = np.ones((2, 3, 8, 8), np.float32)
NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))


class Net(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def returned(x: np.ndarray) -> Tensor:
    return F.relu(x)  # refused: an array stays an array


def word_for_a_reduction(x: Tensor) -> Tensor:
    return F.mse_loss(x, X, reduction="average")  # refused: "mean", "sum" or "none"


def string_for_a_stride(weight: Tensor) -> Tensor:
    return F.conv2d(X, weight, stride="2")  # refused: ints


def list_of_tensors(x: Tensor) -> Tensor:
    return F.softmax([x, x])  # refused: F.stack makes one tensor of several


def misspelt_keyword() -> nn.Module:
    return nn.Conv2d(3, 4, kernel=3)  # refused: kernel_size


def missing_argument(x: Tensor) -> Tensor:
    return F.linear(x)  # refused: a weight


def argument_of_an_optimiser() -> optim.Optimizer:
    return optim.Adam(NET.parameters(), betas=0.9)  # refused: two numbers


def int_for_a_module() -> nn.Module:
    return nn.Sequential(nn.Flatten(), 10)  # refused: modules


def array_for_the_tensor_of_forward() -> Tensor:
    return Net()(X)  # refused: forward takes a Tensor


def word_for_a_padding() -> nn.Module:
    return nn.Conv2d(3, 4, 3, padding="half")  # refused: "valid", "same" or "full"


def text_for_a_generator() -> nn.Module:
    return nn.Dropout(0.5, rng="seed")  # refused: what numpy.random.default_rng takes


def state_of_an_lstm(x: Tensor, h: Tensor) -> Tensor:
    return nn.LSTM(3, 3)(x, h)[0]  # refused: a pair of states


def output_of_a_gru(x: Tensor) -> Tensor:
    return F.relu(nn.GRU(3, 3)(x))  # refused: a pair of output and state
