"""Pictures of a convolutional network and its data, the digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, optim
from ..data import random_noise, random_shift
from ..functional import softmax
from ..plots.feature_maps import draw_maps, maps_of
from ..plots.filters import draw_filters, weights_as_tiles
from ..plots.images import images
from ..training import predict
from .entry import Entry, Numbers
from .studio import Studio, dense, train

_SHOWN = 30


def _hardest(studio: Studio) -> Numbers:
    """The test images whose own class is the least probable."""
    test = studio.digits.test
    scores = predict(studio.cnn, test.images).astype(np.float64)
    own = softmax(scores)[np.arange(len(scores)), test.labels]
    order = np.argsort(own, kind="stable")[:_SHOWN]
    said = scores.argmax(1)
    return {
        "images": test.images[order],
        "labels": test.labels[order],
        "said": said[order],
        "probability": own[order],
        "accuracy": np.array((said == test.labels).mean()),
    }


def _draw_hardest(figure: Any, numbers: Numbers) -> None:
    ax = figure.subplots()
    words = []
    for truth, said, share in zip(numbers["labels"], numbers["said"], numbers["probability"], strict=True):
        words.append(f"{truth}: {100 * share:.0f} %" if truth == said else f"{truth}, not {said}")
    images(numbers["images"], words, columns=10, ax=ax)
    right = f"{100 * float(numbers['accuracy']):.1f} %"
    ax.set_title(f"the {_SHOWN} test images that are hardest for it; it names {right} of all right")


def _augmented(studio: Studio) -> Numbers:
    rng = studio.rng("augmentation")
    chosen = studio.digits.train.images[[3, 11, 20]]
    rows, words = [], []
    for name, change in (
        ("as it is", lambda batch: batch),
        ("shifted", lambda batch: random_shift(batch, rng, pixels=1)),
        ("noise", lambda batch: random_noise(batch, rng, std=0.15)),
        ("both", lambda batch: random_noise(random_shift(batch, rng, pixels=1), rng, std=0.15)),
    ):
        rows.append(change(chosen))
        words += [name] * 3
    return {"images": np.concatenate(rows), "words": words}


def _draw_augmented(figure: Any, numbers: Numbers) -> None:
    images(numbers["images"], numbers["words"], columns=6, ax=figure.subplots())


def _filters(studio: Studio) -> Numbers:
    first, second = studio.cnn[0], studio.cnn[3]
    return {"first": weights_as_tiles(first), "second": weights_as_tiles(second)}


def _draw_filters(figure: Any, numbers: Numbers) -> None:
    left, right = figure.subplots(1, 2)
    draw_filters(numbers["first"], left)
    draw_filters(numbers["second"], right)
    left.set_title("first layer: " + numbers["first"].words)
    right.set_title("second layer: " + numbers["second"].words.partition(" (rows)")[0])


def _maps(studio: Studio) -> Numbers:
    image = studio.digits.test.images[8]
    first, second = (maps_of(studio.cnn, image, layer, sort=True) for layer in ("1", "4"))
    return {"image": image, "first": first, "second": second}


def _draw_maps(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(1, 3, width_ratios=(1, 2.6, 3.4))
    images(numbers["image"][None], ax=axes[0])
    axes[0].set(title="the image", xlabel="")
    draw_maps(numbers["first"], axes[1])
    draw_maps(numbers["second"], axes[2])
    for ax, name in zip(axes[1:], ("first", "second"), strict=True):
        found = numbers[name]
        dead = f", {int(found.dead.sum())} dead" if found.dead.any() else ""
        ax.set_title(f"{len(found.maps)} maps after the {name} ReLU{dead}")


def _pixels(studio: Studio) -> Numbers:
    """A linear classifier on pixels, with and without weight decay."""
    found = {}
    for name, decay in (("without weight decay", 0.0), ("with weight decay", 0.05)):
        rng = studio.rng("pixels")
        model = dense(rng, (64, 10))
        data = studio.digits.train
        optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=decay)
        train(model, (data.images.reshape(-1, 64), data.labels), optimizer, epochs=10, rng=rng)
        layer = model[0]
        assert isinstance(layer, nn.Linear)
        found[name] = weights_as_tiles(layer, (1, 8, 8))
    return found


def _draw_pixels(figure: Any, numbers: Numbers) -> None:
    for ax, (name, found) in zip(figure.subplots(1, 2), numbers.items(), strict=True):
        draw_filters(found, ax)
        ax.set_title(f"0 to 9, {name}")


ENTRIES = (
    Entry(
        "hard-digits",
        "The digits that are hardest",
        "A small convolutional network was trained on 1257 handwritten digits of 8×8 pixels. Of the 359 test images these are the "
        "ones to whose true class it gives the least probability; where it names another, both are said. It is worth looking at "
        "such images: some are hard for people too, some have a wrong label, and some show what the training lacks.",
        "Thirty small images of digits in three rows, with their labels and what the network says.",
        _hardest,
        _draw_hardest,
        (8.0, 3.9),
    ),
    Entry(
        "augmentation",
        "More data from the data",
        "A digit that is shifted by a pixel, or slightly noisy, is the same digit. Such copies are made anew for each batch, and for the "
        "training part alone, so a network never sees the same image twice and cannot learn it by heart. Changes must keep the "
        "class: a 6 that is turned upside down is a 9.",
        "Images of three digits: as they are, shifted, with noise, and with both.",
        _augmented,
        _draw_augmented,
        (8.0, 3.6),
    ),
    Entry(
        "linear-filters",
        "What a linear classifier looks for",
        "The weights of a network without hidden layers, one picture per digit: red pixels speak for it, blue ones against it. They look "
        "like a blurred mean of the digit minus that of the others. Weight decay makes them smoother, since it does not pay to "
        "give a pixel a large weight that its neighbours don't have.",
        "Two panels with ten small pictures of weights each, one per digit, speckled without weight decay and smooth with it.",
        _pixels,
        _draw_pixels,
        (8.0, 2.2),
    ),
    Entry(
        "filters",
        "Filters of a convolution",
        "The filters of the first layer of the convolutional network look for edges and strokes in several directions. A filter of "
        "the second layer has a small picture for each map of the first, which it adds up; these mean little to the eye. All of a "
        "layer share one scale, on which white is 0.",
        "Left twelve filters of 5×5 weights, right a table of 16 rows and 12 columns of 3×3 weights, in red and blue.",
        _filters,
        _draw_filters,
        (8.0, 3.6),
    ),
    Entry(
        "feature-maps",
        "Feature maps: what the layers see",
        "One image, and what each filter finds in it, the most active first. All maps of a layer have the same scale, so faint ones "
        "are truly weak. Maps with a grey frame are 0 everywhere for this image; a map that is so for all images is dead and does nothing.",
        "A digit, the twelve maps of the first layer and the 24 maps of the second, in shades of red.",
        _maps,
        _draw_maps,
        (8.0, 3.6),
    ),
)
