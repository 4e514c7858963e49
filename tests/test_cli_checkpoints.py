"""Checkpoints of the command line: interrupted trainings that go on, and those that come to nothing."""

import os
import re

import pytest

from command_line import fails, interrupted
from fastnn.cli import main
from own_files import csv, digits_folder, wine_like


def test_a_checkpoint_is_gone_on_from_and_holds_the_end(capsys, home):
    table = csv(home / "wein.csv", wine_like())
    command = ["train", table, "--target", "urteil", "--epochs", "4", "--checkpoint", "run.npz"]
    assert main(command) == 0
    first = capsys.readouterr().out
    contents = {name: (home / name).read_bytes() for name in ("run.npz", "wein.npz")}
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out == first
    assert "run.npz is at its end" in err
    assert {name: (home / name).read_bytes() for name in contents} == contents
    assert "seed was 0, now 1" in fails(capsys, *command, "--seed", "1", "--quiet")
    csv(home / "wein.csv", wine_like(seed=5))
    assert "samples was" in fails(capsys, *command, "--quiet")
    assert "is the checkpoint of a training" in fails(capsys, "predict", "run.npz", table)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupted_and_resumed_to_the_same_bytes(home, capsys):
    digits_folder(home / "m", 300, test=False, size=(20, 20))
    command = ["train", "m", "--epochs", "5", "--checkpoint", "run.npz"]
    status, out, err = interrupted("epoch 2/5", *command)
    assert status == 130
    assert out == ""
    last = err.splitlines()[-1]
    assert re.fullmatch(
        r"fastnn: interrupted (in epoch \d after batch \d+ of 16|after epoch \d); saved to run.npz; run the same command again to "
        "go on",
        last,
    )
    assert sorted(os.listdir()) == ["m", "run.npz"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert re.search(r"resuming run.npz at epoch \d, batch \d+", err)
    resumed = [(home / name).read_bytes() for name in ("run.npz", "m.npz")]
    assert main([*command[:-1], "other.npz"]) == 0
    assert [(home / name).read_bytes() for name in ("other.npz", "m.npz")] == resumed


def test_a_training_that_comes_to_nothing_saves_no_model(capsys, home):
    table = csv(home / "wein.csv", wine_like())
    assert main(["train", table, "--target", "urteil", "--lr", "1e30", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"error: .*nothing is saved; try a smaller --lr", err)
    assert "Traceback" not in err
    assert os.listdir() == ["wein.csv"]
