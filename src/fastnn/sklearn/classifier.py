"""A network that tells classes apart, or labels of samples that may have several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if

from .. import functional as F
from .. import nn, optim
from ..training.figures import Loss
from .estimator import ModelMaker, NetworkEstimator, trains_in_parts
from .labels import Labels, checked_labels, encoded, labels_in, labels_of
from .samples import Array, Samples, checked_weight


class Classifier(ClassifierMixin, NetworkEstimator):
    """A classifier."""

    classes_: Array
    _several: bool

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
        class_weight: str | Mapping[Any, float] | None = None,
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
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, labels)
            The class of each sample; or 0 and 1 for each label.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Classifier
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        goes_on = self._goes_on()
        X, y = self._checked(X, y=y, known=goes_on, multi_output=True)
        y = checked_labels("Classifier", y)
        labels = self._labels() if goes_on else labels_in("Classifier", y)
        weight = self._weight(X, y, sample_weight)
        samples = Samples(X, encoded("Classifier", y, labels, X.dtype), weight)
        self._fit_network(samples, len(labels.classes), anew=not goes_on, learned=_attributes(labels))
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, labels)
            The class of each sample; or 0 and 1 for each label.
        classes : array_like, (classes,)
            All classes that will come; needed in the first call, unless samples may have several labels.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Classifier
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        X, y = self._checked(X, y=y, known=self.__sklearn_is_fitted__(), multi_output=True)
        y = checked_labels("Classifier", y)
        labels = self._labels_in_parts(y, classes)
        if isinstance(self.class_weight, str):
            raise ValueError(f"Classifier: partial_fit knows no {self.class_weight!r} weights; give a dict as class_weight")
        weight = self._weight(X, y, sample_weight)
        samples = Samples(X, encoded("Classifier", y, labels, X.dtype), weight)
        self._fit_pass(samples, len(labels.classes), learned=_attributes(labels))
        return self

    def _labels(self) -> Labels:
        return Labels(self.classes_, self._several)

    def _labels_in_parts(self, y: Array, classes: Any) -> Labels:
        """All labels that will come, from the first call of `partial_fit` or one before."""
        if self.__sklearn_is_fitted__():
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"Classifier: classes must be classes_, {self.classes_.tolist()}, as before; got {classes!r:.100}")
            return self._labels()
        if classes is not None and y.ndim == 1:
            return labels_of("Classifier", classes)
        if y.ndim == 1:
            raise ValueError("Classifier: classes must be passed on the first call to partial_fit, since later y may have more")
        return labels_in("Classifier", y)

    def _weight(self, X: Array, y: Array, sample_weight: Any) -> Array | None:
        """How much each sample counts, by its own weight and that of its class."""
        weight = checked_weight("Classifier", sample_weight, X)
        if self.class_weight is None:
            return weight
        of_class = compute_sample_weight(self.class_weight, y).astype(X.dtype)
        return checked_weight("Classifier", of_class if weight is None else weight * of_class, X)

    def _default_loss(self, samples: Samples) -> Loss:
        return F.cross_entropy if samples.targets.ndim == 1 else F.binary_cross_entropy_with_logits

    # ---- predictions -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Array:
        """The most probable class of each sample; of several labels which ones are more probable than not.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N,) or (N, labels)
            Classes of `classes_`, or 0 and 1 for each label.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        logits = self._outputs(X)
        if self._several:
            return (logits > 0).astype(np.int64)
        return self.classes_[logits.argmax(axis=1)]

    def decision_function(self, X: Any) -> Array:
        """Logits, what the network gives for each class or label; of two classes how much more for the second.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N,) or (N, classes)
            Logits.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        logits = self._outputs(X)
        if len(self.classes_) == 2 and not self._several:
            return logits[:, 1] - logits[:, 0]
        return logits

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, or of each label by itself.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N, classes), of float64
            Softmax of the logits; of several labels their sigmoid.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        logits = self._outputs(X).astype(np.float64)
        return F.sigmoid(logits) if self._several else F.softmax(logits, axis=1)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`, also where a probability is too small for a float.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N, classes), of float64
            Logarithms.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        logits = self._outputs(X).astype(np.float64)
        return -np.logaddexp(0, -logits) if self._several else F.log_softmax(logits, axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _attributes(labels: Labels) -> dict[str, Any]:
    return {"classes_": labels.classes, "_several": labels.several}
