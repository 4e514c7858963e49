"""What the estimators have in common: their settings, and how their networks are made and trained."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import functional as F
from .. import nn, optim
from ..checks import flag, integer, real, shown
from ..training import EarlyStopping, History, Trainer, predict
from ..training.arguments import checked_loss
from ..training.figures import Loss
from ..training.verdict import Verdict
from .perceptron import activation_maker, hidden_sizes, perceptron
from .samples import Array, Samples

ModelMaker = Callable[..., nn.Module]

_OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": partial(optim.SGD, momentum=0.9, nesterov=True),
}
_FLOATS = [np.float64, np.float32]  # other numbers become the first of them
_HELD_OUT = 0.1  # the share that early stopping looks at
AT_A_TIME = 512  # samples of a batch that is not trained on
_SEEDS = np.iinfo(np.int32).max


class NetworkEstimator(BaseEstimator):
    """A network with scikit-learn's methods; subclasses say what its targets are, and have `fit` and predictions."""

    module_: nn.Module
    history_: History
    n_iter_: int
    callbacks_: list[Any]
    n_features_in_: int
    _trainer: Trainer
    _order: int
    _shape: tuple[int, ...]  # of a sample
    _dtype: np.dtype[Any]

    def __init__(
        self,
        model: ModelMaker | None = None,
        *,
        hidden: int | Iterable[int] = (100,),
        activation: str | Callable[[], nn.Module] = "relu",
        loss: Callable[..., Any] | None = None,
        optimizer: str | Callable[..., optim.Optimizer] = "adam",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: Any = None,
        clip_norm: float | None = None,
        epochs: int = 200,
        batch_size: int = 200,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float | None = None,
        patience: int = 10,
        metrics: Mapping[str, Callable[..., float]] | None = None,
        callbacks: Iterable[Any] = (),
        warm_start: bool = False,
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.metrics = metrics
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # ---- what was trained --------------------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in vars(self)

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        check_is_fitted(self)
        return list(map(float, self.history_["train_loss"]))

    @property
    def verdict_(self) -> Verdict:
        """Whether the training learned, and what holds it back; see `fastnn.training.History.verdict`."""
        check_is_fitted(self)
        return self.history_.verdict()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # ---- inputs ------------------------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        """Whether `fit` goes on from the network that is there."""
        return flag(type(self).__name__, "warm_start", self.warm_start) and self.__sklearn_is_fitted__()

    def _checked(self, X: Any, *, known: bool, **others: Any) -> Any:
        """X as an array of floats, alone or with the target that ``others`` has; where ``known``, of samples as before."""
        dtype: Any = self._dtype if known else _FLOATS
        checked = validate_data(self, X, reset=not known, dtype=dtype, order="C", allow_nd=True, **others)
        inputs = checked[0] if others else checked
        op = type(self).__name__
        if 0 in inputs.shape:
            raise ValueError(
                f"{op}: Found array with 0 feature(s) (shape={inputs.shape}) while a minimum of 1 is required."
            )
        if known and inputs.shape[1:] != self._shape:
            raise ValueError(f"{op}: X has samples of shape {inputs.shape[1:]}, expected {self._shape} as in fit")
        return checked

    # ---- the network -------------------------------------------------------------------------------------------------

    def _made_module(self, shape: tuple[int, ...], n_outputs: int, dtype: np.dtype[Any], rng: Any) -> nn.Module:
        """A new network for samples of a shape."""
        op = type(self).__name__
        if self.model is None:
            return self._perceptron(shape, n_outputs, rng).astype(dtype)
        if isinstance(self.model, nn.Module) or not callable(self.model):
            raise TypeError(
                f"{op}: model must be a function model(n_inputs, n_outputs) that makes a Module, got {shown(self.model)}"
            )
        n_inputs = shape[0] if len(shape) == 1 else shape
        takes_rng = "rng" in inspect.signature(self.model).parameters
        made = self.model(n_inputs, n_outputs, rng=rng) if takes_rng else self.model(n_inputs, n_outputs)
        if not isinstance(made, nn.Module):
            raise TypeError(f"{op}: model must return a Module, got {shown(made)}")
        return made.astype(dtype)

    def _perceptron(self, shape: tuple[int, ...], n_outputs: int, rng: Any) -> nn.Module:
        op = type(self).__name__
        sizes = (int(np.prod(shape)), *hidden_sizes(op, self.hidden), n_outputs)
        return perceptron(sizes, activation_maker(op, self.activation), rng, flatten=len(shape) > 1)

    def _made_optimizer(self, module: nn.Module) -> optim.Optimizer:
        op, make = type(self).__name__, self.optimizer
        if isinstance(make, str):
            if make not in _OPTIMIZERS:
                raise ValueError(f"{op}: optimizer must be one of {', '.join(map(repr, _OPTIMIZERS))}, got {make!r}")
            make = _OPTIMIZERS[make]
        if not callable(make):
            raise TypeError(
                f"{op}: optimizer must be a name or optimizer(params, lr=…, weight_decay=…), got {shown(make)}"
            )
        made = make(module.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        if not isinstance(made, optim.Optimizer):
            raise TypeError(f"{op}: optimizer must return an Optimizer, got {shown(made)}")
        return made

    def _require_outputs(self, module: nn.Module, samples: Samples, n_outputs: int) -> None:
        """Refuse a network whose outputs are of another shape than what the loss compares them with."""
        expected = (1, n_outputs) if samples.targets.ndim == 1 else samples.targets[:1].shape
        found = np.shape(predict(module, samples.inputs[:1]))
        if found != expected:
            raise ValueError(
                f"{type(self).__name__}: the model gives outputs of shape {found} for one sample, expected {expected}"
            )

    def _default_loss(self, samples: Samples) -> Loss:
        """What is minimised where no loss is given."""
        return F.mse_loss

    # ---- training ----------------------------------------------------------------------------------------------------

    def _fit_network(self, samples: Samples, n_outputs: int, *, anew: bool, learned: Mapping[str, Any]) -> None:
        """Train for all epochs, and then be fitted; ``learned`` has what else is to be known by name."""
        op = type(self).__name__
        epochs = integer(op, "epochs", self.epochs, 1)
        share = self._held_out_share()
        callbacks = copy.deepcopy(list(self.callbacks))
        stopping = [EarlyStopping(patience=self.patience)] if self.early_stopping else []
        of_model, order, of_split = self._seeds()
        trainer = self._new_trainer(samples, n_outputs, of_model, None if anew else self.module_)
        trained_on, held_out = samples.counting(), None
        if share:
            trained_on, held_out = trained_on.parted(op, share, of_split)
        self._train(trainer, trained_on, held_out, order, epochs, [*callbacks, *stopping])
        self._settle(trainer, samples, order, callbacks, learned)

    def _fit_pass(self, samples: Samples, n_outputs: int, *, learned: Mapping[str, Any]) -> None:
        """Train for one more epoch, the first one of a new network, and then be fitted."""
        if self.__sklearn_is_fitted__():
            trainer, order, callbacks = self._trainer, self._order, self.callbacks_
        else:
            callbacks = copy.deepcopy(list(self.callbacks))
            of_model, order, _ = self._seeds()
            trainer = self._new_trainer(samples, n_outputs, of_model, None)
        self._train(trainer, samples.counting(), None, order, trainer.epoch + 1, callbacks)
        self._settle(trainer, samples, order, callbacks, learned)

    def _seeds(self) -> list[int]:
        """Of the network, of the order of samples, and of what is held out."""
        seeds: list[int] = check_random_state(self.random_state).randint(_SEEDS, size=3).tolist()
        return seeds

    def _held_out_share(self) -> float:
        op = type(self).__name__
        stops = flag(op, "early_stopping", self.early_stopping)
        if self.validation_fraction is None:
            return _HELD_OUT if stops else 0.0
        return real(op, "validation_fraction", self.validation_fraction, 0.0, 1.0, open_low=True, open_high=True)

    def _new_trainer(self, samples: Samples, n_outputs: int, seed: int, module: nn.Module | None) -> Trainer:
        """A trainer of a network, a new one where none is given."""
        if module is None:
            shape, dtype = samples.inputs.shape[1:], samples.inputs.dtype
            module = self._made_module(shape, n_outputs, dtype, np.random.default_rng(seed))
            if self.model is not None:
                self._require_outputs(module, samples, n_outputs)
        return Trainer(
            module,
            self._made_optimizer(module),
            self._default_loss(samples) if self.loss is None else checked_loss(type(self).__name__, self.loss),
            metrics={} if self.metrics is None else self.metrics,
            schedule=self.schedule,
            clip_norm=self.clip_norm,
        )

    def _train(
        self,
        trainer: Trainer,
        samples: Samples,
        held_out: Samples | None,
        order: int,
        epochs: int,
        callbacks: list[Any],
    ) -> None:
        """Train until so many epochs are done in all."""
        op = type(self).__name__
        shuffle, size = flag(op, "shuffle", self.shuffle), integer(op, "batch_size", self.batch_size, 1)
        trainer.fit(
            samples.batches(size, shuffle=shuffle, rng=order),
            None if held_out is None else held_out.batches(AT_A_TIME),
            epochs=epochs,
            callbacks=callbacks,
            progress=bool(self.verbose),
        )

    def _settle(
        self, trainer: Trainer, samples: Samples, order: int, callbacks: list[Any], learned: Mapping[str, Any]
    ) -> None:
        """Be fitted; after Ctrl-C too, which is handed on then, since it asks more than this fit to end."""
        interrupted = trainer.history.interrupted
        if trainer.position:
            _begin_pass_anew(trainer)
        self._trainer = copy.copy(trainer)  # without the data, which would stay in memory as long as the estimator
        self._order, self.callbacks_ = order, callbacks
        self._shape, self._dtype = samples.inputs.shape[1:], samples.inputs.dtype
        self.module_, self.history_, self.n_iter_ = trainer.model, trainer.history, trainer.epoch
        for name, value in learned.items():
            setattr(self, name, value)
        if interrupted:
            raise KeyboardInterrupt

    def _outputs(self, X: Any, module: nn.Module | None = None) -> Array:
        """What the network, or a part of it, gives for samples."""
        check_is_fitted(self)
        outputs: Array = predict(module or self.module_, self._checked(X, known=True), AT_A_TIME)
        return outputs


def trains_in_parts(estimator: NetworkEstimator) -> bool:
    """Whether `partial_fit` is there; an AttributeError says why not."""
    if estimator.early_stopping:
        op = type(estimator).__name__
        raise AttributeError(f"{op}: partial_fit trains on all samples that it gets; it needs early_stopping=False")
    return True


def _begin_pass_anew(trainer: Trainer) -> None:
    """The data of the pass that was left are gone: the next fit begins one of other data."""
    state = trainer.state_dict()
    state["generators"]["others"] = []
    trainer.load_state_dict(
        state | {"position": 0, "figures": None, "weights_before": None, "data": None, "callbacks": []}
    )
