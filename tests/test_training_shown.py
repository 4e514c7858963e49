"""What a training shows: lines for its epochs, bars, and where it goes on."""

import io

import pytest

from fastnn.training import ProgressBar, epoch_line
from learners import LABELS, X, batches, trainer


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_where_a_training_goes_on_is_shown(monkeypatch, tmp_path):
    path = str(tmp_path / "run.npz")
    for epochs, words in [(2, "epoch 1/2"), (3, f"resuming {path} at epoch 3, batch 0"), (3, f"{path} is at its end")]:
        monkeypatch.setattr("sys.stderr", stream := io.StringIO())
        trainer().fit(batches(), epochs=epochs, checkpoint=path, progress=True)
        assert words in stream.getvalue()
        assert ("resuming" in stream.getvalue()) == words.startswith("resuming")


def test_a_bar_and_a_line_for_each_epoch_on_terminals(monkeypatch):
    for stream, progress, shows in [
        (Terminal(), "auto", True),
        (io.StringIO(), "auto", False),
        (io.StringIO(), True, True),
        (Terminal(), False, False),
        (Terminal(), None, False),
    ]:
        monkeypatch.setattr("sys.stderr", stream)
        trainer().fit(batches(), [(X, LABELS)], epochs=2, progress=progress)
        text = stream.getvalue()
        assert ("epoch 2/2   train loss" in text) == shows
        assert bool(text) == shows


def test_bars_of_the_caller_s():
    class Tqdm:
        count, closed = 0, False

        def update(self, n):
            self.count += n

        def close(self):
            self.closed = True

    bar = Tqdm()
    trainer().fit(batches(), epochs=2, progress=bar)
    assert (bar.count, bar.closed) == (8, False)
    stream = io.StringIO()
    own = ProgressBar(8, stream=stream)
    trainer().fit(batches(), epochs=2, progress=own)
    assert own.done == 8
    assert "epoch 2/2 100 % loss" in stream.getvalue()
    for wrong in (3, object()):
        with pytest.raises(TypeError, match=r"update\(n\)"):
            trainer().fit(batches(), epochs=1, progress=wrong)
    with pytest.raises(ValueError, match="'auto', True, False"):
        trainer().fit(batches(), epochs=1, progress="yes")


def test_tqdm_itself():
    tqdm = pytest.importorskip("tqdm")
    bar = tqdm.tqdm(total=8, file=io.StringIO())
    trainer().fit(batches(), epochs=2, progress=bar)
    assert bar.n == 8


def test_lines():
    record = {
        "epoch": 3,
        "train_loss": 1.0,
        "train_accuracy": 1.0,
        "lr": 0.1,
        "validation_loss": 2.0,
        "validation_r2": -1.5,
    }
    assert epoch_line(record, 120, seconds=1.26) == (
        "epoch   3/120   train loss 1.0000 accuracy 100.00 %   validation loss 2.0000 r2 -1.5000   1.3 s"
    )
