"""A network that learns a short code for samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .. import nn, optim
from ..checks import integer
from ..training import predict
from .estimator import AT_A_TIME, ModelMaker, NetworkEstimator, trains_in_parts
from .perceptron import activation_maker, hidden_sizes, perceptron
from .samples import Array, Samples, checked_weight


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """A network that makes a short code of samples, and the samples of the code: a transformer.

    Parameters
    ----------
    model : callable, optional
        ``model(n_inputs, n_outputs)`` makes the network, a Module; ``n_outputs`` is `n_components`. It is
        ``nn.Sequential(encoder, decoder)``, two modules; the decoder's outputs have the shape of X.
        ``n_inputs`` is the number of features, or of X with more axes the shape of a sample, such as (1, 8, 8). A function
        that takes ``rng=`` gets a generator that follows from `random_state`, for layers to draw from. The network is made
        anew by each `fit`, and gets the dtype of X. With ``n_jobs`` it has to be a function of a module, not a lambda.
        None makes a multilayer perceptron as encoder, and one with the
        hidden layers in reverse order as decoder; for X of two axes.
    n_components : int
        Numbers in a code.
    hidden : int or iterable of int
        Sizes of the hidden layers of that perceptron; not used with `model`.
    activation : str or callable
        Of its hidden layers: "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh", or a class of layers.
    loss : callable, optional
        As of `fastnn.training.Trainer`; by default the squared error.
    optimizer : {"adam", "adamw", "sgd"} or callable
        "sgd" has Nesterov's momentum of 0.9. A function ``optimizer(params, lr=, weight_decay=)`` makes another one, such as
        the classes of `fastnn.optim`.
    lr : float
        Learning rate.
    weight_decay : float
        L2 penalty on weights, not on biases; of "adamw" decay.
    schedule : optional
        As of `fastnn.training.Trainer`: a rule of `fastnn.optim`, whose factor multiplies the rate.
    clip_norm : float, optional
        Gradients are scaled to at most this norm, all together.
    epochs : int
        How often `fit` goes through the samples.
    batch_size : int
        Samples per step; fewer where there are fewer.
    shuffle : bool
        Take another order in each epoch.
    early_stopping : bool
        End after `patience` epochs without a smaller loss of samples that are held out, with the weights of the best epoch.
    validation_fraction : float, optional
        The share of the samples that is held out of the training and evaluated after each epoch. None means 0.1 with
        `early_stopping`, and nothing without it.
    patience : int
        Epochs that `early_stopping` waits.
    metrics : mapping of str to callable, optional
        What the history has beside the loss, as of `fastnn.training.Trainer`; nothing by default.
    callbacks : iterable
        As of `fastnn.training.Trainer.fit`. Each `fit` works with copies, which `callbacks_` has.
    warm_start : bool
        Have `fit` go on from the network that is there, with a new optimiser.
    verbose : bool
        Show a bar, and a line for each epoch, on stderr.
    random_state : int, RandomState or None
        Of the network's weights, the order of samples, and which ones are held out.

    Attributes
    ----------
    module_ : Module
        The network.
    history_ : History
        One record per epoch; ``history_["train_loss"]``.
    verdict_ : Verdict
        Whether the training learned, and what holds it back; it says most with samples held out.
    loss_curve_ : list of float
        The training loss of each epoch.
    n_iter_ : int
        Epochs done.
    callbacks_ : list
        The callbacks that were used.
    n_features_in_ : int
        The length of the second axis of X.
    feature_names_in_ : ndarray of str
        The names of its columns, where it was a table with names.

    Raises
    ------
    ValueError, TypeError
        By `fit`, if a setting does not fit: arguments are kept as they are given.

    Warns
    -----
    RuntimeWarning
        By `fit`, if a loss is not finite; the network then has the weights of the epoch's start.

    Notes
    -----
    Layers compute in float64 if X has that dtype, in float32 if it has float32. Nothing is scaled: put a scaler before it
    (``make_pipeline(StandardScaler(), …)``).

    Samples of weight 0 are left out. A batch's loss is ``sum(w·l) / sum(w)``.

    Without `model`, weights and biases of a layer begin uniform on ``± sqrt(6 / (inputs + outputs))``, with "sigmoid" on
    ``± sqrt(2 / (inputs + outputs))``, as in scikit-learn's `MLPRegressor`.

    After Ctrl-C the estimator is fitted to what was done, and KeyboardInterrupt is raised.

    Fitted estimators can be pickled; `partial_fit` then goes on to the same bits.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn.sklearn import Autoencoder
    >>> X = StandardScaler().fit_transform(load_iris().data)
    >>> coder = Autoencoder(n_components=2, lr=0.01, epochs=50, random_state=0).fit(X)
    >>> coder.transform(X).shape, coder.inverse_transform(coder.transform(X)).shape, bool(coder.score(X) > 0.9)
    ((150, 2), (150, 4), True)
    """

    def __init__(
        self,
        model: ModelMaker | None = None,
        *,
        n_components: int = 2,
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
        super().__init__(
            model,
            hidden=hidden,
            activation=activation,
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            schedule=schedule,
            clip_norm=clip_norm,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            metrics=metrics,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            random_state=random_state,
        )
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train a network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : any
            Not used.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Autoencoder
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        goes_on = self._goes_on()
        samples = self._samples(X, sample_weight, known=goes_on)
        self._fit_network(samples, self._components(), anew=not goes_on, learned={})
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : any
            Not used.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Autoencoder
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        samples = self._samples(X, sample_weight, known=self.__sklearn_is_fitted__())
        self._fit_pass(samples, self._components(), learned={})
        return self

    def _components(self) -> int:
        return integer("Autoencoder", "n_components", self.n_components, 1)

    def _samples(self, X: Any, sample_weight: Any, *, known: bool) -> Samples:
        X = self._checked(X, known=known)
        return Samples(X, X, checked_weight("Autoencoder", sample_weight, X))

    def _perceptron(self, shape: tuple[int, ...], n_outputs: int, rng: np.random.Generator) -> nn.Module:
        if len(shape) > 1:
            raise ValueError(
                f"Autoencoder: X with samples of shape {shape} needs a model; without one X is (N, features)"
            )
        hidden = hidden_sizes("Autoencoder", self.hidden)
        activation = activation_maker("Autoencoder", self.activation)
        encoder = perceptron((*shape, *hidden, n_outputs), activation, rng)
        return nn.Sequential(encoder, perceptron((n_outputs, *hidden[::-1], *shape), activation, rng))

    def _made_module(self, shape: tuple[int, ...], n_outputs: int, dtype: np.dtype[Any], rng: Any) -> nn.Module:
        made = super()._made_module(shape, n_outputs, dtype, rng)
        if not isinstance(made, nn.Sequential) or len(made) != 2:
            raise TypeError("Autoencoder: model must return nn.Sequential(encoder, decoder), of two modules")
        return made

    # ---- codes -------------------------------------------------------------------------------------------------------

    def _parts(self) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder."""
        check_is_fitted(self)
        assert isinstance(self.module_, nn.Sequential)
        return self.module_[0], self.module_[1]

    def _code_shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = np.shape(predict(self._parts()[0], np.zeros((1, *self._shape), self._dtype)))
        return shape[1:]

    @property
    def _n_features_out(self) -> int:
        return math.prod(self._code_shape())

    def transform(self, X: Any) -> Array:
        """The codes of samples.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N, n_components)
            What the encoder gives.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        return self._outputs(X, self._parts()[0])

    def inverse_transform(self, X: Any) -> Array:
        """The samples that codes stand for.

        Parameters
        ----------
        X : array_like, (N, n_components)
            Codes, as of `transform`.

        Returns
        -------
        ndarray, (N, features) or (N, ...)
            What the decoder gives.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        decoder, expected = self._parts()[1], self._code_shape()
        codes = check_array(X, dtype=self._dtype, allow_nd=True, input_name="X")
        if codes.shape[1:] != expected:
            raise ValueError(
                f"Autoencoder: X has codes of shape {codes.shape[1:]}, expected {expected} as of transform"
            )
        samples: Array = predict(decoder, codes, AT_A_TIME)
        return samples

    def score(self, X: Any, y: Any = None) -> float:
        """The share of the variance of samples that is left after encoding and decoding.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : any
            Not used.

        Returns
        -------
        float
            ``1 - sum((x - decoded)²) / sum((x - mean)²)``, where the mean is that of each feature in X; at most 1. Of
            `sklearn.decomposition.PCA` it would be the sum of ``explained_variance_ratio_``, on the samples of `fit`.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        decoded = self._outputs(X)
        x = self._checked(X, known=True).astype(np.float64)
        lost, all_of_it = np.square(x - decoded).sum(), np.square(x - x.mean(axis=0)).sum()
        return float(1 - lost / all_of_it) if all_of_it else float(lost == 0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
