"""What scalers and whitening have in common: their parameters, their state, and how scikit-learn works with them."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self

import numpy as np

from ..checks import constant, shown, unmasked
from ..nn import Module
from ..nn.scaling import rows_at_a_time

Array = np.ndarray[Any, Any]
Statistics = dict[str, Array]

_SHOWN = 10  # at most so many names are listed in a message


class Transformer:
    """An object that is fitted to samples and then changes such samples.

    It does what scikit-learn asks of a transformer, so that ``Pipeline``, ``ColumnTransformer``, ``GridSearchCV`` and
    ``clone`` take it, without importing scikit-learn. As there, arguments are kept as they are given, and looked at by `fit`.

    Subclasses say how public attributes follow from statistics, which are arrays of float64 (`_attributes`).
    """

    _allow_nan = True
    _shape: tuple[int, ...]  # of a sample
    _statistics: Statistics
    n_features_in_: int
    feature_names_in_: Array

    # Parameters

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor by name; ``deep`` is scikit-learn's and changes nothing."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Replace arguments of the constructor; call `fit` after it."""
        known = self._parameter_names()
        for name in parameters:
            if name not in known:
                raise ValueError(f"{type(self).__name__}.set_params: expected one of {known}, got {name!r}")
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def _check_parameters(self, op: str) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    # Fitting

    def fit(self, X: Any, y: Any = None) -> Self:
        """Take the statistics of samples, X (N, ...), in place of earlier ones; ``y`` is not used."""
        raise NotImplementedError

    def transform(self, X: Any) -> Any:
        """A new array made of X (N, ...) by the statistics."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """``fit(X).transform(X)``; ``y`` is not used."""
        return self.fit(X, y).transform(X)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        """Public attributes by name; a ValueError if the statistics are not those of samples of this shape."""
        raise NotImplementedError

    def _settle(self, shape: tuple[int, ...], names: Array | None, statistics: Statistics) -> None:
        """Be fitted to this and nothing else."""
        attributes = self._attributes(shape, statistics)
        self._forget()
        vars(self).update(attributes, _shape=shape, _statistics=statistics, n_features_in_=math.prod(shape))
        if names is not None:
            self.feature_names_in_ = names

    def _forget(self) -> None:
        """Be as before `fit`; what others attached to the object, as scikit-learn's pipelines do for a while, stays."""
        for name in list(vars(self)):
            if name in ("_shape", "_statistics") or (name.endswith("_") and not name.startswith("_")):
                delattr(self, name)

    def __sklearn_is_fitted__(self) -> bool:
        return "_statistics" in vars(self)

    def _require_fitted(self, op: str) -> None:
        if not self.__sklearn_is_fitted__():
            raise ValueError(f"{op}: this {type(self).__name__} is not fitted yet; call fit first")

    # Samples

    def _samples(self, op: str, X: Any, *, known: bool) -> Array:
        """X as an array of samples; where the object is fitted (``known``), of the shape and names that it knows."""
        x = as_samples(op, X)
        if known:
            self._check_names(op, feature_names(X))  # first: an error with names says more than one with shapes
            self._check_shape(op, x.shape[1:])
        refuse_infinite(op, x, self._allow_nan)
        return x

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        if shape == self._shape:
            return
        details = "" if len(shape) == len(self._shape) == 1 else f", in samples of shape {self._shape}, not {shape}"
        raise ValueError(
            f"{op}: X has {math.prod(shape)} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
            f"as input{details}"
        )

    def _check_names(self, op: str, names: Array | None) -> None:
        """Refuse columns with other names, or in another order; say so where only one side has names."""
        own = getattr(self, "feature_names_in_", None)
        kind = type(self).__name__
        if names is None and own is not None:
            warn(f"{op}: X does not have valid feature names, but {kind} was fitted with feature names")
        elif names is not None and own is None:
            warn(f"{op}: X has feature names, but {kind} was fitted without feature names")
        elif names is not None and own is not None and list(names) != list(own):
            _refuse_names(op, list(names), list(own))

    # State

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain values and arrays for `fastnn.save_checkpoint`.

        The class, the arguments of the constructor and, if fitted, the statistics, the shape of a sample and the names.
        """
        fitted = None
        if self.__sklearn_is_fitted__():
            names = getattr(self, "feature_names_in_", None)
            fitted = {
                "shape": self._shape,
                "names": None if names is None else [str(name) for name in names],
                "statistics": {name: array.copy() for name, array in self._statistics.items()},
            }
        return {"class": type(self).__name__, "parameters": self.get_params(), "fitted": fitted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what `state_dict` saved, arguments of the constructor included.

        Everything is checked before anything is changed: a ValueError or TypeError says what does not fit.
        """
        op = f"{type(self).__name__}.load_state_dict"
        _require_keys(op, "state", state, ["class", "parameters", "fitted"])
        if not isinstance(state["class"], str) or state["class"] != type(self).__name__:
            raise ValueError(f"{op}: the state is that of a {state['class']!s:.100}")
        _require_keys(op, "state['parameters']", state["parameters"], self._parameter_names())
        loaded = type(self)(**state["parameters"])
        loaded._check_parameters(op)
        if state["fitted"] is not None:
            loaded._load(op, state["fitted"])
        self._forget()
        vars(self).update(vars(loaded))

    def _load(self, op: str, fitted: Any) -> None:
        _require_keys(op, "state['fitted']", fitted, ["shape", "names", "statistics"])
        shape, names, statistics = fitted["shape"], fitted["names"], fitted["statistics"]
        if not (isinstance(shape, (tuple, list)) and shape and all(type(n) is int and n > 0 for n in shape)):
            raise ValueError(f"{op}: the shape of a sample must be a tuple of integers above 0, got {shown(shape)}")
        if names is not None:
            if not (isinstance(names, (tuple, list)) and all(isinstance(name, str) for name in names)):
                raise TypeError(f"{op}: names must be a list of strings or None, got {shown(names)}")
            if [len(names)] != list(shape):
                raise ValueError(f"{op}: there are {len(names)} names for samples of shape {tuple(shape)}")
            names = np.array(names, object)
        if not isinstance(statistics, Mapping):
            raise TypeError(f"{op}: statistics must be a mapping, got {type(statistics).__name__}")
        arrays = {}
        for name, value in statistics.items():
            array = np.array(unmasked(op, f"statistics[{name!r}]", value))
            if array.dtype.kind not in "iuf":
                raise TypeError(f"{op}: statistics[{name!r}] must be an array of real numbers, got dtype {array.dtype}")
            arrays[name] = array.astype(np.float64)
        try:
            self._settle(tuple(shape), names, arrays)
        except ValueError as error:
            raise ValueError(f"{op}: {error}") from None

    # scikit-learn

    def __sklearn_tags__(self) -> Any:
        """Called by scikit-learn alone, so it is there."""
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=utils.InputTags(allow_nan=self._allow_nan, three_d_array=True),
        )

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns that `transform` returns: those of its input."""
        return self._names_in(f"{type(self).__name__}.get_feature_names_out", input_features)

    def _names_in(self, op: str, input_features: Any) -> Array:
        self._require_fitted(op)
        own = getattr(self, "feature_names_in_", None)
        if input_features is None:
            return own if own is not None else np.array([f"x{i}" for i in range(self.n_features_in_)], object)
        names = np.asarray(input_features, object)
        if names.shape != (self.n_features_in_,):
            raise ValueError(
                f"{op}: input_features should have length equal to the number of features, {self.n_features_in_}, got "
                f"shape {names.shape}"
            )
        if own is not None and list(own) != list(names):
            raise ValueError(f"{op}: input_features is not equal to feature_names_in_")
        return names

    def set_output(self, *, transform: str | None = None) -> Self:
        """Have `transform` return tables: ``"pandas"`` or ``"polars"``; ``"default"`` means arrays, None no change."""
        if transform is not None:
            if transform not in ("default", "pandas", "polars"):
                raise ValueError(
                    f"{type(self).__name__}.set_output: transform must be 'default', 'pandas', 'polars' or None, got "
                    f"{transform!r}"
                )
            self._sklearn_output_config = {"transform": transform}  # where scikit-learn's clone looks for it
        return self

    def _wrapped(self, output: Array, X: Any) -> Any:
        """The output as a table, if somebody asked for it here or in scikit-learn's settings."""
        kind = getattr(self, "_sklearn_output_config", {}).get("transform")
        if kind is None and "sklearn" in sys.modules:
            kind = sys.modules["sklearn"].get_config()["transform_output"]
        if kind in (None, "default") or output.ndim != 2:
            return output
        names = list(self.get_feature_names_out())
        tables = importlib.import_module(kind)
        if kind == "polars":
            return tables.DataFrame(output, schema=names, orient="row")
        index = X.index if isinstance(X, tables.DataFrame) else None
        return tables.DataFrame(output, index=index, columns=names, copy=False)

    def as_module(self, *, dtype: Any = np.float32) -> Module:
        """A layer that does the same with an output of ``dtype``, without anything to train, and passes gradients on."""
        raise NotImplementedError


def float_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of results for samples of this dtype: theirs, or float64 where they are no floats of up to 64 bits."""
    return dtype.newbyteorder("=") if dtype.kind == "f" and dtype.itemsize <= 8 else np.dtype(np.float64)


def as_samples(op: str, X: Any) -> Array:
    """An array (N, ...) of real numbers, not yet converted unless it holds objects."""
    if hasattr(X, "tocsr"):
        raise TypeError(f"{op}: X is a sparse matrix, which is not supported; X.toarray() makes an array of it")
    x: Array = np.asarray(unmasked(op, "X", constant(op, "X", X)))
    if x.dtype.kind == "c":
        raise ValueError(f"{op}: Complex data not supported, got X of dtype {x.dtype}")
    if x.dtype.kind == "O":
        try:
            x = x.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{op}: X must hold numbers: {error}") from error
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{op}: X must hold real numbers, got dtype {x.dtype}")
    if x.ndim < 2:
        raise ValueError(
            f"{op}: X must be an array (N, ...) of samples, got shape {x.shape}. Reshape your data: X.reshape(-1, 1) if "
            "it has one feature, X.reshape(1, -1) if it is one sample"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"{op}: X has 0 feature(s) (shape={x.shape}) while a minimum of 1 is required.")
    return x


def blocks(x: Array) -> Iterator[Array]:
    """Parts (n, features) of samples in float64, small enough for the cache; copies."""
    step = rows_at_a_time(x.shape)
    for i in range(0, len(x), step):
        part = x[i : i + step]
        yield part.astype(np.float64).reshape(len(part), -1)


def refuse_infinite(op: str, x: Array, allow_nan: bool) -> None:
    """Say where the first infinity is, or NaN."""
    if x.dtype.kind != "f":
        return
    step = rows_at_a_time(x.shape)
    for i in range(0, len(x), step):
        part = x[i : i + step]
        bad = np.isinf(part) if allow_nan else ~np.isfinite(part)
        if bad.any():
            place = np.argwhere(bad)[0]
            value = part[tuple(place)]
            place[0] += i
            raise ValueError(f"{op}: X contains {'NaN' if np.isnan(value) else value}, first at {_index(place)}")


def _index(place: Array) -> str:
    return f"X[{', '.join(map(str, place))}]"


def feature_names(X: Any) -> Array | None:
    """The names of the columns of a table, if all are strings."""
    columns = getattr(X, "columns", None)
    if columns is None or isinstance(X, np.ndarray):
        return None
    names = list(columns)
    return np.array(names, object) if names and all(isinstance(name, str) for name in names) else None


def _refuse_names(op: str, names: list[str], own: list[str]) -> NoReturn:
    unseen, missing = sorted(set(names) - set(own)), sorted(set(own) - set(names))
    text = f"{op}: The feature names should match those that were passed during fit.\n"
    if unseen:
        text += "Feature names unseen at fit time:\n" + _bullets(unseen)
    if missing:
        text += "Feature names seen at fit time, yet now missing:\n" + _bullets(missing)
    if not unseen and not missing:
        text += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(text)


def _bullets(names: list[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:_SHOWN]) + ("- ...\n" if len(names) > _SHOWN else "")


def named(indices: Array, shape: tuple[int, ...], names: Array | None) -> str:
    """Features for a message: by their names, else by their indices."""
    parts = []
    for i in indices[:_SHOWN]:
        place = tuple(int(n) for n in np.unravel_index(int(i), shape))
        parts.append(repr(str(names[i])) if names is not None else str(place[0] if len(place) == 1 else place))
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return ", ".join(parts) + more


def warn(message: str) -> None:
    """Warn of what samples have."""
    # The warning is attributed to the caller of `transform` or `fit`, who has the data.
    warnings.warn(message, UserWarning, stacklevel=_depth())


def _depth() -> int:
    """How many frames up the first one outside of this package's data modules is."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame, depth = frame.f_back, depth + 1
    return depth


def _require_keys(op: str, what: str, value: Any, keys: list[str]) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{op}: {what} must be a mapping, got {type(value).__name__}")
    if set(value) != set(keys):
        raise ValueError(f"{op}: {what} must have the keys {keys}, got {list(value)}")
