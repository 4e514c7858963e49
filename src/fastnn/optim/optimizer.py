"""What all optimisers share: parameter groups, flat buffers, state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, NamedTuple, Self

import numpy as np

from .. import checks
from .._calls import explain_init
from ..autograd import Tensor
from .flat import FlatBlock, Part, check_array

Params = Iterable[Tensor] | Iterable[dict[str, Any]]
_Entry = tuple[int, dict[str, np.ndarray]]  # a parameter's entry in a state: its count of steps, and its arrays
_PENALTIES = ("weight_decay", "l1")
# The functions that check settings, by the names of these; a name means the same in every optimiser.
_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    **dict.fromkeys(("lr", "weight_decay", "l1", "eps", "momentum"), checks.rate),
    **dict.fromkeys(("decay_all", "nesterov", "eps_inside"), checks.flag),
    **dict.fromkeys(("alpha", "rho"), checks.decay),
    "betas": lambda op, _, value: checks.betas(op, value),
}


class _Settings(NamedTuple):
    """Those of a group, checked: all of them, and those that its step function takes, with penalties and without."""

    group: dict[str, Any]
    penalised: dict[str, Any]
    plain: dict[str, Any]
    apart: bool  # whether there are penalties from which some parameters are exempt


class Optimizer:
    """Base of the optimisers.

    Parameters
    ----------
    params : iterable of Tensor, or list of dict
        The parameters to optimise; or groups, dicts with "params" and the settings that differ from the defaults,
        as in PyTorch.
    defaults : dict
        The settings.

    Attributes
    ----------
    param_groups : list of dict
        The groups with all their settings, which may be changed at any time: ``group["lr"] = 0.01``. Parameters and
        groups added or removed here count from the next call; those that stay keep their state.

    Notes
    -----
    The parameters' arrays become views into flat buffers, so that one call updates all of a group; their gradients
    too. ``weight_decay`` and ``l1`` add ``weight_decay·x + l1·sign(x)`` to the gradient: with λ/n, n the number of
    samples, they are those of penalties λ/2·x² and λ·|x| on the whole loss. They leave alone the parameters made with
    ``decay=False``, which the layers do for biases and for the parameters of norms, unless ``decay_all`` is True.
    (PyTorch decays all.)

    Parameters without a gradient, and frozen ones, are not touched by a step.

    Arrays that are kept from outside are left alone: an earlier ``p.grad``, or values that ``p.data = …`` replaced, or the
    array put in their place, which is copied.

    A copy made by `copy.deepcopy`, `pickle` or a fork goes on to the same bits. It trains the parameters that were copied
    with it, so copy model and optimiser together: ``model, optimizer = copy.deepcopy((model, optimizer))``. ``copy.copy``
    gives a second optimiser of the same parameters, with settings and state of its own.

    Examples
    --------
    >>> import fastnn as fnn
    >>> first, second = (fnn.tensor([1.0], requires_grad=True) for _ in range(2))
    >>> optimizer = fnn.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.5}], lr=0.1)
    >>> isinstance(optimizer, fnn.optim.Optimizer), [group["lr"] for group in optimizer.param_groups]
    (True, [0.1, 0.5])
    """

    state_names: tuple[str, ...] = ()
    # The function that makes a step; it has a parameter for each array of the state and for each setting.
    _step: Callable[..., None]
    _counts_steps = False  # whether that function takes ``step``, the number of the step

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        explain_init(cls)

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self._name = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._members: list[list[Tensor]] = []  # the parameters of each group, as last read from it
        self._settings: list[_Settings] = []  # those of each group, as they were last checked
        self._blocks: list[tuple[int, FlatBlock]] = []  # each with its group's number, in the groups' order
        self._steps_taken = 0  # by which a schedule sees whether there was a step
        self._scheduled: dict[str, Any] = {}  # what the last schedule of each setting keeps; see `Schedule`
        for group in _as_groups(self._name, params):
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimise further parameters.

        Parameters
        ----------
        group : dict
            "params", and settings that differ from the defaults.

        Raises
        ------
        ValueError
            For a parameter that is here already, is not a leaf, or has a gradient that does not fit, or for an unknown or
            impossible setting.
        TypeError
            For something that is not a tensor of float32 or float64, or a set, which has no order; for a setting or a
            gradient of the wrong type.
        """
        self._follow_groups()
        number = len(self.param_groups)
        unknown = [key for key in group if key != "params" and key not in self.defaults]
        if unknown or "params" not in group:
            raise ValueError(
                f"{self._name}: group {number} has {sorted(group)}, expected params and any of {sorted(self.defaults)}"
            )
        full = self.defaults | dict(group)
        params = self._checked_params(full, number, {id(p) for members in self._members for p in members})
        full["params"] = list(params)  # a list of its own: the caller may change the one that was given
        settings = self._settled(full)
        blocks = self._blocks_of(number, params)
        self.param_groups.append(full)
        self._members.append(params)
        self._settings.append(settings)
        self._blocks += blocks
        for _, block in blocks:
            block.gather()

    def _checked_params(self, group: dict[str, Any], number: int, known: set[int]) -> list[Tensor]:
        """A group's parameters, once it is sure that they can be optimised and are not ``known``, to which they come.

        The group has them in a list from then on, also if they are refused: an iterator gives them once.
        """
        params = group["params"]
        _refuse_set(f"{self._name}: params of group {number}", params)
        if not isinstance(params, Iterable):
            raise TypeError(f"{self._name}: params of group {number} must be parameters, got {type(params).__name__}")
        if type(params) is not list:
            params = group["params"] = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ValueError(f"{self._name}: group {number} has no parameters")
        for i, p in enumerate(params):
            _check_parameter(f"{self._name}: parameter {i} of group {number}", p)
            if id(p) in known:
                raise ValueError(f"{self._name}: parameter {i} of group {number} appears twice (shape {p.shape})")
            known.add(id(p))
        return list(params)

    def _follow_groups(self) -> None:
        """Gather the parameters anew if `param_groups` was edited by hand."""
        if self._groups_are_known():
            return
        known: set[int] = set()
        members, settings, blocks = [], [], []
        for number, group in enumerate(self.param_groups):
            if group.keys() != {"params", *self.defaults}:
                raise ValueError(
                    f"{self._name}: group {number} has {sorted(group)}, expected params and {sorted(self.defaults)}; "
                    "add_param_group fills in what is missing"
                )
            members.append(self._checked_params(group, number, known))
            settings.append(self._settled(group))
        for number, params in enumerate(members):
            blocks += self._blocks_of(number, params)
        before = _found(self._blocks)
        for p, (block, i) in _found(blocks).items():
            if p in before:
                block.take_state(i, *before[p])
        self._members, self._settings, self._blocks = members, settings, blocks
        for _, block in blocks:
            block.gather()

    def _groups_are_known(self) -> bool:
        groups, known = self.param_groups, self._members
        if len(groups) != len(known):
            return False
        for i, members in enumerate(known):
            params = groups[i].get("params")
            if type(params) is not list or len(params) != len(members) or not all(map(is_, params, members)):
                return False
        return True

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.param_groups = [group | {"params": list(group["params"])} for group in self.param_groups]
        new._members = [list(members) for members in self._members]
        new._settings = list(self._settings)
        new._blocks = [(number, copy.copy(block)) for number, block in self._blocks]
        new._scheduled = {}
        return new

    def _blocks_of(self, number: int, params: list[Tensor]) -> list[tuple[int, FlatBlock]]:
        """Blocks of a group's parameters, which are checked and not gathered yet: another group's may be refused."""
        kinds: dict[Any, list[Tensor]] = {}
        for p in params:
            kinds.setdefault(p.dtype, []).append(p)
        return [(number, FlatBlock(self._name, of_kind, self.state_names)) for of_kind in kinds.values()]

    def _settled(self, group: dict[str, Any]) -> _Settings:
        checked = self._checked_settings(group)
        penalised = {key: checked[key] for key in self.defaults if key != "decay_all"}
        plain = {key: value for key, value in penalised.items() if key not in _PENALTIES}
        penalties = any(penalised[key] for key in _PENALTIES)
        return _Settings(checked, penalised, plain, penalties and not checked["decay_all"])

    def _checked_settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """A group with its settings as plain numbers, flags and tuples, which no step refuses.

        A step takes them from here, so that one that equals another, as True does 1.0, is as good.
        """
        if not self.defaults.keys() <= group.keys():
            raise ValueError(f"{self._name}: a group lacks the settings {sorted(self.defaults.keys() - group.keys())}")
        return group | {key: check(self._name, key, group[key]) for key, check in _CHECKS.items() if key in group}

    @property
    def lr(self) -> float:
        """The learning rate; to set it sets that of every group, to read it needs all groups to agree."""
        rates = {group["lr"] for group in self.param_groups}
        if not rates:
            raise ValueError(f"{self._name}: there are no groups, so there is no learning rate")
        if len(rates) > 1:
            raise ValueError(f"{self._name}: the groups have the learning rates {sorted(rates)}; see param_groups")
        return float(rates.pop())

    @lr.setter
    def lr(self, value: float) -> None:
        rate = checks.rate(self._name, "lr", value)
        for group in self.param_groups:
            group["lr"] = rate

    def step(self) -> None:
        """Update every parameter that has a gradient, in place.

        Raises
        ------
        TypeError, ValueError
            If a group, a setting, values or a gradient were changed into what does not fit; nothing is changed.
        """
        if not self._groups_are_known():
            self._follow_groups()
        groups, settings = self.param_groups, self._settings
        for number, block in self._blocks:
            if groups[number] != settings[number].group:
                settings[number] = self._settled(groups[number])
            block.gather()
        self._steps_taken += 1
        for number, block in self._blocks:
            _, penalised, plain, apart = settings[number]
            for part, step, decays in block.advance(apart):
                self._update(part, step, penalised if decays or not apart else plain)

    def _update(self, part: Part, step: int, settings: dict[str, Any]) -> None:
        """Step one run of a block; ``step`` counts from 1."""
        if self._counts_steps:
            self._step(part.data, part.grad, **part.state, **settings, step=step)
        else:
            self._step(part.data, part.grad, **part.state, **settings)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; the next backward makes new ones, in the same memory unless somebody kept the old ones.

        Parameters
        ----------
        set_to_none : bool
            False leaves gradients of zeros instead of None: parameters that the next backward does not reach are
            then stepped too (momentum and decay move them).
        """
        for group in self.param_groups:
            params = group.get("params")
            if type(params) is not list or not params:  # an iterator becomes a list, so that it is not used up below
                self._follow_groups()
        if set_to_none:
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = None
            return
        self._follow_groups()
        for _, block in self._blocks:
            block.fill_grad()

    def state_dict(self) -> dict[str, Any]:
        """Settings and copies of the state, for `load_state_dict` and `fastnn.save_checkpoint`.

        Returns
        -------
        dict
            "param_groups": per group its settings and, under "params", its parameters' numbers, counted through all
            groups; "state": by number (a string) the count of steps and the state arrays.
        """
        groups, state = [], {}
        number = 0
        for group, places in zip(self.param_groups, self._places(), strict=True):
            settings = {key: value for key, value in group.items() if key != "params"}
            groups.append(settings | {"params": list(range(number, number + len(places)))})
            for block, i in places:
                arrays = {key: block.view(flat, i).copy() for key, flat in block.state.items()}
                state[str(number)] = {"step": block.steps[i], **arrays}
                number += 1
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` of an optimiser over the same parameters gave.

        Everything is checked before anything is changed.

        Raises
        ------
        ValueError
            If groups, numbers of parameters, settings, counts of steps, state arrays or their shapes don't agree.
        TypeError
            If a setting, a count or an array is of a type that does not fit.
        """
        groups, entries = self._checked_state(state)
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({key: value for key, value in group.items() if key != "params"})
        places = [place for group in self._places() for place in group]
        for (block, i), (step, arrays) in zip(places, entries, strict=True):
            block.steps[i] = step
            for key, flat in block.state.items():
                block.view(flat, i)[...] = arrays[key]

    def _checked_state(self, state: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[_Entry]]:
        """The groups of a state and, for each parameter, its count of steps and its arrays, once it is sure that all fit."""
        if not isinstance(state, Mapping) or not {"param_groups", "state"} <= state.keys():
            found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{self._name}: the state is {found}, expected param_groups and state")
        if not isinstance(state["param_groups"], list | tuple) or not isinstance(state["state"], Mapping):
            kinds = type(state["param_groups"]).__name__, type(state["state"]).__name__
            raise TypeError(
                f"{self._name}: param_groups and state must be a list and a mapping, got {' and '.join(kinds)}"
            )
        places = self._places()
        groups = [self._checked_group(group) for group in state["param_groups"]]
        sizes, own = [len(group["params"]) for group in groups], [len(group) for group in places]
        if sizes != own:
            raise ValueError(f"{self._name}: the state has groups of {sizes} parameters, this optimiser of {own}")
        params = [block.params[i] for group in places for block, i in group]
        return groups, [self._checked_entry(n, state["state"].get(str(n)), p) for n, p in enumerate(params)]

    def _checked_group(self, group: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(group, Mapping) or group.keys() != {"params", *self.defaults}:
            found = sorted(group) if isinstance(group, Mapping) else type(group).__name__
            raise ValueError(
                f"{self._name}: the state has the settings {found}, expected params, {sorted(self.defaults)}"
            )
        if not isinstance(group["params"], list | tuple):
            raise TypeError(f"{self._name}: params in the state must be a list, got {type(group['params']).__name__}")
        return self._checked_settings(dict(group))

    def _places(self) -> list[list[tuple[FlatBlock, int]]]:
        """For each group, in which block each parameter is, and where in it."""
        self._follow_groups()
        found = _found(self._blocks)
        return [[found[p] for p in group["params"]] for group in self.param_groups]

    def _checked_entry(self, number: int, entry: Any, p: Tensor) -> _Entry:
        expected = {"step", *self.state_names}
        if not isinstance(entry, Mapping) or entry.keys() != expected:
            found = sorted(entry) if isinstance(entry, Mapping) else entry
            raise ValueError(f"{self._name}: the state of parameter {number} is {found}, expected {sorted(expected)}")
        step = checks.integer(self._name, f"step of parameter {number}", entry["step"], 0)
        return step, {
            key: self._checked_array(f"{key} of parameter {number}", entry[key], p) for key in self.state_names
        }

    def _checked_array(self, what: str, value: Any, p: Tensor) -> np.ndarray:
        array = np.asarray(checks.unmasked(self._name, what, value))
        if array.shape != p.shape:
            raise ValueError(f"{self._name}: {what} has shape {array.shape}, expected {p.shape}")
        if not np.can_cast(array.dtype, p.dtype, "same_kind"):
            raise TypeError(f"{self._name}: {what} has dtype {array.dtype}, expected {p.dtype}")
        return array

    def __repr__(self) -> str:
        settings = (
            {k: v for k, v in g.items() if k != "params"} | {"parameters": len(g["params"])} for g in self.param_groups
        )
        return f"{self._name}({', '.join(str(s) for s in settings)})"


def _as_groups(name: str, params: Params) -> list[dict[str, Any]]:
    if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
        raise TypeError(f"{name}: params must be an iterable of parameters or of groups, got {type(params).__name__}")
    _refuse_set(f"{name}: params", params)
    entries = list(params)
    if not entries:
        raise ValueError(f"{name}: there are no parameters to optimise (an iterator gives them once)")
    if all(isinstance(entry, dict) for entry in entries):
        return entries  # type: ignore[return-value]
    return [{"params": entries}]


def _found(blocks: list[tuple[int, FlatBlock]]) -> dict[Tensor, tuple[FlatBlock, int]]:
    """In which block each parameter is, and where in it; tensors are hashed by identity."""
    return {p: (block, i) for _, block in blocks for i, p in enumerate(block.params)}


def _refuse_set(what: str, params: Any) -> None:
    if isinstance(params, (set, frozenset)):
        raise TypeError(
            f"{what} must be in an order that stays, by which states are loaded; a {type(params).__name__} has none"
        )


def _check_parameter(what: str, p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(f"{what} must be a Tensor, got {type(p).__name__}")
    check_array(f"{what}: its values", p.data)
    if p.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{what} must be float32 or float64, got {p.dtype}")
    if not p.is_leaf:
        raise ValueError(f"{what} is not a leaf but was computed (shape {p.shape})")
