"""Groups of parameters and their settings: given, edited by hand, refused, and then nothing is changed."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim


def test_groups():
    a, b = fnn.tensor([1.0], requires_grad=True), fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    a.grad, b.grad = np.ones(1), np.ones(1)
    optimizer.step()
    assert (float(a), float(b)) == (0.9, 0.5)
    with pytest.raises(ValueError, match=r"learning rates \[0.1, 0.5\]"):
        _ = optimizer.lr
    optimizer.lr = 0.25
    assert optimizer.lr == 0.25
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert (float(a), float(b)) == (0.65, 0.5)
    c = fnn.tensor([1.0], requires_grad=True)
    optimizer.add_param_group({"params": [c], "momentum": 0.9})
    c.grad = np.ones(1)
    optimizer.step()
    assert float(c) == 0.9


def test_groups_edited_by_hand():
    a, b, c = (fnn.tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([a], lr=0.5, momentum=0.5)

    def step():
        for p in (a, b, c):
            p.grad = np.ones(1)
        optimizer.step()
        return float(a), float(b), float(c)

    assert step() == (0.5, 1.0, 1.0)
    optimizer.param_groups[0]["params"].append(b)
    assert step() == (-0.25, 0.5, 1.0)  # a goes on with its momentum
    assert [entry["step"] for entry in optimizer.state_dict()["state"].values()] == [2, 1]
    optimizer.param_groups[0]["params"] = (b, c)
    optimizer.zero_grad(set_to_none=False)
    assert a.grad is not None
    assert step() == (-0.25, -0.25, 0.5)
    optimizer.param_groups.append(optimizer.param_groups[0] | {"params": [a], "lr": 0.0})
    assert step() == (-0.25, -1.125, -0.25)
    optimizer.param_groups.pop(0)
    assert step() == (-0.25, -1.125, -0.25)
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0]
    optimizer.param_groups[0]["lr"] = 1.0
    assert step() == (-1.25, -1.125, -0.25)


def test_groups_edited_into_what_cannot_be():
    a, b = (fnn.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([a], lr=0.5)
    a.grad = b.grad = np.ones(1)
    group = optimizer.param_groups[0]
    for change, undo, error, text in [
        (lambda: group["params"].append(a), group["params"].pop, ValueError, "parameter 1 of group 0 appears twice"),
        (lambda: group["params"].append(3), group["params"].pop, TypeError, "parameter 1 of group 0 must be a Tensor"),
        (
            lambda: optimizer.param_groups.append({"params": [b]}),
            optimizer.param_groups.pop,
            ValueError,
            r"group 1 has \['params'\].*add_param_group",
        ),
    ]:
        change()
        for call in (optimizer.step, optimizer.state_dict, lambda: optimizer.zero_grad(set_to_none=False)):
            with pytest.raises(error, match=text):
                call()
        undo()
    assert float(a) == 1.0
    optimizer.step()
    assert float(a) == 0.5


def _leaf(*values, dtype=np.float64):
    return fnn.tensor(np.array(values, dtype), requires_grad=True)


def test_a_group_is_followed_once_its_gradients_fit():
    a, b = _leaf(1.0), _leaf(1.0)
    c = _leaf(1.0, dtype=np.float32)  # of another block than b, and gathered before it is looked at
    optimizer = optim.SGD([a], lr=0.5)
    a.grad, b.grad, c.grad = np.ones(1), np.zeros(3), np.ones(1, np.float32)
    before = c.data
    optimizer.param_groups[0]["params"] += [c, b]
    for call in (optimizer.step, optimizer.state_dict):
        with pytest.raises(ValueError, match=r"SGD: a parameter of shape \(1,\) has a gradient of shape \(3,\)"):
            call()
    assert c.data is before
    assert c._target is None
    assert [float(p) for p in (a, b, c)] == [1.0, 1.0, 1.0]
    b.grad = None
    optimizer.step()
    assert [float(p) for p in (a, b, c)] == [0.5, 1.0, 0.5]
    b.grad = np.ones(1)
    optimizer.step()
    assert [float(p) for p in (a, b, c)] == [0.0, 0.5, 0.0]


@pytest.mark.parametrize("add", [lambda o, b: o.add_param_group({"params": b}), lambda o, b: optim.SGD([b], lr=0.5)])
def test_a_group_that_is_refused_leaves_nothing_behind(add):
    a, b = _leaf(1.0), _leaf(1.0)
    optimizer = optim.SGD([a], lr=0.5)
    values, b.grad = b.data, np.zeros(3)
    with pytest.raises(ValueError, match=r"has a gradient of shape \(3,\)"):
        add(optimizer, b)
    assert len(optimizer.param_groups) == len(optimizer.state_dict()["param_groups"]) == 1
    assert b.data is values
    assert b._target is None
    b.grad = None
    optimizer.add_param_group({"params": b})
    a.grad = b.grad = np.ones(1)
    optimizer.step()
    assert (float(a), float(b)) == (0.5, 0.5)


def test_a_list_that_was_given_is_not_followed():
    a, b = _leaf(1.0), _leaf(1.0)
    given = [a]
    optimizer = optim.SGD([{"params": given}], lr=0.5)
    given.append(b)
    a.grad = b.grad = np.ones(1)
    optimizer.step()
    assert (float(a), float(b)) == (0.5, 1.0)


@pytest.mark.parametrize("to_none", [True, False])
def test_to_forget_gradients_follows_edited_groups(to_none):
    a, b = _leaf(1.0, 2.0), _leaf(1.0, 2.0)
    optimizer = optim.SGD([a], lr=0.5)
    for edited, trained in (((p for p in [a, b]), [a, b]), (b, [b]), ((a, b), [a, b])):
        for p in (a, b):
            p.data, p.grad = np.zeros(2), np.ones(2)
        optimizer.param_groups[0]["params"] = edited
        optimizer.zero_grad(to_none)
        assert [p.grad is None if to_none else not p.grad.any() for p in trained] == [True] * len(trained)
        for p in (a, b):
            p.grad = np.ones(2)
        optimizer.step()
        assert [p.data.tolist() for p in (a, b)] == [[-0.5 * any(q is p for q in trained)] * 2 for p in (a, b)]


@pytest.mark.parametrize(
    ("edited", "error", "text"),
    [
        ((), ValueError, "SGD: group 0 has no parameters"),
        (3, TypeError, "SGD: params of group 0 must be parameters, got int"),
        ([], ValueError, "SGD: group 0 has no parameters"),
    ],
)
def test_groups_without_parameters_are_refused(edited, error, text):
    a = _leaf(1.0)
    optimizer = optim.SGD([a], lr=0.5)
    a.grad = np.ones(1)
    optimizer.param_groups[0]["params"] = edited
    for call in (optimizer.zero_grad, optimizer.step, optimizer.state_dict, lambda: optimizer.zero_grad(False)):
        with pytest.raises(error, match=text):
            call()
    optimizer.param_groups[0]["params"] = [a]
    optimizer.step()
    assert float(a) == 0.5


SETTINGS = [
    (optim.Adam, {"betas": (2.0, 0.9)}, ValueError, r"Adam: betas must be in \[0, 1\), got 2\.0"),
    (optim.Adam, {"betas": 0.9}, ValueError, r"Adam: betas must be a pair of numbers"),
    (optim.Adam, {"lr": -1.0}, ValueError, r"Adam: lr must be in \[0, 3\.4\d*e\+38\], got -1"),
    (optim.AMSGrad, {"eps": float("nan")}, ValueError, "AMSGrad: eps must be finite"),
    (optim.AdamW, {"weight_decay": "x"}, TypeError, "AdamW: weight_decay must be a real number, got 'x'"),
    (optim.SGD, {"lr": 1e39}, ValueError, "SGD: lr must be in"),
    (optim.SGD, {"lr": True}, TypeError, "SGD: lr must be a real number, got True"),
    (optim.SGD, {"momentum": None}, TypeError, "SGD: momentum must be a real number"),
    (optim.SGD, {"nesterov": True}, ValueError, "SGD: nesterov needs momentum above 0"),
    (optim.SGD, {"nesterov": 1}, TypeError, "SGD: nesterov must be True or False, got 1"),
    (optim.SGD, {"decay_all": "no"}, TypeError, "SGD: decay_all must be True or False, got 'no'"),
    (optim.SGD, {"l1": 1e39}, ValueError, "SGD: l1 must be in"),
    (optim.RMSprop, {"alpha": 1.0}, ValueError, r"RMSprop: alpha must be in \[0, 1\), got 1"),
    (optim.RMSprop, {"eps_inside": "no"}, TypeError, "RMSprop: eps_inside must be True or False"),
    (optim.Adagrad, {"eps_inside": None}, TypeError, "Adagrad: eps_inside must be True or False"),
    (optim.Adadelta, {"rho": -0.1}, ValueError, r"Adadelta: rho must be in \[0, 1\), got -0\.1"),
]


@pytest.mark.parametrize(("make", "change", "error", "text"), SETTINGS)
def test_a_step_with_a_setting_that_cannot_be_changes_nothing(make, change, error, text):
    a, b = _leaf(1.0), _leaf(1.0)
    optimizer = make([{"params": [a]}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = np.ones(1)
    optimizer.step()
    product = (a * a).sum()
    values, state = (float(a), float(b)), optimizer.state_dict()
    good = dict(optimizer.param_groups[1])
    optimizer.param_groups[1].update(change)
    for _ in range(2):
        with pytest.raises(error, match=text):
            optimizer.step()
    product.backward()  # no value was noted as changed
    assert (float(a), float(b)) == values
    assert [entry["step"] for entry in optimizer.state_dict()["state"].values()] == [1, 1]
    assert optimizer._steps_taken == 1
    with pytest.raises(error, match=text):
        make([{"params": [_leaf(1.0)], **change}], lr=0.5)
    with pytest.raises(error, match=text):
        optimizer.load_state_dict(
            {**state, "param_groups": [state["param_groups"][0], state["param_groups"][1] | change]}
        )
    optimizer.param_groups[1].update(good)
    optimizer.step()
    assert optimizer._steps_taken == 2


def test_a_schedule_that_gives_nan_is_found_before_a_step():
    a, b = _leaf(1.0), _leaf(1.0)
    optimizer = optim.SGD([{"params": [a], "lr": 0.0}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = np.ones(1)
    optim.Schedule(optimizer, lambda step: float("nan"))
    with pytest.raises(ValueError, match="SGD: lr must be finite, got nan"):
        optimizer.step()
    assert (float(a), float(b)) == (1.0, 1.0)


def test_settings_that_equal_checked_ones_and_lists_that_are_edited():
    a = _leaf(1.0)
    optimizer = optim.SGD([a], lr=1.0)
    a.grad = np.ones(1)
    optimizer.param_groups[0].update(lr=np.float32(1.0), nesterov=0, momentum=False)  # equal to what was checked
    optimizer.step()
    assert float(a) == 0.0
    adam = optim.Adam([a], betas=[0.9, 0.99])
    adam.step()
    adam.param_groups[0]["betas"][0] = 2.0
    with pytest.raises(ValueError, match="Adam: betas"):
        adam.step()
    del adam.param_groups[0]["eps"]
    with pytest.raises(ValueError, match=r"Adam: a group lacks the settings \['eps'\]"):
        adam.step()
    assert adam.state_dict()["state"]["0"]["step"] == 1


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        (
            "grad",
            fnn.tensor([1.0]),
            TypeError,
            r"SGD: the gradient of a parameter of shape \(1,\) must be an array, got Tensor",
        ),
        ("grad", [1.0], TypeError, "must be an array, got list"),
        ("grad", np.ma.masked_array([1.0], [True]), TypeError, r"the gradient .* must not be a masked array.*filled"),
        ("grad", np.ones(1, complex), TypeError, "a parameter of dtype float64 has a gradient of dtype complex128"),
        ("grad", np.array(["x"]), TypeError, "has a gradient of dtype <U1"),
        (
            "data",
            fnn.tensor([1.0]),
            TypeError,
            r"SGD: the values of a parameter of shape \(1,\) must be an array, got Tensor",
        ),
        ("data", [1.0], TypeError, "must be an array, got list"),
        ("data", np.ma.masked_array([1.0], [True]), TypeError, "the values .* must not be a masked array"),
        ("data", np.ones(1, complex), ValueError, "was replaced by an array of shape .* and dtype complex128"),
    ],
)
def test_values_and_gradients_that_are_no_such_arrays(name, value, error, text):
    a, b = _leaf(1.0), _leaf(1.0)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = np.ones(1)
    good = getattr(b, name)
    setattr(b, name, value)
    with pytest.raises(error, match=text):
        optimizer.step()
    assert float(a) == 1.0
    with pytest.raises((TypeError, ValueError), match="SGD: "):
        optim.SGD([b], lr=0.5)
    setattr(b, name, good)
    optimizer.step()
    assert (float(a), float(b)) == (0.5, 0.5)


def test_values_and_gradients_that_are_numbers_or_of_another_real_type():
    a, b = fnn.tensor(1.0, requires_grad=True), _leaf(1.0, dtype=np.float32)
    optimizer = optim.SGD([a, b], lr=0.5)
    a.grad, b.grad = np.float64(1.0), np.ones(1, np.int64)
    optimizer.step()
    assert (float(a), float(b)) == (0.5, 0.5)
    a.grad, b.grad = 1.0, np.ones(1)
    optimizer.step()
    assert (float(a), float(b)) == (0.0, 0.0)
    a.data = a.data + 2.0
    assert isinstance(a.data, np.float64)
    optimizer.step()
    assert float(a) == 1.5


def test_a_step_that_is_refused_changes_nothing():
    a, b = fnn.tensor([1.0], requires_grad=True), fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([{"params": [a]}, {"params": [b]}], lr=0.5)
    a.grad, b.grad = np.ones(1), np.ones(2)
    with pytest.raises(ValueError, match=r"Adam: a parameter of shape \(1,\) has a gradient of shape \(2,\)"):
        optimizer.step()
    assert float(a) == 1.0
    assert [entry["step"] for entry in optimizer.state_dict()["state"].values()] == [0, 0]


def test_weight_decay_leaves_biases_and_norms_alone_unless_asked():
    def after(decay_all):
        net = nn.Sequential(nn.Linear(2, 2, rng=0), nn.BatchNorm1d(2))
        for p in net.parameters():
            p.data[...] = 1.0
        opt = optim.SGD(net.parameters(), lr=1.0, weight_decay=0.5, decay_all=decay_all)
        for p in net.parameters():
            p.grad = np.zeros_like(p.data)
        opt.step()
        return {name: float(p.data.ravel()[0]) for name, p in net.named_parameters()}

    assert after(False) == {"0.weight": 0.5, "0.bias": 1.0, "1.weight": 1.0, "1.bias": 1.0}
    assert set(after(True).values()) == {0.5}


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "SGD: there are no parameters"),
        (lambda p: optim.SGD(p, lr=0.1), TypeError, "SGD: params must be an iterable"),
        (lambda p: optim.SGD([p, p], lr=0.1), ValueError, "parameter 1 of group 0 appears twice"),
        (lambda p: optim.SGD({p}, lr=0.1), TypeError, "SGD: params must be in an order that stays.* a set has none"),
        (
            lambda p: optim.SGD([{"params": frozenset([p])}], lr=0.1),
            TypeError,
            "params of group 0 .* a frozenset has none",
        ),
        (
            lambda p: optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1),
            ValueError,
            "parameter 0 of group 1 appears twice",
        ),
        (lambda p: optim.SGD([{"params": []}], lr=0.1), ValueError, "group 0 has no parameters"),
        (lambda p: optim.SGD([{"params": [p], "rate": 1}], lr=0.1), ValueError, "expected params and any of"),
        (lambda p: optim.SGD([p * 2], lr=0.1), ValueError, "not a leaf"),
        (lambda p: optim.SGD([p.data], lr=0.1), TypeError, "must be a Tensor, got ndarray"),
        (lambda p: optim.SGD([fnn.tensor([1])], lr=0.1), TypeError, "int64"),
        (lambda p: optim.SGD([p], lr=-0.1), ValueError, r"SGD: lr must be in \[0, 3\.4\d*e\+38\], got -0\.1"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "SGD: lr must be finite, got nan"),
        (lambda p: optim.SGD([p], lr=0.1, momentum=-1), ValueError, "momentum"),
        (lambda p: optim.SGD([p], lr=0.1, nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "Adam: betas"),
        (lambda p: optim.AdamW([p], weight_decay=-1), ValueError, "AdamW: weight_decay"),
        (lambda p: optim.SGD([p], lr=0.1, l1=-1), ValueError, "SGD: l1"),
        (lambda p: optim.Adadelta([p], rho=1.0), ValueError, "Adadelta: rho"),
        (lambda p: optim.Adagrad([p], eps=-1), ValueError, "Adagrad: eps"),
        (lambda p: optim.RMSprop([p], alpha=2), ValueError, "RMSprop: alpha"),
        (lambda p: optim.RMSprop([p], eps=-1), ValueError, "RMSprop: eps"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make(fnn.tensor([1.0], requires_grad=True))


def test_setting_a_bad_rate_changes_nothing():
    p = fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    with pytest.raises(ValueError, match="lr"):
        optimizer.lr = -1.0
    assert optimizer.lr == 0.1
    for value in ("x", True, None):
        with pytest.raises(TypeError, match="Adam: lr must be a real number"):
            optimizer.lr = value
    assert optimizer.lr == 0.1
    optimizer.param_groups.clear()
    with pytest.raises(ValueError, match="Adam: there are no groups"):
        _ = optimizer.lr


def test_repr():
    p = fnn.tensor([1.0], requires_grad=True)
    assert repr(optim.SGD([p], lr=0.1)).startswith("SGD({'lr': 0.1, ")
