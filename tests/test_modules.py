"""What modules hold and do beside computing: buffers, names, hooks, dtypes, lists and dictionaries of modules."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.nn.intercept import intercepted

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def net():
    return nn.Sequential(nn.Linear(3, 3, rng=0), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2, rng=1))


# Buffers and names


@pytest.mark.parametrize("first", [np.zeros((), np.int64), np.float32(0), 0, [1, 2], fnn.tensor([0.0])])
def test_buffers_stay_arrays(first):
    module = nn.Module()
    module.register_buffer("n", first)
    assert type(module.n) is np.ndarray
    module.n = module.n + 1
    assert type(module.n) is np.ndarray
    module.n += 1
    state = module.state_dict()
    module.load_state_dict({"n": state["n"] * 0})
    np.testing.assert_array_equal(module.n, np.zeros_like(np.asarray(state["n"])))
    assert dict(module.named_buffers())["n"] is module.n


def test_a_buffer_takes_no_gradient_away():
    module, x = nn.Module(), fnn.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="buffer 'n' is not trained"):
        module.register_buffer("n", x * 1.0)
    assert list(module.state_dict()) == []
    module.register_buffer("n", x.numpy())
    with pytest.raises(TypeError, match="buffer 'n' is not trained"):
        module.n = x * 1.0
    module.n = (x * 2.0).detach()
    assert module.n.tolist() == [2.0]


def test_deleted_buffers_and_parameters_are_gone():
    module = nn.BatchNorm1d(3)
    del module.running_mean, module.bias
    assert list(module.state_dict()) == ["weight", "running_var", "num_batches_tracked"]
    module.running_mean = np.zeros(3)
    assert "running_mean" not in module.state_dict()


def test_buffers_of_none():
    module = nn.BatchNorm1d(3, track_running_stats=False)
    assert list(module.buffers()) == []


@pytest.mark.parametrize("name", ["forward", "train", "parameters", "a.b", ""])
def test_names_that_clash(name):
    module = nn.Linear(2, 2, rng=0)
    for add in (
        lambda: module.register_buffer(name, np.ones(2)),
        lambda: setattr(module, name, nn.Parameter([1.0])),
        lambda: setattr(module, name, nn.ReLU()),
        lambda: nn.ModuleDict({name: nn.ReLU()}),
    ):
        with pytest.raises(ValueError, match="name"):
            add()
    assert list(module.state_dict()) == ["weight", "bias"]


def test_a_default_of_the_class_may_be_replaced():
    class WithDefault(nn.Module):
        activation = nn.ReLU()
        function = staticmethod(np.tanh)

    module = WithDefault()
    module.activation, module.function = nn.Tanh(), nn.Sigmoid()
    assert [name for name, _ in module.named_children()] == ["activation", "function"]


def test_a_buffer_with_the_name_of_a_parameter():
    module = nn.Linear(2, 2, rng=0)
    with pytest.raises(ValueError, match="'weight' is a parameter or module already"):
        module.register_buffer("weight", np.ones(2))
    with pytest.raises(TypeError, match="buffer 'p' must be an array, got Parameter"):
        module.register_buffer("p", nn.Parameter([1.0]))


@pytest.mark.parametrize("value", [nn.Parameter([1.0]), nn.ReLU()])
def test_a_parameter_or_module_does_not_take_the_name_of_a_buffer(value):
    module = nn.BatchNorm1d(1)
    with pytest.raises(
        TypeError, match=f"BatchNorm1d: buffer 'running_mean' must be an array, got {type(value).__name__}"
    ):
        module.running_mean = value
    assert module.state_dict()["running_mean"].tolist() == [0.0]
    del module.running_mean
    module.running_mean = value
    assert "running_mean" not in dict(module.named_buffers())


def test_buffers_are_plain_arrays():
    module = nn.Module()
    with pytest.raises(TypeError, match=r"Module: buffer 'n' is a masked array.*filled"):
        module.register_buffer("n", np.ma.masked_array([1.0], [True]))
    module.register_buffer("n", np.ones(1))
    with pytest.raises(TypeError, match=r"Module: buffer 'n' is a masked array.*filled"):
        module.n = np.ma.masked_array([1.0], [True])
    assert module.n.tolist() == [1.0]
    module.n = np.ones(2).view(np.recarray)
    assert type(module.n) is np.ndarray


def test_a_read_only_array_is_found_before_anything_is_loaded():
    model = net()
    before = model.state_dict()
    model[3].weight.data.flags.writeable = False
    with pytest.raises(ValueError, match=r"load_state_dict: .* 3\.weight is read-only"):
        model.load_state_dict({k: v * 0 + 9 for k, v in before.items()})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_module_that_keeps_the_one_above():
    above, below = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)
    above.below, below.above, below.own = below, above, below
    assert list(above.state_dict()) == ["weight", "bias", "below.weight", "below.bias"]
    assert len(list(above.parameters())) == 4
    assert list(below.state_dict())[2:] == ["above.weight", "above.bias"]
    assert repr(above).count("Linear") == 2
    assert "..." in repr(above)
    above.eval()
    assert not below.training
    copied = copy.deepcopy(above)
    assert copied.below.above is copied
    above.load_state_dict(copied.state_dict())


def test_requires_grad_of_all():
    model = net()
    assert model.requires_grad_(False) is model
    assert not any(p.requires_grad for p in model.parameters())
    model[3].requires_grad_()
    assert [p.requires_grad for p in model.parameters()] == [False] * 4 + [True] * 2


# dtypes


def test_astype():
    model = net()
    model.register_buffer("steps", np.zeros(2, np.int64))
    both = nn.ModuleList([model, model[0]])
    model(X).sum().backward()
    expected = model.eval()(X).data
    model.train()
    assert both.astype("float64") is both
    assert {p.dtype for p in model.parameters()} == {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert model[1].running_mean.dtype == np.float64
    assert model.steps.dtype == model[1].num_batches_tracked.dtype == np.int64
    assert both[1].weight is model[0].weight
    np.testing.assert_allclose(model.eval()(X.astype(np.float64)).data, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="astype: expected float32 or float64, got int64"):
        model.astype(np.int64)


def test_astype_and_optimisers():
    model = nn.Linear(3, 2, rng=0)
    optimiser = fnn.optim.Adam(model.parameters(), lr=0.1)
    model.astype(np.float64)
    model(X.astype(np.float64)).sum().backward()
    with pytest.raises(ValueError, match="make a new optimiser"):
        optimiser.step()
    before = model.weight.data.copy()
    fnn.optim.Adam(model.parameters(), lr=0.1).step()
    assert not np.array_equal(before, model.weight.data)


# Hooks


def test_hooks_see_calls_and_replace_outputs():
    model, seen = net(), []
    plain = model.eval()(X).data
    first = model[3].register_forward_hook(lambda module, args, output: seen.append((module, args, output)))
    second = model[3].register_forward_hook(lambda module, args, output: output * 2.0)
    third = model[3].register_forward_hook(lambda module, args, output: seen.append(output))
    doubled = model(X).data
    np.testing.assert_array_equal(doubled, plain * 2)
    module, args, output = seen[0]
    assert module is model[3]
    assert len(args) == 1
    np.testing.assert_array_equal(output.data, plain)
    np.testing.assert_array_equal(seen[1].data, doubled)
    first.remove()
    first.remove()
    second.remove()
    np.testing.assert_array_equal(model(X).data, plain)
    assert len(seen) == 3
    third.remove()
    assert "forward" not in vars(model[3])
    with pytest.raises(TypeError, match="hook must be callable, got int"):
        model.register_forward_hook(3)


@pytest.mark.parametrize("number", [1, 2])
def test_layers_with_hooks_are_not_computed_together_with_others(number):
    model, seen = net(), []
    expected = copy.deepcopy(model)(X).data
    with model[number].register_forward_hook(lambda module, args, output: seen.append(output.data)):
        np.testing.assert_array_equal(model(X).data, expected)
    assert len(seen) == 1
    assert (seen[0] < 0).any() == (number == 1)
    block, seen = nn.ResidualBlock(2, 2, rng=0), []
    x = np.random.default_rng(0).normal(size=(2, 2, 4, 4)).astype(np.float32)
    with block.branch[-1].register_forward_hook(lambda module, args, output: seen.append(output)):
        block(x)
    assert len(seen) == 1


def test_hooks_and_interception():
    model, order = net(), []

    def around(name, module, forward, args, kwargs):
        order.append(f"before {name}")
        return forward(*args, **kwargs)

    handle = model[3].register_forward_hook(lambda module, args, output: order.append("hook"))
    with intercepted(model, around):
        model(X)
    assert order[-2:] == ["before 3", "hook"]
    model(X)
    assert order[-2:] == ["hook", "hook"]
    handle.remove()
    assert "forward" not in vars(model[3])


def test_a_hook_that_is_removed_during_interception():
    model, seen = net(), []
    handle = model[3].register_forward_hook(lambda module, args, output: seen.append("removed"))
    kept = model[0].register_forward_hook(lambda module, args, output: seen.append("kept"))
    with intercepted(model, lambda name, module, forward, args, kwargs: forward(*args, **kwargs)):
        handle.remove()
        model(X)
    assert "forward" not in vars(model[3])
    model(X)
    assert seen == ["kept"] * 2
    kept.remove()
    assert "forward" not in vars(model[0])


def _double(x):
    return 2.0 * x


def test_copies_keep_a_forward_of_the_module_s_own():
    module = nn.Linear(3, 2, rng=0)
    module.forward = _double
    handle = module.register_forward_hook(lambda module, args, output: output + 1.0)
    np.testing.assert_array_equal(module(X), 2.0 * X + 1.0)
    for other in (copy.deepcopy(module), copy.copy(module), pickle.loads(pickle.dumps(module))):
        np.testing.assert_array_equal(other(X), 2.0 * X)
    handle.remove()
    np.testing.assert_array_equal(module(X), 2.0 * X)


def test_copies_have_no_hooks():
    model, seen = net(), []
    handle = model.register_forward_hook(lambda module, args, output: seen.append(module))
    for other in (copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))):
        other(X)
    assert seen == []
    model(X)
    assert seen == [model]
    handle.remove()


def test_a_module_with_a_hook_is_freed_at_once():
    model = nn.ReLU()
    handle = model.register_forward_hook(lambda module, args, output: None)
    died = weakref.ref(model)
    gc.collect()
    gc.disable()
    try:
        del model
        assert died() is None
    finally:
        gc.enable()
    handle.remove()


# Lists and dictionaries


def linears(count):
    return [nn.Linear(1, 1, rng=i) for i in range(count)]


@pytest.mark.parametrize("kind", [nn.ModuleList, lambda modules: nn.Sequential(*modules)], ids=["list", "sequential"])
def test_lists_of_modules_are_lists(kind):
    made = linears(8)
    held, plain = kind(made[:3]), made[:3]

    def do(action):
        results = action(held), action(plain)
        assert list(held) == plain
        assert [name for name, _ in held.named_children()] == [str(i) for i in range(len(plain))]
        assert len(list(held.parameters())) == 2 * len(set(map(id, plain)))
        return results

    do(lambda x: x.append(made[3]))
    do(lambda x: x.extend(made[4:6]))
    do(lambda x: x.insert(1, made[6]))
    do(lambda x: x.insert(-1, made[7]))
    do(lambda x: x.insert(99, made[0]))
    do(lambda x: x.__setitem__(-2, made[1]))
    do(lambda x: x.__setitem__(slice(1, 3), [made[2], made[3], made[4]]))
    do(lambda x: x.__delitem__(0))
    do(lambda x: x.__delitem__(slice(None, None, 3)))
    popped, expected = do(lambda x: x.pop())
    assert popped is expected
    popped, expected = do(lambda x: x.pop(1))
    assert popped is expected
    do(lambda x: x.remove(x[1]))
    do(lambda x: x.reverse())
    held += made[:2]
    plain += made[:2]
    do(lambda x: None)
    assert list(reversed(held)) == plain[::-1]
    assert plain[0] in held
    assert nn.ReLU() not in held
    assert held.index(plain[1]) == 1
    both = held + linears(1)
    assert type(both) is type(held)
    assert len(both) == len(plain) + 1
    part = held[1:]
    assert type(part) is type(held)
    assert list(part) == plain[1:]
    do(lambda x: x.clear())


def test_what_lists_of_modules_refuse():
    held = nn.ModuleList(linears(2))
    before = list(held)
    for action in (
        lambda: held.append(1),
        lambda: held.extend([nn.ReLU(), 1]),
        lambda: held.insert(0, None),
        lambda: held.__setitem__(0, np.ones(1)),
        lambda: held.__setitem__(slice(0, 1), [nn.ReLU(), 3]),
        lambda: held + [1],
    ):
        with pytest.raises(TypeError, match="ModuleList: expected modules, got"):
            action()
    with pytest.raises(IndexError):
        held[2] = nn.ReLU()
    with pytest.raises(IndexError):
        del held[5]
    assert list(held) == before


def test_sequential_with_names_keeps_them():
    model = nn.Sequential({"first": nn.Linear(3, 3, rng=0), "second": nn.ReLU()})
    model[1] = nn.Tanh()
    assert [(name, type(m)) for name, m in model.named_children()] == [("first", nn.Linear), ("second", nn.Tanh)]
    with pytest.raises(ValueError, match="since they have names"):
        del model[0]
    with pytest.raises(ValueError, match="since they have names"):
        model.insert(0, nn.ReLU())
    assert len(model) == 2


def test_names_of_sequential_are_strings():
    with pytest.raises(ValueError, match="Sequential: 1 is not a usable name for a module"):
        nn.Sequential({1: nn.ReLU()})


def test_dictionaries_of_modules():
    made = linears(4)
    held = nn.ModuleDict({"a": made[0], "b-1": made[1]})
    assert list(held.state_dict()) == ["a.weight", "a.bias", "b-1.weight", "b-1.bias"]
    held["c"] = made[2]
    held.update([("a", made[3])])
    assert list(held) == ["a", "b-1", "c"]
    assert list(held.values()) == [made[3], made[1], made[2]]
    assert held.pop("b-1") is made[1]
    assert "b-1" not in held
    assert held.get("b-1") is None
    assert dict(held.items()) == {"a": made[3], "c": made[2]}
    del held["c"]
    assert len(held) == 1
    for name in ("c", "training"):
        with pytest.raises(KeyError):
            held[name]
        with pytest.raises(KeyError):
            del held[name]
    with pytest.raises(ValueError, match="'training' is the name of an attribute"):
        held["training"] = nn.ReLU()
    with pytest.raises(TypeError, match="ModuleDict: expected modules, got int"):
        held["x"] = 3
    assert held == held  # noqa: PLR0124
    assert held != nn.ModuleDict(held)
    assert len({held, nn.ModuleDict(held)}) == 2
    held.clear()
    assert len(held) == 0
    assert copy.deepcopy(nn.ModuleDict({"a": made[0]}))["a"] is not made[0]


# load_state_dict


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(np.array([1.0, 2.0], np.float32))
        self.b = nn.Parameter(np.array([3.0, 4.0], np.float32))


@pytest.mark.parametrize("seen", [lambda v: v, lambda v: v[::-1][::-1], lambda v: np.asarray(memoryview(v))])
def test_a_state_of_the_module_s_own_arrays(seen):
    pair = Pair()
    pair.load_state_dict({"a": seen(pair.b.data), "b": seen(pair.a.data)})
    np.testing.assert_array_equal([pair.a.data, pair.b.data], [[3.0, 4.0], [1.0, 2.0]])
    pair.load_state_dict({"a": pair.a.data[::-1], "b": pair.b.data})
    np.testing.assert_array_equal([pair.a.data, pair.b.data], [[4.0, 3.0], [1.0, 2.0]])


def test_a_state_with_a_number_that_does_not_fit_changes_nothing():
    pair = Pair()
    loss = (pair.a * pair.a).sum()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        pair.load_state_dict({"a": np.zeros(2, np.float32), "b": np.array([0.0, 1e300])})
    np.testing.assert_array_equal([pair.a.data, pair.b.data], [[1.0, 2.0], [3.0, 4.0]])
    loss.backward()
    np.testing.assert_array_equal(pair.a.grad, [2.0, 4.0])
