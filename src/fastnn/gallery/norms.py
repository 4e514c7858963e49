"""Pictures of preparing data, and of normalisations between layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn, optim
from ..autograd import Tensor
from ..data import StandardScaler, Whitening
from ..plots._style import BLUE, GREY, ORANGE, colours_of, matplotlib
from .curves import draw_losses
from .entry import Entry, Numbers
from .studio import Studio, train

_SHAPE = (4, 6, 3, 3)  # samples, channels, height and width of the batch that is normalised


def _prepared(studio: Studio) -> Numbers:
    rng = studio.rng("prepared")
    raw = rng.normal(size=(400, 2)) @ np.array([[2.2, 1.5], [0.0, 0.6]]) + [3.0, 1.0]
    centred = raw - raw.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return {
        "raw": raw,
        "centred: mean 0": centred,
        "scaled: deviation 1": StandardScaler().fit_transform(raw),
        "decorrelated (PCA)": centred @ vectors[:, ::-1],
        "whitened (ZCA)": Whitening("zca", eps=0.0).fit_transform(raw),
    }


def _draw_prepared(figure: Any, numbers: Numbers) -> None:
    for ax, (name, points) in zip(figure.subplots(1, 5, sharex=True, sharey=True), numbers.items(), strict=True):
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.scatter(*points.T, s=4, color=BLUE, alpha=0.6)
        ax.set_aspect("equal")
        ax.set_title(name, fontsize="small")
        ax.set(xlabel="component 0" if "PCA" in name else "feature 0", xlim=(-6.5, 9.5), ylim=(-6.5, 8))
    figure.axes[0].set_ylabel("feature 1")


# ---- which numbers a norm brings together --------------------------------------------------------------------------------


def _shared(studio: Studio) -> Numbers:
    """For each kind of norm, which numbers (sample, channel) have an influence on one of them, by the gradient."""
    rng = studio.rng("shared")
    x = rng.normal(size=_SHAPE)
    norms: dict[str, Callable[[Any], Any]] = {
        "batch norm": lambda given: F.batch_norm(given, None, None, training=True),
        "layer norm": lambda given: F.layer_norm(given, _SHAPE[1:]),
        "instance norm": F.instance_norm,
        "group norm, 2 groups": lambda given: F.group_norm(given, 2),
    }
    found = {}
    for name, norm in norms.items():
        given = Tensor(x, requires_grad=True)
        norm(given)[1, 2, 1, 1].backward()
        assert given.grad is not None
        found[name] = (np.abs(given.grad) > 1e-12).any((2, 3))
    return found


def _draw_shared(figure: Any, numbers: Numbers) -> None:

    colours = matplotlib("the gallery", "matplotlib.colors").ListedColormap([GREY, ORANGE])
    for ax, (name, shared) in zip(figure.subplots(1, 4, sharey=True), numbers.items(), strict=True):
        ax.pcolormesh(shared.astype(float), cmap=colours, vmin=0, vmax=1, edgecolors=ax.get_facecolor(), linewidth=2)
        ax.plot([2.5], [1.5], marker="o", color="#000000", markersize=7)
        ax.set(aspect="equal", title=name, xlabel="channel")
        ax.set_xticks(np.arange(_SHAPE[1]) + 0.5, range(_SHAPE[1]))
        ax.set_yticks(np.arange(_SHAPE[0]) + 0.5, range(_SHAPE[0]))
    figure.axes[0].set_ylabel("sample")
    figure.axes[0].invert_yaxis()


# ---- training with and without -------------------------------------------------------------------------------------------

_DEEP = 8


def _normed(studio: Studio) -> Numbers:
    found = {}
    for name, make in (
        ("without", lambda: None),
        ("batch norm", lambda: nn.BatchNorm1d(48, momentum=0.9)),
        ("layer norm", lambda: nn.LayerNorm(48)),
        ("RMS norm", lambda: nn.RMSNorm(48)),
    ):
        rng = studio.rng("normed")
        data = studio.digits
        layers: list[nn.Module] = [nn.Flatten()]
        for i in range(_DEEP):
            linear = nn.Linear(48 if i else 64, 48, rng=rng)
            linear.weight.data *= 0.2
            layers.append(linear)
            norm = make()
            layers += [norm, nn.Tanh()] if norm is not None else [nn.Tanh()]
        model = nn.Sequential(*layers, nn.Linear(48, 10, rng=rng))
        optimizer = optim.SGD(model.parameters(), lr=0.02)
        records = train(model, data.train, optimizer, epochs=16, rng=rng, validation=data.validation, batch_size=64)
        found[name] = np.array(records["validation_loss"])
    return found


def _inside(studio: Studio) -> Numbers:
    """What enters the activations of a deep network, with badly scaled weights, without and with batch norm."""
    rng = studio.rng("inside")
    x = studio.digits.train.images[:500].reshape(500, 64)
    found: dict[str, Any] = {}
    for name, normed in (("without batch norm", False), ("with batch norm", True)):
        h: Any = x
        entering = []
        for _ in range(5):
            h = h @ (rng.normal(size=(h.shape[1], 64)) * 0.7).astype(np.float32)
            if normed:
                h = F.batch_norm(h, None, None, training=True)
            entering.append(np.histogram(h, bins=64, range=(-12, 12), density=True)[0])
            h = F.tanh(h)
        found[name] = np.array(entering)
    return found


def _draw_inside(figure: Any, numbers: Numbers) -> None:
    middle = np.linspace(-12, 12, 65)
    middle = (middle[1:] + middle[:-1]) / 2
    for ax, (name, entering) in zip(figure.subplots(1, 2, sharex=True), numbers.items(), strict=True):
        for i, density in enumerate(entering):
            ax.fill_between(middle, i, i + 0.9 * density / density.max(), color=colours_of(5)[i], alpha=0.6)
            ax.plot(middle, i + 0.9 * density / density.max(), color=colours_of(5)[i], linewidth=1)
        for end in (-2.1, 2.1):
            ax.axvline(end, color=GREY, linestyle="--", linewidth=1)
        ax.set_yticks(range(5), [f"layer {i + 1}" for i in range(5)])
        ax.set(title=name, xlabel="input of tanh")


ENTRIES = (
    Entry(
        "prepared-data",
        "Preparing data",
        "Features of different size and place make a loss hard to descend. Centring moves the mean to 0; scaling makes every standard "
        "deviation 1; PCA turns the axes so that features are no longer correlated; whitening makes the cloud round, and ZCA turns it "
        "back, so that images still look like images. Means, scales and axes are those of the training part alone, and are applied "
        "to validation and test data as they are.",
        "Five clouds of points: raw, long and away from 0; centred; scaled; turned onto the axes; round.",
        _prepared,
        _draw_prepared,
        (8.0, 2.1),
    ),
    Entry(
        "normalisations",
        "Which numbers a normalisation brings together",
        "Each square is a sample and a channel of a batch of images. The number at the dot is normalised with the mean and deviation of the "
        "orange squares. Batch norm takes one channel of all samples, so it depends on the batch and needs averages for evaluation. "
        "Layer norm takes all channels of one sample, instance norm one channel of one sample, group norm some channels of one: none "
        "of these depends on the other samples. The orange squares were found by the gradient.",
        "Four tables of four samples by six channels: batch norm marks a column, layer norm a row, instance norm one square, "
        "group norm three squares of a row.",
        _shared,
        _draw_shared,
        (8.0, 2.0),
    ),
    Entry(
        "inside-batch-norm",
        "What batch norm does inside",
        "Weights that are too large push what enters tanh far to both sides, where it is saturated: beyond the dashed lines its slope is below "
        "5 % of the largest. Batch norm brings it back to mean 0 and deviation 1 in every layer, whatever the weights; afterwards a learned "
        "scale and shift let a layer choose otherwise.",
        "Two panels with histograms of what enters five layers: far beyond the dashed lines without batch norm, between them with it.",
        _inside,
        _draw_inside,
        (8.0, 3.8),
    ),
    Entry(
        "training-with-norms",
        "Normalisation helps deep networks to learn",
        "A network with eight hidden layers of tanh is to learn the digits by plain gradient descent, from weights that are five times too small. "
        "Without help, signal and gradient vanish on their way, and the loss stays where it began, at ln 10 = 2.3. With batch norm, layer norm "
        "or RMS norm before each activation the same network learns at the same rate.",
        "Line plot of validation losses against epochs: those with norms fall faster than the one without.",
        _normed,
        partial(draw_losses, label="validation loss (cross-entropy)"),
    ),
)
