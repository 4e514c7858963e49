"""The command line, run as a person runs it."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from command_line import fails, interrupted, run
from fastnn.cli import main
from own_files import digits_folder

FAST = ["--epochs", "1", "--batch-size", "512"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("trained") / "digits.npz"
    assert main(["train", "digits", "--epochs", "3", "--quiet", "--output", str(path)]) == 0
    return str(path)


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")
    from fastnn.data import load_digits

    return load_digits().test


def test_train_prints_and_saves(home):
    pytest.importorskip("sklearn")
    done = run("train", "digits", *FAST, "--epochs", "2")
    assert done.returncode == 0, done.stderr
    lines = [
        line for line in done.stderr.splitlines() if "left" not in line and "100 %" not in line.partition("train")[0]
    ]
    assert re.fullmatch(
        r"digits: 1258 train, 180 validation, 359 test images; 10 classes, 0, .*; \d+ parameters; (native|numpy) backend",
        lines[0],
    )
    epoch = r"epoch \d/2   train loss \d+\.\d{4} accuracy +\d+\.\d\d %   validation loss \d+\.\d{4} accuracy +\d+\.\d\d %.* s"
    assert re.fullmatch(epoch, lines[1])
    assert re.fullmatch(epoch, lines[2])
    assert re.fullmatch(r"trained in \d+\.\d s, saved to digits.npz", lines[3])
    assert lines[4].partition(":")[0] == "verdict"
    assert re.fullmatch(r"test loss \d+\.\d{4}, accuracy \d+\.\d\d % \(\d+ of 359\)\n", done.stdout)
    assert "100 %" in done.stderr
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    assert os.listdir(home) == ["digits.npz"]


def test_train_quiet(home, capsys):
    pytest.importorskip("sklearn")
    assert main(["train", "digits", *FAST, "--quiet", "--output", "other"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.fullmatch(r"test loss .* of 359\)\n", out)
    assert os.listdir(home) == ["other"]


def test_same_seed_same_file(home):
    pytest.importorskip("sklearn")
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert main(["train", "digits", *FAST, "--quiet", "--seed", seed, "--output", name]) == 0
    a, b, c = ((home / name).read_bytes() for name in "abc")
    assert a == b != c


def test_backend_option(home, capsys):
    pytest.importorskip("sklearn")
    with fastnn.use_backend(fastnn.backend.current_name()):  # restores it afterwards
        assert main(["train", "digits", *FAST, "--backend", "numpy"]) == 0
        assert "; numpy backend" in capsys.readouterr().err


def test_predict_arrays(home, capsys, checkpoint, digits):
    images, labels = digits
    np.save("batch.npy", images * 16)
    np.savez("named.npz", images=(images[:5, 0] * 255).astype(np.uint8), labels=labels[:5])
    assert main(["predict", checkpoint, "batch.npy"]) == 0
    out, err = capsys.readouterr()
    named = [int(re.fullmatch(r"batch\.npy\[\d+\]: (\d) \(\d+\.\d %\)", line)[1]) for line in out.splitlines()]
    assert np.mean(np.array(named) == labels) > 0.93
    assert err == "batch.npy: shape (359, 1, 8, 8), 359 images, brightness 0…16\n"
    assert main(["predict", checkpoint, "named.npz", "--quiet"]) == 0
    out, err = capsys.readouterr()
    again = [int(line.split(": ")[1][0]) for line in out.splitlines()]
    assert err == ""
    assert again == named[:5]


def test_predict_pictures(home, capsys, checkpoint, digits):
    image_module = pytest.importorskip("PIL.Image")
    right = 0
    for i in range(40):
        big = np.kron(digits.images[i, 0], np.ones((20, 20)))
        page = np.pad(255 - 255 * big, 30, constant_values=255).astype(np.uint8)
        image_module.fromarray(page if i % 2 else 255 - page).save(f"{i}.png")
        assert main(["predict", checkpoint, f"{i}.png", "--quiet"]) == 0
        right += capsys.readouterr().out.startswith(f"{i}.png: {digits.labels[i]} (")
    assert right >= 35


def test_predict_blank_and_several_files(home, capsys, checkpoint):
    np.save("a.npy", np.zeros((8, 8)))
    np.save("b.npy", np.ones((1, 30, 30)))
    assert main(["predict", checkpoint, "a.npy", "b.npy"]) == 0
    out, err = capsys.readouterr()
    assert out == "a.npy: blank\nb.npy: blank\n"
    assert err.splitlines()[1] == "b.npy: shape (1, 30, 30), 1 image, brightness 0…1, dark on light"


def test_predict_options(home, capsys, checkpoint):
    np.savez("a.npz", x=np.ones((2, 8, 8)), y=np.zeros(3))
    assert main(["predict", checkpoint, "a.npz", "--array", "x", "--scale", "16", "--ink", "light"]) == 0
    assert "brightness 0…16\n" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info"]) == 0
    assert fastnn.__version__ in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["version"] == fastnn.__version__
    assert config["backend"] == fastnn.backend.current_name()


def test_threads_option(capsys):
    assert main(["info", "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == 1
    assert "5000" in fails(capsys, "info", "--threads", "5000")


def test_backend_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr(fastnn.backend, "extension", lambda: None)
    monkeypatch.setitem(sys.modules, "fastnn._core", None)
    monkeypatch.delitem(sys.modules, "fastnn.backend.native", raising=False)
    for name in ("FASTNN_BACKEND", "FASTNN_REQUIRE_NATIVE"):
        monkeypatch.delenv(name, raising=False)
    assert "the native backend is not available" in fails(capsys, "info", "--backend", "native")
    monkeypatch.setattr(fastnn.backend, "_active", None)
    assert main(["info", "--backend", "numpy"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(fastnn.backend, "_active", None)
    assert main(["info"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("fastnn: warning: the compiled extension is not available; ")
    assert err.count("\n") == 1


def test_version(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["train"],
        ["train", "letters"],
        ["train", "digits", "--epochs", "0"],
        ["train", "digits", "--epochs", "many"],
        ["train", "digits", "--batch-size", "0"],
        ["train", "digits", "--batch-size", "1259"],
        ["train", "digits", "--seed", "-1"],
        ["train", "digits", "--lr", "0"],
        ["train", "digits", "--lr", "nan"],
        ["train", "digits", "--lr", "inf"],
        ["train", "digits", "--threads", "0"],
        ["train", "digits", "--backend", "cuda"],
        ["train", "digits", "--output", "no/such/folder.npz"],
        ["train", "digits", "--output", "."],
        ["train", "digits", "--output", ""],
        ["train", "digits", "--output", "a" * 256],
        ["train", "digits", "--output", "/dev/null"],
        ["predict"],
        ["predict", "no-checkpoint.npz", "no-file.npy"],
    ],
)
def test_errors_of_use(home, capsys, arguments):
    if "1259" in arguments:
        pytest.importorskip("sklearn")
    fails(capsys, *arguments)
    assert os.listdir(home) == []


def test_predict_errors(home, capsys, checkpoint):
    np.savez("plain.npz", x=np.zeros(3))
    np.save("odd.npy", np.zeros((2, 3, 4, 5)))
    (home / "text.png").write_text("no picture")
    assert "not a fastnn checkpoint" in fails(capsys, "predict", "plain.npz", "odd.npy")
    assert "no-file.npy" in fails(capsys, "predict", checkpoint, "no-file.npy")
    assert "(2, 3, 4, 5) is not understood" in fails(capsys, "predict", checkpoint, "odd.npy")
    pytest.importorskip("PIL")
    assert "text.png' is text that begins with" in fails(capsys, "predict", checkpoint, "text.png")


def test_missing_extras_are_named(home, capsys, monkeypatch, checkpoint):
    (home / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for module in ("sklearn", "sklearn.datasets", "PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'fastnn[demo]'" in fails(capsys, "train", "digits")
    assert "pip install 'fastnn[images]'" in fails(capsys, "predict", checkpoint, "a.png")


def test_unknown_backend_in_the_environment(home):
    done = run("info", env=os.environ | {"FASTNN_BACKEND": "cuda"})
    assert done.returncode == 2
    assert "FASTNN_BACKEND='cuda'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupt(home):
    digits_folder(home / "m", 300, test=False)
    status, _, err = interrupted("epoch", "train", "m", "--epochs", "10000")
    assert status == 130
    assert re.search(
        r"fastnn: interrupted (in epoch \d+ after batch \d+ of 16|after epoch \d+); nothing is saved: --checkpoint", err
    )
    assert "Traceback" not in err
    assert os.listdir(home) == ["m"]


def test_a_training_that_comes_to_nan_is_not_saved(home, capsys):
    pytest.importorskip("sklearn")
    for options in ([], ["--quiet"]):
        assert main(["train", "digits", *FAST, "--lr", "1e30", *options]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.search(
            r"error: stopped in epoch 1 at batch 2 .*: the loss is (nan|inf); .*nothing is saved; try a smaller", err
        )
    assert os.listdir(home) == []


def test_weights_that_are_not_finite_are_not_used(home, capsys, checkpoint):
    np.save("a.npy", np.zeros((8, 8)))
    state = fastnn.load_checkpoint(checkpoint)
    state["model"]["1.0.weight"][0, 0, 0, 0] = np.nan
    fastnn.save_checkpoint("nan.npz", state)
    assert "'nan.npz' holds weights that are not finite" in fails(capsys, "predict", "nan.npz", "a.npy")


def test_names_that_the_output_cannot_show(home, checkpoint):
    np.save("ü 数\n.npy", np.zeros((8, 8)))
    done = run("predict", checkpoint, "ü 数\n.npy", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "\\xfc \\u6570\\n.npy: blank\n")
    assert done.stderr.startswith("\\xfc \\u6570\\n.npy: shape (8, 8), 1 image")
    done = run("predict", checkpoint, "ü 数\n.npy", "--quiet", env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "ü 数\\n.npy: blank\n", "")


@pytest.mark.skipif(os.name != "posix", reason="closed descriptors")
@pytest.mark.parametrize(("closed", "name", "code"), [("1", "a", 0), ("2", "a", 0), ("2", "no", 2), ("1,2", "no", 2)])
def test_closed_outputs(home, checkpoint, closed, name, code):
    np.save("a.npy", np.zeros((8, 8)))
    start = f"import os, sys; [os.close(fd) for fd in ({closed},)]; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", start, "-m", "fastnn", "predict", checkpoint, f"{name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "error" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_full_disk_in_the_place_of_the_output(home, checkpoint):
    np.save("a.npy", np.zeros((8, 8)))
    digits_folder(home / "m")
    with open("/dev/full", "w") as full:
        for arguments in (
            ["predict", checkpoint, "a.npy", "--quiet"],
            ["train", "m", "--epochs", "1", "--output", "b.npz"],
        ):
            command = [sys.executable, "-m", "fastnn", *arguments]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
            assert done.returncode == 2
            assert "error: [Errno 28]" in done.stderr
            assert "Traceback" not in done.stderr
            assert "Exception ignored" not in done.stderr
    assert sorted(os.listdir(home)) == ["a.npy", "b.npz", "m"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_in_the_place_of_the_messages(home, checkpoint, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    np.save("a.npy", np.zeros((8, 8)))
    with open("/dev/full", "w") as full:
        for name, code, text in (("a", 0, "a.npy: blank\n"), ("no", 2, "")):
            command = [sys.executable, "-m", "fastnn", "predict", checkpoint, f"{name}.npy"]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, timeout=300, check=False)
            assert (done.returncode, done.stdout) == (code, text)
        done = subprocess.run([sys.executable, "-m", "fastnn", "predict"], stderr=full, timeout=300, check=False)
        assert done.returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_training_whose_reader_leaves_is_finished_and_saved(home):
    digits_folder(home / "m")
    command = [sys.executable, "-m", "fastnn", "train", "m", "--epochs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        child.stdout.readline()
        child.stdout.close()
    assert child.returncode == 141
    assert fastnn.load_checkpoint("m.npz")["training"]["epochs"] == 2


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_reader_that_leaves_early(home, checkpoint):
    np.save("a.npy", np.zeros((5_000, 8, 8)))
    command = [sys.executable, "-m", "fastnn", "predict", checkpoint, "a.npy", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        child.stdout.close()
        err = child.stderr.read()
    assert child.returncode == 141
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_bar_on_a_terminal(home):
    digits_folder(home / "m")
    master, slave = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {
        "TERM": "xterm",
        "PYTHONIOENCODING": "utf-8",
    }
    command = [sys.executable, "-m", "fastnn", "train", "m", "--epochs", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave, env=environment) as child:
        os.close(slave)
        seen = b""
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # Linux says so when the child has gone
                break
            if not chunk:
                break
            seen += chunk
    os.close(master)
    assert child.returncode == 0
    text = seen.decode()
    assert "epoch 1/2" in text
    assert "━" in text
    assert "\x1b[32m" in text
