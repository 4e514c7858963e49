"""A training on data of one's own: from a data set and a seed to a model in a file that needs nothing else to predict."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import functional as F
from .. import optim
from .._files import PathLike, listed
from ..autograd import raw
from ..data import Batches, Imputer
from ..data.source import Dataset, Part
from ..nn.model_file import save_model
from .callbacks import Callback, EarlyStopping
from .checkpoints import Checkpoint
from .ground import ground_of
from .history import History
from .metrics import r2
from .recipe import Recipe, model_for, recipes_for, scale_of
from .trainer import Trainer

_EVALUATION_BATCH = 512
_SAVED_EVERY = 500  # steps: it is saved within long epochs, so that these are not lost


@dataclass(frozen=True)
class Classified:
    """How many of the test's samples got their right class.

    Parameters
    ----------
    loss : float
        Mean cross-entropy.
    right, total : int
        Samples.
    """

    loss: float
    right: int
    total: int

    @property
    def finite(self) -> bool:
        """Whether the network still gives numbers."""
        return math.isfinite(self.loss)

    def __str__(self) -> str:
        share = 100 * self.right / self.total
        return f"test loss {self.loss:.4f}, accuracy {share:.2f} % ({self.right} of {self.total})"


@dataclass(frozen=True)
class Regressed:
    """The error of a test beside that of simple predictions, in the target's units.

    Parameters
    ----------
    rmse, r2 : float
        Root of the mean square error, and the share of the variance that is explained.
    mean_rmse : float
        Of always predicting the mean of the training part.
    linear_rmse, linear_r2 : float or None
        Of linear least squares, for tables.
    total : int
        Samples.
    """

    rmse: float
    r2: float
    mean_rmse: float
    linear_rmse: float | None
    linear_r2: float | None
    total: int

    @property
    def finite(self) -> bool:
        """Whether the network still gives numbers."""
        return math.isfinite(self.rmse)

    def __str__(self) -> str:
        figures = [f"test {errors(self.rmse, self.r2, self.total)}", f"always the mean: RMSE {self.mean_rmse:.6g}"]
        if self.linear_rmse is not None and self.linear_r2 is not None:
            figures.append(f"least squares: {errors(self.linear_rmse, self.linear_r2)}")
        return "; ".join(figures)


def errors(rmse: float, r2: float, total: int | None = None) -> str:
    """Errors in words, without an R² where there is none.

    >>> from fastnn.training.own_data import errors
    >>> errors(1.5, 0.25, 10), errors(1.5, float("nan"))
    ('RMSE 1.5, R² 0.250 (10 samples)', 'RMSE 1.5')
    """
    explained = "" if math.isnan(r2) else f", R² {r2:.3f}"
    return f"RMSE {rmse:.6g}{explained}" + ("" if total is None else f" ({total} sample{'s' * (total != 1)})")


class OwnTraining:
    """A training by a recipe.

    Parameters
    ----------
    data : Dataset
        With the parts train and test, and perhaps validation, as `fastnn.data.source.parted` makes them.
    recipe : Recipe, optional
        By default the first of `recipes_for`.
    seed : int
        Of weights, dropout, the order of batches and augmentation.

    Attributes
    ----------
    model : Sequential
        From samples as they are in the file to logits, or to a number in the target's units.
    trainer : Trainer

    Raises
    ------
    ValueError
        If a batch is to be larger than the training part, or there is only one class.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part, parted
    >>> from fastnn.training.own_data import OwnTraining
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> data = parted(Dataset("a", "arrays", {"train": Part(x, x[:, 0] + 5)}, None))
    >>> training = OwnTraining(data, seed=0)
    >>> _ = training.fit(progress=False)
    >>> training.test().r2 > 0.9
    True
    """

    def __init__(self, data: Dataset, recipe: Recipe | None = None, *, seed: int = 0) -> None:
        self.data = data
        self.recipe = recipe or recipes_for(data)[0]
        self.seed = seed
        train = data.parts["train"]
        if self.recipe.batch_size > len(train.x):
            raise ValueError(
                f"batches of {self.recipe.batch_size} are more than the {len(train.x)} samples for training"
            )
        if data.classes is not None and len(data.classes) < 2:
            raise ValueError(f"{data.path!r} has only one class, {listed(data.classes)}: there is nothing to learn")
        of_batches, of_model = np.random.SeedSequence(seed).spawn(2)
        self.model = model_for(data, of_model, self.recipe.hidden)
        self.batches = Batches(
            *self._arrays(train),
            batch_size=self.recipe.batch_size,
            shuffle=True,
            drop_last=True,
            transform=self.recipe.augment,
            rng=of_batches,
        )
        self.loss: Callable[..., Any] = F.cross_entropy
        if data.classes is None:
            assert train.y is not None
            self.loss = RelativeError(scale_of(train.y)[1])
        self.trainer = Trainer(
            self.model,
            optim.AdamW(self.model.parameters(), lr=self.recipe.lr, weight_decay=self.recipe.weight_decay),
            self.loss,
            metrics=None if data.classes is not None else {"r2": r2},
            schedule=optim.Cosine(self.recipe.epochs * len(self.batches)),
        )

    def _arrays(self, part: Part) -> tuple[NDArray[Any], NDArray[Any]]:
        assert part.y is not None
        return part.x, part.y if self.data.classes is not None else part.y[:, None].astype(part.x.dtype)

    def whole(self, name: str) -> Batches:
        """A part in its own order, to be evaluated."""
        return Batches(*self._arrays(self.data.parts[name]), batch_size=_EVALUATION_BATCH)

    def fit(
        self, *, checkpoint: PathLike | None = None, progress: Any = "auto", callbacks: Iterable[Callback] = ()
    ) -> History:
        """Train to the end, or until it stops; with ``checkpoint`` go on from that file where it is there."""
        stopping = [] if self.recipe.patience is None else [EarlyStopping(patience=self.recipe.patience)]
        saved = None
        if checkpoint is not None:
            saved = Checkpoint(checkpoint, every=_SAVED_EVERY, settings=self.settings(), extra=self.description())
        return self.trainer.fit(
            self.batches,
            self.whole("validation") if "validation" in self.data.parts else None,
            epochs=self.recipe.epochs,
            callbacks=[*stopping, *callbacks],
            checkpoint=saved,
            progress=progress,
        )

    def validated(self) -> dict[str, float]:
        """Loss and metrics on the validation part."""
        return self.trainer.evaluate(self.whole("validation"))

    def test(self) -> Classified | Regressed:
        """The result on the test part."""
        part = self.data.parts["test"]
        assert part.y is not None
        if self.data.classes is not None:
            figures = self.trainer.evaluate(self.whole("test"))
            return Classified(figures["loss"], round(figures["accuracy"] * len(part.y)), len(part.y))
        return regressed(self.trainer.predict(part.x)[:, 0], part, self.data.parts["train"])

    def settings(self) -> dict[str, Any]:
        """What two trainings must have in common for one to go on from the other's file."""
        recipe = self.recipe
        return {
            "seed": self.seed,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "lr": recipe.lr,
            "network": repr(self.model),
            "samples": checksum(self.data),
        }

    def description(self) -> dict[str, Any]:
        """What has to be known beside the model to predict from files."""
        data = self.data
        return {
            "form": data.form,
            "target": data.target,
            "classes": None if data.classes is None else list(data.classes),
            "sample": list(data.parts["train"].x.shape[1:]),
            "schema": None if data.schema is None else data.schema.state_dict(),
            "ground": ground_of(data.parts["train"].x) if data.images else None,
        }

    def save(self, path: PathLike) -> None:
        """Save the model with all that is needed to predict."""
        trained = self.settings() | {"epochs": self.trainer.epoch}
        save_model(self.model, path, data=self.description(), training=trained)


class RelativeError:
    """The mean square error as a share of the target's variance, a loss.

    Parameters
    ----------
    spread : float
        The target's standard deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training.own_data import RelativeError
    >>> float(RelativeError(2.0)(np.array([[3.0]]), np.array([[1.0]])))
    1.0
    """

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def __repr__(self) -> str:
        return f"RelativeError({self.spread!r})"

    def __call__(self, output: Any, target: Any, reduction: Any = "mean") -> Any:
        return F.mse_loss(output / self.spread, target / raw(output).dtype.type(self.spread), reduction)

    def best_constant(self, targets: Any, weight: Any) -> NDArray[Any]:
        """The mean."""
        return np.average(targets, axis=0, weights=weight)[None]


def regressed(predicted: NDArray[Any], test: Part, train: Part) -> Regressed:
    """The errors of predictions beside those of the training part's mean and, for tables, of least squares on it.

    >>> import numpy as np
    >>> from fastnn.data.source import Part
    >>> from fastnn.training.own_data import regressed
    >>> train = Part(np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 4.0, 6.0]))
    >>> test = Part(np.array([[5.0], [6.0]]), np.array([10.0, 12.0]))
    >>> regressed(np.array([9.0, 13.0]), test, train).rmse
    1.0
    """
    y, known = test.y, train.y
    assert y is not None
    assert known is not None
    linear: tuple[float | None, float | None] = None, None
    if train.x.ndim == 2:
        line = least_squares(train, test.x)
        linear = rmse(line, y), r2(line, y)
    return Regressed(rmse(predicted, y), r2(predicted, y), rmse(np.full(len(y), known.mean()), y), *linear, len(y))


def least_squares(train: Part, x: NDArray[Any]) -> NDArray[np.float64]:
    """What a linear model predicts whose coefficients have the least squares on a training part; gaps are medians."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about features without a value, which do no harm here
        fill = Imputer().fit(train.x)
    known, asked = fill.transform(train.x), fill.transform(x)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread == 0] = 1
    design, other = ((part - mean) / spread for part in (known, asked))
    y = np.zeros(len(known)) if train.y is None else train.y
    middle = y.mean()
    predicted: NDArray[np.float64] = other @ np.linalg.lstsq(design, y - middle)[0] + middle
    return predicted


def rmse(predicted: NDArray[Any], y: NDArray[Any]) -> float:
    """Root of the mean square error."""
    return math.sqrt(np.mean(np.square(predicted - y)))


def checksum(data: Dataset) -> str:
    """Of all samples and targets."""
    digest = hashlib.sha256()
    for name, part in data.parts.items():
        digest.update(f"{name} {part.x.shape} {part.x.dtype}".encode())
        digest.update(np.ascontiguousarray(part.x).data)
        if part.y is not None:
            digest.update(np.ascontiguousarray(part.y).data)
    return digest.hexdigest()[:16]
