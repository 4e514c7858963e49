"""Pictures that are drawn in the middle of a training change nothing of it, to the bit."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim, plots
from fastnn.data import Batches
from fastnn.training import Trainer, WeightPath
from pictures import leaves, new_axes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
IMAGES = RNG.normal(size=(24, 1, 6, 6)).astype(np.float32)


def dense():
    return nn.Sequential(
        nn.Linear(2, 6, rng=0), nn.BatchNorm1d(6), nn.RReLU(rng=3), nn.Dropout(0.5, rng=1), nn.Linear(6, 2, rng=2)
    )


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, rng=0),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout2d(0.5, rng=1),
        nn.Flatten(),
        nn.Linear(48, 2, rng=2),
    )


def fitted(make, x, callbacks=()):
    """All that a training ends with."""
    model = make()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01))
    trainer.fit(
        Batches(x, Y[: len(x)], batch_size=8, shuffle=True, rng=0), epochs=3, callbacks=callbacks, progress=False
    )
    state = trainer.state_dict()
    return list(
        leaves({"model": model.state_dict(), "optimizer": trainer.optimizer.state_dict(), "streams": repr(state)})
    )


def draw_dense(trainer, path):
    model = trainer.model
    plots.decision_regions(model, X, Y, resolution=8, ax=new_axes())
    plots.plane_map(model, X, Y, axes=new_axes(4))
    plots.loss_surface(model, X, Y, paths=path, resolution=3, ax=new_axes())
    plots.loss_surface(model, X, Y, rng=0, resolution=3, ax=new_axes())
    plots.activation(model[2], ax=new_axes())


def draw_convolutional(trainer, path):
    plots.filters(trainer.model[0], ax=new_axes())
    plots.feature_maps(trainer.model, IMAGES[0], "2", ax=new_axes())


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize(
    ("make", "x", "draw"),
    [(dense, X, draw_dense), (convolutional, IMAGES, draw_convolutional)],
    ids=["dense", "convolutional"],
)
def test_the_training_goes_on_as_if_nothing_had_been_drawn(make, x, draw, backend):
    path = WeightPath()
    with fnn.use_backend(backend):
        seen = []

        def drawing(trainer):
            draw(trainer, path)
            seen.append(trainer.epoch)

        assert fitted(make, x, [path, drawing]) == fitted(make, x)
    assert seen == [1, 2, 3]
