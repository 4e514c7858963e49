"""Checkpoints that a training writes: which files, with which settings, and what becomes of them."""

import copy
import dataclasses
import functools
import os
import signal

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim
from fastnn.checkpoint import CheckpointError, load_checkpoint
from fastnn.data import Batches, random_noise
from fastnn.training import Checkpoint, Trainer
from fastnn.training.callbacks import Callbacks
from fastnn.training.loader import Loader
from learners import Stop
from resuming import IMAGES, LABELS, Training


class Shift:
    def __call__(self, batch, rng, draw=None):
        return batch


@dataclasses.dataclass
class Best:
    """A callback whose text, as Python writes it, holds what it has seen."""

    best: float = np.inf

    def on_epoch_end(self, trainer):
        self.best = min(self.best, trainer.history[-1]["train_loss"])

    def state_dict(self):
        return {"best": self.best}

    def load_state_dict(self, state):
        self.best = state["best"]


def test_settings_are_the_same_in_another_process_and_later(tmp_path):
    def learning():
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
        rule = optim.Sequence([optim.Warmup(2), lambda step: 0.5], [2])
        return Trainer(model, optim.SGD(model.parameters(), lr=0.1), schedule=rule)

    for transform in (Shift(), functools.partial(random_noise, std=0.5), functools.partial(Shift(), draw=lambda: 0)):
        first, callback, path = learning(), Best(), tmp_path / "run.npz"
        train = Batches(IMAGES, LABELS, batch_size=50, transform=copy.copy(transform))
        assert " at 0x" not in repr(first._settings(Loader("train", train), Callbacks([callback])))
        for epochs in (1, 2):
            first.fit([(IMAGES, LABELS)], epochs=epochs, callbacks=[callback], checkpoint=path)
        second = learning()
        second.fit([(IMAGES, LABELS)], epochs=3, callbacks=[Best()], checkpoint=path)
        assert second.resumed_at == (3, 0)
        path.unlink()


def test_a_folder_that_is_missing_is_known_before_the_training(tmp_path):
    training = Training(tmp_path / "missing" / "run.npz")
    with pytest.raises(FileNotFoundError, match="missing"):
        training.fit()
    assert training.trainer.step == 0


@pytest.mark.parametrize("path", [5, True, "", b"", None])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match=r"^Checkpoint: expected the path of a file, got"):
        Checkpoint(path)


def test_files_stay_in_their_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    Trainer(model, optim.SGD(model.parameters(), lr=0.1)).fit(
        [(IMAGES, LABELS)],
        epochs=3,
        checkpoint=Checkpoint(os.fsencode("run.npz"), keep=2),
        callbacks=[lambda trainer: os.chdir(tmp_path / "elsewhere")],
    )
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "run.npz", "run-epoch2.npz", "run-epoch3.npz"}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_training_goes_on_where_its_file_could_not_be_written(tmp_path):
    class Remove:
        def on_epoch_end(self, trainer):
            if trainer.epoch == 2:
                (tmp_path / "a").rename(tmp_path / "b")

    (tmp_path / "a").mkdir()
    broken, whole = Training(tmp_path / "a" / "run.npz", every=None), Training(tmp_path / "whole.npz")
    with pytest.raises(FileNotFoundError):
        broken.fit(Remove())
    (tmp_path / "b").rename(tmp_path / "a")
    broken.fit()
    whole.fit()
    assert broken.weights() == whole.weights()
    assert broken.trainer.history == whole.trainer.history


def test_an_interrupt_at_the_very_end_is_told(tmp_path):
    class AtEnd:
        def on_fit_end(self, trainer):
            signal.raise_signal(signal.SIGINT)

    training, whole = Training(tmp_path / "run.npz", epochs=2), Training(tmp_path / "whole.npz", epochs=2)
    history = training.fit(AtEnd())
    whole.fit()
    assert history.interrupted
    assert history.stopped == "interrupted after epoch 2"
    assert load_checkpoint(tmp_path / "run.npz")["callbacks"][0]["last_weights"] is not None


def test_a_link_to_no_file_yet_is_written_through(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    Training(tmp_path / "link.npz", epochs=1).fit()
    again = Training(tmp_path / "link.npz", epochs=2)
    again.fit()
    assert again.trainer.resumed_at == (2, 0)
    assert (tmp_path / "link.npz").is_symlink()


class Scaled(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(1, np.float32))

    def forward(self, output, target):
        return fnn.functional.cross_entropy(output * self.scale, target)


def test_a_loss_with_parameters_goes_on_too(tmp_path):
    def learning(path, *callbacks):
        model, loss = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0)), Scaled()
        trainer = Trainer(model, optim.Adam([*model.parameters(), *loss.parameters()], lr=0.1), loss)
        train = Batches(IMAGES, LABELS, batch_size=20, shuffle=True, rng=0)
        trainer.fit(train, epochs=4, checkpoint=path, callbacks=callbacks)
        return loss.scale.numpy()

    whole = learning(tmp_path / "whole.npz")
    stopped = learning(tmp_path / "run.npz", Stop(7))
    assert (stopped != 1).all()
    assert (learning(tmp_path / "run.npz") == whole).all()
    assert (tmp_path / "run.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_an_epoch_that_is_under_way_is_not_ended_with_fewer_batches():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    learning = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    learning.fit(Batches(IMAGES, LABELS, batch_size=10), epochs=1, callbacks=[Stop(7)])
    before = model.state_dict()["1.weight"].tobytes()
    with pytest.raises(ValueError, match=r"at position 7 of an epoch, but this one has 5 batches"):
        learning.fit(Batches(IMAGES, LABELS, batch_size=20), epochs=2)
    assert model.state_dict()["1.weight"].tobytes() == before


def test_schedules_are_settings(tmp_path):
    def learning(steps):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        plateau = optim.ReduceOnPlateau(optimizer, patience=steps)
        return Trainer(model, optimizer, schedule=[optim.momentum_schedule(optimizer, steps), plateau])

    learning(3).fit([(IMAGES, LABELS)], epochs=1, checkpoint=tmp_path / "run.npz")
    with pytest.raises(CheckpointError, match=r"schedule was .*steps=3.* now .*steps=4"):
        learning(4).fit([(IMAGES, LABELS)], epochs=2, checkpoint=tmp_path / "run.npz")


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_plateau_goes_on_from_a_file_of_before_the_validation(tmp_path, accumulate):
    class Died(Exception):
        pass

    class Validation:
        def __init__(self, dies_in=0):
            self.passes, self.dies_in = 0, dies_in

        def __iter__(self):
            self.passes += 1
            if self.passes == self.dies_in:
                raise Died
            return iter([(IMAGES[:40], LABELS[:40])])

    def fit(path, validation):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=0)
        learning = Trainer(model, optimizer, schedule=[optim.Warmup(5), plateau], accumulate=accumulate)
        train = Batches(IMAGES, LABELS, batch_size=10, shuffle=True, rng=0)
        learning.fit(train, validation, epochs=4, checkpoint=Checkpoint(path, every=1))

    fit(tmp_path / "whole.npz", Validation())
    with pytest.raises(Died):
        fit(tmp_path / "run.npz", Validation(dies_in=2))
    fit(tmp_path / "run.npz", Validation())
    assert (tmp_path / "run.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_training_that_goes_on_in_one_process_needs_no_file(tmp_path):
    training = Training(tmp_path / "run.npz", epochs=1, patience=20)
    training.fit()
    training.epochs = 2
    training.fit()
    assert load_checkpoint(tmp_path / "run.npz")["epoch"] == 2


def test_what_a_file_holds(tmp_path):
    class Scaler:
        def state_dict(self):
            return {"mean": np.ones(3)}

    extra = {"scaler": Scaler(), "classes": ["a", "b"]}
    Training(tmp_path / "run.npz", epochs=2, extra=extra, settings={"source": "x"}).fit()
    state = load_checkpoint(tmp_path / "run.npz")
    assert state["extra"]["classes"] == ["a", "b"]
    assert state["extra"]["scaler"]["mean"].tolist() == [1, 1, 1]
    assert state["settings"]["source"] == "x"
    assert state["settings"]["schedule"] == "Sequence([Warmup(steps=5, first=0.0), Cosine(steps=60, last=0.0)], [5])"
    assert (state["epoch"], state["position"], state["step"]) == (2, 0, 20)
    assert len(state["generators"]["streams"]) == 1  # that of the dropout; who else shares it comes back sharing it


def test_the_last_epochs_are_kept(tmp_path):
    Training(tmp_path / "run.npz", epochs=5, patience=20, keep=3).fit()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "run-epoch3.npz",
        "run-epoch4.npz",
        "run-epoch5.npz",
        "run.npz",
    ]
    assert load_checkpoint(tmp_path / "run-epoch4.npz")["epoch"] == 4


@pytest.mark.parametrize("name", ["no folder/run.npz", "folder"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path, name):
    (tmp_path / "folder").mkdir()
    training = Training(tmp_path / name)
    with pytest.raises((FileNotFoundError, CheckpointError), match="folder"):
        training.fit()
    assert training.trainer.step == 0


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 1.5}, {"keep": 0}])
def test_bad_numbers(options):
    with pytest.raises((ValueError, TypeError), match=r"^Checkpoint: "):
        Checkpoint("run.npz", **options)


def test_no_file_is_left_by_a_loss_that_is_not_finite(tmp_path):
    training = Training(tmp_path / "run.npz", every=None)
    training.train = [(IMAGES * np.nan, LABELS)]
    with pytest.warns(RuntimeWarning, match="stopped in epoch 1"):
        training.fit()
    assert list(tmp_path.iterdir()) == []
