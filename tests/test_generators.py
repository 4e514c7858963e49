"""Random generators are found wherever the parts of a training keep them."""

import copy
import functools

import numpy as np
import pytest

from fastnn import nn
from fastnn.data import Batches
from fastnn.training.generators import find_generators
from looks import noise

# Generators.
RNG = np.random.default_rng(5)


def helper(x):
    return [x + RNG.normal() for _ in range(2)]


def by_helper(x):
    return helper(x)


class Slotted:
    __slots__ = ("missing", "rng")

    def __init__(self, rng):
        self.rng = rng


class Callback:
    """Holds a generator, itself, and what must not be looked into."""

    shared = np.random.default_rng(3)

    def __init__(self, rng):
        self.me, self.module, self.kind, self.array = self, np, Callback, np.array([rng], dtype=object)
        self.nested = {"a": [(Slotted(rng),)]}

    def __call__(self, trainer):
        raise AssertionError

    def method(self):
        raise AssertionError


def held_by_closure(rng):
    def inner(x):
        return x + rng.normal()

    def never():
        return later

    assert never is not inner
    if rng is None:
        later = 3
    return lambda x, _=None: (inner(x), never)


def with_default(x, rng=RNG, *, other=RNG):
    return rng, other


def number_zero():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda rng: rng,
        lambda rng: [rng],
        lambda rng: (1, {"x": rng}),
        lambda rng: nn.Sequential(nn.Sequential(nn.Dropout(0.1, rng=rng))),
        lambda rng: nn.RNN(2, 3, rng=rng),
        Callback,
        lambda rng: Callback(rng).method,
        Slotted,
        held_by_closure,
        lambda rng: functools.partial(noise, rng=rng),
        lambda rng: functools.partial(noise, np.ones(2), rng),
        lambda rng: rng.normal,
        lambda rng: functools.wraps(noise)(functools.partial(noise, rng=rng)),
        lambda rng: [np.random.Generator(rng.bit_generator), rng],
    ],
)
def test_a_generator_is_found_once(wrap):
    rng = number_zero()
    held = wrap(rng)
    found = find_generators(held, rng, held)
    assert [one.bit_generator for one in found] == [rng.bit_generator]


def test_the_generator_of_a_transform_of_batches_is_found():
    rng = number_zero()
    assert rng in find_generators(Batches(np.ones(3), batch_size=1, transform=held_by_closure(rng)))


def test_generators_of_functions():
    assert find_generators(by_helper) == find_generators(with_default) == find_generators(lambda: RNG) == [RNG]
    assert find_generators(number_zero, noise, np, Callback, RNG.__class__, {RNG}, None, 3, "x") == []


def test_generators_come_in_the_order_of_attributes():
    one, two, three, four = (np.random.default_rng(i) for i in range(4))
    model = nn.Sequential(nn.Sequential(nn.Dropout(rng=two), nn.Dropout(rng=one)), nn.Dropout(rng=three))
    assert find_generators(model, [four, one]) == [two, one, three, four]
    again = copy.deepcopy(model)
    states = [rng.bit_generator.state for rng in (two, one, three)]
    assert [rng.bit_generator.state for rng in find_generators(again)] == states


def test_deep_nesting_is_looked_through():
    nested = RNG
    for _ in range(5000):
        nested = [nested]
    assert find_generators(nested) == [RNG]
