"""`fastnn find-lr` and `fastnn search`, run as a person runs them."""

import json
import os
import re
import shlex
import sys
from functools import partial

import numpy as np
import pytest

from command_line import fails
from fastnn.cli import main
from fastnn.cli.search import rounds_of
from fastnn.data import write_idx
from fastnn.diagnosis import lr_range_test

FAST = ["--epochs", "4", "--trials", "6"]


@pytest.fixture
def table(home):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 3))
    classes = np.where(rows[:, 0] + rows[:, 1] > 0, "yes", "no")
    lines = [
        "a,b,c c,class",
        *(f"{a:.4f},{b:.4f},{c:.4f},{name}" for (a, b, c), name in zip(rows, classes, strict=True)),
    ]
    (home / "my table.csv").write_text("\n".join(lines) + "\n")
    return "my table.csv"


@pytest.fixture
def numbers(home):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    np.savez("numbers.npz", x=x, y=x[:, 0] - 2 * x[:, 1] + 5)
    return "numbers.npz"


@pytest.fixture
def images(home):
    rng = np.random.default_rng(0)
    os.mkdir("images")
    for part, count in (("train", 80), ("t10k", 20)):
        labels = rng.integers(0, 2, count).astype(np.uint8)
        pictures = rng.integers(0, 60, (count, 8, 8)).astype(np.uint8)
        pictures[labels == 1, :4] += 150
        write_idx(f"images/{part}-images-idx3-ubyte", pictures)
        write_idx(f"images/{part}-labels-idx1-ubyte", labels)
    return "images"


def trains(command, capsys):
    """Run what a command printed; the settings that it names."""
    words = shlex.split(command)
    assert words[:2] == ["fastnn", "train"]
    assert main([*words[1:], "--quiet", "--output", "result.npz"]) == 0
    assert re.match(r"test (loss|RMSE)", capsys.readouterr().out)
    return dict(zip(words[3::2], words[4::2], strict=True))


# ---- find-lr ---------------------------------------------------------------------------------------------------------


def test_find_lr_of_a_table(table, capsys):
    assert main(["find-lr", table, "--target", "class", "--ignore", "c c", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"fastnn train 'my table.csv' --target class --ignore 'c c' --seed 3 --lr \d\.[\de.-]+\n", out)
    assert err.startswith("ok       learning rate: loss falls from ")
    found = trains(out, capsys)
    assert 1e-4 < float(found["--lr"]) < 1


def test_find_lr_of_numbers_and_images(numbers, images, capsys):
    for path in (numbers, images):
        assert main(["find-lr", path, "--epochs", "2", "--batch-size", "10"]) == 0
        out = capsys.readouterr().out
        assert trains(out, capsys).keys() == {"--epochs", "--batch-size", "--lr"}


def test_find_lr_draws(images, capsys, home):
    pytest.importorskip("matplotlib")
    for name, start in (("rate.png", b"\x89PNG"), ("rate.svg", b"<?xml")):
        assert main(["find-lr", images, "--plot", name]) == 0
        assert f"drawn to {name}" in capsys.readouterr().err
        assert (home / name).read_bytes().startswith(start)
    assert "is not supported" in fails(capsys, "find-lr", images, "--plot", "rate.xyz")
    assert "No such file" in fails(capsys, "find-lr", images, "--plot", "no/rate.png")


def test_find_lr_says_why_there_is_none(table, capsys, monkeypatch):
    monkeypatch.setattr("fastnn.diagnosis.lr_range_test", partial(lr_range_test, high=1e-5))
    err = fails(capsys, "find-lr", table, "--target", "class")
    assert "error: PROBLEM  learning rate: loss never fell by 5 %" in err


# ---- search ----------------------------------------------------------------------------------------------------------


def test_search_of_a_table(table, capsys):
    assert main(["search", table, "--target", "class", *FAST]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "6 trials for 1 epoch; 1 trial for 4 epochs"
    assert lines[1].startswith("round 1/2")
    assert re.fullmatch(r"round 2/2 .*100 %.* best \d.*", lines[-1])
    assert "trial  validation loss" in out
    command = out.splitlines()[-1]
    found = trains(command, capsys)
    best = next(line for line in out.splitlines() if line.startswith("best: "))
    units, layers = (int(re.search(rf"{name}=(\d+)", best)[1]) for name in ("units", "layers"))
    assert found["--hidden"] == ",".join([str(units)] * layers)
    assert f"lr={found['--lr']}, weight_decay={found['--weight-decay']}," in best


def test_the_trials_are_what_train_makes(table, capsys, monkeypatch):
    """Trained with the printed settings, the network has as many units."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["train", table, "--target", "class", "--hidden", "5,4", "--weight-decay", "0", "--lr", "0.01"]) == 0
    weights = int(re.search(r"(\d+) parameters", capsys.readouterr().err)[1])
    assert weights == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2 + 3 * 2 + 2


def test_search_of_images(images, capsys):
    assert main(["search", images, "--epochs", "2", "--trials", "3", "--batch-size", "16"]) == 0
    found = trains(capsys.readouterr().out.splitlines()[-1], capsys)
    assert found.keys() == {"--epochs", "--batch-size", "--lr", "--weight-decay"}


def test_search_of_numbers(numbers, capsys):
    assert main(["search", numbers, *FAST, "--seed", "1"]) == 0
    trains(capsys.readouterr().out.splitlines()[-1], capsys)


def test_search_goes_on_from_its_log_and_in_two_processes(table, capsys, home):
    pytest.importorskip("joblib")
    command = ["search", table, "--target", "class", *FAST]
    outputs, log = [], home / "a.jsonl"
    for more in (["--log", "a.jsonl"], ["--log", "a.jsonl"], ["--jobs", "2", "--log", "b.jsonl"], ["--log", "b.jsonl"]):
        assert main([*command, *more]) == 0
        outputs.append(capsys.readouterr().out)
        if len(outputs) == 1:
            lines = log.read_text().splitlines(keepends=True)
            log.write_text("".join(lines[:4]) + lines[4][:9])
    assert len(set(outputs)) == 1
    assert json.loads(lines[0])["trials"] == 6
    assert "trials 6, now 7" in fails(capsys, *command, "--trials", "7", "--log", "a.jsonl")
    assert "is of another search: data" in fails(capsys, *command, "--batch-size", "5", "--log", "a.jsonl")


def test_ctrl_c(table, capsys, monkeypatch):
    def interrupted(self, *args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.training.trainer.Trainer.fit", interrupted)
    for options, advice in (([], "--log FILE would go on from there"), (["--log", "a"], "run the same command again")):
        command = ["search", table, "--target", "class", *FAST, *options]
        assert main(command) == 130
        out, err = capsys.readouterr()
        assert out == ""
        assert advice in err


def test_rounds():
    assert rounds_of(60, 20) == [(3, 20), (15, 7), (60, 3)]
    assert rounds_of(30, 1) == [(1, 1), (7, 1), (30, 1)]
    assert rounds_of(1, 5) == [(1, 5)]


@pytest.mark.parametrize("command", ["find-lr", "search"])
def test_errors(table, images, capsys, command):
    assert "no-file" in fails(capsys, command, "no-file.csv")
    assert "its columns are 'a', 'b', 'c c'" in fails(capsys, command, table, "--target", "klass")
    assert "must be at least 1" in fails(capsys, command, table, "--epochs", "0")
    assert "is more than the" in fails(capsys, command, table, "--target", "class", "--batch-size", "1000")
    assert "digits alone" in fails(capsys, command, "digits", "--target", "class")


def test_errors_of_search(table, images, capsys, monkeypatch, home):
    (home / "notes.txt").write_text("mine")
    assert "must be at least 1" in fails(capsys, "search", table, "--trials", "0")
    assert "is no log of a search" in fails(capsys, "search", images, "--log", "notes.txt")
    assert (home / "notes.txt").read_text() == "mine"
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert "pip install 'fastnn[search]'" in fails(capsys, "search", images, "--jobs", "2")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'fastnn[plot]'" in fails(capsys, "find-lr", images, "--plot", "a.png")


def test_errors_of_the_new_options_of_train(table, images, capsys):
    assert "--hidden is for tables" in fails(capsys, "train", images, "--hidden", "8")
    for bad in ("0", "8,x", "", "8,"):
        assert "--hidden" in fails(capsys, "train", table, "--target", "class", "--hidden", bad)
    for bad in ("-1", "nan", "inf"):
        assert "--weight-decay" in fails(capsys, "train", table, "--target", "class", "--weight-decay", bad)
