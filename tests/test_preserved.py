"""Whatever is done inside `preserved`, in the middle of a training, the training goes on to the same bits."""

import functools

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.training import preserved
from fastnn.training.generators import find_generators
from looks import LOOKS, OPTIMIZERS, batches, first, network, optimizer_step, replace_arrays, step


def bits(state):
    """The values of a nested state, to the bit."""
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [bits(value) for value in state]
    return (state.dtype, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state


def everything(model, optimizer, data):
    gradients = [None if p.grad is None else p.grad.copy() for p in model.parameters()]
    generators = [rng.bit_generator.state for rng in find_generators(model, optimizer, data)]
    modes = [(module.training, sorted(vars(module))) for module in model.modules()]
    settings = [(p.requires_grad, p.decay) for p in model.parameters()]
    position = data.state_dict() if hasattr(data, "state_dict") else None
    return bits([dict(model.state_dict()), optimizer.state_dict(), gradients, generators, position]), modes, settings


def trained(look=None, optimizer="adam", fails=False):
    """Two passes over four batches; what ``look`` does it does within `preserved`, in the middle of each pass."""
    model, data = network(), batches()
    trains = OPTIMIZERS[optimizer](list(model.parameters()))
    schedule = optim.Schedule(trains, optim.Cosine(8, last=0.1))
    for _ in range(2):
        for number, batch in enumerate(data):
            step(model, trains, batch)
            schedule.step()
            if look is not None and number == 1:
                looked_at(look, model, trains, data, fails)
    return everything(model, trains, data)


def looked_at(look, model, optimizer, data, fails):
    before = everything(model, optimizer, data)
    objects = [(p, p.data, p.grad) for p in model.parameters()]
    with pytest.raises(_AfterwardsError) if fails else preserved(model, optimizer, data):
        if fails:
            with preserved(model, optimizer, data):
                look(model, optimizer, data)
                raise _AfterwardsError
        look(model, optimizer, data)
    assert everything(model, optimizer, data) == before
    for p, array, gradient in objects:
        assert p.data is array
        assert p.grad is gradient


class _AfterwardsError(Exception):
    pass


@functools.cache
def expected(optimizer):
    return trained(optimizer=optimizer)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("look", [look for _, look in LOOKS], ids=[name for name, _ in LOOKS])
def test_looking_never_changes_training(look, optimizer):
    assert trained(look, optimizer) == expected(optimizer)


@pytest.mark.parametrize("look", [look for _, look in LOOKS], ids=[name for name, _ in LOOKS])
def test_looking_never_changes_training_after_an_exception(look):
    assert trained(look, fails=True) == expected("adam")


def test_on_the_numpy_backend():
    with fnn.use_backend("numpy"):
        assert trained(optimizer_step) == trained()


def test_the_looks_do_something():
    """Without `preserved` they would change the training, at least by taking a batch."""
    changing = []
    for name, look in LOOKS:
        model, data = network(), batches()
        trains = OPTIMIZERS["adam"](list(model.parameters()))
        step(model, trains, first(data))
        before = everything(model, trains, data)
        look(model, trains, data)
        if everything(model, trains, data) != before:
            changing.append(name)
    assert changing == [name for name, _ in LOOKS if name != "nothing"]


def test_a_schedule_goes_on_after_steps_of_both_inside():
    """Also where it is known to the optimiser only."""
    model, data = network(), batches()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    schedule, plateau = optim.Schedule(optimizer, optim.StepDecay(1, 0.5)), optim.ReduceOnPlateau(optimizer, patience=0)
    step(model, optimizer, first(data))
    schedule.step()
    plateau.step(1.0)
    with preserved(model, optimizer, plateau):
        step(model, optimizer, first(data))
        schedule.step()
        plateau.step(1.0)
    assert (optimizer.lr, schedule.steps, schedule.base, plateau.waited, plateau.best) == (0.5, 1, [1.0], 0, 1.0)
    with pytest.raises(RuntimeError, match="before the optimiser's"):
        schedule.step()
    step(model, optimizer, first(data))
    schedule.step()
    plateau.step(1.0)
    assert optimizer.lr == 0.25 * 0.1


def test_a_schedule_made_inside_takes_no_place():
    model = nn.Linear(2, 1, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    schedule = optim.Schedule(optimizer, optim.StepDecay(1, 0.5))
    with preserved(model, optimizer):
        inside = optim.Schedule(optimizer, optim.Warmup(3))
        assert optimizer.lr == 0.0
    optimizer.step()
    schedule.step()
    assert optimizer.lr == 0.5
    with pytest.raises(RuntimeError, match="another schedule"):
        inside.step()


def test_the_optimizer_keeps_its_memory():
    model, data = network(), batches()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    step(model, optimizer, first(data))
    block = optimizer._blocks[0][1]
    flats = [block.data, block.grad, *block.state.values()]
    with preserved(model, optimizer):
        optimizer_step(model, optimizer, data)
        replace_arrays(model, optimizer, data)
    step(model, optimizer, first(data))
    assert optimizer._blocks[0][1] is block
    assert all(now is flat for now, flat in zip([block.data, block.grad, *block.state.values()], flats, strict=True))
    assert all(
        np.shares_memory(p.data, block.data) and np.shares_memory(p.grad, block.grad) for p in model.parameters()
    )


def test_gradients_between_the_passes_that_they_add_up_over_stay():
    model = nn.Linear(3, 2, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((2, 3), np.float32)
    F.mse_loss(model(x), np.zeros((2, 2), np.float32)).backward()
    kept, values = model.weight.grad, model.weight.grad.copy()
    with preserved(model, optimizer):
        F.mse_loss(model(x), np.zeros((2, 2), np.float32)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model.weight.grad is kept
    assert (kept == values).all()


def test_what_is_recorded_before_can_be_differentiated_after_a_look_that_changes_no_values():
    model = nn.Linear(3, 2, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((2, 3), np.float32)
    wanted = F.mse_loss(F.tanh(model(x)), np.zeros((2, 2), np.float32))
    wanted.backward(retain_graph=True)
    expected = model.weight.grad.copy()
    optimizer.zero_grad()
    with preserved(model, optimizer):
        F.mse_loss(model(x), np.ones((2, 2), np.float32)).backward()
        model.eval()
    wanted.backward()
    assert (model.weight.grad == expected).all()


def test_a_graph_recorded_inside_is_refused_once_the_values_are_back():
    model = nn.Linear(3, 3, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((2, 3), np.float32)
    with preserved(model, optimizer):
        model(x).sum().backward()
        optimizer.step()
        y = model(model(x)).sum()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


class Remembering(nn.Module):
    """Keeps more than parameters and buffers."""

    def __init__(self):
        self.linear = nn.Linear(2, 2, rng=0)
        self.hidden = np.zeros(2, np.float32)
        self.frozen = np.zeros(2)
        self.frozen.flags.writeable = False
        self.calls, self.seen, self.names = 0, [], {"last": None}
        self.members = {1}
        self.objects = np.array([None, "a"], dtype=object)
        self.register_buffer("count", np.int64(0))
        self.empty = np.zeros((0, 3))

    def forward(self, x):
        self.calls += 1
        self.seen.append(x.shape)
        self.names["last"] = x.shape
        self.members.add(len(x))
        self.hidden[...] = x.mean(axis=0)
        self.objects[0] = "b"
        self.count += 1
        return self.linear(x)


def test_all_attributes_of_modules_are_put_back():
    model = Remembering()
    hidden, seen = model.hidden, model.seen
    with preserved(model):
        model(np.ones((3, 2), np.float32))
        model.calls, model.hidden, model.seen, model.names = "x", None, (), {}
        model.new = 3
    assert (model.calls, model.names, model.members, model.count) == (0, {"last": None}, {1}, 0)
    assert model.hidden is hidden
    assert not hidden.any()
    assert model.seen is seen == []
    assert model.objects.tolist() == [None, "a"]
    assert not hasattr(model, "new")


def test_values_are_put_back_to_the_bit():
    """Also where they are equal but not the same: zeros of either sign, NaN of either payload."""
    model = nn.Sequential(nn.Linear(2, 2, rng=0))
    p = model[0].weight
    p.data[...] = np.array([[0x80000000, 0x7FC00001], [0x00000001, 0x7F800000]], np.uint32).view(np.float32)
    before = p.data.tobytes()
    with preserved(model):
        p.data[...] = [[0.0, np.nan], [0.0, 1.0]]
    assert p.data.tobytes() == before


@pytest.mark.parametrize("shape", [(), (0, 2), (3, 2)])
def test_arrays_in_any_order_and_shared_memory(shape):
    class Views(nn.Module):
        def __init__(self):
            whole = np.arange(24.0).reshape(4, 6)
            self.whole, self.part, self.turned = whole, whole[1:3, ::2], whole.T
            self.reversed = np.arange(5)[::-1]
            self.other = np.ones(shape, order="F")

    model = Views()
    before = [array.copy() for array in (model.whole, model.part, model.turned, model.reversed, model.other)]
    with preserved(model):
        model.part += 1
        model.whole[0] = 7
        model.reversed[1:] = 0
        model.other[...] = 5
    after = [model.whole, model.part, model.turned, model.reversed, model.other]
    assert all((a == b).all() for a, b in zip(after, before, strict=True))
    assert np.shares_memory(model.whole, model.part)


def test_hooks_are_put_back():
    model = nn.Sequential(nn.ReLU(), nn.ReLU())
    calls = []
    first_hook = model[0].register_forward_hook(lambda *_: calls.append("first"))
    with preserved(model):
        first_hook.remove()
        model[0].register_forward_hook(lambda *_: calls.append("second"))
        third = model[1].register_forward_hook(lambda *_: calls.append("third"))
        model(np.ones(1))
        assert calls == ["second", "third"]
    third.remove()
    model(np.ones(1))
    assert calls == ["second", "third", "first"]
    first_hook.remove()
    assert "forward" not in vars(model[0])


class Counting:
    def __init__(self):
        self.count, self.loaded = [0], 0

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count, self.loaded = list(state["count"]), self.loaded + 1


def test_others_with_state_get_it_back():
    one, two, log = Counting(), Counting(), []
    rng = np.random.default_rng(0)

    def callback(trainer):
        log.append(rng.normal())

    with preserved(nn.ReLU(), None, one, [two, {"a": callback}]):
        one.count[0] = two.count[0] = 5
        callback(None)
    assert (one.count, two.count, one.loaded, two.loaded) == ([0], [0], 1, 1)
    assert log == [rng.normal()]


def test_everything_else_is_put_back_where_a_state_is_refused():
    class Broken(Counting):
        def load_state_dict(self, state):
            raise ValueError("no")

    model, one = nn.Linear(2, 2, rng=0), Counting()
    before = model.weight.data.copy()
    look = preserved(model, None, Broken(), one)
    look.__enter__()
    model.weight.data += 1
    one.count[0] = 3
    with pytest.raises(ValueError, match="no"):
        look.__exit__(None, None, None)
    assert (model.weight.data == before).all()
    assert one.count == [0]


def test_several_models_and_nested_looks():
    one, two = network(1), network(2)
    of_one, of_two = optim.Adam(one.parameters()), optim.Adam(two.parameters())
    data = batches()
    step(two, of_two, first(data))
    before = everything(one, of_one, data), everything(two, of_two, data)
    with preserved(one, of_one, two, of_two, data):
        step(one, of_one, first(data))
        inner = everything(one, of_one, data)
        with preserved(one, of_one, data):
            step(one, of_one, first(data))
        assert everything(one, of_one, data) == inner
        step(two, of_two, first(data))
    assert (everything(one, of_one, data), everything(two, of_two, data)) == before


def test_unseeded_generators_are_put_back():
    model = nn.Sequential(nn.Dropout(0.5))
    with preserved(model):
        inside = model(np.ones(100))
    assert (model(np.ones(100)) == inside).all()


def test_children_of_a_generator_are_spawned_again():
    model = nn.Sequential(nn.Dropout(0.5, rng=0))
    rng = model[0].rng
    rng.spawn(1)
    with preserved(model):
        inside = [child.normal() for child in rng.spawn(2)]
    assert model[0].rng is rng
    assert [child.normal() for child in rng.spawn(2)] == inside


def test_wrong_arguments_are_refused():
    model = nn.Linear(2, 2, rng=0)
    with pytest.raises(TypeError, match="preserved: model must be a Module, got SGD"):
        preserved(optim.SGD(model.parameters(), lr=1.0))
    with pytest.raises(TypeError, match="preserved: optimizer must be an Optimizer, got Linear"):
        preserved(model, model)
