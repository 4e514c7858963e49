"""A training with everything at once, which the tests of resuming break off."""

import numpy as np

from fastnn import nn, optim
from fastnn.data import Batches, random_noise, random_shift
from fastnn.training import Checkpoint, EarlyStopping, Trainer

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
