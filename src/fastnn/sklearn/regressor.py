"""A network that predicts numbers."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from .estimator import NetworkEstimator, trains_in_parts
from .samples import Array, Samples, checked_weight


class Regressor(RegressorMixin, NetworkEstimator):
    """A network that predicts numbers, one or several per sample.

    Parameters
    ----------
    model : callable, optional
        ``model(n_inputs, n_outputs)`` makes the network, a Module; ``n_outputs`` is the number of targets, and its
        outputs have shape (N, n_outputs).
        ``n_inputs`` is the number of features, or of X with more axes the shape of a sample, such as (1, 8, 8). A function
        that takes ``rng=`` gets a generator that follows from `random_state`, for layers to draw from. The network is made
        anew by each `fit`, and gets the dtype of X. With ``n_jobs`` it has to be a function of a module, not a lambda.
        None makes a multilayer perceptron.
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
    n_outputs_ : int
        Numbers per sample.
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
    (``make_pipeline(StandardScaler(), …)``), and
    `sklearn.compose.TransformedTargetRegressor` around it for targets.

    Samples of weight 0 are left out. A batch's loss is ``sum(w·l) / sum(w)``.

    Without `model`, weights and biases of a layer begin uniform on ``± sqrt(6 / (inputs + outputs))``, with "sigmoid" on
    ``± sqrt(2 / (inputs + outputs))``, as in scikit-learn's `MLPRegressor`.

    After Ctrl-C the estimator is fitted to what was done, and KeyboardInterrupt is raised.

    Fitted estimators can be pickled; `partial_fit` then goes on to the same bits.

    Examples
    --------
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn.sklearn import Regressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = Regressor(epochs=30, lr=0.01, weight_decay=0.01, random_state=0)
    >>> bool(TransformedTargetRegressor(network, transformer=StandardScaler()).fit(X, y).score(X, y) > 0.4)
    True
    """

    n_outputs_: int
    _one: bool  # whether targets have one axis

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, targets)
            Numbers.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Regressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        goes_on = self._goes_on()
        samples, learned = self._samples(X, y, sample_weight, known=goes_on)
        self._fit_network(samples, samples.targets.shape[1], anew=not goes_on, learned=learned)
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, targets)
            Numbers.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Regressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        samples, learned = self._samples(X, y, sample_weight, known=self.__sklearn_is_fitted__())
        self._fit_pass(samples, samples.targets.shape[1], learned=learned)
        return self

    def _samples(self, X: Any, y: Any, sample_weight: Any, *, known: bool) -> tuple[Samples, dict[str, Any]]:
        X, y = self._checked(X, y=y, known=known, multi_output=True, y_numeric=True)
        if hasattr(y, "toarray"):
            y = y.toarray()
        one, targets = y.ndim == 1, y.reshape(len(y), -1).astype(X.dtype)
        if known and (one != self._one or targets.shape[1] != self.n_outputs_):
            expected = "(samples,)" if self._one else f"(samples, {self.n_outputs_})"
            raise ValueError(f"Regressor: y must have shape {expected}, as in the first call of fit, got {y.shape}")
        weight = checked_weight("Regressor", sample_weight, X)
        return Samples(X, targets, weight), {"_one": one, "n_outputs_": targets.shape[1]}

    def predict(self, X: Any) -> Array:
        """The numbers that the network gives.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N,) or (N, targets)
            Of the dtype that X had in `fit`.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
