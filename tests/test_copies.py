"""What is copied, pickled or forked goes on to the same bits as the original, and leaves the original alone."""

import copy
import io
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer
from subproc import forked, needs_fork

OPTIMISERS = {
    "SGD": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "Nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adagrad": (optim.Adagrad, {"lr": 0.1, "l1": 0.01}),
    "Adadelta": (optim.Adadelta, {"lr": 0.5}),
    "RMSprop": (optim.RMSprop, {"lr": 0.1}),
    "Adam": (optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    "AdamW": (optim.AdamW, {"lr": 0.1}),
    "AMSGrad": (optim.AMSGrad, {"lr": 0.1}),
}
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Training:
    """A network with shared randomness, a frozen and an unused parameter, two groups, a schedule and a plateau."""

    def __init__(self, kind, dtype):
        make, settings = OPTIMISERS[kind]
        rng = np.random.default_rng(0)
        self.net = nn.Sequential(
            nn.Linear(5, 7, dtype=dtype, rng=rng),
            nn.BatchNorm1d(7, dtype=dtype),
            nn.Dropout(0.3, rng=rng),
            nn.Linear(7, 6, dtype=dtype, rng=rng),
            nn.Dropout(0.3, rng=rng),
            nn.Linear(6, 3, dtype=dtype, rng=rng),
        )
        self.net[3].bias.requires_grad = False
        self.unused = nn.Parameter(np.ones(3, dtype))
        groups = [
            {"params": [*self.net[0].parameters(), *self.net[1].parameters(), self.unused]},
            {"params": [*self.net[3].parameters(), *self.net[5].parameters()], "lr": settings["lr"] / 2},
        ]
        self.optimizer = make(groups, **settings)
        self.schedule = optim.Schedule(self.optimizer, optim.Cosine(12))
        self.plateau = optim.ReduceOnPlateau(self.optimizer, 0.5, patience=0)
        x = np.random.default_rng(1).normal(size=(24, 5)).astype(dtype)
        self.batches = Batches(x, np.arange(24) % 3, batch_size=12, shuffle=True, rng=rng)

    def epoch(self):
        for x, y in self.batches:
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.net(x), y)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
        self.plateau.step(loss.item())

    def bits(self):
        state = self.optimizer.state_dict()
        arrays = [*self.net.state_dict().values(), self.unused.data]
        arrays += [a for entry in state["state"].values() for a in entry.values() if isinstance(a, np.ndarray)]
        numbers = [entry["step"] for entry in state["state"].values()], [str(g) for g in state["param_groups"]]
        return [a.tobytes() for a in arrays], numbers, self.schedule.state_dict(), self.plateau.state_dict()


def _trained(training):
    for _ in range(3):
        training.epoch()
    return training.bits()


COPIES = {
    "deepcopy": lambda training: _trained(copy.deepcopy(training)),
    "pickle": lambda training: _trained(pickle.loads(pickle.dumps(training))),
    "fork": lambda training: forked(lambda: _trained(training)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("how", [*list(COPIES)[:2], pytest.param("fork", marks=needs_fork)])
def test_a_copy_in_mid_training_goes_on_to_the_same_bits(how, kind, dtype):
    training = Training(kind, dtype)
    training.epoch()
    before = training.bits()
    of_the_copy = COPIES[how](training)
    assert training.bits() == before  # the original was left alone
    assert _trained(training) == of_the_copy != before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_before_and_after_the_first_step(protocol):
    training = Training("Adam", np.float32)
    fresh = pickle.dumps(training, protocol)
    training.epoch()
    later = pickle.dumps(training, protocol)
    expected = _trained(training)
    assert _trained(pickle.loads(later)) == expected
    again = pickle.loads(fresh)
    again.epoch()
    assert _trained(again) == expected


def test_a_copy_is_made_of_its_own_arrays():
    net = nn.Linear(3, 2, rng=0)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    other, its = copy.deepcopy((net, optimizer))
    assert its.param_groups[0]["params"][0] is other.weight
    assert other.weight.data.base is not None  # a part of the copy's flat buffer
    assert not np.shares_memory(other.weight.data, net.weight.data)
    other(np.ones((1, 3), "f")).sum().backward()
    assert other.weight.grad is other.weight._target.array  # which the reverse pass writes directly
    its.step()
    assert (other.weight.data != net.weight.data).all()


def test_gradients_are_copied_too():
    net = nn.Linear(3, 2, rng=0)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(np.ones((1, 3), "f")).sum().backward()
    for other, its in (copy.deepcopy((net, optimizer)), pickle.loads(pickle.dumps((net, optimizer)))):
        its.step()
        expected = net.weight.data - np.float32(0.1) * net.weight.grad
        np.testing.assert_array_equal(other.weight.data, expected)
    net.weight.grad[...] = 0
    assert other.weight.grad.any()


def test_an_optimiser_copied_alone_has_parameters_of_its_own():
    p = fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    other = copy.deepcopy(optimizer)
    (q,) = other.param_groups[0]["params"]
    q.grad = np.ones(1)
    other.step()
    optimizer.step()
    assert (float(p), float(q)) == (1.0, 0.5)


def test_a_model_copied_alone_may_have_an_optimiser_of_its_own():
    training = Training("Adam", np.float64)
    training.epoch()
    net, unused = copy.deepcopy((training.net, training.unused))
    other = Training("Adam", np.float64)
    other.net, other.unused, other.batches = net, unused, copy.deepcopy(training.batches)
    groups = [[*net[0].parameters(), *net[1].parameters(), unused], [*net[3].parameters(), *net[5].parameters()]]
    other.optimizer = optim.Adam([{"params": group} for group in groups])
    other.schedule = optim.Schedule(other.optimizer, optim.Cosine(12))
    other.plateau = optim.ReduceOnPlateau(other.optimizer, 0.5, patience=0)
    for name in ("schedule", "plateau", "optimizer"):
        getattr(other, name).load_state_dict(getattr(training, name).state_dict())
    rng = np.random.default_rng()
    rng.bit_generator.state = training.net[2].rng.bit_generator.state
    net[2].rng = net[4].rng = rng
    assert _trained(other) == _trained(training)


def test_generators_that_are_shared_stay_shared():
    training = copy.deepcopy(Training("SGD", np.float32))
    assert training.net[2].rng is training.net[4].rng


class Named(fnn.Tensor):
    def __init__(self, array, name):
        super().__init__(array, requires_grad=True)
        self.name, self.friends = name, [self]


class Tagged(nn.Parameter):
    __slots__ = ("__dict__", "tag", "unset")


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, *(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in PROTOCOLS)]
)
def test_subclasses_of_tensors_keep_their_attributes(duplicate):
    x = Named([1.0, 2.0], "x")
    y = duplicate(x)
    assert (type(y), y.name, y.tolist(), y.requires_grad) == (Named, "x", [1.0, 2.0], True)
    y.name = "y"
    assert x.name == "x"
    if duplicate is not copy.copy:
        assert y.friends[0] is y
        assert not np.shares_memory(y.data, x.data)
    p = Tagged([1.0], decay=False)
    p.tag, p.colour, p.grad = "t", "red", np.ones(1)
    q = duplicate(p)
    assert (q.tag, q.colour, q.decay, q.grad.tolist(), hasattr(q, "unset")) == ("t", "red", False, [1.0], False)
    (q * 2.0).sum().backward()
    assert q.grad.tolist() == [3.0]


def test_a_shallow_copy_is_a_second_optimiser_of_the_same_parameters():
    p = fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
    p.grad = np.ones(1)
    optimizer.step()
    other = copy.copy(optimizer)
    other.param_groups[0]["lr"] = 0.25
    assert optimizer.lr == 0.5
    assert other.param_groups[0]["params"] == [p]
    other.step()
    assert float(p) == 0.5 - 0.5  # half of the step before, and a quarter
    assert optimizer.state_dict()["state"]["0"]["momentum_buffer"] == [-0.5]
    optimizer.step()
    assert float(p) == 0.0 - 0.75


def test_two_optimisers_of_one_parameter_are_copied():
    p = fnn.tensor([1.0, 2.0], requires_grad=True)
    everything = {"p": p, "adam": optim.Adam([p], lr=0.1), "sgd": optim.SGD([p], lr=0.1, momentum=0.5)}

    def train(parts):
        for name in ("adam", "sgd", "sgd", "adam"):
            parts["p"].grad = 3 * parts["p"].data
            parts[name].step()
        return parts["p"].data.tobytes()

    others = copy.deepcopy(everything), pickle.loads(pickle.dumps(everything))
    expected = train(everything)
    for other in others:
        assert train(other) == expected


def test_a_trainer_is_copied_whole():
    def make():
        net = nn.Sequential(nn.Linear(2, 8, rng=0), nn.ReLU(), nn.Dropout(0.5, rng=1), nn.Linear(8, 2, rng=2))
        return Trainer(net, optim.Adam(net.parameters(), lr=0.1), schedule=optim.Cosine(40))

    x = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    batches = Batches(x, (x[:, 0] > 0).astype(int), batch_size=8, shuffle=True, rng=3)
    trainer = make()
    trainer.fit(batches, epochs=2)
    others = copy.deepcopy((trainer, batches)), pickle.loads(pickle.dumps((trainer, batches)))
    trainer.fit(batches, epochs=4)
    for other, its in others:
        other.fit(its, epochs=4)
        assert other.history == trainer.history


def test_joblib_hands_an_optimiser_on():
    joblib = pytest.importorskip("joblib")
    training = Training("Adam", np.float32)
    training.epoch()
    file = io.BytesIO()
    joblib.dump(training, file)
    file.seek(0)
    assert _trained(joblib.load(file)) == _trained(training)


# ---- generators in forked children ----------------------------------------------------------------------------------


def _drawn(parts):
    ones = np.ones((1, 64), np.float32)
    layers = [layer(-ones).tobytes() for layer in parts[:-1]]
    return [*layers, F.dropout(ones, 0.5).tobytes(), [x.tolist() for (x,) in parts[-1]]]


def _random_parts(rng):
    return [nn.Dropout(0.5, rng=rng), nn.RReLU(rng=rng), Batches(np.arange(64), batch_size=64, shuffle=True, rng=rng)]


@needs_fork
@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_forked_children_draw_differently_where_nothing_was_seeded(copied):
    parts = copied(_random_parts(None))
    drawn = [*(forked(lambda: _drawn(parts)) for _ in range(2)), _drawn(parts)]
    for values in zip(*drawn, strict=True):
        assert len({str(value) for value in values}) == 3


@needs_fork
def test_forked_children_draw_alike_where_a_seed_was_given():
    parts = _random_parts(0)
    first, second = (forked(lambda: _drawn(parts)) for _ in range(2))
    parent = _drawn(parts)
    for i in (0, 1, 3):
        assert first[i] == second[i] == parent[i]


def test_generators_are_numpys():
    layer = nn.Dropout(0.5)
    assert isinstance(layer.rng, np.random.Generator)
    state = layer.rng.bit_generator.state
    drawn = layer.rng.random(3)
    layer.rng.bit_generator.state = state
    np.testing.assert_array_equal(layer.rng.random(3), drawn)
    given = np.random.default_rng(0)
    assert nn.Dropout(0.5, rng=given).rng is given
