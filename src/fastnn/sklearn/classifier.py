"""A network that tells classes apart, or labels of samples that may have several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from .. import functional as F
from .. import nn, optim
from ..training.figures import Loss
from .estimator import ModelMaker, NetworkEstimator, trains_in_parts
from .labels import Labels, checked_labels, class_weights, encoded, labels_in, labels_of
from .samples import Array, Samples, checked_weight


def _trains_in_parts(estimator: Classifier) -> bool:
    if estimator.class_weight == "balanced":
        raise AttributeError("Classifier: class_weight='balanced' needs all samples at once; partial_fit takes a dict")
    return trains_in_parts(estimator)


class Classifier(ClassifierMixin, NetworkEstimator):
    """A network that tells classes apart; also labels, of which a sample may have several.

    Parameters
    ----------
    model : callable, optional
        ``model(n_inputs, n_outputs)`` makes the network, a Module; ``n_outputs`` is the number of classes, and its
        outputs, of shape (N, n_outputs), are logits: there is no softmax at the end.
        ``n_inputs`` is the number of features, or of X with more axes the shape of a sample, such as (1, 8, 8). A function
        that takes ``rng=`` gets a generator that follows from `random_state`, for layers to draw from. The network is made
        anew by each `fit`, and gets the dtype of X. With ``n_jobs`` it has to be a function of a module, not a lambda.
        None makes a multilayer perceptron.
    hidden : int or iterable of int
        Sizes of the hidden layers of that perceptron; not used with `model`.
    activation : str or callable
        Of its hidden layers: "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh", or a class of layers.
    loss : callable, optional
        As of `fastnn.training.Trainer`; by default cross-entropy, or binary cross-entropy of each label.
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
    class_weight : mapping, "balanced" or None
        How much samples of a class count, by class, beside `sample_weight`; 1 for those that are not named. "balanced" has all
        classes count the same.
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
    classes_ : ndarray
        The classes, sorted.
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
    ``± sqrt(2 / (inputs + outputs))``, as in scikit-learn's `MLPClassifier`.

    After Ctrl-C the estimator is fitted to what was done, and KeyboardInterrupt is raised.

    Fitted estimators can be pickled; `partial_fit` then goes on to the same bits.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn.sklearn import Classifier
    >>> X, y = load_iris(return_X_y=True)
    >>> pipe = make_pipeline(StandardScaler(), Classifier(lr=0.01, epochs=30, batch_size=32, random_state=0)).fit(X, y)
    >>> bool(pipe.score(X, y) > 0.95)
    True
    """

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
        weight = self._weight(X, y, labels, sample_weight)
        samples = Samples(X, encoded("Classifier", y, labels, X.dtype), weight)
        self._fit_network(samples, len(labels.classes), anew=not goes_on, learned=_attributes(labels))
        return self

    @available_if(_trains_in_parts)
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
        weight = self._weight(X, y, labels, sample_weight)
        samples = Samples(X, encoded("Classifier", y, labels, X.dtype), weight)
        self._fit_pass(samples, len(labels.classes), learned=_attributes(labels))
        return self

    def _labels(self) -> Labels:
        return Labels(self.classes_, self._several)

    def _labels_in_parts(self, y: Array, classes: Any) -> Labels:
        """All labels that will come, from the first call of `partial_fit` or one before."""
        if self.__sklearn_is_fitted__():
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"Classifier: classes must be classes_, {self.classes_.tolist()}, as before; got {classes!r:.100}"
                )
            return self._labels()
        if classes is not None and y.ndim == 1:
            return labels_of("Classifier", classes)
        if y.ndim == 1:
            raise ValueError(
                "Classifier: classes must be passed on the first call to partial_fit, since later y may have more"
            )
        return labels_in("Classifier", y)

    def _weight(self, X: Array, y: Array, labels: Labels, sample_weight: Any) -> Array | None:
        """How much each sample counts, by its own weight and that of its class."""
        weight = checked_weight("Classifier", sample_weight, X)
        if self.class_weight is None:
            return weight
        own = np.ones(len(X), X.dtype) if weight is None else weight
        of_class = class_weights("Classifier", self.class_weight, y, labels, own)
        return checked_weight("Classifier", own * of_class.astype(X.dtype), X)

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
        predicted: Array = self.classes_[logits.argmax(axis=1)]
        return predicted

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
        logits: Array = self._outputs(X)
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
        tags.classifier_tags.multi_label = self.class_weight is None
        return tags


def _attributes(labels: Labels) -> dict[str, Any]:
    return {"classes_": labels.classes, "_several": labels.several}
