"""The sections that the estimators of `fastnn.sklearn` have in common; `shared_sections` says whose they are."""

from __future__ import annotations

_ESTIMATOR = """
Parameters
----------
model : callable, optional
    ``model(n_inputs, n_outputs)`` makes the network, a Module; ``n_outputs`` is {outputs}
    ``n_inputs`` is the number of features, or of X with more axes the shape of a sample, such as (1, 8, 8). A function
    that takes ``rng=`` gets a generator that follows from `random_state`, for layers to draw from. The network is made
    anew by each `fit`, and gets the dtype of X. With ``n_jobs`` it has to be a function of a module, not a lambda.
    None makes a multilayer perceptron{default}
{more}hidden : int or iterable of int
    Sizes of the hidden layers of that perceptron; not used with `model`.
activation : str or callable
    Of its hidden layers: "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh", or a class of layers.
loss : callable, optional
    As of `fastnn.training.Trainer`; by default {loss}.
optimizer : {{"adam", "adamw", "sgd"}} or callable
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
{of_classes}metrics : mapping of str to callable, optional
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
{attribute}n_features_in_ : int
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
(``make_pipeline(StandardScaler(), …)``){scaled}

Samples of weight 0 are left out. A batch's loss is ``sum(w·l) / sum(w)``.

Without `model`, weights and biases of a layer begin uniform on ``± sqrt(6 / (inputs + outputs))``, with "sigmoid" on
``± sqrt(2 / (inputs + outputs))``, as in scikit-learn's `{peer}`.

After Ctrl-C the estimator is fitted to what was done, and KeyboardInterrupt is raised.

Fitted estimators can be pickled; `partial_fit` then goes on to the same bits.
"""

CLASSIFIER = _ESTIMATOR.format(
    outputs="the number of classes, and its\n    outputs, of shape (N, n_outputs), are logits: there is no softmax at the end.",
    default=".",
    more="",
    loss="cross-entropy, or binary cross-entropy of each label",
    of_classes='class_weight : mapping, "balanced" or None\n'
    '    How much samples of a class count, by class, beside `sample_weight`; 1 for those that are not named. "balanced" has all\n'
    "    classes count the same.\n",
    attribute="classes_ : ndarray\n    The classes, sorted.\n",
    scaled=".",
    peer="MLPClassifier",
)
REGRESSOR = _ESTIMATOR.format(
    outputs="the number of targets, and its\n    outputs have shape (N, n_outputs).",
    default=".",
    more="",
    loss="the squared error",
    of_classes="",
    attribute="n_outputs_ : int\n    Numbers per sample.\n",
    scaled=", and\n`sklearn.compose.TransformedTargetRegressor` around it for targets.",
    peer="MLPRegressor",
)
AUTOENCODER = _ESTIMATOR.format(
    outputs="`n_components`. It is\n    ``nn.Sequential(encoder, decoder)``, two modules; the decoder's outputs have the shape of X.",
    default=" as encoder, and one with the\n    hidden layers in reverse order as decoder; for X of two axes.",
    more="n_components : int\n    Numbers in a code.\n",
    loss="the squared error",
    of_classes="",
    attribute="",
    scaled=".",
    peer="MLPRegressor",
)
