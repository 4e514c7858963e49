"""The examples run, in a short form, and learn what they say."""

import importlib.util
import itertools
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from fastnn import optim
from subproc import killed, needs_fork, run

EXAMPLES = Path(__file__).parents[1] / "examples"
# What `main(short=True)` of each example must return.
EXPECTED = {
    "character_rnn": lambda result: result[0] < 0.85 * result[1] and len(result[2]) == 120,
    "csv_classification": lambda accuracies: accuracies[0] >= 0.85 and accuracies[1] < 0.5,
    "csv_regression": lambda r2: r2["network"] > 0.3 > abs(r2["mean"]) and r2["linear model"] > 0.3,
    "digits_lstm": lambda accuracy: accuracy >= 0.97,
    "ensemble_and_robustness": lambda tables: (
        tables["trained against itself"]["fgsm"].values[2] > tables["one network"]["fgsm"].values[2] + 0.1
    ),
    "find_the_rate": lambda losses: losses[1] < 1.5 * min(losses.values()) and losses[1] < 0.5 * losses[0.01],
    "initialisations": lambda words: (
        words["tanh"] == {**dict.fromkeys(words["tanh"], "fine"), "N(0, 0.01²)": "vanishing", "N(0, 1)": "saturated"}
        and words["sigmoid"]["Xavier"] == "vanishing"
        and words["ReLU"]["N(0, 1)"] == "exploding"
    ),
    "mnist_cnn": lambda accuracy: accuracy >= 0.9,
    "normalisations": lambda accuracies: max(max(accuracies.values())) > 0.85 and max(accuracies["none"]) < 0.6,
    "own_loop": lambda accuracy: accuracy > 0.9,
    "residual_digits": lambda accuracy: accuracy > 0.9,
    "resume": lambda accuracy: accuracy > 0.9,
    "stack_anbn": lambda read: all(counts[:2].all() for counts in read.values()),
    "sunspots": lambda errors: errors["linear model"] < errors["this year's number"],
    "two_moons": lambda result: result[0] == 1 and all(os.path.getsize(file) > 10_000 for file in result[1]),
    "why_does_it_diverge": lambda words: (
        {name: found[:1] for name, found in words.items()}
        == {
            "raw pixels": ["scale"],
            "one missing pixel": ["not finite"],
            "labels from 1 to 10": ["labels"],
            "weights of N(0, 1)": ["initial loss"],
            "the logarithm of a negative number": ["not finite"],
            "a rate of 10": ["update too large"],
            "nothing": [],
        }
    ),
}
# The pictures that an example writes to a folder.
PICTURES = {
    "ensemble_and_robustness": ["one_network.png", "three_networks_together.png", "trained_against_itself.png"],
    "find_the_rate": ["find_the_rate.png"],
    "normalisations": ["normalisations.png"],
    "two_moons": ["two_moons.png"],
}
# Ends a program by a signal after a number of steps of the optimiser.
ENDED = """
import os, runpy, sys
from fastnn import optim

step, left = optim.Adam.step, {steps}

def counted(self):
    global left
    step(self)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), {number})

optim.Adam.step = counted
sys.argv = {argv}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mnist_files(folder):
    """The digits of scikit-learn, enlarged to the size of MNIST's, as files of its kind."""
    from fastnn.data import load_digits, write_idx

    digits = load_digits()
    for part, data in (("train", digits.train), ("t10k", digits.test)):
        images = np.pad(np.repeat(np.repeat(data.images[:, 0], 3, axis=1), 3, axis=2), ((0, 0), (2, 2), (2, 2)))
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", np.round(255 * images / images.max()).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", data.labels.astype(np.uint8))


def cycles(folder):
    """A series that a linear model foretells well: a swinging one, with noise."""
    rng, series = np.random.default_rng(0), [0.0, 1.0]
    for noise in rng.normal(size=300):
        series.append(1.6 * series[-1] - 0.9 * series[-2] + noise)
    path = folder / "cycles.csv"
    path.write_text("\n".join(["SUNACTIVITY", *map(str, series)]), encoding="utf-8")
    return path


def arguments(name, folder):
    """What an example needs, beside the defaults."""
    if name == "mnist_cnn":
        mnist_files(folder)
        return {"folder": folder}
    if name in PICTURES:
        return {"folder": folder}
    if name.startswith("csv"):
        return {"file": str(folder / "data.csv"), "demo": True}
    if name == "sunspots" and importlib.util.find_spec("statsmodels") is None:
        return {"file": cycles(folder)}
    if name == "resume":
        return {"checkpoint": str(folder / "run.npz"), "output": str(folder / "model.npz")}
    return {"checkpoint": str(folder / "run.npz")} if name == "own_loop" else {}


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, tmp_path, capsys):
    if re.search("digits|sklearn|mnist", (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")):
        pytest.importorskip("sklearn")
    if name in PICTURES:
        pytest.importorskip("matplotlib")
    result = load(name).main(short=True, **arguments(name, tmp_path))
    assert EXPECTED[name](result), result
    assert capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.png")} == set(PICTURES.get(name, ()))


def test_the_residual_network_has_both_shortcuts():
    from fastnn import nn

    net = load("residual_digits").residual_net(0)
    shortcuts = [type(block.shortcut) for block in net if isinstance(block, nn.ResidualBlock)]
    assert {nn.Identity, nn.Sequential} == set(shortcuts)


def test_sunspots_says_which_forecast_is_best(tmp_path, capsys):
    errors = load("sunspots").main(cycles(tmp_path), short=True)
    best = min(errors, key=errors.get)
    assert f"best forecast is: {best}." in capsys.readouterr().out


def ended(steps, number, *options):
    """The training that resumes, ended by a signal after some steps, with the kernels that are used here."""
    kernels = {name: value for name, value in os.environ.items() if name.startswith("FASTNN_")}
    argv = [str(EXAMPLES / "resume.py"), *map(str, options)]
    return run(ENDED.format(steps=steps, number=int(number), argv=argv), check=False, **kernels)


def test_a_training_that_was_ended_twice_leaves_the_same_files(tmp_path, capsys):
    pytest.importorskip("sklearn")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    names = ("run.npz", "model.npz")
    settings = {"epochs": 2, "every": 5}
    load("resume").main(checkpoint=str(whole / names[0]), output=str(whole / names[1]), **settings)
    options = ["--checkpoint", parts / names[0], "--output", parts / names[1], "--epochs", 2, "--every", 5]

    killed_one = ended(17, signal.SIGKILL, *options)
    assert killed_one.returncode == -signal.SIGKILL, killed_one.stderr
    interrupted = ended(13, signal.SIGINT, *options)
    assert interrupted.returncode == 130, interrupted.stderr
    assert "going on in epoch 1 after 15 batches" in interrupted.stdout
    assert "interrupted in epoch 2 after batch 8 of 20" in interrupted.stdout
    capsys.readouterr()
    load("resume").main(checkpoint=str(parts / names[0]), output=str(parts / names[1]), **settings)
    assert "going on in epoch 2 after 8 batches" in capsys.readouterr().out
    for name in names:
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


@needs_fork
def test_a_loop_of_ones_own_that_was_killed_leaves_the_same_file(tmp_path, capsys):
    pytest.importorskip("sklearn")
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    settings = {"epochs": 3, "every": 5}

    def be_killed():
        step, steps = optim.SGD.step, itertools.count(1)

        def counted(self):
            step(self)
            if next(steps) == 57:
                os.kill(os.getpid(), signal.SIGKILL)

        optim.SGD.step = counted
        load("own_loop").main(checkpoint=str(parts), **settings)

    load("own_loop").main(checkpoint=str(whole), **settings)
    assert killed(be_killed)
    capsys.readouterr()
    load("own_loop").main(checkpoint=str(parts), **settings)
    assert "going on after 1 epochs and 15 batches" in capsys.readouterr().out
    assert parts.read_bytes() == whole.read_bytes()
