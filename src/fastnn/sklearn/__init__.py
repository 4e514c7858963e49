"""Estimators for scikit-learn: classifiers, regressors and autoencoders that are fastnn's networks.

>>> from fastnn.sklearn import Classifier
>>> Classifier(hidden=(50, 50), lr=0.01)
Classifier(hidden=(50, 50), lr=0.01)
"""

from .._extras import require

require("sklearn", "scikit-learn", "sklearn", "fastnn.sklearn")

from .autoencoder import Autoencoder  # noqa: E402
from .classifier import Classifier  # noqa: E402
from .regressor import Regressor  # noqa: E402

__all__ = ["Autoencoder", "Classifier", "Regressor"]
