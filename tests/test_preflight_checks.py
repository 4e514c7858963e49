"""Each check of `preflight` by itself: what it names, and what it leaves alone."""

import math

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import preflight
from preflight_cases import LABELS, NUMBERS, PIXELS, RAW, SEQUENCES, TABLE, Last, mlp


def test_infinite_numbers_in_the_target_and_in_a_parameter():
    y = NUMBERS.copy()
    y[5] = np.inf
    found = preflight(mlp(12, 16, 1), (TABLE, y), F.mse_loss).findings[0]
    assert (found.word, found.level) == ("not finite", "problem")
    assert "target" in found.message
    assert "row 5" in found.message
    model = mlp(64, 64, 10)
    model[2].weight.data[3, 4] = np.nan
    assert "parameter '2.weight' holds 1 number not finite" in str(preflight(model, (PIXELS, LABELS)))


def test_a_loss_that_is_not_finite_is_traced_to_its_layer():
    class Log(nn.Module):
        def forward(self, x):
            return x.log()

    model = nn.Sequential(nn.Linear(64, 64, rng=0), Log(), nn.Linear(64, 10, rng=1))
    report = preflight(model, (PIXELS, LABELS))
    assert report.findings[0].word == "not finite"
    assert "layer '1' (Log) gives nan" in report.findings[0].message


def test_an_exception_in_the_model_is_a_finding():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no such thing")

    report = preflight(nn.Sequential(nn.Linear(64, 32, rng=0), Broken()), (PIXELS, LABELS))
    assert report.findings[0].layer == "1"
    assert (
        "layer '1' (Broken) got float32 (256, 32) and fails: RuntimeError: no such thing" in report.findings[0].message
    )
    assert report.overfit is None


def test_a_loss_of_ones_own_that_makes_all_pairs():
    def squares(output, target):
        return ((output - target) ** 2).mean()

    found = preflight(mlp(12, 16, 1), (TABLE, NUMBERS[:, 0]), squares).findings[0]
    assert (found.word, found.level) == ("shapes", "problem")
    assert preflight(mlp(12, 16, 1), (TABLE, NUMBERS), squares).level in ("ok", "note")


def test_columns_of_different_scale():
    x = TABLE.copy()
    x[:, ::2] *= 1e-4
    found = preflight(mlp(12, 32, 1), (x, NUMBERS), F.mse_loss)
    assert "scale" in found
    assert found.findings[0].level in ("warning", "problem")


def test_rows_that_training_and_validation_share():
    report = preflight(
        mlp(12, 32, 1), (TABLE[:400], NUMBERS[:400]), F.mse_loss, validation=(TABLE[300:], NUMBERS[300:])
    )
    found = next(finding for finding in report if finding.word == "shared rows")
    assert (found.level, found.message) == (
        "problem",
        "100 of 300 samples of the validation part are in the training part too",
    )
    report = preflight(
        mlp(12, 32, 1), (TABLE[:400], NUMBERS[:400]), F.mse_loss, validation=(TABLE[400:], NUMBERS[400:])
    )
    assert "shared rows" not in report


def test_inputs_of_few_values_may_come_again():
    x = np.random.default_rng(0).integers(0, 2, (400, 4)).astype(np.float32)
    y = (x.sum(axis=1) % 2).astype(np.int64)
    report = preflight(mlp(4, 32, 2), (x[:300], y[:300]), validation=(x[300:], y[300:]), overfit=False)
    assert {f.word for f in report if f.level == "note"} >= {"duplicates", "shared rows"}
    assert report.level == "note"


def test_pairs_that_a_random_split_parts_are_by_nature():
    x = np.concatenate([TABLE[:400], TABLE[:40]])
    y = np.concatenate([NUMBERS[:400], NUMBERS[:40]])
    order = np.random.default_rng(2).permutation(440)
    (a, b), (c, d) = (x[order[:352]], y[order[:352]]), (x[order[352:]], y[order[352:]])
    report = preflight(mlp(12, 32, 1), (a, b), F.mse_loss, validation=(c, d), overfit=False)
    assert next(finding for finding in report if finding.word == "shared rows").level == "note"


def test_samples_that_are_mixed():
    class Centred(nn.Module):
        def forward(self, x):
            return x - x.mean(axis=0, keepdims=True)

    report = preflight(nn.Sequential(nn.Linear(64, 32, rng=0), Centred(), nn.Linear(32, 10, rng=1)), (PIXELS, LABELS))
    assert "mixed samples" in report
    assert "mixed samples" in str(report).splitlines()[0]


def test_layers_that_draw_mix_no_samples():
    class Noise(nn.Module):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            return x + 0.1 * self.rng.normal(size=x.shape).astype(np.float32)

    assert "mixed samples" not in preflight(nn.Sequential(Noise(), *mlp(64, 64, 10)), (PIXELS, LABELS))


def test_parameters_that_the_optimiser_lacks():
    model = mlp(64, 64, 10)
    report = preflight(model, (PIXELS, LABELS), optimizer=optim.SGD([model[0].weight, model[0].bias], lr=0.1))
    found = report.findings[0]
    assert (found.word, found.level) == ("not trained", "warning")
    assert "'2.weight', '2.bias'" in found.message
    other = mlp(64, 64, 10)
    report = preflight(model, (PIXELS, LABELS), optimizer=optim.SGD(other.parameters(), lr=0.1))
    assert report.level == "problem"
    assert "not trained" in report


def test_everything_is_frozen():
    model = mlp(64, 64, 10).requires_grad_(False)
    report = preflight(model, (PIXELS, LABELS))
    assert (report.findings[0].word, report.findings[0].level) == ("not trained", "problem")
    assert "nothing to train: all parameters are frozen" in report.findings[0].message
    assert report.overfit is None


@pytest.mark.parametrize("cut", [lambda y: y.detach(), lambda y: y.numpy(), lambda y: y.mean(), lambda y: None])
def test_outputs_that_nothing_learns_from(cut):
    class Cut(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(64, 10, rng=0)

        def forward(self, x):
            return cut(self.layer(x))

    found = preflight(Cut(), (PIXELS, LABELS)).findings[0]
    assert (found.word, found.level) in (("no gradient", "problem"), ("shapes", "problem"))


def test_a_model_without_parameters():
    class First(nn.Module):
        def forward(self, x):
            return x[:, :10]

    found = preflight(First(), (PIXELS, LABELS)).findings[0]
    assert (found.word, found.level) == ("not trained", "problem")
    assert found.message == "nothing to train: the model has no parameters"


def test_weights_of_samples_that_are_all_0():
    report = preflight(mlp(64, 64, 10), (PIXELS, LABELS, np.zeros(1200)))
    assert (report.findings[0].word, report.findings[0].level) == ("labels", "problem")
    assert report.findings[0].message == "all weights of 1200 samples are 0: none counts"


@pytest.mark.parametrize("dtype", [complex, object, np.float16, np.uint8])
def test_inputs_of_other_dtypes(dtype):
    found = preflight(mlp(64, 32, 10), (PIXELS.astype(dtype), LABELS)).findings[0]
    assert (found.word, found.layer) == ("shapes", "0")


@pytest.mark.parametrize("loss", [lambda output, target: None, lambda output, target: output.sum(axis=1)])
def test_a_loss_that_gives_no_number(loss):
    found = preflight(mlp(64, 32, 10), (PIXELS, LABELS), loss).findings[0]
    assert (found.word, found.level) == ("shapes", "problem")
    assert "float32 (N, 10)" in found.message


def test_a_layer_that_is_not_called():
    class Forgotten(nn.Module):
        def __init__(self):
            self.used, self.unused = nn.Linear(64, 10, rng=0), nn.Linear(64, 10, rng=1)

        def forward(self, x):
            return self.used(x)

    report = preflight(Forgotten(), (PIXELS, LABELS))
    assert "no gradient" in report
    assert "unused.weight" in str(report)


def test_classes_that_are_uneven_or_lacking():
    few = np.concatenate([np.flatnonzero(LABELS != 1), np.flatnonzero(LABELS == 1)[:2]])
    report = preflight(mlp(64, 64, 12), (PIXELS[few], LABELS[few]), overfit=False)
    notes = [finding.message for finding in report if finding.word == "labels"]
    assert any("2 of 12 outputs have no sample: 10, 11" in note for note in notes)
    assert any("class 1 only 2" in note for note in notes)
    assert report.level == "note"


def test_a_rare_class_does_not_make_the_initial_loss_a_fault():
    """The class frequencies' loss is small then, but a new network does not know them."""
    y = np.zeros(1200, np.int64)
    y[::100] = 1
    report = preflight(mlp(64, 64, 2), (PIXELS, y), overfit=False)
    assert report.level in ("ok", "note")
    assert report.initial.expected == pytest.approx(math.log(2), rel=1e-5)


def test_labels_that_are_ignored():
    y = LABELS.copy()
    y[::2] = -100
    assert preflight(mlp(64, 64, 10), (PIXELS, y)).level in ("ok", "note")
    y[...] = -100
    assert preflight(mlp(64, 64, 10), (PIXELS, y)).findings[0].word == "labels"
    y[...] = LABELS
    y[::2] = -1
    assert preflight(mlp(64, 64, 10), (PIXELS, y), nn.CrossEntropyLoss(ignore_index=-1)).level in ("ok", "note")


def test_all_samples_the_same_and_one_sample():
    assert "constant features" in preflight(mlp(64, 64, 10), (PIXELS * 0, LABELS))
    report = preflight(mlp(12, 16, 1), (TABLE[:1], NUMBERS[:1]), F.mse_loss)
    assert report.findings[0].word == "one class"


def test_a_transform_makes_the_inputs():
    """Batches of row numbers, which a transform reads."""
    batches = Batches(np.arange(1200), LABELS, batch_size=32, transform=lambda rows, rng: PIXELS[rows])
    assert preflight(mlp(64, 64, 10), batches).level == "ok"
    batches = Batches(np.arange(1200), LABELS, batch_size=32, transform=lambda rows, rng: RAW[rows])
    assert "scale" in preflight(mlp(64, 64, 10), batches)


def test_several_outputs_and_targets():
    class Both(nn.Module):
        def __init__(self):
            self.first, self.second = mlp(64, 32, 10), mlp(64, 32, 1)

        def forward(self, x):
            return self.first(x), self.second(x)

    def loss(output, target):
        return F.cross_entropy(output[0], target[0]) + F.mse_loss(output[1], target[1])

    model = Both()
    targets = LABELS, PIXELS[:, :1] - PIXELS[:, 1:2]
    report = preflight(
        model, Batches(PIXELS, targets, batch_size=32), loss, optimizer=optim.Adam(model.parameters(), lr=1e-3)
    )
    assert report.level in ("ok", "note"), str(report)
    assert report.initial.expected is None


def test_sequences_of_several_lengths():
    """Batches that cannot be put together: the first one is looked at."""
    batches = [(SEQUENCES[i : i + 60, : 4 + i // 200], LABELS[i : i + 60]) for i in range(0, 1200, 60)]
    assert preflight(Last(nn.LSTM, 8, 10), batches).level in ("ok", "note")
