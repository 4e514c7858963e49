"""Initialisations compared: the panels of the notes, by their words."""

import json
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fastnn import functional as F
from fastnn import init, nn, plots
from fastnn.diagnosis import compare_inits
from fastnn.plots.inits import shown_layers

X = np.random.default_rng(0).normal(size=(512, 100)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 10, 512)


def deep(activation, depth=5):
    def make():
        layers = []
        for i in range(depth):
            layers += [nn.Linear(100, 100, rng=i), activation()]
        return nn.Sequential(*layers, nn.Linear(100, 10, rng=depth))

    return make


# Of the notes: five layers of 100 units, weights of standard deviation 0.01, 0.1 and 1.
PANELS = [
    (nn.Sigmoid, ["vanishing", "vanishing", "saturated"]),
    (nn.Tanh, ["vanishing", "fine", "saturated"]),
    (nn.ReLU, ["vanishing", "fine", "exploding"]),
]


@pytest.mark.parametrize(("activation", "words"), PANELS)
def test_the_nine_panels_of_the_notes(activation, words):
    found = compare_inits({"0.01": 0.01, "0.1": 0.1, "1": 1}, deep(activation), X, Y)
    assert list(found.words.values()) == words
    table = str(found).splitlines()
    assert table[0].split()[:2] == ["init", "verdict"]
    assert [line.split()[1] for line in table[1:4]] == words


def test_he_suits_relu_and_xavier_tanh():
    inits = {
        "He": init.he_normal,
        "Xavier": init.xavier_normal,
        "zero": init.zeros,
        "small": partial(init.normal, std=0.01),
    }
    assert compare_inits(inits, deep(nn.ReLU), X, Y).words == {
        "He": "fine",
        "Xavier": "fine",
        "zero": "symmetric",
        "small": "vanishing",
    }
    assert compare_inits(inits, deep(nn.Tanh), X, Y).words["Xavier"] == "fine"


def test_a_function_of_the_model_changes_it():
    def dead(model):
        model[0].bias.data[...] = -100

    found = compare_inits({"dead": dead, "as made": lambda model: None}, deep(nn.ReLU), X, Y)
    assert found.words == {"dead": "dead", "as made": "fine"}
    assert found.findings[0].message.startswith("dead: layer '1' (ReLU): 100 of 100 units")


def test_weights_are_drawn_for_their_shapes():
    shapes = []

    def spy(shape, rng, groups=1, transposed=False):
        shapes.append((shape, groups, transposed))
        return init.he_normal(shape, rng=rng)

    def make():
        return nn.Sequential(
            nn.Conv2d(4, 4, 3, groups=2, rng=0), nn.ConvTranspose2d(4, 2, 3, rng=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(32, 10, rng=2),
        )  # fmt: skip

    images = np.random.default_rng(0).normal(size=(40, 4, 4, 4)).astype(np.float32)
    compare_inits({"spy": spy}, make, images, Y[:40])
    assert shapes == [((4, 2, 3, 3), 2, False), ((4, 2, 3, 3), 1, True), ((10, 32), 1, False)]


def test_each_draws_from_the_same_state_and_seeds_repeat():
    inits = {"a": init.he_normal, "b": init.he_normal}
    found = compare_inits(inits, deep(nn.ReLU, 2), X, Y, rng=7)
    assert found.stats["a"] == found.stats["b"]
    assert compare_inits(inits, deep(nn.ReLU, 2), X, Y, rng=7) == found
    assert compare_inits(inits, deep(nn.ReLU, 2), X, Y, rng=8) != found


def test_the_model_and_the_generator_of_the_caller_stay():
    net = deep(nn.ReLU, 2)()
    before = [p.data.copy() for p in net.parameters()]
    compare_inits({"1": 1.0, "zero": init.zeros}, lambda: net, X, Y)
    assert all((p.data == kept).all() for p, kept in zip(net.parameters(), before, strict=True))


def test_regression_few_samples_and_json():
    def make():
        return nn.Sequential(nn.Linear(100, 8, rng=0), nn.Tanh(), nn.Linear(8, 1, rng=1))

    found = compare_inits({"1": 1.0}, make, X, X[:, :1], F.mse_loss, samples=100)
    assert found.stats["1"].samples == 256
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["words"] == {"1": "saturated"}
    assert read["stats"]["1"]["rows"][1]["kind"] == "Tanh"


def test_a_model_without_activations():
    found = compare_inits({"1": 1.0}, lambda: nn.Linear(100, 10, rng=0), X, Y)
    assert found.words == {"1": "fine"}
    with pytest.raises(ValueError, match="inits: expected the same hidden layers"):
        found.plot()


@pytest.mark.parametrize(
    ("inits", "make", "error", "message"),
    [
        ({}, deep(nn.ReLU), TypeError, "inits must be initialisations by name"),
        ([init.he_normal], deep(nn.ReLU), TypeError, "inits must be initialisations by name"),
        ({"a": "he"}, deep(nn.ReLU), TypeError, "'a' must be a standard deviation or a function, got 'he'"),
        ({"a": True}, deep(nn.ReLU), TypeError, "'a' must be a standard deviation or a function, got True"),
        ({"a": 1.0}, nn.Linear(2, 2), TypeError, "make_model must be a function that makes a model"),
        ({"a": 1.0}, lambda: 3, TypeError, "make_model must return a Module, got 3"),
        ({"a": -1.0}, deep(nn.ReLU), ValueError, "std"),
        ({"a": lambda shape: np.ones(3)}, deep(nn.ReLU), ValueError, "'a' must give values of shape"),
    ],
)
def test_refusals(inits, make, error, message):
    with pytest.raises(error, match=message):
        compare_inits(inits, make, X, Y)


def test_the_picture_has_a_row_for_each():
    found = compare_inits({"0.01": 0.01, "1": 1.0}, deep(nn.Tanh, 8), X, Y)
    grid = found.plot()
    assert grid.shape == (2, 6)
    assert grid[0, 0].get_ylabel() == "0.01\nvanishing\nshare / %"
    assert grid[1, 0].get_ylabel() == "1\nsaturated\nshare / %"
    assert [ax.get_title() for ax in grid[0]] == [f"{i} (Tanh)" for i in (1, 3, 7, 9, 13, 15)]
    rows = found.stats["1"].rows
    assert [row.name for row, _ in shown_layers(rows)] == ["1", "3", "7", "9", "13", "15"]
    assert shown_layers(rows)[1][1] == found.stats["1"]["2"].gradient_ratio
    assert "saturated" in grid[1, 0].get_xlabel()
    assert "grad/w" in grid[1, 0].get_xlabel()
    plt.close("all")
    _, axes = plt.subplots(2, 6)
    assert plots.inits({name: stats.rows for name, stats in found.stats.items()}, axes=axes)[1, 5] is axes[1, 5]
