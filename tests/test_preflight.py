"""`preflight`: what is planted is named at once, sound networks are left alone, and nothing is changed by looking."""

import itertools
import json
import math

import matplotlib
import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches, Imputer, StandardScaler
from fastnn.diagnosis import Report, preflight
from fastnn.training import Trainer

matplotlib.use("Agg")
from matplotlib import pyplot

VALUES = np.random.default_rng(0)
CENTRES = VALUES.uniform(0, 1, (10, 64))
LABELS = VALUES.integers(0, 10, 1200)
# Like pixels: in 0…1, with a pattern for each class.
PIXELS = np.clip(CENTRES[LABELS] + 0.2 * VALUES.normal(size=(1200, 64)), 0, 1).astype(np.float32)
IMAGES = PIXELS.reshape(-1, 1, 8, 8)
TABLE = VALUES.normal(size=(600, 12)).astype(np.float32)
NUMBERS = (TABLE[:, :1] * TABLE[:, 1:2] + TABLE[:, 2:3] + 0.3 * VALUES.normal(size=(600, 1))).astype(np.float32)
YES = (NUMBERS > 0).astype(np.float32)


def mlp(*sizes, activation=nn.ReLU, rng=0):
    rng = np.random.default_rng(rng)
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b, rng=rng), activation()]
    return nn.Sequential(*layers[:-1])


def drawn(model, draw):
    rng = np.random.default_rng(1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data[...] = draw(rng, parameter.shape)
    return model


def normal(rng, shape):
    return rng.normal(size=shape)


def zeros(rng, shape):
    return 0


def dead():
    model = mlp(64, 64, 64, 10)
    model[0].bias.data[...] = -100
    return model


def frozen(place):
    model = mlp(64, 64, 64, 10)
    model[place].requires_grad_(False)
    return model


def with_nan():
    x = PIXELS.copy()
    x[777, 13] = np.nan
    return x


def own_loss(output, target):
    return -(target * output.log() + (1 - target) * (1 - output).log()).mean()


RAW = (PIXELS * 255).round()
PLANTED = {
    "raw pixels": (lambda: mlp(64, 64, 10), (RAW, LABELS), F.cross_entropy, ["scale", "raw pixels"]),
    "a NaN in one row": (lambda: mlp(64, 64, 10), (with_nan(), LABELS), F.cross_entropy, ["not finite", "row 777, column 13"]),
    "labels 1…10": (lambda: mlp(64, 64, 10), (PIXELS, LABELS + 1), F.cross_entropy, ["labels", "1…10", "y - 1"]),
    "negative labels": (lambda: mlp(64, 64, 10), (PIXELS, LABELS - 1), F.cross_entropy, ["labels", "-1…8"]),
    "labels as floats": (lambda: mlp(64, 64, 10), (PIXELS, LABELS.astype(np.float32)), F.cross_entropy, ["labels", "int64"]),
    "one-hot integers": (lambda: mlp(64, 64, 10), (PIXELS, np.eye(10, dtype=int)[LABELS]), F.cross_entropy, ["one-hot", "argmax"]),
    "too few outputs": (lambda: mlp(64, 64, 7), (PIXELS, LABELS), F.cross_entropy, ["labels", "10 outputs"]),
    "N(0, 1) weights": (lambda: drawn(mlp(64, 64, 64, 10), normal), (PIXELS, LABELS), F.cross_entropy, ["initial loss", "He's rule"]),
    "zero weights": (lambda: drawn(mlp(64, 64, 64, 10), zeros), (PIXELS, LABELS), F.cross_entropy, ["symmetric"]),
    "ten sigmoid layers": (lambda: mlp(64, *[64] * 10, 10, activation=nn.Sigmoid), (PIXELS, LABELS), F.cross_entropy, ["vanishing"]),
    "exploding": (lambda: drawn(mlp(64, *[64] * 10, 10), normal), (PIXELS, LABELS), F.cross_entropy, ["exploding"]),
    "saturated": (lambda: drawn(mlp(64, *[64] * 5, 10, activation=nn.Tanh), normal), (PIXELS, LABELS), F.cross_entropy, ["saturated"]),
    "dead ReLUs": (dead, (PIXELS, LABELS), F.cross_entropy, ["dead"]),
    "N(0, 1) in an LSTM": (lambda: drawn(Last(nn.LSTM, 8, 10, units=32), normal), (PIXELS.reshape(-1, 8, 8), LABELS), F.cross_entropy, ["exploding", "He's rule"]),
    "a frozen layer": (lambda: frozen(2), (PIXELS, LABELS), F.cross_entropy, ["not trained", "2.weight"]),
    "the first layer frozen": (lambda: frozen(0), (PIXELS, LABELS), F.cross_entropy, ["not trained", "0.weight"]),
    "a softmax": (lambda: nn.Sequential(*mlp(64, 64, 10), nn.Softmax(1)), (PIXELS, LABELS), F.cross_entropy, ["outputs", "softmax"]),
    "a sigmoid": (lambda: nn.Sequential(*mlp(12, 16, 1), nn.Sigmoid()), (TABLE, YES), F.binary_cross_entropy_with_logits, ["outputs", "sigmoid"]),
    "targets that are no probabilities": (lambda: mlp(12, 16, 1), (TABLE, 2 * YES), F.binary_cross_entropy_with_logits, ["labels", "[0, 1]"]),
    "outputs that are no probabilities": (lambda: mlp(12, 16, 1), (TABLE, YES), own_loss, ["outputs", "probabilities"]),
    "no logarithms of probabilities": (lambda: mlp(64, 64, 10), (PIXELS, LABELS), F.nll_loss, ["outputs", "logarithms"]),
    "a last ReLU": (lambda: nn.Sequential(*mlp(12, 16, 1), nn.ReLU()), (TABLE, NUMBERS), F.mse_loss, ["outputs", "relu"]),
    "one class": (lambda: mlp(64, 64, 10), (PIXELS, LABELS * 0 + 3), F.cross_entropy, ["one class"]),
    "a wrong shape": (lambda: mlp(60, 64, 10), (PIXELS, LABELS), F.cross_entropy, ["shapes", "layer '0' (Linear)", "64"]),
    "(N, 1) and (N,)": (lambda: mlp(12, 16, 1), (TABLE, NUMBERS[:, 0]), F.mse_loss, ["shapes", "(N, 1)", "(N,)"]),
    "another dtype": (lambda: mlp(12, 16, 1), (TABLE.astype(float), NUMBERS), F.mse_loss, ["shapes", "astype(np.float32)"]),
    "a large target": (lambda: mlp(12, 16, 1), (TABLE, 100 * NUMBERS + 300), F.mse_loss, ["scale"]),
    "divided by 255 twice": (lambda: mlp(64, 64, 10), (PIXELS / 255, LABELS), F.cross_entropy, ["scale"]),
    "one hidden unit": (lambda: mlp(64, 1, 10), (PIXELS, LABELS), F.cross_entropy, ["cannot overfit"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_planted_is_named_in_the_first_three_lines(fault):
    make, data, loss, words = PLANTED[fault]
    model = make()
    report = preflight(model, data, loss, optimizer=optim.Adam(model.parameters(), lr=1e-3))
    first = "\n".join(str(report).splitlines()[:3])
    for word in words:
        assert word in first
    assert report.level in ("warning", "problem")
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("rate", "word"), [(10, "update too large"), (1e-8, "update too small")])
def test_rates(rate, word):
    model = mlp(64, 64, 10)
    for make in (optim.Adam, optim.SGD):
        report = preflight(model, (PIXELS, LABELS), optimizer=make(model.parameters(), lr=rate))
        assert word in str(report).splitlines()[0]


# ---- sound networks -----------------------------------------------------------------------------------------------------


class Last(nn.Module):
    """A recurrent layer, and a linear one on its last step."""

    def __init__(self, kind, inputs, outputs, time_first=False, units=24, rng=0):
        rng = np.random.default_rng(rng)
        self.time_first = time_first
        self.rnn = kind(inputs, units, batch_first=not time_first, rng=rng)
        self.head = nn.Linear(units, outputs, rng=rng)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[-1] if self.time_first else out[:, -1])


class Characters(nn.Module):
    def __init__(self, kinds=12, rng=0):
        rng = np.random.default_rng(rng)
        self.table = nn.Embedding(kinds, 8, rng=rng)
        self.rnn = nn.GRU(8, 32, batch_first=True, rng=rng)
        self.head = nn.Linear(32, kinds, rng=rng)

    def forward(self, x):
        out, _ = self.rnn(self.table(x))
        return self.head(out).transpose(1, 2)


class Two(nn.Module):
    def __init__(self, rng=0):
        rng = np.random.default_rng(rng)
        self.left, self.right = nn.Linear(32, 24, rng=rng), nn.Linear(32, 24, rng=rng)
        self.head = nn.Linear(48, 10, rng=rng)

    def forward(self, a, b):
        return self.head(fnn.concatenate([F.relu(self.left(a)), F.relu(self.right(b))], axis=1))


def convolutional(rng=0):
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False, rng=rng), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, rng=rng), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3, rng=rng), nn.Linear(256, 10, rng=rng),
    )  # fmt: skip


def residual(rng=0):
    """Branches that begin at 0, as they should."""
    rng = np.random.default_rng(rng)
    blocks = []
    for _ in range(3):
        branch = mlp(64, 64, 64, rng=rng)
        branch[2].weight.data[...] = 0
        blocks.append(nn.Residual(branch))
    return nn.Sequential(nn.Linear(64, 64, rng=rng), *blocks, nn.Linear(64, 10, rng=rng))


def fine_tuned():
    """Trained once, then the first layers frozen and a new last one."""
    model = mlp(64, 64, 64, 10)
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3))
    trainer.fit(Batches(PIXELS, LABELS, batch_size=64, shuffle=True, rng=0), epochs=1, progress=False)
    model[0].requires_grad_(False), model[2].requires_grad_(False)
    model[4] = nn.Linear(64, 10, rng=5)
    return model


def filling():
    x = with_nan()
    return nn.Sequential(Imputer().fit(x).as_module(), *mlp(64, 64, 10))


def text():
    rng = np.random.default_rng(3)
    steps = rng.choice([1, 2, 5], (300, 17), p=[0.8, 0.1, 0.1])
    return ((rng.integers(0, 12, (300, 1)) + steps.cumsum(axis=1)) % 12).astype(np.int64)


def in_time(x, rng):
    return np.ascontiguousarray(x.transpose(1, 0, 2))


RNG = np.random.default_rng(4)
SEQUENCES = PIXELS.reshape(-1, 8, 8)
SOUND = {
    "MLP": (lambda: mlp(64, 64, 10), (PIXELS, LABELS), F.cross_entropy),
    "tanh": (lambda: mlp(64, 64, 64, 10, activation=nn.Tanh), (PIXELS, LABELS), F.cross_entropy),
    "a linear model": (lambda: mlp(64, 10), (PIXELS, LABELS), F.cross_entropy),
    "CNN": (convolutional, (IMAGES, LABELS), F.cross_entropy),
    "LSTM": (lambda: Last(nn.LSTM, 8, 10), (SEQUENCES, LABELS), F.cross_entropy),
    "RNN": (lambda: Last(nn.RNN, 8, 10), (SEQUENCES, LABELS), F.cross_entropy),
    "time first": (lambda: Last(nn.GRU, 8, 10, True), Batches(SEQUENCES, LABELS, batch_size=32, transform=in_time), F.cross_entropy),
    "characters": (Characters, (text()[:, :-1], text()[:, 1:]), F.cross_entropy),
    "residual": (residual, (PIXELS, LABELS), F.cross_entropy),
    "autoencoder": (lambda: mlp(64, 32, 12, 32, 64), (PIXELS, PIXELS), F.mse_loss),
    "regression": (lambda: mlp(12, 32, 1), (TABLE, NUMBERS), F.mse_loss),
    "float64": (lambda: mlp(12, 32, 1).astype(np.float64), (TABLE.astype(float), NUMBERS.astype(float)), F.huber_loss),
    "yes or no": (lambda: mlp(12, 32, 1), (TABLE, YES), nn.BCEWithLogitsLoss()),
    "soft targets": (lambda: mlp(64, 64, 10), (PIXELS, (0.1 * 0.1 + 0.9 * np.eye(10)[LABELS]).astype(np.float32)), F.cross_entropy),
    "weights of samples": (lambda: mlp(64, 64, 10), (PIXELS, LABELS, RNG.uniform(0, 2, 1200)), F.cross_entropy),
    "several inputs": (Two, ((PIXELS[:, :32], PIXELS[:, 32:]), LABELS), F.cross_entropy),
    "scaled inside": (lambda: nn.Sequential(StandardScaler().fit(RAW).as_module(), *mlp(64, 64, 10)), (RAW, LABELS), F.cross_entropy),
    "a norm first": (lambda: nn.Sequential(nn.BatchNorm1d(64), *mlp(64, 64, 10)), (RAW, LABELS), F.cross_entropy),
    "gaps filled inside": (filling, (with_nan(), LABELS), F.cross_entropy),
    "fine-tuning": (fine_tuned, (PIXELS, LABELS), F.cross_entropy),
    "a list of batches": (lambda: mlp(64, 64, 10), [(PIXELS[i : i + 100], LABELS[i : i + 100]) for i in range(0, 1200, 100)], F.cross_entropy),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_sound_networks_have_nothing_above_a_note(name):
    make, data, loss = SOUND[name]
    model = make()
    report = preflight(model, data, loss, optimizer=optim.Adam(model.parameters(), lr=1e-3))
    assert report.level in ("ok", "note"), str(report)
    assert str(report).startswith("ok: nothing looks wrong")
    assert report.overfit is not None
    assert report.initial is not None


def test_on_the_numpy_backend():
    make, data, loss, _ = PLANTED["a softmax"]
    with fnn.use_backend("numpy"):
        assert preflight(make(), data, loss, overfit=False).findings[0].word == "outputs"
        assert preflight(mlp(64, 64, 10), (PIXELS, LABELS), overfit=False).level == "ok"


# ---- single checks ------------------------------------------------------------------------------------------------------


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


# ---- nothing is changed -------------------------------------------------------------------------------------------------


def trained(look):
    """Three epochs with dropout, batch norm, shuffling and augmentation, with somebody looking after each step or not."""
    model = convolutional()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    noise = np.random.default_rng(8)
    train = Batches(
        IMAGES[:128], LABELS[:128], batch_size=64, shuffle=True, rng=3,
        transform=lambda x, rng: (x + 0.1 * rng.normal(size=x.shape) + 0.01 * noise.normal(size=x.shape)).astype(np.float32),
    )  # fmt: skip

    def on_epoch_end(trainer):
        if look:
            before = [parameter.data for parameter in model.parameters()]
            preflight(model, train, optimizer=optimizer, validation=(IMAGES[128:], LABELS[128:]), samples=64)
            assert all(a is p.data for a, p in zip(before, model.parameters(), strict=True))

    trainer = Trainer(model, optimizer)
    trainer.fit(train, epochs=3, callbacks=[on_epoch_end], progress=False)
    state = [*model.state_dict().values()]
    moments = [
        a for kept in optimizer.state_dict()["state"].values() for a in kept.values() if isinstance(a, np.ndarray)
    ]
    generators = [model[7].rng.bit_generator.state, noise.bit_generator.state]
    return [array.tobytes() for array in [*state, *moments]], trainer.history["train_loss"].tolist(), generators


def test_looking_changes_nothing():
    assert trained(True) == trained(False)


def test_modes_gradients_and_requires_grad_stay():
    model = frozen(0).eval()
    model[2].weight.grad = np.ones_like(model[2].weight.data)
    preflight(model, (PIXELS, LABELS), optimizer=optim.Adam(model[2].parameters(), lr=0.1))
    assert not any(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True, True, True]
    assert (model[2].weight.grad == 1).all()


def test_the_same_report_each_time_and_for_any_number_of_threads():
    model = convolutional()
    reports = []
    for threads in (1, 3, 1):
        with fnn.set_num_threads(threads):
            reports.append(
                preflight(model, (IMAGES, LABELS), optimizer=optim.Adam(model.parameters()), rng=4).to_dict()
            )
    assert reports[0] == reports[1] == reports[2]


# ---- arguments, text and pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (("net", (PIXELS, LABELS)), {}, TypeError, "preflight: model must be a Module"),
        ((mlp(64, 10), (PIXELS, LABELS), nn.MSELoss), {}, TypeError, "preflight: loss must be a function"),
        ((mlp(64, 10), (PIXELS, LABELS[:5])), {}, ValueError, "preflight: "),
        ((mlp(64, 10), []), {}, ValueError, "preflight: train has no batch"),
        ((mlp(64, 10), iter([])), {}, TypeError, "preflight: train is an iterator"),
        ((mlp(64, 10), [PIXELS]), {}, ValueError, "preflight: a batch must be"),
        ((mlp(64, 10), (PIXELS, LABELS)), {"samples": 0}, ValueError, "preflight: samples must be at least 1"),
        (
            (mlp(64, 10), (PIXELS, LABELS)),
            {"optimizer": "Adam"},
            TypeError,
            "preflight: optimizer must be an Optimizer",
        ),
        ((mlp(64, 10), (PIXELS, LABELS)), {"rng": "x"}, TypeError, "preflight: rng"),
    ],
)
def test_what_is_refused(arguments, options, error, text):
    with pytest.raises(error, match=text):
        preflight(*arguments, **options)


def test_text():
    make, data, loss, _ = PLANTED["labels 1…10"]
    lines = str(preflight(make(), data, loss)).splitlines()
    assert lines[0] == "1 problem: labels"
    assert lines[1].startswith("PROBLEM  labels: the targets are 1…10")
    assert all(line.startswith("ok       ") for line in lines[3:])
    assert max(map(len, lines[3:])) <= 110


@pytest.mark.parametrize("fault", ["labels 1…10", "raw pixels", "zero weights"])
def test_pictures(fault):
    make, data, loss, _ = PLANTED[fault]
    report = preflight(make(), data, loss)
    assert isinstance(report, Report)
    axes = report.plot()
    assert axes.shape == (2,)
    assert len(axes[0].get_yticklabels()) == len({finding.word for finding in report})
    _, given = pyplot.subplots(1, 2)
    assert (report.plot(given) == given).all()
    for part in (report.initial, report.overfit):
        if part is not None:
            assert part.plot(given[0]) is given[0]
    pyplot.close("all")


def test_nothing_is_drawn_twice_for_a_loss_that_is_not_finite():
    model = drawn(mlp(64, *[64] * 40, 10), lambda rng, shape: 9 * rng.normal(size=shape))
    report = preflight(model, (PIXELS, LABELS))
    assert report.level == "problem"
    assert report.findings[0].word in ("exploding", "not finite")
    assert report.initial is None or math.isfinite(report.initial.seen)
    report.plot()
    pyplot.close("all")


@pytest.mark.parametrize("change", [lambda y: 1000 * y, lambda y: y + 100])
def test_targets_that_are_large_numbers_come_before_what_follows_from_them(change):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    model = nn.Sequential(nn.Linear(6, 32, rng=0), nn.ReLU(), nn.Linear(32, 1, rng=1))
    report = preflight(model, (x, change(2 * x[:, :1] + x[:, 1:2])), F.mse_loss)
    assert str(report).splitlines()[1].startswith("PROBLEM  scale: the target has mean")
    assert len(report.findings) > 1


# ---- the validation part ------------------------------------------------------------------------------------------------


def with_nan_at(x, row, column):
    x = x.copy()
    x[row, column] = np.nan
    return x


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


def in_a_list(count):
    return [(PIXELS[i : min(i + 32, count)], LABELS[i : min(i + 32, count)]) for i in range(0, count, 32)]


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


@pytest.mark.parametrize("name", SOUND)
def test_sound_validation_parts_are_no_fault(name):
    make, data, loss = SOUND[name]
    report = preflight(make(), data, loss, validation=data, overfit=False)
    assert not [finding for finding in report if finding.message.startswith("validation: ") and finding.level != "note"]
    assert "shared rows" in report


def test_the_same_where_no_gradients_are_recorded():
    x, y = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32), np.arange(100) % 4
    net = nn.Sequential(nn.Linear(5, 32, rng=0), nn.ReLU(), nn.Linear(32, 4, rng=0))
    expected = str(preflight(net, (x, y), rng=0))
    with fnn.no_grad():
        assert str(preflight(net, (x, y), rng=0)) == expected
