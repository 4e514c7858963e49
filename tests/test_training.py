"""The digits of the demonstration, learned for real."""

import contextlib

import numpy as np
import pytest

import fastnn as fnn
from fastnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fastnn.data import load_digits
from fastnn.training.digits import DigitsTraining, digits_model, load_digits_model, predict_digits

# Digits


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return load_digits()


def state_of(training):
    return {name: value.copy() for name, value in training.model.state_dict().items()}


def assert_equal_states(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def test_model_shape():
    model = digits_model(rng=0)
    assert model(np.zeros((3, 1, 8, 8), np.float32)).shape == (3, 10)
    model.eval()
    probabilities = predict_digits(model, np.zeros((2, 1, 8, 8), np.float32))
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.shape == (2, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predict_digits(model, np.zeros((0, 1, 8, 8), np.float32)).shape == (0, 10)


def test_same_seed_same_bits_other_seed_other_bits(digits):
    states = []
    for seed in (3, 3, 4):
        training = DigitsTraining(digits, seed=seed, epochs=1, batch_size=256)
        training.fit()
        states.append(state_of(training))
    assert_equal_states(states[0], states[1])
    assert any((states[0][name] != states[2][name]).any() for name in states[0])


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="needs the compiled extension")
def test_same_bits_for_every_thread_count(digits):
    before = fnn.get_num_threads()
    states = []
    try:
        for threads in (1, 2, 3):
            fnn.set_num_threads(threads)
            training = DigitsTraining(digits, epochs=1, batch_size=256)
            training.fit()
            states.append(state_of(training))
    finally:
        fnn.set_num_threads(before)
    for state in states[1:]:
        assert_equal_states(states[0], state)


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="needs the compiled extension")
def test_backends_train_alike(digits):
    """Three steps: rounding has not had the time to grow, but every kernel of the network has run both ways."""
    few = digits._replace(train=type(digits.train)(digits.train.images[:192], digits.train.labels[:192]))
    histories, states = [], []
    for name in ("native", "numpy"):
        with fnn.use_backend(name):
            training = DigitsTraining(few, epochs=1)
            training.fit()
            histories.append(training.trainer.history[0])
            states.append(state_of(training))
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    for name in states[0]:
        # Adam's first steps have the size of the learning rate, whatever the gradient: where it is nearly 0, so may be its sign.
        close = np.isclose(states[0][name], states[1][name], rtol=1e-3, atol=1e-4)
        assert close.mean() > 0.99, name


def test_resume_gives_the_bits_of_an_unbroken_training(digits, tmp_path):
    class Enough(Exception):
        pass

    def leave(trainer):
        if trainer.epoch == 1:
            raise Enough

    settings = {"seed": 5, "epochs": 3, "batch_size": 300}
    unbroken = DigitsTraining(digits, **settings)
    unbroken.fit()
    broken = DigitsTraining(digits, **settings)
    with contextlib.suppress(Enough):
        broken.fit(callbacks=(leave,))
    broken.save(tmp_path / "half.npz")
    resumed = DigitsTraining(digits, **settings)
    resumed.resume(tmp_path / "half.npz")
    assert resumed.trainer.epoch == 1
    resumed.fit()
    assert resumed.trainer.history == unbroken.trainer.history
    assert_equal_states(state_of(resumed), state_of(unbroken))
    unbroken.save(tmp_path / "a.npz")
    resumed.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(CheckpointError, match="was trained with"):
        DigitsTraining(digits, seed=6).resume(tmp_path / "half.npz")


def test_a_resume_that_is_refused_changes_nothing(digits, tmp_path):
    settings = {"seed": 5, "epochs": 1, "batch_size": 300}
    trained = DigitsTraining(digits, **settings)
    trained.fit()
    trained.save(tmp_path / "whole.npz")
    state = load_checkpoint(tmp_path / "whole.npz")
    state["generators"]["streams"] = [{"bit_generator": "MT19937"}]
    save_checkpoint(tmp_path / "broken.npz", state)
    training = DigitsTraining(digits, **settings)
    before = state_of(training)
    with pytest.raises(CheckpointError, match="does not fit"):
        training.resume(tmp_path / "broken.npz")
    assert_equal_states(state_of(training), before)


def test_saved_model_predicts_the_same(digits, tmp_path):
    training = DigitsTraining(digits, epochs=1, batch_size=256)
    training.fit()
    training.save(tmp_path / "a.npz")
    training.model.eval()
    images = digits.test.images[:20]
    loaded = load_digits_model(tmp_path / "a.npz")
    assert not loaded.training
    assert (predict_digits(loaded, images) == predict_digits(training.model, images)).all()


def broken_states():
    good = {"task": "digits", "model": dict(digits_model(rng=0).state_dict())}
    weight = next(iter(good["model"]))
    yield "no task", {"model": good["model"]}, "not one of the digits network"
    yield "other task", good | {"task": "letters"}, "not one of the digits network"
    yield "no model", {"task": "digits"}, "does not fit"
    yield "model is a number", good | {"model": 3}, "does not fit"
    yield "entry missing", good | {"model": {k: v for k, v in good["model"].items() if k != weight}}, "does not fit"
    yield "entry too many", good | {"model": good["model"] | {"more": np.zeros(1)}}, "does not fit"
    yield "other shape", good | {"model": good["model"] | {weight: np.zeros((2, 2), np.float32)}}, "does not fit"
    yield "no array", good | {"model": good["model"] | {weight: "text"}}, "does not fit"
    yield "other dtype", good | {"model": good["model"] | {weight: np.zeros((32, 1, 3, 3), complex)}}, "does not fit"


@pytest.mark.parametrize(("state", "message"), [pytest.param(*case[1:], id=case[0]) for case in broken_states()])
def test_checkpoints_that_do_not_fit_are_refused(tmp_path, state, message):
    save_checkpoint(tmp_path / "a.npz", state)
    with pytest.raises(CheckpointError, match=message):
        load_digits_model(tmp_path / "a.npz")


def test_checkpoint_content(digits, tmp_path):
    training = DigitsTraining(digits, epochs=1, batch_size=512)
    training.fit()
    training.save(tmp_path / "a.npz")
    state = load_checkpoint(tmp_path / "a.npz")
    assert {"task", "settings", "generators", "epoch", "step", "history", "model", "optimizer"} <= set(state)
    assert state["settings"] == {"seed": 0, "epochs": 1, "batch_size": 512, "lr": 3e-3}


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="minutes without the compiled extension")
def test_digits_are_learned(digits):
    """The promise of the README: 98.5 % with the default seed, and as the mean of five."""
    accuracies = []
    for seed in range(5):
        training = DigitsTraining(digits, seed=seed)
        training.fit()
        accuracies.append(training.test()["accuracy"])
    assert accuracies[0] >= 0.985
    assert np.mean(accuracies) >= 0.985


def test_digits_are_learned_roughly_in_short_time(digits):
    training = DigitsTraining(digits, epochs=3)
    training.fit()
    assert training.test()["accuracy"] > 0.93
