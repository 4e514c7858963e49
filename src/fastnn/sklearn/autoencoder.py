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
    """An autoencoder."""

    _code_shape: tuple[int, ...]

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
            raise ValueError(f"Autoencoder: X with samples of shape {shape} needs a model; without one X is (N, features)")
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
        return np.shape(predict(self._parts()[0], np.zeros((1, *self._shape), self._dtype)))[1:]

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
            raise ValueError(f"Autoencoder: X has codes of shape {codes.shape[1:]}, expected {expected} as of transform")
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
