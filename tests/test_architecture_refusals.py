"""Architectures that cannot be described, and states from which nothing is built."""

import copy
import tracemalloc

import numpy as np
import pytest

from fastnn import nn
from fastnn.nn.construction import MAX_DEPTH
from rebuilt import again


class Gate(nn.Module):
    def forward(self, x):
        return x


class Wider(nn.Linear):
    pass


def _with_forward(layer, forward):
    layer.forward = forward
    return layer


def _with_hook(layer):
    layer.register_forward_hook(lambda *_: None)
    return layer


def _set(layer, **values):
    for name, value in values.items():
        setattr(layer, name, value)
    return layer


def _without(layer, name):
    delattr(layer, name)
    return layer


def _holding_itself():
    net = nn.Sequential(nn.ModuleList([nn.ReLU()]))
    net[0].append(net)
    return net


def _nested(levels):
    net = nn.ReLU()
    for _ in range(levels - 1):
        net = nn.Sequential(net)
    return net


def _doubled(levels):
    """2 ** levels names of one layer."""
    net = nn.ReLU()
    for _ in range(levels):
        net = nn.Sequential(net, net)
    return net


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Gate(), r"the model is a Gate, which is not a layer of fastnn; save state_dict\(\) and build the model in code"),
        (nn.Sequential(nn.ReLU(), nn.Sequential(Gate())), r"'1.0' is a Gate, which is not a layer of fastnn"),
        (nn.ModuleDict({"head": Wider(2, 3)}), "'head' is a Wider, which"),
        (nn.Module(), "the model is a Module, which"),
        (nn.Sequential(_with_forward(nn.ReLU(), lambda x: x)), "'0' has a forward of its own, or a hook"),
        (nn.Sequential(nn.Linear(2, 3), _with_hook(nn.ReLU())), "'1' has a forward of its own, or a hook"),
        (nn.Sequential(_set(nn.BatchNorm1d(3), then_relu=len)), "'0' has a then_relu of its own"),
        (nn.Sequential(_set(nn.Linear(2, 3), weight=nn.Parameter(np.ones((3, 4))))), r"'0' has 'weight' of shape \(3, 4\)"),
        (nn.Sequential(_set(nn.Dropout(), p=2.0)), "'0': Dropout: p must be in"),
        (nn.Sequential(_set(nn.Softmax(), axis=len)), "'0' has axis=.*, which is no plain setting"),
        (nn.Sequential(_set(nn.Dropout(), p=np.nan)), "'0' has p=nan, which is no plain setting"),
        (nn.Sequential(_without(nn.Softmax(), "axis")), "'0' has lost its axis"),
        (nn.Sequential(_set(nn.Dropout(), rng=3)), "'0' draws from 3, which is not a numpy.random.Generator"),
        (_holding_itself(), "'0.1' is a module that stands above it, too"),
        (_nested(MAX_DEPTH + 1), "nested more than 100 deep"),
        (_doubled(18), "more than 250000 names"),
    ],
)  # fmt: skip
def test_what_cannot_be_described_is_named(model, words):
    with pytest.raises(ValueError, match=f"^architecture: .*{words}"):
        nn.architecture(model)


def test_what_is_nested_as_deep_as_allowed_comes_back():
    assert repr(again(_nested(MAX_DEPTH))) == repr(_nested(MAX_DEPTH))
    assert len(list(again(_doubled(10)).modules())) == 11


def test_only_modules_have_an_architecture():
    with pytest.raises(TypeError, match=r"^architecture: model must be a module, got function"):
        nn.architecture(lambda x: x)


STATE = nn.architecture(nn.Sequential(nn.Linear(3, 2, rng=0), nn.Dropout(0.5)))


def _changed(*path_and_value):
    *path, last, value = path_and_value
    state = copy.deepcopy(STATE)
    at = state
    for key in path:
        at = at[key]
    at[last] = value
    return state


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "the state must be a dictionary, got None"),
        ([], r"the state must be a dictionary, got \[\]"),
        ({}, "the state lacks"),
        (_changed("version", 2), "the state has version 2, this fastnn reads up to 1"),
        (_changed("version", 0), "the state has version 0"),
        (_changed("version", True), r"the state\['version'\] must be of type int, got True"),
        (_changed("more", 1), r"the state has entries that are not understood: \['more'\]"),
        (_changed("modules", []), "at least one module"),
        (_changed("modules", {}), r"the state\['modules'\] must be of type list"),
        (_changed("modules", 0, None), r"modules\[0\] must be a dictionary"),
        (_changed("modules", 0, "layer", "Module"), r"modules\[0\] is a 'Module', which is not a layer of fastnn"),
        (_changed("modules", 0, "layer", "architecture"), "is a 'architecture', which is not a layer"),
        (_changed("modules", 0, "layer", "os.system"), "is a 'os.system', which is not a layer"),
        (_changed("modules", 0, "layer", ["Linear"]), r"modules\[0\]\['layer'\] must be of type str"),
        (_changed("modules", 0, "training", 1), r"modules\[0\]\['training'\] must be of type bool"),
        (_changed("modules", 0, "arguments", "in_features", 0), r"modules\[0\]: Linear: in_features must be at least 1"),
        (_changed("modules", 0, "arguments", "in_features", 4), r"modules\[0\] has 'weight' of shape \(2, 3\), but its settings say"),
        (_changed("modules", 0, "arguments", "in_features", [3]), r"modules\[0\]: Linear: in_features must be an int"),
        (_changed("modules", 0, "arguments", "in_features", {}), r"modules\[0\]: Linear: in_features must be an int"),
        (_changed("modules", 0, "arguments", "rng", 1), r"modules\[0\]: a Linear has no setting 'rng'"),
        (_changed("modules", 0, "arguments", "colour", 1), r"modules\[0\]: a Linear has no setting 'colour'"),
        (_changed("modules", 0, "arguments", {}), r"modules\[0\]: Linear: missing a required argument"),
        (_changed("modules", 0, "arguments", {"in_features": 10**6, "out_features": 10**6}), "more than the 1040 elements"),
        (_changed("modules", 0, "parameters", "weight", 2), r"modules\[0\]\['parameters'\]\['weight'\] must be a number from 0 to 1"),
        (_changed("modules", 0, "parameters", "weight", True), "must be a number from 0 to 1, got True"),
        (_changed("modules", 0, "parameters", "in_features", 1), "'in_features' cannot be the name"),
        (_changed("modules", 0, "parameters", "forward", 1), "'forward' cannot be the name"),
        (_changed("modules", 0, "parameters", "__class__", 1), "'__class__' cannot be the name"),
        (_changed("modules", 0, "parameters", "a.b", 1), "'a.b' cannot be the name"),
        (_changed("modules", 0, "buffers", "weight", 0), r"has 'weight' as a buffer, but arrays\[0\] lists another"),
        (_changed("modules", 0, "rng", 0), r"modules\[0\]: a Linear has no generator"),
        (_changed("modules", 1, "rng", 1), r"modules\[1\]\['rng'\] must be a number from 0 to 0, got 1"),
        (_changed("modules", 1, "modules", "p", 0), r"modules\[1\]: .*p must be a real number"),
        (_changed("modules", 1, "modules", "rng", 0), r"modules\[1\]: .*is not made of the modules \['rng'\]|cannot be the name"),
        (_changed("modules", 2, "modules", "0", 2), r"\['0'\] must be a number from 0 to 1, got 2"),
        (_changed("modules", 2, "modules", "0", -1), r"\['0'\] must be a number from 0 to 1, got -1"),
        (_changed("modules", 2, "modules", "0", 1), "each but the last is below a later one"),
        (_changed("modules", 2, "modules", {"0": 0, "_buffers": 1}), "'_buffers' cannot be the name"),
        (_changed("arrays", 0, "shape", [2, -3]), r"arrays\[0\] has the shape \[2, -3\]"),
        (_changed("arrays", 0, "shape", [2, 3.0]), r"arrays\[0\] has the shape"),
        (_changed("arrays", 0, "dtype", "object"), r"arrays\[0\] has the dtype 'object'"),
        (_changed("arrays", 0, "dtype", "int64"), r"modules\[0\]: requires_grad: dtype int64 has no gradient"),
        (_changed("arrays", 0, "requires_grad", None), r"arrays\[0\]\['requires_grad'\] must be of type bool"),
        (_changed("generators", 0, "PCG65"), r"generators\[0\] is 'PCG65'"),
        (_changed("generators", 0, "default_rng"), r"generators\[0\] is 'default_rng'"),
        (_changed("generators", 0, []), r"generators\[0\] is \[\]"),
    ],
)  # fmt: skip
def test_malformed_states_are_refused(state, words):
    before = copy.deepcopy(state)
    with pytest.raises(ValueError, match=f"^from_architecture: .*({words})"):
        nn.from_architecture(state)
    assert state == before


HOSTILE = [
    ("LSTM", {"input_size": 1, "hidden_size": 1, "num_layers": 10**9}),
    ("LSTM", {"input_size": 10**9, "hidden_size": 10**9}),
    ("Conv3d", {"in_channels": 10**6, "out_channels": 10**6, "kernel_size": [10**6] * 3}),
    ("Embedding", {"num_embeddings": 10**12, "embedding_dim": 10**12}),
    ("BatchNorm1d", {"num_features": 10**12}),
    ("LayerNorm", {"normalized_shape": [10**6, 10**6]}),
    ("PReLU", {"num_parameters": 10**12}),
    ("StackRNN", {"input_size": 10**9, "hidden_size": 10**9, "stack_depth": 1}),
    ("GRUCell", {"input_size": 1, "hidden_size": 10**9}),
]


@pytest.mark.parametrize(("layer", "arguments"), HOSTILE, ids=lambda v: v if isinstance(v, str) else "")
def test_sizes_that_are_not_listed_take_no_memory(layer, arguments):
    entry = {"layer": layer, "arguments": arguments, "parameters": {}, "buffers": {}, "modules": {}, "training": True}
    if layer == "LSTM":
        entry["rng"] = 0
    state = {"version": 1, "modules": [entry], "arrays": [], "generators": ["PCG64"]}
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^from_architecture: modules\[0\]: .* elements that there may be"):
            nn.from_architecture(state)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
