"""`preflight` on the validation part, on batches of one sample, and on batches of different lengths."""

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import preflight
from fastnn.training import Trainer
from preflight_cases import IMAGES, LABELS, PIXELS, convolutional, in_a_list, mlp, with_nan_at

# ---- the validation part ------------------------------------------------------------------------------------------------


VALIDATION = {
    "NaN": ((with_nan_at(PIXELS[900:], 7, 3), LABELS[900:]), "not finite", "1 number not finite of the input in 1 of 300 rows, the first nan in row 7, column 3"),
    "a class too many": ((PIXELS[900:], np.where(np.arange(300) == 5, 12, LABELS[900:])), "labels", "the first 12 is in row 5"),
    "labels as floats": ((PIXELS[900:], LABELS[900:].astype(np.float32)), "labels", "float32"),
    "one-hot": ((PIXELS[900:], np.eye(10, dtype=int)[LABELS[900:]]), "labels", "one-hot"),
    "other columns": ((PIXELS[900:, :60], LABELS[900:]), "shapes", "its inputs are float32 (N, 60), those of the training part float32 (N, 64); fit raises"),
    "float64": ((PIXELS[900:].astype(float), LABELS[900:]), "shapes", "its inputs are float64 (N, 64), those of the training part float32 (N, 64); fit raises"),
    "two inputs": (((PIXELS[900:], PIXELS[900:]), LABELS[900:]), "shapes", "its inputs are float32 (N, 64) and float32 (N, 64), those of the training part float32 (N, 64); fit raises"),
    "255 times as large": ((PIXELS[900:] * 255, LABELS[900:]), "scale", "times as large as those of the training part"),
    "255 times as small": ((PIXELS[900:] / 255, LABELS[900:]), "scale", "times as small as those of the training part"),
}  # fmt: skip


@pytest.mark.parametrize("fault", VALIDATION)
@pytest.mark.parametrize("as_batches", [True, False])
def test_what_is_wrong_with_the_validation_part(fault, as_batches):
    data, word, text = VALIDATION[fault]
    validation = Batches(*data, batch_size=50) if as_batches else data
    report = preflight(mlp(64, 64, 10), (PIXELS[:900], LABELS[:900]), validation=validation)
    found = report.findings[0]
    assert (found.word, found.level) == (word, "problem")
    assert found.message.startswith("validation: ")
    assert text in found.message
    assert report.overfit is not None  # the training part is looked at all the same
    assert [finding.word for finding in report if finding.level == "problem"] == [word]


def test_the_scale_of_the_validation_part_is_measured():
    report = preflight(mlp(64, 64, 10), (PIXELS, LABELS), validation=(PIXELS[::-1] * 255, LABELS[::-1]), overfit=False)
    found = next(finding for finding in report if finding.word == "scale" and finding.level == "problem")
    assert found.value == pytest.approx(255, rel=1e-3)


@pytest.mark.parametrize("count", [1, 3, 20, 300])
def test_random_splits_are_no_fault(count):
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(1200)
        a, b = order[count:], order[:count]
        heavy = np.exp(2 * np.random.default_rng(seed).normal(size=(1200, 64))).astype(np.float32)
        for x in (PIXELS, heavy):
            report = preflight(mlp(64, 64, 10), (x[a], LABELS[a]), validation=(x[b], LABELS[b]), overfit=False)
            assert not [f for f in report if f.message.startswith("validation: ") and f.level != "note"]


def test_messages_name_the_validation_part():
    train = (PIXELS, LABELS)
    for validation, text in (
        ([], "preflight: validation has no batch"),
        ((PIXELS, LABELS[:5]), "preflight: validation: expected arrays of one length"),
    ):
        with pytest.raises(ValueError, match=text):
            preflight(mlp(64, 10), train, validation=validation)
    with pytest.raises(TypeError, match="preflight: validation is an iterator"):
        preflight(mlp(64, 10), train, validation=iter([train]))


# ---- batches of one sample ----------------------------------------------------------------------------------------------


def normed(rng=0):
    return nn.Sequential(nn.Linear(64, 32, rng=rng), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10, rng=1))


@pytest.mark.parametrize(
    ("train", "where"),
    [
        (Batches(PIXELS[:385], LABELS[:385], batch_size=32), "the last batch of each epoch (385 samples, batch_size=32)"),
        (Batches(PIXELS[:384], LABELS[:384], batch_size=1), "each batch (batch_size=1)"),
        (in_a_list(385), "batch 13 of 13"),
    ],
)  # fmt: skip
def test_a_norm_takes_no_batch_of_one_sample(train, where):
    found = [finding for finding in preflight(normed(), train) if finding.level == "problem"]
    assert [(finding.word, finding.layer) for finding in found] == [("shapes", "1")]
    assert found[0].message.startswith(f"{where} has 1 sample, for which layer '1' (BatchNorm1d) raises ValueError")
    assert "drop_last=True" in found[0].advice
    model = normed()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.01))
    with pytest.raises(ValueError, match="more than one value per channel"):
        trainer.fit(train, epochs=1, progress=False)


def test_batches_of_one_sample_that_are_taken():
    one = {"batch_size": 32}
    for model, x, options in (
        (mlp(64, 32, 10), PIXELS, one),
        (normed(), PIXELS, {**one, "drop_last": True}),
        (convolutional(), IMAGES, one),
    ):
        train = Batches(x[:385], LABELS[:385], **options)
        assert preflight(model, train, optimizer=optim.Adam(model.parameters())).level in ("ok", "note")


# ---- batches of different lengths ---------------------------------------------------------------------------------------


class Means(nn.Module):
    """A linear layer on the mean of a sequence of any length."""

    def __init__(self, outputs=3):
        self.first, self.last = nn.Linear(4, 24, rng=0), nn.Linear(24, outputs, rng=1)

    def forward(self, x):
        return self.last(F.relu(self.first(x)).mean(axis=1))


def sequences():
    rng = np.random.default_rng(3)
    return [(rng.normal(size=(20, 5 + i, 4)).astype(np.float32), rng.permutation(np.arange(20) % 3)) for i in range(3)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_all_batches_of_different_lengths_are_looked_at(place):
    batches = sequences()
    batches[place][0][7, 2, 1] = np.nan
    found = preflight(Means(), batches).findings[0]
    assert (found.word, found.level) == ("not finite", "problem")
    where = f"batch {place + 1}, row 7, place 2, 1"
    assert found.message == f"1 number not finite of the input in 1 of 60 rows, the first nan in {where}"
    batches = sequences()
    batches[place][1][11] = 3
    found = preflight(Means(), batches).findings[0]
    assert (found.word, found.level) == ("labels", "problem")
    assert f"the first 3 is in batch {place + 1}, row 11" in found.message
    numbers = [(x, y[:, None].astype(np.float32)) for x, y in sequences()]
    numbers[place][1][4] = 7
    found = preflight(Means(1), numbers, F.binary_cross_entropy_with_logits).findings[0]
    assert (found.word, found.message) == ("labels", "the targets are 0…7, where probabilities lie in [0, 1]")
    batches = sequences()
    batches[1] = (batches[1][0], batches[1][1].astype(np.float32))
    assert "batch 2 has targets of float32 (20,), the first one of int64 (20,)" in str(preflight(Means(), batches))


def test_sound_batches_of_different_lengths():
    report = preflight(Means(), sequences(), validation=sequences()[1:], overfit=False)
    said = {finding.word: finding.message for finding in report}
    assert said["not finite"] == "all numbers of 60 samples are finite"
    assert said["duplicates"] == "none among 60 samples"
    assert said["shared rows"] == "40 of 40 samples of the validation part are in the training part too"
    assert said["shapes"].endswith("outputs float32 (N, 3) (first batch of 3)")
    assert said["labels"] == "3 classes, of 18 to 21 targets"
    assert [finding.word for finding in report if finding.level not in ("ok", "note")] == ["shared rows"]
