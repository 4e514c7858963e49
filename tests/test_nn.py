"""Modules: finding parameters, state, modes, containers, training."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import normal
from fastnn import nn
from fastnn.testing import gradcheck


class Block(nn.Module):
    def __init__(self, shared=None):
        self.first = nn.Linear(3, 4, rng=0)
        self.norm = nn.BatchNorm1d(4)
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.layers = nn.ModuleList([nn.Linear(4, 4, rng=1), shared or nn.Linear(4, 4, rng=2)])
        self.again = self.layers[1]
        self.note = "not a parameter"
        self.constant = fnn.tensor([1.0])

    def forward(self, x):
        x = self.norm(self.first(x)) * self.scale
        for layer in self.layers:
            x = layer(x)
        return self.again(x)


PARAMETERS = [
    "scale",
    "first.weight",
    "first.bias",
    "norm.weight",
    "norm.bias",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
]
BUFFERS = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]


def test_names():
    block = Block()
    assert [name for name, _ in block.named_parameters()] == PARAMETERS
    assert [name for name, _ in block.named_buffers()] == BUFFERS
    assert [name for name, _ in block.named_modules()] == [
        "",
        "first",
        "norm",
        "layers",
        "layers.0",
        "layers.1",
    ]
    assert [name for name, _ in block.named_children()] == ["first", "norm", "layers", "again"]
    assert next(name for name, _ in block.named_parameters("net")) == "net.scale"
    assert len(list(block.parameters())) == 9
    assert len(list(block.buffers())) == 3
    # Shared arrays have all their names in the state.
    shared = ["again.weight", "again.bias"]
    assert set(block.state_dict()) == {*PARAMETERS, *BUFFERS, *shared}


def test_train_and_eval_reach_every_module():
    block = Block()
    assert block.eval() is block
    assert not any(m.training for m in block.modules())
    block.train()
    assert all(m.training for m in block.modules())


def test_apply_and_zero_grad():
    block = Block()
    seen = []
    block.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Block"
    assert len(seen) == 6
    block(normal(5, 3, dtype=np.float32)).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


def test_assignment_counts_from_then_on():
    block = Block()
    block.scale = None
    block.extra = nn.Parameter([1.0])
    del block.again
    names = [name for name, _ in block.named_parameters()]
    assert names[0] == "extra"
    assert "scale" not in names


def test_missing_forward():
    with pytest.raises(NotImplementedError, match="Lonely: forward"):
        type("Lonely", (nn.Module,), {})()(1)


def test_parameter():
    array = np.ones(3, np.float32)
    p = nn.Parameter(array)
    assert p.requires_grad
    assert not np.shares_memory(p.data, array)
    assert repr(nn.Parameter([1.0], requires_grad=False)) == "Parameter([1.])"
    for q in (copy.deepcopy(p), pickle.loads(pickle.dumps(nn.Parameter(array, decay=False)))):
        assert type(q) is nn.Parameter
    assert q.decay is False
    assert type(p * 2) is fnn.Tensor
    with pytest.raises(TypeError, match="int64"):
        nn.Parameter([1, 2])


# state_dict


def test_state_round_trip():
    a, b = Block(), Block(nn.Linear(4, 4, rng=9))
    for p in a.parameters():
        p.data += 0.5
    a(normal(6, 3, dtype=np.float32))
    arrays = [p.data for p in b.parameters()]
    state = a.state_dict()
    assert b.load_state_dict(state) == ([], [])
    for name, value in b.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    # Copied into the arrays that are there, so that views of them stay valid.
    assert all(p.data is array for p, array in zip(b.parameters(), arrays, strict=True))
    assert b.norm.num_batches_tracked == 1
    x = normal(4, 3, dtype=np.float32)
    np.testing.assert_array_equal(a.eval()(x).data, b.eval()(x).data)


def test_state_is_a_copy():
    block = Block()
    state = block.state_dict()
    state["scale"] += 1
    assert (block.scale.data == 1).all()


def test_loading_names_both_lists_and_changes_nothing():
    block = Block()
    state = block.state_dict()
    state = {k: v + 1 for k, v in state.items()}
    state["odd"] = state.pop("scale")
    before = block.state_dict()
    with pytest.raises(ValueError, match=r"does not fit Block: missing 'scale'; unexpected 'odd'"):
        block.load_state_dict(state)
    for name, value in block.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert block.load_state_dict(state, strict=False) == (["scale"], ["odd"])
    assert (block.scale.data == 1).all()
    assert (block.norm.weight.data == 2).all()


def test_loading_names_wrong_shapes_and_dtypes():
    block = Block()
    state = block.state_dict()
    with pytest.raises(ValueError, match=r"first.weight has shape \(4, 2\) in the state but \(4, 3\) in the module"):
        block.load_state_dict(state | {"first.weight": np.ones((4, 2))})
    with pytest.raises(TypeError, match=r"scale has dtype complex128"):
        block.load_state_dict(state | {"scale": np.ones(4) * 1j})
    block.load_state_dict(state | {"scale": np.full(4, 3.0)})  # float64 into float32
    assert block.scale.dtype == np.float32
    assert (block.scale.data == 3).all()


def test_deepcopy_keeps_sharing_inside_and_none_outside():
    a = Block()
    b = copy.deepcopy(a)
    assert b.again is b.layers[1]
    b.scale.data += 1
    assert (a.scale.data == 1).all()
    x = normal(4, 3, dtype=np.float32)
    c = pickle.loads(pickle.dumps(a.eval()))
    np.testing.assert_array_equal(a(x).data, c(x).data)


# containers


def test_sequential():
    net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU(), nn.Linear(4, 2, rng=1))
    assert len(net) == 3
    assert type(net[-1]) is nn.Linear
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    x = normal(5, 3, dtype=np.float32)
    np.testing.assert_array_equal(net[:2](x).data, F.relu(net[0](x)).data)
    assert type(net[:2]) is nn.Sequential
    net.append(nn.Tanh())
    assert net(x).shape == (5, 2)
    with pytest.raises(TypeError, match="expected modules, got int"):
        net.append(3)
    with pytest.raises(IndexError):
        net[9]


def test_sequential_with_names():
    net = nn.Sequential({"hidden": nn.Linear(3, 4, rng=0), "act": nn.ReLU()})
    assert net.hidden is net[0]
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias"]
    for bad in ("forward", "a.b", ""):
        with pytest.raises(ValueError, match="usable name"):
            nn.Sequential({bad: nn.ReLU()})
    with pytest.raises(TypeError, match="expected modules"):
        nn.Sequential({"a": 1})


def test_module_list_computes_nothing():
    layers = nn.ModuleList(nn.Identity() for _ in range(3))
    assert len(layers) == 3
    assert type(layers[1:]) is nn.ModuleList
    with pytest.raises(NotImplementedError):
        layers(1)


# together


def test_repr():
    net = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.Sequential(nn.ReLU()))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 8, kernel_size=3, stride=2, bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_training_decreases_the_loss(optimizer):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 1, 6, 6)).astype(np.float32)
    target = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 2, rng=rng),
    )
    loss = nn.CrossEntropyLoss()
    opt = getattr(fnn.optim, optimizer)(net.parameters(), lr=0.05 if optimizer == "SGD" else 0.01)
    losses = []
    for _ in range(30):
        opt.zero_grad()
        value = loss(net(x), target)
        value.backward()
        opt.step()
        losses.append(float(value))
    assert losses[-1] < 0.5 * losses[0]


def test_a_module_and_its_gradients():
    net = nn.Sequential(
        nn.Linear(3, 5, dtype=float, rng=0),
        nn.Tanh(),
        nn.BatchNorm1d(5, dtype=float),
        nn.Linear(5, 2, dtype=float, rng=1),
    )
    running = net[2].running_mean.copy()
    assert gradcheck(net, normal(6, 3))
    np.testing.assert_array_equal(net[2].running_mean, running)  # gradcheck puts buffers back
