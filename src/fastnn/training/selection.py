"""Which of several recipes suits data best, by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.source import Dataset, Part
from .own_data import OwnTraining
from .recipe import Recipe

_FOLDS = 3
_SEED = 0  # the choice is the same for every seed of a training, so that results can be compared


def selected(data: Dataset, recipes: Sequence[Recipe]) -> tuple[Recipe, str]:
    """The recipe with the smallest loss on parts of the training data that were held out in turn.

    Parameters
    ----------
    data : Dataset
        With its parts; the test part is not looked at.
    recipes : sequence of Recipe
        What to choose from.

    Returns
    -------
    recipe : Recipe
    why : str
        The losses in words, the smallest first; empty where there is no choice.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part
    >>> from fastnn.training.recipe import Recipe
    >>> from fastnn.training.selection import selected
    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> data = Dataset("a", "csv", {"train": Part(x, 3 * x[:, 0])}, None)
    >>> selected(data, [Recipe(20, 8, 1e-6), Recipe(20, 8, 1e-2)])[0].lr
    0.01
    """
    distinct = list(dict.fromkeys(recipes))
    if len(distinct) == 1:
        return distinct[0], ""
    losses = [float(np.mean([_loss(fold, recipe) for fold in folds(data)])) for recipe in distinct]
    best = int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
    tried = ", ".join(
        f"{loss:.4f} with rate {recipe.lr:g} and decay {recipe.weight_decay:g}"
        for loss, recipe in sorted(zip(losses, distinct, strict=True), key=lambda pair: pair[1] is not distinct[best])
    )
    return distinct[best], f"{_FOLDS}-fold cross-validation: loss {tried}"


def folds(data: Dataset) -> Iterator[Dataset]:
    """The data with each third of what is not for the test held out in turn, classes spread evenly.

    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part
    >>> from fastnn.training.selection import folds
    >>> data = Dataset("a", "csv", {"train": Part(np.zeros((9, 2)), np.arange(9.0))}, None)
    >>> [len(fold.parts["validation"].x) for fold in folds(data)]
    [3, 3, 3]
    """
    known = [data.parts[name] for name in ("train", "validation") if name in data.parts]
    x = np.concatenate([part.x for part in known])
    y: Any = np.concatenate([part.y for part in known if part.y is not None])
    order = np.random.RandomState(_SEED).permutation(len(y))
    if data.classes is not None:
        order = order[np.argsort(y[order], kind="stable")]
    for fold in range(_FOLDS):
        held = np.zeros(len(y), bool)
        held[order[fold::_FOLDS]] = True
        yield replace(data, parts={"train": Part(x[~held], y[~held]), "validation": Part(x[held], y[held])})


def _loss(fold: Dataset, recipe: Recipe) -> float:
    batch_size = min(recipe.batch_size, len(fold.parts["train"].x))
    training = OwnTraining(fold, replace(recipe, batch_size=batch_size), seed=_SEED)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fastnn: training stopped", RuntimeWarning)
        history = training.fit(progress=False)
    if history.interrupted:  # the trainer caught Ctrl-C, which must end the selection, too
        raise KeyboardInterrupt
    came_to_nothing = not np.isfinite(history["train_loss"]).all()
    return np.inf if came_to_nothing else training.validated()["loss"]
