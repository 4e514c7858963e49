"""Trainings that are killed, interrupted or refused, and go on from their file to the bits they would have had."""

import copy
import dataclasses
import functools
import os
import pickle
import signal
import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim
from fastnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fastnn.data import Batches, random_noise, random_shift
from fastnn.training import Checkpoint, EarlyStopping, Trainer
from fastnn.training.callbacks import Callbacks
from fastnn.training.loader import Loader
from subproc import killed, needs_fork

IMAGES = np.random.default_rng(0).normal(size=(100, 1, 8, 8)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 10, 100)
EVERY = 7


def augment(batch, rng):
    return random_noise(random_shift(batch, rng), rng, std=0.05)


def largest(output, target):
    return float(output.max())


class Training:
    """Everything at once: dropout, batch norm, augmentation, a schedule, early stopping, accumulation and prefetch."""

    def __init__(self, path, *, prefetch=2, lr=0.05, seed=0, batch_size=10, patience=3, epochs=8, **checkpoint):
        rng = np.random.default_rng(1)
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, rng=rng),
            nn.BatchNorm2d(4, momentum=0.9),
            nn.ReLU(),
            nn.Dropout(0.2, rng=rng),
            nn.Flatten(),
            nn.Linear(144, 10, rng=rng),
        )
        self.trainer = Trainer(
            self.model,
            optim.Adam(self.model.parameters(), lr=lr),
            schedule=optim.Sequence([optim.Warmup(5), optim.Cosine(60)], [5]),
            metrics={"largest": largest},
            clip_norm=1.0,
        )
        self.train = Batches(
            IMAGES, LABELS, batch_size=batch_size, shuffle=True, rng=seed, transform=augment, prefetch=prefetch
        )
        self.stopping = EarlyStopping(patience=patience)
        self.checkpoint = Checkpoint(path, **({"every": EVERY} | checkpoint))
        self.epochs = epochs

    def fit(self, *callbacks):
        validation = Batches(IMAGES[:40], LABELS[::-1][:40], batch_size=20)  # of which nothing can be learnt
        return self.trainer.fit(
            self.train,
            validation,
            epochs=self.epochs,
            callbacks=[self.stopping, *callbacks],
            checkpoint=self.checkpoint,
        )

    def weights(self):
        return {name: array.tobytes() for name, array in self.model.state_dict().items()}


class At:
    """Does something after a step."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def on_step(self, trainer):
        if trainer.step == self.step:
            self.action()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run.npz"
    training = Training(path)
    history = training.fit()
    assert history.stopped.startswith("stopped after epoch"), "the case should end by patience"
    return path.read_bytes(), training


@needs_fork
@pytest.mark.parametrize("threads", [1, 2])
def test_killed_at_any_step(tmp_path, unbroken, threads):
    expected, whole = unbroken
    steps = np.random.default_rng(threads).choice(whole.trainer.step, 20, replace=False) + 1
    with fnn.set_num_threads(threads):
        for step in map(int, steps):
            path = tmp_path / f"{step}.npz"
            kill = At(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
            assert killed(lambda path=path, kill=kill: Training(path).fit(kill))
            assert path.exists() == (step > EVERY)
            resumed = Training(path, prefetch=step % 3)
            history = resumed.fit()
            assert path.read_bytes() == expected, step
            assert resumed.weights() == whole.weights()
            assert history == whole.trainer.history
            assert history.stopped == whole.trainer.history.stopped


@needs_fork
@pytest.mark.parametrize("every", [1, 10])
def test_killed_between_the_last_batch_and_the_validation(tmp_path, unbroken, every):
    path = tmp_path / "run.npz"
    for step in (10, 11, 30):
        kill = At(step + 1, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert killed(lambda kill=kill: Training(path, every=every).fit(kill))
    Training(path, every=every).fit()
    assert path.read_bytes() == unbroken[0]


@needs_fork
def test_killed_in_the_validation(tmp_path, unbroken):
    path = tmp_path / "run.npz"

    def work():
        training = Training(path, every=10)
        training.trainer._evaluate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        training.fit()

    assert killed(work)
    assert load_checkpoint(path)["position"] == 10
    Training(path).fit()
    assert path.read_bytes() == unbroken[0]


@needs_fork
def test_killed_again_and_again(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    for step in (9, 20, 21, 22, 45, 49):
        assert killed(lambda step=step: Training(path).fit(At(step, lambda: os.kill(os.getpid(), signal.SIGKILL))))
    Training(path).fit()
    assert path.read_bytes() == unbroken[0]


def test_interrupted_and_resumed(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    training = Training(path, every=None)
    history = training.fit(At(13, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert history.stopped == f"interrupted in epoch 2 after batch 3 of 10; saved to {path}"
    resumed = Training(path)
    resumed.fit()
    assert resumed.trainer.resumed_at == (2, 3)
    assert path.read_bytes() == unbroken[0]


def test_what_is_finished_is_not_trained_again(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    training = Training(path)
    history = training.fit()
    assert path.read_bytes() == unbroken[0]
    assert history.stopped == unbroken[1].trainer.history.stopped
    assert training.weights() == unbroken[1].weights()


def test_more_epochs_go_on_from_the_last(tmp_path):
    short = Training(tmp_path / "a.npz", patience=20, epochs=3)
    short.fit()
    longer = Training(tmp_path / "a.npz", patience=20, epochs=6)
    longer.fit()
    whole = Training(tmp_path / "b.npz", patience=20, epochs=6)
    whole.fit()
    assert longer.weights() == whole.weights()
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_unseeded_training_goes_on_with_the_key_in_the_file(tmp_path):
    first = Training(tmp_path / "run.npz", seed=None)
    first.fit(At(12, lambda: os.kill(os.getpid(), signal.SIGINT)))
    key = load_checkpoint(tmp_path / "run.npz")["data"]["key"]
    second = Training(tmp_path / "run.npz", seed=None)
    second.fit()
    assert list(second.train.key) == key


class Shuffled:
    """Batches of the user's own, with a generator of their own."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def __iter__(self):
        order = self.rng.permutation(100)
        for i in range(0, 100, 10):
            yield IMAGES[order[i : i + 10]], LABELS[order[i : i + 10]]


def test_other_iterables_are_repeated_to_where_they_were(tmp_path, unbroken):
    weights = []
    for path, step in ((tmp_path / "a.npz", 1000), (tmp_path / "b.npz", 13)):
        for _ in range(2):
            training = Training(path)
            training.train = Shuffled()
            training.fit(At(step, lambda: os.kill(os.getpid(), signal.SIGINT)))
            step = 1000
        weights.append(training.weights())
    assert weights[0] == weights[1]


@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_other_iterables_in_one_process(tmp_path, copied):
    whole, broken = Training(tmp_path / "a.npz"), Training(tmp_path / "b.npz")
    for training in (whole, broken):
        training.train, training.checkpoint = Shuffled(), None
    whole.fit()
    broken.fit(At(13, lambda: os.kill(os.getpid(), signal.SIGINT)))
    other = copied(broken)
    other.fit()
    assert other.weights() == whole.weights()


def test_other_iterables_go_on_after_a_whole_pass(tmp_path):
    whole, first, second = (Training(tmp_path / name, epochs=epochs) for name, epochs in (("a", 3), ("b", 1), ("c", 3)))
    for training in (whole, first, second):
        training.train, training.checkpoint = Shuffled(), None
    whole.fit()
    first.fit()
    second.trainer.load_state_dict(first.trainer.state_dict())
    second.fit()
    assert second.weights() == whole.weights()


def test_a_trainer_is_copied_without_its_data(tmp_path):
    training = Training(tmp_path / "run.npz", epochs=1)
    training.fit()
    assert IMAGES[0].tobytes() not in pickle.dumps(training.trainer)


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.02}, "groups.0.lr was 0.05, now 0.02"),
        ({"batch_size": 20}, "data.batch_size was 10, now 20"),
        ({"seed": 5}, "data.key from rng was"),
        ({"patience": 4}, "callbacks was"),
        ({"settings": {"lines": 7}}, "lines was None, now 7"),
    ],
)
def test_other_settings_are_refused_with_the_difference(tmp_path, unbroken, options, words):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    training = Training(path, **options)
    before = training.weights()
    with pytest.raises(CheckpointError, match=r"of a training with other settings") as caught:
        training.fit()
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert training.weights() == before
    assert path.read_bytes() == unbroken[0]


class Stop:
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        trainer.stop = trainer.step == self.step


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


def test_another_layer_of_the_same_weights_is_refused(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    training = Training(path)
    training.model[3] = nn.Dropout(0.9, rng=1)
    with pytest.raises(CheckpointError, match=r"other settings: a layer was Dropout\(p=0.2\), now Dropout\(p=0.9\)"):
        training.fit()


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


def test_another_model_is_refused_and_nothing_is_changed(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    training = Training(path)
    training.model[5] = nn.Linear(144, 11, rng=0)
    training.trainer.optimizer.param_groups[0]["params"][-2:] = list(training.model[5].parameters())
    before = training.weights()
    with pytest.raises(
        CheckpointError, match=r"Linear\(in_features=144, out_features=10, .*, now Linear\(in_features=144, out_f"
    ):
        training.fit()
    assert training.weights() == before


FAULTS = {
    "kind": (lambda s: s.update(kind="model"), "not one of a training"),
    "settings": (lambda s: s.pop("settings"), "damaged"),
    "callbacks": (lambda s: s["callbacks"].pop(), "callbacks"),
    "state of a callback": (lambda s: s["callbacks"][0].pop("waited"), "waited"),
    "best weights": (lambda s: s["callbacks"][0].update(best_weights=3), "does not fit"),
    "a name of the best weights": (lambda s: s["callbacks"][0]["best_weights"].pop("0.weight"), "do not fit"),
    "a shape of the best weights": (
        lambda s: s["callbacks"][0]["best_weights"].update({"0.bias": np.ones(3)}),
        "do not fit",
    ),
    "key": (lambda s: s["data"].update(key=[1]), "key"),
    "data": (lambda s: s.pop("data"), "data"),
    "position": (lambda s: s.update(position=-1), "position"),
    "position beyond": (lambda s: s.update(position=11), "position"),
    "moments": (lambda s: s["optimizer"]["state"].pop("0"), "parameter 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_do_not_fit_are_refused_and_change_nothing(tmp_path, unbroken, fault):
    change, words = FAULTS[fault]
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    state = load_checkpoint(path)
    change(state)
    save_checkpoint(path, state)
    training, fresh = Training(path), Training(tmp_path / "fresh.npz")
    with pytest.raises(CheckpointError, match=words):
        training.fit()
    training.checkpoint = fresh.checkpoint
    training.fit()
    assert training.weights() == unbroken[1].weights()  # as if it had not been tried


def _places(node, path=()):
    """Where dictionaries and lists of a state have entries."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


STRANGE = [
    None,
    -1,
    0,
    2**70,
    1.5,
    float("nan"),
    "x",
    "",
    [],
    {},
    [1],
    {"a": 1},
    True,
    np.zeros(3),
    np.zeros((2, 2), int),
]


def test_states_damaged_at_random_are_refused_or_harmless(tmp_path):
    """No other error than that of a file that does not fit, and nothing is changed by it."""
    path = tmp_path / "run.npz"
    Training(path, every=7, epochs=1).fit(At(8, lambda: os.kill(os.getpid(), signal.SIGINT)))
    rng = np.random.default_rng(0)
    places = [place for place in _places(load_checkpoint(path)) if place[0] != "architecture"]
    refused = 0
    for number in rng.integers(len(places), size=150):
        state = load_checkpoint(path)
        *above, key = places[number]
        node = state
        for step in above:
            node = node[step]
        if isinstance(node, dict) and rng.random() < 0.3:
            del node[key]
        else:
            node[key] = STRANGE[rng.integers(len(STRANGE))]
        save_checkpoint(tmp_path / "damaged.npz", state)
        training = Training(tmp_path / "damaged.npz", every=None, epochs=1)
        before = training.weights()
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                training.fit()
        except CheckpointError:
            refused += 1
            assert training.weights() == before, places[number]
            assert (training.trainer.step, training.trainer.history.records) == (0, [])
    assert refused > 75


def test_damaged_files_are_refused(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0][:-100])
    with pytest.raises(CheckpointError, match=r"run\.npz"):
        Training(path).fit()


def test_a_file_that_is_ahead_of_the_trainer_is_not_overwritten(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    training = Training(tmp_path / "other.npz", epochs=1)
    training.fit()
    path.write_bytes(unbroken[0])
    training.checkpoint = Checkpoint(path)
    training.epochs = 3
    with pytest.raises(ValueError, match="make a new trainer"):
        training.fit()
    assert path.read_bytes() == unbroken[0]


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
