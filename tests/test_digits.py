"""The digits of the demonstration, learned for real, by the machinery for data of one's own."""

from dataclasses import replace

import numpy as np
import pytest

import fastnn as fnn
from fastnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fastnn.data.source import Part, digits_dataset
from fastnn.training.own_data import OwnTraining
from fastnn.training.predictor import Predictor
from fastnn.training.recipe import recipes_for
from learners import Stop


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return digits_dataset()


def training(data, seed=0, **settings):
    return OwnTraining(data, replace(recipes_for(data)[0], **settings), seed=seed)


def trained(data, seed=0, **settings):
    made = training(data, seed, **settings)
    made.fit(progress=False)
    return made


def state_of(own):
    return {name: value.copy() for name, value in own.model.state_dict().items()}


def assert_equal_states(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def test_same_seed_same_bits_other_seed_other_bits(digits):
    states = [state_of(trained(digits, seed, epochs=1, batch_size=256)) for seed in (3, 3, 4)]
    assert_equal_states(states[0], states[1])
    assert any((states[0][name] != states[2][name]).any() for name in states[0])


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="needs the compiled extension")
def test_same_bits_for_every_thread_count(digits):
    before = fnn.get_num_threads()
    states = []
    try:
        for threads in (1, 2, 3):
            fnn.set_num_threads(threads)
            states.append(state_of(trained(digits, epochs=1, batch_size=256)))
    finally:
        fnn.set_num_threads(before)
    for state in states[1:]:
        assert_equal_states(states[0], state)


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="needs the compiled extension")
def test_backends_train_alike(digits):
    """Three steps: rounding has not had the time to grow, but every kernel of the network has run both ways."""
    few = Part(*(array[:192] for array in digits.parts["train"][:2]))
    data = replace(digits, parts=digits.parts | {"train": few})
    histories, states = [], []
    for name in ("native", "numpy"):
        with fnn.use_backend(name):
            own = trained(data, epochs=1)
            histories.append(own.trainer.history[0])
            states.append(state_of(own))
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    for name in states[0]:
        # Adam's first steps have the size of the learning rate, whatever the gradient: where it is nearly 0, so may be its sign.
        close = np.isclose(states[0][name], states[1][name], rtol=1e-3, atol=1e-4)
        assert close.mean() > 0.99, name


def test_resume_gives_the_bytes_of_an_unbroken_training(digits, tmp_path):
    settings = {"epochs": 3, "batch_size": 300}
    unbroken = training(digits, 5, **settings)
    unbroken.fit(checkpoint=tmp_path / "whole.npz", progress=False)
    broken = training(digits, 5, **settings)
    broken.fit(checkpoint=tmp_path / "half.npz", progress=False, callbacks=[Stop(6)])
    resumed = training(digits, 5, **settings)
    resumed.fit(checkpoint=tmp_path / "half.npz", progress=False)
    assert resumed.trainer.resumed_at == (2, 2)
    assert resumed.trainer.history == unbroken.trainer.history
    assert (tmp_path / "half.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    unbroken.save(tmp_path / "a.npz")
    resumed.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(CheckpointError, match="seed was 5, now 6"):
        training(digits, 6, **settings).fit(checkpoint=tmp_path / "half.npz", progress=False)
    other = replace(digits, parts=digits.parts | {"test": digits.parts["validation"]})
    with pytest.raises(CheckpointError, match="samples was"):
        training(other, 5, **settings).fit(checkpoint=tmp_path / "half.npz", progress=False)


def test_a_saved_model_predicts_the_same(digits, tmp_path):
    own = trained(digits, epochs=1, batch_size=256)
    own.save(tmp_path / "a.npz")
    images = digits.parts["test"].x[:20]
    loaded = Predictor(tmp_path / "a.npz")
    assert not loaded.model.training
    probabilities = loaded.predict(images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities == fnn.functional.softmax(own.trainer.predict(images))).all()
    assert loaded.predict(images[:0]).shape == (0, 10)
    assert (fnn.load_model(tmp_path / "a.npz")(images).numpy() == own.trainer.predict(images)).all()


def test_what_a_model_file_holds(digits, tmp_path):
    own = trained(digits, epochs=1, batch_size=512)
    own.save(tmp_path / "a.npz")
    state = load_checkpoint(tmp_path / "a.npz")
    assert set(state) == {"architecture", "model", "data", "training"}
    assert state["data"] == {
        "form": "digits",
        "target": "label",
        "classes": list("0123456789"),
        "sample": [1, 8, 8],
        "schema": None,
        "ground": "dark",
    }
    assert state["training"]["epochs"] == 1
    assert state["training"]["batch_size"] == 512


def broken_states():
    yield "no data", lambda s: s.pop("data"), "no model of `fastnn train`"
    yield "a training's", lambda s: s.update(kind="training"), "is the checkpoint of a training"
    yield "no model", lambda s: s.pop("model"), "without 'model'"
    yield "no architecture", lambda s: s.pop("architecture"), "without 'architecture'"
    yield "array too many", lambda s: s["model"].update(more=np.zeros(1)), "does not hold a model that fits"
    yield "not finite", lambda s: s["model"]["1.0.weight"].fill(np.nan), "not finite"
    yield "no classes", lambda s: s["data"].pop("classes"), "damaged model"
    yield "more", lambda s: s["data"].update(more=1), "damaged model"
    yield "class of another type", lambda s: s["data"].update(classes=[1] * 10), "damaged model"
    yield "fewer classes", lambda s: s["data"].update(classes=["a"]), r"damaged model: the model gives shape \(1, 10\)"
    yield "other sample", lambda s: s["data"].update(sample=[1, 9, 9, 9]), "damaged model"
    yield "smaller sample", lambda s: s["data"].update(sample=[1, 6, 6]), "damaged model"
    yield "a table's sample", lambda s: s["data"].update(sample=[3]), "damaged model"
    yield "odd ground", lambda s: s["data"].update(ground="grey"), "damaged model"
    yield "odd schema", lambda s: s["data"].update(schema={"columns": 3}), "damaged model"


@pytest.mark.parametrize(("change", "message"), [pytest.param(*case[1:], id=case[0]) for case in broken_states()])
def test_files_that_hold_no_model_are_refused(digits, tmp_path, change, message):
    own = training(digits, epochs=1)
    own.save(tmp_path / "a.npz")
    state = load_checkpoint(tmp_path / "a.npz")
    change(state)
    save_checkpoint(tmp_path / "a.npz", state)
    with pytest.raises(CheckpointError, match=message):
        Predictor(tmp_path / "a.npz")


@pytest.mark.skipif("native" not in fnn.backend.available_backends(), reason="minutes without the compiled extension")
def test_digits_are_learned(digits):
    """The promise of the README: 98.5 % with the default seed, and as the mean of five."""
    right = [trained(digits, seed).test().right for seed in range(5)]
    assert right[0] >= 0.985 * 359
    assert np.mean(right) >= 0.985 * 359


def test_digits_are_learned_roughly_in_short_time(digits):
    assert trained(digits, epochs=3).test().right > 0.93 * 359
