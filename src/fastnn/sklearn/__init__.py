"""Estimators for scikit-learn: classifiers, regressors and autoencoders that are fastnn's networks.

>>> from fastnn.sklearn import Classifier
>>> Classifier(hidden=(50, 50), lr=0.01)
Classifier(hidden=(50, 50), lr=0.01)
"""

from .._extras import require

require("sklearn", "scikit-learn", "sklearn", "fastnn.sklearn")

from .autoencoder import Autoencoder
from .classifier import Classifier
from .regressor import Regressor

__all__ = ["Autoencoder", "Classifier", "Regressor"]
