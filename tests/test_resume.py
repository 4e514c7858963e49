"""Trainings that are killed, interrupted or refused, and go on from their file to the bits they would have had."""

import copy
import os
import pickle
import signal
import warnings

import numpy as np
import pytest

import fastnn as fnn
from arrays import Shuffled
from fastnn import nn
from fastnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fastnn.training import Checkpoint
from resuming import EVERY, IMAGES, LABELS, At, Training
from subproc import killed, needs_fork


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


def test_other_iterables_are_repeated_to_where_they_were(tmp_path, unbroken):
    weights = []
    for path, step in ((tmp_path / "a.npz", 1000), (tmp_path / "b.npz", 13)):
        for _ in range(2):
            training = Training(path)
            training.train = Shuffled(IMAGES, LABELS, 10)
            training.fit(At(step, lambda: os.kill(os.getpid(), signal.SIGINT)))
            step = 1000
        weights.append(training.weights())
    assert weights[0] == weights[1]


@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_other_iterables_in_one_process(tmp_path, copied):
    whole, broken = Training(tmp_path / "a.npz"), Training(tmp_path / "b.npz")
    for training in (whole, broken):
        training.train, training.checkpoint = Shuffled(IMAGES, LABELS, 10), None
    whole.fit()
    broken.fit(At(13, lambda: os.kill(os.getpid(), signal.SIGINT)))
    other = copied(broken)
    other.fit()
    assert other.weights() == whole.weights()


def test_other_iterables_go_on_after_a_whole_pass(tmp_path):
    whole, first, second = (Training(tmp_path / name, epochs=epochs) for name, epochs in (("a", 3), ("b", 1), ("c", 3)))
    for training in (whole, first, second):
        training.train, training.checkpoint = Shuffled(IMAGES, LABELS, 10), None
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


def test_another_layer_of_the_same_weights_is_refused(tmp_path, unbroken):
    path = tmp_path / "run.npz"
    path.write_bytes(unbroken[0])
    training = Training(path)
    training.model[3] = nn.Dropout(0.9, rng=1)
    with pytest.raises(CheckpointError, match=r"other settings: a layer was Dropout\(p=0.2\), now Dropout\(p=0.9\)"):
        training.fit()


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
