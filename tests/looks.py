"""Whatever may be done in the middle of a training, inside `preserved`."""

import copy

import numpy as np

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer, accuracy
from fastnn.training.generators import find_generators


def network(rng=0):
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(3, momentum=0.9),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(3 * 4 * 4, 5, rng=rng),
        nn.BatchNorm1d(5),
        nn.RReLU(rng=7),
        nn.Linear(5, 3, rng=rng),
    )


def batches(rng=3):
    """Four batches of images and classes."""
    values = np.random.default_rng(11)
    x, y = values.normal(size=(32, 1, 4, 4)).astype(np.float32), values.integers(0, 3, 32)
    return Batches(x, y, batch_size=8, shuffle=True, transform=noise, rng=rng)


def noise(x, rng):
    return (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32)


OPTIMIZERS = {
    "sgd": lambda groups: optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda groups: optim.Adam(groups, lr=0.01),
    "amsgrad": lambda groups: optim.AMSGrad(groups, lr=0.01, l1=1e-4),
    "rmsprop": lambda groups: optim.RMSprop(groups, lr=0.01),
    "adadelta": lambda groups: optim.Adadelta(groups),
    "groups": lambda groups: optim.AdamW(
        [{"params": groups[:3]}, {"params": groups[3:], "lr": 0.002, "weight_decay": 0.1}], lr=0.01
    ),
}


def step(model, optimizer, batch):
    x, y = batch
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def first(data):
    return next(iter(data))


def evaluate(model, optimizer, data):
    model.eval()
    with fnn.no_grad():
        return [F.cross_entropy(model(x), y).item() for x, y in data]


def forward_in_training_mode(model, optimizer, data):
    model.train()
    for x, _ in data:
        model(x)


def summarise(model, optimizer, data):
    str(fnn.summary(model, first(data)[0].shape[1:]))


def backward(model, optimizer, data):
    x, y = first(data)
    F.cross_entropy(model(x), y).backward()  # added to the gradients that are there


def clip(model, optimizer, data):
    backward(model, optimizer, data)
    optim.clip_grad_norm(model.parameters(), 1e-3)
    for p in model.parameters():
        p.grad *= 2


def optimizer_step(model, optimizer, data):
    for batch in data:
        step(model, optimizer, batch)


def step_without_zeroing(model, optimizer, data):
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()


def schedule_step(model, optimizer, data):
    schedule = optim.Schedule(optimizer, optim.StepDecay(1, 0.5))
    for batch in data:
        step(model, optimizer, batch)
        schedule.step()
    plateau = optim.ReduceOnPlateau(optimizer, patience=0)
    for _ in range(3):
        optimizer.step()
        plateau.step(1.0)


def other_optimizer(model, optimizer, data):
    other = optim.SGD(model.parameters(), lr=1.0)
    for batch in data:
        step(model, other, batch)


def edit_groups(model, optimizer, data):
    optimizer.lr = 3.0
    optimizer.param_groups[0]["weight_decay"] = 0.5
    moved = optimizer.param_groups[0]["params"].pop()
    optimizer_step(model, optimizer, data)
    optimizer.add_param_group({"params": [moved, fnn.tensor([1.0], requires_grad=True)], "lr": 0.1})
    optimizer_step(model, optimizer, data)
    optimizer.param_groups.reverse()
    optimizer_step(model, optimizer, data)


def gradient_check(model, optimizer, data):
    model.eval()
    model.astype(np.float64)
    x, _ = first(data)
    assert fnn.testing.gradcheck(model, x.astype(np.float64), max_elements=2)


def replace_arrays(model, optimizer, data):
    for p in model.parameters():
        p.data = p.data + 1
        p.grad = np.ones_like(p.data)
    optimizer.step()
    model.load_state_dict(network(5).state_dict())
    model[1].running_mean = np.full(3, 9, np.float32)


def freeze(model, optimizer, data):
    model[0].requires_grad_(False)
    for p in model.parameters():
        p.decay = not p.decay
    model[1].eval()
    optimizer_step(model, optimizer, data)


def surgery(model, optimizer, data):
    model[5] = nn.Linear(48, 5, rng=1)
    del model[8]
    model.extra = nn.Parameter([1.0])
    model[4].rng = np.random.default_rng(99)
    model(first(data)[0])


def hook(model, optimizer, data):
    model[0].register_forward_hook(lambda module, args, output: output * 2)
    model[3].forward = lambda x: x.reshape(len(x), -1)
    optimizer_step(model, optimizer, data)


def draw(model, optimizer, data):
    for rng in find_generators(model, data):
        rng.normal(size=3)
        rng.integers(0, 5, dtype=np.int8)  # which keeps the rest of its bits for the next call
        rng.spawn(2)


def copies(model, optimizer, data):
    for batch in data:
        step(*copy.deepcopy((model, optimizer)), batch)


def trainer(model, optimizer, data):
    other = Trainer(model, optimizer, metrics={"accuracy": accuracy})
    other.evaluate(data)
    optimizer.lr = 0.02
    other.fit(data, data, epochs=1)


def statistics(model, optimizer, data):
    nn.recompute_statistics(model, Batches(*data.arrays, batch_size=16))


# What may be done in the middle of a training: name and function of the model, the optimiser and the batches.
LOOKS = [
    ("nothing", lambda model, optimizer, data: None),
    ("evaluate", evaluate),
    ("forward in training mode", forward_in_training_mode),
    ("summary", summarise),
    ("backward", backward),
    ("clip", clip),
    ("optimizer step", optimizer_step),
    ("step without zeroing", step_without_zeroing),
    ("schedule step", schedule_step),
    ("other optimizer", other_optimizer),
    ("edit groups", edit_groups),
    ("gradient check", gradient_check),
    ("replace arrays", replace_arrays),
    ("freeze", freeze),
    ("surgery", surgery),
    ("hook", hook),
    ("draw", draw),
    ("copies", copies),
    ("trainer", trainer),
    ("statistics", statistics),
]
