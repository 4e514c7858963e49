"""Architectures as plain state: every layer comes back the same, what is shared is shared, and nothing else is built."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn import init, nn, optim
from rebuilt import again

SIGNAL, IMAGE, VOLUME = (2, 4, 9), (2, 4, 6, 7), (2, 4, 5, 6, 4)
ROWS, SERIES = (5, 4), (6, 3, 4)  # (steps, batch, features)
SCORES, CLASSES = (6, 4), np.arange(6) % 4


def _of_rank(rank):
    return (SIGNAL, IMAGE, VOLUME)[rank - 1]


def _pools(rank):
    shape = _of_rank(rank)
    ones, pairs = (2,) + (1,) * (rank - 1), ((1, 0),) * rank
    yield f"MaxPool{rank}d", (3, 2, 1, 1, True), {}, shape
    yield f"MaxPool{rank}d", (2,), {"stride": ones, "padding": pairs, "dilation": ones}, shape
    yield f"AvgPool{rank}d", (2,), {"padding": (1,) * rank, "count_include_pad": False}, shape
    yield f"AvgPool{rank}d", (3, ones, "same", True), {"divisor_override": 5}, shape
    yield f"AvgPool{rank}d", (2,), {"dilation": ones}, shape
    yield f"LPPool{rank}d", (3, 2, ones), {"ceil_mode": True}, shape
    yield f"LPPool{rank}d", (2, 2), {"dilation": ones}, shape
    for kind in ("Avg", "Max"):
        yield f"Adaptive{kind}Pool{rank}d", (2,), {}, shape
        yield f"Adaptive{kind}Pool{rank}d", ([3, None, 2][:rank],), {}, shape


def _convolutions(rank):
    shape, ones = _of_rank(rank), (2,) + (1,) * (rank - 1)
    yield f"Conv{rank}d", (4, 6, 3), {"stride": ones, "padding": (1,) * rank, "groups": 2}, shape
    yield f"Conv{rank}d", (4, 2, ones), {"padding": ((1, 0),) * rank, "bias": False, "dilation": ones}, shape
    yield f"Conv{rank}d", (4, 2, 3, 2, "same"), {}, shape
    yield f"Conv{rank}d", (4, 2, 3), {"padding": 1, "padding_mode": "reflect"}, shape
    yield f"ConvTranspose{rank}d", (4, 6, 3, 2, 1, ones[1:] + (0,), 2), {"bias": False}, shape
    yield f"ConvTranspose{rank}d", (4, 2, ones), {"dilation": 2, "padding": ((1, 0),) * rank}, shape


def _pads(rank):
    shape = _of_rank(rank)
    for kind in ("Zero", "Reflection", "Replication", "Circular"):
        yield f"{kind}Pad{rank}d", ([1, 0, 2, -1, 1, 1][: 2 * rank],), {}, shape
    yield f"ConstantPad{rank}d", (1, 0.5), {}, shape


def _norms(rank):
    shape = _of_rank(rank)
    yield f"BatchNorm{rank}d", (4, 0.1, None), {}, shape
    yield f"BatchNorm{rank}d", (4,), {"momentum": 0.5, "affine": False, "unbiased": False}, shape
    yield f"BatchNorm{rank}d", (4,), {"track_running_stats": False}, shape
    yield f"InstanceNorm{rank}d", (4, 0.1), {"affine": True, "unbiased": False}, shape
    yield f"InstanceNorm{rank}d", (4,), {"momentum": 0.5, "track_running_stats": True}, shape


def _recurrent(name):
    yield name, (4, 3), {"num_layers": 2, "dropout": 0.5, "bidirectional": True}, SERIES
    yield name, (4, 2), {"bias": False, "batch_first": True}, SERIES
    yield f"{name}Cell", (4, 3), {}, ROWS
    yield f"{name}Cell", (4, 3), {"bias": False}, ROWS


SINGLE = [
    ("Linear", (4, 3), {}, ROWS),
    ("Linear", (4, 3, False), {}, SIGNAL[::-1][:2] + (4,)),
    ("Embedding", (9, 3), {}, None),
    ("Embedding", (9, 3, -2), {}, None),
    *(case for rank in (1, 2, 3) for family in (_pools, _pads, _convolutions, _norms) for case in family(rank)),
    *(case for name in ("RNN", "LSTM", "GRU") for case in _recurrent(name)),
    ("RNN", (4, 3), {"nonlinearity": "relu"}, SERIES),
    ("RNNCell", (4, 3), {"nonlinearity": "relu"}, ROWS),
    ("LSTM", (4, 3), {"peepholes": True, "bidirectional": True}, SERIES),
    ("LSTMCell", (4, 3), {"peepholes": True}, ROWS),
    ("GRU", (4, 3), {"reset_after": False}, SERIES),
    ("GRUCell", (4, 3), {"reset_after": False}, ROWS),
    ("PyramidalRNN", (4, 3, 2), {"kind": "gru", "bias": False, "bidirectional": True}, SERIES),
    ("PyramidalRNN", (4, 3, 1), {"batch_first": True}, SERIES),
    ("StackRNN", (4, 3, 5), {"stack_width": 2}, SERIES),
    ("LayerNorm", (7,), {"eps": 0.1, "bias": False}, IMAGE),
    ("LayerNorm", ([6, 7],), {}, IMAGE),
    ("LayerNorm", ((4, 6, 7),), {"elementwise_affine": False}, IMAGE),
    ("GroupNorm", (2, 4), {"eps": 0.1}, IMAGE),
    ("GroupNorm", (2, 4), {"affine": False}, IMAGE),
    ("RMSNorm", (7,), {}, IMAGE),
    ("RMSNorm", ((6, 7), 0.1), {"elementwise_affine": False}, IMAGE),
    ("LocalResponseNorm", (3, 0.5, 0.6, 2.0), {}, IMAGE),
    ("Residual", (nn.Linear(4, 3, rng=0), nn.Linear(4, 3, rng=1), nn.Tanh()), {}, ROWS),
    ("Residual", (nn.Dropout(0.5),), {}, ROWS),
    ("ResidualBlock", (4, 6, (2, 1)), {"momentum": 0.5}, IMAGE),
    ("ResidualBlock", (4, 4, 1, "projection"), {}, IMAGE),
    ("ResidualBlock", (4, 4), {}, IMAGE),
    *((name, (), {}, IMAGE) for name in ("ReLU", "SELU", "Sigmoid", "SiLU", "Tanh", "Hardsigmoid", "Identity", "Flatten")),
    *((name, (), {}, IMAGE) for name in ("ReLU6", "Hardswish", "Mish", "LogSigmoid", "Softsign")),
    ("ThresholdedReLU", (0.5,), {}, IMAGE),
    ("CELU", (0.5,), {}, IMAGE),
    ("PixelShuffle", (2,), {}, IMAGE),
    ("PixelUnshuffle", (1,), {}, IMAGE),
    ("Upsample", (None, (2.0, 1.5), "bicubic", False), {"recompute_scale_factor": True}, IMAGE),
    ("Upsample", ([3, 9],), {}, IMAGE),
    ("LeakyReLU", (0.2,), {}, IMAGE),
    ("ELU", (0.5,), {}, IMAGE),
    ("GELU", ("tanh",), {}, IMAGE),
    ("Softplus", (2.0, 1.0), {}, IMAGE),
    ("Softmax", (1,), {}, IMAGE),
    ("LogSoftmax", (-2,), {}, IMAGE),
    ("PReLU", (4, 0.5), {}, IMAGE),
    ("RReLU", (0.25, 0.75), {}, IMAGE),
    ("Maxout", (4, 3, 3), {"bias": False}, ROWS),
    *((f"Dropout{rank}", (0.3,), {}, shape) for rank, shape in (("", ROWS), ("1d", SIGNAL), ("2d", IMAGE), ("3d", VOLUME))),
    ("Flatten", (-3, 2), {}, IMAGE),
    ("FillMissing", (4,), {"out_dtype": "float32"}, ROWS),
    ("Standardize", (4,), {}, ROWS),
    ("Standardize", ((4, 1, 7),), {}, IMAGE),
    ("Standardize", (4,), {"inverse": True, "out_dtype": np.float64}, ROWS),
    ("Rescale", (4, -1.0, 2.0), {"clip": True}, ROWS),
    ("Rescale", (4,), {"inverse": True, "out_dtype": None}, ROWS),
    ("StandardizeSample", (True, False), {"out_dtype": "float64"}, IMAGE),
    ("Whiten", ((4, 6, 7), 5), {"rotate_back": True, "out_dtype": "float64"}, IMAGE),
    ("Sequential", (nn.Linear(4, 3, rng=0), nn.Sequential(nn.ReLU(), nn.Dropout(0.5))), {}, ROWS),
    ("Sequential", ({"first": nn.Linear(4, 3, rng=0), "then": nn.ReLU()},), {}, ROWS),
    ("ModuleList", ([nn.Linear(4, 3, rng=0), nn.ReLU()],), {}, None),
    ("ModuleDict", ({"mean": nn.Linear(4, 3, rng=0), "10": nn.ReLU(), "2": nn.ReLU()},), {}, None),
    ("Ensemble", ([nn.Linear(4, 3, rng=0), nn.Sequential(nn.Linear(4, 3, rng=1))],), {"average": "votes"}, ROWS),
    ("Ensemble", ([nn.Linear(4, 3, rng=0), nn.Linear(4, 3, rng=1)],), {"weights": (0.5, 2)}, ROWS),
    ("CrossEntropyLoss", (), {"weight": [1.0, 2.0, 3.0, 4.0], "ignore_index": 2, "label_smoothing": 0.1}, CLASSES),
    ("CrossEntropyLoss", (), {"reduction": "sum"}, CLASSES),
    ("NLLLoss", (np.ones(4, np.float32),), {"ignore_index": 2, "reduction": "sum"}, CLASSES),
    ("MultiMarginLoss", (2, 0.5), {"reduction": "none", "weight": [1.0, 2.0, 3.0, 4.0]}, CLASSES),
    ("BCEWithLogitsLoss", ([1.0, 2.0, 3.0, 4.0], "sum"), {"pos_weight": np.ones((6, 4))}, np.ones(SCORES)),
    ("MSELoss", ("sum",), {}, np.ones(SCORES)),
    ("L1Loss", ("none",), {}, np.ones(SCORES)),
    ("HuberLoss", ("sum", 0.5), {}, np.ones(SCORES)),
    ("HingeLoss", ("sum", 0.5), {}, np.ones(SCORES)),
    ("KLDivLoss", ("batchmean", True), {}, np.ones(SCORES)),
]  # fmt: skip
LAYERS = sorted(
    name for name in nn.__all__ if isinstance(getattr(nn, name), type) and name not in ("Module", "Parameter")
)


def make(name, args, kwargs, dtype="float32"):
    """A layer with arguments of its own, also for what draws numbers."""
    layer = getattr(nn, name)
    accepted = inspect.signature(layer).parameters
    more = {"dtype": dtype} if "dtype" in accepted else {}
    return layer(*copy.deepcopy(args), **copy.deepcopy(kwargs), **more, **({"rng": 3} if "rng" in accepted else {}))


def bits(value):
    if isinstance(value, (tuple, list)):
        return [bits(v) for v in value]
    array = np.asarray(fnn.autograd.raw(value))
    return array.shape, array.dtype, array.tobytes()


def form(model):
    return [(name, a.shape, a.dtype) for name, a in model.state_dict().items()]


def inputs(name, given, dtype):
    rng = np.random.default_rng(7)
    if name == "Embedding":
        return (rng.integers(0, 9, (3, 4)),)
    if isinstance(given, np.ndarray):
        scores = rng.standard_normal(SCORES).astype(dtype)
        return scores, given if given.dtype.kind == "i" else given.astype(dtype)
    return (rng.standard_normal(given).astype(dtype),)


def test_the_table_has_every_layer_and_every_argument():
    assert sorted({name for name, *_ in SINGLE}) == LAYERS
    missing = []
    for name in LAYERS:
        parameters = inspect.signature(getattr(nn, name)).parameters
        given = [
            inspect.signature(getattr(nn, name)).bind(*args, **kw).arguments for n, args, kw, _ in SINGLE if n == name
        ]
        missing += [
            (name, p) for p in set(parameters) - {"dtype", "rng"} if all(p not in arguments for arguments in given)
        ]
    assert sorted(missing) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "args", "kwargs", "given"), SINGLE, ids=lambda v: v if isinstance(v, str) else "")
def test_every_layer_comes_back(name, args, kwargs, given, dtype):
    model = make(name, args, kwargs, dtype)
    x = None if given is None and name != "Embedding" else inputs(name, given, dtype)
    if x is not None and "dtype" not in inspect.signature(type(model)).parameters:
        model.astype(dtype)
    for mode in (True, False):
        model.train(mode)
        other = again(model)
        assert type(other) is type(model)
        assert repr(other) == repr(model)
        assert form(other) == form(model)
        assert other.training is mode
        if x is not None:
            assert bits(other(*x)) == bits(model(*x))  # running statistics move in both


def test_settings_are_those_that_the_layer_has_now():
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3), nn.Linear(3, 2, rng=0), nn.LSTM(2, 3, rng=0))
    net[0].p, net[1].momentum, net[1].eps = np.float32(0.25), None, np.float64(0.5)
    net[2].bias = None
    net[3].bias_hh_l0 = None
    net.astype("float64")
    other = again(net)
    assert repr(other) == repr(net)
    assert form(other) == form(net)
    assert (other[0].p, other[1].momentum, other[2].bias, other[3].bias_hh_l0) == (0.25, None, None, None)


@pytest.mark.parametrize("missing", [["weight"], ["bias"], ["weight", "bias"], ["bias", "running_mean", "running_var"]])
def test_a_norm_that_was_relieved_of_arrays(missing):
    norm = nn.BatchNorm2d(300)
    for name in missing:
        setattr(norm, name, None)
    other = again(norm)
    assert form(other) == form(norm)
    assert repr(other) == repr(norm)


def test_children_that_were_changed_after_construction():
    block = nn.ResidualBlock(4, 6, rng=0)
    block.branch[1] = nn.GroupNorm(2, 6)
    block.activation = nn.GELU()
    pyramid = nn.PyramidalRNN(4, 3, 2, rng=0)
    del pyramid.levels[1]
    maxout = nn.Maxout(4, 3, 2, rng=0)
    maxout.linear = nn.Sequential(nn.Linear(4, 5, rng=0), nn.ReLU(), nn.Linear(5, 6, rng=1))
    listed = nn.Sequential(nn.ReLU())
    listed.append(nn.Tanh())
    listed.insert(0, nn.Flatten())
    listed.extra = nn.Sigmoid()
    for model in (block, pyramid, maxout, listed):
        other = again(model)
        assert repr(other) == repr(model)
        assert form(other) == form(model)


def test_modes_frozen_parameters_and_decay_come_back():
    net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.Linear(4, 2, rng=1))
    net[1].eval()
    net[0].requires_grad_(False)
    net[2].weight.decay, net[2].bias.decay = False, True
    other = again(net)
    assert [m.training for m in other.modules()] == [True, True, False, True]
    expected = [(p.requires_grad, p.decay) for p in net.parameters()]
    assert [(p.requires_grad, p.decay) for p in other.parameters()] == expected


def test_what_is_shared_comes_back_shared():
    table, rng = nn.Embedding(5, 4, rng=0), np.random.default_rng(1)
    head = nn.Linear(4, 5, rng=0)
    head.weight = table.weight
    relu, norms = nn.ReLU(), [nn.BatchNorm1d(4) for _ in range(2)]
    norms[1].running_mean = norms[0].running_mean
    net = nn.Sequential(
        table, relu, nn.Dropout(0.5, rng=rng), *norms, relu, nn.Dropout(0.5, rng=rng), nn.Dropout(0.5), head
    )
    other = again(net)
    assert other[8].weight is other[0].weight
    assert other[1] is other[5]
    assert other[3].running_mean is other[4].running_mean is not other[3].running_var
    assert other[2].rng is other[6].rng is not other[7].rng
    assert list(other.state_dict()) == list(net.state_dict())
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in net.named_parameters()]
    index = np.arange(5)
    assert bits(other(index)) == bits(net(index))


def test_the_order_of_parameters_comes_back():
    """Optimisers keep their state by it."""
    layer = nn.Linear(3, 2, rng=0)
    weight = layer.weight
    del layer.weight
    layer.weight = weight
    assert list(again(layer).state_dict()) == ["bias", "weight"]


def test_parameters_buffers_and_modules_that_were_added():
    layer = nn.Linear(3, 2, rng=0)
    layer.scale = nn.Parameter(np.ones(7))
    layer.whole = nn.Parameter(np.arange(3), requires_grad=False)
    layer.register_buffer("seen", np.zeros((2, 0), bool))
    layer.more = nn.ReLU()
    other = again(layer)
    assert form(other) == form(layer)
    assert type(other.more) is nn.ReLU
    assert type(other.scale) is nn.Parameter


def test_a_training_goes_on_in_the_model_that_comes_back():
    net = nn.Sequential(
        nn.Linear(4, 8, rng=0), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5, rng=1), nn.Linear(8, 3, rng=2)
    )
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    x, y = np.random.default_rng(0).standard_normal((9, 4)).astype("f"), np.arange(9) % 3

    def step(model, with_optimizer):
        with_optimizer.zero_grad()
        fnn.functional.cross_entropy(model(x), y).backward()
        with_optimizer.step()

    step(net, optimizer)
    other = again(net)
    its = optim.Adam(other.parameters(), lr=0.1)
    its.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        step(net, optimizer)
        step(other, its)
    assert bits(list(net.state_dict().values())) == bits(list(other.state_dict().values()))


def test_weights_are_drawn_as_by_the_constructors():
    net = nn.Sequential(nn.Linear(400, 300, rng=5), nn.Dropout(0.5), nn.LSTM(3, 4, rng=6), nn.PReLU(2, 0.5))
    state = nn.architecture(net)
    one, same, other = (nn.from_architecture(state, rng=seed) for seed in (0, 0, 1))
    assert bits(list(one.state_dict().values())) == bits(list(same.state_dict().values()))
    assert one[1].rng.bit_generator.state == same[1].rng.bit_generator.state
    assert bits(one[0].weight) != bits(other[0].weight)
    assert one[0].weight.data.std() == pytest.approx(net[0].weight.data.std(), rel=0.02)
    assert (one[2].bias_ih_l0.data == net[2].bias_ih_l0.data).all()
    assert (one[3].weight.data == 0.5).all()
    unseeded = nn.from_architecture(state), nn.from_architecture(state)
    assert bits(unseeded[0][0].weight) != bits(unseeded[1][0].weight)


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_generators_are_of_the_same_kind(kind):
    net = nn.Dropout(0.5, rng=np.random.Generator(getattr(np.random, kind)(1)))
    other = again(net)
    x = np.ones(100)
    assert bits(other(x)) == bits(net(x))


def test_copies_and_pickles_have_the_same_architecture():
    net = nn.Sequential(nn.ResidualBlock(2, 3, rng=0), nn.BatchNorm2d(3), nn.Dropout(0.5, rng=1))
    state = nn.architecture(net)
    assert nn.architecture(copy.deepcopy(net)) == state
    assert nn.architecture(pickle.loads(pickle.dumps(net))) == state


def test_modules_that_share_one_another_are_not_gone_through_by_name():
    """Sixty of them would have 2 ** 60 names."""
    entry = {"layer": "Sequential", "arguments": {}, "parameters": {}, "buffers": {}, "training": True}
    modules = [entry | {"modules": {"0": i - 1, "1": i - 1} if i else {}} for i in range(60)]
    with pytest.raises(
        ValueError, match=r"^from_architecture: modules\[\d+\] has modules nested .* or with more than 250000"
    ):
        nn.from_architecture({"version": 1, "modules": modules, "arrays": [], "generators": []})


def test_limits_of_first_values_end_with_their_block():
    with init.limits.limited(5, blank=False):
        assert init.he_uniform((1, 3), rng=0).any()
        with pytest.raises(ValueError, match=r"^normal: shape \(3,\) has more than the 2 elements"):
            init.normal((3,))
        with init.limits.limited(1, blank=True), pytest.raises(ValueError, match="than the 1 elements"):
            init.zeros(2)
        assert init.zeros(2).shape == (2,)
    assert init.zeros(2000).shape == (2000,)
    with (
        init.limits.limited(5, blank=True),
        pytest.raises(TypeError, match=r"^zeros: dtype must be float32 or float64"),
    ):
        init.zeros(2, dtype=int)
