"""docs/from_pytorch.md: its figures come out beside PyTorch, and its list of other defaults is complete."""

import inspect

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from test_pages import quoted, table

torch = pytest.importorskip("torch")

# ---- figures: what an example gives here, in PyTorch, and here in the way that the page says ----------------------------


def regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 10)).astype(np.float32)
    return x, (x @ rng.standard_normal((10, 1)) + 3).astype(np.float32), rng.uniform(-0.3, 0.3, (1, 10))


def trained(library, make, schedule=None, steps=20):
    """The loss of a linear regression after some steps of full batches."""
    x, y, weight = regression()
    model = library.nn.Linear(10, 1)
    model.load_state_dict({k: tensor_of(library, v) for k, v in {"weight": weight, "bias": np.zeros(1)}.items()})
    functional = library.nn.functional if library is torch else F
    x, y = tensor_of(library, x), tensor_of(library, y)
    optimizer = make(model.parameters())
    rule = None if schedule is None else schedule(optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.mse_loss(model(x), y).backward()
        optimizer.step()
        if rule is not None:
            rule.step()
    return functional.mse_loss(model(x), y).item()


def tensor_of(library, values):
    return library.tensor(np.asarray(values, np.float32))


def weight_decay():
    def ours(**options):
        return trained(fnn, lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1, **options))

    theirs = trained(torch, lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1))
    return ours(), theirs, ours(decay_all=True)


def rmsprop():
    def ours(**options):
        return trained(fnn, lambda p: optim.RMSprop(p, lr=0.1, **options))

    theirs = trained(torch, lambda p: torch.optim.RMSprop(p, lr=0.1))
    return ours(), theirs, ours(alpha=0.99, eps_inside=False)


def adagrad():
    def first_step(library, **options):
        p = library.nn.Parameter(tensor_of(library, [0.0]))
        optimizer = library.optim.Adagrad([p], lr=1.0, **options)
        (p * 1e-5).sum().backward()
        optimizer.step()
        return -p.item()

    return first_step(fnn), first_step(torch), first_step(fnn, eps=1e-10, eps_inside=False)


def momentum():
    def follow(optimizer):
        """A buffer of gradients, not of steps, stays as it is when the rate changes."""
        return RescaledSteps(optimizer, optim.Schedule(optimizer, optim.StepDecay(5, 0.1)))

    def ours(schedule):
        return trained(fnn, lambda p: optim.SGD(p, lr=0.02, momentum=0.9), schedule)

    theirs = trained(
        torch,
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.1),
    )
    return ours(lambda o: optim.Schedule(o, optim.StepDecay(5, 0.1))), theirs, ours(follow)


class RescaledSteps:
    def __init__(self, optimizer, schedule):
        self.optimizer, self.schedule = optimizer, schedule

    def step(self):
        before = self.optimizer.lr
        self.schedule.step()
        if self.optimizer.lr != before:
            state = self.optimizer.state_dict()
            for of_parameter in state["state"].values():
                of_parameter["momentum_buffer"] *= self.optimizer.lr / before
            self.optimizer.load_state_dict(state)


def batch_norm():
    def evaluated(library, **options):
        rng = np.random.default_rng(0)
        x = (5 + rng.standard_normal((64, 4))).astype(np.float32)
        y = x[:, :1] - x[:, 1:2]
        model = library.nn.Sequential(
            library.nn.Linear(4, 8, bias=False),  # one without effect would wander with its gradient's rounding
            library.nn.BatchNorm1d(8, **options),
            library.nn.ReLU(),
            library.nn.Linear(8, 1),
        )
        start = np.random.default_rng(1)
        state = {k: start.uniform(-0.5, 0.5, v.shape) for k, v in model.named_parameters()}
        model.load_state_dict({k: tensor_of(library, v) for k, v in state.items()}, strict=False)
        functional = library.nn.functional if library is torch else F
        x, y = tensor_of(library, x), tensor_of(library, y)
        optimizer = library.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            functional.mse_loss(model(x), y).backward()
            optimizer.step()
        model.eval()
        return functional.mse_loss(model(x), y).item()

    return evaluated(fnn), evaluated(torch), evaluated(fnn, momentum=0.9)


def initial_weights():
    """The largest weight of a layer with 100 inputs."""
    layer = nn.Linear(100, 1000, rng=0)
    bound = 100**-0.5
    again = fnn.init.uniform((1000, 100), -bound, bound, rng=0)
    return abs(layer.weight.numpy()).max(), abs(torch.nn.Linear(100, 1000).weight.detach().numpy()).max(), again.max()


def variance():
    x = np.array([1.0, 2.0, 4.0])
    mine, theirs = fnn.tensor(x), torch.tensor(x)
    return mine.var().item(), theirs.var().item(), mine.var(ddof=1).item()


def ties():
    """The gradient of the first of two equal numbers by their maximum."""
    mine, theirs, shared = (library.tensor([2.0, 2.0], requires_grad=True) for library in (fnn, torch, fnn))
    mine.max().backward()
    theirs.max().backward()
    equal = shared.numpy() == shared.numpy().max()
    (fnn.where(equal, shared, 0.0).sum() / equal.sum()).backward()
    return mine.grad[0], theirs.grad[0].item(), shared.grad[0]


FIGURES = {
    "batch norm": batch_norm,
    "initial weights": initial_weights,
    "weight decay": weight_decay,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "momentum": momentum,
    "variance": variance,
    "ties": ties,
}


@pytest.mark.parametrize("what", FIGURES)
def test_figures(what):
    [row] = [cells for cells in table("from_pytorch.md", 5) if cells[0].startswith(what)]
    assert row[1:4] == [f"{value:.3g}" for value in FIGURES[what]()]


def test_every_figure_is_tested():
    assert len(table("from_pytorch.md", 5)) == len(FIGURES) + 1  # and the heading


# ---- defaults -------------------------------------------------------------------------------------------------------------


def parameters(function):
    """Names and defaults, or none where PyTorch's function is built in and doesn't say."""
    try:
        return {name: p.default for name, p in inspect.signature(function).parameters.items()}
    except ValueError:
        return {}


def other_defaults():
    """(name, argument): (here, in PyTorch), of all public names that both have."""
    spaces = {"nn": (nn, torch.nn), "optim": (optim, torch.optim), "F": (F, torch.nn.functional)}
    for label, (mine, theirs) in spaces.items():
        for name in sorted(set(vars(mine)) & set(vars(theirs))):
            here, there = getattr(mine, name), getattr(theirs, name)
            if name.startswith("_") or inspect.ismodule(here):
                continue
            ours, others = parameters(here), parameters(there)
            for argument in ours.keys() & others.keys() - {"dtype", "modules", "value"}:  # None is as float32, (), 0
                both = ours[argument], others[argument]
                if inspect.Parameter.empty not in both and both[0] != both[1]:
                    yield (f"{label}.{name}", argument), both


def test_every_other_default_is_listed():
    listed = {}
    for names, argument, here, there in table("from_pytorch.md", 4)[1:]:
        listed |= {(name, argument.strip("`")): (float(here), float(there)) for name in quoted(names)}
    assert listed == dict(other_defaults())
