"""Data, networks and losses that `preflight` looks at: sound ones, and ones with a planted fault."""

import itertools

import numpy as np

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches, Imputer, StandardScaler
from fastnn.training import Trainer

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


def with_nan_at(x, row, column):
    x = x.copy()
    x[row, column] = np.nan
    return x


def in_a_list(count):
    return [(PIXELS[i : min(i + 32, count)], LABELS[i : min(i + 32, count)]) for i in range(0, count, 32)]
