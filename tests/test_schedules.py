"""Schedules and clipping: the rules, their order, PyTorch, state, refusals."""

import copy
import math

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim


def _sgd(lr=0.1, **settings):
    return optim.SGD([fnn.tensor([1.0], requires_grad=True)], lr=lr, **settings)


def _rates(rule, steps, lr=0.1):
    optimizer = _sgd(lr)
    schedule = optim.Schedule(optimizer, rule)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.lr)
        optimizer.step()
        schedule.step()
    return rates


TORCH = [
    (optim.StepDecay(3, 0.5), "StepLR", {"step_size": 3, "gamma": 0.5}),
    (optim.Exponential(0.9), "ExponentialLR", {"gamma": 0.9}),
    (optim.Cosine(12, 0.1), "CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    (optim.Warmup(5, 0.25), "LinearLR", {"start_factor": 0.25, "total_iters": 5}),
    (optim.OneCycle(13, 4 / 13), "OneCycleLR", {"max_lr": 0.1, "total_steps": 14, "pct_start": 5 / 14}),
]


@pytest.mark.parametrize(("rule", "name", "settings"), TORCH, ids=lambda v: v if isinstance(v, str) else "")
def test_against_torch(rule, name, settings):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    expected = []
    for _ in range(13):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(_rates(rule, 13), expected, rtol=1e-6)


def test_warm_up_then_cosine():
    rates = _rates(optim.Sequence([optim.Warmup(4), optim.Cosine(6)], [4]), 12, lr=1.0)
    cosine = [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(7)]
    np.testing.assert_allclose(rates, [0, 0.25, 0.5, 0.75, *cosine, 0], atol=1e-15)


def test_momentum_schedule_and_groups():
    a, b = (fnn.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([{"params": a}, {"params": b, "lr": 0.5}], lr=0.1, momentum=0.9)
    rate = optim.Schedule(optimizer, optim.Exponential(0.5))
    momentum = optim.momentum_schedule(optimizer, 4)
    seen = []
    for _ in range(6):
        seen.append([group["momentum"] for group in optimizer.param_groups])
        optimizer.step()
        rate.step()
        momentum.step()
    np.testing.assert_allclose(seen, [[m] * 2 for m in (0.5, 0.6, 0.7, 0.8, 0.9, 0.9)])
    np.testing.assert_allclose([g["lr"] for g in optimizer.param_groups], [0.1 / 64, 0.5 / 64])


@pytest.mark.parametrize("larger", [False, True])
def test_reduce_on_plateau_against_torch(larger):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    mode = "max" if larger else "min"
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, mode, 0.5, 2, threshold=1e-2, min_lr=0.2)
    ours = _sgd(1.0)
    schedule = optim.ReduceOnPlateau(ours, 0.5, 2, threshold=1e-2, larger_is_better=larger, min_lr=0.2)
    rng = np.random.default_rng(0)
    for measure in (1 + rng.normal(size=40) * 0.05).round(3):
        ours.step()
        schedule.step(measure)
        theirs.step()
        other.step(measure)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])
    assert ours.lr < 1


def test_a_schedule_waits_for_its_optimiser():
    optimizer = _sgd()
    schedule = optim.Schedule(optimizer, optim.Cosine(4))
    plateau = optim.ReduceOnPlateau(optimizer)
    for step in (schedule.step, lambda: plateau.step(1.0)):
        with pytest.raises(RuntimeError, match=r"step was called before the optimiser's"):
            step()
    optimizer.step()
    schedule.step()
    with pytest.raises(RuntimeError, match="Schedule: step was called before"):
        schedule.step()


def test_state(tmp_path):
    optimizer = _sgd()
    schedule, plateau = optim.Schedule(optimizer, optim.Cosine(9)), optim.ReduceOnPlateau(optimizer, patience=0)
    for measure in (2.0, 1.0, 3.0):
        optimizer.step()
        schedule.step()
        plateau.step(measure)
    parts = {"optimizer": optimizer, "schedule": schedule, "plateau": plateau}
    fnn.save_checkpoint(tmp_path / "state.npz", {name: part.state_dict() for name, part in parts.items()})
    state = fnn.load_checkpoint(tmp_path / "state.npz")
    resumed = _sgd(0.7)
    again = {
        "schedule": optim.Schedule(resumed, optim.Cosine(9)),
        "plateau": optim.ReduceOnPlateau(resumed, patience=0),
        "optimizer": resumed,  # last: its rate includes what the plateau did
    }
    for name, part in again.items():
        part.load_state_dict(state[name])
    assert resumed.lr == optimizer.lr
    assert again["plateau"].state_dict() == plateau.state_dict()
    for o, s in ((optimizer, schedule), (resumed, again["schedule"])):
        o.step()
        s.step()
    assert resumed.lr == optimizer.lr == pytest.approx(0.1 * 0.1 * optim.Cosine(9)(4))


@pytest.mark.parametrize("make", [lambda o: optim.Schedule(o, optim.Cosine(9)), optim.ReduceOnPlateau])
def test_a_state_of_between_the_two_steps_goes_on(make):
    first = _sgd()
    schedule = make(first)
    first.step()
    state = schedule.state_dict()
    second = _sgd()
    loaded = make(second)
    loaded.load_state_dict(state)
    measure = (1.0,) if isinstance(loaded, optim.ReduceOnPlateau) else ()
    loaded.step(*measure)
    schedule.step(*measure)
    assert loaded.state_dict() == schedule.state_dict()
    with pytest.raises(RuntimeError, match=r"step was called before the optimiser's"):
        loaded.step(*measure)


def test_texts_show_the_settings():
    optimizer = _sgd()
    assert repr(optim.Schedule(optimizer, optim.Warmup(3))) == (
        "Schedule(Warmup(steps=3, first=0.0), key='lr', relative=True)"
    )
    assert repr(optim.ReduceOnPlateau(optimizer, 0.5, 2)) == (
        "ReduceOnPlateau(0.5, 2, threshold=0.0001, larger_is_better=False, min_lr=0.0)"
    )


def test_states_that_do_not_fit():
    schedule = optim.Schedule(_sgd(), optim.Cosine(4))
    before = copy.deepcopy(schedule.state_dict())
    with pytest.raises(ValueError, match=r"the state has \['best', 'waited'\], expected \['base', 'steps'\]"):
        schedule.load_state_dict(optim.ReduceOnPlateau(_sgd()).state_dict())
    with pytest.raises(ValueError, match="2 groups, this optimiser 1"):
        schedule.load_state_dict({"base": [0.1, 0.2], "steps": 3})
    assert schedule.state_dict() == before
    adam, sgd = optim.Adam([fnn.tensor([1.0], requires_grad=True)]), _sgd()
    with pytest.raises(ValueError, match=r"the settings \[.*momentum.*\], expected params, \[.*betas.*\]"):
        adam.load_state_dict(sgd.state_dict())


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.Cosine(0), ValueError, "Cosine: steps"),
        (lambda: optim.StepDecay(1.5), TypeError, "StepDecay: step_size"),
        (lambda: optim.Exponential(-1), ValueError, "Exponential: gamma"),
        (lambda: optim.OneCycle(10, rising=1.0), ValueError, "OneCycle: rising"),
        (lambda: optim.Sequence([optim.Cosine(2)], [2]), ValueError, "Sequence: 1 rules need 0 rising milestones"),
        (lambda: optim.Schedule(_sgd(), optim.Cosine(2), key="betas"), ValueError, "no setting 'betas'"),
        (lambda: optim.Schedule("sgd", optim.Cosine(2)), TypeError, "expected an optimiser, got str"),
        (lambda: optim.ReduceOnPlateau(_sgd(), factor=1.0), ValueError, "ReduceOnPlateau: factor"),
        (lambda: optim.clip_grad_norm([], -1.0), ValueError, "clip_grad_norm: max_norm"),
        (lambda: optim.clip_grad_value([], "1"), TypeError, "clip_grad_value: clip_value"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make()


def _step_all(optimizer, *schedules):
    optimizer.step()
    for schedule in schedules:
        schedule.step()
    return [group["lr"] for group in optimizer.param_groups]


def test_a_group_added_later_is_scheduled():
    optimizer = _sgd(1.0)
    schedule = optim.Schedule(optimizer, optim.Exponential(0.5))
    assert _step_all(optimizer, schedule) == [0.5]
    optimizer.add_param_group({"params": fnn.tensor([1.0], requires_grad=True), "lr": 0.25})
    assert _step_all(optimizer, schedule) == [0.25, 0.0625]
    assert schedule.state_dict() == {"base": [1.0, 0.25], "steps": 2}
    resumed = _sgd(1.0)
    again = optim.Schedule(resumed, optim.Exponential(0.5))
    resumed.add_param_group({"params": fnn.tensor([1.0], requires_grad=True), "lr": 0.7})
    again.load_state_dict(schedule.state_dict())
    assert [group["lr"] for group in resumed.param_groups] == [0.25, 0.0625]
    del optimizer.param_groups[0]
    assert _step_all(optimizer, schedule) == [0.03125]


def test_a_schedule_that_another_replaced_refuses():
    optimizer = _sgd(1.0)
    first = optim.Schedule(optimizer, optim.Warmup(4))
    momentum = optim.Schedule(optimizer, optim.Exponential(0.5), key="momentum")
    assert optimizer.lr == 0.0
    second = optim.Schedule(optimizer, optim.Exponential(0.5))
    assert second.base == [1.0]  # not the warm-up's 0, which was never used
    optimizer.step()
    before = first.state_dict()
    for call in (first.step, lambda: first.load_state_dict(before)):
        with pytest.raises(RuntimeError, match=r"Schedule: another schedule was made for 'lr'.*Sequence"):
            call()
    assert first.state_dict() == before
    second.step()
    momentum.step()
    assert optimizer.lr == 0.5
    third = optim.Schedule(optimizer, optim.Exponential(0.5))
    assert third.base == [0.5]  # after what the second one did
    assert _step_all(optimizer, third) == [0.25]


def _raises(step):
    raise ArithmeticError(step)


def test_a_rule_that_raises_changes_nothing():
    optimizer = _sgd(1.0)
    first = optim.Schedule(optimizer, optim.Exponential(0.5))
    with pytest.raises(ArithmeticError):
        optim.Schedule(optimizer, _raises)
    assert _step_all(optimizer, first) == [0.5]
    first.rule = _raises
    optimizer.step()
    with pytest.raises(ArithmeticError):
        first.step()
    with pytest.raises(ArithmeticError):
        first.load_state_dict({"base": [4.0], "steps": 3})
    assert first.state_dict() == {"base": [1.0], "steps": 1}
    assert optimizer.lr == 0.5
    first.rule = optim.Exponential(0.5)
    first.step()  # for the step of the optimiser that was made
    assert (first.steps, optimizer.lr) == (2, 0.25)


@pytest.mark.parametrize(
    ("kind", "change", "error", "text"),
    [
        ("schedule", {"steps": "x"}, TypeError, "Schedule: steps must be an int, got 'x'"),
        ("schedule", {"steps": 1.5}, TypeError, "Schedule: steps must be an int"),
        ("schedule", {"steps": -1}, ValueError, "Schedule: steps must be at least 0"),
        ("schedule", {"base": ["x"]}, TypeError, "Schedule: base must be a real number, got 'x'"),
        ("schedule", {"base": [math.nan]}, ValueError, "Schedule: base must be finite"),
        ("plateau", {"waited": "x"}, TypeError, "ReduceOnPlateau: waited must be an int, got 'x'"),
        ("plateau", {"waited": -1}, ValueError, "ReduceOnPlateau: waited must be at least 0"),
        ("plateau", {"best": "x"}, TypeError, "ReduceOnPlateau: best must be a real number, got 'x'"),
        ("plateau", {"best": math.nan}, ValueError, "ReduceOnPlateau: best must be finite"),
    ],
)
def test_a_state_that_cannot_be_changes_nothing(kind, change, error, text):
    optimizer = _sgd(1.0)
    stepped = optim.Schedule(optimizer, optim.Cosine(4)) if kind == "schedule" else optim.ReduceOnPlateau(optimizer)
    before = stepped.state_dict()
    other = {"base": [3.0], "steps": 2} if kind == "schedule" else {"best": 3.0, "waited": 2}
    with pytest.raises(error, match=text):
        stepped.load_state_dict(other | change)
    assert stepped.state_dict() == before
    assert optimizer.lr == 1.0
    stepped.load_state_dict(other)
    assert stepped.state_dict() == other


def test_a_measure_that_is_no_number_is_no_step():
    optimizer = _sgd(1.0)
    plateau = optim.ReduceOnPlateau(optimizer)
    optimizer.step()
    with pytest.raises(ValueError, match="could not convert"):
        plateau.step("x")
    plateau.step(3.0)
    assert plateau.best == 3.0


@pytest.mark.parametrize("plateau_first", [False, True])
def test_a_plateau_beside_a_schedule(plateau_first):
    optimizer = _sgd(1.0)
    optimizer.add_param_group({"params": fnn.tensor([1.0], requires_grad=True), "lr": 0.25})
    plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=0, min_lr=0.125) if plateau_first else None
    schedule = optim.Schedule(optimizer, optim.Warmup(2))
    plateau = plateau or optim.ReduceOnPlateau(optimizer, 0.5, patience=0, min_lr=0.125)
    rates = []
    for _ in range(6):
        rates.append(_step_all(optimizer, schedule))
        plateau.step(1.0)
    assert rates == [[0.5, 0.125], [1.0, 0.25], [0.5, 0.125], [0.25, 0.125], [0.125, 0.125], [0.125, 0.125]]


def test_a_plateau_beside_a_schedule_at_rate_0_and_beside_one_of_values():
    optimizer = _sgd(1.0)
    schedule = optim.Schedule(optimizer, lambda step: float(step > 1))
    plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=0)
    for _ in range(2):
        optimizer.step()
        plateau.step(1.0)
    assert optimizer.lr == 0.0
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert optimizer.lr == 0.5
    optim.Schedule(optimizer, optim.Linear(1.0, 0.0, 4), relative=False)
    optimizer.step()
    with pytest.raises(RuntimeError, match="ReduceOnPlateau: a schedule with relative=False"):
        plateau.step(1.0)
    assert plateau.state_dict() == {"best": 1.0, "waited": 0}


# clipping


def test_an_iterator_that_was_used_up_brings_a_warning():
    net, params = _net()
    _backward(net)
    before = [p.grad.copy() for p in params]
    used_up = net.parameters()
    list(used_up)
    with pytest.warns(UserWarning, match="clip_grad_norm: the iterator gave no parameters"):
        assert optim.clip_grad_norm(used_up, 1.0) == 0.0
    with pytest.warns(UserWarning, match="clip_grad_value: the iterator gave no parameters"):
        optim.clip_grad_value(used_up, 1.0)
    for p, g in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.grad, g)
    assert optim.clip_grad_norm([], 1.0) == 0.0


def _net(dtype=np.float64):
    net = nn.Sequential(nn.Linear(5, 7, dtype=dtype, rng=0), nn.LayerNorm(7, dtype=dtype), nn.Linear(7, 3, dtype=dtype))
    return net, list(net.parameters())


def _backward(net):
    x = np.random.default_rng(0).normal(size=(4, 5)) * 9
    (net(x) * net(x)).sum().backward()


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("flat", [False, True])
def test_clip_norm_against_torch(flat, norm_type):
    torch = pytest.importorskip("torch")
    net, params = _net()
    if flat:
        optim.Adam(params)
    _backward(net)
    theirs = [torch.zeros(p.shape, dtype=torch.float64, requires_grad=True) for p in params]
    for p, q in zip(params, theirs, strict=True):
        q.grad = torch.tensor(p.grad.copy())
    params[2].grad = theirs[2].grad = None
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.5, norm_type)
    assert optim.clip_grad_norm(params, 0.5, norm_type) == pytest.approx(float(expected), rel=1e-12)
    for p, q in zip(params, theirs, strict=True):
        if q.grad is not None:
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
    small = [p.grad.copy() for p in params if p.grad is not None]
    optim.clip_grad_norm(params, 1e6)
    for g, p in zip(small, [p for p in params if p.grad is not None], strict=True):
        np.testing.assert_array_equal(p.grad, g)


def test_a_gradient_of_nan_spoils_no_later_norm():
    """The zeros between the parameters' gradients stay zeros."""
    params = [fnn.tensor(np.ones(n, np.float32), requires_grad=True) for n in (3, 5)]
    optimizer = optim.SGD(params, lr=0.1)
    for value in (1.0, np.nan, np.inf, 1.0):
        optimizer.zero_grad()
        sum((p * p).sum() for p in params).backward()
        params[0].grad[1] *= value
        norm = optim.clip_grad_norm(params, 1.0)
        if np.isnan(value):
            assert all(np.isnan(p.grad).all() for p in params)  # as in PyTorch
    assert norm == pytest.approx(math.sqrt(8 * 4))


@pytest.mark.parametrize("flat", [False, True])
def test_clip_value(flat):
    net, params = _net()
    if flat:
        optim.SGD(params, lr=0.1)
    _backward(net)
    params[1].grad = None
    expected = [None if p.grad is None else np.clip(p.grad, -0.5, 0.5) for p in params]
    optim.clip_grad_value(params, 0.5)
    for p, g in zip(params, expected, strict=True):
        if g is not None:
            np.testing.assert_array_equal(p.grad, g)


def test_clipping_sees_a_flat_buffer_as_one_array():
    from fastnn.optim.flat import runs_of

    net, params = _net()
    optim.SGD(params, lr=0.1)
    _backward(net)
    # Weights, which decay, and the others: one buffer each, and each parameter once.
    by_kind = sorted(params, key=lambda p: p.decay)
    assert len(list(runs_of(by_kind))) == 2
    assert len(list(runs_of([*by_kind, *by_kind]))) == 2
    total = sum(float((p.grad**2).sum()) for p in params)
    assert optim.clip_grad_norm([*params, *params], 1e9) == pytest.approx(math.sqrt(total), rel=1e-13)


def test_adam_first_then_sgd_with_a_schedule_each():
    p = fnn.tensor([1.0, -2.0], requires_grad=True)
    for make in (lambda: optim.Adam([p], lr=0.1), lambda: optim.SGD([p], lr=0.1, momentum=0.5)):
        optimizer = make()
        schedule = optim.Schedule(optimizer, optim.Cosine(30))
        for _ in range(30):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()
            schedule.step()
    assert abs(p.data).max() < 0.01


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float32, 1e20), (np.float32, 3e38), (np.float32, 1e-25), (np.float64, 1e200), (np.float64, 1e-200)],
)
def test_norms_whose_powers_overflow_or_vanish(dtype, size, norm_type):
    values = np.array([0.25, -1.0, 0.5, 0.75])
    p = fnn.tensor(np.ones(4, dtype), requires_grad=True)
    p.grad = (values * size).astype(dtype)
    before = p.grad.copy()
    norm = optim.clip_grad_norm([p], 2.0, norm_type)
    expected = np.linalg.norm(values, norm_type) * size
    assert norm == pytest.approx(expected, rel=1e-6)
    if size > 1:
        assert np.linalg.norm(p.grad.astype(np.float64), norm_type) == pytest.approx(2.0, rel=1e-6)
    else:
        np.testing.assert_array_equal(p.grad, before)
