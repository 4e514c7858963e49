"""The command line on data of one's own: train, predict and check, as a person runs them."""

import os
import re

import numpy as np
import pytest

import fastnn
from command_line import fails, run
from fastnn.cli import main
from fastnn.cli.train import default_output
from own_files import csv, digits_folder, wine_like

FAST = ["--epochs", "2", "--quiet"]


@pytest.fixture
def table(home):
    return csv(home / "wein.csv", wine_like())


@pytest.fixture
def model(table, capsys):
    assert main(["train", table, "--target", "urteil", "--quiet"]) == 0
    assert re.fullmatch(r"test loss \d+\.\d{4}, accuracy \d+\.\d\d % \(\d+ of 12\)\n", capsys.readouterr().out)
    return "wein.npz"


# ---- tables ---------------------------------------------------------------------------------------------------------------


def test_train_says_what_it_does_on_stderr_and_the_result_on_stdout(table):
    done = run("train", table, "--target", "urteil", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"test loss .* of 12\)\n", done.stdout)
    assert "wein.csv: 48 train, 12 test rows; 2 classes, gut, schlecht; " in done.stderr
    assert "epoch 2/2   train loss" in done.stderr
    assert re.search(r"trained in \d+\.\d s, saved to wein.npz", done.stderr)
    assert sorted(os.listdir()) == ["wein.csv", "wein.npz"]


def test_predict_finds_columns_by_name(model, capsys, home):
    rows = list(wine_like(20, seed=1))
    whole = csv(home / "neu.csv", rows)
    shuffled = csv(home / "ohne.csv", [(c, "x", b, a) for a, b, c, _ in rows], "farbe,mehr,menge,säure")
    assert main(["predict", model, whole]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 21
    named = [
        re.fullmatch(rf"{re.escape(whole)}:{i}: (gut|schlecht) \(\d+\.\d %\)", line)[1]
        for i, line in enumerate(lines[:-1], 1)
    ]
    right = sum(name == row[3] for name, row in zip(named, rows, strict=True))
    assert right >= 16
    assert lines[-1] == f"accuracy {100 * right / 20:.2f} % ({right} of 20)"
    assert main(["predict", model, shuffled]) == 0
    out, err = capsys.readouterr()
    assert [line.split(": ")[1] for line in out.splitlines()] == [line.split(": ")[1] for line in lines[:-1]]
    assert err == f"{shuffled}: not used: column 'mehr'\n"
    assert main(["predict", model, shuffled, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_is_named(model, capsys, home):
    rows = list(wine_like(5, seed=1))
    path = csv(home / "a.csv", [row[:2] for row in rows], "säure,menge")
    assert "lacks the column 'farbe'" in fails(capsys, "predict", model, path)
    path = csv(home / "a.csv", [(*row[:2], "blau") for row in rows], "säure,menge,farbe")
    assert "column 'farbe' holds 'blau', expected a known text, one of 'grün', 'rot'" in fails(
        capsys, "predict", model, path
    )
    path = csv(home / "a.csv", [(*row[:3], "mittel") for row in rows])
    assert "column 'urteil' holds 'mittel', expected a known class, one of 'gut', 'schlecht'" in fails(
        capsys, "predict", model, path
    )
    path = csv(home / "a.csv", [("viel", *row[1:]) for row in rows])
    assert "line 2: column 'säure' holds 'viel', expected a number" in fails(capsys, "predict", model, path)
    (home / "a.csv").write_bytes(b"s\xe4ure,menge\n1,2\n")
    assert "is not in utf-8: line 1 has the byte 0xe4" in fails(capsys, "predict", model, "a.csv")
    assert "is no table: the model was trained on one" in fails(capsys, "predict", model, digits_folder(home / "m"))
    assert "--array is for the model of `fastnn train digits`" in fails(capsys, "predict", model, path, "--array", "x")


def test_gaps_are_filled(table, capsys, home):
    rows = [("" if i % 7 == 0 else a, b, "" if i % 9 == 0 else c, d) for i, (a, b, c, d) in enumerate(wine_like(80))]
    assert main(["train", csv(home / "g.csv", rows), "--target", "urteil", "--epochs", "5"]) == 0
    assert "note: missing values: säure (12), farbe (9)" in capsys.readouterr().err
    assert main(["predict", "g.npz", "g.csv"]) == 0
    out, err = capsys.readouterr()
    assert "missing values filled: säure (12), farbe (9)" in err
    assert "nan" not in out


def test_a_number_is_predicted_in_its_units_beside_baselines(home, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    rows = [(f"{a:.4f}", f"{b:.4f}", f"{1e6 + 1000 * a - 500 * b:.2f}") for a, b in x]
    path = csv(home / "preis.csv", rows, "a,b,preis")
    assert main(["train", path, "--target", "preis", "--quiet"]) == 0
    result = re.fullmatch(
        r"test RMSE (\S+), R² (\S+) \(20 samples\); always the mean: RMSE (\S+); least squares: RMSE (\S+), R² (\S+)\n",
        capsys.readouterr().out,
    )
    assert float(result[2]) > 0.9
    assert float(result[1]) < 0.3 * float(result[3])
    assert main(["predict", "preis.npz", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 0.9e6 < float(lines[0].split(": ")[1]) < 1.1e6
    assert re.fullmatch(r"RMSE \S+, R² 0\.\d+ \(100 samples\)", lines[-1])


def test_the_kind_of_target_can_be_said(home, capsys):
    rows = [(f"{i * 0.7 % 3:.2f}", str(i % 4)) for i in range(80)]
    path = csv(home / "a.csv", rows, "x,note")
    assert main(["train", path, "--target", "note", *FAST]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["train", path, "--target", "note", "--kind", "regression", *FAST]) == 0
    assert "RMSE" in capsys.readouterr().out
    assert main(["train", path, "--target", "note", "--text", "x", *FAST]) == 0


# ---- images and arrays ----------------------------------------------------------------------------------------------------


def test_idx_folders(home, capsys):
    folder = digits_folder(home / "m")
    assert main(["train", folder, "--epochs", "12"]) == 0
    out, err = capsys.readouterr()
    assert "54 train, 6 validation, 20 test images; 3 classes, 0, 1, 2" in err
    accuracy = float(re.search(r"accuracy (\S+) %", out)[1])
    assert accuracy >= 90
    assert main(["predict", "m.npz", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{re.escape(folder)}:1: [012] \(\d+\.\d %\)", lines[0])
    assert lines[-1].startswith(f"accuracy {accuracy:.2f} %")
    assert main(["predict", "m.npz", os.path.join(folder, "t10k-images-idx3-ubyte.gz")]) == 0
    assert [line.rpartition(":")[2] for line in capsys.readouterr().out.splitlines()] == [
        line.rpartition(":")[2] for line in lines[:-1]
    ]
    assert "expected images, (N, H, W)" in fails(
        capsys, "predict", "m.npz", os.path.join(folder, "t10k-labels-idx1-ubyte.gz")
    )


def test_image_folders(home, capsys):
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for i, name in enumerate(("Hund", "Katze ü")):
        os.makedirs(home / "bilder" / name)
        for j in range(12):
            pixels = rng.integers(0, 120, (20, 24, 3)) + np.array([[130, 0, 0], [0, 0, 130]])[i]
            image_module.fromarray(pixels.astype(np.uint8)).save(home / "bilder" / name / f"{j}.png")
    os.makedirs(home / "bilder" / ".ipynb_checkpoints")
    (home / "bilder" / "Hund" / "kaputt.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    assert main(["train", "bilder", "--size", "16", "--epochs", "8"]) == 0
    out, err = capsys.readouterr()
    assert "2 classes, Hund, Katze ü" in err
    assert "kaputt.jpg" in err
    assert ".ipynb_checkpoints" in err
    assert "(5 of 5)" in out
    assert main(["predict", "bilder.npz", "bilder/Hund/0.png", "bilder/Katze ü/3.png"]) == 0
    assert re.fullmatch(
        r"bilder/Hund/0.png: Hund \(\d+\.\d %\)\nbilder/Katze ü/3.png: Katze ü \(\d+\.\d %\)\n", capsys.readouterr().out
    )
    assert main(["predict", "bilder.npz", "bilder/Hund", "--quiet"]) == 2
    assert "kaputt.jpg" in capsys.readouterr().err
    assert main(["predict", "bilder.npz", "bilder", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "accuracy 100.00 % (24 of 24)"


def test_arrays(home, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    y = (x[:, 0] > 0) + 1
    np.savez("mnist.npz", x_train=x[:70], y_train=y[:70], x_test=x[70:], y_test=y[70:])
    before = (home / "mnist.npz").read_bytes()
    assert main(["train", "mnist.npz", "--epochs", "30", "--quiet"]) == 0
    assert "of 20)" in capsys.readouterr().out
    assert (home / "mnist.npz").read_bytes() == before
    assert main(["predict", "mnist-model.npz", "mnist.npz"]) == 0
    out, err = capsys.readouterr()
    assert re.match(r"mnist.npz:1: [12] \(", out)
    assert len(out.splitlines()) == 21
    assert err == "mnist.npz: part test\n"
    csv(home / "a.csv", [[f"{v:.4f}" for v in row] for row in x[70:]], "1.5,2,3")
    assert main(["predict", "mnist-model.npz", "a.csv", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 21


def test_digits_may_also_be_a_folder(home, capsys):
    digits_folder(home / "digits")
    assert main(["train", "./digits", "--epochs", "1"]) == 0
    assert "3 classes" in capsys.readouterr().err
    assert "digits alone is the demo" in fails(capsys, "train", "digits", "--target", "x")


def test_where_the_model_goes(home):
    for name in ("a.csv", "b.csv.gz", "c.npz", "noending"):
        (home / name).write_bytes(b"")
    (home / "d.x").mkdir()
    (home / "e.npz").mkdir()
    expected = {
        "a.csv": "a.npz",
        "b.csv.gz": "b.npz",
        "c.npz": "c-model.npz",
        "noending": "noending.npz",
        "d.x": "d.x.npz",
        "d.x/": "d.x.npz",
        "digits": "digits.npz",
        str(home): f"{home.name}.npz",
        ".": f"{home.name}.npz",
    }
    assert {path: default_output(path) for path in expected} == expected
    (home / "sub").mkdir()
    (home / "sub" / "c.npz").write_bytes(b"")
    assert default_output("sub/c.npz") == "c.npz"


def test_what_is_there_is_not_overwritten(table, capsys, home):
    np.savez("wein.npz", x=np.ones(3))
    for output in ([], ["--output", "wein.csv"], ["--output", "o.npz", "--checkpoint", "wein.csv"]):
        assert "was not written by fastnn" in fails(capsys, "train", table, "--target", "urteil", *output)
    same = ["--output", "o.npz", "--checkpoint", "o.npz"]
    assert "must be two files" in fails(capsys, "train", table, "--target", "urteil", *same)
    assert sorted(os.listdir()) == ["wein.csv", "wein.npz"]


# ---- check and errors -----------------------------------------------------------------------------------------------------


def test_check(table, capsys, home):
    assert main(["check", table, "--target", "urteil"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "60 rows of 4 columns" in out
    assert re.search(r"class gut: \d+\n", out)
    assert out.endswith("nothing looks wrong\n")
    assert re.search(r"\nnetwork of `fastnn train`: \d+ parameters, \d+ checks before training: ok\n", out)
    csv(home / "b.csv", [(*row[:2], "rot", row[3]) for row in wine_like()])
    assert main(["check", "b.csv"]) == 0
    out = capsys.readouterr().out
    assert "looks wrong: column 'farbe' is constant, 'rot'\n" in out
    columns = "'säure', 'menge', 'farbe', 'urteil'"
    last = f"the network was not looked at: 'b.csv' has the columns {columns}: which is to be predicted? --target NAME"
    assert out.splitlines()[-1] == last
    assert main(["check", digits_folder(home / "m")]) == 0
    assert "class 2: " in capsys.readouterr().out
    (home / "no.csv").write_bytes(b"")
    for path in ("no.csv", "missing.csv", "/dev/null"):
        fails(capsys, "check", path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has a header and no rows"),
        (b"a,b\n1,2\n3\n", "fields in line 3"),
        (b"a,b\n1,2\n", "too few to hold some out"),
        (b"a,b\n1,x\n2,y\n", "too few to hold some out"),
        (b"a,b\n" + b"1,x\n2,x\n" * 20, "has only one class, 'x': there is nothing to learn"),
        (b"\x80\x04pickle", "a Python pickle, which fastnn never opens"),
        (b"PK\x03\x04damaged", "is no .npz file, or is damaged"),
        (b"%PDF-1.7", "is a PDF document"),
    ],
)
def test_files_that_cannot_be_trained_on(home, capsys, content, text):
    (home / "a.csv").write_bytes(content)
    target = [] if content.startswith((b"PK", b"\x80", b"%")) else ["--target", "b"]
    assert text in fails(capsys, "train", "a.csv", *target)
    assert os.listdir() == ["a.csv"]


def test_more_errors_of_use(table, capsys, home):
    assert "which is to be predicted? --target NAME" in fails(capsys, "train", table)
    assert "its columns are 'säure', 'menge', 'farbe', 'urteil'" in fails(capsys, "train", table, "--target", "Urteil")
    assert "--batch-size 49 is more than the 48" in fails(
        capsys, "train", table, "--target", "urteil", "--batch-size", "49"
    )
    assert "is no folder of pictures" in fails(capsys, "train", digits_folder(home / "m"), "--size", "9")
    assert "is one IDX file" in fails(capsys, "train", "m/train-images-idx3-ubyte.gz")
    os.makedirs("leer")
    assert "'leer' holds nothing" in fails(capsys, "train", "leer")
    assert "no model of `fastnn train`" in fails(capsys, "predict", _checkpoint(home), table)


def _checkpoint(folder):
    fastnn.save_checkpoint(folder / "c.npz", {"a": 1})
    return "c.npz"


@pytest.mark.parametrize("shape", [(0, 2), (5, 0), (5, 0, 3)])
def test_empty_arrays(home, capsys, shape):
    np.savez("a.npz", x=np.ones(shape), y=np.zeros(shape[0], int))
    for command in ("train", "check"):
        assert "holds no samples, or empty ones" in fails(capsys, command, "a.npz")


def test_too_little_memory_is_said(table, capsys, monkeypatch):
    def out_of_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr("fastnn.training.own_data.OwnTraining.fit", out_of_memory)
    assert "there is not enough memory" in fails(capsys, "train", table, "--target", "urteil", "--quiet")


# ---- damaged files --------------------------------------------------------------------------------------------------------


def _mutated(content, rng):
    data = bytearray(content)
    kind = rng.integers(0, 4)
    if kind == 0:
        del data[rng.integers(0, len(data)) :]
    elif kind == 1:
        for position in rng.integers(0, len(data), rng.integers(1, 9)):
            data[position] = rng.integers(0, 256)
    elif kind == 2:
        position = rng.integers(0, len(data))
        data[position:position] = rng.integers(0, 256, rng.integers(1, 40), np.uint8).tobytes()
    else:
        start = rng.integers(0, len(data))
        del data[start : start + rng.integers(1, 200)]
    return bytes(data)


@pytest.mark.parametrize("what", ["csv", "idx", "npz", "model"])
def test_damaged_files_are_read_or_refused(model, table, capsys, home, what):
    """Sixty mutations of each kind: exit code 0 or 2, never a traceback."""
    digits_folder(home / "m")
    np.savez("a.npz", x=np.arange(60.0).reshape(20, 3), y=np.arange(20) % 2)
    files = {"csv": "wein.csv", "idx": "m/train-images-idx3-ubyte.gz", "npz": "a.npz", "model": "wein.npz"}
    commands = {
        "csv": [["check", table, "--target", "urteil"], ["predict", "kept.npz", table]],
        "idx": [["check", "m"], ["train", "m", "--epochs", "1", "--quiet", "--output", "x.npz"]],
        "npz": [["check", "a.npz"], ["train", "a.npz", "--epochs", "1", "--quiet"]],
        "model": [["predict", "wein.npz", table]],
    }
    (home / "kept.npz").write_bytes((home / "wein.npz").read_bytes())
    path = home / files[what]
    whole = path.read_bytes()
    rng = np.random.default_rng(7)
    codes = []
    for i in range(60):
        path.write_bytes(_mutated(whole, rng))
        chosen = commands[what][(i % 10 == 0) * -1]
        try:
            codes.append(main(chosen))
        except SystemExit as leaving:
            codes.append(leaving.code)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert codes[-1] == 0 or (codes[-1] == 2 and "error: " in err), err
    assert 2 in codes


def test_check_knows_the_demo_too(capsys):
    pytest.importorskip("sklearn")
    assert main(["check", "digits"]) == 0
    assert "class 8: 122 train, 17 validation, 35 test" in capsys.readouterr().out
    assert "digits alone is the demo" in fails(capsys, "check", "digits", "--target", "x")


def test_names_that_are_numbers(home, capsys):
    rows = [(f"{i * 0.37 % 1:.2f}", f"{i * 0.77 % 1:.2f}", "ab"[i % 2]) for i in range(40)]
    path = csv(home / "jahre.csv", rows, "2019,2020,wahl")
    assert "its columns are '1', '2', '3'" in fails(capsys, "train", path, "--target", "wahl")
    assert main(["train", path, "--target", "wahl", "--header", *FAST]) == 0
    assert main(["check", path, "--target", "wahl", "--header"]) == 0
    assert "column 2020: numbers, " in capsys.readouterr().out
    assert main(["predict", "jahre.npz", path, "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 41
